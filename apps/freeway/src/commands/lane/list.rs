//! `freeway lane list`.

use clap::Args;
use freeway_api::{LaneView, LanesView};
use freeway_primitives::Address;
use serde::Serialize;

use crate::cli::{Context, Party};
use crate::commands::gateway::local;
use crate::hints::Problem;
use crate::output::{Column, Page, Show};

/// The most lanes that a node gives at once.
const PAGE: u64 = 256;
/// The most lanes that are listed.
const MOST: usize = 16_384;

#[derive(Debug, Args)]
pub(super) struct List {
    /// Whose: an address, or the name of a key here [default: the account from which the gateway here pays].
    #[arg(value_name = "ADDRESS|NAME", required_if_eq("host", "true"))]
    account: Option<Party>,

    /// The lanes in which this account's host has a share, instead of those that it pays for.
    #[arg(long)]
    host: bool,
}

/// Lanes, by their number.
#[derive(Debug, Serialize)]
struct Lanes {
    height: u64,
    #[serde(with = "freeway_api::text")]
    account: Address,
    lanes: Vec<LaneView>,
}

impl Show for Lanes {
    fn show(&self, page: &mut Page) {
        if self.lanes.is_empty() {
            page.line("no lanes that are not over");
            return;
        }
        let columns = [
            Column::right("LANE"),
            Column::left("STATE"),
            Column::left("MODEL"),
            Column::right("HOSTS"),
            Column::right("ESCROW"),
            Column::right("LEFT"),
            Column::right("EXPIRES"),
        ];
        let row = |lane: &LaneView| {
            vec![
                lane.id.to_string(),
                lane.state.clone(),
                lane.model.to_string().chars().take(12).collect(),
                format!("{} of {}", lane.shares.len(), lane.wanted),
                lane.escrow.to_string(),
                lane.left.to_string(),
                lane.expires.to_string(),
            ]
        };
        page.table(&columns, self.lanes.iter().map(row));
        page.line(format_args!("height {}", self.height));
    }
}

impl List {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let address = match &self.account {
            Some(account) => context.address(account)?,
            None => {
                let payer = local::payer(context)?.ok_or_else(|| {
                    Problem::usage("no account is named, and no gateway here pays from one")
                        .hint("name whose lanes: `freeway lane list ADDRESS|NAME`")
                })?;
                let (address, name) = payer;
                context
                    .output()
                    .note(format!("lanes that the gateway here pays for, with the key {name}: {address}"));
                address
            }
        };
        let node = context.connect().await?;
        let mut found = Lanes { height: node.status.height, account: address, lanes: Vec::new() };
        let mut after = None;
        loop {
            let LanesView { lanes, next, height } = if self.host {
                node.client().lanes_of_host(&address, after, PAGE).await?
            } else {
                node.client().lanes_of_payer(&address, after, PAGE).await?
            };
            found.height = height;
            found.lanes.extend(lanes);
            // A page goes on after `after`: a node that repeats itself would keep us here for ever.
            after = next.filter(|next| after.is_none_or(|after| *next > after));
            if after.is_none() || found.lanes.len() >= MOST {
                return context.output().result(&found);
            }
        }
    }
}
