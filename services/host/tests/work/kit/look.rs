//! How things stand on chain.

use freeway_ledger::hosts::HOSTS;
use freeway_ledger::models::SERVES;
use freeway_ledger::work::{self, Commitment, State};
use freeway_ledger::{Event, accounts, verification};
use freeway_primitives::{Address, Amount};
use freeway_proofs::work::LaneId;

use super::Net;

impl Net {
    pub(crate) fn commitment(&self, i: usize, interval: u64) -> Option<Commitment> {
        work::commitment(&self.state, interval, &self.nodes[i].address).unwrap()
    }

    pub(crate) fn outcome(&self, i: usize, interval: u64) -> State {
        self.commitment(i, interval).unwrap().state
    }

    pub(crate) fn stake(&self, i: usize) -> Amount {
        HOSTS.get(&self.state, &self.nodes[i].address).unwrap().unwrap().collateral
    }

    pub(crate) fn balance(&self, i: usize) -> Amount {
        accounts::ACCOUNTS.get(&self.state, &self.nodes[i].address).unwrap().unwrap().balance
    }

    pub(crate) fn paid(&self, lane: LaneId, i: usize) -> Amount {
        self.lane_of(lane).share(&self.nodes[i].address).unwrap().paid
    }

    /// What happened in verification.
    pub(crate) fn verification(&self) -> impl Iterator<Item = &verification::Event> {
        self.events.iter().filter_map(|event| match event {
            Event::Verification(event) => Some(event),
            _ => None,
        })
    }

    /// Whether a host says that it serves the model.
    pub(crate) fn serves(&self, i: usize) -> bool {
        SERVES.contains(&self.state, &self.nodes[i].address).unwrap()
    }

    /// All that members said of a host's samples of an interval.
    pub(crate) fn findings(&self, i: usize, interval: u64) -> Vec<verification::Finding> {
        let mut all = Vec::new();
        for (place, branch) in (0u64..).zip(&self.commitment(i, interval).unwrap().branches) {
            for member in &branch.committee {
                let seat = (interval, (self.nodes[i].address, (place, *member)));
                let given = verification::VERDICTS.get(&self.state, &seat).unwrap();
                all.extend(given.into_iter().flat_map(|given| given.findings));
            }
        }
        all
    }

    pub(crate) fn convicted(&self) -> Vec<Address> {
        let of = |event: &verification::Event| match event {
            verification::Event::Convicted { host, .. } => Some(*host),
            _ => None,
        };
        self.verification().filter_map(of).collect()
    }

    pub(crate) fn false_verdicts(&self) -> Vec<Address> {
        let of = |event: &verification::Event| match event {
            verification::Event::FalseVerdict { member, .. } => Some(*member),
            _ => None,
        };
        self.verification().filter_map(of).collect()
    }
}
