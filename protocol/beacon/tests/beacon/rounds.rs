//! Rounds of honest members, some of whom are missing.

use freeway_beacon::{DealingFailed, Refusal};
use freeway_primitives::{Canonical, Height};

use crate::kit::*;

#[test]
fn every_size_of_network_gets_a_key_and_signs() {
    for (powers, seats) in [(&[5][..], 1), (&[5], 4), (&[1, 2, 3, 4], 16), (&[9, 1, 5, 5, 2, 8, 3], 21)] {
        let net = Net::new(powers, seats);
        let finished = net.finish();
        let value = finished.value(HEIGHT, &net.everybody());
        assert_eq!(finished.group.verify(&CHAIN, HEIGHT, &value), Ok(()));
        assert_eq!(finished.committee.verify(HEIGHT, &value), Ok(()));
        assert_eq!(finished.value(HEIGHT, &net.everybody()), value);
        assert_ne!(finished.value(Height(HEIGHT.0 + 1), &net.everybody()), value);
    }
}

#[test]
fn every_majority_of_seats_makes_the_same_value_and_no_minority_does() {
    let net = Net::new(&[1, 1, 1, 1, 1], 5);
    let finished = net.finish();
    let value = finished.value(HEIGHT, &[0, 1, 2]);
    for who in [[0, 1, 3], [2, 3, 4], [4, 0, 2]] {
        assert_eq!(finished.value(HEIGHT, &who), value);
    }
    let votes = finished.sign(HEIGHT, &[0, 4]);
    let failure = finished.committee.recover(HEIGHT, &borrowed(&votes)).unwrap_err();
    assert_eq!(failure.to_string(), "2 seats have signed, 3 are needed");
}

/// The order of messages, and who computes, make no difference; a restarted member makes the same bytes.
#[test]
fn everything_is_determined_by_the_keys() {
    let net = Net::new(&[3, 2, 1], 6);
    assert_eq!(net.deal(1).encode(), Net::new(&[3, 2, 1], 6).deal(1).encode());
    let (one, other) = (net.finish(), net.finish());
    assert_eq!(one.group, other.group);
    assert_eq!(one.sign(HEIGHT, &[0, 1, 2]), other.sign(HEIGHT, &[0, 1, 2]));
}

/// Another epoch, network or distribution of seats is another round with another polynomial: no share of one
/// helps with another.
#[test]
fn each_round_has_its_own_polynomials() {
    let rounds = [
        Net::new(&[1, 1], 4),
        Net::at(CHAIN, EPOCH.next(), &[1, 1], 4),
        Net::at(freeway_primitives::ChainId(freeway_primitives::Digest([1; 32])), EPOCH, &[1, 1], 4),
        Net::new(&[1, 1], 5),
        Net::new(&[3, 1], 4),
    ];
    let mut firsts: Vec<_> = rounds.iter().map(|net| Parts::of(&net.deal(0)).polynomial[0]).collect();
    firsts.sort();
    firsts.dedup();
    assert_eq!(firsts.len(), rounds.len());
}

#[test]
fn a_third_may_be_missing_from_the_start() {
    let net = Net::new(&[1; 7], 21);
    let here = [0, 1, 3, 4, 6];
    let board = net.board(&net.dealings(&here));
    let acks = net.acks(&board, &here);
    assert!(net.logs(&board, &acks, &here).is_empty());
    let group = board.group(&acks, &Logs::new()).unwrap();
    // Shares for who was missing are on the board, too: it signs as soon as it is back.
    let late = net.shares(&board, &group, &Logs::new(), 2).sign(HEIGHT);
    let committee = group.open(&CHAIN).unwrap();
    assert_eq!(committee.verify_partials(HEIGHT, &[(net.address(2), &late)]), Ok(()));
}

/// Silence is no complaint: nothing is shown of the shares of who did not acknowledge. (Otherwise the shares of
/// a third that is cut off, together with those of a dishonest third, would be a majority.)
#[test]
fn a_third_may_be_missing_when_acknowledging_and_loses_no_share() {
    let net = Net::new(&[1; 7], 21);
    let board = net.board(&net.dealings(&net.everybody()));
    let acks = net.acks(&board, &[0, 2, 3, 5, 6]);
    assert!(net.logs(&board, &acks, &net.everybody()).is_empty());
    let group = board.group(&acks, &Logs::new()).unwrap();
    let committee = group.open(&CHAIN).unwrap();
    for i in net.everybody() {
        let partials = net.shares(&board, &group, &Logs::new(), i).sign(HEIGHT);
        assert_eq!(partials.seats().count(), 3);
        assert_eq!(committee.verify_partials(HEIGHT, &[(net.address(i), &partials)]), Ok(()));
    }
}

#[test]
fn a_third_may_be_missing_when_signing() {
    let finished = Net::new(&[1; 7], 21).finish();
    assert_eq!(finished.value(HEIGHT, &[0, 1, 2, 3, 4]), finished.value(HEIGHT, &[2, 3, 4, 5, 6]));
}

#[test]
fn without_a_majority_of_dealers_there_is_no_key() {
    let net = Net::new(&[1; 4], 8);
    let board = net.board(&net.dealings(&[0, 3]));
    let acks = net.acks(&board, &net.everybody());
    let Err(DealingFailed::TooFew { seats: 4, needed: 5, refused }) = board.group(&acks, &Logs::new()) else {
        panic!("two of four are no majority")
    };
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|(_, refusal)| *refusal == Refusal::Absent));
}

#[test]
fn without_a_majority_of_acknowledgements_there_is_no_key() {
    let net = Net::new(&[1; 4], 8);
    let board = net.board(&net.dealings(&net.everybody()));
    let acks = net.acks(&board, &[1, 2]);
    let Err(DealingFailed::TooFew { seats: 0, refused, .. }) = board.group(&acks, &Logs::new()) else {
        panic!("nobody is acknowledged")
    };
    assert!(refused.iter().all(|(_, refusal)| *refusal == Refusal::Unacknowledged { seats: 4, needed: 5 }));
}

/// The dealers of the key hold a majority of the seats, whatever the number of heads: many small validators
/// cannot be all of them.
#[test]
fn dealers_count_by_their_seats() {
    let net = Net::new(&[10, 10, 10, 1, 1, 1, 1, 1, 1, 1], 40);
    let all = net.everybody();
    let small = [3, 4, 5, 6, 7, 8, 9];
    let board = net.board(&net.dealings(&small));
    let acks = net.acks(&board, &all);
    assert!(matches!(board.group(&acks, &Logs::new()), Err(DealingFailed::TooFew { .. })));
    let group = net.finish().group;
    let held: u16 = group.dealers().map(|dealer| u16::from(dealer.seats)).sum();
    assert!(held >= group.seats.majority());
}
