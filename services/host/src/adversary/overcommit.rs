//! Counts its work several times over. A leaf's index is its nonce, so a trace in a second place is wrong there.

use freeway_proofs::sprint::Trace;

use super::{Conduct, Part};

pub(super) struct Overcommit {
    pub(super) factor: u8,
}

impl Conduct for Overcommit {
    fn commits(&mut self, _: &Part, traces: &[Trace]) -> Option<Vec<Trace>> {
        Some(traces.repeat(usize::from(self.factor)))
    }
}
