//! How a dealer hides a share from everybody but its receiver.
//!
//! Both have ed25519 keys, which are X25519 keys after the birational map between the two forms of the curve (as
//! libsodium's `crypto_sign_ed25519_pk_to_curve25519`; Thormarker, "On using the same key pair for Ed25519 and an
//! X25519 based KEM", ePrint 2021/509, shows that one key may serve both). A pad of 32 bytes for each seat is the
//! digest of the shared secret and of the whole context: round (chain, epoch, seats), both keys, the dealer's
//! public polynomial and the seat. Each pad is used once: the same context gives the same polynomial and the
//! same share. There is no authentication tag, because a share proves itself against the public polynomial and
//! the dealing is signed as a whole.

use curve25519_dalek::edwards::CompressedEdwardsY;
use freeway_primitives::{Digest, Domain, PublicKey, SecretKey};
use sha2::{Digest as _, Sha512};
use zeroize::{Zeroize as _, Zeroizing};

use crate::curve::ScalarBytes;

const PAD: Domain = Domain::new("freeway 1 beacon share pad");

/// What both ends of a channel know: its direction and purpose.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The round.
    pub(crate) round: &'a Digest,
    /// The key of who deals.
    pub(crate) dealer: &'a PublicKey,
    /// The key of who receives.
    pub(crate) receiver: &'a PublicKey,
    /// The digest of the dealer's public polynomial.
    pub(crate) polynomial: &'a Digest,
}

/// The secret that two keys share.
pub(crate) struct Channel(Zeroizing<[u8; 32]>);

impl Channel {
    /// The channel between the owner of `secret` and the owner of `other`. `None` if `other` is no point of the
    /// curve, or one of small order: then nobody can receive anything under it.
    pub(crate) fn new(secret: &SecretKey, other: &PublicKey) -> Option<Self> {
        let point = CompressedEdwardsY(other.0).decompress()?.to_montgomery();
        let mut expanded = Sha512::digest(secret.seed());
        let mut scalar = Zeroizing::new([0; 32]);
        scalar.copy_from_slice(&expanded[..32]);
        expanded.as_mut_slice().zeroize();
        let shared = Zeroizing::new(point.mul_clamped(*scalar).to_bytes());
        (*shared != [0; 32]).then_some(Self(shared))
    }

    /// Hides or uncovers the share of a seat.
    pub(crate) fn mask(
        &self,
        context: Context<'_>,
        seat: u16,
        share: &ScalarBytes,
    ) -> Zeroizing<ScalarBytes> {
        let pad = Digest::of_list(
            PAD,
            [
                &self.0[..],
                context.round.as_bytes(),
                context.dealer.as_bytes(),
                context.receiver.as_bytes(),
                context.polynomial.as_bytes(),
                &seat.to_le_bytes(),
            ],
        );
        let mut masked = Zeroizing::new(pad.0);
        for (byte, other) in masked.iter_mut().zip(share) {
            *byte ^= other;
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_have_the_same_secret_and_nobody_else() {
        let [a, b, c] = [1, 2, 3].map(|seed| SecretKey::from_seed([seed; 32]));
        let shared = |x: &SecretKey, y: &SecretKey| *Channel::new(x, &y.public()).unwrap().0;
        assert_eq!(shared(&a, &b), shared(&b, &a));
        assert_ne!(shared(&a, &b), shared(&a, &c));
        assert_ne!(shared(&a, &b), shared(&c, &b));
    }

    /// The secret is the one of X25519 (RFC 7748) under the converted keys.
    #[test]
    fn it_is_x25519() {
        let [a, b] = [4, 5].map(|seed| SecretKey::from_seed([seed; 32]));
        let scalar = |key: &SecretKey| <[u8; 32]>::try_from(&Sha512::digest(key.seed())[..32]).unwrap();
        let public = curve25519_dalek::MontgomeryPoint::mul_base_clamped(scalar(&b));
        let expected = public.mul_clamped(scalar(&a)).to_bytes();
        assert_eq!(*Channel::new(&a, &b.public()).unwrap().0, expected);
    }

    #[test]
    fn keys_that_are_no_keys_have_no_channel() {
        let secret = SecretKey::from_seed([1; 32]);
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let no_point = (0..=255).map(|i| PublicKey([i; 32])).find(|key| !key.is_valid()).unwrap();
        assert!(Channel::new(&secret, &PublicKey(neutral)).is_none(), "small order");
        assert!(Channel::new(&secret, &PublicKey([0; 32])).is_none(), "small order");
        assert!(Channel::new(&secret, &no_point).is_none(), "no point");
    }

    #[test]
    fn every_part_of_the_context_changes_the_pad() {
        let [a, b] = [1, 2].map(|seed| SecretKey::from_seed([seed; 32]));
        let (x, y) = (a.public(), b.public());
        let (round, polynomial, other) = (Digest([1; 32]), Digest([2; 32]), Digest([3; 32]));
        let context = Context { round: &round, dealer: &x, receiver: &y, polynomial: &polynomial };
        let channel = Channel::new(&a, &y).unwrap();
        let contexts = [
            (context, 0),
            (context, 1),
            (Context { round: &other, ..context }, 0),
            (Context { dealer: &y, receiver: &x, ..context }, 0),
            (Context { polynomial: &other, ..context }, 0),
        ];
        let mut pads: Vec<_> =
            contexts.iter().map(|(context, seat)| *channel.mask(*context, *seat, &[0; 32])).collect();
        pads.sort();
        pads.dedup();
        assert_eq!(pads.len(), contexts.len());
        let masked = channel.mask(context, 7, &[9; 32]);
        assert_eq!(*channel.mask(context, 7, &masked), [9; 32]);
    }
}
