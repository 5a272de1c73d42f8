//! What hosts have proven.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use freeway_api::text::Millionths;
use freeway_api::weights::{h100_weight, h100s};
use freeway_api::{ErrorBody, WeightView, WeightsView};
use freeway_ledger::epochs::VALIDATORS;
use freeway_ledger::hosts::HOSTS;
use freeway_ledger::{Fault, Params, weights};
use freeway_primitives::Address;

use super::error::ApiError;
use super::extract::{Asked, ListQuery};
use super::{Context, Server};

/// The default and the greatest length of lists.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1_000;

/// What each host has proven.
#[utoipa::path(get, path = "/v1/weights", tag = "sprint",
    params(
        ("after" = Option<String>, Query, description = "Begin after this address: `next` of the page before."),
        ("limit" = Option<u64>, Query, description = "At most so many, 1 to 1000; 100 if missing."),
    ),
    responses(
        (status = 200, description = "The weights of all hosts, by address.", body = WeightsView),
        (status = "4XX", description = "The request is wrong.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn list(
    State(server): State<Arc<Server>>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<WeightsView>, ApiError> {
    let (after, limit) = query.read(DEFAULT_LIMIT, MAX_LIMIT)?;
    server.bulk(move |context| page(context, after, limit)).await.map(Json)
}

fn page(context: &Context, after: Option<Address>, limit: usize) -> Result<WeightsView, ApiError> {
    let state = context.store.view();
    let params = Params::current(&state)?;
    let validators = VALIDATORS.require(&state)?;
    let total = weights::total(&state)?;
    // One more than asked for tells whether there is a next page.
    let mut hosts = HOSTS.page(&state, after.as_ref(), limit + 1)?;
    let more = hosts.len() > limit;
    hosts.truncate(limit);
    let view = |host: Address| {
        let record = weights::of(&state, &host)?;
        let power = validators.get(&host).map_or(0, |member| member.power);
        let share = Millionths::of(u128::from(power), u128::from(validators.total_power()));
        Ok(WeightView::new(host, &record, h100s(u128::from(record.now), &params), share))
    };
    Ok(WeightsView {
        height: state.height().0,
        proven: weights::proven(&state)?,
        total: u64::try_from(total).unwrap_or(u64::MAX),
        total_h100_equivalents: h100s(total, &params),
        h100_weight: u64::try_from(h100_weight(&params)).unwrap_or(u64::MAX),
        next: if more { hosts.last().map(|(address, _)| *address) } else { None },
        weights: hosts.iter().map(|(address, _)| view(*address)).collect::<Result<_, Fault>>()?,
    })
}
