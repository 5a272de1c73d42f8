//! The chain: builds, judges, executes and commits blocks for the consensus engine.
//!
//! Everything here is synchronous and depends only on its arguments, the store and the clock it was given, so
//! that the simulator runs it unchanged. Blocks are executed when they are judged; the result is kept, so that
//! a commit only has to make it durable. A header carries the state root of its parent: computing a root
//! happens after the commit, while the next height begins.

mod build;
mod judge;
mod life;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use freeway_api::trace::TARGET;
use freeway_consensus::parts::Opening;
use freeway_consensus::{Application, Decided, Fatal, HeightPlan, Judged, Timing};
use freeway_ledger::epochs::{self, Phase};
use freeway_ledger::{BlockOutcome, Event, Fault, Genesis, GenesisError, Message, Params, Receipt, evidence};
use freeway_primitives::{
    Address, Block, BlockId, Canonical, Certificate, ChainId, DecodeError, Digest, Equivocation, Height,
    ValidatorSet,
};
use freeway_store::{BlockRecord, ReceiptRecord, StateView, Store, StoreError};
use tracing::{info, info_span, warn};

use crate::beacon::Keeper;
use crate::duties::Duties;
use crate::feed::{Committed, Feed, Tip};
use crate::mempool::Mempool;
use crate::trail::Trail;

/// Judged blocks of one height that are kept in memory.
const MAX_CANDIDATES: usize = 32;
/// Blocks that a report of evidence may wait for inclusion.
const EVIDENCE_LIFETIME: u64 = 100;
/// How far the time of a proposed block may be ahead of this node's clock, in milliseconds. Otherwise one
/// proposer could move the time of all later blocks to where nothing can follow.
const MAX_AHEAD_MS: u64 = 10_000;
/// By how much the time of a block must be later than a node's start for the block to be made after it, in
/// milliseconds: what may be ahead, and as much again for clocks that differ.
const CURRENT_AFTER_MS: u64 = 2 * MAX_AHEAD_MS;

/// A clock: milliseconds since 1970. Real in a node, simulated in the simulator.
pub type Now = Box<dyn Fn() -> u64 + Send>;

/// When state is written to disk. Blocks always are at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Every few blocks, on a thread of its own.
    Background,
    /// Every few blocks, before going on: for the simulator.
    Inline,
}

/// Why a chain cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state cannot be read.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The genesis is wrong.
    #[error("the genesis is not usable: {0}")]
    Genesis(#[from] GenesisError),
    /// Something stored does not decode.
    #[error("a stored value is damaged: {0}")]
    Damaged(#[from] DecodeError),
    /// The directory belongs to another network.
    #[error(
        "the directory holds network {found}, but the genesis given is of {expected}; use another directory, \
         or remove this one to start over"
    )]
    OtherNetwork {
        /// The directory's.
        found: ChainId,
        /// The genesis file's.
        expected: ChainId,
    },
    /// The trail of validator sets cannot be written.
    #[error("the trail of validator sets cannot be written: {0}; check the disk and start again")]
    Trail(std::io::Error),
    /// A stored block does not execute as it did.
    #[error("block {height} in the directory does not execute as agreed: {detail}")]
    Replay {
        /// The block.
        height: Height,
        /// What differs.
        detail: String,
    },
}

impl From<NodeError> for Fatal {
    fn from(error: NodeError) -> Self {
        Self(error.to_string())
    }
}

/// What is kept of a block's execution besides its receipts.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlockResults {
    /// Digest of events and receipts.
    pub receipts_root: Digest,
    /// The block's own events.
    pub events: Vec<Event>,
    /// Hashes of its transactions.
    pub transactions: Vec<Digest>,
}

impl Canonical for BlockResults {
    const KIND: &'static str = "block results";
    const MAX_BYTES: usize = 64 << 20;
}

