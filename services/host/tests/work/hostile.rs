//! Payers and members that want an honest host convicted, its work lost, or its prompts.

use freeway_host::work::{Refusal, Shelf};
use freeway_ledger::Text;
use freeway_ledger::lanes::Constraints;
use freeway_ledger::work::State;

use crate::kit::*;

fn of_operators(numbers: core::ops::Range<usize>) -> Constraints {
    let operators = numbers.map(|i| Text::new(format!("operator {i}")).unwrap()).collect();
    Constraints { regions: Vec::new(), operators }
}

/// A payer can sign as many vouchers for one request as it likes, and a receipt names none of them.
#[test]
fn a_second_voucher_for_the_same_request_convicts_nobody() {
    let mut net = Net::new(&[None; 6]);
    let lane = net.lane();
    let interval = net.next_interval();
    for i in 0..6 {
        net.serve(i, lane, 5);
    }
    for entry in net.nodes[5].shelf.entries(interval).unwrap() {
        net.cheapen(5, &entry.receipt);
    }
    net.finish(interval);
    assert_eq!((net.convicted(), net.false_verdicts(), net.stake(5)), (vec![], vec![], STAKE));
    assert!((0..5).all(|i| net.outcome(i, interval) == State::Matured));
}

/// Who checks what a host served to everybody is not shown what it served under constraints.
#[test]
fn what_was_served_under_constraints_is_shown_within_them() {
    let mut net = Net::new(&[None; 6]);
    let (open, closed) = (net.lane(), net.lane_for(of_operators(0..3)));
    let interval = net.next_interval();
    net.serve(0, open, 4);
    let secret = net.serve(0, closed, 4);
    net.run_to((interval + 1) * INTERVAL + 6);
    let commitment = net.commitment(0, interval).unwrap();
    let of = |constrained: bool| {
        let branch = commitment.branches.iter().find(|branch| branch.constraints.is_none() != constrained);
        branch.unwrap().committee.clone()
    };
    let (outsiders, insiders) = (of(false), of(true));
    let outsider = *outsiders.iter().find(|member| !insiders.contains(member)).unwrap();
    let state = net.state.clone();
    let mut seen = 0;
    for node in net.nodes.iter_mut().filter(|node| insiders.contains(&node.address)) {
        for kept in &secret {
            let digest = kept.receipt.digest();
            if node.shelf.artifact(&digest).unwrap().is_none() {
                continue;
            }
            seen += 1;
            let shown = node.core.artifact(&state, digest, outsider);
            assert_eq!(shown.map(drop), Err(Refusal::NotConcerned(outsider)));
            assert!(node.core.artifact(&state, digest, insiders[0]).is_ok());
        }
    }
    assert!(seen > 0);
}

/// A disk that fails now and then costs time only.
#[test]
fn what_was_asked_for_in_a_step_that_failed_is_asked_for_again() {
    let mut net = Net::honest();
    net.flaky = true;
    let lane = net.lane();
    let interval = net.next_interval();
    for i in 0..5 {
        net.serve(i, lane, 4);
    }
    net.finish(interval);
    assert!((0..5).all(|i| net.outcome(i, interval) == State::Matured));
}

/// A request may end long after its lane was closed. What cannot be committed to any more is lost, and nothing else.
#[test]
fn a_lane_of_its_own_kind_that_is_over_takes_nothing_from_the_others() {
    let mut net = Net::honest();
    let (short, long) = (net.lane_for(of_operators(0..5)), net.lane());
    let known = net.lane_of(short);
    net.close(short);
    while net.is_known(short) {
        net.block();
    }
    let interval = net.next_interval();
    for i in 0..5 {
        net.serve_one(i, short, known.clone());
        net.serve(i, long, 4);
    }
    net.restless = true;
    net.finish(interval);
    for i in 0..5 {
        assert_eq!(net.outcome(i, interval), State::Matured, "{i}");
    }
    assert_eq!(net.rejected, []);
}
