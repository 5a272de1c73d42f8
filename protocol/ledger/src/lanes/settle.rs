//! Paying hosts.

use freeway_primitives::{Address, Amount};
use freeway_proofs::work::{LaneId, VOUCHER};

use super::params::WHOLE;
use super::{
    CREDITS, EARNED, Earned, Event, FORFEITED, Failure, LANES, Settlement, Share, State, TRAINING,
    VERIFIER_POT, emit, end, fail, query,
};
use crate::accounts;
use crate::context::Context;
use crate::error::Error;
use crate::evidence::CHAIN;
use crate::hosts::{HOSTS, Status};
use crate::module;
use crate::state::{Fault, Reader};
use crate::vaults::Vault;
use crate::work;

/// How many hosts are read at once.
const PAGE: usize = 256;

pub(super) fn settle(context: &mut Context<'_, '_>, settlement: &Settlement) -> Result<(), Error> {
    let Settlement { voucher, signature, interval, entry, opening } = settlement;
    let (id, host) = (voucher.lane, context.caller);
    let Some(mut lane) = LANES.get(context.state, &id)? else {
        return fail(Failure::UnknownLane { lane: id });
    };
    if let State::Closing { until } = lane.state
        && context.block.height > until
    {
        return fail(Failure::TooLate { until });
    }
    let Some(share) = lane.share(&host) else { return fail(Failure::NoShare) };
    if is_forfeited(context.state, share)? {
        return fail(Failure::IsForfeited);
    }
    if voucher.host != host || entry.lane != id {
        return fail(Failure::WrongLane);
    }
    // A voucher covers its own request and all before it, and none after.
    if voucher.sequence < entry.sequence {
        return fail(Failure::OldVoucher { voucher: voucher.sequence, entry: entry.sequence });
    }
    let total = work::matured_total(context.state, &host, *interval, &lane.model, &lane.constraints)?;
    let Some(total) = total else { return fail(Failure::NotMatured { interval: *interval }) };
    let named = opening.digest == entry.digest() && opening.sums == entry.sums;
    if !named || opening.verify(&total).is_none() {
        return fail(Failure::WrongOpening);
    }
    if lane.key.verify(VOUCHER, &CHAIN.require(context.state)?, voucher, signature).is_err() {
        return fail(Failure::BadSignature);
    }
    let fees = query::due(context.state, share, voucher.limit.min(entry.total))?;
    if fees.is_zero() {
        return fail(Failure::NothingDue);
    }
    let counts = share.arms_length && lane.constraints.is_none();
    for share in lane.shares.iter_mut().filter(|share| share.host == host) {
        module::add(&mut share.paid, fees)?;
    }
    LANES.set(context.state, &id, &lane);
    end::take(context, &lane.payer, fees, 0)?;
    pay(context, id, host, fees, counts)?;
    Ok(())
}

/// Divides a fee among the host, verifiers and training. Whole units; what cannot be divided is the host's.
fn pay(
    context: &mut Context<'_, '_>,
    id: LaneId,
    host: Address,
    fees: Amount,
    counts: bool,
) -> Result<(), Fault> {
    let params = &context.params.lanes;
    let part = |parts| fees.fraction(parts, WHOLE).unwrap_or_default();
    let (verifiers, training) = (part(params.verifier_parts), part(params.training_parts));
    let mut others = verifiers;
    module::add(&mut others, training)?;
    let Some(paid) = fees.checked_sub(others) else {
        return Err(Fault("the parts of a fee are more than the whole".into()));
    };
    context.shift(Vault::Lanes, Vault::Accounts, paid)?;
    accounts::credit(context, &host, paid)?;
    for (cell, vault, amount) in
        [(VERIFIER_POT, Vault::Rewards, verifiers), (TRAINING, Vault::Training, training)]
    {
        context.shift(Vault::Lanes, vault, amount)?;
        let mut sum = cell.require(context.state)?;
        module::add(&mut sum, amount)?;
        cell.set(context.state, &sum);
    }
    let mut credit = CREDITS.get(context.state, &host)?.unwrap_or_default();
    module::add(&mut credit.settled, fees)?;
    CREDITS.set(context.state, &host, &credit);
    if counts {
        let mut earned = EARNED.get(context.state, &host)?.unwrap_or_default();
        module::add(&mut earned.fees, fees)?;
        module::add(&mut earned.others, others)?;
        EARNED.set(context.state, &host, &earned);
    }
    emit(context, Event::Settled { lane: id, host, fees, paid });
    Ok(())
}

/// Whether a host has lost what it could earn from a share.
pub(super) fn is_forfeited(state: &dyn Reader, share: &Share) -> Result<bool, Fault> {
    if FORFEITED.get(state, &share.host)?.is_some_and(|height| share.drawn <= height) {
        return Ok(true);
    }
    // Who left in good standing is paid for what it did.
    Ok(HOSTS.get(state, &share.host)?.is_some_and(|host| host.status == Status::Removed))
}

/// A commitment has matured: so much more may be settled. For the module that decides it, once per commitment.
pub(crate) fn mature(context: &mut Context<'_, '_>, host: &Address, fees: Amount) -> Result<(), Fault> {
    let mut credit = CREDITS.get(context.state, host)?.unwrap_or_default();
    // What a host claims need not be money that exists; what it is paid comes out of deposits.
    credit.matured = Amount(credit.matured.0.saturating_add(fees.0));
    CREDITS.set(context.state, host, &credit);
    Ok(())
}

/// A host was convicted: what it has not settled by now it never will. What its lanes hold for it goes back to their
/// payers when they end.
pub(crate) fn forfeit(context: &mut Context<'_, '_>, host: &Address) -> Result<(), Fault> {
    FORFEITED.set(context.state, host, &context.block.height);
    let mut credit = CREDITS.get(context.state, host)?.unwrap_or_default();
    let fees = credit.left();
    credit.matured = credit.settled;
    if credit.matured.is_zero() {
        CREDITS.remove(context.state, host);
    } else {
        CREDITS.set(context.state, host, &credit);
    }
    emit(context, Event::Forfeited { host: *host, fees });
    Ok(())
}

/// Takes the record of what hosts have earned from others since the last time. For the switch: one pass over all hosts.
pub(crate) fn take_earned(context: &mut Context<'_, '_>) -> Result<Vec<(Address, Earned)>, Fault> {
    let mut all = Vec::new();
    loop {
        let page = EARNED.page(context.state, None, PAGE)?;
        if page.is_empty() {
            return Ok(all);
        }
        for (host, earned) in page {
            EARNED.remove(context.state, &host);
            all.push((host, earned));
        }
    }
}

/// Takes the verifiers' part out of the record. The caller holds it from now on: it is still in [`Vault::Rewards`].
pub(crate) fn take_verifier_pot(context: &mut Context<'_, '_>) -> Result<Amount, Fault> {
    let pot = VERIFIER_POT.require(context.state)?;
    VERIFIER_POT.set(context.state, &Amount::ZERO);
    Ok(pot)
}
