//! The encodings of everything that the ledger hashes, signs or leaves behind, frozen in `golden.txt`.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_ledger::endorsements::EndorsementId;
use freeway_ledger::epochs::{HeldReason, Phase};
use freeway_ledger::rewards::Grant;
use freeway_ledger::{
    Event, Failure, Outcome, Preset, Receipt, accounts, beacon, endorsements, epochs, evidence, hosts, lanes,
    models, open, pricing, receipts_root, rewards, sprint, weights,
};
use freeway_primitives::{Address, Amount, Canonical, Digest, Epoch, Height, PublicKey};
use freeway_proofs::sprint::{CommitmentError, Position};
use freeway_proofs::work::{LaneId, Prices};

use crate::golden_work;
use crate::kit::*;
use crate::paying::*;
use crate::racing::Track;
use crate::robustness::{all_transactions, endorsement_messages};
use crate::vectors::{Vectors, hex};

const HOST: Address = Address([0xa1; 32]);
const KEY: PublicKey = PublicKey([0xb2; 32]);
const AMOUNT: Amount = Amount(0x0102_0304_0506);
const HEIGHT: Height = Height(0x0708);

/// The variant's name.
fn name(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().to_lowercase()
}

/// Adds every variant of an enum, and checks that `all` are all: no larger tag decodes.
fn variants<T>(vectors: &mut Vectors, kind: &str, all: &[T])
where
    T: BorshSerialize + BorshDeserialize + Debug + PartialEq,
{
    for (value, tag) in all.iter().zip(0u8..) {
        let bytes = borsh::to_vec(value).unwrap();
        assert_eq!(bytes[0], tag, "the variants of {kind} are not in their order");
        assert_eq!(borsh::from_slice::<T>(&bytes).as_ref().ok(), Some(value));
        vectors.add(format!("{kind}.{}", name(value)), &bytes);
    }
    let next = borsh::from_slice::<T>(&[all.len() as u8]);
    let reason = next.map_err(|error| error.to_string()).unwrap_err();
    assert!(reason.contains("variant"), "{kind} has a variant without a vector: {reason}");
}

fn genesis_and_parameters(vectors: &mut Vectors) {
    for preset in Preset::ALL {
        let params = preset.params();
        vectors.add(format!("params.{}", preset.name()), &params.encode());
        let genesis = genesis(params, &[WEIGHT, 2 * WEIGHT], 2);
        vectors.add_with(format!("genesis.{}", preset.name()), &genesis.encode(), genesis.chain());
        let (state, validators) = open(&genesis).unwrap();
        let state: Vec<u8> = borsh::to_vec(&state).unwrap();
        vectors.add_with(format!("genesis-state.{}", preset.name()), &state, validators.digest());
    }
}

fn transactions(vectors: &mut Vectors) {
    let chain = Chain::new(2, 2);
    let names = [
        "transfer",
        "authorise",
        "revoke",
        "register",
        "update",
        "leave",
        "deposit",
        "withdraw",
        "report-votes",
        "report-proposals",
        "commit",
        "verdicts",
        "reveal",
        "demand",
        "answer",
        "accuse",
        "judge",
        "register-model",
        "retire-model",
        "serve",
        "open-lane",
        "top-up",
        "close-lane",
        "settle",
        "endorse",
        "award",
        "withdraw-bond",
    ];
    let names = names.into_iter().chain(golden_work::NAMES).chain(["by-delegate"]).collect::<Vec<_>>();
    let all = all_transactions(&chain);
    assert_eq!(all.len(), names.len());
    for (name, transaction) in names.iter().zip(&all) {
        vectors.add_with(format!("transaction.{name}"), &transaction.encode(), transaction.hash());
        let (digest, signature) = (transaction.signature_item().message, hex(&transaction.signature.0));
        vectors.add_with(format!("signed.{name}"), digest.as_bytes(), signature);
    }
}

