//! `freeway receipt show`.

use clap::Args;
use freeway_api::KeptReceipt;
use serde::Serialize;

use super::damaged;
use super::which::WhichReceipts;
use crate::cli::Context;
use crate::hints::Problem;
use crate::output::{Page, Show, time};

/// Options of `freeway receipt show`.
#[derive(Debug, Args)]
pub(super) struct ShowReceipt {
    #[command(flatten)]
    which: WhichReceipts,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(KeptReceipt);

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        fields(page, &self.0);
    }
}

/// Everything about a receipt that people read.
pub(in crate::commands) fn fields(page: &mut Page, kept: &KeptReceipt) {
    let one = &kept.summary;
    let known = if one.cached_tokens > 0 { format!(" ({} known)", one.cached_tokens) } else { String::new() };
    page.fields([
        ("receipt", one.digest.to_string()),
        ("time", time::utc(one.time_ms)),
        ("model", format!("{} ({})", one.model, kept.root)),
        ("host", one.host.to_string()),
        ("host's key", kept.key.to_string()),
        ("lane", format!("{}, request {} on this host's share", one.lane, one.sequence)),
        ("interval", one.interval.to_string()),
        ("tokens", format!("{}{known} in, {} out", one.prompt_tokens, one.completion_tokens)),
        ("fee", one.fee.to_string()),
        ("total", format!("{} with all before it on this share", one.total)),
        ("network", kept.chain.to_string()),
    ]);
    page.line(format_args!("`freeway receipt verify {}` checks it.", one.digest));
}

impl ShowReceipt {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let output = context.output();
        let mut receipts = self.which.find(context).await?;
        let mut is_first = true;
        while let Some(kept) = receipts.next().await? {
            // A damaged one is not shown as if it were sound.
            kept.artifact().map_err(|error| damaged(&error))?;
            if !is_first && !output.json {
                output.raw(b"\n")?;
            }
            is_first = false;
            output.result(&Shown(kept))?;
        }
        Ok(())
    }
}
