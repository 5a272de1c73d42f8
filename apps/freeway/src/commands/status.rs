//! `freeway status`: where the chain stands, and who carries it.

use clap::Args;
use freeway_api::{BeaconStatus, HostSummary, SigningView, SprintStatus};
use serde::Serialize;

use super::sprint::Line;
use crate::cli::{Context, Node};
use crate::hints::Problem;
use crate::output::time::{span, utc};
use crate::output::{Column, Page, Show};

const EXAMPLES: &str = "\
Examples:
  freeway status                                     the network of `freeway up` in the default directory
  freeway status --dir net --watch                   again at every block
  freeway status --rpc http://127.0.0.1:7700 --json | jq '.height, .hosts[].power'

With --json: height, epoch, phase, sprint {stage, seed, commitments, verdicts, ...}, beacon {latest_value, ...},
hosts [{address, weight, h100_equivalents, power, ...}] and more; fields are only ever added.

A weight counts what a host proved in the latest race. H100S: how many H100s would prove it, each taken at 45 % of
its peak for dense 8-bit integers (890 tera-operations a second); none has been measured yet. REP: epochs without
fault, up to 30.";

/// Options of `freeway status`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Status {
    /// Show it anew at every block, until Ctrl-C.
    #[arg(short, long)]
    watch: bool,
}

/// A node's status.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(freeway_api::Status);

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        let status = &self.0;
        let signs = match status.signing {
            SigningView::Active => "signs blocks",
            SigningView::Watching => "a validator that watches until its lost votes cannot matter",
            SigningView::None => "signs no blocks",
        };
        let late = if status.synced { "" } else { "; catching up, or the network stands still" };
        let peers = if status.peers == 1 { "peer" } else { "peers" };
        page.fields([
            ("network", format!("{} {}", status.name, status.chain)),
            ("height", format!("{}, {} ago{late}", status.height, span(status.behind_ms))),
            ("time", utc(status.time_ms)),
            ("epoch", format!("{}, {} blocks to the next", status.epoch, status.blocks_left_in_epoch)),
            ("phase", format!("{}, {} blocks left", status.phase, status.blocks_left_in_phase)),
            ("node", format!("{signs}; {} {peers}; version {}", status.peers, status.version)),
            ("waiting", format!("{} transactions", status.mempool.transactions)),
            ("race", Line::from(&status.sprint).to_string()),
            ("seed", status.sprint.seed.map(|seed| seed.to_string()).unwrap_or_default()),
            ("beacon", beacon(&status.beacon)),
            ("proven", proven(&status.sprint)),
        ]);
        page.gap();
        hosts(page, &status.hosts);
        if !status.hosts_complete {
            page.line("and more: `freeway host list` shows all");
        }
    }
}

/// The latest value of the beacon.
fn beacon(beacon: &BeaconStatus) -> String {
    match (beacon.epoch, beacon.latest_height, beacon.latest_value) {
        (_, Some(height), Some(value)) => format!("{value} of height {height}"),
        (Some(epoch), _, _) => format!("no value yet of the group of epoch {epoch}"),
        _ => "no values yet: the validators have no key in common".into(),
    }
}

/// What all hosts together have proven.
fn proven(race: &SprintStatus) -> String {
    match race.settled_epoch {
        Some(epoch) => format!("weight {} ({} H100s), in epoch {epoch}", race.weight, race.h100_equivalents),
        None => "nothing yet: the weights are those of genesis".into(),
    }
}

/// A table of hosts.
pub(super) fn hosts(page: &mut Page, hosts: &[HostSummary]) {
    if hosts.is_empty() {
        page.line("no hosts");
        return;
    }
    let total: u64 = hosts.iter().fold(0, |sum, host| sum.saturating_add(host.power));
    let row = |host: &HostSummary| {
        let standing = if host.silent { format!("{}, silent", host.status) } else { host.status.clone() };
        vec![
            host.address.to_string(),
            host.weight.to_string(),
            host.h100_equivalents.to_string(),
            host.reputation.to_string(),
            host.power.to_string(),
            share(host.power, total),
            standing,
            host.operator.clone(),
            host.region.clone(),
        ]
    };
    let columns = [
        Column::left("HOST"),
        Column::right("WEIGHT"),
        Column::right("H100S"),
        Column::right("REP"),
        Column::right("POWER"),
        Column::right("SHARE"),
        Column::left("STANDING"),
        Column::left("OPERATOR"),
        Column::left("REGION"),
    ];
    page.table(&columns, hosts.iter().map(row));
}

/// `12.3 %`.
fn share(part: u64, whole: u64) -> String {
    let thousandths = u128::from(part) * 1_000 / u128::from(whole.max(1));
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

impl Status {
    /// Asks and prints.
    ///
    /// # Errors
    /// If no node answers.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let output = context.output();
        let node = context.connect().await?;
        if !self.watch {
            return output.result(&Shown(node.status));
        }
        let mut node = node;
        loop {
            node = watch(context, &node).await?;
        }
    }
}

/// Shows the status at every block until the connection ends; then another node, if there is one.
async fn watch(context: &Context, node: &Node) -> Result<Node, Problem> {
    let output = context.output();
    let mut blocks = node.blocks(node.status.height.saturating_add(1)).await?;
    let mut status = node.status.clone();
    loop {
        output.clear()?;
        output.result(&Shown(status.clone()))?;
        // Blocks that the shown status covers already came in a bunch: once for all of them is enough.
        let seen = status.height;
        let news = loop {
            match blocks.next().await {
                Some(block) if block.height <= seen => {}
                news => break news,
            }
        };
        match news {
            Some(_) => status = node.status_now().await?,
            None if seen == node.status.height => return Err(blocks.end()),
            None => break,
        }
    }
    output.detail("the connection ended; looking for a node again");
    context.connect().await
}
