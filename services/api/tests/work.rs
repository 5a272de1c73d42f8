//! The wire types of lanes, work and what belongs to them: names that programs rely on, and nothing lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use freeway_api::transactions::kind_of;
use freeway_api::{
    ConstraintsView, EventView, LaneView, MessageView, ModelView, NoiseView, ParamsView, PricesView,
};
use freeway_ledger::endorsements::EndorsementId;
use freeway_ledger::lanes::{Constraints, Lane, Opened, Settlement, Share, State};
use freeway_ledger::models::{Description, Model, Tier};
use freeway_ledger::rewards::Grant;
use freeway_ledger::verification::{
    Accusation, Answer, Finding, Inclusion, Judgement, Leaf, Proof, Report, Reveal, Signed, Verdict,
};
use freeway_ledger::work::{Claim, Void};
use freeway_ledger::{
    Event, Message, Params, Preset, Text, endorsements, lanes, models, pricing, rewards, verification, work,
};
use freeway_primitives::{Address, Amount, Digest, Epoch, Height, SecretKey, Signature};
use freeway_proofs::sum::{Opening, Path, Sums, Total};
use freeway_proofs::work::{Entry, LaneId, Prices, Receipt, Usage, Voucher};
use freeway_requests::evidence::Noise;
use serde_json::Value;

const A: Address = Address([1; 32]);
const B: Address = Address([2; 32]);
const MOST: Amount = Amount(u128::MAX);
const ROOT: Digest = Digest([5; 32]);
const LANE: LaneId = LaneId(7);
const CASE: verification::Case = (3, (A, (1, 9)));
const PRICES: Prices = Prices { input: u64::MAX, cached: 1, output: 2 };
const NOISE: Noise = Noise { gap: 40_000, rate: 3_000, allowance: [1, 2, 3] };
const NONE: Signature = Signature([0; 64]);

fn receipt() -> Receipt {
    Receipt {
        lane: LANE,
        host: A,
        sequence: 4,
        interval: 3,
        request: ROOT,
        output: ROOT,
        trace: ROOT,
        usage: Usage { prompt: 5, cached: 1, completion: 6 },
        fee: Amount(8),
        total: Amount(20),
    }
}

fn leaf() -> Leaf {
    let entry: Entry = receipt().entry();
    let path = Path::new(Vec::new()).unwrap();
    let opening = Opening { index: 9, digest: entry.digest(), sums: entry.sums, path };
    Leaf { branch: 1, opening, entry }
}

/// Reads back what is written, and gives it as JSON.
fn event(event: Event) -> Value {
    let view = EventView::from(&event);
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(serde_json::from_value::<EventView>(json.clone()).unwrap(), view);
    assert_ne!(view, EventView::Unknown);
    json
}

