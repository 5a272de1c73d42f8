//! Requests to an upstream: time-outs, repetition, bounded bodies.

use core::time::Duration;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use reqwest::{Method, Response, StatusCode, Url, header};
use serde_json::Value;
use tokio::time::timeout;

use super::counters::Counters;
use super::options::{Retries, Secret, Timeouts, UpstreamLimits};
use super::{UpstreamError, refusal};
use crate::error::shown;
use crate::{EngineError, ErrorKind};

/// The way to one server.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    base: Url,
    key: Option<Secret>,
    pub(super) timeouts: Timeouts,
    pub(super) retries: Retries,
    pub(super) limits: UpstreamLimits,
    pub(super) counters: Arc<Counters>,
}

impl Http {
    pub(super) fn new(
        base_url: &str,
        key: Option<Secret>,
        timeouts: Timeouts,
        retries: Retries,
        limits: UpstreamLimits,
    ) -> Result<Self, UpstreamError> {
        let base = base(base_url)?;
        if let Some(key) = &key
            && (key.expose().is_empty() || !key.expose().bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(UpstreamError::BadKey);
        }
        let client = reqwest::Client::builder()
            .connect_timeout(timeouts.connect)
            // A redirection could send the key and the conversation somewhere else.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("freeway/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| UpstreamError::Client(shown(&error.to_string())))?;
        Ok(Self { client, base, key, timeouts, retries, limits, counters: Arc::default() })
    }

    /// The server's address, for labels. It has no password.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The key, to be kept out of messages.
    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_ref().map(Secret::expose)
    }

    /// Sends a request until an answer begins, at most as often as allowed. Gives answers of success only.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        wait: Duration,
    ) -> Result<Response, EngineError> {
        if let Some(body) = &body
            && body.len() > self.limits.request_bytes
        {
            let message =
                format!("the request has {} bytes and may have {}", body.len(), self.limits.request_bytes);
            return Err(EngineError::new(ErrorKind::TooLarge, message));
        }
        let mut attempt = 1;
        loop {
            let tried = self.try_once(&method, path, body.clone(), wait).await;
            let (error, again) = match tried {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let pause = self.pause(attempt, error.retry_after);
            match pause {
                Some(pause) if again => tokio::time::sleep(pause).await,
                _ => return Err(error),
            }
            attempt += 1;
            self.counters.retried();
        }
    }

    /// How long to pause after the `attempt`-th, if there is to be another.
    fn pause(&self, attempt: u32, asked: Option<Duration>) -> Option<Duration> {
        if attempt >= self.retries.attempts {
            return None;
        }
        let own = self.retries.pause.saturating_mul(1 << (attempt - 1).min(16)).min(self.retries.longest);
        match asked {
            Some(asked) if asked > self.retries.longest => None,
            Some(asked) => Some(asked.max(own)),
            None => Some(own),
        }
    }

    /// One attempt. An error says whether another may help.
    async fn try_once(
        &self,
        method: &Method,
        path: &str,
        body: Option<Bytes>,
        wait: Duration,
    ) -> Result<Response, (EngineError, bool)> {
        let url = self.base.join(path).map_err(|_| {
            (EngineError::new(ErrorKind::Internal, "the path of an upstream could not be made"), false)
        })?;
        let mut request = self.client.request(method.clone(), url);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        let response = match timeout(wait, request.send()).await {
            // The server may be at work on it: asking again would double the work.
            Err(_) => return Err((self.too_slow("began no answer", wait), false)),
            Ok(Err(error)) => {
                let message = format!(
                    "the upstream server at {} cannot be reached ({}); see whether it runs",
                    self.base,
                    cause(error)
                );
                return Err((EngineError::new(ErrorKind::Unavailable, message), true));
            }
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let again = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::INTERNAL_SERVER_ERROR
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = refusal::retry_after(asked);
        let body = self.read(response, self.limits.error_bytes).await.unwrap_or_default();
        Err((refusal::of_status(status.as_u16(), &body, asked, self.key()), again))
    }

    /// The whole body of an answer, at most `limit` bytes.
    pub(super) async fn read(&self, mut response: Response, limit: usize) -> Result<Bytes, EngineError> {
        let too_large = || bad(format!("the upstream server sent more than {limit} bytes"));
        if response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(piece) = self.piece(&mut response).await? {
            if body.len() + piece.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    /// The next piece of an answer; `None` at its end.
    pub(super) async fn piece(&self, response: &mut Response) -> Result<Option<Bytes>, EngineError> {
        match timeout(self.timeouts.idle, response.chunk()).await {
            Err(_) => Err(self.too_slow("sent nothing", self.timeouts.idle)),
            Ok(Err(error)) => {
                Err(bad(format!("the upstream server broke off its answer ({}); try again", cause(error))))
            }
            Ok(Ok(piece)) => Ok(piece),
        }
    }

    /// The JSON of an answer.
    pub(super) async fn json(&self, response: Response, limit: usize) -> Result<Value, EngineError> {
        let kind = content_type(&response);
        let body = self.read(response, limit).await?;
        let value: Value = serde_json::from_slice(&body)
            .map_err(|error| bad(format!("the upstream server answered no JSON but {kind} ({error})")))?;
        match refusal::of_payload(&value, self.key()) {
            Some(error) => Err(error),
            None if value.is_object() => Ok(value),
            None => Err(bad("the upstream server answered with JSON that is no object")),
        }
    }

    fn too_slow(&self, what: &str, after: Duration) -> EngineError {
        let message = format!("the upstream server {what} for {after:?}; try again later");
        EngineError::new(ErrorKind::Timeout, message)
    }
}

/// An answer that cannot be used.
pub(super) fn bad(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::BadUpstream, message)
}

/// The content type of an answer, as far as it matters.
pub(super) fn content_type(response: &Response) -> String {
    let value = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.unwrap_or("a body of no type").split(';').next().unwrap_or_default();
    shown(&kind.trim().to_ascii_lowercase())
}

/// The innermost cause of an error of the client; the outer ones repeat addresses.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut innermost: &dyn core::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    shown(&innermost.to_string())
}

fn base(text: &str) -> Result<Url, UpstreamError> {
    let wrong = |problem| UpstreamError::BadUrl { url: without_password(text), problem };
    let mut url = Url::parse(text.trim()).map_err(|_| wrong("it is no URL; write http://host:port/v1"))?;
    match url.scheme() {
        "http" => {}
        "https" => {
            return Err(wrong(
                "this build has no TLS; use http:// through a local proxy or tunnel that adds it",
            ));
        }
        _ => return Err(wrong("it must begin with http://")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it must hold no name or password; give the key by itself"));
    }
    if !url.has_host() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it must be a host, a port and a path; write http://host:port/v1"));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// A URL as it may be shown, even if it is wrong.
fn without_password(text: &str) -> String {
    match text.rfind('@') {
        Some(at) => format!("(...){}", shown(&text[at..])),
        None => shown(text),
    }
}
