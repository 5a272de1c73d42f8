//! Making a host show something here: samples that it shows to nobody, receipts that it left out.

use freeway_primitives::{Address, Amount};
use freeway_proofs::work::RECEIPT;

use super::due::{close, open, pay, put_up};
use super::duty::{covers, is_leaf, undecided, until, verdicts_until};
use super::{
    Answer, DEMANDS, Demanded, Due, Event, Failure, Inclusion, REPORTS, Report, Reported, Signed, emit, fail,
};
use crate::context::Context;
use crate::error::Error;
use crate::evidence::CHAIN;
use crate::lanes::{LANES, Lane};
use crate::work::{self, COMMITS, Commitment};

pub(super) fn demand(
    context: &mut Context<'_, '_>,
    interval: u64,
    host: &Address,
    sample: u32,
) -> Result<(), Error> {
    let (host, member) = (*host, context.caller);
    let (commitment, round) = undecided(context, interval, &host)?;
    until(context, verdicts_until(&round)?)?;
    let samples = work::samples(&host, interval, &commitment);
    let branch = samples.get(sample as usize).and_then(|sample| commitment.branches.get(sample.branch));
    if !branch.is_some_and(|branch| branch.members().contains(&member)) {
        return fail(Failure::UnknownSample { sample });
    }
    let place = (interval, (host, u64::from(sample)));
    if DEMANDS.contains(context.state, &place)? {
        return fail(Failure::AlreadyAsked);
    }
    let rules = &context.params.verification;
    let (until, bond) = (context.block.height.plus(rules.answer_blocks), rules.demand_bond);
    put_up(context, bond)?;
    DEMANDS.set(context.state, &place, &Demanded { member, until, bond, answered: false });
    open(context, interval, &host, until, Due::Demand(place))?;
    emit(context, Event::Demanded { host, interval, sample, until });
    Ok(())
}

fn committed(context: &Context<'_, '_>, interval: u64) -> Result<Commitment, Error> {
    let host = context.caller;
    match COMMITS.get(context.state, &(interval, host))? {
        Some(commitment) => Ok(commitment),
        None => fail(Failure::NotCommitted { host, interval }),
    }
}

pub(super) fn answer(context: &mut Context<'_, '_>, answer: &Answer) -> Result<(), Error> {
    let Answer { interval, sample, leaf, receipt } = answer;
    let (interval, host) = (*interval, context.caller);
    let commitment = committed(context, interval)?;
    let place = (interval, (host, u64::from(*sample)));
    let Some(mut demand) = DEMANDS.get(context.state, &place)?.filter(|known| !known.answered) else {
        return fail(Failure::NotAsked);
    };
    until(context, demand.until)?;
    let samples = work::samples(&host, interval, &commitment);
    let holds = samples.get(*sample as usize).is_some_and(|sample| {
        usize::from(leaf.branch) == sample.branch
            && is_leaf(&commitment, leaf, receipt).is_some_and(|before| covers(leaf, before, sample.point))
    });
    if !holds {
        return fail(Failure::WrongLeaf);
    }
    demand.answered = true;
    let bond = core::mem::take(&mut demand.bond);
    DEMANDS.set(context.state, &place, &demand);
    answered(context, interval, bond)
}

/// The caller answered: it gets the bond, and its commitment has one thing less open.
fn answered(context: &mut Context<'_, '_>, interval: u64, bond: Amount) -> Result<(), Error> {
    let host = context.caller;
    pay(context, &host, bond)?;
    close(context, interval, &host)?;
    emit(context, Event::Answered { host, interval });
    Ok(())
}

/// The lane of a receipt that its host has signed; `None` if it did not, or if the lane is over.
pub(super) fn signed_lane(context: &Context<'_, '_>, signed: &Signed) -> Result<Option<Lane>, Error> {
    let Signed { receipt, signature } = signed;
    let Some(lane) = LANES.get(context.state, &receipt.lane)? else { return Ok(None) };
    let Some(share) = lane.share(&receipt.host) else { return Ok(None) };
    let chain = CHAIN.require(context.state)?;
    let holds = share.key.verify(RECEIPT, &chain, receipt, signature).is_ok();
    Ok(holds.then_some(lane))
}

pub(super) fn report(context: &mut Context<'_, '_>, report: &Report) -> Result<(), Error> {
    let receipt = &report.signed.receipt;
    let (interval, host) = (receipt.interval, receipt.host);
    // What was never committed to is not paid: there is nothing to report.
    let (_, round) = undecided(context, interval, &host)?;
    let height = context.block.height;
    if height <= work::last_commit(interval, &context.params.work) {
        return fail(Failure::TooEarly);
    }
    let rules = &context.params.verification;
    let (due, bond) = (height.plus(rules.answer_blocks), rules.report_bond);
    if let Some(closing) = &round.closing {
        until(context, closing.settles.minus(rules.answer_blocks.saturating_add(1)))?;
    }
    let request = (interval, (host, (receipt.lane, receipt.sequence)));
    if REPORTS.contains(context.state, &request)? {
        return fail(Failure::AlreadyAsked);
    }
    if signed_lane(context, &report.signed)?.is_none() {
        return fail(Failure::NoProof);
    }
    put_up(context, bond)?;
    let (by, digest) = (context.caller, receipt.digest());
    REPORTS.set(
        context.state,
        &request,
        &Reported { by, receipt: digest, until: due, bond, answered: false },
    );
    open(context, interval, &host, due, Due::Report(request))?;
    let (lane, sequence) = (receipt.lane, receipt.sequence);
    emit(context, Event::Reported { host, interval, lane, sequence, until: due });
    Ok(())
}

pub(super) fn include(context: &mut Context<'_, '_>, inclusion: &Inclusion) -> Result<(), Error> {
    let Inclusion { interval, leaf } = inclusion;
    let (interval, host, entry) = (*interval, context.caller, &leaf.entry);
    let commitment = committed(context, interval)?;
    let request = (interval, (host, (entry.lane, entry.sequence)));
    let Some(mut report) = REPORTS.get(context.state, &request)?.filter(|known| !known.answered) else {
        return fail(Failure::NotAsked);
    };
    until(context, report.until)?;
    if leaf.verify(&commitment).is_none() || entry.receipt != report.receipt {
        return fail(Failure::WrongLeaf);
    }
    report.answered = true;
    let bond = core::mem::take(&mut report.bond);
    REPORTS.set(context.state, &request, &report);
    answered(context, interval, bond)
}
