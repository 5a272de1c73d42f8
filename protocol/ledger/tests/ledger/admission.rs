//! Which transactions may stand in a block: the right network, signature, sequence, time and quota.

use freeway_ledger::{Message, Rejection, TransactionError};
use freeway_primitives::{Address, Amount, ChainId, Digest, Height, Signature};

use crate::kit::*;

const UNIT: Amount = Amount(1_000_000_000);

fn wish() -> Message {
    pay(address(&user(1)), Amount(1))
}

/// Invariant 5: a transaction of another network is nothing here, even if all else fits.
#[test]
fn a_transaction_for_another_network_is_rejected() {
    let chain = Chain::new(1, 2);
    let mut body = chain.body(&user(0), wish());
    let theirs = ChainId(Digest([1; 32]));
    body.chain = theirs;
    let rejection = chain.rejects(&body.sign(&user(0)));
    let expected = TransactionError::WrongChain { theirs, ours: chain.id };
    assert_eq!(rejection, Rejection::Malformed(expected));
}

/// Invariant 5: the chain stands in the body and under the signature; changing only one of them shows.
#[test]
fn a_transaction_cannot_be_relabelled_for_this_network() {
    let (chain, other) = (Chain::new(1, 2), Chain::new(2, 2));
    let mut foreign = other.tx(&user(0), wish());
    foreign.body.chain = chain.id;
    assert_eq!(chain.rejects(&foreign), Rejection::Malformed(TransactionError::BadSignature));
}

/// Invariant 5: whatever part of the body is changed, the signature no longer fits.
#[test]
fn the_signature_covers_the_whole_meaning() {
    let chain = Chain::new(1, 2);
    let signed = chain.tx(&user(0), wish());
    let changed = |change: &dyn Fn(&mut freeway_ledger::Transaction)| {
        let mut transaction = signed.clone();
        change(&mut transaction);
        chain.rejects(&transaction)
    };
    let bad = Rejection::Malformed(TransactionError::BadSignature);
    assert_eq!(changed(&|t| t.body.signer = user(1).public()), bad);
    assert_eq!(changed(&|t| t.body.on_behalf_of = Some(host(0))), bad);
    assert_eq!(changed(&|t| t.body.sequence = 1), bad);
    assert_eq!(changed(&|t| t.body.expiry = Height(60)), bad);
    assert_eq!(changed(&|t| t.body.message = pay(address(&user(1)), Amount(2))), bad);
    assert_eq!(changed(&|t| t.signature = Signature([0; 64])), bad);
    assert_eq!(changed(&|t| t.signature.0[63] ^= 0x80), bad);
}

#[test]
fn a_transaction_may_stand_up_to_its_expiry() {
    let mut chain = Chain::new(1, 2);
    chain.skip_to(4);
    let mut body = chain.body(&user(0), wish());
    body.expiry = Height(5);
    let last_chance = body.sign(&user(0));
    chain.clone().done(&last_chance);
    chain.skip_to(5);
    let expected = Rejection::Expired { expiry: Height(5), height: Height(6) };
    assert_eq!(chain.rejects(&last_chance), expected);
}

#[test]
fn an_expiry_may_not_be_too_far_ahead() {
    let mut chain = Chain::new(1, 2);
    let latest = Height(1).plus(quick().accounts.max_lifetime_blocks);
    let mut body = chain.body(&user(0), wish());
    body.expiry = latest.next();
    let expected = Rejection::ExpiryTooFar { expiry: latest.next(), latest };
    assert_eq!(chain.rejects(&body.clone().sign(&user(0))), expected);
    body.expiry = latest;
    chain.done(&body.sign(&user(0)));
}

/// Invariant 5: no transaction executes twice, in the same block, later, or after its expiry.
#[test]
fn a_replayed_transaction_is_rejected_for_ever() {
    let mut chain = Chain::new(1, 2);
    let once = chain.tx(&user(0), wish());
    let (_, rejected) = chain.run(&[once.clone(), once.clone()]);
    assert_eq!(rejected, [(1, Rejection::SequenceUsed { got: 0, next: 1 })]);
    while chain.height <= once.body.expiry {
        assert!(!chain.rejects(&once).is_temporary());
        chain.block(&[]);
    }
    assert!(matches!(chain.rejects(&once), Rejection::Expired { .. }));
}

/// Invariant 5: an account that was emptied keeps its sequence, so that its past cannot be repeated when money
/// comes in again.
#[test]
fn an_emptied_account_keeps_its_sequence() {
    let mut chain = Chain::new(1, 2);
    let (rich, sink) = (user(0), address(&user(1)));
    let everything = chain.tx(&rich, pay(sink, WEALTH));
    chain.done(&everything);
    chain.done(&chain.tx(&user(1), pay(address(&rich), WEALTH)));
    assert_eq!(chain.rejects(&everything), Rejection::SequenceUsed { got: 0, next: 1 });
}

