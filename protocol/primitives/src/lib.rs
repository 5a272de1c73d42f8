//! The vocabulary of the protocol: newtypes, keys, blocks, and the one encoding of all of them.
//!
//! Everything that is hashed or signed in Freeway passes through three things in this crate:
//!
//! - [`Canonical`]: one binary encoding (borsh) with a size bound per type; decoding rejects trailing bytes.
//! - [`Digest::of`]: BLAKE3 under a [`Domain`], so that two types never share a hash.
//! - [`SecretKey::sign`]: ed25519 over (domain, chain, canonical bytes); a signature for one network or one
//!   type means nothing on another.
//!
//! The crate has no I/O, no clock, no floats and no randomness of its own. The encodings are frozen by the
//! golden vectors in `tests/golden.txt`.

mod address;
mod amount;
mod block;
mod codec;
mod digest;
mod height;
mod keys;
mod validators;
mod vote;

pub use address::{Address, AddressError};
pub use amount::{Amount, AmountError, NFWY_PER_FWY};
pub use block::{
    BeaconRecord, Block, BlockId, Certificate, CertificateError, CommitSignature, Header, MAX_BLOCK_BYTES,
};
pub use codec::{Canonical, DecodeError};
pub use digest::{ChainId, Digest, Domain, ParseDigestError};
pub use height::{Epoch, Height};
pub use keys::{
    BatchItem, InvalidSignature, KeyError, PublicKey, SecretKey, Signature, signing_digest, verify_batch,
};
pub use validators::{MAX_TOTAL_POWER, MAX_VALIDATORS, Validator, ValidatorSet, ValidatorSetError};
pub use vote::{Equivocation, EquivocationError, Proposal, SignedProposal, SignedVote, Vote, VoteKind};
