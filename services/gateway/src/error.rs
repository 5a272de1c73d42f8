//! Errors as clients of the OpenAI interface know them: `{"error":{"message","type","param","code"}}`.

use core::fmt;
use core::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use freeway_engines::{EngineError, ErrorKind};
use freeway_requests::Invalid;
use serde::Serialize;
use utoipa::ToSchema;

/// Characters of foreign text that are repeated in a message.
const SHOWN_CHARACTERS: usize = 120;
/// The version of x402 whose shape bodies of 402 have.
const X402_VERSION: u32 = 1;
/// When to try again, if nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The body of an answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
    /// With status 402: the version of x402 that the next field follows.
    #[serde(rename = "x402Version", skip_serializing_if = "Option::is_none")]
    pub x402_version: Option<u32>,
    /// With status 402: what payment would be accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepts: Option<Vec<Accepted>>,
}

/// A payment that would be accepted, in the shape of x402.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// `upto`: what is used is paid, up to the amount.
    pub scheme: &'static str,
    /// The network of the money.
    pub network: String,
    /// The most that the request can cost, in base units.
    pub max_amount_required: String,
    /// What is paid for.
    pub resource: String,
    /// For people.
    pub description: String,
    /// What the answer is.
    pub mime_type: &'static str,
    /// Whose lanes pay the hosts.
    pub pay_to: String,
    /// How long an answer may take.
    pub max_timeout_seconds: u64,
    /// The money.
    pub asset: String,
    /// What is particular here.
    pub extra: AcceptedExtra,
}

/// What is particular about a payment here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedExtra {
    /// What base units are called.
    pub unit: &'static str,
    /// What is left of the budget, in base units.
    pub left: String,
    /// How payment is sent.
    pub how: &'static str,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// For people: what is wrong, and what to do next.
    pub message: String,
    /// The class of the error.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The field of the request that is wrong, such as `messages[0].content`.
    pub param: Option<String>,
    /// For programs.
    pub code: Option<String>,
}

/// An answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    detail: Box<ErrorDetail>,
    retry_after: Option<Duration>,
    accepts: Option<Vec<Accepted>>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let kind = match status.as_u16() {
            401 => "authentication_error",
            402 => "insufficient_quota",
            403 => "permission_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let detail = ErrorDetail { message: message.into(), kind, param: None, code: Some(code.to_owned()) };
        let retry = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        Self { status, detail: Box::new(detail), retry_after: retry.then_some(RETRY_AFTER), accepts: None }
    }

    /// A field of the request is wrong. `problem` reads on from the field's name.
    pub(crate) fn field(name: &str, problem: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_value", problem.to_string()).param(name)
    }

    /// The request as a whole is wrong.
    pub(crate) fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A budget does not suffice. `accepts` says what would.
    pub(crate) fn unpaid(code: &str, message: impl Into<String>, accepts: Vec<Accepted>) -> Self {
        Self { accepts: Some(accepts), ..Self::new(StatusCode::PAYMENT_REQUIRED, code, message) }
    }

    /// Too much at once.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
    }

    /// A key's allowance is used up until `after`.
    pub(crate) fn limited(message: impl Into<String>, after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message).retry_after(after)
    }

    /// A defect of the gateway.
    pub(crate) fn internal() -> Self {
        let message = "the gateway met a defect; its log says more, please report it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
    }

    pub(crate) fn code(mut self, code: &str) -> Self {
        self.detail.code = Some(code.to_owned());
        self
    }

    pub(crate) fn param(mut self, name: &str) -> Self {
        self.detail.param = Some(name.to_owned());
        self
    }

    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The same error, of a field that lies within `place`.
    pub(crate) fn within(mut self, place: impl fmt::Display) -> Self {
        self.detail.param = Some(match self.detail.param.take() {
            Some(inner) if inner.is_empty() || inner.starts_with('[') => format!("{place}{inner}"),
            Some(inner) => format!("{place}.{inner}"),
            None => place.to_string(),
        });
        self
    }

    /// As an event in a stream that has begun, or in a test.
    pub(crate) fn body(&self) -> ErrorBody {
        let mut detail = (*self.detail).clone();
        // Whoever reads only the message must learn the field's name as well.
        if let Some(param) = &detail.param {
            detail.message = format!("{param}: {}", detail.message);
        }
        ErrorBody {
            error: detail,
            x402_version: self.accepts.is_some().then_some(X402_VERSION),
            accepts: self.accepts.clone(),
        }
    }

    #[cfg(test)]
    pub(crate) fn told(&self) -> (u16, Option<&str>, &str) {
        (self.status.as_u16(), self.detail.param.as_deref(), &self.detail.message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            // Whole seconds, upwards: whoever comes earlier is refused again.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = error.code().to_owned();
        if error.kind == ErrorKind::Internal {
            tracing::error!(error = %error.message, "an engine met a defect");
        }
        let mut told = Self::new(status, &code, error.message);
        told.detail.param = error.param;
        told.retry_after = error.retry_after.or(told.retry_after);
        told
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::field(invalid.field, &invalid.problem)
    }
}

/// Foreign text as it may stand in a message: short, without control characters.
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
    fn a_field_is_named_from_the_outside_in() {
        let error = ApiError::field("text", "is not a string").within("content[2]").within("messages[0]");
        assert_eq!(error.told(), (400, Some("messages[0].content[2].text"), "is not a string"));
        let error = ApiError::field("[3]", "is not a number").within("prompt");
        assert_eq!(error.body().error.message, "prompt[3]: is not a number");
    }

    #[test]
    fn retry_after_is_rounded_up() {
        let response = ApiError::limited("slower", Duration::from_millis(1_200)).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert!(
            !ApiError::field("n", "is wrong").into_response().headers().contains_key(header::RETRY_AFTER)
        );
    }
}
