//! Errors of the interface: always JSON, always with a code, and saying what to do where that is known.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use freeway_api::{ErrorBody, ErrorDetail};
use freeway_ledger::{Failure, Fault, Rejection};
use freeway_primitives::DecodeError;
use freeway_store::StoreError;

use crate::mempool::InsertError;
use crate::mempool::journal::JournalError;

/// An answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    detail: ErrorDetail,
    fatal: Option<String>,
}

/// Attached to a response after which the node must stop: why.
#[derive(Clone, Debug)]
pub(crate) struct MustStop(pub(crate) String);

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, detail: ErrorDetail::new(code, message), fatal: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.detail.hint = Some(hint.into());
        self
    }

    /// The request is wrong.
    pub(crate) fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A parameter of the request is wrong.
    pub(crate) fn parameter(name: &str, problem: impl core::fmt::Display) -> Self {
        Self::bad_request("bad_parameter", format!("{name}: {problem}"))
    }

    /// There is no such thing.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// Too much at once.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
            .hint("try again in a second, or at another node")
    }

    /// A defect of the node that does not endanger its data.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
            .hint("the node's log says more; if it happens again, report it")
    }

    /// The storage failed. The caller learns that, the operator why.
    fn storage(cause: String) -> Self {
        let error = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "storage",
            "the node's storage failed and the node stops; nothing that was acknowledged is lost",
        );
        Self { fatal: Some(cause), ..error.hint("ask another node") }
    }

    pub(crate) fn detail(&self) -> &ErrorDetail {
        &self.detail
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let retry = matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let mut response = (self.status, Json(ErrorBody::from(self.detail))).into_response();
        if retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(cause) = self.fatal {
            response.extensions_mut().insert(MustStop(cause));
        }
        response
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        Self::storage(fault.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotRetained { .. } => {
                Self::new(StatusCode::NOT_FOUND, "not_retained", error.to_string())
                    .hint("leave the height out for the latest one that can be proven")
            }
            error if error.is_fault() => Self::storage(error.to_string()),
            error => Self::internal(error.to_string()),
        }
    }
}

impl From<DecodeError> for ApiError {
    /// Something stored does not decode.
    fn from(error: DecodeError) -> Self {
        Self::storage(format!("a stored value is damaged: {error}"))
    }
}

impl From<JournalError> for ApiError {
    fn from(error: JournalError) -> Self {
        Self::storage(error.to_string())
    }
}

impl From<InsertError> for ApiError {
    fn from(error: InsertError) -> Self {
        let (status, hint) = match &error {
            InsertError::Fault(fault) => return fault.clone().into(),
            InsertError::Rejected(Rejection::NotDue(failure)) => {
                let place = match **failure {
                    Failure::Beacon(_) => "/v1/beacon shows what is due",
                    Failure::Work(_) | Failure::Verification(_) => {
                        "/v1/work shows where the checks of work stand"
                    }
                    _ => "/v1/sprint shows where the race stands",
                };
                (StatusCode::CONFLICT, Some(place))
            }
            _ => judge(error.code()),
        };
        let error = Self::new(status, error.code(), error.to_string());
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// How a transaction's refusal is told. Most messages of the ledger say by themselves what to do.
fn judge(code: &str) -> (StatusCode, Option<&'static str>) {
    match code {
        "duplicate" => (StatusCode::CONFLICT, Some("follow it at /v1/transactions/{hash}?wait=10000")),
        "sequence_used" | "sequence_ahead" => {
            (StatusCode::CONFLICT, Some("/v1/accounts/{address} shows the next sequence"))
        }
        "sequence_taken" => (StatusCode::CONFLICT, None),
        "quota_exceeded" | "key_full" | "no_free_place" => (StatusCode::TOO_MANY_REQUESTS, None),
        "mempool_full" | "block_full" => (StatusCode::SERVICE_UNAVAILABLE, None),
        _ => (StatusCode::BAD_REQUEST, None),
    }
}
