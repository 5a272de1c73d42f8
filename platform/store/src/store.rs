//! The store as the node uses it.

use std::path::Path;
use std::sync::Arc;

use freeway_ledger::state::Delta;
use freeway_primitives::{BlockId, Digest, Height};

use crate::base::GENESIS_KEY;
use crate::blocks::{BlockRecord, Blocks, StoredBlock, StoredProposal};
use crate::error::Health;
use crate::layer::ReceiptRecord;
use crate::medium::{META, Session};
use crate::snapshot::{Manifest, Snapshot};
use crate::state::State;
use crate::{Medium, Proof, StateView, StoreError};

/// How much further than asked for memory may run ahead of the disk before [`Store::apply`] waits for it.
const BEHIND: u64 = 8;

/// How a store uses the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Memory for caches, in bytes: half for pages of the state, three eighths for nodes of its tree, the rest
    /// for blocks. What the blocks not yet flushed changed comes on top.
    pub cache_bytes: usize,
    /// How many blocks to keep, with their receipts and results; 0 keeps all. Blocks that a restart would
    /// replay are kept in any case.
    pub retain_blocks: u64,
    /// After how many blocks [`Store::needs_flush`] asks for a flush.
    pub flush_every: u64,
    /// How many of the latest blocks [`Store::flush`] leaves in memory, so that views and proofs of their
    /// heights stay possible: the root of a block is certified only by the block after it.
    pub keep_recent: u64,
    /// Whether to check every page of both files before use. Reads all of them; finds any damage.
    pub verify_on_open: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            retain_blocks: 0,
            flush_every: 16,
            keep_recent: 2,
            verify_on_open: false,
        }
    }
}

/// Blocks, state, receipts and proposals of one node. See the [crate] for how they fit together.
pub struct Store {
    blocks: Blocks,
    state: State,
    health: Arc<Health>,
    config: Config,
}

impl Store {
    /// Opens the store on `medium`, or creates an empty one.
    ///
    /// # Errors
    /// [`StoreError`] if it is in use, damaged, newer than this program, or an unfinished restore.
    pub fn open(medium: Medium, config: Config) -> Result<Self, StoreError> {
        let session = Session::begin(medium)?;
        let state = State::open(&session, &config)?;
        let tip = state.tip();
        if tip.base.restoring {
            return Err(StoreError::Unfinished);
        }
        let blocks = Blocks::open(&session, &config)?;
        let (flushed, oldest, newest) = (tip.height(), blocks.oldest(), blocks.newest());
        let initialised = tip.base.initialised || newest == Height::GENESIS;
        if !initialised || flushed > newest || oldest > flushed.next() {
            let detail = format!("the state is of height {flushed}, but the blocks are {oldest} to {newest}");
            return Err(StoreError::corrupt(state.database.path(), detail));
        }
        tracing::info!(state = %flushed, blocks = %newest, "store opened");
        Ok(Self::from_parts(blocks, state, session.health, config))
    }

    pub(crate) fn from_parts(blocks: Blocks, state: State, health: Arc<Health>, config: Config) -> Self {
        Self { blocks, state, health, config }
    }

    /// The first failed write, after which nothing more is written.
    pub fn poisoned(&self) -> Option<StoreError> {
        self.health.cause()
    }

