//! Becoming a host, changing, and leaving.

use freeway_ledger::accounts::{Scope, delegates};
use freeway_ledger::hosts::{self, CONSENSUS_KEYS, Event, Failure, MAX_ENDPOINTS, Profile, Status};
use freeway_ledger::{Event as AnyEvent, Failure as AnyFailure, GenesisError, Message, Text, open};
use freeway_primitives::{Amount, Epoch, Height, PublicKey};

use crate::kit::*;

#[track_caller]
fn expect(failure: AnyFailure, expected: Failure) {
    assert_eq!(failure, AnyFailure::Hosts(expected));
}

fn register_with(profile: Profile) -> Message {
    Message::Hosts(hosts::Message::Register { profile, collateral: Amount(5) })
}

#[test]
fn registering_bonds_collateral_and_binds_the_consensus_key() {
    let mut chain = Chain::new(1, 1);
    chain.switch();
    let (me, key) = (user(0), stranger(0));
    chain.done(&chain.tx(&me, register_with(profile(key.public()))));
    let known = hosts::HOSTS.get(&chain.state, &address(&me)).unwrap().unwrap();
    assert_eq!(known.profile, profile(key.public()));
    assert_eq!((known.weight, known.collateral, known.since), (0, Amount(5), Epoch(1)));
    assert_eq!((known.status, known.unbonding), (Status::Active, vec![]));
    assert_eq!(chain.balance(&me), minus(WEALTH, Amount(5)));
    let delegation = &delegates(&chain.state, &address(&me), None, 9).unwrap()[0];
    assert_eq!(delegation.key, key.public());
    assert_eq!(delegation.scopes.iter().collect::<Vec<_>>(), [Scope::Operator, Scope::Verifier]);
    assert_eq!(delegation.allowance, Amount::ZERO);
}

#[test]
fn an_account_owns_one_host() {
    let mut chain = Chain::new(1, 1);
    let again = chain.tx(&owner(0), register(&stranger(0), Amount(1)));
    expect(chain.fails(&again), Failure::AlreadyHost);
}

#[test]
fn a_host_cannot_bond_what_its_account_lacks() {
    let mut chain = Chain::new(1, 1);
    let failure = chain.fails(&chain.tx(&user(0), register(&user(0), plus(WEALTH, Amount(1)))));
    assert_eq!(failure.code(), "insufficient_balance");
    let failure = chain.fails(&chain.tx(&owner(0), deposit(WEALTH)));
    assert_eq!(failure.code(), "insufficient_balance");
}

#[test]
fn a_consensus_key_belongs_to_one_host_for_ever() {
    let mut chain = Chain::new(4, 1);
    let taken = chain.tx(&user(0), register(&vote_key(3), Amount(1)));
    expect(chain.fails(&taken), Failure::KeyTaken);
    let taken = chain.tx(&owner(0), update(profile(vote_key(3).public())));
    expect(chain.fails(&taken), Failure::KeyTaken);
    // Neither leaving nor another key sets it free.
    chain.done(&chain.tx(&owner(0), update(profile(stranger(0).public()))));
    chain.done(&chain.tx(&owner(3), leave()));
    chain.skip_to(48);
    assert_eq!(chain.host(3), None);
    for key in [vote_key(0), vote_key(3)] {
        let taken = chain.tx(&user(0), register(&key, Amount(1)));
        expect(chain.fails(&taken), Failure::KeyTaken);
    }
    assert_eq!(CONSENSUS_KEYS.get(&chain.state, &vote_key(3).public()), Ok(Some(host(3))));
}

