//! Commitments to work: what is accepted, how much is looked at, and what matures.

use freeway_ledger::work::{self, COMMITS, Claim, Event, Message as Work, ROUNDS, Stage, State, Void};
use freeway_ledger::{Message, rewards, verification};
use freeway_primitives::Amount;
use freeway_proofs::sum::{Sums, Total};
use freeway_proofs::work::LaneId;
use proptest::prelude::*;

use crate::kit::*;
use crate::paying::*;
use crate::working::*;

fn commit(interval: u64, claims: Vec<Claim>) -> Message {
    Message::Work(Work::Commit { interval, claims })
}

/// Four hosts, all with some work in one lane, in the first interval that is whole.
fn busy() -> (Shop, LaneId, u64) {
    let mut shop = Shop::new(4);
    let lane = shop.lane();
    shop.chain().skip_to(5);
    for i in 0..4 {
        shop.serve(i, lane, &[500, 20, 3_000, 1]);
    }
    (shop, lane, 1)
}

#[test]
fn honest_work_matures() {
    let (mut shop, _, interval) = busy();
    let fees = Amount(shop.done[&(interval, host(0))][0].tree.sums().fees);
    let committed = of_work(&events(&shop.commit_all(interval)));
    assert_eq!(committed.len(), 4);
    assert!(committed.contains(&Event::Committed { host: host(0), interval, fees }));
    assert_eq!((shop.standing(0).open, shop.standing(0).intervals), (fees, vec![interval]));
    assert_eq!((shop.state(0, interval), shop.matured(0)), (State::Open, Amount::ZERO));
    shop.check_all(interval, &[]);
    shop.reveal_all(interval, &[]);
    let ended = of_work(&shop.finish(interval));
    assert!((0..4).all(|i| shop.state(i, interval) == State::Matured));
    assert!(ended.contains(&Event::Matured { host: host(0), interval, fees }));
    assert_eq!((shop.matured(0), shop.standing(0)), (fees, work::Standing::default()));
    // Three committees of three others each.
    let duty = |i| rewards::DUTIES.get(&shop.market.chain.state, &host(i)).unwrap().unwrap();
    assert!((0..4).all(|i| (duty(i).owed, duty(i).done) == (3, 3)));
    assert_eq!(ROUNDS.page(&shop.market.chain.state, None, 1).unwrap(), []);
}

/// From the first token to the money.
#[test]
fn what_matured_is_settled() {
    let (mut shop, lane, interval) = busy();
    let done = shop.done[&(interval, host(1))][0].clone();
    shop.honest(interval);
    let (entry, opening) = (done.entry(3), done.leaf(0, 3).opening);
    let voucher = freeway_proofs::work::Voucher {
        lane,
        host: host(1),
        sequence: entry.sequence,
        spent: Amount::ZERO,
        limit: entry.total,
        request: freeway_primitives::Digest([1; 32]),
    };
    let signature = voucher_key(0).sign(freeway_proofs::work::VOUCHER, &shop.market.chain.id, &voucher);
    let settlement = freeway_ledger::lanes::Settlement { voucher, signature, interval, entry, opening };
    let before = shop.market.chain.balance(&owner(1));
    shop.market.pays(&owner(1), &settlement);
    let paid = Amount(entry.total.0 - entry.total.0 * 5 / 100 - entry.total.0 * 20 / 100);
    assert_eq!(shop.market.chain.balance(&owner(1)), plus(before, paid));
    assert_eq!(shop.matured(1), Amount::ZERO);
}

