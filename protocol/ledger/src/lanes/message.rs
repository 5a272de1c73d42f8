//! What can be asked of lanes, what happens to them, and why something cannot be done.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Digest, Height, PublicKey, Signature};
use freeway_proofs::sum::Opening;
use freeway_proofs::work::{Entry, LaneId, Voucher};

use super::{Constraints, MAX_CONSTRAINTS};
use crate::accounts::Scope;
use crate::genesis::Text;

/// What can be asked of lanes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// Open a lane.
    Open(Box<Opened>),
    /// Its payer: put more in, for all its hosts alike.
    TopUp {
        /// The lane.
        lane: LaneId,
        /// How much.
        amount: Amount,
    },
    /// Its payer: no more requests.
    Close {
        /// The lane.
        lane: LaneId,
    },
    /// One of its hosts: pay what I earned.
    Settle(Box<Settlement>),
}

/// A lane as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Opened {
    /// The model's root.
    pub model: Digest,
    /// How much to put in.
    pub escrow: Amount,
    /// How many hosts.
    pub shares: u8,
    /// Which hosts.
    pub constraints: Constraints,
    /// The key that will sign vouchers.
    pub key: PublicKey,
    /// Blocks until it closes by itself.
    pub lifetime: u64,
}

/// What a host shows to be paid.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Settlement {
    /// The payer's promise, for the request below or a later one.
    pub voucher: Voucher,
    /// Of the lane's key over it.
    pub signature: Signature,
    /// The interval of the commitment in which the lane's last request stands.
    pub interval: u64,
    /// That request.
    pub entry: Entry,
    /// Its place in the commitment.
    pub opening: Opening,
}

impl Message {
    pub(crate) fn scope(&self) -> Option<Scope> {
        match self {
            Self::Open(_) | Self::TopUp { .. } | Self::Close { .. } => Some(Scope::Lane),
            Self::Settle(_) => Some(Scope::Operator),
        }
    }

    pub(crate) fn spends(&self) -> Amount {
        match self {
            Self::Open(opened) => opened.escrow,
            Self::TopUp { amount, .. } => *amount,
            Self::Close { .. } | Self::Settle(_) => Amount::ZERO,
        }
    }
}

/// What happens to lanes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// A new lane.
    Opened {
        /// The lane.
        lane: LaneId,
        /// Who pays.
        payer: Address,
        /// The model's root.
        model: Digest,
        /// How much was put in.
        escrow: Amount,
    },
    /// Its hosts are drawn; requests can begin.
    Drawn {
        /// The lane.
        lane: LaneId,
        /// The hosts.
        hosts: Vec<Address>,
    },
    /// Nobody could be drawn; everything goes back.
    NoHosts {
        /// The lane.
        lane: LaneId,
    },
    /// The randomness came too late or not at all; everything goes back.
    NoRandomness {
        /// The lane.
        lane: LaneId,
    },
    /// More was put in.
    ToppedUp {
        /// The lane.
        lane: LaneId,
        /// How much.
        amount: Amount,
    },
    /// No more requests.
    Closing {
        /// The lane.
        lane: LaneId,
        /// The last height at which it can be settled.
        until: Height,
    },
    /// A host was paid.
    Settled {
        /// The lane.
        lane: LaneId,
        /// The host.
        host: Address,
        /// All that left the lane.
        fees: Amount,
        /// Of this, what the host got.
        paid: Amount,
    },
    /// The lane is gone.
    Ended {
        /// The lane.
        lane: LaneId,
        /// Who paid.
        payer: Address,
        /// What went back.
        refund: Amount,
    },
    /// A host that was convicted is paid nothing more from the shares that it has.
    Forfeited {
        /// The host.
        host: Address,
        /// Of its matured fees, what is lost.
        fees: Amount,
    },
}

