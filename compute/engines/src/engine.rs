//! The trait of all engines, and what goes in and out of them.

use core::ops::AddAssign;
use std::sync::Arc;

use async_trait::async_trait;
use freeway_models::Package;
use freeway_primitives::{Address, Amount, Digest};
use freeway_proofs::work::{LaneId, Prices};
use freeway_requests::{ModelRoot, Scored, TokenRequest};
use futures::stream::BoxStream;
use serde_json::Value;

use crate::EngineError;

/// Something that answers requests for models.
///
/// There are two ways in. Engines that run packages take **tokens** ([`generate`](Engine::generate),
/// [`score`](Engine::score), [`embed`](Engine::embed)); servers that keep their tokenizer for themselves take
/// **text** ([`forward`](Engine::forward)). [`Capabilities`] says which way a model has. What a model cannot do is
/// answered with [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
#[async_trait]
pub trait Engine: Send + Sync {
    /// A short name for metrics and logs.
    fn label(&self) -> &str;

    /// The models there are now, under this engine's names.
    ///
    /// # Errors
    /// If an upstream does not tell.
    async fn models(&self) -> Result<Vec<ModelInfo>, EngineError>;

    /// What can be done with `model`; `None` if there is none of that name.
    fn capabilities(&self, model: &str) -> Option<Capabilities>;

    /// What is needed to turn text into tokens and back, for models that take tokens.
    ///
    /// # Errors
    /// If the model's file cannot be read.
    async fn text(&self, model: &str) -> Result<TextAssets, EngineError> {
        let _ = model;
        Err(EngineError::unsupported("tokens: its server takes text only"))
    }

    /// Generates. The events end after the last choice's [`Event::Finished`], or after [`Event::Failed`]. Dropping
    /// the stream cancels the work.
    ///
    /// # Errors
    /// If the request was not taken; nothing was computed then.
    async fn generate(&self, model: &str, job: Job) -> Result<EventStream, EngineError> {
        let _ = (model, job);
        Err(EngineError::unsupported("generation from tokens"))
    }

    /// Says how likely each token of a text was. Dropping the future cancels the work.
    ///
    /// # Errors
    /// If the request was not taken, or failed.
    async fn score(&self, model: &str, job: ScoreJob) -> Result<Scores, EngineError> {
        let _ = (model, job);
        Err(EngineError::unsupported("scoring"))
    }

    /// Does a request again whose outcome is known: one pass over prompt and claimed tokens instead of one step for
    /// each token, with the same bits. Dropping the future cancels the work.
    ///
    /// # Errors
    /// If the request was not taken, or failed: nothing is known of the claim then. A claim that is wrong is no error,
    /// whatever it is, and neither is a request that breaks its own rules: nothing comes of it, so the claim differs.
    async fn verify(&self, model: &str, job: VerifyJob) -> Result<Verified, EngineError> {
        let _ = (model, job);
        Err(EngineError::unsupported("doing requests again"))
    }

    /// What a request for `model` costs now, if it costs anything.
    fn prices(&self, model: &str) -> Option<Prices> {
        let _ = model;
        None
    }

    /// One vector for one text. Dropping the future cancels the work.
    ///
    /// # Errors
    /// If the request was not taken, or failed.
    async fn embed(&self, model: &str, tokens: Vec<u32>) -> Result<Embedding, EngineError> {
        let _ = (model, tokens);
        Err(EngineError::unsupported("embeddings of tokens"))
    }

    /// Hands a request of the OpenAI interface to a server. Dropping what it gives, or the future, cancels the work.
    ///
    /// # Errors
    /// If the server cannot be reached, refuses, or answers what cannot be used.
    async fn forward(&self, model: &str, request: Forward) -> Result<Forwarded, EngineError> {
        let _ = (model, request);
        Err(EngineError::unsupported("requests in text: it takes tokens"))
    }

    /// Whether it works.
    async fn health(&self) -> Health;

    /// What it has done and is doing.
    fn stats(&self) -> Stats;
}

/// How far an answer can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Every bit can be computed again on any machine.
    Exact,
    /// Only its likelihood under the model can be judged.
    Statistical,
}

