//! Values and partial signatures: of this height and group only, and wrong ones are found.

use freeway_beacon::{BadPartials, GroupError, Partials, Value, ValueError};
use freeway_primitives::{Address, Canonical, ChainId, Digest, Height};

use crate::kit::*;

const NEXT: Height = Height(HEIGHT.0 + 1);

#[test]
fn a_value_is_of_one_height_epoch_group_and_chain() {
    let net = Net::new(&[1, 1, 1], 6);
    let finished = net.finish();
    let value = finished.value(HEIGHT, &[0, 1, 2]);
    let wrong = Err(ValueError::Signature);
    assert_eq!(finished.group.verify(&CHAIN, NEXT, &value), wrong);
    assert_eq!(finished.group.verify(&ChainId(Digest([9; 32])), HEIGHT, &value), wrong);
    let mut other_epoch = finished.group.clone();
    other_epoch.epoch = EPOCH.next();
    assert_eq!(other_epoch.verify(&CHAIN, HEIGHT, &value), wrong, "the same key in another epoch");
    let other = Net::at(CHAIN, EPOCH, &[1, 2, 3], 6).finish();
    assert_eq!(other.group.verify(&CHAIN, HEIGHT, &value), wrong);
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    for bytes in [[0; 48], [0xff; 48], infinity] {
        assert_eq!(finished.group.verify(&CHAIN, HEIGHT, &Value(bytes)), wrong);
    }
    assert_ne!(value.randomness(), other.value(HEIGHT, &[0, 1, 2]).randomness());
}

#[test]
fn a_wrong_partial_signature_is_named_and_does_no_harm() {
    let finished = Net::new(&[1; 5], 10).finish();
    let value = finished.value(HEIGHT, &[0, 1, 2]);
    for bad in 0..5 {
        let mut votes = finished.sign(HEIGHT, &[0, 1, 2, 3, 4]);
        votes[bad].1 = finished.shares[bad].sign(NEXT);
        let votes = borrowed(&votes);
        let named = BadPartials(vec![finished.members[bad]]);
        assert_eq!(finished.committee.verify_partials(HEIGHT, &votes), Err(named));
        assert_eq!(finished.committee.recover(HEIGHT, &votes), Ok(value));
    }
    let mut votes = finished.sign(HEIGHT, &[0, 1, 2, 3, 4]);
    for bad in [0, 2, 4] {
        votes[bad].1 = finished.shares[bad].sign(NEXT);
    }
    let too_few = finished.committee.recover(HEIGHT, &borrowed(&votes)).unwrap_err();
    assert_eq!(too_few.to_string(), "4 seats have signed, 6 are needed");
    let mut named: Vec<_> = [0, 2, 4].map(|i| finished.members[i]).into();
    named.sort();
    assert_eq!(finished.committee.verify_partials(HEIGHT, &borrowed(&votes)), Err(BadPartials(named)));
}

/// Errors that cancel each other are found: two partial signatures, each wrong by the same amount in opposite
/// directions, or simply exchanged.
#[test]
fn errors_that_cancel_each_other_are_found() {
    let finished = Net::new(&[1, 1, 1], 6).finish();
    let partials = finished.shares[0].sign(HEIGHT);
    let mut list: Vec<(u8, [u8; 48])> = borsh::from_slice(&partials.encode()).unwrap();
    let (first, second) = (list[0].1, list[1].1);
    (list[0].1, list[1].1) = (second, first);
    let exchanged = Partials::decode(&borsh::to_vec(&list).unwrap()).unwrap();
    let me = finished.members[0];
    assert_eq!(finished.committee.verify_partials(HEIGHT, &[(me, &exchanged)]), Err(BadPartials(vec![me])));
}

#[test]
fn only_ones_own_seats_and_each_once() {
    let finished = Net::new(&[1, 1, 1], 6).finish();
    let [me, other] = [0, 1].map(|i| finished.members[i]);
    let partials = finished.shares[0].sign(HEIGHT);
    let list: Vec<(u8, [u8; 48])> = borsh::from_slice(&partials.encode()).unwrap();
    let encoded = |list: &[(u8, [u8; 48])]| Partials::decode(&borsh::to_vec(list).unwrap()).unwrap();
    let check =
        |from: Address, partials: &Partials| finished.committee.verify_partials(HEIGHT, &[(from, partials)]);
    assert_eq!(check(me, &partials), Ok(()));
    assert_eq!(check(me, &encoded(&list[1..])), Ok(()), "not all");
    assert_eq!(check(me, &Partials::default()), Ok(()), "none");
    assert_eq!(check(Address([1; 32]), &Partials::default()), Ok(()), "none of who has no seat");
    assert_eq!(check(other, &partials), Err(BadPartials(vec![other])));
    assert_eq!(check(Address([1; 32]), &partials), Err(BadPartials(vec![Address([1; 32])])));
    for broken in
        [vec![list[0], list[0]], vec![list[1], list[0]], vec![(200, list[0].1)], vec![(list[0].0, [1; 48])]]
    {
        assert_eq!(check(me, &encoded(&broken)), Err(BadPartials(vec![me])));
    }
    // The same vote twice is still one.
    let twice = [(me, &partials), (me, &partials)];
    assert_eq!(finished.committee.verify_partials(HEIGHT, &twice), Ok(()));
    assert!(finished.committee.recover(HEIGHT, &twice).is_err());
}

#[test]
fn a_group_that_no_round_made_is_refused() {
    let group = Net::new(&[1, 1, 1], 6).finish().group;
    let bytes = group.encode();
    let tail = bytes.len() - 4 * 96;
    let mut no_point = bytes.clone();
    no_point[tail + 96..tail + 192].fill(7);
    let no_point = freeway_beacon::Group::decode(&no_point).unwrap();
    assert_eq!(no_point.open(&CHAIN).err(), Some(GroupError::Point));
    let mut short = bytes[..bytes.len() - 96].to_vec();
    short[tail - 4] = 3;
    let short = freeway_beacon::Group::decode(&short).unwrap();
    assert_eq!(short.open(&CHAIN).err(), Some(GroupError::Shape));
    let mut empty = bytes[..tail].to_vec();
    empty[tail - 4] = 0;
    let empty = freeway_beacon::Group::decode(&empty).unwrap();
    let point = ValueError::Group(GroupError::Point);
    assert_eq!(empty.verify(&CHAIN, HEIGHT, &Value([0; 48])), Err(point));
}

/// A node signs on one thread and joins on another.
#[test]
fn everything_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<freeway_beacon::Board>();
    shared::<freeway_beacon::Committee>();
    shared::<freeway_beacon::Shares>();
}

#[test]
fn shares_are_not_shown() {
    let finished = Net::new(&[1], 2).finish();
    assert_eq!(format!("{:?}", finished.shares[0]), "Shares(2 of epoch 7)");
}
