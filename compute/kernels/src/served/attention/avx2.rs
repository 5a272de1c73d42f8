//! Attention by 256-bit vectors.
//!
//! **Exactness.** Keys, 128 larger than they are, are split into the even and the odd bytes of each four, which
//! widens them to 16 bits; `vpmaddwd` adds two products of 16-bit integers, here at most `2 * 255 * 127`. What the
//! larger keys bring in is subtracted at the end, as is described for 512-bit vectors. Weights have 15 bits and
//! values 8, so that 64 of their products stay below 2^28. Floats are multiplied one by one, as in the formulas, and
//! rounded by the conversion, half to even as processors start; `vmaxps` and `vminps` give their second operand if
//! the first is no number.

use core::arch::x86_64::*;

use super::PAGE_POSITIONS;
use super::block::{Block, QUERIES, Query, largest_scale};
use super::formulas::{EXP2, LARGEST_GAIN, LARGEST_UNIT, LARGEST_WEIGHT, UNITS, shift, unshifted};
use crate::served::page::{HEAD_STEP, KEY_QUADS, View};

/// Elements of a vector of 32 bits.
const LANES: usize = 8;
/// Vectors of the positions of a page.
const PARTS: usize = PAGE_POSITIONS / LANES;
/// Queries whose sums fit in the 16 vector registers that there are.
const STEP: usize = 3;
/// Lanes that are the upper halves of 64 bits.
const ODD: i32 = 0b1010_1010;

/// Calls `$function::<Q>` for up to [`STEP`] queries.
macro_rules! for_queries {
    ($queries:expr, $function:ident($($argument:expr),*)) => {
        match $queries {
            1 => $function::<1>($($argument),*),
            2 => $function::<2>($($argument),*),
            _ => $function::<STEP>($($argument),*),
        }
    };
}

/// The lanes of a part that are among the first `visible` of a page, all bits set.
#[inline]
#[target_feature(enable = "avx2")]
fn mask(visible: usize, part: usize) -> __m256i {
    let lanes = _mm256_set1_epi32(visible.saturating_sub(part * LANES).min(LANES) as i32);
    _mm256_cmpgt_epi32(lanes, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}

/// The first pass over a page.
///
/// # Safety
///
/// The processor has the features; the page is one of the block.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn scores(block: &mut Block, page: usize, view: View<'_>, score_scale: f32) {
    for q in (0..block.queries.len()).step_by(STEP) {
        for part in (0..PARTS).step_by(2) {
            // SAFETY: the caller's promise.
            unsafe {
                for_queries!(block.queries.len() - q, scores_of(block, q, part, page, view, score_scale));
            }
        }
    }
    for q in 0..block.queries.len() {
        let query = block.queries[q];
        // Queries of one row see the same.
        block.queries[q].largest_scale = match q.checked_sub(1).map(|last| block.queries[last]) {
            Some(last) if last.visible == query.visible => last.largest_scale,
            _ => largest_scale(query.largest_scale, view, query.visible_in(page)),
        };
    }
}

