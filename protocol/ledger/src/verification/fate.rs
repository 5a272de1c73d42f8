//! Convictions.

use freeway_primitives::{Address, Amount};

use super::{Event, emit};
use crate::context::Context;
use crate::state::Fault;
use crate::vaults::Vault;
use crate::{accounts, hosts, lanes, weights, work};

/// Convicts a host for what it did in an interval. All that it has open is forfeited, and its reputation is gone. If
/// collateral is at stake, a part of it goes to the pool, and of that a part to whoever found out; and then what has
/// matured and is not settled is lost, too.
pub(super) fn convict(
    context: &mut Context<'_, '_>,
    interval: u64,
    host: &Address,
    slashes: bool,
    finder: Option<Address>,
) -> Result<(), Fault> {
    work::convicted(context, host, interval, slashes)?;
    weights::distrust(context, host)?;
    let mut penalty = Amount::ZERO;
    if slashes {
        let rules = &context.params.verification;
        let (parts, bounty) = (rules.conviction_thousandths, rules.bounty_thousandths);
        penalty = hosts::slash(context, host, parts, 1_000)?;
        let bounty = penalty.fraction(bounty, 1_000).unwrap_or_default();
        if let Some(finder) = finder.filter(|_| !bounty.is_zero()) {
            context.shift(Vault::Pool, Vault::Accounts, bounty)?;
            accounts::credit(context, &finder, bounty)?;
        }
        lanes::forfeit(context, host)?;
    }
    emit(context, Event::Convicted { host: *host, interval, penalty });
    Ok(())
}
