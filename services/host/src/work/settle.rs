//! Getting paid: once an epoch, or when a lane comes to its end, and not more often, as each settlement takes a
//! transaction.

use freeway_ledger::Message;
use freeway_ledger::epochs::CLOCK;
use freeway_ledger::lanes::{self, CREDITS, Lane, Message as Lanes, Settlement, State as LaneState, payable};
use freeway_ledger::work::{self, State};
use freeway_primitives::{Amount, Height};
use freeway_proofs::work::LaneId;

use super::{Moment, Todo, WorkCore, WorkError};

/// The most settlements of a step.
const MAX_SETTLEMENTS: usize = 16;
/// So many blocks before a deadline it is settled whatever may still come.
const MARGIN: u64 = 8;
/// With more lanes than this, what is too little to be worth a transaction waits for the lane's end.
const FEW: usize = 64;
/// How often lanes are looked through in an interval.
const SCANS: u64 = 4;
/// How many lanes are read at once.
const PAGE: usize = 256;

impl WorkCore {
    /// Settles what is due.
    pub(super) fn settle(&mut self, now: &Moment<'_>, todo: &mut Todo) -> Result<(), WorkError> {
        let undecided = self.look_through(now)?;
        if self.matured.is_empty() || self.is_paid(now)? {
            return Ok(());
        }
        let is_epochs_end = self.is_epochs_end(now)?;
        // There may be thousands of lanes, and no block is that important.
        let stride = now.params.work.interval_blocks.checked_div(SCANS).unwrap_or_default().max(1);
        if !is_epochs_end && !now.next().0.is_multiple_of(stride) {
            return Ok(());
        }
        let dust = if self.matured.len() <= FEW {
            Amount::ZERO
        } else {
            Amount(now.params.lanes.min_escrow.0.checked_div(100).unwrap_or_default())
        };
        let mut due = Vec::new();
        let mut after = None;
        loop {
            let page = lanes::of_host(now.state, &self.me.address, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(*last);
            for id in page {
                let Some((interval, total)) = self.matured.get(&id).copied() else { continue };
                let Some(lane) = lanes::lane(now.state, id)? else { continue };
                let ends = self.ends(now, id, &lane, &undecided)?;
                if !(ends || is_epochs_end) {
                    continue;
                }
                let least = if ends { Amount::ZERO } else { dust };
                if payable(now.state, id, &self.me.address, total)? > least {
                    due.push((interval, id));
                }
            }
        }
        // One interval after the other, as each has its trees.
        due.sort_unstable();
        let mut left = MAX_SETTLEMENTS;
        for (interval, id) in due {
            if left == 0 {
                break;
            }
            if let Some(settlement) = self.settlement(now, id, interval)? {
                left -= 1;
                todo.later.push(Message::Lanes(Lanes::Settle(Box::new(settlement))));
            }
        }
        Ok(())
    }

    fn is_paid(&self, now: &Moment<'_>) -> Result<bool, WorkError> {
        let credit = CREDITS.get(now.state, &self.me.address)?.unwrap_or_default();
        Ok(credit.left().is_zero())
    }

    /// Notes which lanes have requests in intervals that have matured. Gives the intervals that are not decided.
    fn look_through(&mut self, now: &Moment<'_>) -> Result<Vec<u64>, WorkError> {
        let mut undecided = Vec::new();
        for interval in self.shelf.intervals()? {
            let number = interval.number;
            if self.decided.contains(&number) {
                continue;
            }
            let known = work::commitment(now.state, number, &self.me.address)?;
            match known {
                Some(commitment) if commitment.state == State::Open => undecided.push(number),
                Some(commitment) => {
                    if commitment.state == State::Matured
                        && let Some(mine) = self.committed(now, number, &commitment)?
                    {
                        for lane in mine.lanes() {
                            let total = mine.last_of(lane).map(|leaf| leaf.entry.total).unwrap_or_default();
                            let latest = self.matured.entry(lane).or_default();
                            *latest = (number, total).max(*latest);
                        }
                    }
                    self.decided.insert(number);
                }
                None if now.next() <= work::last_commit(number, &now.params.work) => undecided.push(number),
                None => {
                    self.decided.insert(number);
                }
            }
        }
        Ok(undecided)
    }

    /// Whether the epoch's switch is near, which pays for what was settled in it.
    fn is_epochs_end(&self, now: &Moment<'_>) -> Result<bool, WorkError> {
        let rules = &now.params.epochs;
        let clock = CLOCK.require(now.state)?.at(now.next(), rules);
        let switch = clock.start.plus(rules.epoch_blocks.saturating_sub(1));
        let margin = now.params.work.interval_blocks.clamp(1, MARGIN);
        Ok(switch.0.saturating_sub(now.next().0) <= margin)
    }

    /// Whether it is time to settle a lane for the last time: nothing more of it can mature, or time is short.
    fn ends(
        &mut self,
        now: &Moment<'_>,
        id: LaneId,
        lane: &Lane,
        undecided: &[u64],
    ) -> Result<bool, WorkError> {
        let LaneState::Closing { until } = lane.state else { return Ok(false) };
        if is_near(now.next(), until) {
            return Ok(true);
        }
        for interval in undecided {
            // What is not sealed is not built into trees yet.
            let is_sealed = work::commitment(now.state, *interval, &self.me.address)?.is_some();
            if !is_sealed || self.mine(now, *interval)?.has_lane(id) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The settlement of a lane, if anything is due.
    fn settlement(
        &mut self,
        now: &Moment<'_>,
        id: LaneId,
        interval: u64,
    ) -> Result<Option<Settlement>, WorkError> {
        let me = self.me.address;
        let Some((voucher, signature)) = self.shelf.voucher(id)? else { return Ok(None) };
        let commitment = work::commitment(now.state, interval, &me)?;
        let Some(commitment) = commitment.filter(|commitment| commitment.state == State::Matured) else {
            return Ok(None);
        };
        let Some(mine) = self.committed(now, interval, &commitment)? else { return Ok(None) };
        let Some(leaf) = mine.last_of(id) else { return Ok(None) };
        let (entry, opening) = (leaf.entry, leaf.opening);
        let due = payable(now.state, id, &me, voucher.limit.min(entry.total))?;
        if due.is_zero() {
            return Ok(None);
        }
        Ok(Some(Settlement { voucher, signature, interval, entry, opening }))
    }
}

fn is_near(next: Height, until: Height) -> bool {
    next <= until && until.0.saturating_sub(next.0) <= MARGIN
}
