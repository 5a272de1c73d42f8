//! What holds in every race, whatever hosts, members and judges do or leave undone.

use std::collections::{BTreeMap, BTreeSet};

use freeway_ledger::hosts::Status;
use freeway_ledger::sprint::{
    self, ENTRIES, Event, Judgement, Message, TRIALS, Verdict, Void, demands_on, open_trials,
};
use freeway_ledger::{Event as AnyEvent, MemoryState, Rejection, Transaction, vaults, weights};
use freeway_primitives::{Address, Amount, Height};
use freeway_proofs::sprint::Position;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::kit::*;
use crate::racing::*;

const HOSTS: u8 = 6;

/// How a host behaves, drawn anew for each of many races.
#[derive(Clone, Debug)]
struct Habit {
    /// Nonces, and how many of them are wrong.
    count: u8,
    wrong: u8,
    /// Whether it races, gives verdicts, reveals, answers, judges at all.
    does: u8,
    /// Whether its tags are invented.
    lazy: bool,
    /// Leaves that it demands, accuses, or asks of somebody at random.
    demands: u8,
    accuses: u8,
    /// What else it does meanwhile.
    other: u8,
}

#[derive(Clone, Debug)]
struct Plan {
    habits: Vec<Habit>,
    /// Bits of blocks that record no value.
    silent: u32,
    operators: u8,
    /// Whether judges say what they find; if not, those who race wrong say the opposite.
    honest_judges: bool,
}

fn habits() -> impl Strategy<Value = Habit> {
    (0u8..30, prop_oneof![Just(0u8), 0u8..5], any::<u8>(), 0u8..8, any::<u8>(), any::<u8>(), any::<u8>())
        .prop_map(|(count, wrong, does, lazy, demands, accuses, other)| Habit {
            count,
            wrong,
            // Mostly it does what it should.
            does: does | does.rotate_left(3),
            lazy: lazy == 0,
            demands,
            accuses,
            other,
        })
}

fn plans() -> impl Strategy<Value = Plan> {
    let habits = proptest::collection::vec(habits(), usize::from(HOSTS));
    (habits, prop_oneof![Just(0u32), any::<u32>()], 1u8..8, any::<bool>()).prop_map(
        |(habits, silent, operators, honest_judges)| Plan { habits, silent, operators, honest_judges },
    )
}

fn wrong(habit: &Habit) -> Vec<Position> {
    (0..habit.wrong).map(|i| Position { device: 0, nonce: u64::from(i * 7 % habit.count.max(1)) }).collect()
}

/// Everything that the hosts want in the next block.
fn wishes(track: &mut Track, plan: &Plan) -> Vec<Transaction> {
    let mut all = Vec::new();
    let stage = track.race().map(|_| track.stage().name()).unwrap_or_default();
    for (i, habit) in (0..HOSTS).zip(&plan.habits) {
        let (me, key) = (host(i), owner(i));
        let does = |bit: u8| habit.does >> bit & 1 == 1;
        let mut messages = Vec::new();
        match stage {
            "racing" if does(0) && habit.count > 0 && !track.machines.contains_key(&me) => {
                let entry = track.entry(&key, &[u64::from(habit.count)], &wrong(habit));
                messages.push(entry.body.message);
            }
            "verdicts" => {
                let mut verdicts = track.verdicts(&me);
                verdicts.retain(|v| sprint::VERDICTS.get(&track.chain.state, &(v.host, me)) == Ok(None));
                if habit.lazy {
                    let invent = |v: &Verdict| Verdict { tags: vec![[7; 16]; v.tags.len()], ..v.clone() };
                    verdicts = verdicts.iter().map(invent).collect();
                }
                for verdict in verdicts.iter().filter(|_| habit.demands & 3 == 0) {
                    let positions = vec![u16::from(habit.demands >> 4), u16::from(habit.demands >> 2)];
                    let demand = Message::Demand { host: verdict.host, positions };
                    messages.push(of_race(demand));
                }
                if does(1) && !verdicts.is_empty() {
                    messages.push(of_race(Message::Verdicts(verdicts)));
                }
            }
            "revealing" if does(2) => {
                let reveals = track.reveals(&me);
                if !reveals.is_empty() {
                    messages.push(of_race(Message::Reveal(reveals)));
                }
            }
            _ => {}
        }
        if does(3) && track.machines.contains_key(&me) {
            for (member, items) in demands_on(&track.chain.state, &me).unwrap() {
                let places = track.places(&me, &member);
                let open = items.iter().filter(|item| item.leaf.is_none());
                let openings: Vec<_> =
                    open.map(|item| track.machines[&me].open(places[usize::from(item.index)])).collect();
                if !openings.is_empty() {
                    messages.push(of_race(Message::Answer { member, openings }));
                }
            }
        }
        if habit.accuses % 5 == 0 && matches!(stage, "verdicts" | "revealing") {
            let whom = host(habit.accuses / 5 % HOSTS);
            if let Some(machines) = track.machines.get(&whom) {
                let count = machines.commitment().total();
                let nonce = u64::from(habit.accuses) * track.chain.height.0 % count;
                let opening = machines.open(Position { device: 0, nonce });
                messages.push(of_race(Message::Accuse { host: whom, opening }));
            }
        }
        if does(4) && matches!(stage, "verdicts" | "revealing" | "judging") {
            let mut judgements = track.judgements(&me);
            if !plan.honest_judges && habit.wrong > 0 {
                let lie = |j: &Judgement| Judgement { guilty: !j.guilty, ..*j };
                judgements = judgements.iter().map(lie).collect();
            }
            if !judgements.is_empty() {
                messages.push(of_race(Message::Judge(judgements)));
            }
        }
        if habit.other % 64 == (track.chain.height.0 % 64) as u8 {
            messages.push(match habit.other / 64 {
                0 => withdraw(Amount(50_000)),
                1 => pay(host((i + 1) % HOSTS), Amount::fwy(99)),
                2 => {
                    let mut renamed = track.chain.host(i).unwrap().profile;
                    renamed.operator = text("renamed");
                    update(renamed)
                }
                _ => report(track.chain.double_vote(i, track.chain.height)),
            });
        }
        all.extend(track.chain.txs(&key, messages));
    }
    all.sort_by_key(|transaction| transaction.body.message.class());
    // Within a class, each key's own order.
    all.sort_by_key(|transaction| (transaction.body.message.class(), transaction.body.sequence));
    all
}