/// Every message, so that none is without a transaction above.
fn messages(vectors: &mut Vectors) {
    let chain = Chain::new(2, 2);
    let (mut of_accounts, mut of_hosts, mut of_evidence, mut of_races) = (vec![], vec![], vec![], vec![]);
    let (mut of_models, mut of_lanes, mut of_endorsements) = (vec![], vec![], vec![]);
    let (mut of_work, mut of_checks) = (vec![], vec![]);
    for transaction in all_transactions(&chain) {
        use freeway_ledger::Message::{
            Accounts, Beacon, Endorsements, Evidence, Hosts, Lanes, Models, Sprint, Verification, Work,
        };
        match transaction.body.message {
            Accounts(message) => of_accounts.push(message),
            Hosts(message) => of_hosts.push(message),
            Evidence(message) => of_evidence.push(message),
            Sprint(message) => of_races.push(message),
            Models(message) => of_models.push(message),
            Lanes(message) => of_lanes.push(message),
            Endorsements(message) => of_endorsements.push(message),
            Work(message) => of_work.push(message),
            Verification(message) => of_checks.push(message),
            Beacon(_) => {}
        }
    }
    // The last two of these are further proofs.
    of_checks.truncate(9);
    // The last of each is a further transaction of a known kind.
    of_hosts.pop();
    of_evidence.pop();
    variants(vectors, "accounts.message", &of_accounts);
    variants(vectors, "hosts.message", &of_hosts);
    variants(vectors, "evidence.message", &of_evidence);
    variants(vectors, "sprint.message", &of_races);
    variants(vectors, "models.message", &of_models);
    variants(vectors, "lanes.message", &of_lanes);
    variants(vectors, "endorsements.message", &of_endorsements);
    variants(vectors, "work.message", &of_work);
    variants(vectors, "verification.message", &of_checks);
    variants(vectors, "proof", &golden_work::proofs());
}

fn account_events() -> Vec<accounts::Event> {
    use accounts::Event::{Authorised, Revoked, Transferred};
    vec![
        Transferred { from: HOST, to: Address([0xa2; 32]), amount: AMOUNT },
        Authorised { account: HOST, key: KEY },
        Revoked { account: HOST, key: KEY },
    ]
}

fn host_events() -> Vec<hosts::Event> {
    use hosts::Event::{Deposited, Leaving, Left, Registered, Returned, Slashed, Unbonding, Updated};
    vec![
        Registered { host: HOST },
        Updated { host: HOST },
        Leaving { host: HOST },
        Left { host: HOST },
        Deposited { host: HOST, amount: AMOUNT },
        Unbonding { host: HOST, amount: AMOUNT, free_at: HEIGHT },
        Returned { host: HOST, amount: AMOUNT },
        Slashed { host: HOST, amount: AMOUNT },
    ]
}

fn race_events() -> Vec<sprint::Event> {
    use sprint::Event::{
        Acquitted, Answered, Committed, Convicted, Demanded, FalseVerdict, Proven, RaceAbandoned,
        RaceChallenged, RaceDrawn, RaceSettled, RaceStarted, Revealed, TrialOpened, VerdictsGiven, Voided,
    };
    let (epoch, host, member, until) = (Epoch(9), HOST, Address([0xa2; 32]), HEIGHT);
    let position = Position { device: 3, nonce: 0x0506 };
    vec![
        RaceStarted { epoch, seed: Digest([0xd4; 32]), deadline: HEIGHT },
        Committed { host, count: 77 },
        RaceChallenged { epoch, hosts: 5, until },
        VerdictsGiven { member, hosts: 5 },
        RaceDrawn { epoch, until },
        Revealed { host, leaves: 5 },
        Demanded { host, member, leaves: 5, until },
        Answered { host, member, leaves: 5 },
        TrialOpened { host, position },
        Convicted { host, position, penalty: AMOUNT },
        Acquitted { host, position },
        FalseVerdict { member, host },
        Proven { host, weight: 77, confirmed: 2 },
        Voided { host, reason: sprint::Void::Unrevealed },
        RaceSettled { epoch, hosts: 5, proven: 4 },
        RaceAbandoned { epoch, reason: sprint::AbandonReason::NothingProven },
    ]
}

fn race_failures() -> Vec<sprint::Failure> {
    use sprint::Failure::*;
    let (host, member, limit, index) = (HOST, HOST, 7, 513);
    vec![
        NotRacing,
        TooEarly,
        TooLate { deadline: HEIGHT },
        NotAHost,
        TooNew,
        AlreadyCommitted,
        InvalidCommitment(CommitmentError::Count { device: 1, count: 0 }),
        TooManyDevices { limit },
        Empty,
        NotCommitted,
        IsVoid { reason: text("withheld") },
        Unsolicited { host },
        WrongCount { host, expected: 16 },
        AlreadyGiven { host },
        NoVerdict { member },
        NotDrawn,
        AlreadyRevealed,
        WrongRevelation,
        TooManyPositions { limit },
        UnknownPosition { index },
        AlreadyDemanded { index },
        NotDemanded,
        WrongOpening,
        OwnOperator,
        AlreadyOnTrial,
        TooManyTrials,
        Distrusted,
        NoTrial,
        NotAJudge,
        AlreadyJudged,
    ]
}

