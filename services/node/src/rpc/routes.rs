//! The table of routes.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::{MethodRouter, get, post};
use tower_http::catch_panic::CatchPanicLayer;

use super::error::ApiError;
use super::{
    Server, accounts, beacon, blocks, chain, endorsements, events, guard, hosts, lanes, models, node,
    openapi, proofs, rewards, snapshots, sprint, status, sync, transactions, weights, work,
};

/// A method, its path, and what answers.
type Route = (&'static str, &'static str, MethodRouter<Arc<Server>>);

fn table() -> Vec<Route> {
    vec![
        ("get", "/healthz", get(status::health)),
        ("get", "/metrics", get(node::metrics)),
        ("get", "/openapi.json", get(openapi::serve)),
        ("get", "/v1/status", get(status::status)),
        ("get", "/v1/blocks", get(blocks::list)),
        ("get", "/v1/blocks/{height}", get(blocks::block)),
        ("post", "/v1/transactions", post(transactions::submit)),
        ("get", transactions::PATH, get(transactions::transaction)),
        ("get", "/v1/accounts/{address}", get(accounts::account)),
        ("get", "/v1/accounts/{address}/proof", get(proofs::account)),
        ("get", "/v1/accounts/{address}/lanes", get(lanes::of_payer)),
        ("get", "/v1/accounts/{address}/endorsements", get(endorsements::of_account)),
        ("get", "/v1/hosts", get(hosts::list)),
        ("get", "/v1/hosts/{address}", get(hosts::host)),
        ("get", "/v1/hosts/{address}/lanes", get(lanes::of_host)),
        ("get", "/v1/hosts/{address}/earnings", get(rewards::earnings)),
        ("get", "/v1/models", get(models::list)),
        ("get", "/v1/models/{model}", get(models::model)),
        ("get", "/v1/lanes/{lane}", get(lanes::lane)),
        ("get", "/v1/work", get(work::now)),
        ("get", "/v1/work/{interval}", get(work::list)),
        ("get", "/v1/work/{interval}/{host}", get(work::commitment)),
        ("get", "/v1/work/{interval}/{host}/proof", get(proofs::commitment)),
        ("get", "/v1/rewards", get(rewards::emission)),
        ("get", "/v1/endorsements/{endorsement}", get(endorsements::endorsement)),
        ("get", "/v1/receipts/{receipt}/endorsements", get(endorsements::of_receipt)),
        ("get", "/v1/validators", get(hosts::validators)),
        ("get", "/v1/sprint", get(sprint::race)),
        ("get", "/v1/sprint/hosts", get(sprint::hosts)),
        ("get", "/v1/sprint/results", get(sprint::results)),
        ("get", "/v1/weights", get(weights::list)),
        ("get", "/v1/beacon", get(beacon::now)),
        ("get", "/v1/beacon/{height}", get(beacon::value)),
        ("get", "/v1/parameters", get(chain::parameters)),
        ("get", "/v1/genesis", get(chain::genesis)),
        ("get", "/v1/peers", get(node::peers)),
        ("get", "/v1/proofs/{key}", get(proofs::key)),
        ("get", "/v1/snapshots", get(snapshots::list)),
        ("get", "/v1/snapshots/{height}/manifest", get(snapshots::manifest)),
        ("get", "/v1/snapshots/{height}/chunks/{index}", get(snapshots::chunk)),
        ("get", "/v1/sync/offer", get(sync::offer)),
        ("get", "/v1/sync/switches/{height}", get(sync::switches)),
        ("get", "/v1/sync/snapshots/{height}/{index}", get(sync::chunk)),
        ("get", "/v1/events", get(events::events)),
    ]
}

/// Every method and path that is served, for checking the description against.
pub fn routes() -> Vec<(&'static str, &'static str)> {
    table().into_iter().map(|(method, path, _)| (method, path)).collect()
}

pub(super) fn router(server: Arc<Server>, pages: Router) -> Router {
    let mut router = Router::new();
    for (_, path, answer) in table() {
        router = router.route(path, answer);
    }
    router
        .merge(pages.with_state(()))
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_path)
        .layer(CatchPanicLayer::custom(guard::on_panic))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&server), guard::guard))
        .with_state(server)
}

async fn unknown_path(uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::not_found(format!("there is nothing at {path:?}")).hint("/openapi.json lists what there is")
}

async fn wrong_method(method: Method) -> ApiError {
    let method: String = method.as_str().chars().take(20).collect();
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{method} cannot be used here"),
    )
    .hint("/openapi.json lists the methods of each path")
}
