//! The race among real processes: power comes out of work, and fraud costs it.

use std::time::Duration;

use eyre::{Result, ensure, eyre};
use freeway_e2e::race::{Racer, Races};
use freeway_e2e::{Network, Plan, wait};

use crate::{SOON, turn};

/// How long a few epochs of a racing plan may take on a busy machine.
const EPOCHS: Duration = Duration::from_secs(180);

fn racers(network: &Network) -> Result<Vec<Racer>> {
    network.nodes().iter().map(|node| Racer::new(&node.config()?)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn power_comes_out_of_work() -> Result<()> {
    let _turn = turn().await;
    let network = Network::start(Plan::racing()).await?;
    let (racers, client) = (racers(&network)?, network.client(0)?);
    let mut races = Races::new(client.clone(), racers.clone());
    // The first comes with no processor time to compare with but its own; the power follows the first two.
    for _ in 0..2 {
        races.next(EPOCHS).await?;
    }
    let (epoch, parts) = races.next(EPOCHS).await?;
    ensure!(parts.len() == 4, "not all hosts were in the race of epoch {epoch}: {parts:?}");
    for (host, part) in &parts {
        ensure!(part.result.void.is_none(), "{host} lost an honest race: {part:?}");
        ensure!(part.result.owed == part.result.done, "{host} missed a duty: {part:?}");
        ensure!(part.result.weight > 0, "{host} proved nothing: {part:?}");
    }
    // What counts is the work, not who did it. Wide bounds, as the machine may be busy: docs/benchmarks.md has
    // the measurement.
    let rates: Vec<f64> = parts.values().map(|part| part.result.count as f64 / part.cpu_seconds).collect();
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    ensure!(rates.iter().all(|rate| (rate / mean - 1.0).abs() < 0.5), "nonces by CPU-second: {rates:?}");
    let count = |at: usize| parts[&racers[at].host].result.count;
    ensure!(count(0) > 2 * count(3), "40 % of the time proved little more than 10 %: {parts:?}");

    // What counts is the smaller of two races, so one that a busy machine spoiled takes an epoch more.
    let status = wait::until(EPOCHS, "power that follows the work", || async {
        let status = client.status().await.map_err(|error| error.to_string())?;
        let power = |at: usize| {
            let shown = status.hosts.iter().find(|shown| shown.address == racers[at].host);
            shown.map_or(0, |shown| shown.power)
        };
        if power(0) > power(3) && power(3) > 0 {
            Ok(Some(status))
        } else {
            Err(format!("{:?}", status.hosts))
        }
    })
    .await?;
    ensure!(status.sprint.seed.is_some(), "{:?}", status.sprint);
    let value = client.beacon_value(status.height.saturating_sub(3)).await?;
    ensure!(value.recorded_in > value.height, "{value:?}");
    network.check_nobody_convicted().await?;
    network.check_agreement().await?;
    network.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fakes_its_work_is_convicted_and_loses_its_power() -> Result<()> {
    let _turn = turn().await;
    // One leaf in five: found by 144 draws with certainty for all practical purposes.
    let plan = Plan { adversary: Some("fake:20".into()), ..Plan::racing() };
    let network = Network::start(plan).await?;
    let (racers, client) = (racers(&network)?, network.client(0)?);
    let (_, parts) = Races::new(client.clone(), racers.clone()).next(EPOCHS).await?;
    let cheat = racers[3].host;
    for (host, part) in &parts {
        let expected = (*host == cheat).then_some("convicted");
        ensure!(part.result.void.as_deref() == expected, "{host}: {part:?}");
    }
    ensure!(parts[&cheat].result.weight == 0, "{:?}", parts[&cheat]);
    // It signs nothing any more, and the chain goes on.
    wait::until(EPOCHS, "the loss of its power", || async {
        let status = client.status().await.map_err(|error| error.to_string())?;
        let shown = status.hosts.iter().find(|shown| shown.address == cheat);
        let power = shown.map_or(0, |shown| shown.power);
        if power == 0 { Ok(Some(())) } else { Err(format!("it has {power}")) }
    })
    .await?;
    wait::more_blocks(&client, 5, SOON).await?;
    network.check_agreement().await?;
    network.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_in_mid_race_keeps_its_honest_weight() -> Result<()> {
    let _turn = turn().await;
    let mut network = Network::start(Plan::racing()).await?;
    let (racers, client) = (racers(&network)?, network.client(0)?);
    let killed = &racers[1];
    let before = wait::until(EPOCHS, "the first race", || async {
        let progress = killed.progress().await.map_err(|error| error.to_string())?;
        if progress.epoch == 1 && progress.nonces > 1_000 {
            Ok(Some(progress.nonces))
        } else {
            Err(format!("{progress:?}"))
        }
    })
    .await?;
    network.node(1).kill9().await?;
    network.node(1).start().await?;
    let (epoch, parts) = Races::new(client, racers.clone()).next(EPOCHS).await?;
    ensure!(epoch == 1, "the race of epoch 1 did not settle, but that of {epoch}");
    let part = parts.get(&killed.host).ok_or_else(|| eyre!("it committed nothing"))?;
    ensure!(part.result.void.is_none(), "{part:?}");
    // What was computed in the last second before the end may be lost.
    ensure!(part.result.count > before / 4, "{part:?}, {before} nonces before the end");
    network.check_nobody_convicted().await?;
    network.stop().await
}