#[test]
fn events_of_money_keep_their_names_and_fields() {
    let (host, lane, amount, until) = (A, LANE, MOST, Height(9));
    let text = Text::new("m").unwrap();
    let grant = Grant { epoch: Epoch(2), capacity: MOST, ..Grant::default() };
    let id = EndorsementId(6);
    for (happened, name) in [
        (Event::Models(models::Event::Registered { root: ROOT, name: text }), "models.registered"),
        (Event::Models(models::Event::Retired { root: ROOT }), "models.retired"),
        (Event::Models(models::Event::Serving { host, models: vec![ROOT, ROOT] }), "models.serving"),
        (Event::Lanes(lanes::Event::Opened { lane, payer: B, model: ROOT, escrow: amount }), "lanes.opened"),
        (Event::Lanes(lanes::Event::Drawn { lane, hosts: vec![A, B] }), "lanes.drawn"),
        (Event::Lanes(lanes::Event::NoHosts { lane }), "lanes.no_hosts"),
        (Event::Lanes(lanes::Event::NoRandomness { lane }), "lanes.no_randomness"),
        (Event::Lanes(lanes::Event::ToppedUp { lane, amount }), "lanes.topped_up"),
        (Event::Lanes(lanes::Event::Closing { lane, until }), "lanes.closing"),
        (Event::Lanes(lanes::Event::Settled { lane, host, fees: amount, paid: amount }), "lanes.settled"),
        (Event::Lanes(lanes::Event::Ended { lane, payer: B, refund: amount }), "lanes.ended"),
        (Event::Lanes(lanes::Event::Forfeited { host, fees: amount }), "lanes.forfeited"),
        (
            Event::Pricing(pricing::Event::Changed { root: ROOT, prices: PRICES, utilisation: 700 }),
            "pricing.changed",
        ),
        (
            Event::Rewards(rewards::Event::Emitted { epoch: Epoch(2), emission: amount, pooled: amount }),
            "rewards.emitted",
        ),
        (Event::Rewards(rewards::Event::Granted { host, grant }), "rewards.granted"),
        (Event::Rewards(rewards::Event::Released { host, amount }), "rewards.released"),
        (Event::Rewards(rewards::Event::Forfeited { host, amount }), "rewards.forfeited"),
        (
            Event::Endorsements(endorsements::Event::Endorsed {
                endorsement: id,
                endorser: A,
                receipt: ROOT,
                bond: amount,
                arbiter: B,
                expiry: until,
            }),
            "endorsements.endorsed",
        ),
        (
            Event::Endorsements(endorsements::Event::Awarded {
                endorsement: id,
                endorser: A,
                claimant: B,
                amount,
                left: amount,
            }),
            "endorsements.awarded",
        ),
        (
            Event::Endorsements(endorsements::Event::Withdrawn { endorsement: id, endorser: A, amount }),
            "endorsements.withdrawn",
        ),
    ] {
        let json = event(happened);
        assert_eq!(json["type"], name);
        match name {
            "lanes.settled" => {
                assert_eq!((&json["lane"], &json["fees"]), (&7.into(), &MOST.0.to_string().into()));
            }
            "lanes.closing" => assert_eq!(json["until"], 9),
            "pricing.changed" => assert_eq!(json["prices"]["input"], u64::MAX.to_string()),
            "rewards.granted" => {
                assert_eq!(json["grant"]["capacity"], MOST.0.to_string());
                assert_eq!(json["grant"]["epoch"], 2);
            }
            "endorsements.endorsed" => {
                assert_eq!((&json["endorsement"], &json["until"]), (&6.into(), &9.into()))
            }
            _ => {}
        }
    }
}

#[test]
fn events_of_work_keep_their_names_and_fields() {
    use verification::Event as Found;
    use work::Event as Work;
    let (host, interval, round, until, fees) = (A, 3, 1, Height(9), MOST);
    for (happened, name) in [
        (Work::Committed { host, interval, fees }, "work.committed"),
        (Work::Drawn { interval, round, until }, "work.drawn"),
        (Work::Closing { interval, round, until }, "work.closing"),
        (Work::Matured { host, interval, fees }, "work.matured"),
        (Work::Voided { host, interval, reason: Void::Unchecked }, "work.voided"),
    ] {
        let json = event(Event::Work(happened));
        assert_eq!((&json["type"], &json["interval"]), (&name.into(), &3.into()));
        if name == "work.voided" {
            assert_eq!(json["reason"], "unchecked");
        }
    }
    for (happened, name) in [
        (Found::VerdictsGiven { member: B, interval, verdicts: 2 }, "verification.verdicts_given"),
        (Found::Revealed { host, interval, contradicted: 1 }, "verification.revealed"),
        (Found::Demanded { host, interval, sample: 2, until }, "verification.demanded"),
        (Found::Reported { host, interval, lane: LANE, sequence: 4, until }, "verification.reported"),
        (Found::Answered { host, interval }, "verification.answered"),
        (Found::TrialOpened { case: CASE, receipt: ROOT, until }, "verification.trial_opened"),
        (Found::Acquitted { case: CASE }, "verification.acquitted"),
        (Found::Convicted { host, interval, penalty: MOST }, "verification.convicted"),
        (Found::FalseVerdict { member: B, host, interval }, "verification.false_verdict"),
    ] {
        let json = event(Event::Verification(happened));
        assert_eq!((&json["type"], &json["interval"]), (&name.into(), &3.into()));
        if name == "verification.acquitted" {
            assert_eq!((&json["branch"], &json["leaf"]), (&1.into(), &9.into()));
            assert_eq!(json["host"], A.to_string());
        }
    }
}

