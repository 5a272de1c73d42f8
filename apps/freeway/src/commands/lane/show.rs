//! `freeway lane show`.

use clap::Args;
use freeway_api::{LaneView, ShareView};
use freeway_ledger::lanes::probe::PROBER;
use freeway_primitives::Address;
use serde::Serialize;

use crate::cli::Context;
use crate::hints::Problem;
use crate::output::{Column, Page, Show};

#[derive(Debug, Args)]
pub(super) struct ShowLane {
    /// The lane's number.
    lane: u64,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(LaneView);

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        let lane = &self.0;
        let state = match (lane.value_of, lane.settled_until) {
            (Some(height), _) => {
                format!("waiting for the randomness of height {height}, which draws its hosts")
            }
            (None, Some(height)) => format!("closing: hosts settle until height {height}"),
            (None, None) => lane.state.clone(),
        };
        page.fields([
            ("lane", lane.id.to_string()),
            ("state", state),
            ("payer", payer(&lane.payer)),
            ("model", format!("{} ({})", lane.model, lane.tier)),
            ("prices", super::prices(&lane.prices)),
            ("escrow", lane.escrow.to_string()),
            ("left", format!("{}, what hosts have not settled among it", lane.left)),
            ("regions", lane.constraints.regions.join(", ")),
            ("operators", lane.constraints.operators.join(", ")),
            ("opened", format!("height {}", lane.opened)),
            ("closes", format!("height {}", lane.expires)),
            ("voucher key", lane.key.to_string()),
        ]);
        if lane.shares.is_empty() {
            return;
        }
        page.gap();
        let columns = [
            Column::left("HOST"),
            Column::left("OPERATOR"),
            Column::right("DEPOSIT"),
            Column::right("PAID"),
            Column::left("STANDING"),
        ];
        let row = |share: &ShareView| {
            let standing = match (share.forfeited, share.arms_length) {
                (true, _) => "convicted: paid nothing more",
                (false, true) => "",
                (false, false) => "related to the payer",
            };
            vec![
                share.host.to_string(),
                share.operator.clone(),
                share.deposit.to_string(),
                share.paid.to_string(),
                standing.to_owned(),
            ]
        };
        page.table(&columns, lane.shares.iter().map(row));
    }
}

impl ShowLane {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let lane = context.connect().await?.client().lane(self.lane).await.map_err(Problem::from);
        let lane = lane.map_err(|problem| {
            problem.or_hint("a lane that is over is not kept; `freeway lane list` shows the others")
        })?;
        context.output().result(&Shown(lane))
    }
}

/// Who pays: the network itself has an address that is nobody's.
fn payer(payer: &Address) -> String {
    if *payer == PROBER { "the network itself, out of the common pool".to_owned() } else { payer.to_string() }
}
