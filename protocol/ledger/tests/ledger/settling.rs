//! Paying hosts: what a settlement proves, what it pays, and what it never does.

use freeway_ledger::lanes::{
    CREDITS, Constraints, EARNED, Event, Opened, Settlement, TRAINING, VERIFIER_POT, payable,
};
use freeway_ledger::{Event as AnyEvent, vaults};
use freeway_primitives::{Amount, ChainId, Digest, Signature};
use freeway_proofs::work::{LaneId, VOUCHER, Voucher};

use crate::kit::*;
use crate::paying::*;
use crate::working::Shop;

/// A lane of one host, out of three, with all its parts known.
fn one() -> (Market, LaneId) {
    let mut market = Market::new(3);
    let id = market.open(opened(ESCROW, 1));
    (market, id)
}

#[test]
fn a_fee_is_divided_to_the_base_unit_and_the_rest_is_the_hosts() {
    for (fees, verifiers, training) in [(1_000, 50, 200), (1, 0, 0), (19, 0, 3), (999_999, 49_999, 199_999)] {
        let (mut market, id) = one();
        let (key, settlement) = market.earn(id, 0, &[fees]);
        let before = market.chain.balance(&key);
        assert_eq!(payable(&market.chain.state, id, &address(&key), Amount(fees)).unwrap(), Amount(fees));
        let transaction = market.tx(&key, settle(settlement));
        let outcome = market.chain.done(&transaction);
        let paid = Amount(fees - verifiers - training);
        assert_eq!(minus(market.chain.balance(&key), before), paid);
        let settled = Event::Settled { lane: id, host: address(&key), fees: Amount(fees), paid };
        assert_eq!(events(&outcome).last(), Some(&AnyEvent::Lanes(settled)));
        let state = &market.chain.state;
        let held = vaults(state).unwrap();
        assert_eq!((held.rewards, held.training), (Amount(verifiers), Amount(training)));
        assert_eq!(VERIFIER_POT.require(state).unwrap(), Amount(verifiers));
        assert_eq!(TRAINING.require(state).unwrap(), Amount(training));
        assert_eq!(held.lanes, minus(ESCROW, Amount(fees)));
        assert_eq!(market.lane(id).unwrap().left(), held.lanes);
        let earned = EARNED.get(state, &address(&key)).unwrap().unwrap();
        assert_eq!((earned.fees, earned.others), (Amount(fees), Amount(verifiers + training)));
    }
}

#[test]
fn settled_twice_is_paid_once_and_only_more_is_paid_more() {
    let (mut market, id) = one();
    let (share, key) = market.share(id, 0);
    let served = Served::of(id, share.host, &[100, 200, 300]);
    market.mature(share.host, 4, id, &served);
    let at = |market: &Market, index| market.settlement(share.host, 4, &served, index);
    let first = at(&market, 1);
    market.pays(&key, &first);
    assert_eq!(market.share(id, 0).0.paid, Amount(300));
    assert_eq!(market.refuses(&key, &first), "nothing_due");
    let lower = at(&market, 0);
    assert_eq!(market.refuses(&key, &lower), "nothing_due");
    let last = at(&market, 2);
    market.pays(&key, &last);
    assert_eq!(market.share(id, 0).0.paid, Amount(600));
    assert_eq!(market.refuses(&key, &last), "nothing_due");
    assert_eq!(market.refuses(&key, &first), "nothing_due");
}

