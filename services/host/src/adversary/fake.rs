//! Makes up a share of its leaves. Found by whoever draws one: the made-up trace hashes to the leaf, but it is
//! not what the nonce gives.

use freeway_proofs::draw;
use freeway_proofs::sprint::Trace;

use super::{Conduct, Part, made_up, own_stream};

pub(super) struct Fake {
    pub(super) percent: u8,
}

impl Conduct for Fake {
    fn commits(&mut self, part: &Part, traces: &[Trace]) -> Option<Vec<Trace>> {
        let count = traces.len() as u64;
        // At least one, else nothing is done at all in a short race.
        let fakes = (count * u64::from(self.percent)).div_ceil(100);
        let fakes = u32::try_from(fakes).unwrap_or(u32::MAX);
        let chosen = draw::distinct(&mut own_stream(part), count, fakes);
        Some(with_fakes(part, traces, &chosen))
    }
}

/// The traces, those of these nonces made up.
pub(super) fn with_fakes(part: &Part, traces: &[Trace], nonces: &[u64]) -> Vec<Trace> {
    let mut traces = traces.to_vec();
    for nonce in nonces {
        let slot = usize::try_from(*nonce).ok().and_then(|nonce| traces.get_mut(nonce));
        if let Some(trace) = slot {
            *trace = made_up(part, *nonce);
        }
    }
    traces
}