#[test]
fn a_gap_in_the_sequence_waits_for_what_is_missing() {
    let mut chain = Chain::new(1, 2);
    let batch = chain.txs(&user(0), [wish(), wish()]);
    let rejection = chain.rejects(&batch[1]);
    assert_eq!(rejection, Rejection::SequenceAhead { got: 1, next: 0 });
    assert!(rejection.is_temporary());
    chain.done(&batch[0]);
    chain.done(&batch[1]);
}

#[test]
fn holdings_of_three_units_allow_three_transactions_a_block() {
    let mut chain = Chain::new(1, 1);
    let (newcomer, me) = (stranger(0), address(&stranger(0)));
    let almost_four = Amount(4 * UNIT.0 - 1);
    chain.done(&chain.tx(&user(0), pay(me, almost_four)));
    chain.switch();
    for _ in 0..2 {
        let batch = chain.txs(&newcomer, (0..5).map(|_| pay(me, Amount(1))));
        let (_, rejected) = chain.run(&batch);
        let quota = Rejection::QuotaExceeded { limit: 3, period: "block" };
        // The fifth misses the fourth.
        assert_eq!(rejected[0], (3, quota));
        assert!(matches!(rejected[1], (4, Rejection::SequenceAhead { .. })));
    }
}

#[test]
fn no_wealth_allows_more_than_the_most_a_block() {
    let mut chain = Chain::new(1, 2);
    let most = quick().accounts.max_per_block;
    let batch = chain.txs(&user(0), (0..=most).map(|_| wish()));
    let (outcome, rejected) = chain.run(&batch);
    assert_eq!(outcome.receipts.len(), most as usize);
    assert_eq!(rejected[0].1, Rejection::QuotaExceeded { limit: most, period: "block" });
}

#[test]
fn bonded_collateral_counts_for_the_quota() {
    let mut chain = Chain::new(1, 1);
    let newcomer = stranger(0);
    chain.done(&chain.tx(&user(0), pay(address(&newcomer), Amount(2 * UNIT.0))));
    chain.done(&chain.tx(&newcomer, register(&newcomer, Amount(2 * UNIT.0))));
    chain.switch();
    let (outcome, _) = chain.run(&chain.txs(&newcomer, (0..3).map(|_| leave())));
    assert_eq!(outcome.receipts.len(), 2);
}

#[test]
fn money_that_came_in_during_an_epoch_counts_from_the_next() {
    let mut chain = Chain::new(1, 1);
    let newcomer = stranger(0);
    chain.done(&chain.tx(&user(0), pay(address(&newcomer), WEALTH.fraction(1, 2).unwrap())));
    let me = address(&newcomer);
    let batch = |chain: &Chain| chain.txs(&newcomer, (0..2).map(|_| pay(me, Amount(1))));
    let (_, rejected) = chain.run(&batch(&chain));
    assert_eq!(rejected, [(1, Rejection::QuotaExceeded { limit: 1, period: "epoch" })]);
    chain.switch();
    chain.block(&batch(&chain));
}

#[test]
fn the_quota_follows_the_start_of_the_epoch_not_what_was_spent_since() {
    let mut chain = Chain::new(1, 2);
    let spend_all = chain.tx(&user(0), pay(address(&user(1)), WEALTH));
    chain.done(&spend_all);
    // Broke, but this epoch's quota stands.
    chain.block(&chain.txs(&user(0), (0..5).map(|_| wish())));
    chain.switch();
    let (outcome, _) = chain.run(&chain.txs(&user(0), (0..5).map(|_| wish())));
    assert_eq!(outcome.receipts.len(), 1);
}

#[test]
fn an_empty_account_has_one_transaction_an_epoch() {
    let mut chain = Chain::new(1, 1);
    let poor = stranger(0);
    for _ in 0..2 {
        chain.fails(&chain.tx(&poor, wish()));
        let again = chain.tx(&poor, wish());
        let rejection = chain.rejects(&again);
        assert_eq!(rejection, Rejection::QuotaExceeded { limit: 1, period: "epoch" });
        assert!(rejection.is_temporary());
        chain.switch();
    }
}

/// Invariant 9: accounts without money cannot crowd out those with.
#[test]
fn empty_accounts_share_a_few_places_a_block() {
    let mut chain = Chain::new(1, 2);
    let places = quick().accounts.free_places as usize;
    let mut crowd: Vec<_> = (0..places as u8 + 2).map(|i| chain.tx(&stranger(i), wish())).collect();
    crowd.push(chain.tx(&user(0), wish()));
    let (outcome, rejected) = chain.run(&crowd);
    assert_eq!(rejected, [(places, Rejection::NoFreePlace), (places + 1, Rejection::NoFreePlace)]);
    assert_eq!(outcome.receipts.len(), places + 1);
    // Those without a place lost nothing: the next block takes them.
    assert_eq!(chain.account(&Address::of(&crowd[places].body.signer)).sequence, 0);
    let waiting = crowd[places].clone();
    chain.fails(&waiting);
}
