//! What a server says when it does not answer, in our words.

use core::time::Duration;

use serde_json::Value;

use crate::error::shown;
use crate::{EngineError, ErrorKind};

/// The longest pause that is passed on.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// The parts of an error's body.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    message: Option<String>,
    code: Option<String>,
    param: Option<String>,
}

/// The error for an answer with `status`. `key` never appears in it.
pub(super) fn of_status(
    status: u16,
    body: &[u8],
    retry_after: Option<Duration>,
    key: Option<&str>,
) -> EngineError {
    let said = serde_json::from_slice::<Value>(body).map(|value| said(&value, key)).unwrap_or_default();
    let kind = kind(status, said.code.as_deref());
    let told = |what: &str| match &said.message {
        Some(message) => format!("{what}: {message}"),
        None => format!("{what} (status {status})"),
    };
    let message = match kind {
        // What it says about keys may contain them.
        _ if matches!(status, 401 | 403) => {
            "the upstream server refused the key it was given; set the right one".to_owned()
        }
        _ if (300..400).contains(&status) => {
            "the upstream server sent a redirection, which is not followed; set the right base URL".to_owned()
        }
        ErrorKind::Invalid | ErrorKind::TooLong | ErrorKind::TooLarge => {
            told("the upstream server refused the request")
        }
        ErrorKind::Unsupported => told("the upstream server has no such model or path"),
        ErrorKind::RateLimited => told("the upstream server limits the rate of requests; try again later"),
        ErrorKind::Unavailable => told("the upstream server is not available; try again later"),
        ErrorKind::Timeout => told("the upstream server took too long; try again later"),
        _ => told("the upstream server failed; try again later"),
    };
    let mut error = EngineError::new(kind, message);
    if matches!(kind, ErrorKind::Invalid | ErrorKind::TooLong) {
        error.code = said.code;
        error.param = said.param;
    }
    error.retry_after = retry_after;
    error
}

/// The error in a payload of a stream, if it is one.
pub(super) fn of_payload(payload: &Value, key: Option<&str>) -> Option<EngineError> {
    let error = payload.get("error").filter(|error| !error.is_null())?;
    let status = error.get("code").and_then(Value::as_u64).filter(|code| (400..600).contains(code));
    let body = serde_json::to_vec(payload).unwrap_or_default();
    Some(of_status(status.and_then(|code| u16::try_from(code).ok()).unwrap_or(500), &body, None, key))
}

/// The pause that a server asks for in its header, in seconds. Dates are not understood.
pub(super) fn retry_after(header: Option<&str>) -> Option<Duration> {
    let seconds: u64 = header?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

fn kind(status: u16, code: Option<&str>) -> ErrorKind {
    match status {
        _ if code == Some("context_length_exceeded") => ErrorKind::TooLong,
        404 | 405 => ErrorKind::Unsupported,
        408 | 504 => ErrorKind::Timeout,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        503 => ErrorKind::Unavailable,
        401 | 403 | 407 => ErrorKind::BadUpstream,
        400..=499 => ErrorKind::Invalid,
        _ => ErrorKind::BadUpstream,
    }
}

/// What a body says, in any of the forms that servers use.
fn said(body: &Value, key: Option<&str>) -> Said {
    let clean = |text: &str| {
        let text = match key {
            Some(key) if !key.is_empty() => text.replace(key, "[key]"),
            _ => text.to_owned(),
        };
        shown(&text)
    };
    let text = |value: Option<&Value>| match value {
        Some(Value::String(text)) if !text.is_empty() => Some(clean(text)),
        _ => None,
    };
    match body.get("error") {
        Some(Value::String(message)) => Said { message: Some(clean(message)), ..Said::default() },
        Some(error @ Value::Object(_)) => Said {
            message: text(error.get("message")),
            // Some servers put the status here, and the class into `type`.
            code: text(error.get("code")).or_else(|| text(error.get("type"))),
            param: text(error.get("param")),
        },
        _ => {
            let message = text(body.get("message")).or_else(|| text(body.get("detail")));
            let detail = || {
                body.get("detail").filter(|detail| !detail.is_null()).map(|detail| clean(&detail.to_string()))
            };
            Said { message: message.or_else(detail), ..Said::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> EngineError {
        of_status(status, body.as_bytes(), None, Some("sk-secret"))
    }

    #[test]
    fn all_forms() {
        let openai =
            of(400, r#"{"error":{"message":"bad top_p","type":"x","param":"top_p","code":"invalid_value"}}"#);
        assert_eq!(
            (openai.kind, openai.param.as_deref(), openai.code()),
            (ErrorKind::Invalid, Some("top_p"), "invalid_value")
        );
        assert!(openai.message.contains("bad top_p"));
        assert!(of(422, r#"{"detail":[{"loc":["body"],"msg":"no"}]}"#).message.contains("loc"));
        assert!(of(400, r#"{"object":"error","message":"hm","code":40303}"#).message.contains("hm"));
        assert!(of(500, r#"{"error":"boom"}"#).message.contains("boom"));
        assert_eq!(of(500, "<html>").status(), 502);
        assert_eq!(of(503, "").status(), 503);
        assert_eq!(of(302, "").status(), 502);
        let long = of(400, r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#);
        assert_eq!(long.kind, ErrorKind::TooLong);
    }

    #[test]
    fn keys_are_not_repeated() {
        assert!(!of(401, r#"{"error":{"message":"wrong key sk-secr***"}}"#).message.contains("sk-"));
        assert!(!of(400, r#"{"error":{"message":"echo sk-secret!"}}"#).message.contains("sk-secret"));
        assert!(of(500, &format!(r#"{{"error":"{}"}}"#, "x".repeat(100_000))).message.len() < 1_000);
    }

    #[test]
    fn pauses() {
        assert_eq!(retry_after(Some(" 7 ")), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(Some("99999999999")), Some(MAX_RETRY_AFTER));
        assert_eq!(retry_after(Some("Wed, 21 Oct 2026 07:28:00 GMT")), None);
        assert_eq!(retry_after(None), None);
    }
}
