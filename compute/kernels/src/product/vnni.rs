//! Products by AVX-512 VNNI: `vpdpbusd` adds four products of an unsigned and a signed byte to a 32-bit sum.
//!
//! **Exactness.** The activations are the unsigned side: stored as `a + 128` (see
//! [`Activations`]), so that the instruction computes `sum (a + 128) w = sum a w + 128 sum w`. The accumulators
//! start at `-128 sum w` instead of zero; column sums are known since the weights were made. `vpdpbusd` (unlike
//! `vpdpbusds`) does not saturate: its four products have 16 bits and are added in 32, modulo 2^32. The final value
//! is within +-2^31 (at most 65,536 * 127 * 127 < 2^30), so it is right whatever wrapped on the way.

use core::arch::x86_64::*;

use super::Target;
use crate::activations::{Activations, LINE, TILE_ROWS};
use crate::chacha::TILE_BYTES;
use crate::weights::{BLOCK_COLUMNS, Panel, TILE_COLUMNS};

/// Lines of the inner dimension that are finished for all rows before the next are begun: 32 columns of them are
/// 16 KiB, half of a first-level cache, next to 4 KiB of activations.
const PART_LINES: usize = 8;
/// Rows of a block: with two vectors of columns, 16 accumulators hide the latency of the instruction, and each
/// line of weights is loaded once per eight rows.
const ROWS: usize = 8;

/// The place of a block in its panel.
struct Block<'a> {
    /// First row.
    row: usize,
    /// Tile lines of the whole inner dimension.
    lines: usize,
    /// Those of this part.
    start: usize,
    end: usize,
    /// The two columns of tiles.
    tiles: [&'a [i8]; 2],
    /// What is used after this strip of columns; the same length.
    next: *const i8,
}

/// Adds the products of `R` rows, 32 columns and one part of the inner dimension.
///
/// # Safety
///
/// Rows `row..row + R` of the activations lie in one tile and in their storage; tiles have all lines.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn accumulate<const R: usize>(activations: &[i8], block: &Block<'_>, sums: &mut [[__m512i; 2]; R]) {
    let Block { row, lines, start, end, tiles, next } = *block;
    let first = (row / TILE_ROWS * lines + start) * TILE_BYTES + row % TILE_ROWS * LINE;
    debug_assert!(row % TILE_ROWS + R <= TILE_ROWS && end <= lines);
    debug_assert!(tiles.iter().all(|tiles| tiles.len() == lines * TILE_BYTES));
    debug_assert!(first + (end - start - 1) * TILE_BYTES + R * LINE <= activations.len());
    // SAFETY: the caller's promise puts all of these inside their slices.
    let (mut left, mut right) = unsafe {
        let offset = start * TILE_BYTES;
        (activations.as_ptr().add(first), [tiles[0].as_ptr().add(offset), tiles[1].as_ptr().add(offset)])
    };
    let mut acc = *sums;
    for line in start..end {
        // A prefetch never faults, so `next` may end anywhere.
        _mm_prefetch::<_MM_HINT_T1>(next.wrapping_add(line * LINE));
        for quad in 0..16 {
            // SAFETY: a line of a tile holds 16 groups of 64 bytes of weights, aligned to 64, and 16 groups of
            // 4 bytes of each row of activations; the caller promises that the rows exist.
            unsafe {
                let w0 = _mm512_load_si512(right[0].add(quad * 64).cast());
                let w1 = _mm512_load_si512(right[1].add(quad * 64).cast());
                for (r, acc) in acc.iter_mut().enumerate() {
                    let a = _mm512_set1_epi32(left.add(r * LINE + quad * 4).cast::<i32>().read_unaligned());
                    acc[0] = _mm512_dpbusd_epi32(acc[0], a, w0);
                    acc[1] = _mm512_dpbusd_epi32(acc[1], a, w1);
                }
            }
        }
        left = left.wrapping_add(TILE_BYTES);
        right = right.map(|tile| tile.wrapping_add(TILE_BYTES));
    }
    *sums = acc;
}

