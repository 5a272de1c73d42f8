//! What a node's gossip is started with.

use core::fmt;
use std::collections::BTreeSet;
use std::net::SocketAddr;

use freeway_primitives::ChainId;
use libp2p::PeerId;
use libp2p::identity::Keypair;

use crate::limits::{
    DEFAULT_MAX_MESSAGE_BYTES, DEFAULT_MAX_PEERS, DEFAULT_PUBLISH_QUEUE, DEFAULT_RECEIVE_QUEUE,
    MAX_ALLOWED_PEERS, MAX_MESSAGE_BYTES, MAX_PEERS, MAX_PERSISTENT_PEERS, MAX_QUEUE, MIN_MESSAGE_BYTES,
};
use crate::{NetworkError, PeerAddress};

/// Who may connect: `None` is anyone, `Some` a private network of exactly these peers.
pub type AllowList = Option<BTreeSet<PeerId>>;

/// The id of the node whose transport key has this seed.
pub fn peer_id_of(seed: [u8; 32]) -> PeerId {
    keypair(seed).public().to_peer_id()
}

/// The transport identity of a seed.
pub(crate) fn keypair(mut seed: [u8; 32]) -> Keypair {
    match Keypair::ed25519_from_bytes(&mut seed) {
        Ok(pair) => pair,
        // Any 32 bytes are an ed25519 seed (RFC 8032, section 5.1.5); only another length is refused.
        Err(error) => unreachable!("a key of 32 bytes: {error}"),
    }
}

/// The settings of [`Network::start`](crate::Network::start).
#[derive(Clone)]
pub struct Config {
    /// Seed of the ed25519 transport key. Derive it from the node's key under an own domain, so that the
    /// transport never holds the key that signs votes.
    pub key_seed: [u8; 32],
    /// The network. Nodes of different chains never exchange a message.
    pub chain: ChainId,
    /// Where to listen; port 0 takes a free one. `0.0.0.0` is every IPv4 interface, `[::]` every IPv6 one.
    pub listen: SocketAddr,
    /// Peers to stay connected with, at most [`MAX_PERSISTENT_PEERS`]. The node's own address may be among
    /// them, so that all nodes of a network can share one list.
    pub peers: Vec<PeerAddress>,
    /// Who may connect, at most [`MAX_ALLOWED_PEERS`] ids.
    pub allowed: AllowList,
    /// The longest message, [`MIN_MESSAGE_BYTES`] to [`MAX_MESSAGE_BYTES`]. Must be equal on all nodes of a
    /// network: a longer message counts as misbehaviour.
    pub max_message_bytes: usize,
    /// The most connected peers, 1 to [`MAX_PEERS`].
    pub max_peers: usize,
    /// Own messages waiting to be sent, 1 to [`MAX_QUEUE`].
    pub publish_queue: usize,
    /// Received messages without a verdict, in the queue or in the node's hands, 1 to [`MAX_QUEUE`].
    pub receive_queue: usize,
}

impl Config {
    /// An open network without persistent peers, and the default limits.
    pub fn new(key_seed: [u8; 32], chain: ChainId, listen: SocketAddr) -> Self {
        Self {
            key_seed,
            chain,
            listen,
            peers: Vec::new(),
            allowed: None,
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            max_peers: DEFAULT_MAX_PEERS,
            publish_queue: DEFAULT_PUBLISH_QUEUE,
            receive_queue: DEFAULT_RECEIVE_QUEUE,
        }
    }

    /// The id under which others see this node.
    pub fn local_id(&self) -> PeerId {
        peer_id_of(self.key_seed)
    }

    /// Checks every number against its bounds.
    ///
    /// # Errors
    /// [`NetworkError::OutOfRange`] naming the first that is outside.
    pub fn validate(&self) -> Result<(), NetworkError> {
        let allowed = self.allowed.as_ref().map_or(0, BTreeSet::len);
        for (what, value, min, max) in [
            ("max_message_bytes", self.max_message_bytes, MIN_MESSAGE_BYTES, MAX_MESSAGE_BYTES),
            ("max_peers", self.max_peers, 1, MAX_PEERS),
            ("publish_queue", self.publish_queue, 1, MAX_QUEUE),
            ("receive_queue", self.receive_queue, 1, MAX_QUEUE),
            ("the number of peers", self.peers.len(), 0, MAX_PERSISTENT_PEERS),
            ("the number of allowed peers", allowed, 0, MAX_ALLOWED_PEERS),
        ] {
            if value < min || value > max {
                return Err(NetworkError::OutOfRange { what, value, min, max });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Config {
    /// Everything but the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("local_id", &self.local_id())
            .field("chain", &self.chain)
            .field("listen", &self.listen)
            .field("peers", &self.peers)
            .field("allowed", &self.allowed)
            .field("max_message_bytes", &self.max_message_bytes)
            .field("max_peers", &self.max_peers)
            .field("publish_queue", &self.publish_queue)
            .field("receive_queue", &self.receive_queue)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use freeway_primitives::Digest;

    use super::*;

    fn config() -> Config {
        Config::new([7; 32], ChainId(Digest::ZERO), ([127, 0, 0, 1], 0).into())
    }

    #[test]
    fn the_defaults_are_valid_and_every_bound_is_checked() {
        config().validate().unwrap();
        for (change, name) in [
            ((|c| c.max_message_bytes = 1) as fn(&mut Config), "max_message_bytes"),
            (|c| c.max_message_bytes = 1 << 30, "max_message_bytes"),
            (|c| c.max_peers = 0, "max_peers"),
            (|c| c.publish_queue = 0, "publish_queue"),
            (|c| c.receive_queue = 1 << 20, "receive_queue"),
            (|c| c.peers = vec![c.listen.into(); 129], "number of peers"),
        ] {
            let mut wrong = config();
            change(&mut wrong);
            assert!(wrong.validate().unwrap_err().to_string().contains(name), "{name}");
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert!(!format!("{:?}", config()).contains("7, 7"));
    }
}
