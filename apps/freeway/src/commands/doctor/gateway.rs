//! Gateways: that of a node, and one that runs by itself and pays hosts.

use std::path::Path;

use freeway_node::NodeConfig;
use freeway_node::config::{GatewayConfig, LanesConfig};
use freeway_primitives::Amount;
use serde::Deserialize;

use super::config::{failed, shared_mode};
use super::finding::{Check, Finding};
use super::net::{self, Seen};
use super::scope::GatewaySubject;
use crate::commands::asking::read_key;
use crate::commands::gateway::keys;
use crate::keystore::Keystore;

/// What `/health` says.
#[derive(Clone, Debug, Deserialize)]
struct Health {
    status: String,
    engines: Vec<EngineHealth>,
}

#[derive(Clone, Debug, Deserialize)]
struct EngineHealth {
    engine: String,
    ok: bool,
    detail: String,
}

/// What `/v1/lanes` says, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
struct Lanes {
    budget_left: String,
    models: Vec<ModelLanes>,
}

#[derive(Clone, Debug, Deserialize)]
struct ModelLanes {
    model: String,
    status: String,
    message: String,
    lanes: Vec<Lane>,
}

#[derive(Clone, Debug, Deserialize)]
struct Lane {
    shares: Vec<Share>,
}

#[derive(Clone, Debug, Deserialize)]
struct Share {
    left: String,
    excluded: bool,
}

/// The gateway of a node.
pub(super) async fn of_node(config: &NodeConfig, seen: &Seen) -> Vec<Check> {
    let Some(gateway) = &config.gateway else {
        return vec![Check::new("gateway", "health", Finding::none("no section [gateway]"))];
    };
    let mut checks = vec![Check::new("gateway", "keys", keys_of(gateway))];
    if seen.status().is_some() {
        checks.push(Check::new("gateway", "health", health(ask_health(gateway).await)));
    }
    checks
}

/// A gateway that runs by itself.
pub(super) async fn of_file(subject: Option<&GatewaySubject>) -> Vec<Check> {
    let check = |name, finding| Check::new("gateway", name, finding);
    let Some(GatewaySubject { path, file, rests }) = subject else { return Vec::new() };
    let file = match file {
        Ok(file) => file,
        Err(problem) => return vec![check("file", failed(problem, "correct the file"))],
    };
    let mut checks = vec![
        check("file", Finding::ok(format!("{} reads", path.display()))),
        check("keys", keys_of(&file.gateway)),
    ];
    if let Some(lanes) = &file.lanes {
        checks.push(check("payer", payer(lanes)));
    }
    if *rests {
        checks.push(check("health", Finding::none("the network does not run")));
        return checks;
    }
    checks.push(check("health", health(ask_health(&file.gateway).await)));
    if let Some(lanes) = &file.lanes {
        let asked = net::each(lanes.rpc.iter().take(net::AT_ONCE).map(|url| async move {
            let status = format!("{}/v1/status", url.trim_end_matches('/'));
            let asked = net::get::<serde_json::Value>(&status, None);
            (net::shown(url), asked.await.map(drop))
        }));
        checks.push(check("nodes", nodes(&asked.await)));
        checks.push(check("lanes", funded(ask_lanes(&file.gateway).await, lanes.fallback)));
    }
    checks
}

fn keys_of(gateway: &GatewayConfig) -> Finding {
    let Some(file) = &gateway.keys else {
        return if gateway.listen.ip().is_loopback() {
            Finding::ok("none: every program of this machine is answered")
        } else {
            Finding::failed(
                format!("everybody is answered at {}", gateway.listen),
                "name a file of keys as `keys` in [gateway]",
            )
        };
    };
    if let Err(problem) = keys(file) {
        return failed(&problem, "write one `NAME KEY` a line");
    }
    readable(file, shared_mode(file))
}

fn readable(file: &Path, shared: Option<u32>) -> Finding {
    match shared {
        Some(mode) => Finding::warning(
            format!("others can read {} (mode {mode:03o})", file.display()),
            format!("chmod 600 '{}'", file.display()),
        ),
        None => Finding::ok(format!("in {}", file.display())),
    }
}

async fn ask_health(gateway: &GatewayConfig) -> Result<Health, String> {
    if gateway.listen.port() == 0 {
        return Err("its port is chosen at each start".into());
    }
    net::get(&format!("{}/health", net::local_url(gateway.listen)), None).await
}

fn health(asked: Result<Health, String>) -> Finding {
    let health = match asked {
        Ok(health) => health,
        Err(error) => {
            return Finding::failed(
                format!("it does not answer: {error}"),
                "start it with `freeway gateway --config FILE`, or restart the node that has it; its log says more",
            );
        }
    };
    let ill: Vec<String> = health
        .engines
        .iter()
        .filter(|engine| !engine.ok)
        .map(|engine| format!("{}: {}", engine.engine, engine.detail))
        .collect();
    match (health.status.as_str(), ill.is_empty()) {
        ("ok", true) => Finding::ok(format!("{} engines", health.engines.len())),
        ("draining", _) => Finding::warning("it is stopping", "wait, then start it again"),
        _ => Finding::warning(
            ill.join(", "),
            "see what stands under engines and lanes; requests for other models are answered",
        ),
    }
}

fn payer(lanes: &LanesConfig) -> Finding {
    let entry = Keystore::open(&lanes.key.keystore).and_then(|keystore| keystore.entry(&lanes.key.name));
    match entry {
        Ok(entry) => Finding::ok(format!("{}, {}", entry.name, entry.address)),
        Err(error) => failed(&error.into(), "name the key that pays in [lanes.key]"),
    }
}

