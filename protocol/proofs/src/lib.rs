//! Merkle trees, commitments, openings, and the draws that decide what is checked.
//!
//! | module | concern |
//! |---|---|
//! | [`merkle`] | a binary hash tree over 32-byte leaves: built as they come, opened one by one |
//! | [`sum`] | the same with sums: points below the sum of fees draw leaves by what they cost |
//! | [`sprint`] | what a host commits to in a race, and what is later said about single leaves of it |
//! | [`work`] | what payer and host sign for a request, and what a host commits to |
//! | [`draw`] | every random choice of the protocol, from a beacon's value |
//!
//! All of it is pure: the ledger, hosts, verifiers and light clients run the same functions on the same bytes.
//! There are no floats, no clocks and no I/O, every loop is bounded, and nothing panics on any input. Encodings
//! and draws are frozen by the golden vectors in `tests/golden.txt`.

pub mod draw;
pub mod merkle;
pub mod sprint;
pub mod sum;
pub mod work;
