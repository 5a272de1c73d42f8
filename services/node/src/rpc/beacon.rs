//! The randomness beacon.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use borsh::BorshDeserialize;
use freeway_api::beacon::{DealingView, GroupView, LatestValue, SeatsView};
use freeway_api::{BeaconStatus, BeaconValueView, BeaconView, ErrorBody};
use freeway_beacon::Value;
use freeway_ledger::beacon::{self, ACKNOWLEDGEMENTS, DEALINGS, GROUPS, KEPT_GROUPS, KnownGroup, WINDOW};
use freeway_ledger::{Fault, Reader};
use freeway_primitives::{BeaconRecord, Header, Height};

use super::blocks::pruned;
use super::error::ApiError;
use super::extract::{self, Asked, Nothing, Place};
use super::{Context, Server};

/// The beacon now.
#[utoipa::path(get, path = "/v1/beacon", tag = "beacon", responses(
    (status = 200, description = "Who signs, whose key is being made, and the latest value.", body = BeaconView),
    (status = "4XX", description = "The request is wrong.", body = ErrorBody),
    (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
))]
pub(super) async fn now(
    State(server): State<Arc<Server>>,
    _: Asked<Nothing>,
) -> Result<Json<BeaconView>, ApiError> {
    server.bulk(|context| Ok(view(&context.store.view())?)).await.map(Json)
}

fn view(state: &freeway_store::StateView) -> Result<BeaconView, Fault> {
    let height = state.height();
    Ok(BeaconView {
        height: height.0,
        group: beacon::group_at(state, height.next())?.as_ref().map(group),
        dealing: dealing(state, height)?,
        latest: latest(state, height)?,
    })
}

fn group(KnownGroup { start, group }: &KnownGroup) -> GroupView {
    let holders = group.seats.holders().iter();
    GroupView {
        epoch: group.epoch.0,
        start: start.0,
        key: hex::encode(group.key()),
        seats: group.seats.total().into(),
        majority: group.seats.majority().into(),
        holders: holders
            .map(|holder| SeatsView { validator: holder.address, seats: holder.seats.into() })
            .collect(),
    }
}

fn dealing(state: &dyn Reader, height: Height) -> Result<Option<DealingView>, Fault> {
    let Some((dealing, stage)) = beacon::stage(state, height.next())? else { return Ok(None) };
    let holders = dealing.holders();
    let (mut dealt, mut acknowledged) = (0, 0);
    for holder in &holders {
        let key = (dealing.epoch, *holder);
        dealt += u32::from(DEALINGS.get(state, &key)?.is_some());
        acknowledged += u32::from(ACKNOWLEDGEMENTS.get(state, &key)?.is_some());
    }
    Ok(Some(DealingView {
        epoch: dealing.epoch.0,
        stage: stage.name().into(),
        start: dealing.start.0,
        switch: dealing.switch.0,
        // No more than there are validators.
        holders: holders.len() as u32,
        dealt,
        acknowledged,
    }))
}

/// The beacon as the status shows it.
pub(super) fn status(state: &freeway_store::StateView) -> Result<BeaconStatus, Fault> {
    let latest = latest(state, state.height())?;
    Ok(BeaconStatus {
        epoch: beacon::group_at(state, state.height().next())?.map(|known| known.group.epoch.0),
        latest_height: latest.map(|latest| latest.height),
        latest_value: latest.map(|latest| latest.value),
    })
}

/// The latest value in the state of `height`: usually that of the height before.
fn latest(state: &dyn Reader, height: Height) -> Result<Option<LatestValue>, Fault> {
    let groups = GROUPS.page(state, None, KEPT_GROUPS as usize + 1)?;
    let Some((_, oldest)) = groups.first() else { return Ok(None) };
    let first = oldest.start.max(height.minus(WINDOW)).max(Height::FIRST);
    for of in (first.0..height.0).rev() {
        if let Some(value) = beacon::value(state, Height(of))? {
            return Ok(Some(LatestValue { height: of, value }));
        }
    }
    Ok(None)
}

/// The value of a height, and what proves it.
#[utoipa::path(get, path = "/v1/beacon/{height}", tag = "beacon",
    params(("height" = u64, Path, description = "The height that the value belongs to.")),
    responses(
        (status = 200, description = "The value.", body = BeaconValueView),
        (status = "4XX", description = "The request is wrong, or the value is not recorded.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn value(
    State(server): State<Arc<Server>>,
    Place(height): Place<String>,
    _: Asked<Nothing>,
) -> Result<Json<BeaconValueView>, ApiError> {
    let height = extract::height("height", &height)?;
    server.bulk(move |context| value_view(context, height)).await.map(Json)
}

fn value_view(context: &Context, of: Height) -> Result<BeaconValueView, ApiError> {
    let state = context.store.view();
    let now = state.height();
    if of > now {
        let error = ApiError::not_found(format!("there is no block {of} yet; the latest is {now}"));
        return Err(error.hint("a value is known only after its height is decided"));
    }
    let known = beacon::group_at(&state, of)?;
    let Some((recorded_in, record)) = find(context, &state, of)? else {
        return Err(not_recorded(&state, of, known.is_some())?);
    };
    Ok(BeaconValueView {
        height: of.0,
        value: Value(record.signature).randomness(),
        signature: hex::encode(record.signature),
        recorded_in: recorded_in.0,
        group_epoch: known.as_ref().map(|known| known.group.epoch.0),
        group_key: known.map(|known| hex::encode(known.group.key())),
    })
}

/// The header that records the value of `of`: one of the next [`WINDOW`].
fn find(
    context: &Context,
    state: &freeway_store::StateView,
    of: Height,
) -> Result<Option<(Height, BeaconRecord)>, ApiError> {
    let now = state.height();
    // Of recent heights the state knows whether there is anything to be found.
    if of.plus(WINDOW) >= now && beacon::value(state, of)?.is_none() {
        return Ok(None);
    }
    for height in (of.next().0..=of.plus(WINDOW).min(now).0).map(Height) {
        let Some((bytes, _)) = context.store.block(height)? else {
            return Err(pruned("block", height, context.store.oldest_block()));
        };
        // A block begins with its header; the rest is not needed.
        let header = Header::deserialize(&mut bytes.as_slice())
            .map_err(|error| Fault(format!("the stored block {height} is damaged: {error}")))?;
        if let Some(record) = header.beacon.filter(|record| record.height == of) {
            return Ok(Some((height, record)));
        }
    }
    Ok(None)
}

fn not_recorded(state: &dyn Reader, of: Height, has_group: bool) -> Result<ApiError, Fault> {
    let error = ApiError::not_found(format!("no value of height {of} is recorded"));
    let groups = GROUPS.page(state, None, 1)?;
    Ok(match groups.first() {
        None => error.hint("there are no values before the first group signs; /v1/beacon tells when it does"),
        Some((_, first)) if !has_group => {
            error.hint(format!("the oldest group that is known here signs from height {} on", first.start))
        }
        Some(_) => error.hint(
            "the latest height's value stands in the next header; a value that was late is recorded only if the ledger waits for it",
        ),
    })
}
