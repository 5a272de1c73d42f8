//! Parameters of work and of its verification.

use freeway_ledger::{verification, work};
use freeway_primitives::Amount;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Parameters of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkParamsView {
    /// Blocks of an interval.
    pub interval_blocks: u64,
    /// Blocks after an interval's end in which hosts may still commit.
    pub commit_grace: u64,
    /// For how many intervals a commitment is kept.
    pub keep_intervals: u64,
    /// The most classes of lanes in one commitment.
    pub max_branches: u32,
    /// Samples of a commitment whose host has no reputation, or no collateral.
    pub samples_most: u32,
    /// Samples of a commitment whose host has all reputation.
    pub samples_least: u32,
    /// How much of its slashable collateral a host may have in open fees, in hundredths.
    pub exposure_percent: u64,
    /// Open fees that every host may have.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "1 FWY")]
    pub free_fees: Amount,
    /// The most commitments that a block draws, closes or settles.
    pub max_steps_per_block: u32,
}

impl From<work::Params> for WorkParamsView {
    fn from(params: work::Params) -> Self {
        // Taken apart field by field, so that a new parameter cannot be forgotten here.
        let work::Params {
            interval_blocks,
            commit_grace,
            keep_intervals,
            max_branches,
            samples_most,
            samples_least,
            exposure_percent,
            free_fees,
            max_steps_per_block,
        } = params;
        Self {
            interval_blocks,
            commit_grace,
            keep_intervals,
            max_branches,
            samples_most,
            samples_least,
            exposure_percent,
            free_fees,
            max_steps_per_block,
        }
    }
}

impl From<&WorkParamsView> for work::Params {
    fn from(view: &WorkParamsView) -> Self {
        Self {
            interval_blocks: view.interval_blocks,
            commit_grace: view.commit_grace,
            keep_intervals: view.keep_intervals,
            max_branches: view.max_branches,
            samples_most: view.samples_most,
            samples_least: view.samples_least,
            exposure_percent: view.exposure_percent,
            free_fees: view.free_fees,
            max_steps_per_block: view.max_steps_per_block,
        }
    }
}

/// Parameters of verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerificationParamsView {
    /// Members of a committee.
    pub committee: u32,
    /// How many committees are asked in turn.
    pub max_rounds: u64,
    /// Blocks for verdicts and demands, from the draw on.
    pub verdict_blocks: u64,
    /// Blocks for revelations, accusations and reports after that.
    pub reveal_blocks: u64,
    /// Blocks for judging.
    pub judge_blocks: u64,
    /// Blocks in which a demand or report must be answered.
    pub answer_blocks: u64,
    /// How many of a thousand commitments must reveal one of their samples.
    pub revealed_thousandths: u64,
    /// What a demand puts up.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "1 FWY")]
    pub demand_bond: Amount,
    /// What a report puts up.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "1 FWY")]
    pub report_bond: Amount,
    /// What an accusation puts up.
    #[serde(with = "crate::text::coins")]
    #[schema(value_type = String, example = "1 FWY")]
    pub accusation_bond: Amount,
    /// The most trials that are open at a time.
    pub max_trials: u32,
    /// The most trials about one commitment.
    pub max_trials_of_commitment: u32,
    /// The most jurors of a trial.
    pub max_jury: u32,
    /// Share of what is at stake that a conviction costs, in thousandths.
    pub conviction_thousandths: u64,
    /// Share of that which goes to whoever accused or proved, in thousandths.
    pub bounty_thousandths: u64,
    /// The most deadlines that a block handles.
    pub max_due_per_block: u32,
}

impl From<verification::Params> for VerificationParamsView {
    fn from(params: verification::Params) -> Self {
        // Taken apart field by field, so that a new parameter cannot be forgotten here.
        let verification::Params {
            committee,
            max_rounds,
            verdict_blocks,
            reveal_blocks,
            judge_blocks,
            answer_blocks,
            revealed_thousandths,
            demand_bond,
            report_bond,
            accusation_bond,
            max_trials,
            max_trials_of_commitment,
            max_jury,
            conviction_thousandths,
            bounty_thousandths,
            max_due_per_block,
        } = params;
        Self {
            committee,
            max_rounds,
            verdict_blocks,
            reveal_blocks,
            judge_blocks,
            answer_blocks,
            revealed_thousandths,
            demand_bond,
            report_bond,
            accusation_bond,
            max_trials,
            max_trials_of_commitment,
            max_jury,
            conviction_thousandths,
            bounty_thousandths,
            max_due_per_block,
        }
    }
}

impl From<&VerificationParamsView> for verification::Params {
    fn from(view: &VerificationParamsView) -> Self {
        Self {
            committee: view.committee,
            max_rounds: view.max_rounds,
            verdict_blocks: view.verdict_blocks,
            reveal_blocks: view.reveal_blocks,
            judge_blocks: view.judge_blocks,
            answer_blocks: view.answer_blocks,
            revealed_thousandths: view.revealed_thousandths,
            demand_bond: view.demand_bond,
            report_bond: view.report_bond,
            accusation_bond: view.accusation_bond,
            max_trials: view.max_trials,
            max_trials_of_commitment: view.max_trials_of_commitment,
            max_jury: view.max_jury,
            conviction_thousandths: view.conviction_thousandths,
            bounty_thousandths: view.bounty_thousandths,
            max_due_per_block: view.max_due_per_block,
        }
    }
}
