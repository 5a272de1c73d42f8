//! Hosts and validators.

use freeway_ledger::Params;
use freeway_ledger::hosts::Host;
use freeway_ledger::weights::Record;
use freeway_primitives::{Address, Amount, Digest, PublicKey, ValidatorSet};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::Millionths;
use crate::weights::h100s;

/// What a host is besides its own record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostStanding {
    /// Voting power in the next block; 0 if it is no validator.
    pub power: u64,
    /// Whether it missed so many blocks that it is not asked for proposals.
    pub silent: bool,
    /// What it has proven.
    pub proven: Record,
    /// What it proved in the latest race, in H100-equivalents.
    pub h100_equivalents: Millionths,
}

impl HostStanding {
    /// A host with this power, that is silent or not, and has proven what `proven` says.
    pub fn new(power: u64, silent: bool, proven: Record, params: &Params) -> Self {
        let h100_equivalents = h100s(u128::from(proven.now), params);
        Self { power, silent, proven, h100_equivalents }
    }
}

/// A host in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostSummary {
    /// The account that owns it.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub address: Address,
    /// The compute that it proved in the latest race; before the first one settles, what genesis gave it.
    pub weight: u64,
    /// The weight in H100-equivalents.
    #[schema(value_type = f64, example = 1.25)]
    pub h100_equivalents: Millionths,
    /// Epochs without fault, up to 30.
    pub reputation: u8,
    /// Voting power in the next block; 0 if it is no validator.
    pub power: u64,
    /// `active`, `leaving`, `left` or `removed`.
    #[schema(example = "active")]
    pub status: String,
    /// Who runs it, by its own words.
    pub operator: String,
    /// Where it stands, by its own words.
    pub region: String,
    /// Whether it missed so many blocks that it is not asked for proposals.
    pub silent: bool,
}

impl HostSummary {
    /// A host of the ledger.
    pub fn new(address: Address, host: &Host, standing: &HostStanding) -> Self {
        Self {
            address,
            weight: standing.proven.now,
            h100_equivalents: standing.h100_equivalents,
            reputation: standing.proven.reputation,
            power: standing.power,
            status: host.status.name().into(),
            operator: host.profile.operator.to_string(),
            region: host.profile.region.to_string(),
            silent: standing.silent,
        }
    }
}

/// Everything about a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostView {
    /// What lists show.
    #[serde(flatten)]
    pub summary: HostSummary,
    /// The key that signs its votes.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub consensus_key: PublicKey,
    /// Where it can be reached.
    pub endpoints: Vec<String>,
    /// Its machine, by its own words.
    pub hardware: String,
    /// Bonded collateral in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub collateral: Amount,
    /// Collateral on its way back.
    pub unbonding: Vec<UnbondingView>,
    /// The epoch in which it registered.
    pub since_epoch: u64,
}

/// Collateral on its way back to its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnbondingView {
    /// How much, in base units.
    #[serde(with = "crate::text::nfwy")]
    #[schema(value_type = String)]
    pub amount: Amount,
    /// The height at which it is free.
    pub free_at: u64,
}

impl HostView {
    /// A host of the ledger.
    pub fn new(address: Address, host: &Host, standing: &HostStanding) -> Self {
        let unbonding =
            |(free_at, amount): &(_, Amount)| UnbondingView { amount: *amount, free_at: height(*free_at) };
        Self {
            summary: HostSummary::new(address, host, standing),
            consensus_key: host.profile.consensus_key,
            endpoints: host.profile.endpoints.iter().map(ToString::to_string).collect(),
            hardware: host.profile.hardware.to_string(),
            collateral: host.collateral,
            unbonding: host.unbonding.iter().map(unbonding).collect(),
            since_epoch: host.since.0,
        }
    }
}

fn height(height: freeway_primitives::Height) -> u64 {
    height.0
}

/// A page of hosts, by address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostsView {
    /// The height of the state that this shows.
    pub height: u64,
    /// The hosts.
    pub hosts: Vec<HostView>,
    /// If there are more: what to give as `after` for the next page.
    #[serde(with = "crate::text::option")]
    #[schema(value_type = Option<String>)]
    pub next: Option<Address>,
}

/// The validators of a height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidatorsView {
    /// The height that they sign.
    pub height: u64,
    /// The set's digest, as in headers.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub digest: Digest,
    /// The sum of all powers.
    pub total_power: u64,
    /// The members, in canonical order.
    pub validators: Vec<ValidatorView>,
}

/// A validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidatorView {
    /// The host.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub address: Address,
    /// The key that signs its votes.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub key: PublicKey,
    /// Its voting power.
    pub power: u64,
}

impl ValidatorsView {
    /// The set that signs `height`.
    pub fn new(height: u64, set: &ValidatorSet) -> Self {
        let member = |v: &freeway_primitives::Validator| ValidatorView {
            address: v.address,
            key: v.key,
            power: v.power,
        };
        Self {
            height,
            digest: set.digest(),
            total_power: set.total_power(),
            validators: set.members().iter().map(member).collect(),
        }
    }

    /// The set, for checking certificates; `None` if these do not form one. Whether it is the right one is for
    /// the caller to know: compare the digest with a certified header.
    pub fn set(&self) -> Option<ValidatorSet> {
        let member = |v: &ValidatorView| freeway_primitives::Validator {
            address: v.address,
            key: v.key,
            power: v.power,
        };
        ValidatorSet::new(self.validators.iter().map(member).collect()).ok()
    }
}