/// Scores of 16 positions for `Q` queries from `first` on.
///
/// # Safety
///
/// As [`scores`]; and there are the queries.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn scores_of<const Q: usize>(
    block: &mut Block,
    first: usize,
    part: usize,
    page: usize,
    view: View<'_>,
    score_scale: f32,
) {
    let (head, stride) = (block.head, block.stride());
    let wide = &block.wide[first * head..][..Q * head];
    let mut acc = [[_mm256_setzero_si256(); 2]; Q];
    for (acc, query) in acc.iter_mut().zip(&block.queries[first..]) {
        *acc = [_mm256_set1_epi32(-128 * query.sum); 2];
    }
    for (quad, keys) in view.keys.as_chunks::<KEY_QUADS>().0.iter().enumerate() {
        let keys = &keys[part * 4 * LANES..][..8 * LANES];
        // SAFETY: two vectors in 64 bytes; a group of four elements of each query.
        unsafe {
            let keys: [_; 2] =
                core::array::from_fn(|half| _mm256_loadu_si256(keys.as_ptr().add(32 * half).cast()));
            let even = keys.map(|keys| _mm256_and_si256(keys, _mm256_set1_epi16(0xff)));
            let odd = keys.map(|keys| _mm256_srli_epi16::<8>(keys));
            for (q, acc) in acc.iter_mut().enumerate() {
                let query = wide.as_ptr().add(q * head + 4 * quad).cast::<i32>();
                let query = [query, query.add(1)].map(|pair| _mm256_set1_epi32(pair.read_unaligned()));
                for (half, acc) in acc.iter_mut().enumerate() {
                    *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(even[half], query[0]));
                    *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(odd[half], query[1]));
                }
            }
        }
    }
    let score_scale = _mm256_set1_ps(score_scale * UNITS);
    let place = (page - block.pages.start) * PAGE_POSITIONS;
    for (q, acc) in acc.into_iter().enumerate() {
        let query = &mut block.queries[first + q];
        let visible = query.visible_in(page);
        let units = &mut block.units[(first + q) * stride + place..][..PAGE_POSITIONS];
        for (sums, part) in acc.into_iter().zip(part..) {
            // SAFETY: the scales and the scores of a page have this part.
            unsafe {
                let scale = _mm256_loadu_ps(view.key_scales.as_ptr().add(part * LANES));
                let scale = _mm256_mul_ps(_mm256_set1_ps(query.scale), scale);
                let score = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_mul_ps(scale, score_scale));
                let score = _mm256_max_ps(score, _mm256_set1_ps(-LARGEST_UNIT));
                let score = _mm256_min_ps(score, _mm256_set1_ps(LARGEST_UNIT));
                _mm256_storeu_si256(units.as_mut_ptr().add(part * LANES).cast(), _mm256_cvtps_epi32(score));
            }
        }
        let units = &units[part * LANES..visible.clamp(part * LANES, (part + 2) * LANES)];
        query.largest = units.iter().fold(query.largest, |largest, unit| largest.max(*unit));
    }
}

/// Weights of a page for one query.
type Weights = [i16; PAGE_POSITIONS];

/// Powers and weights of a page for one query, and how far they were shifted. `None`: all are zero.
///
/// # Safety
///
/// The processor has the features.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn weigh(
    units: &[i32],
    view: View<'_>,
    visible: usize,
    query: &mut Query,
    weights: &mut Weights,
) -> Option<u32> {
    assert_eq!(units.len(), PAGE_POSITIONS);
    let largest_unit = _mm256_set1_epi32(query.largest);
    let inverse = _mm256_set1_ps(1.0 / f32::from_bits(query.largest_scale));
    let mut parts = [[0u32; LANES]; PARTS];
    let (mut total, mut largest) = (_mm256_setzero_si256(), _mm256_setzero_si256());
    for (part, products) in parts.iter_mut().enumerate() {
        // SAFETY: the scores and the scales of a page have this part, and the table has 1,024 elements.
        let (distance, scale, power) = unsafe {
            let unit = _mm256_loadu_si256(units.as_ptr().add(part * LANES).cast());
            let distance = _mm256_sub_epi32(largest_unit, unit);
            let index = _mm256_and_si256(distance, _mm256_set1_epi32(1023));
            let power = _mm256_i32gather_epi32::<4>(EXP2.as_ptr().cast(), index);
            (distance, _mm256_loadu_ps(view.value_scales.as_ptr().add(part * LANES)), power)
        };
        // A shift by more than 31 gives 0.
        let power = _mm256_srlv_epi32(power, _mm256_srli_epi32::<10>(distance));
        let power = _mm256_and_si256(power, mask(visible, part));
        let low = _mm256_and_si256(power, _mm256_set1_epi64x(0xffff_ffff));
        let high = _mm256_srli_epi64::<32>(power);
        total = _mm256_add_epi64(total, _mm256_add_epi64(low, high));

        let gain = _mm256_min_ps(_mm256_mul_ps(scale, inverse), _mm256_set1_ps(1.0));
        // The largest, 2^31, is outside of what can be converted, which gives just these bits.
        let gain = _mm256_cvtps_epi32(_mm256_mul_ps(gain, _mm256_set1_ps(LARGEST_GAIN)));
        let even = _mm256_srli_epi64::<32>(_mm256_mul_epu32(power, gain));
        let odd = _mm256_mul_epu32(high, _mm256_srli_epi64::<32>(gain));
        let product = _mm256_blend_epi32::<ODD>(even, odd);
        largest = _mm256_max_epu32(largest, product);
        // SAFETY: eight products.
        unsafe { _mm256_storeu_si256(products.as_mut_ptr().cast(), product) };
    }
    let (mut totals, mut largest_lanes) = ([0u64; 4], [0u32; LANES]);
    // SAFETY: arrays of the size of a vector.
    unsafe {
        _mm256_storeu_si256(totals.as_mut_ptr().cast(), total);
        _mm256_storeu_si256(largest_lanes.as_mut_ptr().cast(), largest);
    }
    query.total += totals.iter().sum::<u64>();
    let shift = shift(largest_lanes.into_iter().fold(0, u32::max))?;
    for (weights, product) in weights.iter_mut().zip(parts.as_flattened()) {
        let weight = ((product << shift) + (1 << 14)) >> 15;
        *weights = weight.min(LARGEST_WEIGHT) as i16;
    }
    Some(shift)
}

