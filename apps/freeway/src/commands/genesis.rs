//! `freeway genesis`: the file that defines a network.

mod new;
mod show;

use clap::{Args, Subcommand};
use freeway_api::GenesisFileError;

use crate::cli::Context;
use crate::hints::Problem;

const EXAMPLES: &str = "\
Examples:
  freeway genesis new --name test --host a.json --host b.json --host c.json --host d.json \\
      --account alice=1000000 --out genesis.json
  freeway genesis show genesis.json
  freeway genesis show genesis.json --json | jq -r .chain

Each operator of a first host writes its host file with `freeway node init` and sends it to whoever makes the
genesis; all then start their nodes with the same genesis file. Compare the chain id: it is the digest of all
of it.";

/// Options of `freeway genesis`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Genesis {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the genesis of a new network.
    New(new::New),
    /// Check a genesis file and show what it defines.
    Show(show::ShowGenesis),
}

impl Genesis {
    /// Runs the command.
    ///
    /// # Errors
    /// If a file cannot be read or written, or no network can start from it.
    pub fn run(self, context: &Context) -> Result<(), Problem> {
        match self.command {
            Command::New(command) => command.run(context),
            Command::Show(command) => command.run(context),
        }
    }
}

/// What is wrong with a genesis.
fn invalid(error: GenesisFileError) -> Problem {
    let told = Problem::told("invalid_genesis", &error);
    told.or_hint("correct it, or make another with `freeway genesis new`")
}
