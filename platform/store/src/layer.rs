//! The part of the state that is not on disk yet: one layer for each block, over a [`Base`].

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use freeway_ledger::state::Delta;
use freeway_primitives::{Digest, Height};

use crate::StoreError;
use crate::base::Base;
use crate::tree::{Node, Nodes, Path, Slot, Update};

/// A receipt as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRecord {
    /// Under which it is looked up: the hash of its transaction.
    pub hash: Digest,
    /// The canonical receipt.
    pub bytes: Vec<u8>,
}

/// What one block did to the state.
pub(crate) struct Layer {
    pub(crate) height: Height,
    pub(crate) delta: Delta,
    pub(crate) update: Update,
    pub(crate) receipts: Vec<ReceiptRecord>,
    pub(crate) results: Vec<u8>,
    receipt_index: HashMap<Digest, u32>,
    /// Fingerprints of the changed keys: most layers have not touched a given key, and looking that up here
    /// is ten times faster than in `delta`.
    touched: HashSet<u64>,
}

impl Layer {
    pub(crate) fn new(
        height: Height,
        delta: Delta,
        update: Update,
        receipts: Vec<ReceiptRecord>,
        results: Vec<u8>,
    ) -> Self {
        let touched = delta.keys().map(|key| fingerprint(key)).collect();
        let receipt_index = (0u32..).zip(&receipts).map(|(index, receipt)| (receipt.hash, index)).collect();
        Self { height, delta, update, receipts, results, receipt_index, touched }
    }

    /// What this block did to `key`: `None` if nothing. `fingerprint` is [`fingerprint`] of the key.
    pub(crate) fn change(&self, key: &[u8], fingerprint: u64) -> Option<&Option<Vec<u8>>> {
        if self.touched.contains(&fingerprint) { self.delta.get(key) } else { None }
    }
}

/// A number that is almost always different for different keys. Collisions cost time, never correctness.
pub(crate) fn fingerprint(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The state up to the latest block: the flushed base and the layers above it, in order. Immutable; a new
/// block makes a new tip that shares all layers.
#[derive(Clone)]
pub(crate) struct Tip {
    pub(crate) base: Arc<Base>,
    pub(crate) layers: Vec<Arc<Layer>>,
}

impl Tip {
    pub(crate) fn height(&self) -> Height {
        self.layers.last().map_or(self.base.height, |layer| layer.height)
    }

    /// The layer of a height above the base.
    pub(crate) fn layer(&self, height: Height) -> Option<&Arc<Layer>> {
        let above = height.0.checked_sub(self.base.height.0)?.checked_sub(1)?;
        self.layers.get(usize::try_from(above).ok()?)
    }

    /// The root of a retained height.
    pub(crate) fn root(&self, height: Height) -> Option<Slot> {
        if height == self.base.height && self.base.initialised {
            return Some(self.base.root);
        }
        self.layer(height).map(|layer| layer.update.root)
    }

    pub(crate) fn not_retained(&self, height: Height) -> StoreError {
        StoreError::NotRetained { height, oldest: self.base.height, newest: self.height() }
    }

    pub(crate) fn receipt(&self, hash: &Digest) -> Result<Option<(Height, u32, Vec<u8>)>, StoreError> {
        for layer in self.layers.iter().rev() {
            if let Some(index) = layer.receipt_index.get(hash) {
                let bytes = layer.receipts[*index as usize].bytes.clone();
                return Ok(Some((layer.height, *index, bytes)));
            }
        }
        self.base.receipt(hash)
    }
}

impl Nodes for Tip {
    /// The height says which layer made a node, if it is not in the base.
    fn node(&self, path: &Path, hash: &[u8; 32], height: Height) -> Result<Arc<Node>, StoreError> {
        match self.layer(height).and_then(|layer| layer.update.nodes.get(path)) {
            Some(Some(node)) => Ok(Arc::clone(node)),
            _ => self.base.node(path, hash, height),
        }
    }
}
