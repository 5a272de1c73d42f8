//! The race as it should go: stages, commitments, committees, verdicts, revelations, results.

use std::collections::BTreeSet;

use freeway_ledger::sprint::{
    AbandonReason, COMMITTEES, DEMANDS, ENTRIES, End, Event, Failure, LATEST, Message, REVEALED, Reveal,
    Stage, TRIALS, VERDICTS, Verdict, Void,
};
use freeway_ledger::weights;
use freeway_primitives::{Amount, Epoch, Height, SecretKey};
use freeway_proofs::sprint::{Commitment, CommitmentError, Position, Trace};

use crate::kit::*;
use crate::racing::*;

#[test]
fn a_race_goes_through_its_stages() {
    let mut track = Track::new(4);
    let mut stages = Vec::new();
    let note = |track: &Track, stages: &mut Vec<(u64, &'static str)>| {
        stages.push((track.chain.height.next().0, track.stage().name()));
    };
    // No group could sign before the first one, so this race begins a block later than all others.
    assert_eq!(track.race().unwrap().seed_height, Height(25));
    assert_eq!(track.race().unwrap().started.unwrap().height, Height(26));
    note(&track, &mut stages);
    track.enter_all(&[9, 9, 9, 9]);
    track.check_all(&[]);
    note(&track, &mut stages);
    track.reveal_all(&[]);
    while track.race().unwrap().end.is_none() {
        note(&track, &mut stages);
        track.chain.block(&[]);
    }
    note(&track, &mut stages);
    stages.dedup_by_key(|(_, name)| *name);
    // Racing 26 to 29, verdicts 30 to 33, drawn at 34, revealing to 37, settled at the start of 40.
    let race = track.race().unwrap();
    let (challenged, drawn) = (race.challenged.unwrap(), race.drawn.unwrap());
    assert_eq!(race.started.unwrap().deadline, Height(29));
    assert_eq!((challenged.height, challenged.until), (Height(30), Height(33)));
    assert_eq!((drawn.height, drawn.until, drawn.settles), (Height(34), Height(37), Height(40)));
    assert_eq!(race.end, Some(End::Settled { height: Height(40) }));
    let names: Vec<_> = stages.into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["racing", "verdicts", "revealing", "judging", "settled"]);
    // The seed is there in the first block of the epoch, so that block belongs to the race.
    track.next_race();
    assert_eq!(track.race().unwrap().seed_height, Height(48));
    assert_eq!(track.race().unwrap().started.unwrap().height, Height(49));
}

#[test]
fn there_is_no_race_in_epoch_0() {
    let mut chain = Chain::of(&genesis(racing(), &[WEIGHT; 2], 0));
    while chain.height.0 < 23 {
        chain.block(&[]);
        assert_eq!(freeway_ledger::sprint::race(&chain.state), Ok(None));
    }
    let commitment = of_race(Message::Commit(Commitment::default()));
    assert_eq!(chain.rejects(&chain.tx(&owner(0), commitment)).code(), "not_racing");
}

#[test]
fn an_honest_race_proves_what_was_computed() {
    let mut track = Track::new(4);
    let outcome = track.honest_race(&[10, 20, 30, 40]);
    for (i, count) in [(0, 10), (1, 20), (2, 30), (3, 40)] {
        let (result, record) = (track.result(i), track.record(i));
        assert_eq!((result.count, result.weight, result.void), (count, count, None));
        assert_eq!((result.committee, result.confirmed), (3, 3));
        // Genesis vouches for its hosts: what they proved first counts at once.
        assert_eq!((record.now, record.before, record.power()), (count, count, count));
        assert_eq!((record.raced, record.reputation, record.absent), (Epoch(1), 1, 0));
        assert_eq!((record.owed, record.done), (3, 3));
        let proven = Event::Proven { host: host(i), weight: count, confirmed: 3 };
        assert!(of_sprint(&outcome.events).contains(&proven));
    }
    let latest = LATEST.require(&track.chain.state).unwrap().unwrap();
    assert_eq!((latest.epoch, latest.hosts, latest.proven, latest.weight), (Epoch(1), 4, 4, 100));
    assert_eq!(weights::total(&track.chain.state), Ok(100));
    assert_eq!(weights::proven(&track.chain.state), Ok(true));
}

