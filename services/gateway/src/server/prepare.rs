//! From what a client wants to what an engine computes.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use freeway_engines::{Capabilities, Job, Route};
use freeway_primitives::Amount;
use freeway_requests::{Grammar, MAX_PROMPT_TOKENS, Seed, TokenRequest};

use super::Server;
use super::guard::Caller;
use crate::answer::cancels::Cancels;
use crate::answer::generation::Task;
use crate::answer::meter::Meter;
use crate::books::Refused;
use crate::error::{Accepted, AcceptedExtra, ApiError, shown};
use crate::text::TextModel;
use crate::wire::tuning::Tuning;

/// How long an answer may take, as it is told to those who would pay.
const PAY_TIMEOUT_SECONDS: u64 = 600;
/// Models that are named to whoever asked for another.
const SHOWN_MODELS: usize = 8;

/// Where a request goes, and what can be done there.
pub(super) struct Target {
    pub(super) route: Route,
    pub(super) capabilities: Capabilities,
    /// Where requests cost something: how often they may be left unpaid.
    pub(super) pays: Option<Arc<Cancels>>,
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
    pub(super) fn target(&self, model: &str, caller: &Caller) -> Result<Target, ApiError> {
        if !caller.allows(model) {
            return Err(not_allowed(model, caller));
        }
        let route = self.engines.resolve(model)?;
        let capabilities = route.engine.capabilities(&route.theirs);
        let capabilities =
            capabilities.ok_or_else(|| ApiError::from(freeway_engines::EngineError::unknown_model(model)))?;
        let pays = route.engine.prices(&route.theirs).map(|_| Arc::clone(&self.cancels));
        let bounded = caller.0.as_ref().is_some_and(|caller| !caller.grant.lines.is_empty());
        if pays.is_some() && bounded && !capabilities.takes_tokens {
            return Err(not_here(
                "what this model costs is not known beforehand, so no budget can pay for it",
            ));
        }
        Ok(Target { route, capabilities, pays })
    }

    /// Sets aside the most that these requests can cost, where they cost something and a budget bounds the caller.
    pub(super) fn reserve(
        &self,
        meter: &mut Meter,
        target: &Target,
        path: &str,
        requests: &[TokenRequest],
    ) -> Result<(), ApiError> {
        let (Some(grant), Some(prices)) = (meter.grant(), target.route.engine.prices(&target.route.theirs))
        else {
            return Ok(());
        };
        let most = |request: &TokenRequest| {
            let prompt = u32::try_from(request.prompt.len()).unwrap_or(u32::MAX);
            prices.most(prompt, request.max_tokens.saturating_mul(u32::from(request.choices))).0
        };
        let most = Amount(requests.iter().map(most).fold(0, u128::saturating_add));
        let what = grant.what;
        if !grant.pays {
            let message = format!(
                "this {what} has no budget, and the model costs something; ask its owner for one with a budget"
            );
            return Err(self.unpaid("no_budget", message, path, most, Amount::ZERO));
        }
        if grant.lines.is_empty() {
            return Ok(());
        }
        match self.books.reserve(&grant.lines, most, crate::answer::now()) {
            Ok(reserved) => {
                meter.set_aside(reserved);
                Ok(())
            }
            Err(Refused::Short(left)) => {
                let message = format!(
                    "this request can cost up to {most}, and {left} of the budget of this {what} are free; ask \
                     for fewer tokens with max_tokens, or its owner for more"
                );
                Err(self.unpaid("insufficient_budget", message, path, most, left))
            }
            Err(Refused::Full) => Err(ApiError::busy(
                "the gateway keeps the books of as many passes as it can; use one that has spent before, or wait \
                 until others have ended",
            )),
            Err(Refused::Broken) => Err(ApiError::busy(
                "the gateway cannot keep what is spent, so it takes no request that costs something; tell its owner",
            )),
        }
    }

    /// The error that says what would pay.
    fn unpaid(&self, code: &str, message: String, path: &str, most: Amount, left: Amount) -> ApiError {
        let accepted = self.payment.as_ref().map(|payment| Accepted {
            scheme: "upto",
            network: payment.network.clone(),
            max_amount_required: most.0.to_string(),
            resource: format!("{}{path}", self.base),
            description: "an answer of a model; what it used is paid, up to the amount".to_owned(),
            mime_type: "application/json",
            pay_to: payment.pay_to.clone(),
            max_timeout_seconds: PAY_TIMEOUT_SECONDS,
            asset: payment.asset.clone(),
            extra: AcceptedExtra {
                unit: "nfwy",
                left: left.0.to_string(),
                how: "a key or pass whose budget suffices, as \"authorization: Bearer ...\"",
            },
        });
        ApiError::unpaid(code, message, accepted.into_iter().collect())
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
        let exact = self.target.capabilities.exact;
        let job = Job { request: Arc::clone(&request), trace: exact, claims: false };
        let route = &self.target.route;
        let events = route.engine.generate(&route.theirs, job).await?;
        Ok(Task { request, events, pays: self.target.pays.clone(), exact })
    }
}

fn not_allowed(model: &str, caller: &Caller) -> ApiError {
    let grant = caller.0.as_ref().map(|caller| &caller.grant);
    let models = grant.and_then(|grant| grant.models.as_ref());
    let names: Vec<&str> = models.into_iter().flatten().take(SHOWN_MODELS).map(String::as_str).collect();
    let what = grant.map_or("key", |grant| grant.what);
    let names = if names.is_empty() { "none at all".to_owned() } else { names.join(", ") };
    let message = format!("this {what} may not ask {:?}; the models that it may ask: {names}", shown(model));
    ApiError::new(StatusCode::FORBIDDEN, "model_not_allowed", message).param("model")
}

fn invalid_field(error: &ApiError, name: &str) -> bool {
    error.body().error.param.as_deref() == Some(name)
}

/// A model that takes text cannot be asked with tokens, and the other way round.
pub(super) fn not_here(what: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "unsupported", format!("{what}; choose another model"))
        .param("model")
}
