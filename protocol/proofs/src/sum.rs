//! A binary hash tree whose nodes carry sums: what a host earned and how many tokens it made, leaf by leaf.
//!
//! The shape is that of [`crate::merkle`]. Each node's hash covers the sums of both halves below it, so that the sums of
//! the root are those of the leaves, and a point below the sum of fees belongs to exactly one leaf: drawing points
//! draws leaves by what they cost, and adding worthless leaves changes nothing.
//!
//! An [`Opening`] proves a leaf, its index, and the fees of all leaves before it.

use std::io::{Error, ErrorKind, Read};

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Digest, Domain};

use crate::merkle::{MAX_DEPTH, MAX_LEAVES, TreeFull};

const LEAF: Domain = Domain::new("freeway 1 sum leaf");
const NODE: Domain = Domain::new("freeway 1 sum node");
const ROOT: Domain = Domain::new("freeway 1 sum root");

/// What is added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Sums {
    /// Fees, in base units.
    pub fees: u128,
    /// Tokens.
    pub tokens: u64,
}

impl Sums {
    /// Both together, or `None` on overflow.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let fees = self.fees.checked_add(other.fees)?;
        Some(Self { fees, tokens: self.tokens.checked_add(other.tokens)? })
    }

    fn bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&self.fees.to_le_bytes());
        bytes[16..].copy_from_slice(&self.tokens.to_le_bytes());
        bytes
    }
}

/// A subtree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Node {
    /// Its hash.
    pub hash: Digest,
    /// Its sums.
    pub sums: Sums,
}

impl Node {
    fn leaf(digest: &Digest, sums: Sums) -> Self {
        let mut bytes = [0; 56];
        bytes[..32].copy_from_slice(digest.as_bytes());
        bytes[32..].copy_from_slice(&sums.bytes());
        Self { hash: Digest::of(LEAF, &bytes), sums }
    }

    /// Both halves; `None` if their sums overflow.
    fn join(left: &Self, right: &Self) -> Option<Self> {
        let mut bytes = [0; 112];
        bytes[..32].copy_from_slice(left.hash.as_bytes());
        bytes[32..56].copy_from_slice(&left.sums.bytes());
        bytes[56..88].copy_from_slice(right.hash.as_bytes());
        bytes[88..].copy_from_slice(&right.sums.bytes());
        Some(Self { hash: Digest::of(NODE, &bytes), sums: left.sums.checked_add(right.sums)? })
    }
}

/// What a tree is known by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Total {
    /// A hash over the number of leaves, the sums and the top.
    pub root: Digest,
    /// The number of leaves.
    pub count: u64,
    /// The sums over all leaves.
    pub sums: Sums,
}

impl Total {
    fn of(count: u64, top: &Node) -> Self {
        let mut bytes = [0; 64];
        bytes[..8].copy_from_slice(&count.to_le_bytes());
        bytes[8..32].copy_from_slice(&top.sums.bytes());
        bytes[32..].copy_from_slice(top.hash.as_bytes());
        Self { root: Digest::of(ROOT, &bytes), count, sums: top.sums }
    }
}

/// Why a leaf cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// There are as many as a tree holds.
    #[error(transparent)]
    Full(#[from] TreeFull),
    /// The sums would overflow.
    #[error("the sums of the tree would overflow; commit to what there is and begin another")]
    Overflow,
}

