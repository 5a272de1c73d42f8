//! The loop of money in simulation: the real ledger, block by block, and what hosts, payers and cheats do on it.
//!
//! ```text
//!   Payer ── job, voucher ──► Host ── receipts ──► sum tree ──► Chain (the ledger's own executor)
//!     │                        │                                  │ samples, committees, juries, settlements,
//!     └── report what is missing └── verdicts, reveals, judgements ┘ emission, epochs
//! ```
//!
//! Nothing of the ledger is imitated. What stands in for the rest of the network is as little as possible:
//!
//! - **Requests are abstract** ([`job`]): the answer and the trace of a request are hashes of it and of the model that
//!   was used, so that another model, prompt or output gives another trace, as it does on the exact tier. The price of
//!   computing is counted in tokens. On the statistical tier answers are tokens of made-up models ([`text`]), which
//!   members judge by the real test.
//! - **Everybody reaches everybody** within a block, unless it is down. Transactions are as large as real ones and
//!   signed, but what the node checks before the ledger does is not checked again.
//! - **There are no races**: nobody proves anything in the sprint, so weights stay what genesis gave. What cheats in
//!   the race gain is the business of `freeway-sim`.
//! - **The beacon's values** come from the seed.
//!
//! What somebody does is its [`conduct::Conduct`]; honest conduct is the default of each of its methods, so that each
//! of the [`adversaries`] says only where it differs.
//!
//! - [`table`]: what becomes of each adversary: `cargo run --release -p freeway-market -- truth-table`.
//! - [`long`]: thousands of epochs of honest hosts in trouble: `... -- honest --epochs 10000`.
//! - [`scale`]: bytes, time and state at many hosts: `... -- scale`.

pub mod adversaries;
pub mod chain;
pub mod conduct;
pub mod duties;
pub mod host;
pub mod job;
pub mod long;
pub mod market;
pub mod payer;
pub mod scale;
pub mod table;
pub mod tally;
pub mod text;

pub use market::{Market, Setting};

/// Prints a line. The command is a program for people.
#[allow(clippy::print_stdout, reason = "the output of the command")]
pub fn say(line: &str) {
    println!("{line}");
}
