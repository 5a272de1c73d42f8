//! Dishonest dealers, and what becomes of their victims.

use freeway_beacon::{
    Board, Dealing, DealingError, DealingFailed, Group, Log, LogError, OwnError, Refusal, Round, Seats,
    SharesError,
};
use freeway_primitives::{Address, Canonical, ChainId, Digest, Domain, PublicKey, Validator, ValidatorSet};

use crate::kit::*;

/// The dealing of member 0, with garbage in the first seat of member `victim`.
fn with_garbage_for(net: &Net, victim: usize) -> Dealing {
    let mut parts = Parts::of(&net.deal(0));
    let seat = net.round.seats().of(&net.address(victim)).start;
    parts.shares[usize::from(seat)][31] ^= 1;
    let dealing = parts.signed(&net.round, &net.keys[0]);
    assert_eq!(net.round.check_dealing(&net.address(0), &dealing), Ok(()), "nobody else can tell");
    dealing
}

/// Four members with four seats each. The first, whose dealing also counts first, cheats the last.
fn cheated() -> (Net, Board) {
    let net = Net::new(&[6, 5, 5, 5], 16);
    let mut dealings = net.dealings(&net.everybody());
    dealings.insert(net.address(0), with_garbage_for(&net, 3));
    let board = net.board(&dealings);
    (net, board)
}

/// Answer of member 0 that shows `shares`.
fn answer(net: &Net, board: &Board, shares: &[(u8, [u8; 32])]) -> Log {
    let digest = board.dealing(&net.address(0)).unwrap().digest();
    let mut content = digest.0.to_vec();
    shares.iter().for_each(|(seat, share)| content.extend([&[*seat][..], share].concat()));
    let signature = sign(&net.round, &net.keys[0], Domain::new("freeway 1 beacon log"), &content);
    let bytes = borsh::to_vec(&(digest, shares.to_vec())).unwrap();
    Log::decode(&[bytes, signature].concat()).unwrap()
}

/// The right answer of member 0 to a complaint of member 3, as it gives it for its right dealing.
fn right_answer(net: &Net) -> Vec<(u8, [u8; 32])> {
    let board = net.board(&net.dealings(&net.everybody()));
    let acks = [(net.address(3), complaint(net, &board, 3, 0))].into();
    let log = board.close(&net.keys[0], &net.address(0), &acks).unwrap().unwrap().encode();
    let (_, reveals): (Digest, _) = borsh::from_slice(&log[..log.len() - 64]).unwrap();
    reveals
}

fn has_dealer(net: &Net, group: &Group, i: usize) -> bool {
    group.dealers().any(|dealer| dealer.address == net.address(i))
}

#[test]
fn a_cheated_receiver_complains_and_the_silent_dealer_is_left_out() {
    let (net, board) = cheated();
    let acks = net.acks(&board, &net.everybody());
    assert_eq!(acks[&net.address(3)].count(), (3, 1));
    assert_eq!(acks[&net.address(2)].count(), (4, 0));
    let group = board.group(&acks, &Logs::new()).unwrap();
    assert!(!has_dealer(&net, &group, 0));
    assert!(!has_dealer(&net, &group, 0));
    for i in net.everybody() {
        net.shares(&board, &group, &Logs::new(), i);
    }
}

#[test]
fn a_dealer_that_answers_stays_in_and_the_receiver_has_its_shares() {
    let (net, board) = cheated();
    let acks = net.acks(&board, &net.everybody());
    let log = answer(&net, &board, &right_answer(&net));
    let dealing = board.dealing(&net.address(0)).unwrap();
    assert_eq!(net.round.check_log(&net.address(0), dealing, &log), Ok(()));
    assert_eq!(log.reveals(), 4, "those of the four seats of who complained, and no other");
    let logs: Logs = [(net.address(0), log)].into();
    let group = board.group(&acks, &logs).unwrap();
    assert!(has_dealer(&net, &group, 0));
    let committee = group.open(&CHAIN).unwrap();
    for i in net.everybody() {
        let partials = net.shares(&board, &group, &logs, i).sign(HEIGHT);
        assert_eq!(committee.verify_partials(HEIGHT, &[(net.address(i), &partials)]), Ok(()));
    }
}

