//! The command line: its options and subcommands, and how a run of the program ends.
//!
//! Each subcommand is one file in [`crate::commands`]: a clap struct with `run(self, &Context)`. What it finds
//! around itself (directory, keys, nodes, output) is the [`Context`].

mod address;
mod context;
mod directory;
mod global;
mod interrupt;
mod node;
mod party;
mod proven;
pub mod reference;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands;
use crate::hints::{Exit, Problem};
use crate::output::Output;

pub(crate) use address::address_of_one;
pub use context::Context;
pub(crate) use context::KEYS;
pub use global::Global;
pub use node::{Blocks, Node};
pub use party::{Party, PartyError};
pub use proven::Proven;

/// Widest line of help.
const HELP_COLUMNS: usize = 100;

const EXAMPLES: &str = "\
Examples:
  freeway up                              start a network of four nodes on this machine
  freeway status                          see it work
  freeway top                             watch it live
  freeway keys new alice                  make a key
  freeway send --from alice bob 12.5      pay
  freeway status --json --rpc http://127.0.0.1:7700 | jq .height

Exit codes: 0 done, 1 the request failed, 2 the command line makes no sense, 130 interrupted.
With --json, a result is one line on stdout and an error is {\"error\":{\"code\",\"message\",\"hint\"}} on stderr.";

/// An open highway for AI compute.
///
/// One program plays every role: it runs nodes, keeps keys, and asks the network.
#[derive(Debug, Parser)]
#[command(
    name = "freeway",
    version,
    after_help = EXAMPLES,
    max_term_width = HELP_COLUMNS,
    arg_required_else_help = true,
    subcommand_value_name = "COMMAND",
    infer_long_args = false
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked of the program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a network on this machine.
    Up(commands::up::Up),
    /// Join a network that is there, and lend this machine to it.
    Join(commands::join::Join),
    /// Run or prepare a node.
    Node(commands::node::Node),
    /// See height, epoch, phase and hosts.
    Status(commands::status::Status),
    /// Watch the network on this terminal, live.
    Top(commands::top::Top),
    /// Find out what is wrong with a machine, a node or a gateway.
    Doctor(commands::doctor::Doctor),
    /// Talk with a model.
    Chat(commands::chat::Chat),
    /// Make and keep packages of models, and add them to a network.
    Model(commands::model::Model),
    /// Serve models behind the OpenAI interface: this machine's, or those of paid hosts.
    Gateway(commands::gateway::Gateway),
    /// Make and list keys.
    Keys(commands::keys::Keys),
    /// See an account: balance, sequence, delegates.
    Account(commands::account::Account),
    /// Pay somebody.
    Send(commands::send::Send),
    /// Lend a machine to the network, or see who does.
    Host(commands::host::Host),
    /// Pay hosts for inference, without a transaction for each request.
    Lane(commands::lane::Lane),
    /// Let others spend, within limits that they can narrow and nobody can widen.
    Pass(commands::pass::PassCommand),
    /// See what hosts were paid for, and check that they did it.
    Receipt(commands::receipt::Receipt),
    /// Report a receipt that its host did not commit to.
    Report(commands::report::Report),
    /// See what models cost.
    Price(commands::price::Price),
    /// Answer for an output with money.
    Endorse(commands::endorse::Endorse),
    /// See who answers for outputs, decide about it, or take a bond back.
    Endorsement(commands::endorsement::Endorsement),
    /// Let another key act for an account.
    Delegate(commands::delegate::Delegate),
    /// See the race in which compute is proven, and measure this machine.
    Sprint(commands::sprint::Sprint),
    /// See the network's randomness.
    Beacon(commands::beacon::Beacon),
    /// See a block.
    Block(commands::block::Block),
    /// See what became of a transaction.
    #[command(visible_alias = "tx")]
    Transaction(commands::transaction::Transaction),
    /// Make or examine the file that defines a network.
    Genesis(commands::genesis::Genesis),
    /// Print a script that completes commands in a shell.
    Completions(commands::completions::Completions),
}

impl Cli {
    /// Reads a command line, program name first.
    ///
    /// # Errors
    /// clap's, also for `--help` and `--version`, which are pages to print.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(arguments)?;
        let mut cli = Self::from_arg_matches(&matches)?;
        // What is typed comes before what is set: with FREEWAY_RPC set, `--dir` must still mean the network there.
        if source(&matches, "dir") == Some(ValueSource::CommandLine)
            && source(&matches, "rpc") == Some(ValueSource::EnvVariable)
        {
            cli.global.rpc = None;
        }
        Ok(cli)
    }

    /// Does what was asked.
    async fn run(self) -> Result<(), Problem> {
        let context = Context::new(self.global);
        match self.command {
            // These end in order when they are interrupted, which takes them a moment.
            Command::Up(command) => command.run(&context).await,
            Command::Join(command) => command.run(&context).await,
            Command::Node(command) => command.run(&context).await,
            Command::Gateway(command) => command.run(&context).await,
            Command::Model(command) if command.ends_in_order() => command.run(&context).await,
            // A terminal has to be put in order first.
            Command::Top(command) if command.is_screen(context.output().json) => command.run(&context).await,
            // At a terminal, Ctrl-C ends an answer, not the conversation.
            Command::Chat(command) if command.is_conversation() => command.run(&context).await,
            other => interrupt::unless_interrupted(other.run(&context)).await,
        }
    }
}

