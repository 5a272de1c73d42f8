//! What can be asked about a race. Nothing here changes state.

use freeway_primitives::{Address, Digest, Domain, Height};
use freeway_proofs::draw::{Stream, distinct};
use freeway_proofs::sprint::{Commitment, Position};

use super::{
    COMMITTEES, DEMANDS, Demanded, ENTRIES, End, Entry, HostResult, Juror, Params, Place, RACE, RESULTS,
    REVEALED, Race, Stage, TRIALS, Trial, VERDICTS,
};
use crate::state::{Fault, Reader};

const POSITIONS: Domain = Domain::new("freeway 1 sprint positions");
const REVEAL: Domain = Domain::new("freeway 1 sprint reveal");

/// How many entries are read at once.
const PAGE: usize = 256;

/// The race of the epoch, or the last one. There is none in epoch 0.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn race(state: &dyn Reader) -> Result<Option<Race>, Fault> {
    RACE.require(state)
}

/// The stage in which the block at `next`, the first after the state that `race` is from, finds the race, unless
/// that block brings the value that the next stage waits for.
pub fn stage(race: &Race, next: Height) -> Stage {
    match race.end {
        Some(End::Settled { height }) => return Stage::Settled { height },
        Some(End::Abandoned { height, reason }) => return Stage::Abandoned { height, reason },
        None => {}
    }
    if let Some(drawn) = &race.drawn {
        let open = next <= drawn.until;
        return if open { Stage::Revealing(drawn.clone()) } else { Stage::Judging(drawn.clone()) };
    }
    if let Some(challenged) = &race.challenged {
        if next <= challenged.until {
            return Stage::Verdicts(challenged.clone());
        }
        return Stage::WaitingForDraw { height: challenged.until };
    }
    match &race.started {
        Some(started) if next <= started.deadline => Stage::Racing(started.clone()),
        Some(started) => Stage::WaitingForChallenge { height: started.deadline },
        None => Stage::WaitingForSeed { height: race.seed_height },
    }
}

/// Commitments of the race: at most `limit` after `after`.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn entries(
    state: &dyn Reader,
    after: Option<Address>,
    limit: usize,
) -> Result<Vec<(Address, Entry)>, Fault> {
    ENTRIES.page(state, after.as_ref(), limit)
}

/// Who checks `host`.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn committee(state: &dyn Reader, host: &Address) -> Result<Vec<Address>, Fault> {
    Ok(COMMITTEES.get(state, host)?.unwrap_or_default())
}

/// The hosts that `member` must check. Reads all committees: to be asked once a race.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn assigned(state: &dyn Reader, member: &Address) -> Result<Vec<Address>, Fault> {
    let mut hosts = Vec::new();
    let mut after = None;
    loop {
        let page = COMMITTEES.page(state, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(hosts) };
        after = Some(*last);
        hosts.extend(page.iter().filter(|(_, members)| members.contains(member)).map(|(host, _)| *host));
    }
}

/// The leaves of `host` that `member` recomputes, in the order of its tags.
pub fn positions(
    challenge: &Digest,
    host: &Address,
    member: &Address,
    commitment: &Commitment,
    rules: &Params,
) -> Vec<Position> {
    let mut stream = Stream::new(challenge, POSITIONS, &[&host.0, &member.0]);
    let drawn = distinct(&mut stream, commitment.total(), rules.leaves);
    drawn.into_iter().filter_map(|index| commitment.position(index)).collect()
}

/// Which of the `positions` of a member's verdict the host must reveal, as indices in order.
pub fn drawn_positions(
    draw: &Digest,
    host: &Address,
    member: &Address,
    positions: usize,
    rules: &Params,
) -> Vec<u16> {
    let mut stream = Stream::new(draw, REVEAL, &[&host.0, &member.0]);
    let drawn = distinct(&mut stream, positions as u64, rules.revealed);
    drawn.into_iter().filter_map(|index| u16::try_from(index).ok()).collect()
}

/// A leaf whose trace a host must reveal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueReveal {
    /// The member whose verdict is checked by it.
    pub member: Address,
    /// Which of the member's [`positions`].
    pub index: u16,
    /// Its place.
    pub position: Position,
    /// Whether it is revealed.
    pub revealed: bool,
}

/// All that `host` must reveal in this race, as far as it is drawn.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn due_reveals(state: &dyn Reader, host: &Address) -> Result<Vec<DueReveal>, Fault> {
    let (Some(race), Some(entry)) = (race(state)?, ENTRIES.get(state, host)?) else { return Ok(Vec::new()) };
    let (Some(challenged), Some(drawn), None) = (&race.challenged, &race.drawn, race.end) else {
        return Ok(Vec::new());
    };
    let mut due = Vec::new();
    for member in committee(state, host)? {
        let pair = (*host, member);
        if !VERDICTS.contains(state, &pair)? {
            continue;
        }
        let revealed = REVEALED.get(state, &pair)?.unwrap_or_default();
        let places = positions(&challenged.challenge, host, &member, &entry.commitment, &race.rules);
        let indices = drawn_positions(&drawn.draw, host, &member, places.len(), &race.rules);
        due.extend(indices.into_iter().zip(0u32..).filter_map(|(index, bit)| {
            let position = *places.get(usize::from(index))?;
            Some(DueReveal { member, index, position, revealed: revealed.done & mask(bit) != 0 })
        }));
    }
    Ok(due)
}

/// Demands on `host` in this race, by member; also those that are answered.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn demands_on(state: &dyn Reader, host: &Address) -> Result<Vec<(Address, Vec<Demanded>)>, Fault> {
    // Only members demand.
    let limit = committee(state, host)?.len();
    let page = DEMANDS.page_under(state, &host.0, None, limit)?;
    Ok(page.into_iter().map(|((_, member), items)| (member, items)).collect())
}

/// Trials without a ruling.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn open_trials(state: &dyn Reader) -> Result<Vec<(Place, Trial)>, Fault> {
    let mut open = Vec::new();
    let mut after = None;
    loop {
        let page = TRIALS.page(state, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(open) };
        after = Some(*last);
        open.extend(page.into_iter().filter(|(_, trial)| trial.ruling.is_none()));
    }
}

/// The place in `jury` of `judge`, if it judges leaves of `host`: not its own, nor those of its operator.
pub fn is_judge(
    jury: &[Juror],
    race: &Race,
    entry: &Entry,
    host: &Address,
    judge: &Address,
) -> Option<usize> {
    jury.iter().position(|juror| juror.address == *judge && judges(juror, race, entry, host))
}

/// Whether a juror judges leaves of `host`.
pub(super) fn judges(juror: &Juror, race: &Race, entry: &Entry, host: &Address) -> bool {
    let single = race.challenged.as_ref().is_some_and(|challenged| challenged.single_operator);
    juror.address != *host && (single || juror.operator != entry.operator)
}

/// What the latest settled race found: at most `limit` hosts after `after`.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn results(
    state: &dyn Reader,
    after: Option<Address>,
    limit: usize,
) -> Result<Vec<(Address, HostResult)>, Fault> {
    RESULTS.page(state, after.as_ref(), limit)
}

/// The bit with this number.
pub(super) fn mask(bit: u32) -> u32 {
    1u32.checked_shl(bit).unwrap_or_default()
}
