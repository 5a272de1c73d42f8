//! The node, and where its chain stands.

use freeway_primitives::{Address, ChainId, Digest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::beacon::BeaconStatus;
use crate::hosts::HostSummary;
use crate::sprint::SprintStatus;

/// The most hosts listed in a [`Status`]: validators first.
pub const MAX_STATUS_HOSTS: usize = 256;

/// The node and where its chain stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The network: digest of its genesis.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub chain: ChainId,
    /// The network's name.
    pub name: String,
    /// The version of the node.
    pub version: String,
    /// The latest height.
    pub height: u64,
    /// Its block.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub block: Digest,
    /// Its time in milliseconds since 1970, by its proposer.
    pub time_ms: u64,
    /// Root of the state after it.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub state_root: Digest,
    /// The lowest height whose block is kept here; 0 before the first block.
    pub oldest_block: u64,
    /// The epoch.
    pub epoch: u64,
    /// The phase: `sprint`, `commit_grace`, `challenge`, `verify`, `serve` or `switch`.
    #[schema(example = "serve")]
    pub phase: String,
    /// The first height of the epoch.
    pub epoch_start: u64,
    /// Blocks that are still to come in this phase.
    pub blocks_left_in_phase: u64,
    /// Blocks that are still to come in this epoch.
    pub blocks_left_in_epoch: u64,
    /// Whether the latest block is recent. If not, this node is catching up or the network stands still.
    pub synced: bool,
    /// How old the latest block is by this node's clock, in milliseconds.
    pub behind_ms: u64,
    /// Connected peers that take part in this network.
    pub peers: u64,
    /// What waits for a block.
    pub mempool: MempoolView,
    /// Whether this node signs blocks.
    pub signing: SigningView,
    /// The host that this node is, if it is one.
    #[serde(with = "crate::text::option")]
    #[schema(value_type = Option<String>)]
    pub address: Option<Address>,
    /// Seconds since the node started.
    pub uptime_s: u64,
    /// The race in which hosts prove their compute.
    pub sprint: SprintStatus,
    /// The network's randomness.
    pub beacon: BeaconStatus,
    /// All hosts, as far as they are in `hosts`: beyond the first 256 ask for `/v1/hosts`.
    pub hosts_complete: bool,
    /// The hosts, validators first, by falling power.
    pub hosts: Vec<HostSummary>,
}

/// What waits for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MempoolView {
    /// Transactions.
    pub transactions: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Whether a node signs blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SigningView {
    /// It is a validator and votes.
    Active,
    /// It is a validator, but may have lost votes it signed; it watches until they cannot matter.
    Watching,
    /// It is no validator.
    None,
}

impl SigningView {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Watching => "watching",
            Self::None => "none",
        }
    }
}

/// Whether the node works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthView {
    /// `ok`.
    pub status: String,
    /// The latest height.
    pub height: u64,
}
