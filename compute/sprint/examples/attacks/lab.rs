//! The laboratory: honest traces, cheats against them, and what is compared.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use freeway_kernels::Backend;
use freeway_sprint::{Input, Model, Shape, Trace, verify};

use crate::function::{self, Cheat, Honest, Mask, Net, Run};

/// The seed of the study's races.
pub(crate) const SEED: [u8; 32] = [0x5e; 32];
/// The host of most of its nonces.
pub(crate) const HOST: [u8; 32] = [0x40; 32];

/// Calls `work` for `0..count` on some threads, and keeps the order.
pub(crate) fn parallel<T: Send>(threads: usize, count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(count));
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let result = work(index);
                    done.lock().expect("no other thread panicked").push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no thread panicked");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A shape, its weights, and some honest nonces.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) net: Net,
    pub(crate) inputs: Vec<Input>,
    pub(crate) honest: Vec<Run>,
    pub(crate) threads: usize,
}

/// What survives of a cheat's results, and what it saved.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) nonces: usize,
    /// Share of final digests that are right.
    pub(crate) finals: f64,
    /// Share of leaves, all of whose digests are right.
    pub(crate) leaves: f64,
    /// Share of all digests that are right.
    pub(crate) boundaries: f64,
    /// Share of the elements of the final state that are right.
    pub(crate) elements: f64,
    /// Correlation of the final state with the right one.
    pub(crate) correlation: f64,
    /// Share of the multiply-adds that was not done.
    pub(crate) saved: f64,
}

impl Lab {
    pub(crate) fn new(shape: Shape, mask: Mask, nonces: usize, threads: usize) -> Self {
        let net = Net::new(shape, mask, &SEED, threads);
        let inputs: Vec<_> =
            (0..nonces as u64).map(|nonce| Input { seed: SEED, host: HOST, device: 0, nonce }).collect();
        let honest = parallel(threads, nonces, |index| function::run(&net, &inputs[index], &mut Honest));
        Self { net, inputs, honest, threads }
    }

    pub(crate) fn shape(&self) -> Shape {
        self.net.shape
    }

    pub(crate) fn macs(&self) -> f64 {
        function::macs(self.net.shape, self.net.mask) as f64
    }

    /// Whether the library's traces are those of the plain function.
    pub(crate) fn agrees_with_the_library(&self) -> bool {
        let model = Model::streamed(self.shape(), SEED);
        let traces = verify::traces(&model, Backend::best(), self.threads, &self.inputs).unwrap_or_default();
        traces.len() == self.honest.len()
            && traces.iter().zip(&self.inputs).zip(&self.honest).all(|((trace, input), run)| {
                let own = Trace { boundaries: run.boundaries.clone() };
                trace == &own && trace.digest(self.shape(), input) == own.digest(self.shape(), input)
            })
    }

    /// Runs all nonces with a cheat each.
    pub(crate) fn run<C: Cheat + Send>(&self, cheat: impl Fn(usize) -> C + Sync) -> Vec<(Run, C)> {
        self.run_on(&self.net, cheat)
    }

    /// The same on another net.
    pub(crate) fn run_on<C: Cheat + Send>(
        &self,
        net: &Net,
        cheat: impl Fn(usize) -> C + Sync,
    ) -> Vec<(Run, C)> {
        parallel(self.threads, self.inputs.len(), |index| {
            let mut cheat = cheat(index);
            (function::run(net, &self.inputs[index], &mut cheat), cheat)
        })
    }

    /// Runs all nonces with a cheat, and compares.
    pub(crate) fn try_out<C: Cheat + Send>(&self, cheat: impl Fn(usize) -> C + Sync) -> Outcome {
        let runs: Vec<_> = self.run(cheat).into_iter().map(|(run, _)| run).collect();
        self.compare(&runs)
    }

    /// Compares results for all nonces with the honest ones.
    pub(crate) fn compare(&self, runs: &[Run]) -> Outcome {
        let mut outcome = Outcome { nonces: runs.len(), ..Outcome::default() };
        let (mut digests, mut elements, mut sums) = (0usize, 0usize, [0.0; 5]);
        for (run, honest) in runs.iter().zip(&self.honest) {
            outcome.finals += f64::from(run.h == honest.h);
            outcome.leaves += f64::from(run.boundaries == honest.boundaries);
            let equal = run.boundaries.iter().zip(&honest.boundaries).filter(|(a, b)| a == b).count();
            outcome.boundaries += equal as f64;
            digests += honest.boundaries.len();
            for (a, b) in run.h.iter().zip(&honest.h) {
                outcome.elements += f64::from(a == b);
                let (a, b) = (f64::from(*a), f64::from(*b));
                for (sum, value) in sums.iter_mut().zip([a, b, a * a, b * b, a * b]) {
                    *sum += value;
                }
            }
            elements += honest.h.len();
            outcome.saved += run.saved as f64 / self.macs();
        }
        let count = elements as f64;
        let [a, b, aa, bb, ab] = sums.map(|sum| sum / count);
        outcome.correlation = (ab - a * b) / ((aa - a * a) * (bb - b * b)).sqrt().max(f64::MIN_POSITIVE);
        outcome.elements /= count;
        outcome.boundaries /= digests as f64;
        for share in [&mut outcome.finals, &mut outcome.leaves, &mut outcome.saved] {
            *share /= runs.len() as f64;
        }
        outcome
    }
}
