//! How commitments end, and when they are forgotten.

use freeway_primitives::{Address, Amount};

use super::{COMMITS, Commitment, Event, STANDING, Standing, State, Void, emit, query};
use crate::context::Context;
use crate::state::Fault;
use crate::{lanes, verification, weights};

/// Decides on a commitment when its time is over. Whether that could be done: what is still on trial is waited for.
pub(super) fn decide(
    context: &mut Context<'_, '_>,
    interval: u64,
    host: &Address,
    commitment: &Commitment,
) -> Result<bool, Fault> {
    if commitment.state == State::Open {
        if commitment.open > 0 {
            return Ok(false);
        }
        let unrevealed = commitment.reveal.as_ref().is_some_and(|reveal| !reveal.done);
        if unrevealed {
            annul(context, interval, host, Void::Unrevealed)?;
        } else if !verification::unchecked(context.state, interval, host, commitment)?.is_empty() {
            // It was checked, but then word stood against word, and nobody decided it.
            unchecked(context, interval, host, commitment)?;
        } else {
            mature(context, interval, host, commitment)?;
        }
    }
    if let Some(decided) = COMMITS.get(context.state, &(interval, *host))? {
        verification::count_duties(context, interval, host, &decided)?;
    }
    Ok(true)
}

fn mature(
    context: &mut Context<'_, '_>,
    interval: u64,
    host: &Address,
    commitment: &Commitment,
) -> Result<(), Fault> {
    let fees = commitment.fees;
    let matured = Commitment { state: State::Matured, ..commitment.clone() };
    COMMITS.set(context.state, &(interval, *host), &matured);
    release(context, host, interval, fees)?;
    lanes::mature(context, host, fees)?;
    emit(context, Event::Matured { host: *host, interval, fees });
    Ok(())
}

/// Ends a commitment without pay, unless it has ended. What the host could have prevented costs its reputation, too.
pub(crate) fn annul(
    context: &mut Context<'_, '_>,
    interval: u64,
    host: &Address,
    reason: Void,
) -> Result<(), Fault> {
    let Some(mut commitment) = COMMITS.get(context.state, &(interval, *host))? else { return Ok(()) };
    if commitment.state != State::Open {
        return Ok(());
    }
    commitment.state = State::Void(reason);
    COMMITS.set(context.state, &(interval, *host), &commitment);
    release(context, host, interval, commitment.fees)?;
    emit(context, Event::Voided { host: *host, interval, reason });
    if reason.is_fault() { weights::distrust(context, host) } else { Ok(()) }
}

/// Ends a commitment that members do not agree on. Where no bit can be computed again nobody is accused, so what most of
/// them found unlikely costs the host its reputation here.
pub(super) fn unchecked(
    context: &mut Context<'_, '_>,
    interval: u64,
    host: &Address,
    commitment: &Commitment,
) -> Result<(), Fault> {
    let is_suspected = verification::is_suspected(context.state, interval, host, commitment)?;
    annul(context, interval, host, Void::Unchecked)?;
    if is_suspected { weights::distrust(context, host) } else { Ok(()) }
}

/// A host was convicted for what it did in an interval: nothing that it has open matures. If that took collateral, it
/// covers all that the host did before.
pub(crate) fn convicted(
    context: &mut Context<'_, '_>,
    host: &Address,
    interval: u64,
    slashes: bool,
) -> Result<(), Fault> {
    if let Some(mut commitment) = COMMITS.get(context.state, &(interval, *host))? {
        if commitment.state == State::Open {
            release(context, host, interval, commitment.fees)?;
        }
        commitment.state = State::Convicted;
        COMMITS.set(context.state, &(interval, *host), &commitment);
    }
    let mut standing = STANDING.get(context.state, host)?.unwrap_or_default();
    // At most as many as there are intervals that are kept.
    for open in core::mem::take(&mut standing.intervals) {
        annul(context, open, host, Void::Forfeited)?;
    }
    let convicted = if slashes { Some(context.block.height) } else { standing.convicted };
    remember(context, host, &Standing { convicted, ..Standing::default() });
    Ok(())
}

/// Takes what a commitment that is decided had open.
fn release(context: &mut Context<'_, '_>, host: &Address, interval: u64, fees: Amount) -> Result<(), Fault> {
    let mut standing = STANDING.get(context.state, host)?.unwrap_or_default();
    standing.open = standing.open.checked_sub(fees).unwrap_or_default();
    standing.intervals.retain(|known| *known != interval);
    remember(context, host, &standing);
    Ok(())
}

fn remember(context: &mut Context<'_, '_>, host: &Address, standing: &Standing) {
    if *standing == Standing::default() {
        STANDING.remove(context.state, host);
    } else {
        STANDING.set(context.state, host, standing);
    }
}

/// Forgets the oldest commitments, as many as one block may, and all that was said about them.
pub(super) fn sweep(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let params = &context.params.work;
    let now = query::interval_at(context.block.height, params);
    let Some(last) = now.checked_sub(params.keep_intervals) else { return Ok(()) };
    // Most blocks have nothing to forget, and need not read much to see it.
    let oldest = COMMITS.page(context.state, None, 1)?;
    if oldest.first().is_none_or(|((interval, _), _)| *interval > last) {
        return Ok(());
    }
    let limit = params.max_steps_per_block as usize;
    for ((interval, host), commitment) in COMMITS.page(context.state, None, limit)? {
        // What is undecided waits for the beacon, and that not for ever.
        if interval > last || commitment.state == State::Open || commitment.open > 0 {
            return Ok(());
        }
        COMMITS.remove(context.state, &(interval, host));
        verification::forget(context, interval, &host)?;
        forget_conviction(context, &host, interval)?;
    }
    Ok(())
}

/// A conviction covers what was done before it. Once none of that is kept, it need not be remembered either.
fn forget_conviction(context: &mut Context<'_, '_>, host: &Address, interval: u64) -> Result<(), Fault> {
    let Some(mut standing) = STANDING.get(context.state, host)? else { return Ok(()) };
    let old = |height| query::interval_at(height, &context.params.work) <= interval;
    if standing.convicted.is_some_and(old) {
        standing.convicted = None;
        remember(context, host, &standing);
    }
    Ok(())
}
