//! How much fits into a block, and what comes first.

use freeway_ledger::evidence::MAX_REPORTS_PER_BLOCK;
use freeway_ledger::{Executor, MAX_TRANSACTION_BYTES, Params, Rejection, Transaction, open};
use freeway_primitives::{Amount, Canonical, Height};

use crate::kit::*;

/// The bytes of the smallest block, and those of them that are reserved.
const ALL: usize = MAX_TRANSACTION_BYTES;
const RESERVE: usize = ALL / 2;

/// Parameters with the smallest blocks.
fn small() -> Params {
    let mut params = quick();
    params.blocks.max_transaction_bytes = ALL as u32;
    params.blocks.duty_reserve_bytes = RESERVE as u32;
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
    assert!(bytes(&accepted) <= RESERVE && bytes(&accepted) + one > RESERVE);
}

#[test]
fn duties_may_fill_the_whole_block() {
    let chain = chain(small());
    let all = duties(&chain);
    let (accepted, first) = accepted(&chain, &all);
    assert_eq!(first, Some(Rejection::BlockFull));
    let used = bytes(&accepted);
    assert!(used > RESERVE && used <= ALL);
    // Reports have a bound of their own beside.
    assert!(used + all[0].encode().len() > ALL || accepted.len() == MAX_REPORTS_PER_BLOCK as usize);
}

#[test]
fn what_duties_leave_is_for_everybody() {
    let chain = chain(small());
    let mut block = duties(&chain);
    block.truncate(ALL * 3 / 4 / block[0].encode().len());
    let (used, duties) = (bytes(&block), block.len());
    assert!(used > RESERVE, "the duties outgrow their reserve");
    block.extend(chain.txs(&user(3), (0..50).map(|_| pay(address(&user(0)), Amount(1)))));
    let (accepted, first) = accepted(&chain, &block);
    assert_eq!(first, Some(Rejection::BlockFull));
    let total = bytes(&accepted);
    assert!(total <= ALL && total + block[duties].encode().len() > ALL);
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
    let refused: [(&str, Change); 46] = [
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
        // A plan after the race, and after it time to deal its keys.
        ("epochs.epoch_blocks", |p| p.epochs.dealing_blocks = 1),
        ("epochs.epoch_blocks", |p| p.epochs.dealing_blocks = u64::MAX),
        ("sprint.shape", |p| p.sprint.shape = text("")),
        ("sprint.macs_per_nonce", |p| p.sprint.macs_per_nonce = 0),
        ("sprint.committee", |p| p.sprint.committee = 0),
        // A verdict must fit into a transaction.
        ("sprint.leaves", |p| p.sprint.leaves = 513),
        ("sprint.revealed", |p| p.sprint.revealed = p.sprint.leaves + 1),
        // After the verdicts there must be time to reveal, to judge and to answer.
        ("sprint.verdict_blocks", |p| p.sprint.verdict_blocks = p.epochs.verify_blocks),
        ("sprint.verdict_blocks", |p| p.sprint.judge_blocks = 1),
        ("sprint.answer_blocks", |p| p.sprint.answer_blocks = 2),
        ("sprint.max_trials_of_host", |p| p.sprint.max_trials_of_host = p.sprint.max_trials + 1),
        ("rewards.first", |p| p.rewards.first = Amount((1 << 63) + 1)),
        ("rewards.capacity_thousandths", |p| p.rewards.capacity_thousandths = 1_001),
        ("rewards.forfeit_thousandths", |p| p.rewards.forfeit_thousandths = 1_001),
        ("rewards.vesting_epochs", |p| p.rewards.vesting_epochs = 0),
        ("rewards.max_releases_per_block", |p| p.rewards.max_releases_per_block = 0),
        // Records must cost something.
        ("endorsements.min_bond", |p| p.endorsements.min_bond = Amount::ZERO),
        ("endorsements.max_active", |p| p.endorsements.max_active = 0),
        ("endorsements.grace_blocks", |p| p.endorsements.grace_blocks = 0),
        ("work.interval_blocks", |p| p.work.interval_blocks = 0),
        ("work.commit_grace", |p| p.work.commit_grace = 4),
        ("work.samples_most", |p| p.work.samples_most = 65),
        ("work.samples_least", |p| p.work.samples_least = 0),
        ("work.exposure_percent", |p| p.work.exposure_percent = 101),
        ("work.max_steps_per_block", |p| p.work.max_steps_per_block = 0),
        // Who withdraws must stay within reach of what it did, and what it did must be paid in time.
        ("hosts.unbonding_blocks", |p| p.verification.judge_blocks = 100),
        ("lanes.grace_blocks", |p| p.lanes.grace_blocks = 10),
        ("work.keep_intervals", |p| p.work.keep_intervals = 10),
        ("verification.committee", |p| p.verification.committee = 0),
        ("verification.max_jury", |p| p.verification.max_jury = 129),
        ("verification.answer_blocks", |p| p.verification.answer_blocks = 3),
        ("verification.bounty_thousandths", |p| p.verification.bounty_thousandths = 1_001),
        ("verification.max_trials_of_commitment", |p| p.verification.max_trials_of_commitment = 0),
    ];
    for (name, change) in refused {
        let mut params = quick();
        change(&mut params);
        assert_eq!(params.check().unwrap_err().name, name);
        let error = open(&genesis(params, &[WEIGHT], 0)).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}
