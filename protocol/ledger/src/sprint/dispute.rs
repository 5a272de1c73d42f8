//! Where word stands against word: demands, accusations, trials.

use freeway_primitives::{Address, Amount, Digest};
use freeway_proofs::sprint::{Opening, Position};

use super::duty::{active, challenged, entry, on, standing, until};
use super::query::{is_judge, judges, positions};
use super::{
    ACCUSERS, COMMITTEES, DEMANDS, DUE, Demanded, ENTRIES, Event, Failure, JURY, Judgement, Juror, LIARS,
    OPEN_TRIALS, Race, Ruling, TRIALS, Trial, Void, emit, fail, number,
};
use crate::context::Context;
use crate::error::Error;
use crate::state::Fault;
use crate::vaults::Vault;
use crate::{accounts, hosts, weights};

/// How many entries are read at once.
const PAGE: usize = 256;

/// Moves `amount` from the caller's balance into bonds.
fn put_up(context: &mut Context<'_, '_>, amount: Amount) -> Result<(), Error> {
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

pub(super) fn demand(context: &mut Context<'_, '_>, host: &Address, indices: &[u16]) -> Result<(), Error> {
    let race = on(context)?;
    let challenged = challenged(&race)?;
    until(context, challenged.until)?;
    let (host, member, limit) = (*host, context.caller, race.rules.max_demand_positions);
    if indices.is_empty() {
        return fail(Failure::Empty);
    }
    if number(indices.len()) > limit {
        return fail(Failure::TooManyPositions { limit });
    }
    if !COMMITTEES.get(context.state, &host)?.unwrap_or_default().contains(&member) {
        return fail(Failure::Unsolicited { host });
    }
    let entry = standing(context, &host)?;
    let places = entry.commitment.total().min(u64::from(race.rules.leaves));
    let mut items = DEMANDS.get(context.state, &(host, member))?.unwrap_or_default();
    let (until, bond) = (context.block.height.plus(race.rules.answer_blocks), race.rules.demand_bond);
    for index in indices {
        if u64::from(*index) >= places {
            return fail(Failure::UnknownPosition { index: *index });
        }
        if items.iter().any(|item| item.index == *index) {
            return fail(Failure::AlreadyDemanded { index: *index });
        }
        put_up(context, bond)?;
        items.push(Demanded { index: *index, until, bond, leaf: None });
    }
    DEMANDS.set(context.state, &(host, member), &items);
    DUE.set(context.state, &(until, (host, member)), &());
    emit(context, Event::Demanded { host, member, leaves: number(indices.len()), until });
    Ok(())
}

pub(super) fn answer(
    context: &mut Context<'_, '_>,
    member: &Address,
    openings: &[Opening],
) -> Result<(), Error> {
    let race = on(context)?;
    let challenged = challenged(&race)?;
    let (host, member) = (context.caller, *member);
    if openings.is_empty() {
        return fail(Failure::Empty);
    }
    // Also for a void host: whatever it shows may be evidence.
    let entry = entry(context, &host)?;
    let places = positions(&challenged.challenge, &host, &member, &entry.commitment, &race.rules);
    let mut items = DEMANDS.get(context.state, &(host, member))?.unwrap_or_default();
    let mut earned = Amount::ZERO;
    for opening in openings {
        let asked = |item: &&mut Demanded| {
            item.leaf.is_none() && places.get(usize::from(item.index)) == Some(&opening.position)
        };
        let Some(item) = items.iter_mut().find(asked) else { return fail(Failure::NotDemanded) };
        until(context, item.until)?;
        if !opening.verify(&entry.commitment) {
            return fail(Failure::WrongOpening);
        }
        item.leaf = Some(opening.leaf);
        crate::module::add(&mut earned, core::mem::take(&mut item.bond))?;
    }
    DEMANDS.set(context.state, &(host, member), &items);
    pay(context, &host, earned)?;
    emit(context, Event::Answered { host, member, leaves: number(openings.len()) });
    Ok(())
}

/// Demands whose time is over: what was not answered is withheld, and the bond comes back. As many as one block
/// can demand.
pub(super) fn expire(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    loop {
        let page = DUE.page(context.state, None, PAGE)?;
        let mut passed = 0;
        for ((until, (host, member)), ()) in &page {
            if context.block.height <= *until {
                return Ok(());
            }
            passed += 1;
            DUE.remove(context.state, &(*until, (*host, *member)));
            let mut items = DEMANDS.get(context.state, &(*host, *member))?.unwrap_or_default();
            let mut back = Amount::ZERO;
            let mut withheld = false;
            for item in items.iter_mut().filter(|item| item.until <= *until && item.leaf.is_none()) {
                withheld = true;
                crate::module::add(&mut back, core::mem::take(&mut item.bond))?;
            }
            if !withheld {
                continue;
            }
            DEMANDS.set(context.state, &(*host, *member), &items);
            pay(context, member, back)?;
            annul(context, host, Void::Withheld)?;
        }
        if passed < PAGE {
            return Ok(());
        }
    }
}

/// Makes a host's race void, unless it is. Says so.
pub(super) fn annul(context: &mut Context<'_, '_>, host: &Address, reason: Void) -> Result<(), Fault> {
    let Some(mut entry) = ENTRIES.get(context.state, host)? else { return Ok(()) };
    // A conviction says more than what was missing before.
    if entry.void.is_none() || reason == Void::Convicted {
        entry.void = Some(reason);
        ENTRIES.set(context.state, host, &entry);
        emit(context, Event::Voided { host: *host, reason });
    }
    Ok(())
}

pub(super) fn accuse(context: &mut Context<'_, '_>, host: &Address, opening: &Opening) -> Result<(), Error> {
    let race = on(context)?;
    let single = challenged(&race)?.single_operator;
    if let Some(drawn) = &race.drawn {
        until(context, drawn.until)?;
    }
    let (accuser, own) = (context.caller, active(context)?);
    // A host whose race is void for what it did not show may still be convicted for what it did.
    let entry = entry(context, host)?;
    if entry.void == Some(Void::Convicted) {
        standing(context, host)?;
    }
    if accuser == *host || (!single && own.profile.operator == entry.operator) {
        return fail(Failure::OwnOperator);
    }
    let mut account = ACCUSERS.get(context.state, &accuser)?.unwrap_or_default();
    if account.lost {
        return fail(Failure::Distrusted);
    }
    let place = (*host, opening.position);
    if TRIALS.get(context.state, &place)?.is_some() {
        return fail(Failure::AlreadyOnTrial);
    }
    if account.open >= race.rules.max_trials_of_accuser || !has_room(context, &race, host)? {
        return fail(Failure::TooManyTrials);
    }
    if !opening.verify(&entry.commitment) {
        return fail(Failure::WrongOpening);
    }
    let bond = race.rules.accusation_bond;
    put_up(context, bond)?;
    account.open = account.open.saturating_add(1);
    ACCUSERS.set(context.state, &accuser, &account);
    open_trial(context, place, opening.leaf, Some(accuser), bond, Vec::new())?;
    Ok(())
}

/// Whether one more trial against `host` can be opened.
fn has_room(context: &Context<'_, '_>, race: &Race, host: &Address) -> Result<bool, Fault> {
    if OPEN_TRIALS.require(context.state)? >= race.rules.max_trials {
        return Ok(false);
    }
    let open = trials_of(context, host)?.into_iter().filter(|(_, trial)| trial.ruling.is_none()).count();
    Ok(number(open) < race.rules.max_trials_of_host)
}

/// The trials against a host in this race.
fn trials_of(context: &Context<'_, '_>, host: &Address) -> Result<Vec<(Position, Trial)>, Fault> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = TRIALS.page_under(context.state, &host.0, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(all) };
        after = Some(*last);
        all.extend(page.into_iter().map(|((_, position), trial)| (position, trial)));
    }
}

