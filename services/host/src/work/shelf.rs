//! Where a host keeps what it served and what it fetched: all that its duties need beside the chain's state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use freeway_api::serving::Artifact;
use freeway_ledger::lanes::Constraints;
use freeway_primitives::{Address, Digest, Signature};
use freeway_proofs::work::{Entry, LaneId, Receipt, Voucher};
use freeway_requests::evidence::Evidence;

/// What a shelf cannot do: its disk failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what this host has served cannot be read or written: {0}; look at its disk")]
pub struct ShelfError(pub String);

/// An interval of which there are receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The interval.
    pub number: u64,
    /// Whether no receipt can join it any more.
    pub sealed: bool,
}

/// What a host kept of one of its own receipts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The receipt.
    pub receipt: Receipt,
    /// Of the key of the host's share over it.
    pub signature: Signature,
    /// With which its trace is salted.
    pub salt: [u8; 32],
    /// The trace roots of its choices.
    pub traces: Vec<Digest>,
}

/// The hosts and models of which evidence is kept; of more, what was looked at longest ago goes.
pub(crate) const MAX_EVIDENCE: usize = 4_096;

/// What was found of a receipt of another host where no bit can be computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighed {
    /// The host.
    pub host: Address,
    /// The model's root.
    pub model: Digest,
    /// The receipt's interval.
    pub interval: u64,
    /// The receipt's digest.
    pub receipt: Digest,
    /// What speaks against the host in this model, this receipt taken into account.
    pub evidence: Evidence,
    /// Whether that was enough to suspect it.
    pub is_suspected: bool,
}

/// What a host has served, and foreign artifacts that it fetched. Everything is durable when a call returns.
pub trait Shelf: Send + Sync {
    /// Intervals of which there are receipts, oldest first.
    ///
    /// # Errors
    /// [`ShelfError`] if the disk fails; so everywhere here.
    fn intervals(&self) -> Result<Vec<Interval>, ShelfError>;

    /// From now on no receipt joins this interval. Done before it is committed to.
    ///
    /// # Errors
    /// [`ShelfError`]
    fn seal(&self, interval: u64) -> Result<(), ShelfError>;

    /// The entries of an interval, by lane and sequence.
    ///
    /// # Errors
    /// [`ShelfError`]
    fn entries(&self, interval: u64) -> Result<Vec<Entry>, ShelfError>;

    /// The class of a lane of which there are receipts, also once it is over: its model and what its payer asks of
    /// hosts.
    ///
    /// # Errors
    /// [`ShelfError`]
    fn class(&self, lane: LaneId) -> Result<Option<(Digest, Constraints)>, ShelfError>;

    /// What is kept of an own receipt.
    ///
    /// # Errors
    /// [`ShelfError`]
    fn kept(&self, lane: LaneId, sequence: u64) -> Result<Option<Kept>, ShelfError>;

    /// The artifact of a receipt, own or foreign, by the receipt's digest.
    ///
    /// # Errors
    /// [`ShelfError`]
    fn artifact(&self, receipt: &Digest) -> Result<Option<Artifact>, ShelfError>;

    /// Keeps a foreign artifact. The oldest may go if there are too many.
    ///
    /// # Errors
    /// [`ShelfError`]
    fn keep(&self, artifact: &Artifact) -> Result<(), ShelfError>;

    /// The voucher with the highest number that was taken on a lane: its limit covers all receipts.
    ///
    /// # Errors
    /// [`ShelfError`]
    fn voucher(&self, lane: LaneId) -> Result<Option<(Voucher, Signature)>, ShelfError>;

    /// Nobody can ask any more for prompts and answers of intervals before `bodies`, nor for anything of those before
    /// `all`.
    ///
    /// # Errors
    /// [`ShelfError`]
    fn prune(&self, bodies: u64, all: u64) -> Result<(), ShelfError>;

    /// The lanes in which this host did requests.
    ///
    /// # Errors
    /// [`ShelfError`]
    fn lanes(&self) -> Result<Vec<LaneId>, ShelfError>;

    /// These lanes are over.
    ///
    /// # Errors
    /// [`ShelfError`]
    fn forget(&self, over: Vec<LaneId>) -> Result<(), ShelfError>;

    /// What speaks against a host in a model; nothing, if it was never looked at.
    ///
    /// # Errors
    /// [`ShelfError`]
    fn evidence(&self, host: &Address, model: &Digest) -> Result<Evidence, ShelfError>;

    /// Whether a receipt of this interval was weighed, and if so whether its host was suspected.
    ///
    /// # Errors
    /// [`ShelfError`]
    fn weighed(&self, interval: u64, receipt: &Digest) -> Result<Option<bool>, ShelfError>;

    /// Keeps what was found of a receipt: that it was weighed, and the evidence, both or neither. A receipt that was
    /// weighed changes nothing.
    ///
    /// # Errors
    /// [`ShelfError`]
    fn weigh(&self, weighed: &Weighed) -> Result<(), ShelfError>;
}

/// A shelf in memory, for tests and the simulation.
#[derive(Debug, Default)]
pub struct MemoryShelf(Mutex<Contents>);

