//! How well proven weight follows the work, on a network of `freeway up`.
//!
//! ```text
//! cargo build --release -p freeway
//! cargo run --release -p freeway-e2e --bin freeway-race -- --races 5
//! ```
//!
//! Prints, for each race and host, nonces, processor time, and by how much its nonces by CPU-second differ from the mean of
//! all hosts; then the median of that difference for each host.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use clap::Parser;
use eyre::{Result, ensure};
use freeway_e2e::Up;
use freeway_e2e::race::{Racer, Races};
use freeway_node::NodeConfig;
use freeway_primitives::Address;

/// How long one epoch of the local preset may take.
const EPOCH: Duration = Duration::from_secs(300);

/// Measures the races of a network on this machine.
#[derive(Debug, Parser)]
struct Options {
    /// Races to measure.
    #[arg(long, default_value_t = 5)]
    races: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(options.races > 0, "nothing to measure");
    let folder = tempfile::tempdir()?;
    let mut up = Up::start(folder.path(), &[]).await?;
    let racers = (1..=up.ready().rpc.len())
        .map(|number| Racer::new(&NodeConfig::load(&folder.path().join(format!("host-{number}/node.toml")))?))
        .collect::<Result<Vec<_>>>()?;
    let mut races = Races::new(up.client(0)?, racers.clone());
    let mut off: BTreeMap<Address, Vec<f64>> = BTreeMap::new();
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| epoch | host | nonces | CPU-seconds | nonces/CPU-s | off the mean | void |\n|---|---|---|---|---|---|---|"
    )?;
    for _ in 0..options.races {
        let (epoch, parts) = races.next(EPOCH).await?;
        let rate = |host: &Address| parts.get(host).map(|part| part.result.count as f64 / part.cpu_seconds);
        let rates: Vec<f64> = racers.iter().filter_map(|racer| rate(&racer.host)).collect();
        let mean = rates.iter().sum::<f64>() / rates.len().max(1) as f64;
        for (number, racer) in (1..).zip(&racers) {
            let (Some(part), Some(rate)) = (parts.get(&racer.host), rate(&racer.host)) else { continue };
            let difference = rate / mean - 1.0;
            off.entry(racer.host).or_default().push(difference.abs());
            let void = part.result.void.as_deref().unwrap_or("");
            let (count, cpu) = (part.result.count, part.cpu_seconds);
            writeln!(
                out,
                "| {epoch} | host-{number} | {count} | {cpu:.2} | {rate:.0} | {:+.1} % | {void} |",
                difference * 100.0
            )?;
        }
    }
    for (number, racer) in (1..).zip(&racers) {
        let mut off = off.remove(&racer.host).unwrap_or_default();
        off.sort_by(f64::total_cmp);
        let median = off.get(off.len() / 2).copied().unwrap_or(f64::NAN);
        writeln!(out, "host-{number}: median {:.1} % off the mean", median * 100.0)?;
    }
    let status = up.client(0)?.status().await?;
    for host in status.hosts {
        writeln!(out, "{} weight {} power {}", host.address, host.weight, host.power)?;
    }
    up.interrupt(Duration::from_secs(20)).await?;
    Ok(())
}
