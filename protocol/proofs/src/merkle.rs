//! A binary hash tree over a list of 32-byte leaves, in the shape of RFC 6962.
//!
//! A list of more than one leaf is split at the largest power of two below its length. Leaves and nodes are
//! hashed under domains of their own, so that neither can stand for the other, and the root is a hash of the
//! number of leaves and the top: a tree cannot be told to be longer or shorter than it is.
//!
//! - [`Frontier`] builds a root from leaves as they come, in the memory of one path; it can be stored and
//!   taken up again after a crash.
//! - [`Tree`] keeps what is needed to open any leaf: twice the size of the leaves.
//! - [`verify`] checks a leaf against a root. For one place in one tree exactly one path verifies.

use std::io::{Error, ErrorKind, Read};

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Digest, Domain};

const LEAF: Domain = Domain::new("freeway 1 merkle leaf");
const NODE: Domain = Domain::new("freeway 1 merkle node");
const ROOT: Domain = Domain::new("freeway 1 merkle root");

/// The most leaves of a tree.
pub const MAX_LEAVES: u64 = 1 << 32;

/// The longest path: the depth of a tree of [`MAX_LEAVES`].
pub const MAX_DEPTH: usize = 32;

const _: () = assert!(1u64 << MAX_DEPTH == MAX_LEAVES);

/// The hash at the bottom of the tree, over a leaf.
fn leaf_hash(leaf: &Digest) -> Digest {
    Digest::of(LEAF, leaf.as_bytes())
}

/// The hash over two neighbours.
fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut both = [0; 64];
    both[..32].copy_from_slice(left.as_bytes());
    both[32..].copy_from_slice(right.as_bytes());
    Digest::of(NODE, &both)
}

/// The root of a tree of `count` leaves under `top`.
fn root_hash(count: u64, top: &Digest) -> Digest {
    let mut both = [0; 40];
    both[..8].copy_from_slice(&count.to_le_bytes());
    both[8..].copy_from_slice(top.as_bytes());
    Digest::of(ROOT, &both)
}

/// The root over perfect subtrees of falling size, from left to right.
fn fold(count: u64, peaks: &[Digest]) -> Digest {
    let mut peaks = peaks.iter().rev();
    let Some(last) = peaks.next() else { return root_hash(count, &Digest::ZERO) };
    root_hash(count, &peaks.fold(*last, |right, left| node_hash(left, &right)))
}

/// A tree that has [`MAX_LEAVES`] takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tree has at most {MAX_LEAVES} leaves; commit to what there is and begin another")]
pub struct TreeFull;

/// A growing tree of which only the right edge is kept: enough for the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize)]
pub struct Frontier {
    count: u64,
    /// The perfect subtrees that make up the tree, one per set bit of `count`, the largest first.
    peaks: Vec<Digest>,
}

impl BorshDeserialize for Frontier {
    fn deserialize_reader<R: Read>(reader: &mut R) -> Result<Self, Error> {
        let (count, peaks) = <(u64, Vec<Digest>)>::deserialize_reader(reader)?;
        if count > MAX_LEAVES || peaks.len() != count.count_ones() as usize {
            return Err(Error::new(ErrorKind::InvalidData, "not the edge of a tree"));
        }
        Ok(Self { count, peaks })
    }
}

impl Frontier {
    /// A tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of leaves.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Appends a leaf. Gives its index.
    ///
    /// # Errors
    /// [`TreeFull`] if there are [`MAX_LEAVES`].
    pub fn push(&mut self, leaf: &Digest) -> Result<u64, TreeFull> {
        if self.count >= MAX_LEAVES {
            return Err(TreeFull);
        }
        let mut hash = leaf_hash(leaf);
        // As in adding one to a binary number: each bit that carries joins two subtrees of one size.
        for _ in 0..self.count.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.count += 1;
        Ok(self.count - 1)
    }

    /// The root over the leaves so far.
    pub fn root(&self) -> Digest {
        fold(self.count, &self.peaks)
    }
}