/// The end of the chain, as the next block needs it.
struct Head {
    height: Height,
    id: BlockId,
    time_ms: u64,
    state_root: Digest,
    receipts_root: Digest,
    /// Why `id` is final. `None` only at genesis.
    certificate: Option<Certificate>,
    /// Who signed `height`.
    signers: ValidatorSet,
    /// Who signs the next height.
    validators: ValidatorSet,
    silent: Vec<Address>,
    params: Params,
}

/// A block that was judged valid.
struct Candidate {
    opening: Opening,
    bytes: Bytes,
    /// `None` after a restart, until it is needed.
    executed: Option<Executed>,
}

struct Executed {
    block: Block,
    outcome: BlockOutcome,
    /// Hash, account and signer of each transaction.
    included: Vec<(Digest, Address, Address)>,
    work_ms: f64,
}

/// The chain of one node.
pub struct Chain {
    store: Arc<Store>,
    mempool: Arc<Mempool>,
    feed: Feed,
    chain: ChainId,
    address: Address,
    duties: Option<Duties>,
    beacon: Arc<Keeper>,
    now: Now,
    started_ms: u64,
    durability: Durability,
    flush: Option<std::thread::JoinHandle<()>>,
    trail: Option<Trail>,
    head: Head,
    candidates: BTreeMap<(Height, BlockId), Candidate>,
    /// The height that is being decided, for whoever follows it.
    life: life::Life,
}

impl Chain {
    /// Opens the chain in `store`, or begins it from `genesis`; replays blocks whose state was not durable.
    /// With `duties` the node reports evidence for the host `address`.
    ///
    /// # Errors
    /// [`NodeError`] if the store is damaged, of another network, or does not replay.
    pub fn open(
        store: Arc<Store>,
        genesis: &Genesis,
        mempool: Arc<Mempool>,
        address: Address,
        duties: Option<Duties>,
        now: Now,
        durability: Durability,
    ) -> Result<Self, NodeError> {
        let chain = genesis.chain();
        match store.genesis()? {
            Some(bytes) => {
                let found = Genesis::decode(&bytes)?.chain();
                if found != chain {
                    return Err(NodeError::OtherNetwork { found, expected: chain });
                }
            }
            None => {
                let (delta, _) = freeway_ledger::open(genesis)?;
                store.initialise(&genesis.encode(), &delta)?;
            }
        }
        let head = Head::load(&store, genesis)?;
        let feed = Feed::new(tip(&head, &store.view())?);
        let mut this = Self {
            store,
            mempool,
            feed,
            chain,
            address,
            beacon: Arc::new(Keeper::new(chain, address, duties.as_ref().map(|duties| duties.key().clone()))),
            duties,
            started_ms: now(),
            now,
            durability,
            flush: None,
            trail: None,
            head,
            candidates: BTreeMap::new(),
            life: life::Life::none(),
        };
        this.replay()?;
        Ok(this)
    }

    /// The feed of commits.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Shares and values of the beacon.
    pub fn beacon(&self) -> &Arc<Keeper> {
        &self.beacon
    }

    /// The network's identity.
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// The latest height.
    pub fn height(&self) -> Height {
        self.head.height
    }

    /// From now on keeps the trail of validator sets, for new nodes.
    ///
    /// # Errors
    /// [`NodeError`] if it cannot be brought up to date.
    pub fn keep_trail(&mut self, trail: Trail) -> Result<(), NodeError> {
        trail.catch_up(&self.store)?;
        self.trail = Some(trail);
        Ok(())
    }

    /// Executes blocks that are durable but whose state is not.
    fn replay(&mut self) -> Result<(), NodeError> {
        let (first, last) = (self.head.height.next(), self.store.block_height());
        if first <= last {
            info!(from = %first, to = %last, "replaying blocks after an unclean stop");
        }
        while self.head.height < last {
            let height = self.head.height.next();
            let replay = |detail: String| NodeError::Replay { height, detail };
            let (bytes, certificate) =
                self.store.block(height)?.ok_or_else(|| replay("it is missing".into()))?;
            let certificate = Certificate::decode(&certificate)?;
            let block = Block::decode(&bytes)?;
            // It was judged before it was stored; executing it again must agree with its header.
            let executed = self.execute(block, true)?.map_err(|fault| replay(fault.to_string()))?;
            self.apply(executed, certificate, bytes.len())?;
        }
        Ok(())
    }

