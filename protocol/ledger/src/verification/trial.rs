//! Trials: a jury computes again what is in question.

use std::collections::BTreeSet;

use freeway_primitives::{Address, Amount, Digest};

use super::due::{close, open, pay, put_up};
use super::duty::{covers, current, decided, is_contradicted, is_false, is_leaf, until};
use super::query::{is_judge, prefix, samples_of, under};
use super::{
    Accusation, Case, Due, Event, Failure, Finding, Judgement, Juror, Leaf, OPEN_TRIALS, Ruling, TRIALS,
    Trial, VERDICTS, emit, fail, fate,
};
use crate::context::Context;
use crate::error::Error;
use crate::genesis::Text;
use crate::hosts::HOSTS;
use crate::lanes::{self, LANES};
use crate::models::Tier;
use crate::state::Fault;
use crate::vaults::Vault;
use crate::work::{COMMITS, Commitment, State, Void};

/// Operators that must agree on a ruling. With fewer in the jury, no collateral is at stake.
const MIN_OPERATORS: usize = 3;

/// The most judgements in one message.
const MAX_JUDGEMENTS: usize = 256;

/// Whether a commitment can still be tried: also one that does not pay because of what its host did not show.
fn can_be_tried(commitment: &Commitment) -> bool {
    !matches!(commitment.state, State::Matured | State::Convicted | State::Void(Void::Forfeited))
}

pub(super) fn accuse(context: &mut Context<'_, '_>, accusation: &Accusation) -> Result<(), Error> {
    let Accusation { interval, host, leaf, receipt } = accusation;
    let (interval, host, accuser) = (*interval, *host, context.caller);
    let (commitment, round) = current(context, interval, &host)?;
    if !can_be_tried(&commitment) {
        return fail(decided(&commitment));
    }
    if let Some(closing) = &round.closing {
        until(context, closing.until)?;
    }
    let own = operator_of(context, &accuser)?;
    let is_own = own.as_ref() == Some(&commitment.operator) && !waived(context);
    if accuser == host || is_own {
        return fail(Failure::OwnOperator);
    }
    let Some(before) = is_leaf(&commitment, leaf, receipt) else { return fail(Failure::WrongLeaf) };
    let case = case_of(interval, host, leaf);
    if TRIALS.contains(context.state, &case)? {
        return fail(Failure::AlreadyOnTrial);
    }
    if !has_room(context, interval, &host)? {
        return fail(Failure::TooManyTrials);
    }
    let jury = jury(context, &host, &commitment, leaf, Concerned::Accuser(accuser))?;
    if jury.is_empty() {
        return fail(Failure::NoJury);
    }
    let bond = context.params.verification.accusation_bond;
    put_up(context, bond)?;
    let places = places(interval, &host, &commitment, leaf, before);
    let stake = (Some(accuser), bond);
    open_trial(context, case, leaf.entry.receipt, stake, Vec::new(), places, jury, &commitment)?;
    Ok(())
}

fn case_of(interval: u64, host: Address, leaf: &Leaf) -> Case {
    (interval, (host, (u64::from(leaf.branch), leaf.opening.index)))
}

fn operator_of(context: &Context<'_, '_>, account: &Address) -> Result<Option<Text>, Fault> {
    Ok(HOSTS.get(context.state, account)?.map(|host| host.profile.operator))
}

/// Whether hosts of one operator may judge each other: only where the network says so.
fn waived(context: &Context<'_, '_>) -> bool {
    !context.params.lanes.operator_independence
}

/// Whether one more trial about a commitment can be opened.
fn has_room(context: &Context<'_, '_>, interval: u64, host: &Address) -> Result<bool, Fault> {
    let rules = &context.params.verification;
    if OPEN_TRIALS.require(context.state)? >= rules.max_trials {
        return Ok(false);
    }
    let all = under(context.state, &TRIALS, &prefix(interval, host))?;
    let open = all.iter().filter(|(_, trial)| trial.ruling.is_none()).count();
    Ok(open < rules.max_trials_of_commitment as usize)
}

