//! Totals since the start, for metrics.

/// What happened since the start. Numbers only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// New messages from peers, duplicates not counted.
    pub received: u64,
    /// Their content in bytes.
    pub received_bytes: u64,
    /// Own messages handed to at least one peer.
    pub published: u64,
    /// Their content in bytes, once each, however many peers got them.
    pub published_bytes: u64,
    /// Own messages that no peer had room for.
    pub unpublished: u64,
    /// Messages the node accepted and that were passed on.
    pub accepted: u64,
    /// Messages the node rejected.
    pub rejected: u64,
    /// Messages the node ignored.
    pub ignored: u64,
    /// Messages never shown to the node: the receive queue was full, a peer brought too many, or one was
    /// longer than allowed.
    pub dropped: u64,
    /// Messages forgotten because no verdict came within [`VERDICT_TIMEOUT`](crate::VERDICT_TIMEOUT).
    pub unjudged: u64,
    /// Connections established, in either direction.
    pub connections: u64,
    /// Connections refused: not on the allow list, banned, or too many.
    pub refused: u64,
    /// Peers disconnected because they do not take part in this network.
    pub foreign: u64,
    /// Attempts to reach persistent peers.
    pub dials: u64,
    /// Attempts that failed.
    pub failed_dials: u64,
    /// Peers banned.
    pub bans: u64,
}
