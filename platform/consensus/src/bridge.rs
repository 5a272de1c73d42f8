//! Between the engine and the application: a plain state machine without I/O of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use freeway_primitives as p;
use malachitebft_app_channel::app::types::{LocallyProposedValue, ProposedValue};
use malachitebft_core_consensus::MisbehaviorEvidence;
use malachitebft_core_types::{CommitCertificate, HeightParams, LinearTimeouts, Round, Validity};
use malachitebft_engine::host::SyncedValueOutcome;
use malachitebft_sync::RawDecidedValue;
use tracing::{debug, info, warn};

use crate::application::{Application, Decided, Fatal, HeightPlan, Timing};
use crate::codec::{MAX_RESPONSE_BYTES, MAX_RESPONSE_VALUES, certificate_from_engine, extended_to_engine};
use crate::context::{Address, Context, Height, ValidatorView, Value};
use crate::parts::{Assembled, Assembler, Opening, PartMessage, split};
use crate::signing::{Signing, SigningGuard};

/// How far ahead of the current height complete proposals are kept until their height begins.
const MAX_HEIGHTS_AHEAD: u64 = 2;
/// The most blocks that the proposer of one round can make this node execute and store. A second one proves
/// that it breaks the rules; whoever needs a later one gets it from a peer's history.
pub const MAX_BLOCKS_A_ROUND: usize = 4;
/// The most proposals that wait for their height.
const MAX_EARLY: usize = 8;

const _: () = assert!(MAX_EARLY * p::MAX_BLOCK_BYTES <= 64 << 20);

/// A block on its way out.
#[derive(Debug)]
pub struct Outgoing {
    /// What to tell the engine.
    pub value: LocallyProposedValue<Context>,
    /// What to publish.
    pub parts: Vec<PartMessage>,
}

/// The engine's view of an [`Application`].
pub struct Bridge<A> {
    application: A,
    signing: Option<Signing>,
    chain: p::ChainId,
    address: p::Address,
    plan: HeightPlan,
    view: ValidatorView,
    assembler: Assembler,
    early: BTreeMap<(p::Height, u64), Assembled>,
    /// Which blocks were judged for each round of the height.
    judged: BTreeMap<u32, BTreeSet<p::Digest>>,
    /// Heights whose block came from a peer's history.
    synced: BTreeSet<p::Height>,
    counter: u64,
}

impl<A: Application> Bridge<A> {
    /// A bridge for the validator `address` (with its key), or for a node that only follows (without).
    /// `incarnation` must differ between runs of the process: it keeps the streams of two runs apart.
    ///
    /// # Errors
    /// [`Fatal`] if the application cannot start.
    pub fn new(
        mut application: A,
        chain: p::ChainId,
        address: p::Address,
        signing: Option<Signing>,
        incarnation: u64,
    ) -> Result<Self, Fatal> {
        let plan = application.plan()?;
        let view = ValidatorView::new(&plan.validators, &plan.silent);
        Ok(Self {
            application,
            signing,
            chain,
            address,
            plan,
            view,
            assembler: Assembler::default(),
            early: BTreeMap::new(),
            judged: BTreeMap::new(),
            synced: BTreeSet::new(),
            counter: incarnation,
        })
    }

    /// The application.
    pub fn application(&self) -> &A {
        &self.application
    }

    /// The application, to be changed between two calls of the engine.
    pub fn application_mut(&mut self) -> &mut A {
        &mut self.application
    }

    /// The height under decision and its surroundings.
    pub fn plan(&self) -> &HeightPlan {
        &self.plan
    }

    /// The height to start, and its parameters.
    pub fn start(&self) -> (Height, HeightParams<Context>) {
        (Height(self.plan.height), self.params())
    }

    fn params(&self) -> HeightParams<Context> {
        HeightParams::new(self.view.clone(), timeouts(self.plan.timing), Some(self.plan.timing.target))
    }

    fn replan(&mut self) -> Result<(), Fatal> {
        self.plan = self.application.plan()?;
        self.view = ValidatorView::new(&self.plan.validators, &self.plan.silent);
        self.assembler.forget_below(self.plan.height);
        let height = self.plan.height;
        self.early.retain(|(of, _), _| *of >= height);
        self.judged.clear();
        self.synced.retain(|of| *of >= height);
        Ok(())
    }

    /// A round began: the proposals for it that are known already.
    ///
    /// # Errors
    /// [`Fatal`] from the application.
    pub fn started_round(
        &mut self,
        height: p::Height,
        round: Round,
    ) -> Result<Vec<ProposedValue<Context>>, Fatal> {
        let mut values = Vec::new();
        if height != self.plan.height {
            return Ok(values);
        }
        let early: Vec<_> = self.early.keys().filter(|(of, _)| *of == height).copied().collect();
        for key in early {
            if let Some(assembled) = self.early.remove(&key) {
                values.extend(self.judge(assembled)?);
            }
        }
        for known in self.application.known(height)? {
            values.push(proposed(known.opening, known.block, known.valid));
        }
        values.retain(|value| value.round == round);
        Ok(values)
    }

