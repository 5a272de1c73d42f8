//! The right operand of a product: weights that are stored, or made from a key when they are needed.

use core::ops::Range;

use crate::activations::{LINE, MAX_INNER};
use crate::backend::{Backend, Level};
use crate::buffer::Buffer;
use crate::chacha::{Key, TILE_BYTES};
use crate::threads;

/// Columns per tile.
pub(crate) const TILE_COLUMNS: usize = 16;
/// Columns of the blocks that a backend fills: two tiles, and one gate with its values in
/// [`Output::Glu`](crate::Output::Glu).
pub(crate) const BLOCK_COLUMNS: usize = 32;
/// The most columns, so that a block counter is a `u32` whatever the inner dimension is.
pub const MAX_COLUMNS: usize = 1 << 20;

/// Weights made from a key: element `(n, k)` is byte `k % 64` of ChaCha8 block `n * (inner / 64) + k / 64`, as
/// an [operand](crate::arithmetic::operand).
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// The key of the weights.
    pub key: Key,
    /// The stream of this matrix.
    pub nonce: [u32; 3],
    /// Columns: outputs of the product.
    pub columns: usize,
    /// The inner dimension of the product.
    pub inner: usize,
}

impl Stream {
    /// Element `(column, k)`, from the formula.
    pub fn get(&self, column: usize, k: usize) -> i8 {
        let block = column * (self.inner / LINE) + k / LINE;
        crate::arithmetic::operand(self.key.block(block as u32, self.nonce)[k % LINE])
    }

    /// Makes the tiles of some columns, a multiple of 16, and their sums.
    pub(crate) fn panel(&self, level: Level, columns: Range<usize>, tiles: &mut [i8], sums: &mut [i32]) {
        let lines = self.inner / LINE;
        let (tiles, sums) = (tiles.as_chunks_mut::<TILE_BYTES>().0, sums.as_chunks_mut::<TILE_COLUMNS>().0);
        let first = columns.start / TILE_COLUMNS;
        for ((index, tiles), sums) in (first..).zip(tiles.chunks_exact_mut(lines)).zip(sums) {
            *sums = [0; TILE_COLUMNS];
            for (line, tile) in tiles.iter_mut().enumerate() {
                let block = (index * TILE_COLUMNS * lines + line) as u32;
                self.key.tile_at(level, block, lines as u32, self.nonce, tile, sums);
            }
        }
    }

    /// # Panics
    ///
    /// If the dimensions are outside the contract.
    fn check(&self) {
        check(self.columns, self.inner);
    }
}

fn check(columns: usize, inner: usize) {
    assert!(
        inner.is_multiple_of(LINE) && (LINE..=MAX_INNER).contains(&inner),
        "an inner dimension of {inner}: it is a multiple of {LINE} up to {MAX_INNER}"
    );
    assert!(
        columns.is_multiple_of(BLOCK_COLUMNS) && (BLOCK_COLUMNS..=MAX_COLUMNS).contains(&columns),
        "{columns} columns: their number is a multiple of {BLOCK_COLUMNS} up to {MAX_COLUMNS}"
    );
}

/// Weights in memory, in tiles of 16 columns by 64 elements: element `(n, k)` stands at
/// `((n / 16) * (inner / 64) + k / 64) * 1024 + (k % 64) / 4 * 64 + (n % 16) * 4 + k % 4`. The sum of each column is
/// kept beside them.
#[derive(Debug)]
pub struct Stored {
    tiles: Buffer<i8>,
    sums: Buffer<i32>,
    columns: usize,
    inner: usize,
}

impl Stored {
    /// Makes all of `stream` on `threads` threads.
    ///
    /// # Panics
    ///
    /// If `backend` is not available, or the dimensions are outside the contract: columns a multiple of 32 up
    /// to [`MAX_COLUMNS`], the inner dimension a multiple of 64 up to [`MAX_INNER`].
    pub fn generate(stream: &Stream, backend: Backend, threads: usize) -> Self {
        stream.check();
        let level = backend.level();
        let &Stream { columns, inner, .. } = stream;
        let mut stored = Self::zeroed(columns, inner);
        // A block costs about as much as 2,000 multiply-adds.
        let threads = threads::useful(threads, (columns * inner) as u64 * 32, columns / TILE_COLUMNS);
        let part = (columns / TILE_COLUMNS).div_ceil(threads) * TILE_COLUMNS;
        std::thread::scope(|scope| {
            let parts = stored.tiles.chunks_mut(part * inner).zip(stored.sums.chunks_mut(part));
            for (index, (tiles, sums)) in parts.enumerate() {
                let columns = index * part..index * part + sums.len();
                let work = move || stream.panel(level, columns, tiles, sums);
                if threads == 1 {
                    work();
                } else {
                    scope.spawn(work);
                }
            }
        });
        stored
    }

