//! An account between a payer and a host, as vouchers go out and receipts come in.

use freeway_primitives::{Address, Digest};
use freeway_proofs::work::{LaneId, Usage};
use proptest::prelude::*;

use super::*;

fn receipt(sequence: u64, fee: u128, total: u128) -> Receipt {
    Receipt {
        lane: LaneId(1),
        host: Address([1; 32]),
        sequence,
        interval: 0,
        request: Digest::ZERO,
        output: Digest::ZERO,
        trace: Digest::ZERO,
        usage: Usage::default(),
        fee: Amount(fee),
        total: Amount(total),
    }
}

fn account(deposit: u128) -> (Account, Instant) {
    let now = Instant::now();
    let mut account = Account::new(Record::default());
    account.set_deposit(Amount(deposit));
    (account, now)
}

fn promise(account: &mut Account, most: u128, now: Instant) -> Promise {
    let promise = account.promise(Amount(most), now).unwrap();
    if let Some(record) = promise.write {
        account.written(&record);
    }
    promise
}

#[test]
fn limits_cover_what_runs_and_never_more_than_the_deposit() {
    let (mut account, now) = account(100);
    let first = promise(&mut account, 30, now);
    let second = promise(&mut account, 30, now);
    assert_eq!((first.sequence, first.limit, second.limit), (0, Amount(30), Amount(60)));
    // The second ends first.
    account.receipt(second.sequence, &receipt(0, 10, 10)).unwrap();
    let third = promise(&mut account, 60, now);
    assert_eq!((third.spent, third.limit), (Amount(10), Amount(100)));
    assert!(account.promise(Amount(1), now).is_none());
    account.nothing_owed(third.sequence);
    assert_eq!(account.room(now), Amount(60));
}

#[test]
fn receipts_fit_in_any_order() {
    let (mut account, now) = account(1_000);
    let asked: Vec<Promise> = (0..4).map(|_| promise(&mut account, 50, now)).collect();
    account.receipt(asked[0].sequence, &receipt(2, 5, 35)).unwrap();
    assert_eq!(account.receipt(asked[3].sequence, &receipt(2, 5, 35)), Err(Misfit::Repeated));
    // Not what lies between.
    assert_eq!(account.receipt(asked[1].sequence, &receipt(1, 10, 36)), Err(Misfit::Total));
    assert_eq!(account.receipt(asked[1].sequence, &receipt(1, 10, 31)), Err(Misfit::Total));
    account.receipt(asked[1].sequence, &receipt(1, 10, 30)).unwrap();
    assert_eq!(account.receipt(asked[2].sequence, &receipt(0, 20, 21)), Err(Misfit::Total));
    account.receipt(asked[2].sequence, &receipt(0, 20, 20)).unwrap();
    assert_eq!(account.spent(), Amount(35));
    assert_eq!(account.receipt(asked[3].sequence, &receipt(2, 5, 35)), Err(Misfit::Late));
    // Two more than were asked for.
    assert_eq!(account.receipt(asked[3].sequence, &receipt(5, 5, 40)), Err(Misfit::Gap));
    assert_eq!(account.receipt(asked[3].sequence, &receipt(3, 5, 41)), Err(Misfit::Total));
    account.receipt(asked[3].sequence, &receipt(3, 5, 40)).unwrap();
}

#[test]
fn what_ended_unseen_is_believed_within_what_was_promised() {
    let (mut account, now) = account(1_000);
    let lost = promise(&mut account, 50, now);
    account.lost(lost.sequence, now);
    let next = promise(&mut account, 50, now);
    // The host may have done the first: its limit must hold then as well.
    assert_eq!((next.spent, next.limit), (Amount(0), Amount(100)));
    assert_eq!(account.receipt(next.sequence, &receipt(1, 10, 61)), Err(Misfit::Total));
    account.receipt(next.sequence, &receipt(1, 10, 50)).unwrap();
    assert_eq!(account.spent(), Amount(50));
    let later = now + UNKNOWN_FOR;
    assert_eq!(account.room(later), Amount(950));
}

#[test]
fn a_restart_uses_no_number_and_no_limit_twice() {
    let (mut first, now) = account(100);
    let promise_of = promise(&mut first, 10, now);
    let on_disk = promise_of.write.unwrap();
    let more = promise(&mut first, 10, now);
    assert_eq!(more.write, None, "a batch covers it");
    let mut again = Account::new(on_disk);
    again.set_deposit(Amount(100));
    let after = again.promise(Amount(10), now).unwrap();
    assert!(after.sequence > more.sequence);
    // The host may have done all that it was promised.
    assert_eq!((after.spent, after.limit), (Amount(0), Amount(100)));
    again.written(&after.write.unwrap());
    again.receipt(after.sequence, &receipt(2, 5, 25)).unwrap();
    let then = again.promise(Amount(10), now).unwrap();
    assert_eq!((then.spent, then.limit), (Amount(25), Amount(35)));
}

#[test]
fn a_host_that_counts_more_is_promised_what_it_may_have_been_promised() {
    let (mut account, now) = account(1_000);
    let lost = promise(&mut account, 50, now);
    account.lost(lost.sequence, now);
    let later = now + UNKNOWN_FOR;
    let refused = promise(&mut account, 50, later);
    assert_eq!(refused.limit, Amount(50));
    account.nothing_owed(refused.sequence);
    account.doubt();
    assert!(promise(&mut account, 50, later).limit >= Amount(100));
}

