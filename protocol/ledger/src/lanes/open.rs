//! Opening a lane, and putting more into it.

use freeway_primitives::Amount;
use freeway_proofs::work::LaneId;

use super::{
    BY_PAYER, COUNT, ENDS, Event, Failure, LANES, Lane, NEXT, Opened, PAYERS, Share, State, WAITING, emit,
    fail,
};
use crate::accounts;
use crate::context::Context;
use crate::error::Error;
use crate::genesis::Text;
use crate::models::{self, MODELS};
use crate::module;
use crate::state::Fault;
use crate::vaults::Vault;

pub(super) fn open(context: &mut Context<'_, '_>, opened: &Opened) -> Result<(), Error> {
    let params = &context.params.lanes;
    let (least, shares) = (params.min_escrow, params.max_shares);
    if opened.escrow < least {
        return fail(Failure::BelowMinimum { least });
    }
    if !(1..=shares).contains(&opened.shares) {
        return fail(Failure::InvalidShares { most: shares });
    }
    let (shortest, longest) = (params.min_lifetime, params.max_lifetime);
    if !(shortest..=longest).contains(&opened.lifetime) {
        return fail(Failure::InvalidLifetime { least: shortest, most: longest });
    }
    if !opened.constraints.is_valid() {
        return fail(Failure::InvalidConstraints);
    }
    if !opened.key.is_valid() {
        return fail(Failure::InvalidKey);
    }
    let Some(model) = MODELS.get(context.state, &opened.model)? else { return fail(Failure::UnknownModel) };
    let (payer, limit) = (context.caller, params.max_open_per_account);
    let holds = PAYERS.get(context.state, &payer)?.unwrap_or_default();
    if holds.lanes >= limit {
        return fail(Failure::TooManyLanes { limit });
    }
    let (count, limit) = (COUNT.require(context.state)?, params.max_lanes);
    if count >= limit {
        return fail(Failure::NetworkFull { limit });
    }
    accounts::debit(context, &payer, opened.escrow)?;
    context.shift(Vault::Accounts, Vault::Lanes, opened.escrow)?;
    let height = context.block.height;
    let lane = Lane {
        payer,
        key: opened.key,
        model: opened.model,
        tier: model.tier,
        prices: model.prices,
        escrow: opened.escrow,
        constraints: opened.constraints.clone(),
        wanted: opened.shares,
        opened: height,
        expires: height.plus(opened.lifetime),
        // Nobody knows it before this block is final, so nobody could choose the lane by it.
        state: State::Waiting { value_of: height },
        shares: Vec::new(),
    };
    Ok(enter(context, &lane)?)
}

/// Gives a new lane its number and its places in the state. Its escrow is in [`Vault::Lanes`] already.
pub(super) fn enter(context: &mut Context<'_, '_>, lane: &Lane) -> Result<(), Fault> {
    let id = NEXT.require(context.state)?;
    NEXT.set(context.state, &LaneId(id.0.saturating_add(1)));
    let count = COUNT.require(context.state)?;
    COUNT.set(context.state, &count.saturating_add(1));
    let mut holds = PAYERS.get(context.state, &lane.payer)?.unwrap_or_default();
    holds.lanes = holds.lanes.saturating_add(1);
    module::add(&mut holds.escrow, lane.escrow)?;
    PAYERS.set(context.state, &lane.payer, &holds);
    models::hold(context, &lane.model)?;
    WAITING.set(context.state, &(lane.opened, id), &());
    ENDS.set(context.state, &(lane.expires, id), &());
    BY_PAYER.set(context.state, &(lane.payer, id), &());
    LANES.set(context.state, &id, lane);
    emit(context, Event::Opened { lane: id, payer: lane.payer, model: lane.model, escrow: lane.escrow });
    Ok(())
}

pub(super) fn top_up(context: &mut Context<'_, '_>, id: LaneId, amount: Amount) -> Result<(), Error> {
    let mut lane = own(context, id)?;
    if amount.is_zero() {
        return fail(Failure::ZeroAmount);
    }
    if matches!(lane.state, State::Closing { .. }) {
        return wrong_state(&lane);
    }
    let payer = lane.payer;
    accounts::debit(context, &payer, amount)?;
    context.shift(Vault::Accounts, Vault::Lanes, amount)?;
    let mut holds = PAYERS.get(context.state, &payer)?.unwrap_or_default();
    module::add(&mut holds.escrow, amount)?;
    PAYERS.set(context.state, &payer, &holds);
    module::add(&mut lane.escrow, amount)?;
    spread(&mut lane.shares, amount)?;
    LANES.set(context.state, &id, &lane);
    emit(context, Event::ToppedUp { lane: id, amount });
    Ok(())
}

/// Adds `amount` to all shares alike; what cannot be divided goes to the first.
pub(super) fn spread(shares: &mut [Share], amount: Amount) -> Result<(), Fault> {
    // A lane that waits has none: all of its escrow is divided at the draw.
    let whole = shares.len() as u128;
    let (Some(each), Some(rest)) = (amount.0.checked_div(whole), amount.0.checked_rem(whole)) else {
        return Ok(());
    };
    for share in shares.iter_mut() {
        module::add(&mut share.deposit, Amount(each))?;
    }
    match shares.first_mut() {
        Some(first) => module::add(&mut first.deposit, Amount(rest)),
        None => Ok(()),
    }
}

/// A lane of the caller's.
pub(super) fn own(context: &Context<'_, '_>, id: LaneId) -> Result<Lane, Error> {
    match LANES.get(context.state, &id)? {
        Some(lane) if lane.payer == context.caller => Ok(lane),
        Some(_) => fail(Failure::NotThePayer),
        None => fail(Failure::UnknownLane { lane: id }),
    }
}

pub(super) fn wrong_state<T>(lane: &Lane) -> Result<T, Error> {
    fail(Failure::WrongState { state: Text::new(lane.state.name()).unwrap_or_default() })
}
