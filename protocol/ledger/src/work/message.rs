//! What can be asked of work, what happens in it, and why something is not due.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Height};
use freeway_proofs::sum::Total;
use freeway_proofs::work::LaneId;

use super::Void;
use crate::accounts::Scope;

/// What can be asked of work.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// A host: this is what I served. Once an interval.
    Commit {
        /// The interval.
        interval: u64,
        /// One for each class of lanes.
        claims: Vec<Claim>,
    },
}

/// What a host served in lanes of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Claim {
    /// One of these lanes.
    pub lane: LaneId,
    /// The tree over all requests in them, by lane and sequence.
    pub total: Total,
}

impl Message {
    pub(crate) fn scope(&self) -> Option<Scope> {
        Some(Scope::Operator)
    }
}

/// What happens in work.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// A host committed.
    Committed {
        /// The host.
        host: Address,
        /// The interval.
        interval: u64,
        /// All its fees.
        fees: Amount,
    },
    /// Committees of an interval are being drawn.
    Drawn {
        /// The interval.
        interval: u64,
        /// The round.
        round: u64,
        /// The last height for verdicts.
        until: Height,
    },
    /// It is drawn which samples of an interval must be revealed.
    Closing {
        /// The interval.
        interval: u64,
        /// The round.
        round: u64,
        /// The last height for revelations.
        until: Height,
    },
    /// A commitment's fees may be settled.
    Matured {
        /// The host.
        host: Address,
        /// The interval.
        interval: u64,
        /// Its fees.
        fees: Amount,
    },
    /// A commitment pays nothing.
    Voided {
        /// The host.
        host: Address,
        /// The interval.
        interval: u64,
        /// Why.
        reason: Void,
    },
}

/// Why a commitment is not due.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum Failure {
    /// The account owns no host in good standing.
    #[error("this account has no host in good standing; register one first")]
    NotAHost,
    /// The interval is not over.
    #[error("interval {interval} of work is not over; commit from height {from} on")]
    TooEarly {
        /// The interval.
        interval: u64,
        /// The first height for it.
        from: Height,
    },
    /// The interval is closed.
    #[error("commitments to that interval of work were accepted until height {deadline}")]
    TooLate {
        /// The last height for it.
        deadline: Height,
    },
    /// A second commitment.
    #[error("the host has committed to this interval already; it cannot change that")]
    AlreadyCommitted,
    /// Too many classes, or none.
    #[error("a commitment has between 1 and {limit} trees")]
    WrongCount {
        /// The most.
        limit: u32,
    },
    /// There is nothing to pay.
    #[error("the tree of lane {} has no leaves or no fees; commit only to what was earned", lane.0)]
    Nothing {
        /// The lane that names the tree.
        lane: LaneId,
    },
    /// Not a lane of the host.
    #[error("lane {} is not one in which this host has a share", lane.0)]
    NotItsLane {
        /// The lane.
        lane: LaneId,
    },
    /// Two trees where there should be one.
    #[error("lane {} has the model and constraints of another tree; put its requests there", lane.0)]
    SameClass {
        /// The lane that names the second.
        lane: LaneId,
    },
    /// More open fees than the host can answer for.
    #[error(
        "{open} of fees would be open, the limit is {limit}; wait until others mature, or deposit collateral"
    )]
    OverExposed {
        /// Open fees with this commitment.
        open: Amount,
        /// The most.
        limit: Amount,
    },
}

impl Failure {
    /// Whether the same message may be accepted by a later block.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::TooEarly { .. } | Self::OverExposed { .. })
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotAHost => "not_a_host",
            Self::TooEarly { .. } => "too_early",
            Self::TooLate { .. } => "too_late",
            Self::AlreadyCommitted => "already_committed",
            Self::WrongCount { .. } => "wrong_count",
            Self::Nothing { .. } => "nothing_earned",
            Self::NotItsLane { .. } => "not_its_lane",
            Self::SameClass { .. } => "same_class",
            Self::OverExposed { .. } => "over_exposed",
        }
    }
}
