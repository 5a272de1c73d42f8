//! Passes: tokens by which an owner lets others spend, and which whoever holds one can narrow off line.
//!
//! A pass is a [biscuit](https://www.biscuitsec.org): a first block that the owner's key signs, and further blocks,
//! each signed with a key that came with the block before. So a holder can add limits but take none away. What the
//! blocks say is data, of the few shapes of [`Limits`]; a pass with anything else is refused, and no Datalog is ever
//! run. The shapes are those that a biscuit library checks by itself too, given `time($now)` and `model($name)`.
//!
//! Every block has an id. A gateway books what is spent under the ids of all blocks with a budget, so that the budget
//! of a pass bounds the sum of all passes that were ever narrowed from it; rates likewise. A revoked id takes all that
//! was narrowed from it along.

mod date;
pub(crate) mod desk;
mod limits;
mod owner;
pub(crate) mod owners;
#[cfg(test)]
mod tests;

use core::fmt;
use core::str::FromStr;

use biscuit_auth::{Biscuit, BlockBuilder, UnverifiedBiscuit};

pub use limits::{Limits, LimitsError};
pub use owner::{OwnerKey, OwnerPublic};
pub use owners::{FolderError, PassFolder};

/// What every pass begins with.
pub const PASS_PREFIX: &str = "fwp_";
/// Characters of a pass.
const MAX_CHARACTERS: usize = 8 << 10;
/// Blocks of a pass: how often it may be narrowed, and one.
const MAX_BLOCKS: usize = 16;
/// The purpose of the hash that makes ids.
const CONTEXT: &str = "freeway pass block id v1";
/// Bytes of an Ed25519 signature. Others are refused: whoever sees one of theirs can make a second of it, and so a
/// second id.
const SIGNATURE_BYTES: usize = 64;

/// Why a pass is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// It is not a pass at all.
    #[error(
        "this is not a whole pass; a pass begins with {PASS_PREFIX} and is one long word, copy all of it"
    )]
    Malformed,
    /// It has too many blocks.
    #[error("a pass can be narrowed {} times; narrow one nearer to its owner", MAX_BLOCKS - 1)]
    TooDeep,
    /// It would be too long.
    #[error(
        "the pass would be longer than {MAX_CHARACTERS} characters; give it fewer or shorter names of models"
    )]
    TooLong,
    /// A block says what is none of our limits.
    #[error("block {block} of the pass {problem}; ask its owner for one that `freeway pass` made")]
    Block {
        /// Which, from 0.
        block: usize,
        /// What is wrong.
        problem: String,
    },
    /// The limits make no sense, or are wider than those of the pass.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// None of the known owners signed it.
    #[error("the pass was made by an owner who is not known here; use it at its owner's gateway")]
    Foreign,
    /// It is signed with a kind of key that is not taken.
    #[error("the pass is not signed with Ed25519 throughout; ask its owner for one that `freeway pass` made")]
    Signatures,
    /// It was sealed.
    #[error("the pass is sealed and cannot be narrowed; hand it on as it is")]
    Sealed,
    /// A key cannot be read.
    #[error("an owner's key is 64 hexadecimal digits")]
    Key,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    Random(String),
}

/// The id of a block, and with it of everything that was narrowed from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PassId(pub [u8; 32]);

impl fmt::Display for PassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for PassId {
    type Err = PassIdError;

    fn from_str(text: &str) -> Result<Self, PassIdError> {
        let mut id = [0; 32];
        hex::decode_to_slice(text, &mut id).map_err(|_| PassIdError)?;
        Ok(Self(id))
    }
}

/// A text that is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a pass is 64 hexadecimal digits; `freeway pass show` tells it")]
pub struct PassIdError;

/// A block of a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassBlock {
    /// Its id.
    pub id: PassId,
    /// What it limits.
    pub limits: Limits,
}

/// A pass. Shown with [`Pass::reveal`] alone.
#[derive(Clone)]
pub struct Pass {
    biscuit: UnverifiedBiscuit,
    text: String,
    blocks: Vec<PassBlock>,
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("blocks", &self.blocks).finish_non_exhaustive()
    }
}

impl Pass {
    /// A new pass of an owner.
    ///
    /// # Errors
    /// If the limits make no sense for a first block: they need an end.
    pub fn issue(owner: &OwnerKey, limits: &Limits) -> Result<Self, PassError> {
        limits.check(true)?;
        let made = Biscuit::builder().merge(block(limits)?).build(owner.pair());
        let text = made.and_then(|biscuit| biscuit.to_base64()).map_err(|_| PassError::Malformed)?;
        Self::parse(&format!("{PASS_PREFIX}{text}"))
    }

