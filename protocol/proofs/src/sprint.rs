//! The words of a race: what a host commits to, and what is said about single leaves afterwards.
//!
//! A host's devices count their nonces from 0 without gaps; the leaf at index n of a device's tree is the hash
//! of the [`Trace`] of its nonce n. The trace is the leaf's preimage: a digest over the boundary values of the
//! computation, which nobody knows without doing it. Openings show leaves without traces; a verdict proves by a
//! [`tag`] that its member knows the trace; in the end revelations prove themselves by hashing to their leaves.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, ChainId, Digest, Domain, Epoch};

use crate::merkle::{self, MAX_LEAVES, Path};

const LEAF: Domain = Domain::new("freeway 1 sprint leaf");
const TAG: Domain = Domain::new("freeway 1 sprint tag");

/// The most devices of a commitment.
pub const MAX_DEVICES: usize = 64;

/// The most nonces of a commitment.
pub const MAX_TOTAL: u64 = 1 << 36;

/// The length of a [`tag`].
pub const TAG_BYTES: usize = 16;

const _: () = assert!(MAX_LEAVES <= MAX_TOTAL);

/// What a member says of one leaf: see [`tag`].
pub type Tag = [u8; TAG_BYTES];

/// The preimage of a leaf: a digest over the boundary values of one nonce's computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Trace(pub [u8; 32]);

/// What stands in the tree for a trace.
pub fn leaf(trace: &Trace) -> Digest {
    Digest::of(LEAF, &trace.0)
}

/// What a verdict carries for a leaf. Bound to the member, so that it is of no use to another, and to the
/// trace, so that nobody makes it without having computed.
pub fn tag(chain: &ChainId, epoch: Epoch, member: &Address, host: &Address, trace: &Trace) -> Tag {
    let mut bytes = [0; 136];
    bytes[..32].copy_from_slice(chain.0.as_bytes());
    bytes[32..40].copy_from_slice(&epoch.0.to_le_bytes());
    bytes[40..72].copy_from_slice(&member.0);
    bytes[72..104].copy_from_slice(&host.0);
    bytes[104..].copy_from_slice(&trace.0);
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&Digest::of(TAG, &bytes).0[..TAG_BYTES]);
    tag
}

/// What one device did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DeviceCommitment {
    /// Its nonces, from 0.
    pub count: u64,
    /// The root over their leaves.
    pub root: Digest,
}

/// What a host did in a race.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Commitment {
    /// Its devices.
    pub devices: Vec<DeviceCommitment>,
}

/// Why a commitment cannot stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum CommitmentError {
    /// No device, or more than [`MAX_DEVICES`].
    #[error("a commitment has between 1 and {MAX_DEVICES} devices, this has {devices}")]
    Devices {
        /// How many.
        devices: u32,
    },
    /// A device without nonces, or with more than a tree holds.
    #[error("device {device} has {count} nonces; it must have between 1 and {MAX_LEAVES}")]
    Count {
        /// The device.
        device: u32,
        /// Its nonces.
        count: u64,
    },
    /// More nonces than [`MAX_TOTAL`].
    #[error("the devices have {total} nonces together, at most {MAX_TOTAL} can be committed to")]
    Total {
        /// All nonces.
        total: u64,
    },
}

impl Commitment {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`CommitmentError`] naming what breaks one.
    pub fn check(&self) -> Result<(), CommitmentError> {
        if self.devices.is_empty() || self.devices.len() > MAX_DEVICES {
            return Err(CommitmentError::Devices {
                devices: u32::try_from(self.devices.len()).unwrap_or(u32::MAX),
            });
        }
        for (device, known) in (0u32..).zip(&self.devices) {
            if known.count == 0 || known.count > MAX_LEAVES {
                return Err(CommitmentError::Count { device, count: known.count });
            }
        }
        let total = self.total();
        if total > MAX_TOTAL { Err(CommitmentError::Total { total }) } else { Ok(()) }
    }

    /// All nonces.
    pub fn total(&self) -> u64 {
        self.devices.iter().fold(0, |sum, device| sum.saturating_add(device.count))
    }

    /// The nonce at `index` of `0..total`: the first device's, then the second's, and so on.
    pub fn position(&self, index: u64) -> Option<Position> {
        let mut nonce = index;
        for (device, known) in (0u32..).zip(&self.devices) {
            match nonce.checked_sub(known.count) {
                None => return Some(Position { device, nonce }),
                Some(rest) => nonce = rest,
            }
        }
        None
    }
}

/// One nonce of one device of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Position {
    /// The device.
    pub device: u32,
    /// The nonce: the index of its leaf.
    pub nonce: u64,
}

/// A leaf and its place, without its trace.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Opening {
    /// The place.
    pub position: Position,
    /// The leaf.
    pub leaf: Digest,
    /// The way to the root.
    pub path: Path,
}

impl Opening {
    /// Whether this leaf stands in this place of the commitment.
    pub fn verify(&self, commitment: &Commitment) -> bool {
        stands(commitment, self.position, &self.leaf, &self.path)
    }
}

