//! What an answer is that is no success.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use freeway_api::ErrorBody;
use freeway_api::error::ErrorDetail;

/// An answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: ErrorDetail,
}

impl Problem {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, detail: ErrorDetail::new(code, message) }
    }

    fn hint(mut self, hint: &str) -> Self {
        self.detail.hint = Some(hint.into());
        self
    }

    /// The query cannot be read.
    pub(crate) fn query(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_query", message)
    }

    /// A parameter of the query is wrong.
    pub(crate) fn parameter(name: &str, problem: impl core::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_parameter", format!("{name}: {problem}"))
    }

    /// There is no such thing.
    pub(crate) fn not_found(message: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message).hint(hint)
    }

    /// A host cannot be asked.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "host_unreachable", message)
            .hint("try again later; what stands on the chain does not depend on the host")
    }

    /// Too much at once.
    pub(crate) fn busy(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
            .hint("try again in a second, or at another node")
    }

    /// There is no history at the moment; the node itself goes on.
    pub(crate) fn no_history(cause: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_history", cause)
            .hint("the node goes on, and so does /v1; the history is tried again by itself")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let retry = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let mut response = (self.status, Json(ErrorBody::from(self.detail))).into_response();
        if retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
