//! Keys that act for an account, within the rights they were given.

use freeway_ledger::accounts::{Event, Failure, Scope, delegates, next_sequence};
use freeway_ledger::{Event as AnyEvent, Failure as AnyFailure, Rejection, accounts, hosts};
use freeway_primitives::{Amount, Height, PublicKey, SecretKey};

use crate::kit::*;

const ALLOWANCE: Amount = Amount(1_000);

/// The delegate.
fn agent() -> SecretKey {
    stranger(7)
}

/// A chain on which `agent` may spend a little of the first user's money until height 30.
fn chain_with_spender() -> Chain {
    let mut chain = Chain::new(1, 2);
    chain.done(&chain.tx(&user(0), authorise(&agent(), &[Scope::Spend], Height(30), ALLOWANCE)));
    chain
}

fn account() -> freeway_primitives::Address {
    address(&user(0))
}

fn spend(chain: &Chain, amount: u128) -> freeway_ledger::Transaction {
    chain.tx_for(&agent(), account(), pay(address(&user(1)), Amount(amount)))
}

#[test]
fn a_delegate_spends_the_accounts_money_up_to_its_allowance() {
    let mut chain = chain_with_spender();
    chain.done(&spend(&chain, 600));
    let expected = Rejection::AllowanceExceeded { left: Amount(400), needed: Amount(401) };
    assert_eq!(chain.rejects(&spend(&chain, 401)), expected);
    chain.done(&spend(&chain, 400));
    assert!(matches!(chain.rejects(&spend(&chain, 1)), Rejection::AllowanceExceeded { .. }));
    assert_eq!(chain.balance(&user(0)), minus(WEALTH, ALLOWANCE));
    assert_eq!(chain.balance(&user(1)), plus(WEALTH, ALLOWANCE));
}

#[test]
fn an_allowance_is_used_up_by_failures_too() {
    let mut chain = chain_with_spender();
    let newcomer = address(&stranger(1));
    let dust = pay(newcomer, Amount(999));
    chain.fails(&chain.tx_for(&agent(), account(), dust));
    let expected = Rejection::AllowanceExceeded { left: Amount(1), needed: Amount(2) };
    assert_eq!(chain.rejects(&spend(&chain, 2)), expected);
}

#[test]
fn an_unknown_key_cannot_act_for_an_account() {
    let chain = Chain::new(1, 2);
    assert_eq!(chain.rejects(&spend(&chain, 1)), Rejection::NotAuthorised);
}

#[test]
fn a_delegation_ends_after_its_last_height() {
    let mut chain = chain_with_spender();
    chain.skip_to(29);
    chain.clone().done(&spend(&chain, 1));
    chain.skip_to(30);
    assert_eq!(chain.rejects(&spend(&chain, 1)), Rejection::DelegationExpired(Height(30)));
}

#[test]
fn a_delegate_needs_the_scope_of_what_it_sends() {
    let mut chain = chain_with_spender();
    let expected = Rejection::ScopeMissing("operator");
    assert_eq!(chain.rejects(&chain.tx_for(&agent(), account(), leave())), expected);
    chain.done(&chain.tx(&user(0), authorise(&agent(), &[Scope::Operator], Height(30), ALLOWANCE)));
    assert_eq!(chain.rejects(&spend(&chain, 1)), Rejection::ScopeMissing("spend"));
}

/// A key that could widen rights could widen its own.
#[test]
fn a_delegate_can_neither_authorise_nor_revoke_nor_take_money_out() {
    let mut chain = Chain::new(1, 1);
    let all = authorise(&agent(), &Scope::ALL, Height(90), WEALTH);
    chain.done(&chain.tx(&user(0), all.clone()));
    let forbidden = [
        all,
        revoke(&agent()),
        register(&agent(), Amount::ZERO),
        withdraw(Amount(1)),
        authorise(&stranger(8), &[Scope::Vote], Height(90), Amount::ZERO),
    ];
    for message in forbidden {
        let rejection = chain.rejects(&chain.tx_for(&agent(), account(), message));
        assert_eq!(rejection, Rejection::NotAuthorised);
    }
}

