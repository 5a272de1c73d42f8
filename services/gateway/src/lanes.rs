//! Lanes: models that hosts of the network serve, paid by vouchers.
//!
//! | module | concern |
//! |---|---|
//! | `config` | how it is set up |
//! | `chain` | what is asked of the chain, and how through a node's interface |
//! | `store` | what is on disk: numbers of vouchers, receipts, lanes, evidence |
//! | `account` | one share: what was promised, what is owed, and whether a receipt fits |
//! | `share` | hosts and their shares, and who is asked next |
//! | `client` | requests to hosts, whose addresses come from strangers |
//! | `check` | what a host signed against what was asked and what came |
//! | `flight` | one request, over as many hosts as it takes |
//! | `keeper` | keeps a lane open and funded for each model, within the budget |
//! | `engine` | [`LaneEngine`], all of it as an engine |
//! | `view` | receipts and lanes as JSON |
//!
//! # Money
//! A voucher says how much a host may take in all: what is known to be spent, and every request under way at its most.
//! It never exceeds the share's deposit, and the deposits never exceed the budget. Numbers and limits are on disk
//! before a voucher is sent, a receipt before its answer ends. A host that signs what does not fit gets no further
//! voucher: it can settle no more than what it was promised before, and that only with work that others find right.
//!
//! # When a host fails in mid answer
//! The next host gets the same request. On the exact tier it gives the same tokens: those that the client has are
//! compared and left out, and the client sees no break. If one differs, one of the two is wrong: the client gets an
//! error, and both answers are kept. On the statistical tier another host draws other tokens: it is asked only while the
//! client has none, and after that the answer ends with an error.

mod account;
mod chain;
mod check;
mod client;
mod config;
mod engine;
mod flight;
mod keeper;
mod key;
mod rpc;
mod share;
mod store;
pub(crate) mod view;

pub use chain::{Chain, ChainError, Lane, LaneShare, LaneState, Outcome, Sent};
pub use config::{LanesConfig, LanesError, Timeouts};
pub use engine::LaneEngine;
pub use rpc::RpcChain;

#[cfg(test)]
mod tests;