const LANE: LaneId = LaneId(0x0a0b);
const ROOT: Digest = Digest([0xd4; 32]);

fn lane_events() -> Vec<lanes::Event> {
    use lanes::Event::*;
    let (lane, host, payer) = (LANE, HOST, Address([0xa2; 32]));
    vec![
        Opened { lane, payer, model: ROOT, escrow: AMOUNT },
        Drawn { lane, hosts: vec![host, payer] },
        NoHosts { lane },
        NoRandomness { lane },
        ToppedUp { lane, amount: AMOUNT },
        Closing { lane, until: HEIGHT },
        Settled { lane, host, fees: AMOUNT, paid: Amount(7) },
        Ended { lane, payer, refund: AMOUNT },
        Forfeited { host, fees: AMOUNT },
    ]
}

fn lane_failures() -> Vec<lanes::Failure> {
    use lanes::Failure::*;
    vec![
        UnknownModel,
        BelowMinimum { least: AMOUNT },
        InvalidShares { most: 16 },
        InvalidLifetime { least: 7, most: 8 },
        InvalidConstraints,
        InvalidKey,
        TooManyLanes { limit: 7 },
        NetworkFull { limit: 7 },
        UnknownLane { lane: LANE },
        NotThePayer,
        WrongState { state: text("closing") },
        ZeroAmount,
        NoShare,
        IsForfeited,
        TooLate { until: HEIGHT },
        WrongLane,
        BadSignature,
        OldVoucher { voucher: 7, entry: 8 },
        NotMatured { interval: 7 },
        WrongOpening,
        NothingDue,
    ]
}

fn model_events() -> Vec<models::Event> {
    use models::Event::{Registered, Retired, Serving};
    vec![
        Registered { root: ROOT, name: text("a-model") },
        Retired { root: ROOT },
        Serving { host: HOST, models: vec![ROOT] },
    ]
}

fn model_failures() -> Vec<models::Failure> {
    use models::Failure::*;
    vec![
        InvalidName,
        InvalidSize,
        InvalidNoise,
        InvalidPrices,
        AlreadyRegistered,
        NameTaken,
        TooManyModels { limit: 7 },
        UnknownModel,
        NotTheRegistrant,
        InUse,
        NotAHost,
        TooManyServed { limit: 7 },
        Repeated,
    ]
}

fn price_events() -> Vec<pricing::Event> {
    let prices = Prices { input: 7, cached: 8, output: 9 };
    vec![pricing::Event::Changed { root: ROOT, prices, utilisation: 700 }]
}

fn reward_events() -> Vec<rewards::Event> {
    use rewards::Event::{Emitted, Forfeited, Granted, Released};
    let epoch = Epoch(9);
    let grant = Grant { epoch, capacity: AMOUNT, served: Amount(7), bonded: Amount(6), verdicts: Amount(5) };
    vec![
        Emitted { epoch, emission: AMOUNT, pooled: Amount(7) },
        Granted { host: HOST, grant },
        Released { host: HOST, amount: AMOUNT },
        Forfeited { host: HOST, amount: AMOUNT },
    ]
}

fn endorsement_events() -> Vec<endorsements::Event> {
    use endorsements::Event::{Awarded, Endorsed, Withdrawn};
    let (endorsement, endorser, other) = (EndorsementId(9), HOST, Address([0xa2; 32]));
    vec![
        Endorsed { endorsement, endorser, receipt: ROOT, bond: AMOUNT, arbiter: other, expiry: HEIGHT },
        Awarded { endorsement, endorser, claimant: other, amount: AMOUNT, left: Amount(7) },
        Withdrawn { endorsement, endorser, amount: AMOUNT },
    ]
}

fn endorsement_failures() -> Vec<endorsements::Failure> {
    use endorsements::Failure::*;
    vec![
        Unknown,
        BadExpiry { latest: HEIGHT },
        OwnArbiter,
        BondTooSmall { least: AMOUNT },
        TooManyActive { limit: 7 },
        NotTheArbiter,
        TooLate { decided_by: HEIGHT },
        NoClaimant,
        ZeroAmount,
        MoreThanBond { left: AMOUNT },
        BelowMinimum { least: AMOUNT },
        NotTheEndorser,
        TooEarly { decided_by: HEIGHT },
    ]
}