/// Which of the branch's samples lie in a leaf.
fn places(interval: u64, host: &Address, commitment: &Commitment, leaf: &Leaf, before: u128) -> Vec<u32> {
    let samples = samples_of(interval, host, commitment, leaf.branch);
    let within = samples.iter().filter(|(_, sample)| covers(leaf, before, sample.point));
    within.filter_map(|(_, sample)| u32::try_from(sample.place).ok()).collect()
}

/// Those whose word a trial is about, beside the accused.
enum Concerned<'a> {
    /// Who says that the leaf is wrong, under a bond.
    Accuser(Address),
    /// Members whose tags a revelation contradicts.
    Members(&'a [Address]),
}

/// Who can judge a leaf: all that could have been asked to check it, without the operators of those concerned. If that
/// leaves fewer operators than may take collateral, an accuser stays in: it has computed the leaf as any juror does, and
/// two thirds of all power that may speak are still needed. Otherwise four hosts could convict nobody. Members whose
/// tags are in question never judge: a lazy one would only have to be silent.
fn jury(
    context: &Context<'_, '_>,
    host: &Address,
    commitment: &Commitment,
    leaf: &Leaf,
    concerned: Concerned<'_>,
) -> Result<Vec<Juror>, Fault> {
    let Some(branch) = commitment.branches.get(usize::from(leaf.branch)) else { return Ok(Vec::new()) };
    let mut parties = vec![*host];
    parties.extend(LANES.get(context.state, &leaf.entry.lane)?.map(|lane| lane.payer));
    let mut operators = vec![commitment.operator.clone()];
    for account in &parties {
        operators.extend(operator_of(context, account)?);
    }
    let mut candidates = lanes::candidates(context.state, &branch.model)?;
    let single = waived(context) && candidates.iter().all(|one| one.operator == commitment.operator);
    candidates.retain(|candidate| {
        !parties.contains(&candidate.host)
            && (single || !operators.contains(&candidate.operator))
            && branch.constraints.allow_at(&candidate.region, &candidate.operator)
    });
    let (concerned, may_stay) = match &concerned {
        Concerned::Accuser(accuser) => (core::slice::from_ref(accuser), true),
        Concerned::Members(members) => (*members, false),
    };
    let mut theirs = Vec::new();
    for account in concerned {
        theirs.extend(operator_of(context, account)?);
    }
    let is_apart = |candidate: &lanes::Candidate| {
        !concerned.contains(&candidate.host) && (single || !theirs.contains(&candidate.operator))
    };
    let apart: BTreeSet<_> =
        candidates.iter().filter(|one| is_apart(one)).map(|candidate| &candidate.operator).collect();
    if apart.len() >= MIN_OPERATORS || single || !may_stay {
        candidates.retain(is_apart);
    }
    candidates.sort_by(|a, b| (b.power, a.host).cmp(&(a.power, b.host)));
    candidates.truncate(context.params.verification.max_jury as usize);
    let first = |operator: &Text| candidates.iter().position(|candidate| candidate.operator == *operator);
    let juror = |candidate: &lanes::Candidate| {
        let operator =
            first(&candidate.operator).and_then(|first| u8::try_from(first).ok()).unwrap_or_default();
        Juror { host: candidate.host, power: candidate.power, operator }
    };
    Ok(candidates.iter().map(juror).collect())
}

#[expect(clippy::too_many_arguments, reason = "the parts of one record")]
fn open_trial(
    context: &mut Context<'_, '_>,
    case: Case,
    receipt: Digest,
    (accuser, bond): (Option<Address>, Amount),
    members: Vec<Address>,
    places: Vec<u32>,
    jury: Vec<Juror>,
    commitment: &Commitment,
) -> Result<(), Fault> {
    let (interval, (host, (branch, _))) = case;
    let branch = usize::try_from(branch).ok().and_then(|branch| commitment.branches.get(branch));
    let is_exact = branch.is_some_and(|branch| branch.tier == Tier::Exact);
    let slashes = is_exact && operators(&jury, u128::MAX) >= MIN_OPERATORS;
    let until = context.block.height.plus(context.params.verification.judge_blocks);
    let (guilty, innocent, ruling) = (0, 0, None);
    let trial =
        Trial { receipt, accuser, bond, members, places, jury, slashes, guilty, innocent, until, ruling };
    TRIALS.set(context.state, &case, &trial);
    let number = OPEN_TRIALS.require(context.state)?;
    OPEN_TRIALS.set(context.state, &number.saturating_add(1));
    open(context, interval, &host, until, Due::Trial(case))?;
    emit(context, Event::TrialOpened { case, receipt, until });
    Ok(())
}

