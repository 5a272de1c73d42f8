//! The race: traces of consecutive nonces, on many threads.

use std::sync::Mutex;

use freeway_kernels::{Backend, Unavailable};

use crate::forward::States;
use crate::input::Input;
use crate::model::Model;
use crate::shape::Shape;
use crate::trace::Trace;

/// Rows of a batch: enough that reading a weight from memory costs less than using it, few enough that the
/// activations of a layer stay in the caches.
const BATCH_ROWS: usize = 256;
/// Rows of a batch whose weights have to be made, too, at most.
const STREAMED_BATCH_ROWS: usize = 4 * BATCH_ROWS;

/// Nonces of a batch.
pub(crate) const fn batch_nonces(shape: Shape, stored: bool) -> usize {
    let nonces = if stored { BATCH_ROWS } else { STREAMED_BATCH_ROWS } / shape.tokens();
    if nonces == 0 { 1 } else { nonces }
}

/// Computes traces of one device of one host.
///
/// Memory is bounded by [`batch`](Self::batch), not by how many nonces are asked for; whoever wants to be able to stop
/// asks for a batch at a time.
#[derive(Debug)]
pub struct Runner<'a> {
    model: &'a Model,
    host: [u8; 32],
    device: u32,
    backend: Backend,
    threads: usize,
    batch: usize,
    /// One per thread that has worked so far.
    states: Vec<States>,
}

impl<'a> Runner<'a> {
    /// A runner on `threads` threads, at least one.
    ///
    /// # Errors
    ///
    /// If this machine cannot run `backend`.
    pub fn new(
        model: &'a Model,
        host: [u8; 32],
        device: u32,
        backend: Backend,
        threads: usize,
    ) -> Result<Self, Unavailable> {
        let backend = backend.check()?;
        let batch = batch_nonces(model.shape(), model.is_stored());
        Ok(Self { model, host, device, backend, threads: threads.max(1), batch, states: Vec::new() })
    }

    /// The same with another number of nonces for each thread at a time, at least one. The traces are the same.
    #[must_use]
    pub fn with_batch(mut self, nonces: usize) -> Self {
        self.batch = nonces.max(1);
        self.states.clear();
        self
    }

    /// The shape of the model.
    pub const fn shape(&self) -> Shape {
        self.model.shape()
    }

    /// How many nonces keep all threads busy once: a good number to ask for at a time.
    pub const fn batch(&self) -> usize {
        if self.model.is_stored() { self.batch * self.threads } else { self.batch }
    }

    /// What is computed for a nonce.
    pub const fn input(&self, nonce: u64) -> Input {
        Input { seed: *self.model.seed(), host: self.host, device: self.device, nonce }
    }

    /// The traces of `count` nonces from `first` on, in their order.
    ///
    /// # Panics
    ///
    /// If `first + count` is more than 2^64.
    pub fn run(&mut self, first: u64, count: usize) -> Vec<Trace> {
        let last = first.checked_add((count as u64).saturating_sub(1));
        assert!(last.is_some(), "{count} nonces from {first} on: there are 2^64");
        let inputs: Vec<_> = (0..count as u64).map(|offset| self.input(first + offset)).collect();
        run(self.model, self.backend, self.threads, self.batch, &mut self.states, &inputs)
    }
}

/// The traces of any inputs, `batch` at a time on each thread.
///
/// With stored weights, threads work on different nonces. If there are too few of them, or if weights have to be made,
/// which should happen once for all, threads share the work on each product.
pub(crate) fn run(
    model: &Model,
    backend: Backend,
    threads: usize,
    batch: usize,
    states: &mut Vec<States>,
    inputs: &[Input],
) -> Vec<Trace> {
    let batches = inputs.len().div_ceil(batch);
    let workers = if model.is_stored() { threads.min(batches) } else { 1 };
    let inner_threads = if workers > 1 { 1 } else { threads };
    let room = batch.min(inputs.len());
    states.retain(|states| states.room() >= room);
    while states.len() < workers {
        states.push(States::new(model.shape(), backend, room));
    }
    let mut traces = vec![Trace::default(); inputs.len()];
    let queue = Mutex::new(inputs.chunks(batch).zip(traces.chunks_mut(batch)));
    let work = |states: &mut States| {
        while let Some((inputs, traces)) = next(&queue) {
            let keys: Vec<_> = inputs.iter().map(Input::key).collect();
            states.reset(inputs.len());
            for (trace, computed) in traces.iter_mut().zip(states.traces(model, inner_threads, &keys)) {
                *trace = computed;
            }
        }
    };
    std::thread::scope(|scope| {
        let mut states = states.iter_mut().take(workers);
        let own = states.next();
        for states in states {
            let work = &work;
            scope.spawn(move || work(states));
        }
        if let Some(states) = own {
            work(states);
        }
    });
    traces
}

/// Takes the next item. A poisoned lock means that another thread panicked, which ends the scope anyway.
fn next<I: Iterator>(queue: &Mutex<I>) -> Option<I::Item> {
    queue.lock().ok()?.next()
}