#[test]
fn a_host_is_paid_the_least_of_voucher_commitment_and_deposit() {
    // The voucher allows less than was served.
    let (mut market, id) = one();
    let (key, mut settlement) = market.earn(id, 0, &[500, 400]);
    settlement.voucher.limit = Amount(700);
    let settlement = market.signed(settlement);
    market.pays(&key, &settlement);
    assert_eq!(market.share(id, 0).0.paid, Amount(700));
    // It allows more.
    let (mut market, id) = one();
    let (key, mut settlement) = market.earn(id, 0, &[500, 400]);
    settlement.voucher.limit = Amount(u128::MAX);
    let settlement = market.signed(settlement);
    market.pays(&key, &settlement);
    assert_eq!(market.share(id, 0).0.paid, Amount(900));
    // More was served than the share holds; what is put in later pays for it.
    let (mut market, id) = one();
    let (key, settlement) = market.earn(id, 0, &[ESCROW.0, 5]);
    market.pays(&key, &settlement);
    assert_eq!(market.lane(id).unwrap().left(), Amount::ZERO);
    assert_eq!(market.refuses(&key, &settlement), "nothing_due");
    market.chain.done(&market.tx(&user(0), top_up(id, Amount(3))));
    market.pays(&key, &settlement);
    assert_eq!((market.lane(id).unwrap().left(), market.share(id, 0).0.paid.0), (Amount::ZERO, ESCROW.0 + 3));
}

/// An entry's total is the host's word; the sum of its trees is what the samples were drawn from.
#[test]
fn in_all_a_host_is_paid_no_more_than_the_fees_that_matured() {
    let mut market = Market::new(1);
    let (a, b) = (market.open(opened(ESCROW, 1)), market.open(opened(ESCROW, 1)));
    let key = owner(0);
    let boast = |lane, total| {
        let mut served = Served::default();
        served.push(lane, host(0), 1_000, 10, total);
        served
    };
    let (of_a, of_b) = (boast(a, 1_000_000), boast(b, 10));
    market.mature(host(0), 1, a, &of_a);
    market.mature(host(0), 2, b, &of_b);
    let settlement = market.settlement(host(0), 1, &of_a, 0);
    market.pays(&key, &settlement);
    assert_eq!(market.share(a, 0).0.paid, Amount(20));
    assert_eq!(market.refuses(&key, &settlement), "nothing_due");
    let settlement = market.settlement(host(0), 2, &of_b, 0);
    assert_eq!(market.refuses(&key, &settlement), "nothing_due");
    let credit = market.credit(host(0));
    assert_eq!((credit.matured, credit.settled), (Amount(20), Amount(20)));
}

#[test]
fn what_is_forged_reordered_or_for_others_pays_nothing() {
    let mut market = Market::new(3);
    let id = market.open(opened(ESCROW, 2));
    let other = market.open(opened(ESCROW, 3));
    let (share, key) = market.share(id, 0);
    let (second, second_key) = market.share(id, 1);
    let served = Served::of(id, share.host, &[100, 200, 300]);
    market.mature(share.host, 4, id, &served);
    let sound = market.settlement(share.host, 4, &served, 2);
    let stolen = market.settlement(second.host, 4, &served, 2);
    let with = |change: &dyn Fn(&mut Settlement)| {
        let mut settlement = sound.clone();
        change(&mut settlement);
        settlement
    };
    // What is changed about a voucher, its signature does not cover.
    for change in [
        &|s: &mut Settlement| s.voucher.limit = Amount(601),
        &|s: &mut Settlement| s.voucher.sequence += 1,
        &|s: &mut Settlement| s.voucher.spent = Amount(1),
        &|s: &mut Settlement| s.voucher.request = Digest([9; 32]),
        &|s: &mut Settlement| s.signature = Signature([7; 64]),
    ] as [&dyn Fn(&mut Settlement); 5]
    {
        assert_eq!(market.refuses(&key, &with(change)), "bad_voucher_signature");
    }
    let by = |market: &Market, key: &freeway_primitives::SecretKey, chain: &ChainId| {
        let _ = market;
        with(&|s| s.signature = key.sign(VOUCHER, chain, &s.voucher))
    };
    let id_of_chain = market.chain.id;
    let (forged, foreign) =
        (by(&market, &voucher_key(1), &id_of_chain), by(&market, &voucher_key(0), &ChainId(Digest([8; 32]))));
    assert_eq!(market.refuses(&key, &forged), "bad_voucher_signature");
    assert_eq!(market.refuses(&key, &foreign), "bad_voucher_signature");
    // Another's voucher, or for another lane.
    assert_eq!(market.refuses(&second_key, &sound), "wrong_lane");
    assert_eq!(market.refuses(&second_key, &stolen), "not_matured");
    let elsewhere = market.signed(with(&|s| s.voucher.lane = other));
    assert_eq!(market.refuses(&key, &elsewhere), "wrong_lane");
    let nowhere = market.signed(with(&|s| s.voucher.lane = LaneId(99)));
    assert_eq!(market.refuses(&key, &nowhere), "unknown_lane");
    assert_eq!(market.refuses(&user(0), &sound), "no_share");
    // A voucher from before the request.
    let old = market.signed(with(&|s| s.voucher.sequence = 1));
    assert_eq!(market.refuses(&key, &old), "old_voucher");
    // Not what was committed to.
    assert_eq!(market.refuses(&key, &with(&|s| s.interval = 3)), "not_matured");
    for change in [
        &|s: &mut Settlement| s.entry.total = Amount(601),
        &|s: &mut Settlement| s.entry.sequence = 0,
        &|s: &mut Settlement| s.entry.sums.fees += 1,
        &|s: &mut Settlement| s.opening.sums.fees += 1,
        &|s: &mut Settlement| s.opening.index = 1,
        &|s: &mut Settlement| s.opening.digest = Digest::ZERO,
    ] as [&dyn Fn(&mut Settlement); 6]
    {
        assert_eq!(market.refuses(&key, &with(change)), "wrong_opening");
    }
    // After all that, what is right is paid; a later voucher for an earlier request, too.
    let later = market.signed(with(&|s| s.voucher.sequence = 9));
    market.pays(&key, &later);
    assert_eq!(market.share(id, 0).0.paid, Amount(600));
}

