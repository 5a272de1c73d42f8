//! Sixteen ChaCha8 blocks at once: one word of every block in each 512-bit vector.

use core::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_cmpneq_epi8_mask, _mm512_dpbusd_epi32, _mm512_loadu_si512,
    _mm512_maskz_mov_epi8, _mm512_mullo_epi32, _mm512_rol_epi32, _mm512_set1_epi8, _mm512_set1_epi32,
    _mm512_setr_epi32, _mm512_storeu_si512, _mm512_xor_si512,
};

use super::{CONSTANTS, Key, TILE_BYTES};

/// Applies four double rounds and adds the initial state; word `i` of all blocks is in `state[i]`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn rounds(initial: &[__m512i; 16]) -> [__m512i; 16] {
    macro_rules! quarter_rounds {
        ($x:ident: $(($a:literal, $b:literal, $c:literal, $d:literal))*) => {
            $($x[$a] = _mm512_add_epi32($x[$a], $x[$b]);)*
            $($x[$d] = _mm512_rol_epi32::<16>(_mm512_xor_si512($x[$d], $x[$a]));)*
            $($x[$c] = _mm512_add_epi32($x[$c], $x[$d]);)*
            $($x[$b] = _mm512_rol_epi32::<12>(_mm512_xor_si512($x[$b], $x[$c]));)*
            $($x[$a] = _mm512_add_epi32($x[$a], $x[$b]);)*
            $($x[$d] = _mm512_rol_epi32::<8>(_mm512_xor_si512($x[$d], $x[$a]));)*
            $($x[$c] = _mm512_add_epi32($x[$c], $x[$d]);)*
            $($x[$b] = _mm512_rol_epi32::<7>(_mm512_xor_si512($x[$b], $x[$c]));)*
        };
    }
    let mut x = *initial;
    for _ in 0..4 {
        quarter_rounds!(x: (0, 4, 8, 12) (1, 5, 9, 13) (2, 6, 10, 14) (3, 7, 11, 15));
        quarter_rounds!(x: (0, 5, 10, 15) (1, 6, 11, 12) (2, 7, 8, 13) (3, 4, 9, 14));
    }
    for (word, initial) in x.iter_mut().zip(initial) {
        *word = _mm512_add_epi32(*word, *initial);
    }
    x
}

/// Replaces bytes of -128 by 0.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn operands(bytes: __m512i) -> __m512i {
    _mm512_maskz_mov_epi8(_mm512_cmpneq_epi8_mask(bytes, _mm512_set1_epi8(-128)), bytes)
}

/// See [`Key::tile`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn tile(
    key: &Key,
    first: u32,
    stride: u32,
    nonce: [u32; 3],
    tile: &mut [i8; TILE_BYTES],
    sums: &mut [i32; 16],
) {
    let all = |word: u32| _mm512_set1_epi32(word as i32);
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let counters = _mm512_add_epi32(all(first), _mm512_mullo_epi32(lanes, all(stride)));
    let [k0, k1, k2, k3, k4, k5, k6, k7] = key.0.map(all);
    let [c0, c1, c2, c3] = CONSTANTS.map(all);
    let [n0, n1, n2] = nonce.map(all);
    let words = rounds(&[c0, c1, c2, c3, k0, k1, k2, k3, k4, k5, k6, k7, counters, n0, n1, n2]);
    let ones = _mm512_set1_epi8(1);
    // SAFETY: `sums` has sixteen words, and the intrinsic asks for no alignment.
    let mut sum = unsafe { _mm512_loadu_si512(sums.as_ptr().cast()) };
    for (line, word) in tile.as_chunks_mut::<64>().0.iter_mut().zip(words) {
        let word = operands(word);
        sum = _mm512_dpbusd_epi32(sum, ones, word);
        // SAFETY: a line has 64 bytes.
        unsafe { _mm512_storeu_si512(line.as_mut_ptr().cast(), word) };
    }
    // SAFETY: as for the load.
    unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), sum) };
}
