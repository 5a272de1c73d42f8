//! The built binary, as people and scripts meet it.
//!
//! None of these tests needs a network: where a node is asked, the test plays it (`node.rs`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod calibrate;
mod genesis;
mod keys;
mod kit;
mod mistakes;
mod node;
mod passes;
mod paying;
mod reference;
mod sprint;