fn events(vectors: &mut Vectors) {
    use epochs::Event::{PhaseStarted, Planned, SwitchHeld, Switched};
    let epoch = Epoch(9);
    let of_epochs = [
        PhaseStarted { epoch, phase: Phase::Challenge },
        Switched { epoch, validators: 4, power: 400 },
        SwitchHeld { epoch, reason: HeldReason::TooMuchLost },
        Planned { epoch, validators: 4 },
    ];
    let of_evidence = [evidence::Event::Convicted { host: HOST, height: HEIGHT, penalty: AMOUNT }];
    let of_weights = [weights::Event::Changed { host: HOST, now: 7, before: 6, reputation: 5 }];
    let all = [
        Event::Accounts(account_events().remove(0)),
        Event::Hosts(host_events().remove(0)),
        Event::Epochs(of_epochs[0].clone()),
        Event::Evidence(of_evidence[0].clone()),
        Event::Beacon(beacon::Event::DealingStarted { epoch, holders: 4 }),
        Event::Sprint(race_events().remove(1)),
        Event::Weights(of_weights[0].clone()),
        Event::Models(model_events().remove(1)),
        Event::Lanes(lane_events().remove(0)),
        Event::Pricing(price_events().remove(0)),
        Event::Rewards(reward_events().remove(0)),
        Event::Endorsements(endorsement_events().remove(0)),
        Event::Work(golden_work::work_events().remove(0)),
        Event::Verification(golden_work::verification_events().remove(0)),
    ];
    variants(vectors, "event", &all);
    variants(vectors, "accounts.event", &account_events());
    variants(vectors, "hosts.event", &host_events());
    variants(vectors, "epochs.event", &of_epochs);
    variants(vectors, "evidence.event", &of_evidence);
    variants(vectors, "sprint.event", &race_events());
    variants(vectors, "weights.event", &of_weights);
    variants(vectors, "models.event", &model_events());
    variants(vectors, "lanes.event", &lane_events());
    variants(vectors, "pricing.event", &price_events());
    variants(vectors, "rewards.event", &reward_events());
    variants(vectors, "endorsements.event", &endorsement_events());
    variants(vectors, "work.event", &golden_work::work_events());
    variants(vectors, "verification.event", &golden_work::verification_events());
    variants(vectors, "work.void", &golden_work::VOIDS);
    variants(vectors, "work.state", &golden_work::STATES);
    variants(vectors, "verification.ruling", &golden_work::RULINGS);
    use Phase::{Challenge, CommitGrace, Serve, Sprint, Switch, Verify};
    variants(vectors, "phase", &[Sprint, CommitGrace, Challenge, Verify, Serve, Switch]);
    use HeldReason::{DealingFailed, NoPower, TooMuchLost};
    variants(vectors, "held-reason", &[NoPower, TooMuchLost, DealingFailed]);
    use sprint::{AbandonReason, Void};
    variants(vectors, "void", &[Void::Withheld, Void::Unrevealed, Void::Convicted]);
    variants(vectors, "abandon", &[AbandonReason::NoRandomness, AbandonReason::NothingProven]);
    use sprint::Ruling::{Guilty, Innocent, Moot};
    variants(vectors, "ruling", &[Guilty, Innocent, Moot]);
}

