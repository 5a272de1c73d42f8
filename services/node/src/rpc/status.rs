//! The node and where its chain stands.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use freeway_api::status::MAX_STATUS_HOSTS;
use freeway_api::{ErrorBody, HealthView, HostSummary, MempoolView, SigningView, SprintStatus, Status};
use freeway_ledger::epochs::{self, Clock, Phase};
use freeway_ledger::hosts::HOSTS;
use freeway_ledger::{Fault, Params, Reader, weights};
use freeway_primitives::{Epoch, Height, ValidatorSet};

use super::error::ApiError;
use super::extract::{Asked, Nothing};
use super::hosts::Standings;
use super::{Context, Server, beacon};

/// The latest block is recent if it is younger than this many block times, and at least [`RECENT_MS`].
const RECENT_BLOCKS: u64 = 10;
const RECENT_MS: u64 = 30_000;

/// Whether the node works.
#[utoipa::path(get, path = "/healthz", tag = "node", responses(
    (status = 200, description = "The node works.", body = HealthView),
    (status = "5XX", description = "It does not.", body = ErrorBody),
))]
pub(super) async fn health(
    State(server): State<Arc<Server>>,
    _: Asked<Nothing>,
) -> Result<Json<HealthView>, ApiError> {
    if let Some(error) = server.context.store.poisoned() {
        return Err(error.into());
    }
    let height = server.context.feed.tip().borrow().height.0;
    Ok(Json(HealthView { status: "ok".into(), height }))
}

/// The node and where its chain stands.
#[utoipa::path(get, path = "/v1/status", tag = "node", responses(
    (status = 200, description = "The status.", body = Status),
    (status = "4XX", description = "The request is wrong.", body = ErrorBody),
    (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
))]
pub(super) async fn status(
    State(server): State<Arc<Server>>,
    _: Asked<Nothing>,
) -> Result<Json<Status>, ApiError> {
    let context = &server.context;
    let tip = context.feed.tip().borrow().clone();
    let state = context.store.view();
    let params = Params::current(&state)?;
    let standings = Standings::read(&state)?;
    let (transactions, bytes) = context.submitter.mempool().size();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let behind_ms = u64::try_from(now_ms).unwrap_or(u64::MAX).saturating_sub(tip.time_ms);
    let recent_ms = RECENT_MS.max(u64::from(params.blocks.target_ms).saturating_mul(RECENT_BLOCKS));
    let (hosts, hosts_complete) = hosts(&state, &standings)?;
    let race = server.race().await?;
    let (left_in_phase, left_in_epoch) = blocks_left(tip.clock, tip.phase, tip.height, &params.epochs);
    Ok(Json(Status {
        chain: context.chain,
        name: context.genesis.name.to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        height: tip.height.0,
        block: tip.block.0,
        time_ms: tip.time_ms,
        state_root: tip.state_root,
        oldest_block: context.store.oldest_block().0,
        epoch: tip.clock.epoch.0,
        phase: tip.phase.name().into(),
        epoch_start: tip.clock.start.0,
        blocks_left_in_phase: left_in_phase,
        blocks_left_in_epoch: left_in_epoch,
        synced: tip.height != Height::GENESIS && behind_ms <= recent_ms,
        behind_ms,
        peers: ready_peers(context),
        mempool: MempoolView { transactions: transactions as u64, bytes: bytes as u64 },
        signing: signing(context, &standings.validators, tip.height.next()),
        address: context.address,
        uptime_s: context.started.elapsed().as_secs(),
        sprint: SprintStatus::new(&race, weights::total(&state)?, &params),
        beacon: beacon::status(&state)?,
        hosts_complete,
        hosts,
    }))
}

/// Peers that take part in the network.
pub(super) fn ready_peers(context: &Context) -> u64 {
    let ready = |handle: &freeway_network::Handle| handle.peers().iter().filter(|p| p.ready).count();
    context.gossip.as_ref().map_or(0, |handle| ready(handle) as u64)
}