#[test]
fn commitments_have_their_time_their_lanes_and_their_bounds() {
    let (mut shop, lane, interval) = busy();
    // Of three hosts, one has no share in it.
    let foreign = shop.market.open(opened(ESCROW, 3));
    let shares = shop.market.lane(foreign).unwrap().shares;
    let other = (0..4).find(|i| shares.iter().all(|share| share.host != host(*i))).unwrap();
    let good = shop.done[&(interval, host(0))][0].claim();
    assert_eq!(shop.refuses(&owner(0), commit(interval, vec![good])), "too_early");
    assert_eq!(shop.refuses(&owner(0), commit(u64::MAX, vec![good])), "too_early");
    let first = (interval + 1) * 6;
    shop.chain().skip_to(first - 1);
    assert_eq!(shop.refuses(&user(0), commit(interval, vec![good])), "not_a_host");
    assert_eq!(shop.refuses(&owner(0), commit(interval, vec![])), "wrong_count");
    assert_eq!(shop.refuses(&owner(0), commit(interval, vec![good; 9])), "wrong_count");
    assert_eq!(shop.refuses(&owner(0), commit(interval, vec![good, good])), "same_class");
    let elsewhere = Claim { lane: LaneId(77), ..good };
    assert_eq!(shop.refuses(&owner(0), commit(interval, vec![elsewhere])), "not_its_lane");
    for total in [
        Total { count: 0, ..good.total },
        Total { count: u64::MAX, ..good.total },
        Total { sums: Sums { fees: 0, tokens: 9 }, ..good.total },
    ] {
        let nothing = Claim { total, lane };
        assert_eq!(shop.refuses(&owner(0), commit(interval, vec![nothing])), "nothing_earned");
    }
    let claim = Claim { lane: foreign, ..good };
    assert_eq!(shop.refuses(&owner(other), commit(interval, vec![claim])), "not_its_lane");
    shop.chain().skip_to(first + 1);
    assert_eq!(shop.refuses(&owner(0), commit(interval, vec![good])), "too_late");
    shop.serve(0, lane, &[10]);
    let next = shop.interval();
    shop.commit_all(next);
    let again = shop.commitment(0, next);
    assert_eq!(shop.refuses(&owner(0), again), "already_committed");
}

/// Who commits nothing is paid nothing, and does not keep the others waiting.
#[test]
fn a_missing_commitment_pays_nothing() {
    let (mut shop, _, interval) = busy();
    let receipt = shop.done[&(interval, host(2))][0].receipts[0];
    shop.done.remove(&(interval, host(2)));
    shop.honest(interval);
    assert!([0, 1, 3].iter().all(|i| shop.state(*i, interval) == State::Matured));
    assert_eq!(shop.matured(2), Amount::ZERO);
    let report = shop.report(2, receipt);
    assert_eq!(shop.refuses(&user(0), report), "not_committed");
}

#[test]
fn open_fees_are_bounded_by_what_can_be_lost() {
    let mut shop = Shop::with(4, |params| {
        params.work.free_fees = Amount(700);
        params.work.exposure_percent = 0;
    });
    let lane = shop.lane();
    let interval = shop.interval();
    shop.serve(0, lane, &[3_000]);
    shop.serve(1, lane, &[4_000]);
    let first = (interval + 1) * 6;
    shop.chain().skip_to(first - 1);
    // 8 + 0.2 for the prompt, 600 and 800 for the answers.
    let commitment = shop.commitment(1, interval);
    assert_eq!(shop.refuses(&owner(1), commitment), "over_exposed");
    let commitment = shop.commitment(0, interval);
    shop.sends(&owner(0), commitment);
    let (limit, open) = work::limit(&shop.market.chain.state, &host(0), shop.market.chain.height).unwrap();
    assert_eq!((limit, open), (Amount(700), Amount(609)));
    shop.serve(0, lane, &[1_000]);
    let next = shop.interval();
    shop.chain().skip_to((next + 1) * 6 - 1);
    let commitment = shop.commitment(0, next);
    assert_eq!(shop.refuses(&owner(0), commitment), "over_exposed");
}

/// Collateral that is on its way out counts only as long as a conviction can still reach it.
#[test]
fn withdrawn_collateral_backs_nothing_for_long() {
    let mut shop = Shop::with(4, |params| {
        params.work.free_fees = Amount(1);
        params.hosts.unbonding_blocks = 450;
    });
    let limit = |shop: &Shop| {
        work::limit(&shop.market.chain.state, &host(0), shop.market.chain.height.next()).unwrap().0
    };
    let full = limit(&shop);
    assert_eq!(full, shop.stake(0).fraction(20, 100).unwrap());
    let stake = shop.stake(0);
    shop.sends(&owner(0), withdraw(stake));
    assert_eq!(limit(&shop), full);
    let height = shop.market.chain.height.0;
    let window = work::window(&shop.params());
    shop.chain().skip_to(height + 450 - window);
    assert_eq!(limit(&shop), Amount(1));
}

