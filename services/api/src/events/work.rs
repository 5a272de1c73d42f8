//! Events of work and of its verification.

use freeway_ledger::{verification, work};

use super::EventView;

impl From<&work::Event> for EventView {
    fn from(event: &work::Event) -> Self {
        use work::Event;
        match *event {
            Event::Committed { host, interval, fees } => Self::WorkCommitted { host, interval, fees },
            Event::Drawn { interval, round, until } => Self::WorkDrawn { interval, round, until: until.0 },
            Event::Closing { interval, round, until } => {
                Self::WorkClosing { interval, round, until: until.0 }
            }
            Event::Matured { host, interval, fees } => Self::WorkMatured { host, interval, fees },
            Event::Voided { host, interval, reason } => {
                Self::WorkVoided { host, interval, reason: reason.name().into() }
            }
        }
    }
}

impl From<&verification::Event> for EventView {
    fn from(event: &verification::Event) -> Self {
        use verification::Event;
        match *event {
            Event::VerdictsGiven { member, interval, verdicts } => {
                Self::WorkVerdictsGiven { member, interval, verdicts }
            }
            Event::Revealed { host, interval, contradicted } => {
                Self::WorkRevealed { host, interval, contradicted }
            }
            Event::Demanded { host, interval, sample, until } => {
                Self::WorkDemanded { host, interval, sample, until: until.0 }
            }
            Event::Reported { host, interval, lane, sequence, until } => {
                Self::ReceiptReported { host, interval, lane: lane.0, sequence, until: until.0 }
            }
            Event::Answered { host, interval } => Self::WorkAnswered { host, interval },
            Event::TrialOpened { case: (interval, (host, (branch, leaf))), receipt, until } => {
                Self::WorkTrialOpened { host, interval, branch, leaf, receipt, until: until.0 }
            }
            Event::Acquitted { case: (interval, (host, (branch, leaf))) } => {
                Self::WorkAcquitted { host, interval, branch, leaf }
            }
            Event::Convicted { host, interval, penalty } => Self::WorkConvicted { host, interval, penalty },
            Event::FalseVerdict { member, host, interval } => {
                Self::WorkFalseVerdict { member, host, interval }
            }
        }
    }
}
