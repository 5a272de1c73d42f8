//! How a lane stands: its requests under way, and what its vouchers must cover.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use freeway_primitives::{Amount, Signature};
use freeway_proofs::work::Voucher;

use super::{Class, Limits};
use crate::serving::Refusal;
use crate::serving::store::ShareRecord;

/// How far behind the highest a voucher's number may be: requests that are sent at once overtake each other.
const WINDOW: u64 = 256;

/// How a lane stands.
pub(super) struct Tally {
    /// What its receipts cost together.
    total: Amount,
    /// The voucher with the highest number. It covers all receipts and all requests under way.
    highest: Option<(Voucher, Signature)>,
    /// The first number that was not taken before this process began.
    floor: u64,
    /// Numbers that were taken, as far as [`WINDOW`] goes back.
    taken: BTreeSet<u64>,
    /// What a commitment needs a tree for, once there was a request.
    class: Option<Class>,
    /// Requests under way, by their voucher's number, at their most.
    running: BTreeMap<u64, u128>,
    /// When its payer left requests unpaid.
    left: VecDeque<Instant>,
}

impl Tally {
    /// As it was kept.
    pub(super) fn of(kept: Option<ShareRecord>) -> Self {
        let (total, highest) = match kept {
            Some(share) => (share.total, Some((share.voucher, share.signature))),
            None => (Amount::ZERO, None),
        };
        let floor = highest.map_or(0, |(voucher, _)| voucher.sequence.saturating_add(1));
        let (taken, running, left) = (BTreeSet::new(), BTreeMap::new(), VecDeque::new());
        Self { total, highest, floor, taken, class: None, running, left }
    }

    /// Whether no voucher with this number was taken, as far as that is known.
    pub(super) fn is_new(&self, number: u64) -> bool {
        let oldest = self.highest.map_or(0, |(highest, _)| highest.sequence.saturating_sub(WINDOW));
        number >= self.floor.max(oldest) && !self.taken.contains(&number)
    }

    /// The class of the lane, if it has requests under way.
    pub(super) fn class(&self) -> Option<&Class> {
        self.class.as_ref().filter(|_| !self.running.is_empty())
    }

    pub(super) fn highest(&self) -> Option<(Voucher, Signature)> {
        self.highest
    }

    /// Whether a voucher is new and covers all that may be owed.
    pub(super) fn check(&self, voucher: &Voucher, most: u128) -> Result<(), Refusal> {
        let number = voucher.sequence;
        if !self.is_new(number) {
            let next = self.highest.map_or(0, |(highest, _)| highest.sequence.saturating_add(1));
            let message = format!("the voucher's number {number} was taken, or is too old; {next} is free");
            return Err(Refusal::new("stale_voucher", message).with_status(409));
        }
        // A later voucher that came first counts this request as well. It is the one that is settled, so whatever this
        // one allows beyond it would never be paid.
        let later = self.highest.filter(|(highest, _)| highest.sequence > number);
        let limit = later.map_or(voucher.limit, |(highest, _)| highest.limit);
        let under_way = self.running.values().fold(0u128, |sum, most| sum.saturating_add(*most));
        let needed = self.total.0.saturating_add(under_way).saturating_add(most);
        if needed > limit.0 {
            let message = format!(
                "the latest voucher allows {} base units; requests that have ended cost {}, those under way up to \
                 {under_way}, and this one up to {most}",
                limit.0, self.total.0
            );
            return Err(Refusal::new("over_limit", message).with_status(409));
        }
        Ok(())
    }

    /// Whether its payer has left too many requests unpaid.
    pub(super) fn check_cancels(&mut self, now: Instant, limits: &Limits) -> Result<(), Refusal> {
        self.left.retain(|then| now.saturating_duration_since(*then) < limits.window);
        if self.left.len() >= limits.cancels {
            let message = format!(
                "{} requests of this lane were left unpaid within {} seconds; wait",
                self.left.len(),
                limits.window.as_secs()
            );
            return Err(Refusal::new("cancels", message).with_status(429));
        }
        Ok(())
    }

