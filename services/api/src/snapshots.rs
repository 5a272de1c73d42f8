//! Snapshots that a node offers to new nodes.

use freeway_primitives::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The snapshots of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotsView {
    /// The snapshots, newest first.
    pub snapshots: Vec<SnapshotView>,
}

/// A snapshot. Not to be trusted: compare `height` and `root` with a certified header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotView {
    /// The height whose state this is.
    pub height: u64,
    /// The root of that state.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub root: Digest,
    /// Number of keys.
    pub entries: u64,
    /// Number of chunks.
    pub chunks: u64,
}
