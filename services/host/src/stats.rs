//! What a host process has done since it started, for those who watch it.

use freeway_ledger::{Message, sprint};

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
}

impl Stats {
    /// Counts a message that was sent.
    pub(crate) fn sent(&mut self, message: &Message) {
        let Message::Sprint(message) = message else { return };
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
