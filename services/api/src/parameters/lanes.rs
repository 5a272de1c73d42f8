//! Parameters of models, lanes and prices.

use freeway_ledger::{lanes, models, pricing};
use freeway_primitives::Amount;
use freeway_proofs::work::Prices;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Parameters of models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelParamsView {
    /// The most models.
    pub max_models: u32,
    /// The most models of one host.
    pub max_served: u32,
    /// What is held for a model until it is retired.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "1 FWY")]
    pub bond: Amount,
}

impl From<models::Params> for ModelParamsView {
    fn from(params: models::Params) -> Self {
        // Taken apart field by field, so that a new parameter cannot be forgotten here.
        let models::Params { max_models, max_served, bond } = params;
        Self { max_models, max_served, bond }
    }
}

impl From<&ModelParamsView> for models::Params {
    fn from(view: &ModelParamsView) -> Self {
        Self { max_models: view.max_models, max_served: view.max_served, bond: view.bond }
    }
}

/// Parameters of lanes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaneParamsView {
    /// The least escrow of a lane.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "1 FWY")]
    pub min_escrow: Amount,
    /// The most hosts of a lane.
    pub max_shares: u8,
    /// The shortest life of a lane in blocks.
    pub min_lifetime: u64,
    /// The longest life of a lane in blocks.
    pub max_lifetime: u64,
    /// Blocks in which hosts may still settle a lane that closes.
    pub grace_blocks: u64,
    /// The most lanes of one account.
    pub max_open_per_account: u32,
    /// The most lanes.
    pub max_lanes: u32,
    /// The most lanes whose hosts one block draws.
    pub max_draws_per_block: u32,
    /// The most lanes that one block closes or removes.
    pub max_ends_per_block: u32,
    /// Hundredths of each fee that the host gets.
    pub executor_parts: u64,
    /// Hundredths that verifiers get.
    pub verifier_parts: u64,
    /// Hundredths that are put aside for training.
    pub training_parts: u64,
    /// Whether a payer that is a host itself is kept from hosts of its own operator.
    pub operator_independence: bool,
    /// Models that the network asks for something itself in an epoch; 0 for none.
    pub probe_models: u32,
    /// How much it asks of each host drawn for one.
    pub probes: u32,
}

impl From<lanes::Params> for LaneParamsView {
    fn from(params: lanes::Params) -> Self {
        // Taken apart field by field, so that a new parameter cannot be forgotten here.
        let lanes::Params {
            min_escrow,
            max_shares,
            min_lifetime,
            max_lifetime,
            grace_blocks,
            max_open_per_account,
            max_lanes,
            max_draws_per_block,
            max_ends_per_block,
            executor_parts,
            verifier_parts,
            training_parts,
            operator_independence,
            probe_models,
            probes,
        } = params;
        Self {
            min_escrow,
            max_shares,
            min_lifetime,
            max_lifetime,
            grace_blocks,
            max_open_per_account,
            max_lanes,
            max_draws_per_block,
            max_ends_per_block,
            executor_parts,
            verifier_parts,
            training_parts,
            operator_independence,
            probe_models,
            probes,
        }
    }
}

impl From<&LaneParamsView> for lanes::Params {
    fn from(view: &LaneParamsView) -> Self {
        Self {
            min_escrow: view.min_escrow,
            max_shares: view.max_shares,
            min_lifetime: view.min_lifetime,
            max_lifetime: view.max_lifetime,
            grace_blocks: view.grace_blocks,
            max_open_per_account: view.max_open_per_account,
            max_lanes: view.max_lanes,
            max_draws_per_block: view.max_draws_per_block,
            max_ends_per_block: view.max_ends_per_block,
            executor_parts: view.executor_parts,
            verifier_parts: view.verifier_parts,
            training_parts: view.training_parts,
            operator_independence: view.operator_independence,
            probe_models: view.probe_models,
            probes: view.probes,
        }
    }
}

/// Parameters of prices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PricingParamsView {
    /// No price is lower.
    pub floor: FloorView,
    /// No price is higher: of a million tokens.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "1 FWY")]
    pub ceiling: Amount,
    /// The largest change in an interval, in thousandths.
    pub step_thousandths: u64,
    /// The largest change in an epoch, in thousandths of the price at its start.
    pub epoch_thousandths: u64,
    /// Prices fall below this utilisation, in thousandths.
    pub low_thousandths: u64,
    /// Prices rise above this utilisation, in thousandths.
    pub high_thousandths: u64,
}

impl From<pricing::Params> for PricingParamsView {
    fn from(params: pricing::Params) -> Self {
        // Taken apart field by field, so that a new parameter cannot be forgotten here.
        let pricing::Params {
            floor,
            ceiling,
            step_thousandths,
            epoch_thousandths,
            low_thousandths,
            high_thousandths,
        } = params;
        Self {
            floor: (&floor).into(),
            ceiling: Amount(u128::from(ceiling)),
            step_thousandths,
            epoch_thousandths,
            low_thousandths,
            high_thousandths,
        }
    }
}

impl From<&PricingParamsView> for pricing::Params {
    fn from(view: &PricingParamsView) -> Self {
        Self {
            floor: (&view.floor).into(),
            ceiling: whole(view.ceiling),
            step_thousandths: view.step_thousandths,
            epoch_thousandths: view.epoch_thousandths,
            low_thousandths: view.low_thousandths,
            high_thousandths: view.high_thousandths,
        }
    }
}

/// What a million tokens cost at least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FloorView {
    /// Tokens of a prompt that are computed.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "0.001 FWY")]
    pub input: Amount,
    /// Tokens of a prompt that the host still knew.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "0.0001 FWY")]
    pub cached: Amount,
    /// Tokens that are generated.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "0.002 FWY")]
    pub output: Amount,
}

impl From<&Prices> for FloorView {
    fn from(prices: &Prices) -> Self {
        let of = |price: u64| Amount(u128::from(price));
        Self { input: of(prices.input), cached: of(prices.cached), output: of(prices.output) }
    }
}

impl From<&FloorView> for Prices {
    fn from(view: &FloorView) -> Self {
        Self { input: whole(view.input), cached: whole(view.cached), output: whole(view.output) }
    }
}

/// A price as the ledger holds it. What is more than it can hold becomes the most, which no rule allows.
fn whole(amount: Amount) -> u64 {
    u64::try_from(amount.0).unwrap_or(u64::MAX)
}
