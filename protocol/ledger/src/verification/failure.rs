//! Why something is not due.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Height};

use crate::genesis::Text;

/// Why something is not due.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum Failure {
    /// There is no such commitment.
    #[error("{host} has not committed to interval {interval} of work, or it is forgotten")]
    NotCommitted {
        /// The host.
        host: Address,
        /// The interval.
        interval: u64,
    },
    /// The commitment has not come so far.
    #[error("the interval has not come so far; wait for its next step")]
    TooEarly,
    /// The commitment is past it.
    #[error("this could be done until height {deadline}; the interval has gone on")]
    TooLate {
        /// The last height for it.
        deadline: Height,
    },
    /// The commitment is decided.
    #[error("that commitment is decided ({state})")]
    Decided {
        /// How.
        state: Text,
    },
    /// Nothing is said.
    #[error("there is nothing in this message")]
    Empty,
    /// More than one message may hold.
    #[error("there is more in this message than anybody is asked for")]
    TooMany,
    /// The caller is not asked.
    #[error("the account is not in the committee for {host}; its word is not asked for")]
    Unsolicited {
        /// The host.
        host: Address,
    },
    /// A second verdict.
    #[error("the verdict on {host} was given already")]
    AlreadyGiven {
        /// The host.
        host: Address,
    },
    /// Not one finding per sample.
    #[error("the verdict on {host} needs {expected} findings, one per sample of the branch")]
    WrongCount {
        /// The host.
        host: Address,
        /// How many.
        expected: u32,
    },
    /// Nothing is to be revealed.
    #[error("nothing of this commitment is to be revealed, or it was")]
    NotDrawn,
    /// Not the leaf in question, or not with that receipt and trace.
    #[error("this is not the leaf that is asked for: its place, receipt or trace does not fit")]
    WrongLeaf,
    /// There is no such sample.
    #[error("the commitment has no sample {sample} that this account checks")]
    UnknownSample {
        /// Which.
        sample: u32,
    },
    /// A second demand or report.
    #[error("that was demanded or reported already")]
    AlreadyAsked,
    /// An answer to nothing.
    #[error("nobody waits for that")]
    NotAsked,
    /// Accused by its own side.
    #[error("a host can only be accused by others than its own operator")]
    OwnOperator,
    /// The leaf is or was on trial.
    #[error("that leaf is on trial, or was")]
    AlreadyOnTrial,
    /// No room for another trial.
    #[error("too many trials are open; try again when one is decided")]
    TooManyTrials,
    /// Nobody can judge.
    #[error("no independent host serves that model, so nobody could judge")]
    NoJury,
    /// There is no such trial.
    #[error("that leaf is not on trial, or it is decided")]
    NoTrial,
    /// The caller does not judge this.
    #[error("the account is not in the jury of that trial")]
    NotAJudge,
    /// A second judgement.
    #[error("the account has judged this already")]
    AlreadyJudged,
    /// It proves nothing.
    #[error("this proves nothing: an honest host could have done it, or somebody else has signed it")]
    NoProof,
    /// The host was convicted since.
    #[error("the host was convicted after it did this; one conviction covers all before it")]
    AlreadyConvicted,
}

impl Failure {
    /// Whether the same message may be accepted by a later block.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::TooEarly | Self::TooManyTrials)
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotCommitted { .. } => "not_committed",
            Self::TooEarly => "too_early",
            Self::TooLate { .. } => "too_late",
            Self::Decided { .. } => "decided",
            Self::Empty => "empty",
            Self::TooMany => "too_many",
            Self::Unsolicited { .. } => "unsolicited",
            Self::AlreadyGiven { .. } => "already_given",
            Self::WrongCount { .. } => "wrong_count",
            Self::NotDrawn => "not_drawn",
            Self::WrongLeaf => "wrong_leaf",
            Self::UnknownSample { .. } => "unknown_sample",
            Self::AlreadyAsked => "already_asked",
            Self::NotAsked => "not_asked",
            Self::OwnOperator => "own_operator",
            Self::AlreadyOnTrial => "already_on_trial",
            Self::TooManyTrials => "too_many_trials",
            Self::NoJury => "no_jury",
            Self::NoTrial => "no_trial",
            Self::NotAJudge => "not_a_judge",
            Self::AlreadyJudged => "already_judged",
            Self::NoProof => "no_proof",
            Self::AlreadyConvicted => "already_convicted",
        }
    }
}
