//! The whole loop of money: requests are served, checked, settled, and at the switch everybody has what is due.

use freeway_ledger::lanes::{Settlement, TRAINING};
use freeway_ledger::rewards::{Earnings, earnings};
use freeway_ledger::work::State;
use freeway_ledger::{SUPPLY, vaults};
use freeway_primitives::{Amount, Digest};
use freeway_proofs::work::{LaneId, VOUCHER, Voucher};

use crate::kit::*;
use crate::paying::*;
use crate::working::*;

const EMISSION: Amount = Amount(1_000_000_007);

/// Four hosts that have served one lane for so many tokens each, and the interval.
fn served(shop: &mut Shop) -> (LaneId, u64) {
    let lane = shop.lane();
    let interval = shop.interval();
    for i in 0..4 {
        shop.serve(i, lane, &[500, 20, 3_000 + 100 * u32::from(i), 1]);
    }
    (lane, interval)
}

fn shop() -> Shop {
    Shop::with(4, |params| {
        params.rewards.first = EMISSION;
        params.rewards.vesting_epochs = 4;
    })
}

/// A host settles all that it did in an interval. Gives the fees.
fn settle_all(shop: &mut Shop, i: u8, lane: LaneId, interval: u64) -> u128 {
    let done = shop.done[&(interval, host(i))][0].clone();
    let last = done.receipts.len() - 1;
    let (entry, opening) = (done.entry(last), done.leaf(0, last).opening);
    let voucher = Voucher {
        lane,
        host: host(i),
        sequence: entry.sequence,
        spent: Amount::ZERO,
        limit: entry.total,
        request: Digest([1; 32]),
    };
    let signature = voucher_key(0).sign(VOUCHER, &shop.market.chain.id, &voucher);
    shop.market.pays(&owner(i), &Settlement { voucher, signature, interval, entry, opening });
    entry.total.0
}

fn of(shop: &Shop, i: u8) -> Earnings {
    earnings(&shop.market.chain.state, &host(i)).unwrap()
}

#[test]
fn at_the_switch_everybody_has_what_is_due() {
    let mut shop = shop();
    let supply = SUPPLY.require(&shop.market.chain.state).unwrap();
    let (lane, interval) = served(&mut shop);
    let before: Vec<_> = (0..4).map(|i| shop.market.chain.balance(&owner(i))).collect();
    shop.honest(interval);
    let fees: Vec<_> = (0..4).map(|i| settle_all(&mut shop, i, lane, interval)).collect();
    let (verifiers, training): (Vec<_>, Vec<_>) = fees.iter().map(|fees| (fees / 20, fees / 5)).unzip();
    let pot: u128 = verifiers.iter().sum();
    assert_eq!(TRAINING.require(&shop.market.chain.state).unwrap(), Amount(training.iter().sum()));
    shop.chain().switch();
    let half = EMISSION.0 / 2;
    for i in 0..4 {
        let (earnings, fees) = (of(&shop, i), fees[usize::from(i)]);
        let (verifiers, training) = (verifiers[usize::from(i)], training[usize::from(i)]);
        assert_eq!(earnings.last.capacity, Amount(half / 4));
        // There was more emission than the training fund's part.
        assert_eq!(earnings.last.served, Amount((verifiers + training) * 4 / 5));
        assert!(earnings.last.served.0 <= training);
        assert_eq!(earnings.last.verdicts, Amount(pot / 4));
        let granted = earnings.last.capacity.0 + earnings.last.served.0;
        assert_eq!((earnings.granted.0, earnings.released.0), (granted, granted / 4));
        let now = before[usize::from(i)].0 + fees - verifiers - training + pot / 4 + granted / 4;
        assert_eq!(shop.market.chain.balance(&owner(i)), Amount(now));
    }
    assert_eq!(SUPPLY.require(&shop.market.chain.state).unwrap(), plus(supply, EMISSION));
}

#[test]
fn a_member_that_says_nothing_earns_nothing() {
    let mut shop = shop();
    let (_, interval) = served(&mut shop);
    shop.commit_all(interval);
    shop.check_all(interval, &[2]);
    shop.finish_revealing(interval);
    assert!((0..4).all(|i| shop.state(i, interval) == State::Matured));
    shop.chain().switch();
    assert_eq!(of(&shop, 2), Earnings::default());
    assert_eq!(of(&shop, 1).last.capacity, Amount(EMISSION.0 / 2 / 4));
    // Nothing was settled: half of the emission and the silent one's part are nobody's.
    let pool = EMISSION.0 - 3 * (EMISSION.0 / 2 / 4);
    assert_eq!(vaults(&shop.market.chain.state).unwrap().pool, Amount(pool));
}
