//! Attention of one head of one row, from the formulas.

use super::formulas::{UNITS, gain, output_scale, power, shift, unit, unshifted, weight};
use super::{PAGE_POSITIONS, Pages};
use crate::served::page::quantise;

/// Computes `out` for a query that sees the first `visible` keys.
pub(super) fn attend(pages: &Pages<'_>, visible: usize, query: &[f32], score_scale: f32, out: &mut [f32]) {
    let mut q = vec![0; query.len()];
    let mut query_scale = 0.0;
    quantise(query, &mut q, &mut query_scale);

    let positions = || (0..visible).map(|j| (pages.view(j / PAGE_POSITIONS), j % PAGE_POSITIONS));
    let units: Vec<i32> = positions()
        .map(|(page, j)| {
            let product = q.iter().enumerate().map(|(d, q)| i32::from(*q) * i32::from(page.key(j, d))).sum();
            unit(product, (query_scale * page.key_scales[j]) * (score_scale * UNITS))
        })
        .collect();
    let largest = units.iter().copied().max().unwrap_or(0);
    let largest_scale = positions().fold(0.0f32, |largest, (page, j)| largest.max(page.value_scales[j]));
    let inverse = 1.0 / largest_scale;

    let mut total = 0u64;
    let mut sums = vec![0i64; query.len()];
    for (p, units) in units.chunks(PAGE_POSITIONS).enumerate() {
        let page = pages.view(p);
        let weights: Vec<u32> = units
            .iter()
            .zip(page.value_scales)
            .map(|(unit, scale)| {
                let power = power(largest.wrapping_sub(*unit) as u32);
                total += u64::from(power);
                ((u64::from(power) * u64::from(gain(*scale, inverse))) >> 32) as u32
            })
            .collect();
        let Some(shift) = shift(weights.iter().copied().max().unwrap_or(0)) else { continue };
        for (d, sum) in sums.iter_mut().enumerate() {
            let terms = weights
                .iter()
                .enumerate()
                .map(|(j, w)| i32::from(weight(*w, shift)) * i32::from(page.value(j, d)));
            *sum += unshifted(terms.sum(), shift);
        }
    }
    let scale = output_scale(largest_scale, total);
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = sum as f32 * scale;
    }
}