    /// Reads a pass. Whether an owner signed it is not looked at: see [`Pass::verify`].
    ///
    /// # Errors
    /// If it is none, or says what is no limit.
    pub fn parse(text: &str) -> Result<Self, PassError> {
        Self::of(decode(text)?, text.to_owned())
    }

    /// Reads a pass that one of these owners signed. What it says is looked at only then: strangers cannot make that
    /// take long.
    ///
    /// # Errors
    /// As [`Pass::parse`] and [`Pass::verify`].
    pub fn parse_signed(text: &str, owners: &[OwnerPublic]) -> Result<Self, PassError> {
        let biscuit = decode(text)?;
        signed(&biscuit, owners)?;
        Self::of(biscuit, text.to_owned())
    }

    fn of(biscuit: UnverifiedBiscuit, text: String) -> Result<Self, PassError> {
        // One spelling for one pass, so that nothing depends on which was sent.
        if biscuit.to_base64().ok().as_deref() != text.strip_prefix(PASS_PREFIX) {
            return Err(PassError::Malformed);
        }
        if biscuit.block_count() > MAX_BLOCKS {
            return Err(PassError::TooDeep);
        }
        let signatures = biscuit.revocation_identifiers();
        let foreign = biscuit.external_public_keys().iter().any(Option::is_some);
        if foreign || signatures.iter().any(|signature| signature.len() != SIGNATURE_BYTES) {
            return Err(PassError::Signatures);
        }
        let mut blocks = Vec::with_capacity(signatures.len());
        for (index, signature) in signatures.iter().enumerate() {
            let bad = |problem: String| PassError::Block { block: index, problem };
            let source = biscuit.print_block_source(index).map_err(|_| PassError::Malformed)?;
            let limits = Limits::read(&source).map_err(bad)?;
            limits.check(index == 0).map_err(|error| bad(format!("is wrong: {error}")))?;
            blocks.push(PassBlock { id: PassId(blake3::derive_key(CONTEXT, signature)), limits });
        }
        Ok(Self { biscuit, text, blocks })
    }

    /// The same pass with further limits, for somebody else. Needs no key and no network.
    ///
    /// # Errors
    /// If a limit is wider than what the pass has, which would be without effect, or the pass would be too long.
    pub fn narrow(&self, limits: &Limits) -> Result<Self, PassError> {
        limits.check(false)?;
        limits.narrower_than(&self.limits())?;
        self.append(limits)
    }

    /// Adds a block whatever it says. What it allows beyond the others is without effect.
    fn append(&self, limits: &Limits) -> Result<Self, PassError> {
        if self.blocks.len() >= MAX_BLOCKS {
            return Err(PassError::TooDeep);
        }
        let longer = self.biscuit.append(block(limits)?).map_err(|_| PassError::Sealed)?;
        let text = longer.to_base64().map_err(|_| PassError::Malformed)?;
        let text = format!("{PASS_PREFIX}{text}");
        if text.len() > MAX_CHARACTERS {
            return Err(PassError::TooLong);
        }
        Self::of(longer, text)
    }

    /// Whether one of these owners signed it, and nobody changed it.
    ///
    /// # Errors
    /// [`PassError::Foreign`] if not.
    pub fn verify(&self, owners: &[OwnerPublic]) -> Result<(), PassError> {
        signed(&self.biscuit, owners)
    }

    /// Its blocks, the owner's first.
    pub fn blocks(&self) -> &[PassBlock] {
        &self.blocks
    }

    /// Its own id: that of its last block.
    pub fn id(&self) -> PassId {
        self.blocks.last().map_or(PassId([0; 32]), |block| block.id)
    }

    /// What holds in the end: of everything the narrowest.
    pub fn limits(&self) -> Limits {
        self.blocks.iter().fold(Limits::default(), |limits, block| limits.and(&block.limits))
    }

    /// The pass itself, for its holder.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

fn decode(text: &str) -> Result<UnverifiedBiscuit, PassError> {
    let inner = text.strip_prefix(PASS_PREFIX).filter(|_| text.len() <= MAX_CHARACTERS);
    UnverifiedBiscuit::from_base64(inner.ok_or(PassError::Malformed)?).map_err(|_| PassError::Malformed)
}

fn signed(biscuit: &UnverifiedBiscuit, owners: &[OwnerPublic]) -> Result<(), PassError> {
    let by = |owner: &OwnerPublic| biscuit.clone().verify(*owner.inner()).is_ok();
    if owners.iter().any(by) { Ok(()) } else { Err(PassError::Foreign) }
}

fn block(limits: &Limits) -> Result<BlockBuilder, PassError> {
    BlockBuilder::new().code(limits.source()).map_err(|_| PassError::Malformed)
}
