//! Eight ChaCha8 blocks at once: one word of every block in each 256-bit vector.

use core::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_andnot_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_mullo_epi32, _mm256_or_si256, _mm256_set1_epi8, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_setr_epi8, _mm256_setr_epi32, _mm256_shuffle_epi8, _mm256_slli_epi32,
    _mm256_srli_epi32, _mm256_storeu_si256, _mm256_xor_si256,
};

use super::{CONSTANTS, Key, TILE_BYTES};

/// Applies four double rounds and adds the initial state; word `i` of all blocks is in `state[i]`.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn rounds(initial: &[__m256i; 16]) -> [__m256i; 16] {
    // Rotations by whole bytes are one shuffle instead of two shifts.
    let by16 = _mm256_setr_epi8(
        2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15,
        12, 13,
    );
    let by8 = _mm256_setr_epi8(
        3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12,
        13, 14,
    );
    macro_rules! quarter_rounds {
        ($x:ident: $(($a:literal, $b:literal, $c:literal, $d:literal))*) => {
            $($x[$a] = _mm256_add_epi32($x[$a], $x[$b]);)*
            $($x[$d] = _mm256_shuffle_epi8(_mm256_xor_si256($x[$d], $x[$a]), by16);)*
            $($x[$c] = _mm256_add_epi32($x[$c], $x[$d]);)*
            $($x[$b] = _mm256_xor_si256($x[$b], $x[$c]);)*
            $($x[$b] = _mm256_or_si256(_mm256_slli_epi32::<12>($x[$b]), _mm256_srli_epi32::<20>($x[$b]));)*
            $($x[$a] = _mm256_add_epi32($x[$a], $x[$b]);)*
            $($x[$d] = _mm256_shuffle_epi8(_mm256_xor_si256($x[$d], $x[$a]), by8);)*
            $($x[$c] = _mm256_add_epi32($x[$c], $x[$d]);)*
            $($x[$b] = _mm256_xor_si256($x[$b], $x[$c]);)*
            $($x[$b] = _mm256_or_si256(_mm256_slli_epi32::<7>($x[$b]), _mm256_srli_epi32::<25>($x[$b]));)*
        };
    }
    let mut x = *initial;
    for _ in 0..4 {
        quarter_rounds!(x: (0, 4, 8, 12) (1, 5, 9, 13) (2, 6, 10, 14) (3, 7, 11, 15));
        quarter_rounds!(x: (0, 5, 10, 15) (1, 6, 11, 12) (2, 7, 8, 13) (3, 4, 9, 14));
    }
    for (word, initial) in x.iter_mut().zip(initial) {
        *word = _mm256_add_epi32(*word, *initial);
    }
    x
}

/// Replaces bytes of -128 by 0.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn operands(bytes: __m256i) -> __m256i {
    _mm256_andnot_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(-128)), bytes)
}

/// See [`Key::tile`].
#[target_feature(enable = "avx2")]
pub(super) fn tile(
    key: &Key,
    first: u32,
    stride: u32,
    nonce: [u32; 3],
    tile: &mut [i8; TILE_BYTES],
    sums: &mut [i32; 16],
) {
    let all = |word: u32| _mm256_set1_epi32(word as i32);
    let [k0, k1, k2, k3, k4, k5, k6, k7] = key.0.map(all);
    let [c0, c1, c2, c3] = CONSTANTS.map(all);
    let [n0, n1, n2] = nonce.map(all);
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (half, sums) in sums.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let start = first.wrapping_add(8 * half as u32 * stride);
        let counters = _mm256_add_epi32(all(start), _mm256_mullo_epi32(lanes, all(stride)));
        let words = rounds(&[c0, c1, c2, c3, k0, k1, k2, k3, k4, k5, k6, k7, counters, n0, n1, n2]);
        // SAFETY: `sums` has eight words, and the intrinsic asks for no alignment.
        let mut sum = unsafe { _mm256_loadu_si256(sums.as_ptr().cast()) };
        for (line, word) in tile.as_chunks_mut::<64>().0.iter_mut().zip(words) {
            let word = operands(word);
            // Two operands add up to 254 at most, four to 508: nothing saturates.
            let pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), word);
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
            // SAFETY: a line has 64 bytes, and `half` is 0 or 1.
            unsafe { _mm256_storeu_si256(line.as_mut_ptr().add(32 * half).cast(), word) };
        }
        // SAFETY: as for the load.
        unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), sum) };
    }
}