/// What may be said about a race when it is over.
fn audit_results(track: &Track, plan: &Plan, seen: &[Event]) {
    let state = &track.chain.state;
    let settled = seen.iter().any(|event| matches!(event, Event::RaceSettled { .. }));
    let convicted: BTreeSet<Address> = seen
        .iter()
        .filter_map(|event| match event {
            Event::Convicted { host, .. } => Some(*host),
            _ => None,
        })
        .collect();
    let number = seen.iter().filter(|event| matches!(event, Event::Convicted { .. })).count();
    assert_eq!(number, convicted.len(), "nobody is convicted twice in a race");
    for (i, habit) in (0..HOSTS).zip(&plan.habits) {
        let right = habit.wrong == 0;
        if plan.honest_judges {
            assert!(!(right && convicted.contains(&host(i))), "an honest host was convicted");
        }
        if !settled {
            continue;
        }
        let (record, result) = (track.record(i), track.result(i));
        assert_eq!(record.now, result.weight);
        assert!(result.weight <= result.count && result.done <= result.owed);
        assert!(result.weight == 0 || result.void.is_none());
        if convicted.contains(&host(i)) {
            assert_eq!((result.void, record.reputation), (Some(Void::Convicted), 0));
        }
        if plan.honest_judges && right && !habit.lazy && track.machines.contains_key(&host(i)) {
            let lied =
                seen.iter().any(|e| matches!(e, Event::FalseVerdict { member, .. } if *member == host(i)));
            assert!(!lied, "an honest member's verdict was found false");
        }
    }
    if settled {
        let all = (0..HOSTS).map(|i| u128::from(track.record(i).now)).sum::<u128>();
        assert_eq!(weights::total(state), Ok(all));
        assert!(all > 0);
    }
}

/// Invariant 8, for every committee and every trial of the race.
fn audit_independence(track: &Track) {
    let state = &track.chain.state;
    let Some(race) = track.race() else { return };
    let Some(challenged) = race.challenged.as_ref().filter(|_| race.end.is_none()) else { return };
    let entries: BTreeMap<_, _> = sprint::entries(state, None, 99).unwrap().into_iter().collect();
    let jury = sprint::JURY.require(state).unwrap();
    for (host, entry) in &entries {
        for member in track.committee(host) {
            assert_ne!(member, *host);
            let same = entries.get(&member).is_some_and(|other| other.operator == entry.operator);
            assert!(challenged.single_operator || !same);
        }
    }
    let open = open_trials(state).unwrap();
    assert!(open.len() <= race.rules.max_trials as usize);
    for ((host, position), trial) in open {
        let entry = ENTRIES.get(state, &host).unwrap().unwrap();
        assert_ne!(entry.void, Some(Void::Convicted));
        for (bit, juror) in jury.iter().enumerate() {
            let judged = trial.judged >> bit & 1 == 1;
            assert!(!judged || sprint::is_judge(&jury, &race, &entry, &host, &juror.address).is_some());
        }
        assert!(TRIALS.get(state, &(host, position)).unwrap().is_some());
    }
}

