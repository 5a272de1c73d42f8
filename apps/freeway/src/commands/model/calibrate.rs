//! `freeway model calibrate`: how much an honest server differs from the package of its model.

mod found;
mod talk;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use freeway_engines::{
    Engine, EngineError, ErrorKind, Exact, ExactOptions, TextAssets, TokenServer, Upstream,
};
use freeway_requests::Sampling;
use freeway_requests::evidence::{Calibration, LEAST_TOKENS, Spoken};
use futures::{StreamExt, stream};

use super::find;
use crate::commands::engine::WhichEngine;
use crate::commands::gateway::upstream_options;
use crate::files::write_new;
use crate::hints::Problem;
use crate::output::{Output, Progress};
use found::{Counts, Found};
use talk::{Answer, Talk};

/// Beyond this median difference of log-probabilities, in millionths of a nat, it is another model.
const OTHER_MODEL: u32 = 1_000_000;
/// After so many tokens it is looked at first.
const FIRST_LOOK: usize = 200;
/// So many answers in a row that say nothing, or cannot be read, end it.
const MAX_EMPTY: u32 = 32;
/// How often progress is told where it cannot be shown in place: after this part of the tokens.
const PARTS: usize = 10;

/// Options of `freeway model calibrate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  freeway model calibrate big --engine http://127.0.0.1:8080/v1
  freeway model calibrate big --engine http://127.0.0.1:8080/v1 --out noise.json

The server is taken to be honest: measure one of your own. It generates, the package scores.
Ctrl-C ends it with what was gathered; with fewer than about 10000 tokens the noise is so wide
that small differences are not found.")]
pub(super) struct Calibrate {
    /// The package: `guide`, or the name or root of one that `freeway model list` shows.
    #[arg(value_name = "PACKAGE", requires = "engine")]
    package: String,

    #[command(flatten)]
    engine: WhichEngine,

    /// How many tokens are looked at.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1_000..=1 << 20))]
    tokens: u32,

    /// Tokens of each answer, at most.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(8..=4_096))]
    answer_tokens: u32,

    /// Answers at a time.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    at_once: u16,

    /// Threads that score; 0 takes one for each core.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=4_096))]
    threads: u16,

    /// Write the noise there, for `freeway model register --noise`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Calibrate {
    pub(super) async fn run(self, folder: &Path, output: Output) -> Result<(), Problem> {
        if let Some(out) = self.out.as_ref().filter(|out| out.exists()) {
            return Err(Problem::new("file_exists", format!("there is a file {} already", out.display()))
                .hint("choose another name, or move it away"));
        }
        let talk = self.talk(folder).await?;
        let began = Instant::now();
        let mut gathered = Gathered::new(self.tokens as usize, output);
        let answers = stream::iter(0..).map(|number| talk.answer(number));
        let mut answers = std::pin::pin!(answers.buffer_unordered(usize::from(self.at_once)));
        let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
        let mut interrupted = false;
        while gathered.count() < self.tokens as usize && !interrupted {
            tokio::select! {
                biased;
                _ = &mut interrupt => interrupted = true,
                answer = answers.next() => match answer {
                    Some(Ok(answer)) => gathered.take(answer)?,
                    Some(Err(error)) => gathered.skip(&error)?,
                    None => break,
                },
            }
        }
        gathered.progress.set("");
        let found = gathered.found(talk.vocabulary(), interrupted, began.elapsed())?;
        if let Some(out) = &self.out {
            write_new(out, found.to_write()?.as_bytes())?;
        }
        output.result(&found.named(self.package, self.out))
    }

    /// The server and the package, ready.
    async fn talk(&self, folder: &Path) -> Result<Talk, Problem> {
        let package = find(folder, &self.package)?;
        let name = package.name().to_owned();
        let Some(config) = self.engine.config(&name)? else {
            return Err(Problem::usage("no server is named").hint("name one with --engine URL"));
        };
        let told = |error: &dyn std::fmt::Display| Problem::told("no_server", error);
        let upstream = Upstream::new(upstream_options(&config)?).map_err(|error| told(&error))?;
        let assets = TextAssets::of_package(&package);
        let server =
            TokenServer::new(Arc::new(upstream), &name, assets.clone()).map_err(|error| failed(&error))?;
        let mut options = ExactOptions::default();
        if self.threads > 0 {
            options.model.threads = usize::from(self.threads);
        }
        let exact = Exact::new(options);
        exact.add(&name, package).map_err(|error| Problem::told("model", error))?;
        let talk = Talk::new(
            Box::new(server),
            Box::new(exact) as Box<dyn Engine>,
            name,
            &assets,
            self.answer_tokens,
        )?;
        talk.prepare().await.map_err(|error| failed(&error))?;
        Ok(talk)
    }
}

/// What the server or the package could not do.
fn failed(error: &EngineError) -> Problem {
    Problem::told("not_measured", &error.message)
        .or_hint("see whether the server runs, and whether its URL, name of the model and key are right")
}

/// What was seen so far.
struct Gathered {
    answers: Vec<Answer>,
    gaps: Vec<u32>,
    wanted: usize,
    /// Answers in a row without a token that says something.
    empty: u32,
    /// Answers that could not be read.
    skipped: u32,
    /// The next count that is told.
    tell_at: usize,
    began: Instant,
    output: Output,
    progress: Progress,
}

