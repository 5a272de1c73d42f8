//! The statistical tier: hosts are found out by how likely their tokens are, and it costs them fees, never collateral.

use freeway_host::core::Unreachable;
use freeway_host::work::Shelf;
use freeway_ledger::verification::Finding;
use freeway_ledger::work::{State, Void};
use freeway_primitives::{Amount, Digest};
use freeway_proofs::work::LaneId;
use freeway_requests::LogProb;
use freeway_requests::evidence::{Evidence, Spoken, Suspicion, THRESHOLD};

use crate::kit::*;

const CHEAT: usize = 5;

/// Five honest hosts, and one of this quality.
fn with(quality: Quality) -> Net {
    let mut qualities = [Quality::Right; CHEAT + 1];
    qualities[CHEAT] = quality;
    Net::of_chance(&qualities)
}

/// All serve, and their work is decided.
fn run(net: &mut Net, lane: LaneId, count: u32) -> u64 {
    let interval = net.next_interval();
    for i in 0..net.nodes.len() {
        net.serve(i, lane, count);
    }
    net.finish(interval);
    interval
}

/// That all but the cheat are paid, that the cheat is not, and that nobody's collateral was touched.
fn assert_unpaid(net: &mut Net, lane: LaneId, interval: u64) {
    for i in 0..CHEAT {
        assert_eq!(net.outcome(i, interval), State::Matured, "{i}");
    }
    assert_eq!(net.outcome(CHEAT, interval), State::Void(Void::Unchecked));
    net.close(lane);
    for _ in 0..5 {
        net.block();
    }
    assert!((0..CHEAT).all(|i| net.paid(lane, i) > Amount::ZERO));
    assert_eq!(net.paid(lane, CHEAT), Amount::ZERO);
    assert!((0..=CHEAT).all(|i| net.stake(i) == STAKE));
    assert_eq!((net.convicted(), net.false_verdicts()), (vec![], vec![]));
    assert!(net.rejected.is_empty(), "{:?}", net.rejected);
}

/// What speaks against a host, as the others know it.
fn strongest(net: &Net, i: usize) -> Vec<(Suspicion, u32)> {
    let host = net.nodes[i].address;
    let others = net.nodes.iter().filter(|node| node.address != host);
    others.map(|node| node.shelf.evidence(&host, &MODEL).unwrap().strongest()).collect()
}

/// Of how many samples of others anybody found that their host is to be suspected.
fn suspected(net: &Net) -> u64 {
    net.nodes.iter().map(|node| node.core.standing().suspected).sum()
}

#[test]
fn honest_work_is_scored_and_paid() {
    let mut net = with(Quality::Right);
    let lane = net.lane();
    let mut intervals = Vec::new();
    for _ in 0..3 {
        intervals.push(run(&mut net, lane, 8));
    }
    assert!(
        intervals.iter().all(|interval| (0..=CHEAT).all(|i| net.outcome(i, *interval) == State::Matured))
    );
    assert_eq!(suspected(&net), 0);
    // Nothing was done again, and nothing was scored twice.
    for node in &net.nodes {
        assert!(node.verified == 0 && node.scored.len() == node.fetched && !node.scored.is_empty());
        assert_eq!(node.core.standing().right, node.scored.len() as u64);
    }
    net.close(lane);
    for _ in 0..5 {
        net.block();
    }
    for i in 0..=CHEAT {
        let fees = intervals.iter().map(|interval| net.commitment(i, *interval).unwrap().fees.0).sum();
        assert_eq!(net.paid(lane, i), Amount(fees), "{i}");
    }
    assert_eq!((net.convicted(), net.false_verdicts(), &net.rejected), (vec![], vec![], &vec![]));
}

#[test]
fn forged_claims_are_suspected_and_cost_fees_and_no_collateral() {
    let mut net = with(Quality::Forged);
    let lane = net.lane();
    let interval = run(&mut net, lane, 8);
    assert!(suspected(&net) > 0);
    let found = |(suspicion, evidence): &(_, u32)| *suspicion == Suspicion::Forged && *evidence >= THRESHOLD;
    assert!(strongest(&net, CHEAT).iter().any(found));
    assert!((0..CHEAT).flat_map(|i| strongest(&net, i)).all(|(_, evidence)| evidence < THRESHOLD));
    assert_unpaid(&mut net, lane, interval);
}

/// Its claims are right to the last digit; what it chose is not what the model would.
#[test]
fn a_rescored_coarse_model_is_suspected_by_its_greedy_answers() {
    let mut net = with(Quality::Rescored);
    net.is_greedy = true;
    let lane = net.lane();
    let interval = run(&mut net, lane, 8);
    let found = |(suspicion, evidence): &(_, u32)| *suspicion == Suspicion::Missed && *evidence >= THRESHOLD;
    assert!(suspected(&net) > 0 && strongest(&net, CHEAT).iter().any(found));
    assert_unpaid(&mut net, lane, interval);
}

#[test]
fn a_coarse_model_is_suspected_by_its_own_claims() {
    let mut net = with(Quality::Coarse);
    let lane = net.lane();
    let interval = run(&mut net, lane, 8);
    assert!(suspected(&net) > 0);
    assert_unpaid(&mut net, lane, interval);
}

