//! Proofs that a key has a value, or none, under a state root.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Canonical, Digest};

use crate::tree::{
    Nodes, PLACEHOLDER, Path, Place, Slot, inner_hash, leaf_hash, nibble, place_of, subtree_hash, value_hash,
};
use crate::{MAX_VALUE_BYTES, StoreError};

/// Bits of a place: the longest path.
pub(crate) const MAX_DEPTH: usize = 256;

/// Proof that a key has a value, or that it has none, under a root.
///
/// Meant for those who do not trust the node that answers: [`Proof::verify`] needs nothing but a root from a
/// certified header.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proof {
    /// The value, if the key exists.
    value: Option<Vec<u8>>,
    /// If it does not: the place and the value's hash of the only leaf where it would be, if there is one.
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
        let place = place_of(key);
        let bottom = match (&self.value, &self.other) {
            (Some(_), Some(_)) => return Err(ProofError::Contradiction),
            (Some(value), None) => leaf_hash(&place, &value_hash(value)),
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
        root: Slot,
        key: &[u8],
        value: Option<Vec<u8>>,
    ) -> Result<Option<Self>, StoreError> {
        let place = place_of(key);
        let end = Descent::to(&place, nodes, root)?;
        let found = end.leaf.is_some_and(|(key, _)| key == place);
        if found != value.is_some() {
            return Ok(None);
        }
        let other = if found { None } else { end.leaf.map(|(key, value)| (Digest(key), Digest(value))) };
        Ok(Some(Self { value, other, siblings: end.siblings.into_iter().map(Digest).collect() }))
    }
}

/// The way from the root to a place.
pub(crate) struct Descent {
    /// The hashes beside the way, from the root down.
    pub(crate) siblings: Vec<[u8; 32]>,
    /// Place and value hash of the leaf at the end, which may be another key's.
    pub(crate) leaf: Option<(Place, [u8; 32])>,
}

impl Descent {
    pub(crate) fn to(place: &Place, nodes: &impl Nodes, root: Slot) -> Result<Self, StoreError> {
        let mut siblings = Vec::with_capacity(32);
        let mut slot = root;
        for depth in 0..MAX_DEPTH / 4 {
            let (hash, height) = match slot {
                Slot::Empty => return Ok(Self { siblings, leaf: None }),
                Slot::Leaf { place, value } => return Ok(Self { siblings, leaf: Some((place, value)) }),
                Slot::Inner { hash, height } => (hash, height),
            };
            let node = nodes.node(&Path::of(place, depth), &hash, height)?;
            slot = step(&node.slots, nibble(place, depth), &mut siblings);
        }
        Ok(Self { siblings, leaf: None })
    }
}

/// Walks the four levels of the binary tree that a node stands for, towards slot `nibble`. Returns the slot
/// at which the walk ends: that one, or what is alone in the last subtree on the way.
fn step(slots: &[Slot; 16], nibble: usize, siblings: &mut Vec<[u8; 32]>) -> Slot {
    let mut start = 0;
    for width in [8, 4, 2, 1] {
        let sibling = if nibble & width == 0 { start + width } else { start };
        start += nibble & width;
        siblings.push(subtree_hash(&slots[sibling..sibling + width]));
        let mut present = slots[start..start + width].iter().filter(|slot| **slot != Slot::Empty);
        match (present.next(), present.next()) {
            (None, _) => return Slot::Empty,
            (Some(leaf @ Slot::Leaf { .. }), None) => return *leaf,
            _ => {}
        }
    }
    slots[nibble]
}

/// Bit `i` of a place, from the root down.
pub(crate) fn bit(place: &Place, i: usize) -> bool {
    place.get(i / 8).is_some_and(|byte| byte >> (7 - i % 8) & 1 == 1)
}
