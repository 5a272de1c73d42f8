//! Where word stands against word in a race: demands, accusations, trials, and what they cost whom.

use freeway_ledger::sprint::{
    self, DEMANDS, Event, Failure, Judgement, Message, Reveal, Ruling, TRIALS, Verdict, Void, demands_on,
};
use freeway_ledger::{Outcome, vaults};
use freeway_primitives::{Address, Amount};
use freeway_proofs::sprint::{Opening, Position};

use crate::kit::*;
use crate::racing::*;

/// Every leaf of a host, wrong.
fn all_wrong(count: u64) -> Vec<Position> {
    (0..count).map(|nonce| Position { device: 0, nonce }).collect()
}

fn number_of(member: &Address) -> u8 {
    (0..40).find(|i| host(*i) == *member).unwrap()
}

fn accuse(host: Address, opening: Opening) -> Message {
    Message::Accuse { host, opening }
}

/// Four honest hosts with ten nonces each, where host 0 has these leaves wrong, at the stage of verdicts.
fn with_wrong(wrong: &[Position]) -> Track {
    let mut track = Track::new(4);
    let entry = |i| track.entry(&owner(i), &[10], if i == 0 { wrong } else { &[] });
    let all: Vec<_> = (0..4).map(entry).collect();
    track.chain.block(&all);
    track.reach("verdicts");
    track
}

fn honest() -> Track {
    let mut track = Track::new(4);
    track.enter_all(&[10; 4]);
    track.reach("verdicts");
    track
}

const BOND: Amount = Amount::fwy(1);

/// A stake that a fifth can be taken of.
fn stake(track: &Track, i: u8) -> Amount {
    track.chain.host(i).unwrap().collateral
}

#[test]
fn one_wrong_leaf_convicts() {
    let place = Position { device: 0, nonce: 7 };
    let mut track = with_wrong(&[place]);
    let before = (stake(&track, 0), track.chain.balance(&owner(1)), vaults(&track.chain.state).unwrap());
    let opening = track.machines[&host(0)].open(place);
    let accusation = track.chain.tx(&owner(1), of_race(accuse(host(0), opening.clone())));
    let outcome = track.chain.done(&accusation);
    assert!(of_sprint(&events(&outcome)).contains(&Event::TrialOpened { host: host(0), position: place }));
    assert_eq!(track.chain.balance(&owner(1)), minus(before.1, BOND));
    assert_eq!(vaults(&track.chain.state).unwrap().bonds, BOND);
    assert_eq!(track.refuses(&owner(2), accuse(host(0), opening.clone())), Failure::AlreadyOnTrial);

    // Two thirds of the three others are not more than two thirds: all three are needed.
    let penalty = before.0.fraction(200, 1_000).unwrap();
    let convicted = Event::Convicted { host: host(0), position: place, penalty };
    for i in 1..4 {
        let judgement = track.send_judgements(&owner(i)).unwrap();
        let outcome = track.chain.done(&judgement);
        assert_eq!(of_sprint(&events(&outcome)).contains(&convicted), i == 3);
    }
    assert_eq!(stake(&track, 0), minus(before.0, penalty));
    assert_eq!(track.chain.host(0).unwrap().status, freeway_ledger::hosts::Status::Active);
    assert_eq!(track.chain.balance(&owner(1)), before.1);
    let after = vaults(&track.chain.state).unwrap();
    assert_eq!((after.bonds, after.pool), (Amount::ZERO, plus(before.2.pool, penalty)));
    // There is nothing more to win, to say or to lose.
    let another = track.machines[&host(0)].open(Position { device: 0, nonce: 1 });
    let void = Failure::IsVoid { reason: text("convicted") };
    assert_eq!(track.refuses(&owner(2), accuse(host(0), another)), void);
    let again = Judgement { host: host(0), position: place, guilty: true };
    assert_eq!(track.refuses(&owner(1), Message::Judge(vec![again])), Failure::NoTrial);
    track.finish();
    assert_eq!((track.result(0).void, track.record(0).now), (Some(Void::Convicted), 0));
}

