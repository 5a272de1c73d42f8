//! The reference: sums from the index formulas, in plain safe Rust.

use super::Target;
use crate::activations::{Activations, LINE, line_index};
use crate::chacha::TILE_BYTES;
use crate::weights::{BLOCK_COLUMNS, Panel, TILE_COLUMNS};

/// The sums of one row and 32 columns.
fn sums(activations: &Activations, row: usize, panel: Panel<'_>, block: usize) -> [i32; BLOCK_COLUMNS] {
    let lines = panel.inner / LINE;
    let mut sums = [0i32; BLOCK_COLUMNS];
    for (half, sums) in sums.as_chunks_mut::<TILE_COLUMNS>().0.iter_mut().enumerate() {
        for line in 0..lines {
            let left = &activations.tiles[line_index(row, line, panel.inner)..][..LINE];
            let tile = &panel.tiles[((2 * block + half) * lines + line) * TILE_BYTES..][..TILE_BYTES];
            for (left, right) in left.as_chunks::<4>().0.iter().zip(tile.as_chunks::<LINE>().0) {
                for (sum, right) in sums.iter_mut().zip(right.as_chunks::<4>().0) {
                    *sum += left.iter().zip(right).map(|(a, w)| i32::from(*a) * i32::from(*w)).sum::<i32>();
                }
            }
        }
    }
    sums
}

/// Multiplies with a panel.
///
/// # Safety
///
/// No other thread stores to the columns of this panel.
pub(super) unsafe fn run(activations: &Activations, panel: Panel<'_>, target: &Target) {
    for block in 0..panel.sums.len() / BLOCK_COLUMNS {
        for row in 0..target.rows() {
            let sums = sums(activations, row, panel, block);
            // SAFETY: the caller's promise.
            unsafe { target.store(row, panel.first + block * BLOCK_COLUMNS, &sums) };
        }
    }
}