    /// Applies an executed block that is durable.
    fn apply(&mut self, executed: Executed, certificate: Certificate, bytes: usize) -> Result<(), NodeError> {
        let Executed { block, outcome, included, work_ms } = executed;
        let results = BlockResults {
            receipts_root: outcome.receipts_root,
            events: outcome.events.clone(),
            transactions: outcome.receipts.iter().map(|receipt| receipt.transaction).collect(),
        };
        let record = |receipt: &Receipt| ReceiptRecord { hash: receipt.transaction, bytes: receipt.encode() };
        let receipts = outcome.receipts.iter().map(record).collect();
        let state_root = self.store.apply(outcome.height, outcome.delta, receipts, results.encode())?;
        self.head = Head {
            height: outcome.height,
            id: block.id(),
            time_ms: block.header.time_ms,
            state_root,
            receipts_root: outcome.receipts_root,
            certificate: Some(certificate),
            signers: std::mem::replace(&mut self.head.validators, outcome.next_validators.clone()),
            validators: outcome.next_validators,
            silent: outcome.silent,
            params: outcome.params,
        };
        if let Some(trail) = &self.trail
            && phase_of(&self.head, &self.store.view())? == Phase::Switch
        {
            trail.catch_up(&self.store)?;
        }
        let state = self.store.view();
        self.mempool.committed(&state, self.head.height, &included)?;
        self.candidates.retain(|(height, _), _| *height > outcome.height);
        let tip = tip(&self.head, &state)?;
        let id = self.head.id;
        let (events, receipts) = (outcome.events, outcome.receipts);
        self.feed.announce(tip, Committed { id, header: block.header, events, receipts, bytes, work_ms });
        self.flush_if_due()
    }

