//! Who answers for an output, who is paid from that, and what stays known of it.

use freeway_ledger::accounts::{self, Scope};
use freeway_ledger::endorsements::{
    self, BY_ENDORSER, BY_RECEIPT, ENDORSEMENTS, EndorsementId, Event, Failure, Message as Ask, Record,
    of_endorser, of_receipt, record,
};
use freeway_ledger::{Event as AnyEvent, Failure as AnyFailure, Message, Rejection};
use freeway_primitives::{Address, Amount, Digest, Height, SecretKey};
use proptest::prelude::*;

use crate::kit::*;

const RECEIPT: Digest = Digest([0x71; 32]);
const STATEMENT: Digest = Digest([0x72; 32]);
const BOND: Amount = Amount::fwy(2);

fn ask(message: Ask) -> Message {
    Message::Endorsements(message)
}

/// User 0 endorses, user 1 is the arbiter.
fn endorse(bond: Amount, expiry: u64) -> Message {
    let (arbiter, expiry) = (address(&user(1)), Height(expiry));
    ask(Ask::Endorse { receipt: RECEIPT, statement: STATEMENT, bond, arbiter, expiry })
}

fn award(id: u64, claimant: &SecretKey, amount: Amount) -> Message {
    ask(Ask::Award { endorsement: EndorsementId(id), claimant: address(claimant), amount })
}

fn withdraw(id: u64) -> Message {
    ask(Ask::Withdraw { endorsement: EndorsementId(id) })
}

fn quick_params() -> freeway_ledger::Params {
    let mut params = quick();
    params.endorsements = endorsements::Params {
        min_bond: Amount(1_000),
        max_active: 3,
        max_lifetime_blocks: 40,
        grace_blocks: 5,
    };
    params
}

fn chain() -> Chain {
    Chain::of(&genesis(quick_params(), &[WEIGHT], 4))
}

/// A chain on which user 0 has endorsed, at height 1, until height 10; decided by height 15.
fn endorsed() -> Chain {
    let mut chain = chain();
    chain.done(&chain.tx(&user(0), endorse(BOND, 10)));
    chain
}

#[track_caller]
fn fails(chain: &mut Chain, key: &SecretKey, message: Message) -> Failure {
    let transaction = chain.tx(key, message);
    match chain.fails(&transaction) {
        AnyFailure::Endorsements(failure) => failure,
        other => panic!("{other}"),
    }
}

fn of_user(chain: &Chain, i: u8) -> Record {
    record(&chain.state, &address(&user(i))).unwrap()
}

fn nothing_is_left(chain: &Chain) -> bool {
    let none = |name: &[u8]| !chain.state.0.keys().any(|key| key.starts_with(name));
    let id = EndorsementId(0);
    none(&ENDORSEMENTS.key(&id)[..24])
        && none(&BY_ENDORSER.key(&(Address([0; 32]), id))[..24])
        && none(&BY_RECEIPT.key(&(RECEIPT, id))[..22])
}

