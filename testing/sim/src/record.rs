//! A host's race on disk: what it has computed, and what a power cut leaves of it.

use freeway_primitives::{Digest, Epoch};
use freeway_proofs::sprint::Trace;

/// The race on the disk of a host. What is in it is durable: a host counts nothing before.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The race.
    pub epoch: Epoch,
    /// Its seed.
    pub seed: Digest,
    /// What was computed, from nonce 0 on.
    pub traces: Vec<Trace>,
}

impl Record {
    /// Begins a race, or goes on with it at `from`.
    pub fn begin(&mut self, epoch: Epoch, seed: Digest, from: u64) {
        if (self.epoch, self.seed) != (epoch, seed) {
            *self = Self { epoch, seed, traces: Vec::new() };
        }
        self.traces.truncate(usize::try_from(from).unwrap_or(usize::MAX));
    }

    /// Adds what was computed in the race of `epoch`.
    pub fn append(&mut self, epoch: Epoch, traces: &[Trace]) {
        if self.epoch == epoch {
            self.traces.extend_from_slice(traces);
        }
    }

    /// Nothing of the race of `epoch` and of those before it is needed any more.
    pub fn forget(&mut self, epoch: Epoch) {
        if self.epoch <= epoch {
            *self = Self::default();
        }
    }
}