/// A growing tree that can open its leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// All perfect subtrees: at level h, those over 2^h leaves, from left to right.
    levels: Vec<Vec<Node>>,
    sums: Sums,
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

    /// The sums so far.
    pub fn sums(&self) -> Sums {
        self.sums
    }

    /// Appends a leaf. Gives its index.
    ///
    /// # Errors
    /// [`PushError`] if the tree is full or a sum would overflow; then nothing has changed.
    pub fn push(&mut self, digest: &Digest, sums: Sums) -> Result<u64, PushError> {
        let index = self.count();
        if index >= MAX_LEAVES {
            return Err(TreeFull.into());
        }
        // Every subtree's sums are at most this, so none overflows below.
        self.sums = self.sums.checked_add(sums).ok_or(PushError::Overflow)?;
        let mut node = Node::leaf(digest, sums);
        for level in 0..=MAX_DEPTH {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            let joins = row.len() % 2 == 1;
            row.push(node);
            if !joins {
                break;
            }
            node = Node::join(&row[row.len() - 2], &row[row.len() - 1]).unwrap_or_default();
        }
        Ok(index)
    }

    /// What the tree is known by.
    pub fn total(&self) -> Total {
        let count = self.count();
        if count == 0 {
            return Total::of(0, &Node::default());
        }
        Total::of(count, &self.over(0, count))
    }

    /// The leaf that a point below the sum of fees belongs to. Leaves without a fee have no points.
    pub fn at(&self, point: u128) -> Option<u64> {
        if point >= self.sums.fees {
            return None;
        }
        let (mut start, mut length, mut point) = (0, self.count(), point);
        while length > 1 {
            let half = split(length);
            let left = self.over(start, half).sums.fees;
            if point < left {
                length = half;
            } else {
                point -= left;
                start += half;
                length -= half;
            }
        }
        Some(start)
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

    /// The subtree over `length` (at least 1) leaves from `start`, where one begins.
    fn over(&self, start: u64, length: u64) -> Node {
        if length.is_power_of_two() {
            let level = length.trailing_zeros();
            let row = self.levels.get(level as usize);
            let known = row.and_then(|row| row.get(usize::try_from(start >> level).ok()?));
            return known.copied().unwrap_or_default();
        }
        let half = split(length);
        let (left, right) = (self.over(start, half), self.over(start + half, length - half));
        Node::join(&left, &right).unwrap_or_default()
    }
}

/// The largest power of two below `length`, which is more than 1.
fn split(length: u64) -> u64 {
    1 << (u64::BITS - 1 - (length - 1).leading_zeros())
}

/// The subtrees beside the way from a leaf to the top, from below. Bounded, also when read from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize)]
pub struct Path(Vec<Node>);

impl Path {
    /// A path of these subtrees; `None` if there are more than [`MAX_DEPTH`].
    pub fn new(siblings: Vec<Node>) -> Option<Self> {
        (siblings.len() <= MAX_DEPTH).then_some(Self(siblings))
    }

    /// The subtrees, from below.
    pub fn siblings(&self) -> &[Node] {
        &self.0
    }
}

impl BorshDeserialize for Path {
    fn deserialize_reader<R: Read>(reader: &mut R) -> Result<Self, Error> {
        let length = u32::deserialize_reader(reader)? as usize;
        if length > MAX_DEPTH {
            return Err(Error::new(ErrorKind::InvalidData, "a path longer than any tree is deep"));
        }
        (0..length).map(|_| Node::deserialize_reader(reader)).collect::<Result<_, _>>().map(Self)
    }
}

/// A leaf with its place in a tree.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Opening {
    /// Which leaf it is.
    pub index: u64,
    /// What it stands for.
    pub digest: Digest,
    /// What it adds.
    pub sums: Sums,
    /// The way to the root.
    pub path: Path,
}

impl Opening {
    /// The sums of all leaves before this one, if it is a leaf of that tree; else `None`.
    pub fn verify(&self, total: &Total) -> Option<Sums> {
        if self.index >= total.count || total.count > MAX_LEAVES {
            return None;
        }
        let (mut at, mut last) = (self.index, total.count - 1);
        let mut node = Node::leaf(&self.digest, self.sums);
        let mut before = Sums::default();
        for sibling in &self.path.0 {
            if last == 0 {
                return None;
            }
            if at % 2 == 1 || at == last {
                node = Node::join(sibling, &node)?;
                before = before.checked_add(sibling.sums)?;
                // At the right edge, levels where the subtree has no left neighbour add nothing.
                let skipped = at.trailing_zeros();
                at = at.checked_shr(skipped).unwrap_or_default();
                last = last.checked_shr(skipped).unwrap_or_default();
            } else {
                node = Node::join(&node, sibling)?;
            }
            at >>= 1;
            last >>= 1;
        }
        (last == 0 && Total::of(total.count, &node) == *total).then_some(before)
    }

