//! Partial signatures: made by the holders of shares, checked in batches, joined to the value.

use core::fmt;
use core::num::NonZeroU32;
use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use commonware_codec::varint::UInt;
use commonware_codec::{Copying, Decode as _, Write as _};
use commonware_cryptography::bls12381::primitives::group::{G1, Share};
use commonware_cryptography::bls12381::primitives::ops::{self, threshold};
use commonware_cryptography::bls12381::primitives::sharing::{ModeVersion, Sharing};
use commonware_cryptography::bls12381::primitives::variant::{MinSig, PartialSignature, Variant as _};
use commonware_parallel::Sequential;
use commonware_utils::Participant;
use commonware_utils::iter::NonEmpty;
use freeway_primitives::{Address, Canonical, ChainId, Digest, Domain, Epoch, Height};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::curve::{PointBytes, SignatureBytes, signature, signature_bytes};
use crate::error::{BadPartials, GroupError, RecoverError, ValueError};
use crate::group::{NAMESPACE, message};
use crate::seats::MAX_SEATS;
use crate::{Group, Value};

const BLINDING: Domain = Domain::new("freeway 1 beacon batch verification");

type Partial = PartialSignature<MinSig>;

/// What a validator attaches to its vote for a height: a partial signature for each of its seats. Empty if it has
/// no share.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Partials(pub(crate) Vec<(u8, SignatureBytes)>);

impl Canonical for Partials {
    const KIND: &'static str = "partial signatures of the beacon";
    const MAX_BYTES: usize = 4 + MAX_SEATS as usize * 49;
}

impl Partials {
    /// The seats that signed.
    pub fn seats(&self) -> impl Iterator<Item = u16> {
        self.0.iter().map(|(seat, _)| u16::from(*seat))
    }
}

/// One's shares of a group's key. Wiped when dropped; never shown; derived again after a restart.
pub struct Shares {
    chain: ChainId,
    epoch: Epoch,
    key: PointBytes,
    shares: Vec<Share>,
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shares({} of epoch {})", self.shares.len(), self.epoch)
    }
}

impl Shares {
    pub(crate) fn new(chain: ChainId, group: &Group, shares: Vec<Share>) -> Self {
        Self { chain, epoch: group.epoch, key: group.key(), shares }
    }

    /// The epoch whose heights they sign.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The key that they are shares of.
    pub const fn key(&self) -> &PointBytes {
        &self.key
    }

    /// The partial signatures of a height.
    pub fn sign(&self, height: Height) -> Partials {
        let message = message(&self.chain, self.epoch, &self.key, height);
        let point: G1 = ops::hash_with_namespace::<MinSig>(MinSig::MESSAGE, NAMESPACE, message.as_bytes());
        let sign = |share: &Share| {
            let signature = share.private.expose(|secret| point * secret);
            // Seats are below 255.
            (share.index.get() as u8, signature_bytes(&signature))
        };
        Partials(self.shares.iter().map(sign).collect())
    }
}

/// A group with the public keys of its seats.
#[derive(Clone, Debug)]
pub struct Committee {
    chain: ChainId,
    group: Group,
    sharing: Sharing<MinSig>,
}

impl Committee {
    pub(crate) fn new(chain: ChainId, group: Group) -> Result<Self, GroupError> {
        if !group.has_shape() {
            return Err(GroupError::Shape);
        }
        // The library's encoding: mode (0: seat i at i + 1), number of shares, number of coefficients, these.
        let total = u32::from(group.seats.total());
        let mut bytes = vec![0];
        total.write(&mut bytes);
        UInt(u32::from(group.seats.majority())).write(&mut bytes);
        bytes.extend_from_slice(group.polynomial.as_flattened());
        let limits = (NonZeroU32::MIN.saturating_add(total), ModeVersion::v0());
        let sharing = Sharing::decode_cfg(Copying(&bytes), &limits).map_err(|_| GroupError::Point)?;
        sharing.precompute_partial_publics();
        Ok(Self { chain, group, sharing })
    }

    /// The group.
    pub const fn group(&self) -> &Group {
        &self.group
    }

    /// As [`Group::verify`].
    ///
    /// # Errors
    /// [`ValueError`] if it is not the group's value of this height.
    pub fn verify(&self, height: Height, value: &Value) -> Result<(), ValueError> {
        self.group.verify(&self.chain, height, value)
    }

