//! `freeway chat`: talk with a model in the terminal.

mod session;
mod terminal;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;
use freeway_engines::{Secret, Upstream, UpstreamOptions};
use serde::Serialize;

use crate::cli::Context;
use crate::files::read_bounded;
use crate::hints::Problem;
use crate::network_file::NetworkFile;
use crate::output::{Page, Show};
use session::{Answer, Session};

/// The file with the key of a local network's gateways.
pub(crate) const KEY_FILE: &str = "api-key";
/// Largest file with a key.
const MAX_KEY_BYTES: u64 = 64 << 10;
/// Longest question from a pipe.
const MAX_QUESTION_BYTES: u64 = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  freeway chat                                      talk with the guide; /help lists what else can be typed
  freeway chat what is a sprint                     one question, one answer
  freeway chat --json what is a sprint | jq .freeway.trace
  echo what is a lane | freeway chat --seed 7       from a pipe; the same seed, the same answer";

/// Options of `freeway chat`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Chat {
    /// A question; without one a conversation begins.
    question: Vec<String>,

    /// The model.
    #[arg(long, default_value = "guide")]
    model: String,

    /// What the model is told beforehand.
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    /// An OpenAI-compatible server, as URL ending in /v1 [default: the network of the directory].
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// A file with the key for it [default: the network's, or the variable FREEWAY_API_KEY].
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// How freely words are chosen, from 0 to 2.
    #[arg(long, value_name = "NUMBER")]
    temperature: Option<f64>,

    /// Tokens of an answer, at most.
    #[arg(long, value_name = "N", default_value_t = 512)]
    max_tokens: u32,

    /// The same seed gives the same answer to the same conversation.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<i64>,
}

/// One answer, for programs.
#[derive(Debug, Serialize)]
struct Whole {
    #[serde(flatten)]
    answer: Answer,
}

impl Show for Whole {
    fn show(&self, page: &mut Page) {
        page.line(&self.answer.content);
    }
}

impl Chat {
    /// Whether people talk at a terminal, rather than a program.
    pub(crate) fn is_conversation(&self) -> bool {
        self.question.is_empty() && std::io::stdin().is_terminal()
    }

    /// Runs the command.
    ///
    /// # Errors
    /// If no gateway answers, or it refuses.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let directory = context.directory()?;
        let url = match &self.url {
            Some(url) => url.clone(),
            None => NetworkFile::read(&directory)?.apis.into_iter().next().ok_or_else(|| {
                Problem::new("no_gateway", "the network here serves no models")
                    .hint("start it again with this version's `freeway up`, or name a server with --url")
            })?,
        };
        let key = self.key(&directory)?;
        let models = vec![(self.model.clone(), self.model.clone())];
        let server = Upstream::new(UpstreamOptions { key, models, ..UpstreamOptions::new(url) })
            .map_err(|error| Problem::told("invalid_url", error))?;
        let mut session = Session::new(server, self.model, self.system);
        session.temperature = self.temperature;
        session.max_tokens = self.max_tokens;
        session.seed = self.seed;

        let output = context.output();
        if !self.question.is_empty() {
            return once(&mut session, self.question.join(" "), output).await;
        }
        if !std::io::stdin().is_terminal() || output.json {
            let mut question = String::new();
            std::io::stdin()
                .take(MAX_QUESTION_BYTES)
                .read_to_string(&mut question)
                .map_err(|error| Problem::new("input", format!("the question cannot be read: {error}")))?;
            return once(&mut session, question.trim().to_owned(), output).await;
        }
        terminal::talk(session, directory.join("chat-history"), output).await
    }

    fn key(&self, directory: &std::path::Path) -> Result<Option<Secret>, Problem> {
        if let Some(file) = &self.key_file {
            return read_key(file).map(Some);
        }
        if let Ok(key) = std::env::var("FREEWAY_API_KEY")
            && !key.is_empty()
        {
            return Ok(Some(Secret::new(key)));
        }
        // The key of the local network is for nobody else.
        let file = directory.join(KEY_FILE);
        if self.url.is_none() && file.exists() { read_key(&file).map(Some) } else { Ok(None) }
    }
}

/// The key in a file: its last word, so that a line `NAME KEY` will do.
fn read_key(file: &std::path::Path) -> Result<Secret, Problem> {
    let text = String::from_utf8(read_bounded(file, MAX_KEY_BYTES)?)
        .map_err(|_| Problem::file("read", file, "it is not text"))?;
    let line = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    match line.and_then(|line| line.split_whitespace().last()) {
        Some(key) => Ok(Secret::new(key)),
        None => Err(Problem::file("read", file, "it has no key")),
    }
}

/// One question, one answer: streamed for people, whole for programs.
async fn once(session: &mut Session, question: String, output: crate::output::Output) -> Result<(), Problem> {
    if question.is_empty() {
        return Err(
            Problem::usage("there is no question").hint("write one behind the command, or pipe it in")
        );
    }
    if output.json {
        let answer = session.ask(&question, |_| Ok(())).await?;
        return output.result(&Whole { answer });
    }
    session.ask(&question, |text| output.text(text)).await?;
    output.text("\n")
}
