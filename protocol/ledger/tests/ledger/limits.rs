//! How much fits into a block, and what comes first.

use freeway_ledger::{Executor, Params, Rejection, Transaction, open};
use freeway_primitives::{Amount, Canonical, Height};

use crate::kit::*;

/// Parameters with the smallest blocks.
fn small() -> Params {
    let mut params = quick();
    params.blocks.max_transaction_bytes = 16_384;
    params.blocks.duty_reserve_bytes = 8_192;
    params
}

fn chain(params: Params) -> Chain {
    Chain::of(&genesis(params, &[WEIGHT; 4], 4))
}

/// More transfers than fit, of users that may send so many.
fn transfers(chain: &Chain) -> Vec<Transaction> {
    let to = address(&user(0));
    (0..4).flat_map(|i| chain.txs(&user(i), (0..50).map(|_| pay(to, Amount(1))))).collect()
}

/// Reports of nothing, which nonetheless count as duties.
fn duties(chain: &Chain) -> Vec<Transaction> {
    let nothing = || report(chain.double_vote(0, Height(1_000)));
    (0..4).flat_map(|i| chain.txs(&user(i), (0..50).map(|_| nothing()))).collect()
}

fn bytes(transactions: &[Transaction]) -> usize {
    transactions.iter().map(|transaction| transaction.encode().len()).sum()
}

/// The transactions that a block accepts, and the first rejection.
fn accepted(chain: &Chain, transactions: &[Transaction]) -> (Vec<Transaction>, Option<Rejection>) {
    let (outcome, rejected) = chain.try_block(transactions);
    let is_in = |t: &&Transaction| outcome.receipts.iter().any(|receipt| receipt.transaction == t.hash());
    let first = rejected.into_iter().next().map(|(_, rejection)| rejection);
    (transactions.iter().filter(is_in).cloned().collect(), first)
}

#[test]
fn a_block_has_at_most_so_many_transactions() {
    let mut params = quick();
    params.blocks.max_transactions = 3;
    let chain = chain(params);
    let (accepted, first) = accepted(&chain, &transactions_of_one(&chain));
    assert_eq!(accepted.len(), 3);
    assert_eq!(first, Some(Rejection::BlockFull));
}

fn transactions_of_one(chain: &Chain) -> Vec<Transaction> {
    chain.txs(&user(1), (0..5).map(|_| pay(address(&user(0)), Amount(1))))
}

#[test]
fn the_reserve_is_kept_for_duties_even_if_there_are_none() {
    let chain = chain(small());
    let all = transfers(&chain);
    let (accepted, first) = accepted(&chain, &all);
    let one = all[0].encode().len();
    assert_eq!(first, Some(Rejection::BlockFull));
    assert!(bytes(&accepted) <= 8_192 && bytes(&accepted) + one > 8_192);
}

#[test]
fn duties_may_fill_the_whole_block() {
    let chain = chain(small());
    let all = duties(&chain);
    let (accepted, first) = accepted(&chain, &all);
    assert_eq!(first, Some(Rejection::BlockFull));
    assert!(bytes(&accepted) <= 16_384 && bytes(&accepted) + all[0].encode().len() > 16_384);
}

#[test]
fn what_duties_leave_is_for_everybody() {
    let chain = chain(small());
    let mut block = duties(&chain);
    block.truncate(25);
    let used = bytes(&block);
    assert!(used > 8_192, "the duties outgrow their reserve");
    block.extend(chain.txs(&user(3), (0..50).map(|_| pay(address(&user(0)), Amount(1)))));
    let (accepted, first) = accepted(&chain, &block);
    assert_eq!(first, Some(Rejection::BlockFull));
    let total = bytes(&accepted);
    assert!(total <= 16_384 && total + block[25].encode().len() > 16_384);
}

#[test]
fn duties_come_first() {
    let chain = chain(quick());
    let duty = chain.tx(&user(0), report(chain.double_vote(0, Height(1_000))));
    let wish = chain.tx(&user(1), pay(address(&user(0)), Amount(1)));
    let (_, rejected) = chain.try_block(&[wish.clone(), duty.clone()]);
    assert_eq!(rejected, [(1, Rejection::OutOfOrder)]);
    assert!(Rejection::OutOfOrder.is_temporary());
    assert_eq!(chain.try_block(&[duty, wish]).1, []);
}

#[test]
fn a_block_says_when_nothing_more_fits() {
    let mut params = quick();
    params.blocks.max_transactions = 2;
    let chain = chain(params);
    let mut executor = Executor::begin(&chain.state, chain.next_block()).unwrap();
    for transaction in &transactions_of_one(&chain)[..2] {
        assert!(!executor.is_full());
        deliver(&mut executor, &chain.id, transaction).unwrap();
    }
    assert!(executor.is_full());
}

/// Invariant 3: parameters under which a rule has no bound, or none that helps, start no network.
#[test]
fn senseless_parameters_start_no_network() {
    type Change = fn(&mut Params);
    let refused: [(&str, Change); 13] = [
        ("blocks.max_transaction_bytes", |p| p.blocks.max_transaction_bytes = 1_000),
        ("blocks.max_transaction_bytes", |p| p.blocks.max_transaction_bytes = u32::MAX),
        ("blocks.duty_reserve_bytes", |p| p.blocks.duty_reserve_bytes = p.blocks.max_transaction_bytes),
        ("blocks.max_transactions", |p| p.blocks.max_transactions = 0),
        ("accounts.quota_unit", |p| p.accounts.quota_unit = Amount::ZERO),
        ("accounts.max_per_block", |p| p.accounts.max_per_block = u32::MAX),
        ("hosts.max_withdrawals", |p| p.hosts.max_withdrawals = 65),
        ("hosts.max_payouts_per_block", |p| p.hosts.max_payouts_per_block = 0),
        ("epochs.epoch_blocks", |p| p.epochs.epoch_blocks = 6),
        ("epochs.operator_cap_thousandths", |p| p.epochs.operator_cap_thousandths = 334),
        ("epochs.max_validators", |p| p.epochs.max_validators = 129),
        // Older sets are not kept, so older offences cannot be judged.
        ("evidence.max_age_blocks", |p| p.evidence.max_age_blocks = 3 * p.epochs.epoch_blocks + 1),
        // Who withdraws signs on until the switch: that offence, too, must still meet the collateral.
        ("evidence.max_age_blocks", |p| p.hosts.unbonding_blocks = p.evidence.max_age_blocks + 7),
    ];
    for (name, change) in refused {
        let mut params = quick();
        change(&mut params);
        assert_eq!(params.check().unwrap_err().name, name);
        let error = open(&genesis(params, &[WEIGHT], 0)).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}
