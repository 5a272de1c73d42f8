//! Products by AVX2: bytes widened to 16 bits, `vpmaddwd`, and a 32-bit addition.
//!
//! **Exactness.** `vpmaddwd` multiplies 16-bit integers and adds two neighbouring products in 32 bits. Operands are
//! bytes, so a product is at most 2^14 and a pair at most 2^15 in magnitude: nothing can overflow. The byte
//! instruction `vpmaddubsw` would do twice as much at once, but saturates its pairs to 16 bits.

use core::arch::x86_64::*;

use super::Target;
use crate::activations::{Activations, LINE, line_index};
use crate::chacha::TILE_BYTES;
use crate::weights::{BLOCK_COLUMNS, Panel, TILE_COLUMNS};

/// Rows of a block: with two vectors of four columns, eight accumulators and what they need fit in 16 registers.
const ROWS: usize = 4;
/// Groups of four elements in a line.
const QUADS: usize = LINE / 4;

/// Four elements of each row of a block, widened.
type Wide = [[i16; 4]; ROWS];

/// Widens some rows, so that four elements of one are a 64-bit broadcast.
fn widen(activations: &Activations, row: usize, lines: usize, wide: &mut [Wide]) {
    for (line, wide) in wide.as_chunks_mut::<QUADS>().0.iter_mut().enumerate() {
        for r in 0..ROWS {
            // Rows past the end are read from the padding.
            let left = &activations.tiles[line_index(row + r, line, lines * LINE)..][..LINE];
            for (wide, quad) in wide.iter_mut().zip(left.as_chunks::<4>().0) {
                wide[r] = quad.map(i16::from);
            }
        }
    }
}

/// The sums of a block of rows and eight columns: the first or the second half of a column of tiles.
#[inline]
#[target_feature(enable = "avx2")]
fn eight_columns(wide: &[Wide], tiles: &[i8], half: usize) -> [__m256i; ROWS] {
    let mut acc = [[_mm256_setzero_si256(); 2]; ROWS];
    for (wide, line) in wide.iter().zip(tiles.as_chunks::<LINE>().0) {
        let part = &line.as_chunks::<16>().0[2 * half..][..2];
        // SAFETY: both parts have 16 bytes, and a group of elements has 8; no alignment is asked for.
        unsafe {
            let w0 = _mm256_cvtepi8_epi16(_mm_loadu_si128(part[0].as_ptr().cast()));
            let w1 = _mm256_cvtepi8_epi16(_mm_loadu_si128(part[1].as_ptr().cast()));
            for (acc, wide) in acc.iter_mut().zip(wide) {
                let a = _mm256_set1_epi64x(wide.as_ptr().cast::<i64>().read_unaligned());
                acc[0] = _mm256_add_epi32(acc[0], _mm256_madd_epi16(a, w0));
                acc[1] = _mm256_add_epi32(acc[1], _mm256_madd_epi16(a, w1));
            }
        }
    }
    // Each accumulator holds two partial sums of four columns. Adding neighbours gives columns 0 1 4 5 2 3 6 7.
    acc.map(|acc| _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(acc[0], acc[1])))
}

/// Multiplies with a panel.
///
/// # Safety
///
/// The processor has AVX2, and no other thread stores to the columns of this panel.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn run(activations: &Activations, panel: Panel<'_>, target: &Target) {
    let lines = panel.inner / LINE;
    let mut wide = vec![[[0; 4]; ROWS]; lines * QUADS];
    for row in (0..target.rows()).step_by(ROWS) {
        widen(activations, row, lines, &mut wide);
        let strips = panel.tiles.chunks_exact(2 * lines * TILE_BYTES);
        for (strip, tiles) in strips.enumerate() {
            let (left, right) = tiles.split_at(lines * TILE_BYTES);
            let sums = [
                eight_columns(&wide, left, 0),
                eight_columns(&wide, left, 1),
                eight_columns(&wide, right, 0),
                eight_columns(&wide, right, 1),
            ];
            for r in 0..ROWS.min(target.rows() - row) {
                let column = panel.first + strip * BLOCK_COLUMNS;
                // SAFETY: the caller's promise.
                unsafe { target.store256(row + r, column, sums.map(|sums| sums[r])) };
            }
        }
    }
}

const _: () = assert!(BLOCK_COLUMNS == 2 * TILE_COLUMNS);