    /// The genesis that [`Store::initialise`] or a restore wrote.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn genesis(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.state
            .database
            .read(|txn| Ok(txn.open_table(META)?.get(GENESIS_KEY)?.map(|genesis| genesis.value().to_vec())))
    }

    /// Writes genesis and the state of height 0. Durable when it returns the root.
    ///
    /// # Errors
    /// [`StoreError::AlreadyInitialised`] if there is a genesis; others if the write fails.
    pub fn initialise(&self, genesis: &[u8], delta: &Delta) -> Result<Digest, StoreError> {
        self.state.initialise(genesis, delta)
    }

    /// The height of the latest applied block. After opening: of the last flush, which may be below
    /// [`Store::block_height`]; the node then replays the blocks between.
    pub fn state_height(&self) -> Height {
        self.state.tip().height()
    }

    /// The latest height whose state is on disk.
    pub fn flushed_height(&self) -> Height {
        self.state.tip().base.height
    }

    /// The height of the latest block, 0 if there is none.
    pub fn block_height(&self) -> Height {
        self.blocks.newest()
    }

    /// The lowest height whose block is kept, 0 if there is none.
    pub fn oldest_block(&self) -> Height {
        self.blocks.oldest()
    }

    /// Keeps a proposal until its height is decided. Durable when it returns: a vote may follow. A second
    /// proposal of the same block replaces the first; one for a decided height is ignored.
    ///
    /// # Errors
    /// [`StoreError`] if it is too large or the write fails.
    pub fn put_proposal(
        &self,
        height: Height,
        id: BlockId,
        meta: &[u8],
        block: &[u8],
    ) -> Result<(), StoreError> {
        self.blocks.put_proposal(height, id, meta, block)
    }

    /// The proposals kept for a height, by identity.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn proposals(&self, height: Height) -> Result<Vec<StoredProposal>, StoreError> {
        self.blocks.proposals(height)
    }

    /// Adds the next decided block and forgets the proposals for its height. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::Order`] if the height is not the next; others if the write fails.
    pub fn append_block(&self, record: &BlockRecord) -> Result<(), StoreError> {
        self.blocks.append(record, self.flushed_height())
    }

    /// Replaces the certificate of a block by one with more signatures. It becomes durable with the next
    /// block; a crash before that leaves the earlier certificate, which is as good a proof. Without effect
    /// on blocks that are no longer kept.
    ///
    /// # Errors
    /// [`StoreError::Order`] if there is no such block yet; others if the write fails.
    pub fn update_certificate(&self, height: Height, certificate: &[u8]) -> Result<(), StoreError> {
        self.blocks.update_certificate(height, certificate)
    }

    /// A block and its certificate.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read, or is not what was written.
    pub fn block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError> {
        self.blocks.block(height)
    }

    /// Applies the changes of the next block to the state and returns the new root. In memory only: durable
    /// after a flush, or through replay.
    ///
    /// # Errors
    /// [`StoreError::Order`] if the height is not the next, [`StoreError::Limit`] if a key or value is too
    /// large, others if the state cannot be read. The state is unchanged then.
    pub fn apply(
        &self,
        height: Height,
        delta: Delta,
        receipts: Vec<ReceiptRecord>,
        block_results: Vec<u8>,
    ) -> Result<Digest, StoreError> {
        self.health.check()?;
        // Memory is bounded: who executes faster than the disk writes has to wait for it.
        if self.unflushed() >= self.flush_threshold().saturating_mul(BEHIND) {
            self.flush()?;
        }
        self.state.apply(height, delta, receipts, block_results)
    }

    /// A receipt with its height and its index in the block.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn receipt(&self, hash: &Digest) -> Result<Option<(Height, u32, Vec<u8>)>, StoreError> {
        self.state.tip().receipt(hash)
    }

    /// What [`Store::apply`] was given as the results of a block.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn block_results(&self, height: Height) -> Result<Option<Vec<u8>>, StoreError> {
        let tip = self.state.tip();
        match tip.layer(height) {
            Some(layer) => Ok(Some(layer.results.clone())),
            None => tip.base.results(height),
        }
    }

    /// The root of a height from the flushed one to the latest.
    pub fn root(&self, height: Height) -> Option<Digest> {
        self.state.tip().root(height).map(|root| root.digest())
    }

    /// Whether enough blocks have gathered in memory that a [`Store::flush`] is due.
    pub fn needs_flush(&self) -> bool {
        self.unflushed() >= self.flush_threshold()
    }

    /// Writes the state of all but the latest blocks to disk, in one transaction. Blocks can be applied and
    /// the state read meanwhile. The state never gets ahead of the durable blocks.
    ///
    /// # Errors
    /// [`StoreError`] if the write fails.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.flush_up_to(self.state_height().minus(self.config.keep_recent))
    }

    /// As [`Store::flush`], of all blocks: for a clean shutdown, after which nothing has to be replayed.
    ///
    /// # Errors
    /// [`StoreError`] if the write fails.
    pub fn flush_all(&self) -> Result<(), StoreError> {
        self.flush_up_to(self.state_height())
    }

    /// The state after the latest block.
    pub fn view(&self) -> StateView {
        StateView::new(self.state.tip())
    }

    /// The state of a height from the flushed one to the latest.
    pub fn view_at(&self, height: Height) -> Option<StateView> {
        StateView::at(self.state.tip(), height)
    }

    /// Proves the value of `key`, or its absence, at a height from the flushed one to the latest.
    ///
    /// # Errors
    /// [`StoreError::NotRetained`] if the height is another; others if the state cannot be read.
    pub fn prove(&self, height: Height, key: &[u8]) -> Result<Proof, StoreError> {
        let tip = self.state.tip();
        let view = StateView::at(Arc::clone(&tip), height).ok_or_else(|| tip.not_retained(height))?;
        let root = tip.root(height).ok_or_else(|| tip.not_retained(height))?;
        let proof = Proof::make(&*tip, root, key, view.value(key)?)?;
        proof.ok_or_else(|| tip.base.damaged("a value and its tree disagree"))
    }

    /// A snapshot of the flushed state, to be read chunk by chunk while the chain goes on.
    ///
    /// # Errors
    /// [`StoreError::Uninitialised`] if there is no state yet.
    pub fn snapshot(&self, max_chunk_bytes: usize) -> Result<Snapshot, StoreError> {
        Snapshot::new(Arc::clone(&self.state.tip().base), max_chunk_bytes)
    }

    /// Writes a snapshot of the flushed state into a directory: chunks of at most `max_chunk_bytes` and a
    /// manifest. Meant for a background thread; the chain goes on.
    ///
    /// # Errors
    /// [`StoreError`] if the state cannot be read or the files cannot be written.
    pub fn write_snapshot(&self, directory: &Path, max_chunk_bytes: usize) -> Result<Manifest, StoreError> {
        self.snapshot(max_chunk_bytes)?.write(directory)
    }

    fn flush_up_to(&self, height: Height) -> Result<(), StoreError> {
        self.state.flush(height.min(self.block_height()), self.oldest_block())
    }

    fn unflushed(&self) -> u64 {
        self.state.tip().layers.len() as u64
    }

    fn flush_threshold(&self) -> u64 {
        self.config.flush_every.max(1).saturating_add(self.config.keep_recent)
    }
}
