//! `freeway host`: lends a machine to the network, and shows who does.

mod change;
mod earnings;
mod profile;

use clap::{Args, Subcommand};
use freeway_api::{HostView, HostsView};
use serde::Serialize;

use crate::cli::{Context, Party};
use crate::hints::Problem;
use crate::output::{Page, Show};

const EXAMPLES: &str = "\
Examples:
  freeway host list
  freeway host show alice
  freeway host register --from alice --node-dir node --operator \"Example Ltd\" --collateral 1000
  freeway host update --from alice --region eu-west
  freeway host deposit --from alice 500
  freeway host withdraw --from alice 200
  freeway host leave --from alice
  freeway host earnings alice

Collateral comes back some time after it is withdrawn, or after the host has left.";

/// The most hosts that a node gives at once.
const PAGE: u64 = 256;

/// Options of `freeway host`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Host {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Become a host.
    Register(change::Register),
    /// Change what a host says of itself, or its consensus key.
    Update(change::Update),
    /// Put more collateral at stake.
    Deposit(change::Deposit),
    /// Begin to take collateral back.
    Withdraw(change::Withdraw),
    /// Stop being a host.
    Leave(change::Leave),
    /// List all hosts.
    List(List),
    /// Show one host.
    Show(ShowHost),
    /// See what a host earns: fees on their way, new money, and what vests.
    Earnings(earnings::Earnings),
}

#[derive(Debug, Args)]
struct List {}

#[derive(Debug, Args)]
struct ShowHost {
    /// The account that owns it: an address, or the name of a key here.
    #[arg(value_name = "ADDRESS|NAME")]
    host: Party,
}

/// All hosts.
#[derive(Debug, Serialize)]
struct Hosts {
    /// The height of the state that this shows.
    height: u64,
    hosts: Vec<HostView>,
}

impl Show for Hosts {
    fn show(&self, page: &mut Page) {
        let hosts: Vec<_> = self.hosts.iter().map(|host| host.summary.clone()).collect();
        super::status::hosts(page, &hosts);
    }
}

/// A host.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(HostView);

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        fields(page, &self.0);
    }
}

/// Everything about a host.
pub(super) fn fields(page: &mut Page, host: &HostView) {
    let summary = &host.summary;
    let silent = if summary.silent { ", silent: it is asked for no proposals" } else { "" };
    let returning = host.unbonding.iter().map(|part| format!("{} at height {}", part.amount, part.free_at));
    page.fields([
        ("host", summary.address.to_string()),
        ("standing", format!("{}{silent}", summary.status)),
        ("weight", format!("{} ({} H100s)", summary.weight, summary.h100_equivalents)),
        ("reputation", format!("{} of 30", summary.reputation)),
        ("power", summary.power.to_string()),
        ("collateral", host.collateral.to_string()),
        ("returning", returning.collect::<Vec<_>>().join(", ")),
        ("operator", summary.operator.clone()),
        ("region", summary.region.clone()),
        ("hardware", host.hardware.clone()),
        ("endpoints", host.endpoints.join(", ")),
        ("consensus key", host.consensus_key.to_string()),
        ("since epoch", host.since_epoch.to_string()),
    ]);
}

impl Host {
    /// Runs the command.
    ///
    /// # Errors
    /// If a transaction cannot be signed or sent, or fails; if no node answers.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        match self.command {
            Command::Register(command) => command.run(context).await,
            Command::Update(command) => command.run(context).await,
            Command::Deposit(command) => command.run(context).await,
            Command::Withdraw(command) => command.run(context).await,
            Command::Leave(command) => command.run(context).await,
            Command::Earnings(command) => command.run(context).await,
            Command::List(List {}) => context.output().result(&all(context).await?),
            Command::Show(ShowHost { host }) => {
                let address = context.address(&host)?;
                let view = context.connect().await?.host(&address).await?;
                context.output().result(&Shown(view))
            }
        }
    }
}

/// All hosts, page by page, strongest first.
async fn all(context: &Context) -> Result<Hosts, Problem> {
    let node = context.connect().await?;
    let HostsView { height, mut hosts, mut next } = node.hosts(None, PAGE).await?;
    while let Some(after) = next {
        let page = node.hosts(Some(&after), PAGE).await?;
        // A page goes on after `after`: a node that repeats itself would keep us here for ever.
        next = page.next.filter(|next| *next > after);
        hosts.extend(page.hosts);
    }
    hosts.sort_by_key(|host| (core::cmp::Reverse(host.summary.power), host.summary.address));
    Ok(Hosts { height, hosts })
}