/// A consensus key gets rights without an end, so an operator that could set one could outlast its own.
#[test]
fn a_delegate_cannot_bind_a_new_consensus_key() {
    let mut chain = Chain::new(1, 1);
    let operator = agent();
    chain.done(&chain.tx(&owner(0), authorise(&operator, &[Scope::Operator], Height(30), Amount::ZERO)));
    let hijack = update(profile(stranger(9).public()));
    let failure = chain.fails(&chain.tx_for(&operator, host(0), hijack));
    assert_eq!(failure, AnyFailure::Hosts(hosts::Failure::OwnersKeyNeeded));
    // All else in the profile is the operator's business.
    chain.done(&chain.tx_for(&operator, host(0), update(profile(vote_key(0).public()))));
    assert_eq!(chain.host(0).unwrap().profile, profile(vote_key(0).public()));
}

#[test]
fn a_deposit_by_a_delegate_counts_against_its_allowance() {
    let mut chain = Chain::new(1, 1);
    let operator = agent();
    chain.done(&chain.tx(&owner(0), authorise(&operator, &[Scope::Operator], Height(30), ALLOWANCE)));
    chain.done(&chain.tx_for(&operator, host(0), deposit(ALLOWANCE)));
    assert_eq!(chain.host(0).unwrap().collateral, plus(STAKE, ALLOWANCE));
    let rejection = chain.rejects(&chain.tx_for(&operator, host(0), deposit(Amount(1))));
    assert!(matches!(rejection, Rejection::AllowanceExceeded { .. }));
}

#[test]
fn a_delegate_shares_the_quota_of_its_account() {
    let mut chain = chain_with_spender();
    let most = quick().accounts.max_per_block as usize;
    let mut batch = chain.txs(&user(0), (0..most).map(|_| pay(address(&user(1)), Amount(1))));
    batch.push(spend(&chain, 1));
    let (_, rejected) = chain.run(&batch);
    let quota = Rejection::QuotaExceeded { limit: most as u32, period: "block" };
    assert_eq!(rejected, [(most, quota)]);
}

#[test]
fn new_rights_replace_old_ones_and_the_sequence_goes_on() {
    let mut chain = chain_with_spender();
    chain.done(&spend(&chain, 1));
    let before = next_sequence(&chain.state, &account(), &address(&agent())).unwrap();
    chain.done(&chain.tx(&user(0), authorise(&agent(), &[Scope::Vote], Height(40), Amount(5))));
    assert_eq!(next_sequence(&chain.state, &account(), &address(&agent())).unwrap(), before);
    let known = delegates(&chain.state, &account(), None, 10).unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!((known[0].expires, known[0].allowance), (Height(40), Amount(5)));
    assert_eq!(chain.account(&account()).delegates, 1);
}

/// Invariant 5: after revocation and a new authorisation nothing of before is valid again, neither what was
/// executed nor what was only signed.
#[test]
fn a_key_authorised_again_cannot_replay_its_past() {
    let mut chain = chain_with_spender();
    let executed = spend(&chain, 1);
    chain.done(&executed);
    let signed_only = spend(&chain, 2);
    let outcome = chain.done(&chain.tx(&user(0), revoke(&agent())));
    let revoked = Event::Revoked { account: account(), key: agent().public() };
    assert_eq!(outcome.receipts[0].events, [AnyEvent::Accounts(revoked)]);
    assert_eq!(chain.rejects(&signed_only), Rejection::NotAuthorised);
    chain.done(&chain.tx(&user(0), authorise(&agent(), &[Scope::Spend], Height(30), ALLOWANCE)));
    assert!(matches!(chain.rejects(&executed), Rejection::SequenceUsed { .. }));
    assert!(matches!(chain.rejects(&signed_only), Rejection::SequenceUsed { .. }));
    chain.done(&spend(&chain, 3));
}