/// Invariant 7: what nobody checked is not paid, however long it waited; a second committee is asked before.
#[test]
fn work_that_nobody_checks_does_not_mature() {
    let (mut shop, _, interval) = busy();
    shop.commit_all(interval);
    shop.check_all(interval, &[0, 1, 2, 3]);
    let until = until(shop.stage(interval));
    shop.reach(interval, |stage| matches!(stage, Stage::Verdicts { until: other } if *other > until));
    // All others were asked before, so nobody is left.
    let commitment = shop.commitment_of(0, interval);
    assert_eq!((commitment.round, commitment.branches[0].committee.len()), (1, 3));
    assert_eq!(commitment.branches[0].members(), []);
    let ended = of_work(&shop.finish(interval));
    assert!((0..4).all(|i| shop.state(i, interval) == void(Void::Unchecked)));
    assert!(ended.contains(&Event::Voided { host: host(3), interval, reason: Void::Unchecked }));
    assert_eq!((shop.matured(0), shop.standing(0)), (Amount::ZERO, work::Standing::default()));
    let duty = |i| rewards::DUTIES.get(&shop.market.chain.state, &host(i)).unwrap().unwrap();
    assert!((0..4).all(|i| (duty(i).owed, duty(i).done) == (3, 0)));
}

#[test]
fn silent_members_cost_an_honest_host_time_and_no_money() {
    let mut shop = Shop::new(8);
    let lane = shop.lane();
    let interval = shop.interval();
    shop.serve(0, lane, &[500, 20, 3_000, 1]);
    shop.commit_all(interval);
    shop.reach_verdicts(interval);
    let silent = shop.commitment_of(0, interval).branches[0].committee.clone();
    let first = until(shop.stage(interval));
    shop.reach(interval, |stage| matches!(stage, Stage::Verdicts { until } if *until > first));
    let second = shop.commitment_of(0, interval).branches[0].members().to_vec();
    assert_eq!(second.len(), 3);
    assert!(second.iter().all(|member| !silent.contains(member) && *member != host(0)));
    let asked = (0..8).find(|i| host(*i) == silent[0]).unwrap();
    let late = verification::Verdict { host: host(0), branch: 0, findings: Vec::new() };
    let late = of_checks(verification::Message::Verdicts { interval, verdicts: vec![late] });
    assert_eq!(shop.refuses(&owner(asked), late), "unsolicited");
    shop.check_all(interval, &[]);
    shop.reveal_all(interval, &[]);
    shop.finish(interval);
    assert_eq!(shop.state(0, interval), State::Matured);
    for (members, done) in [(&silent, 0), (&second, 1)] {
        for member in members {
            let duty = rewards::DUTIES.get(&shop.market.chain.state, member).unwrap().unwrap();
            assert_eq!((duty.owed, duty.done), (1, done));
        }
    }
}

/// Nothing is decided by another height's randomness, and nothing is paid without any.
#[test]
fn without_randomness_nothing_matures() {
    let (mut shop, _, interval) = busy();
    shop.commit_all(interval);
    shop.chain().values = Some(Vec::new());
    let height = shop.market.chain.height.0;
    for block in height..height + 512 {
        assert_eq!(shop.state(0, interval), State::Open, "{block}");
        shop.chain().block(&[]);
    }
    shop.chain().block(&[]);
    shop.chain().block(&[]);
    assert!((0..4).all(|i| shop.state(i, interval) == void(Void::NoRandomness)));
    assert_eq!(shop.stage(interval), None);
    assert!((0..4).all(|i| shop.standing(i) == work::Standing::default()));
}

/// A draw that comes late is the same draw.
#[test]
fn a_late_value_draws_the_same_samples() {
    let (mut shop, _, interval) = busy();
    shop.commit_all(interval);
    let mut late = shop.clone();
    let draws = work::last_commit(interval, &shop.params().work);
    shop.reach_verdicts(interval);
    late.chain().values = Some(Vec::new());
    for _ in 0..20 {
        late.chain().block(&[]);
    }
    late.chain().values = Some(vec![draws]);
    late.chain().block(&[]);
    assert!(matches!(late.stage(interval), Some(Stage::Verdicts { .. })));
    for i in 0..4 {
        let (a, b) = (shop.commitment_of(i, interval), late.commitment_of(i, interval));
        assert_eq!((a.sampled, a.branches), (b.sampled, b.branches));
    }
}

#[test]
fn reputation_and_collateral_spare_samples() {
    let mut shop = Shop::new(4);
    let lane = shop.lane();
    let interval = shop.interval();
    for i in 0..4 {
        shop.serve(i, lane, &[500]);
    }
    shop.trust(1, 15);
    shop.trust(2, 30);
    shop.trust(3, 30);
    let stake = shop.stake(3);
    shop.sends(&owner(3), withdraw(stake));
    let height = shop.market.chain.height.0;
    assert!(height < (interval + 1) * 6);
    shop.commit_all(interval);
    shop.reach_verdicts(interval);
    let count = |i| shop.commitment_of(i, interval).sampled.unwrap().count;
    // What is unbonding is still within reach.
    assert_eq!((0..4).map(count).collect::<Vec<_>>(), [8, 6, 4, 4]);
}

