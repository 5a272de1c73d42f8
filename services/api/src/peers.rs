//! Other nodes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The connected peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeersView {
    /// This node's own id, if it has a network.
    #[serde(default)]
    pub local: Option<String>,
    /// Where this node listens for peers.
    #[serde(default)]
    pub listen: Option<String>,
    /// Where this node listens for those that take part in consensus or follow it; nothing if it keeps to the ones that
    /// it knows.
    #[serde(default)]
    pub consensus: Option<String>,
    /// The peers.
    pub peers: Vec<PeerView>,
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerView {
    /// Who it is.
    pub id: String,
    /// The other end of the connection.
    pub address: String,
    /// Whether this node dialled.
    pub dialled: bool,
    /// Whether it takes part in this network.
    pub ready: bool,
    /// Since when it is connected, in milliseconds since 1970.
    pub connected_since_ms: u64,
    /// Points of misbehaviour.
    pub penalty: u32,
    /// The latest measured round trip in microseconds.
    #[serde(default)]
    pub latency_us: Option<u64>,
}
