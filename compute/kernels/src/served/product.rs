//! Products of quantised rows with grouped weights, the same on every backend.

use crate::backend::Backend;
use crate::pool::Pool;
#[cfg(target_arch = "x86_64")]
use crate::product::tiles::Hardware;
use crate::weights::{BLOCK_COLUMNS, TILE_COLUMNS};

use super::matrix::Matrix;
use super::quantised::Rows;

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod vnni;

/// Tiles of the blocks of columns that are handed to threads.
const TILES: usize = BLOCK_COLUMNS / TILE_COLUMNS;

/// Computes `out = rows * matrix`, row-major, `rows.rows()` by `matrix.columns()`.
///
/// `y(m, n)` is what remains of `acc = 0` after, for each group `g` in ascending order,
/// `acc = fma(i32_to_f32(sum over k in g of q(m,k) * w(n,k)), d(m,g) * f16_to_f32(s(n,g)), acc)`, where the sum is an
/// exact integer, its conversion and the product of the scales are rounded to nearest even, and `fma` rounds once.
///
/// # Panics
///
/// If `backend` is not available, the inner dimensions or groups differ, or `out` has another length.
pub fn product(backend: Backend, pool: &Pool, rows: &Rows, matrix: Matrix<'_>, out: &mut [f32]) {
    let _ = backend.level();
    let columns = matrix.columns();
    assert_eq!(rows.inner(), matrix.inner(), "the rows do not have the inner dimension of the matrix");
    assert_eq!(
        rows.group_length(),
        matrix.shape().group_length(),
        "the rows have other groups than the matrix"
    );
    assert_eq!(out.len(), rows.rows() * columns, "the output has other dimensions than the product");
    let target = Target { out: out.as_mut_ptr(), rows: rows.rows(), columns };
    // A product with few rows waits for memory: it costs as much as one with several.
    let steps = (rows.rows().max(8) * columns) as u64 * matrix.inner() as u64;
    pool.ranges(steps, columns / BLOCK_COLUMNS, |blocks| {
        let tiles = blocks.start * TILES..blocks.end * TILES;
        match backend {
            // SAFETY: this thread alone works on these columns, and `out` is borrowed exclusively.
            Backend::Scalar => unsafe { scalar::run(rows, matrix, tiles, &target) },
            // SAFETY: as above, and availability was checked.
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => unsafe { avx2::run(rows, matrix, tiles, &target) },
            // SAFETY: as above, and tiles were permitted.
            #[cfg(target_arch = "x86_64")]
            Backend::Amx if amx::pays(rows) => unsafe {
                let mut registers = Hardware::configure();
                amx::run(&mut registers, rows, matrix, blocks, &target);
            },
            // SAFETY: as above; a machine with tiles has these as well.
            #[cfg(target_arch = "x86_64")]
            Backend::Vnni | Backend::Amx => unsafe { vnni::run(rows, matrix, tiles, &target) },
            #[cfg(not(target_arch = "x86_64"))]
            Backend::Avx2 | Backend::Vnni | Backend::Amx => {}
        }
    });
}

/// Where the results go.
struct Target {
    out: *mut f32,
    rows: usize,
    columns: usize,
}

// SAFETY: a pointer to floats that the caller of `product` borrows exclusively; columns belong to one thread.
unsafe impl Sync for Target {}

impl Target {
    /// Stores one row of a tile.
    ///
    /// # Safety
    ///
    /// The output is still exclusively borrowed, and no other thread uses these columns.
    unsafe fn store(&self, row: usize, tile: usize, values: &[f32; TILE_COLUMNS]) {
        // SAFETY: the caller's promise.
        unsafe { self.place(row, tile).cast::<[f32; TILE_COLUMNS]>().write(*values) };
    }

    /// Where 16 columns of a row are stored.
    #[inline(always)]
    fn place(&self, row: usize, tile: usize) -> *mut f32 {
        assert!(row < self.rows && (tile + 1) * TILE_COLUMNS <= self.columns);
        self.out.wrapping_add(row * self.columns + tile * TILE_COLUMNS)
    }
}

#[cfg(test)]
mod tests;
