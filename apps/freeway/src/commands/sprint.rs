//! `freeway sprint`: the race in which compute is proven, and what this machine can do in it.

mod bench;
mod machine;
mod show;
mod verify;

use clap::{Args, Subcommand};

use crate::cli::Context;
use crate::hints::Problem;

pub(super) use show::Line;

const EXAMPLES: &str = "\
Examples:
  freeway sprint show                          the race and what came of the last one
  freeway sprint bench                         how much this machine would prove
  freeway sprint bench --shape tiny --seconds 1 --json | jq .nonces_per_second
  freeway sprint verify leaves.json            recompute leaves that a host committed to";

/// Options of `freeway sprint`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Sprint {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the race and the results of the last one.
    Show(show::ShowSprint),
    /// Measure how fast this machine computes.
    Bench(bench::Bench),
    /// Recompute leaves and say which are right.
    Verify(verify::Verify),
}

impl Sprint {
    /// Runs the command.
    ///
    /// # Errors
    /// If no node answers, this machine cannot compute what is asked, or a leaf is wrong.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        match self.command {
            Command::Show(command) => command.run(context).await,
            Command::Bench(command) => command.run(context).await,
            Command::Verify(command) => command.run(context).await,
        }
    }
}