#[test]
fn an_answer_that_is_none_counts_as_silence() {
    let (net, board) = cheated();
    let acks = net.acks(&board, &net.everybody());
    let right = right_answer(&net);
    let mut wrong = right.clone();
    wrong[1].1[31] ^= 1;
    let mut twice = right.clone();
    twice[1] = twice[0];
    let mut unknown = right.clone();
    unknown[3].0 = 16;
    let dealing = board.dealing(&net.address(0)).unwrap();
    let cases = [
        (answer(&net, &board, &wrong), LogError::Share),
        (answer(&net, &board, &[(right[0].0, [0xff; 32])]), LogError::Share),
        (answer(&net, &board, &twice), LogError::Seats { limit: 7 }),
        (answer(&net, &board, &unknown), LogError::Seats { limit: 7 }),
        (answer(&net, &board, &[]), LogError::Seats { limit: 7 }),
    ];
    for (log, error) in cases {
        assert_eq!(net.round.check_log(&net.address(0), dealing, &log), Err(error));
        let group = board.group(&acks, &[(net.address(0), log)].into()).unwrap();
        assert!(!has_dealer(&net, &group, 0));
    }
    // A part of the answer is right as far as it goes, but answers nothing.
    let part = answer(&net, &board, &right[..3]);
    assert_eq!(net.round.check_log(&net.address(0), dealing, &part), Ok(()));
    let group = board.group(&acks, &[(net.address(0), part)].into()).unwrap();
    assert!(!has_dealer(&net, &group, 0));
    let other = net.deal(0);
    let log = answer(&net, &board, &right);
    assert_eq!(net.round.check_log(&net.address(0), &other, &log), Err(LogError::OtherDealing));
    assert_eq!(
        net.round.check_log(&net.address(1), dealing, &log),
        Err(LogError::Dealing(DealingError::Signature))
    );
}

#[test]
fn who_was_offline_when_it_was_cheated_has_no_shares_but_the_group_works() {
    let (net, board) = cheated();
    let acks = net.acks(&board, &[0, 1, 2]);
    let group = board.group(&acks, &Logs::new()).unwrap();
    assert!(has_dealer(&net, &group, 0));
    let result = board.shares(&net.keys[3], &net.address(3), &group, &Logs::new());
    assert_eq!(result.err(), Some(SharesError::Wrong(net.address(0))));
    let committee = group.open(&CHAIN).unwrap();
    let votes: Vec<_> =
        [0, 1, 2].map(|i| (net.address(i), net.shares(&board, &group, &Logs::new(), i).sign(HEIGHT))).into();
    assert!(committee.recover(HEIGHT, &borrowed(&votes)).is_ok());
}

/// A complaint shows the shares of who complains: those that it knows already.
#[test]
fn false_complaints_show_nothing_of_others_and_change_nothing() {
    let net = Net::new(&[6, 5, 5, 5], 16);
    let own = net.round.seats().of(&net.address(3));
    assert!(right_answer(&net).iter().all(|(seat, _)| own.contains(&u16::from(*seat))));
}

#[test]
fn what_a_majority_complains_about_is_not_answered() {
    let net = Net::new(&[5, 5, 5, 5], 16);
    let mut dealings = net.dealings(&net.everybody());
    let mut parts = Parts::of(&dealings[&net.address(0)]);
    parts.shares.iter_mut().for_each(|share| share[31] ^= 1);
    dealings.insert(net.address(0), parts.signed(&net.round, &net.keys[0]));
    let board = net.board(&dealings);
    let acks = net.acks(&board, &net.everybody());
    assert!(acks.values().all(|acks| acks.count() == (3, 1)));
    assert_eq!(board.close(&net.keys[0], &net.address(0), &acks), Err(OwnError::OtherDealing));
    assert!(!has_dealer(&net, &board.group(&acks, &Logs::new()).unwrap(), 0));
}

#[test]
fn a_dealing_of_another_round_is_none() {
    let net = Net::new(&[1, 1, 1], 6);
    let dealing = net.deal(0);
    let elsewhere = [
        Net::at(CHAIN, EPOCH.next(), &[1, 1, 1], 6),
        Net::at(ChainId(Digest([9; 32])), EPOCH, &[1, 1, 1], 6),
        Net::new(&[1, 2, 3], 6),
    ];
    for other in elsewhere {
        let result = other.round.check_dealing(&net.address(0), &dealing);
        assert_eq!(result, Err(DealingError::Signature));
        // Signed for this round, the polynomial and its proof are still of the other one.
        let again = Parts::of(&dealing).signed(&other.round, &net.keys[0]);
        assert_eq!(other.round.check_dealing(&net.address(0), &again), Err(DealingError::Proof));
    }
    let other_seats = Net::new(&[1, 1, 1], 7).round.check_dealing(&net.address(0), &dealing);
    assert_eq!(other_seats, Err(DealingError::Shape { coefficients: 4, shares: 6, majority: 4, seats: 7 }));
    assert_eq!(net.round.check_dealing(&net.address(1), &dealing), Err(DealingError::Signature));
    let stranger = Address([1; 32]);
    assert_eq!(net.round.check_dealing(&stranger, &dealing), Err(DealingError::NoSeat(stranger)));
}

