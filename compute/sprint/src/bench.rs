//! How fast this machine is.

use core::time::Duration;
use std::time::Instant;

use freeway_kernels::{Backend, Unavailable, peak, processor_time};

use crate::model::Model;
use crate::runner::Runner;
use crate::shape::Shape;

/// The seed of every measurement.
const SEED: [u8; 32] = [7; 32];
/// The host of every measurement.
const HOST: [u8; 32] = [8; 32];
/// Traces in the digest of a measurement.
const DIGEST_TRACES: usize = 64;
/// Context of that digest.
const DIGEST: &str = "freeway 1 sprint measurement";
/// How long the peak is measured, before and after.
const PEAK: Duration = Duration::from_millis(150);

/// What a machine does in a second, and that it does it right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// Nonces, with stored weights, on all threads together.
    pub nonces_per_second: f64,
    /// Nonces per second of processor time and core: what the wall would show if nobody else used the machine. The
    /// same as on the wall, divided by threads, where the system does not tell.
    pub nonces_per_core_second: f64,
    /// Operations, two for each multiply-add of a nonce.
    pub ops_per_second: f64,
    /// The most operations that the backend's instruction does on this many threads.
    pub peak_ops_per_second: f64,
    /// The share of it that was reached.
    pub peak_share: f64,
    /// The share of it that was reached while the threads had their processors.
    pub core_peak_share: f64,
    /// Seconds to make the weights.
    pub weights_seconds: f64,
    /// The digest of the first 64 traces' digests of a fixed seed: the same on every machine.
    pub digest: [u8; 32],
}

/// Measures the race for at least `duration`, after a warm-up that also gives the digest.
///
/// # Errors
///
/// If this machine cannot run `backend`.
pub fn measure(
    shape: Shape,
    backend: Backend,
    threads: usize,
    duration: Duration,
) -> Result<Measurement, Unavailable> {
    let backend = backend.check()?;
    let threads = threads.max(1);
    let start = Instant::now();
    let model = Model::stored(shape, SEED, backend, threads);
    let weights_seconds = start.elapsed().as_secs_f64();
    let mut runner = Runner::new(&model, HOST, 0, backend, threads)?;
    let digest = digest(&mut runner);

    let before = peak_of(backend, threads);
    let mut nonces = 0u64;
    let (start, processor_start) = (Instant::now(), processor_time());
    let seconds = loop {
        nonces += runner.run(nonces, runner.batch()).len() as u64;
        let elapsed = start.elapsed();
        if elapsed >= duration {
            break elapsed.as_secs_f64();
        }
    };
    let core_seconds = match (processor_start, processor_time()) {
        (Some(start), Some(end)) => end.saturating_sub(start).as_secs_f64(),
        _ => seconds * threads as f64,
    };
    let peak_ops_per_second = before.max(peak_of(backend, threads));
    let (nonces_per_second, nonces_per_core_second) = (nonces as f64 / seconds, nonces as f64 / core_seconds);
    let operations = 2.0 * shape.macs_per_nonce() as f64;
    let ops_per_second = nonces_per_second * operations;
    Ok(Measurement {
        nonces_per_second,
        nonces_per_core_second,
        ops_per_second,
        peak_ops_per_second,
        peak_share: ops_per_second / peak_ops_per_second,
        core_peak_share: nonces_per_core_second * operations * threads as f64 / peak_ops_per_second,
        weights_seconds,
        digest,
    })
}

/// The digest of the first traces.
fn digest(runner: &mut Runner<'_>) -> [u8; 32] {
    let traces = runner.run(0, DIGEST_TRACES);
    let mut hasher = blake3::Hasher::new_derive_key(DIGEST);
    for (nonce, trace) in (0..).zip(&traces) {
        hasher.update(&trace.digest(runner.shape(), &runner.input(nonce)));
    }
    *hasher.finalize().as_bytes()
}

/// The peak of all threads at the same time.
fn peak_of(backend: Backend, threads: usize) -> f64 {
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(|| peak(backend, PEAK))).collect();
        // A thread that panicked has no peak; `peak` does not.
        handles.into_iter().map(|handle| handle.join().unwrap_or_default()).sum()
    })
}
