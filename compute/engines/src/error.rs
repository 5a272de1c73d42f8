//! What can go wrong between a request and its answer, in the words of the HTTP interface above.

use core::fmt;
use core::time::Duration;

/// Characters of foreign text that are repeated in a message.
const SHOWN_CHARACTERS: usize = 300;

/// The classes of errors. Each has a status of HTTP that fits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No engine has a model of that name.
    UnknownModel,
    /// The engine or the model cannot do this at all.
    Unsupported,
    /// The request is wrong; the same request will be wrong again.
    Invalid,
    /// The request does not fit the model's context or the engine's memory.
    TooLong,
    /// A body is larger than the limit.
    TooLarge,
    /// The queue is full; later there may be room.
    Busy,
    /// An upstream limits the rate of requests.
    RateLimited,
    /// The engine is stopping, or an upstream cannot be reached.
    Unavailable,
    /// An upstream took too long.
    Timeout,
    /// An upstream gave an answer that cannot be used.
    BadUpstream,
    /// Something broke here.
    Internal,
}

/// An error of an engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// Its class.
    pub kind: ErrorKind,
    /// What is wrong, and what to do next.
    pub message: String,
    /// A short name for programs, such as `model_not_found`, if there is a better one than the class's.
    pub code: Option<String>,
    /// The parameter of the request that is wrong, if it is one.
    pub param: Option<String>,
    /// When trying again may help, if the engine knows.
    pub retry_after: Option<Duration>,
}

impl EngineError {
    /// An error of class `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), code: None, param: None, retry_after: None }
    }

    /// The engine cannot do `what` with this model.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(
            ErrorKind::Unsupported,
            format!("this model cannot be used for {what}; choose another model"),
        )
    }

    /// There is no model called `name`.
    pub fn unknown_model(name: &str) -> Self {
        let message =
            format!("there is no model named {:?}; /v1/models lists those that there are", shown(name));
        Self::new(ErrorKind::UnknownModel, message).with_param("model").with_code("model_not_found")
    }

    /// The same, naming a parameter of the request.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same, with a short name for programs.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The same, with a time after which to try again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The status of HTTP that says this best.
    pub fn status(&self) -> u16 {
        match self.kind {
            ErrorKind::UnknownModel => 404,
            ErrorKind::Unsupported | ErrorKind::Invalid | ErrorKind::TooLong => 400,
            ErrorKind::TooLarge => 413,
            ErrorKind::RateLimited => 429,
            ErrorKind::Busy | ErrorKind::Unavailable => 503,
            ErrorKind::Timeout => 504,
            ErrorKind::BadUpstream => 502,
            ErrorKind::Internal => 500,
        }
    }

    /// The short name for programs: its own, or its class's.
    pub fn code(&self) -> &str {
        if let Some(code) = &self.code {
            return code;
        }
        match self.kind {
            ErrorKind::UnknownModel => "model_not_found",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Invalid => "invalid_value",
            ErrorKind::TooLong => "context_length_exceeded",
            ErrorKind::TooLarge => "request_too_large",
            ErrorKind::Busy => "busy",
            ErrorKind::RateLimited => "rate_limit_exceeded",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Timeout => "timeout",
            ErrorKind::BadUpstream => "bad_upstream",
            ErrorKind::Internal => "internal_error",
        }
    }
}

/// Foreign text as it may stand in a message: short, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut kept: String =
        text.chars().take(SHOWN_CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARACTERS).is_some() {
        kept.push_str("...");
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_cut() {
        assert_eq!(shown("a\nb"), "a b");
        let long = shown(&"é".repeat(10_000));
        assert_eq!(long.chars().count(), SHOWN_CHARACTERS + 3);
    }

    #[test]
    fn statuses_fit_classes() {
        let error = EngineError::unknown_model("x");
        assert_eq!(
            (error.status(), error.code(), error.param.as_deref()),
            (404, "model_not_found", Some("model"))
        );
        assert_eq!(EngineError::new(ErrorKind::Busy, "full").status(), 503);
        assert_eq!(EngineError::new(ErrorKind::RateLimited, "slower").code(), "rate_limit_exceeded");
    }
}