#[test]
fn a_false_accusation_costs_its_bond_and_silences_the_accuser() {
    let mut track = honest();
    let (balance, pool) = (track.chain.balance(&owner(1)), vaults(&track.chain.state).unwrap().pool);
    let place = Position { device: 0, nonce: 3 };
    let opening = track.machines[&host(0)].open(place);
    track.chain.done(&track.chain.tx(&owner(1), of_race(accuse(host(0), opening))));
    let events = of_sprint(&track.judge_all());
    assert!(events.contains(&Event::Acquitted { host: host(0), position: place }));
    assert_eq!(track.chain.balance(&owner(1)), minus(balance, BOND));
    assert_eq!(vaults(&track.chain.state).unwrap().pool, plus(pool, BOND));
    let another = track.machines[&host(2)].open(place);
    assert_eq!(track.refuses(&owner(1), accuse(host(2), another)), Failure::Distrusted);
    assert_eq!(stake(&track, 0), stake(&track, 2));
    // A leaf is judged once.
    let opening = track.machines[&host(0)].open(place);
    assert_eq!(track.refuses(&owner(2), accuse(host(0), opening)), Failure::AlreadyOnTrial);
}

#[test]
fn who_accuses_has_a_host_of_its_own_a_bond_and_an_opening() {
    let mut genesis = genesis(racing(), &[WEIGHT; 5], 1);
    genesis.hosts[4].operator = genesis.hosts[0].operator.clone();
    let poor = genesis.accounts.iter_mut().find(|account| account.address == host(3)).unwrap();
    poor.balance = genesis.hosts[3].collateral;
    let mut track = Track::of(&genesis);
    let opening = {
        track.enter_all(&[10; 5]);
        track.machines[&host(0)].open(Position { device: 0, nonce: 3 })
    };
    assert_eq!(track.refuses(&owner(1), accuse(host(0), opening.clone())), Failure::TooEarly);
    track.reach("verdicts");
    assert_eq!(track.refuses(&user(0), accuse(host(0), opening.clone())), Failure::NotAHost);
    for own in [0, 4] {
        assert_eq!(track.refuses(&owner(own), accuse(host(0), opening.clone())), Failure::OwnOperator);
    }
    assert_eq!(track.refuses(&owner(1), accuse(host(1), opening.clone())), Failure::OwnOperator);
    assert_eq!(track.refuses(&owner(1), accuse(host(2), opening.clone())), Failure::WrongOpening);
    let stranger = address(&user(0));
    assert_eq!(track.refuses(&owner(1), accuse(stranger, opening.clone())), Failure::NotCommitted);
    let broke = track.chain.rejects(&track.chain.tx(&owner(3), of_race(accuse(host(0), opening.clone()))));
    assert_eq!(broke.code(), "insufficient_balance");
    track.reach("judging");
    assert!(matches!(track.refuses(&owner(1), accuse(host(0), opening)), Failure::TooLate { .. }));
}

/// Invariant 8: neither the accused nor its operator judges, and neither counts.
#[test]
fn neither_the_accused_nor_its_operator_judges() {
    let mut genesis = genesis(racing(), &[WEIGHT; 7], 0);
    genesis.hosts[1].operator = genesis.hosts[0].operator.clone();
    let mut track = Track::of(&genesis);
    track.enter_with(0, &[10], &all_wrong(10));
    track.reach("verdicts");
    let place = Position { device: 0, nonce: 0 };
    let opening = track.machines[&host(0)].open(place);
    track.chain.done(&track.chain.tx(&owner(2), of_race(accuse(host(0), opening))));
    let innocent = Message::Judge(vec![Judgement { host: host(0), position: place, guilty: false }]);
    for own in [0, 1] {
        assert_eq!(track.refuses(&owner(own), innocent.clone()), Failure::NotAJudge);
    }
    // A new name changes nothing: what counts is the operator when it committed.
    let mut renamed = track.chain.host(0).unwrap().profile;
    renamed.operator = text("somebody else");
    track.chain.done(&track.chain.tx(&owner(0), update(renamed)));
    assert_eq!(track.refuses(&owner(1), innocent.clone()), Failure::NotAJudge);
    assert_eq!(track.refuses(&owner(2), Message::Judge(vec![])), Failure::Empty);
    let nothing = Judgement { host: host(3), position: place, guilty: true };
    assert_eq!(track.refuses(&owner(2), Message::Judge(vec![nothing])), Failure::NoTrial);
    // Four of the five others are more than two thirds; of all seven they would not be.
    for i in 2..6 {
        let trial = TRIALS.get(&track.chain.state, &(host(0), place)).unwrap().unwrap();
        assert_eq!(trial.ruling, None);
        let judgement = track.send_judgements(&owner(i)).unwrap();
        track.chain.done(&judgement);
        if i < 5 {
            assert_eq!(track.refuses(&owner(i), innocent.clone()), Failure::AlreadyJudged);
        }
    }
    let trial = TRIALS.get(&track.chain.state, &(host(0), place)).unwrap().unwrap();
    assert_eq!(trial.ruling, Some(Ruling::Guilty));
    assert_eq!(track.refuses(&user(0), innocent), Failure::NoTrial);
}

