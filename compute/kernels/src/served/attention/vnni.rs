//! Attention by 512-bit vectors with dot products.
//!
//! **Exactness.** Keys are the unsigned side of `vpdpbusd`, 128 larger than they are: `sum (k + 128) q = sum k q +
//! 128 sum q`; sums start at `-128 sum q`, and as they end within `+-2^22`, whatever wrapped on the way is undone.
//! `vpdpwssd` adds two products of 16-bit integers: weights of 15 bits and values of 8, so that 64 of them stay below
//! 2^28. Neither saturates. Floats are multiplied one by one, as in the formulas, and rounded by the conversion, half
//! to even as processors start; `vmaxps` and `vminps` give their second operand if the first is no number.

use core::arch::x86_64::*;

use super::PAGE_POSITIONS;
use super::block::{Block, QUERIES, Query, largest_scale};
use super::formulas::{COARSE, FINE, LARGEST_GAIN, LARGEST_UNIT, LARGEST_WEIGHT, UNITS, shift};
use crate::served::page::{KEY_QUADS, View};

/// Elements of a vector of 32 bits.
const LANES: usize = 16;
/// Vectors of the positions of a page.
const PARTS: usize = PAGE_POSITIONS / LANES;
/// Bytes that are fetched at once.
const LINE: usize = 64;
/// Lanes that are the upper halves of 64 bits.
const ODD: u16 = 0xaaaa;

/// Calls `$function::<Q>` for the number of queries of a block.
macro_rules! for_queries {
    ($queries:expr, $function:ident($($argument:expr),*)) => {
        match $queries {
            1 => $function::<1>($($argument),*),
            2 => $function::<2>($($argument),*),
            3 => $function::<3>($($argument),*),
            4 => $function::<4>($($argument),*),
            5 => $function::<5>($($argument),*),
            6 => $function::<6>($($argument),*),
            _ => $function::<QUERIES>($($argument),*),
        }
    };
}

/// The lanes of a part that are among the first `visible` of a page.
fn mask(visible: usize, part: usize) -> u16 {
    let lanes = visible.saturating_sub(part * LANES).min(LANES);
    ((1u32 << lanes) - 1) as u16
}

/// The first pass over a page. The keys of `next` are fetched meanwhile: pages lie anywhere in memory, and each is
/// too short for the processor to notice.
///
/// # Safety
///
/// The processor has the features; the page is one of the block.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) unsafe fn scores(
    block: &mut Block,
    page: usize,
    view: View<'_>,
    next: View<'_>,
    score_scale: f32,
) {
    // SAFETY: the caller's promise.
    unsafe { for_queries!(block.queries.len(), scores_of(block, page, view, next, score_scale)) };
}

/// [`scores`] of `Q` queries.
///
/// # Safety
///
/// As there; and there are `Q` queries.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn scores_of<const Q: usize>(
    block: &mut Block,
    page: usize,
    view: View<'_>,
    next: View<'_>,
    score_scale: f32,
) {
    let (head, stride) = (block.head, block.stride());
    let bytes = &block.bytes[..Q * head];
    let mut acc = [[_mm512_setzero_si512(); PARTS]; Q];
    for (acc, query) in acc.iter_mut().zip(&block.queries) {
        *acc = [_mm512_set1_epi32(-128 * query.sum); PARTS];
    }
    for (quad, keys) in view.keys.as_chunks::<KEY_QUADS>().0.iter().enumerate() {
        for line in (0..KEY_QUADS).step_by(LINE) {
            _mm_prefetch::<_MM_HINT_T0>(next.keys.as_ptr().wrapping_add(quad * KEY_QUADS + line).cast());
        }
        // SAFETY: four vectors in 256 bytes; a group of four elements of each query.
        unsafe {
            let keys: [_; PARTS] =
                core::array::from_fn(|part| _mm512_loadu_si512(keys.as_ptr().add(64 * part).cast()));
            for (q, acc) in acc.iter_mut().enumerate() {
                let query = bytes.as_ptr().add(q * head + 4 * quad).cast::<i32>();
                let query = _mm512_set1_epi32(query.read_unaligned());
                for (acc, keys) in acc.iter_mut().zip(keys) {
                    *acc = _mm512_dpbusd_epi32(*acc, keys, query);
                }
            }
        }
    }
    let score_scale = _mm512_set1_ps(score_scale * UNITS);
    let first = (page - block.pages.start) * PAGE_POSITIONS;
    for (q, acc) in acc.into_iter().enumerate() {
        let visible = block.queries[q].visible_in(page);
        let units = &mut block.units[q * stride + first..][..PAGE_POSITIONS];
        let mut largest = _mm512_set1_epi32(block.queries[q].largest);
        for (part, sums) in acc.into_iter().enumerate() {
            // SAFETY: the scales and the scores of a page have this part.
            unsafe {
                let scale = _mm512_loadu_ps(view.key_scales.as_ptr().add(part * LANES));
                let scale = _mm512_mul_ps(_mm512_set1_ps(block.queries[q].scale), scale);
                let score = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_mul_ps(scale, score_scale));
                let score = _mm512_max_ps(score, _mm512_set1_ps(-LARGEST_UNIT));
                let score = _mm512_min_ps(score, _mm512_set1_ps(LARGEST_UNIT));
                let unit = _mm512_cvtps_epi32(score);
                _mm512_storeu_si512(units.as_mut_ptr().add(part * LANES).cast(), unit);
                largest = _mm512_mask_max_epi32(largest, mask(visible, part), largest, unit);
            }
        }
        block.queries[q].largest = _mm512_reduce_max_epi32(largest);
        // Queries of one row see the same.
        block.queries[q].largest_scale = match q.checked_sub(1).map(|last| block.queries[last]) {
            Some(last) if last.visible == block.queries[q].visible => last.largest_scale,
            _ => largest_scale(block.queries[q].largest_scale, view, visible),
        };
    }
}

