//! Networks of real processes on this machine, for tests and measurements from outside.
//!
//! Everything here drives the `freeway` binary as its users do: through its command line, its files, its HTTP
//! interface and signals.
//!
//! - [`Up`]: a network as `freeway up` makes it.
//! - [`Network`]: a network with a genesis of its own, whose nodes can be killed, stopped, wiped and started one
//!   by one.
//! - [`Actor`]: an account that sends transfers and knows its next sequence number.
//! - [`race`]: what races cost and prove.
//! - [`wait`]: waiting for something to happen, with a deadline; never for time to pass.
//! - [`Proxy`]: a node's HTTP interface with some answers changed.
//! - [`Collector`]: takes the traces that processes send.
//! - [`Usage`]: what a process costs.
//! - [`book`]: a reader of the book in `docs/`, who does what its pages say.
//!
//! No process outlives its owner: dropping a handle kills what it started, and if the test process itself is
//! killed, its nodes see their standard input close. When a handle is dropped, the logs are searched for panics
//! and for secrets; see [`log`].

mod actor;
mod binary;
pub mod book;
mod collector;
pub mod log;
mod network;
mod node;
mod plan;
mod ports;
mod proxy;
pub mod race;
mod random;
mod signal;
mod up;
mod usage;
pub mod wait;

pub use actor::{Actor, transfer};
pub use binary::{Ran, freeway_binary, run_freeway};
pub use collector::{Collected, Collector};
pub use network::Network;
pub use node::{NodeProcess, Started};
pub use plan::{Plan, quick_params};
pub use ports::free_port;
pub use proxy::Proxy;
pub use random::Random;
pub use signal::{Signal, is_alive, signal};
pub use up::{ReadyLine, Up};
pub use usage::Usage;
