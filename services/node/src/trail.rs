//! The trail of validator sets: how a new node walks from genesis to the present.
//!
//! At every switch the last block of the epoch names the digest of the next set, and is certified by the old
//! one. The trail keeps these headers, certificates and sets, one small file per switch, for ever: whoever
//! knows the genesis can check each step and trusts nobody.

use std::io::Write;
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_ledger::epochs::{KEPT_SETS, SETS};
use freeway_primitives::{
    Block, Canonical, Certificate, CertificateError, ChainId, Header, Height, ValidatorSet,
};
use freeway_store::Store;

use crate::chain::NodeError;

/// Switches in one answer to a new node.
pub const MAX_SWITCHES: usize = 64;

/// A header and why it is final.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Certified {
    /// The header.
    pub header: Header,
    /// Its certificate.
    pub certificate: Certificate,
}

impl Canonical for Certified {
    const KIND: &'static str = "certified header";
    const MAX_BYTES: usize = Header::MAX_BYTES + Certificate::MAX_BYTES;
}

/// The last block of an epoch and the set that it hands over to.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Switch {
    /// The block.
    pub last: Certified,
    /// Who signs from the next height on.
    pub next: ValidatorSet,
}

impl Canonical for Switch {
    const KIND: &'static str = "switch";
    const MAX_BYTES: usize = Certified::MAX_BYTES + ValidatorSet::MAX_BYTES;
}

/// Why a step of the walk is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// A header is of another network.
    #[error("the header of height {0} is of another network")]
    OtherNetwork(Height),
    /// A header does not name the set that the walk has arrived at.
    #[error("the header of height {0} names other validators than the trail leads to")]
    OtherValidators(Height),
    /// Its certificate is for another block, or not signed by the set.
    #[error("the certificate of height {height} is not valid: {reason}")]
    NotFinal {
        /// The height.
        height: Height,
        /// Why.
        reason: String,
    },
    /// Heights do not rise.
    #[error("the trail does not rise at height {0}")]
    NotRising(Height),
}

/// A walk from genesis along certified headers.
#[derive(Clone, Debug)]
pub struct Walk {
    chain: ChainId,
    /// The latest switch.
    height: Height,
    set: ValidatorSet,
}

impl Walk {
    /// At genesis, with the validators that it names.
    pub fn new(chain: ChainId, first: ValidatorSet) -> Self {
        Self { chain, height: Height::GENESIS, set: first }
    }

    /// The height of the latest switch.
    pub fn height(&self) -> Height {
        self.height
    }

    /// Checks a header that the present set must have signed.
    ///
    /// # Errors
    /// [`WalkError`] if it is not final by the present set.
    pub fn check(&self, certified: &Certified) -> Result<(), WalkError> {
        let Certified { header, certificate } = certified;
        let height = header.height;
        if header.chain != self.chain {
            return Err(WalkError::OtherNetwork(height));
        }
        if header.validators != self.set.digest() {
            return Err(WalkError::OtherValidators(height));
        }
        let fail = |reason: String| WalkError::NotFinal { height, reason };
        if certificate.height != height || certificate.block != header.id() {
            return Err(fail("it is for another block".into()));
        }
        certificate.verify(&self.chain, &self.set).map_err(|error: CertificateError| fail(error.to_string()))
    }

    /// Takes a step: from here on the next set signs.
    ///
    /// # Errors
    /// [`WalkError`] if the switch does not follow from what is known.
    pub fn step(&mut self, switch: Switch) -> Result<(), WalkError> {
        let height = switch.last.header.height;
        if height <= self.height {
            return Err(WalkError::NotRising(height));
        }
        self.check(&switch.last)?;
        if switch.last.header.next_validators != switch.next.digest() {
            return Err(WalkError::OtherValidators(height.next()));
        }
        self.height = height;
        self.set = switch.next;
        Ok(())
    }
}

/// The trail on disk.
#[derive(Clone, Debug)]
pub struct Trail {
    folder: PathBuf,
}

impl Trail {
    /// The trail in `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// The system's, if it cannot be made.
    pub fn open(folder: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    fn path(&self, height: Height) -> PathBuf {
        // Padded, so that names sort by height.
        self.folder.join(format!("{:020}", height.0))
    }

    /// Keeps a switch. Atomic: a crash leaves it whole or absent.
    ///
    /// # Errors
    /// The system's, if it cannot be written.
    pub fn keep(&self, switch: &Switch) -> std::io::Result<()> {
        let target = self.path(switch.last.header.height);
        if target.exists() {
            return Ok(());
        }
        let temporary = target.with_extension("new");
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(&switch.encode())?;
        file.sync_data()?;
        std::fs::rename(&temporary, &target)?;
        std::fs::File::open(&self.folder)?.sync_all()
    }

    /// At most [`MAX_SWITCHES`] switches after `height`, in order.
    ///
    /// # Errors
    /// If the folder cannot be read or a file is damaged.
    pub fn after(&self, height: Height) -> std::io::Result<Vec<Switch>> {
        let mut heights: Vec<u64> = std::fs::read_dir(&self.folder)?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|found| *found > height.0)
            .collect();
        heights.sort_unstable();
        heights.truncate(MAX_SWITCHES);
        let read = |height: u64| {
            let bytes = std::fs::read(self.path(Height(height)))?;
            Switch::decode(&bytes).map_err(|error| std::io::Error::other(error.to_string()))
        };
        heights.into_iter().map(read).collect()
    }

    /// Keeps the switches that the state still knows and the trail does not: after a replay or restore.
    ///
    /// # Errors
    /// [`NodeError`] if the store cannot be read or the trail not written.
    pub fn catch_up(&self, store: &Store) -> Result<(), NodeError> {
        let state = store.view();
        for (_, known) in SETS.page(&state, None, KEPT_SETS as usize + 1)? {
            let last = known.start.minus(1);
            if last == Height::GENESIS || self.path(last).exists() {
                continue;
            }
            let Some((block, certificate)) = store.block(last)? else { continue };
            let header = Block::decode(&block)?.header;
            let last = Certified { header, certificate: Certificate::decode(&certificate)? };
            self.keep(&Switch { last, next: known.validators }).map_err(NodeError::Trail)?;
        }
        Ok(())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
