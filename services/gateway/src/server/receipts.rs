//! `/v1/receipts` and `/v1/lanes`: what hosts were paid, and with what.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use freeway_api::{KeptReceipt, ReceiptsView};
use freeway_primitives::Digest;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Server;
use super::guard::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::lanes::LaneEngine;
use crate::lanes::view::{self, LanesView};

/// Receipts of a list, if the client does not say.
const LISTED: usize = 100;

/// How many receipts are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// At most so many, and at most 1,000.
    limit: Option<usize>,
}

impl Server {
    fn lanes(&self) -> Result<&LaneEngine, ApiError> {
        self.lanes.as_deref().ok_or_else(|| {
            let message =
                "this gateway has no lanes, so there are no receipts; start it with an account that pays";
            ApiError::new(StatusCode::NOT_FOUND, "no_lanes", message)
        })
    }
}

/// Keys without a budget or a list of models see everything; others the receipts that they were given the names of.
fn for_owner(caller: &Caller) -> Result<(), ApiError> {
    if caller.is_owner() {
        return Ok(());
    }
    let message = "passes and keys with a budget cannot list what others did; ask for a receipt by its digest, or \
                   with a key of the owner";
    Err(ApiError::new(StatusCode::FORBIDDEN, "owner_only", message))
}

/// The receipts of hosts, newest first.
#[utoipa::path(get, path = "/v1/receipts", tag = "lanes", params(Page), responses(
    (status = 200, description = "The receipts.", body = ReceiptsView),
    (status = "4XX", description = "There are no lanes here, or the request is wrong.", body = ErrorBody),
    (status = "5XX", description = "The gateway cannot answer now.", body = ErrorBody),
))]
pub(super) async fn list(
    State(server): State<Arc<Server>>,
    caller: Caller,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<ReceiptsView>, ApiError> {
    let Query(page) = page.map_err(|error| ApiError::field("limit", error.body_text()))?;
    let lanes = server.lanes()?;
    for_owner(&caller)?;
    let kept = lanes.receipts(page.limit.unwrap_or(LISTED)).await?;
    Ok(Json(ReceiptsView { receipts: kept.iter().map(view::summary).collect() }))
}

/// A receipt with all that checking it takes: what was signed, the request, the output and its trace.
#[utoipa::path(get, path = "/v1/receipts/{digest}", tag = "lanes",
    params(("digest" = String, Path, description = "The receipt's digest, as answers name it.")),
    responses(
        (status = 200, description = "The receipt.", body = KeptReceipt),
        (status = "4XX", description = "There is no such receipt, or there are no lanes here.", body = ErrorBody),
        (status = "5XX", description = "The gateway cannot answer now.", body = ErrorBody),
    ))]
pub(super) async fn receipt(
    State(server): State<Arc<Server>>,
    digest: Result<Path<String>, PathRejection>,
) -> Result<Json<KeptReceipt>, ApiError> {
    let Path(digest) = digest.map_err(|error| ApiError::field("digest", error.body_text()))?;
    let wrong = |_| ApiError::field("digest", "must be 64 hexadecimal digits, as answers name it");
    let digest: Digest = digest.parse().map_err(wrong)?;
    let lanes = server.lanes()?;
    let kept = lanes.receipt(digest).await?.ok_or_else(|| {
        let message = "no such receipt is kept here; old ones go, and `/v1/receipts` lists those there are";
        ApiError::new(StatusCode::NOT_FOUND, "receipt_not_found", message)
    })?;
    Ok(Json(view::receipt(lanes.chain(), &kept)))
}

/// The lanes that the gateway keeps, and what is left in them.
#[utoipa::path(get, path = "/v1/lanes", tag = "lanes", responses(
    (status = 200, description = "The lanes.", body = LanesView),
    (status = "4XX", description = "There are no lanes here, or too many requests are sent.", body = ErrorBody),
    (status = "5XX", description = "The gateway cannot answer now.", body = ErrorBody),
))]
pub(super) async fn lanes(
    State(server): State<Arc<Server>>,
    caller: Caller,
) -> Result<Json<LanesView>, ApiError> {
    let lanes = server.lanes()?;
    for_owner(&caller)?;
    Ok(Json(lanes.view()))
}
