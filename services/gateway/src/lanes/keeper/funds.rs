//! What money is needed where, and what is bound already.

use std::collections::BTreeMap;
use std::time::Instant;

use freeway_primitives::{Amount, Digest};
use freeway_proofs::work::LaneId;

use crate::lanes::config::LanesConfig;
use crate::lanes::engine::OpenLane;
use crate::lanes::store::{LaneRecord, Pending};

/// Of an escrow, the part that must be left in the shares together.
const LOW: u128 = 4;
/// Of a lifetime, the part before the end in which the next lane is opened.
const OVERLAP: u64 = 8;
/// The least overlap in blocks.
const MIN_OVERLAP: u64 = 8;

/// What a model needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    /// A lane: there is none, it ends soon, or its hosts cannot be used.
    Lane,
    /// More money in this one.
    Money(LaneId),
}

/// What is needed; `asked` is what no share had room for.
pub(super) fn need(open: &[OpenLane], config: &LanesConfig, height: u64, asked: Amount) -> Need {
    let overlap = (config.lifetime / OVERLAP).max(MIN_OVERLAP).min(config.lifetime / 2);
    let lasting = open.iter().filter(|open| open.lane.expires > height.saturating_add(overlap));
    let Some(best) = lasting.max_by_key(|open| open.lane.expires) else { return Need::Lane };
    let now = Instant::now();
    let rooms: Vec<Amount> = open
        .iter()
        .flat_map(|open| &open.shares)
        .filter_map(|share| {
            let mut account = share.account();
            (!account.is_excluded()).then(|| account.room(now))
        })
        .collect();
    if rooms.is_empty() || best.shares.iter().all(|share| share.account().is_excluded()) {
        return Need::Lane;
    }
    let left = rooms.iter().fold(0u128, |sum, room| sum.saturating_add(room.0));
    let most = rooms.iter().max().copied().unwrap_or_default();
    if left < config.escrow.0 / LOW || most < asked {
        return Need::Money(best.lane.id);
    }
    Need::Nothing
}

/// What is in lanes or was spent from them, and what is on its way there.
pub(super) fn bound(known: &BTreeMap<LaneId, LaneRecord>, pending: &BTreeMap<Digest, Pending>) -> u128 {
    let lanes = known.values().map(|record| if record.over { record.spent } else { record.escrow });
    lanes.chain(pending.values().map(|pending| pending.amount)).fold(0, u128::saturating_add)
}
