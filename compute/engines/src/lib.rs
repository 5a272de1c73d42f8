//! Engines: one trait over what computes answers here and what asks a server for them.
//!
//! | module | what it knows |
//! |---|---|
//! | [`Engine`] | the trait, and what goes in and out |
//! | [`Exact`] | packages, run by the exact engine: tokens in, tokens and trace roots out |
//! | [`Upstream`] | OpenAI-compatible servers: text in, text out |
//! | [`TokenServer`] | one model of such a server with the tokenizer of a package: tokens in, tokens out |
//! | [`Grammars`] | which tokens may come next, so that an answer keeps to a schema |
//! | [`Registry`] | which engine serves which name |
//!
//! Text is turned into tokens above, in the gateway; what an engine needs to know for that it tells with
//! [`Engine::text`]. Dropping a stream or a future cancels the work behind it, always.
//!
//! # Example
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use freeway_engines::{Engine, Forward, ForwardPath, Forwarded, Registry, Upstream, UpstreamOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let upstream = Upstream::new(UpstreamOptions::new("http://127.0.0.1:8080/v1"))?;
//! let registry = Registry::new();
//! registry.add_engine(Arc::new(upstream)).await?;
//! let route = registry.resolve("some-model")?;
//! let body = serde_json::json!({"messages": [{"role": "user", "content": "Hello"}]});
//! let request = Forward { path: ForwardPath::Chat, body, stream: false };
//! if let Forwarded::Json(answer) = route.engine.forward(&route.theirs, request).await? {
//!     assert!(answer.is_object());
//! }
//! # Ok(())
//! # }
//! ```

mod engine;
mod error;
mod exact;
mod grammar;
mod registry;
mod upstream;

pub use engine::{
    Capabilities, Embedding, Engine, Event, EventStream, FinishReason, Finished, Forward, ForwardPath,
    Forwarded, Health, Job, ModelInfo, Paid, PayloadStream, ScoreJob, Scores, Stats, TextAssets, Tier, Token,
    Verified, VerifyJob,
};
pub use error::{EngineError, ErrorKind};
pub use exact::{Exact, ExactOptions, OpenError};
pub use grammar::{Grammars, VocabularyError, check_grammar};
pub use registry::{Registry, RegistryError, Route};
pub use upstream::{
    Retries, Secret, Timeouts, TokenServer, Upstream, UpstreamError, UpstreamLimits, UpstreamOptions,
};
