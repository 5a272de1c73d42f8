//! How a race goes from stage to stage, at the beginning of blocks.

use freeway_primitives::{Address, Digest, Domain};
use freeway_proofs::draw::{Lottery, Stream, derive};

use super::{
    AbandonReason, COMMITTEES, Challenged, Drawn, ENTRIES, Entry, Event, JURY, Juror, LITTER, OPEN_TRIALS,
    RACE, Race, Started, dispute, emit, number, settle,
};
use crate::context::Context;
use crate::epochs::VALIDATORS;
use crate::genesis::Text;
use crate::hosts::{self, HOSTS, Status};
use crate::state::Fault;
use crate::{beacon, weights};

const SEED: Domain = Domain::new("freeway 1 sprint seed");
const COMMITTEE: Domain = Domain::new("freeway 1 sprint committee");

/// One step, at the beginning of every block.
pub(super) fn advance(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    if LITTER.require(context.state)? {
        settle::sweep(context)?;
    }
    open(context)?;
    let Some(mut race) = RACE.require(context.state)? else { return Ok(()) };
    if race.end.is_some() {
        return Ok(());
    }
    let before = race.clone();
    if race.challenged.is_some() {
        dispute::expire(context)?;
    }
    step(context, &mut race)?;
    if race != before {
        RACE.set(context.state, &Some(race));
    }
    Ok(())
}

/// At the first block of an epoch, except epoch 0: a new race.
fn open(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let (clock, height) = (context.clock, context.block.height);
    if height != clock.start || clock.epoch.0 == 0 {
        return Ok(());
    }
    // The plan of the last epoch came after its race; were there one without an end, it would have none now.
    if let Some(race) = RACE.require(context.state)?
        && race.end.is_none()
    {
        settle::abandon(context, &race, AbandonReason::NoRandomness);
    }
    // The value before the epoch is the first that nobody knew while hosts could still register for it. Where no
    // group could sign it, as before the first one of all, it is the next.
    let before = clock.start.minus(1);
    let signed = beacon::group_at(context.state, before)?.is_some();
    let race = Race {
        epoch: clock.epoch,
        rules: context.params.sprint.clone(),
        seed_height: if signed { before } else { clock.start },
        started: None,
        challenged: None,
        drawn: None,
        end: None,
    };
    RACE.set(context.state, &Some(race));
    Ok(())
}

fn step(context: &mut Context<'_, '_>, race: &mut Race) -> Result<(), Fault> {
    let height = context.block.height;
    let latest = context.clock.plan_height(&context.params.epochs);
    if let Some(drawn) = &race.drawn {
        if height >= drawn.settles {
            race.end = Some(settle::settle(context, race)?);
            return Ok(());
        }
    } else if let Some(challenged) = &race.challenged {
        let until = challenged.until;
        if height > until
            && let Some(draw) = beacon::value(context.state, until)?
        {
            race.drawn = Some(draw_reveals(context, race, draw));
        }
    } else if let Some(started) = &race.started {
        let deadline = started.deadline;
        if height > deadline
            && let Some(challenge) = beacon::value(context.state, deadline)?
        {
            race.challenged = Some(challenge_hosts(context, race, challenge)?);
        }
    } else if !LITTER.require(context.state)?
        && let Some(value) = beacon::value(context.state, race.seed_height)?
    {
        race.started = Some(start(context, race, &value));
    }
    if height >= latest {
        race.end = Some(settle::abandon(context, race, AbandonReason::NoRandomness));
    }
    Ok(())
}

fn start(context: &mut Context<'_, '_>, race: &Race, value: &Digest) -> Started {
    let (height, params) = (context.block.height, &context.params.epochs);
    let blocks = params.sprint_blocks.saturating_add(params.grace_blocks);
    let seed = derive(value, SEED, &[&race.epoch.0.to_le_bytes()]);
    let deadline = height.plus(blocks.saturating_sub(1));
    emit(context, Event::RaceStarted { epoch: race.epoch, seed, deadline });
    Started { height, seed, deadline }
}

