//! What becomes of each adversary, and that the honest hosts beside it lose nothing.

use freeway_ledger::sprint::{Event, Void};
use freeway_ledger::weights;

use crate::kit::Net;

/// The one that misbehaves.
const BAD: usize = 4;

fn count(net: &Net, what: impl Fn(&Event) -> bool) -> usize {
    net.races().filter(|event| what(event)).count()
}

/// Runs a race with `adversary` in which its leaves are found wrong.
#[track_caller]
fn is_convicted(adversary: &str, epoch: u64) {
    let mut net = Net::with(adversary);
    for earlier in 1..epoch {
        net.run_race(earlier);
        net.assert_clean(0..5);
    }
    let bad = net.nodes[BAD].address;
    net.run_race(epoch);
    net.assert_clean(0..BAD);
    let result = net.result(BAD);
    assert_eq!((result.void, result.weight), (Some(Void::Convicted), 0), "{adversary}: {result:?}");
    assert!(count(&net, |event| matches!(event, Event::Convicted { host, .. } if *host == bad)) == 1);
    assert_eq!(count(&net, |event| matches!(event, Event::Acquitted { .. })), 0);
    assert_eq!(weights::of(&net.state, &bad).unwrap().reputation, 0);
    assert_eq!(net.power(BAD), 0);
}

#[test]
fn made_up_leaves_are_found_and_convicted() {
    is_convicted("fake:50", 1);
    is_convicted("fake:5", 1);
}

#[test]
fn last_races_work_is_no_work() {
    is_convicted("replay", 2);
}

#[test]
fn work_counts_once() {
    is_convicted("overcommit:2", 1);
}

#[test]
fn choosing_which_leaves_to_make_up_does_not_help() {
    is_convicted("grind", 1);
}

#[test]
fn what_is_not_shown_counts_for_nothing() {
    let mut net = Net::with("withhold");
    net.run_race(1);
    net.assert_clean(0..BAD);
    let (bad, result) = (net.nodes[BAD].address, net.result(BAD));
    assert_eq!((result.void, result.weight), (Some(Void::Withheld), 0));
    assert_eq!(count(&net, |event| matches!(event, Event::Demanded { host, .. } if *host == bad)), 3);
    assert_eq!(net.balance(0), freeway_primitives::Amount::fwy(90), "bonds come back");
}

#[test]
fn verdicts_without_work_are_found_false() {
    for adversary in ["lazy:copy", "lazy:guess"] {
        let mut net = Net::with(adversary);
        net.run_race(1);
        net.assert_clean(0..BAD);
        let (bad, result) = (net.nodes[BAD].address, net.result(BAD));
        assert!(result.owed > 0 && result.done == 0, "{adversary}: {result:?}");
        assert!(
            count(&net, |event| matches!(event, Event::FalseVerdict { member, .. } if *member == bad)) > 0
        );
        assert_eq!(
            count(&net, |event| matches!(event, Event::FalseVerdict { member, .. } if *member != bad)),
            0
        );
        assert_eq!(count(&net, |event| matches!(event, Event::Convicted { .. })), 0);
        assert_eq!(weights::of(&net.state, &bad).unwrap().reputation, 0);
    }
}

#[test]
fn a_false_accusation_costs_its_bond_and_harms_nobody() {
    let mut net = Net::with("accuse");
    net.run_race(1);
    net.assert_clean(0..5);
    let acquitted = count(&net, |event| matches!(event, Event::Acquitted { .. }));
    assert!(acquitted > 0);
    assert_eq!(count(&net, |event| matches!(event, Event::Convicted { .. })), 0);
    let lost = freeway_primitives::Amount::fwy(90 - acquitted as u128);
    assert_eq!(net.balance(BAD), lost);
}

#[test]
fn who_is_late_is_not_in_the_race() {
    let mut net = Net::with("late");
    net.run_race(1);
    net.assert_clean(0..BAD);
    let result = net.result(BAD);
    assert_eq!((result.count, result.weight, result.done), (0, 0, 0));
    assert!(
        net.rejected.iter().all(|(sender, code)| *sender == net.nodes[BAD].address && *code == "too_late")
    );
    assert!(!net.rejected.is_empty());
}

#[test]
fn rented_hardware_gives_no_power() {
    let mut net = Net::with("rent");
    for epoch in 1..=2 {
        net.run_race(epoch);
        net.assert_clean(0..5);
    }
    let own = net.power(BAD);
    assert!(own > 0 && own * 5 < net.power(0), "{own} of {}", net.power(0));
    for epoch in 3..=4 {
        net.run_race(epoch);
        net.assert_clean(0..5);
        assert_eq!(net.power(BAD), own);
    }
}
