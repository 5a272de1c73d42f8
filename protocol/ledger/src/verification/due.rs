//! Bonds, and what happens when a deadline has passed.

use freeway_primitives::{Address, Amount, Height};

use super::{DEMANDS, DUE, Due, NEXT, REPORTS, trial};
use crate::accounts;
use crate::context::Context;
use crate::error::Error;
use crate::state::Fault;
use crate::vaults::Vault;
use crate::work::{self, COMMITS, Void};

/// Moves `amount` from the caller's balance into bonds.
pub(super) fn put_up(context: &mut Context<'_, '_>, amount: Amount) -> Result<(), Error> {
    let caller = context.caller;
    accounts::debit(context, &caller, amount)?;
    context.shift(Vault::Accounts, Vault::Bonds, amount)?;
    Ok(())
}

/// Pays a bond, already taken out of its record, to an account.
pub(super) fn pay(context: &mut Context<'_, '_>, to: &Address, amount: Amount) -> Result<(), Fault> {
    if amount.is_zero() {
        return Ok(());
    }
    context.shift(Vault::Bonds, Vault::Accounts, amount)?;
    accounts::credit(context, to, amount)
}

/// Notes a deadline, and that the commitment has one more thing open.
pub(super) fn open(
    context: &mut Context<'_, '_>,
    interval: u64,
    host: &Address,
    until: Height,
    due: Due,
) -> Result<(), Fault> {
    let number = NEXT.require(context.state)?;
    NEXT.set(context.state, &number.saturating_add(1));
    DUE.set(context.state, &(until, number), &due);
    count(context, interval, host, |open| open.saturating_add(1))
}

/// The commitment has one thing less open.
pub(super) fn close(context: &mut Context<'_, '_>, interval: u64, host: &Address) -> Result<(), Fault> {
    count(context, interval, host, |open| open.saturating_sub(1))
}

fn count(
    context: &mut Context<'_, '_>,
    interval: u64,
    host: &Address,
    change: impl Fn(u32) -> u32,
) -> Result<(), Fault> {
    let Some(mut commitment) = COMMITS.get(context.state, &(interval, *host))? else { return Ok(()) };
    commitment.open = change(commitment.open);
    COMMITS.set(context.state, &(interval, *host), &commitment);
    Ok(())
}

/// Handles deadlines that have passed, as many as one block may.
pub(super) fn expire(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let limit = context.params.verification.max_due_per_block as usize;
    for ((until, number), due) in DUE.page(context.state, None, limit)? {
        if context.block.height <= until {
            return Ok(());
        }
        DUE.remove(context.state, &(until, number));
        match due {
            Due::Demand(place) => {
                let Some(mut demand) = DEMANDS.get(context.state, &place)?.filter(|known| !known.answered)
                else {
                    continue;
                };
                let bond = core::mem::take(&mut demand.bond);
                DEMANDS.set(context.state, &place, &demand);
                pay(context, &demand.member, bond)?;
                let (interval, (host, _)) = place;
                close(context, interval, &host)?;
                work::annul(context, interval, &host, Void::Withheld)?;
            }
            Due::Report(request) => {
                let Some(mut report) = REPORTS.get(context.state, &request)?.filter(|known| !known.answered)
                else {
                    continue;
                };
                let bond = core::mem::take(&mut report.bond);
                REPORTS.set(context.state, &request, &report);
                pay(context, &report.by, bond)?;
                let (interval, (host, _)) = request;
                close(context, interval, &host)?;
                work::annul(context, interval, &host, Void::Omitted)?;
            }
            Due::Trial(case) => trial::expire(context, case)?,
        }
    }
    Ok(())
}
