//! Servers of text as engines that take tokens: prompts go there as tokens or as text, answers come back as tokens.
//!
//! What a server runs is its own business. The tokenizer is that of a package, by whose root the model is known, and
//! tokens and their likelihood are what verifiers judge. So nothing is guessed: a prompt goes out only in a form that
//! gives the same tokens there, and an answer whose tokens cannot be told for sure is an error.
//!
//! Servers that take tokens stream. Those that take text alone give whole answers: only these tell how many tokens they
//! made of the prompt, and parts of characters can be told from the whole text alone.

mod answer;
mod choice;
mod question;
mod words;

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use freeway_requests::TokenRequest;
use futures::StreamExt;
use serde_json::{Value, json};

use super::Upstream;
use super::http::bad;
use crate::{
    Capabilities, Engine, EngineError, ErrorKind, Event, EventStream, Forward, ForwardPath, Forwarded,
    Health, Job, ModelInfo, ScoreJob, Scores, Stats, TextAssets, Tier, grammar,
};
use words::Words;

/// What servers are first asked with. Any tokenizer has tokens for it.
const FIRST_WORDS: &str = "Hello world";
/// Choices of a request that are asked for at a time, each with a request of its own: servers differ in what they make
/// of several.
const CHOICES_AT_ONCE: usize = 8;

/// One model of an [`Upstream`], asked for tokens with the tokenizer of a package.
///
/// Greedy and drawn requests are mapped to `completions`, with the usual extensions of vLLM and llama.cpp. Grammars are
/// refused. [`Job::claims`] is heeded.
pub struct TokenServer {
    label: String,
    inner: Arc<Inner>,
}

struct Inner {
    upstream: Arc<Upstream>,
    /// Our name of the model.
    name: String,
    words: Arc<Words>,
    form: RwLock<Option<Form>>,
}

/// In which form a server takes prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As tokens.
    Tokens,
    /// As text.
    Text {
        /// The server puts the token that begins a text before it.
        begins: bool,
    },
}

impl TokenServer {
    /// The model that `upstream` has under `name` (of ours), with the tokenizer of `assets`. Does not connect. May take
    /// a second for large vocabularies.
    ///
    /// # Errors
    /// If the tokenizer cannot be read, or the upstream has no model of that name.
    pub fn new(
        upstream: Arc<Upstream>,
        name: impl Into<String>,
        assets: TextAssets,
    ) -> Result<Self, EngineError> {
        let name = name.into();
        upstream.theirs(&name)?;
        let label = format!("{} with tokens", upstream.label());
        let words = Arc::new(Words::new(assets)?);
        Ok(Self { label, inner: Arc::new(Inner { upstream, name, words, form: RwLock::new(None) }) })
    }

    /// Asks the server for one token, and remembers in which form it takes prompts. Done by itself before the first
    /// generation, and again after a failure; asking earlier shows early what is wrong.
    ///
    /// # Errors
    /// If the server cannot be reached, has no such model, or does not tell what is needed.
    pub async fn probe(&self) -> Result<(), EngineError> {
        self.inner.probe().await.map(drop)
    }
}

