//! Closing a lane, and giving back what is left.

use freeway_primitives::{Address, Amount, Height};
use freeway_proofs::work::LaneId;

use super::probe::PROBER;
use super::{
    BY_HOST, BY_PAYER, COUNT, CREDITS, ENDS, Event, LANES, Lane, PAYERS, PROBES, State, WAITING, emit, open,
};
use crate::accounts;
use crate::context::Context;
use crate::error::Error;
use crate::hosts::HOSTS;
use crate::models;
use crate::state::Fault;
use crate::vaults::Vault;

/// The payer's wish. A lane without hosts is over at once.
pub(super) fn close(context: &mut Context<'_, '_>, id: LaneId) -> Result<(), Error> {
    let lane = open::own(context, id)?;
    match lane.state {
        State::Waiting { .. } => finish(context, id, &lane)?,
        State::Open => wind_down(context, id, lane, None),
        State::Closing { .. } => return open::wrong_state(&lane),
    }
    Ok(())
}

/// What happens to lanes by itself, as much of it as one block may.
pub(super) fn run(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let limit = context.params.lanes.max_ends_per_block as usize;
    for ((height, id), ()) in ENDS.page(context.state, None, limit)? {
        if height > context.block.height {
            return Ok(());
        }
        match LANES.get(context.state, &id)? {
            Some(lane) if lane.state == State::Open => wind_down(context, id, lane, Some(height)),
            Some(lane) => finish(context, id, &lane)?,
            None => ENDS.remove(context.state, &(height, id)),
        }
    }
    Ok(())
}

/// From here on hosts only settle. However late the block comes to it, they have the whole grace.
fn wind_down(context: &mut Context<'_, '_>, id: LaneId, mut lane: Lane, due: Option<Height>) {
    let until = context.block.height.plus(context.params.lanes.grace_blocks);
    ENDS.remove(context.state, &(due.unwrap_or(lane.expires), id));
    ENDS.set(context.state, &(until.next(), id), &());
    lane.state = State::Closing { until };
    LANES.set(context.state, &id, &lane);
    emit(context, Event::Closing { lane: id, until });
}

/// Gives back what is left and removes every trace.
pub(super) fn finish(context: &mut Context<'_, '_>, id: LaneId, lane: &Lane) -> Result<(), Fault> {
    let due = match lane.state {
        State::Waiting { value_of } => {
            WAITING.remove(context.state, &(value_of, id));
            lane.expires
        }
        State::Open => lane.expires,
        State::Closing { until } => until.next(),
    };
    ENDS.remove(context.state, &(due, id));
    BY_PAYER.remove(context.state, &(lane.payer, id));
    LANES.remove(context.state, &id);
    models::release(context, &lane.model)?;
    let count = COUNT.require(context.state)?;
    COUNT.set(context.state, &count.saturating_sub(1));
    for share in &lane.shares {
        BY_HOST.remove(context.state, &(share.host, id));
        // Nothing is left to be settled by a host that is none any more.
        let gone = !HOSTS.contains(context.state, &share.host)?
            && BY_HOST.page_under(context.state, &share.host.0, None, 1)?.is_empty();
        if gone {
            CREDITS.remove(context.state, &share.host);
        }
    }
    let refund = lane.left();
    if lane.payer == PROBER {
        PROBES.remove(context.state, &id);
        context.shift(Vault::Lanes, Vault::Pool, refund)?;
    } else {
        context.shift(Vault::Lanes, Vault::Accounts, refund)?;
        accounts::credit(context, &lane.payer, refund)?;
    }
    take(context, &lane.payer, refund, 1)?;
    emit(context, Event::Ended { lane: id, payer: lane.payer, refund });
    Ok(())
}

/// A payer has so much less in lanes, and so many fewer of them. After its account has changed: a quota follows what
/// was held before.
pub(super) fn take(
    context: &mut Context<'_, '_>,
    payer: &Address,
    amount: Amount,
    lanes: u32,
) -> Result<(), Fault> {
    let mut holds = PAYERS.get(context.state, payer)?.unwrap_or_default();
    holds.lanes = holds.lanes.saturating_sub(lanes);
    holds.escrow = holds.escrow.checked_sub(amount).unwrap_or_default();
    if holds.lanes == 0 {
        PAYERS.remove(context.state, payer);
    } else {
        PAYERS.set(context.state, payer, &holds);
    }
    Ok(())
}