/// Invariant 5: nor if authorisation, use, revocation and new authorisation share a block, where the height
/// alone tells nothing apart.
#[test]
fn a_key_authorised_twice_in_a_block_cannot_replay_its_past() {
    let mut chain = chain_with_spender();
    chain.done(&chain.tx(&user(0), revoke(&agent())));
    let rights = authorise(&agent(), &[Scope::Spend], Height(30), ALLOWANCE);
    let owners = chain.txs(&user(0), [rights.clone(), revoke(&agent()), rights]);
    let first = chain.height.next().0 * u64::from(quick().accounts.max_per_block);
    let used = |i: u64| {
        let mut body = spend(&chain, 10).body;
        body.sequence = first + i;
        body.sign(&agent())
    };
    let uses = [used(0), used(1), used(2)];
    let mut batch = vec![owners[0].clone()];
    batch.extend(uses.clone());
    batch.extend([owners[1].clone(), owners[2].clone()]);
    chain.block(&batch);
    for replay in &uses {
        assert!(matches!(chain.rejects(replay), Rejection::SequenceUsed { .. }));
    }
    assert_eq!(chain.balance(&user(1)), plus(WEALTH, Amount(30)));
}

#[test]
fn meaningless_delegations_fail() {
    let mut chain = Chain::new(1, 1);
    let agent = agent();
    // A y-coordinate that no point of the curve has.
    let mut no_point = [0u8; 32];
    no_point[0] = 2;
    let no_point = PublicKey(no_point);
    assert!(!no_point.is_valid());
    let here = chain.height.plus(5);
    let unknown_scopes = borsh::from_slice(&[1 << 5]).unwrap();
    let with = |key, scopes, expires| {
        let allowance = Amount::ZERO;
        freeway_ledger::Message::Accounts(accounts::Message::Authorise { key, scopes, expires, allowance })
    };
    let vote = accounts::Scopes::of(&[Scope::Vote]);
    let meaningless = [
        with(agent.public(), accounts::Scopes::of(&[]), here),
        with(agent.public(), unknown_scopes, here),
        with(no_point, vote, here),
        with(user(0).public(), vote, here),
        with(agent.public(), vote, Height::GENESIS),
    ];
    for message in meaningless {
        let failure = chain.fails(&chain.tx(&user(0), message));
        assert_eq!(failure, AnyFailure::Accounts(Failure::InvalidDelegation));
    }
    let failure = chain.fails(&chain.tx(&user(0), revoke(&agent)));
    assert_eq!(failure, AnyFailure::Accounts(Failure::UnknownDelegate));
}

/// Invariant 3: the delegations of an account are bounded, and revoking makes room.
#[test]
fn an_account_has_at_most_so_many_delegates() {
    let mut params = quick();
    params.accounts.max_delegates = 2;
    let mut chain = Chain::of(&genesis(params, &[WEIGHT], 1));
    let rights = |i| authorise(&stranger(i), &[Scope::Vote], Height(50), Amount::ZERO);
    chain.block(&chain.txs(&user(0), [rights(0), rights(1)]));
    let failure = chain.fails(&chain.tx(&user(0), rights(2)));
    assert_eq!(failure, AnyFailure::Accounts(Failure::TooManyDelegates { limit: 2 }));
    chain.block(&chain.txs(&user(0), [revoke(&stranger(0)), rights(2)]));
    let first = delegates(&chain.state, &account(), None, 1).unwrap();
    let after = address(&if first[0].key == stranger(1).public() { stranger(1) } else { stranger(2) });
    let second = delegates(&chain.state, &account(), Some(after), 5).unwrap();
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first, second);
    assert_eq!(delegates(&chain.state, &account(), None, 0), Ok(vec![]));
}
