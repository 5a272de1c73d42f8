//! The function against a reference written from its description, against itself under every split of the work,
//! and against frozen digests.

#![allow(clippy::unwrap_used, reason = "a test ends where a value is missing")]

mod golden;
mod groups;
mod long;
mod properties;
mod reference;

use freeway_kernels::Backend;
use freeway_sprint::{Input, Model, Runner, Shape, Trace, verify};

const SEED: [u8; 32] = [0x5e; 32];
const HOST: [u8; 32] = [0xa1; 32];
const DEVICE: u32 = 3;

fn input(nonce: u64) -> Input {
    Input { seed: SEED, host: HOST, device: DEVICE, nonce }
}

/// The traces of consecutive nonces, as a host computes them.
fn race(
    model: &Model,
    backend: Backend,
    threads: usize,
    batch: usize,
    first: u64,
    count: usize,
) -> Vec<Trace> {
    let runner = Runner::new(model, HOST, DEVICE, backend, threads).unwrap();
    runner.with_batch(batch).run(first, count)
}

/// The same, as a verifier computes them.
fn check(model: &Model, backend: Backend, threads: usize, first: u64, count: usize) -> Vec<Trace> {
    let inputs: Vec<_> = (0..count as u64).map(|offset| input(first + offset)).collect();
    verify::traces(model, backend, threads, &inputs).unwrap()
}

/// A shape that is known to be valid.
fn shape(tokens: u32, width: u32, layers: u32, hidden: u32) -> Shape {
    Shape::new(tokens, width, layers, hidden).unwrap()
}
