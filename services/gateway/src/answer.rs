//! From the events of engines to answers: text, calls and log-probabilities of every choice, whole or as a stream.

pub(crate) mod chat;
pub(crate) mod choice;
pub(crate) mod completion;
pub(crate) mod generation;
pub(crate) mod meter;
pub(crate) mod relay;
pub(crate) mod sse;

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::ApiError;

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

/// `N` random bytes in hexadecimal.
pub(crate) fn random_hex<const N: usize>() -> Result<String, ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random bytes");
        ApiError::internal()
    })?;
    Ok(hex::encode(bytes))
}
