//! Receiving bodies: one has a bound, all together have one, and so has the time that one takes.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use futures::StreamExt;
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;

use super::Server;
use crate::error::{ApiError, shown};
use crate::wire::read;

/// Bytes that one permit stands for.
const UNIT: usize = 1 << 10;

/// Bytes of a body that is too large which are still received, and thrown away: most clients read an answer only once
/// they have sent everything, and would see a broken connection instead.
const DISCARDED_BYTES: usize = 32 << 20;

/// As many permits as `bytes` need.
pub(super) fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// A body of JSON. The room that it takes is given back when `permit` is dropped.
pub(super) struct JsonBody {
    pub(super) map: Map<String, Value>,
    _permit: OwnedSemaphorePermit,
}

impl FromRequest<Arc<Server>> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, server: &Arc<Server>) -> Result<Self, ApiError> {
        let limits = &server.limits;
        content_type(request.headers())?;
        let announced = announced(request.headers());
        if announced.is_some_and(|bytes| bytes > limits.max_body_bytes as u64) {
            let rest = discard(request.into_body().into_data_stream());
            // What was not received in time changes nothing about the answer.
            let _ = tokio::time::timeout(limits.body_timeout, rest).await;
            return Err(too_large(limits.max_body_bytes));
        }
        let room = announced.map_or(limits.max_body_bytes, |bytes| bytes as usize);
        let Ok(permit) = Arc::clone(&server.bodies).try_acquire_many_owned(units(room)) else {
            return Err(ApiError::busy("the gateway is receiving as much as it can; try again in a second"));
        };
        let receiving = receive(request.into_body(), limits.max_body_bytes, room);
        let bytes = tokio::time::timeout(limits.body_timeout, receiving).await.map_err(|_| {
            let message = "the body took too long to arrive; send it faster, or send less";
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
        })??;
        Ok(Self { map: read::body(&bytes)?, _permit: permit })
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let unsupported = |message: String| {
        Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
    };
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return unsupported("the body is compressed; send it as it is".to_owned());
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = value.to_str().unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    unsupported(format!("the body is of type {:?}; send \"content-type: application/json\"", shown(kind)))
}

fn too_large(most: usize) -> ApiError {
    let message = format!("the body has more than {most} bytes; send less, or ask for a larger limit");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
}

async fn receive(body: Body, most: usize, expected: usize) -> Result<Bytes, ApiError> {
    let mut pieces = body.into_data_stream();
    let mut bytes = Vec::with_capacity(expected.min(64 << 10));
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| {
            ApiError::bad_request(
                "incomplete_body",
                format!("the body broke off: {}", shown(&error.to_string())),
            )
        })?;
        if bytes.len() + piece.len() > most {
            drop(bytes);
            discard(pieces).await;
            return Err(too_large(most));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}

/// Receives what is left of a body, up to a bound, and keeps nothing.
async fn discard(mut pieces: BodyDataStream) {
    let mut received = 0;
    while let Some(Ok(piece)) = pieces.next().await {
        received += piece.len();
        if received > DISCARDED_BYTES {
            return;
        }
    }
}
