//! The table of routes.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use tower_http::catch_panic::CatchPanicLayer;

use super::{Server, chat, completions, embeddings, guard, models, receipts, status};
use crate::error::{ApiError, shown};

/// A method, a path as it is described, a path as it is matched, and what answers.
type Route = (&'static str, &'static str, &'static str, MethodRouter<Arc<Server>>);

/// For whoever has a key, where there are keys.
fn guarded() -> Vec<Route> {
    vec![
        ("post", "/v1/chat/completions", "/v1/chat/completions", post(chat::chat)),
        ("post", "/v1/completions", "/v1/completions", post(completions::completions)),
        ("post", "/v1/embeddings", "/v1/embeddings", post(embeddings::embeddings)),
        ("post", "/v1/tokenize", "/v1/tokenize", post(completions::tokenize)),
        ("get", "/v1/models", "/v1/models", get(models::list)),
        // Names may contain slashes.
        ("get", "/v1/models/{model}", "/v1/models/{*model}", get(models::model)),
        ("get", "/v1/receipts", "/v1/receipts", get(receipts::list)),
        ("get", "/v1/receipts/{digest}", "/v1/receipts/{digest}", get(receipts::receipt)),
        ("get", "/v1/lanes", "/v1/lanes", get(receipts::lanes)),
    ]
}

/// For everybody.
fn open() -> Vec<Route> {
    vec![
        ("get", "/health", "/health", get(status::health)),
        ("get", "/metrics", "/metrics", get(status::metrics)),
        ("get", "/openapi.json", "/openapi.json", get(status::openapi)),
    ]
}

/// Every method and path that is served, for checking the description against.
pub fn routes() -> Vec<(&'static str, &'static str)> {
    guarded().into_iter().chain(open()).map(|(method, path, ..)| (method, path)).collect()
}

/// A matched path as a label: as many as there are routes.
pub(super) fn label(matched: Option<&str>) -> &'static str {
    const LABELS: [&str; 11] = [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/tokenize",
        "/v1/models",
        "/v1/receipts",
        "/v1/receipts/{digest}",
        "/v1/lanes",
        "/health",
        "/metrics",
        "/openapi.json",
    ];
    match matched {
        Some("/v1/models/{*model}") => "/v1/models/{model}",
        Some(path) => LABELS.into_iter().find(|label| *label == path).unwrap_or("none"),
        None => "none",
    }
}

pub(super) fn router(server: Arc<Server>) -> Router {
    let add = |router: Router<Arc<Server>>, (_, _, path, answer): Route| router.route(path, answer);
    let guarded = guarded().into_iter().fold(Router::new(), add);
    let guarded = guarded.route_layer(from_fn_with_state(Arc::clone(&server), guard::admit));
    open()
        .into_iter()
        .fold(guarded, add)
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_path)
        .layer(CatchPanicLayer::custom(guard::on_panic))
        .layer(from_fn_with_state(Arc::clone(&server), guard::guard))
        .with_state(server)
}

async fn unknown_path(uri: Uri) -> ApiError {
    let message = format!("there is nothing at {:?}; /openapi.json lists what there is", shown(uri.path()));
    ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
}

async fn wrong_method(method: Method) -> ApiError {
    let message = format!(
        "{} cannot be used here; /openapi.json lists the methods of each path",
        shown(method.as_str())
    );
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
