//! Acknowledgements that are none.

use freeway_beacon::{AcksError, DealingFailed};
use freeway_primitives::{Address, Canonical};

use crate::kit::*;

#[test]
fn acknowledgements_are_the_authors_own_and_of_this_round() {
    let net = Net::new(&[1, 1, 1], 6);
    let board = net.board(&net.dealings(&net.everybody()));
    let acks = net.acks(&board, &[0])[&net.address(0)];
    assert_eq!(net.round.check_acks(&net.address(1), &acks), Err(AcksError::Signature));
    let other = Net::at(CHAIN, EPOCH.next(), &[1, 1, 1], 6);
    assert_eq!(other.round.check_acks(&net.address(0), &acks), Err(AcksError::Signature));
    let stranger = Address([1; 32]);
    assert_eq!(net.round.check_acks(&stranger, &acks), Err(AcksError::NoSeat(stranger)));
    let both = forged(&net, 0, 3, 1, &[0; 32]);
    assert_eq!(net.round.check_acks(&net.address(0), &both), Err(AcksError::Dealers));
    for (good, bad) in [(1 << 3, 0), (0, 1 << 3), (1 << 127, 0), (0, u128::MAX)] {
        let unknown = forged(&net, 0, good, bad, &[0; 32]);
        assert_eq!(net.round.check_acks(&net.address(0), &unknown), Err(AcksError::Dealers));
    }
}

#[test]
fn acknowledgements_of_other_dealings_do_not_count() {
    let net = Net::new(&[1, 1, 1], 6);
    let board = net.board(&net.dealings(&net.everybody()));
    let blind =
        net.everybody().into_iter().map(|i| (net.address(i), forged(&net, i, 7, 0, &[0; 32]))).collect();
    assert!(matches!(board.group(&blind, &Logs::new()), Err(DealingFailed::TooFew { seats: 0, .. })));
    // Bad ones beside enough good ones change nothing.
    let mut acks = net.acks(&board, &net.everybody());
    let group = board.group(&acks, &Logs::new()).unwrap();
    acks.insert(net.address(2), forged(&net, 2, 0, 7, &[0; 32]));
    assert_eq!(board.group(&acks, &Logs::new()).unwrap(), group);
}

/// Who complains falsely gets its own share shown, and nothing else happens.
#[test]
fn a_false_complaint_is_answered() {
    let net = Net::new(&[1, 1, 1], 6);
    let board = net.board(&net.dealings(&net.everybody()));
    let mut acks = net.acks(&board, &net.everybody());
    let group = board.group(&acks, &Logs::new()).unwrap();
    let seen = acks[&net.address(2)].encode()[32..64].to_vec();
    acks.insert(net.address(2), forged(&net, 2, 0, 7, &seen));
    let logs = net.logs(&board, &acks, &net.everybody());
    assert_eq!(logs.len(), 3);
    assert!(logs.values().all(|log| log.reveals() == 2));
    assert_eq!(board.group(&acks, &logs).unwrap(), group);
    assert!(matches!(board.group(&acks, &Logs::new()), Err(DealingFailed::TooFew { seats: 0, .. })));
}

#[test]
fn complaints_of_a_majority_are_not_answered() {
    let net = Net::new(&[1, 1, 1], 6);
    let board = net.board(&net.dealings(&net.everybody()));
    let mut acks = net.acks(&board, &net.everybody());
    let seen = acks[&net.address(2)].encode()[32..64].to_vec();
    for i in [1, 2] {
        acks.insert(net.address(i), forged(&net, i, 0, 7, &seen));
    }
    let refusal = board.close(&net.keys[0], &net.address(0), &acks).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "4 seats complain, at most 2 can be answered without giving the secret away"
    );
}
