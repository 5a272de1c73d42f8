//! The part of the state that is on disk: a consistent snapshot of the state database.

use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use borsh::BorshDeserialize;
use freeway_ledger::state::{Pair, scan_start};
use freeway_primitives::{Digest, Height};
use redb::{ReadOnlyTable, TableDefinition, WriteTransaction};

use crate::StoreError;
use crate::cache::NodeCache;
use crate::error::{Failure, contain};
use crate::medium::{Database, META, number};
use crate::tree::{Node, Nodes, Path, Slot};

type Bytes = &'static [u8];

/// Raw key to value, of the flushed height.
pub(crate) const VALUES: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("values");
/// Key hash to raw key: the order of snapshots.
pub(crate) const KEYS: TableDefinition<'_, [u8; 32], Bytes> = TableDefinition::new("keys");
/// Path to node: exactly the tree of the flushed height.
pub(crate) const NODES: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("nodes");
/// (height, index) to (hash, receipt), appended in order.
pub(crate) const RECEIPTS: TableDefinition<'_, (u64, u32), ([u8; 32], Bytes)> =
    TableDefinition::new("receipts");
/// Receipt hash to (height, index); small, since it is written in random order.
pub(crate) const RECEIPT_INDEX: TableDefinition<'_, [u8; 32], (u64, u32)> =
    TableDefinition::new("receipt index");
/// Height to block results.
pub(crate) const RESULTS: TableDefinition<'_, u64, Bytes> = TableDefinition::new("results");

/// Keys of [`META`] in the state database.
pub(crate) const HEIGHT_KEY: &str = "height";
pub(crate) const ROOT_KEY: &str = "root";
pub(crate) const GENESIS_KEY: &str = "genesis";
/// Present while a restore is under way.
pub(crate) const RESTORING_KEY: &str = "restoring";

/// Creates the tables, so that every later read finds them.
pub(crate) fn create(txn: &WriteTransaction) -> Result<(), Failure> {
    txn.open_table(VALUES)?;
    txn.open_table(KEYS)?;
    txn.open_table(NODES)?;
    txn.open_table(RECEIPTS)?;
    txn.open_table(RECEIPT_INDEX)?;
    txn.open_table(RESULTS)?;
    Ok(())
}

/// Removes all content, for a restore that starts over.
pub(crate) fn clear(txn: &WriteTransaction) -> Result<(), Failure> {
    txn.delete_table(VALUES)?;
    txn.delete_table(KEYS)?;
    txn.delete_table(NODES)?;
    txn.delete_table(RECEIPTS)?;
    txn.delete_table(RECEIPT_INDEX)?;
    txn.delete_table(RESULTS)?;
    create(txn)
}

/// A snapshot of the state database. As long as it lives, what it shows does not change.
pub(crate) struct Base {
    pub(crate) height: Height,
    pub(crate) root: Slot,
    /// Whether genesis was written. Before, the state is empty and has no root.
    pub(crate) initialised: bool,
    pub(crate) restoring: bool,
    path: PathBuf,
    pub(crate) values: ReadOnlyTable<Bytes, Bytes>,
    pub(crate) keys: ReadOnlyTable<[u8; 32], Bytes>,
    pub(crate) nodes: ReadOnlyTable<Bytes, Bytes>,
    receipts: ReadOnlyTable<(u64, u32), ([u8; 32], Bytes)>,
    receipt_index: ReadOnlyTable<[u8; 32], (u64, u32)>,
    results: ReadOnlyTable<u64, Bytes>,
    /// Decoded nodes, shared by all snapshots.
    cache: Arc<NodeCache>,
}

impl Base {
    pub(crate) fn load(database: &Database, cache: Arc<NodeCache>) -> Result<Self, StoreError> {
        let path = database.path().to_path_buf();
        database.read(|txn| {
            let meta = txn.open_table(META)?;
            let fact = |key| Ok::<_, Failure>(meta.get(key)?.map(|bytes| bytes.value().to_vec()));
            let height = fact(HEIGHT_KEY)?.and_then(|bytes| number(&bytes));
            let root = fact(ROOT_KEY)?.and_then(|bytes| Slot::try_from_slice(&bytes).ok());
            let base = Self {
                height: Height(height.unwrap_or(0)),
                root: root.unwrap_or_default(),
                initialised: fact(GENESIS_KEY)?.is_some(),
                restoring: fact(RESTORING_KEY)?.is_some(),
                path,
                values: txn.open_table(VALUES)?,
                keys: txn.open_table(KEYS)?,
                nodes: txn.open_table(NODES)?,
                receipts: txn.open_table(RECEIPTS)?,
                receipt_index: txn.open_table(RECEIPT_INDEX)?,
                results: txn.open_table(RESULTS)?,
                cache,
            };
            if !base.restoring && base.initialised != (height.is_some() && root.is_some()) {
                return Err(base.damaged("its facts about itself are incomplete").into());
            }
            if let Slot::Inner { hash, height } = base.root {
                base.node(&Path::of(&[0; 32], 0), &hash, height)?;
            }
            Ok(base)
        })
    }

    /// Runs `work` on the tables.
    pub(crate) fn contain<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, StoreError> {
        contain(&self.path, work)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.contain(|| Ok(self.values.get(key)?.map(|value| value.value().to_vec())))
    }

    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.contain(|| {
            let mut pairs = Vec::new();
            for entry in self.values.range::<&[u8]>((scan_start(prefix, after), Bound::Unbounded))? {
                let (key, value) = entry?;
                if pairs.len() >= limit || !key.value().starts_with(prefix) {
                    break;
                }
                pairs.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(pairs)
        })
    }

    pub(crate) fn receipt(&self, hash: &Digest) -> Result<Option<(Height, u32, Vec<u8>)>, StoreError> {
        self.contain(|| {
            let Some(place) = self.receipt_index.get(hash.0)?.map(|place| place.value()) else {
                return Ok(None);
            };
            let stored = self.receipts.get(place)?;
            let stored = stored.ok_or_else(|| self.damaged("a receipt of the index is missing"))?;
            Ok(Some((Height(place.0), place.1, stored.value().1.to_vec())))
        })
    }

    pub(crate) fn results(&self, height: Height) -> Result<Option<Vec<u8>>, StoreError> {
        self.contain(|| Ok(self.results.get(height.0)?.map(|bytes| bytes.value().to_vec())))
    }

    pub(crate) fn damaged(&self, detail: &str) -> StoreError {
        StoreError::corrupt(&self.path, detail)
    }
}

impl Nodes for Base {
    /// What comes from disk is checked against its hash, so that damage never becomes a wrong root.
    fn node(&self, path: &Path, hash: &[u8; 32], _: Height) -> Result<Arc<Node>, StoreError> {
        if let Some(node) = self.cache.get(hash) {
            return Ok(node);
        }
        let slots = self.contain(|| {
            let stored = path.with_bytes(|path| self.nodes.get(path))?;
            Ok(stored.and_then(|bytes| <[Slot; 16]>::try_from_slice(bytes.value()).ok()))
        })?;
        match slots.map(Node::new).filter(|node| node.hash == *hash) {
            Some(node) => {
                let node = Arc::new(node);
                self.cache.insert(*hash, Arc::clone(&node));
                Ok(node)
            }
            None => Err(self.damaged("a node of the state tree is not what its parent says")),
        }
    }
}
