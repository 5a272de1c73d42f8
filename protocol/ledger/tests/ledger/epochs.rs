//! The clock, the validator set and its switch, and who is silent.

use std::collections::BTreeSet;

use freeway_ledger::epochs::power::SHARE_TOTAL;
use freeway_ledger::epochs::{CLOCK, Event, HeldReason, PLAN, Phase, SETS, set_at};
use freeway_ledger::hosts::Status;
use freeway_ledger::{BlockOutcome, Event as AnyEvent, Genesis, Params};
use freeway_primitives::{Amount, Epoch, Height};

use crate::kit::*;

fn of_epochs(outcome: &BlockOutcome) -> Vec<Event> {
    let of_epochs = |event: &AnyEvent| match event {
        AnyEvent::Epochs(event) => Some(event.clone()),
        _ => None,
    };
    outcome.events.iter().filter_map(of_epochs).collect()
}

fn held(outcome: &BlockOutcome) -> Option<HeldReason> {
    of_epochs(outcome).into_iter().find_map(|event| match event {
        Event::SwitchHeld { reason, .. } => Some(reason),
        _ => None,
    })
}

/// The largest share of one operator, in thousandths of the whole, rounded down.
fn largest_share(chain: &Chain, operators: &[&[u8]]) -> u64 {
    let power = |hosts: &&[u8]| hosts.iter().map(|i| chain.power(*i)).sum::<u64>();
    operators.iter().map(power).max().unwrap() * 1_000 / chain.validators.total_power()
}

#[test]
fn phases_begin_where_the_parameters_say() {
    let mut chain = Chain::new(1, 0);
    let mut started = Vec::new();
    for _ in 0..16 {
        let outcome = chain.block(&[]);
        for event in of_epochs(&outcome) {
            if let Event::PhaseStarted { epoch, phase } = event {
                started.push((chain.height.0, epoch.0, phase.name()));
            }
        }
    }
    let phases =
        [(1, "sprint"), (3, "commit_grace"), (4, "challenge"), (5, "verify"), (7, "serve"), (8, "switch")];
    let expected: Vec<_> =
        (0..2).flat_map(|epoch| phases.map(|(height, name)| (epoch * 8 + height, epoch, name))).collect();
    assert_eq!(started, expected);
    let clock = CLOCK.require(&chain.state).unwrap();
    assert_eq!((clock.epoch, clock.start), (Epoch(1), Height(9)));
}

#[test]
fn genesis_power_stands_through_epochs_0_and_1() {
    let mut chain = Chain::new(4, 0);
    let half = STAKE.fraction(1, 2).unwrap();
    chain.done(&chain.tx(&owner(0), withdraw(half)));
    chain.skip_to(15);
    assert_eq!(chain.power(0), WEIGHT);
    chain.block(&[]);
    assert_eq!(chain.height, Height(16), "the set of epoch 2 is formed in the last block of epoch 1");
    assert_eq!([0, 1, 2, 3].map(|i| chain.share(i)), [143, 286, 286, 286]);
    assert!(chain.validators.total_power().abs_diff(SHARE_TOTAL) < 4);
}

#[test]
fn genesis_power_stands_under_the_cap_too() {
    let mut chain = Chain::of(&genesis(quick(), &[1_000, 100, 100, 100], 0));
    let first = chain.validators.clone();
    assert_eq!(chain.power(0), 128, "30 % of what remains");
    chain.switch();
    assert_eq!(chain.validators, first);
}

#[test]
fn from_epoch_2_on_power_follows_collateral_at_the_switch() {
    let mut chain = Chain::new(4, 0);
    chain.skip_to(17);
    let part = STAKE.fraction(1, 4).unwrap();
    chain.done(&chain.tx(&owner(0), withdraw(part)));
    chain.skip_to(23);
    assert_eq!(chain.power(0), WEIGHT);
    chain.switch();
    assert_eq!([0, 1, 2, 3].map(|i| chain.share(i)), [200, 267, 267, 267]);
    // What is on its way back no longer backs; new collateral does, but never more than the weight.
    chain.done(&chain.tx(&owner(0), deposit(STAKE)));
    chain.switch();
    assert_eq!([0, 1, 2, 3].map(|i| chain.share(i)), [250; 4]);
}

#[test]
fn an_ordinary_switch_is_announced() {
    let mut chain = Chain::new(4, 0);
    let outcome = chain.switch();
    let expected = Event::Switched { epoch: Epoch(1), validators: 4, power: 4 * WEIGHT };
    assert_eq!(of_epochs(&outcome).last(), Some(&expected));
}

/// The local preset with epochs of 16 blocks, of which four are for dealing.
fn with_dealing() -> Params {
    let mut params = quick();
    params.epochs.epoch_blocks = 16;
    params.epochs.dealing_blocks = 4;
    params.hosts.unbonding_blocks = 48;
    params
}

