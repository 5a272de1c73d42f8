//! What holds for every chain: random blocks of random messages, sensible and senseless, over several epochs.

use std::collections::BTreeSet;

use freeway_ledger::accounts::Scope;
use freeway_ledger::epochs::{Event as EpochEvent, set_at};
use freeway_ledger::{Event, Executor, Message, Outcome, Rejection, Transaction, admit};
use freeway_primitives::{
    Address, Amount, Canonical, ChainId, Digest, Epoch, Equivocation, SecretKey, ValidatorSet,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::kit::*;

const HOSTS: u8 = 4;
const USERS: u8 = 3;

/// What somebody does, drawn as bare numbers: every choice means something, whatever came before.
#[derive(Clone, Debug)]
struct Step {
    what: u8,
    who: u8,
    whom: u8,
    amount: u8,
    /// How the transaction is spoilt, mostly not at all.
    twist: u8,
}

/// A block: its steps, whether duties are put first as they should be, and who is absent.
#[derive(Clone, Debug)]
struct Plan {
    steps: Vec<Step>,
    in_order: bool,
    absent: u8,
}

fn steps() -> impl Strategy<Value = Step> {
    (0u8..20, any::<u8>(), any::<u8>(), any::<u8>(), 0u8..24)
        .prop_map(|(what, who, whom, amount, twist)| Step { what, who, whom, amount, twist })
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (proptest::collection::vec(steps(), 0..8), any::<bool>(), any::<u8>())
        .prop_map(|(steps, in_order, absent)| Plan { steps, in_order, absent });
    proptest::collection::vec(plan, 1..60)
}

/// Hosts, users, and others who begin with nothing.
fn actor(i: u8) -> SecretKey {
    match i % 10 {
        i @ 0..4 => owner(i),
        i @ 4..7 => user(i - 4),
        i => stranger(i),
    }
}

/// Amounts at the edges of what matters, and some in between.
fn amount(i: u8) -> Amount {
    Amount(match i % 10 {
        0 => 0,
        1 => 1,
        2 => 999_999,
        3 => 1_000_000,
        4 => STAKE.0,
        5 => STAKE.0 / 2,
        6 => 2_500_000_000,
        7 => WEALTH.0 - STAKE.0,
        8 => u128::MAX,
        _ => u128::from(i) * 1_000_003,
    })
}

fn proof(chain: &Chain, step: &Step) -> Equivocation {
    let culprit = step.whom % HOSTS;
    let height = chain.height.next().minus(u64::from(step.amount % 24));
    if step.amount & 0x80 == 0 {
        return chain.double_vote(culprit, height);
    }
    let vote = chain.vote(&actor(step.who), host(culprit), height, None);
    Equivocation::of_votes(vote.clone(), vote)
}

fn message(chain: &Chain, step: &Step) -> Message {
    let (other, amount) = (actor(step.whom), amount(step.amount));
    match step.what {
        0..7 => pay(address(&other), amount),
        7 | 8 => {
            let scopes: Vec<_> =
                Scope::ALL.into_iter().filter(|s| step.amount >> *s as u8 & 1 == 1).collect();
            let expires = chain.height.plus(u64::from(step.amount % 16));
            authorise(&other, &scopes, expires, Amount(u128::from(step.amount) * 1_000_000))
        }
        9 => revoke(&other),
        10 => register(&other, amount),
        11 => update(profile(other.public())),
        12 => update(profile(vote_key(step.whom % HOSTS).public())),
        13 => leave(),
        14 | 15 => deposit(amount),
        16..18 => withdraw(amount),
        _ => report(proof(chain, step)),
    }
}

/// The transactions of a plan, given everything that was ever signed.
fn transactions(chain: &Chain, plan: &Plan, past: &[Transaction]) -> Vec<Transaction> {
    let mut signed: Vec<Transaction> = Vec::new();
    for step in &plan.steps {
        let key = actor(step.who);
        let for_other = match step.twist {
            0 => Some((key.clone(), address(&actor(step.whom)))),
            1 => Some((vote_key(step.whom % HOSTS), host(step.whom % HOSTS))),
            2 => Some((actor(step.whom), address(&key))),
            _ => None,
        };
        let message = message(chain, step);
        let (key, mut body) = match for_other {
            Some((key, account)) => (key.clone(), chain.tx_for(&key, account, message).body),
            None => (key.clone(), chain.body(&key, message)),
        };
        let same = |t: &&Transaction| t.body.signer == body.signer && t.body.account() == body.account();
        body.sequence += signed.iter().filter(same).count() as u64;
        match step.twist {
            3 => body.sequence += 1,
            4 => body.sequence = body.sequence.saturating_sub(1),
            5 => body.expiry = chain.height,
            6 => body.expiry = chain.height.plus(1_000),
            7 => body.chain = ChainId(Digest::ZERO),
            _ => {}
        }
        let mut transaction = body.sign(&key);
        match step.twist {
            8 => transaction.signature.0[5] ^= 1,
            9 if !past.is_empty() => transaction = past[usize::from(step.amount) % past.len()].clone(),
            _ => {}
        }
        signed.push(transaction);
    }
    if plan.in_order {
        signed.sort_by_key(|transaction| transaction.body.message.class());
    }
    signed
}

/// Invariant 9: a rejection leaves nothing behind, so a block without the rejected is the same block.
fn rejected_are_as_absent(chain: &Chain, all: &[Transaction], rejected: &[(usize, Rejection)]) {
    let is_in = |i: &usize| !rejected.iter().any(|(at, _)| at == i);
    let included: Vec<_> = (0..all.len()).filter(is_in).map(|i| all[i].clone()).collect();
    let (again, none) = chain.try_block(&included);
    assert_eq!(none, []);
    assert_eq!(again, chain.try_block(all).0);
}

/// The mempool's answer is the block's, for the first of its transactions.
fn mempool_agrees(chain: &Chain, transaction: &Transaction) {
    let height = chain.height.next();
    let answer = admit(&chain.state, transaction, height).unwrap();
    let mut executor = Executor::begin(&chain.state, chain.next_block()).unwrap();
    let bytes = transaction.encode().len();
    let included = executor.include(transaction, transaction.hash(), bytes).unwrap().map(|_| ());
    assert_eq!(answer, included);
}

/// Invariant 6: between two heights either nothing changes, or at most a third of all shares goes, and at most a
/// third comes to those who had none. More than a third goes only after a held switch has said so.
fn change_is_bounded(old: &ValidatorSet, new: &ValidatorSet, announced: bool) {
    assert!(!new.members().is_empty());
    let share = |set: &ValidatorSet, address: &Address| {
        let power = set.get(address).map_or(0, |member| member.power);
        u128::from(power) * 1_000_000 / u128::from(set.total_power())
    };
    let members = || new.members().iter().map(|member| member.address);
    let remaining: u128 = members().map(|a| share(new, &a).min(share(old, &a))).sum();
    let strangers: u128 = members().filter(|a| old.get(a).is_none()).map(|a| share(new, &a)).sum();
    assert!(announced || remaining >= 666_600, "{remaining} remain");
    assert!(strangers <= 333_400 || remaining == 0, "{strangers} are new");
}

/// Runs the plans and checks what must hold after every block. Gives the names of all that happened.
fn drive(plans: &[Plan]) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut chain = Chain::new(HOSTS, USERS);
    let genesis = chain.clone();
    let (mut past, mut executed) = (Vec::new(), BTreeSet::new());
    let mut blocks = Vec::new();
    let mut announced = false;
    for plan in plans {
        chain.absent = (0..HOSTS).filter(|i| plan.absent >> i & 0x11 == 0x11).map(host).collect();
        let all = transactions(&chain, plan, &past);
        for transaction in &all {
            mempool_agrees(&chain, transaction);
        }
        let (expected, _) = chain.try_block(&all);
        let before = (chain.clone(), chain.validators.clone());
        let (outcome, rejected) = chain.run(&all);
        // Invariant 2: the same block gives the same state, receipts and roots.
        assert_eq!(outcome, expected);
        rejected_are_as_absent(&before.0, &all, &rejected);
        reached.extend(rejected.iter().map(|(_, rejection)| rejection.code().to_owned()));
        reached.extend(events(&outcome).iter().map(name));
        // Invariants 5 and 10: nothing is executed twice.
        for receipt in &outcome.receipts {
            if let Outcome::Failed(failure) = &receipt.outcome {
                reached.insert(failure.code().to_owned());
            }
            assert!(executed.insert(receipt.transaction), "a transaction was executed twice");
        }
        assert_eq!(set_at(&chain.state, chain.height).unwrap(), Some(before.1.clone()));
        change_is_bounded(&before.1, &chain.validators, announced);
        for event in &outcome.events {
            match event {
                Event::Epochs(EpochEvent::SwitchHeld { .. }) => announced = true,
                Event::Epochs(EpochEvent::Switched { .. }) => announced = false,
                _ => {}
            }
        }
        let switched = |event: &Event| {
            matches!(event, Event::Epochs(EpochEvent::Switched { .. } | EpochEvent::SwitchHeld { .. }))
        };
        assert!(before.1 == chain.validators || outcome.events.iter().any(switched));
        blocks.push((chain.absent.clone(), all.clone()));
        past.extend(all);
    }
    replay(genesis, &blocks, &chain);
    reached
}

