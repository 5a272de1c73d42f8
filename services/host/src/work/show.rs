//! What this host shows of its work, and to whom: samples to committees, artifacts to them and to jurors, leaves to all.

use freeway_api::serving::{Artifact, LeafShown, MAX_SAMPLES, Samples, ShownSample};
use freeway_ledger::lanes::LANES;
use freeway_ledger::verification::{is_judge, open_trials};
use freeway_ledger::work::{self, Branch, Commitment};
use freeway_ledger::{Params, Reader};
use freeway_primitives::{Address, Digest, Height, PublicKey};
use freeway_proofs::work::{LaneId, Receipt};

use super::{Moment, Refusal, WorkCore, WorkError};

/// Trees that are built between two blocks because somebody asks for a leaf.
const MAX_BUILT: u32 = 4;

/// Where the answers to verifiers and payers come from. All of it may block.
pub trait ShowWork: Send + Sync + 'static {
    /// The consensus key of a host that asks.
    ///
    /// # Errors
    /// [`Refusal`] if it is no host, or the state cannot be read.
    fn key_of(&self, asker: Address) -> Result<PublicKey, Refusal>;

    /// The samples of this host's commitment that a member of its committee checks.
    ///
    /// # Errors
    /// [`Refusal`] says why nothing.
    fn samples(&self, interval: u64, asker: Address) -> Result<Samples, Refusal>;

    /// What belongs to a receipt, own or foreign, for a member of its committee or jury.
    ///
    /// # Errors
    /// [`Refusal`] says why nothing.
    fn artifact(&self, receipt: Digest, asker: Address) -> Result<Artifact, Refusal>;

    /// A leaf of this host's commitment, for everybody.
    ///
    /// # Errors
    /// [`Refusal`] says why nothing.
    fn leaf(&self, interval: u64, lane: LaneId, sequence: u64) -> Result<LeafShown, Refusal>;
}

impl WorkCore {
    /// See [`ShowWork::samples`].
    ///
    /// # Errors
    /// [`Refusal`] says why nothing.
    pub fn samples(&mut self, state: &dyn Reader, interval: u64, asker: Address) -> Result<Samples, Refusal> {
        let now = self.moment(state)?;
        let me = self.me.address;
        let commitment = work::commitment(state, interval, &me)?.ok_or(Refusal::NotCommitted(interval))?;
        if commitment.sampled.is_none() {
            return Err(Refusal::NotDrawn(interval));
        }
        let asks = |place: usize| is_member(&commitment, place, &asker);
        if !(0..commitment.branches.len()).any(asks) {
            return Err(Refusal::NotConcerned(asker));
        }
        let mine = self.committed(&now, interval, &commitment)?.filter(|_| !self.withholds());
        let Some(mine) = mine else { return Err(Refusal::Unknown) };
        let mut samples = Vec::new();
        for (sample, drawn) in (0u32..).zip(work::samples(&me, interval, &commitment)) {
            let leaf = mine.leaf_at(drawn.branch, drawn.point).filter(|_| asks(drawn.branch));
            let Some(leaf) = leaf.filter(|_| samples.len() < MAX_SAMPLES) else { continue };
            let kept = self.shelf.kept(leaf.entry.lane, leaf.entry.sequence)?.ok_or(Refusal::Unknown)?;
            samples.push(ShownSample { sample, leaf, receipt: kept.receipt });
        }
        Ok(Samples { samples })
    }

    /// See [`ShowWork::artifact`].
    ///
    /// # Errors
    /// [`Refusal`] says why nothing.
    pub fn artifact(
        &mut self,
        state: &dyn Reader,
        receipt: Digest,
        asker: Address,
    ) -> Result<Artifact, Refusal> {
        let artifact = self.shelf.artifact(&receipt)?.ok_or(Refusal::Unknown)?;
        if artifact.receipt.host == self.me.address && self.withholds() {
            return Err(Refusal::Unknown);
        }
        if self.is_concerned(state, &artifact.receipt, &receipt, &asker)? {
            Ok(artifact)
        } else {
            Err(Refusal::NotConcerned(asker))
        }
    }

    /// Whether somebody judges a receipt, or is in the committee for a sample that hits it.
    fn is_concerned(
        &mut self,
        state: &dyn Reader,
        receipt: &Receipt,
        digest: &Digest,
        asker: &Address,
    ) -> Result<bool, WorkError> {
        let (host, interval) = (receipt.host, receipt.interval);
        let of_this = |other: &Digest| other == digest;
        for (_, trial) in open_trials(state)? {
            if of_this(&trial.receipt) && is_judge(&trial, asker).is_some() {
                return Ok(true);
            }
        }
        let Some(commitment) = work::commitment(state, interval, &host)? else { return Ok(false) };
        let asks = |place: usize| is_member(&commitment, place, asker);
        if host != self.me.address {
            // What is kept of others was sampled or tried, so members need not prove again that it was; but only those
            // who check lanes of this class meet what its payers ask of hosts.
            let Some(lane) = LANES.get(state, &receipt.lane)? else { return Ok(false) };
            let class =
                |branch: &Branch| branch.model == lane.model && branch.constraints == lane.constraints;
            return Ok(commitment.branches.iter().position(class).is_some_and(asks));
        }
        let now = self.moment(state)?;
        let Some(mine) = self.committed(&now, interval, &commitment)? else { return Ok(false) };
        // Otherwise a single member could read all prompts of an interval.
        let hit = work::samples(&host, interval, &commitment).into_iter().any(|sample| {
            let leaf = mine.leaf_at(sample.branch, sample.point).filter(|_| asks(sample.branch));
            leaf.is_some_and(|leaf| of_this(&leaf.entry.receipt))
        });
        Ok(hit)
    }

    /// See [`ShowWork::leaf`].
    ///
    /// # Errors
    /// [`Refusal`] says why nothing.
    pub fn leaf(
        &mut self,
        state: &dyn Reader,
        interval: u64,
        lane: LaneId,
        sequence: u64,
    ) -> Result<LeafShown, Refusal> {
        let now = self.moment(state)?;
        let commitment = work::commitment(state, interval, &self.me.address)?;
        let commitment = commitment.ok_or(Refusal::NotCommitted(interval))?;
        // Everybody may ask, and trees of old intervals are not at hand.
        if !self.trees.contains_key(&interval) {
            if self.built >= MAX_BUILT {
                return Err(Refusal::Busy);
            }
            self.built += 1;
        }
        let mine = self.committed(&now, interval, &commitment)?.filter(|_| !self.withholds());
        let leaf = mine.and_then(|mine| mine.leaf_of(lane, sequence)).ok_or(Refusal::Unknown)?;
        Ok(LeafShown { interval, leaf })
    }

    /// Nothing that is shown depends on the height.
    fn moment<'a>(&self, state: &'a dyn Reader) -> Result<Moment<'a>, WorkError> {
        Ok(Moment { state, height: Height::GENESIS, params: Params::current(state)? })
    }
}

/// Whether somebody was asked to check a branch, in any round.
fn is_member(commitment: &Commitment, branch: usize, asker: &Address) -> bool {
    commitment.branches.get(branch).is_some_and(|branch| branch.committee.contains(asker))
}
