//! Grouped products by AVX-512 VNNI: `vpdpbusd` adds four products of an unsigned and a signed byte to a 32-bit sum.
//!
//! **Exactness.** The weights are the unsigned side: their top bit is flipped when they are loaded, which makes them
//! 128 larger, once for all rows of a block. `sum (w + 128) q = sum w q + 128 sum q`, so the sums of a group start at
//! `-128 sum q`, kept since quantisation. `vpdpbusd` (unlike `vpdpbusds`) does not saturate: its four products have 16
//! bits and are added in 32, modulo 2^32. The final value is within +-2^30, so it is right whatever wrapped on the
//! way. (-128 becomes 0, which is right too.)
//!
//! The activations are the signed side because that operand may be broadcast from memory by the instruction itself.

use core::arch::x86_64::*;
use core::ops::Range;

use super::Target;
use crate::activations::LINE;
use crate::served::matrix::{HALF_LINE, Matrix};
use crate::served::quantised::Rows;
use crate::weights::TILE_COLUMNS;

/// Rows of a block: eight sums of integers and eight of floats, which hide the latency of both instructions.
const ROWS: usize = 8;
/// Bytes of weights that are used for all rows before the next are: they stay in the second-level cache, next to the
/// activations of a block of rows.
const PANEL_BYTES: usize = 256 << 10;
/// Bytes between what is used and what is fetched from memory meanwhile.
const AHEAD: usize = 4096;
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn run(rows: &Rows, matrix: Matrix<'_>, tiles: Range<usize>, target: &Target) {
    let common = Common { rows, matrix, target };
    let panel = (PANEL_BYTES / (TILE_COLUMNS * matrix.inner())).max(1);
    for start in tiles.clone().step_by(panel) {
        let panel = start..(start + panel).min(tiles.end);
        for row in (0..rows.rows()).step_by(ROWS) {
            let panel = panel.clone();
            // SAFETY: blocks of eight do not cross blocks in memory; the rest is the caller's promise.
            unsafe {
                match rows.rows() - row {
                    1 => panel.for_each(|tile| block::<1>(common, row, tile)),
                    2 => panel.for_each(|tile| block::<2>(common, row, tile)),
                    3 => panel.for_each(|tile| block::<3>(common, row, tile)),
                    4 => panel.for_each(|tile| block::<4>(common, row, tile)),
                    5 => panel.for_each(|tile| block::<5>(common, row, tile)),
                    6 => panel.for_each(|tile| block::<6>(common, row, tile)),
                    7 => panel.for_each(|tile| block::<7>(common, row, tile)),
                    _ => panel.for_each(|tile| block::<ROWS>(common, row, tile)),
                }
            }
        }
    }
}

/// The products of `R` rows and 16 columns.
///
/// # Safety
///
/// The processor has the features, no other thread stores to these columns, and the rows exist and stand in one block.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn block<const R: usize>(common: Common<'_>, row: usize, tile: usize) {
    let Common { rows, matrix, target } = common;
    let (height, groups) = (rows.height(), rows.groups());
    let (segments, per_group) = (rows.inner() / HALF_LINE, rows.group_length() / HALF_LINE);
    let (weights, scales) = (matrix.tile_column(tile), matrix.tile_scales(tile));
    // What the loads below rely on, next to lengths: rows of one block are a line apart, and so are its lines.
    assert!(row % height + R <= height && row + R <= rows.rows());
    assert!(weights.len() == segments * SEGMENT && scales.len() == groups);
    let mut left = rows.elements()[rows.line_index(row, 0)..].as_ptr();
    let first = rows.group_index(row, 0);
    let (mut steps, mut offsets) = (rows.scales()[first..].as_ptr(), rows.offsets()[first..].as_ptr());
    let mut right = weights.as_ptr();

    let flip = _mm512_set1_epi8(-128);
    let mut out = [_mm512_setzero_ps(); R];
    let mut segment = 0;
    for scales in scales {
        let end = (segment + per_group).min(segments);
        let mut sums = [_mm512_setzero_si512(); R];
        for (r, sum) in sums.iter_mut().enumerate() {
            // SAFETY: every row has an offset for each group, those of a block beside each other.
            *sum = _mm512_set1_epi32(unsafe { offsets.add(r).read() });
        }
        while segment < end {
            // A prefetch never faults, so it may be beyond the end: the next columns follow there.
            for line in 0..SEGMENT / LINE {
                _mm_prefetch::<_MM_HINT_T1>(right.wrapping_add(AHEAD + line * LINE));
            }
            for quad in 0..HALF_LINE / 4 {
                // SAFETY: a segment of weights has eight vectors, and one of each row 32 bytes; the assertions above
                // and the count of segments put them inside.
                unsafe {
                    let w = _mm512_xor_si512(_mm512_loadu_si512(right.add(quad * LINE).cast()), flip);
                    for (r, sum) in sums.iter_mut().enumerate() {
                        let q = left.add(r * LINE + quad * 4).cast::<i32>().read_unaligned();
                        *sum = _mm512_dpbusd_epi32(*sum, w, _mm512_set1_epi32(q));
                    }
                }
            }
            right = right.wrapping_add(SEGMENT);
            // The second half of a line, or the next line of the block.
            left = left.wrapping_add(if segment % 2 == 0 { HALF_LINE } else { height * LINE - HALF_LINE });
            segment += 1;
        }
        // SAFETY: sixteen halves.
        let scales = _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(scales.as_ptr().cast()) });
        for (r, (out, sum)) in out.iter_mut().zip(sums).enumerate() {
            // SAFETY: every row has a scale for each group, those of a block beside each other.
            let step = _mm512_set1_ps(unsafe { steps.add(r).read() });
            *out = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(step, scales), *out);
        }
        steps = steps.wrapping_add(height);
        offsets = offsets.wrapping_add(height);
    }
    for (r, out) in out.into_iter().enumerate() {
        // SAFETY: the place is inside the output, sixteen floats long; columns are ours by the caller's promise.
        unsafe { _mm512_storeu_ps(target.place(row + r, tile), out) };
    }
}
