//! Exact arithmetic for transformers: int8 products, row functions and the generator of weights.
//!
//! Products multiply int8 with int8 and add in int32. Integer addition is associative, so that order, batch,
//! thread count, vector width and vendor disappear from the result: **every backend gives the same bits**, and the
//! scalar one, written from the formulas, is the reference.
//!
//! | module or item | what it is |
//! |---|---|
//! | [`Backend`] | the implementations, and which of them run here |
//! | [`Key`] | ChaCha8 in counter mode: weights and inputs at random access |
//! | [`Activations`], [`Stored`], [`Stream`] | the operands of a product |
//! | [`multiply`], [`Output`] | products, with what becomes of the sums |
//! | [`inject`], [`norm`], [`attention`] | what happens to rows between products |
//! | [`served`] | the same for served models: grouped weights, f32 in a defined order, attention in integers |
//! | [`Pool`], [`Mapping`], [`Buffer`] | threads, files in memory, and memory on cache line boundaries |
//! | [`arithmetic`] | the scalar functions that define all of it |
//! | [`peak`], [`processor_time`] | what the hardware could do, and what was used of it |
//!
//! # Contract
//!
//! Operands are in `[-127, 127]`, the inner dimension is a multiple of 64 up to 65,536, so that no sum leaves
//! `+-2^30`; columns are a multiple of 32; any number of rows. Within it, nothing overflows or saturates; each
//! backend says why at the head of its file. (-128 is outside, and still agrees everywhere: no instruction used
//! here saturates.)
//!
//! Products of [`served`] models have the same limits for each group, and add the groups in f32, each by one fused
//! multiply-add and in ascending order: floats too have one result.
//!
//! # Unsafe code
//!
//! This is the only crate of the workspace that has any: vector instructions, inline assembly for tile
//! registers, and stores of several threads to disjoint parts of one output. The public interface is safe: every
//! call checks lengths and that the machine has the backend, and panics otherwise, as documented.

#![allow(unsafe_code, reason = "vector instructions and tile registers; the one crate where it is allowed")]

pub mod arithmetic;
pub mod served;

mod activations;
mod backend;
mod buffer;
mod chacha;
mod clock;
mod mapping;
mod peak;
mod pool;
mod product;
mod rows;
mod threads;
mod weights;

pub use activations::{Activations, MAX_INNER};
pub use backend::{Backend, Unavailable, UnknownBackend};
pub use buffer::{Buffer, Element};
pub use chacha::{BLOCK_BYTES, Key, TILE_BYTES};
pub use clock::processor_time;
pub use mapping::Mapping;
pub use peak::peak;
pub use pool::{MAX_THREADS, Pool, PoolError};
pub use product::{Output, multiply};
pub use rows::{INPUT_STREAM, MAX_TOKENS, attention, inject, norm};
pub use weights::{MAX_COLUMNS, Stored, Stream, Weights};