/// The second pass over a page.
///
/// # Safety
///
/// The processor has the features; the page is one of the block.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn values(block: &mut Block, page: usize, view: View<'_>) {
    let (head, stride) = (block.head, block.stride());
    let first = (page - block.pages.start) * PAGE_POSITIONS;
    let mut weights = [[0; PAGE_POSITIONS]; QUERIES];
    let mut shifts = [None; QUERIES];
    for (q, query) in block.queries.iter_mut().enumerate() {
        let units = &block.units[q * stride + first..][..PAGE_POSITIONS];
        let visible = query.visible_in(page);
        if visible > 0 {
            // SAFETY: the caller's promise.
            shifts[q] = unsafe { weigh(units, view, visible, query, &mut weights[q]) };
        }
    }
    if shifts == [None; QUERIES] {
        return;
    }
    let visible = block.queries.iter().map(|query| query.visible_in(page)).max().unwrap_or(0);
    let pairs = visible.div_ceil(2);
    for q in (0..block.queries.len()).step_by(STEP) {
        let queries = block.queries.len() - q;
        let (weights, shifts) = (&weights[q..], &shifts[q..]);
        let sums = &mut block.sums[q * head..];
        for d in (0..head).step_by(HEAD_STEP) {
            // SAFETY: the caller's promise; the elements are inside the head.
            unsafe { for_queries!(queries, sums_of(view, head, d, pairs, weights, shifts, sums)) };
        }
    }
}

/// Adds elements `d..d + 16` of the weighted values of a page to the sums of `Q` queries.
///
/// # Safety
///
/// The processor has the features, and the elements are inside the head.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn sums_of<const Q: usize>(
    view: View<'_>,
    head: usize,
    d: usize,
    pairs: usize,
    weights: &[Weights],
    shifts: &[Option<u32>],
    sums: &mut [i64],
) {
    assert!(
        d + 2 * LANES <= head && view.values.len() == PAGE_POSITIONS * head && pairs <= PAGE_POSITIONS / 2
    );
    let mut acc = [[_mm256_setzero_si256(); 2]; Q];
    for pair in 0..pairs {
        // SAFETY: a pair of positions has two times `head` bytes, and two weights of each query.
        unsafe {
            let values = view.values.as_ptr().add(2 * (pair * head + d));
            let values: [_; 2] = core::array::from_fn(|half| {
                _mm256_cvtepi8_epi16(_mm_loadu_si128(values.add(2 * LANES * half).cast()))
            });
            for (acc, weights) in acc.iter_mut().zip(weights) {
                let weight = weights.as_ptr().add(2 * pair).cast::<i32>().read_unaligned();
                for (acc, values) in acc.iter_mut().zip(values) {
                    let products = _mm256_madd_epi16(values, _mm256_set1_epi32(weight));
                    *acc = _mm256_add_epi32(*acc, products);
                }
            }
        }
    }
    for (q, acc) in acc.into_iter().enumerate() {
        let Some(shift) = shifts[q] else { continue };
        let mut terms = [[0i32; LANES]; 2];
        for (terms, acc) in terms.iter_mut().zip(acc) {
            // SAFETY: eight sums.
            unsafe { _mm256_storeu_si256(terms.as_mut_ptr().cast(), acc) };
        }
        for (sum, term) in sums[q * head + d..][..2 * LANES].iter_mut().zip(terms.as_flattened()) {
            *sum += unshifted(*term, shift);
        }
    }
}

const _: () = assert!(HEAD_STEP == 2 * LANES);
