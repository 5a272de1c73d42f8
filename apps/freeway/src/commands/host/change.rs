//! The commands that change a host. The host is always that of the account that acts.

use clap::Args;
use freeway_ledger::{Message, hosts};
use freeway_primitives::Amount;

use super::profile::ProfileOptions;
use crate::cli::Context;
use crate::commands::submit::Signing;
use crate::hints::Problem;

#[derive(Debug, Args)]
pub(super) struct Register {
    #[command(flatten)]
    profile: ProfileOptions,

    /// First collateral, taken from the account's balance. It backs power.
    #[arg(long, value_name = "AMOUNT", default_value = "0", help_heading = "Profile")]
    collateral: Amount,

    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(super) struct Update {
    #[command(flatten)]
    profile: ProfileOptions,

    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(super) struct Deposit {
    /// How much.
    amount: Amount,

    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(super) struct Withdraw {
    /// How much.
    amount: Amount,

    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(super) struct Leave {
    #[command(flatten)]
    signing: Signing,
}

impl Register {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let message =
            hosts::Message::Register { profile: self.profile.profile()?, collateral: self.collateral };
        self.signing.send(context, Message::Hosts(message)).await
    }
}

impl Update {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        if self.profile.is_empty() {
            return Err(Problem::usage("there is nothing to change").hint(
                "give what is new: --consensus-key, --node-dir, --operator, --region, --endpoint, --hardware",
            ));
        }
        let address = self.signing.account(context)?;
        let host = context.connect().await?.host(&address).await?;
        let message = hosts::Message::Update { profile: self.profile.change(&host)? };
        self.signing.send(context, Message::Hosts(message)).await
    }
}

impl Deposit {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let message = hosts::Message::Deposit { amount: self.amount };
        self.signing.send(context, Message::Hosts(message)).await
    }
}

impl Withdraw {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let message = hosts::Message::Withdraw { amount: self.amount };
        self.signing.send(context, Message::Hosts(message)).await
    }
}

impl Leave {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        self.signing.send(context, Message::Hosts(hosts::Message::Leave)).await
    }
}
