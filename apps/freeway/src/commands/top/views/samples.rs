//! A network for tests: as nodes describe it, and as strangers would like to.

use freeway_api::{HostSummary, Status};
use freeway_primitives::{Address, Digest};
use serde_json::json;

use crate::commands::top::logs;
use crate::commands::top::model::{Detail, Message, Model, News, View};

/// The moment of all samples.
pub(in crate::commands::top) const NOW: u64 = 1_795_410_600_000;
/// A name that does what names must not.
pub(in crate::commands::top) const HOSTILE: &str = "\x1b[2J\u{202e}evil│东京の主機\u{300}\u{9b}31m👨‍👩‍👧";

pub(in crate::commands::top) fn address(number: u8) -> Address {
    Address([number; 32])
}

pub(in crate::commands::top) fn host(number: u8, operator: &str, power: u64) -> HostSummary {
    serde_json::from_value(json!({
        "address": address(number).to_string(), "weight": power * 2, "h100_equivalents": 0.000009,
        "reputation": number, "power": power, "status": if number == 3 { "leaving" } else { "active" },
        "operator": operator, "region": if number == 2 { HOSTILE } else { "local" }, "silent": number == 2,
    }))
    .unwrap()
}

pub(in crate::commands::top) fn status(hosts: &[HostSummary]) -> Status {
    serde_json::from_value(json!({
        "chain": "ab".repeat(32), "name": "local", "version": "0.1.0", "height": 1234, "block": "cd".repeat(32),
        "time_ms": NOW - 700, "state_root": "ef".repeat(32), "oldest_block": 1, "epoch": 20, "phase": "serve",
        "epoch_start": 1201, "blocks_left_in_phase": 12, "blocks_left_in_epoch": 26, "synced": true,
        "behind_ms": 700, "peers": 3, "mempool": {"transactions": 5, "bytes": 2048}, "signing": "active",
        "address": null, "uptime_s": 90,
        "sprint": {"epoch": 20, "stage": "verdicts", "stage_until": 1240, "seed": "12".repeat(32),
            "commitments": 3, "nonces": 68484, "verdicts": 7, "verdicts_owed": 9, "settled_epoch": 19,
            "weight": 4044, "h100_equivalents": 0.000016},
        "beacon": {"epoch": 20, "latest_height": 1233, "latest_value": "34".repeat(32)},
        "hosts_complete": true, "hosts": hosts,
    }))
    .unwrap()
}

