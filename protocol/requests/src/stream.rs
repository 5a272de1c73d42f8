//! The numbers that decide draws: one for each position of each choice of a request.
//!
//! The key of a stream is the digest, in a domain of its own, of the request's digest and the number of the choice
//! (two bytes, little-endian). Number `i` is the first eight bytes, little-endian, of keyed BLAKE3 of `i` (eight
//! bytes, little-endian): any of them alone, so that a choice can be taken up anywhere.

use freeway_primitives::{Digest, Domain};

const STREAM: Domain = Domain::new("freeway 1 sampling stream");

/// The stream of one choice, with random access.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    key: [u8; 32],
}

impl Stream {
    /// The stream of `choice` of the request with this digest.
    pub(crate) fn new(request: &Digest, choice: u16) -> Self {
        let bytes = [&request.0[..], &choice.to_le_bytes()].concat();
        Self { key: Digest::of(STREAM, &bytes).0 }
    }

    /// The number for the token at `position`.
    pub(crate) fn word(&self, position: u64) -> u64 {
        let hash = blake3::keyed_hash(&self.key, &position.to_le_bytes());
        let mut word = [0; 8];
        word.copy_from_slice(&hash.as_bytes()[..8]);
        u64::from_le_bytes(word)
    }
}
