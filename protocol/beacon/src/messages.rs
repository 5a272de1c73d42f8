//! What the holders of seats post in a round.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Canonical, Digest, Domain, Signature};

use crate::curve::{PointBytes, ScalarBytes, SignatureBytes};
use crate::seats::MAX_SEATS;

const DEALING: Domain = Domain::new("freeway 1 beacon dealing digest");
const POLYNOMIAL: Domain = Domain::new("freeway 1 beacon polynomial digest");

/// The most coefficients of a polynomial: a majority of [`MAX_SEATS`].
pub(crate) const MAX_COEFFICIENTS: usize = MAX_SEATS as usize / 2 + 1;
/// The most shares that a dealer reveals: one more would give its polynomial away.
pub(crate) const MAX_REVEALS: usize = MAX_SEATS as usize - MAX_COEFFICIENTS;

/// First message of a round: a secret polynomial's public half, and a share of it for every seat, each readable
/// only by who holds the seat.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Dealing {
    /// The coefficients of the public polynomial, as many as make a majority of seats.
    pub(crate) polynomial: Vec<PointBytes>,
    /// The encrypted shares, in the order of the seats.
    pub(crate) shares: Vec<ScalarBytes>,
    /// Signature under the first coefficient: the dealer knows the secret that it contributes.
    pub(crate) proof: SignatureBytes,
    /// The dealer's signature.
    pub(crate) signature: Signature,
}

impl Dealing {
    /// What identifies it.
    pub fn digest(&self) -> Digest {
        Digest::of(DEALING, &self.encode())
    }

    /// What identifies the polynomial.
    pub(crate) fn polynomial_digest(&self) -> Digest {
        polynomial_digest(&self.polynomial)
    }
}

impl Canonical for Dealing {
    const KIND: &'static str = "dealing of the beacon";
    const MAX_BYTES: usize = 4 + MAX_COEFFICIENTS * 96 + 4 + MAX_SEATS as usize * 32 + 48 + 64;
}

// A transaction carries it.
const _: () = assert!(Dealing::MAX_BYTES <= 24 * 1024);

/// What identifies a public polynomial.
pub(crate) fn polynomial_digest(polynomial: &[PointBytes]) -> Digest {
    Digest::of(POLYNOMIAL, polynomial.as_flattened())
}

/// Second message of a round: what a holder found in its shares of all dealings. One message and one signature,
/// whatever the numbers of dealers and seats; who holds several seats answers for all of them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Acks {
    /// Bit `i`: all shares that the `i`-th holder dealt to the author are right.
    pub(crate) good: u128,
    /// Bit `i`: at least one is wrong, and the `i`-th holder shall show them to everybody.
    pub(crate) bad: u128,
    /// Digest of the dealings that were judged.
    pub(crate) seen: Digest,
    /// The author's signature.
    pub(crate) signature: Signature,
}

impl Acks {
    /// How many dealings it calls right, and how many wrong.
    pub fn count(&self) -> (u32, u32) {
        (self.good.count_ones(), self.bad.count_ones())
    }
}

impl Canonical for Acks {
    const KIND: &'static str = "acknowledgements of the beacon";
    const MAX_BYTES: usize = 16 + 16 + 32 + 64;
}

/// Third message of a round, only of dealers against whom somebody complained: the shares of who did.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Log {
    /// The digest of the dealing that it defends.
    pub(crate) dealing: Digest,
    /// Seats and their shares, by rising seat.
    pub(crate) reveals: Vec<(u8, ScalarBytes)>,
    /// The dealer's signature.
    pub(crate) signature: Signature,
}

impl Log {
    /// How many shares it shows.
    pub fn reveals(&self) -> usize {
        self.reveals.len()
    }
}

impl Canonical for Log {
    const KIND: &'static str = "answer of a dealer of the beacon";
    const MAX_BYTES: usize = 32 + 4 + MAX_REVEALS * 33 + 64;
}
