//! What a host says it served.

use freeway_primitives::Amount;
use freeway_proofs::merkle::MAX_LEAVES;

use super::query::{first_commit, last_commit, slashable};
use super::{
    Branch, COMMITS, Claim, Commitment, Event, Failure, Pass, ROUNDS, Round, STANDING, State, emit, fail,
    number,
};
use crate::context::Context;
use crate::error::Error;
use crate::hosts::{HOSTS, Status};
use crate::lanes::{LANES, Lane};
use crate::pricing;

pub(super) fn commit(context: &mut Context<'_, '_>, interval: u64, claims: &[Claim]) -> Result<(), Error> {
    let (caller, height, params) = (context.caller, context.block.height, &context.params.work);
    // Who leaves still commits to what it did.
    let Some(host) = HOSTS.get(context.state, &caller)?.filter(|host| host.status != Status::Removed) else {
        return fail(Failure::NotAHost);
    };
    let (from, deadline) = (first_commit(interval, params), last_commit(interval, params));
    if height < from {
        return fail(Failure::TooEarly { interval, from });
    }
    if height > deadline {
        return fail(Failure::TooLate { deadline });
    }
    if COMMITS.contains(context.state, &(interval, caller))? {
        return fail(Failure::AlreadyCommitted);
    }
    let limit = params.max_branches;
    if claims.is_empty() || number(claims.len()) > limit {
        return fail(Failure::WrongCount { limit });
    }
    let mut branches: Vec<Branch> = Vec::with_capacity(claims.len());
    let mut fees = Amount::ZERO;
    for claim in claims {
        let (branch, lane) = branch(context, claim)?;
        pricing::observe(context, &caller, &lane, Amount(claim.total.sums.fees))?;
        if branches.iter().any(|b| b.model == branch.model && b.constraints == branch.constraints) {
            return fail(Failure::SameClass { lane: claim.lane });
        }
        // Claims need not be money that exists, so a sum too large is no fault of the state.
        fees = Amount(fees.0.saturating_add(claim.total.sums.fees));
        branches.push(branch);
    }
    let mut standing = STANDING.get(context.state, &caller)?.unwrap_or_default();
    let limit = params.exposure(slashable(&host, context.params, height));
    let open = Amount(standing.open.0.saturating_add(fees.0));
    if open > limit {
        return fail(Failure::OverExposed { open, limit });
    }
    (standing.open, standing.intervals) = (open, [standing.intervals, vec![interval]].concat());
    STANDING.set(context.state, &caller, &standing);
    let operator = host.profile.operator;
    let commitment = Commitment {
        branches,
        operator,
        fees,
        sampled: None,
        round: 0,
        reveal: None,
        open: 0,
        state: State::Open,
    };
    COMMITS.set(context.state, &(interval, caller), &commitment);
    if !ROUNDS.contains(context.state, &(interval, 0))? {
        let round = Round { from: deadline, drawn: None, closing: None, pass: Pass::Idle, after: None };
        ROUNDS.set(context.state, &(interval, 0), &round);
    }
    emit(context, Event::Committed { host: caller, interval, fees });
    Ok(())
}

/// The branch that a claim makes, and the lane that names it.
fn branch(context: &Context<'_, '_>, claim: &Claim) -> Result<(Branch, Lane), Error> {
    let Claim { lane: id, total } = *claim;
    if total.count == 0 || total.count > MAX_LEAVES || total.sums.fees == 0 {
        return fail(Failure::Nothing { lane: id });
    }
    let lane = LANES.get(context.state, &id)?.filter(|lane| lane.share(&context.caller).is_some());
    let Some(lane) = lane else { return fail(Failure::NotItsLane { lane: id }) };
    let (model, tier, constraints) = (lane.model, lane.tier, lane.constraints.clone());
    let branch = Branch { lane: id, model, tier, constraints, total, committee: Vec::new(), asked: 0 };
    Ok((branch, lane))
}
