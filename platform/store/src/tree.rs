//! The state tree: a Jellyfish Merkle tree over BLAKE3.
//!
//! Conceptually a binary tree of 256 levels in which a key sits at the path that its digest spells, and in
//! which a subtree with a single key is replaced by that key's leaf. The root depends on the content alone,
//! not on the history that led to it.
//!
//! It is stored sixteenfold: a [`Node`] stands for four levels. Leaves are part of the node above them, so
//! that a key costs no record of its own. Hashes are those of the `jmt` crate with BLAKE3, which is the oracle
//! of the tests. Storage and updates are our own: `jmt` keeps a record for each leaf, removes keys one by one,
//! and spends nine tenths of an update in maps of paths and copies of nodes.

use std::collections::HashMap;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_ledger::state::Delta;
use freeway_primitives::{Digest, Domain, Height};

use crate::StoreError;
use crate::cache::QuickHash;

const KEY: Domain = Domain::new("freeway 1 state key");
/// What an empty subtree counts as in its parent's hash.
pub(crate) const PLACEHOLDER: [u8; 32] = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";
/// What keeps the two kinds of hashes apart. With two hashes behind it, each has its own length.
const LEAF: &[u8; 13] = b"JMT::LeafNode";
const INNER: &[u8; 16] = b"JMT::IntrnalNode";

/// The digest of a key, which is its path in the tree.
pub(crate) type Place = [u8; 32];

/// Where in the tree a key sits.
pub(crate) fn place_of(key: &[u8]) -> Place {
    Digest::of(KEY, key).0
}

/// Digit `depth` of a place in base 16, from the root down.
pub(crate) fn nibble(place: &Place, depth: usize) -> usize {
    let byte = place.get(depth / 2).copied().unwrap_or(0);
    usize::from(if depth.is_multiple_of(2) { byte >> 4 } else { byte & 0xf })
}

/// The hash of a value in its leaf.
pub(crate) fn value_hash(value: &[u8]) -> [u8; 32] {
    *blake3::hash(value).as_bytes()
}

pub(crate) fn leaf_hash(place: &Place, value: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [0; LEAF.len() + 64];
    bytes[..LEAF.len()].copy_from_slice(LEAF);
    bytes[LEAF.len()..LEAF.len() + 32].copy_from_slice(place);
    bytes[LEAF.len() + 32..].copy_from_slice(value);
    *blake3::hash(&bytes).as_bytes()
}

pub(crate) fn inner_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [0; INNER.len() + 64];
    bytes[..INNER.len()].copy_from_slice(INNER);
    bytes[INNER.len()..INNER.len() + 32].copy_from_slice(left);
    bytes[INNER.len() + 32..].copy_from_slice(right);
    *blake3::hash(&bytes).as_bytes()
}

/// One of the sixteen places below a node, or the root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum Slot {
    /// No key.
    #[default]
    Empty,
    /// One key, with the hash of its value.
    Leaf { place: Place, value: [u8; 32] },
    /// More than one key: the hash of the node, and the height of the block that made it, which says where
    /// the node is to be found. The height is not part of any hash.
    Inner { hash: [u8; 32], height: Height },
}

impl Slot {
    pub(crate) fn hash(&self) -> [u8; 32] {
        match self {
            Self::Empty => PLACEHOLDER,
            Self::Leaf { place, value } => leaf_hash(place, value),
            Self::Inner { hash, .. } => *hash,
        }
    }

    /// The digest of a tree with this root; [`Digest::ZERO`] if it is empty.
    pub(crate) fn digest(&self) -> Digest {
        match self {
            Self::Empty => Digest::ZERO,
            other => Digest(other.hash()),
        }
    }
}

/// Four levels of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) slots: [Slot; 16],
    pub(crate) hash: [u8; 32],
}

impl Node {
    pub(crate) fn new(slots: [Slot; 16]) -> Self {
        Self { hash: subtree_hash(&slots), slots }
    }
}