fn open_trial(
    context: &mut Context<'_, '_>,
    (host, position): (Address, Position),
    leaf: Digest,
    accuser: Option<Address>,
    bond: Amount,
    members: Vec<Address>,
) -> Result<(), Fault> {
    let opened = context.block.height;
    let trial =
        Trial { leaf, accuser, bond, members, opened, guilty: 0, innocent: 0, judged: 0, ruling: None };
    TRIALS.set(context.state, &(host, position), &trial);
    let open = OPEN_TRIALS.require(context.state)?;
    OPEN_TRIALS.set(context.state, &open.saturating_add(1));
    emit(context, Event::TrialOpened { host, position });
    Ok(())
}

/// The caller revealed a trace that is not what `member` said: the leaf is tried, unless it was. Without room for
/// another trial it is known only that one of them is false, which counts against neither.
pub(super) fn contradict(
    context: &mut Context<'_, '_>,
    race: &Race,
    position: Position,
    leaf: Digest,
    member: Address,
) -> Result<(), Error> {
    let host = context.caller;
    match TRIALS.get(context.state, &(host, position))? {
        Some(mut trial) => {
            if trial.ruling == Some(Ruling::Innocent) {
                false_verdict(context, member, host)?;
            }
            trial.members.push(member);
            TRIALS.set(context.state, &(host, position), &trial);
        }
        None if has_room(context, race, &host)? => {
            open_trial(context, (host, position), leaf, None, Amount::ZERO, vec![member])?;
        }
        None => {}
    }
    Ok(())
}

