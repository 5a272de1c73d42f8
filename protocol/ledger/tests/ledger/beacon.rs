//! The beacon: keys made over the chain, by real dealings, and what becomes of the validators when that fails.

use std::collections::BTreeMap;

use freeway_beacon::{Acks, Board, Dealing, Log};
use freeway_ledger::beacon::{self, ACKNOWLEDGEMENTS, DEALINGS, GROUPS, LOGS, NEXT, ROUND, Stage};
use freeway_ledger::epochs::{CLOCK, HeldReason};
use freeway_ledger::{Event, Message, Params, Transaction, epochs};
use freeway_primitives::{Address, BeaconRecord, Canonical, Epoch, Height};

use crate::kit::*;

/// Six hosts with epochs of 14 blocks, the last six of which make a key of eight seats.
fn chain() -> Chain {
    let mut params = quick();
    params.epochs.epoch_blocks = 14;
    params.epochs.dealing_blocks = 6;
    params.hosts.unbonding_blocks = 60;
    params.beacon.seats = 8;
    Chain::of(&genesis(params, &[WEIGHT; 6], 1))
}

fn send(chain: &Chain, i: u8, message: beacon::Message) -> Transaction {
    chain.tx_for(&vote_key(i), host(i), Message::Beacon(message))
}

/// The dealing under way, as a board of what has been posted.
fn board(chain: &Chain) -> (Board, Vec<Address>) {
    let dealing = ROUND.require(&chain.state).unwrap().unwrap();
    let holders = dealing.holders();
    let posted = beacon::posted::<Dealing>(&chain.state, DEALINGS, dealing.epoch, &holders).unwrap();
    (Board::new(dealing.round(chain.id), posted), holders)
}

fn stage(chain: &Chain) -> Option<Stage> {
    beacon::stage(&chain.state, chain.height.next()).unwrap().map(|(_, stage)| stage)
}

/// What the host posts in the next block, if something is due.
fn duty(chain: &Chain, i: u8) -> Option<beacon::Message> {
    let (dealing, stage) = beacon::stage(&chain.state, chain.height.next()).unwrap()?;
    let (key, me) = (vote_key(i), host(i));
    let posted = |table: freeway_ledger::state::Table<(Epoch, Address), Vec<u8>>| {
        table.get(&chain.state, &(dealing.epoch, me)).unwrap().is_some()
    };
    match stage {
        Stage::Deal if !posted(DEALINGS) => {
            Some(beacon::Message::Deal(dealing.round(chain.id).deal(&key, &me).unwrap().encode()))
        }
        Stage::Acknowledge if !posted(ACKNOWLEDGEMENTS) => {
            Some(beacon::Message::Acknowledge(board(chain).0.acknowledge(&key, &me).unwrap().encode()))
        }
        _ => None,
    }
}

/// Runs to the first block of the next epoch with these hosts doing their part: all events.
fn epoch_with(chain: &mut Chain, hosts: &[u8]) -> Vec<Event> {
    let next_epoch = |chain: &Chain| {
        let params = Params::current(&chain.state).unwrap();
        CLOCK.require(&chain.state).unwrap().at(chain.height.next(), &params.epochs).epoch
    };
    let epoch = next_epoch(chain);
    let mut seen = Vec::new();
    while next_epoch(chain) == epoch {
        let duties: Vec<_> =
            hosts.iter().filter_map(|i| duty(chain, *i).map(|message| send(chain, *i, message))).collect();
        seen.extend(events(&chain.block(&duties)));
    }
    seen
}

fn held(events: &[Event]) -> Option<HeldReason> {
    events.iter().find_map(|event| match event {
        Event::Epochs(epochs::Event::SwitchHeld { reason, .. }) => Some(*reason),
        _ => None,
    })
}

#[test]
fn the_validators_make_a_key_and_it_signs_from_the_next_epoch_on() {
    let mut chain = chain();
    let before = epoch_with(&mut chain, &[0, 1, 2, 3, 4, 5]);
    assert!(
        before.iter().any(|e| matches!(e, Event::Beacon(beacon::Event::GroupFormed { epoch: Epoch(1), .. })))
    );
    assert_eq!(held(&before), None);
    let start = chain.height.next();
    let known = GROUPS.get(&chain.state, &Epoch(1)).unwrap().unwrap();
    assert_eq!((known.start, known.group.epoch), (start, Epoch(1)));
    assert_eq!(beacon::group_at(&chain.state, start).unwrap(), Some(known.clone()));
    assert_eq!(beacon::group_at(&chain.state, chain.height).unwrap(), None, "nobody could sign before");
    assert_eq!(NEXT.require(&chain.state).unwrap(), None);

    // Any four of the six hold a majority of the eight seats between them, and make the same value.
    let holders: Vec<Address> = known.group.seats.holders().iter().map(|holder| holder.address).collect();
    let dealings = beacon::posted::<Dealing>(&chain.state, DEALINGS, Epoch(1), &holders).unwrap();
    let logs = beacon::posted::<Log>(&chain.state, LOGS, Epoch(1), &holders).unwrap();
    let round = freeway_beacon::Round::new(chain.id, Epoch(1), known.group.seats.clone());
    let board = Board::new(round, dealings);
    let committee = known.group.open(&chain.id).unwrap();
    let value = |hosts: &[u8]| {
        let partials: Vec<_> = hosts
            .iter()
            .map(|i| {
                (host(*i), board.shares(&vote_key(*i), &host(*i), &known.group, &logs).unwrap().sign(start))
            })
            .collect();
        let votes: Vec<_> = partials.iter().map(|(from, partials)| (*from, partials)).collect();
        committee.recover(start, &votes).unwrap()
    };
    let signature = value(&[0, 1, 2, 3, 4]);
    assert_eq!(signature, value(&[1, 2, 3, 4, 5]));

    let record = BeaconRecord { height: start, signature: signature.0 };
    let check =
        |height: Height, record: &BeaconRecord| beacon::check_record(&chain.state, height, record).unwrap();
    assert_eq!(check(start.next(), &record), Ok(signature.randomness()));
    assert_eq!(
        check(start, &record),
        Err(beacon::RecordError::OutOfWindow),
        "not before its height is decided"
    );
    let late = start.plus(beacon::WINDOW + 1);
    assert_eq!(check(late, &record), Err(beacon::RecordError::OutOfWindow));
    let other = BeaconRecord { height: start.next(), ..record };
    assert_eq!(check(start.plus(2), &other), Err(beacon::RecordError::Invalid), "of another height");
    let early = BeaconRecord { height: Height::GENESIS, ..record };
    assert_eq!(check(Height(4), &early), Err(beacon::RecordError::NoGroup));
}

