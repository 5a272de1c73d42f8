//! Handing out what has come free, some hosts a block.

use super::{EARNINGS, Event, PASS, Pass, emit};
use crate::accounts;
use crate::context::Context;
use crate::hosts::HOSTS;
use crate::module;
use crate::state::Fault;
use crate::vaults::Vault;

/// Begins a pass for the epoch that ends now. One that is still under way goes on as this epoch's: whom it does not
/// reach gets more the next time.
pub(super) fn start(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let after = PASS.require(context.state)?.and_then(|pass| pass.after);
    PASS.set(context.state, &Some(Pass { epoch: context.clock.epoch, after }));
    Ok(())
}

/// Takes the pass further, by as many hosts as a block may.
pub(super) fn run(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let Some(mut pass) = PASS.require(context.state)? else { return Ok(()) };
    let limit = context.params.rewards.max_releases_per_block as usize;
    let page = EARNINGS.page(context.state, pass.after.as_ref(), limit)?;
    let over = page.len() < limit;
    for (host, mut earnings) in page {
        pass.after = Some(host);
        let free = earnings.vesting.release(pass.epoch)?;
        let gone = earnings.vesting.buckets().is_empty() && !HOSTS.contains(context.state, &host)?;
        if !free.is_zero() {
            module::add(&mut earnings.released, free)?;
            context.shift(Vault::Rewards, Vault::Accounts, free)?;
            accounts::credit(context, &host, free)?;
            emit(context, Event::Released { host, amount: free });
        }
        if gone {
            EARNINGS.remove(context.state, &host);
        } else if !free.is_zero() {
            EARNINGS.set(context.state, &host, &earnings);
        }
    }
    PASS.set(context.state, &(!over).then_some(pass));
    Ok(())
}