/// Weights of a page for one query.
type Weights = [i16; PAGE_POSITIONS];

/// The upper halves of the products of 32-bit lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn high_products(a: __m512i, b: __m512i) -> __m512i {
    let even = _mm512_mul_epu32(a, b);
    let odd = _mm512_mul_epu32(_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
    _mm512_mask_blend_epi32(ODD, _mm512_srli_epi64::<32>(even), odd)
}

/// Powers and weights of a page for one query, and how far they were shifted. `None`: all are zero.
///
/// # Safety
///
/// The processor has the features.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn weigh(
    units: &[i32],
    view: View<'_>,
    visible: usize,
    query: &mut Query,
    weights: &mut Weights,
) -> Option<u32> {
    assert_eq!(units.len(), PAGE_POSITIONS);
    let table = |table: &[u32; 32]| {
        // SAFETY: a table has 32 elements, two vectors.
        unsafe {
            [_mm512_loadu_si512(table.as_ptr().cast()), _mm512_loadu_si512(table.as_ptr().add(LANES).cast())]
        }
    };
    let (coarse, fine) = (table(&COARSE), table(&FINE));
    let largest_unit = _mm512_set1_epi32(query.largest);
    let inverse = _mm512_set1_ps(1.0 / f32::from_bits(query.largest_scale));
    let mut parts = [_mm512_setzero_si512(); PARTS];
    let (mut total, mut largest) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for (part, product) in parts.iter_mut().enumerate() {
        // SAFETY: the scores and the scales of a page have this part.
        let (unit, scale) = unsafe {
            let unit = _mm512_loadu_si512(units.as_ptr().add(part * LANES).cast());
            (unit, _mm512_loadu_ps(view.value_scales.as_ptr().add(part * LANES)))
        };
        let distance = _mm512_sub_epi32(largest_unit, unit);
        // Of an index, permutations use the lowest five bits; a shift by more than 31 gives 0.
        let coarse = _mm512_permutex2var_epi32(coarse[0], _mm512_srli_epi32::<5>(distance), coarse[1]);
        let fine = _mm512_permutex2var_epi32(fine[0], distance, fine[1]);
        let power = high_products(coarse, fine);
        let whole = _mm512_srli_epi32::<10>(distance);
        let power = _mm512_maskz_srlv_epi32(mask(visible, part), power, whole);
        let low = _mm512_and_si512(power, _mm512_set1_epi64(0xffff_ffff));
        total = _mm512_add_epi64(total, _mm512_add_epi64(low, _mm512_srli_epi64::<32>(power)));

        let gain = _mm512_min_ps(_mm512_mul_ps(scale, inverse), _mm512_set1_ps(1.0));
        let gain = _mm512_cvtps_epu32(_mm512_mul_ps(gain, _mm512_set1_ps(LARGEST_GAIN)));
        *product = high_products(power, gain);
        largest = _mm512_max_epu32(largest, *product);
    }
    query.total += _mm512_reduce_add_epi64(total) as u64;
    let shift = shift(_mm512_reduce_max_epu32(largest))?;
    for (part, product) in parts.into_iter().enumerate() {
        let product = _mm512_sll_epi32(product, _mm_cvtsi32_si128(shift as i32));
        let weight = _mm512_srli_epi32::<15>(_mm512_add_epi32(product, _mm512_set1_epi32(1 << 14)));
        let weight = _mm512_min_epu32(weight, _mm512_set1_epi32(LARGEST_WEIGHT as i32));
        // SAFETY: the weights of a page have this part.
        unsafe {
            let target = weights.as_mut_ptr().add(part * LANES);
            _mm256_storeu_si256(target.cast(), _mm512_cvtepi32_epi16(weight));
        }
    }
    Some(shift)
}

