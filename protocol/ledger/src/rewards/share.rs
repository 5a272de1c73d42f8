//! The switch: who gets what of an epoch.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount};

use super::{CARRIED, DUTIES, DUTY_BITS, Duty, EARNINGS, Event, FORFEITED, Grant, Params, emission, emit};
use crate::context::Context;
use crate::epochs::power::{Candidate, MAX_POWER, cap_operators};
use crate::hosts::{self, Host, Status};
use crate::lanes::{self, Earned};
use crate::module;
use crate::state::{Fault, Key, Overlay, Table};
use crate::vaults::Vault;
use crate::{accounts, sprint, weights};

/// How many entries are read at once.
const PAGE: usize = 256;

/// What the switch knows of a host.
struct Member {
    host: Host,
    /// Its power, before caps and without regard to collateral: emission is what a host without any begins with.
    power: u64,
    /// The part of its duties that it did, in parts of 2^16.
    duty: u64,
    /// Whether it was slashed in this epoch. Such a host stands in all sums, so that nobody gains by its fall.
    forfeited: bool,
}

impl Member {
    fn is_in_office(&self) -> bool {
        self.forfeited || matches!(self.host.status, Status::Active | Status::Leaving)
    }
}

/// Makes the epoch's emission and shares it out, and what verifiers are owed with it.
pub(super) fn out(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let epoch = context.clock.epoch;
    let duties: BTreeMap<Address, Duty> = take(context.state, &DUTIES)?.into_iter().collect();
    let forfeited: BTreeSet<Address> =
        take(context.state, &FORFEITED)?.into_iter().map(|(host, ())| host).collect();
    let verdicts = pay_verifiers(context, &duties, &forfeited)?;
    let members = members(context, &duties, &forfeited)?;

    let params = &context.params.rewards;
    let emission = emission(params, epoch);
    let half = part(emission, params.capacity_thousandths, 1_000)?;
    let capacity = by_weight(&members, half, context.params.epochs.operator_cap_thousandths);
    let half = less(emission, half)?;
    let served = by_fees(context, half)?;
    let mut rest = emission;
    for (host, member) in &members {
        let due = |shares: &BTreeMap<Address, Amount>| {
            let share = shares.get(host).copied().unwrap_or_default();
            let earns = !member.forfeited && member.host.status != Status::Removed;
            let parts = if earns { member.duty } else { 0 };
            part(share, parts, 1 << DUTY_BITS)
        };
        let mut grant = Grant { epoch, capacity: due(&capacity)?, served: due(&served)?, ..Grant::default() };
        grant.verdicts = verdicts.get(host).copied().unwrap_or_default();
        rest = less(rest, emitted_in(&grant)?)?;
        give(context, host, member, grant)?;
    }
    if !rest.is_zero() {
        context.mint(Vault::Pool, rest)?;
    }
    if !emission.is_zero() {
        emit(context, Event::Emitted { epoch, emission, pooled: rest });
    }
    Ok(())
}