#[test]
fn a_profile_that_breaks_a_bound_is_refused() {
    let mut chain = Chain::new(1, 1);
    // Decoding accepts any text; the rule does not.
    let raw = |text: &str| borsh::from_slice::<Text>(&borsh::to_vec(text).unwrap()).unwrap();
    let good = profile(stranger(0).public());
    let broken = [
        Profile { endpoints: vec![Text::default(); MAX_ENDPOINTS + 1], ..good.clone() },
        Profile { endpoints: vec![raw(&"x".repeat(201))], ..good.clone() },
        Profile { region: raw("two\nlines"), ..good.clone() },
        Profile { operator: raw("operator\u{200b}"), ..good.clone() },
        Profile { hardware: raw("\u{202e}sdrawkcab"), ..good.clone() },
        Profile { consensus_key: PublicKey([2; 32]), ..good.clone() },
    ];
    for profile in broken {
        assert!(!profile.consensus_key.is_valid() || profile != good);
        expect(chain.fails(&chain.tx(&user(0), register_with(profile.clone()))), Failure::InvalidProfile);
        expect(chain.fails(&chain.tx(&owner(0), update(profile))), Failure::InvalidProfile);
    }
    let longest = Profile { region: raw(&"x".repeat(200)), ..good };
    chain.done(&chain.tx(&user(0), register_with(longest)));
}

/// Invariant 3: the number of hosts is bounded; who leaves makes room.
#[test]
fn there_are_at_most_so_many_hosts() {
    let mut params = quick();
    params.hosts.max_hosts = 4;
    let mut chain = Chain::of(&genesis(params, &[WEIGHT; 4], 1));
    let register = |chain: &Chain| chain.tx(&user(0), register(&user(0), Amount(1)));
    expect(chain.fails(&register(&chain)), Failure::TooManyHosts { limit: 4 });
    chain.done(&chain.tx(&owner(0), leave()));
    chain.skip_to(40);
    assert_eq!(chain.host(0), None);
    chain.done(&register(&chain));
}

#[test]
fn only_a_hosts_account_can_ask_for_it() {
    let mut chain = Chain::new(1, 1);
    for message in [update(profile(stranger(0).public())), leave(), deposit(Amount(1)), withdraw(Amount(1))] {
        expect(chain.fails(&chain.tx(&user(0), message)), Failure::NotAHost);
    }
}

#[test]
fn deposits_and_withdrawals_move_collateral() {
    let mut chain = Chain::new(1, 0);
    chain.done(&chain.tx(&owner(0), deposit(Amount(10))));
    assert_eq!(chain.host(0).unwrap().collateral, plus(STAKE, Amount(10)));
    chain.done(&chain.tx(&owner(0), withdraw(Amount(4))));
    let known = chain.host(0).unwrap();
    assert_eq!(known.collateral, plus(STAKE, Amount(6)));
    assert_eq!(known.unbonding, [(chain.height.plus(24), Amount(4))]);
    // On its way, not there yet.
    assert_eq!(chain.balance(&owner(0)), minus(minus(WEALTH, STAKE), Amount(10)));

    expect(chain.fails(&chain.tx(&owner(0), deposit(Amount::ZERO))), Failure::ZeroAmount);
    expect(chain.fails(&chain.tx(&owner(0), withdraw(Amount::ZERO))), Failure::ZeroAmount);
    let (available, needed) = (plus(STAKE, Amount(6)), plus(STAKE, Amount(7)));
    let failure = chain.fails(&chain.tx(&owner(0), withdraw(needed)));
    expect(failure, Failure::InsufficientCollateral { available, needed });
}

#[test]
fn a_host_signs_until_the_switch_after_it_asked_to_leave() {
    let mut chain = Chain::new(4, 0);
    let outcome = chain.done(&chain.tx(&owner(0), leave()));
    assert_eq!(events(&outcome).last(), Some(&AnyEvent::Hosts(Event::Leaving { host: host(0) })));
    chain.skip_to(7);
    assert_eq!(chain.host(0).unwrap().status, Status::Leaving);
    assert_eq!(chain.power(0), WEIGHT);
    let outcome = chain.switch();
    assert!(events(&outcome).contains(&AnyEvent::Hosts(Event::Left { host: host(0) })));
    assert_eq!(chain.power(0), 0);
    let known = chain.host(0).unwrap();
    assert_eq!((known.status, known.collateral), (Status::Left, Amount::ZERO));
    assert_eq!(known.unbonding, [(Height(8 + 24), STAKE)]);
}