/// A model as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name by which it is asked for.
    pub name: String,
    /// The root of its package, if it has one.
    pub root: Option<ModelRoot>,
    /// The most tokens of prompt and completion together, if known.
    pub context: Option<u32>,
    /// How far its answers can be checked.
    pub tier: Tier,
    /// Who offers it.
    pub owned_by: String,
    /// When it came to be, in seconds since 1970; 0 if unknown.
    pub created: u64,
}

/// What can be done with a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The same request gives the same bits everywhere.
    pub exact: bool,
    /// It generates.
    pub can_execute: bool,
    /// It says how likely given tokens are.
    pub can_score: bool,
    /// It takes tokens ([`Engine::generate`]); otherwise text ([`Engine::forward`]).
    pub takes_tokens: bool,
    /// It keeps to a grammar or schema.
    pub grammar: bool,
    /// It gives embeddings.
    pub embeddings: bool,
    /// The most tokens of prompt and completion together, if known.
    pub context: Option<u32>,
}

/// What turns text into tokens and back. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TextAssets {
    /// The tokenizer, as JSON.
    pub tokenizer_json: Arc<[u8]>,
    /// The template of conversations, if the model has one.
    pub chat_template: Option<Arc<str>>,
    /// The token that begins a text, if there is one.
    pub bos: Option<u32>,
    /// The tokens that end a text.
    pub eos: Vec<u32>,
    /// The name of the token that begins a text, for templates.
    pub bos_text: Option<String>,
    /// The name of the token that ends a text, for templates.
    pub eos_text: Option<String>,
    /// The number of tokens there are.
    pub vocabulary: u32,
    /// The most tokens of prompt and completion together.
    pub context: u32,
    /// The root of the package.
    pub root: ModelRoot,
}

impl TextAssets {
    /// Those of `package`, without loading its weights.
    pub fn of_package(package: &Package) -> Self {
        let (config, specials) = (package.config(), package.specials());
        Self {
            tokenizer_json: Arc::from(package.tokenizer_json()),
            chat_template: package.chat_template().map(Arc::from),
            bos: config.bos,
            eos: config.eos.clone(),
            bos_text: specials.bos.clone(),
            eos_text: specials.eos.clone(),
            vocabulary: config.vocabulary,
            context: config.context,
            root: package.root(),
        }
    }
}

/// A generation.
#[derive(Clone, Debug)]
pub struct Job {
    /// What is computed.
    pub request: Arc<TokenRequest>,
    /// Whether trace roots are wanted.
    pub trace: bool,
    /// Whether each token's likelihood is wanted though the request does not ask for it. Engines whose answers can be
    /// computed again do not heed it.
    pub claims: bool,
}

/// The events of one generation. Dropping it cancels the work.
pub type EventStream = BoxStream<'static, Event>;

/// What happens in a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It left the queue. Comes first, and once.
    Started {
        /// Tokens of the prompt.
        prompt_tokens: u32,
        /// Those of them that were found computed.
        cached_tokens: u32,
    },
    /// A choice has one more token.
    Token(Token),
    /// A choice has ended.
    Finished(Finished),
    /// The request is paid for. Comes after the last choice's [`Event::Finished`], from engines that pay; nothing
    /// follows.
    Paid(Paid),
    /// The request has ended, with all its choices. Nothing follows.
    Failed(EngineError),
}

/// What was paid for a request, by a receipt that was checked and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paid {
    /// The digest of the receipt.
    pub receipt: Digest,
    /// The host that signed it.
    pub host: Address,
    /// The lane.
    pub lane: LaneId,
    /// What it cost.
    pub fee: Amount,
}

/// A generated token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which of the choices it belongs to.
    pub choice: u16,
    /// The token. A stop token is told too, as the last of its choice.
    pub id: u32,
    /// How likely it was: `Some` if the request asked for log-probabilities, or [`Job::claims`]; else `None`.
    pub scored: Option<Scored>,
}

/// The end of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Which of the choices.
    pub choice: u16,
    /// Why it ended.
    pub reason: FinishReason,
    /// Tokens of this choice, a stop token among them.
    pub completion_tokens: u32,
    /// The root of its trace, if the job asked for it.
    pub trace: Option<Digest>,
}

