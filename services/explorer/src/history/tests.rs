//! The read model over chains that are made up.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use freeway_ledger::lanes::Lane;
use freeway_ledger::models::{Description, Model, Tier};
use freeway_ledger::work::{Claim, Void};
use freeway_ledger::{
    Body, Event, GenesisAccount, GenesisHost, Message, Outcome, Preset, Receipt, Text, accounts,
    endorsements, hosts, lanes, models, pricing, rewards, sprint, verification, weights, work,
};
use freeway_primitives::{Address, Amount, Canonical, Digest, Header, SecretKey, Validator, ValidatorSet};
use freeway_proofs::sum::{Sums, Total};
use freeway_proofs::work::{LaneId, Prices};
use serde_json::Value as Json;
use tempfile::TempDir;

use super::*;
use crate::facts::Included;
use crate::now::Figures;
use crate::tables::{self, Query, TABLES};

const ROOT: Digest = Digest([9; 32]);
const LANE: LaneId = LaneId(7);
/// Text that is no name, but that a hostile person could register.
const HOSTILE: &str = "=<img src=x onerror=alert('1')>\",\"'; DROP TABLE events; --";

fn key(name: &str) -> SecretKey {
    let mut seed = [3; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    SecretKey::from_seed(seed)
}

fn address(name: &str) -> Address {
    Address::of(&key(name).public())
}

fn genesis(network: &str) -> Genesis {
    let host = |name: &str| GenesisHost {
        address: address(name),
        consensus_key: key(name).public(),
        weight: 100,
        collateral: Amount::fwy(10),
        operator: Text::new(HOSTILE).unwrap(),
        region: Text::new("here").unwrap(),
        endpoints: Vec::new(),
    };
    let account = |name: &str| GenesisAccount { address: address(name), balance: Amount::fwy(1_000) };
    Genesis {
        name: Text::new(network).unwrap(),
        time_ms: 1_700_000_000_000,
        params: Preset::Local.params(),
        accounts: ["one", "two", "payer"].map(account).into(),
        hosts: vec![host("one"), host("two")],
    }
}

/// What blocks do not say, without a node.
struct Known(Genesis);

impl Beside for Known {
    fn hosts(&self, _: Height) -> Result<Vec<(Address, weights::Record)>, HistoryError> {
        let record = |weight| weights::Record { now: weight, before: weight, ..Default::default() };
        Ok(self.0.hosts.iter().map(|host| (host.address, record(host.weight))).collect())
    }

    fn models(&self, _: Height) -> Result<Vec<(Digest, Model)>, HistoryError> {
        Ok(Vec::new())
    }

    fn lanes(&self, _: Height) -> Result<Vec<(u64, Lane)>, HistoryError> {
        Ok(Vec::new())
    }

    fn validators(&self, height: Height) -> Result<Option<ValidatorSet>, HistoryError> {
        let power = 10 + height.0 % 7;
        let member = |name: &str, power| Validator { address: address(name), key: key(name).public(), power };
        Ok(Some(ValidatorSet::new(vec![member("one", power), member("two", 5)]).unwrap()))
    }
}

fn included(from: &str, message: Message, events: Vec<Event>) -> Included {
    let body = Body {
        chain: genesis("net").chain(),
        signer: key(from).public(),
        on_behalf_of: None,
        sequence: 1,
        expiry: Height(9_999),
        message,
    };
    let transaction = body.sign(&key(from));
    let receipt = Receipt { transaction: transaction.hash(), outcome: Outcome::Done, events };
    Included { hash: transaction.hash(), bytes: transaction.encode().len() as u64, transaction, receipt }
}

fn transfer(height: u64) -> Included {
    let (to, amount) = (address("one"), Amount(u128::from(height)));
    let event = Event::Accounts(accounts::Event::Transferred { from: address("payer"), to, amount });
    included("payer", Message::Accounts(accounts::Message::Transfer { to, amount }), vec![event])
}

/// A block of a chain on which everything happens, epoch after epoch.
fn facts(height: u64) -> Facts {
    let params = Preset::Local.params();
    let clock = Calendar { params: params.clone() }.clock(Height(height));
    let place = height - clock.start.0;
    let (one, two) = (address("one"), address("two"));
    let header = Header {
        chain: genesis("net").chain(),
        height: Height(height),
        time_ms: 1_700_000_000_000 + height * 700,
        proposer: one,
        parent: BlockId(Digest([1; 32])),
        parent_certificate: Digest([0; 32]),
        state_root: Digest([0; 32]),
        receipts_root: Digest([0; 32]),
        transactions_root: Digest([0; 32]),
        validators: Digest([0; 32]),
        next_validators: Digest([0; 32]),
        beacon: None,
    };
    let mut transactions = vec![transfer(height)];
    let mut events = Vec::new();
    if height == 3 {
        let description = Description {
            name: Text::new(HOSTILE).unwrap(),
            tier: Tier::Exact,
            context: 10,
            vocabulary: 10,
            work: 1_000,
            prices: Prices { input: 1_000_000, cached: 100_000, output: 2_000_000 },
            noise: None,
        };
        let event = models::Event::Registered { root: ROOT, name: description.name.clone() };
        let message = Message::Models(models::Message::Register { root: ROOT, description });
        transactions.push(included("payer", message, vec![Event::Models(event)]));
    }
    if height == 4 {
        let opened =
            lanes::Event::Opened { lane: LANE, payer: address("payer"), model: ROOT, escrow: Amount(5_000) };
        events.push(Event::Lanes(opened));
        events.push(Event::Lanes(lanes::Event::Drawn { lane: LANE, hosts: vec![one, two] }));
        events.push(Event::Endorsements(endorsements::Event::Endorsed {
            endorsement: endorsements::EndorsementId(1),
            endorser: address("payer"),
            receipt: Digest([5; 32]),
            bond: Amount(70),
            arbiter: two,
            expiry: Height(100),
        }));
    }
    let sprint = params.epochs.sprint_blocks;
    if place == sprint {
        events.push(Event::Sprint(sprint::Event::Committed { host: one, count: 40 }));
    }
    if place == sprint + 2 {
        events.push(Event::Sprint(sprint::Event::VerdictsGiven { member: two, hosts: 3 }));
        events.push(Event::Sprint(sprint::Event::Voided { host: two, reason: sprint::Void::Withheld }));
        let now = 100 + clock.epoch.0;
        let change = |host, now| weights::Event::Changed { host, now, before: 100, reputation: 2 };
        events.push(Event::Weights(change(one, now)));
        events.push(Event::Weights(change(two, 0)));
        let settled = sprint::Event::RaceSettled { epoch: clock.epoch, hosts: 2, proven: 1 };
        events.push(Event::Sprint(settled));
    }
    if place == sprint + 3 && height > 10 {
        let sums = Sums { fees: 4_000, tokens: 500 };
        let total = Total { root: Digest([2; 32]), count: 3, sums };
        let message = work::Message::Commit { interval: height, claims: vec![Claim { lane: LANE, total }] };
        let event = work::Event::Committed { host: one, interval: height, fees: Amount(4_000) };
        transactions.push(included("one", Message::Work(message), vec![Event::Work(event)]));
        events.push(Event::Verification(verification::Event::VerdictsGiven {
            member: two,
            interval: height,
            verdicts: 2,
        }));
        let void = |reason| Event::Work(work::Event::Voided { host: two, interval: height, reason });
        events.push(void(Void::Omitted));
        events.push(void(Void::NoRandomness));
        let settled =
            lanes::Event::Settled { lane: LANE, host: one, fees: Amount(4_000), paid: Amount(3_000) };
        events.push(Event::Lanes(settled));
        let prices = Prices { input: 1_000_000 + height, cached: 1, output: 2_000_000 };
        events.push(Event::Pricing(pricing::Event::Changed { root: ROOT, prices, utilisation: 12 }));
    }
    if place + 1 == params.epochs.epoch_blocks {
        let emitted =
            rewards::Event::Emitted { epoch: clock.epoch, emission: Amount(u128::MAX), pooled: Amount(1) };
        events.push(Event::Rewards(emitted));
        let grant = rewards::Grant {
            epoch: clock.epoch,
            capacity: Amount(10),
            served: Amount(5),
            bonded: Amount(3),
            verdicts: Amount(2),
        };
        events.push(Event::Rewards(rewards::Event::Granted { host: one, grant }));
    }
    let parent = (height > 1).then_some((0, 2));
    Facts { id: header.id(), header, bytes: 1_000, parent, events, transactions }
}

const WIDE: Bounds = Bounds { epochs: 400, rows: 1_000_000 };

fn open(folder: &Path, network: &str, bounds: Bounds) -> History {
    History::open(folder, &genesis(network), bounds, |mark| mark.block == facts(mark.height.0).id).unwrap()
}

/// A history of so many blocks, in batches of this length.
fn history(bounds: Bounds, blocks: u64, batch: usize) -> (TempDir, History) {
    let folder = tempfile::tempdir().unwrap();
    let mut history = open(folder.path(), "net", bounds);
    let chain: Vec<Facts> = (1..=blocks).map(facts).collect();
    for batch in chain.chunks(batch) {
        history.apply(batch, &Known(genesis("net"))).unwrap();
    }
    (folder, history)
}

/// All rows of all tables.
fn dump(history: &History) -> String {
    let connection = history.connection();
    let mut text = String::new();
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut names = connection.prepare(names).unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for name in names {
        let mut rows = connection.prepare(&format!("SELECT * FROM {name} ORDER BY 1, 2")).unwrap();
        let columns = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<String> = (0..columns).map(|c| format!("{:?}", row.get_ref(c).unwrap())).collect();
            text.push_str(&format!("{name} {}\n", cells.join(" | ")));
        }
    }
    text
}

