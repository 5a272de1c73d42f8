//! What can be asked of endorsements, what happens to them, and why something cannot be done.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Digest, Height};

use super::EndorsementId;

/// What can be asked of endorsements. Only an account's own key can ask: answering for something is personal.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// Answer for an output.
    Endorse {
        /// The digest of its receipt.
        receipt: Digest,
        /// The digest of what is said about it.
        statement: Digest,
        /// What is put up.
        bond: Amount,
        /// Who may award it.
        arbiter: Address,
        /// The last height at which harm counts.
        expiry: Height,
    },
    /// The arbiter: this account was harmed, and gets so much of the bond.
    Award {
        /// The endorsement.
        endorsement: EndorsementId,
        /// Who was harmed.
        claimant: Address,
        /// How much it gets.
        amount: Amount,
    },
    /// The endorser: the time is over, and I take back what is left.
    Withdraw {
        /// The endorsement.
        endorsement: EndorsementId,
    },
}

impl Message {
    pub(crate) fn spends(&self) -> Amount {
        match self {
            Self::Endorse { bond, .. } => *bond,
            Self::Award { .. } | Self::Withdraw { .. } => Amount::ZERO,
        }
    }
}

/// What happens to endorsements.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// Somebody answers for an output.
    Endorsed {
        /// The endorsement.
        endorsement: EndorsementId,
        /// Who.
        endorser: Address,
        /// The digest of the receipt.
        receipt: Digest,
        /// What is put up.
        bond: Amount,
        /// Who may award it.
        arbiter: Address,
        /// The last height at which harm counts.
        expiry: Height,
    },
    /// A part of a bond was awarded.
    Awarded {
        /// The endorsement.
        endorsement: EndorsementId,
        /// Who answers.
        endorser: Address,
        /// Who gets it.
        claimant: Address,
        /// How much.
        amount: Amount,
        /// What is left of the bond.
        left: Amount,
    },
    /// What was left of a bond went back.
    Withdrawn {
        /// The endorsement.
        endorsement: EndorsementId,
        /// Who answered.
        endorser: Address,
        /// How much.
        amount: Amount,
    },
}

/// Why something cannot be done with an endorsement.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum Failure {
    /// There is no such endorsement, or its bond is gone.
    #[error("there is no endorsement of that number with a bond")]
    Unknown,
    /// Over before it begins, or too far ahead.
    #[error("the expiry must be ahead and at most {latest}")]
    BadExpiry {
        /// The latest allowed now.
        latest: Height,
    },
    /// Nobody judges for itself.
    #[error("the arbiter must be another account than the endorser")]
    OwnArbiter,
    /// Less than records may cost.
    #[error("the bond must be at least {least}")]
    BondTooSmall {
        /// The least.
        least: Amount,
    },
    /// No more at a time.
    #[error("{limit} endorsements of this account are active; wait until one is over and withdraw it")]
    TooManyActive {
        /// The most.
        limit: u32,
    },
    /// Somebody else decides.
    #[error("only the arbiter named in the endorsement can award its bond")]
    NotTheArbiter,
    /// The time to decide is over.
    #[error("the arbiter could decide until height {decided_by}")]
    TooLate {
        /// The last height.
        decided_by: Height,
    },
    /// An award to one of the two who may not get it.
    #[error("the claimant must be another account than the endorser and the arbiter")]
    NoClaimant,
    /// Nothing to award.
    #[error("the amount must be more than nothing")]
    ZeroAmount,
    /// More than there is.
    #[error("{left} is left of the bond")]
    MoreThanBond {
        /// What is left.
        left: Amount,
    },
    /// Too little for a new account.
    #[error("a new account must be opened with at least {least}")]
    BelowMinimum {
        /// The least.
        least: Amount,
    },
    /// Somebody else's bond.
    #[error("only the endorser can withdraw the bond")]
    NotTheEndorser,
    /// The arbiter may still decide.
    #[error("the arbiter can decide until height {decided_by}; withdraw after that")]
    TooEarly {
        /// The last height.
        decided_by: Height,
    },
}

impl Failure {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_endorsement",
            Self::BadExpiry { .. } => "bad_expiry",
            Self::OwnArbiter => "own_arbiter",
            Self::BondTooSmall { .. } => "bond_too_small",
            Self::TooManyActive { .. } => "too_many_active",
            Self::NotTheArbiter => "not_the_arbiter",
            Self::TooLate { .. } => "too_late",
            Self::NoClaimant => "no_claimant",
            Self::ZeroAmount => "zero_amount",
            Self::MoreThanBond { .. } => "more_than_bond",
            Self::BelowMinimum { .. } => "below_minimum",
            Self::NotTheEndorser => "not_the_endorser",
            Self::TooEarly { .. } => "too_early",
        }
    }
}
