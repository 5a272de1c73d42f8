//! `freeway receipt`: what hosts were paid for, and whether they did it.

mod check;
mod checker;
mod inclusion;
mod list;
mod show;
mod verify;
mod which;

use std::path::Path;

use clap::{Args, Subcommand};
use freeway_api::KeptReceipt;

use crate::cli::Context;
use crate::files::read_bounded;
use crate::hints::Problem;

pub(super) use check::Checked;
pub(super) use inclusion::{Included, Inclusion};
pub(super) use list::short;
pub(super) use show::fields;
pub(super) use which::WhichReceipt;

/// Largest file with a receipt.
const MAX_FILE_BYTES: u64 = 16 << 20;

const EXAMPLES: &str = "\
Examples:
  freeway receipt list                       what the gateway here has paid for, newest first
  freeway receipt show RECEIPT               everything about one
  freeway receipt show --last                the newest one
  freeway receipt show RECEIPT --json > r.json
  freeway receipt verify RECEIPT --json      signature, commitment, and all of it computed again
  freeway receipt verify --file r.json       the same for a receipt that somebody gave away
  freeway receipt verify --last 20           the newest ones

A receipt is named by its digest, or by at least its first 8 digits: the gateway gives the digest
in the header x-freeway-receipt, and in the answer as freeway.receipt. It is included once the host
has committed to it, some blocks after the answer. A host that was down then is paid nothing for it:
the receipt has lapsed, and the money comes back when the lane ends.";

/// Options of `freeway receipt`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Receipt {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what was paid for.
    List(list::List),
    /// Show one receipt.
    Show(show::ShowReceipt),
    /// Check receipts: against the chain, and by computing the answers again, or scoring them where that is not possible.
    Verify(verify::Verify),
}

impl Receipt {
    /// Runs the command.
    ///
    /// # Errors
    /// If the gateway or a node does not answer, or a receipt does not hold.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        match self.command {
            Command::List(command) => command.run(context).await,
            Command::Show(command) => command.run(context).await,
            Command::Verify(command) => command.run(context).await,
        }
    }
}

/// A kept receipt in a file.
fn from_file(file: &Path) -> Result<KeptReceipt, Problem> {
    let bytes = read_bounded(file, MAX_FILE_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new("invalid_receipt", format!("{} is no receipt: {error}", file.display()))
            .hint("write it with `freeway receipt show RECEIPT --json`")
    })
}

/// What is wrong with a receipt's JSON.
fn damaged(error: &freeway_api::KeptReceiptError) -> Problem {
    Problem::told("invalid_receipt", error)
}
