//! What can be wrong with the messages of a round, and why a round has no result.

use freeway_primitives::Address;

/// Why a dealing is not one of this round. It counts as never posted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DealingError {
    /// Who has no seat does not deal.
    #[error("{0} has no seat in this round")]
    NoSeat(Address),
    /// Not as many coefficients or shares as the round needs.
    #[error(
        "{coefficients} coefficients and {shares} shares, but this round needs {majority} and one per seat of {seats}"
    )]
    Shape {
        /// Coefficients that it has.
        coefficients: usize,
        /// Shares that it has.
        shares: usize,
        /// Coefficients that it must have.
        majority: u16,
        /// Shares that it must have.
        seats: u16,
    },
    /// Signed by another key, for another round, or changed since.
    #[error("the signature is not the dealer's for this round")]
    Signature,
    /// A coefficient that is no point of the group, or the neutral one.
    #[error("coefficient {0} of the polynomial is no point of the group")]
    Point(usize),
    /// The dealer does not know its own secret: it may have computed its polynomial from those of others.
    #[error("the proof that the dealer knows its secret does not verify")]
    Proof,
}

/// Why acknowledgements are not ones of this round. They count as never posted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcksError {
    /// Who has no seat received nothing.
    #[error("{0} has no seat in this round")]
    NoSeat(Address),
    /// A dealing both right and wrong, or one of nobody.
    #[error("they call a dealing right and wrong at once, or judge one of nobody in this round")]
    Dealers,
    /// Signed by another key, for another round, or changed since.
    #[error("the signature is not the author's for this round")]
    Signature,
}

/// Why an answer to complaints does not answer them. It counts as never posted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The dealing that it is about is none.
    #[error("the dealing is none of this round: {0}")]
    Dealing(#[from] DealingError),
    /// About another dealing than the dealer's.
    #[error("it defends another dealing than the one that the dealer posted")]
    OtherDealing,
    /// Not by rising seat, seats that do not exist, none at all, or so many that they give the secret away.
    #[error("it must show 1 to {limit} shares, by rising seat, of seats that exist")]
    Seats {
        /// The most that may be shown.
        limit: u16,
    },
    /// Signed by another key, for another round, or changed since.
    #[error("the signature is not the dealer's for this round")]
    Signature,
    /// A share that is not the polynomial's value.
    #[error("a share that it shows is not the value of the dealer's polynomial")]
    Share,
}

/// Why a message of one's own cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnError {
    /// Who has no seat has nothing to do in a round.
    #[error("{0} has no seat in this round: nothing to do")]
    NoSeat(Address),
    /// The seats list another key for this account.
    #[error("the key is not the one that {0} has its seats under: use the validator's consensus key")]
    Key(Address),
    /// The chain has no dealing of one's own, or another than this key makes.
    #[error("the posted dealing is not the one that this key makes in this round")]
    OtherDealing,
    /// Answering would give the secret away. Cannot happen while less than half of the seats misbehave.
    #[error("{complaints} seats complain, at most {limit} can be answered without giving the secret away")]
    TooManyComplaints {
        /// Seats whose holders complain.
        complaints: u16,
        /// The most that can be answered.
        limit: u16,
    },
}

/// Why a dealer does not contribute to the group's key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It posted nothing.
    #[error("it posted no dealing")]
    Absent,
    /// What it posted is no dealing.
    #[error("its dealing is invalid: {0}")]
    Dealing(#[from] DealingError),
    /// Somebody complained, and it did not show the share.
    #[error("it did not answer the complaint of {0}")]
    Unanswered(Address),
    /// Its answer is none.
    #[error("its answer to complaints is invalid: {0}")]
    Log(#[from] LogError),
    /// Too few know that their shares are right.
    #[error("holders of {seats} seats have a right share of it for sure, {needed} are needed")]
    Unacknowledged {
        /// Seats that acknowledged, or whose share is shown.
        seats: u16,
        /// Seats that must.
        needed: u16,
    },
}

/// Why a round has no group key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DealingFailed {
    /// The dealers whose dealings are good hold no majority.
    #[error("the good dealings are of holders of {seats} seats, {needed} are needed")]
    TooFew {
        /// Seats of the dealers that are good.
        seats: u16,
        /// Seats that they must hold.
        needed: u16,
        /// What is wrong with the others.
        refused: Vec<(Address, Refusal)>,
    },
    /// The polynomials cancel each other in a coefficient. Cannot happen by chance.
    #[error(
        "the sum of the polynomials has a neutral coefficient: the dealers' choices depend on each other"
    )]
    Degenerate,
}

/// Why bytes are not a usable group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Not one coefficient for each seat of a majority, or dealers that are no holders.
    #[error("the group's polynomial does not fit its seats")]
    Shape,
    /// A coefficient that is no point of the group, or the neutral one.
    #[error("the group's polynomial has a coefficient that is no point of the group")]
    Point,
}

/// Why a holder has no shares.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SharesError {
    /// Not a holder, or not with this key.
    #[error(transparent)]
    Own(#[from] OwnError),
    /// The group is none.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The group is of another round.
    #[error("the group was made in another round")]
    OtherRound,
    /// A dealing that the group is made of is not there.
    #[error("the dealing of {0}, which is part of the group's key, is missing")]
    Missing(Address),
    /// A dealer gave wrong shares, and nobody asked for the right ones in time.
    #[error(
        "{0} dealt wrong shares, which was not complained about in time: no shares in this group, wait for the next"
    )]
    Wrong(Address),
}

/// Why a value is not the beacon's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The group is none.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// Not a point, of another height, or of another group.
    #[error("it is not the group's signature of this height")]
    Signature,
}

/// Votes with partial signatures that are wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wrong partial signatures or seats of others in the votes of {}", .0.iter().map(Address::short).collect::<Vec<_>>().join(", "))]
pub struct BadPartials(pub Vec<Address>);

/// Why no value can be recovered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// Not enough valid partial signatures.
    #[error("{seats} seats have signed, {needed} are needed")]
    TooFew {
        /// Seats with a valid partial signature.
        seats: u16,
        /// A majority of the seats.
        needed: u16,
    },
}
