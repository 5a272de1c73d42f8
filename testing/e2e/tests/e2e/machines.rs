//! A second machine: `freeway join` at another address than the network's.

use std::path::Path;
use std::time::Duration;

use eyre::{Result, ensure, eyre};
use freeway_e2e::log::Secrets;
use freeway_e2e::{Up, log, run_freeway, wait};
use freeway_primitives::Address;

use crate::{SOON, turn};

/// How long everything may take to stop in order.
const STOP: Duration = Duration::from_secs(20);
/// Two epochs and more, on a busy machine.
const PROVEN: Duration = Duration::from_secs(420);
const PASSPHRASE: &str = "four random words here";

/// A file that its owner alone can read.
fn secret_file(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, PASSPHRASE)?;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?)
}

/// The error of a command that must not succeed.
async fn refused(dir: &Path, args: &[&str]) -> Result<(String, String)> {
    let dir = dir.to_string_lossy();
    let line = args.iter().copied().chain(["--json", "--dir", dir.as_ref()]);
    let error = run_freeway(line).await?.error()?;
    let field =
        |name: &str| error[name].as_str().map(str::to_owned).ok_or_else(|| eyre!("no {name}: {error}"));
    field("hint")?;
    Ok((field("code")?, field("message")?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_machine_joins_becomes_a_host_and_proves_its_compute() -> Result<()> {
    let _turn = turn().await;
    let folder = tempfile::tempdir()?;
    let (first, second, third) =
        (folder.path().join("first"), folder.path().join("second"), folder.path().join("third"));
    let words = folder.path().join("words");
    secret_file(&words)?;
    let words = words.to_string_lossy().into_owned();
    let mut up = Up::start(&first, &["--address", "127.0.0.2"]).await?;
    let node = up.ready().join.clone().ok_or_else(|| eyre!("it does not say how to join"))?;
    ensure!(node.starts_with("http://127.0.0.2:"), "{node}");
    ensure!(up.ready().rpc.iter().all(|url| url.contains("127.0.0.2")), "{:?}", up.ready().rpc);

    // What cannot work changes nothing.
    let (code, _) = refused(&second, &["join"]).await?;
    ensure!(code == "usage", "{code}");
    let (code, message) = refused(&second, &["join", "http://127.0.0.2:9"]).await?;
    ensure!(message.contains("127.0.0.2:9"), "{code}: {message}");
    let other = "ab".repeat(32);
    let (code, message) = refused(&second, &["join", &node, "--chain", &other]).await?;
    ensure!(code == "wrong_chain" && message.contains(&other), "{code}: {message}");
    let (code, _) = refused(&first, &["join", &node]).await?;
    ensure!(code == "running", "{code}");
    ensure!(!second.join("node").exists(), "a node was made for nothing");

    let dir = second.to_string_lossy().into_owned();
    let made = run_freeway(["keys", "new", "me", "--json", "--dir", &dir, "--passphrase-file", &words])
        .await?
        .json()?;
    let address = made["address"].as_str().ok_or_else(|| eyre!("no address in {made}"))?.to_owned();
    let host: Address = address.parse()?;
    let args = [
        &node,
        "--host",
        "me",
        "--address",
        "127.0.0.3",
        "--sprint-threads",
        "1",
        "--sprint-share",
        "20",
        "--passphrase-file",
        &words,
    ];
    let mut joined = Up::join(&second, &args).await?;
    ensure!(joined.ready().chain == up.ready().chain, "another network");
    let own = joined.client(0)?;
    let reached = up.client(0)?.status().await?.height;
    wait::height(&own, reached, SOON).await?;
    let block = reached.min(own.status().await?.height);
    ensure!(own.block(block).await?.id == up.client(0)?.block(block).await?.id, "another block {block}");
    ensure!(own.host(&host).await.is_err_and(|error| error.is_not_found()), "a host without money");

    let from = first.to_string_lossy().into_owned();
    // The second comes while the first still waits for its block, and waits for that.
    for (amount, more) in [("1", "--no-wait"), ("200", "--wait")] {
        let line = ["send", "--from", "developer", &address, amount, more, "--json", "--dir", &from];
        run_freeway(line).await?.json()?;
    }
    let view = wait::until(PROVEN, "weight of the second machine's host", || async {
        let view = match own.host(&host).await {
            Err(error) if error.is_not_found() => return Ok(None),
            answer => answer?,
        };
        Ok::<_, freeway_api::ClientError>((view.summary.weight > 0).then_some(view))
    })
    .await?;
    ensure!(view.endpoints.iter().all(|url| url.starts_with("http://127.0.0.3:")), "{:?}", view.endpoints);
    ensure!(own.status().await?.address == Some(host), "the node does not know its host");

    let config = std::fs::read_to_string(second.join("node/node.toml"))?;
    ensure!(config.contains("key_is_new = false"), "a lost node would sign at once:\n{config}");

    // It stops in order, and the next start needs no more than its directory.
    let height = own.status().await?.height;
    joined.interrupt(STOP).await?;
    ensure!(joined.alive().is_empty(), "the node outlived `join`");
    let (code, message) = refused(&second, &["up"]).await?;
    ensure!(code == "other_network", "{code}: {message}");
    let mut joined = Up::join(&second, &[]).await?;
    wait::height(&joined.client(0)?, height + 5, SOON).await?;
    ensure!(joined.client(0)?.status().await?.address == Some(host), "it forgot its host");
    joined.interrupt(STOP).await?;

    // The network keeps its address; a stranger's directory is not taken.
    up.interrupt(STOP).await?;
    let (code, _) = refused(&first, &["join", &node]).await?;
    ensure!(code == "other_network" || code == "unreachable", "{code}");
    let mut up = Up::start(&first, &[]).await?;
    ensure!(up.ready().join.as_ref() == Some(&node), "it moved: {:?}", up.ready().join);
    let mut third = Up::join(&third, &[&node, "--address", "127.0.0.4"]).await?;
    ensure!(third.client(0)?.status().await?.address.is_none(), "a follower has no host");
    third.interrupt(STOP).await?;
    up.interrupt(STOP).await?;

    let mut secrets = Secrets::default();
    secrets.add("the words", PASSPHRASE);
    for dir in [&first, &second] {
        secrets.add("a passphrase", std::fs::read_to_string(dir.join("passphrase"))?.trim());
    }
    let faults = log::faults_below(folder.path(), &secrets);
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}
