//! Nodes on machines that are not as they should be: taken ports, damaged files, a full disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use eyre::{Result, WrapErr, bail, ensure, eyre};
use freeway_e2e::{Network, NodeProcess, Plan, Started, free_port, wait};
use freeway_primitives::{Amount, Canonical};
use serde_json::Value;

use crate::{SOON, turn};

fn one() -> Plan {
    Plan { hosts: 1, ..Plan::default() }
}

/// Launches a node that must end by itself with an error of two halves: its text.
async fn refuses_to_start(node: &mut NodeProcess) -> Result<String> {
    node.launch()?;
    let (status, error) = match node.listening().await? {
        Started::Ended(status, error) => (status, error),
        // Some parts are started after the node listens.
        Started::Listening => node.ended(SOON).await?,
    };
    explained(status.code(), &error)
}

fn explained(code: Option<i32>, error: &Value) -> Result<String> {
    let (message, hint) = (error["message"].as_str(), error["hint"].as_str());
    let (Some(message), Some(hint)) = (message, hint) else { bail!("no clear error: {error}") };
    ensure!(code == Some(1), "exit code {code:?}: {error}");
    Ok(format!("{message}; {hint}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_a_bad_file_and_a_second_node_are_named() -> Result<()> {
    let _turn = turn().await;
    let mut network = Network::lay(one())?;
    let node = network.node(0);
    let good = node.config()?;
    for part in ["rpc", "gossip", "consensus"] {
        let taken = std::net::TcpListener::bind(free_port())?;
        let address = taken.local_addr()?;
        node.reconfigure(|config| {
            *config = good.clone();
            match part {
                "rpc" => config.rpc.listen = address,
                "gossip" => config.gossip.listen = address,
                _ => config.consensus.listen = address,
            }
        })?;
        let error = refuses_to_start(node).await.wrap_err(part)?;
        ensure!(error.contains(&address.port().to_string()), "{part}: {error}");
    }
    node.reconfigure(|config| *config = good.clone())?;
    let path = node.home().join("node.toml");
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, format!("colour = 3\n{text}"))?;
    let error = refuses_to_start(node).await?;
    ensure!(error.contains("colour"), "{error}");
    std::fs::write(&path, &text)?;

    node.start().await?;
    // Another process on the same data.
    let twin = node.home().with_file_name("twin");
    std::fs::create_dir_all(&twin)?;
    let mut config = good.clone();
    config.data = node.data();
    config.key.keystore = node.home().join("keys");
    (config.rpc.listen, config.gossip.listen, config.consensus.listen) =
        (free_port(), free_port(), free_port());
    std::fs::write(twin.join("node.toml"), config.to_toml())?;
    let error = refuses_to_start(&mut NodeProcess::new(twin)).await?;
    ensure!(error.contains("in use"), "{error}");
    wait::more_blocks(&network.client(0)?, 2, SOON).await?;
    network.stop().await
}

/// A file below `folder` by its name.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find(&path, name) {
                return Some(found);
            }
        } else if entry.file_name().to_str() == Some(name) {
            return Some(path);
        }
    }
    None
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A way to spoil a file.
type Harm = fn(&mut Vec<u8>);