#[derive(Debug, Default)]
struct Contents {
    entries: BTreeMap<u64, BTreeMap<(LaneId, u64), Entry>>,
    sealed: BTreeSet<u64>,
    kept: BTreeMap<(LaneId, u64), Kept>,
    artifacts: BTreeMap<Digest, Artifact>,
    vouchers: BTreeMap<LaneId, (Voucher, Signature)>,
    classes: BTreeMap<LaneId, (Digest, Constraints)>,
    /// By host and model, with the latest interval that was looked at.
    evidence: BTreeMap<(Address, Digest), (u64, Evidence)>,
    weighed: BTreeMap<(u64, Digest), bool>,
    /// Whether the next artifact cannot be read.
    fails: bool,
}

impl MemoryShelf {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next artifact that is asked for cannot be read.
    pub fn fail_once(&self) {
        self.contents().fails = true;
    }

    /// Puts an own receipt of a lane of this class in; `false` if its interval is sealed.
    pub fn put(&self, kept: Kept, artifact: Artifact, class: (Digest, Constraints)) -> bool {
        let mut contents = self.contents();
        let Receipt { lane, sequence, interval, .. } = kept.receipt;
        if contents.sealed.contains(&interval) {
            return false;
        }
        let entry = kept.receipt.entry();
        contents.entries.entry(interval).or_default().insert((lane, sequence), entry);
        let voucher = (artifact.voucher, artifact.voucher_signature);
        let known = contents.vouchers.get(&lane).map(|(voucher, _)| voucher.sequence);
        if known.is_none_or(|known| known < voucher.0.sequence) {
            contents.vouchers.insert(lane, voucher);
        }
        contents.classes.insert(lane, class);
        contents.artifacts.insert(entry.receipt, artifact);
        contents.kept.insert((lane, sequence), kept);
        true
    }
}

impl Shelf for MemoryShelf {
    fn intervals(&self) -> Result<Vec<Interval>, ShelfError> {
        let contents = self.contents();
        let sealed = |number| contents.sealed.contains(&number);
        Ok(contents
            .entries
            .keys()
            .map(|number| Interval { number: *number, sealed: sealed(*number) })
            .collect())
    }

    fn seal(&self, interval: u64) -> Result<(), ShelfError> {
        self.contents().sealed.insert(interval);
        Ok(())
    }

    fn entries(&self, interval: u64) -> Result<Vec<Entry>, ShelfError> {
        let contents = self.contents();
        Ok(contents.entries.get(&interval).map(|all| all.values().copied().collect()).unwrap_or_default())
    }

    fn class(&self, lane: LaneId) -> Result<Option<(Digest, Constraints)>, ShelfError> {
        Ok(self.contents().classes.get(&lane).cloned())
    }

    fn kept(&self, lane: LaneId, sequence: u64) -> Result<Option<Kept>, ShelfError> {
        Ok(self.contents().kept.get(&(lane, sequence)).cloned())
    }

    fn artifact(&self, receipt: &Digest) -> Result<Option<Artifact>, ShelfError> {
        let mut contents = self.contents();
        if core::mem::take(&mut contents.fails) {
            return Err(ShelfError("told to fail".into()));
        }
        Ok(contents.artifacts.get(receipt).cloned())
    }

    fn keep(&self, artifact: &Artifact) -> Result<(), ShelfError> {
        self.contents().artifacts.insert(artifact.receipt.digest(), artifact.clone());
        Ok(())
    }

    fn voucher(&self, lane: LaneId) -> Result<Option<(Voucher, Signature)>, ShelfError> {
        Ok(self.contents().vouchers.get(&lane).copied())
    }

    fn prune(&self, bodies: u64, all: u64) -> Result<(), ShelfError> {
        let mut contents = self.contents();
        contents.entries.retain(|interval, _| *interval >= all);
        contents.sealed.retain(|interval| *interval >= all);
        contents.kept.retain(|_, kept| kept.receipt.interval >= all);
        contents.artifacts.retain(|_, artifact| artifact.receipt.interval >= bodies);
        contents.weighed.retain(|(interval, _), _| *interval >= bodies);
        Ok(())
    }

    fn lanes(&self) -> Result<Vec<LaneId>, ShelfError> {
        Ok(self.contents().vouchers.keys().copied().collect())
    }

    fn forget(&self, over: Vec<LaneId>) -> Result<(), ShelfError> {
        let mut contents = self.contents();
        contents.vouchers.retain(|lane, _| !over.contains(lane));
        Ok(())
    }

    fn evidence(&self, host: &Address, model: &Digest) -> Result<Evidence, ShelfError> {
        let contents = self.contents();
        Ok(contents.evidence.get(&(*host, *model)).map(|(_, evidence)| *evidence).unwrap_or_default())
    }

    fn weighed(&self, interval: u64, receipt: &Digest) -> Result<Option<bool>, ShelfError> {
        Ok(self.contents().weighed.get(&(interval, *receipt)).copied())
    }

    fn weigh(&self, weighed: &Weighed) -> Result<(), ShelfError> {
        let mut contents = self.contents();
        let Weighed { host, model, interval, receipt, evidence, is_suspected } = *weighed;
        if contents.weighed.contains_key(&(interval, receipt)) {
            return Ok(());
        }
        contents.weighed.insert((interval, receipt), is_suspected);
        contents.evidence.insert((host, model), (interval, evidence));
        if contents.evidence.len() > MAX_EVIDENCE {
            let oldest = contents.evidence.iter().min_by_key(|(_, (interval, _))| *interval);
            let oldest = oldest.map(|(place, _)| *place);
            oldest.and_then(|oldest| contents.evidence.remove(&oldest));
        }
        Ok(())
    }
}