/// Takes all entries out of a table that has at most one for each host.
fn take<V>(state: &mut Overlay<'_>, table: &Table<Address, V>) -> Result<Vec<(Address, V)>, Fault>
where
    Address: Key,
    V: BorshSerialize + BorshDeserialize,
{
    let mut all = Vec::new();
    loop {
        let page = table.page(state, None, PAGE)?;
        if page.is_empty() {
            return Ok(all);
        }
        for (key, _) in &page {
            table.remove(state, key);
        }
        all.extend(page);
    }
}

/// Shares out what verifiers are owed by verdicts done. The part of a slashed host stays for the next epoch, and so
/// does what cannot be divided.
fn pay_verifiers(
    context: &mut Context<'_, '_>,
    duties: &BTreeMap<Address, Duty>,
    forfeited: &BTreeSet<Address>,
) -> Result<BTreeMap<Address, Amount>, Fault> {
    let mut pot = CARRIED.require(context.state)?;
    module::add(&mut pot, lanes::take_verifier_pot(context)?)?;
    let all: u64 = duties.values().map(|duty| u64::from(duty.done)).fold(0, u64::saturating_add);
    let (mut paid, mut left) = (BTreeMap::new(), pot);
    for (member, duty) in duties {
        let amount = pot.fraction(u64::from(duty.done), all).unwrap_or_default();
        if amount.is_zero() || forfeited.contains(member) {
            continue;
        }
        left = less(left, amount)?;
        context.shift(Vault::Rewards, Vault::Accounts, amount)?;
        accounts::credit(context, member, amount)?;
        paid.insert(*member, amount);
    }
    CARRIED.set(context.state, &left);
    Ok(paid)
}

/// All hosts, with what counts for their part.
fn members(
    context: &Context<'_, '_>,
    duties: &BTreeMap<Address, Duty>,
    forfeited: &BTreeSet<Address>,
) -> Result<BTreeMap<Address, Member>, Fault> {
    // Duties in a race count once: in the epoch in which it settled.
    let raced = sprint::LATEST.require(context.state)?.is_some_and(|race| race.epoch == context.clock.epoch);
    let mut members = BTreeMap::new();
    for (address, host) in hosts::all(context.state)? {
        let record = weights::record_of(context.state, &address, &host)?;
        let of_race = Duty { owed: record.owed, done: record.done };
        let of_race = if raced { of_race.factor() } else { Duty::default().factor() };
        let of_work = duties.get(&address).copied().unwrap_or_default().factor();
        members.insert(
            address,
            Member {
                host,
                power: record.power().min(MAX_POWER),
                // Each kind by itself: many easy checks do not make up for a few hard ones.
                duty: (of_race * of_work) >> DUTY_BITS,
                forfeited: forfeited.contains(&address),
            },
        );
    }
    Ok(members)
}

/// The capacity part: by power, operators capped.
fn by_weight(members: &BTreeMap<Address, Member>, half: Amount, cap: u64) -> BTreeMap<Address, Amount> {
    let in_office = members.iter().filter(|(_, member)| member.is_in_office() && member.power > 0);
    let candidate = |(address, member): (&Address, &Member)| Candidate {
        address: *address,
        key: member.host.profile.consensus_key,
        operator: member.host.profile.operator.clone(),
        power: member.power,
    };
    let mut candidates: Vec<Candidate> = in_office.map(candidate).collect();
    cap_operators(&mut candidates, cap);
    let all: u128 = candidates.iter().map(|candidate| u128::from(candidate.power)).sum();
    let share = |candidate: Candidate| {
        // 2^63 x 2^50 at most.
        let product = half.0.saturating_mul(u128::from(candidate.power));
        (candidate.address, Amount(product.checked_div(all).unwrap_or_default()))
    };
    candidates.into_iter().map(share).collect()
}

/// The served part: by fees, each at most the training fund's part of them.
fn by_fees(context: &mut Context<'_, '_>, half: Amount) -> Result<BTreeMap<Address, Amount>, Fault> {
    let earned = lanes::take_earned(context)?;
    let lanes = &context.params.lanes;
    let (training, verifiers) = (lanes.training_parts, lanes.verifier_parts);
    let mut all = Amount::ZERO;
    for (_, earned) in &earned {
        module::add(&mut all, earned.fees)?;
    }
    let share = |(host, Earned { fees, others })| {
        let kept = training.saturating_add(verifiers);
        let most = Amount::fraction(others, training, kept).unwrap_or_default();
        (host, proportion(half, fees, all).min(most))
    };
    Ok(earned.into_iter().map(share).collect())
}

/// `half x part / all`, rounded down. The lowest bits of fees that need more than 64 do not count.
fn proportion(half: Amount, part: Amount, all: Amount) -> Amount {
    let shift = (u128::BITS - all.0.leading_zeros()).saturating_sub(u64::BITS);
    // The parts' sum is still at most the whole, and half is at most 2^63.
    let product = half.0.saturating_mul(part.0 >> shift);
    Amount(product.checked_div(all.0 >> shift).unwrap_or_default())
}

/// Gives a host its part: into its collateral as far as its weight needs, the rest into vesting.
fn give(
    context: &mut Context<'_, '_>,
    address: &Address,
    member: &Member,
    mut grant: Grant,
) -> Result<(), Fault> {
    let emitted = emitted_in(&grant)?;
    if emitted.is_zero() && grant.verdicts.is_zero() {
        return Ok(());
    }
    grant.bonded = emitted.min(missing_collateral(context, member));
    if !grant.bonded.is_zero() {
        context.mint(Vault::Collateral, grant.bonded)?;
        hosts::endow(context, address, grant.bonded)?;
    }
    let vests = less(emitted, grant.bonded)?;
    if !vests.is_zero() {
        context.mint(Vault::Rewards, vests)?;
    }
    let Params { vesting_epochs, .. } = context.params.rewards;
    let mut earnings = EARNINGS.get(context.state, address)?.unwrap_or_default();
    earnings.vesting.grant(grant.epoch, vesting_epochs, vests)?;
    module::add(&mut earnings.granted, vests)?;
    module::add(&mut earnings.bonded, grant.bonded)?;
    module::add(&mut earnings.verdicts, grant.verdicts)?;
    earnings.last = grant;
    EARNINGS.set(context.state, address, &earnings);
    emit(context, Event::Granted { host: *address, grant });
    Ok(())
}

/// What a host's collateral lacks to back its power. Nothing if it is taking collateral out: else emission would come
/// free by that way sooner than by vesting.
fn missing_collateral(context: &Context<'_, '_>, member: &Member) -> Amount {
    if member.host.status != Status::Active || !member.host.unbonding.is_empty() {
        return Amount::ZERO;
    }
    let needed = context.params.hosts.collateral_per_power.0.saturating_mul(u128::from(member.power));
    Amount(needed.saturating_sub(member.host.collateral.0))
}

/// A host's emission in all.
fn emitted_in(grant: &Grant) -> Result<Amount, Fault> {
    let mut sum = grant.capacity;
    module::add(&mut sum, grant.served)?;
    Ok(sum)
}

fn part(amount: Amount, parts: u64, whole: u64) -> Result<Amount, Fault> {
    amount.fraction(parts, whole).ok_or_else(|| Fault("a part of emission is no fraction".into()))
}

fn less(amount: Amount, part: Amount) -> Result<Amount, Fault> {
    amount.checked_sub(part).ok_or_else(|| Fault("more is given away than there is".into()))
}
