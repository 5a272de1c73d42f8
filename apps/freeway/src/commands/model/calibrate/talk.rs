//! Answers of a server, scored by a package.

use std::collections::BTreeSet;
use std::sync::Arc;

use freeway_engines::{Engine, EngineError, ErrorKind, Event, Job, ScoreJob, TextAssets};
use freeway_requests::{LogProb, MAX_TOP_LOGPROBS, ModelRoot, Q16, Sampling, Scored, Seed, TokenRequest};
use futures::StreamExt;
use tokenizers::Tokenizer;

use super::super::TEXT;
use crate::hints::Problem;

/// Words of a prompt, and how far one prompt begins after the one before.
const WORDS: usize = 24;
const STEP: usize = 37;
/// The temperatures of answers in turn, in units of 2^-16; 0 is greedy.
const TEMPERATURES: [i32; 4] = [1 << 16, 45_875, 1 << 16, 0];

/// A token as server and package see it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) token: u32,
    pub(super) claimed: Option<LogProb>,
    pub(super) scored: Scored,
}

impl Seen {
    /// By how much the two differ, in millionths of a nat; `None` if the server says nothing of it.
    pub(super) fn gap(&self) -> Option<u32> {
        self.claimed.map(|claimed| claimed.0.abs_diff(self.scored.logprob.0))
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) sampling: Sampling,
    pub(super) tokens: Vec<Seen>,
}

/// A server and a package of the same model.
pub(super) struct Talk {
    server: Box<dyn Engine>,
    package: Box<dyn Engine>,
    name: String,
    prompts: Vec<Vec<u32>>,
    root: ModelRoot,
    stop: BTreeSet<u32>,
    vocabulary: u32,
    context: u32,
    most: u32,
}

impl Talk {
    /// `server` and `package` know the model as `name`; answers have `most` tokens at most.
    ///
    /// # Errors
    /// If the tokenizer cannot be used.
    pub(super) fn new(
        server: Box<dyn Engine>,
        package: Box<dyn Engine>,
        name: String,
        assets: &TextAssets,
        most: u32,
    ) -> Result<Self, Problem> {
        let failed = |error: &dyn std::fmt::Display| {
            Problem::told("damaged_model", format!("the package's tokenizer cannot be used: {error}"))
                .or_hint("remove the package, and get it again from where it came")
        };
        let tokenizer = Tokenizer::from_bytes(&*assets.tokenizer_json).map_err(|error| failed(&error))?;
        let words: Vec<&str> = TEXT.split_whitespace().collect();
        let mut prompts = Vec::new();
        for start in 0..words.len().saturating_sub(WORDS) {
            let text = words.iter().skip(start).take(WORDS).copied().collect::<Vec<_>>().join(" ");
            let ids = tokenizer.encode_fast(text, true).map_err(|error| failed(&error))?.get_ids().to_vec();
            if !ids.is_empty() && ids.len() < assets.context as usize {
                prompts.push(ids);
            }
        }
        if prompts.is_empty() {
            return Err(failed(&"no text of it fits the model's context"));
        }
        let stop = assets.eos.iter().copied().collect();
        let (root, vocabulary, context) = (assets.root, assets.vocabulary, assets.context);
        Ok(Self { server, package, name, prompts, root, stop, vocabulary, context, most })
    }

    /// The tokens of the model.
    pub(super) const fn vocabulary(&self) -> u32 {
        self.vocabulary
    }

    fn request(&self, number: usize) -> TokenRequest {
        let prompt = self.prompts[number.wrapping_mul(STEP) % self.prompts.len()].clone();
        let temperature = Q16(TEMPERATURES[number % TEMPERATURES.len()]);
        let left = self.context.saturating_sub(u32::try_from(prompt.len()).unwrap_or(u32::MAX));
        TokenRequest {
            max_tokens: self.most.min(left).max(1),
            sampling: Sampling { temperature, ..Sampling::default() },
            stop: self.stop.clone(),
            seed: Seed::of_number(i64::try_from(number).unwrap_or_default()),
            ..TokenRequest::greedy(self.root, prompt, 1)
        }
    }

    /// Asks the server once, for nothing: shows what is wrong with it.
    ///
    /// # Errors
    /// As [`Talk::answer`].
    pub(super) async fn prepare(&self) -> Result<(), EngineError> {
        let request = TokenRequest { max_tokens: 1, ..self.request(0) };
        self.generated(&Arc::new(request)).await.map(drop)
    }

    /// One answer, scored.
    ///
    /// # Errors
    /// If the server or the package fails.
    pub(super) async fn answer(&self, number: usize) -> Result<Answer, EngineError> {
        let request = Arc::new(self.request(number));
        let generated = self.generated(&request).await?;
        let sampling = request.sampling.clone();
        if generated.is_empty() {
            return Ok(Answer { sampling, tokens: Vec::new() });
        }
        let continuation = generated.iter().map(|(token, _)| *token).collect();
        let job = ScoreJob { prompt: request.prompt.clone(), continuation, top: MAX_TOP_LOGPROBS };
        let scores = self.package.score(&self.name, job).await?;
        let tokens = generated.into_iter().zip(scores.tokens);
        let tokens = tokens.map(|((token, claimed), scored)| Seen { token, claimed, scored }).collect();
        Ok(Answer { sampling, tokens })
    }

    /// The tokens of an answer, with what the server says of them.
    async fn generated(
        &self,
        request: &Arc<TokenRequest>,
    ) -> Result<Vec<(u32, Option<LogProb>)>, EngineError> {
        let job = Job { request: Arc::clone(request), trace: false, claims: true };
        let mut events = self.server.generate(&self.name, job).await?;
        let mut tokens = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                Event::Token(token) if tokens.len() < request.max_tokens as usize => {
                    tokens.push((token.id, token.scored.map(|scored| scored.logprob)));
                }
                Event::Token(_) => {
                    let message = "the server gave more tokens than were asked for";
                    return Err(EngineError::new(ErrorKind::BadUpstream, message));
                }
                Event::Failed(error) => return Err(error),
                Event::Started { .. } | Event::Finished(_) | Event::Paid(_) => {}
            }
        }
        Ok(tokens)
    }
}