/// The hash of 1, 2, 4, 8 or 16 neighbouring slots: a single leaf stands for its whole subtree.
pub(crate) fn subtree_hash(slots: &[Slot]) -> [u8; 32] {
    let mut present = slots.iter().filter(|slot| **slot != Slot::Empty);
    match (present.next(), present.next()) {
        (None, _) => PLACEHOLDER,
        (Some(leaf @ Slot::Leaf { .. }), None) => leaf.hash(),
        (Some(only), None) if slots.len() == 1 => only.hash(),
        _ => {
            let (left, right) = slots.split_at(slots.len() / 2);
            inner_hash(&subtree_hash(left), &subtree_hash(right))
        }
    }
}

/// Where a node is: the first digits of the places below it. Ordered so that subtrees are contiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Path {
    bytes: Place,
    depth: u8,
}

impl Path {
    /// The node on the way to `place` with `depth` digits above it.
    pub(crate) fn of(place: &Place, depth: usize) -> Self {
        let mut bytes = [0; 32];
        let whole = depth / 2;
        bytes[..whole].copy_from_slice(&place[..whole]);
        if !depth.is_multiple_of(2) {
            bytes[whole] = place[whole] & 0xf0;
        }
        Self { bytes, depth: u8::try_from(depth).unwrap_or(u8::MAX) }
    }

    /// The key on disk: the digits, and how many they are.
    pub(crate) fn with_bytes<T>(&self, work: impl FnOnce(&[u8]) -> T) -> T {
        let mut key = [0; 33];
        let len = usize::from(self.depth).div_ceil(2);
        key[..len].copy_from_slice(&self.bytes[..len]);
        key[len] = self.depth;
        work(&key[..=len])
    }
}

/// Reads the nodes of a tree.
pub(crate) trait Nodes {
    /// The node at `path` with this `hash`, made at `height`.
    fn node(&self, path: &Path, hash: &[u8; 32], height: Height) -> Result<Arc<Node>, StoreError>;
}

/// Nodes made, and `None` for those that are gone, by path.
pub(crate) type NodeChanges = HashMap<Path, Option<Arc<Node>>, QuickHash>;

/// What a block does to the tree.
pub(crate) struct Update {
    pub(crate) root: Slot,
    pub(crate) nodes: NodeChanges,
}

/// Applies the changes of the block at `height` to the tree under `root`. Changes nothing in place.
pub(crate) fn update(
    nodes: &impl Nodes,
    root: Slot,
    height: Height,
    delta: &Delta,
) -> Result<Update, StoreError> {
    let change = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| Change {
        place: place_of(key),
        value: value.as_deref().map(value_hash),
    };
    let mut changes: Vec<Change> = delta.iter().map(change).collect();
    changes.sort_unstable_by_key(|change| change.place);
    let mut writer = Writer { nodes, height, made: NodeChanges::default() };
    let root = writer.change(root, 0, &changes)?;
    Ok(Update { root, nodes: writer.made })
}

struct Change {
    place: Place,
    value: Option<[u8; 32]>,
}

impl Change {
    /// What a slot holds in which there is nothing else.
    fn slot(&self) -> Slot {
        self.value.map_or(Slot::Empty, |value| Slot::Leaf { place: self.place, value })
    }
}

struct Writer<'a, N> {
    nodes: &'a N,
    height: Height,
    made: NodeChanges,
}

