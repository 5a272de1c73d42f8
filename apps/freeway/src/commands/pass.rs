//! `freeway pass`: lets others spend, within limits that they can narrow and nobody can widen.

mod change;
mod make;
mod terms;
mod view;

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use freeway_gateway::{FolderError, Pass, PassError, PassFolder};

use crate::cli::Context;
use crate::hints::Problem;

/// The folder of passes in the directory of a network.
const FOLDER: &str = "passes";
/// Longest pass that is read from a pipe.
const MAX_BYTES: u64 = 16 << 10;

const EXAMPLES: &str = "\
Examples:
  freeway pass new --budget 10 --model guide --for 30d --name team      prints a pass, for use as an API key
  freeway pass narrow fwp_... --budget 0.5 --rate 60                    a smaller one of it; needs no key, no network
  freeway pass show fwp_...                                             what it allows, and its ids
  freeway pass revoke fwp_...                                           it, and all that was narrowed from it, ends
  freeway pass key --json | jq -r .public_key                           what gateways know the owner by

Whoever holds a pass can spend with it: keep it like a key. `-` reads it from stdin, where other users of this machine
do not see it. What is spent counts against the pass and every pass that it was narrowed from.";

/// Options of `freeway pass`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct PassCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a pass that spends from your gateway.
    New(make::New),
    /// Make a narrower pass of one that you hold.
    Narrow(make::Narrow),
    /// Show what a pass allows.
    Show(view::ShowPass),
    /// End a pass and all that was narrowed from it.
    Revoke(change::Revoke),
    /// Show the owner's public key; makes the key if there is none.
    Key(change::OwnKey),
}

impl PassCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a pass or limit makes no sense, or the folder of passes cannot be used.
    pub fn run(self, context: &Context) -> Result<(), Problem> {
        match self.command {
            Command::New(command) => command.run(context),
            Command::Narrow(command) => command.run(context),
            Command::Show(command) => command.run(context),
            Command::Revoke(command) => command.run(context),
            Command::Key(command) => command.run(context),
        }
    }
}

/// Where passes are made.
#[derive(Debug, Args)]
struct Folder {
    /// The folder with the owner's key and the list of revoked passes [default: `passes` in the directory of the
    /// network].
    #[arg(long, value_name = "DIR", env = "FREEWAY_PASSES")]
    passes: Option<PathBuf>,
}

impl Folder {
    fn open(&self, context: &Context) -> Result<PassFolder, Problem> {
        Ok(PassFolder::new(match &self.passes {
            Some(folder) => folder.clone(),
            None => context.directory()?.join(FOLDER),
        }))
    }
}

fn folder_problem(error: FolderError) -> Problem {
    Problem::told("passes", error)
}

fn pass_problem(error: PassError) -> Problem {
    Problem::told("invalid_pass", error).or_hint("`freeway pass --help` has examples")
}

/// Reads a pass from the command line, or from stdin if that says `-`.
fn read(given: &str) -> Result<Pass, Problem> {
    let mut text = given.to_owned();
    if given == "-" {
        text.clear();
        let read = std::io::stdin().take(MAX_BYTES).read_to_string(&mut text);
        read.map_err(|error| {
            Problem::new("invalid_pass", format!("no pass can be read from stdin: {error}"))
                .hint("pipe a pass into this command")
        })?;
    }
    Pass::parse(text.trim()).map_err(pass_problem)
}
