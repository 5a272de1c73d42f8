//! Hosts that break the rules, and what becomes of them. Nobody else is punished.

use freeway_ledger::work::{State, Void};
use freeway_ledger::{verification, weights};

use crate::kit::*;

/// All serve, the last one in its way.
fn run(net: &mut Net) -> u64 {
    let lane = net.lane();
    let interval = net.next_interval();
    for i in 0..net.nodes.len() {
        net.serve(i, lane, 5);
    }
    net.finish(interval);
    interval
}

fn of(quality: Quality) -> Net {
    let mut net = Net::new(&[None; 6]);
    net.nodes[5].quality = quality;
    net
}

/// That the last host is convicted and slashed, and the others have matured.
fn assert_convicted(net: &Net, interval: u64) {
    assert_eq!(net.convicted(), [net.nodes[5].address]);
    assert_eq!(net.outcome(5, interval), State::Convicted);
    assert!(net.stake(5) < STAKE);
    assert_eq!(net.false_verdicts(), []);
    for i in 0..5 {
        assert_eq!((net.outcome(i, interval), net.stake(i)), (State::Matured, STAKE), "{i}");
    }
}

#[test]
fn a_coarser_model_is_convicted() {
    let mut net = of(Quality::Coarse);
    let interval = run(&mut net);
    assert_convicted(&net, interval);
    // Jurors that were no members did it again as well.
    assert!(net.nodes[..5].iter().all(|node| node.verified > 0));
}

#[test]
fn more_tokens_than_were_given_are_convicted() {
    let mut net = of(Quality::Inflated);
    let interval = run(&mut net);
    assert_convicted(&net, interval);
}

/// In the network's own lanes only its own requests count, and no more of them than it wants.
#[test]
fn what_the_network_did_not_ask_for_is_convicted() {
    for (quality, count) in [(Quality::Unasked, 5), (Quality::Right, 6)] {
        let mut net = of(quality);
        let (lane, probed) = (net.lane(), net.lane());
        net.probe(probed);
        let interval = net.next_interval();
        for i in 0..5 {
            net.serve(i, lane, 3);
            net.serve(i, probed, 5);
        }
        net.serve(5, probed, count);
        net.finish(interval);
        assert_convicted(&net, interval);
    }
}

#[test]
fn a_higher_price_is_proven_without_a_jury() {
    let mut net = of(Quality::Dear);
    let interval = run(&mut net);
    assert_convicted(&net, interval);
}

#[test]
fn a_false_trace_falls_on_the_host_and_not_on_those_who_computed() {
    // Members whose tags it contradicts do not judge: three others have to be there.
    let mut net = Net::new(&[None; 8]);
    net.nodes[7].quality = Quality::FalseTrace;
    let interval = run(&mut net);
    assert_eq!(net.convicted(), [net.nodes[7].address]);
    assert!(net.stake(7) < STAKE && net.false_verdicts().is_empty());
    for i in 0..7 {
        assert_eq!((net.outcome(i, interval), net.stake(i)), (State::Matured, STAKE), "{i}");
    }
}

/// Jurors have the artifact from those who checked it.
#[test]
fn hiding_when_accused_is_of_no_use() {
    let mut net = of(Quality::Coarse);
    net.hides = Some(5);
    let interval = run(&mut net);
    assert!(!net.nodes[5].reachable);
    assert_convicted(&net, interval);
}

#[test]
fn convictions_survive_restarts() {
    let mut net = of(Quality::Coarse);
    net.restless = true;
    let interval = run(&mut net);
    assert_convicted(&net, interval);
}

#[test]
fn who_shows_nothing_is_paid_nothing_and_not_slashed() {
    let mut net = Net::with("work:withhold");
    let interval = run(&mut net);
    assert_eq!(net.outcome(5, interval), State::Void(Void::Withheld));
    assert_eq!((net.stake(5), net.convicted(), net.false_verdicts()), (STAKE, vec![], vec![]));
    assert!((0..5).all(|i| net.outcome(i, interval) == State::Matured));
    // One demanded, and its bond was given back.
    let demanded = net.verification().filter(|event| matches!(event, verification::Event::Demanded { .. }));
    assert_eq!(demanded.count(), 1);
    assert!((0..5).all(|i| net.balance(i) == net.balance(0)));
}

#[test]
fn a_lazy_verifier_is_found_out_by_what_hosts_reveal() {
    let mut net = Net::with("verify:lazy");
    for _ in 0..3 {
        run(&mut net);
    }
    let lazy = net.nodes[5].address;
    let found = net.false_verdicts();
    assert!(!found.is_empty() && found.iter().all(|member| *member == lazy), "{found:?}");
    assert_eq!(weights::of(&net.state, &lazy).unwrap().reputation, 0);
    assert_eq!(net.convicted(), []);
}
