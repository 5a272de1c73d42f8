//! The end of a race: results, and the records swept away.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::Address;

use super::query::{drawn_positions, mask};
use super::{
    ACCUSERS, AbandonReason, COMMITTEES, DEMANDS, DUE, Drawn, ENTRIES, End, Entry, Event, HostResult, LATEST,
    LIARS, LITTER, RESULTS, REVEALED, Race, Revealed, Ruling, Settled, TRIALS, VERDICTS, Void, dispute, emit,
    number, race,
};
use crate::context::Context;
use crate::hosts::{HOSTS, Status};
use crate::state::{Fault, Key, Overlay, Reader, Table};
use crate::weights::{self, Raced};

/// How many entries are read at once.
const PAGE: usize = 256;

/// How many records a block sweeps away.
const SWEPT_PER_BLOCK: usize = 1_024;

/// All commitments of the race; at most as many as there are hosts.
pub(super) fn all_entries(state: &dyn Reader) -> Result<Vec<(Address, Entry)>, Fault> {
    let mut entries: Vec<(Address, Entry)> = Vec::new();
    loop {
        let page = ENTRIES.page(state, entries.last().map(|(host, _)| host), PAGE)?;
        if page.is_empty() {
            return Ok(entries);
        }
        entries.extend(page);
    }
}

/// Ends a race without results.
pub(super) fn abandon(context: &mut Context<'_, '_>, race: &Race, reason: AbandonReason) -> End {
    let height = context.block.height;
    emit(context, Event::RaceAbandoned { epoch: race.epoch, reason });
    race::close(context);
    End::Abandoned { height, reason }
}

/// Ends a race with results, unless nobody proved anything.
pub(super) fn settle(context: &mut Context<'_, '_>, race: &Race) -> Result<End, Fault> {
    let Some(drawn) = &race.drawn else { return Ok(abandon(context, race, AbandonReason::NoRandomness)) };
    let entries = all_entries(context.state)?;
    let (mut results, mut members) = (BTreeMap::new(), BTreeMap::new());
    for (host, entry) in &entries {
        results.insert(*host, judge_host(context.state, race, drawn, host, entry, &mut members)?);
    }
    let standing = limit_growth(context.state, &mut results)?;
    let weight: u128 = results.values().map(|result| u128::from(result.weight)).sum();
    if weight == 0 {
        return Ok(abandon(context, race, AbandonReason::NothingProven));
    }
    for (member, duty) in members {
        let result: &mut HostResult = results.entry(member).or_default();
        (result.owed, result.done) = (duty.owed, duty.done);
        if LIARS.contains(context.state, &member)? {
            result.done = 0;
        }
    }
    publish(context, &entries, &results)?;
    let mut raced = BTreeMap::new();
    for (host, result) in &results {
        let lied = LIARS.contains(context.state, host)?;
        raced.insert(
            *host,
            Raced {
                weight: result.weight,
                took_part: result.count > 0,
                clean: result.count > 0 && result.void.is_none() && result.done == result.owed && !lied,
                owed: result.owed,
                done: result.done,
            },
        );
    }
    weights::settle(context, race.epoch, &raced)?;
    let (height, hosts, proven) = (context.block.height, number(entries.len()), standing);
    LATEST.set(context.state, &Some(Settled { epoch: race.epoch, height, hosts, proven, weight }));
    emit(context, Event::RaceSettled { epoch: race.epoch, hosts, proven });
    race::close(context);
    Ok(End::Settled { height })
}

/// A member's duties in a race.
#[derive(Clone, Copy, Default)]
struct Duty {
    owed: u32,
    done: u32,
}

/// What a host proved, and what the members of its committee did.
fn judge_host(
    state: &dyn Reader,
    race: &Race,
    drawn: &Drawn,
    host: &Address,
    entry: &Entry,
    members: &mut BTreeMap<Address, Duty>,
) -> Result<HostResult, Fault> {
    let count = entry.commitment.total();
    let committee = COMMITTEES.get(state, host)?.unwrap_or_default();
    let mut result =
        HostResult { count, void: entry.void, committee: number(committee.len()), ..HostResult::default() };
    let places = usize::try_from(count.min(u64::from(race.rules.leaves))).unwrap_or(usize::MAX);
    for member in &committee {
        let duty = members.entry(*member).or_default();
        if !VERDICTS.contains(state, &(*host, *member))? {
            duty.owed = duty.owed.saturating_add(1);
            continue;
        }
        let due = drawn_positions(&drawn.draw, host, member, places, &race.rules).len();
        let revealed = REVEALED.get(state, &(*host, *member))?.unwrap_or_default();
        let all = (0..number(due)).fold(0, |bits, bit| bits | mask(bit));
        if revealed.done != all && result.void.is_none() {
            result.void = Some(Void::Unrevealed);
        }
        match standing(state, host, member, revealed)? {
            // Word against word, and no ruling: it counts neither for the member nor against it.
            None => {}
            Some(true) => {
                (duty.owed, duty.done) = (duty.owed.saturating_add(1), duty.done.saturating_add(1));
                let confirms = revealed.done == all && revealed.contradicted == 0;
                result.confirmed = result.confirmed.saturating_add(u32::from(confirms));
            }
            Some(false) => duty.owed = duty.owed.saturating_add(1),
        }
    }
    if result.void.is_none() {
        result.weight = race.rules.weight(count);
    }
    Ok(result)
}

