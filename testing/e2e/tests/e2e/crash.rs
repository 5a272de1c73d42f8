//! Validators that are killed and come back.

use std::time::Duration;

use eyre::{Result, ensure};
use freeway_api::SigningView;
use freeway_e2e::{Network, Plan, wait};
use freeway_primitives::Amount;
use tokio::time::{Instant, sleep};

use crate::{SOON, turn};

/// How long a network without a quorum is watched. Its rounds take about two seconds, so it would have decided
/// several blocks in this time, if it could.
const STANDSTILL: Duration = Duration::from_secs(6);

/// Waits until a node signs and the chain knows it again.
async fn signs_again(network: &Network, at: usize) -> Result<()> {
    let client = network.client(at)?;
    let own = client.status().await?.address;
    wait::until(SOON, "the node's signature in a block", || async {
        let block = client.latest_block().await?;
        // A certificate needs only two thirds, so the node's own signature is in most, not in all.
        Ok::<_, freeway_api::ClientError>(
            own.is_some_and(|own| block.certificate.signers.contains(&own)).then_some(()),
        )
    })
    .await?;
    ensure!(client.status().await?.signing == SigningView::Active);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_validator_is_missed_by_nobody_and_catches_up() -> Result<()> {
    let _turn = turn().await;
    let mut network = Network::start(Plan::default()).await?;
    let witness = network.client(0)?;
    network.node(3).kill9().await?;
    let height = wait::more_blocks(&witness, 8, SOON).await?;
    network.node(3).start().await?;
    wait::height(&network.client(3)?, height, SOON).await?;
    signs_again(&network, 3).await?;
    network.check_agreement().await?;
    network.check_nobody_convicted().await?;
    network.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_the_chain_stands_and_does_not_fork() -> Result<()> {
    let _turn = turn().await;
    let mut network = Network::start(Plan::default()).await?;
    let (witness, other) = (network.client(0)?, network.client(1)?);
    wait::height(&witness, 3, SOON).await?;
    network.node(2).kill9().await?;
    network.node(3).kill9().await?;
    // What was decided before the second kill may still arrive: look again until nothing moves.
    let started = Instant::now();
    let mut stood = witness.status().await?.height.max(other.status().await?.height);
    let mut since = Instant::now();
    // That nothing happens can be seen only by watching for some time.
    while since.elapsed() < STANDSTILL {
        sleep(Duration::from_millis(200)).await;
        let now = witness.status().await?.height.max(other.status().await?.height);
        if now > stood {
            ensure!(started.elapsed() < Duration::from_secs(3), "a block at {now} without a quorum");
            (stood, since) = (now, Instant::now());
        }
    }
    // Transactions are still taken in, and wait.
    let to = network.actor(1).address();
    let hash = network.actor(0).pay(&witness, to, Amount::fwy(1)).await?;
    for at in [2, 3] {
        network.node(at).start().await?;
    }
    wait::more_blocks(&witness, 5, SOON).await?;
    let paid = witness.wait_for_transaction(&hash, SOON).await?;
    ensure!(paid.height.is_some(), "{paid:?}");
    network.all_at(paid.height.unwrap_or_default(), SOON).await?;
    network.check_agreement().await?;
    network.check_nobody_convicted().await?;
    network.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_the_death_of_all() -> Result<()> {
    let _turn = turn().await;
    let mut network = Network::start(Plan::default()).await?;
    let client = network.client(2)?;
    let to = network.actor(7).address();
    let mut hashes = Vec::new();
    for at in 0..4 {
        for _ in 0..5 {
            hashes.push(network.actor(at).pay(&client, to, Amount::fwy(1)).await?);
        }
    }
    // At once after the last acknowledgement, all of them.
    for at in 0..4 {
        network.node(at).kill9().await?;
    }
    for at in 0..4 {
        network.node(at).launch()?;
    }
    for at in 0..4 {
        network.node(at).listening().await?;
    }
    let client = network.client(2)?;
    for hash in hashes {
        let found = client.wait_for_transaction(&hash, SOON).await?;
        ensure!(found.height.is_some(), "acknowledged, but not included: {hash}");
    }
    let account = client.account(&to).await?;
    ensure!(account.balance == Amount::fwy(1_020), "{}", account.balance);
    network.check_agreement().await?;
    network.check_nobody_convicted().await?;
    network.stop().await
}