#[test]
fn a_race_leaves_nothing_behind_but_its_results() {
    let mut track = Track::new(4);
    track.honest_race(&[10, 20, 30, 40]);
    track.chain.block(&[]);
    track.chain.block(&[]);
    let state = &track.chain.state;
    assert_eq!(ENTRIES.page(state, None, 9).unwrap(), []);
    assert_eq!(COMMITTEES.page(state, None, 9).unwrap(), []);
    assert_eq!(VERDICTS.page(state, None, 9).unwrap(), []);
    assert_eq!(REVEALED.page(state, None, 9).unwrap(), []);
    assert_eq!(DEMANDS.page(state, None, 9).unwrap(), []);
    assert_eq!(TRIALS.page(state, None, 9).unwrap(), []);
    assert_eq!(freeway_ledger::sprint::results(state, None, 9).unwrap().len(), 4);
}

#[test]
fn several_devices_are_one_race() {
    let mut track = Track::new(4);
    track.enter_with(3, &[1, 7, 30], &[]);
    track.enter_all(&[12; 3]);
    track.check_all(&[]);
    track.reveal_all(&[]);
    track.finish();
    assert_eq!((track.result(3).count, track.record(3).now), (38, 38));
}

#[test]
fn only_hosts_of_before_can_commit_and_only_once_and_in_time() {
    let mut genesis = genesis(racing(), &[WEIGHT; 4], 2);
    genesis.params.sprint.max_devices = 2;
    let mut track = Track::of(&genesis);
    let good = |track: &Track, key: SecretKey| {
        let commitment = Machines::new(track.seed(), address(&key), &[5], &[]).commitment();
        Message::Commit(commitment)
    };
    let of_user = good(&track, user(0));
    assert_eq!(track.refuses(&user(0), of_user.clone()), Failure::NotAHost);
    let newcomer = track.chain.tx(&user(0), register(&user(0), Amount(1)));
    track.chain.done(&newcomer);
    assert_eq!(track.refuses(&user(0), of_user), Failure::TooNew);

    let device = |count| freeway_proofs::sprint::DeviceCommitment { count, root: Default::default() };
    let with = |devices| Message::Commit(Commitment { devices });
    let invalid = |error| Failure::InvalidCommitment(error);
    assert_eq!(track.refuses(&owner(0), with(vec![])), invalid(CommitmentError::Devices { devices: 0 }));
    let empty = invalid(CommitmentError::Count { device: 0, count: 0 });
    assert_eq!(track.refuses(&owner(0), with(vec![device(0)])), empty);
    assert_eq!(track.refuses(&owner(0), with(vec![device(1); 3])), Failure::TooManyDevices { limit: 2 });

    track.enter(0, 5);
    let again = good(&track, owner(0));
    assert_eq!(track.refuses(&owner(0), again.clone()), Failure::AlreadyCommitted);
    track.reach("verdicts");
    let late = good(&track, owner(1));
    assert_eq!(track.refuses(&owner(1), late), Failure::TooLate { deadline: Height(29) });
}

/// Invariant 8: nobody checks itself, nor a host of the same operator.
#[test]
fn nobody_checks_itself_or_its_operator() {
    let mut genesis = genesis(racing(), &[WEIGHT; 9], 0);
    for i in 0..9 {
        genesis.hosts[i].operator = text(["a", "b", "c"][i % 3]);
    }
    let mut track = Track::of(&genesis);
    for _ in 0..3 {
        track.enter_all(&[5; 9]);
        track.reach("verdicts");
        for i in 0..9u8 {
            let committee = track.committee(&host(i));
            assert_eq!(committee.iter().collect::<BTreeSet<_>>().len(), 3);
            let own: Vec<_> = (0..9).filter(|j| j % 3 == i % 3).map(host).collect();
            assert!(committee.iter().all(|member| !own.contains(member)));
        }
        track.check_all(&[]);
        track.reveal_all(&[]);
        track.finish();
        track.next_race();
    }
}

