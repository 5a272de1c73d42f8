//! The explorer: pages about the network, served by every node, and a read model of its history.
//!
//! ```text
//!   store, feed ──► follower ──► SQLite ──► tables      (JSON, CSV)
//!                      │           └──────► figures     (`now`)
//!                      └── frames, rendered once ─────► live streams
//!   assets/ ── embedded, compressed once ─────────────► pages
//! ```
//!
//! Pages are plain files: nothing in them comes from the chain, and a strict policy lets no other script run. What they
//! show comes from the node (`/v1`) and from here (`/explorer/v1`).
//!
//! The read model is derived from blocks alone and may be deleted at any time; it never slows or stops the node. Where it
//! lags or fails, the answers say so.

mod assets;
mod beside;
mod error;
mod facts;
mod follow;
mod history;
mod live;
mod now;
mod relay;
mod routes;
mod shared;
mod tables;

use std::path::Path;
use std::sync::Arc;

use freeway_node::config::ExplorerConfig;
use freeway_node::rpc::{Mount, Mounted};

pub(crate) use shared::Shared;

/// The name of the history's file in the node's folder.
pub const HISTORY_FILE: &str = history::FILE;

/// Pages beside a node's interface, for [`freeway_node::node::run`]. Their history is kept in `data`, the node's folder.
/// With `allow_private`, leaves of work are fetched from hosts on this machine and in private networks as well.
pub fn mount(config: ExplorerConfig, data: &Path, allow_private: bool) -> Mount {
    let data = data.to_owned();
    Box::new(move |context, stop| {
        let shared = Arc::new(Shared::new(context, config, &data, allow_private, stop.clone()));
        tracing::debug!(bytes = shared.assets.weight(), "pages are ready");
        let router = routes::router(Arc::clone(&shared));
        let work = async move {
            let follow = follow::follow(Arc::clone(&shared), stop.clone());
            let tell = follow::tell(Arc::clone(&shared), stop);
            tokio::join!(follow, tell, shared.live.keep_alive());
        };
        Mounted { router, work: Box::pin(work) }
    })
}