#[test]
fn a_lane_is_settled_until_its_grace_is_over_and_not_later() {
    let (mut market, id) = one();
    let (key, last) = market.earn(id, 0, &[100, 50]);
    let served = Served::of(id, address(&key), &[100, 50]);
    let first = market.settlement(address(&key), 0, &served, 0);
    market.chain.done(&market.tx(&user(0), close(id)));
    let until = market.chain.height.plus(quick().lanes.grace_blocks);
    market.pays(&key, &first);
    market.chain.skip_to(until.0 - 1);
    market.pays(&key, &last);
    assert_eq!(market.chain.height, until);
    let before = market.chain.balance(&user(0));
    market.chain.block(&[]);
    assert_eq!(minus(market.chain.balance(&user(0)), before), minus(ESCROW, Amount(150)));
    assert_eq!(market.refuses(&key, &last), "unknown_lane");
}

/// A block that comes late to a lane that is over pays nothing out of it any more.
#[test]
fn a_lane_that_waits_to_be_removed_is_not_settled() {
    let mut market = Market::with(1, |params| params.lanes.max_ends_per_block = 1);
    let (a, b) = (market.open(opened(ESCROW, 1)), market.open(opened(ESCROW, 1)));
    let served = Served::of(b, host(0), &[100]);
    market.mature(host(0), 0, b, &served);
    let settlement = market.settlement(host(0), 0, &served, 0);
    let closing = market.chain.txs(&user(0), [close(a), close(b)]);
    market.chain.block(&closing);
    market.chain.skip_to(market.chain.height.0 + quick().lanes.grace_blocks);
    assert_eq!(market.refuses(&owner(0), &settlement), "too_late");
    market.chain.block(&[]);
    assert_eq!((market.lane(a), market.lane(b)), (None, None));
}

#[test]
fn a_removed_host_is_paid_nothing_and_its_deposit_goes_back() {
    let mut market = Market::new(4);
    let id = market.open(opened(ESCROW, 1));
    let (key, settlement) = market.earn(id, 0, &[500]);
    let i = (0..4).find(|i| host(*i) == address(&key)).unwrap();
    let proof = market.chain.double_vote(i, market.chain.height);
    market.chain.done(&market.tx(&user(1), report(proof)));
    assert_eq!(market.refuses(&key, &settlement), "forfeited");
    assert_eq!(payable(&market.chain.state, id, &address(&key), Amount(500)).unwrap(), Amount::ZERO);
    market.chain.done(&market.tx(&user(0), close(id)));
    let before = market.chain.balance(&user(0));
    market.chain.skip_to(market.chain.height.0 + quick().lanes.grace_blocks + 1);
    assert_eq!(minus(market.chain.balance(&user(0)), before), ESCROW);
}

