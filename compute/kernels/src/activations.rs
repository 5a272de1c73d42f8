//! The left operand of a product: rows of int8, packed so that every backend reads it in order.

use crate::backend::Backend;
use crate::buffer::Buffer;
use crate::chacha::TILE_BYTES;

/// Rows per tile.
pub(crate) const TILE_ROWS: usize = 16;
/// Elements of one row in a tile: a line.
pub(crate) const LINE: usize = 64;
/// The longest row, that is the longest inner dimension of a product.
pub const MAX_INNER: usize = 65_536;

/// A matrix of operands, `rows` by `width`, in tiles of 16 rows by 64 elements: element `(m, k)` stands at
/// `((m / 16) * (width / 64) + k / 64) * 1024 + (m % 16) * 64 + k % 64`.
///
/// Made for one backend: for [`Backend::Vnni`], whose dot product takes unsigned bytes on one side, each byte is
/// stored with its top bit flipped, that is 128 larger. [`get`](Self::get) and [`set`](Self::set) hide this.
/// Storage is padded to 32 rows, so that a backend may always read pairs of tiles; what the padding holds does
/// not matter, since no result of it is stored.
#[derive(Debug)]
pub struct Activations {
    pub(crate) tiles: Buffer<i8>,
    rows: usize,
    capacity: usize,
    width: usize,
    backend: Backend,
}

impl Activations {
    /// A matrix of zeros.
    ///
    /// # Panics
    ///
    /// If `rows` is 0, or `width` is not a multiple of 64 from 64 to [`MAX_INNER`].
    pub fn new(backend: Backend, rows: usize, width: usize) -> Self {
        assert!(rows > 0, "a matrix has rows");
        assert!(
            width.is_multiple_of(LINE) && (LINE..=MAX_INNER).contains(&width),
            "rows of {width} elements: a width is a multiple of {LINE} up to {MAX_INNER}"
        );
        let padded = rows.next_multiple_of(2 * TILE_ROWS);
        let mut tiles = Buffer::zeroed(padded * width);
        if flip(backend) != 0 {
            tiles.fill(flip(backend) as i8);
        }
        Self { tiles, rows, capacity: rows, width, backend }
    }

    /// Uses the first `rows` rows only, from now on.
    ///
    /// # Panics
    ///
    /// If `rows` is 0 or more than the matrix was made with.
    pub fn set_rows(&mut self, rows: usize) {
        assert!((1..=self.capacity).contains(&rows), "{rows} rows in a matrix of {}", self.capacity);
        self.rows = rows;
    }

    /// Rows in use.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Elements of a row.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// The backend that it was made for.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// What is added (by exclusive or) to each stored byte.
    pub(crate) const fn flip(&self) -> u8 {
        flip(self.backend)
    }

    /// Element `(row, column)`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn get(&self, row: usize, column: usize) -> i8 {
        (self.tiles[self.index(row, column)] as u8 ^ self.flip()) as i8
    }

    /// Sets element `(row, column)`. Values of -128 are outside the contract; products of them still agree.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn set(&mut self, row: usize, column: usize, value: i8) {
        let index = self.index(row, column);
        self.tiles[index] = (value as u8 ^ self.flip()) as i8;
    }

    fn index(&self, row: usize, column: usize) -> usize {
        assert!(row < self.rows && column < self.width, "element ({row}, {column}) is outside");
        line_index(row, column / LINE, self.width) + column % LINE
    }
}

/// Where line `line` of row `row` begins.
#[inline(always)]
pub(crate) const fn line_index(row: usize, line: usize, width: usize) -> usize {
    ((row / TILE_ROWS) * (width / LINE) + line) * TILE_BYTES + (row % TILE_ROWS) * LINE
}

const fn flip(backend: Backend) -> u8 {
    match backend {
        Backend::Vnni => 0x80,
        Backend::Scalar | Backend::Avx2 | Backend::Amx => 0,
    }
}

/// Writes lines of distinct rows from several threads.
#[derive(Clone, Copy)]
pub(crate) struct Lines {
    tiles: *mut i8,
    rows: usize,
    width: usize,
    pub(crate) flip: u8,
}

// SAFETY: a pointer and numbers; whoever writes through it promises that no line is written twice at a time.
unsafe impl Send for Lines {}
// SAFETY: as above.
unsafe impl Sync for Lines {}

impl Lines {
    /// A writer, valid as long as `activations` is borrowed by the caller.
    pub(crate) fn new(activations: &mut Activations) -> Self {
        Self {
            tiles: activations.tiles.as_mut_ptr(),
            rows: activations.rows,
            width: activations.width,
            flip: activations.flip(),
        }
    }

    /// Stores one line of operands.
    ///
    /// # Safety
    ///
    /// The matrix is still exclusively borrowed, and no other thread uses this line.
    #[inline(always)]
    pub(crate) unsafe fn store(&self, row: usize, line: usize, values: &[i8; LINE]) {
        assert!(row < self.rows && line < self.width / LINE);
        // SAFETY: the assertion puts the line inside the allocation, the caller promises that it is ours.
        let target = unsafe { &mut *self.tiles.add(line_index(row, line, self.width)).cast::<[i8; LINE]>() };
        for (target, value) in target.iter_mut().zip(values) {
            *target = (*value as u8 ^ self.flip) as i8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_back() {
        for backend in Backend::ALL {
            let mut matrix = Activations::new(backend, 33, 128);
            assert_eq!(matrix.get(32, 127), 0);
            for (row, column) in [(0, 0), (15, 63), (16, 64), (32, 127)] {
                matrix.set(row, column, -127 + row as i8);
                assert_eq!(matrix.get(row, column), -127 + row as i8);
            }
        }
    }

    #[test]
    #[should_panic(expected = "is outside")]
    fn rows_out_of_use_cannot_be_read() {
        let mut matrix = Activations::new(Backend::Scalar, 4, 64);
        matrix.set_rows(2);
        matrix.get(2, 0);
    }
}
