//! Seats: exact in number, and as close to the powers as whole numbers can be.

use freeway_beacon::{MAX_SEATS, Seats, SeatsError};
use freeway_primitives::{Address, Canonical, MAX_VALIDATORS, ValidatorSet};
use proptest::prelude::*;

use crate::kit::validators;

/// A member's power and its seats, including those without.
fn rounded(set: &ValidatorSet, seats: &Seats) -> Vec<(i128, i128)> {
    let seats_of = |address| seats.holder(address).map_or(0, |holder| i128::from(holder.seats));
    set.members().iter().map(|member| (i128::from(member.power), seats_of(&member.address))).collect()
}

#[test]
fn examples() {
    let seats = |powers: &[u64], count| {
        let seats = Seats::apportion(&validators(powers), count).unwrap();
        seats.holders().iter().map(|holder| holder.seats).collect::<Vec<_>>()
    };
    assert_eq!(seats(&[7], 1), [1]);
    assert_eq!(seats(&[7], 255), [255]);
    assert_eq!(seats(&[1, 1, 1, 1], 16), [4, 4, 4, 4]);
    assert_eq!(seats(&[100, 1, 1], 10), [10]);
    assert_eq!(seats(&[5, 3, 1], 4), [2, 1, 1]);
    assert_eq!(seats(&[1, 1, 1], 2), [1, 1]);
    assert_eq!(
        seats(&[freeway_primitives::MAX_TOTAL_POWER / 30; 30], 255)
            .iter()
            .map(|seats| u16::from(*seats))
            .sum::<u16>(),
        255
    );
    let set = validators(&[1]);
    assert_eq!(Seats::apportion(&set, 0), Err(SeatsError::Count(0)));
    assert_eq!(Seats::apportion(&set, 256), Err(SeatsError::Count(256)));
}

#[test]
fn a_seat_has_one_owner() {
    let seats = Seats::apportion(&validators(&[9, 5, 2, 1, 1]), 20).unwrap();
    for holder in seats.holders() {
        for seat in seats.of(&holder.address) {
            assert_eq!(seats.owner(seat), Some(holder));
        }
        assert_eq!(seats.of(&holder.address).len(), usize::from(holder.seats));
    }
    assert_eq!(seats.owner(20), None);
    assert_eq!(seats.of(&Address([1; 32])), 0..0);
}

#[test]
fn seats_that_could_not_be_given_out_cannot_be_read() {
    let seats = Seats::apportion(&validators(&[3, 1]), 4).unwrap();
    let [first, second] = seats.holders() else { panic!("both have seats") };
    let read = |holders: &[freeway_beacon::Holder]| Seats::decode(&borsh::to_vec(holders).unwrap());
    assert_eq!(read(&[*first, *second]), Ok(seats.clone()));
    let none = freeway_beacon::Holder { seats: 0, ..*second };
    let many = freeway_beacon::Holder { seats: 253, ..*second };
    let same_key = freeway_beacon::Holder { key: first.key, ..*second };
    for broken in [&[][..], &[*first, none], &[*first, many], &[*first, *first], &[*first, same_key]] {
        assert!(read(broken).is_err());
    }
    let powers = [1; MAX_VALIDATORS];
    let full = Seats::apportion(&validators(&powers), MAX_SEATS).unwrap();
    assert_eq!(full.encode().len(), Seats::MAX_BYTES);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_coalition_gains_or_loses_much(powers in proptest::collection::vec(1u64..1_000, 1..60), count in 1u16..=255) {
        let set = validators(&powers);
        let seats = Seats::apportion(&set, count).unwrap();
        prop_assert_eq!(seats.total(), count);
        let (total, all) = (i128::from(set.total_power()), powers.len() as i128);
        // Deviations times the total power, so that they are whole numbers.
        let deviations: Vec<i128> = rounded(&set, &seats)
            .iter()
            .map(|(power, seats)| seats * total - power * i128::from(count))
            .collect();
        prop_assert!(deviations.iter().all(|deviation| deviation.abs() < total), "one member: less than a seat");
        let most: i128 = deviations.iter().filter(|deviation| **deviation > 0).sum();
        let least: i128 = deviations.iter().filter(|deviation| **deviation < 0).sum();
        prop_assert!(4 * most <= all * total, "a coalition gains at most a quarter of all heads");
        prop_assert!(-4 * least <= all * total, "and loses no more");
    }

    /// With 1.5 seats a validator, powers do not matter: a third is no majority, more than two thirds are.
    #[test]
    fn enough_seats_make_thirds_safe(
        powers in proptest::collection::vec(1u64..1_000_000, 1..100),
        spare in 1u16..100,
        order in any::<u64>(),
    ) {
        let count = (powers.len() as u16 * 3).div_ceil(2) + spare;
        let set = validators(&powers);
        let seats = Seats::apportion(&set, count).unwrap();
        let mut members = rounded(&set, &seats);
        let (total, majority) = (i128::from(set.total_power()), i128::from(seats.majority()));
        // Coalitions of who gained most, of who lost most, and of anybody.
        let deviation = |(power, seats): &(i128, i128)| (seats * total - power * i128::from(count)) * 1_000 / power;
        let mut coalitions = Vec::new();
        members.sort_by_key(deviation);
        coalitions.push(members.clone());
        members.reverse();
        coalitions.push(members.clone());
        members.sort_by_key(|(power, seats)| ((*power as u64) ^ order).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ *seats as u64);
        coalitions.push(members);
        for coalition in coalitions {
            let (mut power, mut held) = (0, 0);
            for (member, seats) in &coalition {
                power += member;
                held += seats;
                prop_assert!(power * 3 > total || held < majority, "a third of the power has a majority");
                prop_assert!(power * 3 <= total * 2 || held >= majority, "two thirds have none");
            }
        }
    }

    #[test]
    fn with_equal_powers_a_quorum_holds_the_majority(validators_count in 1usize..85, per in 3u16..6) {
        let count = (validators_count as u16 * per).min(MAX_SEATS);
        let seats = Seats::apportion(&validators(&vec![1; validators_count]), count).unwrap();
        let mut held: Vec<u16> = seats.holders().iter().map(|holder| u16::from(holder.seats)).collect();
        held.sort_unstable();
        let quorum = validators_count * 2 / 3 + 1;
        let least: u16 = held.iter().take(quorum.min(validators_count)).sum();
        prop_assert!(least >= seats.majority());
    }
}
