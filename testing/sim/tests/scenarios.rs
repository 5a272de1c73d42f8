//! Single situations with a known outcome.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use freeway_ledger::epochs::HeldReason;
use freeway_primitives::{Canonical, Height};
use freeway_sim::adversaries::churn::Wish;
use freeway_sim::adversaries::equivocator::{Betrayal, Traitor};
use freeway_sim::plan::Sabotage;
use freeway_sim::wire::Kind;
use freeway_sim::{Fault, Plan, World};

fn calm(validators: usize) -> World {
    World::new(Plan::calm(7, validators, 6))
}

fn tip(world: &World) -> Height {
    (0..world.cast().members.len()).map(|node| world.height(node)).max().unwrap()
}

fn all_reach(world: &mut World, height: Height, within_ms: u64) -> bool {
    let nodes = world.cast().members.len();
    let until = world.now() + within_ms;
    world.run_until(until, |world| (0..nodes).all(|node| world.height(node) >= height))
}

#[test]
fn one_of_four_is_killed_blocks_go_on_and_it_catches_up() {
    let mut world = calm(4);
    assert!(all_reach(&mut world, Height(3), 20_000));
    world.inject(Fault::Crash(2));
    let at = tip(&world);
    assert!(world.run_until(world.now() + 60_000, |world| world.height(0) >= at.plus(10)), "blocks go on");
    assert!(world.height(2) <= at.next());
    world.inject(Fault::Start(2));
    let goal = tip(&world).plus(2);
    assert!(all_reach(&mut world, goal, 30_000), "it catches up: {}", world.positions());
}

#[test]
fn two_of_four_are_killed_no_block_no_fork_and_on_it_goes() {
    let mut world = calm(4);
    assert!(all_reach(&mut world, Height(3), 20_000));
    world.inject(Fault::Crash(1));
    world.inject(Fault::Crash(2));
    // What was on its way may still decide one height.
    world.run_until(world.now() + 5_000, |_| false);
    let at = tip(&world);
    world.run_until(world.now() + 60_000, |_| false);
    assert_eq!(tip(&world), at, "half of the power decides nothing");
    world.inject(Fault::Start(1));
    world.inject(Fault::Start(2));
    assert!(all_reach(&mut world, at.plus(5), 120_000), "on it goes: {}", world.positions());
}

#[test]
fn a_wiped_validator_does_not_contradict_its_earlier_life() {
    // However soon it is back, whatever it is told of the past, and wherever the network stands.
    for seed in 0..12 {
        let mut plan = Plan::calm(seed, 4, 6);
        plan.links.delay_ms = (1, 120);
        plan.links.jitter_ms = 60;
        plan.historian = seed % 2 == 0;
        let mut world = World::new(plan);
        assert!(all_reach(&mut world, Height(4), 30_000));
        world.run_until(world.now() + seed * 37, |_| false);
        world.inject(Fault::Wipe(1));
        world.run_until(world.now() + 20, |_| false);
        world.inject(Fault::Start(1));
        let votes = |world: &World| world.process(1).is_some_and(|process| process.bridge().votes());
        assert!(!votes(&world), "it only watches at first");
        assert!(world.run_until(world.now() + 90_000, votes), "it votes again: {}", world.positions());
        let goal = tip(&world).plus(3);
        assert!(all_reach(&mut world, goal, 30_000));
    }
}

#[test]
fn more_than_a_third_leaves_the_switch_is_held_and_the_chain_goes_on() {
    // Before the plan of the next set, which then is none; and after it, when its key is being dealt.
    for leave_at in [3, 10] {
        let mut plan = Plan::calm(3, 5, 6);
        plan.params = freeway_sim::cast::params(18);
        let mut world = World::new(plan);
        assert!(all_reach(&mut world, Height(leave_at), 20_000));
        for node in [1, 2] {
            world.inject(Fault::Ask(node, Wish::Leave));
        }
        assert!(all_reach(&mut world, Height(20), 60_000), "the chain goes on: {}", world.positions());
        assert_eq!((world.properties().held, world.properties().switches), (1, 0), "left at {leave_at}");
        assert_eq!(HeldReason::TooMuchLost.name(), "too_much_lost");
        let validators = |world: &World| world.process(0).unwrap().bridge().plan().validators.members().len();
        assert_eq!(validators(&world), 5, "the old set stays for an epoch");
        assert!(!world.properties().beacon.in_force, "and no group comes without its validators");
        assert!(all_reach(&mut world, Height(39), 60_000), "and goes on: {}", world.positions());
        assert_eq!(world.properties().switches, 1, "then the loss stands");
        assert_eq!(validators(&world), 3);
        assert!(world.properties().beacon.in_force && world.properties().beacon.latest >= Height(37));
    }
}

