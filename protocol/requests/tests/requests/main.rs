//! The crate as others use it: requests, samplers and scores.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod distribution;
mod encoding;
mod golden;
mod kit;
mod rules;
mod softmax;
#[path = "../../../primitives/tests/vectors/mod.rs"]
mod vectors;
