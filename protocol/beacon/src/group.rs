//! The group: the key of an epoch, and what is signed under it.

use borsh::{BorshDeserialize, BorshSerialize};
use commonware_cryptography::bls12381::primitives::ops;
use commonware_cryptography::bls12381::primitives::variant::MinSig;
use freeway_primitives::{Address, Canonical, ChainId, Digest, Domain, Epoch, Height};

use crate::curve::{PointBytes, SignatureBytes, point, signature};
use crate::error::{GroupError, ValueError};
use crate::messages::MAX_COEFFICIENTS;
use crate::{Committee, Holder, Seats};

const MESSAGE: Domain = Domain::new("freeway 1 beacon message");
const RANDOMNESS: Domain = Domain::new("freeway 1 beacon randomness");
/// Namespace of the values of the beacon.
pub(crate) const NAMESPACE: &[u8] = b"freeway 1 beacon value";

/// The result of a round, as it stands in the state of the chain: everything that is needed to check values and
/// partial signatures. The points are decoded where they are used.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Group {
    /// The epoch whose heights it signs.
    pub epoch: Epoch,
    /// Who holds its shares.
    pub seats: Seats,
    /// The places of the holders whose dealings make the key.
    pub(crate) dealers: u128,
    /// The coefficients of the sum of their polynomials.
    pub(crate) polynomial: Vec<PointBytes>,
}

impl Canonical for Group {
    const KIND: &'static str = "beacon group";
    const MAX_BYTES: usize = 8 + Seats::MAX_BYTES + 16 + 4 + MAX_COEFFICIENTS * 96;
}

impl Group {
    /// The key under which its values verify: a compressed point of G2. Zeros, under which nothing verifies, in
    /// a group that no round made.
    pub fn key(&self) -> PointBytes {
        self.polynomial.first().copied().unwrap_or([0; 96])
    }

    /// The holders whose dealings make the key.
    pub fn dealers(&self) -> impl Iterator<Item = &Holder> {
        let holders = self.seats.holders().iter().enumerate();
        holders.filter(|(i, _)| self.dealers >> i & 1 == 1).map(|(_, holder)| holder)
    }

    /// Whether the polynomial and the dealers fit the seats.
    pub(crate) fn has_shape(&self) -> bool {
        self.polynomial.len() == usize::from(self.seats.majority())
            && self.dealers != 0
            && self.seats.has_places(self.dealers)
    }

    /// What the group signs for a height: a digest of chain, epoch, key and height.
    pub(crate) fn message(&self, chain: &ChainId, height: Height) -> Digest {
        message(chain, self.epoch, &self.key(), height)
    }

    /// Checks that `value` is the group's value of this height: there is exactly one.
    ///
    /// # Errors
    /// [`ValueError`] if it is not, or if the group's key is none.
    pub fn verify(&self, chain: &ChainId, height: Height, value: &Value) -> Result<(), ValueError> {
        let key = point(&self.key()).ok_or(GroupError::Point)?;
        let signature = signature(&value.0).ok_or(ValueError::Signature)?;
        ops::verify_message::<MinSig>(&key, NAMESPACE, self.message(chain, height).as_bytes(), &signature)
            .map_err(|_| ValueError::Signature)
    }

    /// Computes the public keys of all seats, to check and join partial signatures: once per epoch and process.
    ///
    /// # Errors
    /// [`GroupError`] if no round has made this group.
    pub fn open(&self, chain: &ChainId) -> Result<Committee, GroupError> {
        Committee::new(*chain, self.clone())
    }

    /// Whether `address` holds a share of the key.
    pub fn has(&self, address: &Address) -> bool {
        self.seats.holder(address).is_some()
    }
}

/// What a group signs for a height.
pub(crate) fn message(chain: &ChainId, epoch: Epoch, key: &PointBytes, height: Height) -> Digest {
    let (epoch, height) = (epoch.0.to_le_bytes(), height.0.to_le_bytes());
    Digest::of_list(MESSAGE, [&chain.0.0[..], &epoch, key, &height])
}

/// The beacon's value of a height: the group's signature, a compressed point of G1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Value(pub SignatureBytes);

impl Canonical for Value {
    const KIND: &'static str = "beacon value";
    const MAX_BYTES: usize = 48;
}

impl Value {
    /// The randomness of the height, from which all other is derived. The signature itself is a point, whose
    /// bits are not uniform.
    pub fn randomness(&self) -> Digest {
        Digest::of(RANDOMNESS, &self.0)
    }
}
