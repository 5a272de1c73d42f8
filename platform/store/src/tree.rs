//! The state tree: a Jellyfish Merkle tree over BLAKE3, and how a block changes it.
//!
//! A key sits at the path that its digest spells; a leaf commits to the BLAKE3 of the value. The root depends
//! on the content alone, not on the history that led to it.
//!
//! `jmt` can insert many keys at once, hashing each node of the tree once, but it removes keys only one by
//! one. A block is therefore applied as two versions of the tree: first its removals, then its writes.

use borsh::BorshSerialize;
use freeway_ledger::state::Delta;
use freeway_primitives::{Digest, Domain, Height};
use jmt::storage::NibblePath;
use jmt::storage::{LeafNode, Node, NodeKey, TreeReader, TreeUpdateBatch};
use jmt::{JellyfishMerkleTree, KeyHash, OwnedValue, SimpleHasher, Version};

use crate::StoreError;

const KEY: Domain = Domain::new("freeway 1 state key");
/// What an empty subtree counts as in its parent's hash (fixed by `jmt`).
pub(crate) const PLACEHOLDER: [u8; 32] = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";
/// Longest input that [`Blake3`] hashes in one call; every node of the tree is shorter.
const SHORT: usize = 96;

/// Where in the tree a key sits.
pub(crate) fn key_hash(key: &[u8]) -> KeyHash {
    KeyHash(Digest::of(KEY, key).0)
}

/// BLAKE3 for `jmt`. Nodes are short: collecting them first and hashing in one call takes half the time of an
/// incremental hasher.
pub(crate) enum Blake3 {
    Short { bytes: [u8; SHORT], used: usize },
    Long(Box<blake3::Hasher>),
}

impl SimpleHasher for Blake3 {
    fn new() -> Self {
        Self::Short { bytes: [0; SHORT], used: 0 }
    }

    fn update(&mut self, data: &[u8]) {
        match self {
            Self::Short { bytes, used } => match bytes.get_mut(*used..*used + data.len()) {
                Some(free) => {
                    free.copy_from_slice(data);
                    *used += data.len();
                }
                None => {
                    let mut hasher = Box::new(blake3::Hasher::new());
                    hasher.update(&bytes[..*used]).update(data);
                    *self = Self::Long(hasher);
                }
            },
            Self::Long(hasher) => {
                hasher.update(data);
            }
        }
    }

    fn finalize(self) -> [u8; 32] {
        match self {
            Self::Short { bytes, used } => *blake3::hash(&bytes[..used]).as_bytes(),
            Self::Long(hasher) => *hasher.finalize().as_bytes(),
        }
    }

    fn hash(data: impl AsRef<[u8]>) -> [u8; 32] {
        *blake3::hash(data.as_ref()).as_bytes()
    }
}

/// The version that holds the removals of a block.
fn removals(height: Height) -> Version {
    height.0.saturating_mul(2).saturating_add(1)
}

/// The version that holds the writes of a block, and is its final one.
fn writes(height: Height) -> Version {
    removals(height).saturating_add(1)
}

/// The block that made a version.
pub(crate) fn height_of(version: Version) -> Height {
    Height(version.saturating_sub(1) / 2)
}

/// The key of the root node at any height. Roots are kept apart from the other nodes, see [`Source`].
fn root_key(version: Version) -> NodeKey {
    NodeKey::new(version, NibblePath::from_iter([]))
}

/// The digest that commits to everything under `root`; [`Digest::ZERO`] for the empty tree.
pub(crate) fn digest_of(root: &Node) -> Digest {
    match root {
        Node::Null => Digest::ZERO,
        Node::Leaf(leaf) => Digest(leaf.hash::<Blake3>()),
        Node::Internal(node) => Digest(node.hash::<Blake3>()),
    }
}

const PATH_FRAME: usize = 12;
/// Bytes of the longest path.
const MAX_PATH_BYTES: usize = 32;

/// The place of a node on disk: its path alone, since the disk holds exactly one version of the tree.
/// A subtree is contiguous in this order, so that one block's changes stay together.
#[derive(Clone, Copy)]
pub(crate) struct PathKey {
    bytes: [u8; MAX_PATH_BYTES + 1],
    len: usize,
}

