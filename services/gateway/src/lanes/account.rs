//! One share of a lane: what its host was promised, what it is owed, and whether a receipt fits to what is known.
//!
//! Requests run at once, and their receipts arrive in any order. A receipt's total is that of all that ended before
//! it, so each one is compared with its neighbours. What ended without being seen to (a broken connection) may have
//! been done or not: until later totals tell, it counts as if it had cost the most.

use core::time::Duration;
use std::collections::BTreeMap;
use std::time::Instant;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::Amount;
use freeway_proofs::work::Receipt;

/// Numbers of vouchers that one write to disk covers.
const BATCH: u64 = 64;
/// Receipts with a gap before them that are remembered.
const MAX_ABOVE: usize = 256;
/// How long a request with unknown end counts.
const UNKNOWN_FOR: Duration = Duration::from_secs(300);
/// Requests with unknown end that are told apart.
const MAX_UNKNOWN: usize = 256;

/// What is on disk of a share. Writing takes the larger of what is there and what comes, so that order does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Record {
    /// Numbers below this may have been used.
    pub(super) reserved: u64,
    /// Limits up to this may have been signed.
    pub(super) ceiling: u128,
    /// The number of the next receipt, as far as is known.
    pub(super) receipts: u64,
    /// The latest total.
    pub(super) total: u128,
    /// Whether the host signed what does not fit.
    pub(super) excluded: bool,
}

impl Record {
    pub(super) fn merge(&mut self, other: &Self) {
        self.reserved = self.reserved.max(other.reserved);
        self.ceiling = self.ceiling.max(other.ceiling);
        self.receipts = self.receipts.max(other.receipts);
        self.total = self.total.max(other.total);
        self.excluded |= other.excluded;
    }
}

/// Why a receipt does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misfit {
    #[error("its number was used before")]
    Repeated,
    #[error("it comes long after those that followed it")]
    Late,
    #[error("its total is not that of the one before and its fee")]
    Total,
    #[error("it leaves out more than was asked")]
    Gap,
}

/// A promise about to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Promise {
    pub(super) sequence: u64,
    pub(super) spent: Amount,
    pub(super) limit: Amount,
    /// Must be on disk before it is sent.
    pub(super) write: Option<Record>,
}

#[derive(Clone, Copy, Debug)]
struct Unknown {
    most: u128,
    /// How many requests.
    count: u64,
    since: Instant,
}

/// One share.
#[derive(Debug)]
pub(super) struct Account {
    next: u64,
    /// On disk.
    durable: Record,
    /// The number of the next receipt, and the total before it.
    floor: (u64, u128),
    /// Receipts with a gap before them: total and fee.
    above: BTreeMap<u64, (u128, u128)>,
    /// Vouchers of requests under way, and what each may cost.
    under_way: BTreeMap<u64, u128>,
    unknown: Vec<Unknown>,
    /// After a restart, or if the host says that it did more than is counted here: what it may have done by now, and so
    /// is promised anew, until a receipt tells.
    doubt: Option<u128>,
    /// What may have been done, and is counted nowhere else: promised before a restart, or lost so long ago that it does
    /// not count any more. A host's word is worth no more than this, or it could ask for one promise after the other.
    unseen: u128,
    excluded: bool,
    deposit: u128,
}

impl Account {
    /// As it is on disk. What was under way when that was written has an unknown end.
    pub(super) fn new(record: Record) -> Self {
        Self {
            next: record.reserved,
            durable: record,
            floor: (record.receipts, record.total),
            above: BTreeMap::new(),
            under_way: BTreeMap::new(),
            unknown: Vec::new(),
            doubt: (record.ceiling > record.total).then_some(record.ceiling),
            unseen: record.ceiling.saturating_sub(record.total),
            excluded: record.excluded,
            deposit: 0,
        }
    }

    pub(super) fn set_deposit(&mut self, deposit: Amount) {
        self.deposit = deposit.0;
    }

    pub(super) fn deposit(&self) -> Amount {
        Amount(self.deposit)
    }

    /// What is known to be spent.
    pub(super) fn spent(&self) -> Amount {
        let above: u128 = self.above.values().map(|(_, fee)| fee).sum();
        Amount(self.floor.1.saturating_add(above))
    }

    fn unknown(&self) -> u128 {
        self.unknown.iter().fold(0, |sum, unknown| sum.saturating_add(unknown.most))
    }

    fn under_way(&self) -> u128 {
        self.under_way.values().fold(0, |sum, most| sum.saturating_add(*most))
    }

    /// The latest receipt's total: that of gaps before it is in there.
    fn latest(&self) -> u128 {
        self.above.last_key_value().map_or(self.floor.1, |(_, (total, _))| *total)
    }

    fn ended(&self) -> u128 {
        self.latest().saturating_add(self.unknown())
    }

    /// What is not promised.
    pub(super) fn room(&mut self, now: Instant) -> Amount {
        let unseen = &mut self.unseen;
        self.unknown.retain(|unknown| {
            let counts = now.saturating_duration_since(unknown.since) < UNKNOWN_FOR;
            if !counts {
                *unseen = unseen.saturating_add(unknown.most);
            }
            counts
        });
        Amount(self.deposit.saturating_sub(self.ended().saturating_add(self.under_way())))
    }

