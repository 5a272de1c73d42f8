//! `freeway doctor` in front of what goes wrong.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use eyre::{Result, ensure, eyre};
use freeway_e2e::{Network, Plan, Ran, Up, free_port, run_freeway, wait};
use freeway_node::config::{ServeConfig, UpstreamConfig};
use serde_json::Value;

use crate::{SOON, turn};

/// How long all hosts may take to stop in order.
const STOP: Duration = Duration::from_secs(20);

/// What was said, by node and check.
struct Said {
    ran: Ran,
    checks: BTreeMap<(String, String), Value>,
    ok: bool,
}

impl Said {
    fn status(&self, node: &str, id: &str) -> &str {
        self.checks
            .get(&(node.into(), id.into()))
            .and_then(|check| check["status"].as_str())
            .unwrap_or("absent")
    }

    fn remedy(&self, id: &str) -> &str {
        let check = self.checks.get(&(String::new(), id.to_owned()));
        check.and_then(|check| check["remedy"].as_str()).unwrap_or_default()
    }

    fn failed(&self) -> Vec<&str> {
        let failed = self.checks.iter().filter(|(_, check)| check["status"] == "failed");
        failed.map(|((_, id), _)| id.as_str()).collect()
    }
}

async fn doctor(arguments: &[&str]) -> Result<Said> {
    let ran =
        run_freeway(["doctor", "--json", "--fast"].into_iter().chain(arguments.iter().copied())).await?;
    let report: Value = serde_json::from_str(ran.stdout.trim())?;
    let ok = report["ok"].as_bool().ok_or_else(|| eyre!("no verdict: {report}"))?;
    ensure!(ok == ran.status.success() && (ok || ran.error()?["code"] == "unhealthy"), "{ran:?}");
    let mut checks = BTreeMap::new();
    for check in report["checks"].as_array().ok_or_else(|| eyre!("no checks: {report}"))? {
        let told =
            check["status"] == "ok" || check["status"] == "not_applicable" || check["remedy"].is_string();
        ensure!(told, "a finding without remedy: {check}");
        let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
        ensure!(text("id").starts_with(&text("group")), "{check}");
        checks.insert((text("node"), text("id")), check.clone());
    }
    Ok(Said { ran, checks, ok })
}

