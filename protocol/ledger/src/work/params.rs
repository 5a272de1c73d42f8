//! The numbers of work.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::Amount;

use super::window;
use crate::params::{self, ParamsError, Preset, require};
use crate::weights::MAX_REPUTATION;

/// Samples are counted in bits.
const MAX_SAMPLES: u32 = 64;

/// Parameters of work.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// Blocks of an interval. Not to be changed while the network runs: intervals are counted from height 0.
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
    pub free_fees: Amount,
    /// The most commitments that a block draws, closes or settles; the rest follow in the next.
    pub max_steps_per_block: u32,
}

impl Params {
    pub(crate) const fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Local => Self {
                interval_blocks: 12,
                commit_grace: 2,
                keep_intervals: 64,
                max_branches: 8,
                samples_most: 8,
                samples_least: 4,
                exposure_percent: 20,
                free_fees: Amount::fwy(10),
                max_steps_per_block: 64,
            },
            Preset::Main => Self {
                interval_blocks: 2_400,
                commit_grace: 10,
                keep_intervals: 16,
                max_branches: 8,
                samples_most: 32,
                samples_least: 4,
                exposure_percent: 20,
                free_fees: Amount(100_000_000),
                max_steps_per_block: 128,
            },
        }
    }

    pub(crate) fn check(&self, params: &params::Params) -> Result<(), ParamsError> {
        require(
            (1..=1 << 32).contains(&self.interval_blocks),
            "work.interval_blocks",
            self.interval_blocks,
            "between 1 and 2^32",
        )?;
        require(
            self.commit_grace < self.interval_blocks,
            "work.commit_grace",
            self.commit_grace,
            "less than work.interval_blocks",
        )?;
        require(
            (1..=64).contains(&self.max_branches),
            "work.max_branches",
            self.max_branches,
            "between 1 and 64",
        )?;
        require(
            (1..=MAX_SAMPLES).contains(&self.samples_most),
            "work.samples_most",
            self.samples_most,
            "between 1 and 64",
        )?;
        require(
            (1..=self.samples_most).contains(&self.samples_least),
            "work.samples_least",
            self.samples_least,
            "between 1 and work.samples_most",
        )?;
        require(self.exposure_percent <= 100, "work.exposure_percent", self.exposure_percent, "at most 100")?;
        require(
            (1..=65_536).contains(&self.max_steps_per_block),
            "work.max_steps_per_block",
            self.max_steps_per_block,
            "between 1 and 65536",
        )?;
        // From the first request of an interval to its end, and until all is decided.
        let all = window(params).saturating_add(self.interval_blocks);
        require(
            all <= params.hosts.unbonding_blocks,
            "hosts.unbonding_blocks",
            params.hosts.unbonding_blocks,
            "at least an interval of work and the time until it matures: who withdraws is in reach for all it did",
        )?;
        require(
            all < params.lanes.grace_blocks,
            "lanes.grace_blocks",
            params.lanes.grace_blocks,
            "more than an interval of work and the time until it matures, so that it can be settled",
        )?;
        let kept = self.keep_intervals.saturating_mul(self.interval_blocks);
        require(
            self.keep_intervals <= 1 << 16 && kept > window(params).saturating_add(params.lanes.grace_blocks),
            "work.keep_intervals",
            self.keep_intervals,
            "more intervals than the time until work matures and lanes.grace_blocks, and at most 65536",
        )
    }

    /// How many samples of a commitment are drawn.
    pub fn samples(&self, reputation: u8, has_collateral: bool) -> u32 {
        let saved = self.samples_most.saturating_sub(self.samples_least);
        let earned = if has_collateral { u32::from(reputation.min(MAX_REPUTATION)) } else { 0 };
        let less = saved.saturating_mul(earned).checked_div(u32::from(MAX_REPUTATION)).unwrap_or_default();
        self.samples_most.saturating_sub(less)
    }

    /// The most open fees of a host with so much slashable collateral.
    pub fn exposure(&self, collateral: Amount) -> Amount {
        collateral.fraction(self.exposure_percent, 100).unwrap_or_default().max(self.free_fees)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_fall_with_reputation_and_never_below_the_least() {
        let params = Params { samples_most: 32, samples_least: 4, ..Params::preset(Preset::Main) };
        let of = |reputation| params.samples(reputation, true);
        assert_eq!((of(0), of(15), of(30), of(31), of(255)), (32, 18, 4, 4, 4));
        assert!((0..30).all(|reputation| of(reputation) >= of(reputation + 1)));
        assert_eq!(params.samples(30, false), 32);
    }

    #[test]
    fn exposure_is_a_part_of_collateral_or_the_allowance() {
        let params = Params { exposure_percent: 20, free_fees: Amount(50), ..Params::preset(Preset::Main) };
        assert_eq!(params.exposure(Amount::ZERO), Amount(50));
        assert_eq!(params.exposure(Amount(249)), Amount(50));
        assert_eq!(params.exposure(Amount(1_004)), Amount(200));
        assert!(params.exposure(Amount(u128::MAX)).0 > 1 << 120);
    }
}
