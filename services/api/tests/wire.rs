//! The wire types: names that programs rely on, and nothing lost.

use freeway_api::transactions::kind_of;
use freeway_api::{EventView, MessageView};
use freeway_ledger::accounts::{Scope, Scopes};
use freeway_ledger::epochs::{HeldReason, Phase};
use freeway_ledger::hosts::Profile;
use freeway_ledger::sprint::{AbandonReason, Judgement, Reveal, Verdict, Void};
use freeway_ledger::{Event, Message, Text, accounts, beacon, epochs, evidence, hosts, sprint, weights};
use freeway_primitives::{
    Address, Amount, ChainId, Digest, Epoch, Equivocation, Height, SecretKey, Vote, VoteKind,
};
use freeway_proofs::merkle::Path;
use freeway_proofs::sprint::{Commitment, DeviceCommitment, Opening, Position, Revelation, Trace};

const A: Address = Address([1; 32]);
const B: Address = Address([2; 32]);
const MOST: Amount = Amount(u128::MAX);
const PLACE: Position = Position { device: 2, nonce: 9 };

#[test]
fn every_event_keeps_its_name_and_fields() {
    let key = SecretKey::from_seed([1; 32]).public();
    let host = A;
    let amount = MOST;
    let (height, free_at, epoch) = (Height(9), Height(7), Epoch(3));
    let events: [(Event, &str); 36] = [
        (Event::Accounts(accounts::Event::Transferred { from: A, to: B, amount }), "accounts.transferred"),
        (Event::Accounts(accounts::Event::Authorised { account: A, key }), "accounts.authorised"),
        (Event::Accounts(accounts::Event::Revoked { account: A, key }), "accounts.revoked"),
        (Event::Hosts(hosts::Event::Registered { host }), "hosts.registered"),
        (Event::Hosts(hosts::Event::Updated { host }), "hosts.updated"),
        (Event::Hosts(hosts::Event::Leaving { host }), "hosts.leaving"),
        (Event::Hosts(hosts::Event::Left { host }), "hosts.left"),
        (Event::Hosts(hosts::Event::Deposited { host, amount }), "hosts.deposited"),
        (Event::Hosts(hosts::Event::Unbonding { host, amount, free_at }), "hosts.unbonding"),
        (Event::Hosts(hosts::Event::Returned { host, amount }), "hosts.returned"),
        (Event::Hosts(hosts::Event::Slashed { host, amount }), "hosts.slashed"),
        (Event::Epochs(epochs::Event::PhaseStarted { epoch, phase: Phase::Verify }), "epochs.phase_started"),
        (Event::Epochs(epochs::Event::Switched { epoch, validators: 4, power: 5 }), "epochs.switched"),
        (
            Event::Epochs(epochs::Event::SwitchHeld { epoch, reason: HeldReason::TooMuchLost }),
            "epochs.switch_held",
        ),
        (Event::Evidence(evidence::Event::Convicted { host, height, penalty: amount }), "evidence.convicted"),
        (Event::Epochs(epochs::Event::Planned { epoch, validators: 4 }), "epochs.planned"),
        (
            Event::Sprint(sprint::Event::RaceStarted { epoch, seed: Digest([5; 32]), deadline: height }),
            "sprint.race_started",
        ),
        (Event::Sprint(sprint::Event::Committed { host, count: u64::MAX }), "sprint.committed"),
        (
            Event::Sprint(sprint::Event::RaceChallenged { epoch, hosts: 4, until: height }),
            "sprint.race_challenged",
        ),
        (Event::Sprint(sprint::Event::VerdictsGiven { member: B, hosts: 4 }), "sprint.verdicts_given"),
        (Event::Sprint(sprint::Event::RaceDrawn { epoch, until: height }), "sprint.race_drawn"),
        (Event::Sprint(sprint::Event::Revealed { host, leaves: 4 }), "sprint.revealed"),
        (
            Event::Sprint(sprint::Event::Demanded { host, member: B, leaves: 4, until: height }),
            "sprint.demanded",
        ),
        (Event::Sprint(sprint::Event::Answered { host, member: B, leaves: 4 }), "sprint.answered"),
        (Event::Sprint(sprint::Event::TrialOpened { host, position: PLACE }), "sprint.trial_opened"),
        (
            Event::Sprint(sprint::Event::Convicted { host, position: PLACE, penalty: amount }),
            "sprint.convicted",
        ),
        (Event::Sprint(sprint::Event::Acquitted { host, position: PLACE }), "sprint.acquitted"),
        (Event::Sprint(sprint::Event::FalseVerdict { member: B, host }), "sprint.false_verdict"),
        (Event::Sprint(sprint::Event::Proven { host, weight: 7, confirmed: 3 }), "sprint.proven"),
        (Event::Sprint(sprint::Event::Voided { host, reason: Void::Withheld }), "sprint.voided"),
        (Event::Sprint(sprint::Event::RaceSettled { epoch, hosts: 4, proven: 3 }), "sprint.race_settled"),
        (
            Event::Sprint(sprint::Event::RaceAbandoned { epoch, reason: AbandonReason::NoRandomness }),
            "sprint.race_abandoned",
        ),
        (
            Event::Weights(weights::Event::Changed { host, now: 7, before: 5, reputation: 30 }),
            "weights.changed",
        ),
        (Event::Beacon(beacon::Event::DealingStarted { epoch, holders: 4 }), "beacon.dealing_started"),
        (Event::Beacon(beacon::Event::GroupFormed { epoch, key: Digest([5; 32]) }), "beacon.group_formed"),
        (
            Event::Beacon(beacon::Event::DealingFailed { epoch, reason: Text::new("too few").unwrap() }),
            "beacon.dealing_failed",
        ),
    ];
    for (event, name) in &events {
        let view = EventView::from(event);
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["type"], *name);
        assert_eq!(serde_json::from_value::<EventView>(json).unwrap(), view);
    }
    let transferred = serde_json::to_value(EventView::from(&events[0].0)).unwrap();
    assert_eq!(transferred["amount"], u128::MAX.to_string());
    assert_eq!(transferred["from"], A.to_string());
    let convicted = serde_json::to_value(EventView::from(&events[25].0)).unwrap();
    assert_eq!((&convicted["device"], &convicted["nonce"]), (&2.into(), &9.into()));
    let voided = serde_json::to_value(EventView::from(&events[29].0)).unwrap();
    assert_eq!(voided["reason"], "withheld");
    let newer = r#"{"type":"probes.sent","lane":7}"#;
    assert_eq!(serde_json::from_str::<EventView>(newer).unwrap(), EventView::Unknown);
}

