//! Parameters of rewards and endorsements.

use freeway_ledger::{endorsements, rewards};
use freeway_primitives::Amount;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Parameters of rewards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RewardParamsView {
    /// The emission of epoch 0.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "1 FWY")]
    pub first: Amount,
    /// What an epoch's emission is of the one before, in parts of 2^64: a string, as it may have twenty digits.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub decay: u64,
    /// The part of emission that goes by weight, in thousandths; the rest is for serving.
    pub capacity_thousandths: u64,
    /// Epochs over which emission is released.
    pub vesting_epochs: u64,
    /// The part of what is not released that a slashed host loses, in thousandths.
    pub forfeit_thousandths: u64,
    /// The most hosts whose emission one block releases.
    pub max_releases_per_block: u32,
}

impl From<rewards::Params> for RewardParamsView {
    fn from(params: rewards::Params) -> Self {
        // Taken apart field by field, so that a new parameter cannot be forgotten here.
        let rewards::Params {
            first,
            decay,
            capacity_thousandths,
            vesting_epochs,
            forfeit_thousandths,
            max_releases_per_block,
        } = params;
        Self {
            first,
            decay,
            capacity_thousandths,
            vesting_epochs,
            forfeit_thousandths,
            max_releases_per_block,
        }
    }
}

impl From<&RewardParamsView> for rewards::Params {
    fn from(view: &RewardParamsView) -> Self {
        Self {
            first: view.first,
            decay: view.decay,
            capacity_thousandths: view.capacity_thousandths,
            vesting_epochs: view.vesting_epochs,
            forfeit_thousandths: view.forfeit_thousandths,
            max_releases_per_block: view.max_releases_per_block,
        }
    }
}

/// Parameters of endorsements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndorsementParamsView {
    /// The least bond.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "1 FWY")]
    pub min_bond: Amount,
    /// The most endorsements of one account that are active at a time.
    pub max_active: u32,
    /// The most blocks until an endorsement's expiry.
    pub max_lifetime_blocks: u64,
    /// Blocks after the expiry in which the arbiter can still award.
    pub grace_blocks: u64,
}

impl From<endorsements::Params> for EndorsementParamsView {
    fn from(params: endorsements::Params) -> Self {
        // Taken apart field by field, so that a new parameter cannot be forgotten here.
        let endorsements::Params { min_bond, max_active, max_lifetime_blocks, grace_blocks } = params;
        Self { min_bond, max_active, max_lifetime_blocks, grace_blocks }
    }
}

impl From<&EndorsementParamsView> for endorsements::Params {
    fn from(view: &EndorsementParamsView) -> Self {
        Self {
            min_bond: view.min_bond,
            max_active: view.max_active,
            max_lifetime_blocks: view.max_lifetime_blocks,
            grace_blocks: view.grace_blocks,
        }
    }
}
