//! Hosts that follow the rules, and networks that are not at their best.

use freeway_host::core::{Action, Refusal, Stage};
use freeway_ledger::sprint::{self, Event};
use freeway_primitives::{Address, Amount, Epoch};

use crate::kit::{EPOCH, Net, PACE};

/// Nonces of a host that races in every block of the sprint: eleven full blocks between the first and the last,
/// and what was in the making at the end.
const ALL: u64 = 11 * PACE + 3;

#[test]
fn a_race_of_honest_hosts_is_proven_without_a_quarrel() {
    let mut net = Net::honest();
    net.run_race(1);
    net.run_race(2);
    assert_eq!(net.rejected, []);
    net.assert_clean(0..5);
    for result in net.results().values() {
        assert_eq!((result.count, result.committee, result.confirmed), (ALL, 3, 3));
    }
    assert!(!net.races().any(|event| matches!(
        event,
        Event::Demanded { .. }
            | Event::TrialOpened { .. }
            | Event::Voided { .. }
            | Event::FalseVerdict { .. }
    )));
}

#[test]
fn each_action_is_asked_for_once() {
    let mut net = Net::honest();
    net.run_race(2);
    for node in &net.nodes {
        let races: Vec<_> =
            node.actions.iter().filter(|action| matches!(action, Action::Race { .. })).collect();
        let ends: Vec<_> =
            node.actions.iter().filter(|action| matches!(action, Action::EndRace { .. })).cloned().collect();
        assert_eq!(races.len(), 2);
        assert_eq!(ends, [Epoch(1), Epoch(2)].map(|epoch| Action::EndRace { epoch }));
        let mut asked: Vec<_> = node
            .actions
            .iter()
            .filter_map(|action| match action {
                Action::Fetch { epoch, host, .. } => Some((*epoch, *host)),
                _ => None,
            })
            .collect();
        let all = asked.len();
        asked.sort();
        asked.dedup();
        assert_eq!(asked.len(), all, "a host that answers is asked once");
        let forgotten: Vec<_> = node
            .actions
            .iter()
            .filter_map(|action| match action {
                Action::Forget { epoch } => Some(epoch.0),
                _ => None,
            })
            .collect();
        assert_eq!(forgotten, [0], "the race before the last is kept");
    }
}

#[test]
fn a_lost_transaction_is_sent_again() {
    let mut net = Net::honest();
    // Every third block loses one transaction.
    for height in 1..=2 * EPOCH {
        net.drop_next = height % 3 == 0;
        net.block();
    }
    net.assert_clean(0..5);
}

#[test]
fn a_host_that_nobody_reaches_answers_on_chain_and_is_paid() {
    let mut net = Net::honest();
    net.nodes[4].reachable = false;
    net.run_race(1);
    assert_eq!(net.rejected, []);
    net.assert_clean(0..5);
    let host = net.nodes[4].address;
    let answered = net.races().filter(|event| matches!(event, Event::Answered { host: h, .. } if *h == host));
    assert_eq!(answered.count(), 3, "each member demanded");
    assert_eq!(net.balance(4), Amount::fwy(90).checked_add(Amount(24 * 100_000)).unwrap());
}

#[test]
fn late_randomness_only_delays_the_race() {
    let mut net = Net::honest();
    net.beacon_lag = 3;
    net.run_race(1);
    net.run_race(2);
    assert_eq!(net.rejected, []);
    net.assert_clean(0..5);
    for result in net.results().values() {
        assert_eq!((result.count, result.confirmed), (ALL, 3));
    }
}

#[test]
fn without_randomness_nothing_is_done_and_nothing_lost() {
    let mut net = Net::honest();
    net.run_race(1);
    let before: Vec<_> = (0..5).map(|i| net.power(i)).collect();
    net.beacon_lag = EPOCH;
    let sent = net.events.len();
    net.run_race(2);
    assert!(net.nodes.iter().all(|node| node.core.standing().stage == Stage::Idle));
    assert!(!net.events[sent..].iter().any(|(_, event)| matches!(
        event,
        freeway_ledger::Event::Sprint(Event::Committed { .. } | Event::RaceStarted { .. })
    )));
    assert_eq!((0..5).map(|i| net.power(i)).collect::<Vec<_>>(), before);
    net.beacon_lag = 0;
    net.run_race(3);
}

#[test]
fn the_standing_follows_the_race() {
    let mut net = Net::honest();
    let mut stages = Vec::new();
    while net.height.0 < 2 * EPOCH - 1 {
        net.block();
        let standing = net.nodes[0].core.standing();
        if standing.stage == Stage::Verify {
            assert_eq!((standing.nonces, standing.committed), (ALL, Some(ALL)));
        }
        if stages.last() != Some(&standing.stage) {
            stages.push(standing.stage);
        }
    }
    use Stage::{Draw, Idle, Race, Reveal, Seed, Verify};
    assert_eq!(stages, [Idle, Seed, Race, Draw, Verify, Reveal, Idle]);
}

#[test]
fn only_members_are_shown_their_own_leaves_and_only_in_time() {
    let mut net = Net::honest();
    let ask = |net: &Net, epoch, member| net.nodes[0].core.serve(&net.state, Epoch(epoch), member);
    let host = net.nodes[0].address;
    net.run_to(10);
    assert_eq!(ask(&net, 1, host), Err(Refusal::NoRace));
    net.run_to(Net::start(1) + 4);
    assert_eq!(ask(&net, 1, host), Err(Refusal::NotDrawn(Epoch(1))));
    net.run_to(Net::start(1) + 16);
    let committee = sprint::committee(&net.state, &host).unwrap();
    for member in &committee {
        let shown = ask(&net, 1, *member).unwrap();
        assert_eq!((shown.body.member, shown.body.openings.len()), (*member, net.leaves() as usize));
    }
    let outsider = Address([9; 32]);
    assert_eq!(ask(&net, 1, outsider), Err(Refusal::NotAMember { epoch: Epoch(1), member: outsider }));
    assert_eq!(ask(&net, 7, committee[0]), Err(Refusal::UnknownEpoch { asked: Epoch(7), current: Epoch(1) }));
}

#[test]
fn a_host_that_sleeps_through_the_sprint_commits_nothing_and_still_verifies() {
    let mut net = Net::honest();
    net.run_to(EPOCH);
    net.nodes[4].up = false;
    net.run_to(Net::start(1) + 12);
    net.nodes[4].up = true;
    net.run_race(1);
    assert_eq!(net.rejected, []);
    net.assert_clean(0..4);
    let result = net.result(4);
    assert_eq!((result.count, result.weight), (0, 0));
    assert_eq!(result.owed, result.done);
}
