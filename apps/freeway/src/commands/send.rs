//! `freeway send`: pays somebody.

use clap::Args;
use freeway_ledger::{Message, accounts};
use freeway_primitives::Amount;

use super::submit::Signing;
use crate::cli::{Context, Party};
use crate::hints::Problem;

const EXAMPLES: &str = "\
Examples:
  freeway send --from alice bob 12.5                 bob is a key here too
  freeway send --from alice fwy1... 0.000000001      the smallest amount, 1 nfwy
  freeway send --from alice bob 1000nfwy --no-wait --json | jq -r .hash
  freeway send --from agent fwy1... 3 --on-behalf-of fwy1...

A payment that the ledger refuses exits with 1 and says why. There is no fee.";

/// Options of `freeway send`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Send {
    /// Whom to pay: an address, or the name of a key here.
    #[arg(value_name = "TO")]
    to: Party,

    /// How much: 12.5 or "12.5 FWY" in coins, 12500000000nfwy in base units.
    amount: Amount,

    #[command(flatten)]
    signing: Signing,
}

impl Send {
    /// Signs, sends and waits.
    ///
    /// # Errors
    /// If it cannot be signed or sent, or fails.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let to = context.address(&self.to)?;
        let message = accounts::Message::Transfer { to, amount: self.amount };
        self.signing.send(context, Message::Accounts(message)).await
    }
}
