//! Parameters: every number of the rules. Amounts carry their unit.

mod lanes;
mod rewards;
mod work;

use freeway_ledger::{BlockParams, Params, Text, accounts, beacon, epochs, evidence, hosts, sprint};
use freeway_primitives::Amount;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use lanes::{FloorView, LaneParamsView, ModelParamsView, PricingParamsView};
pub use rewards::{EndorsementParamsView, RewardParamsView};
pub use work::{VerificationParamsView, WorkParamsView};

/// All parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParamsView {
    /// Blocks and their pace.
    pub blocks: BlockParamsView,
    /// Accounts.
    pub accounts: AccountParamsView,
    /// Hosts.
    pub hosts: HostParamsView,
    /// The epoch clock and the validator set.
    pub epochs: EpochParamsView,
    /// Evidence.
    pub evidence: EvidenceParamsView,
    /// The race in which compute is proven.
    pub sprint: SprintParamsView,
    /// The randomness beacon.
    pub beacon: BeaconParamsView,
    /// Models.
    pub models: ModelParamsView,
    /// Lanes.
    pub lanes: LaneParamsView,
    /// Prices.
    pub pricing: PricingParamsView,
    /// Rewards.
    pub rewards: RewardParamsView,
    /// Endorsements.
    pub endorsements: EndorsementParamsView,
    /// Work and what it is checked by.
    pub work: WorkParamsView,
    /// How work is checked.
    pub verification: VerificationParamsView,
}

/// Size and pace of blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockParamsView {
    /// Bytes of all transactions in a block.
    pub max_transaction_bytes: u32,
    /// Of these, bytes that only duty transactions may use.
    pub duty_reserve_bytes: u32,
    /// Transactions in a block.
    pub max_transactions: u32,
    /// Time from block to block in milliseconds.
    pub target_ms: u32,
    /// How long a round waits for its proposal, in milliseconds.
    pub propose_timeout_ms: u32,
    /// How long a round waits for stragglers' votes, in milliseconds.
    pub vote_timeout_ms: u32,
}

/// Parameters of accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountParamsView {
    /// The least credit that makes a new account.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "0.001 FWY")]
    pub min_opening: Amount,
    /// Holdings per transaction a block.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "1 FWY")]
    pub quota_unit: Amount,
    /// The most transactions of one account in a block.
    pub max_per_block: u32,
    /// Places a block for accounts that held less than one quota unit.
    pub free_places: u32,
    /// How far ahead of the chain an expiry may be, in blocks.
    pub max_lifetime_blocks: u64,
    /// The most delegations of one account.
    pub max_delegates: u16,
}

/// Parameters of hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostParamsView {
    /// The most hosts.
    pub max_hosts: u32,
    /// Blocks from a withdrawal until the money is free.
    pub unbonding_blocks: u64,
    /// The most withdrawals of one host that are under way at a time.
    pub max_withdrawals: u32,
    /// The most withdrawals that one block pays out.
    pub max_payouts_per_block: u32,
    /// Collateral that backs one unit of power.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "0.001 FWY")]
    pub collateral_per_power: Amount,
}

/// Parameters of epochs and of the validator set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EpochParamsView {
    /// Blocks in an epoch.
    pub epoch_blocks: u64,
    /// Blocks of the sprint.
    pub sprint_blocks: u64,
    /// Further blocks in which a commitment is accepted.
    pub grace_blocks: u64,
    /// Blocks for openings and verdicts.
    pub verify_blocks: u64,
    /// Blocks between the plan of the next set and the switch: for dealing its keys.
    pub dealing_blocks: u64,
    /// The most validators that sign blocks.
    pub max_validators: u32,
    /// The most power of one operator, in thousandths of the whole.
    pub operator_cap_thousandths: u64,
    /// After how many missed blocks a validator is not asked for proposals.
    pub silent_after_blocks: u32,
}

/// Parameters of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceParamsView {
    /// How old an offence may be, in blocks.
    pub max_age_blocks: u64,
    /// Share of what is at stake that equivocation costs, in thousandths.
    pub equivocation_penalty_thousandths: u64,
}