/// Why something cannot be done with a lane.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum Failure {
    /// There is no such model.
    #[error("no model with this root is registered")]
    UnknownModel,
    /// Dust.
    #[error("a lane must be opened with at least {least}")]
    BelowMinimum {
        /// The least.
        least: Amount,
    },
    /// No shares, or too many.
    #[error("a lane has between 1 and {most} hosts")]
    InvalidShares {
        /// The most.
        most: u8,
    },
    /// Too short or too long.
    #[error("a lane lives between {least} and {most} blocks")]
    InvalidLifetime {
        /// The shortest.
        least: u64,
        /// The longest.
        most: u64,
    },
    /// Too many constraints, or texts that break the rules.
    #[error("a lane names at most {MAX_CONSTRAINTS} regions and {MAX_CONSTRAINTS} operators")]
    InvalidConstraints,
    /// Not a key.
    #[error("the voucher key is not a valid key")]
    InvalidKey,
    /// The account has its lanes.
    #[error("the account has its {limit} lanes; close one first")]
    TooManyLanes {
        /// The most.
        limit: u32,
    },
    /// The network has its lanes.
    #[error("the network has its {limit} lanes; wait until one ends")]
    NetworkFull {
        /// The most.
        limit: u32,
    },
    /// There is no such lane.
    #[error("there is no lane {lane}; it may be over", lane = lane.0)]
    UnknownLane {
        /// The lane.
        lane: LaneId,
    },
    /// Somebody else pays.
    #[error("only the account that opened a lane can do this")]
    NotThePayer,
    /// It closes already.
    #[error("the lane is {state}; this is not possible any more, or not yet")]
    WrongState {
        /// Where it stands.
        state: Text,
    },
    /// Nothing to put in.
    #[error("the amount must be more than nothing")]
    ZeroAmount,
    /// The host has no share.
    #[error("the account has no share in this lane")]
    NoShare,
    /// A conviction.
    #[error("the host was convicted: this share is forfeited")]
    IsForfeited,
    /// Too late.
    #[error("the lane could be settled up to height {until}")]
    TooLate {
        /// The last height.
        until: Height,
    },
    /// For another share.
    #[error("the voucher or the entry is for another lane or host")]
    WrongLane,
    /// Not signed by the lane's key for this network.
    #[error("the voucher's signature does not verify with the lane's key")]
    BadSignature,
    /// A voucher from before the request.
    #[error("the voucher is for request {voucher}, before the last committed one, {entry}")]
    OldVoucher {
        /// The voucher's.
        voucher: u64,
        /// The entry's.
        entry: u64,
    },
    /// Nothing matured there.
    #[error("no commitment of the host for interval {interval} has matured; wait, or name a later one")]
    NotMatured {
        /// The interval.
        interval: u64,
    },
    /// Not a leaf of the commitment.
    #[error("the opening does not show this entry in the host's commitment")]
    WrongOpening,
    /// All is paid.
    #[error("nothing is left to pay: what these prove was settled before")]
    NothingDue,
}

impl Failure {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::UnknownModel => "unknown_model",
            Self::BelowMinimum { .. } => "below_minimum",
            Self::InvalidShares { .. } => "invalid_shares",
            Self::InvalidLifetime { .. } => "invalid_lifetime",
            Self::InvalidConstraints => "invalid_constraints",
            Self::InvalidKey => "invalid_key",
            Self::TooManyLanes { .. } => "too_many_lanes",
            Self::NetworkFull { .. } => "network_full",
            Self::UnknownLane { .. } => "unknown_lane",
            Self::NotThePayer => "not_the_payer",
            Self::WrongState { .. } => "wrong_lane_state",
            Self::ZeroAmount => "zero_amount",
            Self::NoShare => "no_share",
            Self::IsForfeited => "forfeited",
            Self::TooLate { .. } => "too_late",
            Self::WrongLane => "wrong_lane",
            Self::BadSignature => "bad_voucher_signature",
            Self::OldVoucher { .. } => "old_voucher",
            Self::NotMatured { .. } => "not_matured",
            Self::WrongOpening => "wrong_opening",
            Self::NothingDue => "nothing_due",
        }
    }
}
