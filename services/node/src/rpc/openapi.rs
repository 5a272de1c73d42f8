//! The description of the interface, made from the code.

use axum::Json;
use freeway_api::LaggedEvent;
use utoipa::OpenApi;

use super::extract::{Asked, Nothing};
use super::{
    accounts, beacon, blocks, chain, events, hosts, node, proofs, snapshots, sprint, status, sync,
    transactions, weights,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Freeway node",
        description = "The HTTP interface of a chain node. Amounts are strings of base units (10^-9 FWY). Every error has a \
                       code for programs, a message for people, and often a hint that says what to do."
    ),
    paths(
        accounts::account,
        beacon::now,
        beacon::value,
        blocks::block,
        blocks::list,
        chain::genesis,
        chain::parameters,
        events::events,
        hosts::host,
        hosts::list,
        hosts::validators,
        node::metrics,
        node::peers,
        proofs::account,
        proofs::key,
        serve,
        snapshots::chunk,
        snapshots::list,
        snapshots::manifest,
        sprint::hosts,
        sprint::race,
        sprint::results,
        status::health,
        status::status,
        sync::chunk,
        sync::offer,
        sync::switches,
        transactions::submit,
        transactions::transaction,
        weights::list,
    ),
    components(schemas(LaggedEvent))
)]
struct Description;

/// The description of the interface.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "node", responses(
    (status = 200, description = "The OpenAPI document.", body = Object),
    (status = "4XX", description = "The request is wrong.", body = freeway_api::ErrorBody),
))]
pub(super) async fn serve(_: Asked<Nothing>) -> Json<utoipa::openapi::OpenApi> {
    Json(openapi())
}
