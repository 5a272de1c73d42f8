//! The parts of the `freeway` binary that other crates and tests can use.

pub mod keystore;
