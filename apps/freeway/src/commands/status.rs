//! `freeway status`: where the chain stands, and who carries it.

use clap::Args;
use freeway_api::{HostSummary, SigningView};
use serde::Serialize;

use crate::cli::{Context, Node};
use crate::hints::Problem;
use crate::output::time::{span, utc};
use crate::output::{Column, Page, Show};

const EXAMPLES: &str = "\
Examples:
  freeway status                                     the network of `freeway up` in the default directory
  freeway status --dir net --watch                   again at every block
  freeway status --rpc http://127.0.0.1:7700 --json | jq '.height, .hosts[].power'

With --json: height, epoch, phase, hosts [{address, weight, power, ...}] and more; fields are only ever added.";

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
        page.fields([
            ("network", format!("{} {}", status.name, status.chain)),
            ("height", format!("{}, {} ago{late}", status.height, span(status.behind_ms))),
            ("time", utc(status.time_ms)),
            ("epoch", format!("{}, {} blocks to the next", status.epoch, status.blocks_left_in_epoch)),
            ("phase", format!("{}, {} blocks left", status.phase, status.blocks_left_in_phase)),
            ("node", format!("{signs}; {} peers; version {}", status.peers, status.version)),
            ("waiting", format!("{} transactions", status.mempool.transactions)),
        ]);
        page.gap();
        hosts(page, &status.hosts);
        if !status.hosts_complete {
            page.line("and more: `freeway host list` shows all");
        }
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
