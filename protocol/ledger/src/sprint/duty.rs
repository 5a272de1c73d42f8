//! What hosts and members must do: commit, give verdicts, reveal.

use freeway_primitives::{Address, Height};
use freeway_proofs::sprint::{Commitment, leaf, tag};

use super::query::{drawn_positions, mask, positions};
use super::{
    COMMITTEES, Challenged, Drawn, ENTRIES, Entry, Event, Failure, Given, RACE, REVEALED, Race, Reveal,
    VERDICTS, Verdict, dispute, emit, fail, number,
};
use crate::context::Context;
use crate::error::Error;
use crate::evidence;
use crate::genesis::Text;
use crate::hosts::{HOSTS, Host, Status};

/// The race that is on.
pub(super) fn on(context: &Context<'_, '_>) -> Result<Race, Error> {
    match RACE.require(context.state)? {
        Some(race) if race.end.is_none() => Ok(race),
        _ => fail(Failure::NotRacing),
    }
}

/// The challenge, if the race has come so far.
pub(super) fn challenged(race: &Race) -> Result<&Challenged, Error> {
    race.challenged.as_ref().map_or_else(|| fail(Failure::TooEarly), Ok)
}

/// The draw, if the race has come so far.
fn drawn(race: &Race) -> Result<&Drawn, Error> {
    race.drawn.as_ref().map_or_else(|| fail(Failure::TooEarly), Ok)
}

/// Fails after `deadline`.
pub(super) fn until(context: &Context<'_, '_>, deadline: Height) -> Result<(), Error> {
    if context.block.height > deadline { fail(Failure::TooLate { deadline }) } else { Ok(()) }
}

/// The caller's host, which must be active.
pub(super) fn active(context: &Context<'_, '_>) -> Result<Host, Error> {
    match HOSTS.get(context.state, &context.caller)? {
        Some(host) if host.status == Status::Active => Ok(host),
        _ => fail(Failure::NotAHost),
    }
}

/// A host's entry, void or not.
pub(super) fn entry(context: &Context<'_, '_>, host: &Address) -> Result<Entry, Error> {
    match ENTRIES.get(context.state, host)? {
        Some(entry) => Ok(entry),
        None => fail(Failure::NotCommitted),
    }
}

/// A host's entry, which must not be void.
pub(super) fn standing(context: &Context<'_, '_>, host: &Address) -> Result<Entry, Error> {
    let entry = entry(context, host)?;
    match entry.void {
        None => Ok(entry),
        Some(void) => fail(Failure::IsVoid { reason: Text::new(void.name()).unwrap_or_default() }),
    }
}

pub(super) fn commit(context: &mut Context<'_, '_>, commitment: &Commitment) -> Result<(), Error> {
    let race = on(context)?;
    let Some(started) = &race.started else { return fail(Failure::TooEarly) };
    until(context, started.deadline)?;
    let host = active(context)?;
    // Who registers when the seed may be known could have computed under many names and pick the best.
    if host.since >= race.epoch {
        return fail(Failure::TooNew);
    }
    let caller = context.caller;
    if ENTRIES.contains(context.state, &caller)? {
        return fail(Failure::AlreadyCommitted);
    }
    let limit = race.rules.max_devices;
    if commitment.devices.len() > limit as usize {
        return fail(Failure::TooManyDevices { limit });
    }
    if let Err(error) = commitment.check() {
        return fail(Failure::InvalidCommitment(error));
    }
    let entry = Entry { commitment: commitment.clone(), operator: host.profile.operator, void: None };
    ENTRIES.set(context.state, &caller, &entry);
    emit(context, Event::Committed { host: caller, count: commitment.total() });
    Ok(())
}

pub(super) fn verdicts(context: &mut Context<'_, '_>, verdicts: &[Verdict]) -> Result<(), Error> {
    let race = on(context)?;
    let challenged = challenged(&race)?;
    until(context, challenged.until)?;
    if verdicts.is_empty() {
        return fail(Failure::Empty);
    }
    let member = context.caller;
    for Verdict { host, tags } in verdicts {
        let host = *host;
        let committee = COMMITTEES.get(context.state, &host)?.unwrap_or_default();
        if !committee.contains(&member) {
            return fail(Failure::Unsolicited { host });
        }
        if VERDICTS.contains(context.state, &(host, member))? {
            return fail(Failure::AlreadyGiven { host });
        }
        let total = entry(context, &host)?.commitment.total();
        let expected = u32::try_from(total).unwrap_or(u32::MAX).min(race.rules.leaves);
        if number(tags.len()) != expected {
            return fail(Failure::WrongCount { host, expected });
        }
        VERDICTS.set(context.state, &(host, member), &Given { tags: tags.clone() });
    }
    emit(context, Event::VerdictsGiven { member, hosts: number(verdicts.len()) });
    Ok(())
}

pub(super) fn reveal(context: &mut Context<'_, '_>, reveals: &[Reveal]) -> Result<(), Error> {
    let race = on(context)?;
    let drawn = drawn(&race)?;
    until(context, drawn.until)?;
    let host = context.caller;
    let entry = standing(context, &host)?;
    let mut leaves = 0u32;
    for reveal in reveals {
        leaves = leaves.saturating_add(reveal_to(context, &race, drawn, &entry, reveal)?);
    }
    if leaves == 0 {
        return fail(Failure::Empty);
    }
    emit(context, Event::Revealed { host, leaves });
    Ok(())
}

/// Checks revelations against the commitment, then the member's tags against the revelations. Gives their number.
fn reveal_to(
    context: &mut Context<'_, '_>,
    race: &Race,
    drawn: &Drawn,
    entry: &Entry,
    reveal: &Reveal,
) -> Result<u32, Error> {
    let (host, member) = (context.caller, reveal.member);
    let Some(given) = VERDICTS.get(context.state, &(host, member))? else {
        return fail(Failure::NoVerdict { member });
    };
    let challenge = &challenged(race)?.challenge;
    let places = positions(challenge, &host, &member, &entry.commitment, &race.rules);
    let indices = drawn_positions(&drawn.draw, &host, &member, places.len(), &race.rules);
    let mut revealed = REVEALED.get(context.state, &(host, member))?.unwrap_or_default();
    let chain = evidence::CHAIN.require(context.state)?;
    for revelation in &reveal.revelations {
        let known = indices.iter().zip(0u32..).find_map(|(index, bit)| {
            let index = usize::from(*index);
            (places.get(index) == Some(&revelation.position)).then_some((index, mask(bit)))
        });
        let Some((index, bit)) = known else { return fail(Failure::NotDrawn) };
        if revealed.done & bit != 0 {
            return fail(Failure::AlreadyRevealed);
        }
        if !revelation.verify(&entry.commitment) {
            return fail(Failure::WrongRevelation);
        }
        revealed.done |= bit;
        // One of the two is false: the leaf or the tag.
        if given.tags.get(index) != Some(&tag(&chain, race.epoch, &member, &host, &revelation.trace)) {
            revealed.contradicted |= bit;
            dispute::contradict(context, race, revelation.position, leaf(&revelation.trace), member)?;
        }
    }
    REVEALED.set(context.state, &(host, member), &revealed);
    Ok(number(reveal.revelations.len()))
}