async fn of_node(home: &Path, more: &[&str]) -> Result<Said> {
    let home = home.to_string_lossy();
    doctor(&[&["--home", home.as_ref()], more].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_network_has_nothing_that_failed() -> Result<()> {
    let _turn = turn().await;
    let dir = tempfile::tempdir()?;
    let mut up = Up::start(dir.path(), &[]).await?;
    wait::height(&up.client(0)?, 3, SOON).await?;
    let text = dir.path().to_string_lossy().into_owned();
    let running = doctor(&["--dir", &text]).await?;
    ensure!(running.ok, "{}", running.ran.stdout);
    ensure!(
        running.status("", "machine.processor") != "absent"
            && running.status("gateway", "gateway.health") == "ok"
    );
    for host in ["host-1", "host-4"] {
        for id in [
            "config.key",
            "clock.agreement",
            "ports.sprint",
            "ports.url",
            "peers.gossip",
            "chain.synced",
            "chain.height",
            "chain.signing",
            "host.registered",
            "host.collateral",
            "gateway.keys",
        ] {
            ensure!(running.status(host, id) == "ok", "{host} {id}: {}", running.ran.stdout);
        }
    }
    let gossip = &running.checks[&("host-2".to_owned(), "peers.gossip".to_owned())];
    ensure!(gossip["found"].as_str().is_some_and(|found| found.starts_with("3 of 3")), "{gossip}");

    // The keys are used, but nothing of them is said, and nothing is left behind.
    for secret in ["passphrase", "api-key"] {
        let secret = std::fs::read_to_string(dir.path().join(secret))?;
        let secret = secret.split_whitespace().last().unwrap_or_default();
        ensure!(
            !secret.is_empty()
                && !running.ran.stdout.contains(secret)
                && !running.ran.stderr.contains(secret)
        );
    }
    let left = std::fs::read_dir(dir.path().join("host-1/data"))?;
    let left: Vec<_> = left.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    ensure!(left.iter().all(|name| !name.starts_with(".doctor")), "{left:?}");

    up.interrupt(STOP).await?;
    let stopped = doctor(&["--dir", &text]).await?;
    ensure!(stopped.ok, "{}", stopped.ran.stdout);
    ensure!(stopped.status("host-1", "chain.answers") == "not_applicable", "{}", stopped.ran.stdout);
    ensure!(stopped.status("host-1", "ports.rpc") == "ok" && stopped.status("host-1", "config.data") == "ok");
    // And the network starts again after the look.
    let mut up = Up::start(dir.path(), &[]).await?;
    up.interrupt(STOP).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_node_from_starting_is_named() -> Result<()> {
    let _turn = turn().await;
    let mut network = Network::lay(Plan::racing())?;
    let home = network.node(0).home().to_owned();
    // The others do not run either: that is said, and is not what this is about.
    let alone = of_node(&home, &[]).await?;
    ensure!(alone.failed() == ["peers.consensus", "peers.gossip"], "{}", alone.ran.stdout);
    ensure!(alone.status("", "ports.rpc") == "ok" && alone.status("", "chain.answers") == "not_applicable");
    ensure!(!home.join("data").exists(), "the look made something");

    // Somebody else listens where the node is to listen.
    let taken = network.node(0).config()?.rpc.listen;
    let held = TcpListener::bind(taken)?;
    let said = of_node(&home, &[]).await?;
    ensure!(
        said.status("", "ports.rpc") == "failed" && said.status("", "ports.gossip") == "ok",
        "{}",
        said.ran.stdout
    );
    ensure!(said.remedy("ports.rpc").contains(&format!("{}", taken.port())), "{}", said.remedy("ports.rpc"));
    drop(held);

    // An engine that is not there.
    let engine = free_port();
    network.node(0).reconfigure(|config| {
        let models = [("guide".to_owned(), "theirs".to_owned())].into();
        let upstream = UpstreamConfig { url: format!("http://{engine}/v1"), key_file: None, models };
        config.serve = Some(ServeConfig { upstream: vec![upstream], ..ServeConfig::default() });
    })?;
    let said = of_node(&home, &[]).await?;
    ensure!(said.status("", "engines.upstream") == "failed", "{}", said.ran.stdout);
    ensure!(said.remedy("engines.upstream").contains("serve.upstream"));

    // Permissions, and a configuration with a slip of the pen.
    use std::os::unix::fs::PermissionsExt;
    let key = home.join("keys/node.json");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644))?;
    let said = of_node(&home, &[]).await?;
    ensure!(said.status("", "config.key") == "failed" && said.remedy("config.key").starts_with("chmod 600"));
    let path = home.join("node.toml");
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, text.replace("moniker", "monicker"))?;
    let said = of_node(&home, &[]).await?;
    let found = &said.checks[&(String::new(), "config.file".to_owned())];
    ensure!(said.failed() == ["config.file"] && found["found"].to_string().contains("monicker"), "{found}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_behind_is_told() -> Result<()> {
    let _turn = turn().await;
    let mut network = Network::start(Plan::default()).await?;
    let witness = network.client(0)?;
    let at = network.add_follower(Vec::new())?;
    // It finds nobody, so it stays where it begins.
    network.node(at).reconfigure(|config| {
        config.consensus.peers.clear();
        config.gossip.peers.clear();
    })?;
    network.node(at).start().await?;
    wait::height(&witness, 15, SOON).await?;
    let home = network.node(at).home().to_owned();
    let said = of_node(&home, &["--rpc", witness.url()]).await?;
    let failed = said.failed();
    ensure!(
        failed.contains(&"chain.height") && failed.contains(&"chain.peers"),
        "{failed:?} {}",
        said.ran.stdout
    );
    ensure!(said.status("", "chain.answers") == "ok" && said.status("", "clock.agreement") == "ok");
    ensure!(said.status("", "config.key_is_new") == "ok", "it signs nothing");
    // The others are well, seen with the same eyes.
    let well = of_node(network.node(1).home(), &["--rpc", witness.url()]).await?;
    ensure!(well.ok && well.status("", "chain.height") == "ok", "{}", well.ran.stdout);
    network.stop().await
}
