//! ChaCha8 in counter mode: any block of any stream alone, and sixteen at a time in the layout of a tile.
//!
//! The state is that of RFC 8439 (constants, key, a 32-bit block counter, three nonce words), with eight rounds
//! instead of twenty: what is asked of it is that no device computes weights faster by a shortcut, not that
//! messages stay secret for decades, and eight rounds have a wide margin over the best known attack (seven).

use crate::arithmetic::operand;
use crate::backend::{Backend, Level};

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;

/// "expand 32-byte k" as four words.
pub(crate) const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 64;
/// Bytes of a tile: sixteen blocks.
pub const TILE_BYTES: usize = 16 * BLOCK_BYTES;

/// A key of 256 bits, as words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(pub(crate) [u32; 8]);

impl Key {
    /// The key that BLAKE3 derives from `material` under `context`, a string that belongs to one purpose.
    pub fn derive(context: &str, material: &[u8]) -> Self {
        Self::from_bytes(&blake3::derive_key(context, material))
    }

    /// A key from its bytes, read as little-endian words.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self(words)
    }

    /// Block number `counter` of the stream `nonce`.
    pub fn block(&self, counter: u32, nonce: [u32; 3]) -> [u8; BLOCK_BYTES] {
        let mut initial = [0; 16];
        initial[..4].copy_from_slice(&CONSTANTS);
        initial[4..12].copy_from_slice(&self.0);
        initial[12] = counter;
        initial[13..].copy_from_slice(&nonce);
        let mut state = initial;
        for _ in 0..4 {
            quarter_round(&mut state, 0, 4, 8, 12);
            quarter_round(&mut state, 1, 5, 9, 13);
            quarter_round(&mut state, 2, 6, 10, 14);
            quarter_round(&mut state, 3, 7, 11, 15);
            quarter_round(&mut state, 0, 5, 10, 15);
            quarter_round(&mut state, 1, 6, 11, 12);
            quarter_round(&mut state, 2, 7, 8, 13);
            quarter_round(&mut state, 3, 4, 9, 14);
        }
        let mut bytes = [0; BLOCK_BYTES];
        for (i, word) in bytes.as_chunks_mut().0.iter_mut().enumerate() {
            *word = state[i].wrapping_add(initial[i]).to_le_bytes();
        }
        bytes
    }

    /// The blocks `first`, `first + stride`, ... of the stream as operands, sixteen of them, written as a tile:
    /// word `q` of block `i` at byte `64 q + 4 i`. Adds the sum of block `i` to `sums[i]`.
    ///
    /// A block is 64 consecutive elements of one column of weights, so that this is the layout which tile
    /// registers and byte dot products read, without a transpose.
    ///
    /// # Panics
    ///
    /// If `backend` is not available on this machine.
    pub fn tile(
        &self,
        backend: Backend,
        first: u32,
        stride: u32,
        nonce: [u32; 3],
        tile: &mut [i8; TILE_BYTES],
        sums: &mut [i32; 16],
    ) {
        self.tile_at(backend.level(), first, stride, nonce, tile, sums);
    }

    /// [`tile`](Self::tile) at a level that was checked before.
    #[inline]
    pub(crate) fn tile_at(
        &self,
        level: Level,
        first: u32,
        stride: u32,
        nonce: [u32; 3],
        tile: &mut [i8; TILE_BYTES],
        sums: &mut [i32; 16],
    ) {
        match level {
            Level::Scalar => self.tile_scalar(first, stride, nonce, tile, sums),
            // SAFETY: a level exists only for a backend that was checked to be available.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { avx2::tile(self, first, stride, nonce, tile, sums) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { avx512::tile(self, first, stride, nonce, tile, sums) },
        }
    }

    fn tile_scalar(
        &self,
        first: u32,
        stride: u32,
        nonce: [u32; 3],
        tile: &mut [i8; TILE_BYTES],
        sums: &mut [i32; 16],
    ) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let block = self.block(first.wrapping_add(lane as u32 * stride), nonce).map(operand);
            *sum += block.iter().map(|value| i32::from(*value)).sum::<i32>();
            for (word, bytes) in block.as_chunks::<4>().0.iter().enumerate() {
                tile[64 * word + 4 * lane..][..4].copy_from_slice(bytes);
            }
        }
    }
}

/// Keys are secrets of nobody, but pages of hexadecimal digits help nobody either.
impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Key({:08x}..)", self.0[0].swap_bytes())
    }
}

#[inline(always)]
fn quarter_round(state: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    state[a] = state[a].wrapping_add(state[b]);
    state[d] = (state[d] ^ state[a]).rotate_left(16);
    state[c] = state[c].wrapping_add(state[d]);
    state[b] = (state[b] ^ state[c]).rotate_left(12);
    state[a] = state[a].wrapping_add(state[b]);
    state[d] = (state[d] ^ state[a]).rotate_left(8);
    state[c] = state[c].wrapping_add(state[d]);
    state[b] = (state[b] ^ state[c]).rotate_left(7);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_published_test_vector_holds() {
        // ChaCha8, 256-bit key of zeros, counter and nonce zero (draft-strombergson-chacha-test-vectors, TC1).
        let block = Key::from_bytes(&[0; 32]).block(0, [0; 3]);
        let hex: String = block.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e\
             984ce172b9216f419f445367456d5619314a42a3da86b001387bfdb80e0cfe42"
        );
    }

    proptest! {
        #[test]
        fn tiles_are_the_same_everywhere(bytes: [u8; 32], first: u32, stride in 0u32..1 << 27, nonce: [u32; 3]) {
            let key = Key::from_bytes(&bytes);
            let mut expected = ([0; TILE_BYTES], [7; 16]);
            key.tile(Backend::Scalar, first, stride, nonce, &mut expected.0, &mut expected.1);
            for backend in Backend::available() {
                let mut tile = ([1; TILE_BYTES], [7; 16]);
                key.tile(backend, first, stride, nonce, &mut tile.0, &mut tile.1);
                prop_assert_eq!(tile, expected, "{}", backend);
            }
        }
    }
}
