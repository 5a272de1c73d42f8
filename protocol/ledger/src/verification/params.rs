//! The numbers of verification.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::Amount;

use crate::params::{ParamsError, Preset, require};

/// Parameters of verification.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// Members of a committee.
    pub committee: u32,
    /// How many committees are asked in turn, where none of a committee says anything.
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
    /// What a demand puts up. The host gets it for an answer: it pays for the bytes.
    pub demand_bond: Amount,
    /// What a report puts up, likewise.
    pub report_bond: Amount,
    /// What an accusation puts up. Lost if the work is right.
    pub accusation_bond: Amount,
    /// The most trials that are open at a time.
    pub max_trials: u32,
    /// The most trials about one commitment, so that it cannot hide behind false accusations of its own.
    pub max_trials_of_commitment: u32,
    /// The most jurors of a trial: those with the most power.
    pub max_jury: u32,
    /// Share of what is at stake that a conviction costs, in thousandths.
    pub conviction_thousandths: u64,
    /// Share of that which goes to whoever accused or proved, in thousandths.
    pub bounty_thousandths: u64,
    /// The most deadlines that a block handles; the rest follow in the next.
    pub max_due_per_block: u32,
}

impl Params {
    pub(crate) const fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Local => Self {
                committee: 3,
                max_rounds: 2,
                verdict_blocks: 8,
                reveal_blocks: 4,
                judge_blocks: 6,
                answer_blocks: 4,
                revealed_thousandths: 1_000,
                demand_bond: Amount(100_000),
                report_bond: Amount(100_000),
                accusation_bond: Amount::fwy(1),
                max_trials: 64,
                max_trials_of_commitment: 4,
                max_jury: 128,
                conviction_thousandths: 200,
                bounty_thousandths: 100,
                max_due_per_block: 256,
            },
            Preset::Main => Self {
                committee: 3,
                max_rounds: 2,
                verdict_blocks: 500,
                reveal_blocks: 300,
                judge_blocks: 600,
                answer_blocks: 300,
                revealed_thousandths: 100,
                demand_bond: Amount(1_000_000),
                report_bond: Amount(1_000_000),
                accusation_bond: Amount::fwy(10),
                max_trials: 1_024,
                max_trials_of_commitment: 4,
                max_jury: 128,
                conviction_thousandths: 200,
                bounty_thousandths: 100,
                max_due_per_block: 1_024,
            },
        }
    }

    pub(crate) fn check(&self) -> Result<(), ParamsError> {
        for (name, value, most, rule) in [
            ("verification.committee", u64::from(self.committee), 64, "between 1 and 64"),
            ("verification.max_rounds", self.max_rounds, 4, "between 1 and 4"),
            ("verification.verdict_blocks", self.verdict_blocks, 1 << 20, "between 1 and 2^20"),
            ("verification.reveal_blocks", self.reveal_blocks, 1 << 20, "between 1 and 2^20"),
            ("verification.judge_blocks", self.judge_blocks, 1 << 20, "between 1 and 2^20"),
            ("verification.max_trials", u64::from(self.max_trials), 4_096, "between 1 and 4096"),
            ("verification.max_jury", u64::from(self.max_jury), 128, "between 1 and 128"),
            (
                "verification.max_due_per_block",
                u64::from(self.max_due_per_block),
                65_536,
                "between 1 and 65536",
            ),
        ] {
            require((1..=most).contains(&value), name, value, rule)?;
        }
        require(
            (1..=self.max_trials).contains(&self.max_trials_of_commitment),
            "verification.max_trials_of_commitment",
            self.max_trials_of_commitment,
            "between 1 and verification.max_trials",
        )?;
        // What is demanded with the last verdict is answered, or not, before all is decided.
        let rest = self.reveal_blocks.saturating_add(self.judge_blocks);
        require(
            (1..=rest).contains(&self.answer_blocks),
            "verification.answer_blocks",
            self.answer_blocks,
            "between 1 and verification.reveal_blocks + verification.judge_blocks",
        )?;
        for (name, value) in [
            ("verification.revealed_thousandths", self.revealed_thousandths),
            ("verification.conviction_thousandths", self.conviction_thousandths),
            ("verification.bounty_thousandths", self.bounty_thousandths),
        ] {
            require(value <= 1_000, name, value, "at most 1000")?;
        }
        Ok(())
    }
}
