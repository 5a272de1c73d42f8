//! A message, its identity, and what the node thinks of it.

use core::fmt;

use freeway_primitives::{Digest, Domain};
use libp2p::{PeerId, gossipsub};

const DOMAIN: Domain = Domain::new("freeway 1 gossip message");

/// The identity of a message: the digest of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub Digest);

impl MessageId {
    /// The identity of `bytes`, on every node the same.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Digest::of(DOMAIN, bytes))
    }

    pub(crate) fn to_gossip(self) -> gossipsub::MessageId {
        gossipsub::MessageId::new(self.0.as_bytes())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A message from the network that awaits the node's [`Verdict`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The neighbour that passed it on: its author, or a node that accepted it. Answerable for it either way.
    pub from: PeerId,
    /// Its identity.
    pub id: MessageId,
    /// Its content, at most [`Config::max_message_bytes`](crate::Config::max_message_bytes).
    pub bytes: Vec<u8>,
}

/// The node's judgement of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Valid: pass it on.
    Accept,
    /// Provably invalid: do not pass it on. A dozen within a minute ban whoever passed them on; with `report`,
    /// what is worse than a mistake costs more.
    Reject,
    /// Of no use, without fault: do not pass it on.
    Ignore,
}
