//! `freeway report`: a host signed a receipt and did not commit to it.

use clap::Args;
use freeway_ledger::Message;
use freeway_ledger::verification::{Message as Verification, Report as Reported, Signed};

use super::receipt::{Checked, Included, Inclusion, WhichReceipt};
use super::submit::Signing;
use crate::cli::Context;
use crate::hints::Problem;

const EXAMPLES: &str = "\
Examples:
  freeway report RECEIPT --from alice              the host must show where it has committed to it, or loses the
                                                   fees of that interval
  freeway report --file r.json --from alice

A report costs a bond. It comes back if the host does not answer; if it does, the host keeps it. So the command first
looks whether the receipt is included, and whether the host could still do it.";

/// Options of `freeway report`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Report {
    #[command(flatten)]
    which: WhichReceipt,

    /// Report it although the host may show it, or could still commit to it.
    #[arg(long)]
    anyway: bool,

    #[command(flatten)]
    signing: Signing,
}

impl Report {
    /// Looks, signs, sends and waits.
    ///
    /// # Errors
    /// If the receipt does not hold, stands where it should, or cannot be reported any more.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let kept = self.which.get(context).await?;
        let node = context.connect().await?;
        let checked = Checked::of(&node, &kept).await?;
        if !checked.signature {
            return Err(Problem::new(
                "invalid_receipt",
                format!("nobody must answer for it: {}", checked.notes.join("; ")),
            )
            .hint("only what the host has signed can be reported"));
        }
        let receipt = checked.artifact.receipt;
        if !self.anyway {
            let place = Inclusion::of(&node, &receipt, checked.lane.as_ref()).await?;
            let (message, hint) = match place.included {
                Included::Lapsed => (
                    "the host did not commit to that interval at all, so it is paid nothing for it",
                    "your money comes back when the lane ends",
                ),
                Included::No | Included::Unknown => ("", ""),
                Included::Yes => ("the host has committed to it", "there is nothing to report"),
                Included::Pending => (
                    "the host may still commit to it",
                    "wait until its interval is over; `freeway receipt verify` tells",
                ),
                Included::Forgotten => {
                    ("it is too old to be reported", "report receipts within some intervals")
                }
            };
            if !message.is_empty() {
                return Err(Problem::new("nothing_to_report", message).hint(hint));
            }
        }
        let signed = Signed { receipt, signature: checked.artifact.signature };
        let report = Verification::Report(Box::new(Reported { signed }));
        self.signing.send(context, Message::Verification(report)).await
    }
}