/// One of each message.
fn messages() -> Vec<Message> {
    let key = SecretKey::from_seed([1; 32]).public();
    let description = Description {
        name: Text::new("m").unwrap(),
        tier: Tier::Statistical,
        context: 1,
        vocabulary: 2,
        work: 3,
        prices: PRICES,
        noise: Some(NOISE),
    };
    let constraints =
        Constraints { regions: vec![Text::new("here").unwrap()], operators: vec![Text::new("me").unwrap()] };
    let voucher = Voucher { lane: LANE, host: A, sequence: 4, spent: MOST, limit: MOST, request: ROOT };
    let settlement =
        Settlement { voucher, signature: NONE, interval: 3, entry: leaf().entry, opening: leaf().opening };
    let opened = Opened { model: ROOT, escrow: MOST, shares: 3, constraints, key, lifetime: 100 };
    let total = Total { root: ROOT, count: 2, sums: Sums { fees: u128::MAX, tokens: 11 } };
    let signed = || Signed { receipt: receipt(), signature: NONE };
    let findings = vec![Finding::Right([1; 16]), Finding::Wrong, Finding::NotShown];
    let (interval, host) = (3, A);
    use verification::Message as V;
    vec![
        Message::Models(models::Message::Register { root: ROOT, description }),
        Message::Models(models::Message::Retire { root: ROOT }),
        Message::Models(models::Message::Serve { models: vec![ROOT] }),
        Message::Lanes(lanes::Message::Open(Box::new(opened))),
        Message::Lanes(lanes::Message::TopUp { lane: LANE, amount: MOST }),
        Message::Lanes(lanes::Message::Close { lane: LANE }),
        Message::Lanes(lanes::Message::Settle(Box::new(settlement))),
        Message::Endorsements(endorsements::Message::Endorse {
            receipt: ROOT,
            statement: ROOT,
            bond: MOST,
            arbiter: B,
            expiry: Height(9),
        }),
        Message::Endorsements(endorsements::Message::Award {
            endorsement: EndorsementId(6),
            claimant: B,
            amount: MOST,
        }),
        Message::Endorsements(endorsements::Message::Withdraw { endorsement: EndorsementId(6) }),
        Message::Work(work::Message::Commit { interval, claims: vec![Claim { lane: LANE, total }] }),
        Message::Verification(V::Verdicts {
            interval,
            verdicts: vec![Verdict { host, branch: 1, findings }],
        }),
        Message::Verification(V::Reveal(Box::new(Reveal {
            interval,
            leaf: leaf(),
            receipt: receipt(),
            salt: [1; 32],
            trace: ROOT,
        }))),
        Message::Verification(V::Demand { interval, host, sample: 2 }),
        Message::Verification(V::Answer(Box::new(Answer {
            interval,
            sample: 2,
            leaf: leaf(),
            receipt: receipt(),
        }))),
        Message::Verification(V::Accuse(Box::new(Accusation {
            interval,
            host,
            leaf: leaf(),
            receipt: receipt(),
        }))),
        Message::Verification(V::Judge(vec![Judgement { case: CASE, guilty: true }])),
        Message::Verification(V::Prove(Box::new(Proof::Receipts { first: signed(), second: signed() }))),
        Message::Verification(V::Report(Box::new(Report { signed: signed() }))),
        Message::Verification(V::Include(Box::new(Inclusion { interval, leaf: leaf() }))),
    ]
}

#[test]
fn messages_keep_their_names_and_fields() {
    let mut names = Vec::new();
    for message in messages() {
        let view = MessageView::from(&message);
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["type"], kind_of(&message));
        assert_eq!(serde_json::from_value::<MessageView>(json.clone()).unwrap(), view);
        let name = kind_of(&message);
        match name {
            "models.register" => {
                assert_eq!((&json["tier"], &json["name"]), (&"statistical".into(), &"m".into()));
                assert_eq!(
                    (&json["noise"]["gap"], &json["noise"]["allowance"][2]),
                    (&40_000.into(), &3.into())
                );
            }
            "lanes.open" => assert_eq!(json["constraints"]["regions"][0], "here"),
            "lanes.settle" => assert_eq!((&json["lane"], &json["total"]), (&7.into(), &"20".into())),
            "work.commit" => assert_eq!(json["claims"][0]["fees"], u128::MAX.to_string()),
            "verification.verdicts" => assert_eq!((&json["samples"], &json["right"]), (&3.into(), &1.into())),
            "verification.judge" => assert_eq!(json["judgements"][0]["leaf"], 9),
            "verification.prove" => assert_eq!(json["proof"], "receipts"),
            "verification.report" => assert_eq!(json["receipt"], receipt().digest().to_string()),
            _ => {}
        }
        names.push(name);
    }
    assert_eq!(
        names,
        [
            "models.register",
            "models.retire",
            "models.serve",
            "lanes.open",
            "lanes.top_up",
            "lanes.close",
            "lanes.settle",
            "endorsements.endorse",
            "endorsements.award",
            "endorsements.withdraw",
            "work.commit",
            "verification.verdicts",
            "verification.reveal",
            "verification.demand",
            "verification.answer",
            "verification.accuse",
            "verification.judge",
            "verification.prove",
            "verification.report",
            "verification.include",
        ]
    );
}

