//! Bytes from peers: decoded exactly, or refused; and what is decoded keeps its type's promises.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use freeway_primitives::{
    Address, Amount, Block, Canonical, Certificate, CertificateError, ChainId, Digest, Equivocation, Header,
    Height, MAX_TOTAL_POWER, MAX_VALIDATORS, Proposal, SecretKey, Validator, ValidatorSet, ValidatorSetError,
    Vote,
};
use proptest::prelude::*;

fn member(i: u8, power: u64) -> Validator {
    let key = SecretKey::from_seed([i; 32]).public();
    Validator { address: Address::of(&key), key, power }
}

/// A set's encoding, made of any list.
fn spelled(members: &[Validator]) -> Vec<u8> {
    borsh::to_vec(members).unwrap()
}

fn decodes_exactly<T: Canonical>(bytes: &[u8]) {
    if let Ok(value) = T::decode(bytes) {
        assert_eq!(value.encode(), bytes);
    }
}

/// A set from a peer is as good as one made here: sorted, bounded, without duplicates, and never empty. Sums of
/// its powers cannot overflow.
#[test]
fn a_decoded_validator_set_keeps_the_rules_of_sets() {
    let good = ValidatorSet::new(vec![member(1, 5), member(2, 9), member(3, 5)]).unwrap();
    assert_eq!(ValidatorSet::decode(&good.encode()), Ok(good.clone()));
    let [first, second, third] = good.members() else { panic!("three were given") };
    let same_key = Validator { address: third.address, ..*first };
    let twice = Validator { power: 1, ..*first };
    let none = Validator { power: 0, ..*third };
    let broken = [
        vec![],
        vec![*second, *first, *third],
        vec![*first, *third, *second],
        vec![*first, *first],
        vec![*first, twice],
        vec![*first, same_key],
        vec![*first, none],
        vec![member(1, u64::MAX), member(2, u64::MAX)],
        vec![member(1, MAX_TOTAL_POWER), member(2, 1)],
    ];
    for members in broken {
        assert!(ValidatorSet::decode(&spelled(&members)).is_err(), "{members:?}");
    }
}

#[test]
fn the_bound_of_a_validator_set_is_its_largest_encoding() {
    let many = |count: usize| ValidatorSet::new((0..count).map(|i| member(i as u8, 1)).collect());
    assert_eq!(many(MAX_VALIDATORS).unwrap().encode().len(), ValidatorSet::MAX_BYTES);
    assert_eq!(many(MAX_VALIDATORS + 1), Err(ValidatorSetError::TooMany(MAX_VALIDATORS + 1)));
}

#[test]
fn nobody_makes_no_quorum() {
    let set = ValidatorSet::new(vec![member(1, 1)]).unwrap();
    let nobody = Certificate {
        height: Height(1),
        round: 0,
        block: freeway_primitives::BlockId(Digest::ZERO),
        signatures: vec![],
    };
    assert_eq!(
        nobody.verify(&ChainId(Digest::ZERO), &set),
        Err(CertificateError::NoQuorum { signed: 0, total: 1 })
    );
    // Exactly two thirds are not more than two thirds.
    let three = ValidatorSet::new((1..=3).map(|i| member(i, 1)).collect()).unwrap();
    assert!(!three.is_quorum(2) && three.is_quorum(3));
}

/// The last character of an address has bits to spare; with other values there, the checksum could still fit.
#[test]
fn an_address_has_one_spelling() {
    use bech32::{Bech32m, ByteIterExt as _, Fe32, Fe32IterExt as _, Hrp};
    let address = Address([0xa5; 32]);
    let mut digits: Vec<Fe32> = address.0.iter().copied().bytes_to_fes().collect();
    let last = digits.last_mut().unwrap();
    *last = Fe32::try_from(last.to_u8() | 1).unwrap();
    let hrp = Hrp::parse("fwy").unwrap();
    let alias: String = digits.into_iter().with_checksum::<Bech32m>(&hrp).chars().collect();
    assert_ne!(alias, address.to_string());
    assert!(alias.parse::<Address>().is_err());
    assert_eq!(address.to_string().to_uppercase().parse(), Ok(address));
}

/// The share of an amount is exact, however large the amount.
#[test]
fn a_part_of_the_largest_amount_is_exact() {
    assert_eq!(Amount(u128::MAX).fraction(1, 1), Some(Amount(u128::MAX)));
    assert_eq!(Amount(u128::MAX).fraction(u64::MAX, u64::MAX), Some(Amount(u128::MAX)));
    assert_eq!(Amount(u128::MAX).fraction(1, 2), Some(Amount(u128::MAX / 2)));
    assert_eq!(Amount(u128::MAX).fraction(2, 1), None);
    assert_eq!(Amount(7).fraction(1, 0), None);
}

proptest! {
    #[test]
    fn random_bytes_are_no_reason_to_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        decodes_exactly::<Header>(&bytes);
        decodes_exactly::<Block>(&bytes);
        decodes_exactly::<Certificate>(&bytes);
        decodes_exactly::<Vote>(&bytes);
        decodes_exactly::<Proposal>(&bytes);
        decodes_exactly::<Equivocation>(&bytes);
        decodes_exactly::<ValidatorSet>(&bytes);
    }

    #[test]
    fn any_list_of_validators_decodes_to_a_set_or_not_at_all(
        powers in proptest::collection::vec(prop_oneof![0u64..4, any::<u64>()], 0..6),
        seeds in proptest::collection::vec(0u8..5, 6),
    ) {
        let members: Vec<_> = powers.iter().zip(seeds).map(|(power, seed)| member(seed, *power)).collect();
        if let Ok(set) = ValidatorSet::decode(&spelled(&members)) {
            prop_assert_eq!(Ok(set.clone()), ValidatorSet::new(members));
            prop_assert!(set.total_power() > 0 && set.total_power() <= MAX_TOTAL_POWER);
        }
    }

    #[test]
    fn fractions_are_what_they_say(amount in any::<u64>(), parts in any::<u64>(), whole in 1..=u64::MAX) {
        let exact = u128::from(amount) * u128::from(parts) / u128::from(whole);
        prop_assert_eq!(Amount(u128::from(amount)).fraction(parts, whole), Some(Amount(exact)));
    }

    #[test]
    fn the_parts_of_an_amount_never_exceed_it(amount: u128, cut in any::<u64>(), whole in 1..=u64::MAX) {
        let (amount, cut) = (Amount(amount), cut % whole);
        let (a, b) = (amount.fraction(cut, whole).unwrap(), amount.fraction(whole - cut, whole).unwrap());
        let sum = a.checked_add(b).unwrap();
        prop_assert!(sum <= amount && amount.0 - sum.0 <= 1);
    }
}