/// Sums of a row that wait for the next part of the inner dimension.
type Parked = [i32; BLOCK_COLUMNS];

/// Loads the sums of `R` rows, adds a part, and stores them: parked, or through the epilogue after the last part.
///
/// # Safety
///
/// As [`accumulate`]; and no other thread stores to these columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn step<const R: usize>(
    activations: &[i8],
    block: &Block<'_>,
    initial: [__m512i; 2],
    parked: &mut [Parked],
    column: usize,
    target: &Target,
) {
    let parked = &mut parked[block.row..block.row + R];
    let mut sums = [initial; R];
    if block.start > 0 {
        for (sums, parked) in sums.iter_mut().zip(parked.iter()) {
            // SAFETY: a parked row has 32 sums.
            *sums = unsafe {
                let parked = parked.as_ptr();
                [_mm512_loadu_si512(parked.cast()), _mm512_loadu_si512(parked.add(16).cast())]
            };
        }
    }
    // SAFETY: the caller's promise.
    unsafe { accumulate(activations, block, &mut sums) };
    for (r, (sums, parked)) in sums.into_iter().zip(parked).enumerate() {
        if block.end == block.lines {
            // SAFETY: the caller's promise.
            unsafe { target.store512(block.row + r, column, sums) };
        } else {
            // SAFETY: a parked row has 32 sums.
            unsafe {
                let parked = parked.as_mut_ptr();
                _mm512_storeu_si512(parked.cast(), sums[0]);
                _mm512_storeu_si512(parked.add(16).cast(), sums[1]);
            }
        }
    }
}

/// Multiplies with a panel. `parked` is scratch.
///
/// # Safety
///
/// The processor has the features, and no other thread stores to the columns of this panel.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn run(
    activations: &Activations,
    panel: Panel<'_>,
    target: &Target,
    parked: &mut Vec<i32>,
) {
    let (lines, rows) = (panel.inner / LINE, target.rows());
    parked.resize(rows * BLOCK_COLUMNS, 0);
    let parked = parked.as_chunks_mut::<BLOCK_COLUMNS>().0;
    let tile = lines * TILE_BYTES;
    for strip in 0..panel.sums.len() / BLOCK_COLUMNS {
        let column = strip * BLOCK_COLUMNS;
        let tiles = &panel.tiles[2 * strip * tile..][..2 * tile];
        let (tiles, next) = (tiles.split_at(tile).into(), tiles.as_ptr_range().end);
        let sums = &panel.sums[column..][..BLOCK_COLUMNS];
        let initial = [0, TILE_COLUMNS].map(|half| {
            let sums = &sums[half..][..TILE_COLUMNS];
            // SAFETY: sixteen sums.
            let sums = unsafe { _mm512_loadu_si512(sums.as_ptr().cast()) };
            _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32::<7>(sums))
        });
        for start in (0..lines).step_by(PART_LINES) {
            let end = (start + PART_LINES).min(lines);
            for row in (0..rows).step_by(ROWS) {
                // Each block of rows fetches its share of what comes next.
                let next = next.wrapping_add(row / ROWS * lines * LINE);
                let block = Block { row, lines, start, end, tiles, next };
                let (a, column) = (&activations.tiles[..], panel.first + column);
                // SAFETY: rows in steps of eight do not cross tiles of sixteen, `Activations` has storage for
                // all of them, and a panel has all its tiles; the rest is the caller's promise.
                unsafe {
                    match rows - row {
                        1 => step::<1>(a, &block, initial, parked, column, target),
                        2 => step::<2>(a, &block, initial, parked, column, target),
                        3 => step::<3>(a, &block, initial, parked, column, target),
                        4 => step::<4>(a, &block, initial, parked, column, target),
                        5 => step::<5>(a, &block, initial, parked, column, target),
                        6 => step::<6>(a, &block, initial, parked, column, target),
                        7 => step::<7>(a, &block, initial, parked, column, target),
                        _ => step::<ROWS>(a, &block, initial, parked, column, target),
                    }
                }
            }
        }
    }
}