#[test]
fn a_third_may_be_missing_from_a_dealing() {
    let mut chain = chain();
    assert_eq!(held(&epoch_with(&mut chain, &[0, 1, 2, 3, 4])), None);
    assert!(GROUPS.get(&chain.state, &Epoch(1)).unwrap().is_some());
}

/// Invariant 6: validator set and group are held together, as often as it takes, and then go on together.
#[test]
fn a_failed_dealing_holds_validators_and_group() {
    let mut chain = chain();
    epoch_with(&mut chain, &[0, 1, 2, 3, 4, 5]);
    let (set, group) = (chain.validators.clone(), GROUPS.page(&chain.state, None, 9).unwrap());
    for _ in 0..2 {
        let seen = epoch_with(&mut chain, &[0, 1]);
        assert_eq!(held(&seen), Some(HeldReason::DealingFailed));
        assert!(seen.iter().any(|e| matches!(e, Event::Beacon(beacon::Event::DealingFailed { .. }))));
        assert_eq!(chain.validators, set);
        assert_eq!(
            GROUPS.page(&chain.state, None, 9).unwrap(),
            group,
            "the group changed without the validators"
        );
    }
    assert_eq!(held(&epoch_with(&mut chain, &[0, 1, 2, 3, 4, 5])), None);
    assert!(GROUPS.get(&chain.state, &Epoch(4)).unwrap().is_some());
}

#[test]
fn every_epoch_has_another_key_and_old_ones_are_forgotten() {
    let mut chain = chain();
    let mut keys = BTreeMap::new();
    for epoch in 1..=beacon::KEPT_GROUPS + 2 {
        epoch_with(&mut chain, &[0, 1, 2, 3, 4, 5]);
        keys.insert(GROUPS.get(&chain.state, &Epoch(epoch)).unwrap().unwrap().group.key(), epoch);
    }
    assert_eq!(keys.len() as u64, beacon::KEPT_GROUPS + 2, "a key came again");
    assert_eq!(GROUPS.page(&chain.state, None, 99).unwrap().len() as u64, beacon::KEPT_GROUPS);
    let dealings = DEALINGS.page(&chain.state, None, 99).unwrap();
    assert!(dealings.iter().all(|((epoch, _), _)| epoch.0 > 2), "dealings outlive their group");
    assert_eq!(ACKNOWLEDGEMENTS.page(&chain.state, None, 99).unwrap(), []);
}

#[test]
fn steps_are_taken_once_in_time_and_by_holders_only() {
    let mut chain = chain();
    let made = |chain: &Chain, i: u8| duty(chain, i).unwrap();
    assert_eq!(stage(&chain), None);
    let idle = send(&chain, 0, beacon::Message::Acknowledge(vec![1]));
    assert_eq!(chain.rejects(&idle).code(), "too_early");
    while stage(&chain) != Some(Stage::Deal) {
        chain.block(&[]);
    }
    // Already in the block that begins the dealing.
    let deal = made(&chain, 0);
    chain.done(&send(&chain, 0, deal.clone()));
    assert_eq!(chain.rejects(&send(&chain, 0, deal.clone())).code(), "repeated");
    assert_eq!(chain.rejects(&send(&chain, 1, deal)).code(), "invalid_dealing", "another's dealing");
    let rubbish = send(&chain, 1, beacon::Message::Deal(vec![7; 300]));
    assert_eq!(chain.rejects(&rubbish).code(), "invalid_dealing");
    let early = send(&chain, 1, beacon::Message::Acknowledge(Acks::decode(&[0; 128]).unwrap().encode()));
    assert_eq!(chain.rejects(&early).code(), "too_early");
    let stranger = chain.tx(&user(0), Message::Beacon(made(&chain, 1)));
    assert_eq!(chain.rejects(&stranger).code(), "no_seat");
    let late = made(&chain, 2);
    while stage(&chain) == Some(Stage::Deal) {
        chain.block(&[]);
    }
    assert_eq!(chain.rejects(&send(&chain, 2, late)).code(), "too_late");
    while stage(&chain) != Some(Stage::Close) {
        chain.block(&[]);
    }
    let close = send(&chain, 1, beacon::Message::Close(vec![0; 100]));
    assert_eq!(chain.rejects(&close).code(), "invalid_dealing");
}
