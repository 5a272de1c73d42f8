//! Endorsements.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use freeway_api::{EndorsementView, EndorsementsView, ErrorBody, ReceiptEndorsementsView};
use freeway_ledger::endorsements::{self, Endorsement, EndorsementId};
use freeway_primitives::{Address, Digest};

use super::error::ApiError;
use super::extract::{self, Asked, ListQuery, Nothing, Place};
use super::{Context, Server};

/// The default and the greatest length of lists.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 500;

/// An endorsement whose bond is not gone.
#[utoipa::path(get, path = "/v1/endorsements/{endorsement}", tag = "endorsements",
    params(("endorsement" = u64, Path, description = "The endorsement's number.")),
    responses(
        (status = 200, description = "The endorsement.", body = EndorsementView),
        (status = "4XX", description = "The request is wrong, or there is none any more.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn endorsement(
    State(server): State<Arc<Server>>,
    Place(endorsement): Place<String>,
    _: Asked<Nothing>,
) -> Result<Json<EndorsementView>, ApiError> {
    let id = EndorsementId(extract::number("endorsement", &endorsement)?);
    match endorsements::endorsement(&server.context.store.view(), id)? {
        Some(endorsement) => Ok(Json(EndorsementView::new(id, &endorsement))),
        None => Err(ApiError::not_found(format!("there is no endorsement {} with a bond", id.0))
            .hint("/v1/accounts/{address}/endorsements shows what became of an account's endorsements")),
    }
}

/// An account's record, and its endorsements whose bonds are not gone.
#[utoipa::path(get, path = "/v1/accounts/{address}/endorsements", tag = "endorsements",
    params(
        ("address" = String, Path, description = "The account that answers."),
        ("after" = Option<u64>, Query, description = "Begin after this endorsement: `next` of the page before."),
        ("limit" = Option<u64>, Query, description = "At most so many, 1 to 500; 100 if missing."),
    ),
    responses(
        (status = 200, description = "The record and the endorsements.", body = EndorsementsView),
        (status = "4XX", description = "The request is wrong.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn of_account(
    State(server): State<Arc<Server>>,
    Place(address): Place<String>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<EndorsementsView>, ApiError> {
    let endorser: Address = extract::value("address", &address)?;
    let (after, limit) = query.read_number(DEFAULT_LIMIT, MAX_LIMIT)?;
    let work = move |context: &Context| {
        let state = context.store.view();
        let found = endorsements::of_endorser(&state, &endorser, after.map(EndorsementId), limit + 1)?;
        let (endorsements, next) = page(&found, limit);
        let record = endorsements::record(&state, &endorser)?.into();
        Ok(EndorsementsView { height: state.height().0, record, endorsements, next })
    };
    server.bulk(work).await.map(Json)
}

/// The endorsements of a receipt whose bonds are not gone.
#[utoipa::path(get, path = "/v1/receipts/{receipt}/endorsements", tag = "endorsements",
    params(
        ("receipt" = String, Path, description = "The receipt's digest."),
        ("after" = Option<u64>, Query, description = "Begin after this endorsement: `next` of the page before."),
        ("limit" = Option<u64>, Query, description = "At most so many, 1 to 500; 100 if missing."),
    ),
    responses(
        (status = 200, description = "The endorsements.", body = ReceiptEndorsementsView),
        (status = "4XX", description = "The request is wrong.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn of_receipt(
    State(server): State<Arc<Server>>,
    Place(receipt): Place<String>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<ReceiptEndorsementsView>, ApiError> {
    let receipt: Digest = extract::value("receipt", &receipt)?;
    let (after, limit) = query.read_number(DEFAULT_LIMIT, MAX_LIMIT)?;
    let work = move |context: &Context| {
        let state = context.store.view();
        let found = endorsements::of_receipt(&state, &receipt, after.map(EndorsementId), limit + 1)?;
        let (endorsements, next) = page(&found, limit);
        Ok(ReceiptEndorsementsView { height: state.height().0, endorsements, next })
    };
    server.bulk(work).await.map(Json)
}

/// The first `limit` of what was found, and if that is not all, what the next page begins after.
fn page(found: &[(EndorsementId, Endorsement)], limit: usize) -> (Vec<EndorsementView>, Option<u64>) {
    let shown = found.get(..limit).unwrap_or(found);
    let next = if shown.len() < found.len() { shown.last().map(|(id, _)| id.0) } else { None };
    (shown.iter().map(|(id, endorsement)| EndorsementView::new(*id, endorsement)).collect(), next)
}
