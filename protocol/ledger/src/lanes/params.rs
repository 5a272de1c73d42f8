//! The numbers of lanes.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::Amount;

use super::MAX_SHARES;
use crate::params::{ParamsError, Preset, require};

/// Parameters of lanes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// The least escrow of a lane: dust is not worth its place in the state.
    pub min_escrow: Amount,
    /// The most hosts of a lane.
    pub max_shares: u8,
    /// The shortest life of a lane in blocks.
    pub min_lifetime: u64,
    /// The longest.
    pub max_lifetime: u64,
    /// Blocks in which hosts may still settle a lane that closes. Longer than it takes for work to mature.
    pub grace_blocks: u64,
    /// The most lanes of one account.
    pub max_open_per_account: u32,
    /// The most lanes.
    pub max_lanes: u32,
    /// The most lanes whose hosts one block draws; the rest follow in the next.
    pub max_draws_per_block: u32,
    /// The most lanes that one block closes or removes; the rest follow in the next.
    pub max_ends_per_block: u32,
    /// Hundredths of each fee that the host gets.
    pub executor_parts: u64,
    /// Hundredths that verifiers get.
    pub verifier_parts: u64,
    /// Hundredths that are put aside for training.
    pub training_parts: u64,
    /// Whether a payer that is a host itself is kept from hosts of its own operator. A private network may do
    /// without, and then everything rests on a single operator.
    pub operator_independence: bool,
    /// Models that the network asks for something itself in an epoch; 0 for none. See [`super::probe`].
    pub probe_models: u32,
    /// How much it asks of each host drawn for one.
    pub probes: u32,
}

/// Parts of which a fee consists.
pub(super) const WHOLE: u64 = 100;

impl Params {
    pub(crate) const fn preset(preset: Preset) -> Self {
        let local = matches!(preset, Preset::Local);
        Self {
            min_escrow: if local { Amount(1_000_000) } else { Amount::fwy(1) },
            max_shares: MAX_SHARES,
            min_lifetime: if local { 12 } else { 600 },
            max_lifetime: if local { 100_000 } else { 90 * 86_400 },
            grace_blocks: if local { 120 } else { 14_400 },
            max_open_per_account: if local { 16_384 } else { 1_024 },
            max_lanes: 1_000_000,
            max_draws_per_block: 256,
            max_ends_per_block: 256,
            executor_parts: 75,
            verifier_parts: 5,
            training_parts: 20,
            operator_independence: !local,
            probe_models: if local { 4 } else { 16 },
            probes: 4,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ParamsError> {
        require(!self.min_escrow.is_zero(), "lanes.min_escrow", 0u64, "more than 0")?;
        require(
            (1..=MAX_SHARES).contains(&self.max_shares),
            "lanes.max_shares",
            self.max_shares,
            "between 1 and 16",
        )?;
        require(
            (1..=self.max_lifetime).contains(&self.min_lifetime),
            "lanes.min_lifetime",
            self.min_lifetime,
            "between 1 and lanes.max_lifetime",
        )?;
        require(self.max_lifetime <= 1 << 40, "lanes.max_lifetime", self.max_lifetime, "at most 2^40")?;
        require(
            (1..=1 << 40).contains(&self.grace_blocks),
            "lanes.grace_blocks",
            self.grace_blocks,
            "between 1 and 2^40",
        )?;
        for (name, value) in [
            ("lanes.max_open_per_account", self.max_open_per_account),
            ("lanes.max_lanes", self.max_lanes),
            ("lanes.max_draws_per_block", self.max_draws_per_block),
            ("lanes.max_ends_per_block", self.max_ends_per_block),
        ] {
            require((1..=10_000_000).contains(&value), name, value, "between 1 and 10000000")?;
        }
        let (models, probes) = (self.probe_models, self.probes);
        require(models <= 64, "lanes.probe_models", models, "at most 64")?;
        require(probes <= 1_000, "lanes.probes", probes, "at most 1000")?;
        let parts = self
            .executor_parts
            .checked_add(self.verifier_parts)
            .and_then(|sum| sum.checked_add(self.training_parts));
        require(
            parts == Some(WHOLE),
            "lanes.executor_parts",
            self.executor_parts,
            "100 together with lanes.verifier_parts and lanes.training_parts",
        )
    }
}
