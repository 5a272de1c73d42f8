//! Proofs that a key has a value, or none, under a state root.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Canonical, Digest};
use jmt::SimpleHasher;
use jmt::proof::{INTERNAL_DOMAIN_SEPARATOR, LEAF_DOMAIN_SEPARATOR};
use jmt::storage::{NibblePath, Node, NodeKey};

use crate::tree::{Blake3, Nodes, PLACEHOLDER, key_hash};
use crate::{MAX_VALUE_BYTES, StoreError};

/// Bits of a key hash: the longest path.
pub(crate) const MAX_DEPTH: usize = 256;

/// Proof that a key has a value, or that it has none, under a root.
///
/// Meant for those who do not trust the node that answers: [`Proof::verify`] needs nothing but a root from a
/// certified header.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proof {
    /// The value, if the key exists.
    value: Option<Vec<u8>>,
    /// If it does not: the hashes of key and value of the only leaf where it would be, if there is one.
    other: Option<(Digest, Digest)>,
    /// The hashes beside the path, from the root down.
    siblings: Vec<Digest>,
}

impl Canonical for Proof {
    const KIND: &'static str = "state proof";
    const MAX_BYTES: usize = 1 + 4 + MAX_VALUE_BYTES + 1 + 64 + 4 + MAX_DEPTH * 32;
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It leads to another root: forged, damaged, or for another height.
    #[error("the proof does not lead to this root: it is damaged, or for another height")]
    WrongRoot,
    /// It shows another place of the tree than the one where the key would be.
    #[error("the proof is not about this key")]
    WrongKey,
    /// More siblings than a path has bits.
    #[error("the proof is longer than a path can be")]
    TooLong,
    /// It claims both a value and another leaf in its place.
    #[error("the proof contradicts itself")]
    Contradiction,
}

impl Proof {
    /// The value that is proven, or `None` if it is proven that the key does not exist.
    ///
    /// # Errors
    /// [`ProofError`] if the proof proves neither under `root`.
    pub fn verify(&self, root: &Digest, key: &[u8]) -> Result<Option<Vec<u8>>, ProofError> {
        if self.siblings.len() > MAX_DEPTH {
            return Err(ProofError::TooLong);
        }
        let place = key_hash(key).0;
        let bottom = match (&self.value, &self.other) {
            (Some(_), Some(_)) => return Err(ProofError::Contradiction),
            (Some(value), None) => leaf_hash(&place, &Blake3::hash(value)),
            (None, Some((other, value))) => {
                let shared = (0..self.siblings.len()).all(|i| bit(&place, i) == bit(&other.0, i));
                if other.0 == place || !shared {
                    return Err(ProofError::WrongKey);
                }
                leaf_hash(&other.0, &value.0)
            }
            (None, None) => PLACEHOLDER,
        };
        let top = self.siblings.iter().enumerate().rfold(bottom, |hash, (i, sibling)| {
            if bit(&place, i) { inner_hash(&sibling.0, &hash) } else { inner_hash(&hash, &sibling.0) }
        });
        // An empty tree's root is written as zeros, see `Digest::ZERO`.
        let top = if top == PLACEHOLDER { Digest::ZERO } else { Digest(top) };
        if top == *root { Ok(self.value.clone()) } else { Err(ProofError::WrongRoot) }
    }

    /// The proof for `key`, whose value is `value`, in the tree under `root`.
    pub(crate) fn make(
        nodes: &impl Nodes,
        root: &Node,
        key: &[u8],
        value: Option<Vec<u8>>,
    ) -> Result<Option<Self>, StoreError> {
        let place = key_hash(key).0;
        let path = Path::descend(nodes, root, &place)?;
        let found = path.leaf.is_some_and(|(key, _)| key == place);
        if found != value.is_some() {
            return Ok(None);
        }
        let other = if found { None } else { path.leaf.map(|(key, value)| (Digest(key), Digest(value))) };
        Ok(Some(Self { value, other, siblings: path.siblings.into_iter().map(Digest).collect() }))
    }
}

/// The way from the root to the place of a key.
pub(crate) struct Path {
    /// The hashes beside the way, from the root down.
    pub(crate) siblings: Vec<[u8; 32]>,
    /// Hashes of key and value of the leaf at the end, which may belong to another key.
    pub(crate) leaf: Option<([u8; 32], [u8; 32])>,
}

