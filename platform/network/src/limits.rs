//! Every bound of the crate, with its unit in its name and the relations between them checked.

use std::time::Duration;

use freeway_primitives::MAX_BLOCK_BYTES;

/// Default of [`Config::max_message_bytes`](crate::Config::max_message_bytes).
pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 128 << 10;
/// Smallest configurable message limit.
pub const MIN_MESSAGE_BYTES: usize = 1 << 10;
/// Largest configurable message limit.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// Default of [`Config::max_peers`](crate::Config::max_peers).
pub const DEFAULT_MAX_PEERS: usize = 64;
/// Largest configurable number of peers.
pub const MAX_PEERS: usize = 256;
/// The most persistent peers, configured and added later.
pub const MAX_PERSISTENT_PEERS: usize = 128;
/// The most ids in an allow list.
pub const MAX_ALLOWED_PEERS: usize = 4096;
/// The most connections whose handshake is under way; more are refused before it.
pub const MAX_PENDING_INBOUND: usize = 64;

/// Default of [`Config::publish_queue`](crate::Config::publish_queue).
pub const DEFAULT_PUBLISH_QUEUE: usize = 64;
/// Default of [`Config::receive_queue`](crate::Config::receive_queue).
pub const DEFAULT_RECEIVE_QUEUE: usize = 256;
/// Largest configurable queue, in messages.
pub const MAX_QUEUE: usize = 4096;
/// Messages waiting for one slow peer, half of them own and half forwarded; more are not sent to it.
pub const PEER_QUEUE: usize = 128;

/// New messages that one peer may bring in a second. The rest is dropped and counts as
/// [`Misbehaviour::Flooding`](crate::Misbehaviour::Flooding).
pub const MAX_MESSAGES_PER_PEER_PER_SECOND: u32 = 1_000;

/// How long equal bytes count as the same message.
pub const DUPLICATE_CACHE_TIME: Duration = Duration::from_secs(60);
/// How long a message waits for the node's verdict before it is forgotten.
pub const VERDICT_TIMEOUT: Duration = Duration::from_secs(10);

/// Points of misbehaviour at which a peer is banned.
pub const BAN_THRESHOLD: u32 = 100;
/// How long a ban lasts.
pub const BAN_TIME: Duration = Duration::from_secs(3600);
/// Time in which one point of misbehaviour is forgiven.
pub const FORGIVENESS: Duration = Duration::from_secs(6);
/// Peers whose misbehaviour is remembered; beyond, the mildest record is forgotten first.
pub const MAX_CONDUCT_RECORDS: usize = 1024;

/// Wait before a persistent peer is dialled again, doubled with every failure.
pub const DIAL_BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Longest wait between two dials of one persistent peer.
pub const DIAL_BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Time for TCP, noise and yamux together, in either direction.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time in which a connected peer must join this network's topic, or it is disconnected.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Two nodes that dial each other at once have two connections; the surplus one is closed after this time.
pub const DUPLICATE_CONNECTION_GRACE: Duration = Duration::from_secs(5);
/// Time between two pings of a peer.
pub const PING_INTERVAL: Duration = Duration::from_secs(15);
/// Time for the answer to a ping.
pub const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// Unanswered pings after which a connection is closed.
pub const MAX_PING_FAILURES: u32 = 2;
/// A connection without any stream is closed after this time.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Gossip's heartbeat: mesh repair, lazy gossip, cache expiry.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(1);
/// Heartbeats for which a message is kept to serve peers that missed it, and to await its verdict.
pub(crate) const HISTORY_HEARTBEATS: usize = 12;
/// Heartbeats for which a message is advertised to peers outside the mesh.
pub(crate) const GOSSIP_HEARTBEATS: usize = 3;
/// Neighbours in the mesh: aimed at, fewest, most, and of these dialled by us. With 8, a message crosses 150
/// nodes in three hops; up to 7 nodes everyone is everyone's neighbour.
pub(crate) const MESH: usize = 8;
pub(crate) const MESH_LOW: usize = 6;
pub(crate) const MESH_HIGH: usize = 12;
pub(crate) const MESH_OUTBOUND: usize = 3;
/// Message ids in one advertisement.
pub(crate) const MAX_IHAVE_IDS: usize = 1_000;
/// Messages processed of one frame; an honest peer sends one.
pub(crate) const MAX_MESSAGES_PER_FRAME: usize = 16;
/// Signature, author, sequence number, topic and framing around a message.
pub(crate) const ENVELOPE_BYTES: usize = 1 << 10;
/// Room for the largest control frame, however small messages are configured.
pub(crate) const CONTROL_FRAME_BYTES: usize = 64 << 10;
/// Commands (verdicts, reports) that wait for the driver beyond one verdict for each receivable message.
pub(crate) const SPARE_COMMANDS: usize = 256;
/// How often the driver looks after timeouts.
pub(crate) const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long the operating system may take to report the address of a new listener.
pub(crate) const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

// A batch must fit into a block, and the default into the limits.
const _: () = assert!(MAX_MESSAGE_BYTES <= MAX_BLOCK_BYTES);
const _: () =
    assert!(MIN_MESSAGE_BYTES <= DEFAULT_MAX_MESSAGE_BYTES && DEFAULT_MAX_MESSAGE_BYTES <= MAX_MESSAGE_BYTES);
const _: () = assert!(DEFAULT_MAX_PEERS <= MAX_PEERS && MAX_PERSISTENT_PEERS <= MAX_PEERS);
const _: () = assert!(DEFAULT_PUBLISH_QUEUE <= MAX_QUEUE && DEFAULT_RECEIVE_QUEUE <= MAX_QUEUE);
// What waits at most, by default: for the node 32 MiB, for peers that all stall at once 1 GiB.
const _: () = assert!(DEFAULT_RECEIVE_QUEUE * DEFAULT_MAX_MESSAGE_BYTES <= 32 << 20);
const _: () = assert!(DEFAULT_MAX_PEERS * PEER_QUEUE * DEFAULT_MAX_MESSAGE_BYTES <= 1 << 30);
// An advertisement (32 bytes an id, 2 of framing) fits into a control frame.
const _: () = assert!(MAX_IHAVE_IDS * 40 + ENVELOPE_BYTES <= CONTROL_FRAME_BYTES);
// A message still under judgement is still in the cache that forwards it, and is not taken for a new one.
const _: () = assert!(VERDICT_TIMEOUT.as_secs() < HISTORY_HEARTBEATS as u64 * HEARTBEAT.as_secs());
const _: () = assert!(VERDICT_TIMEOUT.as_secs() < DUPLICATE_CACHE_TIME.as_secs());
const _: () = assert!(HISTORY_HEARTBEATS as u64 * HEARTBEAT.as_secs() < DUPLICATE_CACHE_TIME.as_secs());
const _: () = assert!(GOSSIP_HEARTBEATS <= HISTORY_HEARTBEATS);
// As gossipsub demands.
const _: () = assert!(MESH_OUTBOUND <= MESH_LOW && MESH_LOW <= MESH && MESH <= MESH_HIGH);
const _: () = assert!(MESH_OUTBOUND * 2 <= MESH);
// A surplus connection outlives the exchange of subscriptions, which may have begun on it.
const _: () = assert!(DUPLICATE_CONNECTION_GRACE.as_secs() < JOIN_TIMEOUT.as_secs());
const _: () = assert!(DIAL_BACKOFF_MIN.as_secs() <= DIAL_BACKOFF_MAX.as_secs());
