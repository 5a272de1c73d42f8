//! Grouped products by AVX2: `vpmaddubsw` on magnitudes and signs, widened by `vpmaddwd`.
//!
//! **Exactness.** `vpmaddubsw` multiplies unsigned with signed bytes and adds pairs, saturated to 16 bits. The unsigned
//! side is `|w|`, the signed one `q` with the sign of `w`: a pair is at most `2 * 127 * 127 = 32,258`, below 2^15, so
//! nothing saturates. (Nor with `|-128|`, which is 128 when it is taken as unsigned: 32,512.) A multiplication with ones
//! adds pairs of 16 bits in 32.

use core::arch::x86_64::*;
use core::ops::Range;

use super::Target;
use crate::activations::LINE;
use crate::served::matrix::{HALF_LINE, Matrix};
use crate::served::quantised::Rows;
use crate::weights::TILE_COLUMNS;

/// Rows of a block: with one vector of eight columns, four sums of integers, four of floats and what they need fit in
/// 16 registers.
const ROWS: usize = 4;
/// See the file for VNNI.
const PANEL_BYTES: usize = 128 << 10;
/// Bytes of 16 columns of weights and [`HALF_LINE`] inner elements.
const SEGMENT: usize = TILE_COLUMNS * HALF_LINE;

/// What blocks have in common.
#[derive(Clone, Copy)]
struct Common<'a> {
    rows: &'a Rows,
    matrix: Matrix<'a>,
    target: &'a Target,
}

/// Multiplies some tiles of 16 columns.
///
/// # Safety
///
/// The processor has the features, and no other thread stores to these columns.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn run(rows: &Rows, matrix: Matrix<'_>, tiles: Range<usize>, target: &Target) {
    let common = Common { rows, matrix, target };
    let panel = (PANEL_BYTES / (TILE_COLUMNS * matrix.inner())).max(1);
    for start in tiles.clone().step_by(panel) {
        let panel = start..(start + panel).min(tiles.end);
        for row in (0..rows.rows()).step_by(ROWS) {
            for (tile, half) in panel.clone().flat_map(|tile| [(tile, 0), (tile, 1)]) {
                // SAFETY: blocks of four do not cross blocks in memory; the rest is the caller's promise.
                unsafe {
                    match rows.rows() - row {
                        1 => block::<1>(common, row, tile, half),
                        2 => block::<2>(common, row, tile, half),
                        3 => block::<3>(common, row, tile, half),
                        _ => block::<ROWS>(common, row, tile, half),
                    }
                }
            }
        }
    }
}

/// The products of `R` rows and eight columns, half a tile.
///
/// # Safety
///
/// The processor has the features, no other thread stores to these columns, and the rows exist and stand in one block.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn block<const R: usize>(common: Common<'_>, row: usize, tile: usize, half: usize) {
    const COLUMNS: usize = TILE_COLUMNS / 2;
    let Common { rows, matrix, target } = common;
    let (height, groups) = (rows.height(), rows.groups());
    let (segments, per_group) = (rows.inner() / HALF_LINE, rows.group_length() / HALF_LINE);
    let (weights, scales) = (matrix.tile_column(tile), matrix.tile_scales(tile));
    // What the loads below rely on, next to lengths: rows of one block are a line apart, and so are its lines.
    assert!(half < 2 && row % height + R <= height && row + R <= rows.rows());
    assert!(weights.len() == segments * SEGMENT && scales.len() == groups);
    let mut left = rows.elements()[rows.line_index(row, 0)..].as_ptr();
    let mut steps = rows.scales()[rows.group_index(row, 0)..].as_ptr();
    let mut right = weights[half * COLUMNS * 4..].as_ptr();

    let ones = _mm256_set1_epi16(1);
    let mut out = [_mm256_setzero_ps(); R];
    let mut segment = 0;
    for scales in scales {
        let end = (segment + per_group).min(segments);
        let mut sums = [_mm256_setzero_si256(); R];
        while segment < end {
            for quad in 0..HALF_LINE / 4 {
                // SAFETY: a segment of weights has eight lines of two halves, and one of each row 32 bytes; the
                // assertions above and the count of segments put them inside.
                unsafe {
                    let w = _mm256_loadu_si256(right.add(quad * LINE).cast());
                    let magnitude = _mm256_abs_epi8(w);
                    for (r, sum) in sums.iter_mut().enumerate() {
                        let q = left.add(r * LINE + quad * 4).cast::<i32>().read_unaligned();
                        let pairs =
                            _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(_mm256_set1_epi32(q), w));
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
                    }
                }
            }
            right = right.wrapping_add(SEGMENT);
            // The second half of a line, or the next line of the block.
            left = left.wrapping_add(if segment % 2 == 0 { HALF_LINE } else { height * LINE - HALF_LINE });
            segment += 1;
        }
        // SAFETY: eight halves.
        let scales = _mm256_cvtph_ps(unsafe { _mm_loadu_si128(scales[half * COLUMNS..].as_ptr().cast()) });
        for (r, (out, sum)) in out.iter_mut().zip(sums).enumerate() {
            // SAFETY: every row has a scale for each group, those of a block beside each other.
            let step = _mm256_set1_ps(unsafe { steps.add(r).read() });
            *out = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(step, scales), *out);
        }
        steps = steps.wrapping_add(height);
    }
    for (r, out) in out.into_iter().enumerate() {
        // SAFETY: the place is inside the output, sixteen floats long; columns are ours by the caller's promise.
        unsafe { _mm256_storeu_ps(target.place(row + r, tile).wrapping_add(half * COLUMNS), out) };
    }
}
