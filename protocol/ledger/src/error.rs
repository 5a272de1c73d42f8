//! Three ways in which something does not happen, kept strictly apart.
//!
//! - [`Rejection`]: the transaction may not stand in this block at all. It costs nobody anything.
//! - [`Failure`]: the transaction stands in the block, used its sequence and quota, and changed nothing else.
//! - [`Fault`]: the storage below is broken. No verdict on anybody; the node stops.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Amount, Height};

use crate::state::Fault;
use crate::transaction::TransactionError;
use crate::{accounts, beacon, endorsements, evidence, hosts, lanes, models, sprint, verification, work};

/// Why a transaction failed. Part of its receipt.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum Failure {
    /// By the rules of accounts.
    #[error(transparent)]
    Accounts(#[from] accounts::Failure),
    /// By the rules of hosts.
    #[error(transparent)]
    Hosts(#[from] hosts::Failure),
    /// By the rules of evidence.
    #[error(transparent)]
    Evidence(#[from] evidence::Failure),
    /// By the rules of the race.
    #[error(transparent)]
    Sprint(#[from] sprint::Failure),
    /// By the rules of the beacon.
    #[error(transparent)]
    Beacon(#[from] beacon::Failure),
    /// By the rules of models.
    #[error(transparent)]
    Models(#[from] models::Failure),
    /// By the rules of lanes.
    #[error(transparent)]
    Lanes(#[from] lanes::Failure),
    /// By the rules of endorsements.
    #[error(transparent)]
    Endorsements(#[from] endorsements::Failure),
    /// By the rules of work.
    #[error(transparent)]
    Work(#[from] work::Failure),
    /// By the rules of verification.
    #[error(transparent)]
    Verification(#[from] verification::Failure),
}

impl Failure {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Accounts(failure) => failure.code(),
            Self::Hosts(failure) => failure.code(),
            Self::Evidence(failure) => failure.code(),
            Self::Sprint(failure) => failure.code(),
            Self::Beacon(failure) => failure.code(),
            Self::Endorsements(failure) => failure.code(),
            Self::Models(failure) => failure.code(),
            Self::Lanes(failure) => failure.code(),
            Self::Work(failure) => failure.code(),
            Self::Verification(failure) => failure.code(),
        }
    }

    fn is_temporary(&self) -> bool {
        match self {
            Self::Sprint(failure) => failure.is_temporary(),
            Self::Beacon(failure) => failure.is_temporary(),
            Self::Work(failure) => failure.is_temporary(),
            Self::Verification(failure) => failure.is_temporary(),
            _ => false,
        }
    }
}

/// Why a module's rule stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The transaction fails.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The state cannot be read.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a transaction may not stand in a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Not a transaction, or not signed.
    #[error(transparent)]
    Malformed(#[from] TransactionError),
    /// Its expiry height has passed.
    #[error("expired at height {expiry}, the chain is at {height}; sign it again with a later expiry")]
    Expired {
        /// Last height at which it could stand.
        expiry: Height,
        /// The height of the block in question.
        height: Height,
    },
    /// Its expiry is further away than transactions may wait.
    #[error("expiry {expiry} is too far ahead; the latest allowed now is {latest}")]
    ExpiryTooFar {
        /// Its expiry.
        expiry: Height,
        /// The latest allowed.
        latest: Height,
    },
    /// The sequence number was used already: a replay, or a transaction that another one overtook.
    #[error("sequence {got} was already used; the next one of this key is {next}")]
    SequenceUsed {
        /// The transaction's.
        got: u64,
        /// The key's next.
        next: u64,
    },
    /// A gap: an earlier transaction of the same key has to come first.
    #[error("sequence {got} is ahead of the key's next one, {next}; send the missing ones first")]
    SequenceAhead {
        /// The transaction's.
        got: u64,
        /// The key's next.
        next: u64,
    },
    /// The signer has no right to act for the account.
    #[error("this key may not act for the account: no delegation to it is known; authorise it first")]
    NotAuthorised,
    /// The delegation has ended.
    #[error("the key's delegation ended at height {0}; the account must authorise it again")]
    DelegationExpired(Height),
    /// The delegation does not cover this message.
    #[error("the key's delegation does not cover this; it lacks the scope {0}")]
    ScopeMissing(&'static str),
    /// The delegation's remaining allowance is smaller.
    #[error("the key may move {left} more for the account, this needs {needed}")]
    AllowanceExceeded {
        /// What is left.
        left: Amount,
        /// What the message moves.
        needed: Amount,
    },
    /// The account has used its transactions for now.
    #[error(
        "the account has used its quota of {limit} per {period}; wait, or hold more FWY at an epoch's start"
    )]
    QuotaExceeded {
        /// How many it may send.
        limit: u32,
        /// `block` or `epoch`.
        period: &'static str,
    },
    /// The block has no room left for transactions of accounts without a balance.
    #[error("this block's places for accounts without a balance are taken; try again in the next")]
    NoFreePlace,
    /// The block is full.
    #[error("the block is full")]
    BlockFull,
    /// A message that blocks take only if it does what it asks would not.
    #[error("{0}")]
    NotDue(Box<Failure>),
    /// A duty transaction after an ordinary one.
    #[error("duty transactions come first in a block")]
    OutOfOrder,
}

impl Rejection {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(error) => error.code(),
            Self::Expired { .. } => "expired",
            Self::ExpiryTooFar { .. } => "expiry_too_far",
            Self::SequenceUsed { .. } => "sequence_used",
            Self::SequenceAhead { .. } => "sequence_ahead",
            Self::NotAuthorised => "not_authorised",
            Self::DelegationExpired(_) => "delegation_expired",
            Self::ScopeMissing(_) => "scope_missing",
            Self::AllowanceExceeded { .. } => "allowance_exceeded",
            Self::QuotaExceeded { .. } => "quota_exceeded",
            Self::NoFreePlace => "no_free_place",
            Self::BlockFull => "block_full",
            Self::NotDue(failure) => failure.code(),
            Self::OutOfOrder => "out_of_order",
        }
    }

    /// Whether the same transaction may be admitted by a later block without being signed again.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::SequenceAhead { .. }
            | Self::QuotaExceeded { .. }
            | Self::NoFreePlace
            | Self::BlockFull
            | Self::OutOfOrder => true,
            Self::NotDue(failure) => failure.is_temporary(),
            _ => false,
        }
    }
}
