//! Removing what nobody can ask for any more, a part at a time: requests that end meanwhile do not wait for it.

use freeway_proofs::work::LaneId;
use freeway_store::Failure;
use redb::WriteTransaction;

use super::known::Known;
use super::tables::{BODIES, DIGESTS, FOREIGN, RECORDS, RUNS, Record, SHARES, VOUCHERS, WEIGHED, row};

/// Entries that are removed at once.
const STEP: usize = 2_048;

/// Removes bodies before the interval `bodies` and everything before `all`; whether there is more of it.
pub(super) fn prune(
    txn: &WriteTransaction,
    known: &mut Known,
    bodies: u64,
    all: u64,
) -> Result<bool, Failure> {
    let foreign = bodies;
    let all = all.min(known.floor);
    let bodies = bodies.min(known.floor).max(all);
    // Nobody finds the interval any more from here on, though its records go little by little.
    let mut runs = txn.open_table(RUNS)?;
    while let Some((interval, lanes)) = known.runs.first_key_value().filter(|(interval, _)| **interval < all)
    {
        for lane in lanes.keys() {
            runs.remove((*interval, lane.0))?;
        }
        known.runs.pop_first();
    }
    let (mut table, mut left) = (txn.open_table(BODIES)?, STEP);
    for _ in table.extract_from_if(..(bodies, 0, 0), |_, _| true)?.take(left) {
        left = left.saturating_sub(1);
    }
    let (mut digests, mut vouchers) = (txn.open_table(DIGESTS)?, txn.open_table(VOUCHERS)?);
    let mut table = txn.open_table(RECORDS)?;
    for removed in table.extract_from_if(..(all, 0, 0), |_, _| true)?.take(left) {
        let (place, record) = removed?;
        let record: Record = row("a record", record.value())?;
        digests.remove(&record.receipt.digest().0)?;
        vouchers.remove((place.value().1, record.voucher.sequence))?;
        left = left.saturating_sub(1);
    }
    let mut table = txn.open_table(FOREIGN)?;
    while let Some((place, _)) =
        known.foreign.first_key_value().filter(|((interval, _), _)| *interval < bodies)
    {
        let place = *place;
        if left == 0 {
            break;
        }
        table.remove((place.0, &place.1.0))?;
        known.foreign.remove(&place);
        left = left.saturating_sub(1);
    }
    // What others committed to has nothing to do with what this host did.
    let mut table = txn.open_table(WEIGHED)?;
    for _ in table.extract_from_if(..(foreign, &[0; 32]), |_, _| true)?.take(left) {
        left = left.saturating_sub(1);
    }
    Ok(left == 0)
}

/// Forgets lanes that are over and have no receipts left.
pub(super) fn forget(txn: &WriteTransaction, known: &mut Known, over: &[LaneId]) -> Result<(), Failure> {
    let mut shares = txn.open_table(SHARES)?;
    for lane in over {
        if !known.runs.values().any(|runs| runs.contains_key(lane)) {
            shares.remove(lane.0)?;
            known.shares.remove(lane);
        }
    }
    Ok(())
}
