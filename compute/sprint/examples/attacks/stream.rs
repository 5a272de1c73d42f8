//! The pseudorandom streams: weights, inputs, and the study's own choices.

use freeway_sprint::Input;

/// A ChaCha8 key, as words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key([u32; 8]);

impl Key {
    pub(crate) fn derive(context: &str, material: &[u8]) -> Self {
        let bytes = blake3::derive_key(context, material);
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self(words)
    }

    /// One block, 64 bytes.
    pub(crate) fn block(&self, counter: u32, nonce: [u32; 3]) -> [u8; 64] {
        let mut start = [0; 16];
        start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
        start[4..12].copy_from_slice(&self.0);
        start[12] = counter;
        start[13..].copy_from_slice(&nonce);
        let mut s = start;
        let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
            for (x, y, z, rotation) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
                s[x] = s[x].wrapping_add(s[y]);
                s[z] = (s[z] ^ s[x]).rotate_left(rotation);
            }
        };
        for _ in 0..4 {
            for i in 0..4 {
                quarter(i, 4 + i, 8 + i, 12 + i);
            }
            for i in 0..4 {
                quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
            }
        }
        let mut bytes = [0; 64];
        for (i, word) in bytes.as_chunks_mut().0.iter_mut().enumerate() {
            *word = s[i].wrapping_add(start[i]).to_le_bytes();
        }
        bytes
    }

    /// One block as operands: -128 becomes 0.
    pub(crate) fn operands(&self, counter: u32, nonce: [u32; 3]) -> [i8; 64] {
        self.block(counter, nonce).map(|byte| if byte == 0x80 { 0 } else { byte as i8 })
    }
}

/// The key of a race's weights.
pub(crate) fn weights_key(seed: &[u8; 32]) -> Key {
    Key::derive("freeway 1 sprint weights", seed)
}

/// The key of a nonce's input.
pub(crate) fn nonce_key(input: &Input) -> Key {
    Key::derive("freeway 1 sprint nonce", &input.to_bytes())
}

/// What a nonce injects into a token in a layer.
pub(crate) fn injection(key: &Key, layer: usize, token: usize, width: usize) -> Vec<i8> {
    (0..width as u32 / 64).flat_map(|block| key.operands(block, [layer as u32, token as u32, 2])).collect()
}

/// Choices of the study: the same in every run.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    key: Key,
    next: u32,
}

impl Dice {
    pub(crate) fn new(purpose: &str) -> Self {
        Self { key: Key::derive("freeway sprint attack study", purpose.as_bytes()), next: 0 }
    }

    /// A number below `bound`, which is small.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let block = self.key.block(self.next, [0; 3]);
        self.next += 1;
        let number = block.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        (number % bound as u64) as usize
    }
}
