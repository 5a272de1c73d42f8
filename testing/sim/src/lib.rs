//! The whole network in simulated time, under one seed.
//!
//! ```text
//!  seed ──► Plan ──► World: one thread, one clock, one queue of events
//!                      │  crash, cut, wipe, sabotage, betray, leave, pay ...
//!          ┌───────────┼────────────┐
//!        Process     Process      Process        the node's own code:
//!          │ Bridge ─ Chain ─ Mempool ─ Store    consensus, execution, storage
//!          │ the engine's core (sans I/O)       beacon, duties
//!          │ the host's core (sans I/O)         races, committees, judging
//!          └ SimulatedDisk, Wal, Record         what survives a power cut
//! ```
//!
//! Nothing here imitates the node: the chain, the bridge, the mempool, the store, the ledger, the beacon and the
//! cores of the engine and of the host are those of the real node. What surrounds them is simulated: time, the network, disks, the
//! engine's log, its block sync, the hardware of hosts (a speed, and a hash for each nonce), clients and
//! adversaries. After every event the [`properties`] are checked.
//!
//! The same seed gives the same run, event by event ([`trace::Trace::digest`]). A run that violates a property
//! panics with its seed, the command that repeats it, and its latest events.
//!
//! - [`plan`]: what will happen in a run; [`adversaries`]: who makes it happen.
//! - [`world`]: the loop; [`process`]: a running node; [`network`], [`wal`], [`record`]: what is between and below.
//! - [`properties`]: what must always hold; [`replay`]: the chain once more, by the rules alone.
//! - [`arena`], [`measure`]: races by the rules alone, thousands of them, and how surely cheating is noticed.
//! - [`report`]: how many messages and bytes a block costs.
//!
//! Thousands of seeds: `cargo run --release -p freeway-sim -- --seeds 10000`. One seed, event by event:
//! `cargo run --release -p freeway-sim -- --seed 42 --trace`. With `--racing`, hosts race in them; these runs are
//! longer. What cheating brings: `cargo run --release -p freeway-sim -- --adversaries --races 1000`.

pub mod adversaries;
pub mod arena;
pub mod cast;
pub mod measure;
pub mod network;
pub mod plan;
pub mod process;
pub mod properties;
pub mod random;
pub mod record;
pub mod replay;
pub mod report;
pub mod runner;
pub mod trace;
pub mod verifier;
pub mod wal;
pub mod wire;
pub mod workload;
pub mod world;

pub use plan::{Fault, Plan};
pub use world::{Summary, World};

/// Prints a line. The simulator is a program for people.
#[allow(clippy::print_stdout, reason = "the output of the command")]
pub fn say(line: &str) {
    println!("{line}");
}
