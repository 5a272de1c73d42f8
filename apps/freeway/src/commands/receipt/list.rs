//! `freeway receipt list`.

use clap::Args;
use freeway_api::{ReceiptSummary, ReceiptsView};
use freeway_primitives::Amount;
use serde::Serialize;

use crate::cli::Context;
use crate::commands::asking::WhichGateway;
use crate::hints::Problem;
use crate::output::{Column, Page, Show, time};

/// Options of `freeway receipt list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// How many, at most.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,

    #[command(flatten)]
    gateway: WhichGateway,
}

/// Receipts, newest first.
#[derive(Debug, Serialize)]
struct Listed {
    receipts: Vec<ReceiptSummary>,
}

impl Show for Listed {
    fn show(&self, page: &mut Page) {
        if self.receipts.is_empty() {
            page.line("no receipts: nothing was paid for yet");
            return;
        }
        let columns = [
            Column::left("RECEIPT"),
            Column::left("TIME"),
            Column::left("MODEL"),
            Column::left("HOST"),
            Column::right("LANE"),
            Column::right("IN"),
            Column::right("OUT"),
            Column::right("FEE"),
        ];
        let row = |receipt: &ReceiptSummary| {
            vec![
                receipt.digest.to_string(),
                time::utc(receipt.time_ms),
                receipt.model.clone(),
                short(&receipt.host.to_string()),
                receipt.lane.to_string(),
                receipt.prompt_tokens.to_string(),
                receipt.completion_tokens.to_string(),
                receipt.fee.to_string(),
            ]
        };
        page.table(&columns, self.receipts.iter().map(row));
        let sum = self.receipts.iter().try_fold(Amount::ZERO, |sum, one| sum.checked_add(one.fee));
        if let Some(sum) = sum {
            page.line(format_args!("{} receipts, {sum} in all", self.receipts.len()));
        }
    }
}

/// An address as far as one tells it from others.
pub(in crate::commands) fn short(address: &str) -> String {
    match (address.get(..9), address.get(address.len().saturating_sub(4)..)) {
        (Some(start), Some(end)) if address.len() > 14 => format!("{start}…{end}"),
        _ => address.to_owned(),
    }
}

impl List {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let gateway = self.gateway.gateway(context)?;
        let view: ReceiptsView = gateway.get(&format!("receipts?limit={}", self.limit)).await?;
        context.output().result(&Listed { receipts: view.receipts })
    }
}
