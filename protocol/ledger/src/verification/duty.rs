//! What members and hosts must do: give verdicts, reveal.

use std::collections::{BTreeMap, BTreeSet};

use freeway_primitives::{Address, Height};
use freeway_proofs::work::{Receipt, salted, tag};

use super::query::{prefix, samples_of, under};
use super::{
    DEMANDS, Event, Failure, Finding, Given, Leaf, REPORTS, Reveal, Ruling, TRIALS, VERDICTS, Verdict, emit,
    fail, query, trial,
};
use crate::context::Context;
use crate::error::Error;
use crate::genesis::Text;
use crate::models::Tier;
use crate::state::{Fault, Reader};
use crate::work::{self, COMMITS, Commitment, ROUNDS, Round, State, Void};
use crate::{rewards, weights};

/// The most verdicts in one message; more than anybody is asked for.
const MAX_VERDICTS: usize = 256;

/// A commitment and its round, which must not be over.
pub(super) fn current(
    context: &Context<'_, '_>,
    interval: u64,
    host: &Address,
) -> Result<(Commitment, Round), Error> {
    let host = *host;
    let Some(commitment) = query::commitment(context.state, interval, &host)? else {
        return fail(Failure::NotCommitted { host, interval });
    };
    match ROUNDS.get(context.state, &(interval, commitment.round))? {
        Some(round) => Ok((commitment, round)),
        None => fail(decided(&commitment)),
    }
}

/// As [`current`], if the commitment is also undecided.
pub(super) fn undecided(
    context: &Context<'_, '_>,
    interval: u64,
    host: &Address,
) -> Result<(Commitment, Round), Error> {
    let (commitment, round) = current(context, interval, host)?;
    if commitment.state == State::Open { Ok((commitment, round)) } else { fail(decided(&commitment)) }
}

pub(super) fn decided(commitment: &Commitment) -> Failure {
    Failure::Decided { state: Text::new(commitment.state.name()).unwrap_or_default() }
}

/// Fails after `deadline`.
pub(super) fn until(context: &Context<'_, '_>, deadline: Height) -> Result<(), Error> {
    if context.block.height > deadline { fail(Failure::TooLate { deadline }) } else { Ok(()) }
}

/// The last height for verdicts in a round.
pub(super) fn verdicts_until(round: &Round) -> Result<Height, Error> {
    round.drawn.as_ref().map_or_else(|| fail(Failure::TooEarly), |drawn| Ok(drawn.until))
}

pub(super) fn verdicts(
    context: &mut Context<'_, '_>,
    interval: u64,
    verdicts: &[Verdict],
) -> Result<(), Error> {
    if verdicts.is_empty() {
        return fail(Failure::Empty);
    }
    if verdicts.len() > MAX_VERDICTS {
        return fail(Failure::TooMany);
    }
    let (member, mut counted) = (context.caller, 0u32);
    for Verdict { host, branch: index, findings } in verdicts {
        let (host, index) = (*host, *index);
        let (commitment, round) = current(context, interval, &host)?;
        if commitment.state != State::Open {
            // Decided meanwhile: that is no reason to lose the others.
            continue;
        }
        until(context, verdicts_until(&round)?)?;
        let branch = commitment.branches.get(usize::from(index));
        if !branch.is_some_and(|branch| branch.members().contains(&member)) {
            return fail(Failure::Unsolicited { host });
        }
        let seat = (interval, (host, (u64::from(index), member)));
        if VERDICTS.contains(context.state, &seat)? {
            return fail(Failure::AlreadyGiven { host });
        }
        let expected = samples_of(interval, &host, &commitment, index).len();
        if findings.len() != expected {
            let expected = u32::try_from(expected).unwrap_or(u32::MAX);
            return fail(Failure::WrongCount { host, expected });
        }
        let given = Given { findings: findings.clone(), contradicted: 0, is_false: false };
        VERDICTS.set(context.state, &seat, &given);
        counted = counted.saturating_add(1);
    }
    if counted == 0 {
        return fail(Failure::Empty);
    }
    emit(context, Event::VerdictsGiven { member, interval, verdicts: counted });
    Ok(())
}

/// What stands before a leaf in its branch, if it is a leaf of the commitment whose receipt is this one.
pub(super) fn is_leaf(commitment: &Commitment, leaf: &Leaf, receipt: &Receipt) -> Option<u128> {
    let before = leaf.verify(commitment)?;
    (receipt.digest() == leaf.entry.receipt).then_some(before.fees)
}

