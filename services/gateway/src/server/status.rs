//! `/health`, `/metrics` and `/openapi.json`: for operators and tools, without a key.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Server;
use super::phase::Phase;
use crate::wire::answers::{EngineHealth, HealthReport};

/// What Prometheus expects.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the gateway works.
#[utoipa::path(get, path = "/health", tag = "status", security(()), responses(
    (status = 200, description = "It answers requests; perhaps not for all models.", body = HealthReport),
    (status = 503, description = "It is stopping.", body = HealthReport),
))]
pub(super) async fn health(State(server): State<Arc<Server>>) -> Response {
    let engines = server.engines.engines();
    let looks = engines.iter().map(|engine| async {
        let health = engine.health().await;
        EngineHealth { engine: engine.label().to_owned(), ok: health.ok, detail: health.detail }
    });
    let engines = futures::future::join_all(looks).await;
    let (code, status) = match server.phases.now() {
        Phase::Serving if engines.iter().all(|engine| engine.ok) => (StatusCode::OK, "ok"),
        Phase::Serving => (StatusCode::OK, "degraded"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    (code, Json(HealthReport { status, engines })).into_response()
}

/// What the gateway counts and measures, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "status", security(()), responses(
    (status = 200, description = "The metrics.", body = String,
        content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
))]
pub(super) async fn metrics(State(server): State<Arc<Server>>) -> Response {
    let engines = server.engines.engines();
    let stats: Vec<_> = engines.iter().map(|engine| (engine.label().to_owned(), engine.stats())).collect();
    ([(header::CONTENT_TYPE, METRICS_TYPE)], server.metrics.text(&stats)).into_response()
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "status", security(()), responses(
    (status = 200, description = "The OpenAPI document.", body = Object),
))]
pub(super) async fn openapi(State(server): State<Arc<Server>>) -> Json<utoipa::openapi::OpenApi> {
    Json(super::openapi::openapi(server.accounts.is_some()))
}
