//! The numbers of a race.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::Amount;
use freeway_proofs::sprint::{MAX_DEVICES, MAX_TOTAL, TAG_BYTES};

use crate::epochs;
use crate::epochs::power::MAX_POWER;
use crate::genesis::Text;
use crate::params::{ParamsError, Preset, require};
use crate::transaction::MAX_TRANSACTION_BYTES;

/// The most tags of a verdict.
const MAX_LEAVES: u32 = 512;

/// The most leaves that a host reveals for one verdict: they are counted in bits.
const MAX_REVEALED: u32 = 32;

// A verdict must fit into a transaction, beside its signature and all else.
const _: () = assert!(MAX_LEAVES as usize * TAG_BYTES + 1_024 <= MAX_TRANSACTION_BYTES);
const _: () = assert!(MAX_REVEALED <= u32::BITS);
// The largest claim, at the most work a nonce, is a number.
const _: () = assert!((MAX_TOTAL as u128).checked_mul(1 << MAX_MACS_BITS).is_some());

/// Bound on the work of a nonce.
const MAX_MACS_BITS: u32 = 50;

/// Parameters of the race.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// The shape of the function that is computed, by its name.
    pub shape: Text,
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
    /// Blocks for judging before the race settles, in which nothing can be revealed any more.
    pub judge_blocks: u64,
    /// Blocks in which a demand must be answered.
    pub answer_blocks: u64,
    /// The most devices of a commitment.
    pub max_devices: u32,
    /// The most leaves of one demand.
    pub max_demand_positions: u32,
    /// What a demand puts up for each leaf. The host gets it for an answer: it pays for the bytes.
    pub demand_bond: Amount,
    /// What an accusation puts up. Lost if the leaf is right.
    pub accusation_bond: Amount,
    /// The most trials that are open at a time.
    pub max_trials: u32,
    /// Of these, the most against one host, so that it cannot hide behind false accusations of its own.
    pub max_trials_of_host: u32,
    /// Of these, the most by one accuser.
    pub max_trials_of_accuser: u32,
    /// Share of what is at stake that a wrong leaf costs, in thousandths.
    pub conviction_thousandths: u64,
}

impl Params {
    pub(crate) fn preset(preset: Preset) -> Self {
        let shape = |name| Text::new(name).unwrap_or_default();
        match preset {
            Preset::Local => Self {
                shape: shape("tiny"),
                macs_per_nonce: 1_327_104,
                weight_shift: 24,
                committee: 3,
                leaves: 48,
                revealed: 4,
                verdict_blocks: 6,
                judge_blocks: 2,
                answer_blocks: 3,
                max_devices: 64,
                max_demand_positions: 8,
                demand_bond: Amount(100_000),
                accusation_bond: Amount::fwy(1),
                max_trials: 64,
                max_trials_of_host: 4,
                max_trials_of_accuser: 8,
                conviction_thousandths: 200,
            },
            Preset::Main => Self {
                shape: shape("A"),
                macs_per_nonce: 1_880_096_768,
                weight_shift: 24,
                committee: 8,
                leaves: 200,
                revealed: 4,
                verdict_blocks: 400,
                judge_blocks: 60,
                answer_blocks: 60,
                max_devices: 64,
                max_demand_positions: 8,
                demand_bond: Amount(1_000_000),
                accusation_bond: Amount::fwy(10),
                max_trials: 256,
                max_trials_of_host: 4,
                max_trials_of_accuser: 16,
                conviction_thousandths: 200,
            },
        }
    }

    pub(crate) fn check(&self, epochs: &epochs::Params) -> Result<(), ParamsError> {
        require(
            self.shape.is_valid() && !self.shape.as_str().is_empty(),
            "sprint.shape",
            0u64,
            "the name of a shape",
        )?;
        require(
            (1..=1 << MAX_MACS_BITS).contains(&self.macs_per_nonce),
            "sprint.macs_per_nonce",
            self.macs_per_nonce,
            "between 1 and 2^50",
        )?;
        require(self.weight_shift <= 63, "sprint.weight_shift", self.weight_shift, "at most 63")?;
        for (name, value, most, rule) in [
            ("sprint.committee", self.committee, 64, "between 1 and 64"),
            ("sprint.leaves", self.leaves, MAX_LEAVES, "between 1 and 512"),
            ("sprint.max_devices", self.max_devices, MAX_DEVICES as u32, "between 1 and 64"),
            ("sprint.max_demand_positions", self.max_demand_positions, 64, "between 1 and 64"),
            ("sprint.max_trials", self.max_trials, 4_096, "between 1 and 4096"),
        ] {
            require((1..=most).contains(&value), name, value, rule)?;
        }
        for (name, value) in [
            ("sprint.max_trials_of_host", self.max_trials_of_host),
            ("sprint.max_trials_of_accuser", self.max_trials_of_accuser),
        ] {
            let holds = (1..=self.max_trials).contains(&value);
            require(holds, name, value, "between 1 and sprint.max_trials")?;
        }
        require(
            (1..=self.leaves.min(MAX_REVEALED)).contains(&self.revealed),
            "sprint.revealed",
            self.revealed,
            "between 1 and 32, and at most sprint.leaves",
        )?;
        // What is left after the verdicts: at least one block to reveal in, then the judging.
        let rest = epochs.verify_blocks.saturating_sub(self.verdict_blocks);
        require(
            self.verdict_blocks > 0 && self.judge_blocks < rest,
            "sprint.verdict_blocks",
            self.verdict_blocks,
            "more than 0, and less than epochs.verify_blocks - sprint.judge_blocks",
        )?;
        require(
            (1..=rest).contains(&self.answer_blocks),
            "sprint.answer_blocks",
            self.answer_blocks,
            "between 1 and epochs.verify_blocks - sprint.verdict_blocks",
        )?;
        require(
            self.conviction_thousandths <= 1_000,
            "sprint.conviction_thousandths",
            self.conviction_thousandths,
            "at most 1000",
        )
    }

    /// The weight that so many nonces prove.
    pub fn weight(&self, count: u64) -> u64 {
        let macs = u128::from(count).saturating_mul(u128::from(self.macs_per_nonce));
        let weight = macs.checked_shr(self.weight_shift).unwrap_or_default();
        u64::try_from(weight).unwrap_or(u64::MAX).min(MAX_POWER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_grows_with_the_nonces_up_to_the_bound() {
        let params =
            Params { macs_per_nonce: (7 << 24) + 1, weight_shift: 24, ..Params::preset(Preset::Main) };
        assert_eq!((params.weight(0), params.weight(1), params.weight(1 << 24)), (0, 7, (7 << 24) + 1));
        assert_eq!(params.weight(u64::MAX), MAX_POWER);
    }
}