/// A host leaves a number out as if another request had it, and then gives that one the next.
#[test]
fn a_number_that_no_request_has_is_not_paid_for() {
    let (mut account, now) = account(1_000);
    let asked: Vec<Promise> = (0..2).map(|_| promise(&mut account, 50, now)).collect();
    account.receipt(asked[0].sequence, &receipt(1, 10, 60)).unwrap();
    assert_eq!(account.receipt(asked[1].sequence, &receipt(2, 10, 70)), Err(Misfit::Total));
    // Also where others are under way: the same one does not explain two gaps.
    let asked: Vec<Promise> = (0..2).map(|_| promise(&mut account, 50, now)).collect();
    assert_eq!(account.receipt(asked[0].sequence, &receipt(3, 10, 170)), Err(Misfit::Total));
}

/// What was lost long ago may turn up in a receipt: an honest host is not excluded for it.
#[test]
fn what_was_lost_long_ago_still_explains_a_gap() {
    let (mut account, now) = account(1_000);
    let lost = promise(&mut account, 50, now);
    account.lost(lost.sequence, now);
    let later = now + UNKNOWN_FOR;
    let asked: Vec<Promise> = (0..2).map(|_| promise(&mut account, 50, later)).collect();
    account.receipt(asked[1].sequence, &receipt(2, 5, 45)).unwrap();
    account.receipt(asked[0].sequence, &receipt(1, 10, 40)).unwrap();
    assert_eq!(account.spent(), Amount(45));
}

/// A host may refuse for ever that it was promised too little: that alone is worth nothing.
#[test]
fn a_host_that_claims_to_have_done_more_is_promised_no_more_than_what_is_unknown() {
    let (mut account, now) = account(1_000_000);
    for _ in 0..10 {
        let refused = promise(&mut account, 50, now);
        assert_eq!(refused.limit, Amount(50));
        account.nothing_owed(refused.sequence);
        account.doubt();
    }
    let next = promise(&mut account, 50, now);
    assert_eq!(account.receipt(next.sequence, &receipt(0, 10, 11)), Err(Misfit::Total));
    account.receipt(next.sequence, &receipt(0, 10, 10)).unwrap();
    // What was lost so long ago that it does not count any more is believed once.
    let lost = promise(&mut account, 50, now);
    account.lost(lost.sequence, now);
    let later = now + UNKNOWN_FOR;
    for _ in 0..10 {
        let refused = promise(&mut account, 50, later);
        assert!(refused.limit <= Amount(110), "{refused:?}");
        account.nothing_owed(refused.sequence);
        account.doubt();
    }
    let next = promise(&mut account, 50, later);
    assert_eq!(next.limit, Amount(110));
    assert_eq!(account.receipt(next.sequence, &receipt(2, 10, 71)), Err(Misfit::Total));
    account.receipt(next.sequence, &receipt(2, 10, 70)).unwrap();
    account.doubt();
    assert_eq!(promise(&mut account, 50, later).limit, Amount(120));
}

/// Nor is a restart worth more than what may have been promised before it.
#[test]
fn a_restart_is_worth_no_more_than_what_was_promised_before() {
    let mut account = Account::new(Record { reserved: 64, ceiling: 100, ..Record::default() });
    account.set_deposit(Amount(1_000_000));
    let now = Instant::now();
    for _ in 0..10 {
        let refused = promise(&mut account, 50, now);
        assert_eq!(refused.limit, Amount(150));
        account.nothing_owed(refused.sequence);
        account.doubt();
    }
    let next = promise(&mut account, 50, now);
    assert_eq!(account.receipt(next.sequence, &receipt(9, 10, 111)), Err(Misfit::Total));
    account.receipt(next.sequence, &receipt(9, 10, 110)).unwrap();
}

#[test]
fn an_excluded_host_gets_nothing_more() {
    let (mut account, now) = account(100);
    assert!(account.exclude().excluded);
    assert!(account.promise(Amount(1), now).is_none());
}

proptest! {
    /// An honest host's receipts fit however they arrive, and what is promised covers what it may take.
    #[test]
    fn honest_hosts_fit(fees in prop::collection::vec((0u128..50, any::<u16>(), any::<bool>()), 1..40)) {
        let (mut account, now) = account(1_000_000);
        let asked: Vec<Promise> = fees.iter().map(|_| promise(&mut account, 50, now)).collect();
        let mut total = 0;
        let mut receipts = Vec::new();
        for (index, (fee, order, seen)) in fees.iter().enumerate() {
            total += fee;
            receipts.push((*order, *seen, asked[index].sequence, receipt(index as u64, *fee, total)));
        }
        receipts.sort_by_key(|(order, ..)| *order);
        for (_, seen, sequence, receipt) in &receipts {
            if *seen {
                account.receipt(*sequence, receipt).unwrap();
            } else {
                account.lost(*sequence, now);
            }
        }
        let next = promise(&mut account, 50, now);
        prop_assert!(next.limit.0 >= total + 50, "{next:?} {total}");
        account.receipt(next.sequence, &receipt(fees.len() as u64, 3, total + 3)).unwrap();
    }
}