/// A host revealed a trace that is not what these members said: the leaf is tried, unless it was. If nobody can judge,
/// or there is no room, it is known only that one of them is false, which counts against neither.
pub(super) fn contradict(
    context: &mut Context<'_, '_>,
    interval: u64,
    host: Address,
    leaf: &Leaf,
    before: u128,
    members: Vec<Address>,
) -> Result<(), Fault> {
    let case = case_of(interval, host, leaf);
    if let Some(mut trial) = TRIALS.get(context.state, &case)? {
        if trial.ruling == Some(Ruling::Innocent) {
            for member in &members {
                is_false(context, interval, &host, leaf.branch, member)?;
            }
        }
        trial.members.extend(members);
        TRIALS.set(context.state, &case, &trial);
        return Ok(());
    }
    let Some(commitment) = COMMITS.get(context.state, &(interval, host))? else { return Ok(()) };
    let jury = jury(context, &host, &commitment, leaf, Concerned::Members(&members))?;
    if jury.is_empty() || !has_room(context, interval, &host)? {
        return Ok(());
    }
    let places = places(interval, &host, &commitment, leaf, before);
    let stake = (None, Amount::ZERO);
    open_trial(context, case, leaf.entry.receipt, stake, members, places, jury, &commitment)
}

pub(super) fn judge(context: &mut Context<'_, '_>, judgements: &[Judgement]) -> Result<(), Error> {
    if judgements.is_empty() {
        return fail(Failure::Empty);
    }
    if judgements.len() > MAX_JUDGEMENTS {
        return fail(Failure::TooMany);
    }
    let mut counted = false;
    for judgement in judgements {
        counted |= judge_one(context, judgement)?;
    }
    if counted { Ok(()) } else { fail(Failure::NoTrial) }
}

/// Counts a judgement, unless the trial was decided meanwhile: that is no reason to lose the others.
fn judge_one(context: &mut Context<'_, '_>, judgement: &Judgement) -> Result<bool, Error> {
    let Judgement { case, guilty } = *judgement;
    let (interval, (host, _)) = case;
    let Some(mut trial) = TRIALS.get(context.state, &case)? else { return fail(Failure::NoTrial) };
    let Some(bit) = is_judge(&trial, &context.caller).and_then(bit) else { return fail(Failure::NotAJudge) };
    let commitment = COMMITS.get(context.state, &(interval, host))?;
    let is_on = trial.ruling.is_none() && context.block.height <= trial.until;
    if !is_on || !commitment.as_ref().is_some_and(can_be_tried) {
        return Ok(false);
    }
    if (trial.guilty | trial.innocent) & bit != 0 {
        return fail(Failure::AlreadyJudged);
    }
    let side = if guilty { &mut trial.guilty } else { &mut trial.innocent };
    *side |= bit;
    if decides(&trial.jury, trial.guilty) {
        end(context, case, &mut trial, Ruling::Guilty)?;
        convict(context, case, &trial)?;
    } else if decides(&trial.jury, trial.innocent) {
        end(context, case, &mut trial, Ruling::Innocent)?;
        emit(context, Event::Acquitted { case });
        for member in &trial.members {
            is_false(context, interval, &host, branch_of(case), member)?;
        }
        refute(context, case, &trial, |finding| *finding == Finding::Wrong)?;
    } else {
        TRIALS.set(context.state, &case, &trial);
    }
    Ok(true)
}

fn branch_of((_, (_, (branch, _))): Case) -> u8 {
    u8::try_from(branch).unwrap_or(u8::MAX)
}