/// The second pass over a page. The values of `next` are fetched meanwhile.
///
/// # Safety
///
/// The processor has the features; the page is one of the block.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) unsafe fn values(block: &mut Block, page: usize, view: View<'_>, next: View<'_>) {
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
    let (queries, sums) = (block.queries.len(), &mut block.sums[..]);
    let terms = Terms { view, next, head, pairs: visible.div_ceil(2), weights: &weights, shifts: &shifts };
    let mut d = 0;
    while d < head {
        // SAFETY: the caller's promise; `d` and the elements after it are inside the head.
        unsafe {
            if d + 4 * LANES <= head {
                for_queries!(queries, wide_sums(&terms, d, sums));
                d += 4 * LANES;
            } else {
                for_queries!(queries, narrow_sums(&terms, d, sums));
                d += LANES;
            }
        }
    }
}

/// What is summed over a page.
struct Terms<'a> {
    view: View<'a>,
    next: View<'a>,
    head: usize,
    /// Pairs of positions.
    pairs: usize,
    weights: &'a [Weights; QUERIES],
    shifts: &'a [Option<u32>; QUERIES],
}

/// [`sums_of`] 64 elements.
///
/// # Safety
///
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn wide_sums<const Q: usize>(terms: &Terms<'_>, d: usize, sums: &mut [i64]) {
    // SAFETY: the caller's promise.
    unsafe { sums_of::<Q, 4>(terms, d, sums) };
}

/// [`sums_of`] 16 elements.
///
/// # Safety
///
/// As there.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn narrow_sums<const Q: usize>(terms: &Terms<'_>, d: usize, sums: &mut [i64]) {
    // SAFETY: the caller's promise.
    unsafe { sums_of::<Q, 1>(terms, d, sums) };
}

/// Adds elements `d..d + 16 D` of the weighted values of a page to the sums of `Q` queries.
///
/// # Safety
///
/// The processor has the features, the elements are inside the head, and there are sums for the queries.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn sums_of<const Q: usize, const D: usize>(terms: &Terms<'_>, d: usize, sums: &mut [i64]) {
    let Terms { view, next, head, pairs, weights, shifts } = *terms;
    assert!(
        d + D * LANES <= head && view.values.len() == PAGE_POSITIONS * head && pairs <= PAGE_POSITIONS / 2
    );
    let mut acc = [[_mm512_setzero_si512(); D]; Q];
    for pair in 0..pairs {
        for line in (0..2 * D * LANES).step_by(LINE) {
            _mm_prefetch::<_MM_HINT_T0>(next.values.as_ptr().wrapping_add(2 * (pair * head + d) + line));
        }
        // SAFETY: a pair of positions has two times `head` bytes, and two weights of each query.
        unsafe {
            let values = view.values.as_ptr().add(2 * (pair * head + d));
            let values: [_; D] = core::array::from_fn(|part| {
                _mm512_cvtepi8_epi16(_mm256_loadu_si256(values.add(2 * LANES * part).cast()))
            });
            for (acc, weights) in acc.iter_mut().zip(weights) {
                let weight = weights.as_ptr().add(2 * pair).cast::<i32>().read_unaligned();
                for (acc, values) in acc.iter_mut().zip(values) {
                    *acc = _mm512_dpwssd_epi32(*acc, values, _mm512_set1_epi32(weight));
                }
            }
        }
    }
    for (q, acc) in acc.into_iter().enumerate() {
        let Some(shift) = shifts[q] else { continue };
        let half = _mm512_set1_epi64((1 << shift) >> 1);
        let shift = _mm_cvtsi32_si128(shift as i32);
        let sums = &mut sums[q * head + d..][..D * LANES];
        for (acc, sums) in acc.into_iter().zip(sums.as_chunks_mut::<LANES>().0) {
            let halves = [_mm512_castsi512_si256(acc), _mm512_extracti64x4_epi64::<1>(acc)];
            for (acc, sums) in halves.into_iter().zip(sums.as_chunks_mut::<8>().0) {
                // SAFETY: eight sums.
                unsafe {
                    let acc = _mm512_slli_epi64::<24>(_mm512_cvtepi32_epi64(acc));
                    let acc = _mm512_sra_epi64(_mm512_add_epi64(acc, half), shift);
                    let before = _mm512_loadu_si512(sums.as_ptr().cast());
                    _mm512_storeu_si512(sums.as_mut_ptr().cast(), _mm512_add_epi64(before, acc));
                }
            }
        }
    }
}
