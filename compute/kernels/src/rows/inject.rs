//! Injection: ChaCha blocks of many nonces, tokens and places side by side.

use crate::activations::LINE;
use crate::arithmetic::{clamp23, operand};
use crate::backend::Level;
use crate::chacha::Key;

/// The third nonce word of injected streams; those of weights have 1.
pub const INPUT_STREAM: u32 = 2;
/// How far injected operands are shifted: the fraction of the residual stream has six bits.
const SHIFT: u32 = 5;

/// What the blocks of some nonces have in common. Block `index` belongs to elements `64 index` to `64 index + 63`
/// of `h`.
struct Blocks<'a> {
    per_row: usize,
    tokens: usize,
    keys: &'a [Key],
    layer: u32,
}

impl Blocks<'_> {
    /// Key, counter and token of a block.
    #[inline(always)]
    fn of(&self, index: usize) -> (&Key, u32, u32) {
        let row = index / self.per_row;
        let key = &self.keys[row / self.tokens];
        (key, (index % self.per_row) as u32, (row % self.tokens) as u32)
    }
}

/// See [`inject`](super::inject).
pub(super) fn run(level: Level, h: &mut [i32], width: usize, tokens: usize, keys: &[Key], layer: u32) {
    let blocks = Blocks { per_row: width / LINE, tokens, keys, layer };
    let h = h.as_chunks_mut::<LINE>().0;
    match level {
        Level::Scalar => scalar(h, &blocks),
        // SAFETY: a level exists only for a backend that was checked to be available.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::avx2(h, &blocks) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::avx512(h, &blocks) },
    }
}

fn scalar(h: &mut [[i32; LINE]], blocks: &Blocks<'_>) {
    for (index, h) in h.iter_mut().enumerate() {
        let (key, counter, token) = blocks.of(index);
        add(h, &key.block(counter, [blocks.layer, token, INPUT_STREAM]).map(operand));
    }
}

#[inline(always)]
fn add(h: &mut [i32; LINE], values: &[i8; LINE]) {
    for (h, value) in h.iter_mut().zip(values) {
        *h = clamp23(*h + (i32::from(*value) << SHIFT));
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! Each lane of the vectors is another block.

    use core::arch::x86_64::{
        __m256i, __m512i, _mm256_loadu_si256, _mm256_storeu_si256, _mm512_loadu_si512, _mm512_storeu_si512,
    };

    use super::{Blocks, INPUT_STREAM, LINE, add};
    use crate::chacha::{CONSTANTS, avx2, avx512};

    /// The initial states of up to `LANES` blocks from `first` on, word by word.
    #[inline(always)]
    fn states<const LANES: usize>(blocks: &Blocks<'_>, first: usize, count: usize) -> [[u32; LANES]; 16] {
        let mut words = [[0; LANES]; 16];
        for (word, constant) in words.iter_mut().zip(CONSTANTS) {
            *word = [constant; LANES];
        }
        for lane in 0..count {
            let (key, counter, token) = blocks.of(first + lane);
            for (word, key) in words[4..].iter_mut().zip(key.0) {
                word[lane] = key;
            }
            words[12][lane] = counter;
            words[14][lane] = token;
        }
        words[13] = [blocks.layer; LANES];
        words[15] = [INPUT_STREAM; LANES];
        words
    }

    /// Adds the blocks, whose words are given, to their lines.
    #[inline(always)]
    fn add_lanes<const LANES: usize>(h: &mut [[i32; LINE]], words: &[[u32; LANES]; 16]) {
        for (lane, h) in h.iter_mut().enumerate() {
            let mut values = [0; LINE];
            for (bytes, word) in values.as_chunks_mut::<4>().0.iter_mut().zip(words) {
                *bytes = word[lane].to_le_bytes().map(|byte| byte as i8);
            }
            add(h, &values);
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) fn avx512(h: &mut [[i32; LINE]], blocks: &Blocks<'_>) {
        for (group, h) in h.chunks_mut(16).enumerate() {
            let initial = states::<16>(blocks, 16 * group, h.len());
            // SAFETY: each word has sixteen lanes of 32 bits.
            let initial = initial.map(|word| unsafe { _mm512_loadu_si512(word.as_ptr().cast::<__m512i>()) });
            let mut words = [[0u32; 16]; 16];
            for (word, value) in words.iter_mut().zip(avx512::rounds(&initial)) {
                // SAFETY: as above.
                unsafe { _mm512_storeu_si512(word.as_mut_ptr().cast::<__m512i>(), avx512::operands(value)) };
            }
            add_lanes(h, &words);
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(h: &mut [[i32; LINE]], blocks: &Blocks<'_>) {
        for (group, h) in h.chunks_mut(8).enumerate() {
            let initial = states::<8>(blocks, 8 * group, h.len());
            // SAFETY: each word has eight lanes of 32 bits.
            let initial = initial.map(|word| unsafe { _mm256_loadu_si256(word.as_ptr().cast::<__m256i>()) });
            let mut words = [[0u32; 8]; 16];
            for (word, value) in words.iter_mut().zip(avx2::rounds(&initial)) {
                // SAFETY: as above.
                unsafe { _mm256_storeu_si256(word.as_mut_ptr().cast::<__m256i>(), avx2::operands(value)) };
            }
            add_lanes(h, &words);
        }
    }
}
