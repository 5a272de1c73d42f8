//! What can be asked about lanes. Nothing here changes state.

use freeway_primitives::{Address, Amount};
use freeway_proofs::work::LaneId;

use super::{BY_HOST, BY_PAYER, COUNT, CREDITS, LANES, Lane, PAYERS, Share, settle};
use crate::state::{Fault, Reader};

/// A lane, if it is not over.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn lane(state: &dyn Reader, id: LaneId) -> Result<Option<Lane>, Fault> {
    LANES.get(state, &id)
}

/// Lanes: at most `limit` after `after`.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn all(state: &dyn Reader, after: Option<LaneId>, limit: usize) -> Result<Vec<(LaneId, Lane)>, Fault> {
    LANES.page(state, after.as_ref(), limit)
}

/// How many lanes there are.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn number(state: &dyn Reader) -> Result<u32, Fault> {
    COUNT.require(state)
}

/// The lanes of a payer: at most `limit` after `after`.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn of_payer(
    state: &dyn Reader,
    payer: &Address,
    after: Option<LaneId>,
    limit: usize,
) -> Result<Vec<LaneId>, Fault> {
    let after = after.map(|id| (*payer, id));
    let page = BY_PAYER.page_under(state, &payer.0, after.as_ref(), limit)?;
    Ok(page.into_iter().map(|((_, id), ())| id).collect())
}

/// The lanes in which a host has a share: at most `limit` after `after`.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn of_host(
    state: &dyn Reader,
    host: &Address,
    after: Option<LaneId>,
    limit: usize,
) -> Result<Vec<LaneId>, Fault> {
    let after = after.map(|id| (*host, id));
    let page = BY_HOST.page_under(state, &host.0, after.as_ref(), limit)?;
    Ok(page.into_iter().map(|((_, id), ())| id).collect())
}

/// What a settlement would take out of a lane for a host that can prove `ceiling`: the less of a voucher's limit and an
/// entry's total. Nothing if there is no such share, or if it is forfeited.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn payable(state: &dyn Reader, id: LaneId, host: &Address, ceiling: Amount) -> Result<Amount, Fault> {
    let Some(lane) = LANES.get(state, &id)? else { return Ok(Amount::ZERO) };
    let Some(share) = lane.share(host) else { return Ok(Amount::ZERO) };
    if settle::is_forfeited(state, share)? {
        return Ok(Amount::ZERO);
    }
    due(state, share, ceiling)
}

/// Whether the host of a share was convicted since it was drawn: nothing more is paid from it.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn forfeited(state: &dyn Reader, share: &Share) -> Result<bool, Fault> {
    settle::is_forfeited(state, share)
}

/// What an account has in lanes.
pub(crate) fn escrow_of(state: &dyn Reader, payer: &Address) -> Result<Amount, Fault> {
    Ok(PAYERS.get(state, payer)?.unwrap_or_default().escrow)
}

/// What a share pays of `ceiling`, beside what it has paid.
pub(super) fn due(state: &dyn Reader, share: &Share, ceiling: Amount) -> Result<Amount, Fault> {
    let credit = CREDITS.get(state, &share.host)?.unwrap_or_default();
    let earned = ceiling.min(share.deposit).checked_sub(share.paid).unwrap_or_default();
    Ok(earned.min(credit.left()))
}