fn rows(history: &History, table: &str, query: &[(&str, &str)]) -> Vec<Json> {
    let pairs: Vec<(String, String)> =
        query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let query = Query::read(tables::table(table).unwrap(), &pairs).unwrap();
    match query.page(history.connection()).unwrap().json()["rows"].take() {
        Json::Array(rows) => rows,
        other => panic!("{other}"),
    }
}

fn epoch_blocks() -> u64 {
    Preset::Local.params().epochs.epoch_blocks
}

#[test]
fn a_rebuild_gives_the_same_tables() {
    let blocks = 3 * epoch_blocks() + 20;
    let (_one, by_one) = history(WIDE, blocks, 1);
    let (_many, by_many) = history(WIDE, blocks, 64);
    let text = dump(&by_one);
    assert_eq!(text, dump(&by_many));
    for table in TABLES {
        assert!(!rows(&by_one, table.name, &[]).is_empty(), "{}", table.name);
    }
    let narrow = Bounds { epochs: 2, rows: 50 };
    let (_one, by_one) = history(narrow, blocks, 1);
    let (_many, by_many) = history(narrow, blocks, 100);
    assert_eq!(dump(&by_one), dump(&by_many));
}

#[test]
fn history_is_bounded_and_the_oldest_rows_go() {
    let blocks = 5 * epoch_blocks() + 40;
    let (_folder, history) = history(Bounds { epochs: 2, rows: 60 }, blocks, 64);
    let epochs = rows(&history, "epochs", &[("order", "old")]);
    let numbers: Vec<_> = epochs.iter().map(|row| row["epoch"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [4, 5]);
    for table in ["blocks", "transactions", "events"] {
        let kept = rows(&history, table, &[("limit", "10000")]);
        // The oldest go every sixteen blocks.
        assert!((30..=60 + 16 * 8).contains(&kept.len()), "{table}: {}", kept.len());
        assert_eq!(kept[0]["height"], blocks, "{table}");
    }
    assert!(
        rows(&history, "host-epochs", &[("limit", "10000")])
            .iter()
            .all(|row| row["epoch"].as_u64() >= Some(4))
    );
    assert!(rows(&history, "prices", &[]).iter().all(|row| row["epoch"].as_u64() >= Some(4)));
}

#[test]
fn epochs_say_what_happened_in_them() {
    let (_folder, history) = history(WIDE, 2 * epoch_blocks() + 5, 10);
    let epoch = &rows(&history, "epochs", &[("from", "1"), ("to", "1")])[0];
    assert_eq!((epoch["raced"].as_u64(), epoch["proven"].as_u64()), (Some(2), Some(1)));
    assert_eq!(epoch["weight"], "101");
    assert_eq!(epoch["nonces"], "40");
    assert_eq!(epoch["checks_made"], 5);
    // A void race, and one commitment that was the host's fault.
    assert_eq!(epoch["checks_failed"], 2);
    assert_eq!((epoch["tokens"].as_u64(), epoch["fees_committed"].as_str()), (Some(500), Some("4000")));
    assert_eq!(epoch["fees_settled"], "4000");
    assert_eq!(epoch["emission"], u128::MAX.to_string());
    assert_eq!((epoch["hosts"].as_u64(), epoch["validators"].as_u64()), (Some(2), Some(2)));
    assert_eq!(epoch["complete"], true);
    assert_eq!(epoch["end"], 2 * epoch_blocks());
    // 4,000 base units at 2,000,000 for a million tokens, each worth 1,000 multiply-adds.
    let params = Preset::Local.params();
    let capacity = (100u128 << params.sprint.weight_shift) * u128::from(params.epochs.epoch_blocks)
        / u128::from(params.epochs.sprint_blocks);
    let share = (2_000.0 * 1_000.0 / capacity as f64).min(1.0);
    assert!((epoch["useful_share"].as_f64().unwrap() - share).abs() < 1e-9, "{epoch}");

    let one = &rows(&history, "host-epochs", &[("host", &address("one").to_string()), ("epoch", "1")])[0];
    assert_eq!((one["weight"].as_str(), one["reputation"].as_u64()), (Some("101"), Some(2)));
    assert_eq!(one["power"], 10 + (epoch_blocks() + 1) % 7);
    assert_eq!((one["granted"].as_str(), one["verdict_reward"].as_str()), (Some("15"), Some("2")));
    assert_eq!((one["fees_settled"].as_str(), one["fees_paid"].as_str()), (Some("4000"), Some("3000")));
    let two = &rows(&history, "host-epochs", &[("host", &address("two").to_string()), ("epoch", "1")])[0];
    assert_eq!((two["checks_made"].as_u64(), two["checks_failed"].as_u64()), (Some(5), Some(2)));
}

#[test]
fn hosts_that_left_weigh_nothing_after_the_next_race() {
    let folder = tempfile::tempdir().unwrap();
    let mut history = open(folder.path(), "net", WIDE);
    let mut chain: Vec<Facts> = (1..=epoch_blocks()).map(facts).collect();
    let changes = |event: &Event| matches!(event, Event::Weights(_));
    for facts in &mut chain {
        facts.events.retain(|event| !changes(event));
    }
    chain[1].events.push(Event::Hosts(hosts::Event::Left { host: address("two") }));
    history.apply(&chain, &Known(genesis("net"))).unwrap();
    let epoch = &rows(&history, "epochs", &[])[0];
    assert_eq!((epoch["weight"].as_str(), epoch["hosts"].as_u64()), (Some("100"), Some(1)));
}

#[test]
fn a_file_is_used_again_only_if_it_fits() {
    let (folder, history) = history(WIDE, 40, 10);
    let path = folder.path().join(FILE);
    drop(history);
    let height =
        |network: &str, bounds| open(folder.path(), network, bounds).mark().map(|mark| mark.height.0);
    assert_eq!(height("net", WIDE), Some(40), "the same again");
    assert_eq!(height("net", Bounds { epochs: 3, ..WIDE }), None, "other bounds");

    let fill = || {
        let mut history = open(folder.path(), "net", WIDE);
        history.apply(&[facts(1), facts(2)], &Known(genesis("net"))).unwrap();
    };
    fill();
    assert_eq!(height("other", WIDE), None, "another network");
    fill();
    Connection::open(&path)
        .unwrap()
        .execute("UPDATE meta SET value = '0' || value WHERE key = 'fingerprint'", [])
        .unwrap();
    assert_eq!(height("net", WIDE), None, "another version");
    fill();
    let not_the_chains = History::open(folder.path(), &genesis("net"), WIDE, |_| false).unwrap();
    assert_eq!(not_the_chains.mark(), None, "blocks that the chain has not");
    drop(not_the_chains);
    fill();
    std::fs::write(&path, vec![0xab; 40_000]).unwrap();
    assert_eq!(height("net", WIDE), None, "no database at all");
    std::fs::write(&path, b"").unwrap();
    assert_eq!(height("net", WIDE), None, "an empty file");
}

#[test]
fn what_does_not_follow_is_refused_and_changes_nothing() {
    let (_folder, mut history) = history(WIDE, 5, 5);
    let before = dump(&history);
    let beside = Known(genesis("net"));
    assert!(matches!(history.apply(&[facts(6), facts(8)], &beside), Err(HistoryError::Order(Height(8)))));
    assert!(matches!(history.apply(&[facts(5)], &beside), Err(HistoryError::Order(Height(5)))));
    assert_eq!(dump(&history), before);
    history.apply(&[facts(6)], &beside).unwrap();
    assert_eq!(history.mark().unwrap().height, Height(6));
    history.forget().unwrap();
    assert_eq!((history.mark(), history.first()), (None, None));
    // It may begin anywhere, and says that it does.
    history.apply(&[facts(20), facts(21)], &beside).unwrap();
    assert_eq!(history.first(), Some(Height(20)));
    assert_eq!(rows(&history, "epochs", &[])[0]["complete"], false);
}

#[test]
fn hostile_text_stays_text() {
    let (_folder, history) = history(WIDE, epoch_blocks(), 10);
    let events = rows(&history, "events", &[("kinds", "models.registered")]);
    assert_eq!(events[0]["data"]["name"], HOSTILE);
    assert_eq!(rows(&history, "lanes", &[])[0]["name"], HOSTILE);
    for query in ["' OR 1=1 --", "x'; DROP TABLE events; --", "%"] {
        assert!(rows(&history, "events", &[("subject", query)]).is_empty(), "{query}");
        assert!(rows(&history, "transactions", &[("sender", query)]).is_empty(), "{query}");
    }
    let prices = Query::read(tables::table("prices").unwrap(), &[("format".into(), "csv".into())]).unwrap();
    let csv = prices.page(history.connection()).unwrap().csv();
    assert!(csv.contains("\"'=<img"), "{csv}");
}

#[test]
fn pages_follow_each_other_and_filters_choose() {
    let (_folder, history) = history(WIDE, 50, 50);
    let page = |query: &[(&str, &str)]| {
        let pairs: Vec<_> = query.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let query = Query::read(tables::table("transactions").unwrap(), &pairs).unwrap();
        query.page(history.connection()).unwrap().json()
    };
    let all = page(&[("limit", "1000")]);
    assert_eq!((all["height"].as_u64(), all["next"].is_null()), (Some(50), true));
    for order in ["new", "old"] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let mut query = vec![("limit", "7"), ("order", order)];
            if !after.is_empty() {
                query.push(("after", after.as_str()));
            }
            let found = page(&query);
            seen.extend(found["rows"].as_array().unwrap().clone());
            match found["next"].as_str() {
                Some(next) => after = next.to_owned(),
                None => break,
            }
        }
        if order == "old" {
            seen.reverse();
        }
        assert_eq!(&seen, all["rows"].as_array().unwrap(), "{order}");
    }
    let commits = page(&[("kind", "work.commit")]);
    assert!(commits["rows"].as_array().unwrap().iter().all(|row| row["kind"] == "work.commit"));
    assert!(page(&[("ok", "false")])["rows"].as_array().unwrap().is_empty());
    let some = page(&[("from", "10"), ("to", "12")]);
    let heights: Vec<_> = some["rows"].as_array().unwrap().iter().map(|row| row["height"].as_u64()).collect();
    assert!(heights.iter().all(|height| (10..=12).contains(&height.unwrap())) && heights.len() >= 3);
    let sprint = rows(&history, "events", &[("kinds", "sprint.*,accounts.transferred"), ("limit", "1000")]);
    let kinds: std::collections::BTreeSet<_> =
        sprint.iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains("sprint.voided") && kinds.contains("accounts.transferred"), "{kinds:?}");
    assert!(!kinds.contains("weights.changed"), "{kinds:?}");
}

