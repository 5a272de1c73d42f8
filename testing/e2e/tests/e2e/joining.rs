//! Nodes that come without data: after a loss, or for the first time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eyre::{Result, ensure, eyre};
use freeway_api::SigningView;
use freeway_e2e::{Network, Plan, Proxy, Started, wait};

use crate::{SOON, turn};

/// A network with a snapshot on the first node.
async fn with_snapshot() -> Result<Network> {
    let network = Network::start(Plan::default()).await?;
    let client = network.client(0)?;
    // Snapshots are made once an epoch, and offered when the block after them is there.
    wait::until(SOON, "a snapshot", || async {
        client.snapshots().await.map(|view| (!view.snapshots.is_empty()).then_some(()))
    })
    .await?;
    wait::more_blocks(&client, 2, SOON).await?;
    Ok(network)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_lost_its_data_watches_before_it_signs() -> Result<()> {
    let _turn = turn().await;
    let mut network = Network::start(Plan::default()).await?;
    let witness = network.client(0)?;
    wait::height(&witness, 8, SOON).await?;
    network.node(2).kill9().await?;
    network.node(2).wipe()?;
    network.node(2).reconfigure(|config| config.join.key_is_new = false)?;
    network.node(2).start().await?;
    let client = network.client(2)?;
    ensure!(client.status().await?.signing == SigningView::Watching, "it must not sign at once");
    // A crash meanwhile does not make it forget that it has forgotten.
    network.node(2).kill9().await?;
    network.node(2).start().await?;
    wait::height(&client, witness.status().await?.height, SOON).await?;
    wait::until(SOON, "the node to sign again", || async {
        client.status().await.map(|status| (status.signing == SigningView::Active).then_some(()))
    })
    .await?;
    wait::more_blocks(&client, 5, SOON).await?;
    network.check_agreement().await?;
    network.check_nobody_convicted().await?;
    network.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_node_joins_from_a_snapshot() -> Result<()> {
    let _turn = turn().await;
    let mut network = with_snapshot().await?;
    let witness = network.client(0)?;
    let at = network.add_follower(vec![witness.url().to_owned()])?;
    network.node(at).start().await?;
    let follower = network.client(at)?;
    wait::height(&follower, witness.status().await?.height, SOON).await?;
    let status = follower.status().await?;
    ensure!(status.oldest_block > 1, "it executed from genesis: {status:?}");
    ensure!(status.signing == SigningView::None && status.address.is_none());
    // The block after carries the root of the state after this one.
    let next = status.height + 1;
    wait::height(&witness, next, SOON).await?;
    let root = network.block(0, next).await?.header.state_root;
    ensure!(root == status.state_root, "another state at {}", status.height);
    network.check_agreement().await?;
    // A restart goes on from its own data, whatever the source does now.
    let height = follower.status().await?.height;
    network.node(at).stop().await?;
    network.node(at).reconfigure(|config| config.join.snapshot_from = vec!["http://127.0.0.1:9".into()])?;
    network.node(at).start().await?;
    ensure!(network.client(at)?.status().await?.height >= height, "it began anew");
    network.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_source_is_refused_by_name_and_an_honest_one_used() -> Result<()> {
    let _turn = turn().await;
    let mut network = with_snapshot().await?;
    let target = network.nodes()[0].config()?.rpc.listen;
    let changed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&changed);
    let liar = Proxy::start(target, move |path, body| {
        if path.starts_with("/v1/sync/snapshots/")
            && let Some(middle) = body.len().checked_div(2)
            && let Some(byte) = body.get_mut(middle)
        {
            *byte ^= 1;
            counter.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await?;

    let at = network.add_follower(vec![liar.url()])?;
    network.node(at).launch()?;
    let Started::Ended(_, error) = network.node(at).listening().await? else {
        return Err(eyre!("the node trusted a changed snapshot"));
    };
    ensure!(changed.load(Ordering::Relaxed) > 0, "the lie was never told");
    let message = error["message"].as_str().unwrap_or_default().to_owned();
    ensure!(message.contains(&liar.url()), "the liar is not named: {error}");
    ensure!(error["hint"].as_str().is_some_and(|hint| hint.contains("join.snapshot_from")), "{error}");

    let honest = network.client(0)?.url().to_owned();
    network.node(at).reconfigure(|config| config.join.snapshot_from = vec![liar.url(), honest])?;
    network.node(at).start().await?;
    let tip = network.client(0)?.status().await?.height;
    wait::height(&network.client(at)?, tip, SOON).await?;
    ensure!(network.client(at)?.status().await?.oldest_block > 1);
    network.check_agreement().await?;
    network.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_says_nothing_useful_is_named() -> Result<()> {
    let _turn = turn().await;
    let mut network = Network::lay(Plan { hosts: 1, ..Plan::default() })?;
    network.node(0).reconfigure(|config| config.join.snapshot_from = vec!["http://127.0.0.1:9".into()])?;
    network.node(0).launch()?;
    let Started::Ended(status, error) = network.node(0).listening().await? else {
        return Err(eyre!("the node started from nothing"));
    };
    ensure!(
        !status.success() && error["message"].as_str().is_some_and(|m| m.contains("127.0.0.1:9")),
        "{error}"
    );
    let limit = Duration::from_secs(1);
    ensure!(network.node(0).ended(limit).await.is_err(), "it was still there");
    Ok(())
}
