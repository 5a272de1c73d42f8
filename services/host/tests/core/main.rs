//! The host's state machine on a real ledger, with traces from a hash.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod adversaries;
mod honest;
mod kit;
mod restarts;
