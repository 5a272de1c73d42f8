//! BLAKE3 digests under domains, and the identity of a network.

use core::fmt;
use core::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};

/// The purpose of a hash or a signature. One per type; never reused, never derived from input.
///
/// Used as the context string of BLAKE3's key derivation mode (BLAKE3 paper, section 2.3), which is what
/// separates the domains from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain(&'static str);

impl Domain {
    /// A domain. `name` must be a literal of the form `freeway 1 <purpose>`.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The context string.
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// A hasher for this domain.
    pub(crate) fn hasher(self) -> blake3::Hasher {
        blake3::Hasher::new_derive_key(self.0)
    }
}

/// A 32-byte BLAKE3 digest.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// All zeros: stands for "nothing yet" (the parent of the first block, the root of an empty tree).
    pub const ZERO: Self = Self([0; 32]);

    /// The digest of `bytes` in `domain`.
    pub fn of(domain: Domain, bytes: &[u8]) -> Self {
        Self(*domain.hasher().update(bytes).finalize().as_bytes())
    }

    /// The digest of a list of byte strings in `domain`. Each is preceded by its length, so that no two
    /// different lists give the same input.
    pub fn of_list<'a>(domain: Domain, items: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = domain.hasher();
        for item in items {
            hasher.update(&(item.len() as u64).to_le_bytes()).update(item);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..6]))
    }
}

/// A string that is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest has 64 hexadecimal digits, this is {0:?}")]
pub struct ParseDigestError(String);

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| ParseDigestError(text.chars().take(80).collect()))?;
        Ok(Self(bytes))
    }
}

/// The identity of a network: the digest of its genesis. Part of every signature, so that nothing signed for
/// one network, or for a fork with another genesis, can be replayed on this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct ChainId(pub Digest);

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ChainId {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
