//! `freeway node`: prepare and run a node of a network over several machines.

mod host;
mod init;
mod start;

use clap::{Args, Subcommand};

use crate::cli::Context;
use crate::hints::Problem;

pub(crate) use start::{READY_TIMEOUT, read_genesis};

const EXAMPLES: &str = "\
A network over several machines, step by step:
  on every machine   freeway keys new owner1
                     freeway node init --home node1 --host owner1 --key-is-new \\
                       --consensus 10.0.0.1:27000 --gossip 10.0.0.1:27100 --url http://10.0.0.1:27200
  send node1/host.json to one person, who makes the genesis and sends it back
  there              freeway genesis new --name example --host a.json --host b.json ... --out genesis.json
  on every machine   put genesis.json into node1 and the others' addresses into node1/node.toml
                     freeway node start --config node1/node.toml";

/// Options of `freeway node`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Node {
    #[command(subcommand)]
    command: NodeCommand,
}

/// What can be done with a node.
#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// Make a node's key, configuration and the description of its host.
    Init(Box<init::Init>),
    /// Run a node until it is stopped.
    Start(start::Start),
}

impl Node {
    /// Runs the command.
    ///
    /// # Errors
    /// [`Problem`] says what failed and what to do.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        match self.command {
            NodeCommand::Init(command) => command.run(context),
            NodeCommand::Start(command) => command.run(context).await,
        }
    }
}
