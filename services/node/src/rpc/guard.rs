//! Around every request: how many there are at a time, how long one may take, and what is counted.

use core::any::Any;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Server;
use super::error::{ApiError, MustStop};
use super::listener::Activity;
use super::transactions::MAX_WAIT;

/// How long a request may take to be answered.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The middleware.
pub(super) async fn guard(
    State(server): State<Arc<Server>>,
    ConnectInfo(activity): ConnectInfo<Activity>,
    request: Request,
    next: Next,
) -> Response {
    let _answering = activity.begin();
    let started = Instant::now();
    let method = method_name(request.method());
    // The pattern, not the path: as many as there are routes.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let response = match Arc::clone(&server.requests).try_acquire_owned() {
        Err(_) => ApiError::busy("the node is answering as many requests as it can").into_response(),
        Ok(_permit) => {
            // A request may ask to wait for its transaction.
            let limit = if route == super::transactions::PATH { MAX_WAIT } else { Duration::ZERO };
            match tokio::time::timeout(limit + REQUEST_TIMEOUT, next.run(request)).await {
                Ok(response) => response,
                Err(_) => timed_out().into_response(),
            }
        }
    };
    if let Some(MustStop(cause)) = response.extensions().get() {
        tracing::error!(cause, "storage failed while answering a request");
        // If the queue is full, the node knows already.
        let _ = server.context.fatal.try_send(cause.clone());
    }
    let seconds = started.elapsed().as_secs_f64();
    server.context.metrics.answered(method, route, response.status().as_u16(), seconds);
    response
}

fn timed_out() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", "the request took longer than 30 seconds")
        .hint("send it faster, ask for less, or try another node")
}

/// What is answered instead of a panic.
pub(super) fn on_panic(panic: Box<dyn Any + Send + 'static>) -> axum::http::Response<Body> {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("unknown"), "a request met a defect");
    ApiError::internal("the request met a defect of the node").into_response()
}

/// A bounded set of names, for labels.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
