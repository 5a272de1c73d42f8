//! `freeway transaction`: what became of a transaction.

use clap::Args;
use freeway_api::{FailureView, TransactionView};
use freeway_primitives::Digest;
use serde::Serialize;

use crate::cli::Context;
use crate::hints::Problem;
use crate::output::{Page, Show};

const EXAMPLES: &str = "\
Examples:
  freeway transaction 5f2c...                        the hash that `freeway send` printed
  freeway transaction 5f2c... --json | jq .status    pending or included";

/// Options of `freeway transaction`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Transaction {
    /// Its hash: 64 hexadecimal digits.
    hash: Digest,
}

/// A transaction.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(TransactionView);

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        let Self(view) = self;
        let standing = match (view.height, &view.outcome) {
            (Some(height), Some(outcome)) => format!("in block {height}: {}", outcome.name()),
            _ => "waits for a block".to_owned(),
        };
        let body = &view.body;
        page.fields([
            ("transaction", view.hash.to_string()),
            ("standing", standing),
            ("failure", view.failure.as_ref().map(|f: &FailureView| f.message.clone()).unwrap_or_default()),
            ("account", body.account.to_string()),
            ("signer", body.signer.to_string()),
            ("sequence", body.sequence.to_string()),
            ("expiry", format!("height {}", body.expiry)),
            ("asks", serde_json::to_string(&body.message).unwrap_or_default()),
        ]);
        for event in &view.events {
            page.line(format_args!("event {}", serde_json::to_string(event).unwrap_or_default()));
        }
    }
}

impl Transaction {
    /// Asks and prints.
    ///
    /// # Errors
    /// If no node answers, or none knows the transaction.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let node = context.connect().await?;
        let view = node.transaction(&self.hash).await?;
        context.output().result(&Shown(view))
    }
}
