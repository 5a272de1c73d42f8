//! Hosts that race in whole networks: what they prove, and what trouble costs them and others.
//!
//! In every one of these runs, as in all, the honest are not convicted, keep what they prove unless their own
//! machine was in trouble, and weights follow speeds: see `properties/races.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use freeway_ledger::sprint::{self, HostResult, Void};
use freeway_ledger::{beacon, weights};
use freeway_primitives::{Epoch, Height};
use freeway_sim::cast::RACE_EPOCH;
use freeway_sim::wire::Kind;
use freeway_sim::{Fault, Plan, World};

const SPEEDS: [u64; 5] = [200, 240, 280, 320, 400];
/// Seven hosts, of which two are less than a third.
const SEVEN: [u64; 7] = [300, 310, 320, 330, 340, 350, 360];
const TWO: [usize; 2] = [1, 5];

/// The first block of the race in epoch `epoch`.
fn first(world: &World, epoch: u64) -> u64 {
    epoch * world.plan().params.epochs.epoch_blocks + 1
}

fn reach(world: &mut World, height: u64) {
    let until = world.now() + 120_000;
    assert!(world.run_until(until, |world| world.tip() >= Height(height)), "{}", world.positions());
}

fn inject(world: &mut World, nodes: &[usize], fault: fn(usize) -> Fault) {
    for node in nodes {
        world.inject(fault(*node));
    }
}

fn result(world: &World, epoch: u64, node: usize) -> HostResult {
    let outcome = world.properties().races.outcome(Epoch(epoch)).unwrap();
    let host = world.cast().members[node].address();
    outcome.results.as_ref().unwrap().get(&host).cloned().unwrap_or_default()
}

#[test]
fn weights_follow_speeds_and_the_set_follows_weights() {
    let mut world = World::new(Plan::racing(1, 2, &SPEEDS));
    let summary = world.run();
    assert_eq!((summary.races, summary.switches, summary.held), (2, 3, 0));
    let process = world.process(0).unwrap();
    let state = process.chain().store().view();
    let powers: Vec<u64> =
        world.cast().members.iter().map(|m| weights::power(&state, &m.address()).unwrap()).collect();
    assert!(powers.windows(2).all(|pair| pair[0] < pair[1]), "{powers:?}");
    let set = &process.bridge().plan().validators;
    let shares: Vec<u64> =
        world.cast().members.iter().map(|m| set.get(&m.address()).unwrap().power).collect();
    assert!(shares.windows(2).all(|pair| pair[0] < pair[1]), "{shares:?}");
    assert!((0..5).all(|node| result(&world, 2, node).confirmed == 3));
}

/// It goes on where its record ends: it loses the time that it was away, and nothing else.
#[test]
fn who_crashes_in_mid_race_goes_on_with_its_record() {
    let mut world = World::new(Plan::racing(2, 1, &[300; 5]));
    let start = first(&world, 1);
    reach(&mut world, start + 2);
    world.inject(Fault::Crash(2));
    world.run_until(world.now() + 500, |_| false);
    world.inject(Fault::Start(2));
    world.run();
    let (crashed, other) = (result(&world, 1, 2), result(&world, 1, 0));
    assert_eq!((crashed.void, crashed.done), (None, crashed.owed), "{crashed:?}");
    assert!(crashed.confirmed > 0 && crashed.weight < other.weight, "{crashed:?}, others {other:?}");
    assert!(crashed.weight * 2 > other.weight, "its record was lost: {crashed:?}, others {other:?}");
}

#[test]
fn who_crashes_after_its_commitment_can_still_open_it() {
    let mut world = World::new(Plan::racing(3, 1, &[300; 5]));
    let start = first(&world, 1);
    reach(&mut world, start + 7);
    world.inject(Fault::Crash(2));
    world.run_until(world.now() + 300, |_| false);
    world.inject(Fault::Start(2));
    world.run();
    let result = result(&world, 1, 2);
    assert!(result.void.is_none() && result.weight > 0 && result.confirmed > 0, "{result:?}");
}

/// A third of the validators is gone from one height to another, where `during` says, in epoch 1.
fn two_of_seven_are_gone(seed: u64, from: u64, to: u64) -> World {
    let mut plan = Plan::racing(seed, 2, &SEVEN);
    plan.params.beacon.seats = 14;
    plan.deals_after = true;
    let mut world = World::new(plan);
    let start = first(&world, 1);
    reach(&mut world, start + from);
    inject(&mut world, &TWO, Fault::Crash);
    let at = world.properties().beacon.latest;
    reach(&mut world, start + to);
    assert!(world.properties().beacon.latest.0 > at.0 + (to - from) / 2, "values go on");
    inject(&mut world, &TWO, Fault::Start);
    world.run();
    world
}

