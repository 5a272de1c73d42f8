//! Norm and attention in plain Rust, to be inlined where vectors of some width are allowed.

use core::ops::Range;

use crate::activations::{LINE, Lines};
use crate::arithmetic::{HEAD, c8, exponential, inverse_rms, rs};
use crate::rows::MAX_TOKENS;

/// See [`norm`](super::norm). Writes the lines of `rows`, which are this thread's.
#[inline(always)]
pub(super) fn norm(h: &[i32], width: usize, rows: Range<usize>, out: &Lines) {
    for row in rows {
        let h = &h[row * width..][..width];
        // At most 65,536 squares below 2^46: the sum is below 2^62.
        let sum: i64 = h.iter().map(|h| i64::from(*h) * i64::from(*h)).sum();
        let inverse = inverse_rms(sum as u64, width as u64) as i32;
        for (line, h) in h.as_chunks::<LINE>().0.iter().enumerate() {
            let values = h.map(|h| {
                // Below 2^23 * 2^29 + 2^23 in magnitude.
                let scaled = (i64::from(h) * i64::from(inverse) + (1 << 23)) >> 24;
                scaled.clamp(-127, 127) as i8
            });
            // SAFETY: the caller of the public function borrows the matrix, and rows belong to one thread.
            unsafe { out.store(row, line, &values) };
        }
    }
}

/// See [`attention`](super::attention). Writes the lines of `sequences`, which are this thread's.
#[inline(always)]
pub(super) fn attention(qkv: &[i8], width: usize, tokens: usize, sequences: Range<usize>, out: &Lines) {
    let row_length = 3 * width;
    for sequence in sequences {
        let qkv = &qkv[sequence * tokens * row_length..][..tokens * row_length];
        for head in 0..width / HEAD {
            // One of query, key and value (`part` 0, 1, 2) of one token.
            let vector = |token: usize, part: usize| -> &[i8; HEAD] {
                let start = token * row_length + part * width + head * HEAD;
                qkv[start..start + HEAD].as_array().expect("a slice of its length")
            };
            for token in 0..tokens {
                let query = vector(token, 0);
                // At most 64 * 127^2 < 2^20 in magnitude.
                let mut scores = [0; MAX_TOKENS];
                let scores = &mut scores[..tokens];
                for (position, score) in scores.iter_mut().enumerate() {
                    *score = dot(query, vector(position, 1));
                }
                let best = scores.iter().copied().max().unwrap_or(0);
                // At most 64 * 2^15: the sum is at least 2^15, from the best one.
                let mut total = 0;
                for score in scores.iter_mut() {
                    *score = exponential(best, *score);
                    total += *score;
                }
                // Weights add up to at most 127 + 64 / 2, so that sums are below 159 * 127 < 2^15.
                let mut sums = [0i16; HEAD];
                for (position, p) in scores.iter().enumerate() {
                    let weight = (*p as u32 * 127 + (total as u32 >> 1)) / total as u32;
                    for (sum, value) in sums.iter_mut().zip(vector(position, 2)) {
                        *sum += weight as i16 * i16::from(*value);
                    }
                }
                let values = sums.map(|sum| c8(rs(i32::from(sum), 7)) as i8);
                // SAFETY: the caller of the public function borrows the matrix, and sequences, so their rows,
                // belong to one thread.
                unsafe { out.store(sequence * tokens + token, head, &values) };
            }
        }
    }
}

/// The product of two heads.
#[inline(always)]
fn dot(left: &[i8; HEAD], right: &[i8; HEAD]) -> i32 {
    left.iter().zip(right).map(|(a, b)| i32::from(i16::from(*a)) * i32::from(i16::from(*b))).sum()
}
