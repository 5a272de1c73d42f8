//! How much a network of real processes on this machine carries, how fast, and at what cost.
//!
//! ```text
//! cargo build --release -p freeway
//! cargo run --release -p freeway-e2e --bin freeway-load -- --seconds 30 --rate 3000
//! ```
//!
//! All transfers are signed before the clock starts. Each account sends through one node; the accounts are spread
//! over all nodes. One more connection, to the last node, follows the blocks. Load, nodes and observer share the
//! machine, so the numbers are a lower bound of what the nodes could do alone.

mod measure;
mod offer;
mod output;
mod prepare;
mod report;

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use eyre::Result;
use freeway_e2e::Network;

/// Measures a network of validators on this machine.
#[derive(Debug, Parser)]
struct Options {
    /// Validators.
    #[arg(long, default_value_t = 4)]
    hosts: usize,

    /// How long to offer transactions.
    #[arg(long, default_value_t = 30)]
    seconds: u64,

    /// Accounts that send.
    #[arg(long, default_value_t = 400)]
    accounts: usize,

    /// Transactions a second, or `max`: as many as are taken with a bounded number under way.
    #[arg(long, default_value = "max")]
    rate: Rate,

    /// How long to measure the network without load afterwards.
    #[arg(long, default_value_t = 20)]
    idle_seconds: u64,

    /// Print JSON only.
    #[arg(long)]
    json: bool,
}

/// How many transactions are offered.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rate {
    /// As many as are taken.
    Max,
    /// So many a second.
    Fixed(u64),
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            _ if text == "max" => Ok(Self::Max),
            Ok(rate) if rate > 0 => Ok(Self::Fixed(rate)),
            _ => Err("a number above 0, or max".into()),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(report) => {
            output::result(&report, options.json);
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<report::Report> {
    let mut network = Network::start(prepare::plan(options)).await?;
    let client = network.client(0)?;
    let actors = network.take_actors();
    let transfers = prepare::sign(options, &actors, client.status().await?.height);
    let prepared: usize = transfers.iter().map(Vec::len).sum();
    output::progress(options.json, format_args!("{prepared} transfers signed; the clock starts"));

    let pids = network.nodes().iter().map(freeway_e2e::NodeProcess::pid).collect::<Result<Vec<_>>>()?;
    let clients = (0..options.hosts).map(|at| network.client(at)).collect::<Result<Vec<_>>>()?;
    let observer = measure::Observer::start(&clients[options.hosts - 1]).await?;
    let before = measure::Costs::read(&pids);
    let offered =
        offer::run(&clients, transfers, options.rate, Duration::from_secs(options.seconds), &observer);
    let offered = offered.await?;
    let loaded = measure::Costs::read(&pids);
    // What was taken last is still to be included.
    observer.settle(&offered).await;
    let work = measure::block_work(&clients).await;
    let blocks = observer.end().await?;

    output::progress(options.json, format_args!("{} s without load", options.idle_seconds));
    let idle_before = measure::Costs::read(&pids);
    tokio::time::sleep(Duration::from_secs(options.idle_seconds)).await;
    let idle_after = measure::Costs::read(&pids);
    let compared = network.check_agreement().await?;
    let report = report::Report::new(report::Measured {
        hosts: options.hosts,
        offered: &offered,
        blocks: &blocks,
        load: loaded.since(&before),
        idle: idle_after.since(&idle_before),
        work,
        compared,
    });
    network.stop().await?;
    Ok(report)
}