impl core::fmt::Debug for TokenServer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TokenServer")
            .field("label", &self.label)
            .field("name", &self.inner.name)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn assets(&self) -> &TextAssets {
        self.words.assets()
    }

    async fn form(&self) -> Result<Form, EngineError> {
        let known = *self.form.read().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some(form) => Ok(form),
            None => self.probe().await,
        }
    }

    /// After a failure the server may be another one.
    fn forget(&self, error: &EngineError) {
        if matches!(error.kind, ErrorKind::BadUpstream | ErrorKind::Invalid | ErrorKind::Unsupported) {
            *self.form.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    async fn probe(&self) -> Result<Form, EngineError> {
        let tokens = self.words.encode(FIRST_WORDS).filter(|tokens| !tokens.is_empty());
        let tokens = tokens.ok_or_else(|| {
            EngineError::new(ErrorKind::Internal, "the model's tokenizer has no tokens for plain text")
        })?;
        let count = tokens.len() as u64;
        let form = match self.first(json!(tokens), &tokens).await {
            Ok(told) if told.is_none_or(|told| told == count) => Form::Tokens,
            Err(error) if !matches!(error.kind, ErrorKind::Invalid | ErrorKind::BadUpstream) => {
                return Err(error);
            }
            Ok(_) | Err(_) => {
                let told = self.first(json!(FIRST_WORDS), &tokens).await?.ok_or_else(|| {
                    bad("the upstream server takes prompts as text alone and does not tell how many tokens they have (usage.prompt_tokens); use another server")
                })?;
                let begins = told == count + 1;
                if !begins && told != count {
                    return Err(bad(format!(
                        "the upstream server makes {told} tokens of a text that has {count} in the package; its model has another tokenizer"
                    )));
                }
                if begins && self.assets().bos.is_none() {
                    return Err(bad(
                        "the upstream server puts a token before every prompt, which the package does not know; switch it off (llama.cpp: tokenizer.ggml.add_bos_token)",
                    ));
                }
                Form::Text { begins }
            }
        };
        *self.form.write().unwrap_or_else(PoisonError::into_inner) = Some(form);
        Ok(form)
    }

    /// Asks for one token after `prompt`, and gives how many tokens the server says that has.
    async fn first(&self, prompt: Value, tokens: &[u32]) -> Result<Option<u64>, EngineError> {
        let request = TokenRequest::greedy(self.assets().root, tokens.to_vec(), 1);
        let body = Value::Object(question::body(&request, 0, prompt, true));
        let request = Forward { path: ForwardPath::Completions, body, stream: false };
        let Forwarded::Json(answer) = self.upstream.forward(&self.name, request).await? else {
            return Err(bad("the upstream server streamed an answer where a whole one was asked for"));
        };
        let says =
            |path: &str| answer.pointer(path).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        let stopped = answer.pointer("/choices/0/finish_reason").and_then(Value::as_str) == Some("stop");
        if !says("/choices/0/logprobs/tokens") && !says("/choices/0/logprobs/content") && !stopped {
            return Err(bad(
                "the upstream server does not tell how likely its tokens are; start it so that it answers `logprobs` (llama-cpp-python: --logits_all true)",
            ));
        }
        Ok(answer.pointer("/usage/prompt_tokens").and_then(Value::as_u64))
    }

    /// A prompt as the server takes it.
    fn prompt(&self, form: Form, tokens: &[u32]) -> Result<Value, EngineError> {
        let begins = match form {
            Form::Tokens => return Ok(json!(tokens)),
            Form::Text { begins } => begins,
        };
        let rest = if begins {
            tokens.split_first().filter(|(first, _)| Some(**first) == self.assets().bos).map(|(_, rest)| rest)
        } else {
            Some(tokens)
        };
        let text = rest.filter(|rest| !rest.is_empty()).and_then(|rest| self.words.text(rest));
        text.map(Value::String).ok_or_else(|| {
            let message = "this prompt cannot be asked of the server behind this model, which takes text alone: the text of these tokens has other tokens there; nothing was served; ask another host";
            EngineError::new(ErrorKind::Unsupported, message).with_param("prompt")
        })
    }
}

#[async_trait]
impl Engine for TokenServer {
    fn label(&self) -> &str {
        &self.label
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, EngineError> {
        let assets = self.inner.assets();
        Ok(vec![ModelInfo {
            name: self.inner.name.clone(),
            root: Some(assets.root),
            context: Some(assets.context),
            tier: Tier::Statistical,
            owned_by: self.inner.upstream.owned_by.clone(),
            created: 0,
        }])
    }

    fn capabilities(&self, model: &str) -> Option<Capabilities> {
        let theirs = self.inner.upstream.capabilities(model).filter(|_| model == self.inner.name)?;
        let own = self.inner.assets().context;
        Some(Capabilities {
            exact: false,
            can_execute: true,
            can_score: theirs.can_score,
            takes_tokens: true,
            grammar: false,
            embeddings: false,
            context: Some(theirs.context.map_or(own, |context| context.min(own))),
        })
    }

    async fn text(&self, model: &str) -> Result<TextAssets, EngineError> {
        if model != self.inner.name {
            return Err(EngineError::unknown_model(model));
        }
        Ok(self.inner.assets().clone())
    }

    async fn generate(&self, model: &str, job: Job) -> Result<EventStream, EngineError> {
        let Job { request, claims, .. } = job;
        let assets = self.text(model).await?;
        request.validate(assets.vocabulary).map_err(|invalid| {
            EngineError::new(ErrorKind::Invalid, invalid.to_string()).with_param(invalid.field)
        })?;
        if request.model != assets.root {
            let message = "the request is for another model than this one; ask for this one by its root";
            return Err(EngineError::new(ErrorKind::Invalid, message).with_param("model"));
        }
        if request.grammar.is_some() {
            return Err(EngineError::unsupported("grammars").with_param(grammar::PARAM));
        }
        if request.prompt.len() >= assets.context as usize {
            let message = format!(
                "the prompt has {} tokens, and the model has room for {} of prompt and answer; shorten it",
                request.prompt.len(),
                assets.context
            );
            return Err(EngineError::new(ErrorKind::TooLong, message));
        }
        let form = self.inner.form().await?;
        let prompt = self.inner.prompt(form, &request.prompt)?;
        // What the server has of the prompt is not known before its answer has ended, if at all.
        let prompt_tokens = u32::try_from(request.prompt.len()).unwrap_or(u32::MAX);
        let started = Event::Started { prompt_tokens, cached_tokens: 0 };
        let inner = Arc::clone(&self.inner);
        let choices = (0..request.choices).map(move |choice| {
            choice::events(&inner, Arc::clone(&request), prompt.clone(), choice, claims, form == Form::Tokens)
        });
        let events = futures::stream::iter(choices).flatten_unordered(CHOICES_AT_ONCE);
        let until_failed = events.scan(false, |failed, event| {
            let next = (!*failed).then_some(event);
            *failed |= matches!(next, Some(Event::Failed(_)));
            core::future::ready(next)
        });
        Ok(futures::stream::once(core::future::ready(started)).chain(until_failed).boxed())
    }

    async fn score(&self, model: &str, job: ScoreJob) -> Result<Scores, EngineError> {
        if model != self.inner.name {
            return Err(EngineError::unknown_model(model));
        }
        self.inner.upstream.score(model, job).await
    }

    async fn health(&self) -> Health {
        self.inner.upstream.health().await
    }

    fn stats(&self) -> Stats {
        self.inner.upstream.stats()
    }
}