/// Whether a member's verdict on a host stands; `None` if nobody can say.
fn standing(
    state: &dyn Reader,
    host: &Address,
    member: &Address,
    revealed: Revealed,
) -> Result<Option<bool>, Fault> {
    if revealed.contradicted == 0 {
        return Ok(Some(true));
    }
    let (mut refuted, mut vindicated, mut after) = (false, false, None);
    loop {
        let page = TRIALS.page_under(state, &host.0, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        for (_, trial) in page {
            vindicated |= trial.ruling == Some(Ruling::Guilty);
            refuted |= trial.ruling == Some(Ruling::Innocent) && trial.members.contains(member);
        }
    }
    Ok(if refuted { Some(false) } else { vindicated.then_some(true) })
}

/// What no member confirmed proves nothing new: such a host keeps at most the weight it had. Gives the number of
/// hosts with weight.
fn limit_growth(state: &dyn Reader, results: &mut BTreeMap<Address, HostResult>) -> Result<u32, Fault> {
    let mut hosts = 0u32;
    for (host, result) in results {
        if result.confirmed == 0 {
            result.weight = result.weight.min(weights::of(state, host)?.now);
        }
        // Who was removed for good proves nothing any more.
        if HOSTS.get(state, host)?.is_none_or(|host| host.status == Status::Removed) {
            result.weight = 0;
        }
        hosts = hosts.saturating_add(u32::from(result.weight > 0));
    }
    Ok(hosts)
}

/// Replaces the results of the race before, and says what each host proved.
fn publish(
    context: &mut Context<'_, '_>,
    entries: &[(Address, Entry)],
    results: &BTreeMap<Address, HostResult>,
) -> Result<(), Fault> {
    loop {
        let page = RESULTS.page(context.state, None, PAGE)?;
        if page.is_empty() {
            break;
        }
        for (host, _) in page {
            RESULTS.remove(context.state, &host);
        }
    }
    for (host, result) in results {
        RESULTS.set(context.state, host, result);
    }
    for (host, entry) in entries {
        let Some(result) = results.get(host) else { continue };
        match (entry.void, result.void) {
            (None, Some(reason)) => emit(context, Event::Voided { host: *host, reason }),
            // Said when it happened.
            (Some(_), _) => {}
            (None, None) => {
                let (weight, confirmed) = (result.weight, result.confirmed);
                emit(context, Event::Proven { host: *host, weight, confirmed });
            }
        }
    }
    Ok(())
}

/// Removes records of a race that is over, as many as one block may. Bonds that are left in them go back.
pub(super) fn sweep(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let mut left = SWEPT_PER_BLOCK;
    let mut back = Vec::new();
    for ((_, member), items) in take(context.state, &DEMANDS, &mut left)? {
        back.extend(items.into_iter().map(|item| (member, item.bond)));
    }
    for (_, trial) in take(context.state, &TRIALS, &mut left)? {
        back.extend(trial.accuser.map(|accuser| (accuser, trial.bond)));
    }
    for (account, bond) in back {
        dispute::pay(context, &account, bond)?;
    }
    take(context.state, &ENTRIES, &mut left)?;
    take(context.state, &COMMITTEES, &mut left)?;
    take(context.state, &VERDICTS, &mut left)?;
    take(context.state, &REVEALED, &mut left)?;
    take(context.state, &DUE, &mut left)?;
    take(context.state, &ACCUSERS, &mut left)?;
    take(context.state, &LIARS, &mut left)?;
    if left > 0 {
        LITTER.set(context.state, &false);
    }
    Ok(())
}

/// Takes at most `left` entries out of a table, and counts them.
fn take<K, V>(state: &mut Overlay<'_>, table: &Table<K, V>, left: &mut usize) -> Result<Vec<(K, V)>, Fault>
where
    K: Key,
    V: BorshSerialize + BorshDeserialize,
{
    let page = table.page(state, None, *left)?;
    for (key, _) in &page {
        table.remove(state, key);
    }
    *left = left.saturating_sub(page.len());
    Ok(page)
}
