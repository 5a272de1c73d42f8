//! Points and scalars of BLS12-381: their bytes, and the check of shares against a polynomial.

use commonware_codec::{Copying, Decode as _, DecodeFixed as _, EncodeFixed as _};
use commonware_cryptography::bls12381::primitives::group::{G1, G2, Scalar, ScalarReadCfg};
use commonware_math::algebra::{Additive as _, CryptoGroup as _, Random as _, Ring as _, Space as _};
use commonware_parallel::Sequential;
use freeway_primitives::{Digest, Domain};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use zeroize::Zeroizing;

/// A compressed point of G2: a coefficient of a public polynomial.
pub(crate) type PointBytes = [u8; 96];
/// A scalar, big-endian.
pub(crate) type ScalarBytes = [u8; 32];
/// A compressed point of G1: a signature.
pub(crate) type SignatureBytes = [u8; 48];

const WEIGHTS: Domain = Domain::new("freeway 1 beacon share weights");

/// A point of the right group other than the neutral one; `None` for all other bytes.
pub(crate) fn point(bytes: &PointBytes) -> Option<G2> {
    G2::decode_fixed(*bytes).ok()
}

/// All points of a list, or the place of the first that is none.
pub(crate) fn points(list: &[PointBytes]) -> Result<Vec<G2>, usize> {
    list.iter().enumerate().map(|(i, bytes)| point(bytes).ok_or(i)).collect()
}

/// The bytes of a point.
pub(crate) fn point_bytes(point: &G2) -> PointBytes {
    point.encode_fixed()
}

/// A signature: a point of the right group other than the neutral one.
pub(crate) fn signature(bytes: &SignatureBytes) -> Option<G1> {
    G1::decode_fixed(*bytes).ok()
}

/// The bytes of a signature.
pub(crate) fn signature_bytes(signature: &G1) -> SignatureBytes {
    signature.encode_fixed()
}

/// The scalar of canonical bytes.
pub(crate) fn scalar(bytes: &ScalarBytes) -> Option<Scalar> {
    Scalar::decode_cfg(Copying(bytes), &ScalarReadCfg::AllowZero).ok()
}

/// The bytes of a secret scalar.
pub(crate) fn scalar_bytes(scalar: &Scalar) -> Zeroizing<ScalarBytes> {
    Zeroizing::new(scalar.encode_fixed())
}

/// Where a seat's share is the value of the polynomial: its number plus 1, since 0 is where the secret is.
fn place(seat: u16) -> Scalar {
    Scalar::from_u64(u64::from(seat) + 1)
}

/// The value of a secret polynomial at a seat.
pub(crate) fn evaluate(polynomial: &[Scalar], seat: u16) -> Scalar {
    let place = place(seat);
    let mut value = Scalar::zero();
    for coefficient in polynomial.iter().rev() {
        value *= &place;
        value += coefficient;
    }
    value
}

/// The public polynomial of a secret one.
pub(crate) fn commit(polynomial: &[Scalar]) -> Vec<PointBytes> {
    polynomial.iter().map(|coefficient| point_bytes(&(G2::generator() * coefficient))).collect()
}

/// Whether all `shares` are values of the public polynomial at their seats.
///
/// One check of a random combination for all of them. The weights come from the digest of everything that is
/// checked, so that whoever chose a polynomial and shares has fixed them before the weights exist: wrong shares
/// pass with probability 2^-255 per attempt, and an attempt costs a hash.
pub(crate) fn are_values(polynomial: &[G2], public: &[PointBytes], shares: &[(u16, Scalar)]) -> bool {
    let mut items: Vec<Zeroizing<Vec<u8>>> = Vec::with_capacity(1 + shares.len());
    items.push(Zeroizing::new(public.as_flattened().to_vec()));
    for (seat, share) in shares {
        items.push(Zeroizing::new([&seat.to_le_bytes()[..], &scalar_bytes(share)[..]].concat()));
    }
    let seed = Digest::of_list(WEIGHTS, items.iter().map(|item| &item[..]));
    let mut rng = ChaCha20Rng::from_seed(seed.0);
    let mut powers = vec![Scalar::zero(); polynomial.len()];
    let mut left = Scalar::zero();
    for (i, (seat, share)) in shares.iter().enumerate() {
        let mut weight = if i == 0 { Scalar::one() } else { Scalar::random(&mut rng) };
        left += &(weight.clone() * share);
        let place = place(*seat);
        for power in &mut powers {
            *power += &weight;
            weight *= &place;
        }
    }
    G2::generator() * &left == G2::msm(polynomial, &powers, &Sequential)
}