/// The event's variant.
fn name(event: &Event) -> String {
    format!("{event:?}").split(['(', ' ']).nth(1).unwrap_or_default().to_owned()
}

/// Invariant 2: a replay from genesis ends in the same state.
fn replay(mut from: Chain, blocks: &[(BTreeSet<Address>, Vec<Transaction>)], to: &Chain) {
    for (absent, transactions) in blocks {
        from.absent = absent.clone();
        from.run(transactions);
    }
    assert!(from.state == to.state);
}

/// The properties say little if the chains are dull: these, drawn the same way from a fixed seed, meet nearly
/// everything that can happen.
#[test]
fn random_chains_meet_nearly_everything() {
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeSet::new();
    for _ in 0..24 {
        let plans = plans().new_tree(&mut runner).unwrap().current();
        reached.extend(drive(&plans));
    }
    let expected = "\
        Authorised Convicted Deposited Leaving Left PhaseStarted Registered Returned Revoked Slashed SwitchHeld \
        Switched Transferred Unbonding Updated \
        allowance_exceeded already_convicted already_host bad_signature below_minimum delegation_expired expired \
        expiry_too_far insufficient_balance insufficient_collateral invalid_delegation key_taken no_proof \
        not_a_host not_a_validator not_active not_authorised out_of_order out_of_window owners_key_needed \
        quota_exceeded scope_missing sequence_ahead sequence_used unknown_delegate wrong_chain zero_amount";
    let missed: Vec<_> = expected.split_whitespace().filter(|name| !reached.contains(*name)).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Invariants 1 to 6, 9 and 10, whatever anybody sends.
    #[test]
    fn any_chain_keeps_the_rules(plans in plans()) {
        drive(&plans);
    }

    /// Invariant 3: bytes of any length, in any order, are no reason to panic.
    #[test]
    fn any_declared_length_is_handled(lengths in proptest::collection::vec(any::<usize>(), 1..20)) {
        let chain = Chain::new(1, 1);
        let mut executor = Executor::begin(&chain.state, chain.next_block()).unwrap();
        let batch = chain.txs(&user(0), lengths.iter().map(|_| pay(address(&user(0)), Amount(1))));
        for (transaction, length) in batch.iter().zip(lengths) {
            let _ = executor.include(transaction, transaction.hash(), length).unwrap();
        }
        executor.finish().unwrap();
    }

    /// Addresses that never signed anything keep what they are given.
    #[test]
    fn transfers_to_anywhere_arrive(to in any::<[u8; 32]>(), units in 1_000_000u128..WEALTH.0) {
        let mut chain = Chain::new(1, 1);
        chain.done(&chain.tx(&user(0), pay(Address(to), Amount(units))));
        prop_assert_eq!(chain.account(&Address(to)).balance, Amount(units));
        prop_assert_eq!(chain.account(&Address(to)).quota.epoch, Epoch(0));
    }
}
