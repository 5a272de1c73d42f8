//! The state: applying blocks in memory, and flushing them to disk in the background.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use borsh::BorshSerialize;
use freeway_ledger::state::Delta;
use freeway_primitives::{Digest, Height};
use redb::{Durability, ReadableTable, WriteTransaction};

use crate::base::{
    Base, GENESIS_KEY, HEIGHT_KEY, KEYS, NODES, RECEIPT_INDEX, RECEIPTS, RESULTS, ROOT_KEY, VALUES, create,
};
use crate::cache::NodeCache;
use crate::error::Failure;
use crate::layer::{Layer, ReceiptRecord, Tip};
use crate::medium::{Database, META, Opening, Session};
use crate::tree::{self, Node, Path, Slot};
use crate::{Config, MAX_KEY_BYTES, MAX_VALUE_BYTES, StoreError};

/// Old receipts removed in one flush; more wait for the next.
const RECEIPTS_PRUNED_AT_ONCE: usize = 10_000;

/// The file's name.
pub(crate) const STATE_FILE: &str = "state.redb";

/// The state database and what is not yet in it.
pub(crate) struct State {
    pub(crate) database: Database,
    pub(crate) cache: Arc<NodeCache>,
    /// Replaced as a whole by every block and every flush; readers take a reference and go on.
    tip: RwLock<Arc<Tip>>,
    /// Held while a block is applied: there is one next block.
    writer: Mutex<()>,
    /// Held while layers are written: there is one flush at a time, and it does not hold up `writer`.
    flusher: Mutex<()>,
}

impl State {
    pub(crate) fn open(session: &Session, config: &Config) -> Result<Self, StoreError> {
        let opening =
            Opening { name: STATE_FILE, cache_bytes: config.cache_bytes / 2, verify: config.verify_on_open };
        let database = Database::open(session, &opening, create)?;
        let cache = Arc::new(NodeCache::new(config.cache_bytes / 8 * 3));
        let base = Arc::new(Base::load(&database, Arc::clone(&cache))?);
        let tip = RwLock::new(Arc::new(Tip { base, layers: Vec::new() }));
        Ok(Self { database, cache, tip, writer: Mutex::default(), flusher: Mutex::default() })
    }

