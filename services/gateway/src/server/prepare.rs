//! From what a client wants to what an engine computes.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use freeway_engines::{Capabilities, Job, Route};
use freeway_requests::{Grammar, MAX_PROMPT_TOKENS, Seed, TokenRequest};

use super::Server;
use super::guard::Caller;
use crate::answer::generation::Task;
use crate::answer::meter::Meter;
use crate::error::ApiError;
use crate::text::TextModel;
use crate::wire::tuning::Tuning;

/// Where a request goes, and what can be done there.
pub(super) struct Target {
    pub(super) route: Route,
    pub(super) capabilities: Capabilities,
}

/// What is the same for every prompt of a request.
pub(super) struct Plan<'a> {
    pub(super) target: &'a Target,
    pub(super) text: &'a TextModel,
    pub(super) tuning: &'a Tuning,
    pub(super) logprobs: Option<u8>,
    pub(super) grammar: Option<Grammar>,
    /// The field that prompts come from.
    pub(super) field: &'static str,
    /// What the client asked for, and what is taken if it did not.
    pub(super) max_tokens: (Option<u32>, u32),
}

impl Server {
    /// Where requests for `model` go.
    pub(super) fn target(&self, model: &str) -> Result<Target, ApiError> {
        let route = self.engines.resolve(model)?;
        let capabilities = route.engine.capabilities(&route.theirs);
        let capabilities =
            capabilities.ok_or_else(|| ApiError::from(freeway_engines::EngineError::unknown_model(model)))?;
        Ok(Target { route, capabilities })
    }

    /// A place among the requests that are worked on.
    pub(super) fn meter(&self, caller: Caller) -> Result<Meter, ApiError> {
        let permit = Arc::clone(&self.running).try_acquire_owned().map_err(|_| {
            ApiError::busy("the gateway works on as many requests as it can; try again in a second")
        })?;
        Ok(Meter::new(Arc::clone(&self.metrics), caller.0, permit))
    }

    /// Runs work that may take long where it stops no other request.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::internal())?
    }
}

/// Refuses what the model cannot do.
pub(super) fn need(able: bool, field: &str, what: &str) -> Result<(), ApiError> {
    if able {
        return Ok(());
    }
    Err(ApiError::field(field, format!("{what}; choose another model, /v1/models lists them"))
        .code("unsupported"))
}

/// The seed of all draws: the client's, or a new one.
pub(super) fn seed(given: Option<i64>) -> Result<Seed, ApiError> {
    if let Some(number) = given {
        return Ok(Seed::of_number(number));
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| ApiError::internal())?;
    Ok(Seed(seed))
}

/// How many tokens may be generated after a prompt of `prompt` tokens.
pub(super) fn room(
    field: &'static str,
    prompt: usize,
    context: u32,
    (asked, default): (Option<u32>, u32),
) -> Result<u32, ApiError> {
    let most = (context as usize).min(MAX_PROMPT_TOKENS);
    if prompt == 0 {
        return Err(ApiError::field(field, "contains no tokens; say something"));
    }
    if prompt > most {
        let problem = format!("has {prompt} tokens; the model takes at most {most}, so shorten it");
        return Err(ApiError::field(field, problem).code("context_length_exceeded"));
    }
    if let Some(asked) = asked.filter(|&asked| asked > context) {
        let problem =
            format!("is {asked}; the model has room for {context} tokens of prompt and answer together");
        return Err(ApiError::field("max_tokens", problem).code("context_length_exceeded"));
    }
    // A full context still gives one token: that which its last position predicts.
    let left = context.saturating_sub(prompt as u32).max(1);
    Ok(asked.unwrap_or(default).clamp(1, left))
}

impl Plan<'_> {
    /// What is computed for one prompt.
    pub(super) fn request(&self, prompt: Vec<u32>, seed: Seed) -> Result<TokenRequest, ApiError> {
        let assets = self.text.assets();
        let max_tokens = room(self.field, prompt.len(), assets.context, self.max_tokens)?;
        let request = TokenRequest {
            model: assets.root,
            prompt,
            max_tokens,
            choices: self.tuning.choices,
            sampling: self.tuning.sampling.clone(),
            stop: assets.eos.iter().copied().collect::<BTreeSet<u32>>(),
            grammar: self.grammar.clone(),
            top_logprobs: self.logprobs,
            seed,
        };
        request.validate(assets.vocabulary).map_err(|invalid| {
            let error = ApiError::from(invalid);
            // Its name there is ours here.
            if invalid_field(&error, "prompt") { error.param(self.field) } else { error }
        })?;
        Ok(request)
    }

    /// Begins to compute.
    pub(super) async fn start(&self, request: TokenRequest) -> Result<Task, ApiError> {
        let request = Arc::new(request);
        let job = Job { request: Arc::clone(&request), trace: self.target.capabilities.exact };
        let route = &self.target.route;
        let events = route.engine.generate(&route.theirs, job).await?;
        Ok(Task { request, events })
    }
}

fn invalid_field(error: &ApiError, name: &str) -> bool {
    error.body().error.param.as_deref() == Some(name)
}

/// A model that takes text cannot be asked with tokens, and the other way round.
pub(super) fn not_here(what: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "unsupported", format!("{what}; choose another model"))
        .param("model")
}
