//! Paid work from request to settlement: cores of several hosts against the real ledger.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chance;
mod cheats;
mod honest;
mod hostile;
mod kit;
