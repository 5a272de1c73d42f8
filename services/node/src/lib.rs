//! The chain node: the ledger's blocks agreed on by the engine, kept in the store, fed by a mempool.
//!
//! ```text
//!   RPC ──submit──► mempool ◄──gossip──► other nodes
//!    ▲                 │ candidates
//!    │ feed            ▼
//!    └────────────── chain ◄──Application──► consensus engine
//!                      │ blocks, deltas
//!                      ▼
//!                    store
//! ```
//!
//! - [`chain`]: builds, judges, executes and commits blocks. Synchronous and deterministic: the clock is an
//!   argument, and the simulator runs the same code.
//! - [`mempool`]: what waits for a block, within bounds; what was acknowledged survives a crash.
//! - [`beacon`]: this node's part in the network's randomness.
//! - [`duties`]: what the host of this node owes the protocol.
//! - [`feed`]: committed blocks for those who follow.
//! - [`node`]: a whole node as a task: engine, gossip, RPC, signals.

pub mod beacon;
pub mod chain;
pub mod config;
pub mod duties;
pub mod feed;
pub mod join;
pub mod mempool;
pub mod metrics;
pub mod node;
pub mod rpc;
pub mod submit;
pub mod trail;
pub mod verify;

pub use chain::{Chain, Durability, NodeError};
pub use config::NodeConfig;
pub use duties::{Duties, Outgoing};
pub use feed::{Committed, Feed, Tip};
pub use mempool::Mempool;
pub use node::Access;
pub use submit::Submitter;