/// Invariant 7: no ruling is neither guilt nor innocence; the bond comes back.
#[test]
fn without_a_ruling_nobody_is_punished() {
    let mut track = with_wrong(&[Position { device: 0, nonce: 7 }]);
    let (balance, stake_before) = (track.chain.balance(&owner(1)), stake(&track, 0));
    let opening = track.machines[&host(0)].open(Position { device: 0, nonce: 7 });
    track.chain.done(&track.chain.tx(&owner(1), of_race(accuse(host(0), opening))));
    for i in 1..3 {
        let judgement = track.send_judgements(&owner(i)).unwrap();
        track.chain.done(&judgement);
    }
    track.finish();
    assert_eq!(vaults(&track.chain.state).unwrap().bonds, BOND);
    track.chain.block(&[]);
    assert_eq!(vaults(&track.chain.state).unwrap().bonds, Amount::ZERO);
    assert_eq!((track.chain.balance(&owner(1)), stake(&track, 0)), (balance, stake_before));
}

#[test]
fn copied_and_invented_tags_show() {
    for copied in [true, false] {
        let mut track = honest();
        // Member 1 has computed nothing.
        let lazy = |verdict: Verdict| {
            let host = verdict.host;
            let other = (2..4).map(crate::kit::host).find(|other| *other != host).unwrap();
            let tags = if copied { track.tags(&host, &other) } else { vec![[9; 16]; 10] };
            Verdict { host, tags }
        };
        let verdicts = track.verdicts(&host(1)).into_iter().map(lazy).collect();
        let mut all = vec![track.chain.tx(&owner(1), of_race(Message::Verdicts(verdicts)))];
        all.extend([0, 2, 3].map(|i| track.send_verdicts(&owner(i)).unwrap()));
        track.chain.block(&all);
        track.reveal_all(&[]);
        // Each revelation to member 1 is a trial of its own accord, without an accuser; at most so many a host.
        let open = sprint::open_trials(&track.chain.state).unwrap();
        assert!(!open.is_empty() && open.iter().all(|(_, trial)| trial.accuser.is_none()));
        assert!(open.iter().all(|(_, trial)| trial.members == [host(1)]));
        let events = of_sprint(&track.judge_all());
        assert!(events.contains(&Event::FalseVerdict { member: host(1), host: host(0) }));
        track.finish();
        let liar = track.record(1);
        assert_eq!((liar.owed, liar.done, liar.reputation), (3, 0, 0));
        // The hosts are none the worse for it, and neither is the liar's own computation.
        assert!((0..4).all(|i| track.record(i).now == 10));
        assert!(
            [0, 2, 3].iter().all(|i| track.record(*i).reputation == 1 && track.result(*i).confirmed == 2)
        );
    }
}

/// A host that commits to traces which it made up can reveal them. They are not what its members computed.
#[test]
fn invented_leaves_are_tried_when_they_are_revealed() {
    let mut track = with_wrong(&all_wrong(10));
    track.check_all(&[]);
    track.reveal_all(&[]);
    let events = of_sprint(&track.judge_all());
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Convicted { .. })).count(), 1);
    // Not even once more than once.
    assert_eq!(stake(&track, 0), stake(&track, 1).fraction(800, 1_000).unwrap());
    assert!(sprint::open_trials(&track.chain.state).unwrap().is_empty());
    track.finish();
    assert_eq!((track.record(0).now, track.record(0).reputation), (0, 0));
    assert!(
        (1..4).all(|i| (track.record(i).owed, track.record(i).done, track.record(i).reputation) == (3, 3, 1))
    );
}

/// Invariant 7: if it is not decided which of the two is false, the verdict is neither done nor owed.
#[test]
fn an_undecided_contradiction_counts_for_neither() {
    let mut track = with_wrong(&all_wrong(10));
    track.check_all(&[]);
    track.reveal_all(&[]);
    track.finish();
    assert!(
        (1..4).all(|i| (track.record(i).owed, track.record(i).done, track.record(i).reputation) == (2, 2, 1))
    );
    // Nobody confirmed it, so it cannot grow; what it had before it keeps.
    assert_eq!((track.result(0).void, track.result(0).confirmed), (None, 0));
}

