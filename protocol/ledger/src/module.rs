//! The one shape of all modules, and the list of them.

use freeway_primitives::Amount;

use crate::context::Context;
use crate::error::Error;
use crate::genesis::Genesis;
use crate::state::{Fault, Reader};
use crate::transaction::Message;
use crate::vaults::{Vaults, vaults};
use crate::{
    accounts, beacon, endorsements, epochs, evidence, hosts, lanes, models, pricing, rewards, sprint,
    verification, weights, work,
};

/// Whether a transaction serves the protocol or its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Commitments, openings, verdicts, evidence: reserved space, first in the block.
    Duty,
    /// Everything else.
    Ordinary,
}

/// The rules of one concern.
pub trait Module {
    /// What accounts can ask of it.
    type Message;

    /// Writes the module's part of the state of height 0.
    fn genesis(context: &mut Context<'_, '_>, genesis: &Genesis) -> Result<(), Fault>;

    /// The start of a block, before any transaction.
    fn begin(context: &mut Context<'_, '_>) -> Result<(), Fault>;

    /// One message, sent by or for [`Context::caller`]. On a failure everything it did is taken back.
    fn apply(context: &mut Context<'_, '_>, message: &Self::Message) -> Result<(), Error>;

    /// The end of a block, after all transactions.
    fn end(context: &mut Context<'_, '_>) -> Result<(), Fault>;

    /// Adds to `totals` what the module's own records say it holds. Reads everything: for tests and audits.
    fn holdings(state: &dyn Reader, totals: &mut Vaults) -> Result<(), Fault>;
}

/// Calls `$call` on every module, in the order of execution.
macro_rules! for_each_module {
    ($call:ident ( $($argument:expr),* )) => {{
        accounts::Accounts::$call($($argument),*)?;
        hosts::Hosts::$call($($argument),*)?;
        evidence::Evidence::$call($($argument),*)?;
        // Before all that may wait for a value of this block.
        beacon::Beacon::$call($($argument),*)?;
        weights::Weights::$call($($argument),*)?;
        sprint::Sprint::$call($($argument),*)?;
        models::Models::$call($($argument),*)?;
        lanes::Lanes::$call($($argument),*)?;
        pricing::Pricing::$call($($argument),*)?;
        // Deadlines first, then what had waited for them.
        verification::Verification::$call($($argument),*)?;
        work::Work::$call($($argument),*)?;
        endorsements::Endorsements::$call($($argument),*)?;
        rewards::Rewards::$call($($argument),*)?;
        // Last, so that the switch sees what the others decided in the same block.
        epochs::Epochs::$call($($argument),*)?;
    }};
}

pub(crate) fn genesis(context: &mut Context<'_, '_>, genesis: &Genesis) -> Result<(), Fault> {
    for_each_module!(genesis(context, genesis));
    Ok(())
}

pub(crate) fn begin(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    for_each_module!(begin(context));
    Ok(())
}

pub(crate) fn end(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    for_each_module!(end(context));
    Ok(())
}

pub(crate) fn apply(context: &mut Context<'_, '_>, message: &Message) -> Result<(), Error> {
    match message {
        Message::Accounts(message) => accounts::Accounts::apply(context, message),
        Message::Hosts(message) => hosts::Hosts::apply(context, message),
        Message::Evidence(message) => evidence::Evidence::apply(context, message),
        Message::Beacon(message) => beacon::Beacon::apply(context, message),
        Message::Endorsements(message) => endorsements::Endorsements::apply(context, message),
        Message::Sprint(message) => sprint::Sprint::apply(context, message),
        Message::Models(message) => models::Models::apply(context, message),
        Message::Work(message) => work::Work::apply(context, message),
        Message::Verification(message) => verification::Verification::apply(context, message),
        Message::Lanes(message) => lanes::Lanes::apply(context, message),
    }
}

/// All money by the modules' own records, entry by entry. Equals the running totals and sums to the supply;
/// tests and the simulation check that after every block.
///
/// # Errors
/// [`Fault`] if the state cannot be read or a sum overflows.
pub fn holdings(state: &dyn Reader) -> Result<Vaults, Fault> {
    // The pool has no entries: its running total is its one record.
    let mut totals = Vaults { pool: vaults(state)?.pool, ..Vaults::default() };
    for_each_module!(holdings(state, &mut totals));
    Ok(totals)
}

/// `sum += amount`, as a fault on overflow.
pub(crate) fn add(sum: &mut Amount, amount: Amount) -> Result<(), Fault> {
    *sum = sum.checked_add(amount).ok_or_else(|| Fault("a sum of money overflows".into()))?;
    Ok(())
}
