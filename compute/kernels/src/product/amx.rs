//! Products by AMX: blocks of 32 rows and 32 columns in four tile registers.
//!
//! **Exactness.** `tdpbssd` multiplies signed bytes and adds to 32-bit sums, without saturation. Blocks of a long
//! inner dimension are stored and loaded again between its parts, as 32-bit sums too.
//!
//! **Blocking.** A step (64 elements of the inner dimension) is four tile loads, 4 KiB, and four products of 16
//! cycles each. Both operands from the second-level cache would take longer than the products, so that one of them
//! should come from the first: 32 rows of activations over one part of the inner dimension, at most 32 KiB, are used
//! for all columns of a panel (128), whose weights stay in the second-level cache for all rows. The epilogue of a
//! block is spread over the steps of the next: vector instructions run beside the tile unit, and no sum is loaded
//! directly after it was stored. Lines of the next panel are prefetched to the second-level cache at the same pace.
//!
//! **Not measured here.** The loops and the layout are tested against a model of the registers on every machine,
//! and the registers themselves on machines that have them; speed was only measured for a prototype with the same
//! blocks, without parts (30 % to 47 % of the register peak).

use core::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

use super::Target;
use super::tiles::{Hardware, ROW_BYTES, TILE_ROWS, Tiles};
use crate::activations::{Activations, LINE};
use crate::chacha::TILE_BYTES;
use crate::weights::{BLOCK_COLUMNS, Panel};

/// Tile lines of the inner dimension in a part: 32 rows of activations are 32 KiB.
const PART_LINES: usize = 16;
/// Rows of a block.
const ROWS: usize = 2 * TILE_ROWS;
/// Cache lines prefetched in a step, at most: about as many as memory delivers meanwhile.
const MAX_PREFETCHES: usize = 16;

/// The sums of a block.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Sums([[i32; BLOCK_COLUMNS]; ROWS]);

impl Sums {
    const ZERO: Self = Self([[0; BLOCK_COLUMNS]; ROWS]);
}

/// A block whose epilogue is still to be done.
#[derive(Clone, Copy)]
struct Pending {
    slot: usize,
    row: usize,
    column: usize,
    /// Rows done so far.
    done: usize,
}

impl Pending {
    /// Does up to `count` more rows.
    #[inline(always)]
    fn advance(
        &mut self,
        count: usize,
        rows: usize,
        slots: &[Sums],
        store: &impl Fn(usize, usize, &[i32; 32]),
    ) {
        let end = (self.done + count).min(ROWS).min(rows - self.row);
        for (offset, sums) in slots[self.slot].0[..end].iter().enumerate().skip(self.done) {
            store(self.row + offset, self.column, sums);
        }
        self.done = end.max(self.done);
    }
}

/// Multiplies with a panel on the registers of this core.
///
/// # Safety
///
/// The processor has the features, and no other thread stores to the columns of this panel.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn run(tiles: &mut Hardware, activations: &Activations, panel: Panel<'_>, target: &Target) {
    use core::arch::x86_64::_mm512_loadu_si512;
    let store = |row: usize, column: usize, sums: &[i32; BLOCK_COLUMNS]| {
        // SAFETY: 32 sums are two vectors; features and exclusive columns are the caller's promise.
        unsafe {
            let sums = sums.as_ptr();
            let sums = [_mm512_loadu_si512(sums.cast()), _mm512_loadu_si512(sums.add(16).cast())];
            target.store512(row, column, sums);
        }
    };
    blocks(tiles, activations, panel, target.rows(), &store);
}

