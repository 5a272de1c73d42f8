//! Grouped products by AMX: blocks of 32 rows and 32 columns in four tile registers, for groups of whole lines.
//!
//! **Exactness.** `tdpbssd` multiplies signed bytes and adds to 32-bit sums, without saturation. A group begins with
//! zeros and is stored when it is complete, so that floats are combined by vector instructions in the order of groups.
//!
//! **Blocking.** The sums of a group are worked off row by row during the steps of the next, also across blocks: vector
//! instructions run beside the tile unit.
//!
//! **Not measured here.** Loops and layout are tested against a model of the registers on every machine, and the
//! registers themselves on machines that have them. Groups of 32, half a register's row, and few rows, which wait for
//! memory anyway, go to VNNI: every machine with tiles has it.

use core::arch::x86_64::*;
use core::ops::Range;

use super::Target;
use crate::activations::{LINE, TILE_ROWS};
use crate::chacha::TILE_BYTES;
use crate::product::tiles::{Hardware, ROW_BYTES, Tiles};
use crate::served::matrix::Matrix;
use crate::served::quantised::Rows;
use crate::weights::{BLOCK_COLUMNS, TILE_COLUMNS};

/// Rows of a block.
const ROWS: usize = 2 * TILE_ROWS;
/// Bytes of weights that are used for all rows before the next are.
const PANEL_BYTES: usize = 512 << 10;

/// Whether tiles are of use for these rows.
pub(super) fn pays(rows: &Rows) -> bool {
    rows.height() == TILE_ROWS && rows.group_length().is_multiple_of(LINE)
}

/// The integer sums of a block and a group.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Sums([[i32; BLOCK_COLUMNS]; ROWS]);

/// The floats of a block.
#[repr(C, align(64))]
struct Floats([[f32; BLOCK_COLUMNS]; ROWS]);

/// One row of a group that is added to the floats.
struct Fold<'a> {
    sums: &'a [i32; BLOCK_COLUMNS],
    /// The scale of this row and group.
    step: f32,
    /// The scales of the columns and this group.
    scales: [&'a [u16; TILE_COLUMNS]; 2],
}

/// A group whose sums are still to be added.
#[derive(Clone, Copy)]
struct Pending {
    slot: usize,
    row: usize,
    strip: usize,
    group: usize,
    /// Rows done so far.
    done: usize,
}

/// Multiplies some blocks of 32 columns on the registers of this core.
///
/// # Safety
///
/// The processor has the features, and no other thread stores to these columns.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,fma,f16c")]
pub(super) unsafe fn run(
    registers: &mut Hardware,
    rows: &Rows,
    matrix: Matrix<'_>,
    strips: Range<usize>,
    target: &Target,
) {
    let fold = |fold: Fold<'_>, out: &mut [f32; BLOCK_COLUMNS]| {
        // SAFETY: a row has two vectors of sums, of scales and of floats.
        unsafe {
            let step = _mm512_set1_ps(fold.step);
            for (half, scales) in fold.scales.into_iter().enumerate() {
                let sums = _mm512_loadu_si512(fold.sums[half * TILE_COLUMNS..].as_ptr().cast());
                let scales = _mm512_cvtph_ps(_mm256_loadu_si256(scales.as_ptr().cast()));
                let out = out[half * TILE_COLUMNS..].as_mut_ptr();
                let value = _mm512_fmadd_ps(
                    _mm512_cvtepi32_ps(sums),
                    _mm512_mul_ps(step, scales),
                    _mm512_loadu_ps(out),
                );
                _mm512_storeu_ps(out, value);
            }
        }
    };
    blocks(registers, rows, matrix, strips, target, &fold);
}

