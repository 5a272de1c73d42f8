//! What races make of weights, reputation and power.

use freeway_ledger::Event;
use freeway_ledger::epochs::{Event as EpochEvent, HeldReason};
use freeway_ledger::weights::{self, KEPT_ABSENCES, MAX_REPUTATION, Record, WEIGHTS};
use freeway_primitives::{Amount, Epoch};

use crate::kit::*;
use crate::racing::*;

/// Goes through a whole epoch with this race, up to its switch.
fn epoch(track: &mut Track, counts: &[u64]) {
    track.honest_race(counts);
    track.chain.switch();
    track.next_race();
}

#[test]
fn before_the_first_race_the_weights_are_genesis() {
    let mut track = Track::of(&genesis(racing(), &[100, 200, 300], 1));
    let state = &track.chain.state;
    assert_eq!([0, 1, 2].map(|i| weights::power(state, &host(i)).unwrap()), [100, 200, 300]);
    assert_eq!(weights::total(state), Ok(600));
    assert_eq!(weights::of(state, &address(&user(0))), Ok(Record::default()));
    track.chain.done(&track.chain.tx(&user(0), register(&user(0), Amount(1))));
    assert_eq!(weights::power(&track.chain.state, &address(&user(0))), Ok(0));
}

/// Hardware that is rented for one race decides nothing.
#[test]
fn power_is_the_smaller_of_two_races() {
    let mut track = Track::new(4);
    epoch(&mut track, &[10, 10, 10, 10]);
    assert_eq!([0, 1, 2, 3].map(|i| track.chain.share(i)), [250; 4]);
    epoch(&mut track, &[10, 10, 10, 1_000]);
    assert_eq!((track.record(3).now, track.record(3).before, track.record(3).power()), (1_000, 10, 10));
    assert_eq!([0, 1, 2, 3].map(|i| track.chain.share(i)), [250; 4]);
    epoch(&mut track, &[10, 10, 10, 10]);
    assert_eq!([0, 1, 2, 3].map(|i| track.chain.share(i)), [250; 4]);
    // Who keeps it has it one epoch later: up to the cap.
    epoch(&mut track, &[10, 10, 10, 12]);
    epoch(&mut track, &[10, 10, 10, 12]);
    assert_eq!([0, 1, 2, 3].map(|i| track.chain.share(i)), [238, 238, 238, 286]);
}

/// Weights of different races say nothing about each other: only shares of the whole do.
#[test]
fn a_faster_function_changes_no_shares() {
    let mut track = Track::new(4);
    epoch(&mut track, &[10, 20, 20, 20]);
    let set = track.chain.validators.clone();
    epoch(&mut track, &[50, 100, 100, 100]);
    epoch(&mut track, &[50, 100, 100, 100]);
    assert_eq!(track.chain.validators, set);
    epoch(&mut track, &[1, 2, 2, 2]);
    assert_eq!(track.chain.validators, set);
}

#[test]
fn who_misses_a_race_has_no_weight() {
    let mut track = Track::new(4);
    epoch(&mut track, &[10, 10, 10, 10]);
    epoch(&mut track, &[10, 10, 10]);
    let absent = track.record(3);
    assert_eq!((absent.now, absent.before, absent.absent, absent.reputation), (0, 10, 1, 1));
    assert_eq!(absent.raced, Epoch(1));
    assert_eq!((track.chain.power(3), track.chain.share(0)), (0, 333));
    // Back, it needs two races again.
    epoch(&mut track, &[10, 10, 10, 10]);
    assert_eq!((track.record(3).absent, track.chain.power(3)), (0, 0));
    epoch(&mut track, &[10, 10, 10, 10]);
    assert_eq!(track.chain.share(3), 250);
}

/// Invariant 6: if most of the network misses a race, that is said before it counts.
#[test]
fn if_most_miss_a_race_the_set_is_held_first() {
    let mut track = Track::new(4);
    epoch(&mut track, &[10, 10, 10, 10]);
    track.honest_race(&[10, 10]);
    let old = track.chain.validators.clone();
    let outcome = track.chain.switch();
    let held = EpochEvent::SwitchHeld { epoch: Epoch(3), reason: HeldReason::TooMuchLost };
    assert!(outcome.events.contains(&Event::Epochs(held)));
    assert_eq!(track.chain.validators, old);
    // They come back, and nothing was lost.
    track.next_race();
    track.honest_race(&[10, 10, 10, 10]);
    track.chain.switch();
    assert_eq!(track.chain.validators.members().len(), 2, "but their weight is not confirmed yet");
}