fn bit(place: usize) -> Option<u128> {
    1u128.checked_shl(u32::try_from(place).ok()?)
}

/// Whether those with these bits decide: more than two thirds of the power, and operators enough.
fn decides(jury: &[Juror], bits: u128) -> bool {
    let has = |place: usize| bit(place).is_some_and(|bit| bits & bit != 0);
    let power = |(place, juror): (usize, &Juror)| if has(place) { u128::from(juror.power) } else { 0 };
    let all: u128 = jury.iter().map(|juror| u128::from(juror.power)).sum();
    let side: u128 = jury.iter().enumerate().map(power).sum();
    side * 3 > all * 2 && operators(jury, bits) >= operators(jury, u128::MAX).min(MIN_OPERATORS)
}

/// The number of operators among jurors with these bits.
fn operators(jury: &[Juror], bits: u128) -> usize {
    let chosen = jury.iter().enumerate().filter(|(place, _)| bit(*place).is_some_and(|bit| bits & bit != 0));
    chosen.map(|(_, juror)| juror.operator).collect::<BTreeSet<_>>().len()
}

/// A trial ends. Its accuser gets the bond back, unless the work is right.
fn end(context: &mut Context<'_, '_>, case: Case, trial: &mut Trial, ruling: Ruling) -> Result<(), Fault> {
    trial.ruling = Some(ruling);
    let bond = core::mem::take(&mut trial.bond);
    TRIALS.set(context.state, &case, trial);
    let open = OPEN_TRIALS.require(context.state)?;
    OPEN_TRIALS.set(context.state, &open.saturating_sub(1));
    let (interval, (host, _)) = case;
    close(context, interval, &host)?;
    match trial.accuser {
        Some(_) if ruling == Ruling::Innocent => context.shift(Vault::Bonds, Vault::Pool, bond),
        Some(accuser) => pay(context, &accuser, bond),
        None => Ok(()),
    }
}

/// The leaf is wrong, and so is every member that found it right.
fn convict(context: &mut Context<'_, '_>, case: Case, trial: &Trial) -> Result<(), Fault> {
    let (interval, (host, _)) = case;
    refute(context, case, trial, |finding| matches!(finding, Finding::Right(_)))?;
    fate::convict(context, interval, &host, trial.slashes, trial.accuser)
}

/// What these members said of a leaf is not what the jury found: their verdicts on the branch are false. Only where work
/// is exact; elsewhere one may be of another opinion.
fn refute(
    context: &mut Context<'_, '_>,
    case: Case,
    trial: &Trial,
    is_refuted: impl Fn(&Finding) -> bool,
) -> Result<(), Fault> {
    let (interval, (host, (index, _))) = case;
    let commitment = COMMITS.get(context.state, &(interval, host))?;
    let branch = commitment
        .as_ref()
        .and_then(|commitment| commitment.branches.get(usize::from(branch_of(case))))
        .filter(|branch| branch.tier == Tier::Exact);
    for member in branch.map(|branch| branch.committee.as_slice()).unwrap_or_default() {
        let Some(given) = VERDICTS.get(context.state, &(interval, (host, (index, *member))))? else {
            continue;
        };
        let refuted = |place: &u32| {
            let finding = given.findings.get(*place as usize);
            finding.is_some_and(&is_refuted) && !is_contradicted(&given, *place as usize)
        };
        if trial.places.iter().any(refuted) {
            is_false(context, interval, &host, branch_of(case), member)?;
        }
    }
    Ok(())
}

/// The time for a trial is over: what is not decided counts for nobody.
pub(super) fn expire(context: &mut Context<'_, '_>, case: Case) -> Result<(), Fault> {
    let Some(mut trial) = TRIALS.get(context.state, &case)?.filter(|trial| trial.ruling.is_none()) else {
        return Ok(());
    };
    let (interval, (host, _)) = case;
    let commitment = COMMITS.get(context.state, &(interval, host))?;
    let ruling = if commitment.is_some_and(|commitment| can_be_tried(&commitment)) {
        Ruling::Undecided
    } else {
        Ruling::Moot
    };
    end(context, case, &mut trial, ruling)
}