#[test]
fn a_set_is_planned_in_time_for_its_keys_to_be_dealt() {
    let mut chain = Chain::of(&genesis(with_dealing(), &[WEIGHT; 4], 0));
    chain.skip_to(11);
    assert_eq!(PLAN.require(&chain.state), Ok(None));
    let outcome = chain.block(&[]);
    let planned = Event::Planned { epoch: Epoch(1), validators: 4 };
    assert_eq!(of_epochs(&outcome), [planned]);
    let plan = PLAN.require(&chain.state).unwrap().unwrap();
    assert_eq!((plan.epoch, plan.at), (Epoch(1), Height(12)));
    assert_eq!(plan.set, Ok(chain.validators.clone()));
    chain.skip_to(16);
    assert_eq!(PLAN.require(&chain.state), Ok(None));
}

/// Set and keys change together or not at all, however often that is.
#[test]
fn without_keys_the_set_stays_as_often_as_it_takes() {
    let mut chain = Chain::of(&genesis(with_dealing(), &[WEIGHT; 4], 0));
    let half = STAKE.fraction(1, 2).unwrap();
    chain.done(&chain.tx(&owner(0), withdraw(half)));
    let old = chain.validators.clone();
    // Nobody deals here.
    for _ in 0..4 {
        assert_eq!(held(&chain.switch()), Some(HeldReason::DealingFailed));
        assert_eq!(chain.validators, old);
        chain.block(&[]);
    }
}

/// Who leaves after the plan is not in the set, and not in its place.
#[test]
fn who_leaves_after_the_plan_is_left_out_of_it() {
    let mut chain = Chain::of(&genesis(with_dealing(), &[WEIGHT; 4], 0));
    chain.skip_to(12);
    chain.done(&chain.tx(&owner(0), leave()));
    chain.skip_to(15);
    chain.deal();
    assert_eq!(held(&chain.block(&[])), None);
    assert_eq!(chain.validators.members().len(), 3);
    assert_eq!(chain.host(0).unwrap().status, Status::Left);
    // Two of the three others are more than a third of the next plan.
    chain.skip_to(16 + 12);
    for i in 1..3 {
        chain.done(&chain.tx(&owner(i), leave()));
    }
    chain.skip_to(31);
    chain.deal();
    assert_eq!(held(&chain.block(&[])), Some(HeldReason::TooMuchLost));
    assert_eq!(chain.validators.members().len(), 3);
    chain.skip_to(47);
    chain.deal();
    assert_eq!(held(&chain.block(&[])), None);
    assert_eq!(chain.validators.members().len(), 1);
}

/// Invariant 6: more than a third cannot go at once; the set stays, and the ledger says so.
#[test]
fn a_switch_that_would_lose_more_than_a_third_is_held() {
    let mut chain = Chain::new(4, 1);
    let old = chain.validators.clone();
    for i in 0..2 {
        chain.done(&chain.tx(&owner(i), leave()));
    }
    let outcome = chain.switch();
    assert_eq!(held(&outcome), Some(HeldReason::TooMuchLost));
    assert_eq!(chain.validators, old);
    assert_eq!(chain.host(0).unwrap().status, Status::Leaving, "who signs is not let go");
    let known = SETS.get(&chain.state, &Epoch(1)).unwrap().unwrap();
    assert_eq!((known.start, known.validators), (Height(9), old));
    // The network goes on, and so does judging.
    chain.done(&chain.tx(&user(0), report(chain.double_vote(0, Height(8)))));
    // Held once, not for ever: who left, or was convicted, is out an epoch later.
    assert_eq!(held(&chain.switch()), None);
    assert_eq!(chain.validators.members().len(), 2);
}

/// Invariant 6: a third exactly may go.
#[test]
fn a_switch_may_lose_a_third() {
    let mut chain = Chain::new(3, 0);
    chain.done(&chain.tx(&owner(0), leave()));
    assert_eq!(held(&chain.switch()), None);
    assert_eq!(chain.validators.members().len(), 2);
}

/// Invariant 6: the set never becomes empty.
#[test]
fn the_last_validator_stays() {
    let mut chain = Chain::new(1, 0);
    chain.done(&chain.tx(&owner(0), leave()));
    for _ in 0..3 {
        assert_eq!(held(&chain.switch()), Some(HeldReason::NoPower));
        assert_eq!(chain.power(0), WEIGHT);
    }
}

/// Four established hosts, and four that back next to nothing of their large weights.
fn with_sleepers() -> Genesis {
    let mut genesis = genesis(quick(), &[100, 100, 100, 100, 1_000, 1_000, 1_000, 1_000], 0);
    for host in &mut genesis.hosts[4..] {
        host.collateral = quick().hosts.collateral_per_power;
    }
    genesis
}

