//! Models, lanes, work, rewards and endorsements, on a chain that goes through them.

use borsh::BorshDeserialize;
use freeway_api::{CommitmentView, LaneView};
use freeway_ledger::lanes::probe::PROBER;
use freeway_ledger::lanes::{Constraints, Opened};
use freeway_ledger::models::{Description, Tier};
use freeway_ledger::work::{COMMITS, Claim, Commitment};
use freeway_ledger::{Message, Preset, Text, endorsements, lanes, models, rewards, work};
use freeway_primitives::{Amount, Canonical, Digest, Epoch, Height};
use freeway_proofs::sum::{Sums, Total, Tree};
use freeway_proofs::work::{LaneId, Prices};
use freeway_store::Proof;

use crate::kit::{address, key};
use crate::race::Net;
use crate::server::{Served, api_error};

const ROOT: Digest = Digest([9; 32]);
const PRICES: Prices = Prices { input: 2_000_000, cached: 200_000, output: 6_000_000 };
const ESCROW: Amount = Amount::fwy(4);

fn register(root: Digest, name: &str) -> Message {
    let description = Description {
        name: Text::new(name).unwrap(),
        tier: Tier::Exact,
        context: 4_096,
        vocabulary: 32_000,
        work: 1_000_000,
        prices: PRICES,
        noise: None,
    };
    Message::Models(models::Message::Register { root, description })
}

fn open() -> Message {
    Message::Lanes(lanes::Message::Open(Box::new(Opened {
        model: ROOT,
        escrow: ESCROW,
        shares: 2,
        constraints: Constraints::default(),
        key: key("vouchers").public(),
        lifetime: 5_000,
    })))
}

/// A chain on which `host` and `alice` serve a model.
async fn serving() -> Net {
    let mut net = Net::new().await;
    net.ask("bob", register(ROOT, "a-model")).await;
    net.commit();
    for host in ["host", "alice"] {
        net.ask(host, Message::Models(models::Message::Serve { models: vec![ROOT] })).await;
    }
    net.commit();
    net
}

/// A lane of `bob`, after its hosts are drawn.
async fn lane(net: &mut Net) -> LaneView {
    while net.served.client.beacon().await.unwrap().latest.is_none() {
        net.commit();
    }
    net.ask("bob", open()).await;
    for _ in 0..8 {
        net.commit();
        let lanes = net.served.client.lanes_of_payer(&address("bob"), None, 10).await.unwrap();
        if let Some(lane) = lanes.lanes.into_iter().find(LaneView::is_open) {
            return lane;
        }
    }
    panic!("no hosts are drawn");
}