impl<N: Nodes> Writer<'_, N> {
    /// What becomes of the `slot` that has `depth` digits above it. The `changes` are ordered by place and all
    /// belong under it. Each node is visited and hashed once, whatever the number of changes.
    fn change(&mut self, slot: Slot, depth: usize, changes: &[Change]) -> Result<Slot, StoreError> {
        let [first, ..] = changes else {
            return Ok(slot);
        };
        let path = Path::of(&first.place, depth);
        let mut before = None;
        let mut slots = [Slot::Empty; 16];
        match (slot, changes) {
            (Slot::Empty, [only]) => return Ok(only.slot()),
            (Slot::Leaf { place, .. }, [only]) if place == only.place => return Ok(only.slot()),
            (Slot::Leaf { .. }, [Change { value: None, .. }]) => return Ok(slot),
            (Slot::Empty, _) => {}
            (Slot::Leaf { place, .. }, _) => slots[nibble(&place, depth)] = slot,
            (Slot::Inner { hash, height }, _) => {
                let node = self.nodes.node(&path, &hash, height)?;
                slots = node.slots;
                before = Some(node);
            }
        }
        // Places differ, so that they part before the last digit: this ends.
        for group in changes.chunk_by(|a, b| nibble(&a.place, depth) == nibble(&b.place, depth)) {
            let slot = &mut slots[nibble(&group[0].place, depth)];
            *slot = self.change(*slot, depth + 1, group)?;
        }
        if before.as_ref().is_some_and(|node| node.slots == slots) {
            return Ok(slot);
        }
        let mut present = slots.iter().filter(|slot| **slot != Slot::Empty);
        let collapsed = match (present.next(), present.next()) {
            (None, _) => Slot::Empty,
            (Some(leaf @ Slot::Leaf { .. }), None) => *leaf,
            _ => {
                let node = Node::new(slots);
                let slot = Slot::Inner { hash: node.hash, height: self.height };
                self.made.insert(path, Some(Arc::new(node)));
                return Ok(slot);
            }
        };
        if before.is_some() {
            self.made.insert(path, None);
        }
        Ok(collapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jmt::storage::{LeafNode, Node as JmtNode, NodeKey, TreeReader};
    use jmt::{JellyfishMerkleTree, KeyHash, OwnedValue};
    use proptest::prelude::*;

    /// `jmt`'s view of nothing: every tree of the oracle is built at once.
    struct Nothing;

    impl TreeReader for Nothing {
        fn get_node_option(&self, _: &NodeKey) -> anyhow::Result<Option<JmtNode>> {
            Ok(None)
        }

        fn get_value_option(&self, _: u64, _: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
            Ok(None)
        }

        fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
            Ok(None)
        }
    }

    struct Oracle(blake3::Hasher);

    impl jmt::SimpleHasher for Oracle {
        fn new() -> Self {
            Self(blake3::Hasher::new())
        }

        fn update(&mut self, data: &[u8]) {
            self.0.update(data);
        }

        fn finalize(self) -> [u8; 32] {
            *self.0.finalize().as_bytes()
        }
    }

    fn oracle(state: &Delta) -> Digest {
        let present = state.iter().filter(|(_, value)| value.is_some());
        let entries: Vec<_> = present.map(|(k, v)| (KeyHash(place_of(k)), v.clone())).collect();
        if entries.is_empty() {
            return Digest::ZERO;
        }
        let tree = JellyfishMerkleTree::<_, Oracle>::new(&Nothing);
        Digest(tree.put_value_set(entries, 0).unwrap().0.0)
    }

    /// All nodes of the latest tree, by path, as on disk.
    #[derive(Default)]
    struct Disk(NodeChanges);

    impl Nodes for Disk {
        fn node(&self, path: &Path, hash: &[u8; 32], _: Height) -> Result<Arc<Node>, StoreError> {
            let node = self.0[path].clone().unwrap();
            assert_eq!(node.hash, *hash);
            Ok(node)
        }
    }

    proptest! {
        #[test]
        fn roots_are_those_of_jmt(
            deltas in proptest::collection::vec(
                proptest::collection::btree_map(
                    proptest::collection::vec(0u8..4, 1..4),
                    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..3)),
                    0..60,
                ),
                1..8,
            ),
        ) {
            let (mut disk, mut root, mut state) = (Disk::default(), Slot::Empty, Delta::new());
            for (height, delta) in (0..).zip(deltas) {
                let update = update(&disk, root, Height(height), &delta).unwrap();
                root = update.root;
                disk.0.extend(update.nodes);
                disk.0.retain(|_, node| node.is_some());
                state.extend(delta);
                prop_assert_eq!(root.digest(), oracle(&state));
            }
            let keys = state.values().filter(|value| value.is_some()).count();
            prop_assert!(disk.0.len() <= keys, "nothing is left behind");
        }

        #[test]
        fn different_paths_have_different_keys(place: Place, other: Place, a in 0usize..64, b in 0usize..64) {
            let key = |place, depth| Path::of(place, depth).with_bytes(<[u8]>::to_vec);
            prop_assert_eq!(a == b, key(&place, a) == key(&place, b));
            let same = (0..a).all(|depth| nibble(&place, depth) == nibble(&other, depth));
            prop_assert_eq!(same, key(&place, a) == key(&other, a));
        }
    }
}
