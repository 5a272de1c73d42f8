//! How things stand on chain.

use freeway_ledger::hosts::HOSTS;
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
