//! What this host shows over HTTP: openings to the members of its committee, and how far its race is.
//!
//! | path | answer |
//! |---|---|
//! | `/v1/sprint/{epoch}/openings/{member}` | canonical bytes of [`SignedOpenings`] |
//! | `/v1/sprint/progress` | [`Progress`] as JSON |
//! | the rest | see [`crate::serving`] |
//!
//! Everybody may ask, as an opening tells nothing that is not to be public; but the question costs work, so that
//! an answer is made once, and there are few questions at a time.

mod listener;

use core::time::Duration;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use freeway_api::{ErrorBody, ErrorDetail};
use freeway_primitives::{Address, Canonical, Epoch};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::core::Refusal;
use crate::openings::SignedOpenings;
use crate::serving::Lease;

/// Requests that are answered at a time.
const MAX_REQUESTS: usize = 32;
/// How long a request may take to be answered.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Answers that are kept: as many as a committee has members.
const MAX_KEPT: usize = 64;

/// How far this host's race is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The race's epoch; 0 before the first.
    pub epoch: u64,
    /// What happens in it: idle, seed, race, draw, verify or reveal.
    pub stage: String,
    /// Nonces computed in this race.
    pub nonces: u64,
    /// Seconds of processor time spent computing since the process started.
    pub cpu_seconds: f64,
    /// The pace over the last seconds of the race; 0 outside.
    pub nonces_per_second: f64,
    /// The nonces that stand on chain as this host's commitment.
    pub committed: Option<u64>,
    /// Threads that race.
    pub threads: usize,
    /// Of each thread's time, in percent.
    pub share: u8,
}

/// Where the answers come from.
pub trait Show: Send + Sync + 'static {
    /// What `member` is shown. May block.
    ///
    /// # Errors
    /// [`Refusal`] says why nothing.
    fn openings(&self, epoch: Epoch, member: Address) -> Result<SignedOpenings, Refusal>;

    /// How far the race is.
    fn progress(&self) -> Progress;
}

struct Server<S> {
    show: S,
    requests: Arc<Semaphore>,
    /// The answers of one epoch.
    kept: Mutex<(Epoch, BTreeMap<Address, Bytes>)>,
}

/// Serves these and `routes` until `stop` resolves; then requests under way are answered.
///
/// # Errors
/// If the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    show: impl Show,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    // Beside the guard: they have bounds of their own.
    let router = router(show).merge(routes).into_make_service_with_connect_info::<Lease>();
    axum::serve(listener::Bounded::new(listener), router).with_graceful_shutdown(stop).await
}

fn router<S: Show>(show: S) -> Router {
    let requests = Arc::new(Semaphore::new(MAX_REQUESTS));
    let server = Arc::new(Server { show, requests, kept: Mutex::default() });
    let openings = get(openings::<S>).post(openings::<S>);
    Router::new()
        .route("/v1/sprint/{epoch}/openings/{member}", openings)
        .route("/v1/sprint/progress", get(progress::<S>))
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_path)
        .layer(middleware::from_fn_with_state(Arc::clone(&server), guard::<S>))
        .with_state(server)
}

async fn guard<S: Show>(State(server): State<Arc<Server<S>>>, request: Request, next: Next) -> Response {
    let Ok(_permit) = Arc::clone(&server.requests).try_acquire_owned() else {
        let message = "the host is answering as many requests as it can; try again in a second";
        return error(StatusCode::TOO_MANY_REQUESTS, "busy", message);
    };
    let answer = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    answer.unwrap_or_else(|_| {
        let message = "the request took longer than 10 seconds; try again";
        error(StatusCode::SERVICE_UNAVAILABLE, "timed_out", message)
    })
}

async fn openings<S: Show>(
    State(server): State<Arc<Server<S>>>,
    Path((epoch, member)): Path<(String, String)>,
) -> Response {
    let Ok(number) = epoch.parse() else {
        return error(StatusCode::BAD_REQUEST, "bad_parameter", "epoch: a number is expected");
    };
    let member: Address = match member.parse() {
        Ok(member) => member,
        Err(problem) => {
            return error(StatusCode::BAD_REQUEST, "bad_parameter", format!("member: {problem}"));
        }
    };
    let made = tokio::task::spawn_blocking(move || server.answer(Epoch(number), member)).await;
    match made {
        Ok(Ok(bytes)) => {
            let kind = HeaderValue::from_static("application/octet-stream");
            ([(header::CONTENT_TYPE, kind)], bytes).into_response()
        }
        Ok(Err(refusal)) => refused(&refusal),
        Err(_) => error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the request met a defect of the host; its log says more",
        ),
    }
}

impl<S: Show> Server<S> {
    fn answer(&self, epoch: Epoch, member: Address) -> Result<Bytes, Refusal> {
        {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(bytes) = kept.1.get(&member).filter(|_| kept.0 == epoch) {
                return Ok(bytes.clone());
            }
        }
        let bytes = Bytes::from(self.show.openings(epoch, member)?.encode());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != epoch {
            *kept = (epoch, BTreeMap::new());
        }
        if kept.1.len() < MAX_KEPT {
            kept.1.insert(member, bytes.clone());
        }
        Ok(bytes)
    }
}

async fn progress<S: Show>(State(server): State<Arc<Server<S>>>) -> Json<Progress> {
    Json(server.show.progress())
}

async fn unknown_path(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(200).collect();
    error(StatusCode::NOT_FOUND, "not_found", format!("there is nothing at {path:?}"))
}

async fn wrong_method(method: Method) -> Response {
    let method: String = method.as_str().chars().take(20).collect();
    error(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{method} cannot be used here; use GET"),
    )
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        // Another time, the same question may have an answer.
        Refusal::NotDrawn(_) | Refusal::NoRace => StatusCode::CONFLICT,
        Refusal::UnknownEpoch { asked, current } if asked > current => StatusCode::CONFLICT,
        Refusal::Fault(_) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::NOT_FOUND,
    };
    if let Refusal::Fault(fault) = refusal {
        tracing::error!(%fault, "openings could not be read");
        let message = "the host's storage failed; ask again, or demand it on chain";
        return error(status, refusal.code(), message);
    }
    error(status, refusal.code(), refusal.to_string())
}

fn error(status: StatusCode, code: &str, message: impl Into<String>) -> Response {
    let body = ErrorBody::from(ErrorDetail::new(code, message));
    let mut response = (status, Json(body)).into_response();
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

#[cfg(test)]
mod tests;
