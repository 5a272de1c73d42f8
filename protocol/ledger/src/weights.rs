//! Weights: how much compute each host has proven, and how far it can be trusted.
//!
//! Power over the network is the smaller of the last two races' weights: hardware that was rented for one race
//! decides nothing. Until the first race has settled, the weights are what genesis gave; at that race genesis
//! vouches for its hosts, whose new weight counts at once.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Epoch};

use crate::context::Context;
use crate::error::Error;
use crate::genesis::Genesis;
use crate::hosts::{self, HOSTS, Host, Status};
use crate::module::Module;
use crate::receipt;
use crate::state::{Cell, Fault, Reader, Table};
use crate::vaults::Vaults;

/// What is known of each host; of hosts that never raced, nothing.
pub const WEIGHTS: Table<Address, Record> = Table::new("weights/host/");

/// The sum of all weights, and the epoch of the latest race that settled.
const TOTAL: Cell<Total> = Cell::new("weights/total");

/// The highest reputation.
pub const MAX_REPUTATION: u8 = 30;

/// Reputation is kept through so many epochs of absence.
pub const KEPT_ABSENCES: u16 = 30;

/// What is known of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Record {
    /// What it proved in the latest race.
    pub now: u64,
    /// What it proved in the race before.
    pub before: u64,
    /// The epoch of the last race that it took part in.
    pub raced: Epoch,
    /// Clean epochs, up to [`MAX_REPUTATION`].
    pub reputation: u8,
    /// Races missed in a row.
    pub absent: u16,
    /// Hosts that it had to check in the latest race.
    pub owed: u32,
    /// Of these, hosts that it did check.
    pub done: u32,
}

impl Record {
    /// The weight that counts for power.
    pub fn power(&self) -> u64 {
        self.now.min(self.before)
    }
}

#[derive(Clone, Debug, Default, BorshSerialize, BorshDeserialize)]
struct Total {
    weight: u128,
    settled: Option<Epoch>,
}

/// What happens to weights.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// A host's weight or reputation is another.
    Changed {
        /// The host.
        host: Address,
        /// What it proved in the latest race.
        now: u64,
        /// What it proved in the race before.
        before: u64,
        /// Its reputation.
        reputation: u8,
    },
}

/// The rules of weights.
pub struct Weights;

/// Weights take no messages.
pub enum Never {}

impl Module for Weights {
    type Message = Never;

    fn genesis(context: &mut Context<'_, '_>, genesis: &Genesis) -> Result<(), Fault> {
        let weight = genesis.hosts.iter().map(|host| u128::from(host.weight)).sum();
        TOTAL.set(context.state, &Total { weight, settled: None });
        Ok(())
    }

    fn begin(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn apply(_: &mut Context<'_, '_>, message: &Never) -> Result<(), Error> {
        match *message {}
    }

    fn end(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn holdings(_: &dyn Reader, _: &mut Vaults) -> Result<(), Fault> {
        Ok(())
    }
}

/// What a race found about a host.
pub(crate) struct Raced {
    /// What it proved.
    pub(crate) weight: u64,
    /// Whether it committed.
    pub(crate) took_part: bool,
    /// Whether there is nothing to be said against it.
    pub(crate) clean: bool,
    pub(crate) owed: u32,
    pub(crate) done: u32,
}

/// Takes over the results of a race. Hosts that are not among them were absent.
pub(crate) fn settle(
    context: &mut Context<'_, '_>,
    epoch: Epoch,
    results: &BTreeMap<Address, Raced>,
) -> Result<(), Fault> {
    let first = !proven(context.state)?;
    let mut weight = 0u128;
    let hosts = hosts::all(context.state)?;
    for (address, host) in &hosts {
        let old = record_of(context.state, address, host)?;
        let mut new = Record { now: 0, before: old.now, owed: 0, done: 0, ..old.clone() };
        let raced = results.get(address);
        if let Some(raced) = raced {
            (new.owed, new.done) = (raced.owed, raced.done);
        }
        match raced.filter(|raced| raced.took_part) {
            // Who was removed for good proves nothing any more.
            Some(raced) if host.status != Status::Removed => {
                new.now = raced.weight;
                (new.raced, new.absent) = (epoch, 0);
                if raced.clean {
                    new.reputation = old.reputation.saturating_add(1).min(MAX_REPUTATION);
                }
            }
            _ => {
                new.absent = old.absent.saturating_add(1);
                if new.absent > KEPT_ABSENCES {
                    new.reputation = 0;
                }
            }
        }
        if first && host.weight > 0 {
            new.before = new.now;
        }
        weight = weight.saturating_add(u128::from(new.now));
        let known = WEIGHTS.get(context.state, address)?;
        let nothing = Record { absent: new.absent, ..Record::default() };
        if new != nothing {
            WEIGHTS.set(context.state, address, &new);
        } else if known.is_some() {
            WEIGHTS.remove(context.state, address);
        }
        if (new.now, new.before, new.reputation) != (old.now, old.before, old.reputation) {
            changed(context, *address, &new);
        }
    }
    forget_the_gone(context, &hosts)?;
    TOTAL.set(context.state, &Total { weight, settled: Some(epoch) });
    Ok(())
}

/// Drops the records of hosts that are none any more.
fn forget_the_gone(context: &mut Context<'_, '_>, hosts: &[(Address, Host)]) -> Result<(), Fault> {
    let mut after = None;
    loop {
        let page = WEIGHTS.page(context.state, after.as_ref(), 256)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(*last);
        for (address, _) in page {
            if hosts.binary_search_by(|(host, _)| host.cmp(&address)).is_err() {
                WEIGHTS.remove(context.state, &address);
            }
        }
    }
}

/// Takes all reputation from a host.
pub(crate) fn distrust(context: &mut Context<'_, '_>, address: &Address) -> Result<(), Fault> {
    let mut record = of(context.state, address)?;
    if record.reputation == 0 {
        return Ok(());
    }
    record.reputation = 0;
    WEIGHTS.set(context.state, address, &record);
    changed(context, *address, &record);
    Ok(())
}

fn changed(context: &mut Context<'_, '_>, host: Address, record: &Record) {
    let Record { now, before, reputation, .. } = *record;
    context.emit(receipt::Event::Weights(Event::Changed { host, now, before, reputation }));
}

/// What is known of a host. Nothing of an account that has none.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn of(state: &dyn Reader, address: &Address) -> Result<Record, Fault> {
    match HOSTS.get(state, address)? {
        Some(host) => record_of(state, address, &host),
        None => Ok(Record::default()),
    }
}

/// As [`of`], for a host that is known.
pub(crate) fn record_of(state: &dyn Reader, address: &Address, host: &Host) -> Result<Record, Fault> {
    match WEIGHTS.get(state, address)? {
        // Who left and came back starts from nothing.
        Some(record) if host.since <= record.raced => Ok(record),
        _ if !proven(state)? => Ok(Record { now: host.weight, before: host.weight, ..Record::default() }),
        _ => Ok(Record::default()),
    }
}

/// The weight of an account's host that counts for power.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn power(state: &dyn Reader, address: &Address) -> Result<u64, Fault> {
    Ok(of(state, address)?.power())
}

/// The sum of what all hosts proved in the latest race.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn total(state: &dyn Reader) -> Result<u128, Fault> {
    Ok(TOTAL.require(state)?.weight)
}

/// Whether any race has settled.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn proven(state: &dyn Reader) -> Result<bool, Fault> {
    Ok(TOTAL.require(state)?.settled.is_some())
}
