//! What happens to the sums: the epilogues, once per width of vectors.

use crate::activations::{Activations, LINE, line_index};
use crate::arithmetic::{c8, clamp23, leaky, rs};
use crate::backend::Backend;
use crate::weights::{BLOCK_COLUMNS, TILE_COLUMNS};

#[cfg(target_arch = "x86_64")]
mod x86;

/// Where the sums of a product go, and what becomes of them.
#[derive(Debug)]
pub enum Output<'a> {
    /// The sums, row by row.
    Raw(&'a mut [i32]),
    /// `c8(rs(sum, shift))`, row by row.
    Requantise {
        /// One operand per sum.
        out: &'a mut [i8],
        /// The shift, 1 to 29.
        shift: u32,
    },
    /// Added to the residual stream: `clamp23(h + rs(sum, shift))`, row by row.
    Residual {
        /// The stream, whose elements are within `+-(2^23 - 1)`.
        h: &'a mut [i32],
        /// The shift, 1 to 29.
        shift: u32,
    },
    /// The gated unit. Columns `32 b` to `32 b + 15` hold gates, the next sixteen the values that they gate:
    /// `c8(rs(leaky(g) * u, product_shift))` with `g` and `u` requantised by `shift`, at columns `16 b` on.
    Glu {
        /// The left operand of the next product, of half as many columns.
        out: &'a mut Activations,
        /// The shift of gates and values, 1 to 29.
        shift: u32,
        /// The shift of their product, 1 to 29.
        product_shift: u32,
    },
}

/// An [`Output`] that several threads write to, each its own columns.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    sink: Sink,
    rows: usize,
    /// Columns of the product, which is the distance of rows except in `Glu`.
    columns: usize,
}

#[derive(Clone, Copy)]
enum Sink {
    Raw(*mut i32),
    Requantise { out: *mut i8, shift: u32 },
    Residual { h: *mut i32, shift: u32 },
    Glu { tiles: *mut i8, flip: u8, shift: u32, product_shift: u32 },
}

// SAFETY: pointers and numbers; who stores through them promises that no element is stored by two threads.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// The target of a product of `rows` by `columns`, valid while the caller borrows `output`.
    ///
    /// # Panics
    ///
    /// If dimensions or shifts do not match.
    pub(crate) fn new(output: Output<'_>, backend: Backend, rows: usize, columns: usize) -> Self {
        let check = |length: usize, shifts: &[u32]| {
            assert_eq!(length, rows * columns, "the output does not hold {rows} x {columns} elements");
            for shift in shifts {
                assert!((1..=29).contains(shift), "a shift of {shift} is outside 1..=29");
            }
        };
        let sink = match output {
            Output::Raw(out) => {
                check(out.len(), &[]);
                Sink::Raw(out.as_mut_ptr())
            }
            Output::Requantise { out, shift } => {
                check(out.len(), &[shift]);
                Sink::Requantise { out: out.as_mut_ptr(), shift }
            }
            Output::Residual { h, shift } => {
                check(h.len(), &[shift]);
                Sink::Residual { h: h.as_mut_ptr(), shift }
            }
            Output::Glu { out, shift, product_shift } => {
                check(out.rows() * out.width() * 2, &[shift, product_shift]);
                assert_eq!(out.rows(), rows, "the gated rows are not those of the product");
                assert_eq!(out.backend(), backend, "the gated activations were made for another backend");
                let (flip, tiles) = (out.flip(), out.tiles.as_mut_ptr());
                Sink::Glu { tiles, flip, shift, product_shift }
            }
        };
        Self { sink, rows, columns }
    }

    /// Rows of the product.
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// Where sixteen gated values of `row` go.
    #[inline(always)]
    const fn gated_index(&self, row: usize, column: usize) -> usize {
        line_index(row, column / 2 / LINE, self.columns / 2) + column / 2 % LINE
    }

    /// Stores a block of one row, from the formulas.
    ///
    /// # Safety
    ///
    /// The output is still exclusively borrowed, and no other thread stores this block.
    pub(crate) unsafe fn store(&self, row: usize, column: usize, sums: &[i32; BLOCK_COLUMNS]) {
        assert!(row < self.rows && column.is_multiple_of(BLOCK_COLUMNS) && column < self.columns);
        let index = row * self.columns + column;
        match self.sink {
            Sink::Raw(out) => {
                // SAFETY: the assertion puts the block inside the output, whose length was checked to be rows
                // times columns, and columns are a multiple of the block's; the caller promises that it is ours.
                let out = unsafe { &mut *out.add(index).cast::<[i32; BLOCK_COLUMNS]>() };
                *out = *sums;
            }
            Sink::Requantise { out, shift } => {
                // SAFETY: as for raw sums.
                let out = unsafe { &mut *out.add(index).cast::<[i8; BLOCK_COLUMNS]>() };
                *out = sums.map(|sum| c8(rs(sum, shift)) as i8);
            }
            Sink::Residual { h, shift } => {
                // SAFETY: as for raw sums.
                let h = unsafe { &mut *h.add(index).cast::<[i32; BLOCK_COLUMNS]>() };
                for (h, sum) in h.iter_mut().zip(sums) {
                    *h = clamp23(*h + rs(*sum, shift));
                }
            }
            Sink::Glu { tiles, flip, shift, product_shift } => {
                // SAFETY: the gated matrix has these rows and half these columns, which the assertion bounds;
                // sixteen values that start at a multiple of sixteen lie in one line.
                let out =
                    unsafe { &mut *tiles.add(self.gated_index(row, column)).cast::<[i8; TILE_COLUMNS]>() };
                let (gates, values) = sums.split_at(TILE_COLUMNS);
                for (out, (gate, value)) in out.iter_mut().zip(gates.iter().zip(values)) {
                    let gate = leaky(c8(rs(*gate, shift)));
                    let value = c8(rs(*value, shift));
                    *out = (c8(rs(gate * value, product_shift)) as u8 ^ flip) as i8;
                }
            }
        }
    }
}