    /// Checks the partial signatures of many votes at once.
    ///
    /// The blinding factors come from the digest of the whole batch: nobody can choose a signature that fits
    /// them, and the result is the same everywhere. A vote without partial signatures is fine; one with those of
    /// somebody else's seat, or of a seat twice, is not.
    ///
    /// # Errors
    /// [`BadPartials`] names the votes that are wrong.
    pub fn verify_partials(&self, height: Height, votes: &[(Address, &Partials)]) -> Result<(), BadPartials> {
        let (_, bad) = self.sort_out(height, votes);
        if bad.is_empty() { Ok(()) } else { Err(BadPartials(bad.into_iter().collect())) }
    }

    /// Joins partial signatures of a majority of the seats to the value of a height. Wrong ones do no harm as
    /// long as there are enough right ones; what is returned was verified.
    ///
    /// # Errors
    /// [`RecoverError`] if too few are right.
    pub fn recover(&self, height: Height, votes: &[(Address, &Partials)]) -> Result<Value, RecoverError> {
        let needed = self.group.seats.majority();
        let mut unchecked = Vec::new();
        for (from, vote) in votes {
            if unchecked.len() >= usize::from(needed) {
                break;
            }
            unchecked.extend(self.decode(from, vote).unwrap_or_default());
        }
        // Nearly always all are right, which one look at the result shows.
        if let Some(value) = self.join(height, &unchecked) {
            return Ok(value);
        }
        let (good, _) = self.sort_out(height, votes);
        let seats: BTreeSet<Participant> = good.iter().map(|partial| partial.index).collect();
        let too_few = RecoverError::TooFew { seats: seats.len() as u16, needed };
        self.join(height, &good).ok_or(too_few)
    }

    /// The value that these partial signatures make, if it is one.
    fn join(&self, height: Height, partials: &[Partial]) -> Option<Value> {
        let signature = threshold::recover::<MinSig, _>(&self.sharing, partials, &Sequential).ok()?;
        let value = Value(signature_bytes(&signature));
        self.verify(height, &value).is_ok().then_some(value)
    }

    /// A vote's partial signatures; `None` if they are not of the voter's own seats, by rising seat.
    fn decode(&self, from: &Address, vote: &Partials) -> Option<Vec<Partial>> {
        let own = self.group.seats.of(from);
        let rising = vote.0.is_sorted_by(|(a, _), (b, _)| a < b);
        if !rising || !vote.seats().all(|seat| own.contains(&seat)) {
            return None;
        }
        let partial = |(seat, bytes): &(u8, SignatureBytes)| {
            Some(Partial { index: Participant::new(u32::from(*seat)), value: signature(bytes)? })
        };
        vote.0.iter().map(partial).collect()
    }

    /// The partial signatures that are right, and the voters of those that are not.
    fn sort_out(&self, height: Height, votes: &[(Address, &Partials)]) -> (Vec<Partial>, BTreeSet<Address>) {
        let mut bad = BTreeSet::new();
        // By seat: a seat has one signature, however often it is given.
        let mut partials: BTreeMap<Participant, Partial> = BTreeMap::new();
        for (from, vote) in votes {
            match self.decode(from, vote) {
                Some(decoded) => {
                    for partial in decoded {
                        if partials
                            .insert(partial.index, partial.clone())
                            .is_some_and(|other| other != partial)
                        {
                            bad.insert(*from);
                        }
                    }
                }
                None => {
                    bad.insert(*from);
                }
            }
        }
        let mut partials: Vec<Partial> = partials.into_values().collect();
        let message = self.group.message(&self.chain, height);
        let mut rng = ChaCha20Rng::from_seed(blinding(&message, &partials).0);
        let wrong: Vec<Participant> = match NonEmpty::try_new(partials.iter()) {
            None => Vec::new(),
            Some(all) => threshold::batch_verify_same_message::<_, MinSig, _>(
                &mut rng,
                &self.sharing,
                NAMESPACE,
                message.as_bytes(),
                all,
                &Sequential,
            )
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|partial| partial.index)
            .collect(),
        };
        partials.retain(|partial| !wrong.contains(&partial.index));
        for seat in wrong {
            if let Some(owner) = u16::try_from(seat.get()).ok().and_then(|seat| self.group.seats.owner(seat))
            {
                bad.insert(owner.address);
            }
        }
        (partials, bad)
    }
}

fn blinding(message: &Digest, partials: &[Partial]) -> Digest {
    let mut bytes = message.0.to_vec();
    for partial in partials {
        bytes.extend_from_slice(&partial.index.get().to_le_bytes());
        bytes.extend_from_slice(&signature_bytes(&partial.value));
    }
    Digest::of(BLINDING, &bytes)
}