impl Path {
    pub(crate) fn descend(nodes: &impl Nodes, root: &Node, place: &[u8; 32]) -> Result<Self, StoreError> {
        let mut siblings = Vec::with_capacity(32);
        let mut path = NibblePath::from_iter([]);
        let mut node = root.clone();
        loop {
            let inner = match node {
                Node::Null => return Ok(Self { siblings, leaf: None }),
                Node::Leaf(leaf) => return Ok(Self { siblings, leaf: Some(leaf_parts(&leaf)) }),
                Node::Internal(inner) => inner,
            };
            let mut children = [None; 16];
            let mut versions = [0; 16];
            for (nibble, child) in inner.children_unsorted() {
                children[nibble.as_usize()] = Some(Child { hash: child.hash, leaf: child.is_leaf() });
                versions[nibble.as_usize()] = child.version;
            }
            let depth = path.num_nibbles();
            let nibble = place.get(depth / 2).map_or(0, |byte| byte >> (4 - depth % 2 * 4) & 0xf);
            let Some(next) = step(&children, usize::from(nibble), &mut siblings) else {
                return Ok(Self { siblings, leaf: None });
            };
            let index = u8::try_from(next).unwrap_or(0);
            path = path.nibbles().chain([index.into()]).collect();
            let key = NodeKey::new(versions[next], path.clone());
            node = nodes.node(&key)?;
        }
    }
}

#[derive(Clone, Copy)]
struct Child {
    hash: [u8; 32],
    leaf: bool,
}

/// Walks the four levels of the binary tree that an inner node stands for, towards child `nibble`. Returns
/// the child at which the walk ends: that one, or the only leaf of the last subtree on the way.
fn step(children: &[Option<Child>; 16], nibble: usize, siblings: &mut Vec<[u8; 32]>) -> Option<usize> {
    let mut start = 0;
    for width in [8, 4, 2, 1] {
        let sibling = if nibble & width == 0 { start + width } else { start };
        start += nibble & width;
        siblings.push(subtree_hash(&children[sibling..sibling + width]));
        let mut present = (start..start + width).filter(|i| children[*i].is_some());
        let first = present.next()?;
        if width == 1 || (present.next().is_none() && children[first].is_some_and(|child| child.leaf)) {
            return Some(first);
        }
    }
    None
}

/// The hash of a part of an inner node: a single leaf stands for its whole subtree.
fn subtree_hash(children: &[Option<Child>]) -> [u8; 32] {
    let mut present = children.iter().flatten();
    match (present.next(), present.next()) {
        (None, _) => PLACEHOLDER,
        (Some(only), None) if only.leaf || children.len() == 1 => only.hash,
        _ => {
            let (left, right) = children.split_at(children.len() / 2);
            inner_hash(&subtree_hash(left), &subtree_hash(right))
        }
    }
}

fn leaf_parts(leaf: &jmt::storage::LeafNode) -> ([u8; 32], [u8; 32]) {
    // The value's hash has no accessor; the canonical bytes of a leaf are the two hashes.
    let mut bytes = [0; 64];
    let _ = leaf.serialize(&mut bytes.as_mut_slice());
    let (mut key, mut value) = ([0; 32], [0; 32]);
    key.copy_from_slice(&bytes[..32]);
    value.copy_from_slice(&bytes[32..]);
    (key, value)
}

/// Bit `i` of a key hash, from the top.
pub(crate) fn bit(place: &[u8; 32], i: usize) -> bool {
    place.get(i / 8).is_some_and(|byte| byte >> (7 - i % 8) & 1 == 1)
}

pub(crate) fn leaf_hash(key: &[u8; 32], value: &[u8; 32]) -> [u8; 32] {
    joined_hash(LEAF_DOMAIN_SEPARATOR, key, value)
}

pub(crate) fn inner_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    joined_hash(INTERNAL_DOMAIN_SEPARATOR, left, right)
}

fn joined_hash(domain: &[u8], a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Blake3::new();
    hasher.update(domain);
    hasher.update(a);
    hasher.update(b);
    hasher.finalize()
}