    /// Whether it is the leaf of that tree that a point belongs to.
    pub fn holds(&self, total: &Total, point: u128) -> bool {
        self.verify(total).is_some_and(|before| {
            point.checked_sub(before.fees).is_some_and(|within| within < self.sums.fees)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaf(index: u64) -> (Digest, Sums) {
        let digest = Digest::of(Domain::new("test leaf"), &index.to_le_bytes());
        // Every third costs nothing.
        (digest, Sums { fees: u128::from(index % 3 * (index + 7)), tokens: index })
    }

    fn tree(count: u64) -> Tree {
        let mut tree = Tree::new();
        for index in 0..count {
            let (digest, sums) = leaf(index);
            assert_eq!(tree.push(&digest, sums), Ok(index));
        }
        tree
    }

    fn opening(tree: &Tree, index: u64) -> Opening {
        let (digest, sums) = leaf(index);
        Opening { index, digest, sums, path: tree.path(index).unwrap() }
    }

    #[test]
    fn every_leaf_of_every_small_tree_opens_with_what_stands_before_it() {
        for count in 1..=130 {
            let tree = tree(count);
            let total = tree.total();
            let mut before = Sums::default();
            for index in 0..count {
                let opening = opening(&tree, index);
                assert_eq!(opening.verify(&total), Some(before));
                for other in [index ^ 1, index + 1, count] {
                    let moved = Opening { index: other, ..opening.clone() };
                    assert!(other == index || moved.verify(&total).is_none());
                }
                before = before.checked_add(opening.sums).unwrap();
            }
            assert_eq!((total.sums, total.count), (before, count));
            assert_eq!(tree.path(count), None);
        }
    }

    #[test]
    fn every_point_belongs_to_one_leaf() {
        let tree = tree(40);
        let total = tree.total();
        let mut seen = vec![0u128; 40];
        for point in 0..total.sums.fees {
            let index = tree.at(point).unwrap();
            seen[index as usize] += 1;
            assert!(opening(&tree, index).holds(&total, point));
            for other in [index.wrapping_sub(1), index + 1] {
                assert!(other >= 40 || !opening(&tree, other).holds(&total, point));
            }
        }
        assert!((0..40).all(|index| seen[index as usize] == leaf(index).1.fees));
        assert_eq!(tree.at(total.sums.fees), None);
        assert_eq!(Tree::new().at(0), None);
    }

    #[test]
    fn sums_do_not_overflow() {
        let mut tree = Tree::new();
        let most = Sums { fees: u128::MAX, tokens: 1 };
        assert_eq!(tree.push(&Digest::ZERO, most), Ok(0));
        let before = tree.clone();
        assert_eq!(tree.push(&Digest::ZERO, Sums { fees: 1, tokens: 0 }), Err(PushError::Overflow));
        assert_eq!(tree, before);
        assert_eq!(tree.push(&Digest::ZERO, Sums::default()), Ok(1));
        // A path whose sums overflow proves nothing.
        let node = Node { hash: Digest::ZERO, sums: most };
        let path = Path::new(vec![node]).unwrap();
        let opening = Opening { index: 0, digest: Digest::ZERO, sums: most, path };
        assert_eq!(opening.verify(&tree.total()), None);
    }

    #[test]
    fn what_no_tree_has_cannot_be_read() {
        let too_long = borsh::to_vec(&vec![Node::default(); MAX_DEPTH + 1]).unwrap();
        assert!(borsh::from_slice::<Path>(&too_long).is_err());
        assert!(Path::new(vec![Node::default(); MAX_DEPTH + 1]).is_none());
    }

    proptest! {
        /// Whatever is changed about an opening or its tree, it no longer verifies.
        #[test]
        fn a_changed_opening_never_verifies(
            count in 1u64..300, index in any::<u64>(), bit in any::<usize>(), what in 0u8..9,
        ) {
            let tree = tree(count);
            let (mut total, mut opening) = (tree.total(), opening(&tree, index % count));
            prop_assert!(opening.verify(&total).is_some());
            let flip = |digest: &mut Digest| digest.0[bit / 8 % 32] ^= 1 << (bit % 8);
            let length = opening.path.0.len();
            match what {
                0 => flip(&mut opening.digest),
                1 => opening.sums.fees ^= 1 << (bit % 128),
                2 => opening.sums.tokens ^= 1 << (bit % 64),
                3 => flip(&mut total.root),
                4 => total.sums.fees ^= 1 << (bit % 128),
                5 => total.count += 1,
                6 if length > 0 => flip(&mut opening.path.0[bit % length].hash),
                7 if length > 0 => opening.path.0[bit % length].sums.fees ^= 1 << (bit % 128),
                8 if length > 0 => drop(opening.path.0.remove(bit % length)),
                _ => opening.path.0.insert(bit % (length + 1), Node::default()),
            }
            prop_assert!(opening.verify(&total).is_none());
        }
    }
}