/// Parameters of the race.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SprintParamsView {
    /// The shape of the function that is computed, by its name.
    #[schema(example = "A")]
    pub shape: String,
    /// Multiply-adds of one nonce of that shape.
    pub macs_per_nonce: u64,
    /// The weight is all multiply-adds without so many of the lowest bits.
    pub weight_shift: u32,
    /// Members that check a host.
    pub committee: u32,
    /// Leaves of a host that each member recomputes.
    pub leaves: u32,
    /// Of these, leaves whose traces the host must reveal in the end.
    pub revealed: u32,
    /// Blocks for verdicts and demands, from the challenge on.
    pub verdict_blocks: u64,
    /// Blocks for judging before the race settles.
    pub judge_blocks: u64,
    /// Blocks in which a demand must be answered.
    pub answer_blocks: u64,
    /// The most devices of a commitment.
    pub max_devices: u32,
    /// The most leaves of one demand.
    pub max_demand_positions: u32,
    /// What a demand puts up for each leaf.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "1 FWY")]
    pub demand_bond: Amount,
    /// What an accusation puts up.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "1 FWY")]
    pub accusation_bond: Amount,
    /// The most trials that are open at a time.
    pub max_trials: u32,
    /// Of these, the most against one host.
    pub max_trials_of_host: u32,
    /// Of these, the most by one accuser.
    pub max_trials_of_accuser: u32,
    /// Share of what is at stake that a wrong leaf costs, in thousandths.
    pub conviction_thousandths: u64,
}

/// Parameters of the beacon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeaconParamsView {
    /// Shares of the key, divided among the validators by power.
    pub seats: u16,
}

/// The schemas of [`ParamsView`] and all that it contains, by their names: for the reference in the documentation.
pub fn schemas() -> serde_json::Value {
    #[derive(utoipa::OpenApi)]
    #[openapi(components(schemas(ParamsView)))]
    struct Rules;

    // A tree of strings always serialises.
    let mut document = serde_json::to_value(<Rules as utoipa::OpenApi>::openapi()).unwrap_or_default();
    document["components"]["schemas"].take()
}

impl From<&Params> for ParamsView {
    fn from(params: &Params) -> Self {
        // Taken apart field by field, so that a new parameter cannot be forgotten here.
        let Params {
            blocks,
            accounts,
            hosts,
            epochs,
            evidence,
            sprint,
            beacon,
            models,
            lanes,
            pricing,
            rewards,
            endorsements,
            work,
            verification,
        } = params.clone();
        let BlockParams {
            max_transaction_bytes,
            duty_reserve_bytes,
            max_transactions,
            target_ms,
            propose_timeout_ms,
            vote_timeout_ms,
        } = blocks;
        let blocks = BlockParamsView {
            max_transaction_bytes,
            duty_reserve_bytes,
            max_transactions,
            target_ms,
            propose_timeout_ms,
            vote_timeout_ms,
        };
        let accounts::Params {
            min_opening,
            quota_unit,
            max_per_block,
            free_places,
            max_lifetime_blocks,
            max_delegates,
        } = accounts;
        let accounts = AccountParamsView {
            min_opening,
            quota_unit,
            max_per_block,
            free_places,
            max_lifetime_blocks,
            max_delegates,
        };
        let hosts::Params {
            max_hosts,
            unbonding_blocks,
            max_withdrawals,
            max_payouts_per_block,
            collateral_per_power,
        } = hosts;
        let hosts = HostParamsView {
            max_hosts,
            unbonding_blocks,
            max_withdrawals,
            max_payouts_per_block,
            collateral_per_power,
        };
        let epochs::Params {
            epoch_blocks,
            sprint_blocks,
            grace_blocks,
            verify_blocks,
            dealing_blocks,
            max_validators,
            operator_cap_thousandths,
            silent_after_blocks,
        } = epochs;
        let epochs = EpochParamsView {
            epoch_blocks,
            sprint_blocks,
            grace_blocks,
            verify_blocks,
            dealing_blocks,
            max_validators,
            operator_cap_thousandths,
            silent_after_blocks,
        };
        let evidence::Params { max_age_blocks, equivocation_penalty_thousandths } = evidence;
        let evidence = EvidenceParamsView { max_age_blocks, equivocation_penalty_thousandths };
        let sprint::Params {
            shape,
            macs_per_nonce,
            weight_shift,
            committee,
            leaves,
            revealed,
            verdict_blocks,
            judge_blocks,
            answer_blocks,
            max_devices,
            max_demand_positions,
            demand_bond,
            accusation_bond,
            max_trials,
            max_trials_of_host,
            max_trials_of_accuser,
            conviction_thousandths,
        } = sprint;
        let sprint = SprintParamsView {
            shape: shape.to_string(),
            macs_per_nonce,
            weight_shift,
            committee,
            leaves,
            revealed,
            verdict_blocks,
            judge_blocks,
            answer_blocks,
            max_devices,
            max_demand_positions,
            demand_bond,
            accusation_bond,
            max_trials,
            max_trials_of_host,
            max_trials_of_accuser,
            conviction_thousandths,
        };
        let beacon::Params { seats } = beacon;
        let beacon = BeaconParamsView { seats };
        Self {
            blocks,
            accounts,
            hosts,
            epochs,
            evidence,
            sprint,
            beacon,
            models: models.into(),
            lanes: lanes.into(),
            pricing: pricing.into(),
            rewards: rewards.into(),
            endorsements: endorsements.into(),
            work: work.into(),
            verification: verification.into(),
        }
    }
}