/// All blocks of some columns, on any tiles, with any way to add a row.
///
/// No other thread may store to these columns.
#[inline(always)]
fn blocks<T: Tiles>(
    tiles: &mut T,
    rows: &Rows,
    matrix: Matrix<'_>,
    strips: Range<usize>,
    target: &Target,
    fold: &impl Fn(Fold<'_>, &mut [f32; BLOCK_COLUMNS]),
) {
    let (lines, groups) = (rows.inner() / LINE, rows.groups());
    let per_group = rows.group_length() / LINE;
    let tile_column = lines * TILE_BYTES;
    // What the loads below rely on; storage of rows is padded to whole blocks.
    assert!(pays(rows) && rows.elements().len() >= rows.rows().next_multiple_of(ROWS) * rows.inner());
    assert!(matrix.inner() == rows.inner() && strips.end * BLOCK_COLUMNS <= matrix.columns());

    let mut slots = [Sums([[0; BLOCK_COLUMNS]; ROWS]); 2];
    let mut floats = Floats([[0.0; BLOCK_COLUMNS]; ROWS]);
    let mut pending: Option<Pending> = None;
    let mut count = 0;
    // Adds up to `limit` more rows of the group that waits.
    let mut advance = |pending: &mut Pending, limit: usize, slots: &[Sums; 2]| {
        let Pending { slot, row, strip, group, done } = *pending;
        let end = (done + limit).min(ROWS).min(rows.rows() - row);
        let scales = [0, 1].map(|half| &matrix.tile_scales(2 * strip + half)[group]);
        for offset in done..end {
            let out = &mut floats.0[offset];
            if group == 0 {
                *out = [0.0; BLOCK_COLUMNS];
            }
            let step = rows.scales()[rows.group_index(row + offset, group)];
            fold(Fold { sums: &slots[slot].0[offset], step, scales }, out);
            if group + 1 == groups {
                for (half, out) in out.as_chunks::<TILE_COLUMNS>().0.iter().enumerate() {
                    // SAFETY: these columns are this thread's.
                    unsafe { target.store(row + offset, 2 * strip + half, out) };
                }
            }
        }
        pending.done = end.max(done);
    };

    let panel = (PANEL_BYTES / (BLOCK_COLUMNS * matrix.inner())).max(1);
    for start in strips.clone().step_by(panel) {
        for row in (0..rows.rows()).step_by(ROWS) {
            for strip in start..(start + panel).min(strips.end) {
                let left = rows.elements()[rows.line_index(row, 0)..].as_ptr().cast::<u8>();
                let right = [0, 1].map(|half| matrix.tile_column(2 * strip + half).as_ptr().cast::<u8>());
                for group in 0..groups {
                    let steps = group * per_group..((group + 1) * per_group).min(lines);
                    let share = ROWS.div_ceil(steps.len());
                    tiles.zero::<0>();
                    tiles.zero::<1>();
                    tiles.zero::<2>();
                    tiles.zero::<3>();
                    for step in steps {
                        // SAFETY: the assertions above: both columns of tiles of this strip and both rows of tiles of
                        // this block exist, the latter `tile_column` apart, and `step` is below `lines`.
                        unsafe {
                            let left = left.add(step * TILE_BYTES);
                            tiles.load::<4>(left, ROW_BYTES);
                            tiles.load::<6>(right[0].add(step * TILE_BYTES), ROW_BYTES);
                            tiles.dot::<0, 4, 6>();
                            tiles.load::<7>(right[1].add(step * TILE_BYTES), ROW_BYTES);
                            tiles.dot::<1, 4, 7>();
                            tiles.load::<5>(left.add(tile_column), ROW_BYTES);
                            tiles.dot::<2, 5, 6>();
                            tiles.dot::<3, 5, 7>();
                        }
                        if let Some(pending) = &mut pending {
                            advance(pending, share, &slots);
                        }
                    }
                    let slot = count % 2;
                    count += 1;
                    let sums = slots[slot].0.as_mut_ptr().cast::<u8>();
                    // SAFETY: a slot has 32 rows of 128 bytes: two by two registers.
                    unsafe {
                        tiles.store::<0>(sums, 2 * ROW_BYTES);
                        tiles.store::<1>(sums.add(ROW_BYTES), 2 * ROW_BYTES);
                        tiles.store::<2>(sums.add(TILE_ROWS * 2 * ROW_BYTES), 2 * ROW_BYTES);
                        tiles.store::<3>(sums.add(TILE_ROWS * 2 * ROW_BYTES + ROW_BYTES), 2 * ROW_BYTES);
                    }
                    pending = Some(Pending { slot, row, strip, group, done: 0 });
                }
            }
        }
    }
    if let Some(mut pending) = pending {
        advance(&mut pending, ROWS, &slots);
    }
}

/// The same blocks on the model of the registers, with floats combined as in the reference.
#[cfg(test)]
pub(super) fn run_model(rows: &Rows, matrix: Matrix<'_>, strips: Range<usize>, target: &Target) {
    let fold = |fold: Fold<'_>, out: &mut [f32; BLOCK_COLUMNS]| {
        for (n, (out, sum)) in out.iter_mut().zip(fold.sums).enumerate() {
            let scale = crate::served::half_to_f32(fold.scales[n / TILE_COLUMNS][n % TILE_COLUMNS]);
            *out = (*sum as f32).mul_add(fold.step * scale, *out);
        }
    };
    blocks(&mut crate::product::tiles::Model::new(), rows, matrix, strips, target, &fold);
}
