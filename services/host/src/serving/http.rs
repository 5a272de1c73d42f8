//! The route of payers.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use freeway_api::serving::Ask;
use freeway_api::trace::{self, TARGET};
use freeway_primitives::Canonical;
use freeway_proofs::work::LaneId;
use std::sync::{Mutex, PoisonError};
use tokio::sync::{Semaphore, mpsc};
use tracing::{Instrument, Span};

use super::desk::{Admitted, Desk};
use super::{Refusal, run};

/// Requests that are being read and looked at, at a time.
const MAX_LOOKED_AT: usize = 32;
/// How long a payer may take to send its request.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

struct Payers {
    desk: Arc<Desk>,
    looking: Semaphore,
}

/// What keeps a connection open for longer than a short answer takes: answers under way on it.
#[derive(Clone, Debug, Default)]
pub struct Lease(Arc<Held>);

#[derive(Debug, Default)]
struct Held {
    answers: AtomicU32,
    last: Mutex<Option<Instant>>,
}

/// An answer under way on a connection.
pub(crate) struct Holding(Lease);

impl Lease {
    pub(crate) fn hold(&self) -> Holding {
        self.0.answers.fetch_add(1, Ordering::Relaxed);
        Holding(self.clone())
    }

    /// Whether the connection is to stay, after `idle` without an answer.
    pub(crate) fn is_held(&self, idle: Duration) -> bool {
        let last = *self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.answers.load(Ordering::Relaxed) > 0 || last.is_some_and(|last| last.elapsed() < idle)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        *self.0.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.0.0.answers.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) fn routes(desk: Arc<Desk>) -> Router {
    let payers = Arc::new(Payers { desk, looking: Semaphore::new(MAX_LOOKED_AT) });
    Router::new().route("/v1/lanes/{lane}/requests", post(requests)).with_state(payers)
}

async fn requests(
    State(payers): State<Arc<Payers>>,
    Path(lane): Path<String>,
    ConnectInfo(lease): ConnectInfo<Lease>,
    request: Request,
) -> Response {
    let span = tracing::info_span!(
        target: TARGET,
        "serve",
        otel.kind = "server",
        lane = tracing::field::Empty,
        outcome = tracing::field::Empty
    );
    trace::adopt(&span, request.headers().get(trace::HEADER).map(HeaderValue::as_bytes));
    match answer(&payers, &lane, &lease, request).instrument(span.clone()).await {
        Ok(response) => response,
        Err(refusal) => {
            span.record("outcome", "refused");
            refusal.into_response()
        }
    }
}

async fn answer(
    payers: &Arc<Payers>,
    lane: &str,
    lease: &Lease,
    request: Request,
) -> Result<Response, Refusal> {
    let lane = lane.parse().map(LaneId);
    let lane = lane.map_err(|_| Refusal::new("bad_parameter", "lane: a number is expected"))?;
    Span::current().record("lane", lane.0);
    let admitted = {
        let Ok(_permit) = payers.looking.try_acquire() else {
            return Err(Refusal::busy("too many requests at once; ask again in a second"));
        };
        let body: Ask = read(request.into_body()).await?;
        let desk = Arc::clone(&payers.desk);
        let looked = tokio::task::spawn_blocking(move || desk.admit(lane, body)).await;
        looked.map_err(|_| Refusal::internal())??
    };
    let (payer, pieces) = mpsc::channel(run::WAITING);
    match admitted {
        Admitted::New(seat) => drop(tokio::spawn(run::run(*seat, payer).in_current_span())),
        Admitted::Again(again) => {
            let (promise, record, body) = *again;
            Span::current().record("outcome", "told again");
            drop(tokio::spawn(run::again(promise, record, body, payer).in_current_span()));
        }
    }
    let holding = lease.hold();
    let stream = futures::stream::unfold((pieces, holding), |(mut pieces, holding)| async move {
        let piece: Bytes = pieces.recv().await?;
        Some((Ok::<_, Infallible>(piece), (pieces, holding)))
    });
    Ok(([(header::CONTENT_TYPE, octets())], Body::from_stream(stream)).into_response())
}

pub(super) fn octets() -> HeaderValue {
    HeaderValue::from_static("application/octet-stream")
}

/// A body in canonical bytes, within its bounds.
pub(super) async fn read<T: Canonical>(body: Body) -> Result<T, Refusal> {
    let read = tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, T::MAX_BYTES)).await;
    let Ok(read) = read else {
        let message = format!("the request took longer than {} seconds to come", BODY_TIMEOUT.as_secs());
        return Err(Refusal::new("timed_out", message).with_status(408));
    };
    let bytes = read.map_err(|_| {
        let message = format!("a {} has {} bytes at most", T::KIND, T::MAX_BYTES);
        Refusal::new("too_large", message).with_status(413)
    })?;
    T::decode(&bytes).map_err(|error| Refusal::new("bad_body", error.to_string()))
}
