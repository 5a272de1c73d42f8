//! Restoring a snapshot, chunk by chunk, without trusting whoever sends it.

use std::sync::Arc;

use freeway_ledger::state::Delta;
use freeway_primitives::{Canonical, Digest, Height};
use redb::Durability;

use crate::base::{Base, GENESIS_KEY, HEIGHT_KEY, RESTORING_KEY, RESULTS, ROOT_KEY, clear};
use crate::blocks::Blocks;
use crate::error::Health;
use crate::layer::Layer;
use crate::medium::{META, Session};
use crate::proof::{Descent, MAX_DEPTH, bit};
use crate::state::{State, merged_nodes, write_height, write_layers};
use crate::tree::{
    self, Node, Nodes, PLACEHOLDER, Path, Place, Slot, Update, inner_hash, leaf_hash, place_of,
};
use crate::{BlockRecord, Chunk, Config, MAX_KEY_BYTES, MAX_VALUE_BYTES, Medium, Store, StoreError};

/// Why a restore does not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// A chunk is not the next part of the state under the certified root. Nothing was changed.
    #[error("chunk {index} is not part of the snapshot ({detail}); fetch it again from another peer")]
    Chunk {
        /// The number of the chunk, from 0.
        index: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// Chunks are missing.
    #[error("the snapshot ends after {chunks} chunks without reaching its root; fetch the rest")]
    Incomplete {
        /// How many chunks have been accepted.
        chunks: u64,
    },
    /// The block is not that of the snapshot's height.
    #[error("the block of height {got} does not belong to a snapshot of height {expected}")]
    Block {
        /// The snapshot's height.
        expected: Height,
        /// The block's height.
        got: Height,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A restore under way. Until [`Restore::finish`] returns, the directory is marked as unfinished:
/// [`Store::open`] refuses it, and [`Restore::begin`] starts over.
pub struct Restore {
    state: State,
    blocks: Blocks,
    health: Arc<Health>,
    config: Config,
    genesis: Vec<u8>,
    height: Height,
    root: Digest,
    /// What is on disk: all entries so far.
    base: Base,
    /// The root of their tree.
    tree: Slot,
    last: Option<Place>,
    chunks: u64,
}

impl Restore {
    /// Begins to restore the state of `height` with the certified `root` into an empty or unfinished
    /// directory.
    ///
    /// # Errors
    /// [`StoreError::AlreadyInitialised`] if there is a chain in it; others if it cannot be used.
    pub fn begin(
        medium: Medium,
        config: Config,
        genesis: &[u8],
        height: Height,
        root: Digest,
    ) -> Result<Self, StoreError> {
        let session = Session::begin(medium)?;
        let state = State::open(&session, &config)?;
        let blocks = Blocks::open(&session, &config)?;
        let found = state.tip();
        if !found.base.restoring && (found.base.initialised || blocks.newest() > Height::GENESIS) {
            return Err(StoreError::AlreadyInitialised);
        }
        drop(found);
        // Marked before anything else changes, so that no half of a restore can pass for a chain.
        state.database.write(Durability::Immediate, |txn| {
            let mut meta = txn.open_table(META)?;
            meta.insert(RESTORING_KEY, root.0.as_slice())?;
            meta.remove(GENESIS_KEY)?;
            meta.remove(HEIGHT_KEY)?;
            meta.remove(ROOT_KEY)?;
            clear(txn)
        })?;
        blocks.reset(None)?;
        let base = Base::load(&state.database, Arc::clone(&state.cache))?;
        let genesis = genesis.to_vec();
        let health = session.health;
        Ok(Self {
            state,
            blocks,
            health,
            config,
            genesis,
            height,
            root,
            base,
            tree: Slot::Empty,
            last: None,
            chunks: 0,
        })
    }

    /// The number of accepted chunks, which is the index of the chunk to be added next.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Adds the next chunk if it is what the root commits to.
    ///
    /// # Errors
    /// [`RestoreError::Chunk`] if it is not; the same chunk from another peer may be added instead.
    pub fn add_chunk(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let index = self.chunks;
        let bad = |detail: &str| RestoreError::Chunk { index, detail: detail.into() };
        let chunk = Chunk::decode(bytes).map_err(|error| bad(&error.to_string()))?;
        let last = self.check_entries(&chunk).map_err(bad)?;
        let (depth, right) = (usize::from(chunk.depth), chunk.right);
        let delta: Delta = chunk.entries.into_iter().map(|(key, value)| (key, Some(value))).collect();
        let update = tree::update(&self.base, self.tree, self.height, &delta)?;
        let preview = Preview { base: &self.base, update: &update };
        let end = Descent::to(&last, &preview, update.root)?;
        if root_of(&last, &end, depth, &right) != Some(self.root) {
            return Err(bad("it does not lead to the certified root"));
        }
        let tree = update.root;
        let layers = [Arc::new(Layer::new(self.height, delta, update, Vec::new(), Vec::new()))];
        let node_changes = merged_nodes(&layers);
        self.state.database.write(Durability::Immediate, |txn| write_layers(txn, &layers, &node_changes))?;
        self.base = Base::load(&self.state.database, Arc::clone(&self.state.cache))?;
        self.tree = tree;
        self.last = Some(last);
        self.chunks += 1;
        Ok(())
    }

    /// Completes the restore with the block whose state this is, and its results as [`Store::block_results`]
    /// shall give them. The store that comes back has no history before it.
    ///
    /// # Errors
    /// [`RestoreError::Incomplete`] if chunks are missing, [`RestoreError::Block`] if the block is another's.
    pub fn finish(self, block: &BlockRecord, results: &[u8]) -> Result<Store, RestoreError> {
        if block.height != self.height {
            return Err(RestoreError::Block { expected: self.height, got: block.height });
        }
        if self.tree.digest() != self.root {
            return Err(RestoreError::Incomplete { chunks: self.chunks });
        }
        let Self { state, blocks, health, config, genesis, height, base, tree, .. } = self;
        drop(base);
        // The block first: the state is what says that the restore is finished.
        blocks.reset(Some(block))?;
        state.database.write(Durability::Immediate, |txn| {
            txn.open_table(META)?.insert(GENESIS_KEY, genesis.as_slice())?;
            txn.open_table(META)?.remove(RESTORING_KEY)?;
            txn.open_table(RESULTS)?.insert(height.0, results)?;
            write_height(txn, height, &tree)
        })?;
        state.reload()?;
        tracing::info!(%height, "snapshot restored");
        Ok(Store::from_parts(blocks, state, health, config))
    }

    /// Checks everything about the entries but the proof; returns the last key's place.
    fn check_entries(&self, chunk: &Chunk) -> Result<Place, &'static str> {
        let mut last = self.last;
        for (key, value) in &chunk.entries {
            if key.is_empty() || key.len() > MAX_KEY_BYTES || value.len() > MAX_VALUE_BYTES {
                return Err("an entry is empty or too long");
            }
            let place = place_of(key);
            if last.is_some_and(|last| last >= place) {
                return Err("the entries are not in order");
            }
            last = Some(place);
        }
        match last {
            Some(last) if !chunk.entries.is_empty() => Ok(last),
            _ => Err("it is empty"),
        }
    }
}

/// The tree with a chunk that may yet be refused.
struct Preview<'a> {
    base: &'a Base,
    update: &'a Update,
}

impl Nodes for Preview<'_> {
    fn node(&self, path: &Path, hash: &[u8; 32], height: Height) -> Result<Arc<Node>, StoreError> {
        match self.update.nodes.get(path) {
            Some(Some(node)) => Ok(Arc::clone(node)),
            _ => self.base.node(path, hash, height),
        }
    }
}

/// The root of the whole tree, given the way to its entry at `place` in the tree of all entries up to there.
///
/// What lies to the left of the path is the same in both trees. The whole tree may have more to the right,
/// which makes the path longer; below the end of the shorter path there is nothing to the left.
fn root_of(place: &Place, end: &Descent, depth: usize, right: &[Digest]) -> Option<Digest> {
    let (_, value) = end.leaf.filter(|(key, _)| key == place)?;
    if depth > MAX_DEPTH || depth < end.siblings.len() {
        return None;
    }
    let mut right = right.iter().rev();
    let mut hash = leaf_hash(place, &value);
    for i in (0..depth).rev() {
        hash = if bit(place, i) {
            inner_hash(end.siblings.get(i).unwrap_or(&PLACEHOLDER), &hash)
        } else {
            inner_hash(&hash, &right.next()?.0)
        };
    }
    right.next().is_none().then_some(Digest(hash))
}
