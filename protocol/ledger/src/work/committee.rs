//! Who checks a host's work.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use freeway_primitives::{Address, Digest, Domain, Height};
use freeway_proofs::draw::{Lottery, Stream};

use super::{Branch, Commitment};
use crate::context::Context;
use crate::lanes::{self, Candidate};
use crate::state::Fault;

const COMMITTEE: Domain = Domain::new("freeway 1 work committee");

/// Who could be drawn, by model. Read once a block.
pub(super) type Known = BTreeMap<Digest, Vec<Candidate>>;

/// A draw of committees.
pub(super) struct Draw<'a> {
    /// The beacon's value.
    pub(super) value: &'a Digest,
    /// The height that it belongs to: who began to serve the model later may have done so because of it.
    pub(super) from: Height,
    pub(super) interval: u64,
    pub(super) round: u64,
}

/// Adds to the committee of a branch: by confirmed weight, among the hosts that serve the model and meet the payers'
/// constraints. Never the host itself, nor one of its operator.
pub(super) fn draw(
    context: &Context<'_, '_>,
    known: &mut Known,
    draw: &Draw<'_>,
    host: &Address,
    commitment: &mut Commitment,
    index: usize,
) -> Result<(), Fault> {
    let operator = commitment.operator.clone();
    let Some(branch) = commitment.branches.get_mut(index) else { return Ok(()) };
    let candidates: &[Candidate] = match known.entry(branch.model) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(place) => place.insert(lanes::candidates(context.state, &branch.model)?),
    };
    // A private network of one operator may let its hosts check each other; everybody is told so.
    let single = !context.params.lanes.operator_independence
        && candidates.iter().all(|candidate| candidate.operator == operator);
    let may = |branch: &Branch, candidate: &Candidate| {
        candidate.host != *host
            && (single || candidate.operator != operator)
            && candidate.since <= draw.from
            && branch.constraints.allow_at(&candidate.region, &candidate.operator)
            && !branch.committee.contains(&candidate.host)
    };
    let powers = candidates.iter().map(|candidate| if may(branch, candidate) { candidate.power } else { 0 });
    let parts = [draw.interval, draw.round, index as u64].map(u64::to_le_bytes);
    let mut stream = Stream::new(draw.value, COMMITTEE, &[&host.0, &parts[0], &parts[1], &parts[2]]);
    let drawn = Lottery::new(powers).draw(&mut stream, context.params.verification.committee, 0..0);
    let members: Vec<Address> =
        drawn.into_iter().filter_map(|place| Some(candidates.get(place)?.host)).collect();
    branch.committee.extend(members);
    Ok(())
}
