//! Events of accounts, hosts and the race.

use freeway_ledger::{accounts, beacon, epochs, evidence, hosts, sprint, weights};

use super::EventView;

impl From<&accounts::Event> for EventView {
    fn from(event: &accounts::Event) -> Self {
        use accounts::Event;
        match *event {
            Event::Transferred { from, to, amount } => Self::Transferred { from, to, amount },
            Event::Authorised { account, key } => Self::Authorised { account, key },
            Event::Revoked { account, key } => Self::Revoked { account, key },
        }
    }
}

impl From<&hosts::Event> for EventView {
    fn from(event: &hosts::Event) -> Self {
        use hosts::Event;
        match *event {
            Event::Registered { host } => Self::Registered { host },
            Event::Updated { host } => Self::Updated { host },
            Event::Leaving { host } => Self::Leaving { host },
            Event::Left { host } => Self::Left { host },
            Event::Deposited { host, amount } => Self::Deposited { host, amount },
            Event::Unbonding { host, amount, free_at } => {
                Self::Unbonding { host, amount, free_at: free_at.0 }
            }
            Event::Returned { host, amount } => Self::Returned { host, amount },
            Event::Slashed { host, amount } => Self::Slashed { host, amount },
        }
    }
}

impl From<&epochs::Event> for EventView {
    fn from(event: &epochs::Event) -> Self {
        use epochs::Event;
        match *event {
            Event::PhaseStarted { epoch, phase } => {
                Self::PhaseStarted { epoch: epoch.0, phase: phase.name().into() }
            }
            Event::Switched { epoch, validators, power } => {
                Self::Switched { epoch: epoch.0, validators, power }
            }
            Event::SwitchHeld { epoch, reason } => {
                Self::SwitchHeld { epoch: epoch.0, reason: reason.name().into() }
            }
            Event::Planned { epoch, validators } => Self::Planned { epoch: epoch.0, validators },
        }
    }
}

impl From<&evidence::Event> for EventView {
    fn from(event: &evidence::Event) -> Self {
        match *event {
            evidence::Event::Convicted { host, height, penalty } => {
                Self::Convicted { host, height: height.0, penalty }
            }
        }
    }
}

impl From<&sprint::Event> for EventView {
    fn from(event: &sprint::Event) -> Self {
        use sprint::Event;
        match *event {
            Event::RaceStarted { epoch, seed, deadline } => {
                Self::RaceStarted { epoch: epoch.0, seed, deadline: deadline.0 }
            }
            Event::Committed { host, count } => Self::Committed { host, count },
            Event::RaceChallenged { epoch, hosts, until } => {
                Self::RaceChallenged { epoch: epoch.0, hosts, until: until.0 }
            }
            Event::VerdictsGiven { member, hosts } => Self::VerdictsGiven { member, hosts },
            Event::RaceDrawn { epoch, until } => Self::RaceDrawn { epoch: epoch.0, until: until.0 },
            Event::Revealed { host, leaves } => Self::Revealed { host, leaves },
            Event::Demanded { host, member, leaves, until } => {
                Self::Demanded { host, member, leaves, until: until.0 }
            }
            Event::Answered { host, member, leaves } => Self::Answered { host, member, leaves },
            Event::TrialOpened { host, position } => {
                Self::TrialOpened { host, device: position.device, nonce: position.nonce }
            }
            Event::Convicted { host, position, penalty } => {
                Self::LeafConvicted { host, device: position.device, nonce: position.nonce, penalty }
            }
            Event::Acquitted { host, position } => {
                Self::LeafAcquitted { host, device: position.device, nonce: position.nonce }
            }
            Event::FalseVerdict { member, host } => Self::FalseVerdict { member, host },
            Event::Proven { host, weight, confirmed } => Self::Proven { host, weight, confirmed },
            Event::Voided { host, reason } => Self::Voided { host, reason: reason.name().into() },
            Event::RaceSettled { epoch, hosts, proven } => {
                Self::RaceSettled { epoch: epoch.0, hosts, proven }
            }
            Event::RaceAbandoned { epoch, reason } => {
                Self::RaceAbandoned { epoch: epoch.0, reason: reason.name().into() }
            }
        }
    }
}

impl From<&weights::Event> for EventView {
    fn from(event: &weights::Event) -> Self {
        match *event {
            weights::Event::Changed { host, now, before, reputation } => {
                Self::WeightChanged { host, now, before, reputation }
            }
        }
    }
}

impl From<&beacon::Event> for EventView {
    fn from(event: &beacon::Event) -> Self {
        use beacon::Event;
        match event {
            Event::DealingStarted { epoch, holders } => {
                Self::DealingStarted { epoch: epoch.0, holders: *holders }
            }
            Event::GroupFormed { epoch, key } => Self::GroupFormed { epoch: epoch.0, key: *key },
            Event::DealingFailed { epoch, reason } => {
                Self::DealingFailed { epoch: epoch.0, reason: reason.to_string() }
            }
        }
    }
}
