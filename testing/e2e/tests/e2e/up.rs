//! `freeway up`: a network for whoever wants to try one.

use std::time::{Duration, Instant};

use eyre::{Result, ensure, eyre};
use freeway_e2e::log::Secrets;
use freeway_e2e::{ReadyLine, Signal, Up, log, run_freeway, signal, wait};
use serde_json::Value;
use tempfile::TempDir;

use crate::{SOON, turn};

/// How long all hosts may take to stop in order.
const STOP: Duration = Duration::from_secs(10);

/// The directory's logs have no panics and not the passphrase.
fn check_logs(dir: &TempDir) -> Result<()> {
    let mut secrets = Secrets::default();
    secrets.add("the passphrase", std::fs::read_to_string(dir.path().join("passphrase"))?.trim());
    let key = std::fs::read_to_string(dir.path().join("api-key"))?;
    secrets.add("the key of the API", key.split_whitespace().last().unwrap_or_default());
    let faults = log::faults_below(dir.path(), &secrets);
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

async fn status(dir: &TempDir) -> Result<Value> {
    let dir = dir.path().to_string_lossy();
    run_freeway(["status", "--json", "--dir", dir.as_ref()]).await?.json()
}

async fn all_gone(up: &Up) -> Result<()> {
    wait::until(SOON, "the end of all hosts", || async {
        Ok::<_, String>(up.alive().is_empty().then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_comes_up_stops_and_goes_on() -> Result<()> {
    let _turn = turn().await;
    let dir = tempfile::tempdir()?;
    let mut up = Up::start(dir.path(), &[]).await?;
    let ReadyLine { ready, dir: told, rpc, pids, chain, .. } = up.ready().clone();
    ensure!(ready && told == dir.path().canonicalize()? && rpc.len() == 4 && pids.len() == 4);
    let gateway = up.ready().gateway_pid;
    ensure!(
        gateway.is_some() && up.alive() == pids.iter().copied().chain(gateway).collect::<Vec<_>>(),
        "all run"
    );
    wait::height(&up.client(0)?, 10, SOON).await?;

    let shown = status(&dir).await?;
    ensure!(shown["height"].as_u64() >= Some(10) && shown["epoch"].is_u64() && shown["phase"].is_string());
    let hosts = shown["hosts"].as_array().ok_or_else(|| eyre!("no hosts in {shown}"))?;
    ensure!(hosts.len() == 4, "{shown}");
    for host in hosts {
        ensure!(host["address"].as_str().is_some_and(|address| address.starts_with("fwy1")), "{host}");
        ensure!(host["weight"].as_u64() > Some(0) && host["power"].as_u64() > Some(0), "{host}");
    }

    let again = run_freeway(["up", "--json", "--dir", &told.to_string_lossy()]).await?.error()?;
    ensure!(again["code"] == "running" && again["hint"].is_string(), "{again}");

    let first = up.client(0)?.block(1).await?.id;
    let height = up.client(0)?.status().await?.height;
    let began = Instant::now();
    let ended = up.interrupt(STOP).await?;
    ensure!(ended.success() || ended.code() == Some(130), "{ended}");
    ensure!(up.alive().is_empty(), "hosts outlived `up`");
    ensure!(began.elapsed() < STOP, "{:?}", began.elapsed());

    let mut up = Up::start(dir.path(), &[]).await?;
    ensure!(up.ready().chain == chain, "the same network");
    ensure!(up.client(0)?.status().await?.height >= height, "the height fell");
    ensure!(up.client(0)?.block(1).await?.id == first, "another first block");
    up.interrupt(STOP).await?;

    let mut up = Up::start(dir.path(), &["--fresh"]).await?;
    ensure!(up.ready().chain != chain, "`--fresh` kept the old network");
    ensure!(up.client(0)?.block(1).await?.id != first);
    up.interrupt(STOP).await?;
    check_logs(&dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_up_leaves_nothing_behind() -> Result<()> {
    let _turn = turn().await;
    let dir = tempfile::tempdir()?;
    let mut up = Up::start(dir.path(), &["--hosts", "2"]).await?;
    ensure!(up.alive().len() == 3, "two hosts and the gateway");
    up.kill9().await?;
    all_gone(&up).await?;
    // The lock and the ports are free again, and the chain is whole.
    let mut up = Up::start(dir.path(), &[]).await?;
    up.interrupt(STOP).await?;
    check_logs(&dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_is_named_and_restarted_if_asked() -> Result<()> {
    let _turn = turn().await;
    let dir = tempfile::tempdir()?;
    let mut up = Up::start(dir.path(), &["--hosts", "4", "--restart"]).await?;
    let victim = up.ready().pids[3];
    ensure!(signal(victim, Signal::Kill));
    // Its new process answers at the same place, and reports another uptime; the others never stopped.
    let client = up.client(3)?;
    wait::until(SOON, "the killed host to be back", || async {
        let alive = freeway_e2e::is_alive(victim);
        client.status().await.map(|status| (!alive && status.synced).then_some(()))
    })
    .await?;
    wait::more_blocks(&client, 3, SOON).await?;
    up.interrupt(STOP).await?;
    check_logs(&dir)
}
