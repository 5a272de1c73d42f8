//! One round of key generation: who takes part, and the three messages of each.

use std::collections::BTreeMap;

use commonware_cryptography::bls12381::primitives::group::{G2, Private, Scalar};
use commonware_cryptography::bls12381::primitives::ops;
use commonware_cryptography::bls12381::primitives::variant::MinSig;
use commonware_math::algebra::Random as _;
use freeway_primitives::{
    Address, ChainId, Digest, Domain, Epoch, PublicKey, SecretKey, Signature, signing_digest,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use zeroize::Zeroizing;

use crate::channel::{Channel, Context};
use crate::curve::{ScalarBytes, are_values, commit, evaluate, points, scalar, scalar_bytes};
use crate::error::{AcksError, DealingError, LogError, OwnError};
use crate::messages::polynomial_digest;
use crate::seats::Holder;
use crate::{Acks, Dealing, Log, Seats, curve};

const ROUND: Domain = Domain::new("freeway 1 beacon round");
const SECRET: Domain = Domain::new("freeway 1 beacon polynomial secret");
const SEED: Domain = Domain::new("freeway 1 beacon polynomial seed");
const SEEN: Domain = Domain::new("freeway 1 beacon dealings seen");
const SIGN_DEALING: Domain = Domain::new("freeway 1 beacon dealing");
pub(crate) const SIGN_ACKS: Domain = Domain::new("freeway 1 beacon acknowledgements");
pub(crate) const SIGN_LOG: Domain = Domain::new("freeway 1 beacon log");
/// Namespace of the proofs of dealers; the values of the beacon have another.
const PROOF: &[u8] = b"freeway 1 beacon dealer's proof";

/// A round of key generation: its network, the epoch that the key is for, and the seats.
///
/// All of that is part of every signature, proof and pad of the round, so that a message of another round is
/// none of this one. A round that failed may be repeated: its members make the same polynomials again, and what
/// was shown of them before is still only what the complaining knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    chain: ChainId,
    epoch: Epoch,
    seats: Seats,
    id: Digest,
}

/// A dealing that was checked, with its points decoded.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    /// The polynomial.
    pub(crate) points: Vec<G2>,
    /// The dealing's digest.
    pub(crate) digest: Digest,
}

impl Round {
    /// The round for the key of `epoch`.
    pub fn new(chain: ChainId, epoch: Epoch, seats: Seats) -> Self {
        let (epoch_bytes, seat_bytes) =
            (epoch.0.to_le_bytes(), freeway_primitives::Canonical::encode(&seats));
        let id = Digest::of_list(ROUND, [&chain.0.0[..], &epoch_bytes, &seat_bytes]);
        Self { chain, epoch, seats, id }
    }

    /// The network.
    pub const fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// The epoch that the key is for.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The seats.
    pub const fn seats(&self) -> &Seats {
        &self.seats
    }

    /// What identifies the round: the digest of chain, epoch and seats.
    pub const fn id(&self) -> &Digest {
        &self.id
    }

    /// The most shares of one dealing that may become known: one more, and everybody could compute it.
    pub(crate) fn reveal_limit(&self) -> u16 {
        self.seats.total() - self.seats.majority()
    }

    /// The holder `me`, if `secret` is its key.
    pub(crate) fn own(&self, secret: &SecretKey, me: &Address) -> Result<&Holder, OwnError> {
        let holder = self.seats.holder(me).ok_or(OwnError::NoSeat(*me))?;
        if holder.key == secret.public() { Ok(holder) } else { Err(OwnError::Key(*me)) }
    }

