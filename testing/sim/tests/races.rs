//! Hosts that race in whole networks: what they prove, and what trouble costs them and others.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use freeway_ledger::weights;
use freeway_primitives::Epoch;
use freeway_sim::{Plan, World};

const SPEEDS: [u64; 5] = [200, 240, 280, 320, 400];

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
    let shares: Vec<u64> = world.cast().members.iter().map(|m| set.get(&m.address()).unwrap().power).collect();
    assert!(shares.windows(2).all(|pair| pair[0] < pair[1]), "{shares:?}");
    let outcome = world.properties().races.outcome(Epoch(2)).unwrap();
    assert!(outcome.results.as_ref().unwrap().values().all(|result| result.confirmed == 3));
}