impl Gathered {
    fn new(wanted: usize, output: Output) -> Self {
        Self {
            answers: Vec::new(),
            gaps: Vec::new(),
            wanted,
            empty: 0,
            skipped: 0,
            tell_at: wanted / PARTS,
            began: Instant::now(),
            output,
            progress: output.progress(),
        }
    }

    /// Tokens that say something.
    fn count(&self) -> usize {
        self.gaps.len()
    }

    fn take(&mut self, answer: Answer) -> Result<(), Problem> {
        let before = self.count();
        self.gaps.extend(answer.tokens.iter().filter_map(talk::Seen::gap));
        self.answers.push(answer);
        let count = self.count();
        self.empty = if count == before { self.empty + 1 } else { 0 };
        if self.empty >= MAX_EMPTY {
            return Err(Problem::new(
                "not_measured",
                format!("the last {MAX_EMPTY} answers of the server have no tokens"),
            )
            .hint("see what it answers to a plain text; it may be the wrong model"));
        }
        if before < FIRST_LOOK && count >= FIRST_LOOK {
            self.check_model()?;
        }
        let rate = count as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let so_far = format!("{count} of {} tokens, {rate:.0} tokens/s", self.wanted);
        self.progress.set(&so_far);
        if count >= self.tell_at {
            self.tell_at = count.saturating_add(self.wanted / PARTS);
            if !self.progress.is_shown() {
                self.output.note(&so_far);
            }
        }
        Ok(())
    }

    /// Passes over an answer that cannot be read: some servers do not tell every token. Other errors end it.
    fn skip(&mut self, error: &EngineError) -> Result<(), Problem> {
        self.empty += 1;
        self.skipped += 1;
        self.output.detail(&error.message);
        if error.kind == ErrorKind::BadUpstream && self.empty < MAX_EMPTY {
            Ok(())
        } else {
            Err(failed(error))
        }
    }

    fn median(&self) -> u32 {
        let mut gaps = self.gaps.clone();
        let middle = gaps.len() / 2;
        if gaps.is_empty() { 0 } else { *gaps.select_nth_unstable(middle).1 }
    }

    /// Fails if what is claimed has nothing to do with what is scored.
    fn check_model(&self) -> Result<(), Problem> {
        let median = self.median();
        if median <= OTHER_MODEL {
            return Ok(());
        }
        let nats = f64::from(median) / 1e6;
        Err(Problem::new(
            "other_model",
            format!("the server's log-probabilities are off by {nats:.2} nats in the median: it has another model or tokenizer"),
        )
        .hint("serve the weights from which the package was made, or name the right model with --engine-model"))
    }

    /// What comes of it.
    fn found(self, vocabulary: u32, interrupted: bool, took: std::time::Duration) -> Result<Found, Problem> {
        let count = self.count();
        if count < LEAST_TOKENS {
            return Err(if interrupted {
                Problem::interrupted()
            } else {
                Problem::new("not_measured", format!("{count} tokens are too few to say anything"))
                    .hint("let it run longer")
            });
        }
        self.check_model()?;
        let mut calibration = Calibration::default();
        each(&self.answers, vocabulary, |spoken| calibration.observe(spoken));
        let noise = calibration.noise().ok_or_else(|| {
            Problem::new("not_measured", "the tokens say too little").hint("ask for more with --tokens")
        })?;
        let counts = Counts { tokens: count, median_gap: self.median(), skipped: self.skipped };
        Ok(Found::new(noise, &self.answers, vocabulary, counts, interrupted, took))
    }
}

/// Shows all tokens of all answers, in order.
fn each(answers: &[Answer], vocabulary: u32, mut look: impl FnMut(&Spoken<'_>)) {
    for answer in answers {
        let sampling: &Sampling = &answer.sampling;
        for seen in &answer.tokens {
            look(&Spoken {
                sampling,
                constrained: false,
                vocabulary,
                token: seen.token,
                // Servers do not tell the token that ends an answer: verifiers take what they find.
                claimed: Some(seen.claimed.unwrap_or(seen.scored.logprob)),
                scored: &seen.scored,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(gap: u32, count: usize) -> Gathered {
        let quiet = Output { quiet: true, ..Output::default() };
        Gathered { gaps: vec![gap; count], ..Gathered::new(1_000, quiet) }
    }

    #[test]
    fn another_model_is_named_as_such() {
        assert!(gathered(30_000, 500).check_model().is_ok());
        let problem = gathered(1_500_000, 500).check_model().unwrap_err();
        assert_eq!(problem.code(), "other_model");
        assert!(problem.message().contains("1.50 nats"), "{problem}");
    }

    #[test]
    fn too_few_tokens_say_nothing() {
        let found =
            |interrupted| gathered(0, 999).found(2, interrupted, std::time::Duration::ZERO).unwrap_err();
        assert_eq!(found(false).code(), "not_measured");
        assert_eq!(found(true).exit(), crate::hints::Exit::Interrupted);
    }

    #[test]
    fn answers_that_cannot_be_read_are_passed_over_for_a_while() {
        let (mut gathered, bad) = (gathered(0, 0), EngineError::new(ErrorKind::BadUpstream, "nonsense"));
        for _ in 1..MAX_EMPTY {
            gathered.skip(&bad).unwrap();
        }
        assert_eq!(gathered.skip(&bad).unwrap_err().message(), "nonsense");
        let silent = EngineError::new(ErrorKind::Unavailable, "silent");
        assert_eq!(self::gathered(0, 0).skip(&silent).unwrap_err().code(), "not_measured");
    }
}
