//! The epilogues on 256-bit and 512-bit vectors.

use core::arch::x86_64::*;

use super::{Sink, Target};
use crate::arithmetic::{MAX_OPERAND, MAX_STATE};
use crate::weights::BLOCK_COLUMNS;

/// `rs` on sixteen values; the shift is in `count`, half its unit in `half`.
#[inline]
#[target_feature(enable = "avx512f")]
fn rounded512(values: __m512i, shift: u32) -> __m512i {
    let half = _mm512_set1_epi32(1 << (shift - 1));
    _mm512_sra_epi32(_mm512_add_epi32(values, half), _mm_cvtsi32_si128(shift as i32))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn clamped512(values: __m512i, limit: i32) -> __m512i {
    _mm512_max_epi32(_mm512_set1_epi32(-limit), _mm512_min_epi32(_mm512_set1_epi32(limit), values))
}

#[inline]
#[target_feature(enable = "avx2")]
fn rounded256(values: __m256i, shift: u32) -> __m256i {
    let half = _mm256_set1_epi32(1 << (shift - 1));
    _mm256_sra_epi32(_mm256_add_epi32(values, half), _mm_cvtsi32_si128(shift as i32))
}

#[inline]
#[target_feature(enable = "avx2")]
fn clamped256(values: __m256i, limit: i32) -> __m256i {
    _mm256_max_epi32(_mm256_set1_epi32(-limit), _mm256_min_epi32(_mm256_set1_epi32(limit), values))
}

/// Sixteen values within the range of a byte, as bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn bytes256(low: __m256i, high: __m256i) -> __m128i {
    // Packing works within halves of 128 bits: the words come out as 0 2 1 3 and are put back in order.
    let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
    _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words))
}

impl Target {
    /// As [`store`](Self::store), from two vectors of sixteen sums.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(crate) unsafe fn store512(&self, row: usize, column: usize, sums: [__m512i; 2]) {
        assert!(row < self.rows && column.is_multiple_of(BLOCK_COLUMNS) && column < self.columns);
        let index = row * self.columns + column;
        match self.sink {
            Sink::Raw(out) => {
                for (half, sums) in sums.into_iter().enumerate() {
                    // SAFETY: the assertion puts the block of 32 elements inside the output, whose length was
                    // checked to be rows times columns; the caller promises that it is ours.
                    unsafe { _mm512_storeu_si512(out.add(index + 16 * half).cast(), sums) };
                }
            }
            Sink::Requantise { out, shift } => {
                for (half, sums) in sums.into_iter().enumerate() {
                    let bytes = _mm512_cvtepi32_epi8(clamped512(rounded512(sums, shift), MAX_OPERAND));
                    // SAFETY: as for raw sums.
                    unsafe { _mm_storeu_si128(out.add(index + 16 * half).cast(), bytes) };
                }
            }
            Sink::Residual { h, shift } => {
                for (half, sums) in sums.into_iter().enumerate() {
                    // SAFETY: as for raw sums.
                    let h = unsafe { h.add(index + 16 * half) };
                    // SAFETY: as for raw sums.
                    let old = unsafe { _mm512_loadu_si512(h.cast()) };
                    let new = clamped512(_mm512_add_epi32(old, rounded512(sums, shift)), MAX_STATE);
                    // SAFETY: as for raw sums.
                    unsafe { _mm512_storeu_si512(h.cast(), new) };
                }
            }
            Sink::Glu { tiles, flip, shift, product_shift } => {
                let [gate, value] = sums.map(|sums| clamped512(rounded512(sums, shift), MAX_OPERAND));
                let negative = _mm512_cmplt_epi32_mask(gate, _mm512_setzero_si512());
                let gate = _mm512_mask_srai_epi32::<2>(gate, negative, gate);
                let product = rounded512(_mm512_mullo_epi32(gate, value), product_shift);
                let bytes = _mm512_cvtepi32_epi8(clamped512(product, MAX_OPERAND));
                let bytes = _mm_xor_si128(bytes, _mm_set1_epi8(flip as i8));
                // SAFETY: the gated matrix has these rows and half these columns; sixteen values that start at
                // a multiple of sixteen lie in one line.
                unsafe { _mm_storeu_si128(tiles.add(self.gated_index(row, column)).cast(), bytes) };
            }
        }
    }

    /// As [`store`](Self::store), from four vectors of eight sums.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) unsafe fn store256(&self, row: usize, column: usize, sums: [__m256i; 4]) {
        assert!(row < self.rows && column.is_multiple_of(BLOCK_COLUMNS) && column < self.columns);
        let index = row * self.columns + column;
        match self.sink {
            Sink::Raw(out) => {
                for (part, sums) in sums.into_iter().enumerate() {
                    // SAFETY: the assertion puts the block of 32 elements inside the output, whose length was
                    // checked to be rows times columns; the caller promises that it is ours.
                    unsafe { _mm256_storeu_si256(out.add(index + 8 * part).cast(), sums) };
                }
            }
            Sink::Requantise { out, shift } => {
                let sums = sums.map(|sums| clamped256(rounded256(sums, shift), MAX_OPERAND));
                for half in 0..2 {
                    let bytes = bytes256(sums[2 * half], sums[2 * half + 1]);
                    // SAFETY: as for raw sums.
                    unsafe { _mm_storeu_si128(out.add(index + 16 * half).cast(), bytes) };
                }
            }
            Sink::Residual { h, shift } => {
                for (part, sums) in sums.into_iter().enumerate() {
                    // SAFETY: as for raw sums.
                    let h = unsafe { h.add(index + 8 * part) };
                    // SAFETY: as for raw sums.
                    let old = unsafe { _mm256_loadu_si256(h.cast()) };
                    let new = clamped256(_mm256_add_epi32(old, rounded256(sums, shift)), MAX_STATE);
                    // SAFETY: as for raw sums.
                    unsafe { _mm256_storeu_si256(h.cast(), new) };
                }
            }
            Sink::Glu { tiles, flip, shift, product_shift } => {
                let sums = sums.map(|sums| clamped256(rounded256(sums, shift), MAX_OPERAND));
                let product = |gate: __m256i, value: __m256i| {
                    // The quarter of a negative number is larger, that of a positive one is not wanted: the
                    // blend takes the top bit of each byte of `gate`, so the comparison spreads its sign first.
                    let negative = _mm256_cmpgt_epi32(_mm256_setzero_si256(), gate);
                    let gate = _mm256_blendv_epi8(gate, _mm256_srai_epi32::<2>(gate), negative);
                    clamped256(rounded256(_mm256_mullo_epi32(gate, value), product_shift), MAX_OPERAND)
                };
                let bytes = bytes256(product(sums[0], sums[2]), product(sums[1], sums[3]));
                let bytes = _mm_xor_si128(bytes, _mm_set1_epi8(flip as i8));
                // SAFETY: the gated matrix has these rows and half these columns; sixteen values that start at
                // a multiple of sixteen lie in one line.
                unsafe { _mm_storeu_si128(tiles.add(self.gated_index(row, column)).cast(), bytes) };
            }
        }
    }
}
