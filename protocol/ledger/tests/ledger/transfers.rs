//! Money from one account to another.

use freeway_ledger::accounts::{ACCOUNTS, Event, Failure};
use freeway_ledger::{Event as AnyEvent, Failure as AnyFailure};
use freeway_primitives::{Address, Amount};

use crate::kit::*;

const NEWCOMER: Address = Address([9; 32]);

#[test]
fn a_transfer_moves_its_amount_and_nothing_else() {
    let mut chain = Chain::new(1, 2);
    let (from, to) = (user(0), user(1));
    let outcome = chain.done(&chain.tx(&from, pay(address(&to), Amount(7))));
    assert_eq!(chain.balance(&from), minus(WEALTH, Amount(7)));
    assert_eq!(chain.balance(&to), plus(WEALTH, Amount(7)));
    let transferred = Event::Transferred { from: address(&from), to: address(&to), amount: Amount(7) };
    assert_eq!(outcome.receipts[0].events, [AnyEvent::Accounts(transferred)]);
}

#[test]
fn a_whole_balance_can_be_paid_but_not_a_unit_more() {
    let mut chain = Chain::new(1, 2);
    let to = address(&user(1));
    let needed = plus(WEALTH, Amount(1));
    assert_eq!(
        chain.fails(&chain.tx(&user(0), pay(to, needed))),
        AnyFailure::Accounts(Failure::InsufficientBalance { available: WEALTH, needed })
    );
    chain.done(&chain.tx(&user(0), pay(to, WEALTH)));
    assert_eq!(chain.balance(&user(0)), Amount::ZERO);
    assert_eq!(chain.balance(&user(1)), plus(WEALTH, WEALTH));
}

#[test]
fn nothing_cannot_be_paid() {
    let mut chain = Chain::new(1, 2);
    let nothing = pay(address(&user(1)), Amount::ZERO);
    assert_eq!(chain.fails(&chain.tx(&user(0), nothing)), AnyFailure::Accounts(Failure::ZeroAmount));
}

/// Invariant 4: the largest amounts are refused, not wrapped.
#[test]
fn an_amount_beyond_everything_is_refused() {
    let mut chain = Chain::new(1, 2);
    let failure = chain.fails(&chain.tx(&user(0), pay(address(&user(1)), Amount(u128::MAX))));
    assert_eq!(failure.code(), "insufficient_balance");
}

#[test]
fn dust_opens_no_account_but_is_welcome_in_one() {
    let mut chain = Chain::new(1, 2);
    let least = quick().accounts.min_opening;
    let dust = pay(NEWCOMER, minus(least, Amount(1)));
    assert_eq!(
        chain.fails(&chain.tx(&user(0), dust.clone())),
        AnyFailure::Accounts(Failure::BelowMinimum { least })
    );
    assert_eq!(ACCOUNTS.get(&chain.state, &NEWCOMER), Ok(None));
    chain.done(&chain.tx(&user(0), pay(NEWCOMER, least)));
    chain.done(&chain.tx(&user(0), dust));
    assert_eq!(chain.account(&NEWCOMER).balance, Amount(2 * least.0 - 1));
}

#[test]
fn paying_oneself_changes_no_balance() {
    let mut chain = Chain::new(1, 1);
    let me = user(0);
    chain.done(&chain.tx(&me, pay(address(&me), WEALTH)));
    assert_eq!(chain.balance(&me), WEALTH);
    let failure = chain.fails(&chain.tx(&me, pay(address(&me), plus(WEALTH, Amount(1)))));
    assert_eq!(failure.code(), "insufficient_balance");
}

/// Invariant 9: a failed transaction stops nobody else's, not even its sender's next.
#[test]
fn a_failed_transaction_does_not_stop_the_others() {
    let mut chain = Chain::new(1, 2);
    let to = address(&user(1));
    let batch = chain.txs(&user(0), [pay(to, Amount(1)), pay(to, Amount(u128::MAX)), pay(to, Amount(2))]);
    let outcome = chain.block(&batch);
    let failed: Vec<_> =
        outcome.receipts.iter().map(|receipt| receipt.outcome != freeway_ledger::Outcome::Done).collect();
    assert_eq!(failed, [false, true, false]);
    assert_eq!(chain.balance(&user(1)), plus(WEALTH, Amount(3)));
    assert_eq!(chain.account(&address(&user(0))).sequence, 3);
}