/// Whether a point belongs to a leaf with these fees and so much before it.
pub(super) fn covers(leaf: &Leaf, before: u128, point: u128) -> bool {
    point.checked_sub(before).is_some_and(|within| within < leaf.entry.sums.fees)
}

pub(super) fn reveal(context: &mut Context<'_, '_>, reveal: &Reveal) -> Result<(), Error> {
    let Reveal { interval, leaf, receipt, salt, trace } = reveal;
    let (interval, host) = (*interval, context.caller);
    let (mut commitment, round) = undecided(context, interval, &host)?;
    let Some(closing) = &round.closing else { return fail(Failure::TooEarly) };
    until(context, closing.until)?;
    let Some((_, sample)) = query::reveal_due(interval, &host, &commitment) else {
        return fail(Failure::NotDrawn);
    };
    let before = is_leaf(&commitment, leaf, receipt).filter(|before| covers(leaf, *before, sample.point));
    let fits = usize::from(leaf.branch) == sample.branch && salted(salt, trace) == receipt.trace;
    let Some(before) = before.filter(|_| fits) else { return fail(Failure::WrongLeaf) };
    if let Some(due) = &mut commitment.reveal {
        due.done = true;
    }
    COMMITS.set(context.state, &(interval, host), &commitment);
    let Some(branch) = commitment.branches.get(sample.branch) else { return fail(Failure::WrongLeaf) };
    // Also what other samples say that lie in the same leaf: it is the same request, so the same tag.
    let same: Vec<usize> = query::samples_of(interval, &host, &commitment, leaf.branch)
        .iter()
        .filter(|(_, other)| covers(leaf, before, other.point))
        .map(|(_, other)| other.place)
        .collect();
    let mut liars = Vec::new();
    for member in &branch.committee {
        let seat = (interval, (host, (sample.branch as u64, *member)));
        let Some(mut given) = VERDICTS.get(context.state, &seat)? else { continue };
        let known = given.contradicted;
        for place in &same {
            let Some(Finding::Right(said)) = given.findings.get(*place) else { continue };
            if *said != tag(interval, member, &host, &leaf.entry.receipt, trace) {
                // One of the two is false: the trace or the tag.
                given.contradicted |=
                    u32::try_from(*place).ok().and_then(|bit| 1u64.checked_shl(bit)).unwrap_or(0);
            }
        }
        if given.contradicted != known {
            VERDICTS.set(context.state, &seat, &given);
            liars.push(*member);
        }
    }
    let contradicted = u32::try_from(liars.len()).unwrap_or(u32::MAX);
    emit(context, Event::Revealed { host, interval, contradicted });
    match branch.tier {
        _ if liars.is_empty() => {}
        Tier::Exact => trial::contradict(context, interval, host, leaf, before, liars)?,
        // There the trace is what the host sent, not what it should have computed: who was shown it has the tag.
        Tier::Statistical => {
            for member in liars {
                is_false(context, interval, &host, leaf.branch, &member)?;
            }
        }
    }
    Ok(())
}

/// A member's verdict on a branch is false.
pub(super) fn is_false(
    context: &mut Context<'_, '_>,
    interval: u64,
    host: &Address,
    branch: u8,
    member: &Address,
) -> Result<(), Fault> {
    let seat = (interval, (*host, (u64::from(branch), *member)));
    let Some(mut given) = VERDICTS.get(context.state, &seat)?.filter(|given| !given.is_false) else {
        return Ok(());
    };
    given.is_false = true;
    VERDICTS.set(context.state, &seat, &given);
    emit(context, Event::FalseVerdict { member: *member, host: *host, interval });
    weights::distrust(context, member)
}

/// What members said about a sample.
#[derive(Clone, Copy, Default)]
struct Count {
    right: u32,
    wrong: u32,
    unseen: u32,
    acquitted: bool,
}

/// The branches with a sample that is not checked: not more members found it right, and stand uncontradicted, than said
/// anything else about it. Friends of a host, to whom alone it shows what it faked, have to be more than the others. What
/// a jury has found right is right.
pub(crate) fn unchecked(
    state: &dyn Reader,
    interval: u64,
    host: &Address,
    commitment: &Commitment,
) -> Result<Vec<usize>, Fault> {
    let missing = |count: &Count| !count.acquitted && count.right <= count.wrong.saturating_add(count.unseen);
    let counts = counts(state, interval, host, commitment)?;
    let branches: BTreeSet<usize> =
        counts.iter().filter(|(_, count)| missing(count)).map(|((branch, _), _)| *branch).collect();
    Ok(branches.into_iter().collect())
}