#[test]
fn an_endorsement_holds_its_bond_and_can_be_found() {
    let mut chain = chain();
    let transaction = chain.tx(&user(0), endorse(BOND, 10));
    let outcome = chain.done(&transaction);
    let (endorser, arbiter) = (address(&user(0)), address(&user(1)));
    let endorsed = Event::Endorsed {
        endorsement: EndorsementId(0),
        endorser,
        receipt: RECEIPT,
        bond: BOND,
        arbiter,
        expiry: Height(10),
    };
    assert_eq!(events(&outcome).last(), Some(&AnyEvent::Endorsements(endorsed)));
    assert_eq!(chain.balance(&user(0)), minus(WEALTH, BOND));
    let found = of_receipt(&chain.state, &RECEIPT, None, 10).unwrap();
    assert_eq!(found, of_endorser(&chain.state, &endorser, None, 10).unwrap());
    let [(id, endorsement)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((*id, endorsement.left(), endorsement.made), (EndorsementId(0), BOND, Height(1)));
    assert_eq!((endorsement.statement, endorsement.decided_by), (STATEMENT, Height(15)));
    assert_eq!(of_user(&chain, 0), Record { active: 1, at_stake: BOND, ..Record::default() });
    assert_eq!(of_receipt(&chain.state, &RECEIPT, Some(*id), 10).unwrap(), []);
    assert_eq!(of_endorser(&chain.state, &arbiter, None, 10).unwrap(), []);
    assert_eq!(endorsements::endorsement(&chain.state, EndorsementId(1)).unwrap(), None);
}

#[test]
fn what_nobody_claims_goes_back_and_counts_as_kept() {
    let mut chain = endorsed();
    chain.skip_to(14);
    // At height 15 the arbiter may still decide.
    let early = fails(&mut chain, &user(0), withdraw(0));
    assert_eq!(early, Failure::TooEarly { decided_by: Height(15) });
    chain.done(&chain.tx(&user(0), withdraw(0)));
    assert_eq!(chain.balance(&user(0)), WEALTH);
    assert_eq!(of_user(&chain, 0), Record { kept: 1, kept_amount: BOND, ..Record::default() });
    assert!(nothing_is_left(&chain));
    assert_eq!(fails(&mut chain, &user(0), withdraw(0)), Failure::Unknown);
    // The next has another number.
    chain.done(&chain.tx(&user(0), endorse(BOND, 30)));
    assert_eq!(of_receipt(&chain.state, &RECEIPT, None, 10).unwrap()[0].0, EndorsementId(1));
}

#[test]
fn an_arbiter_awards_in_parts_and_the_rest_goes_back() {
    let mut chain = endorsed();
    chain.done(&chain.tx(&user(1), award(0, &user(2), Amount::fwy(1))));
    assert_eq!(chain.balance(&user(2)), plus(WEALTH, Amount::fwy(1)));
    let lost = Record { lost: 1, lost_amount: Amount::fwy(1), ..Record::default() };
    assert_eq!(of_user(&chain, 0), Record { active: 1, at_stake: Amount::fwy(1), ..lost });
    let more = fails(&mut chain, &user(1), award(0, &user(3), Amount(Amount::fwy(1).0 + 1)));
    assert_eq!(more, Failure::MoreThanBond { left: Amount::fwy(1) });
    // Until the last height at which it may decide.
    chain.skip_to(14);
    chain.done(&chain.tx(&user(1), award(0, &user(3), Amount(1))));
    let late = fails(&mut chain, &user(1), award(0, &user(3), Amount(1)));
    assert_eq!(late, Failure::TooLate { decided_by: Height(15) });
    chain.done(&chain.tx(&user(0), withdraw(0)));
    let lost_amount = plus(Amount::fwy(1), Amount(1));
    assert_eq!(of_user(&chain, 0), Record { lost: 1, lost_amount, ..Record::default() });
    assert_eq!(chain.balance(&user(0)), minus(WEALTH, lost_amount));
    assert!(nothing_is_left(&chain));
}

#[test]
fn a_bond_that_is_all_awarded_is_over() {
    let mut chain = endorsed();
    // The claimant may be somebody new.
    chain.done(&chain.tx(&user(1), award(0, &stranger(0), BOND)));
    assert_eq!(chain.balance(&stranger(0)), BOND);
    assert_eq!(of_user(&chain, 0), Record { lost: 1, lost_amount: BOND, ..Record::default() });
    assert!(nothing_is_left(&chain));
    assert_eq!(fails(&mut chain, &user(1), award(0, &stranger(0), Amount(1))), Failure::Unknown);
    chain.skip_to(20);
    assert_eq!(fails(&mut chain, &user(0), withdraw(0)), Failure::Unknown);
}

#[test]
fn only_those_named_decide_and_withdraw() {
    let mut chain = endorsed();
    assert_eq!(fails(&mut chain, &user(0), award(0, &user(2), Amount(1))), Failure::NotTheArbiter);
    assert_eq!(fails(&mut chain, &user(2), award(0, &user(2), Amount(1))), Failure::NotTheArbiter);
    assert_eq!(fails(&mut chain, &user(1), award(0, &user(0), Amount(1))), Failure::NoClaimant);
    assert_eq!(fails(&mut chain, &user(1), award(0, &user(1), Amount(1))), Failure::NoClaimant);
    assert_eq!(fails(&mut chain, &user(1), award(0, &user(2), Amount::ZERO)), Failure::ZeroAmount);
    assert_eq!(fails(&mut chain, &user(1), award(9, &user(2), Amount(1))), Failure::Unknown);
    let least = quick_params().accounts.min_opening;
    let dust = fails(&mut chain, &user(1), award(0, &stranger(0), Amount(least.0 - 1)));
    assert_eq!(dust, Failure::BelowMinimum { least });
    chain.skip_to(20);
    assert_eq!(fails(&mut chain, &user(1), withdraw(0)), Failure::NotTheEndorser);
}

#[test]
fn an_endorsement_keeps_its_bounds() {
    let mut chain = chain();
    let latest = |chain: &Chain| Height(chain.height.next().0 + 40);
    for expiry in [0, 1] {
        let now = latest(&chain);
        assert_eq!(fails(&mut chain, &user(0), endorse(BOND, expiry)), Failure::BadExpiry { latest: now });
    }
    for far in [41, u64::MAX] {
        let now = latest(&chain);
        let expiry = chain.height.next().0.saturating_add(far);
        assert_eq!(fails(&mut chain, &user(0), endorse(BOND, expiry)), Failure::BadExpiry { latest: now });
    }
    assert_eq!(
        fails(&mut chain, &user(0), endorse(Amount(999), 20)),
        Failure::BondTooSmall { least: Amount(1_000) }
    );
    assert_eq!(fails(&mut chain, &user(1), endorse(BOND, 20)), Failure::OwnArbiter);
    let poor = chain.tx(&user(0), endorse(plus(WEALTH, Amount(1)), 20));
    assert!(matches!(
        chain.fails(&poor),
        AnyFailure::Accounts(accounts::Failure::InsufficientBalance { .. })
    ));
    for _ in 0..3 {
        chain.done(&chain.tx(&user(0), endorse(BOND, 20)));
    }
    assert_eq!(fails(&mut chain, &user(0), endorse(BOND, 20)), Failure::TooManyActive { limit: 3 });
    let page = of_endorser(&chain.state, &address(&user(0)), Some(EndorsementId(0)), 1).unwrap();
    assert_eq!(page[0].0, EndorsementId(1));
    // Room again once one is over.
    chain.done(&chain.tx(&user(1), award(1, &user(2), BOND)));
    chain.done(&chain.tx(&user(0), endorse(BOND, 30)));
}

/// Answering for something is personal: no delegate can, whatever its scopes.
#[test]
fn delegates_do_not_endorse() {
    let mut chain = endorsed();
    let grant = authorise(&stranger(0), &Scope::ALL, Height(90), WEALTH);
    chain.done(&chain.tx(&user(0), grant));
    for message in [endorse(BOND, 20), withdraw(0), award(0, &user(2), Amount(1))] {
        let transaction = chain.tx_for(&stranger(0), address(&user(0)), message);
        assert_eq!(chain.rejects(&transaction), Rejection::NotAuthorised);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is asked, by whomever, in whatever order: no bond is paid twice or lost (the kit audits every block), and
    /// records say what happened.
    #[test]
    fn bonds_are_conserved(
        steps in proptest::collection::vec((0u8..3, 0u8..4, 0u8..4, 0u64..12, 1u128..6_000), 1..60),
    ) {
        let mut chain = chain();
        for (what, who, other, number, amount) in steps {
            let message = match what {
                0 => ask(Ask::Endorse {
                    receipt: Digest([other; 32]),
                    statement: STATEMENT,
                    bond: Amount(amount),
                    arbiter: address(&user(other)),
                    expiry: chain.height.plus(number),
                }),
                1 => award(number, &user(other), Amount(amount)),
                _ => withdraw(number),
            };
            let transaction = chain.tx(&user(who), message);
            chain.run(&[transaction]);
        }
        let (mut at_stake, mut active) = (0, 0);
        for i in 0..4 {
            let record = of_user(&chain, i);
            let open = of_endorser(&chain.state, &address(&user(i)), None, 100).unwrap();
            prop_assert_eq!(open.len(), record.active as usize);
            prop_assert_eq!(open.iter().map(|(_, e)| e.left().0).sum::<u128>(), record.at_stake.0);
            at_stake += record.at_stake.0;
            active += open.len();
        }
        let all: usize = (0..4).map(|i| of_receipt(&chain.state, &Digest([i; 32]), None, 100).unwrap().len()).sum();
        prop_assert_eq!((all, freeway_ledger::vaults(&chain.state).unwrap().bonds.0), (active, at_stake));
    }
}
