//! What the core of work wants done, and what it answers.

use std::sync::Arc;

use freeway_api::serving::Artifact;
use freeway_ledger::{Fault, Message, Text};
use freeway_primitives::{Address, Digest};
use freeway_requests::Scored;

use super::shelf::ShelfError;

/// A host that can be asked for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The host.
    pub host: Address,
    /// Where, in the order to try.
    pub endpoints: Vec<Text>,
}

/// Something for the surroundings of a [`WorkCore`](super::WorkCore) to do. Except for [`WorkAction::Send`], an action
/// is asked for once; its result comes back through one of the core's inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkAction {
    /// Messages that are wanted on chain now. Asked for again with every step until they are there: do not send while
    /// others of this host still wait for a block.
    Send(Vec<Message>),
    /// Ask a host for its samples of an interval; the answer goes to [`WorkCore::sampled`](super::WorkCore::sampled).
    FetchSamples {
        /// The interval.
        interval: u64,
        /// Whom to ask.
        source: Source,
    },
    /// Ask these, one after the other, for what belongs to a receipt; the answer goes to
    /// [`WorkCore::fetched`](super::WorkCore::fetched).
    FetchArtifact {
        /// The receipt's digest.
        receipt: Digest,
        /// Whom to ask.
        from: Vec<Source>,
    },
    /// Do a request again; the answer goes to [`WorkCore::verified`](super::WorkCore::verified).
    Verify {
        /// The receipt's digest.
        receipt: Digest,
        /// The model's root.
        model: Digest,
        /// What was asked and answered.
        artifact: Arc<Artifact>,
    },
    /// Say how likely each token of an answer is, with as many of the most likely ones as can be told, where no bit can
    /// be computed again; the answer goes to [`WorkCore::verified`](super::WorkCore::verified).
    Score {
        /// The receipt's digest.
        receipt: Digest,
        /// The model's root.
        model: Digest,
        /// What was asked and answered.
        artifact: Arc<Artifact>,
    },
}

/// What came of doing a request again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redone {
    /// It could be done.
    Done {
        /// Whether the answer is another one.
        differs: bool,
        /// The trace roots of the choices, if it is the same.
        traces: Vec<Digest>,
    },
    /// Its tokens could be scored: for each choice, one for each token.
    Scored(Vec<Vec<Scored>>),
    /// The request is none that this model can be asked: no honest host answers it.
    Impossible,
    /// Not now. It will be asked for again.
    Unable,
}

/// What ends a step early. The next one tries again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] Fault),
    /// The shelf cannot be read or written.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
}

/// Why this host shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no commitment.
    #[error("this host has not committed to interval {0} of work, or it is forgotten")]
    NotCommitted(u64),
    /// Nothing is drawn yet.
    #[error("the samples of interval {0} are not drawn yet; ask again in a few blocks")]
    NotDrawn(u64),
    /// Somebody whom it does not concern.
    #[error("{0} is neither in the committee nor in a jury for this")]
    NotConcerned(Address),
    /// Too much was asked for between two blocks.
    #[error("this host has shown enough of old intervals for now; ask again in the next block")]
    Busy,
    /// It is not there.
    #[error("this host does not have that (any more)")]
    Unknown,
    /// State or disk failed.
    #[error("{0}")]
    Failed(#[from] WorkError),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}

impl From<ShelfError> for Refusal {
    fn from(error: ShelfError) -> Self {
        Self::Failed(error.into())
    }
}

impl Refusal {
    /// A name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotCommitted(_) => "not_committed",
            Self::NotDrawn(_) => "not_drawn",
            Self::NotConcerned(_) => "not_concerned",
            Self::Busy => "busy",
            Self::Unknown => "unknown_artifact",
            Self::Failed(_) => "internal",
        }
    }

    /// Whether the same question may have an answer later.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::NotDrawn(_) | Self::Busy | Self::Failed(_))
    }
}