#[test]
fn a_third_is_gone_while_keys_are_dealt() {
    // From before the plan until after the switch.
    let dealing = RACE_EPOCH - 8;
    let world = two_of_seven_are_gone(4, dealing, RACE_EPOCH + 1);
    assert_eq!((world.properties().beacon.failed, world.properties().held), (0, 0));
    assert_eq!(world.properties().races.settled(), 2);
}

/// They read their shares of the key from the chain, though they were away while it was made: with two others
/// gone the values go on, and without the shares of those who are back there would be too few.
#[test]
fn who_was_away_finds_its_shares_on_the_chain() {
    let mut world = two_of_seven_are_gone(5, RACE_EPOCH - 8, RACE_EPOCH + 1);
    inject(&mut world, &[0, 2], Fault::Crash);
    let at = world.tip();
    reach(&mut world, at.0 + 6);
    assert!(world.properties().beacon.latest > at.plus(2), "values go on");
}

#[test]
fn a_third_is_gone_at_the_challenge() {
    // From the last height for commitments until verdicts are closed.
    let world = two_of_seven_are_gone(6, 6, 14);
    assert_eq!(world.properties().races.settled(), 2);
    for node in 0..7 {
        let (one, two) = (result(&world, 1, node), result(&world, 2, node));
        if TWO.contains(&node) {
            assert!(one.done == 0 && one.owed > 0, "{node}: {one:?}");
        } else {
            assert!(one.void.is_none() && one.weight > 0, "{node}: {one:?}");
        }
        assert!(two.weight > 0, "{node} is back: {two:?}");
    }
}

#[test]
fn a_third_is_gone_at_the_switch() {
    let world = two_of_seven_are_gone(7, RACE_EPOCH - 2, RACE_EPOCH + 2);
    assert_eq!(world.properties().held, 0);
    assert_eq!(world.properties().races.settled(), 2);
}

/// A network whose epochs have time for waiting, and no shares of values from block `from` of the race on, for
/// `blocks` blocks.
fn without_values(seed: u64, from: u64, blocks: u64) -> World {
    let mut plan = Plan::racing(seed, 1, &SPEEDS);
    plan.params.epochs.epoch_blocks += 12;
    plan.params.evidence.max_age_blocks += 24;
    plan.params.hosts.unbonding_blocks += 36;
    plan.target += 24;
    let mut world = World::new(plan);
    let start = first(&world, 1);
    reach(&mut world, start + from);
    world.inject(Fault::Mute(Kind::Partials));
    reach(&mut world, start + from + blocks);
    world.inject(Fault::Unmute(Kind::Partials));
    let over = |world: &World| !world.properties().races.outcomes.is_empty();
    assert!(world.run_until(world.now() + 60_000, over), "{}", world.positions());
    world
}

fn race(world: &World) -> sprint::Race {
    let state = world.process(0).unwrap().chain().store().view();
    sprint::race(&state).unwrap().unwrap()
}

/// Whatever a stage waits for, it waits for the value of its own height, and goes on as if nothing had been.
#[test]
fn a_stage_waits_for_its_value() {
    // The block before the deadline of commitments; the one before that of verdicts.
    for (seed, from) in [(8, 5), (9, 12)] {
        let mut calm = World::new(Plan::racing(seed, 1, &SPEEDS));
        calm.run();
        let usual = calm.properties().races.outcomes[0].height.0;
        let mut world = without_values(seed, from, 5);
        let outcome = &world.properties().races.outcomes[0];
        let late = outcome.height.0 - first(&world, 1) - (usual - first(&calm, 1));
        assert!((3..=8).contains(&late), "{late} blocks late");
        assert!((0..5).all(|node| result(&world, 1, node).void.is_none()));
        let race = race(&world);
        let (started, challenged) = (race.started.unwrap(), race.challenged.unwrap());
        let state = world.process(0).unwrap().chain().store().view();
        let value = beacon::value(&state, started.deadline).unwrap();
        assert_eq!(value, Some(challenged.challenge), "of the deadline, and of no other height");
        world.run();
    }
}

/// Blocks go on, keys are made, and weights stay: what was not drawn from the beacon is not drawn at all.
#[test]
fn a_race_without_values_is_abandoned() {
    let mut world = without_values(10, 5, 30);
    world.run();
    let outcome = &world.properties().races.outcomes[0];
    assert!(outcome.results.is_none(), "{outcome:?}");
    assert_eq!(world.properties().held, 0, "the set and its keys are made all the same");
}

/// It is off the network while it should show its leaves: that is its own trouble, and no proof of anything.
#[test]
fn who_is_unreachable_is_void_and_not_convicted() {
    let mut world = World::new(Plan::racing(11, 1, &[300; 5]));
    let start = first(&world, 1);
    reach(&mut world, start + 6);
    world.inject(Fault::Crash(3));
    world.run_until(world.now() + 7_000, |_| false);
    world.inject(Fault::Start(3));
    world.run();
    let result = result(&world, 1, 3);
    assert!(matches!(result.void, Some(Void::Withheld | Void::Unrevealed)), "{result:?}");
}