impl PathKey {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Where a node goes.
pub(crate) fn path_key(path: &NibblePath) -> PathKey {
    // The canonical bytes of a path: number of nibbles (8 bytes), number of bytes (4), and the bytes.
    let mut encoded = [0; PATH_FRAME + MAX_PATH_BYTES];
    let _ = path.serialize(&mut encoded.as_mut_slice());
    let (nibbles, len) = (encoded[0], path.num_nibbles().div_ceil(2).min(MAX_PATH_BYTES));
    let mut key = PathKey { bytes: [0; MAX_PATH_BYTES + 1], len: len + 1 };
    key.bytes[..len].copy_from_slice(&encoded[PATH_FRAME..PATH_FRAME + len]);
    // Needed: a path of odd length ends in a zero that is not part of it.
    key.bytes[len] = nibbles;
    key
}

/// Reads nodes of a tree other than its root. One that its parent names and that is not there is damage.
pub(crate) trait Nodes {
    fn node(&self, key: &NodeKey) -> Result<Node, StoreError>;
}

/// The tree as `jmt` reads it: `root` over `nodes`, with the changes that the same block already made.
struct Source<'a, N> {
    nodes: &'a N,
    root: &'a Node,
    pending: Option<&'a TreeUpdateBatch>,
}

impl<N: Nodes> TreeReader for Source<'_, N> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        if key.nibble_path().is_empty() {
            // Every block asks for the root of the version before, whether or not that version changed it.
            return Ok(Some(self.root.clone()));
        }
        match self.pending.and_then(|pending| pending.node_batch.get_node(key)) {
            Some(node) => Ok(Some(node.clone())),
            None => Ok(Some(self.nodes.node(key)?)),
        }
    }

    fn get_value_option(&self, _: Version, _: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        anyhow::bail!("updates read no values")
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        anyhow::bail!("only jmt's own restore asks for this")
    }
}

/// What a block does to the tree.
pub(crate) struct Update {
    pub(crate) root: Digest,
    pub(crate) root_node: Node,
    /// Nodes made and nodes made stale, in the order in which they happened.
    pub(crate) batches: Vec<TreeUpdateBatch>,
}

impl Update {
    /// A node that this update made.
    pub(crate) fn node(&self, key: &NodeKey) -> Option<&Node> {
        self.batches.iter().find_map(|batch| batch.node_batch.get_node(key))
    }
}

/// Applies the changes of a block to the tree under `root`. Changes nothing in place.
pub(crate) fn update(
    nodes: &impl Nodes,
    root: &Node,
    height: Height,
    delta: &Delta,
) -> Result<Update, anyhow::Error> {
    let mut removed = Vec::new();
    let mut written = Vec::with_capacity(delta.len());
    for (key, value) in delta {
        match value {
            Some(value) => written.push((key_hash(key), value.clone())),
            None => removed.push((key_hash(key), None)),
        }
    }
    let mut root_node = root.clone();
    let mut batches: Vec<TreeUpdateBatch> = Vec::new();
    if !removed.is_empty() {
        let version = removals(height);
        let source = Source { nodes, root: &root_node, pending: None };
        let (_, batch) = JellyfishMerkleTree::<_, Blake3>::new(&source).put_value_set(removed, version)?;
        if let Some(root) = batch.node_batch.get_node(&root_key(version)).cloned() {
            root_node = root;
        }
        batches.push(batch);
    }
    if !written.is_empty() {
        let version = writes(height);
        let source = Source { nodes, root: &root_node, pending: batches.first() };
        let tree = JellyfishMerkleTree::<_, Blake3>::new(&source);
        let (_, batch) = tree.batch_put_value_sets(vec![written], None, version)?;
        if let Some(root) = batch.node_batch.get_node(&root_key(version)).cloned() {
            root_node = root;
        }
        batches.push(batch);
    }
    Ok(Update { root: digest_of(&root_node), root_node, batches })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_hasher_is_blake3_however_it_is_fed(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70), 0..6)) {
            let mut hasher = Blake3::new();
            parts.iter().for_each(|part| hasher.update(part));
            prop_assert_eq!(hasher.finalize(), *blake3::hash(&parts.concat()).as_bytes());
        }

        #[test]
        fn different_paths_have_different_keys(a in proptest::collection::vec(0u8..16, 0..8), b in proptest::collection::vec(0u8..16, 0..8)) {
            let path = |nibbles: &[u8]| NibblePath::from_iter(nibbles.iter().map(|n| (*n).into()));
            prop_assert_eq!(a == b, path_key(&path(&a)).as_slice() == path_key(&path(&b)).as_slice());
        }
    }
}
