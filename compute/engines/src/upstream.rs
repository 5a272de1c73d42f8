//! Servers that speak the OpenAI interface: text in, text out.
//!
//! The transport is HTTP without TLS. Nothing of a server is trusted: its answers are bounded in size and time, its
//! errors are told in our words, and its key appears in no message and no log.

mod counters;
mod http;
mod options;
mod refusal;
mod score;
mod sse;
mod stream;
mod tokens;

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::error::shown;
use crate::{
    Capabilities, Engine, EngineError, ErrorKind, Forward, Forwarded, Health, ModelInfo, ScoreJob, Scores,
    Stats, Tier,
};
use counters::Underway;
use http::{Http, bad, content_type};
pub use options::{Retries, Secret, Timeouts, UpstreamLimits, UpstreamOptions};
pub use tokens::TokenServer;

/// The longest name of a model that is taken from a server.
const MAX_NAME_BYTES: usize = 256;
/// The longest list of models, in bytes.
const MAX_LIST_BYTES: usize = 4 << 20;

/// Why an upstream cannot be used as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The base URL is wrong.
    #[error("the upstream's base URL {url:?} cannot be used: {problem}")]
    BadUrl {
        /// The URL, without a password.
        url: String,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// The key cannot stand in a header.
    #[error("the upstream's key is empty or has blanks or signs that a header cannot hold; give it again")]
    BadKey,
    /// One of our names was given to two models.
    #[error("two models of the upstream are named {0:?}; give them different names")]
    SameName(String),
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made: {0}")]
    Client(String),
}

/// An OpenAI-compatible server.
#[derive(Debug)]
pub struct Upstream {
    label: String,
    http: Http,
    /// Our names and the server's; empty if all that it lists are offered.
    map: BTreeMap<String, String>,
    owned_by: String,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    capabilities: Capabilities,
    listed: Option<Listed>,
}

#[derive(Clone, Debug)]
struct Listed {
    at: Instant,
    /// By our names.
    models: BTreeMap<String, ModelInfo>,
}

impl Upstream {
    /// The server that `options` describe. Does not connect.
    ///
    /// # Errors
    /// If its address, key or names cannot be used.
    pub fn new(options: UpstreamOptions) -> Result<Self, UpstreamError> {
        let UpstreamOptions { base_url, key, models, capabilities, owned_by, timeouts, retries, limits } =
            options;
        let http = Http::new(&base_url, key, timeouts, retries, limits)?;
        let mut map = BTreeMap::new();
        for (ours, theirs) in models {
            if map.insert(ours.clone(), theirs).is_some() {
                return Err(UpstreamError::SameName(shown(&ours)));
            }
        }
        let capabilities = Capabilities { exact: false, takes_tokens: false, ..capabilities };
        let label = format!("upstream {}", http.base());
        let state = RwLock::new(State { capabilities, listed: None });
        Ok(Self { label, http, map, owned_by, state })
    }

    /// Asks the server, with `model` of ours, whether it scores tokens, and remembers the answer. It generates one
    /// token.
    ///
    /// # Errors
    /// If the server cannot be reached, or has no such model. A server that refuses the question does not score.
    pub async fn probe(&self, model: &str) -> Result<Capabilities, EngineError> {
        let theirs = self.theirs(model)?;
        let job = ScoreJob { prompt: vec![1], continuation: vec![1], top: 1 };
        let can_score = match self.ask("completions", &score::request(&theirs, &job)).await {
            Ok(answer) => score::has_scores(&answer),
            Err(error) if matches!(error.kind, ErrorKind::Invalid | ErrorKind::Unsupported) => false,
            Err(error) => return Err(error),
        };
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.capabilities.can_score = can_score;
        Ok(state.capabilities)
    }

    /// The server's name of our `model`.
    fn theirs(&self, model: &str) -> Result<String, EngineError> {
        if !self.map.is_empty() {
            return self.map.get(model).cloned().ok_or_else(|| EngineError::unknown_model(model));
        }
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match &state.listed {
            Some(listed) if !listed.models.contains_key(model) => Err(EngineError::unknown_model(model)),
            // Unknown yet: the server will say.
            _ => Ok(model.to_owned()),
        }
    }

    /// One small question, with a whole answer.
    async fn ask(&self, path: &str, body: &Value) -> Result<Value, EngineError> {
        let mut underway = Underway::begin(&self.http.counters);
        let answer = async {
            let body = Bytes::from(body.to_string());
            let response = self.http.send(Method::POST, path, Some(body), self.http.timeouts.whole).await?;
            let answer = self.http.json(response, self.http.limits.answer_bytes).await?;
            self.http.counters.usage(&answer);
            Ok(answer)
        };
        let answer = answer.await;
        underway.settle(answer.is_ok());
        answer
    }