    fn flush_if_due(&mut self) -> Result<(), NodeError> {
        if !self.store.needs_flush() {
            return Ok(());
        }
        match self.durability {
            Durability::Inline => self.store.flush()?,
            Durability::Background => {
                if self.flush.as_ref().is_some_and(|thread| !thread.is_finished()) {
                    return Ok(());
                }
                let store = Arc::clone(&self.store);
                let work = move || {
                    if let Err(error) = store.flush() {
                        // The store refuses every further write; the next commit stops the node.
                        tracing::error!(%error, "state could not be written");
                    }
                };
                let thread = std::thread::Builder::new().name("state-flush".into()).spawn(work);
                match thread {
                    Ok(thread) => self.flush = Some(thread),
                    Err(error) => {
                        warn!(%error, "no thread for writing state; writing it in line");
                        self.store.flush()?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes all state durable: for a clean stop.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn close(&mut self) -> Result<(), StoreError> {
        if let Some(thread) = self.flush.take() {
            let _ = thread.join();
        }
        self.store.flush_all()
    }

    /// Hands evidence to the ledger, as a duty of this node's host.
    fn report(&self, proofs: Vec<Equivocation>) -> Result<(), NodeError> {
        let Some(duties) = &self.duties else { return Ok(()) };
        let state = self.store.view();
        let mut reports = Vec::new();
        for proof in proofs {
            let accused = proof.validator();
            let known = freeway_ledger::hosts::HOSTS.get(&state, &accused)?;
            if accused == self.address
                || known.is_none_or(|host| host.status == freeway_ledger::hosts::Status::Removed)
            {
                continue;
            }
            warn!(%accused, height = %proof.height(), "a validator signed two different things; reporting it");
            reports.push(Message::Evidence(evidence::Message::Report(Box::new(proof))));
        }
        duties.send_for(reports, EVIDENCE_LIFETIME)?;
        Ok(())
    }

    /// A judged block, from memory or from before a restart.
    fn candidate(&mut self, height: Height, id: BlockId) -> Result<Option<&mut Candidate>, NodeError> {
        if !self.candidates.contains_key(&(height, id)) {
            let stored = self.store.proposals(height)?.into_iter().find(|(stored, ..)| *stored == id);
            let Some((_, meta, block)) = stored else { return Ok(None) };
            let opening = Opening::try_from_slice(&meta)
                .map_err(|error| DecodeError::Malformed { kind: "opening", detail: error.to_string() })?;
            let candidate = Candidate { opening, bytes: block.into(), executed: None };
            self.keep(height, id, candidate);
        }
        Ok(self.candidates.get_mut(&(height, id)))
    }

    fn keep(&mut self, height: Height, id: BlockId, candidate: Candidate) {
        if self.candidates.len() >= MAX_CANDIDATES {
            // They are all on disk as well.
            self.candidates.pop_first();
        }
        self.candidates.insert((height, id), candidate);
    }

    fn put_proposal(&self, opening: Opening, id: BlockId, bytes: &[u8]) -> Result<(), NodeError> {
        let meta = borsh::to_vec(&opening).map_err(|error| Fault(error.to_string()))?;
        Ok(self.store.put_proposal(opening.height, id, &meta, bytes)?)
    }
}

/// The phase of the head.
fn phase_of(head: &Head, state: &StateView) -> Result<Phase, Fault> {
    Ok(epochs::CLOCK.require(state)?.phase(head.height, &head.params.epochs))
}

/// Where the chain stands, for the feed.
fn tip(head: &Head, state: &StateView) -> Result<Tip, Fault> {
    let clock = epochs::CLOCK.require(state)?;
    let phase = phase_of(head, state)?;
    Ok(Tip {
        height: head.height,
        block: head.id,
        time_ms: head.time_ms,
        state_root: head.state_root,
        clock,
        phase,
    })
}

impl Head {
    /// The head at the height of the store's state.
    fn load(store: &Store, genesis: &Genesis) -> Result<Self, NodeError> {
        let state = store.view();
        let height = state.height();
        let damaged = |what: &str| Fault(format!("{what} of height {height} is missing"));
        let validators = epochs::VALIDATORS.require(&state)?;
        let params = Params::current(&state)?;
        let silent = epochs::silent(&state, &params.epochs)?;
        let state_root = state.root();
        if height == Height::GENESIS {
            return Ok(Self {
                height,
                id: BlockId::GENESIS,
                time_ms: genesis.time_ms,
                state_root,
                receipts_root: Digest::ZERO,
                certificate: None,
                signers: validators.clone(),
                validators,
                silent,
                params,
            });
        }
        let (block, certificate) = store.block(height)?.ok_or_else(|| damaged("the block"))?;
        let block = Block::decode(&block)?;
        let results = store.block_results(height)?.ok_or_else(|| damaged("the result"))?;
        Ok(Self {
            height,
            id: block.id(),
            time_ms: block.header.time_ms,
            state_root,
            receipts_root: BlockResults::decode(&results)?.receipts_root,
            certificate: Some(Certificate::decode(&certificate)?),
            signers: epochs::set_at(&state, height)?.ok_or_else(|| damaged("the validator set"))?,
            validators,
            silent,
            params,
        })
    }
}

impl Application for Chain {
    fn plan(&mut self) -> Result<HeightPlan, Fatal> {
        let blocks = &self.head.params.blocks;
        let ms = |value: u32| Duration::from_millis(value.into());
        Ok(HeightPlan {
            height: self.head.height.next(),
            validators: self.head.validators.clone(),
            silent: self.head.silent.clone(),
            timing: Timing {
                target: ms(blocks.target_ms),
                propose: ms(blocks.propose_timeout_ms),
                vote: ms(blocks.vote_timeout_ms),
            },
        })
    }

    fn propose(&mut self, opening: Opening) -> Result<(BlockId, Bytes), Fatal> {
        let life = self.life.of(opening.height);
        let _span =
            info_span!(target: TARGET, parent: &life, "block propose", round = opening.round).entered();
        Ok(self.build(opening)?)
    }

    fn judge(&mut self, opening: Opening, block: Bytes, certified: bool) -> Result<Judged, Fatal> {
        let life = self.life.of(opening.height);
        let _span =
            info_span!(target: TARGET, parent: &life, "block judge", round = opening.round, certified)
                .entered();
        Ok(self.judge_block(opening, block, certified)?)
    }

    fn known(&mut self, height: Height) -> Result<Vec<Judged>, Fatal> {
        let stored = self.store.proposals(height).map_err(NodeError::from)?;
        let mut known = Vec::new();
        for (id, ..) in stored {
            if let Some(candidate) = self.candidate(height, id)? {
                known.push(Judged { block: id, opening: candidate.opening, valid: true });
            }
        }
        Ok(known)
    }

    fn bytes(&mut self, height: Height, block: BlockId) -> Result<Option<Bytes>, Fatal> {
        Ok(self.candidate(height, block)?.map(|candidate| candidate.bytes.clone()))
    }

    fn decided(&mut self, certificate: &Certificate) -> Result<Decided, Fatal> {
        let (height, id) = (certificate.height, certificate.block);
        if height <= self.head.height {
            return Ok(Decided::Committed);
        }
        if height != self.head.height.next() {
            return Err(Fatal(format!("decided height {height} after {}", self.head.height)));
        }
        let life = self.life.of(height);
        let _span = info_span!(target: TARGET, parent: &life, "block commit").entered();
        let Some(candidate) = self.candidate(height, id)? else { return Ok(Decided::Unknown) };
        let bytes = candidate.bytes.clone();
        let executed = match candidate.executed.take() {
            Some(executed) => executed,
            None => {
                let block = Block::decode(&bytes).map_err(NodeError::from)?;
                // More than two thirds have judged it valid; if it does not execute here, the rules of this
                // node differ from theirs and going on would only spread the damage.
                self.execute(block, false)?
                    .map_err(|reason| NodeError::Replay { height, detail: reason.to_string() })?
            }
        };
        let record = BlockRecord { height, id, block: bytes.to_vec(), certificate: certificate.encode() };
        self.store.append_block(&record).map_err(NodeError::from)?;
        life.record("transactions", executed.block.transactions.len());
        life.record("bytes", bytes.len());
        life.record("proposer", tracing::field::display(executed.block.header.proposer));
        self.apply(executed, certificate.clone(), bytes.len())?;
        self.life.end();
        Ok(Decided::Committed)
    }

    fn finalized(
        &mut self,
        certificate: &Certificate,
        evidence: Vec<Equivocation>,
    ) -> Result<Decided, Fatal> {
        let outcome = self.decided(certificate)?;
        if outcome == Decided::Committed && certificate.height == self.head.height {
            let gained = |head: &Certificate| certificate.signatures.len() > head.signatures.len();
            if self.head.certificate.as_ref().is_some_and(gained) {
                self.store
                    .update_certificate(certificate.height, &certificate.encode())
                    .map_err(NodeError::from)?;
                self.head.certificate = Some(certificate.clone());
            }
        }
        self.report(evidence)?;
        Ok(outcome)
    }

    fn is_current(&mut self) -> Result<bool, Fatal> {
        Ok(self.head.time_ms > self.started_ms.saturating_add(CURRENT_AFTER_MS))
    }

    fn history(
        &mut self,
        from: Height,
        count: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Bytes, Certificate)>, Fatal> {
        let mut found = Vec::new();
        let mut bytes = 0;
        for offset in 0..count as u64 {
            let Some((block, certificate)) = self.store.block(from.plus(offset)).map_err(NodeError::from)?
            else {
                break;
            };
            bytes += block.len();
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            found.push((block.into(), Certificate::decode(&certificate).map_err(NodeError::from)?));
        }
        Ok(found)
    }

    fn oldest(&mut self) -> Result<Height, Fatal> {
        Ok(self.store.oldest_block())
    }
}
