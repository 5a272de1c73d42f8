//! The canonical encoding: borsh, bounded, without trailing bytes.

use borsh::{BorshDeserialize, BorshSerialize};

/// Why bytes are not a canonical value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than a value of this type may have.
    #[error("{actual} bytes, but {kind} may have at most {limit}")]
    TooLarge {
        /// Name of the expected type.
        kind: &'static str,
        /// Length of the input in bytes.
        actual: usize,
        /// The type's bound in bytes.
        limit: usize,
    },
    /// The bytes do not spell a value of this type, or spell it in another than the canonical way.
    #[error("not a canonical {kind}: {detail}")]
    Malformed {
        /// Name of the expected type.
        kind: &'static str,
        /// What the decoder met.
        detail: String,
    },
}

/// A value with exactly one binary encoding.
///
/// Borsh is canonical by construction (fixed-width integers, ordered maps, length-prefixed sequences); this
/// trait adds a bound and rejects what is left over, so that equal values and equal bytes are the same thing.
pub trait Canonical: BorshSerialize + BorshDeserialize + Sized {
    /// Name of the type in error messages.
    const KIND: &'static str;
    /// The longest accepted encoding in bytes.
    const MAX_BYTES: usize;

    /// The canonical bytes.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        match self.serialize(&mut bytes) {
            Ok(()) => bytes,
            // Writing to a vector cannot fail and no type of the protocol has a length beyond u32.
            Err(error) => unreachable!("encoding {} into memory: {error}", Self::KIND),
        }
    }

    /// The value that `bytes` spell.
    ///
    /// # Errors
    /// [`DecodeError`] if there are too many bytes, too few, some left over, or if they are not canonical.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(DecodeError::TooLarge {
                kind: Self::KIND,
                actual: bytes.len(),
                limit: Self::MAX_BYTES,
            });
        }
        Self::try_from_slice(bytes)
            .map_err(|error| DecodeError::Malformed { kind: Self::KIND, detail: error.to_string() })
    }
}