fn failures(vectors: &mut Vectors) {
    let of_accounts = [
        accounts::Failure::InsufficientBalance { available: AMOUNT, needed: Amount(1) },
        accounts::Failure::ZeroAmount,
        accounts::Failure::BelowMinimum { least: AMOUNT },
        accounts::Failure::TooManyDelegates { limit: 64 },
        accounts::Failure::InvalidDelegation,
        accounts::Failure::UnknownDelegate,
    ];
    let of_hosts = [
        hosts::Failure::AlreadyHost,
        hosts::Failure::NotAHost,
        hosts::Failure::KeyTaken,
        hosts::Failure::InvalidProfile,
        hosts::Failure::TooManyHosts { limit: 7 },
        hosts::Failure::NotActive { status: text("left") },
        hosts::Failure::InsufficientCollateral { available: AMOUNT, needed: Amount(1) },
        hosts::Failure::TooManyWithdrawals { limit: 8 },
        hosts::Failure::ZeroAmount,
        hosts::Failure::OwnersKeyNeeded,
    ];
    let of_evidence = [
        evidence::Failure::OutOfWindow { max_age_blocks: 120 },
        evidence::Failure::NotAValidator,
        evidence::Failure::AlreadyConvicted,
        evidence::Failure::NoProof,
    ];
    let all = [
        Failure::Accounts(of_accounts[1].clone()),
        Failure::Hosts(of_hosts[0].clone()),
        Failure::Evidence(of_evidence[1].clone()),
        Failure::Sprint(race_failures().remove(2)),
        Failure::Beacon(beacon::Failure::NoSeat),
        Failure::Models(model_failures().remove(0)),
        Failure::Lanes(lane_failures().remove(1)),
        Failure::Endorsements(endorsement_failures().remove(0)),
        Failure::Work(golden_work::work_failures().remove(1)),
        Failure::Verification(golden_work::verification_failures().remove(2)),
    ];
    variants(vectors, "failure", &all);
    variants(vectors, "accounts.failure", &of_accounts);
    variants(vectors, "hosts.failure", &of_hosts);
    variants(vectors, "evidence.failure", &of_evidence);
    variants(vectors, "sprint.failure", &race_failures());
    variants(vectors, "models.failure", &model_failures());
    variants(vectors, "lanes.failure", &lane_failures());
    variants(vectors, "endorsements.failure", &endorsement_failures());
    variants(vectors, "work.failure", &golden_work::work_failures());
    variants(vectors, "verification.failure", &golden_work::verification_failures());
}

fn receipts(vectors: &mut Vectors) {
    let of = |outcome, events| Receipt { transaction: Digest([0xd4; 32]), outcome, events };
    let done = of(Outcome::Done, host_events().into_iter().map(Event::Hosts).collect());
    let failed = of(Outcome::Failed(Failure::Hosts(hosts::Failure::KeyTaken)), Vec::new());
    for receipt in [&done, &failed] {
        assert_eq!(Receipt::decode(&receipt.encode()).as_ref(), Ok(receipt));
    }
    vectors.add("receipt.done", &done.encode());
    vectors.add("receipt.failed", &failed.encode());
    let own = [Event::Epochs(epochs::Event::PhaseStarted { epoch: Epoch(1), phase: Phase::Sprint })];
    vectors.add_with("receipts-root.empty", &[0; 4], receipts_root(&[], &[]));
    let bytes = borsh::to_vec(&own).unwrap();
    vectors.add_with("receipts-root", &bytes, receipts_root(&own, &[done, failed]));
}

/// State has encodings, too: a root over other bytes is another root.
fn executed_blocks(vectors: &mut Vectors) {
    let mut chain = Chain::new(4, 2);
    for (height, transaction) in all_transactions(&chain).into_iter().enumerate() {
        let (outcome, _) = chain.run(&[transaction]);
        let delta = borsh::to_vec(&outcome.delta).unwrap();
        vectors.add_with(format!("block.{}", height + 1), &delta, outcome.receipts_root);
    }
    chain.switch();
    let state = borsh::to_vec(&chain.state.0).unwrap();
    vectors.add_with("state", &state, chain.validators.digest());
}

/// A race with everything in it: committees, positions and draws are consensus, too.
fn a_race(vectors: &mut Vectors) {
    let mut track = Track::new(4);
    let race = |track: &Track, vectors: &mut Vectors, name: &str| {
        let race = borsh::to_vec(&track.race()).unwrap();
        vectors.add(format!("race.{name}"), &race);
        let state = borsh::to_vec(&track.chain.state.0).unwrap();
        vectors.add(format!("race-state.{name}"), &state);
    };
    race(&track, vectors, "started");
    track.enter_all(&[40, 10, 1, 1_000]);
    track.reach("verdicts");
    race(&track, vectors, "challenged");
    track.check_all(&[2]);
    track.reach("revealing");
    race(&track, vectors, "drawn");
    track.reveal_all(&[1]);
    race(&track, vectors, "revealed");
    track.finish();
    race(&track, vectors, "settled");
}

