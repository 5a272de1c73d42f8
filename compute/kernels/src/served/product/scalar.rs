//! The reference, written from the formulas.

use core::ops::Range;

use super::Target;
use crate::activations::LINE;
use crate::served::matrix::{Matrix, half_to_f32};
use crate::served::quantised::Rows;
use crate::weights::TILE_COLUMNS;

/// Multiplies some tiles of 16 columns.
///
/// # Safety
///
/// No other thread stores to these columns.
pub(super) unsafe fn run(rows: &Rows, matrix: Matrix<'_>, tiles: Range<usize>, target: &Target) {
    let length = rows.group_length();
    for tile in tiles {
        // Four inner elements of 16 columns after each other.
        let weights = matrix.tile_column(tile).as_chunks::<LINE>().0;
        for row in 0..rows.rows() {
            let mut out = [0.0f32; TILE_COLUMNS];
            for (group, scales) in matrix.tile_scales(tile).iter().enumerate() {
                let mut sums = [0i32; TILE_COLUMNS];
                let start = group * length;
                let end = (start + length).min(rows.inner());
                for (k, weights) in (start..end).step_by(4).zip(&weights[start / 4..]) {
                    let at = rows.line_index(row, k / LINE) + k % LINE;
                    let elements = &rows.elements()[at..at + 4];
                    for (sum, weights) in sums.iter_mut().zip(weights.as_chunks::<4>().0) {
                        for (q, w) in elements.iter().zip(weights) {
                            *sum += i32::from(*q) * i32::from(*w);
                        }
                    }
                }
                let step = rows.scales()[rows.group_index(row, group)];
                for ((out, sum), scale) in out.iter_mut().zip(sums).zip(scales) {
                    *out = (sum as f32).mul_add(step * half_to_f32(*scale), *out);
                }
            }
            // SAFETY: the caller's promise.
            unsafe { target.store(row, tile, &out) };
        }
    }
}