    pub(super) fn begin(&mut self, voucher: (Voucher, Signature), most: u128, class: Class) {
        self.class = Some(class);
        let number = voucher.0.sequence;
        self.running.insert(number, most);
        self.taken.insert(number);
        if self.highest.is_none_or(|(highest, _)| highest.sequence < number) {
            self.highest = Some(voucher);
            self.taken = self.taken.split_off(&number.saturating_sub(WINDOW));
        }
    }

    pub(super) fn paid(&mut self, sequence: u64, total: Amount) {
        self.gone(sequence);
        self.total = self.total.max(total);
    }

    pub(super) fn gone(&mut self, sequence: u64) {
        self.running.remove(&sequence);
    }

    pub(super) fn left(&mut self, sequence: u64, now: Instant, limits: &Limits) {
        self.gone(sequence);
        self.left.push_back(now);
        while self.left.len() > limits.cancels {
            self.left.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use freeway_primitives::{Address, Digest, SecretKey};
    use freeway_proofs::work::LaneId;

    use super::*;

    fn voucher(sequence: u64, limit: u128) -> Voucher {
        let (host, request) = (Address([1; 32]), Digest([2; 32]));
        Voucher { lane: LaneId(1), host, sequence, spent: Amount(0), limit: Amount(limit), request }
    }

    fn begin(tally: &mut Tally, sequence: u64, limit: u128, most: u128) -> Result<(), &'static str> {
        let voucher = voucher(sequence, limit);
        tally.check(&voucher, most).map_err(|refusal| refusal.code)?;
        let chain = freeway_primitives::ChainId(Digest::ZERO);
        let signature = SecretKey::from_seed([3; 32]).sign(freeway_proofs::work::VOUCHER, &chain, &voucher);
        tally.begin((voucher, signature), most, (Digest::ZERO, Default::default()));
        Ok(())
    }

    #[test]
    fn requests_that_overtake_each_other_are_covered_by_the_latest_voucher() {
        let mut tally = Tally::of(None);
        assert_eq!(begin(&mut tally, 0, 10, 10), Ok(()));
        // The third comes before the second, and its voucher counts both.
        assert_eq!(begin(&mut tally, 2, 30, 10), Ok(()));
        assert_eq!(begin(&mut tally, 1, 20, 10), Ok(()));
        assert_eq!(tally.highest().map(|(voucher, _)| voucher.sequence), Some(2));
        assert_eq!(begin(&mut tally, 1, 90, 10), Err("stale_voucher"));
        assert_eq!(begin(&mut tally, 3, 39, 10), Err("over_limit"));
        // What has ended counts at what it cost.
        tally.paid(0, Amount(4));
        tally.gone(1);
        assert_eq!(begin(&mut tally, 3, 24, 10), Ok(()));
        assert_eq!(begin(&mut tally, 400, 90, 10), Ok(()));
        assert_eq!(begin(&mut tally, 100, 90, 10), Err("stale_voucher"));
        assert!(tally.taken.len() <= WINDOW as usize + 1);
    }

    /// The voucher with the highest number is the one that is settled: a dearer one before it pays nothing.
    #[test]
    fn a_voucher_that_was_overtaken_allows_no_more_than_the_highest() {
        let mut tally = Tally::of(None);
        assert_eq!(begin(&mut tally, 2, 30, 10), Ok(()));
        assert_eq!(begin(&mut tally, 1, 1_000, 500), Err("over_limit"));
        assert_eq!(begin(&mut tally, 1, 1_000, 20), Ok(()));
    }

    #[test]
    fn who_leaves_often_waits() {
        let limits = Limits { cancels: 2, window: Duration::from_secs(60), ..Limits::default() };
        let mut tally = Tally::of(None);
        let then = Instant::now();
        tally.left(0, then, &limits);
        assert!(tally.check_cancels(then, &limits).is_ok());
        tally.left(1, then, &limits);
        assert!(tally.check_cancels(then, &limits).is_err());
        assert!(tally.check_cancels(then + limits.window, &limits).is_ok());
    }
}
