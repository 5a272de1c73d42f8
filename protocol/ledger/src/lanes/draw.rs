//! Which hosts a lane gets.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use freeway_primitives::{Address, Amount, Digest, Domain, Height, PublicKey};
use freeway_proofs::draw::{Lottery, Stream, derive};
use freeway_proofs::work::LaneId;

use super::probe::PROBER;
use super::{BY_HOST, Event, LANES, Lane, PROBES, Share, State, WAITING, emit, end, open};
use crate::beacon::{self, WINDOW};
use crate::context::Context;
use crate::genesis::Text;
use crate::hosts::{HOSTS, Status};
use crate::models;
use crate::state::{Fault, Key, Reader};
use crate::weights;

const HOSTS_OF_LANE: Domain = Domain::new("freeway 1 lane hosts");

const PROBE_VALUE: Domain = Domain::new("freeway 1 value of probes");

/// How many hosts are read at once.
const PAGE: usize = 256;

/// A host that can be drawn for work on a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The host.
    pub host: Address,
    /// Its consensus key.
    pub key: PublicKey,
    /// Its power.
    pub power: u64,
    /// Where it stands.
    pub region: Text,
    /// Who runs it.
    pub operator: Text,
    /// Since when it serves the model.
    pub since: Height,
}

/// All who can be drawn for work on a model: active hosts with power that serve it. By their address; at most as many
/// as there are hosts.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn candidates(state: &dyn Reader, model: &Digest) -> Result<Vec<Candidate>, Fault> {
    let (mut candidates, mut after) = (Vec::new(), None);
    loop {
        let page = models::serving(state, model, after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(candidates) };
        after = Some(*last);
        for (address, since) in page {
            let Some(host) = HOSTS.get(state, &address)? else { continue };
            let power = weights::record_of(state, &address, &host)?.power();
            if host.status != Status::Active || power == 0 {
                continue;
            }
            let crate::hosts::Profile { consensus_key: key, region, operator, .. } = host.profile;
            candidates.push(Candidate { host: address, key, power, region, operator, since });
        }
    }
}

/// Draws the hosts of lanes whose value is there, the oldest first, as many as one block may.
pub(super) fn run(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let most = context.params.lanes.max_draws_per_block;
    let mut left = most as usize;
    let mut known = BTreeMap::new();
    let mut after = None;
    // Every height either takes from what is left or waits for its value, and no more than these can wait.
    for _ in 0..=WINDOW.saturating_add(u64::from(most)) {
        if left == 0 {
            return Ok(());
        }
        let Some(((height, _), ())) = WAITING.page(context.state, after.as_ref(), 1)?.pop() else {
            return Ok(());
        };
        after = Some((height, LaneId(u64::MAX)));
        let value = beacon::value(context.state, height)?;
        if value.is_none() && context.block.height <= height.plus(WINDOW) {
            continue;
        }
        let page = WAITING.page_under(context.state, &height.to_bytes(), None, left)?;
        left = left.saturating_sub(page.len());
        for ((_, id), ()) in page {
            let Some(lane) = LANES.get(context.state, &id)? else {
                WAITING.remove(context.state, &(height, id));
                continue;
            };
            match &value {
                Some(value) => draw(context, id, lane, value, height, &mut known)?,
                None => {
                    emit(context, Event::NoRandomness { lane: id });
                    end::finish(context, id, &lane)?;
                }
            }
        }
    }
    Ok(())
}

fn draw(
    context: &mut Context<'_, '_>,
    id: LaneId,
    mut lane: Lane,
    value: &Digest,
    value_of: Height,
    known: &mut BTreeMap<Digest, Vec<Candidate>>,
) -> Result<(), Fault> {
    let candidates = match known.entry(lane.model) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(place) => place.insert(candidates(context.state, &lane.model)?),
    };
    let own = HOSTS.get(context.state, &lane.payer)?.map(|host| host.profile.operator);
    let independence = context.params.lanes.operator_independence;
    let arms_length =
        |candidate: &Candidate| candidate.host != lane.payer && own.as_ref() != Some(&candidate.operator);
    let may = |candidate: &Candidate| {
        // Who came after the value could be known may have come because of it.
        candidate.since <= value_of
            && candidate.host != lane.payer
            && lane.constraints.allow_at(&candidate.region, &candidate.operator)
            && (!independence || arms_length(candidate))
    };
    let powers = candidates.iter().map(|candidate| if may(candidate) { candidate.power } else { 0 });
    let mut stream = Stream::new(value, HOSTS_OF_LANE, &[&id.0.to_le_bytes()]);
    let drawn = Lottery::new(powers).draw(&mut stream, u32::from(lane.wanted), 0..0);
    let mut shares: Vec<Share> = Vec::with_capacity(drawn.len());
    for candidate in drawn.into_iter().filter_map(|index| candidates.get(index)) {
        shares.push(Share {
            host: candidate.host,
            key: candidate.key,
            operator: candidate.operator.clone(),
            drawn: context.block.height,
            deposit: Amount::ZERO,
            paid: Amount::ZERO,
            arms_length: arms_length(candidate),
        });
    }
    if shares.is_empty() {
        emit(context, Event::NoHosts { lane: id });
        return end::finish(context, id, &lane);
    }
    open::spread(&mut shares, lane.escrow)?;
    let hosts: Vec<_> = shares.iter().map(|share| share.host).collect();
    for host in &hosts {
        BY_HOST.set(context.state, &(*host, id), &());
    }
    if lane.payer == PROBER {
        let probes = context.params.lanes.probes;
        PROBES.set(context.state, &id, &(derive(value, PROBE_VALUE, &[&id.0.to_le_bytes()]), probes));
    }
    (lane.state, lane.shares) = (State::Open, shares);
    WAITING.remove(context.state, &(value_of, id));
    LANES.set(context.state, &id, &lane);
    emit(context, Event::Drawn { lane: id, hosts });
    Ok(())
}
