//! `freeway host earnings`.

use clap::Args;
use freeway_api::EarningsView;
use serde::Serialize;

use crate::cli::{Context, Party};
use crate::hints::Problem;
use crate::output::{Page, Show};

#[derive(Debug, Args)]
pub(super) struct Earnings {
    /// The account that owns the host: an address, or the name of a key here.
    #[arg(value_name = "ADDRESS|NAME")]
    host: Party,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(EarningsView);

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        let EarningsView { fees, last, duties, .. } = &self.0;
        let intervals = fees.open_intervals.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let convicted = fees.convicted.map(|height| format!("at height {height}")).unwrap_or_default();
        page.fields([("host", self.0.host.to_string()), ("height", self.0.height.to_string())]);
        page.gap();
        page.line("fees");
        page.fields([
            ("  being checked", format!("{} of at most {}", fees.open, fees.open_limit)),
            ("  in intervals", intervals),
            ("  to settle", fees.to_settle.to_string()),
            ("  settled", format!("{}, {} of it in this epoch", fees.settled, fees.settled_in_epoch)),
            ("  checks done", format!("{} of {} in this epoch", duties.done, duties.owed)),
            ("  convicted", convicted),
        ]);
        page.gap();
        page.line(format_args!("new money (last for epoch {})", last.epoch));
        page.fields([
            ("  by weight", format!("{} last", last.capacity)),
            ("  for serving", format!("{} last", last.served)),
            ("  for verdicts", format!("{} last, {} in all", last.verdicts, self.0.verdicts)),
            ("  into collateral", self.0.bonded.to_string()),
            ("  vesting", format!("{} of {}", self.0.vesting, self.0.granted)),
            ("  released", self.0.released.to_string()),
        ]);
        if !self.0.forfeited.is_zero() {
            page.fields([("  lost", self.0.forfeited.to_string())]);
        }
        for bucket in &self.0.buckets {
            page.line(format_args!("    {} until the end of epoch {}", bucket.left, bucket.ends_epoch));
        }
    }
}

impl Earnings {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let host = context.address(&self.host)?;
        let view = context.connect().await?.client().earnings(&host).await?;
        context.output().result(&Shown(view))
    }
}