fn signing(context: &Context, validators: &ValidatorSet, next: Height) -> SigningView {
    match (&context.guard, context.address) {
        (Some(guard), Some(address)) if validators.get(&address).is_some() => {
            if guard.allows(next) {
                SigningView::Active
            } else {
                SigningView::Watching
            }
        }
        _ => SigningView::None,
    }
}

/// The validators, and then other hosts while there is room; and whether that is all.
fn hosts(state: &dyn Reader, standings: &Standings) -> Result<(Vec<HostSummary>, bool), Fault> {
    let mut hosts = Vec::new();
    for member in standings.validators.members() {
        if let Some(host) = HOSTS.get(state, &member.address)? {
            hosts.push(standings.summary(state, member.address, &host)?);
        }
    }
    let page = HOSTS.page(state, None, MAX_STATUS_HOSTS + 1)?;
    let mut complete = page.len() <= MAX_STATUS_HOSTS;
    for (address, host) in page {
        if standings.validators.get(&address).is_some() {
            continue;
        }
        if hosts.len() >= MAX_STATUS_HOSTS {
            complete = false;
            break;
        }
        hosts.push(standings.summary(state, address, &host)?);
    }
    Ok((hosts, complete))
}

/// Blocks that are still to come in the phase and in the epoch after `height`.
fn blocks_left(clock: Clock, phase: Phase, height: Height, params: &epochs::Params) -> (u64, u64) {
    let grace = params.sprint_blocks.saturating_add(params.grace_blocks);
    let end = match phase {
        Phase::Sprint => params.sprint_blocks,
        Phase::CommitGrace => grace,
        Phase::Challenge => grace.saturating_add(1),
        Phase::Verify => grace.saturating_add(1).saturating_add(params.verify_blocks),
        Phase::Serve => params.epoch_blocks.saturating_sub(1),
        Phase::Switch => params.epoch_blocks,
    };
    let gone = height.next().0.saturating_sub(clock.start.0);
    (end.saturating_sub(gone), params.epoch_blocks.saturating_sub(gone))
}

/// The clock at `height`, from the clock of a later or the same height.
pub(super) fn clock_at(clock: Clock, height: Height, params: &epochs::Params) -> Clock {
    let length = params.epoch_blocks.max(1);
    let back = clock.start.0.saturating_sub(height.0).div_ceil(length);
    Clock {
        epoch: Epoch(clock.epoch.0.saturating_sub(back)),
        start: clock.start.minus(back.saturating_mul(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freeway_ledger::Preset;

    #[test]
    fn what_is_left_counts_down_to_the_change() {
        let params = Preset::Local.params().epochs;
        let at = |height: u64| {
            let mut clock = Clock::GENESIS;
            for h in 1..=height {
                clock = clock.at(Height(h), &params);
            }
            clock
        };
        for height in 0..200 {
            let (clock, next) = (at(height), at(height + 1));
            let phase = clock.phase(Height(height), &params);
            let (in_phase, in_epoch) = blocks_left(clock, phase, Height(height), &params);
            let next_phase = next.phase(Height(height + 1), &params);
            let changes = next_phase != phase || next.epoch != clock.epoch;
            assert_eq!(in_phase == 0, changes, "phase after {height}");
            assert_eq!(in_epoch == 0, next.epoch != clock.epoch, "epoch after {height}");
        }
    }

    #[test]
    fn an_earlier_clock_follows_from_a_later_one() {
        let params = Preset::Local.params().epochs;
        let mut clocks = vec![Clock::GENESIS];
        for height in 1..=300 {
            let last = clocks[clocks.len() - 1];
            clocks.push(last.at(Height(height), &params));
        }
        for (height, clock) in (0..).zip(&clocks).skip(1) {
            assert_eq!(clock_at(clocks[300], Height(height), &params), *clock, "at {height}");
        }
    }
}