    /// The first message: a secret polynomial of one's own, dealt to all seats.
    ///
    /// The polynomial is derived from the key and the round: a restarted node makes the same bytes. A holder
    /// whose key is no curve point (it could not sign either) gets zeros instead of shares.
    ///
    /// # Errors
    /// [`OwnError`] if `me` has no seat, or not under this key.
    pub fn deal(&self, secret: &SecretKey, me: &Address) -> Result<Dealing, OwnError> {
        let own = self.own(secret, me)?.key;
        let polynomial = self.polynomial(secret);
        let public = commit(&polynomial);
        let digest = polynomial_digest(&public);
        let mut shares = Vec::with_capacity(usize::from(self.seats.total()));
        for holder in self.seats.holders() {
            let channel = Channel::new(secret, &holder.key);
            let context = self.context(&own, &holder.key, &digest);
            for seat in self.seats.of(&holder.address) {
                let share = scalar_bytes(&evaluate(&polynomial, seat));
                shares.push(channel.as_ref().map_or([0; 32], |channel| *channel.mask(context, seat, &share)));
            }
        }
        let contribution = Private::new(polynomial[0].clone());
        let message = self.proof_message(me, &digest);
        let proof = ops::sign_message::<MinSig>(&contribution, PROOF, message.as_bytes());
        let proof = curve::signature_bytes(&proof);
        let mut dealing = Dealing { polynomial: public, shares, proof, signature: Signature([0; 64]) };
        dealing.signature = self.sign(SIGN_DEALING, secret, me, &dealing_content(&dealing));
        Ok(dealing)
    }

    /// What anybody can check of a dealing: its shape, signature and points, and that the dealer knows the secret
    /// that it contributes. Whether a share is right only its receiver can tell: [`crate::Board::acknowledge`].
    ///
    /// # Errors
    /// [`DealingError`] says what is wrong.
    pub fn check_dealing(&self, dealer: &Address, dealing: &Dealing) -> Result<(), DealingError> {
        self.open(dealer, dealing).map(|_| ())
    }

    /// Checks a dealing and decodes its points.
    pub(crate) fn open(&self, dealer: &Address, dealing: &Dealing) -> Result<Opened, DealingError> {
        let holder = self.seats.holder(dealer).ok_or(DealingError::NoSeat(*dealer))?;
        let (majority, seats) = (self.seats.majority(), self.seats.total());
        if dealing.polynomial.len() != usize::from(majority) || dealing.shares.len() != usize::from(seats) {
            let (coefficients, shares) = (dealing.polynomial.len(), dealing.shares.len());
            return Err(DealingError::Shape { coefficients, shares, majority, seats });
        }
        self.verify(SIGN_DEALING, holder, &dealing_content(dealing), &dealing.signature)
            .map_err(|()| DealingError::Signature)?;
        let points = points(&dealing.polynomial).map_err(DealingError::Point)?;
        let message = self.proof_message(dealer, &dealing.polynomial_digest());
        let proof = curve::signature(&dealing.proof).ok_or(DealingError::Proof)?;
        ops::verify_message::<MinSig>(&points[0], PROOF, message.as_bytes(), &proof)
            .map_err(|_| DealingError::Proof)?;
        Ok(Opened { points, digest: dealing.digest() })
    }

    /// What can be checked of acknowledgements without the dealings.
    ///
    /// # Errors
    /// [`AcksError`] says what is wrong.
    pub fn check_acks(&self, from: &Address, acks: &Acks) -> Result<(), AcksError> {
        let holder = self.seats.holder(from).ok_or(AcksError::NoSeat(*from))?;
        if acks.good & acks.bad != 0 || !self.seats.has_places(acks.good | acks.bad) {
            return Err(AcksError::Dealers);
        }
        self.verify(SIGN_ACKS, holder, &acks_content(acks), &acks.signature)
            .map_err(|()| AcksError::Signature)
    }

    /// Whether a dealer's answer shows right shares. Whether it answers all complaints depends on those.
    ///
    /// # Errors
    /// [`LogError`] says what is wrong.
    pub fn check_log(&self, dealer: &Address, dealing: &Dealing, log: &Log) -> Result<(), LogError> {
        self.reveals(dealer, dealing, &self.open(dealer, dealing)?, log).map(|_| ())
    }

