//! `freeway chat`: talk with a model in the terminal.

mod session;
mod terminal;

use std::io::{IsTerminal, Read};

use clap::Args;
use freeway_engines::{Upstream, UpstreamOptions};
use serde::Serialize;

use super::asking::WhichGateway;
use crate::cli::Context;
use crate::hints::Problem;
use crate::output::{Page, Show};
use session::{Answer, Session};

/// Longest question from a pipe.
const MAX_QUESTION_BYTES: u64 = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  freeway chat                                      talk with the guide; /help lists what else can be typed
  freeway chat what is a sprint                     one question, one answer
  freeway chat --json what is a sprint | jq .freeway.receipt
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

    #[command(flatten)]
    gateway: WhichGateway,

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
        let (url, key) = (self.gateway.url(context)?, self.gateway.key(&directory)?);
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
        terminal::talk(session, self.gateway.gateway(context)?, directory.join("chat-history"), output).await
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
    let answer = session.ask(&question, |text| output.text(text)).await?;
    output.text("\n")?;
    if let Some(line) = answer.receipt_line() {
        output.aside(line);
    }
    Ok(())
}