/// Lanes of other constraints have a tree and a committee of their own: a sovereign lane stays where it belongs.
#[test]
fn each_class_of_lanes_has_its_own_committee() {
    let mut params = quick();
    working(&mut params);
    let mut genesis = genesis(params, &[WEIGHT; 8], 2);
    for i in [1, 3, 5] {
        genesis.hosts[i].region = text("the island");
    }
    let mut shop = Shop::of(&genesis);
    let everywhere = shop.lane();
    let mut only = opened(ESCROW, 3);
    only.constraints.regions = vec![text("the island")];
    let island = shop.market.open(only);
    let interval = shop.interval();
    shop.serve(1, everywhere, &[900; 3]);
    shop.serve(1, island, &[900; 3]);
    shop.commit_all(interval);
    shop.reach_verdicts(interval);
    let commitment = shop.commitment_of(1, interval);
    let samples = work::samples(&host(1), interval, &commitment);
    assert_eq!(samples.len(), 8);
    for (branch, others) in [(0, vec![0, 2, 3, 4, 5, 6, 7]), (1, vec![3, 5])] {
        let of_branch: Vec<_> = samples.iter().filter(|sample| sample.branch == branch).collect();
        let committee = &commitment.branches[branch].committee;
        assert_eq!(committee.len(), if of_branch.is_empty() { 0 } else { others.len().min(3) });
        assert!(committee.iter().all(|member| others.iter().any(|i| host(*i) == *member)));
        assert!(of_branch.iter().zip(0..).all(|(sample, place)| sample.place == place));
        let fees = commitment.branches[branch].total.sums.fees;
        assert!(of_branch.iter().all(|sample| sample.point < fees));
    }
    shop.check_all(interval, &[]);
    shop.reveal_all(interval, &[]);
    shop.finish(interval);
    assert_eq!(shop.state(1, interval), State::Matured);
    let state = &shop.market.chain.state;
    for (lane, branch) in [(everywhere, 0), (island, 1)] {
        let lane = shop.market.lane(lane).unwrap();
        let total = work::matured_total(state, &host(1), interval, &lane.model, &lane.constraints);
        assert_eq!(total.unwrap(), Some(commitment.branches[branch].total));
    }
}

/// Invariant 8.
#[test]
fn nobody_is_checked_by_its_own_operator() {
    let mut params = quick();
    working(&mut params);
    let mut all = genesis(params, &[WEIGHT; 6], 2);
    for i in [1, 2, 3] {
        all.hosts[i].operator = all.hosts[0].operator.clone();
    }
    let mut shop = Shop::of(&all);
    let lane = shop.lane();
    let interval = shop.interval();
    shop.serve(0, lane, &[500]);
    shop.serve(5, lane, &[500]);
    shop.commit_all(interval);
    shop.reach_verdicts(interval);
    let mut own = shop.commitment_of(0, interval).branches[0].committee.clone();
    own.sort_unstable();
    let mut others = vec![host(4), host(5)];
    others.sort_unstable();
    assert_eq!(own, others);
    assert_eq!(shop.commitment_of(5, interval).branches[0].committee.len(), 3);
}

/// Where all have one operator, hosts check each other only if the network was made so.
#[test]
fn a_single_operator_checks_itself_only_where_that_is_said() {
    for independence in [false, true] {
        let mut params = quick();
        working(&mut params);
        params.lanes.operator_independence = independence;
        let mut genesis = genesis(params, &[WEIGHT; 4], 2);
        for host in &mut genesis.hosts {
            host.operator = text("the one");
        }
        let mut shop = Shop::of(&genesis);
        let lane = shop.lane();
        let interval = shop.interval();
        shop.serve(0, lane, &[500]);
        shop.honest_or_unchecked(interval);
        let expected = if independence { void(Void::Unchecked) } else { State::Matured };
        assert_eq!(shop.state(0, interval), expected);
    }
}