/// Draws a committee for every host that committed, and notes who judges.
fn challenge_hosts(
    context: &mut Context<'_, '_>,
    race: &Race,
    challenge: Digest,
) -> Result<Challenged, Fault> {
    let height = context.block.height;
    let until = height.plus(race.rules.verdict_blocks.saturating_sub(1));
    let entries = settle::all_entries(context.state)?;
    let members = members(context)?;
    let lottery = Lottery::new(members.iter().map(|member| member.weight));
    let single_operator = members.windows(2).all(|pair| pair[0].operator == pair[1].operator);
    for (host, entry) in &entries {
        let excluded = if single_operator {
            // Of one operator, and so in order of addresses.
            let own = members.binary_search_by(|member| member.address.cmp(host));
            own.map_or(0..0, |own| own..own.saturating_add(1))
        } else {
            members.partition_point(|member| member.operator < entry.operator)
                ..members.partition_point(|member| member.operator <= entry.operator)
        };
        let mut stream = Stream::new(&challenge, COMMITTEE, &[&host.0]);
        let drawn = lottery.draw(&mut stream, race.rules.committee, excluded);
        let committee: Vec<Address> =
            drawn.into_iter().filter_map(|index| Some(members.get(index)?.address)).collect();
        COMMITTEES.set(context.state, host, &committee);
    }
    let mut jury = Vec::new();
    for validator in VALIDATORS.require(context.state)?.members() {
        let operator = operator(context, &validator.address)?;
        jury.push(Juror { address: validator.address, power: validator.power, operator });
    }
    JURY.set(context.state, &jury);
    let hosts = number(entries.len());
    emit(context, Event::RaceChallenged { epoch: race.epoch, hosts, until });
    Ok(Challenged { height, challenge, until, single_operator })
}

/// A host that can be drawn into committees.
struct Member {
    operator: Text,
    address: Address,
    weight: u64,
}

/// All that can be drawn, hosts of one operator side by side. By confirmed weight: hardware that was rented for
/// one race checks nobody. Only where nobody has any, by that of the last race.
fn members(context: &Context<'_, '_>) -> Result<Vec<Member>, Fault> {
    let (mut members, mut newcomers) = (Vec::new(), Vec::new());
    for (address, host) in hosts::all(context.state)? {
        if host.status != Status::Active {
            continue;
        }
        let record = weights::record_of(context.state, &address, &host)?;
        let operator = operator_of(context, &address, host.profile.operator)?;
        let member = |weight| Member { operator: operator.clone(), address, weight };
        match (record.power(), record.now) {
            (0, 0) => {}
            (0, now) => newcomers.push(member(now)),
            (power, _) => members.push(member(power)),
        }
    }
    let mut members = if members.is_empty() { newcomers } else { members };
    members.sort_by(|a, b| (&a.operator, a.address).cmp(&(&b.operator, b.address)));
    Ok(members)
}

/// The operator of a host: if it races, the one it had when it committed.
fn operator_of(context: &Context<'_, '_>, address: &Address, now: Text) -> Result<Text, Fault> {
    let entry: Option<Entry> = ENTRIES.get(context.state, address)?;
    Ok(entry.map_or(now, |entry| entry.operator))
}

fn operator(context: &Context<'_, '_>, address: &Address) -> Result<Text, Fault> {
    let now = HOSTS.get(context.state, address)?.map(|host| host.profile.operator).unwrap_or_default();
    operator_of(context, address, now)
}

fn draw_reveals(context: &mut Context<'_, '_>, race: &Race, draw: Digest) -> Drawn {
    let (height, params) = (context.block.height, &context.params.epochs);
    // However late the value came, there is the same time to reveal and to judge.
    let settles = height.plus(params.verify_blocks.saturating_sub(race.rules.verdict_blocks));
    let until = settles.minus(race.rules.judge_blocks.saturating_add(1));
    emit(context, Event::RaceDrawn { epoch: race.epoch, until });
    Drawn { height, draw, until, settles }
}

/// After a race: nothing of it is open any more.
pub(super) fn close(context: &mut Context<'_, '_>) {
    OPEN_TRIALS.set(context.state, &0);
    LITTER.set(context.state, &true);
}