    /// The shares that an answer shows, checked.
    pub(crate) fn reveals(
        &self,
        dealer: &Address,
        dealing: &Dealing,
        opened: &Opened,
        log: &Log,
    ) -> Result<BTreeMap<u16, Scalar>, LogError> {
        let holder = self.seats.holder(dealer).ok_or(DealingError::NoSeat(*dealer))?;
        if log.dealing != opened.digest {
            return Err(LogError::OtherDealing);
        }
        let limit = self.reveal_limit();
        let rising = log.reveals.is_sorted_by(|(a, _), (b, _)| a < b);
        let exist = log.reveals.iter().all(|(seat, _)| u16::from(*seat) < self.seats.total());
        if log.reveals.is_empty() || log.reveals.len() > usize::from(limit) || !rising || !exist {
            return Err(LogError::Seats { limit });
        }
        self.verify(SIGN_LOG, holder, &log_content(log), &log.signature).map_err(|()| LogError::Signature)?;
        let shares: Option<Vec<_>> = log
            .reveals
            .iter()
            .map(|(seat, share)| scalar(share).map(|share| (u16::from(*seat), share)))
            .collect();
        let shares = shares.ok_or(LogError::Share)?;
        if !are_values(&opened.points, &dealing.polynomial, &shares) {
            return Err(LogError::Share);
        }
        Ok(shares.into_iter().collect())
    }

    /// The shares that a dealing has for one's seats; `None` if one is no scalar at all.
    pub(crate) fn uncover(
        &self,
        secret: &SecretKey,
        me: &Address,
        dealer: &Holder,
        dealing: &Dealing,
    ) -> Option<Vec<(u16, Scalar)>> {
        let (channel, receiver) = (Channel::new(secret, &dealer.key)?, secret.public());
        let digest = dealing.polynomial_digest();
        let context = self.context(&dealer.key, &receiver, &digest);
        let uncovered = |seat| {
            let hidden: &ScalarBytes = dealing.shares.get(usize::from(seat))?;
            Some((seat, scalar(&channel.mask(context, seat, hidden))?))
        };
        self.seats.of(me).map(uncovered).collect()
    }

    /// One's secret polynomial.
    pub(crate) fn polynomial(&self, secret: &SecretKey) -> Vec<Scalar> {
        let own = Zeroizing::new(secret.derive_bytes(SECRET));
        let seed = Zeroizing::new(Digest::of_list(SEED, [&own[..], self.id.as_bytes()]).0);
        let mut rng = ChaCha20Rng::from_seed(*seed);
        (0..self.seats.majority()).map(|_| Scalar::random(&mut rng)).collect()
    }

    fn context<'a>(
        &'a self,
        dealer: &'a PublicKey,
        receiver: &'a PublicKey,
        polynomial: &'a Digest,
    ) -> Context<'a> {
        Context { round: &self.id, dealer, receiver, polynomial }
    }

    /// What a dealer signs with the secret that it contributes.
    fn proof_message(&self, dealer: &Address, polynomial: &Digest) -> Digest {
        Digest::of_list(SIGN_DEALING, [&self.id.0[..], &dealer.0, polynomial.as_bytes()])
    }

    fn signed(&self, domain: Domain, author: &Address, content: &[u8]) -> Digest {
        signing_digest(domain, &self.chain, &[&self.id.0[..], &author.0, content].concat())
    }

    pub(crate) fn sign(&self, domain: Domain, secret: &SecretKey, me: &Address, content: &[u8]) -> Signature {
        secret.sign_raw(self.signed(domain, me, content).as_bytes())
    }

    fn verify(
        &self,
        domain: Domain,
        author: &Holder,
        content: &[u8],
        signature: &Signature,
    ) -> Result<(), ()> {
        let message = self.signed(domain, &author.address, content);
        author.key.verify_raw(message.as_bytes(), signature).map_err(|_| ())
    }
}

/// What identifies a list of dealings.
pub(crate) fn seen(digests: &[Digest]) -> Digest {
    Digest::of_list(SEEN, digests.iter().map(|digest| &digest.0[..]))
}

/// Everything of a dealing but its signature. The parts have the lengths that the round prescribes.
fn dealing_content(dealing: &Dealing) -> Vec<u8> {
    [dealing.polynomial.as_flattened(), dealing.shares.as_flattened(), &dealing.proof].concat()
}

pub(crate) fn acks_content(acks: &Acks) -> Vec<u8> {
    [&acks.good.to_le_bytes()[..], &acks.bad.to_le_bytes(), &acks.seen.0].concat()
}

pub(crate) fn log_content(log: &Log) -> Vec<u8> {
    let mut content = log.dealing.0.to_vec();
    for (seat, share) in &log.reveals {
        content.push(*seat);
        content.extend_from_slice(share);
    }
    content
}