/// Whether most members, and more than one, found a sample wrong whose bits nobody can compute again.
pub(crate) fn is_suspected(
    state: &dyn Reader,
    interval: u64,
    host: &Address,
    commitment: &Commitment,
) -> Result<bool, Fault> {
    let is_unlikely = |((branch, _), count): (&(usize, usize), &Count)| {
        let tier = commitment.branches.get(*branch).map(|branch| branch.tier);
        let others = count.right.saturating_add(count.unseen);
        tier == Some(Tier::Statistical) && count.wrong > others.max(1)
    };
    Ok(counts(state, interval, host, commitment)?.iter().any(is_unlikely))
}

/// What members said about each sample, by branch and place.
fn counts(
    state: &dyn Reader,
    interval: u64,
    host: &Address,
    commitment: &Commitment,
) -> Result<BTreeMap<(usize, usize), Count>, Fault> {
    let samples = work::samples(host, interval, commitment);
    let mut counts: BTreeMap<(usize, usize), Count> =
        samples.iter().map(|sample| ((sample.branch, sample.place), Count::default())).collect();
    for (index, branch) in commitment.branches.iter().enumerate() {
        for member in &branch.committee {
            let seat = (interval, (*host, (index as u64, *member)));
            let Some(given) = VERDICTS.get(state, &seat)?.filter(|given| !given.is_false) else { continue };
            for (place, finding) in given.findings.iter().enumerate() {
                let Some(count) = counts.get_mut(&(index, place)) else { continue };
                match finding {
                    Finding::Right(_) if is_contradicted(&given, place) => {}
                    Finding::Right(_) => count.right = count.right.saturating_add(1),
                    Finding::Wrong => count.wrong = count.wrong.saturating_add(1),
                    Finding::NotShown => count.unseen = count.unseen.saturating_add(1),
                }
            }
        }
    }
    for ((_, (_, (index, _))), trial) in under(state, &TRIALS, &prefix(interval, host))? {
        let Ok(index) = usize::try_from(index) else { continue };
        for place in trial.places.iter().filter(|_| trial.ruling == Some(Ruling::Innocent)) {
            if let Some(count) = counts.get_mut(&(index, *place as usize)) {
                count.acquitted = true;
            }
        }
    }
    Ok(counts)
}

/// Whether a member's tag is not what the host revealed.
pub(super) fn is_contradicted(given: &Given, place: usize) -> bool {
    let bits = u32::try_from(place).ok().and_then(|place| given.contradicted.checked_shr(place));
    bits.is_some_and(|bits| bits & 1 == 1)
}

/// Counts what the members of all committees of a commitment owed and did, once it is decided.
pub(crate) fn count_duties(
    context: &mut Context<'_, '_>,
    interval: u64,
    host: &Address,
    commitment: &Commitment,
) -> Result<(), Fault> {
    for (index, branch) in (0u64..).zip(&commitment.branches) {
        for member in &branch.committee {
            let seat = (interval, (*host, (index, *member)));
            let given = VERDICTS.get(context.state, &seat)?;
            let Some(done) = given.map_or(Some(false), |given| is_done(&given, commitment.state)) else {
                continue;
            };
            rewards::count_duty(context, member, 1, u32::from(done))?;
        }
    }
    Ok(())
}

/// Whether a verdict was what was owed; `None` if nobody can say.
fn is_done(given: &Given, state: State) -> Option<bool> {
    if given.is_false {
        return Some(false);
    }
    match state {
        // Whoever said so was right, and whoever said otherwise is known to be false.
        State::Convicted => Some(true),
        _ if given.contradicted != 0 => None,
        State::Void(reason) if reason != Void::Forfeited => Some(true),
        _ => Some(given.findings.iter().all(|finding| matches!(finding, Finding::Right(_)))),
    }
}

/// Forgets all that was said about a commitment.
pub(crate) fn forget(context: &mut Context<'_, '_>, interval: u64, host: &Address) -> Result<(), Fault> {
    let prefix = prefix(interval, host);
    for (seat, _) in under(context.state, &VERDICTS, &prefix)? {
        VERDICTS.remove(context.state, &seat);
    }
    for (place, _) in under(context.state, &DEMANDS, &prefix)? {
        DEMANDS.remove(context.state, &place);
    }
    for (request, _) in under(context.state, &REPORTS, &prefix)? {
        REPORTS.remove(context.state, &request);
    }
    for (case, _) in under(context.state, &TRIALS, &prefix)? {
        TRIALS.remove(context.state, &case);
    }
    Ok(())
}
