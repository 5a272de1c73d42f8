//! What a race cost each host, and what it proved.

use std::collections::BTreeMap;
use std::time::Duration;

use eyre::{Result, ensure, eyre};
use freeway_api::{Client, SprintResultView};
use freeway_node::NodeConfig;
use freeway_primitives::Address;
use serde::Deserialize;

use crate::wait;

/// A host of a racing network.
#[derive(Clone, Debug)]
pub struct Racer {
    /// The account that owns it.
    pub host: Address,
    /// Where it says how far it is.
    progress: String,
}

/// What a host says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Progress {
    /// The race's epoch.
    pub epoch: u64,
    /// Nonces of this race.
    pub nonces: u64,
    /// Processor time of all races since the process started, in seconds.
    pub cpu_seconds: f64,
}

/// A host's part in a race.
#[derive(Clone, Debug)]
pub struct Part {
    /// What the race found.
    pub result: SprintResultView,
    /// Processor time that the race took, in seconds.
    pub cpu_seconds: f64,
}

impl Racer {
    /// The host of a node.
    ///
    /// # Errors
    /// If it does not sprint.
    pub fn new(config: &NodeConfig) -> Result<Self> {
        let host = config.host().map_err(|error| eyre!(error))?.ok_or_else(|| eyre!("it is no host"))?;
        let sprint = config.sprint.as_ref().ok_or_else(|| eyre!("it does not sprint"))?;
        Ok(Self { host, progress: format!("http://{}/v1/sprint/progress", sprint.listen) })
    }

    /// How far it is.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn progress(&self) -> Result<Progress> {
        Ok(reqwest::get(&self.progress).await?.error_for_status()?.json().await?)
    }
}

/// Follows the races of a network, one after the other.
#[derive(Debug)]
pub struct Races {
    client: Client,
    racers: Vec<Racer>,
    /// Processor time of each host before the race that comes.
    spent: BTreeMap<Address, f64>,
    epoch: u64,
}

impl Races {
    /// Follows from the network's first race on; must be made before it begins.
    pub fn new(client: Client, racers: Vec<Racer>) -> Self {
        Self { client, racers, spent: BTreeMap::new(), epoch: 0 }
    }

    /// Waits until the next race has settled: its epoch, and each host's part in it.
    ///
    /// # Errors
    /// If it does not settle within `limit`, or if one was missed.
    pub async fn next(&mut self, limit: Duration) -> Result<(u64, BTreeMap<Address, Part>)> {
        let last = self.epoch;
        let epoch = wait::until(limit, "the next race to settle", || async {
            let race = self.client.sprint().await.map_err(|error| error.to_string())?;
            if race.settled > Some(last) {
                Ok(race.settled)
            } else {
                Err(format!("epoch {:?} is {}, {:?} was the last", race.epoch, race.stage, race.settled))
            }
        })
        .await?;
        ensure!(last == 0 || epoch == last + 1, "after the race of epoch {last} came that of {epoch}");
        self.epoch = epoch;
        let results = self.client.sprint_results(None, 100).await?;
        let mut parts = BTreeMap::new();
        for racer in &self.racers {
            let spent = racer.progress().await?.cpu_seconds;
            let before = self.spent.insert(racer.host, spent).unwrap_or_default();
            if let Some(result) = results.results.iter().find(|result| result.host == racer.host) {
                parts.insert(racer.host, Part { result: result.clone(), cpu_seconds: spent - before });
            }
        }
        Ok((epoch, parts))
    }
}
