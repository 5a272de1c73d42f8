//! From the events of engines to answers: text, calls and log-probabilities of every choice, whole or as a stream.

pub(crate) mod cancels;
pub(crate) mod chat;
pub(crate) mod choice;
pub(crate) mod completion;
pub(crate) mod generation;
pub(crate) mod meter;
pub(crate) mod relay;
pub(crate) mod sse;

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use freeway_primitives::Digest;
use serde::Serialize;

use crate::error::ApiError;

/// Names the receipts of what was paid for an answer.
pub(crate) const RECEIPT: HeaderName = HeaderName::from_static("x-freeway-receipt");

/// A whole answer, with the receipts of what was paid for it in its head.
pub(crate) fn respond(answer: impl Serialize, receipts: &[Digest]) -> Response {
    let mut response = Json(answer).into_response();
    let names = receipts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    if let Some(names) = HeaderValue::from_str(&names).ok().filter(|names| !names.is_empty()) {
        response.headers_mut().insert(RECEIPT, names);
    }
    response
}

/// What all pieces of one answer have in common.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) fingerprint: String,
}

impl Head {
    /// `prefix` says what kind of answer it is.
    pub(crate) fn new(prefix: &str, model: &str, fingerprint: String) -> Result<Self, ApiError> {
        let id = format!("{prefix}-{}", random_hex::<12>()?);
        Ok(Self { id, created: now(), model: model.to_owned(), fingerprint })
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `N` random bytes in hexadecimal.
pub(crate) fn random_hex<const N: usize>() -> Result<String, ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random bytes");
        ApiError::internal()
    })?;
    Ok(hex::encode(bytes))
}