    /// It is this node's turn to propose; `None` if it has no key or the height is over.
    ///
    /// # Errors
    /// [`Fatal`] from the application.
    pub fn propose(&mut self, height: p::Height, round: Round) -> Result<Option<Outgoing>, Fatal> {
        let Some(number) = round.as_u32() else { return Ok(None) };
        let Some(signing) = self.signing.clone() else { return Ok(None) };
        // A proposal that could not be signed would only cost the others time.
        if height != self.plan.height || !signing.guard().allows(height) {
            return Ok(None);
        }
        let opening = Opening { height, round: number, valid_round: None, proposer: self.address };
        let (block, bytes) = self.application.propose(opening)?;
        let parts = self.parts(&signing, opening, &bytes);
        let value = LocallyProposedValue::new(Height(height), round, Value(block));
        Ok(Some(Outgoing { value, parts }))
    }

    /// The engine wants a known block sent again, for another round.
    ///
    /// # Errors
    /// [`Fatal`] from the application.
    pub fn restream(
        &mut self,
        height: p::Height,
        round: Round,
        valid_round: Round,
        block: p::BlockId,
    ) -> Result<Vec<PartMessage>, Fatal> {
        let (Some(round), Some(signing)) = (round.as_u32(), self.signing.clone()) else {
            return Ok(Vec::new());
        };
        let Some(bytes) = self.application.bytes(height, block)? else {
            warn!(%height, %block, "asked to send a block that is not known");
            return Ok(Vec::new());
        };
        let opening = Opening { height, round, valid_round: valid_round.as_u32(), proposer: self.address };
        Ok(self.parts(&signing, opening, &bytes))
    }

    fn parts(&mut self, signing: &Signing, opening: Opening, bytes: &[u8]) -> Vec<PartMessage> {
        self.counter = self.counter.wrapping_add(1);
        split(opening, bytes, &self.chain, signing.key(), self.counter)
    }

    /// A part arrived; the proposal, if it is complete, for now, and from the round's proposer.
    ///
    /// # Errors
    /// [`Fatal`] from the application.
    pub fn receive(
        &mut self,
        publisher: Vec<u8>,
        part: PartMessage,
    ) -> Result<Option<ProposedValue<Context>>, Fatal> {
        let Some(assembled) = self.assembler.insert(publisher, part) else { return Ok(None) };
        let (height, now) = (assembled.opening.height, self.plan.height);
        if height == now {
            return self.judge(assembled);
        }
        if height > now && height <= now.plus(MAX_HEIGHTS_AHEAD) {
            self.counter = self.counter.wrapping_add(1);
            if self.early.len() >= MAX_EARLY {
                self.early.pop_last();
            }
            self.early.insert((height, self.counter), assembled);
        }
        Ok(None)
    }

    fn judge(&mut self, assembled: Assembled) -> Result<Option<ProposedValue<Context>>, Fatal> {
        let opening = assembled.opening;
        let expected = self.view.proposer(opening.height, opening.round);
        let sealed =
            self.view.key_of(&opening.proposer).is_some_and(|key| assembled.is_sealed_by(&self.chain, &key));
        if malachitebft_core_types::Validator::address(expected).0 != opening.proposer || !sealed {
            debug!(height = %opening.height, round = opening.round, "a proposal by somebody else was dropped");
            return Ok(None);
        }
        let (blocks, digest) = (self.judged.entry(opening.round).or_default(), assembled.digest());
        if !blocks.contains(&digest) && blocks.len() >= MAX_BLOCKS_A_ROUND {
            debug!(height = %opening.height, round = opening.round, "one more block of the round was dropped");
            return Ok(None);
        }
        blocks.insert(digest);
        let judged = self.application.judge(opening, assembled.block, false)?;
        Ok(Some(proposed(opening, judged.block, judged.valid)))
    }

    /// A peer's history contains this block for the current height, with a verified certificate.
    ///
    /// # Errors
    /// [`Fatal`] from the application.
    pub fn synced(
        &mut self,
        height: p::Height,
        round: Round,
        proposer: p::Address,
        block: Bytes,
    ) -> Result<SyncedValueOutcome<Context>, Fatal> {
        let Some(number) = round.as_u32() else { return Ok(SyncedValueOutcome::PeerFault) };
        if height != self.plan.height {
            return Ok(SyncedValueOutcome::LocalTransientError);
        }
        let opening = Opening { height, round: number, valid_round: None, proposer };
        let judged = self.application.judge(opening, block, true)?;
        self.synced.insert(height);
        Ok(SyncedValueOutcome::Verdict(proposed(opening, judged.block, judged.valid)))
    }