#[test]
fn reputation_grows_with_clean_epochs_and_survives_absence_for_a_while() {
    let mut genesis = genesis(racing(), &[WEIGHT; 3], 0);
    genesis.params.sprint.leaves = 4;
    let mut track = Track::of(&genesis);
    for clean in 1..=32u8 {
        track.honest_race(&[4, 4, 4]);
        assert_eq!(track.record(2).reputation, clean.min(MAX_REPUTATION));
        track.next_race();
    }
    for missed in 1..=KEPT_ABSENCES + 1 {
        track.honest_race(&[4, 4]);
        let record = track.record(2);
        assert_eq!(record.absent, missed);
        assert_eq!(record.reputation, if missed > KEPT_ABSENCES { 0 } else { MAX_REPUTATION });
        track.next_race();
    }
}

#[test]
fn who_was_removed_proves_nothing_any_more() {
    let mut track = Track::new(4);
    track.enter_all(&[10; 4]);
    track.check_all(&[]);
    let proof = track.chain.double_vote(0, track.chain.height);
    track.chain.done(&track.chain.tx(&user(0), report(proof)));
    track.reveal_all(&[]);
    track.finish();
    assert_eq!((track.record(0).now, track.result(0).weight, track.record(1).now), (0, 0, 10));
    assert_eq!(weights::total(&track.chain.state), Ok(30));
}

#[test]
fn who_left_and_came_back_starts_from_nothing() {
    let mut genesis = genesis(racing(), &[WEIGHT; 5], 0);
    genesis.params.hosts.collateral_per_power = Amount::ZERO;
    genesis.hosts[4].collateral = Amount::ZERO;
    let mut track = Track::of(&genesis);
    epoch(&mut track, &[10; 5]);
    assert_eq!(track.record(4).power(), 10);
    track.chain.done(&track.chain.tx(&owner(4), leave()));
    track.honest_race(&[10; 4]);
    track.chain.switch();
    assert_eq!(track.chain.host(4), None);
    assert_eq!(track.record(4), Record::default());
    track.chain.done(&track.chain.tx(&owner(4), register(&vote_key(4), Amount::ZERO)));
    assert_eq!(track.record(4), Record::default());
    track.next_race();
    track.honest_race(&[10; 4]);
    assert_eq!(WEIGHTS.get(&track.chain.state, &host(4)), Ok(None));
    track.next_race();
    track.honest_race(&[10; 5]);
    assert_eq!((track.record(4).now, track.record(4).before), (10, 0));
}

/// Two hosts, one of them new: the network grows beyond its first host.
#[test]
fn a_network_of_one_host_can_grow() {
    let mut genesis = genesis(racing(), &[1], 1);
    genesis.params.hosts.collateral_per_power = Amount::ZERO;
    let mut track = Track { chain: Chain::of(&genesis), machines: Default::default() };
    track.chain.done(&track.chain.tx(&user(0), register(&user(0), Amount::ZERO)));
    let newcomer = address(&user(0));
    for race in 0..6 {
        track.next_race();
        let entry = track.entry(&user(0), &[90], &[]);
        let own = track.entry(&owner(0), &[60], &[]);
        track.chain.block(&[entry, own]);
        track.reach("verdicts");
        // Nobody can check the first one before the other has confirmed weight.
        assert_eq!(track.committee(&newcomer), [host(0)]);
        assert_eq!(track.committee(&host(0)).is_empty(), race < 2);
        let all: Vec<_> = [user(0), owner(0)].iter().filter_map(|key| track.send_verdicts(key)).collect();
        track.chain.block(&all);
        track.reach("revealing");
        let all: Vec<_> = [user(0), owner(0)].iter().filter_map(|key| track.send_reveals(key)).collect();
        track.chain.block(&all);
        track.finish();
        assert_eq!(track.record(0).now, if race < 2 { 1 } else { 60 });
        assert_eq!(weights::of(&track.chain.state, &newcomer).unwrap().now, 90);
        track.chain.switch();
    }
    assert_eq!(track.chain.share(0), 400);
    assert_eq!(track.chain.validators.members().len(), 2);
}
