//! What can be asked of a race, what happens in it, and why something is not due.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Digest, Epoch, Height};
use freeway_proofs::sprint::{Commitment, CommitmentError, Opening, Position, Revelation, Tag};

use super::{AbandonReason, Void};
use crate::accounts::Scope;
use crate::genesis::Text;

/// What can be asked of a race.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// A host: this is what I computed.
    Commit(Commitment),
    /// A member: this is what I found. In as many transactions as it takes, one verdict per host.
    Verdicts(Vec<Verdict>),
    /// A host: these are the drawn traces. In as many transactions as it takes.
    Reveal(Vec<Reveal>),
    /// A member: this host does not show me these leaves. A bond for each pays for the bytes, or comes back.
    Demand {
        /// The host.
        host: Address,
        /// Which of my [`super::positions`].
        positions: Vec<u16>,
    },
    /// A host: here they are.
    Answer {
        /// Who demanded.
        member: Address,
        /// The leaves.
        openings: Vec<Opening>,
    },
    /// A host, under a bond: this leaf of that host is wrong.
    Accuse {
        /// The host.
        host: Address,
        /// The leaf.
        opening: Opening,
    },
    /// A validator: I recomputed these leaves.
    Judge(Vec<Judgement>),
}

/// A member's verdict on a host.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Verdict {
    /// The host.
    pub host: Address,
    /// One tag per position, in the order of [`super::positions`].
    pub tags: Vec<Tag>,
}

/// What a host reveals for a member.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Reveal {
    /// The member.
    pub member: Address,
    /// Some of [`super::drawn_positions`].
    pub revelations: Vec<Revelation>,
}

/// A validator's judgement on a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Judgement {
    /// The host.
    pub host: Address,
    /// The leaf's place.
    pub position: Position,
    /// Whether it is wrong.
    pub guilty: bool,
}

impl Message {
    pub(crate) fn scope(&self) -> Option<Scope> {
        match self {
            Self::Commit(_) | Self::Reveal(_) | Self::Answer { .. } => Some(Scope::Operator),
            Self::Verdicts(_) | Self::Demand { .. } | Self::Accuse { .. } | Self::Judge(_) => {
                Some(Scope::Verifier)
            }
        }
    }
}

/// What happens in a race.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// The seed is known.
    RaceStarted {
        /// The epoch.
        epoch: Epoch,
        /// The seed.
        seed: Digest,
        /// The last height for commitments.
        deadline: Height,
    },
    /// A host committed.
    Committed {
        /// The host.
        host: Address,
        /// All its nonces.
        count: u64,
    },
    /// Committees and their leaves are drawn.
    RaceChallenged {
        /// The epoch.
        epoch: Epoch,
        /// Hosts that committed.
        hosts: u32,
        /// The last height for verdicts.
        until: Height,
    },
    /// A member gave verdicts.
    VerdictsGiven {
        /// The member.
        member: Address,
        /// On so many hosts.
        hosts: u32,
    },
    /// It is drawn what must be revealed.
    RaceDrawn {
        /// The epoch.
        epoch: Epoch,
        /// The last height for revelations.
        until: Height,
    },
    /// A host revealed.
    Revealed {
        /// The host.
        host: Address,
        /// So many leaves.
        leaves: u32,
    },
    /// A member demands leaves here.
    Demanded {
        /// The host.
        host: Address,
        /// The member.
        member: Address,
        /// So many leaves.
        leaves: u32,
        /// The last height for an answer.
        until: Height,
    },
    /// A host answered.
    Answered {
        /// The host.
        host: Address,
        /// The member.
        member: Address,
        /// So many leaves.
        leaves: u32,
    },
    /// A leaf is on trial.
    TrialOpened {
        /// The host.
        host: Address,
        /// The leaf's place.
        position: Position,
    },
    /// A leaf is wrong.
    Convicted {
        /// The host.
        host: Address,
        /// The leaf's place.
        position: Position,
        /// What the host lost.
        penalty: Amount,
    },
    /// A leaf is right.
    Acquitted {
        /// The host.
        host: Address,
        /// The leaf's place.
        position: Position,
    },
    /// A member's tag for a leaf that is right was another.
    FalseVerdict {
        /// The member.
        member: Address,
        /// The host.
        host: Address,
    },
    /// A host has proven this weight.
    Proven {
        /// The host.
        host: Address,
        /// The weight.
        weight: u64,
        /// Members that confirmed it.
        confirmed: u32,
    },
    /// A host's race counts for nothing.
    Voided {
        /// The host.
        host: Address,
        /// Why.
        reason: Void,
    },
    /// A race has results.
    RaceSettled {
        /// The epoch.
        epoch: Epoch,
        /// Hosts that committed.
        hosts: u32,
        /// Of these, hosts with weight.
        proven: u32,
    },
    /// A race has no results; all weights stay.
    RaceAbandoned {
        /// The epoch.
        epoch: Epoch,
        /// Why.
        reason: AbandonReason,
    },
}