#[test]
fn who_is_leaving_can_take_money_out_but_nothing_else() {
    let mut chain = Chain::new(4, 0);
    chain.done(&chain.tx(&owner(0), leave()));
    let not_active = |status| Failure::NotActive { status: text(status) };
    for message in [leave(), deposit(Amount(1)), update(profile(vote_key(0).public()))] {
        expect(chain.fails(&chain.tx(&owner(0), message)), not_active("leaving"));
    }
    chain.done(&chain.tx(&owner(0), withdraw(Amount(1))));
    chain.switch();
    for message in [leave(), deposit(Amount(1)), update(profile(vote_key(0).public()))] {
        expect(chain.fails(&chain.tx(&owner(0), message)), not_active("left"));
    }
    let nothing = Failure::InsufficientCollateral { available: Amount::ZERO, needed: Amount(1) };
    expect(chain.fails(&chain.tx(&owner(0), withdraw(Amount(1)))), nothing);
    expect(chain.fails(&chain.tx(&owner(0), register(&vote_key(0), Amount(1)))), Failure::AlreadyHost);
}

#[test]
fn who_has_left_can_come_back_and_starts_from_nothing() {
    let mut chain = Chain::new(4, 0);
    chain.done(&chain.tx(&owner(0), leave()));
    chain.skip_to(8 + 24);
    assert_eq!(chain.host(0), None);
    assert_eq!(chain.balance(&owner(0)), WEALTH);
    chain.done(&chain.tx(&owner(0), register(&vote_key(0), STAKE)));
    assert_eq!(chain.host(0).unwrap().weight, 0);
    chain.switch();
    assert_eq!(chain.power(0), 0);
}

#[test]
fn a_host_with_nothing_at_stake_is_gone_at_the_switch() {
    let mut chain = Chain::new(2, 1);
    chain.done(&chain.tx(&user(0), register(&user(0), Amount::ZERO)));
    chain.done(&chain.tx(&user(0), leave()));
    chain.switch();
    assert_eq!(hosts::HOSTS.get(&chain.state, &address(&user(0))), Ok(None));
}

#[test]
fn a_new_consensus_key_signs_from_the_next_epoch_on() {
    let mut chain = Chain::new(4, 0);
    let new = stranger(0);
    chain.done(&chain.tx(&owner(0), update(profile(new.public()))));
    let signs_with = |chain: &Chain| chain.validators.get(&host(0)).unwrap().key;
    chain.skip_to(7);
    assert_eq!(signs_with(&chain), vote_key(0).public());
    chain.switch();
    assert_eq!(signs_with(&chain), new.public());
}

#[test]
fn a_consensus_key_runs_its_host_but_moves_no_money() {
    let mut chain = Chain::new(1, 1);
    chain.done(&chain.tx_for(&vote_key(0), host(0), update(profile(vote_key(0).public()))));
    let spend = chain.tx_for(&vote_key(0), host(0), pay(address(&user(0)), Amount(1)));
    assert_eq!(chain.rejects(&spend).code(), "scope_missing");
    let bond = chain.tx_for(&vote_key(0), host(0), deposit(Amount(1)));
    assert_eq!(chain.rejects(&bond).code(), "allowance_exceeded");
    chain.done(&chain.tx_for(&vote_key(0), host(0), leave()));
}

#[test]
fn a_genesis_that_contradicts_itself_opens_no_network() {
    let good = genesis(quick(), &[WEIGHT; 2], 1);
    assert!(open(&good).is_ok());
    let mut twice = good.clone();
    twice.accounts.push(twice.accounts[0].clone());
    assert_eq!(open(&twice).unwrap_err(), GenesisError::Duplicate(host(0)));
    let mut same_host = good.clone();
    same_host.hosts.push(same_host.hosts[0].clone());
    let mut same_key = good.clone();
    same_key.hosts[1].consensus_key = same_key.hosts[0].consensus_key;
    let mut poor = good.clone();
    poor.hosts[0].collateral = plus(WEALTH, Amount(1));
    let mut powerless = good.clone();
    powerless.hosts.iter_mut().for_each(|host| host.weight = 0);
    let mut too_rich = good.clone();
    too_rich.accounts[0].balance = Amount(u128::MAX);
    let mut deserted = good;
    deserted.hosts.clear();
    for genesis in [same_host, same_key, poor, powerless, too_rich, deserted] {
        assert!(matches!(open(&genesis), Err(GenesisError::Invalid(_))));
    }
}