/// Why a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// This stop token was generated.
    Stop(u32),
    /// The grammar allows nothing more.
    Grammar,
    /// The request's limit or the end of the context was reached.
    Length,
}

/// A scoring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreJob {
    /// The tokens that come first, at least one.
    pub prompt: Vec<u32>,
    /// The tokens to be scored, at least one.
    pub continuation: Vec<u32>,
    /// How many of the most likely tokens are told for each.
    pub top: u8,
}

/// A request and what a host says came of it.
#[derive(Clone, Debug)]
pub struct VerifyJob {
    /// What was asked.
    pub request: Arc<TokenRequest>,
    /// The tokens of each choice, a stop token among them.
    pub output: Vec<Vec<u32>>,
}

/// The answer to a [`VerifyJob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Where the claimed output first differs from what the request gives, as choice (the first one that does) and
    /// position: another token comes there, or none where one is claimed, or one where none is. `None`: it is right to
    /// the last token.
    pub differs: Option<(u16, u32)>,
    /// The trace roots of the choices, in order: those that generating gives. Where something differs, only those of
    /// the choices before it.
    pub traces: Vec<Digest>,
}

/// The answer to a [`ScoreJob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scores {
    /// One for each token of the continuation.
    pub tokens: Vec<Scored>,
    /// The root of the trace, where the engine has one.
    pub trace: Option<Digest>,
    /// Tokens of the prompt that were found computed.
    pub cached_tokens: u32,
}

/// One text as a vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// The vector, of the model's width; its length is not 1.
    pub vector: Vec<f32>,
    /// Tokens of the text.
    pub prompt_tokens: u32,
}

/// Which part of the OpenAI interface a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `chat/completions`
    Chat,
    /// `completions`
    Completions,
    /// `embeddings`
    Embeddings,
}

impl ForwardPath {
    /// The path below the server's base.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "chat/completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
        }
    }
}

/// A request in text.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// Which part of the interface it is for.
    pub path: ForwardPath,
    /// The body, an object. Its `model` is replaced by the server's name and its `stream` by the next field.
    pub body: Value,
    /// Whether the answer is wanted piece by piece.
    pub stream: bool,
}

/// The answer to a [`Forward`], as the server gave it: names and ids are the server's.
pub enum Forwarded {
    /// The whole answer, an object.
    Json(Value),
    /// Its pieces.
    Stream(PayloadStream),
}

impl core::fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Json(value) => f.debug_tuple("Json").field(value).finish(),
            Self::Stream(_) => f.write_str("Stream(..)"),
        }
    }
}

/// The pieces of a streamed answer, without the closing `[DONE]`. An error is the last item. Dropping it cancels.
pub type PayloadStream = BoxStream<'static, Result<Value, EngineError>>;

/// Whether an engine works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it does.
    pub ok: bool,
    /// In words.
    pub detail: String,
}

/// What an engine has done since it started, and is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sequences or requests that are being worked on.
    pub running: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// Requests that were taken.
    pub requests: u64,
    /// Requests that ended with an error.
    pub failures: u64,
    /// Requests that were dropped before their end.
    pub cancelled: u64,
    /// Attempts that were repeated.
    pub retries: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Those of them that were found computed.
    pub cached_tokens: u64,
    /// Tokens that were generated.
    pub completion_tokens: u64,
    /// Bytes of keys and values that are in use.
    pub cache_bytes_used: u64,
    /// Bytes of keys and values that there is room for.
    pub cache_bytes: u64,
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        let add = |a: &mut u64, b: u64| *a = a.saturating_add(b);
        add(&mut self.running, other.running);
        add(&mut self.waiting, other.waiting);
        add(&mut self.requests, other.requests);
        add(&mut self.failures, other.failures);
        add(&mut self.cancelled, other.cancelled);
        add(&mut self.retries, other.retries);
        add(&mut self.prompt_tokens, other.prompt_tokens);
        add(&mut self.cached_tokens, other.cached_tokens);
        add(&mut self.completion_tokens, other.completion_tokens);
        add(&mut self.cache_bytes_used, other.cache_bytes_used);
        add(&mut self.cache_bytes, other.cache_bytes);
    }
}
