//! Hosts that follow the rules get paid to the last unit, whatever happens to their processes.

use freeway_ledger::work::{State, Void};
use freeway_ledger::{Message, verification};
use freeway_primitives::Amount;

use crate::kit::*;

/// All serve in two intervals; then the lane is closed, and everybody is paid what its receipts say.
fn earn(net: &mut Net) {
    let lane = net.lane();
    let first = net.next_interval();
    for i in 0..5 {
        net.serve(i, lane, 3 + i as u32);
    }
    let second = net.next_interval();
    for i in 0..5 {
        net.serve(i, lane, 9);
    }
    net.finish(second);
    for i in 0..5 {
        assert_eq!(net.outcome(i, first), State::Matured, "{i}");
        assert_eq!(net.outcome(i, second), State::Matured, "{i}");
    }
    assert_eq!(net.rejected, []);
    let totals: Vec<Amount> = (0..5)
        .map(|i| {
            let all = 3 + i as u128 + 9;
            let fee = net.lane_of(lane).prices.fee(&freeway_proofs::work::Usage {
                prompt: 3,
                cached: 1,
                completion: 6,
            });
            Amount(all * fee.0)
        })
        .collect();
    let before: Vec<Amount> = (0..5).map(|i| net.balance(i)).collect();
    net.close(lane);
    for _ in 0..5 {
        net.block();
    }
    for (i, total) in totals.iter().enumerate() {
        assert_eq!(net.paid(lane, i), *total, "{i}");
        let others = total.0 * 5 / 100 + total.0 * 20 / 100;
        assert_eq!(net.balance(i).0 - before[i].0, total.0 - others, "{i}");
        assert_eq!(net.nodes[i].core.standing().lost, 0);
    }
    assert_eq!(net.rejected, []);
    assert_eq!((net.convicted(), net.false_verdicts()), (Vec::new(), Vec::new()));
}

#[test]
fn honest_work_matures_and_is_paid() {
    let mut net = Net::honest();
    earn(&mut net);
    // Nothing was done twice, and nobody checked itself.
    assert!(net.nodes.iter().all(|node| node.verified <= 4 * 12 * 2 && node.verified == node.fetched));
}

#[test]
fn processes_may_die_after_every_block() {
    let mut net = Net::honest();
    net.restless = true;
    earn(&mut net);
}

#[test]
fn a_host_that_is_down_loses_what_it_does_not_show_and_nothing_else() {
    let mut net = Net::honest();
    let lane = net.lane();
    let first = net.next_interval();
    for i in 0..5 {
        net.serve(i, lane, 4);
    }
    // It commits, and is gone.
    let second = net.next_interval();
    net.block();
    net.nodes[4].up = false;
    for i in 0..4 {
        net.serve(i, lane, 4);
    }
    net.finish(second);
    for i in 0..4 {
        assert_eq!((net.outcome(i, first), net.outcome(i, second)), (State::Matured, State::Matured), "{i}");
    }
    assert!(matches!(net.outcome(4, first), State::Void(Void::Withheld | Void::Unchecked)));
    assert_eq!((net.stake(4), net.convicted()), (STAKE, Vec::new()));
    assert_eq!(net.rejected, []);
    // It comes back, and goes on earning on the same share.
    net.nodes[4].up = true;
    let third = net.next_interval();
    net.serve(4, lane, 4);
    net.finish(third);
    assert_eq!(net.outcome(4, third), State::Matured);
    net.close(lane);
    for _ in 0..5 {
        net.block();
    }
    // Totals go on where they were; what has matured bounds what is paid.
    let paid = net.paid(lane, 4);
    assert_eq!(paid, net.commitment(4, third).unwrap().fees);
    assert_eq!(net.rejected, []);
}

#[test]
fn an_interval_that_was_slept_through_is_lost_and_the_next_one_pays() {
    let mut net = Net::honest();
    let lane = net.lane();
    let first = net.next_interval();
    for i in 0..5 {
        net.serve(i, lane, 4);
    }
    net.nodes[4].up = false;
    let second = net.next_interval();
    net.run_to(second * INTERVAL + 6);
    net.nodes[4].up = true;
    net.block();
    assert_eq!((net.commitment(4, first), net.nodes[4].core.standing().lost), (None, 1));
    net.serve(4, lane, 2);
    net.finish(second);
    assert_eq!(net.outcome(4, second), State::Matured);
    assert_eq!((net.stake(4), net.convicted(), &net.rejected), (STAKE, Vec::new(), &Vec::new()));
}

#[test]
fn a_host_that_only_the_chain_reaches_answers_there() {
    let mut net = Net::honest();
    let lane = net.lane();
    let first = net.next_interval();
    net.serve(4, lane, 4);
    net.nodes[4].reachable = false;
    net.finish(first);
    assert!(net.verification().any(|event| matches!(event, verification::Event::Answered { .. })));
    assert_eq!(net.outcome(4, first), State::Void(Void::Unchecked));
    assert_eq!((net.stake(4), net.convicted(), &net.rejected), (STAKE, Vec::new(), &Vec::new()));
}

#[test]
fn a_reported_receipt_is_shown() {
    let mut net = Net::honest();
    let lane = net.lane();
    let first = net.next_interval();
    let kept = net.serve(4, lane, 4).remove(2);
    net.run_to((first + 1) * INTERVAL + 3);
    let signed = verification::Signed { receipt: kept.receipt, signature: kept.signature };
    let report = verification::Message::Report(Box::new(verification::Report { signed }));
    net.pays(Message::Verification(report));
    net.finish(first);
    assert!(net.verification().any(|event| matches!(event, verification::Event::Answered { .. })));
    assert_eq!((net.outcome(4, first), &net.rejected), (State::Matured, &Vec::new()));
}

/// Lanes end while what was served in others of their class is still to be paid.
#[test]
fn a_lane_that_is_over_takes_nothing_from_the_others() {
    let mut net = Net::honest();
    let (short, long) = (net.lane(), net.lane());
    let first = net.next_interval();
    for i in 0..5 {
        net.serve(i, short, 2);
        net.serve(i, long, 3);
    }
    net.close(short);
    net.finish(first);
    // Its grace is over.
    net.run_to((first + 1) * INTERVAL + 140);
    assert!(!net.is_known(short));
    for i in 0..5 {
        net.restart(i);
    }
    net.close(long);
    for _ in 0..5 {
        net.block();
    }
    let fees = |net: &Net, i: usize| net.commitment(i, first).unwrap().fees.0;
    for i in 0..5 {
        assert_eq!(net.paid(long, i).0 * 5, fees(&net, i) * 3, "{i}");
    }
    assert_eq!(net.rejected, []);
}
