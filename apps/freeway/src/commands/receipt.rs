//! `freeway receipt`: what hosts were paid for, and whether they did it.

mod check;
mod inclusion;
mod list;
mod show;
mod verify;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use freeway_api::KeptReceipt;
use freeway_primitives::Digest;

use super::asking::WhichGateway;
use crate::cli::Context;
use crate::files::read_bounded;
use crate::hints::Problem;

pub(super) use check::Checked;
pub(super) use inclusion::{Included, Inclusion};
pub(super) use list::short;
pub(super) use show::fields;

/// Largest file with a receipt.
const MAX_FILE_BYTES: u64 = 16 << 20;

const EXAMPLES: &str = "\
Examples:
  freeway receipt list                       what the gateway here has paid for, newest first
  freeway receipt show RECEIPT               everything about one
  freeway receipt show RECEIPT --json > r.json
  freeway receipt verify RECEIPT --json      signature, place in the host's commitment, and all of it computed again
  freeway receipt verify --file r.json       the same for a receipt that somebody gave away, with what it is for
  freeway receipt verify --last 20           the newest ones

A receipt is named by its digest: the gateway gives it in the header x-freeway-receipt, and in the answer as
freeway.receipt. It is included once the host has committed to it, some blocks after the answer. A host that
was down then is paid nothing for it: the receipt has lapsed, and the money comes back when the lane ends.";

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
    /// Check receipts: against the chain, and by computing the answers again.
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

/// Which receipt, and where it is kept.
#[derive(Clone, Debug, Args)]
pub(super) struct WhichReceipt {
    /// The receipt's digest: 64 hexadecimal digits.
    #[arg(value_name = "RECEIPT", required_unless_present = "file")]
    digest: Option<Digest>,

    /// Read it from a file, as `freeway receipt show --json` writes it, instead of asking the gateway.
    #[arg(long, value_name = "FILE", conflicts_with = "digest")]
    file: Option<PathBuf>,

    #[command(flatten)]
    gateway: WhichGateway,
}

impl WhichReceipt {
    /// The receipt, with all that was kept of it.
    ///
    /// # Errors
    /// If it is not there, or does not read.
    pub(super) async fn get(&self, context: &Context) -> Result<KeptReceipt, Problem> {
        match (&self.file, &self.digest) {
            (Some(file), _) => from_file(file),
            (None, Some(digest)) => self.gateway.gateway(context)?.receipt(digest).await,
            (None, None) => {
                Err(Problem::usage("there is no receipt").hint("name one, or a file with --file"))
            }
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