    pub(super) fn running(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn is_excluded(&self) -> bool {
        self.excluded
    }

    /// Gives no further voucher, for good.
    pub(super) fn exclude(&mut self) -> Record {
        self.excluded = true;
        self.record()
    }

    fn record(&self) -> Record {
        let last = self.above.last_key_value();
        let (receipts, total) = last.map_or(self.floor, |(number, (total, _))| (number + 1, *total));
        Record { receipts, total, excluded: self.excluded, ..self.durable }
    }

    /// Promises one more request. `None` if the deposit does not allow it, or the host is excluded.
    pub(super) fn promise(&mut self, most: Amount, now: Instant) -> Option<Promise> {
        if self.excluded || self.room(now) < most {
            return None;
        }
        let sequence = self.next;
        self.next = sequence.checked_add(1)?;
        let spent = self.spent();
        let ended = self.ended().max(self.doubt.unwrap_or_default());
        let limit = ended.saturating_add(self.under_way()).saturating_add(most.0).min(self.deposit);
        self.under_way.insert(sequence, most.0);
        let short = sequence >= self.durable.reserved || limit > self.durable.ceiling;
        let write = short.then(|| Record {
            reserved: sequence.saturating_add(BATCH),
            ceiling: limit.saturating_add(most.0.saturating_mul(BATCH.into())).min(self.deposit).max(limit),
            ..self.record()
        });
        Some(Promise { sequence, spent, limit: Amount(limit), write })
    }

    /// The host says that it did more than was promised, as far as is known here. It is believed only that it did what
    /// nobody here saw.
    pub(super) fn doubt(&mut self) {
        if self.unseen > 0 {
            self.doubt = Some(self.ended().saturating_add(self.unseen));
        }
    }

    /// A record is on disk.
    pub(super) fn written(&mut self, record: &Record) {
        self.durable.merge(record);
    }

    /// A request ended, and nothing is owed for it.
    pub(super) fn nothing_owed(&mut self, sequence: u64) {
        self.under_way.remove(&sequence);
    }

    /// A request ended, and nobody knows how.
    pub(super) fn lost(&mut self, sequence: u64, now: Instant) {
        let Some(most) = self.under_way.remove(&sequence) else { return };
        let full = self.unknown.len() >= MAX_UNKNOWN;
        if let Some(last) = self.unknown.last_mut().filter(|_| full) {
            last.most = last.most.saturating_add(most);
            last.count = last.count.saturating_add(1);
            last.since = now;
            return;
        }
        self.unknown.push(Unknown { most, count: 1, since: now });
    }

    /// A request ended with this receipt, whose fee is right. Gives what is to be written.
    ///
    /// # Errors
    /// [`Misfit`] if it does not fit to what is known; nothing has changed then.
    pub(super) fn receipt(&mut self, sequence: u64, receipt: &Receipt) -> Result<Record, Misfit> {
        let (number, total, fee) = (receipt.sequence, receipt.total.0, receipt.fee.0);
        if self.above.contains_key(&number) {
            return Err(Misfit::Repeated);
        }
        if number < self.floor.0 {
            return Err(Misfit::Late);
        }
        let before = total.checked_sub(fee).ok_or(Misfit::Total)?;
        let below = self.above.range(..number).next_back();
        let (expected, known) = below.map_or(self.floor, |(number, (total, _))| (number + 1, *total));
        let gap = before.checked_sub(known).ok_or(Misfit::Total)?;
        let others = self.under_way.iter().filter(|(other, _)| **other != sequence);
        let (count, most) =
            others.fold((0u64, 0u128), |(count, sum), (_, most)| (count + 1, sum.saturating_add(*most)));
        let count = self.unknown.iter().fold(count, |sum, unknown| sum.saturating_add(unknown.count));
        let missing = number - expected;
        if missing == 0 && gap != 0 {
            return Err(Misfit::Total);
        }
        if missing > count && self.unseen == 0 {
            return Err(Misfit::Gap);
        }
        if let Some((next, (after, fee))) = self.above.range(number..).next() {
            let rest = after.saturating_sub(*fee).checked_sub(total).ok_or(Misfit::Total)?;
            if *next == number + 1 && rest != 0 {
                return Err(Misfit::Total);
            }
        }
        // All gaps together: one request does not explain two of them.
        let mut all = self.above.clone();
        all.insert(number, (total, fee));
        let (gaps, _) = all.values().fold((0u128, self.floor.1), |(gaps, before), (total, fee)| {
            let gap = total.saturating_sub(*fee).saturating_sub(before);
            (gaps.saturating_add(gap), *total)
        });
        if gaps > most.saturating_add(self.unknown()).saturating_add(self.unseen) {
            return Err(Misfit::Total);
        }
        self.doubt = None;
        self.under_way.remove(&sequence);
        self.above.insert(number, (total, fee));
        while let Some((total, _)) = self.above.remove(&self.floor.0) {
            self.floor = (self.floor.0.saturating_add(1), total);
        }
        // Nobody is left who could fill the gaps.
        if self.under_way.is_empty() {
            self.close_gaps(0);
            self.unseen = 0;
        }
        self.close_gaps(MAX_ABOVE);
        Ok(self.record())
    }

    /// Takes gaps for what ended unseen, until at most `most` receipts stand above one.
    fn close_gaps(&mut self, most: usize) {
        while self.above.len() > most {
            let Some((number, (total, fee))) = self.above.pop_first() else { return };
            let mut gap = total.saturating_sub(fee).saturating_sub(self.floor.1);
            for unknown in &mut self.unknown {
                let taken = gap.min(unknown.most);
                unknown.most -= taken;
                gap -= taken;
            }
            self.unknown.retain(|unknown| unknown.most > 0);
            self.unseen = self.unseen.saturating_sub(gap);
            self.floor = (number.saturating_add(1), total);
        }
    }
}

#[cfg(test)]
mod tests;
