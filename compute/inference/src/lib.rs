//! The exact engine: transformers whose every bit is the same on any machine, for any batch and any load.
//!
//! | module | what it knows |
//! |---|---|
//! | [`model`] | a package with the threads and the backend that compute it |
//! | [`engine`] | many requests at once: admission, steps, memory, ends |
//! | [`request`] | what is asked of an engine, and what it answers |
//! | [`constraint`] | what a grammar has to offer |
//! | [`trace`] | what a computation leaves behind, and how one layer of it is opened |
//! | [`quality`] | how near an exact model is to its float original |
//!
//! What is asked for is a [`TokenRequest`](freeway_requests::TokenRequest): token ids, limits and the contract of
//! sampling. Text stays above. The same request gives the same tokens, log-probabilities and trace roots with any
//! other requests beside it, in any chunks, on any number of threads and with any backend; generated, or scored or
//! verified in one pass; with or without kept pages; and when it had to give up its memory in between.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use freeway_inference::{Engine, EngineOptions, Event, Model, ModelOptions, Request};
//! use freeway_models::{Group, synthetic::Recipe};
//! use freeway_requests::TokenRequest;
//!
//! let model = Arc::new(Model::load(Recipe::llama().package(Group::G32)?, &ModelOptions::default())?);
//! let engine = Engine::start(Arc::clone(&model), &EngineOptions::default())?;
//! let tokens = Arc::new(TokenRequest::greedy(model.root(), vec![1, 2, 3], 4));
//! let mut running = engine.submit(Request { tokens, constraint: None, trace: true })?;
//! let mut generated = Vec::new();
//! while let Some(event) = running.blocking_next() {
//!     if let Event::Token(token) = event {
//!         generated.push(token.id);
//!     }
//! }
//! assert_eq!(generated.len(), 4);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod cache;
mod forward;

pub mod constraint;
pub mod engine;
pub mod model;
pub mod quality;
pub mod request;
pub mod trace;

pub use constraint::{Constraint, ConstraintError};
pub use engine::{Engine, EngineOptions, Shutdown, StartError, Stats};
pub use model::{LoadError, Model, ModelOptions};
pub use request::{
    Event, Failure, FinishReason, Finished, Pending, Refused, Request, Running, ScoreRequest, Scores, Token,
    Verified, VerifyRequest,
};
pub use trace::{Opening, Trace};
