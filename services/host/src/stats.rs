//! What a host process has done since it started, for those who watch it.

use freeway_ledger::verification::Message as Duty;
use freeway_ledger::{Message, lanes, sprint, work};

use crate::serving::view::Ended;

/// Counters of a host process. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Races begun.
    pub races: u64,
    /// Nonces computed, in races and in verification.
    pub nonces: u64,
    /// Seconds of processor time spent on them.
    pub cpu_seconds: f64,
    /// Races whose record could not be written.
    pub unrecorded: u64,
    /// Messages with a commitment sent.
    pub commitments: u64,
    /// Hosts on which a verdict was sent.
    pub verdicts: u64,
    /// Traces revealed.
    pub revelations: u64,
    /// Demands answered.
    pub answers: u64,
    /// Demands sent.
    pub demands: u64,
    /// Accusations sent.
    pub accusations: u64,
    /// Leaves judged.
    pub judgements: u64,
    /// Openings shown to members.
    pub openings_served: u64,
    /// Requests for openings that were refused.
    pub openings_refused: u64,
    /// Hosts that could not be asked.
    pub unreachable: u64,
    /// The duties of paid work.
    pub work: WorkStats,
}

/// Counters of the duties of paid work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkStats {
    /// Commitments sent.
    pub commitments: u64,
    /// Intervals that were not committed to in time.
    pub lost: u64,
    /// Verdicts sent, one for each host and class of lanes.
    pub verdicts: u64,
    /// Requests of others that were done again and found right.
    pub right: u64,
    /// Requests of others that were done again and found wrong.
    pub wrong: u64,
    /// Those of them whose tokens are hardly those of their model, where no bit can be computed again.
    pub suspected: u64,
    /// Traces revealed.
    pub revelations: u64,
    /// Demands sent.
    pub demands: u64,
    /// Demands and reports answered.
    pub answers: u64,
    /// Accusations and proofs sent.
    pub accusations: u64,
    /// Leaves judged.
    pub judgements: u64,
    /// Settlements sent.
    pub settlements: u64,
    /// Samples and artifacts shown to verifiers.
    pub shown: u64,
    /// Requests of payers that were done: so many receipts were signed.
    pub served: u64,
    /// What these cost together, in base units.
    pub fees: u64,
    /// Requests of payers that could not be done.
    pub failed: u64,
    /// Requests whose payers left before the end, and owe nothing.
    pub left: u64,
}

impl Stats {
    /// Counts a message that was sent.
    pub(crate) fn sent(&mut self, message: &Message) {
        let message = match message {
            Message::Sprint(message) => message,
            other => return self.work.sent(other),
        };
        match message {
            sprint::Message::Commit(_) => self.commitments += 1,
            sprint::Message::Verdicts(verdicts) => self.verdicts += verdicts.len() as u64,
            sprint::Message::Reveal(reveals) => {
                let revelations = reveals.iter().map(|reveal| reveal.revelations.len() as u64);
                self.revelations += revelations.sum::<u64>();
            }
            sprint::Message::Demand { .. } => self.demands += 1,
            sprint::Message::Answer { .. } => self.answers += 1,
            sprint::Message::Accuse { .. } => self.accusations += 1,
            sprint::Message::Judge(judgements) => self.judgements += judgements.len() as u64,
        }
    }
}

impl WorkStats {
    /// Counts a request of a payer that has ended.
    pub(crate) fn ended(&mut self, end: Ended) {
        match end {
            Ended::Paid(fee) => {
                self.served += 1;
                self.fees = self.fees.saturating_add(u64::try_from(fee.0).unwrap_or(u64::MAX));
            }
            Ended::Failed => self.failed += 1,
            Ended::Left => self.left += 1,
        }
    }

    fn sent(&mut self, message: &Message) {
        match message {
            Message::Work(work::Message::Commit { .. }) => self.commitments += 1,
            Message::Lanes(lanes::Message::Settle(_)) => self.settlements += 1,
            Message::Verification(message) => match message {
                Duty::Verdicts { verdicts, .. } => self.verdicts += verdicts.len() as u64,
                Duty::Reveal(_) => self.revelations += 1,
                Duty::Demand { .. } => self.demands += 1,
                Duty::Answer(_) | Duty::Include(_) => self.answers += 1,
                Duty::Accuse(_) | Duty::Prove(_) => self.accusations += 1,
                Duty::Judge(judgements) => self.judgements += judgements.len() as u64,
                Duty::Report(_) => {}
            },
            _ => {}
        }
    }
}
