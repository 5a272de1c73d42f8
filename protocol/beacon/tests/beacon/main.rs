//! The beacon seen from outside: whole rounds, one file per concern. A test's name is the rule that it checks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod acks;
mod dealers;
mod golden;
mod kit;
mod robustness;
mod rounds;
mod seats;
mod values;
#[path = "../../../primitives/tests/vectors/mod.rs"]
mod vectors;