fn false_verdict(context: &mut Context<'_, '_>, member: Address, host: Address) -> Result<(), Fault> {
    LIARS.set(context.state, &member, &());
    emit(context, Event::FalseVerdict { member, host });
    weights::distrust(context, &member)
}

pub(super) fn judge(context: &mut Context<'_, '_>, judgements: &[Judgement]) -> Result<(), Error> {
    let race = on(context)?;
    challenged(&race)?;
    if judgements.is_empty() {
        return fail(Failure::Empty);
    }
    if number(judgements.len()) > race.rules.max_trials {
        return fail(Failure::TooManyTrials);
    }
    let jury = JURY.require(context.state)?;
    let mut counted = false;
    for judgement in judgements {
        counted |= judge_one(context, &race, &jury, judgement)?;
    }
    if counted { Ok(()) } else { fail(Failure::NoTrial) }
}

/// Counts a judgement, unless the trial was decided meanwhile: that is no reason to lose the others.
fn judge_one(
    context: &mut Context<'_, '_>,
    race: &Race,
    jury: &[Juror],
    judgement: &Judgement,
) -> Result<bool, Error> {
    let Judgement { host, position, guilty } = *judgement;
    let place = (host, position);
    let (Some(mut trial), Some(entry)) =
        (TRIALS.get(context.state, &place)?, ENTRIES.get(context.state, &host)?)
    else {
        return fail(Failure::NoTrial);
    };
    if trial.ruling.is_some() {
        return Ok(false);
    }
    let judge = is_judge(jury, race, &entry, &host, &context.caller);
    let Some((juror, bit)) = judge.and_then(|i| Some((jury.get(i)?, 1u128.checked_shl(number(i))?))) else {
        return fail(Failure::NotAJudge);
    };
    if trial.judged & bit != 0 {
        return fail(Failure::AlreadyJudged);
    }
    trial.judged |= bit;
    let side = if guilty { &mut trial.guilty } else { &mut trial.innocent };
    *side = side.saturating_add(juror.power);
    let all: u128 =
        jury.iter().filter(|juror| judges(juror, race, &entry, &host)).map(|j| u128::from(j.power)).sum();
    let decides = |power: u64| u128::from(power) * 3 > all * 2;
    if decides(trial.guilty) {
        convict(context, race, place, trial)?;
    } else if decides(trial.innocent) {
        acquit(context, place, trial)?;
    } else {
        TRIALS.set(context.state, &place, &trial);
    }
    Ok(true)
}

/// A trial ends: its accuser has one open trial less.
fn end(context: &mut Context<'_, '_>, trial: &Trial, lost: bool) -> Result<(), Fault> {
    let open = OPEN_TRIALS.require(context.state)?;
    OPEN_TRIALS.set(context.state, &open.saturating_sub(1));
    if let Some(accuser) = trial.accuser {
        let mut account = ACCUSERS.get(context.state, &accuser)?.unwrap_or_default();
        account.open = account.open.saturating_sub(1);
        account.lost |= lost;
        ACCUSERS.set(context.state, &accuser, &account);
    }
    Ok(())
}

/// The leaf is wrong. All other trials against the host end without a ruling: there is nothing left to decide.
fn convict(
    context: &mut Context<'_, '_>,
    race: &Race,
    (host, position): (Address, Position),
    trial: Trial,
) -> Result<(), Fault> {
    TRIALS.set(context.state, &(host, position), &trial);
    for (other, mut trial) in trials_of(context, &host)? {
        if trial.ruling.is_some() {
            continue;
        }
        trial.ruling = Some(if other == position { Ruling::Guilty } else { Ruling::Moot });
        end(context, &trial, false)?;
        let bond = core::mem::take(&mut trial.bond);
        TRIALS.set(context.state, &(host, other), &trial);
        if let Some(accuser) = trial.accuser {
            pay(context, &accuser, bond)?;
        }
    }
    annul(context, &host, Void::Convicted)?;
    let penalty = hosts::slash(context, &host, race.rules.conviction_thousandths, 1_000)?;
    weights::distrust(context, &host)?;
    emit(context, Event::Convicted { host, position, penalty });
    Ok(())
}

/// The leaf is right: who accused loses the bond, and whose tag was another gave a false verdict.
fn acquit(
    context: &mut Context<'_, '_>,
    (host, position): (Address, Position),
    mut trial: Trial,
) -> Result<(), Fault> {
    trial.ruling = Some(Ruling::Innocent);
    end(context, &trial, true)?;
    let bond = core::mem::take(&mut trial.bond);
    if !bond.is_zero() {
        context.shift(Vault::Bonds, Vault::Pool, bond)?;
    }
    TRIALS.set(context.state, &(host, position), &trial);
    emit(context, Event::Acquitted { host, position });
    for member in trial.members {
        false_verdict(context, member, host)?;
    }
    Ok(())
}