#[test]
fn every_figure_of_the_present_leads_to_its_rows() {
    let (_folder, history) = history(WIDE, 2 * epoch_blocks() + 30, 50);
    let calendar = Calendar { params: genesis("net").params };
    let figures = Figures::read(&history, &calendar, &[]).unwrap();
    let figures = serde_json::to_value(&figures).unwrap();
    for name in ["capacity", "tokens", "useful", "checks", "money"] {
        let trace = &figures[name]["trace"];
        let (from, to) = (trace["from"].to_string(), trace["to"].to_string());
        let range = [("from", from.as_str()), ("to", to.as_str()), ("limit", "1000")];
        let found = match trace["transactions"].as_str() {
            Some(kind) => {
                let mut query = range.to_vec();
                query.push(("kind", kind));
                rows(&history, "transactions", &query)
            }
            None => {
                let kinds: Vec<_> =
                    trace["kinds"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
                let kinds = kinds.join(",");
                let mut query = range.to_vec();
                query.push(("kinds", &kinds));
                rows(&history, "events", &query)
            }
        };
        assert!(!found.is_empty(), "{name}: {trace}");
    }
    assert_eq!(figures["capacity"]["weight"], "102");
    assert_eq!(figures["checks"]["total_made"], 15);
    assert_eq!(figures["prices"][0]["name"], HOSTILE);
    assert_eq!(figures["money"]["emission"], u128::MAX.to_string());
    assert!(figures["blocks"]["per_second"].as_f64().unwrap() > 1.0);
}

#[test]
fn figures_of_an_empty_history_are_empty() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path(), "net", WIDE);
    let calendar = Calendar { params: genesis("net").params };
    assert_eq!(Figures::read(&history, &calendar, &[]).unwrap(), Figures::default());
    for table in TABLES {
        assert!(rows(&history, table.name, &[]).is_empty());
    }
}