    pub(crate) fn tip(&self) -> Arc<Tip> {
        Arc::clone(&self.tip.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the database again after it was written by other means than a flush.
    pub(crate) fn reload(&self) -> Result<(), StoreError> {
        let base = Arc::new(Base::load(&self.database, Arc::clone(&self.cache))?);
        self.change_tip(|_| Tip { base, layers: Vec::new() });
        Ok(())
    }

    pub(crate) fn initialise(&self, genesis: &[u8], delta: &Delta) -> Result<Digest, StoreError> {
        check_limits(delta, &[])?;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let tip = self.tip();
        if tip.base.initialised {
            return Err(StoreError::AlreadyInitialised);
        }
        let update = tree::update(&*tip, Slot::Empty, Height::GENESIS, delta)?;
        let root = update.root;
        let layer = Arc::new(Layer::new(Height::GENESIS, delta.clone(), update, Vec::new(), Vec::new()));
        self.database.write(Durability::Immediate, |txn| {
            txn.open_table(META)?.insert(GENESIS_KEY, genesis)?;
            let layers = std::slice::from_ref(&layer);
            write_layers(txn, layers, &merged_nodes(layers))?;
            write_height(txn, Height::GENESIS, &root)
        })?;
        self.reload()?;
        Ok(root.digest())
    }

    pub(crate) fn apply(
        &self,
        height: Height,
        delta: Delta,
        receipts: Vec<ReceiptRecord>,
        results: Vec<u8>,
    ) -> Result<Digest, StoreError> {
        check_limits(&delta, &receipts)?;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let tip = self.tip();
        if !tip.base.initialised {
            return Err(StoreError::Uninitialised);
        }
        let expected = tip.height().next();
        if height != expected {
            return Err(StoreError::Order { expected, got: height });
        }
        let before = tip.root(tip.height()).unwrap_or_default();
        let update = tree::update(&*tip, before, height, &delta)?;
        let root = update.root;
        let layer = Arc::new(Layer::new(height, delta, update, receipts, results));
        self.change_tip(|tip| {
            let mut layers = tip.layers.clone();
            layers.push(layer);
            Tip { base: Arc::clone(&tip.base), layers }
        });
        Ok(root.digest())
    }

    /// Makes the state of `upto` durable and forgets that of all heights before. Receipts and results below
    /// `receipts_from` are removed.
    pub(crate) fn flush(&self, upto: Height, receipts_from: Height) -> Result<(), StoreError> {
        let _flusher = self.flusher.lock().unwrap_or_else(PoisonError::into_inner);
        let tip = self.tip();
        let count = tip.layers.iter().take_while(|layer| layer.height <= upto).count();
        let layers = &tip.layers[..count];
        let Some(last) = layers.last() else {
            return Ok(());
        };
        let node_changes = merged_nodes(layers);
        self.database.write(Durability::Immediate, |txn| {
            write_layers(txn, layers, &node_changes)?;
            prune_receipts(txn, receipts_from)?;
            write_height(txn, last.height, &last.update.root)
        })?;
        tracing::debug!(height = %last.height, blocks = count, "state flushed");
        for node in node_changes.iter().filter_map(|(_, node)| *node) {
            self.cache.insert(node.hash, Arc::clone(node));
        }
        let base = Arc::new(Base::load(&self.database, Arc::clone(&self.cache))?);
        self.change_tip(|tip| Tip { base, layers: tip.layers[count..].to_vec() });
        Ok(())
    }

    fn change_tip(&self, next: impl FnOnce(&Tip) -> Tip) {
        let mut tip = self.tip.write().unwrap_or_else(PoisonError::into_inner);
        *tip = Arc::new(next(&tip));
    }
}

/// Rejects what could not be read back or put into a snapshot.
fn check_limits(delta: &Delta, receipts: &[ReceiptRecord]) -> Result<(), StoreError> {
    let check = |what, actual: usize, limit| {
        if actual <= limit { Ok(()) } else { Err(StoreError::Limit { what, actual, limit }) }
    };
    for (key, value) in delta {
        if key.is_empty() {
            return Err(StoreError::Limit { what: "a key of the state", actual: 0, limit: MAX_KEY_BYTES });
        }
        check("a key of the state", key.len(), MAX_KEY_BYTES)?;
        check("a value of the state", value.as_ref().map_or(0, Vec::len), MAX_VALUE_BYTES)?;
    }
    receipts.iter().try_for_each(|receipt| check("a receipt", receipt.bytes.len(), MAX_VALUE_BYTES))
}

/// The last change of each node by consecutive layers, in the order of the disk.
///
/// Nodes made and replaced within `layers` appear only with their last content: the disk never sees what lies
/// between. A node goes where the older one of the same path was, so that hardly anything is deleted.
pub(crate) fn merged_nodes(layers: &[Arc<Layer>]) -> Vec<(&Path, Option<&Arc<Node>>)> {
    let latest_first = layers.iter().rev().flat_map(|layer| &layer.update.nodes);
    let mut changes: Vec<_> = latest_first.map(|(path, node)| (path, node.as_ref())).collect();
    changes.sort_by_key(|(path, _)| *path);
    changes.dedup_by_key(|(path, _)| *path);
    changes
}

/// Writes what consecutive blocks did, as if it were one block.
pub(crate) fn write_layers(
    txn: &WriteTransaction,
    layers: &[Arc<Layer>],
    node_changes: &[(&Path, Option<&Arc<Node>>)],
) -> Result<(), Failure> {
    let mut changes = BTreeMap::new();
    for layer in layers {
        changes.extend(layer.delta.iter());
    }
    let mut values = txn.open_table(VALUES)?;
    let mut keys = txn.open_table(KEYS)?;
    for (key, value) in changes {
        match value {
            Some(value) => {
                if values.insert(key.as_slice(), value.as_slice())?.is_none() {
                    keys.insert(tree::place_of(key), key.as_slice())?;
                }
            }
            None => {
                if values.remove(key.as_slice())?.is_some() {
                    keys.remove(tree::place_of(key))?;
                }
            }
        }
    }
    let mut nodes = txn.open_table(NODES)?;
    let mut bytes = Vec::new();
    for (path, node) in node_changes {
        bytes.clear();
        if let Some(node) = node {
            node.slots.serialize(&mut bytes).map_err(redb::StorageError::Io)?;
        }
        path.with_bytes(|path| match node {
            Some(_) => nodes.insert(path, bytes.as_slice()).map(drop),
            None => nodes.remove(path).map(drop),
        })?;
    }
    let mut receipts = txn.open_table(RECEIPTS)?;
    let mut index = txn.open_table(RECEIPT_INDEX)?;
    let mut results = txn.open_table(RESULTS)?;
    for layer in layers {
        let height = layer.height.0;
        for (i, receipt) in (0u32..).zip(&layer.receipts) {
            receipts.insert((height, i), (receipt.hash.0, receipt.bytes.as_slice()))?;
            index.insert(receipt.hash.0, (height, i))?;
        }
        results.insert(height, layer.results.as_slice())?;
    }
    Ok(())
}

pub(crate) fn write_height(txn: &WriteTransaction, height: Height, root: &Slot) -> Result<(), Failure> {
    let mut meta = txn.open_table(META)?;
    meta.insert(HEIGHT_KEY, height.0.to_le_bytes().as_slice())?;
    meta.insert(ROOT_KEY, borsh::to_vec(root).map_err(redb::StorageError::Io)?.as_slice())?;
    Ok(())
}

fn prune_receipts(txn: &WriteTransaction, from: Height) -> Result<(), Failure> {
    let mut receipts = txn.open_table(RECEIPTS)?;
    let mut index = txn.open_table(RECEIPT_INDEX)?;
    for _ in 0..RECEIPTS_PRUNED_AT_ONCE {
        let first = receipts.first()?.map(|(place, receipt)| (place.value(), receipt.value().0));
        let Some((place, hash)) = first.filter(|(place, _)| place.0 < from.0) else {
            break;
        };
        receipts.remove(place)?;
        // The same hash may have been written again later; that entry stays.
        if index.get(hash)?.is_some_and(|found| found.value() == place) {
            index.remove(hash)?;
        }
    }
    txn.open_table(RESULTS)?.retain_in(..from.0, |_, _| false)?;
    Ok(())
}