impl Command {
    async fn run(self, context: &Context) -> Result<(), Problem> {
        match self {
            Self::Up(command) => command.run(context).await,
            Self::Join(command) => command.run(context).await,
            Self::Node(command) => command.run(context).await,
            Self::Status(command) => command.run(context).await,
            Self::Doctor(command) => command.run(context).await,
            Self::Top(command) => command.run(context).await,
            Self::Chat(command) => command.run(context).await,
            Self::Model(command) => command.run(context).await,
            Self::Gateway(command) => command.run(context).await,
            Self::Keys(command) => command.run(context),
            Self::Account(command) => command.run(context).await,
            Self::Send(command) => command.run(context).await,
            Self::Host(command) => command.run(context).await,
            Self::Lane(command) => command.run(context).await,
            Self::Pass(command) => command.run(context),
            Self::Receipt(command) => command.run(context).await,
            Self::Report(command) => command.run(context).await,
            Self::Price(command) => command.run(context).await,
            Self::Endorse(command) => command.run(context).await,
            Self::Endorsement(command) => command.run(context).await,
            Self::Delegate(command) => command.run(context).await,
            Self::Sprint(command) => command.run(context).await,
            Self::Beacon(command) => command.run(context).await,
            Self::Block(command) => command.run(context).await,
            Self::Transaction(command) => command.run(context).await,
            Self::Genesis(command) => command.run(context),
            Self::Completions(command) => command.run(context),
        }
    }
}

fn source(matches: &ArgMatches, option: &str) -> Option<ValueSource> {
    matches.value_source(option)
}

/// A whole run of the program: reads the command line, does what it says, prints what went wrong.
pub async fn run(arguments: Vec<OsString>) -> ExitCode {
    match Cli::read(arguments.iter().cloned()) {
        Ok(cli) => {
            let output = cli.global.output();
            ended(output, cli.run().await)
        }
        Err(error) => {
            // The command line could not be read, so `--json` is looked for by itself.
            let json = arguments.iter().take_while(|word| *word != "--").any(|word| word == "--json");
            let output = Output { json, ..Output::default() };
            ended(output, unread(output, &error, &arguments))
        }
    }
}

fn ended(output: Output, result: Result<(), Problem>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            if problem.exit() != Exit::Closed {
                output.problem(&problem);
            }
            problem.exit().into()
        }
    }
}

/// A command line that is no command: a page of help, or a mistake.
fn unread(output: Output, error: &clap::Error, arguments: &[OsString]) -> Result<(), Problem> {
    use clap::error::ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion, MissingSubcommand,
    };

    let mut command = command_in(arguments);
    let name = command.get_bin_name().unwrap_or_default().to_owned();
    match error.kind() {
        DisplayHelp | DisplayVersion => {
            // clap knows whether stdout takes colours.
            error.print().map_err(|_| Problem::closed())
        }
        // Which of the two it is depends on variables that have nothing to do with it.
        DisplayHelpOnMissingArgumentOrSubcommand | MissingSubcommand => {
            output.note(command.render_help());
            Err(Problem::usage("no command was given").hint(format!("`{name} --help` lists the commands")))
        }
        _ => Err(Problem::from_clap(error, &name)),
    }
}

/// The command that a command line means, as far as it can be told.
fn command_in(arguments: &[OsString]) -> clap::Command {
    let mut command = Cli::command();
    // Only then do subcommands know their full names and the options that every command takes.
    command.build();
    for word in arguments.iter().skip(1).take_while(|word| *word != "--") {
        if let Some(below) = command.find_subcommand(word) {
            command = below.clone();
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        Cli::read(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// An option of a command with the name of a global one is taken for that as well.
    #[test]
    fn no_command_has_an_option_that_is_called_like_a_global_one() {
        fn check(command: &clap::Command, globals: &[String]) {
            for option in command.get_arguments().filter(|option| !option.is_global_set()) {
                let place = format!("{} {}", command.get_name(), option.get_id());
                // Of one type, and it is known there what it means.
                let known = place == "gateway keys";
                assert!(known || !globals.contains(&option.get_id().to_string()), "{place}");
            }
            command.get_subcommands().for_each(|below| check(below, globals));
        }
        let mut command = Cli::command();
        command.build();
        let globals: Vec<String> = command
            .get_arguments()
            .filter(|option| option.is_global_set())
            .map(|option| option.get_id().to_string())
            .collect();
        assert!(globals.contains(&"rpc".to_owned()));
        check(&command, &globals);
    }

    #[test]
    fn global_options_stand_anywhere() {
        for line in ["freeway --json --dir d status", "freeway status --json --dir d"] {
            let cli = read(line).unwrap();
            assert!(cli.global.json && cli.global.dir.as_deref() == Some("d".as_ref()), "{line}");
        }
    }

    #[test]
    fn mistakes_come_with_a_hint() {
        for (line, hint) in [
            ("freeway sned", "'send'"),
            ("freeway status --jsn", "'--json'"),
            ("freeway send --from alice bob 1e9", "write for example 12.5"),
            ("freeway send --from alice", "`freeway send --help`"),
            ("freeway keys new Alice", "a-z"),
            ("freeway --json keys new Alice", "`freeway keys new --help`"),
        ] {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let problem = unread(Output::default(), &read(line).unwrap_err(), &words).unwrap_err();
            assert_eq!(problem.exit(), Exit::Usage, "{line}");
            assert!(problem.what_next().unwrap().contains(hint), "{line}: {problem}");
        }
    }
}
