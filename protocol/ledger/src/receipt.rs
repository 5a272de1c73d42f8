//! What happened: events, and a receipt for every transaction.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Canonical, Digest, Domain};

use crate::error::Failure;
use crate::{
    accounts, beacon, endorsements, epochs, evidence, hosts, lanes, models, pricing, rewards, sprint,
    verification, weights, work,
};

const ROOT: Domain = Domain::new("freeway 1 receipts");

/// Something that happened, for those who follow the chain.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// In [`accounts`].
    Accounts(accounts::Event),
    /// In [`hosts`].
    Hosts(hosts::Event),
    /// In [`epochs`].
    Epochs(epochs::Event),
    /// In [`evidence`].
    Evidence(evidence::Event),
    /// In [`beacon`].
    Beacon(beacon::Event),
    /// In [`sprint`].
    Sprint(sprint::Event),
    /// In [`weights`].
    Weights(weights::Event),
    /// In [`models`].
    Models(models::Event),
    /// In [`lanes`].
    Lanes(lanes::Event),
    /// In [`pricing`].
    Pricing(pricing::Event),
    /// In [`rewards`].
    Rewards(rewards::Event),
    /// In [`endorsements`].
    Endorsements(endorsements::Event),
    /// In [`work`].
    Work(work::Event),
    /// In [`verification`].
    Verification(verification::Event),
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Outcome {
    /// It did what it asked.
    Done,
    /// It changed nothing but its sequence and quota.
    Failed(Failure),
}

/// The lasting answer to a transaction.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Receipt {
    /// The transaction's hash.
    pub transaction: Digest,
    /// How it ended.
    pub outcome: Outcome,
    /// What it caused; empty if it failed.
    pub events: Vec<Event>,
}

impl Canonical for Receipt {
    const KIND: &'static str = "receipt";
    const MAX_BYTES: usize = 64 << 10;
}

/// What a header commits to: the block's own events and the receipts, in order.
pub fn receipts_root(events: &[Event], receipts: &[Receipt]) -> Digest {
    let mut items: Vec<Vec<u8>> = Vec::with_capacity(receipts.len() + 1);
    items.push(borsh::to_vec(events).unwrap_or_default());
    items.extend(receipts.iter().map(Canonical::encode));
    Digest::of_list(ROOT, items.iter().map(Vec::as_slice))
}