#[test]
fn a_dealing_of_another_shape_is_none() {
    let net = Net::new(&[1, 1, 1], 6);
    let check = |change: &dyn Fn(&mut Parts)| {
        let mut parts = Parts::of(&net.deal(0));
        change(&mut parts);
        net.round.check_dealing(&net.address(0), &parts.signed(&net.round, &net.keys[0])).unwrap_err()
    };
    let is_shape = |error| matches!(error, DealingError::Shape { .. });
    assert!(is_shape(check(&|parts| parts.polynomial.truncate(3))), "lower degree");
    assert!(is_shape(check(&|parts| parts.polynomial.push(parts.polynomial[0]))), "higher degree");
    assert!(is_shape(check(&|parts| parts.shares.truncate(5))), "a share less");
    assert!(is_shape(check(&|parts| parts.shares.push([0; 32]))), "a share more");
    let mut neutral = [0; 96];
    neutral[0] = 0xc0;
    assert_eq!(check(&|parts| parts.polynomial[3] = neutral), DealingError::Point(3), "lower degree, hidden");
    assert_eq!(check(&|parts| parts.polynomial[1] = [7; 96]), DealingError::Point(1), "no point");
    assert_eq!(check(&|parts| parts.proof = [0; 48]), DealingError::Proof);
}

/// Without the proof a dealer could choose its polynomial as its own minus those of the others.
#[test]
fn a_polynomial_of_another_dealer_is_refused() {
    let net = Net::new(&[1, 1, 1], 6);
    let copied = Parts::of(&net.deal(1)).signed(&net.round, &net.keys[0]);
    assert_eq!(net.round.check_dealing(&net.address(0), &copied), Err(DealingError::Proof));
    let mut mixed = Parts::of(&net.deal(0));
    mixed.polynomial[0] = Parts::of(&net.deal(1)).polynomial[0];
    let mixed = mixed.signed(&net.round, &net.keys[0]);
    assert_eq!(net.round.check_dealing(&net.address(0), &mixed), Err(DealingError::Proof));
}

/// A receiver that nobody can reach gets nothing, and nobody else is held up.
#[test]
fn a_holder_whose_key_is_none_harms_only_itself() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut members = validators(&[5, 5, 5]).members().to_vec();
    members.push(Validator { address: Address([3; 32]), key: PublicKey(neutral), power: 5 });
    let seats = Seats::apportion(&ValidatorSet::new(members).unwrap(), 8).unwrap();
    let net = Net { round: Round::new(CHAIN, EPOCH, seats), keys: [0, 1, 2].map(key).into() };
    assert_eq!(net.finish().group.seats.total(), 8);
}

#[test]
fn strangers_and_wrong_keys_make_no_messages() {
    let net = Net::new(&[1, 1], 4);
    let stranger = Address([1; 32]);
    assert_eq!(net.round.deal(&net.keys[0], &stranger), Err(OwnError::NoSeat(stranger)));
    assert_eq!(net.round.deal(&net.keys[0], &net.address(1)), Err(OwnError::Key(net.address(1))));
    let board = net.board(&Dealings::new());
    assert_eq!(board.acknowledge(&net.keys[0], &stranger), Err(OwnError::NoSeat(stranger)));
    assert_eq!(board.close(&net.keys[0], &net.address(0), &AllAcks::new()), Err(OwnError::OtherDealing));
    assert!(matches!(board.group(&AllAcks::new(), &Logs::new()), Err(DealingFailed::TooFew { .. })));
}

#[test]
fn a_refusal_says_what_is_wrong() {
    let (net, board) = cheated();
    let mut dealings = net.dealings(&[1]);
    dealings.insert(net.address(0), board.dealing(&net.address(0)).unwrap().clone());
    let board = net.board(&dealings);
    let acks = net.acks(&board, &net.everybody());
    let Err(DealingFailed::TooFew { seats: 4, needed: 9, refused }) = board.group(&acks, &Logs::new()) else {
        panic!("one dealer of four is left")
    };
    let of =
        |i| refused.iter().find(|(dealer, _)| *dealer == net.address(i)).map(|(_, refusal)| refusal.clone());
    assert_eq!(of(0), Some(Refusal::Unanswered(net.address(3))));
    assert_eq!(of(1), None);
    assert_eq!(of(2), Some(Refusal::Absent));
}
