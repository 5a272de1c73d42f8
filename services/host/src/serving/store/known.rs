//! What of the file is kept in memory.

use std::collections::BTreeMap;

use freeway_primitives::{Address, Amount, Digest};
use freeway_proofs::work::{self, LaneId, Receipt};
use freeway_store::Failure;
use redb::ReadableTable;

use super::tables::{FACTS, FLOOR, FOREIGN, RUNS, Run, SHARES, ShareRecord, row};
use super::{Finished, MAX_FOREIGN, MAX_FOREIGN_BYTES};

/// What is kept in memory.
#[derive(Clone, Default)]
pub(super) struct Known {
    pub(super) shares: BTreeMap<LaneId, ShareRecord>,
    pub(super) runs: BTreeMap<u64, BTreeMap<LaneId, Run>>,
    /// The first interval that is not closed.
    pub(super) floor: u64,
    pub(super) foreign: BTreeMap<(u64, Digest), u64>,
}

impl Known {
    /// What the file says.
    pub(super) fn read(txn: &redb::ReadTransaction) -> Result<Self, Failure> {
        let floor = txn.open_table(FACTS)?.get(FLOOR)?.map_or(0, |floor| floor.value());
        let mut known = Self { floor, ..Self::default() };
        for share in txn.open_table(SHARES)?.iter()? {
            let (lane, share) = share?;
            known.shares.insert(LaneId(lane.value()), row("a share", share.value())?);
        }
        for run in txn.open_table(RUNS)?.iter()? {
            let (place, run) = run?;
            let (interval, lane) = place.value();
            let runs = known.runs.entry(interval).or_default();
            runs.insert(LaneId(lane), row("a run", run.value())?);
        }
        for artifact in txn.open_table(FOREIGN)?.iter()? {
            let (place, artifact) = artifact?;
            let (interval, digest) = place.value();
            known.foreign.insert((interval, Digest(*digest)), artifact.value().len() as u64);
        }
        Ok(known)
    }

    /// Whether artifacts of other hosts have to go.
    pub(super) fn has_too_many(&self) -> bool {
        let bytes = self.foreign.values().fold(0u64, |sum, bytes| sum.saturating_add(*bytes));
        self.foreign.len() > 1 && (self.foreign.len() > MAX_FOREIGN || bytes > MAX_FOREIGN_BYTES)
    }

    /// The interval of a request that was done.
    pub(super) fn interval_of(&self, lane: LaneId, sequence: u64) -> Option<u64> {
        let holds = |run: &Run| sequence.checked_sub(run.first).is_some_and(|index| index < run.count);
        let found = self.runs.iter().rev().find(|(_, runs)| runs.get(&lane).is_some_and(holds));
        found.map(|(interval, _)| *interval)
    }
}

/// The receipt of a request that has ended, as it follows from the share's.
pub(super) fn receipt(
    share: Option<&ShareRecord>,
    floor: u64,
    host: Address,
    done: &Finished,
) -> Option<Receipt> {
    let (sequence, before) = share.map_or((0, Amount::ZERO), |share| (share.next, share.total));
    let since = share.map_or(0, |share| share.interval);
    Some(Receipt {
        lane: done.voucher.lane,
        host,
        sequence,
        interval: done.interval.max(floor).max(since),
        request: done.voucher.request,
        output: work::output(done.output.iter().map(Vec::as_slice)),
        trace: work::salted(&done.salt, &work::traces(&done.traces)),
        usage: done.usage,
        fee: done.fee,
        total: before.checked_add(done.fee)?,
    })
}