    /// The engine decided.
    ///
    /// # Errors
    /// [`Fatal`] from the application.
    pub fn decided(&mut self, certificate: &CommitCertificate<Context>) -> Result<(), Fatal> {
        let certificate = certificate_from_engine(certificate).map_err(|error| Fatal(error.to_string()))?;
        self.application.decided(&certificate)?;
        Ok(())
    }

    /// The height is over: `true` if the next one should begin, `false` if this one must begin again because
    /// the block is not known.
    ///
    /// # Errors
    /// [`Fatal`] from the application.
    pub fn finalized(
        &mut self,
        certificate: &CommitCertificate<Context>,
        evidence: &MisbehaviorEvidence<Context>,
    ) -> Result<bool, Fatal> {
        let certificate = certificate_from_engine(certificate).map_err(|error| Fatal(error.to_string()))?;
        let live = !self.synced.contains(&certificate.height);
        let outcome = self.application.finalized(&certificate, equivocations(evidence))?;
        if outcome == Decided::Unknown {
            return Ok(false);
        }
        if let Some(guard) = self.signing.as_ref().map(Signing::guard).filter(|guard| guard.is_closed())
            && live
            && self.application.is_current()?
        {
            guard.open_after(certificate.height);
            info!(height = %certificate.height, "the network decided without this node; it signs from here on");
        }
        self.replan()?;
        Ok(true)
    }

    /// Decided blocks for a peer, within the bounds of one answer.
    ///
    /// # Errors
    /// [`Fatal`] from the application.
    pub fn history(&mut self, range: RangeInclusive<Height>) -> Result<Vec<RawDecidedValue<Context>>, Fatal> {
        let (first, last) = (range.start().0, range.end().0);
        let count = last.0.saturating_sub(first.0).saturating_add(1).min(MAX_RESPONSE_VALUES as u64);
        let found = self.application.history(first, count as usize, MAX_RESPONSE_BYTES / 2)?;
        Ok(found
            .into_iter()
            .map(|(block, certificate)| RawDecidedValue::new(block, extended_to_engine(&certificate)))
            .collect())
    }

    /// The oldest height in [`Bridge::history`].
    ///
    /// # Errors
    /// [`Fatal`] from the application.
    pub fn oldest(&mut self) -> Result<Height, Fatal> {
        self.application.oldest().map(Height)
    }

    /// Whether this node votes: it has a key, and the key's guard is open. While it does not, the engine must
    /// run as a follower's; it fails when it is asked to sign and cannot.
    pub fn votes(&self) -> bool {
        self.guard().is_some_and(|guard| !guard.is_closed())
    }

    /// Bytes of unfinished proposals in memory.
    pub fn held_bytes(&self) -> usize {
        let early: usize = self.early.values().map(|assembled| assembled.block.len()).sum();
        self.assembler.held_bytes() + early
    }

    /// The guard of this node's key, if it has one.
    pub fn guard(&self) -> Option<&SigningGuard> {
        self.signing.as_ref().map(Signing::guard)
    }
}

fn proposed(opening: Opening, block: p::BlockId, valid: bool) -> ProposedValue<Context> {
    ProposedValue {
        height: Height(opening.height),
        round: Round::new(opening.round),
        valid_round: opening.valid_round.map_or(Round::Nil, Round::new),
        proposer: Address(opening.proposer),
        value: Value(block),
        validity: Validity::from_bool(valid),
    }
}

fn timeouts(timing: Timing) -> LinearTimeouts {
    LinearTimeouts {
        propose: timing.propose,
        propose_delta: timing.propose / 2,
        prevote: timing.vote,
        prevote_delta: timing.vote / 2,
        precommit: timing.vote,
        precommit_delta: timing.vote / 2,
        rebroadcast: timing.propose,
        max_timeout: (timing.propose * 16).max(Duration::from_secs(1)),
    }
}

/// What the engine saw of equivocation, as proofs that anybody can check.
pub fn equivocations(evidence: &MisbehaviorEvidence<Context>) -> Vec<p::Equivocation> {
    let mut found = Vec::new();
    for (_, pairs) in evidence.votes.iter() {
        for (a, b) in pairs {
            if let (Some(first), Some(second)) = (a.message.to_primitive(), b.message.to_primitive())
                && first != second
            {
                found.push(p::Equivocation::of_votes(
                    p::SignedVote { vote: first, signature: a.signature.0 },
                    p::SignedVote { vote: second, signature: b.signature.0 },
                ));
            }
        }
    }
    for (_, pairs) in evidence.proposals.iter() {
        for (a, b) in pairs {
            if let (Some(first), Some(second)) = (a.message.to_primitive(), b.message.to_primitive())
                && first != second
            {
                found.push(p::Equivocation::of_proposals(
                    p::SignedProposal { proposal: first, signature: a.signature.0 },
                    p::SignedProposal { proposal: second, signature: b.signature.0 },
                ));
            }
        }
    }
    found
}