/// A leaf's trace and place.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Revelation {
    /// The place.
    pub position: Position,
    /// The trace.
    pub trace: Trace,
    /// The way from its leaf to the root.
    pub path: Path,
}

impl Revelation {
    /// Whether the hash of this trace stands in this place of the commitment.
    pub fn verify(&self, commitment: &Commitment) -> bool {
        stands(commitment, self.position, &leaf(&self.trace), &self.path)
    }

    /// The same without the trace.
    pub fn opening(&self) -> Opening {
        Opening { position: self.position, leaf: leaf(&self.trace), path: self.path.clone() }
    }
}

fn stands(commitment: &Commitment, position: Position, leaf: &Digest, path: &Path) -> bool {
    let device = usize::try_from(position.device).ok().and_then(|device| commitment.devices.get(device));
    device.is_some_and(|known| merkle::verify(&known.root, known.count, position.nonce, leaf, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::Tree;

    fn trace(device: u32, nonce: u64) -> Trace {
        Trace(Digest::of_list(Domain::new("test trace"), [&device.to_le_bytes()[..], &nonce.to_le_bytes()]).0)
    }

    fn commitment(counts: &[u64]) -> (Commitment, Vec<Tree>) {
        let mut trees = Vec::new();
        for (device, count) in (0u32..).zip(counts) {
            let mut tree = Tree::new();
            for nonce in 0..*count {
                tree.push(&leaf(&trace(device, nonce))).unwrap();
            }
            trees.push(tree);
        }
        let device = |tree: &Tree| DeviceCommitment { count: tree.count(), root: tree.root() };
        (Commitment { devices: trees.iter().map(device).collect() }, trees)
    }

    #[test]
    fn every_index_is_one_position() {
        let (commitment, _) = commitment(&[3, 1, 5]);
        let all: Vec<_> = (0..commitment.total()).map(|index| commitment.position(index).unwrap()).collect();
        let expected = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1), (2, 2), (2, 3), (2, 4)];
        assert_eq!(all, expected.map(|(device, nonce)| Position { device, nonce }));
        assert_eq!(commitment.position(9), None);
        assert_eq!(commitment.position(u64::MAX), None);
        assert_eq!(Commitment::default().position(0), None);
    }

    #[test]
    fn revelations_and_openings_verify_in_their_place_only() {
        let (commitment, trees) = commitment(&[4, 7]);
        for index in 0..commitment.total() {
            let position = commitment.position(index).unwrap();
            let path = trees[position.device as usize].path(position.nonce).unwrap();
            let good = Revelation { position, trace: trace(position.device, position.nonce), path };
            assert!(good.verify(&commitment) && good.opening().verify(&commitment));
            for device in [0, 1, 2, u32::MAX] {
                for nonce in [0, 1, 6, 7, u64::MAX] {
                    let other = Revelation { position: Position { device, nonce }, ..good.clone() };
                    assert_eq!(other.verify(&commitment), other.position == position);
                    assert_eq!(other.opening().verify(&commitment), other.position == position);
                }
            }
            assert!(!Revelation { trace: Trace([0; 32]), ..good }.verify(&commitment));
        }
    }

    #[test]
    fn a_commitment_keeps_its_bounds() {
        let device = |count| DeviceCommitment { count, root: Digest::ZERO };
        let of = |devices| Commitment { devices };
        assert_eq!(of(vec![device(1)]).check(), Ok(()));
        assert_eq!(of(vec![device(MAX_LEAVES); 16]).check(), Ok(()));
        assert_eq!(of(vec![]).check(), Err(CommitmentError::Devices { devices: 0 }));
        assert_eq!(of(vec![device(1); 65]).check(), Err(CommitmentError::Devices { devices: 65 }));
        assert_eq!(
            of(vec![device(1), device(0)]).check(),
            Err(CommitmentError::Count { device: 1, count: 0 })
        );
        let count = MAX_LEAVES + 1;
        assert_eq!(of(vec![device(count)]).check(), Err(CommitmentError::Count { device: 0, count }));
        let total = 17 * MAX_LEAVES;
        assert_eq!(of(vec![device(MAX_LEAVES); 17]).check(), Err(CommitmentError::Total { total }));
        assert_eq!(of(vec![device(u64::MAX); 2]).total(), u64::MAX);
    }

    #[test]
    fn a_tag_is_of_use_to_nobody_else_and_nowhere_else() {
        let (a, b) = (Address([1; 32]), Address([2; 32]));
        let (here, there) = (ChainId(Digest([3; 32])), ChainId(Digest([4; 32])));
        let trace = Trace([5; 32]);
        let all = [
            tag(&here, Epoch(1), &a, &b, &trace),
            tag(&there, Epoch(1), &a, &b, &trace),
            tag(&here, Epoch(2), &a, &b, &trace),
            tag(&here, Epoch(1), &b, &a, &trace),
            tag(&here, Epoch(1), &a, &a, &trace),
            tag(&here, Epoch(1), &a, &b, &Trace([6; 32])),
        ];
        assert_eq!(std::collections::BTreeSet::from(all).len(), all.len());
    }
}
