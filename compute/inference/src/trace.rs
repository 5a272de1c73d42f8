//! Traces: what a computation leaves behind, so that one layer of one position can be disputed alone.
//!
//! - The **leaf** of a position and layer is the keyed BLAKE3 of the residual row after that layer: its true width,
//!   every element as four little-endian bytes of an IEEE single. The key is derived from the model's root.
//! - The **node** of a position is the hash of its leaves, layer by layer.
//! - The **root** is that of [`freeway_proofs::merkle`] over the nodes of the positions 0, 1, 2 ...
//!
//! The positions of a generation are those that were computed: all of the prompt, and all generated tokens but the
//! last, whose choice needs no further position. With P tokens of prompt and G of completion (at least one) these are
//! P + G - 1. Scoring the same tokens in one pass gives the same root.

use freeway_primitives::{Digest, Domain};
use freeway_proofs::merkle::{self, Path, Tree};

/// Derives the key of a model's leaves.
const LEAF_KEY: &str = "freeway 1 inference trace leaf key";
/// The hash over the leaves of one position.
const NODE: Domain = Domain::new("freeway 1 inference trace position");

/// Hashes rows of one model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaves {
    key: [u8; 32],
}

impl Leaves {
    /// For the model with this root.
    pub(crate) fn new(root: &[u8; 32]) -> Self {
        Self { key: blake3::derive_key(LEAF_KEY, root) }
    }

    /// The leaf of a residual row.
    pub(crate) fn leaf(&self, row: &[f32]) -> Digest {
        /// Elements at a time: enough for the widest vectors of the hash.
        const PART: usize = 4096;
        let mut bytes = [0; 4 * PART];
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in row.chunks(PART) {
            let bytes = &mut bytes[..4 * part.len()];
            for (bytes, value) in bytes.as_chunks_mut().0.iter_mut().zip(part) {
                *bytes = value.to_le_bytes();
            }
            hasher.update(bytes);
        }
        Digest(*hasher.finalize().as_bytes())
    }
}

/// The node over the leaves of one position.
pub(crate) fn node(leaves: &[Digest]) -> Digest {
    let bytes: Vec<u8> = leaves.iter().flat_map(|leaf| leaf.0).collect();
    Digest::of(NODE, &bytes)
}

/// All leaves of the positions of one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    layers: usize,
    /// Position by position, layer by layer.
    leaves: Vec<Digest>,
    tree: Tree,
}

impl Trace {
    /// A trace of these leaves, `layers` (at least one) for each position.
    pub(crate) fn new(layers: usize, leaves: Vec<Digest>) -> Self {
        let mut tree = Tree::new();
        for leaves in leaves.chunks_exact(layers) {
            tree.push(&node(leaves)).expect("a context is shorter than the largest tree");
        }
        Self { layers, leaves, tree }
    }

    /// The number of positions.
    pub fn positions(&self) -> u64 {
        self.tree.count()
    }

    /// The root over all positions.
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// Opens the leaf of a position and layer; `None` if there is no such leaf.
    pub fn open(&self, position: u64, layer: usize) -> Option<Opening> {
        let path = self.tree.path(position)?;
        let first = usize::try_from(position).ok()? * self.layers;
        let leaves = self.leaves[first..first + self.layers].to_vec();
        (layer < self.layers).then_some(Opening { position, layer, leaves, path })
    }
}

/// Shows which leaf a trace has at one position and layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The position.
    pub position: u64,
    /// The layer.
    pub layer: usize,
    /// The leaves of all layers of the position.
    pub leaves: Vec<Digest>,
    /// The way from the position's node to the root.
    pub path: Path,
}

impl Opening {
    /// The leaf that is opened, if this belongs to a trace of `positions` positions of `layers` layers with this root;
    /// `None` if it does not.
    pub fn verify(&self, root: &Digest, positions: u64, layers: usize) -> Option<Digest> {
        if self.leaves.len() != layers {
            return None;
        }
        merkle::verify(root, positions, self.position, &node(&self.leaves), &self.path)
            .then(|| self.leaves.get(self.layer).copied())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_opened_verifies_and_nothing_else() {
        let (layers, positions) = (3, 70);
        let leaves: Vec<Digest> =
            (0..layers * positions).map(|i| Leaves::new(&[7; 32]).leaf(&[i as f32, -0.0])).collect();
        let trace = Trace::new(layers, leaves.clone());
        let root = trace.root();
        for position in 0..positions {
            for layer in 0..layers {
                let opening = trace.open(position as u64, layer).unwrap();
                let leaf = leaves[position * layers + layer];
                assert_eq!(opening.verify(&root, positions as u64, layers), Some(leaf));
                assert_eq!(opening.verify(&root, positions as u64, layers + 1), None);
                assert_eq!(opening.verify(&root, positions as u64 + 1, layers), None);
                let mut other = opening.clone();
                other.position = (position as u64 + 1) % positions as u64;
                assert_eq!(other.verify(&root, positions as u64, layers), None);
                let mut other = opening.clone();
                other.leaves[(layer + 1) % layers] = Digest::ZERO;
                assert_eq!(other.verify(&root, positions as u64, layers), None);
                let mut other = opening;
                other.layer = layers;
                assert_eq!(other.verify(&root, positions as u64, layers), None);
            }
        }
        assert_eq!(trace.open(0, layers), None);
        assert_eq!(trace.open(positions as u64, 0), None);
    }

    #[test]
    fn leaves_tell_models_and_zeros_apart() {
        let leaf = |root: u8, row: &[f32]| Leaves::new(&[root; 32]).leaf(row);
        assert_ne!(leaf(1, &[0.0]), leaf(2, &[0.0]));
        assert_ne!(leaf(1, &[0.0]), leaf(1, &[-0.0]));
        let long: Vec<f32> = (0..10_000).map(|i| i as f32).collect();
        let bytes: Vec<u8> = long.iter().flat_map(|value| value.to_le_bytes()).collect();
        let key = blake3::derive_key(LEAF_KEY, &[1; 32]);
        assert_eq!(leaf(1, &long), Digest(*blake3::keyed_hash(&key, &bytes).as_bytes()));
    }
}