    /// The server's list of models, by its own names.
    async fn list(&self) -> Result<BTreeMap<String, ModelInfo>, EngineError> {
        let response = self.http.send(Method::GET, "models", None, self.http.timeouts.small).await?;
        let answer = self.http.json(response, MAX_LIST_BYTES).await?;
        let data = answer.get("data").and_then(Value::as_array);
        let data = data.ok_or_else(|| bad("the upstream server's list of models has no data"))?;
        if data.len() > self.http.limits.models {
            let limit = self.http.limits.models;
            return Err(bad(format!("the upstream server lists more than {limit} models")));
        }
        let mut models = BTreeMap::new();
        for entry in data {
            let Some(name) = entry.get("id").and_then(Value::as_str) else { continue };
            if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
                continue;
            }
            // Servers name the length of the context in different ways.
            let lengths = ["max_model_len", "context_length", "context_window"];
            let context =
                lengths.iter().find_map(|key| entry.get(key)).or_else(|| entry.pointer("/meta/n_ctx_train"));
            let owner = entry.get("owned_by").and_then(Value::as_str).filter(|owner| !owner.is_empty());
            let info = ModelInfo {
                name: name.to_owned(),
                root: None,
                context: context.and_then(Value::as_u64).and_then(|context| u32::try_from(context).ok()),
                tier: Tier::Statistical,
                owned_by: owner.map_or_else(|| self.owned_by.clone(), shown),
                created: entry.get("created").and_then(Value::as_u64).unwrap_or(0),
            };
            models.insert(name.to_owned(), info);
        }
        Ok(models)
    }

    /// The same under our names. What is mapped is listed whether or not the server names it.
    fn ours(&self, theirs: &BTreeMap<String, ModelInfo>) -> BTreeMap<String, ModelInfo> {
        if self.map.is_empty() {
            return theirs.clone();
        }
        let unnamed = |name: &str| ModelInfo {
            name: name.to_owned(),
            root: None,
            context: None,
            tier: Tier::Statistical,
            owned_by: self.owned_by.clone(),
            created: 0,
        };
        let renamed = self.map.iter().map(|(ours, name)| {
            let mut info = theirs.get(name).cloned().unwrap_or_else(|| unnamed(ours));
            info.name.clone_from(ours);
            (ours.clone(), info)
        });
        renamed.collect()
    }
}

#[async_trait]
impl Engine for Upstream {
    fn label(&self) -> &str {
        &self.label
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, EngineError> {
        let known = self.state.read().unwrap_or_else(PoisonError::into_inner).listed.clone();
        if let Some(listed) = &known
            && listed.at.elapsed() < self.http.timeouts.models
        {
            return Ok(listed.models.values().cloned().collect());
        }
        let models = match self.list().await {
            Ok(theirs) => self.ours(&theirs),
            // An old list, or the configured names, serve better than none; it is not asked again at once.
            Err(error) => {
                tracing::warn!(upstream = %self.http.base(), %error, "cannot list the models of an upstream");
                match known {
                    Some(listed) => listed.models,
                    None if !self.map.is_empty() => self.ours(&BTreeMap::new()),
                    None => return Err(error),
                }
            }
        };
        let list = models.values().cloned().collect();
        let listed = Listed { at: Instant::now(), models };
        self.state.write().unwrap_or_else(PoisonError::into_inner).listed = Some(listed);
        Ok(list)
    }

    fn capabilities(&self, model: &str) -> Option<Capabilities> {
        self.theirs(model).ok()?;
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let listed = state.listed.as_ref().and_then(|listed| listed.models.get(model));
        let context = listed.and_then(|info| info.context).or(state.capabilities.context);
        Some(Capabilities { context, ..state.capabilities })
    }

    async fn score(&self, model: &str, job: ScoreJob) -> Result<Scores, EngineError> {
        let theirs = self.theirs(model)?;
        if !self.capabilities(model).is_some_and(|capabilities| capabilities.can_score) {
            return Err(EngineError::unsupported("scoring"));
        }
        if job.prompt.is_empty() || job.continuation.is_empty() {
            return Err(EngineError::new(ErrorKind::Invalid, "scoring needs a prompt and a continuation"));
        }
        let answer = self.ask("completions", &score::request(&theirs, &job)).await?;
        score::scores(&job, &answer)
    }

    async fn forward(&self, model: &str, request: Forward) -> Result<Forwarded, EngineError> {
        let theirs = self.theirs(model)?;
        let Forward { path, body, stream } = request;
        let Value::Object(mut body) = body else {
            return Err(EngineError::new(ErrorKind::Invalid, "the body of a request must be an object"));
        };
        body.insert("model".to_owned(), json!(theirs));
        if stream {
            body.insert("stream".to_owned(), json!(true));
        } else {
            body.remove("stream");
            body.remove("stream_options");
        }
        let body = Value::Object(body);
        if !stream {
            return self.ask(path.path(), &body).await.map(Forwarded::Json);
        }
        let mut underway = Underway::begin(&self.http.counters);
        let opened = async {
            let body = Bytes::from(body.to_string());
            let wait = self.http.timeouts.first_byte;
            let response = self.http.send(Method::POST, path.path(), Some(body), wait).await?;
            let kind = content_type(&response);
            if kind == "text/event-stream" {
                return Ok(response);
            }
            // Some servers tell errors with a status of success.
            if kind == "application/json" {
                self.http.json(response, self.http.limits.error_bytes).await?;
            }
            Err(bad(format!(
                "the upstream server answered with {kind} where a stream of events was asked for"
            )))
        };
        match opened.await {
            Ok(response) => Ok(Forwarded::Stream(stream::payloads(self.http.clone(), response, underway))),
            Err(error) => {
                underway.settle(false);
                Err(error)
            }
        }
    }

    async fn health(&self) -> Health {
        match self.list().await {
            Ok(models) => Health { ok: true, detail: format!("it lists {} models", models.len()) },
            Err(error) => Health { ok: false, detail: error.message },
        }
    }

    fn stats(&self) -> Stats {
        self.http.counters.stats()
    }
}