/// Invariant 6: the set cannot be flooded either. At a switch at most a third of all power changes hands.
#[test]
fn newcomers_get_at_most_a_third_a_switch() {
    let mut chain = Chain::of(&with_sleepers());
    assert_eq!(chain.validators.total_power(), 404);
    let all: Vec<_> = (4..8).map(|i| chain.tx(&owner(i), deposit(Amount::fwy(1)))).collect();
    chain.block(&all);
    chain.skip_to(16);
    assert!((0..4).all(|i| chain.share(i).abs_diff(165) <= 1), "{:?}", chain.validators);
    assert!((4..8).all(|i| chain.share(i).abs_diff(85) <= 1), "{:?}", chain.validators);
    // And further at each switch, until everything backed counts.
    for _ in 0..3 {
        let before = chain.clone();
        chain.switch();
        let gained: u64 = (4..8).map(|i| chain.share(i) - before.share(i)).sum();
        assert!(gained <= 334, "{gained}");
    }
    assert!((4..8).all(|i| chain.share(i) == 227) && (0..4).all(|i| chain.share(i) == 23));
}

#[test]
fn no_operator_is_above_the_cap() {
    let mut genesis = genesis(quick(), &[100; 8], 0);
    for host in &mut genesis.hosts[4..] {
        host.operator = text("one hand");
    }
    let chain = Chain::of(&genesis);
    let operators: [&[u8]; 5] = [&[0], &[1], &[2], &[3], &[4, 5, 6, 7]];
    assert!(largest_share(&chain, &operators) <= 300);
    assert!((0..4).all(|i| chain.power(i) == 100));
    // Of equal hosts each loses the same.
    assert_eq!(BTreeSet::from([4, 5, 6, 7].map(|i| chain.power(i))).len(), 1);
}

/// The cap is about those who sign. Ten small hosts that do not are no counterweight.
#[test]
fn the_cap_holds_among_those_who_sign() {
    let mut params = quick();
    params.epochs.max_validators = 5;
    let mut weights = vec![150, 150];
    weights.extend([70; 10]);
    let mut genesis = genesis(params, &weights, 0);
    genesis.hosts[1].operator = genesis.hosts[0].operator.clone();
    let mut chain = Chain::of(&genesis);
    let operators: [&[u8]; 11] = [&[0, 1], &[2], &[3], &[4], &[5], &[6], &[7], &[8], &[9], &[10], &[11]];
    for _ in 0..3 {
        assert_eq!(chain.validators.members().len(), 5);
        assert!(largest_share(&chain, &operators) <= 300, "{:?}", chain.validators);
        chain.switch();
    }
}

#[test]
fn who_misses_blocks_in_a_row_is_silent_until_it_signs() {
    let mut chain = Chain::new(4, 0);
    chain.skip_to(2);
    chain.absent.insert(host(1));
    let silent: Vec<_> = (0..5).map(|_| chain.block(&[]).silent).collect();
    // The first block has the signatures of before; then three are missed.
    assert_eq!(silent, [vec![], vec![], vec![], vec![host(1)], vec![host(1)]]);
    chain.absent.clear();
    assert_eq!(chain.block(&[]).silent, [host(1)]);
    assert_eq!(chain.block(&[]).silent, []);
}

#[test]
fn missing_now_and_then_is_not_silence() {
    let mut chain = Chain::new(4, 0);
    for _ in 0..4 {
        chain.absent.insert(host(1));
        chain.block(&[]);
        chain.block(&[]);
        chain.absent.clear();
        assert_eq!(chain.block(&[]).silent, []);
    }
}

#[test]
fn who_left_the_set_is_not_counted_as_silent() {
    let mut chain = Chain::new(4, 0);
    chain.absent.insert(host(1));
    chain.done(&chain.tx(&owner(1), leave()));
    chain.skip_to(7);
    let outcome = chain.switch();
    assert_eq!(outcome.silent, []);
    assert_eq!(chain.block(&[]).silent, []);
}

/// Invariant 3: of old sets only those are kept that can still be asked for.
#[test]
fn old_sets_are_forgotten() {
    let mut params = quick();
    params.evidence.max_age_blocks = 24;
    params.hosts.unbonding_blocks = 32;
    let mut chain = Chain::of(&genesis(params, &[WEIGHT; 4], 0));
    for epoch in 1..9u64 {
        chain.switch();
        let known: Vec<_> = SETS.page(&chain.state, None, 99).unwrap();
        let known: Vec<_> = known.into_iter().map(|(epoch, _)| epoch.0).collect();
        assert_eq!(known, (epoch.saturating_sub(3)..=epoch).collect::<Vec<u64>>());
        // Everything within reach of evidence has its set.
        for height in chain.height.next().minus(24).0.max(1)..=chain.height.next().0 {
            assert!(set_at(&chain.state, Height(height)).unwrap().is_some());
        }
    }
    assert_eq!(set_at(&chain.state, Height(1)), Ok(None));
}

#[test]
fn the_kit_finds_phases() {
    let mut chain = Chain::new(1, 0);
    chain.skip_to_phase(Phase::Sprint);
    assert_eq!(chain.height, Height::GENESIS);
    chain.skip_to_phase(Phase::Challenge);
    assert_eq!(chain.height, Height(3));
    chain.block(&[]);
    chain.skip_to_phase(Phase::Challenge);
    assert_eq!(chain.height, Height(11));
}
