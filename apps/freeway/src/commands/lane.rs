//! `freeway lane`: pays hosts for inference, without a transaction for each request.

mod change;
mod list;
mod show;

use clap::{Args, Subcommand};
use freeway_api::PricesView;

use crate::cli::Context;
use crate::hints::Problem;

const EXAMPLES: &str = "\
Examples:
  freeway lane open --from alice --model guide --escrow 10 --hosts 3
  freeway lane open --from alice --model guide --escrow 10 --region eu-west --operator \"Example Ltd\"
  freeway lane list                 those that the gateway of the network here pays for
  freeway lane list alice
  freeway lane show 7
  freeway lane add 7 20 --from alice
  freeway lane close 7 --from alice

A gateway opens lanes by itself (`freeway gateway --config FILE`); these commands are for whoever writes a payer of
their own. What is not spent comes back by itself, some time after the lane has closed.";

/// Options of `freeway lane`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Lane {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put money into a lane; its hosts are drawn by the network's randomness.
    Open(change::Open),
    /// Put more money in.
    Add(change::Add),
    /// Close a lane; what is left comes back.
    Close(change::Close),
    /// List the lanes of an account, or those in which a host has a share.
    List(list::List),
    /// Show a lane and its hosts.
    Show(show::ShowLane),
}

impl Lane {
    /// Runs the command.
    ///
    /// # Errors
    /// If a transaction cannot be signed or sent, or fails; if no node answers.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        match self.command {
            Command::Open(command) => command.run(context).await,
            Command::Add(command) => command.run(context).await,
            Command::Close(command) => command.run(context).await,
            Command::List(command) => command.run(context).await,
            Command::Show(command) => command.run(context).await,
        }
    }
}

/// Prices of a million tokens for people.
pub(super) fn prices(prices: &PricesView) -> String {
    let [input, cached, output] = [prices.input, prices.cached, prices.output].map(price);
    format!("{input} in, {cached} known, {output} out, for a million tokens")
}

/// A price of a million tokens.
pub(super) fn price(price: u64) -> String {
    freeway_primitives::Amount(price.into()).to_string()
}
