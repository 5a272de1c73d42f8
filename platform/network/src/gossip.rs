//! The part of the network that a node's logic needs, so that it runs the same over sockets and in memory.

use libp2p::PeerId;

use crate::{Handle, MessageId, Misbehaviour, PublishError, Verdict};

/// Sends messages and judges those received. Nothing here waits.
///
/// Received messages come through the channel that is handed out with the implementation:
/// [`Network::start`](crate::Network::start) or [`LocalHub::join`](crate::LocalHub::join).
pub trait Gossip: Send + Sync + 'static {
    /// The id under which others see this node.
    fn local_id(&self) -> PeerId;

    /// Queues a message for all nodes.
    ///
    /// # Errors
    /// [`PublishError`] if it cannot be queued; nothing was sent then.
    fn publish(&self, bytes: Vec<u8>) -> Result<(), PublishError>;

    /// Says whether the message `id`, received from `from`, may travel on. Only the first verdict counts.
    fn verdict(&self, id: MessageId, from: PeerId, verdict: Verdict);

    /// Holds misbehaviour against a peer.
    fn report(&self, peer: PeerId, misbehaviour: Misbehaviour);
}

impl Gossip for Handle {
    fn local_id(&self) -> PeerId {
        Self::local_id(self)
    }

    fn publish(&self, bytes: Vec<u8>) -> Result<(), PublishError> {
        Self::publish(self, bytes)
    }

    fn verdict(&self, id: MessageId, from: PeerId, verdict: Verdict) {
        Self::verdict(self, id, from, verdict);
    }

    fn report(&self, peer: PeerId, misbehaviour: Misbehaviour) {
        Self::report(self, peer, misbehaviour);
    }
}
