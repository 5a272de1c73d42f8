//! What can go wrong, and what to do then.

use std::io;
use std::net::SocketAddr;

/// Why gossip could not start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Another process listens on the port.
    #[error(
        "{addr} is already in use, probably by another node on this machine; stop it, or choose another port \
         (0 takes a free one)"
    )]
    PortInUse {
        /// The configured address.
        addr: SocketAddr,
    },
    /// The operating system refuses to listen there for another reason.
    #[error("cannot listen on {addr}: {source}; use an address of this machine and a port above 1023")]
    Listen {
        /// The configured address.
        addr: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// A setting is outside its bounds.
    #[error("{what} is {value}, but must be from {min} to {max}")]
    OutOfRange {
        /// The setting.
        what: &'static str,
        /// Its value.
        value: usize,
        /// The smallest accepted value.
        min: usize,
        /// The largest accepted value.
        max: usize,
    },
    /// The transport rejects its own settings: a defect of this crate.
    #[error("the transport cannot be set up: {0}; please report this")]
    Setup(String),
}

/// Why a message was not queued for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Too many own messages wait already. Try again later.
    #[error("the publish queue is full; try again later")]
    Full,
    /// Nobody would hear it. Try again when [`PeerInfo::ready`](crate::PeerInfo::ready) holds for a peer.
    #[error("no peer is connected yet; try again later")]
    NoPeers,
    /// Every node of the network would refuse it.
    #[error("the message has {actual} bytes, at most {limit} are allowed; split it")]
    TooLarge {
        /// Its length in bytes.
        actual: usize,
        /// The configured limit in bytes.
        limit: usize,
    },
    /// Gossip was shut down.
    #[error("gossip has stopped")]
    Stopped,
}

/// Why a persistent peer was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddPeerError {
    /// The list is full.
    #[error("there are already {limit} persistent peers")]
    TooMany {
        /// The bound.
        limit: usize,
    },
    /// Gossip was shut down.
    #[error("gossip has stopped")]
    Stopped,
}