/// Runs a race for each plan and checks every block. Gives the names of all that happened.
fn drive(plans: &[Plan]) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut genesis = genesis(racing(), &[WEIGHT; HOSTS as usize], 0);
    for (i, host) in genesis.hosts.iter_mut().enumerate() {
        host.operator = text(&format!("operator {}", i % usize::from(plans[0].operators)));
    }
    let mut track = Track { chain: Chain::of(&genesis), machines: BTreeMap::new() };
    let first = track.chain.clone();
    let mut blocks = Vec::new();
    for (plan, number) in plans.iter().zip(0u64..) {
        track.machines.clear();
        let mut seen = Vec::new();
        for block in 0..24u64 {
            track.chain.values = (plan.silent >> (block % 32) & 1 == 1 && number > 0).then(Vec::new);
            let all = if number == 0 { Vec::new() } else { wishes(&mut track, plan) };
            let (expected, _) = track.chain.try_block(&all);
            let before = track.chain.clone();
            let values = track.chain.values.clone();
            let (outcome, rejected) = track.chain.run(&all);
            assert_eq!(outcome, expected);
            // Invariant 9: what is rejected is as absent.
            let is_in = |i: &usize| !rejected.iter().any(|(at, _)| at == i);
            let included: Vec<_> = (0..all.len()).filter(is_in).map(|i| all[i].clone()).collect();
            assert_eq!(before.try_block(&included), (outcome.clone(), Vec::new()));
            // Nothing that races ask for stands in a block without doing what it asks.
            for (receipt, transaction) in outcome.receipts.iter().zip(&included) {
                let done = receipt.outcome == freeway_ledger::Outcome::Done;
                assert!(done || !transaction.body.message.is_owed());
            }
            reached.extend(rejected.iter().map(|(_, rejection)| rejection.code().to_owned()));
            let events = of_sprint(&events(&outcome));
            reached.extend(events.iter().map(name));
            reached.extend(outcome.events.iter().filter_map(|event| match event {
                AnyEvent::Weights(_) => Some("Changed".to_owned()),
                _ => None,
            }));
            seen.extend(events);
            audit_independence(&track);
            // All bonds of a race are home again before the next one starts.
            let fresh = track.race().is_some_and(|race| race.started.is_some() && race.challenged.is_none());
            assert!(!fresh || vaults(&track.chain.state).unwrap().bonds == Amount::ZERO);
            if !seen.is_empty() && track.race().is_some_and(|race| race.end.is_some()) {
                audit_results(&track, plan, &seen);
                reached.extend(seen.drain(..).map(|event| name(&event)));
            }
            blocks.push((values, all));
        }
        assert!((0..HOSTS).all(|i| track.chain.host(i).is_some_and(|host| host.status != Status::Left)));
    }
    assert!(replay(first, &blocks) == track.chain.state);
    reached
}

fn name(event: &Event) -> String {
    format!("{event:?}").split([' ', '(']).next().unwrap_or_default().to_owned()
}

/// Invariant 2: a replay from genesis ends in the same state.
fn replay(mut from: Chain, blocks: &[(Option<Vec<Height>>, Vec<Transaction>)]) -> MemoryState {
    for (values, transactions) in blocks {
        from.values = values.clone();
        let (_, rejected): (_, Vec<(usize, Rejection)>) = from.run(transactions);
        assert!(rejected.len() <= transactions.len());
    }
    from.state
}

/// The properties say little if the races are dull: these, drawn the same way from a fixed seed, meet nearly
/// everything that can happen.
#[test]
fn random_races_meet_nearly_everything() {
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeSet::new();
    for _ in 0..40 {
        let plans = proptest::collection::vec(plans(), 4).new_tree(&mut runner).unwrap().current();
        reached.extend(drive(&plans));
    }
    let expected = "\
        RaceStarted Committed RaceChallenged VerdictsGiven RaceDrawn Revealed Demanded Answered TrialOpened \
        Convicted Acquitted FalseVerdict Proven Voided RaceSettled RaceAbandoned Changed \
        not_a_host unknown_position already_demanded own_operator already_on_trial too_many_trials distrusted \
        no_trial is_void insufficient_balance";
    let missed: Vec<_> = expected.split_whitespace().filter(|name| !reached.contains(*name)).collect();
    assert!(missed.is_empty(), "never met: {missed:?} of {reached:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Invariants 1, 2, 4, 7, 8, 9 and 10 in races, whatever anybody does.
    #[test]
    fn any_race_keeps_the_rules(plans in proptest::collection::vec(plans(), 2..5)) {
        drive(&plans);
    }
}