/// Invariant 8, where it is waived: in a network of one operator, hosts check each other, but never themselves.
#[test]
fn in_a_network_of_one_operator_hosts_check_each_other() {
    let mut genesis = genesis(racing(), &[WEIGHT; 4], 0);
    genesis.hosts.iter_mut().for_each(|host| host.operator = text("one"));
    let mut track = Track::of(&genesis);
    track.enter_all(&[5; 4]);
    track.reach("verdicts");
    assert!(track.race().unwrap().challenged.unwrap().single_operator);
    for i in 0..4 {
        let expected: BTreeSet<_> = (0..4).filter(|j| *j != i).map(host).collect();
        assert_eq!(track.committee(&host(i)).into_iter().collect::<BTreeSet<_>>(), expected);
    }
    track.check_all(&[]);
    track.reveal_all(&[]);
    track.finish();
    assert!((0..4).all(|i| track.record(i).power() == 5));
}

/// Whoever has it, weight that is not confirmed by two races checks nobody.
#[test]
fn newcomers_check_nobody_until_their_weight_is_confirmed() {
    let mut genesis = genesis(racing(), &[WEIGHT; 4], 1);
    genesis.params.sprint.committee = 8;
    let mut track = Track { chain: Chain::of(&genesis), machines: Default::default() };
    let newcomer = track.chain.tx(&user(0), register(&user(0), Amount::fwy(1)));
    track.chain.done(&newcomer);
    for race in 0..3 {
        track.next_race();
        let entry = track.entry(&user(0), &[500], &[]);
        track.chain.done(&entry);
        track.enter_all(&[5; 4]);
        track.reach("verdicts");
        let checks = (0..4).any(|i| track.committee(&host(i)).contains(&address(&user(0))));
        assert_eq!(checks, race == 2, "in its race {race}");
        assert_eq!(track.committee(&address(&user(0))).len(), 4);
        let own = track.send_verdicts(&user(0));
        track.check_all(&[]);
        own.map(|own| track.chain.done(&own));
        track.reach("revealing");
        let own = track.send_reveals(&user(0)).unwrap();
        track.chain.done(&own);
        track.reveal_all(&[]);
        track.finish();
        let record = weights::of(&track.chain.state, &address(&user(0))).unwrap();
        assert_eq!((record.now, record.before), (500, if race == 0 { 0 } else { 500 }));
    }
}

#[test]
fn a_verdict_is_asked_for_complete_and_given_once() {
    let mut track = Track::new(5);
    track.enter_all(&[40; 4]);
    let verdict = |host: u8, tags: usize| Verdict { host: crate::kit::host(host), tags: vec![[7; 16]; tags] };
    let early = Message::Verdicts(vec![verdict(0, 16)]);
    assert_eq!(track.refuses(&owner(1), early), Failure::TooEarly);
    track.reach("verdicts");
    let member = track.committee(&host(0))[0];
    let i = (0..5).find(|i| host(*i) == member).unwrap();
    let outsider = (0..5).find(|i| !track.committee(&host(0)).contains(&host(*i))).unwrap();
    assert_eq!(track.refuses(&owner(i), Message::Verdicts(vec![])), Failure::Empty);
    for stranger in [owner(outsider), owner(0), user(0)] {
        let failure = track.refuses(&stranger, Message::Verdicts(vec![verdict(0, 16)]));
        assert_eq!(failure, Failure::Unsolicited { host: host(0) });
    }
    // Host 4 did not commit.
    let failure = track.refuses(&owner(i), Message::Verdicts(vec![verdict(4, 16)]));
    assert_eq!(failure, Failure::Unsolicited { host: host(4) });
    for tags in [0, 15, 17] {
        let failure = track.refuses(&owner(i), Message::Verdicts(vec![verdict(0, tags)]));
        assert_eq!(failure, Failure::WrongCount { host: host(0), expected: 16 });
    }
    let twice = Failure::AlreadyGiven { host: host(0) };
    let failure = track.refuses(&owner(i), Message::Verdicts(vec![verdict(0, 16), verdict(0, 16)]));
    assert_eq!(failure, twice);
    let message = of_race(Message::Verdicts(vec![verdict(0, 16)]));
    track.chain.done(&track.chain.tx(&owner(i), message));
    assert_eq!(track.refuses(&owner(i), Message::Verdicts(vec![verdict(0, 16)])), twice);
    track.reach("revealing");
    let late = Failure::TooLate { deadline: Height(33) };
    assert_eq!(track.refuses(&owner(i), Message::Verdicts(vec![verdict(0, 16)])), late);
}