#[test]
fn answers_that_end_nowhere_and_inflated_counts_are_wrong_without_scoring() {
    for quality in [Quality::Short, Quality::Inflated] {
        let mut net = with(quality);
        let lane = net.lane();
        let interval = run(&mut net, lane, 4);
        assert_eq!((suspected(&net), strongest(&net, CHEAT)[0].1), (0, 0));
        assert_unpaid(&mut net, lane, interval);
    }
}

/// On the exact tier that convicts by itself; here it is unpaid, and nobody proves anything.
#[test]
fn a_higher_price_is_wrong_and_not_proven() {
    let mut net = with(Quality::Dear);
    let lane = net.lane();
    let interval = run(&mut net, lane, 4);
    assert_unpaid(&mut net, lane, interval);
}

/// Who shows claims that the receipt's trace is not of has shown nothing; who shows none is wrong.
#[test]
fn claims_are_those_of_the_trace_and_must_be_there() {
    for is_bare in [false, true] {
        let mut net = with(Quality::Right);
        let lane = net.lane();
        let interval = net.next_interval();
        for i in 0..=CHEAT {
            net.serve(i, lane, 4);
        }
        for entry in net.nodes[CHEAT].shelf.entries(interval).unwrap() {
            let artifact = net.nodes[CHEAT].shelf.artifact(&entry.receipt).unwrap().unwrap();
            let mut claims = artifact.claims.unwrap();
            claims.logprobs[0][3] -= 1;
            net.claim(CHEAT, &entry.receipt, (!is_bare).then_some(claims));
        }
        let expected = if is_bare { Finding::Wrong } else { Finding::NotShown };
        while net.commitment(CHEAT, interval).is_none() || net.findings(CHEAT, interval).is_empty() {
            net.block();
        }
        assert!(net.findings(CHEAT, interval).iter().all(|finding| *finding == expected));
        net.finish(interval);
        let wrong: u64 = net.nodes.iter().map(|node| node.core.standing().wrong).sum();
        let suspected = suspected(&net);
        // What is wrong at sight is not counted as done.
        assert_eq!((wrong, suspected, strongest(&net, CHEAT)[0].1), (0, 0, 0));
        assert_unpaid(&mut net, lane, interval);
    }
}

/// Claims are not signed by themselves: another than the host may have taken them away.
#[test]
fn only_the_host_itself_is_believed_that_there_are_no_claims() {
    let mut net = with(Quality::Right);
    let lane = net.lane();
    net.next_interval();
    let receipt = net.serve(CHEAT, lane, 1)[0].receipt.digest();
    let bare = net.claim(CHEAT, &receipt, None);
    let (state, height) = (net.state.clone(), net.height);
    let (host, other) = (net.nodes[CHEAT].address, net.nodes[2].address);
    let node = &mut net.nodes[1];
    for (from, is_kept) in [(other, false), (host, true)] {
        node.core.fetched(&state, height, receipt, Ok((from, bare.clone()))).unwrap();
        assert_eq!(node.shelf.artifact(&receipt).unwrap().is_some(), is_kept);
    }
    let nobody = Err(Unreachable("nobody".into()));
    assert_eq!(node.core.fetched(&state, height, receipt, nobody), Ok(()));
}

/// Who serves what others compute again through a server of its own would be called wrong in everything.
#[test]
fn a_server_serves_no_model_that_is_computed_again() {
    for (mut net, is_served) in [(Net::honest(), false), (with(Quality::Right), true)] {
        assert!(net.serves(0));
        net.restart_with_server(0);
        net.block();
        net.block();
        assert_eq!(net.serves(0), is_served);
        assert!(net.serves(1));
    }
}

/// What a process finds outlives it, and no receipt counts twice.
#[test]
fn evidence_survives_restarts_and_counts_each_receipt_once() {
    let mut net = with(Quality::Forged);
    net.restless = true;
    let lane = net.lane();
    for _ in 0..2 {
        run(&mut net, lane, 2);
    }
    let host = net.nodes[CHEAT].address;
    let mut counted = 0;
    for node in &net.nodes {
        let mut all: Vec<Digest> = node.scored.clone();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), node.scored.len());
        let mut evidence = Evidence::default();
        for receipt in &node.scored {
            let artifact = node.shelf.artifact(receipt).unwrap().unwrap();
            if artifact.receipt.host != host {
                continue;
            }
            assert!(node.shelf.weighed(artifact.receipt.interval, receipt).unwrap().is_some());
            counted += 1;
            let said = &artifact.claims.as_ref().unwrap().logprobs[0];
            let tokens = artifact.output[0].iter().zip(said).zip(chance::scores(&artifact));
            for ((token, said), scored) in tokens {
                let spoken = Spoken {
                    sampling: &artifact.request.sampling,
                    constrained: false,
                    vocabulary: chance::VOCABULARY,
                    token: *token,
                    claimed: Some(LogProb(*said)),
                    scored: &scored,
                };
                evidence.observe(&chance::NOISE, &spoken);
            }
        }
        assert_eq!(node.shelf.evidence(&host, &MODEL).unwrap(), evidence);
    }
    assert!(counted > 0);
}