/// What host 0 would send to be paid for all that it served in an interval, in lanes of one class.
fn for_interval(shop: &Shop, lane: LaneId, interval: u64) -> Settlement {
    let done = &shop.done[&(interval, host(0))][0];
    let (entry, opening) = (done.entry(0), done.leaf(0, 0).opening);
    let voucher = Voucher {
        lane,
        host: host(0),
        sequence: entry.sequence,
        spent: Amount::ZERO,
        limit: entry.total,
        request: Digest([1; 32]),
    };
    let signature = Signature([0; 64]);
    shop.market.signed(Settlement { voucher, signature, interval, entry, opening })
}

#[test]
fn a_conviction_forfeits_the_shares_of_before_and_no_later_ones() {
    let mut shop = Shop::new(6);
    let lane = shop.lane();
    let first = shop.interval();
    shop.serve(0, lane, &[500]);
    shop.honest(first);
    let settlement = for_interval(&shop, lane, first);
    let second = shop.interval();
    shop.serve_as(0, lane, &[500], |_| false);
    shop.commit_all(second);
    let accusation = shop.accusation(0, second, 0);
    shop.sends(&owner(2), accusation);
    let judged = shop.judge_all(&[]);
    let fees = settlement.entry.total;
    assert!(judged.contains(&AnyEvent::Lanes(Event::Forfeited { host: host(0), fees })));
    assert_eq!(shop.market.refuses(&owner(0), &settlement), "forfeited");

    let later = shop.lane();
    let third = shop.interval();
    shop.serve(0, later, &[100]);
    shop.honest(third);
    let settlement = for_interval(&shop, later, third);
    shop.market.pays(&owner(0), &settlement);
    // The lane of before gives back all of it.
    let held = shop.market.lane(lane).unwrap();
    assert_eq!(held.left(), held.escrow);
}

#[test]
fn a_host_that_left_is_paid_for_what_it_did_and_then_forgotten() {
    let mut market = Market::of(&genesis(quick(), &[WEIGHT; 5], 2));
    let id = market.open(opened(ESCROW, 1));
    let (key, settlement) = market.earn(id, 0, &[500]);
    market.chain.done(&market.tx(&key, leave()));
    market.chain.switch();
    let unbonding = quick().hosts.unbonding_blocks;
    market.chain.skip_to(market.chain.height.0 + unbonding + 1);
    let i = (0..5).find(|i| host(*i) == address(&key)).unwrap();
    assert_eq!(market.chain.host(i), None);
    market.pays(&key, &settlement);
    assert!(CREDITS.contains(&market.chain.state, &address(&key)).unwrap());
    market.chain.done(&market.tx(&user(0), close(id)));
    market.chain.skip_to(market.chain.height.0 + quick().lanes.grace_blocks + 1);
    assert!(!CREDITS.contains(&market.chain.state, &address(&key)).unwrap());
}

#[test]
fn only_open_lanes_of_strangers_count_as_served_for_others() {
    // Constraints choose the host, so nothing is served to whoever comes.
    let mut market = Market::new(2);
    let constraints = Constraints { regions: vec![text("somewhere")], operators: Vec::new() };
    let id = market.open(Opened { constraints, ..opened(ESCROW, 1) });
    let (key, settlement) = market.earn(id, 0, &[1_000]);
    market.pays(&key, &settlement);
    assert_eq!(EARNED.get(&market.chain.state, &address(&key)).unwrap(), None);
}

#[test]
fn an_operators_key_settles_for_its_host() {
    let (mut market, id) = one();
    let (key, settlement) = market.earn(id, 0, &[1_000]);
    let i = (0..3).find(|i| host(*i) == address(&key)).unwrap();
    let transaction = market.chain.tx_for(&vote_key(i), host(i), settle(settlement));
    market.chain.done(&transaction);
    assert_eq!(market.share(id, 0).0.paid, Amount(1_000));
}
