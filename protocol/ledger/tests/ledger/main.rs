//! The ledger seen from outside: whole blocks over whole chains, one file per concern.
//!
//! Each test's name is the rule that it checks; rules of the list of invariants carry their number. All of
//! them drive the ledger as a node does (bytes, signature, execution) through the chain in [`kit`], which
//! audits every block: the books balance, and what is rejected or fails leaves no other trace than it may.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admission;
mod beacon;
mod delegates;
mod disputes;
mod earning;
mod endorsements;
mod epochs;
mod evidence;
mod golden;
mod golden_work;
mod hosts;
mod kit;
mod lane_properties;
mod lanes;
mod limits;
mod models;
mod paying;
mod penalties;
mod pricing;
mod probes;
mod properties;
mod race_properties;
mod racing;
mod rewards;
mod robustness;
mod settling;
mod sprint;
mod transfers;
mod unbonding;
#[path = "../../../primitives/tests/vectors/mod.rs"]
mod vectors;
mod verification;
mod weights;
mod work;
mod work_properties;
mod working;
