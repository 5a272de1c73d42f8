//! Events of models, lanes, prices, rewards and endorsements.

use freeway_ledger::{endorsements, lanes, models, pricing, rewards};

use super::EventView;

impl From<&models::Event> for EventView {
    fn from(event: &models::Event) -> Self {
        use models::Event;
        match event {
            Event::Registered { root, name } => Self::ModelRegistered { root: *root, name: name.to_string() },
            Event::Retired { root } => Self::ModelRetired { root: *root },
            Event::Serving { host, models } => Self::Serving { host: *host, models: models.clone() },
        }
    }
}

impl From<&lanes::Event> for EventView {
    fn from(event: &lanes::Event) -> Self {
        use lanes::Event;
        match event {
            Event::Opened { lane, payer, model, escrow } => {
                Self::LaneOpened { lane: lane.0, payer: *payer, model: *model, escrow: *escrow }
            }
            Event::Drawn { lane, hosts } => Self::LaneDrawn { lane: lane.0, hosts: hosts.clone() },
            Event::NoHosts { lane } => Self::LaneNoHosts { lane: lane.0 },
            Event::NoRandomness { lane } => Self::LaneNoRandomness { lane: lane.0 },
            Event::ToppedUp { lane, amount } => Self::LaneToppedUp { lane: lane.0, amount: *amount },
            Event::Closing { lane, until } => Self::LaneClosing { lane: lane.0, until: until.0 },
            Event::Settled { lane, host, fees, paid } => {
                Self::LaneSettled { lane: lane.0, host: *host, fees: *fees, paid: *paid }
            }
            Event::Ended { lane, payer, refund } => {
                Self::LaneEnded { lane: lane.0, payer: *payer, refund: *refund }
            }
            Event::Forfeited { host, fees } => Self::LanesForfeited { host: *host, fees: *fees },
        }
    }
}

impl From<&pricing::Event> for EventView {
    fn from(event: &pricing::Event) -> Self {
        match event {
            pricing::Event::Changed { root, prices, utilisation } => {
                Self::PricesChanged { root: *root, prices: prices.into(), utilisation: *utilisation }
            }
        }
    }
}

impl From<&rewards::Event> for EventView {
    fn from(event: &rewards::Event) -> Self {
        use rewards::Event;
        match *event {
            Event::Emitted { epoch, emission, pooled } => Self::Emitted { epoch: epoch.0, emission, pooled },
            Event::Granted { host, grant } => Self::Granted { host, grant: (&grant).into() },
            Event::Released { host, amount } => Self::Released { host, amount },
            Event::Forfeited { host, amount } => Self::RewardsForfeited { host, amount },
        }
    }
}

impl From<&endorsements::Event> for EventView {
    fn from(event: &endorsements::Event) -> Self {
        use endorsements::Event;
        match *event {
            Event::Endorsed { endorsement, endorser, receipt, bond, arbiter, expiry } => Self::Endorsed {
                endorsement: endorsement.0,
                endorser,
                receipt,
                bond,
                arbiter,
                until: expiry.0,
            },
            Event::Awarded { endorsement, endorser, claimant, amount, left } => {
                Self::Awarded { endorsement: endorsement.0, endorser, claimant, amount, left }
            }
            Event::Withdrawn { endorsement, endorser, amount } => {
                Self::BondWithdrawn { endorsement: endorsement.0, endorser, amount }
            }
        }
    }
}