    /// Weights from a function of column and inner index.
    ///
    /// # Panics
    ///
    /// If the dimensions are outside the contract; see [`generate`](Self::generate).
    pub fn from_fn(columns: usize, inner: usize, mut weight: impl FnMut(usize, usize) -> i8) -> Self {
        check(columns, inner);
        let mut stored = Self::zeroed(columns, inner);
        for column in 0..columns {
            for k in 0..inner {
                let value = weight(column, k);
                stored.tiles[index(column, k, inner)] = value;
                stored.sums[column] += i32::from(value);
            }
        }
        stored
    }

    fn zeroed(columns: usize, inner: usize) -> Self {
        Self { tiles: Buffer::zeroed(columns * inner), sums: Buffer::zeroed(columns), columns, inner }
    }

    /// Element `(column, k)`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn get(&self, column: usize, k: usize) -> i8 {
        assert!(column < self.columns && k < self.inner, "element ({column}, {k}) is outside");
        self.tiles[index(column, k, self.inner)]
    }

    /// Columns: outputs of the product.
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// The inner dimension of the product.
    pub const fn inner(&self) -> usize {
        self.inner
    }

    pub(crate) fn panel(&self, columns: Range<usize>) -> Panel<'_> {
        Panel {
            tiles: &self.tiles[columns.start * self.inner..columns.end * self.inner],
            sums: &self.sums[columns.clone()],
            inner: self.inner,
            first: columns.start,
            followed: columns.end < self.columns,
        }
    }
}

const fn index(column: usize, k: usize, inner: usize) -> usize {
    let tile = (column / TILE_COLUMNS) * (inner / LINE) + k / LINE;
    tile * TILE_BYTES + (k % LINE) / 4 * LINE + (column % TILE_COLUMNS) * 4 + k % 4
}

/// Some columns of weights, as a backend gets them.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a> {
    /// Tiles of 16 columns after each other.
    pub(crate) tiles: &'a [i8],
    /// The sum of each column.
    pub(crate) sums: &'a [i32],
    /// The inner dimension.
    pub(crate) inner: usize,
    /// The number of the first column in the whole matrix.
    pub(crate) first: usize,
    /// Whether the weights that are used next follow in memory.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "the reference prefetches nothing"))]
    pub(crate) followed: bool,
}

/// The right operand of a product.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    /// In memory.
    Stored(&'a Stored),
    /// Made panel by panel, used for all rows, and overwritten by the next panel.
    Stream(&'a Stream),
}

impl Weights<'_> {
    /// Columns: outputs of the product.
    pub const fn columns(&self) -> usize {
        match self {
            Self::Stored(stored) => stored.columns,
            Self::Stream(stream) => stream.columns,
        }
    }

    /// The inner dimension of the product.
    pub const fn inner(&self) -> usize {
        match self {
            Self::Stored(stored) => stored.inner,
            Self::Stream(stream) => stream.inner,
        }
    }

    /// # Panics
    ///
    /// If the dimensions are outside the contract.
    pub(crate) fn check(&self) {
        check(self.columns(), self.inner());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_weights_are_those_of_the_formula() {
        let stream =
            Stream { key: Key::derive("test", b"weights"), nonce: [3, 2, 1], columns: 96, inner: 192 };
        for backend in Backend::available() {
            for threads in [1, 3] {
                let stored = Stored::generate(&stream, backend, threads);
                for column in 0..96 {
                    let mut sum = 0;
                    for k in 0..192 {
                        assert_eq!(stored.get(column, k), stream.get(column, k));
                        sum += i32::from(stored.get(column, k));
                    }
                    assert_eq!(stored.sums[column], sum);
                }
                let copy = Stored::from_fn(96, 192, |column, k| stream.get(column, k));
                assert!(copy.tiles[..] == stored.tiles[..] && copy.sums[..] == stored.sums[..]);
            }
        }
    }
}