#[test]
fn every_message_keeps_its_name_and_fields() {
    let secret = SecretKey::from_seed([1; 32]);
    let key = secret.public();
    let profile = Profile {
        consensus_key: key,
        endpoints: vec![Text::new("http://x").unwrap()],
        region: Text::default(),
        operator: Text::default(),
        hardware: Text::new("a machine").unwrap(),
    };
    let vote = |block| {
        let vote = Vote { kind: VoteKind::Prevote, height: Height(3), round: 0, block, validator: A };
        vote.sign(&ChainId(Digest::ZERO), &secret)
    };
    let proof = Equivocation::of_votes(vote(None), vote(Some(freeway_primitives::BlockId(Digest::ZERO))));
    let scopes = Scopes::of(&Scope::ALL);
    let device = DeviceCommitment { count: 5, root: Digest([5; 32]) };
    let path = Path::new(Vec::new()).unwrap();
    let opening = Opening { position: PLACE, leaf: Digest([5; 32]), path: path.clone() };
    let revelation = Revelation { position: PLACE, trace: Trace([6; 32]), path };
    let messages = [
        Message::Accounts(accounts::Message::Transfer { to: A, amount: MOST }),
        Message::Accounts(accounts::Message::Authorise {
            key,
            scopes,
            expires: Height(u64::MAX),
            allowance: MOST,
        }),
        Message::Accounts(accounts::Message::Revoke { key }),
        Message::Hosts(hosts::Message::Register { profile: profile.clone(), collateral: MOST }),
        Message::Hosts(hosts::Message::Update { profile }),
        Message::Hosts(hosts::Message::Leave),
        Message::Hosts(hosts::Message::Deposit { amount: MOST }),
        Message::Hosts(hosts::Message::Withdraw { amount: MOST }),
        Message::Evidence(evidence::Message::Report(Box::new(proof))),
        Message::Sprint(sprint::Message::Commit(Commitment { devices: vec![device, device] })),
        Message::Sprint(sprint::Message::Verdicts(vec![Verdict { host: A, tags: vec![[1; 16]; 3] }])),
        Message::Sprint(sprint::Message::Reveal(vec![Reveal { member: B, revelations: vec![revelation] }])),
        Message::Sprint(sprint::Message::Demand { host: A, positions: vec![0, 7] }),
        Message::Sprint(sprint::Message::Answer { member: B, openings: vec![opening.clone()] }),
        Message::Sprint(sprint::Message::Accuse { host: A, opening }),
        Message::Sprint(sprint::Message::Judge(vec![Judgement { host: A, position: PLACE, guilty: true }])),
        Message::Beacon(beacon::Message::Deal(vec![1; 100])),
        Message::Beacon(beacon::Message::Acknowledge(vec![1; 10])),
        Message::Beacon(beacon::Message::Close(Vec::new())),
    ];
    for message in &messages {
        let view = MessageView::from(message);
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["type"], kind_of(message));
        assert_eq!(serde_json::from_value::<MessageView>(json).unwrap(), view);
    }
    let authorise = serde_json::to_value(MessageView::from(&messages[1])).unwrap();
    assert!(authorise["expires"].is_null(), "no end");
    assert_eq!(authorise["scopes"].as_array().unwrap().len(), Scope::ALL.len());
    let commit = serde_json::to_value(MessageView::from(&messages[9])).unwrap();
    assert_eq!((&commit["count"], &commit["devices"][1]["count"]), (&10.into(), &5.into()));
    let verdicts = serde_json::to_value(MessageView::from(&messages[10])).unwrap();
    assert_eq!((&verdicts["hosts"][0], &verdicts["leaves"]), (&A.to_string().into(), &3.into()));
}
