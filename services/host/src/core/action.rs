//! What the core wants done, and what it answers.

use freeway_ledger::{Fault, Message, Text};
use freeway_primitives::{Address, Digest, Epoch, PublicKey};
use freeway_proofs::sprint::Position;

/// Something for the surroundings of a [`Core`](super::Core) to do. Except for [`Action::Send`], an action is
/// asked for once; its result comes back through one of the core's inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Compute nonces from this one on and report them through [`Core::computed`](super::Core::computed) once
    /// they are durable, until [`Action::EndRace`].
    Race {
        /// The race.
        epoch: Epoch,
        /// What the weights and inputs come from.
        seed: Digest,
        /// The name of the model's shape.
        shape: Text,
        /// The first nonce that is not known yet.
        from_nonce: u64,
    },
    /// Stop computing, report what there is, then call [`Core::ended`](super::Core::ended).
    EndRace {
        /// The race.
        epoch: Epoch,
    },
    /// Ask a host for what this member drew; the answer goes to [`Core::opened`](super::Core::opened).
    Fetch {
        /// The race.
        epoch: Epoch,
        /// Whom to ask.
        host: Address,
        /// Where, in the order to try.
        endpoints: Vec<Text>,
        /// The key under which the answer must be signed.
        key: PublicKey,
        /// Who asks: this host.
        member: Address,
    },
    /// Compute these nonces of another host; the traces go to [`Core::recomputed`](super::Core::recomputed).
    Recompute {
        /// The race.
        epoch: Epoch,
        /// Whose nonces they are.
        host: Address,
        /// What the weights and inputs come from.
        seed: Digest,
        /// The name of the model's shape.
        shape: Text,
        /// Which nonces, in order.
        positions: Vec<Position>,
    },
    /// Messages that are wanted on chain now. Asked for again with every step until they are there: do not
    /// send while others of this host still wait for a block.
    Send(Vec<Message>),
    /// Nothing of this race and of those before it is needed any more.
    Forget {
        /// The race.
        epoch: Epoch,
    },
}

/// Why a host could not be asked. Never evidence against it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

/// Why this host shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not the race that is being checked.
    #[error("nothing is being checked for epoch {asked}; the race under way is that of epoch {current}")]
    UnknownEpoch {
        /// The epoch in question.
        asked: Epoch,
        /// The epoch of the race that this host knows.
        current: Epoch,
    },
    /// There was no race yet.
    #[error("there has been no race yet; ask again in a later epoch")]
    NoRace,
    /// What is checked has not been drawn, as far as this host knows.
    #[error("what is checked in epoch {0} is not drawn yet; ask again after the next block")]
    NotDrawn(Epoch),
    /// This host has not committed to anything in this race.
    #[error("this host has no commitment in epoch {0}; there is nothing to open")]
    NotCommitted(Epoch),
    /// The asker is not in this host's committee.
    #[error("{member} is not in the committee of this host in epoch {epoch}; only members are answered")]
    NotAMember {
        /// The race.
        epoch: Epoch,
        /// Who asks.
        member: Address,
    },
    /// The work is gone.
    #[error("this host no longer has what it committed to in epoch {0}; demand it on chain")]
    Lost(Epoch),
    /// The state cannot be read.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Refusal {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownEpoch { .. } => "unknown_epoch",
            Self::NoRace => "no_race",
            Self::NotDrawn(_) => "not_drawn",
            Self::NotCommitted(_) => "not_committed",
            Self::NotAMember { .. } => "not_a_member",
            Self::Lost(_) => "lost",
            Self::Fault(_) => "storage",
        }
    }
}
