//! The gateway: the OpenAI HTTP interface over engines, with keys, limits and metrics.
//!
//! | module | concern |
//! |---|---|
//! | `wire` | what is said over HTTP: requests read field by field, answers written, and their description |
//! | `text` | templates, tokenizers, stop strings, calls of tools: text into tokens and back |
//! | `answer` | from the events of engines to whole or streamed answers |
//! | `server` | routes, bounds of connections and bodies, who may call, beginning and end |
//! | `keys` | [`Key`]s and what each may do |
//! | `pass` | [`Pass`]es: tokens that whoever holds one can narrow off line |
//! | `books` | what keys and passes have spent, and what is set aside for requests under way |
//! | [`lanes`] | models of the network: hosts, vouchers, receipts |
//! | `metrics` | what is counted |
//!
//! # What an answer carries
//! Answers of exact models have a field `freeway`: the root of the model, the digest of the token request, the seed,
//! and the root of the trace. With the prompt's tokens, that is enough to compute the answer again on any machine, bit for
//! bit. The trace of a generation that a stop string cut short is unknown: the engine was told to stop.
//! Where a host was paid, the field names its receipt, the host, the lane and the fee as well, and the head has
//! `x-freeway-receipt`; streams name it in their last event. A stop string ends the answer, not the host's work: what it
//! still generates is paid, so `max_tokens` bounds it. The receipt is waited for two seconds at most.
//!
//! # Where it differs from OpenAI
//! - `max_tokens` beyond what is left of the context is shortened; beyond the whole context it is an error.
//! - Choices are never chosen among (`best_of` must equal `n`), and there is no insertion (`suffix`).
//! - Embeddings cannot be shortened (`dimensions` must be the model's width).
//! - `top_k`, `min_p` and `repetition_penalty` are taken as well.
//! - A forced call of a tool (`tool_choice` `required` or named) is one call.
//! - Seeds and sampling are exact: the same request with the same seed gives the same tokens, always.
//!
//! # Example
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use freeway_engines::Registry;
//! use freeway_gateway::{Access, Allowance, Config, Gateway, Key, KeySet};
//!
//! # async fn example(engines: Arc<Registry>) -> Result<(), Box<dyn std::error::Error>> {
//! let key = Key::generate()?;
//! let mut keys = KeySet::new();
//! keys.add("me", key.hash(), Allowance::default())?;
//! let config = Config::new(([127, 0, 0, 1], 0).into(), Access::Keys(keys));
//! let running = Gateway::start(config, engines).await?;
//! tracing::info!(api = running.api(), "ready");
//! running.shutdown(Duration::from_secs(10)).await;
//! # Ok(())
//! # }
//! ```

mod answer;
mod books;
mod config;
mod error;
mod keys;
pub mod lanes;
mod metrics;
mod pass;
mod server;
mod text;
mod wire;

pub use books::{BooksError, Spent};
pub use config::{Access, Config, Limits, Payment, StartError};
pub use error::{Accepted, AcceptedExtra, ErrorBody, ErrorDetail};
pub use keys::{Allowance, Key, KeyError, KeyHash, KeyLineError, KeySet, Terms};
pub use pass::{
    FolderError, Limits as PassLimits, LimitsError, OwnerKey, OwnerPublic, PASS_PREFIX, Pass, PassBlock,
    PassError, PassFolder, PassId, PassIdError,
};
pub use server::{Gateway, Running, openapi, router, routes};