#[test]
fn an_answered_demand_pays_for_the_bytes() {
    let mut track = honest();
    let bond = racing().sprint.demand_bond;
    let member = track.committee(&host(0))[0];
    let i = number_of(&member);
    let (mine, theirs) = (track.chain.balance(&owner(i)), track.chain.balance(&owner(0)));
    let demand = Message::Demand { host: host(0), positions: vec![2, 5] };
    let outcome = track.chain.done(&track.chain.tx(&owner(i), of_race(demand)));
    assert!(
        of_sprint(&events(&outcome)).iter().any(|event| matches!(event, Event::Demanded { leaves: 2, .. }))
    );
    assert_eq!(track.chain.balance(&owner(i)), minus(mine, plus(bond, bond)));
    let places = track.places(&host(0), &member);
    let answer = |track: &Track, index: usize| Message::Answer {
        member,
        openings: vec![track.machines[&host(0)].open(places[index])],
    };
    assert_eq!(track.refuses(&owner(0), answer(&track, 3)), Failure::NotDemanded);
    assert_eq!(track.refuses(&owner(0), Message::Answer { member, openings: vec![] }), Failure::Empty);
    let mut false_leaf = track.machines[&host(0)].open(places[2]);
    false_leaf.leaf = Default::default();
    let wrong = Message::Answer { member, openings: vec![false_leaf] };
    assert_eq!(track.refuses(&owner(0), wrong), Failure::WrongOpening);
    let other = (1..4).find(|other| *other != i).unwrap();
    assert_eq!(track.refuses(&owner(other), answer(&track, 2)), Failure::NotDemanded);
    track.chain.done(&track.chain.tx(&owner(0), of_race(answer(&track, 2))));
    assert_eq!(track.refuses(&owner(0), answer(&track, 2)), Failure::NotDemanded);
    track.chain.done(&track.chain.tx(&owner(0), of_race(answer(&track, 5))));
    assert_eq!(track.chain.balance(&owner(0)), plus(theirs, plus(bond, bond)));
    let known = demands_on(&track.chain.state, &host(0)).unwrap();
    let leaves: Vec<_> = known[0].1.iter().map(|item| item.leaf.unwrap()).collect();
    assert_eq!(leaves, [2, 5].map(|index: usize| track.machines[&host(0)].open(places[index]).leaf));
    track.finish();
    assert_eq!(track.result(0).void, None);
}

/// Invariant 7: what was demanded here and not shown here is withheld.
#[test]
fn an_unanswered_demand_voids_the_race() {
    let mut track = honest();
    let member = track.committee(&host(0))[0];
    let i = number_of(&member);
    let balance = track.chain.balance(&owner(i));
    let demand = Message::Demand { host: host(0), positions: vec![0, 1] };
    track.chain.done(&track.chain.tx(&owner(i), of_race(demand.clone())));
    let places = track.places(&host(0), &member);
    let of = |index: usize| Message::Answer {
        member,
        openings: vec![track.machines[&host(0)].open(places[index])],
    };
    // One of the two is not enough.
    let (one, two) = (of(0), of(1));
    track.chain.done(&track.chain.tx(&owner(0), of_race(one)));
    let mut voided = Vec::new();
    while voided.is_empty() {
        voided = of_sprint(&track.chain.block(&[]).events);
        voided.retain(|event| matches!(event, Event::Voided { .. }));
    }
    assert_eq!(voided, [Event::Voided { host: host(0), reason: Void::Withheld }]);
    assert!(matches!(track.refuses(&owner(0), two), Failure::TooLate { .. }));
    assert_eq!(track.chain.balance(&owner(i)), minus(balance, racing().sprint.demand_bond));
    let other = number_of(&track.committee(&host(0))[1]);
    let void = Failure::IsVoid { reason: text("withheld") };
    if track.stage().name() == "verdicts" {
        assert_eq!(track.refuses(&owner(other), demand), void);
    }
    track.reach("revealing");
    assert_eq!(track.refuses(&owner(0), Message::Reveal(vec![Reveal { member, revelations: vec![] }])), void);
    track.finish();
    assert_eq!((track.result(0).void, track.record(0).now), (Some(Void::Withheld), 0));
}