/// News of everything.
fn all_news() -> Vec<News> {
    let (one, two, three) = (address(1).to_string(), address(2).to_string(), address(3).to_string());
    let digest = |byte: u8| Digest([byte; 32]).to_string();
    let now = json!({
        "height": 1234,
        "clock": {"epoch": 20, "phase": "serve", "epoch_blocks": 60, "left_in_phase": 12, "left_in_epoch": 26,
            "block_ms": 700, "phases": [
                {"phase": "sprint", "blocks": 12}, {"phase": "commit_grace", "blocks": 2},
                {"phase": "challenge", "blocks": 1}, {"phase": "verify", "blocks": 12},
                {"phase": "serve", "blocks": 32}, {"phase": "switch", "blocks": 1}]},
        "history": {"state": "current", "height": 1234, "first": 1, "complete": true, "behind": 0, "problem": null},
        "capacity": {"h100_equivalents": 0.000016, "hosts": 3, "epoch": 19, "proven": true},
        "tokens": {"per_second": 21.4, "tokens": 900, "seconds": 42.0, "total": 26687},
        "prices": [
            {"model": digest(9), "name": "guide", "input": "850763025", "cached": "85076304", "output": "3403052093", "utilisation": 628},
            {"model": digest(8), "name": HOSTILE, "input": "1", "cached": "0", "output": "340282366920938463463374607431768211455", "utilisation": null}],
        "useful": {"share": 0.123, "epoch": 19},
        "checks": {"epoch": 20, "made": 24, "failed": 1, "total_made": 817, "total_failed": 1},
        "blocks": {"per_second": 1.4, "transactions": 68, "failed": 2, "seconds": 71.0},
        "money": {"emission": "99715000000", "fees_settled": "305527", "epoch": 19},
    });
    let epoch = |number: u64| {
        json!({
        "epoch": number, "time_ms": NOW, "blocks": 60, "h100_equivalents": number as f64 * 1e-6, "tokens": 700 + number * 9,
        "checks_made": 24, "checks_failed": 0})
    };
    let block = |height: u64| {
        json!({
        "height": height, "id": digest(1), "time_ms": NOW - (1234 - height) * 700, "proposer": one, "round": 0,
        "signers": 3, "transactions": 1, "bytes": 600})
    };
    let racer = |host: &str, operator: &str, nonces: u64, void: Option<&str>| {
        json!({
        "host": host, "operator": operator, "nonces": nonces, "devices": [], "void": void,
        "committee": [{"member": one, "given": true}, {"member": two, "given": nonces > 9000}],
        "reveals_due": 4, "reveals_done": 3, "demands": [], "trials": []})
    };
    let race = json!({
        "height": 1234, "epoch": 20, "stage": "verdicts", "seed": digest(7), "seed_height": 1201, "started": 1202,
        "deadline": 1215, "challenged": 1216, "verdicts_until": 1240, "drawn": null, "reveals_until": null,
        "settles": null, "ended": null,
        "rules": {"shape": "tiny", "macs_per_nonce": 1327104, "weight_shift": 24, "committee": 3, "leaves": 48,
            "revealed": 4, "answer_blocks": 3, "demand_bond": "100000", "accusation_bond": "1000000000",
            "conviction_thousandths": 200},
        "commitments": 3, "nonces": 68484, "voids": 1, "verdicts_given": 7, "verdicts_owed": 9, "demands_open": 1,
        "trials_open": 1, "settled": 19});
    let racers = json!([
        racer(&one, "one", 30_000, None),
        racer(&two, HOSTILE, 20_000, Some("withheld")),
        racer(&three, "three", 8_000, None)
    ]);
    let earned = |host: &str, granted: &str| {
        json!({
        "height": 1234, "host": host,
        "last": {"epoch": 19, "capacity": "1", "served": "0", "bonded": "0", "verdicts": "0"},
        "granted": granted, "bonded": "0", "released": "5", "forfeited": "7000000000", "verdicts": "3055",
        "vesting": "22428857906", "buckets": [],
        "fees": {"open": "189828", "open_limit": "20000000000", "open_intervals": [177], "matured": "305671",
            "settled": "305671", "to_settle": "0", "settled_in_epoch": "0", "convicted": 800},
        "duties": {"owed": 3, "done": 2}})
    };
    let commitment = |interval: u64, host: &str, state: &str, wrong: u64| {
        json!({
        "height": 1234, "interval": interval, "host": host, "operator": "x", "fees": (interval * 1_000).to_string(),
        "state": state, "round": 0, "disputes": wrong,
        "branches": [{"lane": 1, "root": digest(2), "count": 3, "fees": "305527", "tokens": 100 + interval, "model": digest(9),
            "tier": "exact", "constraints": {"regions": [], "operators": []},
            "committee": [{"member": two, "earlier": false, "verdict": {"right": 8 - wrong, "wrong": wrong, "not_shown": 0, "contradicted": 0, "false": false}},
                {"member": three, "earlier": false, "verdict": null}]}],
        "samples": [{"branch": 0, "point": "1"}], "reveal": null, "revealed": false, "demands": [], "reports": [], "trials": []})
    };
    let work = json!({"height": 1234, "interval": 103, "first": 1230, "last": 1241, "last_commit": 1244, "window": 32,
        "rounds": [{"interval": 102, "round": 0, "stage": "waiting", "until": 1240, "draws_from": 1240, "drawn": null,
            "verdicts_until": null, "closing": null, "reveals_until": null, "settles": null}]});
    let lane = |lane: u64, state: &str| {
        json!({
        "lane": lane, "payer": address(9).to_string(), "name": HOSTILE, "escrow": "20000000000", "state": state,
        "hosts": [one], "opened": 63, "fees_settled": "305527", "paid": "229000"})
    };
    let mut detail = serde_json::to_value(host(1, "one", 300)).unwrap();
    let more = json!({"consensus_key": "", "endpoints": ["http://127.0.0.1:1"], "hardware": HOSTILE, "collateral": "100000000000",
        "unbonding": [{"amount": "5000000000", "free_at": 2000}], "since_epoch": 0});
    detail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    detail["consensus_key"] = json!(freeway_primitives::SecretKey::from_seed([1; 32]).public().to_string());
    macro_rules! read {
        ($value:expr) => {
            serde_json::from_value($value).unwrap()
        };
    }
    vec![
        News::Reached { url: "http://127.0.0.1:7700".into() },
        News::Status(Box::new(status(&[host(1, "one", 300), host(2, HOSTILE, 200), host(3, "two", 100)]))),
        News::Now(Some(read!(now))),
        News::Epochs((0..20).map(|number| read!(epoch(number))).collect()),
        News::Blocks((1_200..=1_234).map(|height| read!(block(height))).collect()),
        News::Race(read!(race), read!(racers)),
        News::Earned(read!(earned(&one, "579905000000"))),
        News::Earned(read!(earned(&two, "9579905000000"))),
        News::Rounds(read!(work)),
        News::Commitment(read!(commitment(100, &one, "matured", 0))),
        News::Commitment(read!(commitment(101, &two, "open", 2))),
        News::Commitment(read!(commitment(102, &one, "open", 0))),
        News::Commitment(read!(commitment(99, &three, "withheld", 0))),
        News::Lanes(vec![read!(lane(2, "open")), read!(lane(1, "ended"))]),
        News::Host(Box::new(Detail { host: read!(detail), lanes: Vec::new(), history: Vec::new() })),
    ]
}

/// A model that knows something of everything.
pub(in crate::commands::top) fn lively() -> Model {
    let mut model = Model::new(View::Network, NOW);
    for news in all_news() {
        model.update(Message::News(Box::new(news)), NOW);
    }
    let lines = [
        "2026-11-23T05:09:31.227019Z  INFO freeway_node::beacon::dealing: taking part epoch=1",
        "2026-11-23T05:09:32.227019Z  WARN freeway_node::gossip: \x1b[31mpeer left\x1b[0m",
        "2026-11-23T05:09:33.227019Z ERROR freeway_store: no room left",
        "thread panicked",
    ];
    model.update(Message::Files(true), NOW);
    model.update(Message::Lines(lines.map(|line| logs::read("host-1", line)).into()), NOW);
    model
}
