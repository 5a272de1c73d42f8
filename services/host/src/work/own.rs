//! Duties for what this host served itself: declare its models, commit, reveal, answer demands and reports.

use freeway_ledger::hosts::{HOSTS, Status};
use freeway_ledger::models::{self, MODELS, SERVES, Tier};
use freeway_ledger::verification::{
    self, Answer, Inclusion, Message as Verify, Reveal, demands_on, reports_on, reveal_due,
};
use freeway_ledger::work::{self, Commitment, Message as Work, ROUNDS, STANDING, State};
use freeway_ledger::{Fault, Message};
use freeway_primitives::Height;
use freeway_proofs::work::traces;
use tracing::{error, info, warn};

use super::mine::Mine;
use super::{Moment, Todo, WorkCore, WorkError};

/// The most answers in a step: each is a transaction of about a thousand bytes.
const MAX_ANSWERS: usize = 32;

impl WorkCore {
    /// Says on chain which models this host serves, as far as they are registered, and it can answer for them.
    pub(super) fn declare(&mut self, now: &Moment<'_>, todo: &mut Todo) -> Result<(), Fault> {
        let host = HOSTS.get(now.state, &self.me.address)?;
        if !host.is_some_and(|host| host.status == Status::Active) {
            return Ok(());
        }
        let most = usize::try_from(now.params.models.max_served).unwrap_or(usize::MAX);
        let mut wanted = Vec::new();
        for root in &self.settings.models {
            let Some(model) = MODELS.get(now.state, root)? else { continue };
            if model.tier == Tier::Exact && self.settings.inexact.contains(root) {
                if self.unfit.insert(*root) {
                    warn!(
                        model = model.name.as_str(),
                        "it is registered as exact, and its server's answers cannot be computed again; this host does \
                         not offer it: serve it from its package, or have it registered as statistical under another root"
                    );
                }
                continue;
            }
            if wanted.len() < most && !wanted.contains(root) {
                wanted.push(*root);
            }
        }
        let mut declared = SERVES.get(now.state, &self.me.address)?.unwrap_or_default();
        let mut sorted = wanted.clone();
        declared.sort_unstable();
        sorted.sort_unstable();
        if declared != sorted {
            todo.later.push(Message::Models(models::Message::Serve { models: wanted }));
        }
        Ok(())
    }

    /// Commits to every interval that is over.
    pub(super) fn commit(&mut self, now: &Moment<'_>, todo: &mut Todo) -> Result<(), WorkError> {
        let next = now.next();
        for interval in self.shelf.intervals()? {
            let number = interval.number;
            let last = work::last_commit(number, &now.params.work);
            let first = last.minus(now.params.work.commit_grace);
            if next < first {
                break;
            }
            if next > last {
                if !interval.sealed {
                    self.lose(now, number)?;
                }
                continue;
            }
            if work::commitment(now.state, number, &self.me.address)?.is_some() {
                self.standing.committed = self.standing.committed.max(Some(number));
                continue;
            }
            // Before anybody hears of it: from here on nothing joins.
            if !interval.sealed {
                self.shelf.seal(number)?;
                self.trees.remove(&number);
            }
            let mine = self.mine(now, number)?;
            let claims = mine.claims(now.state)?;
            if claims.is_empty() {
                continue;
            }
            let (limit, open) = work::limit(now.state, &self.me.address, now.height)?;
            let fees = claims.iter().fold(0u128, |sum, claim| sum.saturating_add(claim.total.sums.fees));
            if open.0.saturating_add(fees) > limit.0 {
                if next == last {
                    warn!(
                        interval = number, %open, %limit,
                        "fees are lost: more would be open than the collateral answers for; deposit more"
                    );
                }
                continue;
            }
            todo.messages.push(Message::Work(Work::Commit { interval: number, claims }));
        }
        Ok(())
    }

    /// An interval that cannot be committed to any more. Its receipts keep their numbers and totals, so that those after
    /// them follow; its fees are lost.
    fn lose(&mut self, now: &Moment<'_>, number: u64) -> Result<(), WorkError> {
        self.shelf.seal(number)?;
        self.trees.remove(&number);
        let fees = self.mine(now, number)?.fees();
        self.standing.lost += 1;
        self.standing.lost_fees = self.standing.lost_fees.saturating_add(fees);
        warn!(interval = number, fees, "an interval was not committed to in time; its fees are lost");
        Ok(())
    }

