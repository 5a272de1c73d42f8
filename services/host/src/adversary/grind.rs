//! Makes up leaves like [`super::fake`], but tries many choices of them and takes the one that a draw would hit
//! least, if only the draw came from what is known already. It comes from a value that nobody knows before the
//! last commitment is in, so the choice gains nothing.

use std::collections::BTreeSet;

use freeway_primitives::Domain;
use freeway_proofs::draw::{self, Stream};
use freeway_proofs::sprint::Trace;

use super::fake::with_fakes;
use super::{Conduct, Part, own_stream};

const HOPED_FOR: Domain = Domain::new("freeway 1 hoped-for draw");
const TRIES: u32 = 64;
const PERCENT: u64 = 5;

pub(super) struct Grind;

impl Conduct for Grind {
    fn commits(&mut self, part: &Part, traces: &[Trace]) -> Option<Vec<Trace>> {
        let count = traces.len() as u64;
        let fakes = u32::try_from((count * PERCENT).div_ceil(100)).unwrap_or(u32::MAX);
        let mut hoped = Stream::new(&part.seed, HOPED_FOR, &[&part.host.0]);
        let drawn: BTreeSet<u64> = draw::distinct(&mut hoped, count, part.leaves).into_iter().collect();
        let mut stream = own_stream(part);
        let choices = (0..TRIES).map(|_| draw::distinct(&mut stream, count, fakes));
        let best = choices.min_by_key(|choice| choice.iter().filter(|nonce| drawn.contains(nonce)).count());
        Some(with_fakes(part, traces, &best.unwrap_or_default()))
    }
}