/// Invariant 3: a block does only so much.
#[test]
fn many_commitments_take_several_blocks() {
    let mut shop = Shop::with(6, |params| {
        params.work.max_steps_per_block = 2;
    });
    let lane = shop.lane();
    let interval = shop.interval();
    for i in 0..6 {
        shop.serve(i, lane, &[500]);
    }
    shop.commit_all(interval);
    shop.reach_verdicts(interval);
    let drawn = |shop: &Shop| (0..6).filter(|i| shop.commitment_of(*i, interval).sampled.is_some()).count();
    let mut seen = vec![drawn(&shop)];
    while drawn(&shop) < 6 {
        shop.chain().block(&[]);
        seen.push(drawn(&shop));
    }
    assert_eq!(seen, [2, 4, 6]);
    shop.check_all(interval, &[]);
    shop.finish_revealing(interval);
    assert!((0..6).all(|i| shop.state(i, interval) == State::Matured));
}

#[test]
fn old_commitments_are_forgotten_with_all_that_was_said_about_them() {
    let mut shop = Shop::with(4, |params| {
        params.work.keep_intervals = 11;
        params.lanes.grace_blocks = 34;
    });
    let lane = shop.lane();
    let interval = shop.interval();
    for i in 0..4 {
        shop.serve(i, lane, &[500, 40]);
    }
    shop.honest(interval);
    let count = |shop: &Shop, prefix: &[u8]| {
        shop.market.chain.state.0.keys().filter(|key| key.starts_with(prefix)).count()
    };
    assert_eq!(count(&shop, b"work/commit/"), 4);
    assert_eq!(count(&shop, b"verification/verdict/"), 12);
    shop.chain().skip_to((interval + 11) * 6 - 1);
    assert_eq!(COMMITS.page(&shop.market.chain.state, None, 9).unwrap().len(), 4);
    shop.chain().block(&[]);
    for prefix in [&b"work/commit/"[..], b"work/round/", b"work/standing/", b"verification/verdict/"] {
        assert_eq!(count(&shop, prefix), 0);
    }
}

/// However a host splits its work, what is looked at follows from fees: padding with tiny receipts hides nothing.
#[test]
fn padding_buys_nothing() {
    let mut shop = Shop::new(4);
    let lane = shop.lane();
    let interval = shop.interval();
    let padded: Vec<u32> = (0..300).map(|place| if place == 150 { 100_000 } else { 0 }).collect();
    shop.serve(0, lane, &padded);
    shop.commit_all(interval);
    shop.reach_verdicts(interval);
    let done = &shop.done[&(interval, host(0))][0];
    let (large, all) = (done.entry(150).sums.fees, done.tree.sums().fees);
    let samples = work::samples(&host(0), interval, &shop.commitment_of(0, interval));
    let hits = samples.iter().filter(|sample| done.tree.at(sample.point) == Some(150)).count();
    // The tiny ones cost 9 each, rounded up; the large one 20009 of 22700.
    assert_eq!((large, all), (20_009, 20_009 + 299 * 9));
    assert!(hits >= 4, "{hits} of {} samples hit it", samples.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A leaf is sampled in proportion to its fee: over many draws its share of hits is its share of fees.
    #[test]
    fn samples_follow_fees(fees in prop::collection::vec(1u128..1_000, 2..6), seed: [u8; 32]) {
        let claim = |fees: u128| Total { sums: Sums { fees, tokens: 0 }, count: 1, ..Total::default() };
        let (shop, lane, interval) = empty();
        let branch = |fees: &u128| work::Branch {
            lane,
            model: MODEL,
            tier: freeway_ledger::models::Tier::Exact,
            constraints: Default::default(),
            total: claim(*fees),
            committee: Vec::new(),
            asked: 0,
        };
        let mut commitment = shop;
        commitment.branches = fees.iter().map(branch).collect();
        commitment.fees = Amount(fees.iter().sum());
        let value = freeway_primitives::Digest(seed);
        commitment.sampled = Some(work::Sampled { value, count: 4_096 });
        let samples = work::samples(&host(0), interval, &commitment);
        prop_assert_eq!(samples.len(), 4_096);
        for (index, fee) in fees.iter().enumerate() {
            let hits = samples.iter().filter(|sample| sample.branch == index).count() as u128;
            let expected = 4_096 * fee / commitment.fees.0;
            // Six standard deviations of a count are below 200.
            prop_assert!(hits.abs_diff(expected) < 200, "{} of {}", hits, expected);
        }
    }
}

/// A commitment to fill, and where it would stand.
fn empty() -> (work::Commitment, LaneId, u64) {
    let commitment = work::Commitment {
        branches: Vec::new(),
        operator: text("operator"),
        fees: Amount::ZERO,
        sampled: None,
        round: 0,
        reveal: None,
        open: 0,
        state: State::Open,
    };
    (commitment, LaneId(0), 3)
}