/// A lane through its life: whom it draws is consensus, too.
fn a_lane(vectors: &mut Vectors) {
    let mut market = Market::new(3);
    let lane = |market: &Market, id, vectors: &mut Vectors, name: &str| {
        let lane = borsh::to_vec(&market.lane(id).unwrap()).unwrap();
        vectors.add(format!("lane.{name}"), &lane);
    };
    let id = market.ask(opened(ESCROW, 2));
    lane(&market, id, vectors, "waiting");
    market.chain.block(&[]);
    lane(&market, id, vectors, "open");
    let (key, settlement) = market.earn(id, 0, &[700, 77]);
    market.pays(&key, &settlement);
    lane(&market, id, vectors, "settled");
    vectors.add("lane.credit", &borsh::to_vec(&market.credit(address(&key))).unwrap());
    market.chain.done(&market.tx(&user(0), close(id)));
    lane(&market, id, vectors, "closing");
}

/// A model of the statistical tier, as it is asked for and as it is kept.
fn a_measured_model(vectors: &mut Vectors) {
    let (mut chain, root) = (Chain::new(2, 2), Digest([0x45; 32]));
    let description = measured("a-measured-model");
    vectors.add("description.statistical", &borsh::to_vec(&description).unwrap());
    chain.done(&chain.tx(&user(0), register_model(root, description)));
    let model = models::model(&chain.state, &root).unwrap().unwrap();
    vectors.add("model.statistical", &borsh::to_vec(&model).unwrap());
}

/// What hosts were given and what is not released, and an endorsement.
fn rewards_and_endorsements(vectors: &mut Vectors) {
    let mut params = quick();
    params.rewards.first = Amount::fwy(1);
    let mut chain = Chain::of(&genesis(params, &[WEIGHT, 2 * WEIGHT], 2));
    let endorse = endorsement_messages()[0].clone();
    chain.done(&chain.tx(&user(0), endorse));
    for switch in 1..=2 {
        chain.switch();
        let state = borsh::to_vec(&chain.state.0).unwrap();
        vectors.add(format!("rewards-state.{switch}"), &state);
    }
}

#[test]
fn golden_vectors_are_what_they_were() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden.txt");
    let mut vectors = Vectors::new("freeway-ledger", path);
    genesis_and_parameters(&mut vectors);
    transactions(&mut vectors);
    messages(&mut vectors);
    events(&mut vectors);
    failures(&mut vectors);
    receipts(&mut vectors);
    executed_blocks(&mut vectors);
    a_race(&mut vectors);
    rewards_and_endorsements(&mut vectors);
    a_lane(&mut vectors);
    a_measured_model(&mut vectors);
    vectors.check();
}

/// A failure's code is part of the API: programs match on it.
#[test]
fn codes_of_failures_are_unique_within_their_module() {
    let of_races: BTreeSet<_> = race_failures().into_iter().map(|f| Failure::Sprint(f).code()).collect();
    assert_eq!(of_races.len(), race_failures().len());
    let of_endorsements: BTreeSet<_> =
        endorsement_failures().into_iter().map(|f| Failure::Endorsements(f).code()).collect();
    assert_eq!(of_endorsements.len(), endorsement_failures().len());
    let of_lanes: BTreeSet<_> = lane_failures().into_iter().map(|f| Failure::Lanes(f).code()).collect();
    assert_eq!(of_lanes.len(), lane_failures().len());
    let of_models: BTreeSet<_> = model_failures().into_iter().map(|f| Failure::Models(f).code()).collect();
    assert_eq!(of_models.len(), model_failures().len());
    let of_work: BTreeSet<_> =
        golden_work::work_failures().into_iter().map(|f| Failure::Work(f).code()).collect();
    assert_eq!(of_work.len(), golden_work::work_failures().len());
    let of_checks: BTreeSet<_> =
        golden_work::verification_failures().into_iter().map(|f| Failure::Verification(f).code()).collect();
    assert_eq!(of_checks.len(), golden_work::verification_failures().len());
    let codes = ["zero_amount", "insufficient_balance", "key_taken", "owners_key_needed", "no_proof"];
    let failures = [
        Failure::Accounts(accounts::Failure::ZeroAmount),
        Failure::Accounts(accounts::Failure::InsufficientBalance { available: AMOUNT, needed: AMOUNT }),
        Failure::Hosts(hosts::Failure::KeyTaken),
        Failure::Hosts(hosts::Failure::OwnersKeyNeeded),
        Failure::Evidence(evidence::Failure::NoProof),
    ];
    assert_eq!(failures.map(|failure| failure.code()), codes);
}