/// Why something is no duty in a race, at least not now.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum Failure {
    /// There is no race.
    #[error("there is no race now; the next begins with the next epoch")]
    NotRacing,
    /// The race has not come so far.
    #[error("the race has not come so far; wait for its next stage")]
    TooEarly,
    /// The race is past it.
    #[error("this could be done until height {deadline}; the race has gone on")]
    TooLate {
        /// The last height for it.
        deadline: Height,
    },
    /// The account owns no active host.
    #[error("this account has no active host; register one first")]
    NotAHost,
    /// The host came too late for this race.
    #[error("the host registered in this epoch; it can race from the next one on")]
    TooNew,
    /// A second commitment.
    #[error("the host has committed already; a race counts one commitment")]
    AlreadyCommitted,
    /// A commitment out of bounds.
    #[error(transparent)]
    InvalidCommitment(#[from] CommitmentError),
    /// More devices than the parameters allow.
    #[error("a host can commit to {limit} devices; let several share a tree")]
    TooManyDevices {
        /// The most.
        limit: u32,
    },
    /// Nothing is said.
    #[error("there is nothing in this message")]
    Empty,
    /// The host in question did not commit.
    #[error("that host has not committed in this race")]
    NotCommitted,
    /// The host's race counts for nothing already.
    #[error("that host's race counts for nothing already ({reason})")]
    IsVoid {
        /// Why.
        reason: Text,
    },
    /// The caller is not in the host's committee.
    #[error("the account is not in the committee of {host}; its verdict is not asked for")]
    Unsolicited {
        /// The host.
        host: Address,
    },
    /// Not one tag per position.
    #[error("the verdict on {host} needs {expected} tags, one per drawn leaf")]
    WrongCount {
        /// The host.
        host: Address,
        /// How many.
        expected: u32,
    },
    /// A second verdict on a host.
    #[error("the verdict on {host} was given already")]
    AlreadyGiven {
        /// The host.
        host: Address,
    },
    /// The member gave no verdict, so nothing is to be revealed to it.
    #[error("{member} gave no verdict on this host; nothing is to be revealed")]
    NoVerdict {
        /// The member.
        member: Address,
    },
    /// A leaf that was not drawn.
    #[error("that leaf was not drawn")]
    NotDrawn,
    /// Revealed before.
    #[error("that leaf was revealed already")]
    AlreadyRevealed,
    /// The trace or path does not lead to the committed root.
    #[error("the trace and path do not lead to the committed root")]
    WrongRevelation,
    /// More leaves than can be demanded at once.
    #[error("at most {limit} leaves can be demanded at once")]
    TooManyPositions {
        /// The most.
        limit: u32,
    },
    /// There is no such position.
    #[error("the member has no position {index} on this host")]
    UnknownPosition {
        /// The index.
        index: u16,
    },
    /// Demanded before.
    #[error("position {index} was demanded already")]
    AlreadyDemanded {
        /// The index.
        index: u16,
    },
    /// An answer to nothing.
    #[error("nobody waits for that leaf")]
    NotDemanded,
    /// The leaf and path do not lead to the committed root.
    #[error("the leaf and path do not lead to the committed root")]
    WrongOpening,
    /// Accused by its own side.
    #[error("a host can only be accused by hosts of other operators")]
    OwnOperator,
    /// The leaf is or was on trial.
    #[error("that leaf is on trial, or was")]
    AlreadyOnTrial,
    /// No room for another trial.
    #[error("too many trials are open; try again when one is decided")]
    TooManyTrials,
    /// The accuser lost an accusation in this race.
    #[error("an accusation by this account was found false; it can accuse again in the next race")]
    Distrusted,
    /// There is no such trial.
    #[error("that leaf is not on trial, or it is decided")]
    NoTrial,
    /// The caller does not judge this host.
    #[error("the account does not judge this host: it is no validator, or of the same operator")]
    NotAJudge,
    /// A second judgement.
    #[error("the account has judged this leaf already")]
    AlreadyJudged,
}

impl Failure {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotRacing => "not_racing",
            Self::TooEarly => "too_early",
            Self::TooLate { .. } => "too_late",
            Self::NotAHost => "not_a_host",
            Self::TooNew => "too_new",
            Self::AlreadyCommitted => "already_committed",
            Self::InvalidCommitment(_) => "invalid_commitment",
            Self::TooManyDevices { .. } => "too_many_devices",
            Self::Empty => "empty",
            Self::NotCommitted => "not_committed",
            Self::IsVoid { .. } => "is_void",
            Self::Unsolicited { .. } => "unsolicited",
            Self::WrongCount { .. } => "wrong_count",
            Self::AlreadyGiven { .. } => "already_given",
            Self::NoVerdict { .. } => "no_verdict",
            Self::NotDrawn => "not_drawn",
            Self::AlreadyRevealed => "already_revealed",
            Self::WrongRevelation => "wrong_revelation",
            Self::TooManyPositions { .. } => "too_many_positions",
            Self::UnknownPosition { .. } => "unknown_position",
            Self::AlreadyDemanded { .. } => "already_demanded",
            Self::NotDemanded => "not_demanded",
            Self::WrongOpening => "wrong_opening",
            Self::OwnOperator => "own_operator",
            Self::AlreadyOnTrial => "already_on_trial",
            Self::TooManyTrials => "too_many_trials",
            Self::Distrusted => "distrusted",
            Self::NoTrial => "no_trial",
            Self::NotAJudge => "not_a_judge",
            Self::AlreadyJudged => "already_judged",
        }
    }

    /// Whether a later block may accept the same message.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::TooEarly | Self::TooManyTrials)
    }
}
