//! Collateral on its way back: paid once, in time, and within reach of penalties until then.

use freeway_ledger::hosts::{Event, Failure, Status, UNBONDING};
use freeway_ledger::{BlockOutcome, Event as AnyEvent, Failure as AnyFailure, vaults};
use freeway_primitives::{Amount, Height};

use crate::kit::*;

fn returned(outcome: &BlockOutcome) -> Vec<Amount> {
    let amount = |event: &AnyEvent| match event {
        AnyEvent::Hosts(Event::Returned { amount, .. }) => Some(*amount),
        _ => None,
    };
    outcome.events.iter().filter_map(amount).collect()
}

/// Invariant 10: a withdrawal is paid at its height, once, and to the unit.
#[test]
fn a_withdrawal_is_paid_exactly_once_at_its_height() {
    let mut chain = Chain::new(1, 0);
    chain.done(&chain.tx(&owner(0), withdraw(Amount(7))));
    let (free_at, before) = (chain.height.plus(24), chain.balance(&owner(0)));
    while chain.height.next() < free_at {
        assert_eq!(returned(&chain.block(&[])), []);
    }
    assert_eq!(chain.balance(&owner(0)), before);
    assert_eq!(returned(&chain.block(&[])), [Amount(7)]);
    assert_eq!(chain.height, free_at);
    assert_eq!(chain.balance(&owner(0)), plus(before, Amount(7)));
    for _ in 0..30 {
        assert_eq!(returned(&chain.block(&[])), []);
    }
    assert_eq!(chain.balance(&owner(0)), plus(before, Amount(7)));
    assert_eq!(chain.host(0).unwrap().unbonding, []);
    assert_eq!(UNBONDING.page(&chain.state, None, 9), Ok(vec![]));
}

#[test]
fn withdrawals_of_one_block_are_one() {
    let mut chain = Chain::new(1, 0);
    chain.block(&chain.txs(&owner(0), [withdraw(Amount(3)), withdraw(Amount(4))]));
    let free_at = chain.height.plus(24);
    assert_eq!(chain.host(0).unwrap().unbonding, [(free_at, Amount(7))]);
    chain.skip_to(free_at.0 - 1);
    assert_eq!(returned(&chain.block(&[])), [Amount(7)]);
}

/// Invariant 3: what one host has under way is bounded, and free again when it is paid.
#[test]
fn a_host_has_at_most_so_many_withdrawals_under_way() {
    let mut params = quick();
    params.hosts.max_withdrawals = 2;
    let mut chain = Chain::of(&genesis(params, &[WEIGHT; 4], 0));
    chain.done(&chain.tx(&owner(0), withdraw(Amount(1))));
    chain.done(&chain.tx(&owner(0), withdraw(Amount(1))));
    let failure = chain.fails(&chain.tx(&owner(0), withdraw(Amount(1))));
    assert_eq!(failure, AnyFailure::Hosts(Failure::TooManyWithdrawals { limit: 2 }));
    chain.skip_to(24);
    let outcome = chain.done(&chain.tx(&owner(0), withdraw(Amount(1))));
    assert_eq!(returned(&outcome), [Amount(1)]);
    // Leaving is never refused for that.
    chain.done(&chain.tx(&owner(0), leave()));
    chain.switch();
    assert_eq!(chain.host(0).unwrap().unbonding.len(), 2);
}

/// Invariants 3 and 10: a block pays so many and no more; the others follow, none is lost.
#[test]
fn payouts_beyond_a_blocks_bound_follow_in_the_next_blocks() {
    let mut params = quick();
    params.hosts.max_payouts_per_block = 2;
    let mut chain = Chain::of(&genesis(params, &[WEIGHT; 5], 0));
    let before: Vec<_> = (0..5).map(|i| chain.balance(&owner(i))).collect();
    let all: Vec<_> = (0..5).map(|i| chain.tx(&owner(i), withdraw(Amount(1)))).collect();
    chain.block(&all);
    chain.skip_to(chain.height.0 + 23);
    let paid: Vec<_> = (0..4).map(|_| returned(&chain.block(&[])).len()).collect();
    assert_eq!(paid, [2, 2, 1, 0]);
    for (i, before) in (0..5).zip(before) {
        assert_eq!(chain.balance(&owner(i)), plus(before, Amount(1)));
    }
}

/// Who withdraws or leaves is still within reach until the money is back.
#[test]
fn what_is_unbonding_is_slashed_as_well() {
    let mut chain = Chain::new(4, 1);
    let half = STAKE.fraction(1, 2).unwrap();
    chain.block(&chain.txs(&owner(0), [withdraw(half), leave()]));
    chain.switch();
    assert_eq!(chain.host(0).unwrap().status, Status::Left);
    let proof = chain.double_vote(0, Height(3));
    chain.done(&chain.tx(&user(0), report(proof)));
    let rest = half.fraction(950, 1_000).unwrap();
    let known = chain.host(0).unwrap();
    assert_eq!((known.status, known.collateral), (Status::Removed, Amount::ZERO));
    assert_eq!(known.unbonding, [(Height(1 + 24), rest), (Height(8 + 24), rest)]);
    assert_eq!(vaults(&chain.state).unwrap().pool, STAKE.fraction(50, 1_000).unwrap());
    // The rest is paid as it would have been.
    chain.skip_to(32);
    assert_eq!(chain.balance(&owner(0)), plus(minus(WEALTH, STAKE), plus(rest, rest)));
    assert_eq!(UNBONDING.page(&chain.state, None, 9), Ok(vec![]));
}

/// Payment and penalty in one block: payouts come first, then the penalty finds what is left.
#[test]
fn a_penalty_in_the_block_of_the_payout_takes_only_what_is_left() {
    let mut chain = Chain::new(4, 1);
    let half = STAKE.fraction(1, 2).unwrap();
    chain.done(&chain.tx(&owner(0), withdraw(half)));
    chain.skip_to(24);
    let proof = chain.double_vote(0, Height(16));
    let outcome = chain.done(&chain.tx(&user(0), report(proof)));
    assert_eq!(returned(&outcome), [half]);
    assert_eq!(vaults(&chain.state).unwrap().pool, half.fraction(50, 1_000).unwrap());
}

/// Two withdrawals and a departure of a host that is convicted in between leave nothing behind but its record.
#[test]
fn a_convicted_host_can_take_out_the_rest() {
    let mut chain = Chain::new(4, 1);
    chain.skip_to(2);
    chain.done(&chain.tx(&user(0), report(chain.double_vote(0, Height(2)))));
    let rest = STAKE.fraction(950, 1_000).unwrap();
    assert_eq!(chain.host(0).unwrap().collateral, rest);
    chain.done(&chain.tx(&owner(0), withdraw(rest)));
    chain.skip_to(chain.height.0 + 24);
    let known = chain.host(0).unwrap();
    assert_eq!((known.status, known.collateral, known.unbonding), (Status::Removed, Amount::ZERO, vec![]));
    assert_eq!(chain.balance(&owner(0)), plus(minus(WEALTH, STAKE), rest));
}
