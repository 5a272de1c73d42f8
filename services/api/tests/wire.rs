//! The wire types: names that programs rely on, and nothing lost.

use freeway_api::transactions::kind_of;
use freeway_api::{EventView, MessageView};
use freeway_ledger::accounts::{Scope, Scopes};
use freeway_ledger::epochs::{HeldReason, Phase};
use freeway_ledger::hosts::Profile;
use freeway_ledger::{Event, Message, Text, accounts, epochs, evidence, hosts};
use freeway_primitives::{
    Address, Amount, ChainId, Digest, Epoch, Equivocation, Height, SecretKey, Vote, VoteKind,
};

const A: Address = Address([1; 32]);
const B: Address = Address([2; 32]);
const MOST: Amount = Amount(u128::MAX);

#[test]
fn every_event_keeps_its_name_and_fields() {
    let key = SecretKey::from_seed([1; 32]).public();
    let host = A;
    let amount = MOST;
    let (height, free_at, epoch) = (Height(9), Height(7), Epoch(3));
    let events: [(Event, &str); 15] = [
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
    let newer = r#"{"type":"lanes.opened","lane":7}"#;
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
}