fn nodes(asked: &[(String, Result<(), String>)]) -> Finding {
    let silent: Vec<String> = asked
        .iter()
        .filter_map(|(url, result)| Some(format!("{url} ({})", result.as_ref().err()?)))
        .collect();
    let found = format!("{} of {} answer", asked.len() - silent.len(), asked.len());
    if silent.is_empty() {
        return Finding::ok(found);
    }
    let (found, remedy) =
        (format!("{found}; not {}", silent.join(", ")), "start them, or name others in `rpc` of [lanes]");
    if silent.len() == asked.len() { Finding::failed(found, remedy) } else { Finding::warning(found, remedy) }
}

async fn ask_lanes(gateway: &GatewayConfig) -> Result<Lanes, String> {
    // The gateway is this machine's own, and so is the file of its keys.
    let key = gateway.keys.as_deref().and_then(|file| read_key(file).ok());
    let url = format!("{}/v1/lanes", net::local_url(gateway.listen));
    net::get(&url, key.as_ref().map(|key| key.expose())).await
}

/// `fallback`: whether the gateway answers by itself meanwhile.
fn funded(asked: Result<Lanes, String>, fallback: bool) -> Finding {
    let lanes = match asked {
        Ok(lanes) => lanes,
        // A key with a budget must not see them.
        Err(error) => return Finding::none(format!("not shown: {error}")),
    };
    let amount = |text: &str| text.parse::<u128>().map(Amount).unwrap_or(Amount::ZERO);
    let mut words = Vec::new();
    let (mut waits, mut stuck, mut broken) = (false, None, false);
    for model in &lanes.models {
        let shares = model.lanes.iter().flat_map(|lane| &lane.shares).filter(|share| !share.excluded);
        let left = shares.fold(0u128, |sum, share| sum.saturating_add(amount(&share.left).0));
        match (model.status.as_str(), left) {
            ("open", 1..) => words.push(format!("{}: {} left", model.model, Amount(left))),
            ("open", _) => {
                broken = true;
                words.push(format!("{}: nothing left", model.model));
            }
            (status, _) => {
                let (what, then) = model.message.split_once("; ").unwrap_or((&model.message, ""));
                words.push(format!("{}: {what}", model.model));
                match status {
                    "opening" => waits = true,
                    "budget" => broken = true,
                    _ if then.is_empty() => {
                        stuck = Some("wait, if the network is new: its hosts and its beacon take a minute or so; else see the gateway's log".to_owned());
                    }
                    _ => stuck = Some(format!("{then}, or wait until its owner does")),
                }
            }
        }
    }
    let found = format!("{}; budget left {}", words.join(", "), amount(&lanes.budget_left));
    let meanwhile = if fallback { "; until then it answers by itself, without receipts" } else { "" };
    if broken {
        Finding::failed(
            found,
            format!(
                "give the paying account money, or raise `budget` in [lanes]; `freeway lane list` shows its lanes{meanwhile}"
            ),
        )
    } else if let Some(remedy) = stuck {
        let finding = Finding::failed(found, format!("{remedy}{meanwhile}"));
        if fallback { finding.at_most_a_warning() } else { finding }
    } else if waits {
        Finding::warning(found, format!("wait: a lane opens within a minute or so{meanwhile}"))
    } else {
        Finding::ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn health_is_judged() {
        let of = |status: &str, ok| {
            let engines =
                vec![EngineHealth { engine: "exact".into(), ok, detail: "its server is away".into() }];
            health(Ok(Health { status: status.into(), engines }))
        };
        assert_eq!(of("ok", true).status, Status::Ok);
        let ill = of("degraded", false);
        assert!(ill.status == Status::Warning && ill.found.contains("its server is away"));
        assert_eq!(of("draining", true).status, Status::Warning);
        assert_eq!(health(Err("refused".into())).status, Status::Failed);
    }

    #[test]
    fn lanes_without_money_fail() {
        let of_with = |status: &str, left: &str, fallback| {
            let lanes = vec![Lane { shares: vec![Share { left: left.into(), excluded: false }] }];
            let models = vec![ModelLanes {
                model: "guide".into(),
                status: status.into(),
                message: "told".into(),
                lanes,
            }];
            funded(Ok(Lanes { budget_left: "5000000000".into(), models }), fallback).status
        };
        let of = |status, left| of_with(status, left, true);
        assert_eq!(of("open", "1000"), Status::Ok);
        assert_eq!(of("open", "0"), Status::Failed);
        assert_eq!(of("opening", "0"), Status::Warning);
        assert_eq!(of("unregistered", "0"), Status::Warning);
        assert_eq!(of_with("problem", "0", true), Status::Warning);
        assert_eq!(of_with("problem", "0", false), Status::Failed);
        assert_eq!(of("budget", "0"), Status::Failed);
        assert_eq!(funded(Err("HTTP 403".into()), true).status, Status::NotApplicable);
    }

    #[test]
    fn nodes_that_do_not_answer_are_named() {
        let silent = ("http://a:1".to_owned(), Err("refused".to_owned()));
        let well = ("http://b:1".to_owned(), Ok(()));
        assert_eq!(nodes(std::slice::from_ref(&well)).status, Status::Ok);
        assert_eq!(nodes(&[well, silent.clone()]).status, Status::Warning);
        assert_eq!(nodes(&[silent]).status, Status::Failed);
    }
}