/// A tree of two requests of these fees.
fn tree(fees: [u128; 2]) -> Total {
    let mut tree = Tree::new();
    for fee in fees {
        tree.push(&Digest([3; 32]), Sums { fees: fee, tokens: 5 }).unwrap();
    }
    tree.total()
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_found_by_root_and_by_name() {
    let mut net = serving().await;
    net.ask("bob", register(Digest([8; 32]), "another")).await;
    net.commit();
    let client = &net.served.client;
    let page = client.models(None, 1).await.unwrap();
    let rest = client.models(page.next.as_ref(), 1).await.unwrap();
    assert_eq!((page.models.len(), rest.models.len(), rest.next), (1, 1, None));
    assert_eq!((page.models[0].name.as_str(), rest.models[0].root), ("another", ROOT));

    let found = client.model("a-model", None, 1).await.unwrap();
    assert_eq!((found.model.root, found.serving, found.hosts.len()), (ROOT, 2, 1));
    assert_eq!(Prices::from(&found.model.prices), PRICES);
    assert_eq!((found.model.tier.as_str(), found.model.by, found.model.lanes), ("exact", address("bob"), 0));
    let rest = client.model(&ROOT.to_string(), found.next.as_ref(), 10).await.unwrap();
    assert_eq!((rest.hosts.len(), rest.next), (1, None));
    let all = [found.hosts, rest.hosts].concat();
    let host = all.iter().find(|shown| shown.host == address("host")).unwrap();
    assert_eq!((host.endpoints.as_slice(), host.power), (["http://127.0.0.1:1".to_owned()].as_slice(), 100));
    assert_eq!((host.operator.as_str(), host.region.as_str()), ("the kit", "here"));

    for missing in ["a-modem", "../status", "", "x y"] {
        assert!(client.model(missing, None, 1).await.unwrap_err().is_not_found(), "{missing}");
    }
    let (status, error) = net.served.refused("/v1/models/x%2Fy").await;
    assert_eq!((status, error.code.as_str()), (404, "not_found"));
    let (status, error) = net.served.refused("/v1/models?after=7").await;
    assert_eq!((status, error.code.as_str()), (400, "bad_parameter"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_is_shown_to_its_payer_and_its_hosts() {
    let mut net = serving().await;
    let lane = lane(&mut net).await;
    let client = &net.served.client;
    assert_eq!((lane.payer, lane.model, lane.wanted), (address("bob"), ROOT, 2));
    assert_eq!((lane.escrow, lane.left, lane.key), (ESCROW, ESCROW, key("vouchers").public()));
    assert_eq!(lane.expires - lane.opened, 5_000);
    // Nobody asked for anything while the beacon's key was made.
    assert!(lane.prices.output < PRICES.output && lane.prices.output > PRICES.output / 2);
    assert_eq!((lane.value_of, lane.settled_until, lane.shares.len()), (None, None, 2));
    let share = lane.share(&address("host")).unwrap();
    assert_eq!((share.deposit, share.paid, share.forfeited), (Amount::fwy(2), Amount::ZERO, false));
    assert_eq!((share.key, share.operator.as_str()), (key("consensus").public(), "the kit"));
    assert_eq!(client.lane(lane.id).await.unwrap(), lane);
    for host in ["host", "alice"] {
        let mut lanes = client.lanes_of_host(&address(host), None, 10).await.unwrap().lanes;
        // The network itself asks, too.
        lanes.retain(|lane| lane.payer != PROBER);
        assert_eq!(lanes, std::slice::from_ref(&lane));
    }
    assert!(client.lanes_of_host(&address("bob"), None, 10).await.unwrap().lanes.is_empty());
    // This one, and that of the network.
    assert_eq!(client.model("a-model", None, 1).await.unwrap().model.lanes, 2);

    net.ask("bob", open()).await;
    net.ask("bob", Message::Lanes(lanes::Message::Close { lane: LaneId(lane.id) })).await;
    net.commit();
    let client = &net.served.client;
    let page = client.lanes_of_payer(&address("bob"), None, 1).await.unwrap();
    assert_eq!((page.lanes[0].state.as_str(), page.next), ("closing", Some(lane.id)));
    assert!(page.lanes[0].settled_until.is_some());
    let rest = client.lanes_of_payer(&address("bob"), page.next, 1).await.unwrap();
    let [fresh] = rest.lanes.as_slice() else { panic!("{:?}", rest.lanes) };
    assert_eq!((fresh.state.as_str(), fresh.value_of, rest.next), ("waiting", Some(fresh.opened), None));
    let (status, error) = net.served.refused("/v1/lanes/99").await;
    assert_eq!((status, error.code.as_str()), (404, "not_found"));
    let (status, error) = net.served.refused("/v1/lanes/-1").await;
    assert_eq!((status, error.code.as_str()), (400, "bad_parameter"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commitment_is_shown_from_its_block_to_its_end() {
    let mut net = serving().await;
    let lane = lane(&mut net).await;
    let before = net.served.client.work().await.unwrap();
    assert_eq!((before.last - before.first, before.last_commit - before.last), (11, 3));
    let interval = before.interval;
    while net.served.client.work().await.unwrap().interval == interval {
        net.commit();
    }
    let total = tree([300, 700]);
    let commit = |total| {
        let claims = vec![Claim { lane: LaneId(lane.id), total }];
        Message::Work(work::Message::Commit { interval, claims })
    };
    net.ask("host", commit(total)).await;
    net.commit();
    let host = address("host");
    let shown = shown(&net, interval).await;
    assert_eq!(
        (shown.summary.state.as_str(), shown.summary.fees, shown.summary.disputes),
        ("open", Amount(1_000), 0)
    );
    let [branch] = shown.branches.as_slice() else { panic!("{:?}", shown.branches) };
    let claim = &branch.claim;
    assert_eq!((claim.lane, claim.root, claim.count), (lane.id, total.root, 2));
    assert_eq!((claim.fees, claim.tokens, branch.model), (Amount(1_000), 10, ROOT));
    assert!(branch.committee.is_empty() && shown.samples.is_empty() && shown.reveal.is_none());
    let list = net.served.client.commitments(interval, None, 10).await.unwrap();
    assert_eq!((list.commitments.as_slice(), list.next), ([shown.summary].as_slice(), None));
    let fees = net.served.client.earnings(&host).await.unwrap().fees;
    assert_eq!((fees.open, fees.open_intervals.as_slice()), (Amount(1_000), [interval].as_slice()));
    assert_eq!((fees.open_limit, fees.matured), (Amount::fwy(10), Amount::ZERO));
    // What is no duty any more does not wait either.
    let client = &net.served.client;
    let sequence = client.account(&host).await.unwrap().sequence;
    let again = client.submit(&net.served.kit.sign("host", sequence, commit(total))).await.unwrap_err();
    assert_eq!(api_error(again), (409, "already_committed".into()));

    // To someone who knows the genesis only.
    net.commit();
    let view = net.served.client.commitment_proof(interval, &host, None).await.unwrap();
    let value = Proof::decode(&view.proof_bytes().unwrap())
        .unwrap()
        .verify(&view.root, &COMMITS.key(&(interval, host)))
        .unwrap();
    let proven = Commitment::try_from_slice(&value.unwrap()).unwrap();
    assert_eq!((proven.branches[0].total, proven.fees), (total, Amount(1_000)));

    // It is sampled, its committee says nothing, and so it pays nothing.
    let stages = until_decided(&mut net, interval).await;
    assert_eq!(stages.first().map(String::as_str), Some("committing"));
    assert!(stages.iter().any(|stage| stage == "verdicts"), "{stages:?}");
    let shown = self::shown(&net, interval).await;
    assert_eq!((shown.summary.state.as_str(), shown.samples.len()), ("unchecked", 8));
    assert!(shown.samples.iter().all(|sample| sample.branch == 0 && sample.point < 1_000));
    let committee = &shown.branches[0].committee;
    assert!(committee.iter().all(|member| member.member == address("alice") && member.verdict.is_none()));
    let gone = net.served.client.commitment(interval + 1, &host).await.unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
}

async fn shown(net: &Net, interval: u64) -> CommitmentView {
    net.served.client.commitment(interval, &address("host")).await.unwrap()
}

/// Blocks until an interval is decided; the stages that it went through.
async fn until_decided(net: &mut Net, interval: u64) -> Vec<String> {
    let mut stages: Vec<String> = Vec::new();
    for _ in 0..100 {
        if shown(net, interval).await.summary.state != "open" {
            return stages;
        }
        let rounds = net.served.client.work().await.unwrap().rounds;
        let stage = rounds
            .into_iter()
            .filter(|round| round.interval == interval)
            .map(|round| round.stage)
            .next_back();
        if let Some(stage) = stage.filter(|stage| stages.last() != Some(stage)) {
            stages.push(stage);
        }
        net.commit();
    }
    panic!("the interval is never decided: {stages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn emission_reaches_those_who_have_weight() {
    let mut served = Served::new().await;
    let params = Preset::Local.params();
    let shown = served.client.rewards().await.unwrap();
    let first = rewards::emission(&params.rewards, Epoch(0));
    assert_eq!((shown.epoch, shown.minted, shown.emission), (0, Amount::ZERO, first));
    assert_eq!(shown.limit, rewards::limit(&params.rewards));
    let nothing = served.client.earnings(&address("host")).await.unwrap();
    assert_eq!((nothing.granted, nothing.vesting, nothing.buckets.len()), (Amount::ZERO, Amount::ZERO, 0));
    assert_eq!((nothing.duties.owed, nothing.fees.open_limit), (0, Amount::fwy(10)));
    served.kit.commit_many(60);
    let after = served.client.rewards().await.unwrap();
    assert_eq!((after.minted, after.epoch), (first, 1));
    assert_eq!(after.supply, shown.supply.checked_add(first).unwrap());
    let earned = served.client.earnings(&address("host")).await.unwrap();
    assert!(earned.last.capacity > Amount::ZERO && earned.last.served == Amount::ZERO);
    assert_eq!(earned.granted.checked_add(earned.bonded), Some(earned.last.capacity));
    assert_eq!(
        earned.vesting,
        earned.buckets.iter().fold(Amount::ZERO, |sum, bucket| Amount(sum.0 + bucket.left.0))
    );
    assert_eq!(earned.vesting.checked_add(earned.released), Some(earned.granted));
}

#[tokio::test(flavor = "multi_thread")]
async fn endorsements_are_listed_by_account_and_by_receipt() {
    let mut served = Served::new().await;
    let (receipt, statement) = (Digest([4; 32]), Digest([5; 32]));
    for sequence in 0..3 {
        let message = Message::Endorsements(endorsements::Message::Endorse {
            receipt,
            statement,
            bond: Amount::fwy(2),
            arbiter: address("bob"),
            expiry: Height(50),
        });
        let transaction = served.kit.sign("alice", sequence, message);
        served.kit.submit(&transaction).await;
    }
    served.kit.commit();
    let award = endorsements::Message::Award {
        endorsement: endorsements::EndorsementId(1),
        claimant: address("host"),
        amount: Amount::fwy(1),
    };
    let award = served.kit.sign("bob", 0, Message::Endorsements(award));
    served.kit.submit(&award).await;
    served.kit.commit();

    let client = &served.client;
    let page = client.endorsements(&address("alice"), None, 2).await.unwrap();
    assert_eq!((page.endorsements.len(), page.next), (2, Some(1)));
    assert_eq!((page.record.active, page.record.at_stake), (3, Amount::fwy(5)));
    let awarded = &page.endorsements[1];
    assert_eq!(
        (awarded.bond, awarded.awarded, awarded.left),
        (Amount::fwy(2), Amount::fwy(1), Amount::fwy(1))
    );
    assert_eq!((awarded.until, awarded.decided_by, awarded.made), (50, 62, 1));
    let rest = client.endorsements(&address("alice"), page.next, 2).await.unwrap();
    assert_eq!((rest.endorsements.len(), rest.next), (1, None));
    let of_receipt = client.endorsements_of_receipt(&receipt, Some(0), 1).await.unwrap();
    assert_eq!((of_receipt.endorsements[0].id, of_receipt.next), (1, Some(1)));
    assert_eq!(client.endorsement(1).await.unwrap(), *awarded);
    assert!(client.endorsement(7).await.unwrap_err().is_not_found());
    let none = client.endorsements(&address("bob"), None, 2).await.unwrap();
    assert_eq!((none.record.active, none.endorsements.len()), (0, 0));
}