/// While the first key is made, and while blocks record its values.
#[test]
fn a_third_is_gone_and_values_go_on() {
    let mut plan = Plan::calm(4, 7, 6);
    plan.params.beacon.seats = 14;
    let mut world = World::new(plan);
    assert!(all_reach(&mut world, Height(3), 20_000));
    world.inject(Fault::Crash(2));
    world.inject(Fault::Crash(4));
    let reached = |world: &mut World, height| {
        let until = world.now() + 120_000;
        world.run_until(until, |world| world.tip() >= height)
    };
    assert!(reached(&mut world, Height(33)), "{}", world.positions());
    let properties = world.properties();
    assert_eq!((properties.switches, properties.held, properties.beacon.made), (2, 0, 2));
    assert!(properties.beacon.latest >= Height(31) && properties.beacon.count() >= 15);
}

/// Values are not needed to make blocks or keys; and where there is no majority of the seats, there are none.
#[test]
fn without_shares_there_are_no_values_and_the_chain_goes_on() {
    let mut plan = Plan::calm(6, 4, 6);
    plan.deals_after = true;
    let mut world = World::new(plan);
    world.inject(Fault::Mute(Kind::Partials));
    assert!(all_reach(&mut world, Height(20), 60_000), "{}", world.positions());
    assert_eq!((world.properties().switches, world.properties().beacon.count()), (1, 0));
    world.inject(Fault::Unmute(Kind::Partials));
    world.run();
    assert!(world.properties().beacon.count() > 0);
}

#[test]
fn a_dead_proposer_is_not_asked_again() {
    let mut world = calm(4);
    assert!(all_reach(&mut world, Height(3), 20_000));
    world.inject(Fault::Crash(0));
    let silent = |world: &World| {
        let dead = world.cast().members[0].address();
        world.process(1).is_some_and(|process| process.bridge().plan().silent.contains(&dead))
    };
    assert!(world.run_until(world.now() + 60_000, silent), "its silence is noticed");
    let at = tip(&world);
    assert!(world.run_until(world.now() + 120_000, |world| world.height(1) >= at.plus(30)));
    let store = world.process(1).unwrap().chain().store();
    for height in at.0 + 2..=at.0 + 30 {
        let (_, certificate) = store.block(Height(height)).unwrap().unwrap();
        let certificate = freeway_primitives::Certificate::decode(&certificate).unwrap();
        assert_eq!(certificate.round, 0, "height {height} waited for the dead one");
    }
}

#[test]
fn a_failing_disk_stops_the_node_and_nothing_acknowledged_is_lost() {
    let ways = [Sabotage::Sync, Sabotage::Writes(0), Sabotage::Writes(7), Sabotage::PowerAfter(11)];
    for how in ways {
        let mut world = calm(4);
        assert!(all_reach(&mut world, Height(3), 20_000));
        world.inject(Fault::Sabotage(1, how));
        assert!(world.run_until(world.now() + 300_000, |world| !world.is_up(1)), "{how:?}: it stops");
        assert!(world.stopped(1).is_some(), "{how:?}: and says why");
        let at = tip(&world);
        assert!(world.run_until(world.now() + 60_000, |world| world.height(0) >= at.plus(4)));
        world.inject(Fault::Start(1));
        let goal = tip(&world).plus(2);
        assert!(all_reach(&mut world, goal, 60_000), "{how:?}: it goes on: {}", world.positions());
        // Ends with the check that every promise of the node is kept.
        world.run();
    }
}

#[test]
fn an_equivocator_is_convicted_and_removed() {
    let mut plan = Plan::calm(5, 5, 14);
    plan.traitor = Some(Traitor { node: 2, proposals: Some(Betrayal::TwoBlocks), votes: true, zeal: 1_000 });
    let mut world = World::new(plan);
    let summary = world.run();
    assert!(summary.evidence > 0);
    assert_eq!(summary.convictions, 1);
    let traitor = world.cast().members[2].address();
    let removed =
        |world: &World| world.process(0).unwrap().bridge().plan().validators.get(&traitor).is_none();
    assert!(world.run_until(world.now() + 60_000, removed), "it is out at the next switch");
}

#[test]
fn a_block_from_the_end_of_time_does_not_stop_the_clock() {
    let mut plan = Plan::calm(5, 4, 20);
    plan.traitor = Some(Traitor { node: 1, proposals: Some(Betrayal::EndOfTime), votes: false, zeal: 1_000 });
    let mut world = World::new(plan);
    world.run();
}

#[test]
fn a_flood_of_valid_blocks_costs_a_bounded_amount_of_disk() {
    let mut plan = Plan::calm(5, 4, 20);
    // In order, so that the bound on unfinished streams lets all of them through.
    plan.links.jitter_ms = 0;
    plan.traitor = Some(Traitor { node: 1, proposals: Some(Betrayal::Flood), votes: false, zeal: 1_000 });
    let mut world = World::new(plan);
    let most = std::cell::Cell::new(0);
    world.run_until(60_000, |world| {
        let process = world.process(0).unwrap();
        let stored = process.chain().store().proposals(process.bridge().plan().height).unwrap().len();
        let (_, round) = process.position();
        let rounds = round.max(0) as usize + 1;
        assert!(
            stored <= rounds * (freeway_consensus::MAX_BLOCKS_A_ROUND + 1),
            "{stored} blocks of {rounds} rounds"
        );
        most.set(most.get().max(stored));
        world.height(0) >= Height(20)
    });
    assert!(most.get() > 1, "the flood arrived");
    world.run();
}
