//! What this host computed in one race, and the tree over it once it is committed to.

use freeway_primitives::{Digest, Epoch};
use freeway_proofs::merkle::{MAX_LEAVES, Tree};
use freeway_proofs::sprint::{Commitment, DeviceCommitment, Opening, Position, Revelation, Trace, leaf};

/// The one device that a host process races with.
pub const DEVICE: u32 = 0;

/// The traces of one race.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) epoch: Epoch,
    pub(crate) seed: Digest,
    /// In the order of their nonces, from 0.
    traces: Vec<Trace>,
    /// What was committed to, and the tree that opens it.
    sealed: Option<(Commitment, Tree)>,
}

impl Work {
    /// The race of `epoch`, with what is known of it from before a restart.
    pub(crate) fn new(epoch: Epoch, seed: Digest, traces: Vec<Trace>) -> Self {
        Self { epoch, seed, traces, sealed: None }
    }

    /// How many nonces there are.
    pub(crate) fn count(&self) -> u64 {
        self.traces.len() as u64
    }

    /// Takes further traces; `false` if they do not continue those that are there. What is known already is
    /// passed over, as after a restart some come twice; so is what comes too late.
    pub(crate) fn extend(&mut self, first: u64, traces: &[Trace]) -> bool {
        let Some(known) = self.count().checked_sub(first) else { return false };
        if self.sealed.is_some() {
            return true;
        }
        let room = usize::try_from(MAX_LEAVES - self.count()).unwrap_or(usize::MAX);
        let fresh = traces.get(usize::try_from(known).unwrap_or(usize::MAX)..).unwrap_or_default();
        self.traces.extend(fresh.iter().take(room));
        true
    }

    /// What was computed.
    pub(crate) fn traces(&self) -> &[Trace] {
        &self.traces
    }

    /// Fixes what is committed to: what was computed, or `instead`.
    pub(crate) fn seal(&mut self, instead: Option<Vec<Trace>>) {
        if let Some(traces) = instead {
            self.traces = traces;
        }
        let mut tree = Tree::new();
        for trace in &self.traces {
            // No more than a tree holds were taken in.
            if tree.push(&leaf(trace)).is_err() {
                break;
            }
        }
        let device = DeviceCommitment { count: tree.count(), root: tree.root() };
        self.sealed = Some((Commitment { devices: vec![device] }, tree));
    }

    /// Seals what stands on chain as this host's commitment, which may be less than what is known now: it was
    /// sent before a crash, and more was computed since. `false` if it is not this work at all.
    pub(crate) fn adopt(&mut self, committed: &Commitment) -> bool {
        if self.commitment() == Some(committed) {
            return true;
        }
        let [device] = committed.devices.as_slice() else { return false };
        if device.count > self.count() {
            return false;
        }
        self.traces.truncate(usize::try_from(device.count).unwrap_or(usize::MAX));
        self.seal(None);
        self.commitment() == Some(committed)
    }

    /// What was committed to.
    pub(crate) fn commitment(&self) -> Option<&Commitment> {
        self.sealed.as_ref().map(|(commitment, _)| commitment)
    }

    /// The leaf at `position`, without its trace.
    pub(crate) fn open(&self, position: Position) -> Option<Opening> {
        self.reveal(position).map(|revelation| revelation.opening())
    }

    /// The trace at `position`.
    pub(crate) fn reveal(&self, position: Position) -> Option<Revelation> {
        let (_, tree) = self.sealed.as_ref()?;
        if position.device != DEVICE {
            return None;
        }
        let trace = *self.traces.get(usize::try_from(position.nonce).ok()?)?;
        Some(Revelation { position, trace, path: tree.path(position.nonce)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traces(range: core::ops::Range<u8>) -> Vec<Trace> {
        range.map(|i| Trace([i; 32])).collect()
    }

    #[test]
    fn batches_continue_each_other() {
        let mut work = Work::new(Epoch(1), Digest::ZERO, traces(0..3));
        assert!(work.extend(3, &traces(3..5)));
        assert!(work.extend(2, &traces(2..7)), "what is known is passed over");
        assert!(work.extend(0, &traces(0..2)));
        assert!(!work.extend(8, &traces(8..9)), "a gap");
        assert_eq!(work.traces(), traces(0..7));
    }

    #[test]
    fn what_is_sealed_opens() {
        let mut work = Work::new(Epoch(1), Digest::ZERO, traces(0..7));
        assert_eq!(work.open(Position { device: 0, nonce: 0 }), None);
        work.seal(None);
        assert!(work.extend(7, &traces(7..9)), "too late, but no mistake");
        let commitment = work.commitment().unwrap().clone();
        assert_eq!(commitment.total(), 7);
        for index in 0..7 {
            let position = commitment.position(index).unwrap();
            assert!(work.open(position).unwrap().verify(&commitment));
            assert!(work.reveal(position).unwrap().verify(&commitment));
        }
        assert_eq!(work.open(Position { device: 0, nonce: 7 }), None);
        assert_eq!(work.open(Position { device: 1, nonce: 0 }), None);
    }

    #[test]
    fn after_a_crash_the_commitment_on_chain_counts() {
        let mut before = Work::new(Epoch(1), Digest::ZERO, traces(0..5));
        before.seal(None);
        let committed = before.commitment().unwrap().clone();
        let mut more = Work::new(Epoch(1), Digest::ZERO, traces(0..9));
        assert!(more.adopt(&committed));
        assert!(more.open(Position { device: 0, nonce: 4 }).unwrap().verify(&committed));
        assert_eq!(more.open(Position { device: 0, nonce: 5 }), None);
        let mut less = Work::new(Epoch(1), Digest::ZERO, traces(0..4));
        assert!(!less.adopt(&committed));
        let mut other = Work::new(Epoch(1), Digest::ZERO, traces(1..9));
        assert!(!other.adopt(&committed));
    }
}