/// A growing tree that can open its leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// All perfect subtrees: at level h, those over 2^h leaves, from left to right.
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// A tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of leaves.
    pub fn count(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Appends a leaf. Gives its index.
    ///
    /// # Errors
    /// [`TreeFull`] if there are [`MAX_LEAVES`].
    pub fn push(&mut self, leaf: &Digest) -> Result<u64, TreeFull> {
        let index = self.count();
        if index >= MAX_LEAVES {
            return Err(TreeFull);
        }
        let mut hash = leaf_hash(leaf);
        for level in 0..=MAX_DEPTH {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            let joins = row.len() % 2 == 1;
            row.push(hash);
            if !joins {
                break;
            }
            hash = node_hash(&row[row.len() - 2], &row[row.len() - 1]);
        }
        Ok(index)
    }

    /// The root over the leaves so far.
    pub fn root(&self) -> Digest {
        let count = self.count();
        if count == 0 {
            return root_hash(0, &Digest::ZERO);
        }
        root_hash(count, &self.over(0, count))
    }

    /// The way from the leaf at `index` to the root, or `None` if there is no such leaf.
    pub fn path(&self, index: u64) -> Option<Path> {
        let (mut start, mut length) = (0, self.count());
        if index >= length {
            return None;
        }
        let mut siblings = Vec::with_capacity(MAX_DEPTH);
        while length > 1 {
            let half = split(length);
            if index < start + half {
                siblings.push(self.over(start + half, length - half));
                length = half;
            } else {
                siblings.push(self.over(start, half));
                start += half;
                length -= half;
            }
        }
        siblings.reverse();
        Some(Path(siblings))
    }

    /// The hash over `length` (at least 1) leaves from `start`, where a subtree begins.
    fn over(&self, start: u64, length: u64) -> Digest {
        if length.is_power_of_two() {
            let level = length.trailing_zeros();
            let row = self.levels.get(level as usize);
            let known = row.and_then(|row| row.get(usize::try_from(start >> level).ok()?));
            return known.copied().unwrap_or_default();
        }
        let half = split(length);
        node_hash(&self.over(start, half), &self.over(start + half, length - half))
    }
}

/// The largest power of two below `length`, which is more than 1.
fn split(length: u64) -> u64 {
    1 << (u64::BITS - 1 - (length - 1).leading_zeros())
}

/// The hashes beside the way from a leaf to the top, from below. Bounded, also when read from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize)]
pub struct Path(Vec<Digest>);

impl Path {
    /// A path of these hashes; `None` if there are more than [`MAX_DEPTH`].
    pub fn new(siblings: Vec<Digest>) -> Option<Self> {
        (siblings.len() <= MAX_DEPTH).then_some(Self(siblings))
    }

    /// The hashes, from below.
    pub fn siblings(&self) -> &[Digest] {
        &self.0
    }
}

impl BorshDeserialize for Path {
    fn deserialize_reader<R: Read>(reader: &mut R) -> Result<Self, Error> {
        let length = u32::deserialize_reader(reader)? as usize;
        if length > MAX_DEPTH {
            return Err(Error::new(ErrorKind::InvalidData, "a path longer than any tree is deep"));
        }
        (0..length).map(|_| Digest::deserialize_reader(reader)).collect::<Result<_, _>>().map(Self)
    }
}