    /// Shows on chain what was drawn, demanded or reported of what this host committed to.
    pub(super) fn respond(&mut self, now: &Moment<'_>, todo: &mut Todo) -> Result<(), WorkError> {
        if self.withholds() {
            return Ok(());
        }
        let me = self.me.address;
        let mut left = MAX_ANSWERS;
        // What stands open is at most as much as there are intervals until they are decided.
        for interval in STANDING.get(now.state, &me)?.unwrap_or_default().intervals {
            let Some(commitment) = work::commitment(now.state, interval, &me)? else { continue };
            if commitment.state != State::Open || (commitment.open == 0 && commitment.reveal.is_none()) {
                continue;
            }
            let Some(mine) = self.committed(now, interval, &commitment)? else {
                error!(interval, "what this host committed to is not what it kept; it cannot show it");
                continue;
            };
            self.reveal(now, interval, &commitment, &mine, todo)?;
            self.answer(now, interval, &commitment, &mine, &mut left, todo)?;
        }
        Ok(())
    }

    fn reveal(
        &self,
        now: &Moment<'_>,
        interval: u64,
        commitment: &Commitment,
        mine: &Mine,
        todo: &mut Todo,
    ) -> Result<(), WorkError> {
        let Some((_, sample)) = reveal_due(interval, &self.me.address, commitment) else { return Ok(()) };
        let round = ROUNDS.get(now.state, &(interval, commitment.round))?;
        let until = round.and_then(|round| round.closing).map_or(Height::GENESIS, |closing| closing.until);
        let Some(leaf) = mine.leaf_at(sample.branch, sample.point).filter(|_| now.next() <= until) else {
            return Ok(());
        };
        let Some(kept) = self.shelf.kept(leaf.entry.lane, leaf.entry.sequence)? else { return Ok(()) };
        let (receipt, salt, trace) = (kept.receipt, kept.salt, traces(&kept.traces));
        let reveal = Reveal { interval, leaf, receipt, salt, trace };
        todo.messages.push(Message::Verification(Verify::Reveal(Box::new(reveal))));
        Ok(())
    }

    fn answer(
        &self,
        now: &Moment<'_>,
        interval: u64,
        commitment: &Commitment,
        mine: &Mine,
        left: &mut usize,
        todo: &mut Todo,
    ) -> Result<(), WorkError> {
        if commitment.open == 0 {
            return Ok(());
        }
        let (me, next) = (self.me.address, now.next());
        let samples = work::samples(&me, interval, commitment);
        let waits = |answered: bool, until: Height| !answered && next <= until;
        for ((_, (_, sample)), demand) in demands_on(now.state, interval, &me)? {
            let Some(number) = u32::try_from(sample).ok().filter(|_| waits(demand.answered, demand.until))
            else {
                continue;
            };
            let known = samples.get(number as usize).and_then(|at| mine.leaf_at(at.branch, at.point));
            let Some(leaf) = known.filter(|_| *left > 0) else { continue };
            let Some(kept) = self.shelf.kept(leaf.entry.lane, leaf.entry.sequence)? else { continue };
            *left -= 1;
            let answer = Answer { interval, sample: number, leaf, receipt: kept.receipt };
            todo.messages.push(Message::Verification(Verify::Answer(Box::new(answer))));
        }
        for ((_, (_, (lane, sequence))), report) in reports_on(now.state, interval, &me)? {
            if !waits(report.answered, report.until) || *left == 0 {
                continue;
            }
            let Some(leaf) = mine.leaf_of(lane, sequence) else {
                info!(
                    interval,
                    lane = lane.0,
                    sequence,
                    "a receipt is reported that is not in the commitment"
                );
                continue;
            };
            if leaf.entry.receipt == report.receipt {
                *left -= 1;
                let inclusion = Inclusion { interval, leaf };
                todo.messages
                    .push(Message::Verification(verification::Message::Include(Box::new(inclusion))));
            }
        }
        Ok(())
    }
}
