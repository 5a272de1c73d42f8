//! Rewards, and what hosts earn.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use freeway_api::{EarningsView, ErrorBody, FeesView, RewardsView};
use freeway_ledger::epochs::CLOCK;
use freeway_ledger::lanes::{CREDITS, EARNED, TRAINING, VERIFIER_POT};
use freeway_ledger::rewards::{self, DUTIES};
use freeway_ledger::work::{self, STANDING};
use freeway_ledger::{Params, SUPPLY};
use freeway_primitives::Address;

use super::error::ApiError;
use super::extract::{self, Asked, Nothing, Place};
use super::{Context, Server};

/// Where the emission of money stands.
#[utoipa::path(get, path = "/v1/rewards", tag = "rewards", responses(
    (status = 200, description = "The emission.", body = RewardsView),
    (status = "4XX", description = "The request is wrong.", body = ErrorBody),
    (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
))]
pub(super) async fn emission(
    State(server): State<Arc<Server>>,
    _: Asked<Nothing>,
) -> Result<Json<RewardsView>, ApiError> {
    let state = server.context.store.view();
    let params = Params::current(&state)?;
    let epoch = CLOCK.require(&state)?.at(state.height().next(), &params.epochs).epoch;
    Ok(Json(RewardsView {
        height: state.height().0,
        epoch: epoch.0,
        supply: SUPPLY.require(&state)?,
        minted: rewards::minted(&state)?,
        emission: rewards::emission(&params.rewards, epoch),
        limit: rewards::limit(&params.rewards),
        verifier_pot: VERIFIER_POT.require(&state)?,
        training: TRAINING.require(&state)?,
    }))
}

/// What a host earns.
#[utoipa::path(get, path = "/v1/hosts/{address}/earnings", tag = "rewards",
    params(("address" = String, Path, description = "The account that owns the host.")),
    responses(
        (status = 200, description = "What it earns; nothing if it never did, or if there is no host.",
            body = EarningsView),
        (status = "4XX", description = "The request is wrong.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn earnings(
    State(server): State<Arc<Server>>,
    Place(address): Place<String>,
    _: Asked<Nothing>,
) -> Result<Json<EarningsView>, ApiError> {
    let host: Address = extract::value("address", &address)?;
    view(&server.context, host).map(Json)
}

fn view(context: &Context, host: Address) -> Result<EarningsView, ApiError> {
    let state = context.store.view();
    let height = state.height();
    let earnings = rewards::earnings(&state, &host)?;
    let vesting = earnings.vesting.left()?;
    let (limit, _) = work::limit(&state, &host, height.next())?;
    let standing = STANDING.get(&state, &host)?.unwrap_or_default();
    let credit = CREDITS.get(&state, &host)?.unwrap_or_default();
    let earned = EARNED.get(&state, &host)?.unwrap_or_default();
    let fees = FeesView::new(&standing, limit, &credit, &earned);
    let duty = DUTIES.get(&state, &host)?.unwrap_or_default();
    Ok(EarningsView::new(height.0, host, &earnings, vesting, fees, duty))
}