#[test]
fn absurd_queries_are_refused_with_a_reason() {
    let read = |table: &str, name: &str, value: &str| {
        Query::read(tables::table(table).unwrap(), &[(name.to_owned(), value.to_owned())]).map(drop)
    };
    for (table, name, value) in [
        ("blocks", "limit", "0"),
        ("blocks", "limit", "10001"),
        ("blocks", "limit", "-1"),
        ("blocks", "from", "1e9"),
        ("blocks", "from", ""),
        ("blocks", "to", "99999999999999999999999"),
        ("blocks", "to", "18446744073709551615"),
        ("blocks", "after", "x"),
        ("blocks", "order", "sideways"),
        ("blocks", "format", "xml"),
        ("blocks", "colour", "red"),
        ("transactions", "ok", "maybe"),
        ("events", "kinds", ""),
        ("events", "kinds", "A;B"),
        ("events", "kinds", "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a"),
        ("events", "lane", "-7"),
    ] {
        assert!(read(table, name, value).is_err(), "{table} {name}={value}");
    }
    assert!(read("events", "subject", &"x".repeat(201)).is_err());
    let twice = [("limit".to_owned(), "1".to_owned()), ("limit".to_owned(), "2".to_owned())];
    assert!(Query::read(tables::table("blocks").unwrap(), &twice).is_err());
    assert!(read("blocks", "from", "9007199254740992").is_ok(), "far away is empty, and no error");
}
