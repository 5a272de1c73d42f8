//! The part of the state that is on disk: a consistent snapshot of the state database.

use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use borsh::BorshDeserialize;
use freeway_ledger::state::{Delta, Pair, scan_start};
use freeway_primitives::{Digest, Height};
use jmt::storage::{NibblePath, Node, NodeKey};
use redb::{ReadOnlyTable, TableDefinition, WriteTransaction};

use crate::StoreError;
use crate::cache::NodeCache;
use crate::error::{Failure, contain};
use crate::medium::{Database, META, number};
use crate::tree::{self, Nodes, digest_of, path_key};

type Bytes = &'static [u8];

/// Raw key to value, of the flushed height.
pub(crate) const VALUES: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("values");
/// Key hash to raw key: the order of snapshots.
pub(crate) const KEYS: TableDefinition<'_, [u8; 32], Bytes> = TableDefinition::new("keys");
/// Path to (version, node): exactly the tree of the flushed height.
pub(crate) const NODES: TableDefinition<'_, Bytes, (u64, Bytes)> = TableDefinition::new("nodes");
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
    pub(crate) root: Digest,
    pub(crate) root_node: Node,
    /// Whether genesis was written. Before, the state is empty and has no root.
    pub(crate) initialised: bool,
    pub(crate) restoring: bool,
    path: PathBuf,
    pub(crate) values: ReadOnlyTable<Bytes, Bytes>,
    pub(crate) keys: ReadOnlyTable<[u8; 32], Bytes>,
    pub(crate) nodes: ReadOnlyTable<Bytes, (u64, Bytes)>,
    receipts: ReadOnlyTable<(u64, u32), ([u8; 32], Bytes)>,
    receipt_index: ReadOnlyTable<[u8; 32], (u64, u32)>,
    results: ReadOnlyTable<u64, Bytes>,
    /// Decoded nodes, shared by all snapshots; `None` while a restore writes several trees as one version.
    cache: Option<Arc<NodeCache>>,
}

impl Base {
    pub(crate) fn load(database: &Database, cache: Option<Arc<NodeCache>>) -> Result<Self, StoreError> {
        let path = database.path().to_path_buf();
        database.read(|txn| {
            let meta = txn.open_table(META)?;
            let fact = |key| Ok::<_, Failure>(meta.get(key)?.map(|bytes| bytes.value().to_vec()));
            let height = fact(HEIGHT_KEY)?.and_then(|bytes| number(&bytes));
            let root = fact(ROOT_KEY)?.and_then(|bytes| bytes.try_into().ok().map(Digest));
            let mut base = Self {
                height: Height(height.unwrap_or(0)),
                root: root.unwrap_or(Digest::ZERO),
                root_node: Node::Null,
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
            let root_path = path_key(&NibblePath::from_iter([]));
            base.root_node = base.stored_node(root_path.as_slice())?.map_or(Node::Null, |(_, node)| node);
            let complete = base.initialised == (height.is_some() && root.is_some());
            if !base.restoring && (!complete || digest_of(&base.root_node) != base.root) {
                return Err(base.damaged("the root of the state is not the recorded one").into());
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

    /// Runs an update of the tree over `nodes`; what a damaged tree provokes comes back as an error.
    pub(crate) fn update(
        &self,
        nodes: &impl Nodes,
        root: &Node,
        height: Height,
        delta: &Delta,
    ) -> Result<tree::Update, StoreError> {
        self.contain(|| {
            tree::update(nodes, root, height, delta).map_err(|error| {
                let detail = error.to_string();
                let error = error.downcast::<StoreError>().unwrap_or_else(|_| self.damaged(&detail));
                Failure::from(error)
            })
        })
    }

    fn stored_node(&self, path: &[u8]) -> Result<Option<(u64, Node)>, Failure> {
        let Some(stored) = self.nodes.get(path)? else {
            return Ok(None);
        };
        let (version, bytes) = stored.value();
        match Node::try_from_slice(bytes) {
            Ok(node) => Ok(Some((version, node))),
            Err(error) => Err(self.damaged(&format!("a node of the state tree: {error}")).into()),
        }
    }
}

impl Nodes for Base {
    fn node(&self, key: &NodeKey) -> Result<Node, StoreError> {
        if let Some(node) = self.cache.as_ref().and_then(|cache| cache.get(key)) {
            return Ok(node);
        }
        let stored = self.contain(|| self.stored_node(path_key(key.nibble_path()).as_slice()))?;
        let (version, node) = stored.ok_or_else(|| self.damaged("a node of the state tree is missing"))?;
        if version != key.version() {
            return Err(self.damaged("a node of the state tree has another version than its parent says"));
        }
        if let Some(cache) = &self.cache {
            cache.insert(key.clone(), node.clone());
        }
        Ok(node)
    }
}
