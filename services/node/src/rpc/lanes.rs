//! Lanes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use freeway_api::{ErrorBody, LaneView, LanesView};
use freeway_ledger::lanes::{self, Lane, forfeited};
use freeway_ledger::{Fault, Reader};
use freeway_primitives::Address;
use freeway_proofs::work::LaneId;

use super::error::ApiError;
use super::extract::{self, Asked, ListQuery, Nothing, Place};
use super::{Context, Server};

/// The default and the greatest length of lists.
const DEFAULT_LIMIT: u64 = 50;
const MAX_LIMIT: u64 = 500;

/// A lane that is not over.
#[utoipa::path(get, path = "/v1/lanes/{lane}", tag = "lanes",
    params(("lane" = u64, Path, description = "The lane's number.")),
    responses(
        (status = 200, description = "The lane.", body = LaneView),
        (status = "4XX", description = "The request is wrong, or there is no such lane any more.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn lane(
    State(server): State<Arc<Server>>,
    Place(lane): Place<String>,
    _: Asked<Nothing>,
) -> Result<Json<LaneView>, ApiError> {
    let id = LaneId(extract::number("lane", &lane)?);
    let state = server.context.store.view();
    match lanes::lane(&state, id)? {
        Some(lane) => Ok(Json(view(&state, id, &lane)?)),
        None => Err(ApiError::not_found(format!("there is no lane {}", id.0)).hint(
            "it was never opened, or it is over; /v1/accounts/{address}/lanes lists the lanes of a payer",
        )),
    }
}

fn view(state: &dyn Reader, id: LaneId, lane: &Lane) -> Result<LaneView, Fault> {
    LaneView::new(id, lane, |share| forfeited(state, share))
}

/// The lanes of a payer.
#[utoipa::path(get, path = "/v1/accounts/{address}/lanes", tag = "lanes",
    params(
        ("address" = String, Path, description = "The account that pays."),
        ("after" = Option<u64>, Query, description = "Begin after this lane: `next` of the page before."),
        ("limit" = Option<u64>, Query, description = "At most so many, 1 to 500; 50 if missing."),
    ),
    responses(
        (status = 200, description = "The lanes that are not over, by their number.", body = LanesView),
        (status = "4XX", description = "The request is wrong.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn of_payer(
    State(server): State<Arc<Server>>,
    Place(address): Place<String>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<LanesView>, ApiError> {
    let payer: Address = extract::value("address", &address)?;
    let (after, limit) = query.read_number(DEFAULT_LIMIT, MAX_LIMIT)?;
    server
        .bulk(move |context| {
            page(context, limit, |state, most| lanes::of_payer(state, &payer, after.map(LaneId), most))
        })
        .await
        .map(Json)
}

/// The lanes in which a host has a share.
#[utoipa::path(get, path = "/v1/hosts/{address}/lanes", tag = "lanes",
    params(
        ("address" = String, Path, description = "The account that owns the host."),
        ("after" = Option<u64>, Query, description = "Begin after this lane: `next` of the page before."),
        ("limit" = Option<u64>, Query, description = "At most so many, 1 to 500; 50 if missing."),
    ),
    responses(
        (status = 200, description = "The lanes that are not over, by their number.", body = LanesView),
        (status = "4XX", description = "The request is wrong.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn of_host(
    State(server): State<Arc<Server>>,
    Place(address): Place<String>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<LanesView>, ApiError> {
    let host: Address = extract::value("address", &address)?;
    let (after, limit) = query.read_number(DEFAULT_LIMIT, MAX_LIMIT)?;
    server
        .bulk(move |context| {
            page(context, limit, |state, most| lanes::of_host(state, &host, after.map(LaneId), most))
        })
        .await
        .map(Json)
}

/// A page of lanes: `list` gives at most so many.
fn page(
    context: &Context,
    limit: usize,
    list: impl FnOnce(&dyn Reader, usize) -> Result<Vec<LaneId>, Fault>,
) -> Result<LanesView, ApiError> {
    let state = context.store.view();
    // One more than asked for tells whether there is a next page.
    let mut ids = list(&state, limit + 1)?;
    let more = ids.len() > limit;
    ids.truncate(limit);
    let mut shown = Vec::with_capacity(ids.len());
    for id in &ids {
        if let Some(lane) = lanes::lane(&state, *id)? {
            shown.push(view(&state, *id, &lane)?);
        }
    }
    Ok(LanesView {
        height: state.height().0,
        next: if more { ids.last().map(|id| id.0) } else { None },
        lanes: shown,
    })
}