/// All blocks of a panel, on any tiles, with any epilogue.
#[inline(always)]
fn blocks<T: Tiles>(
    tiles: &mut T,
    activations: &Activations,
    panel: Panel<'_>,
    rows: usize,
    store: &impl Fn(usize, usize, &[i32; BLOCK_COLUMNS]),
) {
    let lines = panel.inner / LINE;
    let tile_column = lines * TILE_BYTES;
    let strips = panel.sums.len() / BLOCK_COLUMNS;
    let row_blocks = rows.div_ceil(ROWS);
    // What the loads below rely on; storage of activations is padded to whole blocks.
    assert!(activations.tiles.len() >= row_blocks * ROWS * panel.inner);
    assert!(panel.tiles.len() == 2 * strips * tile_column);

    // In one part, two slots are enough: one is filled while the other is worked off. In several, every block
    // needs its own.
    let one_part = lines <= PART_LINES;
    let mut slots = vec![Sums::ZERO; if one_part { 2 } else { strips * row_blocks }];
    let mut pending: Option<Pending> = None;
    let mut count = 0;
    let prefetches = if panel.followed { (1024 / (row_blocks * ROWS)).clamp(1, MAX_PREFETCHES) } else { 0 };
    let mut ahead = panel.tiles.as_ptr_range().end;
    let ahead_end = ahead.wrapping_add(panel.tiles.len());

    for start in (0..lines).step_by(PART_LINES) {
        let steps = PART_LINES.min(lines - start);
        let epilogue_rows = ROWS.div_ceil(steps);
        for row_block in 0..row_blocks {
            for strip in 0..strips {
                let slot = if one_part { count % 2 } else { strip * row_blocks + row_block };
                count += 1;
                let offset = start * TILE_BYTES;
                let left = activations.tiles[row_block * 2 * tile_column + offset..].as_ptr().cast::<u8>();
                let right = panel.tiles[strip * 2 * tile_column + offset..].as_ptr().cast::<u8>();
                if start == 0 {
                    tiles.zero::<0>();
                    tiles.zero::<1>();
                    tiles.zero::<2>();
                    tiles.zero::<3>();
                } else {
                    let sums = slots[slot].0.as_ptr().cast::<u8>();
                    // SAFETY: a slot has 32 rows of 128 bytes: two by two registers.
                    unsafe {
                        tiles.load::<0>(sums, 2 * ROW_BYTES);
                        tiles.load::<1>(sums.add(ROW_BYTES), 2 * ROW_BYTES);
                        tiles.load::<2>(sums.add(TILE_ROWS * 2 * ROW_BYTES), 2 * ROW_BYTES);
                        tiles.load::<3>(sums.add(TILE_ROWS * 2 * ROW_BYTES + ROW_BYTES), 2 * ROW_BYTES);
                    }
                }
                for step in 0..steps {
                    // SAFETY: the assertions above: both columns of tiles of this strip and both rows of tiles of
                    // this block exist, `tile_column` apart, and `start + step` is below `lines`.
                    unsafe {
                        let (left, right) = (left.add(step * TILE_BYTES), right.add(step * TILE_BYTES));
                        tiles.load::<4>(left, ROW_BYTES);
                        tiles.load::<6>(right, ROW_BYTES);
                        tiles.dot::<0, 4, 6>();
                        tiles.load::<7>(right.add(tile_column), ROW_BYTES);
                        tiles.dot::<1, 4, 7>();
                        tiles.load::<5>(left.add(tile_column), ROW_BYTES);
                        tiles.dot::<2, 5, 6>();
                        tiles.dot::<3, 5, 7>();
                    }
                    if ahead < ahead_end {
                        for _ in 0..prefetches {
                            // A prefetch never faults.
                            prefetch(ahead);
                            ahead = ahead.wrapping_add(64);
                        }
                    }
                    if let Some(pending) = &mut pending {
                        pending.advance(epilogue_rows, rows, &slots, store);
                    }
                }
                let sums = slots[slot].0.as_mut_ptr().cast::<u8>();
                // SAFETY: a slot has 32 rows of 128 bytes: two by two registers.
                unsafe {
                    tiles.store::<0>(sums, 2 * ROW_BYTES);
                    tiles.store::<1>(sums.add(ROW_BYTES), 2 * ROW_BYTES);
                    tiles.store::<2>(sums.add(TILE_ROWS * 2 * ROW_BYTES), 2 * ROW_BYTES);
                    tiles.store::<3>(sums.add(TILE_ROWS * 2 * ROW_BYTES + ROW_BYTES), 2 * ROW_BYTES);
                }
                pending = (start + steps == lines).then(|| Pending {
                    slot,
                    row: row_block * ROWS,
                    column: panel.first + strip * BLOCK_COLUMNS,
                    done: 0,
                });
            }
        }
    }
    if let Some(mut pending) = pending {
        pending.advance(ROWS, rows, &slots, store);
    }
}

#[inline(always)]
fn prefetch(line: *const i8) {
    // SAFETY: a prefetch is a hint: it neither faults nor changes what the program computes.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(line) };
}

/// The same blocks on the model of the registers, with the reference's epilogue.
///
/// # Safety
///
/// No other thread stores to the columns of this panel.
#[cfg(test)]
pub(super) unsafe fn run_model(activations: &Activations, panel: Panel<'_>, target: &Target) {
    let store = |row: usize, column: usize, sums: &[i32; BLOCK_COLUMNS]| {
        // SAFETY: the caller's promise.
        unsafe { target.store(row, column, sums) };
    };
    blocks(&mut super::tiles::Model::new(), activations, panel, target.rows(), &store);
}