impl From<&ParamsView> for Params {
    fn from(view: &ParamsView) -> Self {
        let ParamsView {
            blocks,
            accounts,
            hosts,
            epochs,
            evidence,
            sprint,
            beacon,
            models,
            lanes,
            pricing,
            rewards,
            endorsements,
            work,
            verification,
        } = view;
        Self {
            blocks: BlockParams {
                max_transaction_bytes: blocks.max_transaction_bytes,
                duty_reserve_bytes: blocks.duty_reserve_bytes,
                max_transactions: blocks.max_transactions,
                target_ms: blocks.target_ms,
                propose_timeout_ms: blocks.propose_timeout_ms,
                vote_timeout_ms: blocks.vote_timeout_ms,
            },
            accounts: accounts::Params {
                min_opening: accounts.min_opening,
                quota_unit: accounts.quota_unit,
                max_per_block: accounts.max_per_block,
                free_places: accounts.free_places,
                max_lifetime_blocks: accounts.max_lifetime_blocks,
                max_delegates: accounts.max_delegates,
            },
            hosts: hosts::Params {
                max_hosts: hosts.max_hosts,
                unbonding_blocks: hosts.unbonding_blocks,
                max_withdrawals: hosts.max_withdrawals,
                max_payouts_per_block: hosts.max_payouts_per_block,
                collateral_per_power: hosts.collateral_per_power,
            },
            epochs: epochs::Params {
                epoch_blocks: epochs.epoch_blocks,
                sprint_blocks: epochs.sprint_blocks,
                grace_blocks: epochs.grace_blocks,
                verify_blocks: epochs.verify_blocks,
                dealing_blocks: epochs.dealing_blocks,
                max_validators: epochs.max_validators,
                operator_cap_thousandths: epochs.operator_cap_thousandths,
                silent_after_blocks: epochs.silent_after_blocks,
            },
            evidence: evidence::Params {
                max_age_blocks: evidence.max_age_blocks,
                equivocation_penalty_thousandths: evidence.equivocation_penalty_thousandths,
            },
            sprint: sprint::Params {
                // No name of a shape is as long as a text may be: what is none is refused as an empty one is.
                shape: Text::new(sprint.shape.as_str()).unwrap_or_default(),
                macs_per_nonce: sprint.macs_per_nonce,
                weight_shift: sprint.weight_shift,
                committee: sprint.committee,
                leaves: sprint.leaves,
                revealed: sprint.revealed,
                verdict_blocks: sprint.verdict_blocks,
                judge_blocks: sprint.judge_blocks,
                answer_blocks: sprint.answer_blocks,
                max_devices: sprint.max_devices,
                max_demand_positions: sprint.max_demand_positions,
                demand_bond: sprint.demand_bond,
                accusation_bond: sprint.accusation_bond,
                max_trials: sprint.max_trials,
                max_trials_of_host: sprint.max_trials_of_host,
                max_trials_of_accuser: sprint.max_trials_of_accuser,
                conviction_thousandths: sprint.conviction_thousandths,
            },
            beacon: beacon::Params { seats: beacon.seats },
            models: models.into(),
            lanes: lanes.into(),
            pricing: pricing.into(),
            rewards: rewards.into(),
            endorsements: endorsements.into(),
            work: work.into(),
            verification: verification.into(),
        }
    }
}
