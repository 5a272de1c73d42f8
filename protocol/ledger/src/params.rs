//! Parameters: every number of the rules, held in state.

use core::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Canonical, MAX_BLOCK_BYTES, MAX_VALIDATORS};

use crate::state::{Cell, Fault, Reader};
use crate::transaction::MAX_TRANSACTION_BYTES;
use crate::{
    accounts, beacon, endorsements, epochs, evidence, hosts, lanes, models, pricing, rewards, sprint,
    verification, work,
};

pub(crate) const PARAMS: Cell<Params> = Cell::new("params/current");

/// All parameters.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// Blocks and their pace.
    pub blocks: BlockParams,
    /// Accounts.
    pub accounts: accounts::Params,
    /// Hosts.
    pub hosts: hosts::Params,
    /// The epoch clock and the validator set.
    pub epochs: epochs::Params,
    /// Evidence.
    pub evidence: evidence::Params,
    /// The beacon.
    pub beacon: beacon::Params,
    /// The race.
    pub sprint: sprint::Params,
    /// Models.
    pub models: models::Params,
    /// Lanes.
    pub lanes: lanes::Params,
    /// Prices.
    pub pricing: pricing::Params,
    /// Rewards.
    pub rewards: rewards::Params,
    /// Endorsements.
    pub endorsements: endorsements::Params,
    /// Work and what it is checked by.
    pub work: work::Params,
    /// How work is checked.
    pub verification: verification::Params,
}

impl Canonical for Params {
    const KIND: &'static str = "parameters";
    const MAX_BYTES: usize = 4096;
}

/// Size and pace of blocks.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlockParams {
    /// Bytes of all transactions in a block.
    pub max_transaction_bytes: u32,
    /// Of these, bytes that only duty transactions may use.
    pub duty_reserve_bytes: u32,
    /// Transactions in a block.
    pub max_transactions: u32,
    /// Time from block to block in milliseconds. A target of the consensus engine, not a rule.
    pub target_ms: u32,
    /// How long a round waits for its proposal, in milliseconds; each further round waits half as much longer.
    pub propose_timeout_ms: u32,
    /// How long a round waits for stragglers' votes, in milliseconds.
    pub vote_timeout_ms: u32,
}

/// A named set of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// One machine or a test: short epochs, fast blocks.
    Local,
    /// The public network.
    Main,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 2] = [Self::Local, Self::Main];

    /// The preset's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Main => "main",
        }
    }

    /// The preset's parameters.
    pub fn params(self) -> Params {
        Params {
            blocks: match self {
                Self::Local => BlockParams {
                    max_transaction_bytes: 2 << 20,
                    duty_reserve_bytes: 256 << 10,
                    max_transactions: 10_000,
                    target_ms: 700,
                    propose_timeout_ms: 2_000,
                    vote_timeout_ms: 500,
                },
                Self::Main => BlockParams {
                    max_transaction_bytes: 2 << 20,
                    duty_reserve_bytes: 512 << 10,
                    max_transactions: 10_000,
                    target_ms: 1_000,
                    propose_timeout_ms: 3_000,
                    vote_timeout_ms: 1_000,
                },
            },
            accounts: accounts::Params::preset(self),
            hosts: hosts::Params::preset(self),
            epochs: epochs::Params::preset(self),
            evidence: evidence::Params::preset(self),
            beacon: beacon::Params::preset(self),
            sprint: sprint::Params::preset(self),
            models: models::Params::preset(self),
            lanes: lanes::Params::preset(self),
            pricing: pricing::Params::preset(self),
            rewards: rewards::Params::preset(self),
            endorsements: endorsements::Params::preset(self),
            work: work::Params::preset(self),
            verification: verification::Params::preset(self),
        }
    }
}

/// A name that is no preset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no preset; there are: local, main")]
pub struct UnknownPreset(String);

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|preset| preset.name() == name).ok_or_else(|| UnknownPreset(name.into()))
    }
}

/// Parameters under which a network could not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}, but must be {rule}")]
pub struct ParamsError {
    /// The parameter.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// What it must be.
    pub rule: &'static str,
}

/// Fails unless `holds`.
pub(crate) fn require(
    holds: bool,
    name: &'static str,
    value: impl Into<u64>,
    rule: &'static str,
) -> Result<(), ParamsError> {
    if holds { Ok(()) } else { Err(ParamsError { name, value: value.into(), rule }) }
}

impl Params {
    /// The parameters in state.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    pub fn current(state: &dyn Reader) -> Result<Self, Fault> {
        PARAMS.require(state)
    }

    /// Checks that a network can run under these parameters.
    ///
    /// # Errors
    /// [`ParamsError`] naming the first that is out of range.
    pub fn check(&self) -> Result<(), ParamsError> {
        let blocks = &self.blocks;
        // A block also carries its header and its parent's certificate.
        let room = MAX_BLOCK_BYTES / 2;
        require(
            (MAX_TRANSACTION_BYTES..=room).contains(&(blocks.max_transaction_bytes as usize)),
            "blocks.max_transaction_bytes",
            blocks.max_transaction_bytes,
            "between 32768 and 2097152",
        )?;
        require(
            blocks.duty_reserve_bytes <= blocks.max_transaction_bytes / 2,
            "blocks.duty_reserve_bytes",
            blocks.duty_reserve_bytes,
            "at most half of blocks.max_transaction_bytes",
        )?;
        require(
            (1..=100_000).contains(&blocks.max_transactions),
            "blocks.max_transactions",
            blocks.max_transactions,
            "between 1 and 100000",
        )?;
        for (name, value) in [
            ("blocks.target_ms", blocks.target_ms),
            ("blocks.propose_timeout_ms", blocks.propose_timeout_ms),
            ("blocks.vote_timeout_ms", blocks.vote_timeout_ms),
        ] {
            require((1..=600_000).contains(&value), name, value, "between 1 and 600000")?;
        }
        self.accounts.check()?;
        self.hosts.check()?;
        self.epochs.check()?;
        self.beacon.check()?;
        self.evidence.check(&self.epochs, &self.hosts)?;
        self.sprint.check(&self.epochs)?;
        self.rewards.check()?;
        self.endorsements.check()?;
        self.models.check()?;
        self.lanes.check()?;
        self.verification.check()?;
        self.work.check(self)?;
        self.pricing.check()
    }
}

const _: () = assert!(MAX_VALIDATORS >= 100, "the public network has 100 signers");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_have_distinct_names() {
        for preset in Preset::ALL {
            assert_eq!(preset.params().check(), Ok(()));
            assert_eq!(preset.name().parse(), Ok(preset));
            assert!(preset.params().encode().len() <= Params::MAX_BYTES);
        }
        assert!("lokal".parse::<Preset>().is_err());
    }

    #[test]
    fn the_epoch_of_the_presets_is_the_protocols() {
        let (local, main) = (Preset::Local.params().epochs, Preset::Main.params().epochs);
        assert_eq!(
            (local.epoch_blocks, local.sprint_blocks, local.grace_blocks, local.verify_blocks),
            (60, 12, 2, 12)
        );
        assert_eq!(
            (main.epoch_blocks, main.sprint_blocks, main.grace_blocks, main.verify_blocks),
            (14_400, 180, 10, 600)
        );
    }
}