#[test]
fn verdicts_may_come_in_several_transactions() {
    let mut track = Track::new(4);
    track.enter_all(&[8; 4]);
    track.reach("verdicts");
    let of = |i: u8| {
        let parts = track.verdicts(&host(i)).into_iter().map(|v| of_race(Message::Verdicts(vec![v])));
        track.chain.txs(&owner(i), parts)
    };
    // All but the last.
    let all: Vec<_> = (0..4).flat_map(|i| of(i).into_iter().take(2)).collect();
    track.chain.block(&all);
    track.reveal_all(&[]);
    track.finish();
    assert!((0..4).all(|i| (track.record(i).owed, track.record(i).done) == (3, 2)));
}

#[test]
fn what_is_revealed_was_drawn_and_proves_itself() {
    let mut track = Track::new(4);
    track.enter_all(&[40; 4]);
    track.check_all(&[3]);
    let reveal = |member, revelations| Message::Reveal(vec![Reveal { member, revelations }]);
    assert_eq!(track.refuses(&owner(0), reveal(host(1), vec![])), Failure::TooEarly);
    track.reach("revealing");
    let machines = track.machines[&host(0)].clone();
    let due: Vec<_> = freeway_ledger::sprint::due_reveals(&track.chain.state, &host(0)).unwrap();
    assert_eq!(due.len(), 2 * 4, "four for each of the two members that gave a verdict");
    let mine: Vec<_> = due.iter().filter(|due| due.member == host(1)).collect();
    let good = machines.reveal(mine[0].position);
    let other = track.places(&host(0), &host(1)).into_iter().find(|p| mine.iter().all(|m| m.position != *p));
    let other = machines.reveal(other.unwrap());

    assert_eq!(track.refuses(&owner(0), Message::Reveal(vec![])), Failure::Empty);
    assert_eq!(track.refuses(&owner(0), reveal(host(1), vec![])), Failure::Empty);
    assert_eq!(track.refuses(&user(0), reveal(host(1), vec![good.clone()])), Failure::NotCommitted);
    let no_verdict = Failure::NoVerdict { member: host(3) };
    assert_eq!(track.refuses(&owner(0), reveal(host(3), vec![good.clone()])), no_verdict);
    assert_eq!(track.refuses(&owner(0), reveal(host(1), vec![other])), Failure::NotDrawn);
    let mut false_trace = good.clone();
    false_trace.trace = Trace([0; 32]);
    assert_eq!(track.refuses(&owner(0), reveal(host(1), vec![false_trace])), Failure::WrongRevelation);
    let mut no_path = good.clone();
    no_path.path = Default::default();
    assert_eq!(
        track.refuses(&owner(0), reveal(host(1), vec![good.clone(), no_path])),
        Failure::AlreadyRevealed
    );
    let mut moved = good.clone();
    moved.position = Position { device: 0, nonce: good.position.nonce + 1_000 };
    assert_eq!(track.refuses(&owner(0), reveal(host(1), vec![moved])), Failure::NotDrawn);
    // One bad revelation takes nothing of the good ones into state.
    track.chain.done(&track.chain.tx(&owner(0), of_race(reveal(host(1), vec![good.clone()]))));
    assert_eq!(track.refuses(&owner(0), reveal(host(1), vec![good.clone()])), Failure::AlreadyRevealed);
    track.reveal_all(&[]);
    assert_eq!(track.refuses(&owner(0), reveal(host(1), vec![good.clone()])), Failure::AlreadyRevealed);
    track.reach("judging");
    let late = Failure::TooLate { deadline: Height(37) };
    assert_eq!(track.refuses(&owner(0), reveal(host(1), vec![good])), late);
    track.finish();
    assert_eq!((track.result(0).confirmed, track.record(0).now), (2, 40));
}

