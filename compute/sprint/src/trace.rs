//! What one computation leaves behind.

use crate::input::Input;
use crate::shape::Shape;

/// Context of a trace's digest.
const TRACE: &str = "freeway 1 sprint trace";

/// The digests of the state of one nonce, after each group of four layers and after the last layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// One per group of [`Shape::groups`]; the last is that of the final state.
    pub boundaries: Vec<[u8; 32]>,
}

impl Trace {
    /// The digest of the final state. A trace without boundaries, which no shape has, gives zeros.
    pub fn last(&self) -> [u8; 32] {
        self.boundaries.last().copied().unwrap_or_default()
    }

    /// What stands for the whole computation: BLAKE3 in key derivation mode over the shape (16 bytes), the input
    /// (76 bytes) and all boundaries (32 bytes each). Nobody knows it who has not computed the nonce, and the
    /// leaf that is committed is its digest, so that it can be revealed later.
    pub fn digest(&self, shape: Shape, input: &Input) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(TRACE);
        hasher.update(&shape.to_bytes()).update(&input.to_bytes());
        for boundary in &self.boundaries {
            hasher.update(boundary);
        }
        *hasher.finalize().as_bytes()
    }
}

/// The digest of a state: BLAKE3 of its elements, row by row, four bytes each, little-endian.
pub fn state_digest(state: &[i32]) -> [u8; 32] {
    // As many bytes as BLAKE3 hashes side by side on the widest vectors.
    const PART: usize = 16 << 10;
    let mut hasher = blake3::Hasher::new();
    let mut bytes = [0; PART];
    for part in state.chunks(PART / 4) {
        let bytes = &mut bytes[..4 * part.len()];
        for (bytes, element) in bytes.as_chunks_mut().0.iter_mut().zip(part) {
            *bytes = element.to_le_bytes();
        }
        hasher.update(bytes);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_hashed_as_little_endian_bytes() {
        for length in [0, 1, 4_096, 10_000] {
            let state: Vec<i32> = (0..length).map(|i| i * 77 - 5_000).collect();
            let bytes: Vec<u8> = state.iter().flat_map(|element| element.to_le_bytes()).collect();
            assert_eq!(state_digest(&state), *blake3::hash(&bytes).as_bytes());
        }
    }

    #[test]
    fn every_part_changes_the_digest() {
        let input = Input { seed: [1; 32], host: [2; 32], device: 3, nonce: 4 };
        let trace = Trace { boundaries: vec![[5; 32], [6; 32]] };
        let digest = trace.digest(Shape::TINY, &input);
        assert_ne!(trace.digest(Shape::A, &input), digest);
        assert_ne!(trace.digest(Shape::TINY, &Input { nonce: 5, ..input }), digest);
        for boundary in 0..2 {
            let mut other = trace.clone();
            other.boundaries[boundary][31] ^= 1;
            assert_ne!(other.digest(Shape::TINY, &input), digest);
        }
        assert_eq!(trace.last(), [6; 32]);
    }
}