const HARMS: [(&str, Harm); 4] = [
    ("its first bytes are gone", |bytes| bytes.iter_mut().take(64).for_each(|byte| *byte = 0)),
    ("bits are flipped all over", |bytes| bytes.iter_mut().step_by(997).for_each(|byte| *byte ^= 0x10)),
    ("its second half is missing", |bytes| bytes.truncate(bytes.len() / 2)),
    ("it is empty", Vec::clear),
];

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_recovered_or_named_and_never_cause_a_panic() -> Result<()> {
    let _turn = turn().await;
    let mut network = Network::start(one()).await?;
    let client = network.client(0)?;
    let to = network.actor(1).address();
    let hash = network.actor(0).pay(&client, to, Amount::fwy(1)).await?;
    client.wait_for_transaction(&hash, SOON).await?;
    wait::height(&client, 20, SOON).await?;
    network.actor(0).pay(&client, to, Amount::fwy(1)).await?;
    network.node(0).kill9().await?;
    let (data, whole) = (network.node(0).data(), network.node(0).home().join("whole"));
    copy(&data, &whole)?;

    let mut outcomes = Vec::new();
    for name in ["state.redb", "blocks.redb", "consensus.wal", "mempool.journal"] {
        for (harm, spoil) in HARMS {
            std::fs::remove_dir_all(&data)?;
            copy(&whole, &data)?;
            let path = find(&data, name).ok_or_else(|| eyre!("there is no {name}"))?;
            let mut bytes = std::fs::read(&path)?;
            spoil(&mut bytes);
            std::fs::write(&path, &bytes)?;
            let outcome = goes_on_or_says_why(network.node(0), &client).await;
            outcomes.push(outcome.wrap_err_with(|| format!("{name}: {harm}")));
        }
    }
    let failures: Vec<String> =
        outcomes.into_iter().filter_map(|o| o.err().map(|e| format!("{e:#}"))).collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

async fn goes_on_or_says_why(node: &mut NodeProcess, client: &freeway_api::Client) -> Result<()> {
    let before = node.log().len();
    node.launch()?;
    let result = match node.listening().await {
        Ok(Started::Listening) => {
            tokio::select! {
                blocks = wait::more_blocks(client, 2, Duration::from_secs(20)) => blocks.map(|_| None),
                ended = node.ended(SOON) => ended.map(Some),
            }
        }
        Ok(Started::Ended(status, error)) => Ok(Some((status, error))),
        Err(error) => Err(error),
    };
    if node.is_running() {
        node.kill9().await?;
    }
    let log = node.log()[before..].to_owned();
    ensure!(
        !log.contains("panicked"),
        "a panic: {}",
        log.lines().find(|l| l.contains("panicked")).unwrap_or("")
    );
    match result? {
        None => Ok(()),
        Some((status, error)) => explained(status.code(), &error).map(drop),
    }
}

fn largest_kib(folder: &Path) -> Result<u64> {
    let mut largest = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let size = if entry.file_type()?.is_dir() {
            largest_kib(&entry.path())?
        } else {
            entry.metadata()?.len() >> 10
        };
        largest = largest.max(size);
    }
    Ok(largest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_node_with_advice_and_loses_nothing() -> Result<()> {
    let _turn = turn().await;
    let mut network = Network::start(one()).await?;
    let client = network.client(0)?;
    wait::height(&client, 5, SOON).await?;
    network.node(0).stop().await?;
    let room = largest_kib(&network.node(0).data())? + 64;
    network.node(0).limit_files(Some(room));
    network.node(0).start().await?;

    let mut acknowledged = Vec::new();
    let to = network.actor(7).address();
    let error = loop {
        ensure!(acknowledged.len() < 200_000, "the disk never fills");
        for at in 0..7 {
            // Until it is gone, the node says so, or takes no more for now.
            let Ok(status) = client.status().await else { break };
            let batch: Vec<_> = (0..64)
                .map(|_| {
                    let actor = network.actor(at);
                    let transfer = actor.next(status.height, to, Amount(1)).encode();
                    actor.acknowledged();
                    transfer
                })
                .collect();
            let Ok(answers) = client.submit_many(&batch).await else { break };
            let taken = answers.iter().take_while(|answer| answer.is_ok()).count();
            acknowledged.extend(answers.into_iter().flatten());
            network.actor(at).rewind((64 - taken) as u64);
        }
        if let Ok((status, error)) = network.node(0).ended(Duration::from_millis(100)).await {
            break explained(status.code(), &error)?;
        }
    };
    ensure!(error.contains("space") || error.contains("disk"), "{error}");

    network.node(0).limit_files(None);
    network.node(0).start().await?;
    for hash in &acknowledged {
        let found = client.wait_for_transaction(hash, SOON).await.wrap_err("acknowledged, but lost")?;
        ensure!(found.height.is_some(), "{found:?}");
    }
    network.check_conservation(&client).await?;
    network.stop().await
}
