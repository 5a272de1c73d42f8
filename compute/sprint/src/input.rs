//! What is computed, and the keys made of it.

use freeway_kernels::Key;

/// Context of the weights' key.
const WEIGHTS: &str = "freeway 1 sprint weights";
/// Context of a nonce's key.
const NONCE: &str = "freeway 1 sprint nonce";

/// One computation of a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Input {
    /// The seed of the race.
    pub seed: [u8; 32],
    /// Who computes.
    pub host: [u8; 32],
    /// The number of the device among those of the host.
    pub device: u32,
    /// The number of this computation on the device.
    pub nonce: u64,
}

impl Input {
    /// Bytes of [`to_bytes`](Self::to_bytes).
    pub const BYTES: usize = 76;

    /// As it is hashed: seed, host, device and nonce after each other, integers little-endian.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..32].copy_from_slice(&self.seed);
        bytes[32..64].copy_from_slice(&self.host);
        bytes[64..68].copy_from_slice(&self.device.to_le_bytes());
        bytes[68..].copy_from_slice(&self.nonce.to_le_bytes());
        bytes
    }

    /// The key of what is injected into the state of this computation: derived from all of it.
    pub(crate) fn key(&self) -> Key {
        Key::derive(NONCE, &self.to_bytes())
    }
}

/// The key of all weights of a race: derived from its seed, 32 bytes.
pub(crate) fn weights_key(seed: &[u8; 32]) -> Key {
    Key::derive(WEIGHTS, seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_changes_the_key() {
        let input = Input { seed: [1; 32], host: [2; 32], device: 3, nonce: 4 };
        let others = [
            Input { seed: [9; 32], ..input },
            Input { host: [9; 32], ..input },
            Input { device: 9, ..input },
            Input { nonce: 9, ..input },
        ];
        for other in others {
            assert!(other.key() != input.key());
        }
        assert!(weights_key(&input.seed) != input.key());
    }
}