#[test]
fn what_is_demanded_is_the_members_own_bounded_and_demanded_once() {
    let mut track = honest();
    let i = number_of(&track.committee(&host(0))[0]);
    let demand = |host, positions| Message::Demand { host, positions };
    assert_eq!(track.refuses(&owner(i), demand(host(0), vec![])), Failure::Empty);
    let too_many = Failure::TooManyPositions { limit: 8 };
    assert_eq!(track.refuses(&owner(i), demand(host(0), (0..9).collect())), too_many);
    let unknown = Failure::UnknownPosition { index: 10 };
    assert_eq!(track.refuses(&owner(i), demand(host(0), vec![10])), unknown);
    let twice = Failure::AlreadyDemanded { index: 4 };
    assert_eq!(track.refuses(&owner(i), demand(host(0), vec![4, 4])), twice);
    let unsolicited = Failure::Unsolicited { host: host(i) };
    assert_eq!(track.refuses(&owner(i), demand(host(i), vec![4])), unsolicited);
    track.chain.done(&track.chain.tx(&owner(i), of_race(demand(host(0), vec![4]))));
    assert_eq!(track.refuses(&owner(i), demand(host(0), vec![4])), twice);
    track.chain.done(&track.chain.tx(&owner(i), of_race(demand(host(0), vec![3]))));
    assert_eq!(DEMANDS.get(&track.chain.state, &(host(0), host(i))).unwrap().unwrap().len(), 2);
    track.reach("revealing");
    assert!(matches!(track.refuses(&owner(i), demand(host(0), vec![5])), Failure::TooLate { .. }));
}

/// Invariant 3: so many trials at a time, over all, against one host, by one accuser. Decided ones make room.
#[test]
fn trials_are_bounded_and_decided_ones_make_room() {
    let mut genesis = genesis(racing(), &[WEIGHT; 6], 0);
    genesis.params.sprint.max_trials = 3;
    genesis.params.sprint.max_trials_of_host = 2;
    genesis.params.sprint.max_trials_of_accuser = 2;
    let mut track = Track::of(&genesis);
    track.enter_all(&[10; 6]);
    track.reach("verdicts");
    let of = |track: &Track, i: u8, nonce| {
        accuse(host(i), track.machines[&host(i)].open(Position { device: 0, nonce }))
    };
    let both = track.chain.txs(&owner(5), [of(&track, 0, 0), of(&track, 0, 1)].map(of_race));
    track.chain.block(&both);
    // The accuser's places are taken, and the host's; not yet the race's.
    assert_eq!(track.refuses(&owner(5), of(&track, 1, 0)), Failure::TooManyTrials);
    assert_eq!(track.refuses(&owner(4), of(&track, 0, 2)), Failure::TooManyTrials);
    track.chain.done(&track.chain.tx(&owner(4), of_race(of(&track, 1, 0))));
    assert_eq!(track.refuses(&owner(3), of(&track, 2, 0)), Failure::TooManyTrials);
    assert_eq!(vaults(&track.chain.state).unwrap().bonds, Amount::fwy(3));
    let all: Vec<_> = (0..5).filter_map(|i| track.send_judgements(&owner(i))).collect();
    let (outcome, _) = track.chain.run(&all);
    assert!(outcome.receipts.iter().all(|receipt| receipt.outcome == Outcome::Done));
    assert!(of_sprint(&events(&outcome)).iter().any(|event| matches!(event, Event::Acquitted { .. })));
    track.chain.done(&track.chain.tx(&owner(3), of_race(of(&track, 2, 0))));
}

/// A race that is abandoned gives all bonds back, in steps.
#[test]
fn an_abandoned_race_gives_all_bonds_back() {
    let mut track = honest();
    let balances: Vec<_> = (0..4).map(|i| track.chain.balance(&owner(i))).collect();
    let i = number_of(&track.committee(&host(0))[0]);
    let opening = track.machines[&host(0)].open(Position { device: 0, nonce: 7 });
    let messages = [accuse(host(0), opening), Message::Demand { host: host(0), positions: vec![4] }];
    let both = track.chain.txs(&owner(i), messages.map(of_race));
    track.chain.block(&both);
    track.chain.values = Some(Vec::new());
    track.finish();
    track.chain.block(&[]);
    assert_eq!(vaults(&track.chain.state).unwrap().bonds, Amount::ZERO);
    assert_eq!((0..4).map(|i| track.chain.balance(&owner(i))).collect::<Vec<_>>(), balances);
}