/// Invariant 7: what must be revealed and is not counts for nothing.
#[test]
fn who_does_not_reveal_has_proven_nothing() {
    let mut track = Track::new(4);
    track.enter_all(&[10; 4]);
    track.check_all(&[]);
    track.reveal_all(&[2]);
    let mut part = track.reveals(&host(2));
    part[0].revelations.pop();
    let part = track.chain.tx(&owner(2), of_race(Message::Reveal(part)));
    track.chain.done(&part);
    let outcome = track.finish();
    let void = Event::Voided { host: host(2), reason: Void::Unrevealed };
    assert!(of_sprint(&outcome.events).contains(&void));
    assert_eq!((track.result(2).void, track.record(2).now), (Some(Void::Unrevealed), 0));
    assert_eq!(track.record(2).reputation, 0);
    // Its members did their part.
    assert!([0, 1, 3].iter().all(|i| (track.record(*i).owed, track.record(*i).done) == (3, 3)));
    assert!([0, 1, 3].iter().all(|i| track.record(*i).reputation == 1));
}

/// Invariant 7: a missing verdict is the member's fault, not the host's.
#[test]
fn a_missing_verdict_is_the_members_fault() {
    let mut track = Track::new(4);
    track.enter_all(&[10; 4]);
    track.check_all(&[1]);
    track.reveal_all(&[]);
    track.finish();
    assert!((0..4).all(|i| track.record(i).now == 10));
    let lazy = track.record(1);
    assert_eq!((lazy.owed, lazy.done, lazy.reputation), (3, 0, 0));
    assert!([0, 2, 3].iter().all(|i| track.record(*i).reputation == 1));
}

/// Invariant 7: a claim that nobody checked is no success. Such a host keeps at most what it had.
#[test]
fn what_nobody_checked_cannot_grow() {
    let mut track = Track::new(4);
    track.honest_race(&[10, 20, 30, 40]);
    track.next_race();
    track.enter_all(&[1_000, 5, 30, 40]);
    let all = [0, 1, 2, 3];
    track.check_all(&all);
    track.reveal_all(&[]);
    track.finish();
    assert_eq!(all.map(|i| track.result(i).confirmed), [0; 4]);
    assert_eq!(all.map(|i| track.record(i).now), [10, 5, 30, 40]);
}

/// Invariant 7: a total of zero is no result. The network goes on with the weights it has.
#[test]
fn a_race_in_which_nobody_proves_anything_is_abandoned() {
    let mut track = Track::new(4);
    let outcome = track.finish();
    let reason = AbandonReason::NothingProven;
    assert!(of_sprint(&outcome.events).contains(&Event::RaceAbandoned { epoch: Epoch(1), reason }));
    assert_eq!(weights::proven(&track.chain.state), Ok(false));
    assert_eq!(track.record(0).power(), WEIGHT);
    track.next_race();
    track.honest_race(&[10, 20, 30, 40]);
    track.next_race();
    track.finish();
    assert_eq!((track.record(3).now, track.record(3).before), (40, 40));
    assert!(matches!(track.stage(), Stage::Abandoned { .. }));
}

#[test]
fn a_stage_waits_for_the_value_of_its_height() {
    let mut track = Track::new(4);
    track.enter_all(&[10; 4]);
    // Values of other heights come, but not the one of the deadline.
    track.chain.values = Some((30..40).map(Height).collect());
    while track.chain.height < Height(32) {
        track.chain.block(&[]);
    }
    assert_eq!(track.stage(), Stage::WaitingForChallenge { height: Height(29) });
    let too_late = track.refuses(&owner(0), Message::Commit(Commitment::default()));
    assert_eq!(too_late, Failure::TooLate { deadline: Height(29) });
    track.chain.values = Some(vec![Height(29)]);
    track.chain.block(&[]);
    let challenged = track.race().unwrap().challenged.unwrap();
    assert_eq!((challenged.height, challenged.until), (Height(33), Height(36)));
    track.check_all(&[]);
    track.chain.values = Some(vec![Height(30), Height(31), Height(32)]);
    while track.chain.height < Height(39) {
        track.chain.block(&[]);
    }
    assert_eq!(track.stage(), Stage::WaitingForDraw { height: Height(36) });
    // The same time is left for revealing and judging, however late it is.
    track.chain.values = Some(vec![Height(36)]);
    track.chain.block(&[]);
    let drawn = track.race().unwrap().drawn.unwrap();
    assert_eq!((drawn.height, drawn.until, drawn.settles), (Height(40), Height(43), Height(46)));
    track.reveal_all(&[]);
    track.finish();
    assert!((0..4).all(|i| track.record(i).now == 10));
}

