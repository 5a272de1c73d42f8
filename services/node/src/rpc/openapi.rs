//! The description of the interface, made from the code.

use axum::Json;
use freeway_api::LaggedEvent;
use utoipa::OpenApi;

use super::extract::{Asked, Nothing};
use super::{
    accounts, beacon, blocks, chain, endorsements, events, hosts, lanes, models, node, proofs, rewards,
    snapshots, sprint, status, sync, transactions, weights, work,
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
        endorsements::endorsement,
        endorsements::of_account,
        endorsements::of_receipt,
        events::events,
        hosts::host,
        hosts::list,
        hosts::validators,
        lanes::lane,
        lanes::of_host,
        lanes::of_payer,
        models::list,
        models::model,
        node::metrics,
        node::peers,
        proofs::account,
        proofs::commitment,
        proofs::key,
        rewards::earnings,
        rewards::emission,
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
        work::commitment,
        work::list,
        work::now,
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
