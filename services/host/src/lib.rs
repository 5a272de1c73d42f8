//! The host role: sprints, commits, opens, verifies and judges. All of it by itself, and resumable after a crash.
//!
//! | module | what it does |
//! |---|---|
//! | [`core`] | decides everything: a state machine over the chain's state, without I/O, clock or threads |
//! | [`adversary`] | hosts that break the rules, for tests, the simulation and `freeway up --adversary` |
//! | [`openings`] | what is shown to a member of the committee, signed |
//! | [`engine`], [`racer`] | compute nonces, on a set share of the machine |
//! | [`record`] | keeps a race on disk, so that a restart goes on at the next nonce |
//! | [`server`], [`client`] | show openings to members, and ask other hosts for theirs |
//! | [`service`] | the process: follows the chain and does what the core asks for |
//! | [`serving`] | does paid requests, signs receipts, keeps them |
//! | [`work`] | decides everything about paid work: commits, shows, checks, judges, settles |
//! | [`stats`] | what it has done so far |
//!
//! # What must hold
//!
//! - A commitment covers only traces that are durable, so that what was committed to can be opened after a
//!   crash. Where the disk fails, the race goes on in memory and the log says so.
//! - What is sent follows from the state: a lost transaction is sent again, and one that stands is not.
//! - Nobody is accused, judged or given a verdict on another's word: the core waits for its own recomputation.
//! - Not being reachable is no evidence. What a host does not show is demanded on chain, where its silence can be
//!   seen by all.

pub mod adversary;
pub mod client;
pub mod core;
pub mod engine;
pub mod openings;
pub mod racer;
pub mod record;
pub mod server;
pub mod service;
pub mod serving;
pub mod stats;
pub mod work;

pub use self::adversary::Adversary;
pub use self::core::{Action, Core};
pub use self::service::{Host, HostConfig, HostError};
pub use self::serving::Serving;
pub use self::stats::Stats;
