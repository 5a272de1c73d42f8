//! Gossip of opaque messages between authenticated nodes.
//!
//! A node hands over bytes (batches of transactions) and gets the bytes of others. This crate knows nothing
//! about what they mean: the node judges every message, and only what it accepts travels on. The swarm here
//! is separate from the consensus engine's network, so that a flood of transactions never delays a vote.
//!
//! ```text
//!            publish ─► [publish queue] ─┐                        ┌─► TCP + noise + yamux
//!  the node                              ├─► driver task ── swarm ┤     gate     who may connect
//!            ◄─ Incoming [receive queue]─┤    dialer              │     gossip   gossipsub, signed, validated
//!            verdict, report ────────────┘    conduct             └─    ping     liveness and latency
//! ```
//!
//! # Use
//!
//! ```no_run
//! use freeway_network::{Config, Misbehaviour, Network, Verdict};
//! # async fn example(seed: [u8; 32], chain: freeway_primitives::ChainId) -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = Config::new(seed, chain, "0.0.0.0:27656".parse()?);
//! config.peers.push("12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp@203.0.113.7:27656".parse()?);
//! let (handle, mut incoming) = Network::start(config).await?;
//!
//! handle.publish(b"a batch".to_vec())?; // never waits; `Full` and `NoPeers` mean: try again later
//! while let Some(message) = incoming.recv().await {
//!     if message.bytes.starts_with(b"a batch") {
//!         handle.verdict(message.id, message.from, Verdict::Accept);
//!     } else {
//!         handle.verdict(message.id, message.from, Verdict::Reject);
//!         handle.report(message.from, Misbehaviour::Malformed);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - **Every peer is authenticated.** A node is its ed25519 transport key; its [`PeerId`] is derived from it.
//!   A private network lists the ids it talks to ([`Config::allowed`]); all others are refused after the
//!   handshake, whoever dialled.
//! - **Networks never mix.** The protocol and the topic both contain the [`ChainId`]; a peer of another
//!   network is disconnected when it fails to speak ours.
//! - **Nothing travels on unjudged.** A message is forwarded only after [`Verdict::Accept`]; without a verdict
//!   within [`VERDICT_TIMEOUT`] it is forgotten. So a peer answers for whatever it passes on: `from` in
//!   [`Incoming`] is the neighbour it came from, which has accepted it.
//! - **A message is delivered once.** Its [`MessageId`] is the digest of its content; equal bytes are the same
//!   message for [`DUPLICATE_CACHE_TIME`], whoever signed or sent them.
//! - **Everything has a bound**, listed with its default in `limits.rs`. When the node does not keep up, new
//!   messages are dropped, counted in [`Counters::dropped`] and not forwarded; memory does not grow.
//! - **Misbehaviour adds up.** The node [reports](Handle::report) what it finds; [`BAN_THRESHOLD`] points
//!   disconnect a peer and keep it out for [`BAN_TIME`]. Points fade, so rare accidents are forgiven.
//! - **Persistent peers are dialled again** for ever, with doubling waits up to [`DIAL_BACKOFF_MAX`] and a
//!   jitter that is a function of the node's key. A part of the slots is kept free for them.
//!
//! # What is absent
//!
//! No discovery: a node talks to the peers it was given and to those who dial it. No delivery guarantee: gossip
//! is best effort, and whoever needs a transaction on the chain sends it again. Bans live in memory and are by
//! key, and keys are free: the ban is a bound on what one key can cost, not a wall.
//!
//! # Without a network
//!
//! [`Gossip`] is the part of [`Handle`] that a node's logic needs. [`LocalHub`] implements it in memory, in
//! deterministic order and with seeded loss, for tests of many nodes in one process.

mod address;
mod conduct;
mod config;
mod counters;
mod dial;
mod driver;
mod error;
mod gate;
mod gossip;
mod handle;
mod hub;
mod limits;
mod message;
mod peers;
mod swarm;

pub use address::{Host, PeerAddress, PeerAddressError};
pub use conduct::Misbehaviour;
pub use config::{AllowList, Config, peer_id_of};
pub use counters::Counters;
pub use error::{AddPeerError, NetworkError, PublishError};
pub use freeway_primitives::ChainId;
pub use gossip::Gossip;
pub use handle::{Handle, Network};
pub use hub::{LocalHub, LocalPeer};
pub use libp2p::PeerId;
pub use limits::*;
pub use message::{Incoming, MessageId, Verdict};
pub use peers::PeerInfo;