#[test]
fn a_race_without_randomness_changes_nothing() {
    for until in [25, 29, 33] {
        let mut track =
            Track { chain: Chain::of(&genesis(racing(), &[WEIGHT; 4], 0)), machines: Default::default() };
        track.chain.skip_to(24);
        if until > 25 {
            track.next_race();
            track.enter_all(&[10; 4]);
        }
        track.chain.skip_to(until - 1);
        track.chain.values = Some(Vec::new());
        let outcome = loop {
            let outcome = track.chain.block(&[]);
            if track.race().unwrap().end.is_some() {
                break outcome;
            }
        };
        // In the block whose end makes the plan; in time for it.
        assert_eq!(outcome.height, Height(48));
        let reason = AbandonReason::NoRandomness;
        assert!(of_sprint(&outcome.events).contains(&Event::RaceAbandoned { epoch: Epoch(1), reason }));
        assert!((0..4).all(|i| track.record(i).power() == WEIGHT));
        track.chain.values = None;
        track.next_race();
        track.honest_race(&[10; 4]);
        assert!((0..4).all(|i| track.record(i).power() == 10));
    }
}

/// A host without money has one transaction an epoch, but its duties are asked of it.
#[test]
fn duties_count_against_no_quota() {
    let mut genesis = genesis(racing(), &[WEIGHT; 4], 0);
    for entry in &mut genesis.hosts {
        entry.collateral = Amount::ZERO;
    }
    genesis.accounts.iter_mut().for_each(|account| account.balance = Amount::ZERO);
    genesis.params.hosts.collateral_per_power = Amount::ZERO;
    let mut track = Track::of(&genesis);
    let mut wish = track.chain.tx(&owner(0), update(profile(vote_key(0).public())));
    wish.body.message = pay(host(1), Amount(1));
    track.honest_race(&[10; 4]);
    assert!((0..4).all(|i| track.record(i).power() == 10 && track.record(i).reputation == 1));
    assert_eq!(track.chain.account(&host(0)).quota.used_in_epoch, 0);
    // A gap is a gap for them, too, not the end of their one transaction.
    track.next_race();
    let entry = track.entry(&owner(0), &[5], &[]);
    let mut ahead = entry.body;
    ahead.sequence += 1;
    assert_eq!(track.chain.rejects(&ahead.sign(&owner(0))).code(), "sequence_ahead");
}

/// Nobody can fill blocks with duties that are none: what would fail is not included, whoever proposes it.
#[test]
fn what_is_not_due_is_not_included() {
    let track = Track::new(4);
    let junk = track.chain.txs(&user(0), (0..20).map(|_| of_race(Message::Commit(Commitment::default()))));
    let (outcome, rejected) = track.chain.try_block(&junk);
    assert_eq!((outcome.receipts.len(), rejected.len()), (0, 20));
    assert_eq!(rejected[0].1.code(), "not_a_host");
    assert!(!rejected[0].1.is_temporary());
    assert_eq!(outcome, track.chain.try_block(&[]).0);
}

/// Invariant 5: a delegate of the host does its duties under the host's name; one without the scope does not.
#[test]
fn the_consensus_key_does_the_duties() {
    let mut track = Track::new(4);
    let machines = Machines::new(track.seed(), host(0), &[10], &[]);
    let commit = of_race(Message::Commit(machines.commitment()));
    track.chain.done(&track.chain.tx_for(&vote_key(0), host(0), commit.clone()));
    track.chain.done(&track.chain.tx(
        &owner(1),
        authorise(&stranger(0), &[freeway_ledger::accounts::Scope::Verifier], Height(900), Amount::ZERO),
    ));
    let as_verifier = track.chain.tx_for(&stranger(0), host(1), commit);
    assert_eq!(track.chain.rejects(&as_verifier).code(), "scope_missing");
}
