//! Why a request is not done, in words for programs and for people.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use freeway_api::{ErrorBody, ErrorDetail};

/// Why a request is not done. Nothing is owed for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The status of HTTP.
    pub status: u16,
    /// A name for programs.
    pub code: &'static str,
    /// What is wrong, and what to do next.
    pub message: String,
}

impl Refusal {
    /// A request that will be refused again.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into() }
    }

    /// The same with another status.
    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::new("busy", message).with_status(503)
    }

    /// The host's own fault; its log says more.
    pub(crate) fn internal() -> Self {
        let message = "the host met a fault of its own; its log says more; ask another host";
        Self::new("internal", message).with_status(500)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = ErrorBody::from(ErrorDetail::new(self.code, self.message));
        let mut response = (status, Json(body)).into_response();
        if matches!(self.status, 429 | 503) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
