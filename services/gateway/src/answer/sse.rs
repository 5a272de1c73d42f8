//! Server-sent events: pieces, comments in long silences, and an error event where a stream has to end early.

use core::convert::Infallible;
use core::future::Future;
use core::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use serde::Serialize;

use crate::error::ApiError;
use crate::server::phase::Phases;

/// Said in silences. Clients ignore it, and both ends learn that the other is there.
const COMMENT: &[u8] = b": keep-alive\n\n";
/// The end of a whole answer.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// A piece of a stream.
pub(crate) fn event(value: &impl Serialize) -> Result<String, ApiError> {
    let json = serde_json::to_string(value).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        ApiError::internal()
    })?;
    Ok(format!("data: {json}\n\n"))
}

/// Where the pieces come from.
pub(crate) trait Source: Send + 'static {
    /// The next pieces; `None` at the end of a whole answer, an error where it ends early. Nothing may be lost if the
    /// future is dropped.
    fn next(&mut self) -> impl Future<Output = Option<Result<String, ApiError>>> + Send;
}

/// An answer that is there already, as a stream of one piece.
pub(crate) struct Once(Option<serde_json::Value>);

impl Once {
    pub(crate) fn new(answer: serde_json::Value) -> Self {
        Self(Some(answer))
    }
}

impl Source for Once {
    async fn next(&mut self) -> Option<Result<String, ApiError>> {
        self.0.take().map(|answer| event(&answer))
    }
}

/// The answer that streams `source`. When the client leaves, it is dropped.
pub(crate) fn respond(source: impl Source, phases: Phases, keep_alive: Duration) -> Response {
    let state = (Some(source), phases);
    let pieces = stream::unfold(state, move |(source, mut phases)| async move {
        let mut source = source?;
        let piece = tokio::select! {
            biased;
            piece = source.next() => piece,
            () = phases.cut() => Some(Err(stopping())),
            () = tokio::time::sleep(keep_alive) => {
                return Some((Ok::<_, Infallible>(Bytes::from_static(COMMENT)), (Some(source), phases)));
            }
        };
        match piece {
            Some(Ok(text)) => Some((Ok(Bytes::from(text)), (Some(source), phases))),
            // Without the mark of a whole answer.
            Some(Err(error)) => {
                drop(source);
                let text = event(&error.body()).unwrap_or_default();
                Some((Ok(Bytes::from(text)), (None, phases)))
            }
            None => Some((Ok(Bytes::from_static(DONE)), (None, phases))),
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Some proxies would collect the pieces.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The gateway does not wait any longer.
pub(crate) fn stopping() -> ApiError {
    ApiError::busy("the gateway is stopping; try again, or at another gateway").code("stopping")
}
