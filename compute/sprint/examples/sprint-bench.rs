//! Measures the sprint on this machine.
//!
//! `cargo run --release -p freeway-sprint --example sprint-bench -- --shape A --backend vnni --threads 1 --seconds 5`

#![allow(clippy::print_stdout, reason = "a program whose output is its purpose")]

use std::error::Error;
use std::time::{Duration, Instant};

use freeway_kernels::{Backend, processor_time};
use freeway_sprint::{Input, Model, Shape, bench, verify};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut shape, mut backend, mut threads, mut seconds) = (Shape::A, Backend::best(), 1, 5.0);
    let mut leaves = 0u64;
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--shape" => shape = value.parse()?,
            "--backend" => backend = value.parse()?,
            "--threads" => threads = value.parse()?,
            "--seconds" => seconds = value.parse()?,
            "--verify" => leaves = value.parse()?,
            _ => {
                return Err(format!(
                    "{name}? There are --shape, --backend, --threads, --seconds and --verify"
                )
                .into());
            }
        }
    }
    backend.check()?;
    if leaves > 0 {
        let seed = [7; 32];
        let inputs: Vec<_> =
            (0..leaves).map(|nonce| Input { seed, host: [8; 32], device: 0, nonce }).collect();
        let (start, processor_start) = (Instant::now(), processor_time().unwrap_or_default());
        verify::traces(&Model::streamed(shape, seed), backend, threads, &inputs)?;
        let seconds = start.elapsed().as_secs_f64();
        let core_seconds = (processor_time().unwrap_or_default() - processor_start).as_secs_f64();
        println!(
            "{shape} {backend}, {threads} threads: {leaves} leaves without stored weights in {seconds:.3} s, \
             {core_seconds:.3} core-seconds"
        );
        return Ok(());
    }
    let measured = bench::measure(shape, backend, threads, Duration::from_secs_f64(seconds))?;
    println!(
        "{shape} {backend}, {threads} threads: {:.1} nonces/s, {:.1} Gop/s, {:.1} % of the peak of {:.1} Gop/s; \
         {:.1} nonces/core-s, {:.1} % of the peak; weights in {:.2} s; digest {}",
        measured.nonces_per_second,
        measured.ops_per_second / 1e9,
        100.0 * measured.peak_share,
        measured.peak_ops_per_second / 1e9,
        measured.nonces_per_core_second,
        100.0 * measured.core_peak_share,
        measured.weights_seconds,
        blake3::Hash::from_bytes(measured.digest),
    );
    Ok(())
}