/// Whether `leaf` is the leaf at `index` of the tree of `count` leaves with this root.
pub fn verify(root: &Digest, count: u64, index: u64, leaf: &Digest, path: &Path) -> bool {
    if index >= count || count > MAX_LEAVES {
        return false;
    }
    let (mut at, mut last) = (index, count - 1);
    let mut hash = leaf_hash(leaf);
    for sibling in &path.0 {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            // At the right edge, levels where the subtree has no left neighbour add nothing.
            let skipped = at.trailing_zeros();
            at = at.checked_shr(skipped).unwrap_or_default();
            last = last.checked_shr(skipped).unwrap_or_default();
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && root_hash(count, &hash) == *root
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|i| Digest::of(Domain::new("test leaf"), &i.to_le_bytes())).collect()
    }

    fn tree(leaves: &[Digest]) -> Tree {
        let mut tree = Tree::new();
        for leaf in leaves {
            tree.push(leaf).unwrap();
        }
        tree
    }

    /// The definition, word for word.
    fn top(leaves: &[Digest]) -> Digest {
        match leaves {
            [leaf] => leaf_hash(leaf),
            _ => {
                let half = leaves.len().next_power_of_two() / 2;
                node_hash(&top(&leaves[..half]), &top(&leaves[half..]))
            }
        }
    }

    #[test]
    fn every_leaf_of_every_small_tree_opens_and_nothing_else_does() {
        let all = leaves(200);
        let (mut frontier, mut grown) = (Frontier::new(), Tree::new());
        assert_eq!(frontier.root(), grown.root());
        for count in 1..=200u64 {
            assert_eq!(frontier.push(&all[count as usize - 1]), Ok(count - 1));
            assert_eq!(grown.push(&all[count as usize - 1]), Ok(count - 1));
            let root = root_hash(count, &top(&all[..count as usize]));
            assert_eq!((frontier.root(), grown.root()), (root, root));
            assert_eq!((frontier.count(), grown.count()), (count, count));
            let stored: Frontier = borsh::from_slice(&borsh::to_vec(&frontier).unwrap()).unwrap();
            assert_eq!(stored, frontier);
            for index in 0..count {
                let (path, leaf) = (grown.path(index).unwrap(), &all[index as usize]);
                assert!(verify(&root, count, index, leaf, &path));
                for other in [index ^ 1, index + 1, count - 1 - index, count] {
                    assert!(other == index || !verify(&root, count, other, leaf, &path));
                }
                assert!(!verify(&root, count + 1, index, leaf, &path));
                assert!(!verify(&root, count - 1, index, leaf, &path));
                assert!(!verify(&root, count, index, &all[(index as usize + 1) % 200], &path));
            }
            assert_eq!(grown.path(count), None);
        }
    }

    #[test]
    fn a_full_tree_takes_no_more() {
        let mut frontier = Frontier { count: MAX_LEAVES - 1, peaks: vec![Digest::ZERO; 32] };
        assert_eq!(frontier.push(&Digest::ZERO), Ok(MAX_LEAVES - 1));
        assert_eq!((frontier.count, frontier.peaks.len()), (MAX_LEAVES, 1));
        assert_eq!(frontier.push(&Digest::ZERO), Err(TreeFull));
    }

    #[test]
    fn the_largest_tree_can_be_opened() {
        // All leaves are equal, so a level is one hash.
        let mut hash = leaf_hash(&Digest::ZERO);
        let mut siblings = Vec::new();
        for _ in 0..MAX_DEPTH {
            siblings.push(hash);
            hash = node_hash(&hash, &hash);
        }
        let root = root_hash(MAX_LEAVES, &hash);
        let path = Path::new(siblings).unwrap();
        for index in [0, 1, MAX_LEAVES / 2, MAX_LEAVES - 1] {
            assert!(verify(&root, MAX_LEAVES, index, &Digest::ZERO, &path));
        }
        assert!(!verify(&root, MAX_LEAVES, MAX_LEAVES, &Digest::ZERO, &path));
        assert!(!verify(&root, u64::MAX, 0, &Digest::ZERO, &path));
    }

    #[test]
    fn what_no_tree_has_cannot_be_read() {
        let too_long = borsh::to_vec(&vec![Digest::ZERO; MAX_DEPTH + 1]).unwrap();
        assert!(borsh::from_slice::<Path>(&too_long).is_err());
        assert!(Path::new(vec![Digest::ZERO; MAX_DEPTH + 1]).is_none());
        let longest = borsh::to_vec(&vec![Digest::ZERO; MAX_DEPTH]).unwrap();
        assert!(borsh::from_slice::<Path>(&longest).is_ok());
        for edge in [(3u64, 1usize), (MAX_LEAVES + 1, 2), (0, 1)] {
            let bytes = borsh::to_vec(&(edge.0, vec![Digest::ZERO; edge.1])).unwrap();
            assert!(borsh::from_slice::<Frontier>(&bytes).is_err());
        }
    }

    /// Two leaves could be taken for the node above them if the hashes had no domains.
    #[test]
    fn a_node_is_no_leaf() {
        let all = leaves(4);
        let tree = tree(&all);
        let node = node_hash(&leaf_hash(&all[0]), &leaf_hash(&all[1]));
        let path = Path(tree.path(0).unwrap().0[1..].to_vec());
        assert!(!verify(&tree.root(), 4, 0, &node, &path));
        assert!(!verify(&tree.root(), 2, 0, &node, &path));
    }

    proptest! {
        /// Whatever is changed about an opening, it no longer verifies.
        #[test]
        fn a_changed_opening_never_verifies(
            count in 1u64..600, index in any::<u64>(), bit in any::<usize>(), what in 0u8..6, other in any::<u64>(),
        ) {
            let all = leaves(count);
            let tree = tree(&all);
            let index = index % count;
            let (root, path, leaf) = (tree.root(), tree.path(index).unwrap(), all[index as usize]);
            prop_assert!(verify(&root, count, index, &leaf, &path));
            let flip = |digest: &mut Digest| digest.0[bit / 8 % 32] ^= 1 << (bit % 8);
            let (mut root, mut path, mut leaf, mut count, mut at) = (root, path, leaf, count, index);
            match what {
                0 => flip(&mut leaf),
                1 => flip(&mut root),
                2 if !path.0.is_empty() => {
                    let i = bit % path.0.len();
                    flip(&mut path.0[i]);
                }
                3 if !path.0.is_empty() => drop(path.0.remove(bit % path.0.len())),
                4 if other != count => count = other,
                5 if other != index => at = other,
                _ => path.0.insert(bit % (path.0.len() + 1), Digest([bit as u8; 32])),
            }
            prop_assert!(!verify(&root, count, at, &leaf, &path));
        }
    }
}
