//! The HTTP interface of a node, over loopback, with the client that programs use.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../kit/mod.rs"]
mod kit;

mod blocks;
mod errors;
mod events;
mod lanes;
mod proofs;
mod race;
mod server;
mod snapshots;
mod status;
mod transactions;
