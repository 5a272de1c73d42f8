//! `freeway model`: make packages of models, keep those that this machine serves, and add them to a network.

mod add;
mod calibrate;
mod list;
mod pack;
mod register;
mod remove;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use freeway_models::{Entry, Library, Progress};
use serde::Serialize;

use crate::cli::Context;
use crate::hints::Problem;
use crate::output::{Output, Page};

pub(crate) use register::{Checks, find, register};

/// The folder of packages in a directory of a network.
pub(crate) const FOLDER: &str = "models";

/// A page of English, on which models are compared unless another text is given.
const TEXT: &str = include_str!("model/text.txt");

const EXAMPLES: &str = "\
Examples:
  freeway model pack ./Qwen3-0.6B          make a package of a Hugging Face folder, with a report on its quality
  freeway model pack model-Q8_0.gguf       the same from a GGUF file
  freeway model add model.freeway          check a package that somebody sent, and keep it
  freeway model list                       those of this machine
  freeway model show guide --verify        everything about one, and whether its bytes are right
  freeway model register guide --from alice    let hosts of the network serve it, for pay
  freeway model list --chain               the models of the network, and what they cost

  freeway model calibrate big --engine http://127.0.0.1:8080/v1 --out noise.json
                                           how much that server differs from the package
  freeway model register big --from alice --statistical --noise noise.json
                                           let hosts serve it with servers of their own";

/// Options of `freeway model`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Model {
    /// The folder of packages [default: `models` in the directory of the network].
    #[arg(long, global = true, value_name = "DIR", env = "FREEWAY_MODELS")]
    models: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a package of a Hugging Face folder or a GGUF file.
    Pack(pack::Pack),
    /// List the packages of this machine.
    List(list::List),
    /// Show everything about a package.
    Show(show::ShowModel),
    /// Check a package and keep it.
    Add(add::Add),
    /// Delete a package.
    Remove(remove::Remove),
    /// Add a package to the models of the network, under a bond.
    Register(register::Register),
    /// Measure how much a server with the same weights differs from a package.
    Calibrate(calibrate::Calibrate),
    /// Take back a model of the network that nobody serves or uses, and its bond.
    Retire(register::Retire),
}

impl Model {
    /// Whether it is long work that ends in order when it is interrupted, with what it has.
    pub(crate) const fn ends_in_order(&self) -> bool {
        matches!(self.command, Command::Calibrate(_))
    }

    /// Runs the command.
    ///
    /// # Errors
    /// If a file is damaged or hostile, or cannot be read or written; if no node answers.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let folder = match self.models {
            Some(folder) => folder,
            None => context.directory()?.join(FOLDER),
        };
        let output = context.output();
        let command = match self.command {
            Command::List(list) if list.chain => {
                let node = context.connect().await?;
                return output.result(&super::price::Models::of(&node).await?);
            }
            Command::Register(command) => return command.run(&folder, context).await,
            Command::Retire(command) => return command.run(context).await,
            Command::Calibrate(command) => return command.run(&folder, output).await,
            other => other,
        };
        // All of it is files and arithmetic.
        let work = tokio::task::spawn_blocking(move || match command {
            Command::Pack(command) => command.run(&folder, output),
            Command::List(command) => command.run(&folder, output),
            Command::Show(command) => command.run(&folder, output),
            Command::Add(command) => command.run(&folder, output),
            Command::Remove(command) => command.run(&folder, output),
            // Done above: these ask the network, or a server.
            Command::Register(_) | Command::Retire(_) | Command::Calibrate(_) => Ok(()),
        });
        work.await.unwrap_or_else(|error| Err(Problem::new("defect", format!("the work stopped: {error}"))))
    }
}

fn library(folder: &std::path::Path) -> Result<Library, Problem> {
    Library::open(folder)
        .map_err(|error| Problem::told("models", error).or_hint("name another folder with --models"))
}

/// A package in short.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    root: String,
    family: String,
    parameters: u64,
    context: u32,
    group: usize,
    bytes: u64,
    built_in: bool,
}

impl From<&Entry> for Line {
    fn from(entry: &Entry) -> Self {
        Self {
            name: entry.name.clone(),
            root: entry.root.to_string(),
            family: entry.family.to_string(),
            parameters: entry.parameters,
            context: entry.context,
            group: entry.group.size(),
            bytes: entry.bytes,
            built_in: false,
        }
    }
}

impl Line {
    fn of(package: &freeway_models::Package, built_in: bool) -> Self {
        let config = package.config();
        Self {
            name: package.name().to_owned(),
            root: package.root().to_string(),
            family: config.family.to_string(),
            parameters: config.parameters(),
            context: config.context,
            group: config.group.size(),
            bytes: package.bytes(),
            built_in,
        }
    }

    fn fields(&self, page: &mut Page) {
        page.fields([
            ("name", self.name.clone()),
            ("root", self.root.clone()),
            ("family", self.family.clone()),
            ("parameters", count(self.parameters)),
            ("context", format!("{} tokens", self.context)),
            ("scales", scales(self.group)),
            ("size", mib(self.bytes)),
            ("origin", if self.built_in { "built in".into() } else { String::new() }),
        ]);
    }
}

fn scales(group: usize) -> String {
    match group {
        0 => "one for each output".into(),
        group => format!("one for each {group} weights"),
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

fn count(number: u64) -> String {
    match number {
        0..1_000_000 => format!("{:.0} thousand", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} million", number as f64 / 1e6),
        _ => format!("{:.2} billion", number as f64 / 1e9),
    }
}

/// A function that shows how far long work is.
fn progress(output: Output) -> impl FnMut(Progress) {
    let mut line = output.progress();
    move |at: Progress| {
        let part = (at.done as f64 / at.total.max(1) as f64 * 100.0).min(100.0);
        line.set(format!("{} {part:.0} %", at.stage));
    }
}