#[test]
fn parameters_lose_nothing() {
    for preset in Preset::ALL {
        let params = preset.params();
        let json = serde_json::to_string(&ParamsView::from(&params)).unwrap();
        let view: ParamsView = serde_json::from_str(&json).unwrap();
        assert_eq!(Params::from(&view), params);
    }
    let mut json = serde_json::to_value(ParamsView::from(&Preset::Main.params())).unwrap();
    assert_eq!(json["pricing"]["floor"]["input"], "0.001 FWY");
    assert_eq!(json["models"]["bond"], "1000 FWY");
    // A price that the ledger cannot hold is none that its rules allow.
    json["pricing"]["ceiling"] = "1000000000000 FWY".into();
    let view: ParamsView = serde_json::from_value(json).unwrap();
    assert!(Params::from(&view).check().is_err());
}

#[test]
fn lanes_and_prices_are_read_back() {
    let share = Share {
        host: A,
        key: SecretKey::from_seed([2; 32]).public(),
        operator: Text::new("them").unwrap(),
        drawn: Height(5),
        deposit: Amount(70),
        paid: Amount(20),
        arms_length: true,
    };
    let lane = Lane {
        payer: B,
        key: SecretKey::from_seed([1; 32]).public(),
        model: ROOT,
        tier: Tier::Exact,
        prices: PRICES,
        escrow: Amount(70),
        constraints: Constraints { regions: vec![Text::new("here").unwrap()], operators: Vec::new() },
        wanted: 1,
        opened: Height(4),
        expires: Height(90),
        state: State::Closing { until: Height(80) },
        shares: vec![share],
    };
    let view = LaneView::new(LANE, &lane, |_| Ok::<_, ()>(true)).unwrap();
    assert!(view.shares[0].forfeited && !view.is_open());
    assert_eq!((view.left, view.settled_until, view.value_of), (Amount(50), Some(80), None));
    assert_eq!(view.constraints.read(), Some(lane.constraints.clone()));
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!((&json["left"], &json["prices"]["input"]), (&"50".into(), &u64::MAX.to_string().into()));
    assert_eq!(serde_json::from_value::<LaneView>(json).unwrap(), view);
    assert_eq!(Prices::from(&PricesView::from(&PRICES)), PRICES);
    let long = ConstraintsView { regions: vec!["x".repeat(1_000)], operators: Vec::new() };
    assert_eq!(long.read(), None);
}

/// What is not measured is shown as the widest that is assumed, and a model of the exact tier has no noise.
#[test]
fn models_show_the_noise_that_they_are_judged_by() {
    let model = |tier, noise| Model {
        name: Text::new("m").unwrap(),
        tier,
        context: 1,
        vocabulary: 2,
        work: 3,
        by: A,
        bond: MOST,
        since: Epoch(4),
        prices: PRICES,
        noise,
    };
    let shown = |tier, noise| {
        let view = ModelView::new(ROOT, &model(tier, noise), Some(700), 2);
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(serde_json::from_value::<ModelView>(json).unwrap(), view);
        view.noise.map(|noise| Noise::from(&noise))
    };
    assert_eq!(shown(Tier::Statistical, Some(NOISE)), Some(NOISE));
    assert_eq!(shown(Tier::Statistical, None), Some(Noise::default()));
    assert_eq!(shown(Tier::Exact, None), None);
    // It is what people write into files, so a slip is told.
    let json = serde_json::to_value(NoiseView::from(&NOISE)).unwrap();
    let mut more = json.clone();
    more["gaps"] = 1.into();
    assert!(serde_json::from_value::<NoiseView>(json).is_ok());
    assert!(serde_json::from_value::<NoiseView>(more).is_err());
}
