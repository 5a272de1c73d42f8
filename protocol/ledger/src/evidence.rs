//! Evidence: proof that a validator signed two different things, and its consequence.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, ChainId, Equivocation, Height};

use crate::context::Context;
use crate::epochs;
use crate::error::Error;
use crate::genesis::Genesis;
use crate::hosts::{self, HOSTS, Status};
use crate::module::Module;
use crate::params::{ParamsError, Preset, require};
use crate::receipt;
use crate::state::{Cell, Fault, Reader};
use crate::vaults::Vaults;

/// The network's identity, against which signatures in evidence are checked.
pub(crate) const CHAIN: Cell<ChainId> = Cell::new("evidence/chain");

/// The most reports in a block: each costs two signature checks, whether or not it proves anything.
pub const MAX_REPORTS_PER_BLOCK: u32 = 64;

/// Parameters of evidence.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// How old an offence may be, in blocks.
    pub max_age_blocks: u64,
    /// Share of what is at stake that equivocation costs, in thousandths.
    pub equivocation_penalty_thousandths: u64,
}

impl Params {
    pub(crate) const fn preset(preset: Preset) -> Self {
        Self {
            max_age_blocks: match preset {
                Preset::Local => 120,
                Preset::Main => 2 * 14_400,
            },
            equivocation_penalty_thousandths: 50,
        }
    }

    pub(crate) fn check(&self, epochs: &epochs::Params, hosts: &hosts::Params) -> Result<(), ParamsError> {
        require(
            self.equivocation_penalty_thousandths <= 1_000,
            "evidence.equivocation_penalty_thousandths",
            self.equivocation_penalty_thousandths,
            "at most 1000",
        )?;
        require(
            self.max_age_blocks.saturating_add(epochs.epoch_blocks) <= hosts.unbonding_blocks,
            "evidence.max_age_blocks",
            self.max_age_blocks,
            "an epoch less than hosts.unbonding_blocks: who withdraws signs until the switch and is judged after",
        )?;
        require(
            self.max_age_blocks <= epochs.epoch_blocks.saturating_mul(epochs::KEPT_SETS - 1),
            "evidence.max_age_blocks",
            self.max_age_blocks,
            "at most the epochs whose validator sets are kept",
        )
    }
}

/// What can be asked of evidence.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// Judge an equivocation. Anyone may report; the proof speaks for itself.
    Report(Box<Equivocation>),
}

/// What happens with evidence.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// A validator was convicted.
    Convicted {
        /// The validator.
        host: Address,
        /// The height of its offence.
        height: Height,
        /// What it lost.
        penalty: Amount,
    },
}

/// Why evidence does not convict.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum Failure {
    /// From the future, or too long ago.
    #[error("the offence is not within the last {max_age_blocks} blocks")]
    OutOfWindow {
        /// The window.
        max_age_blocks: u64,
    },
    /// The accused did not sign blocks then.
    #[error("the accused was no validator at that height")]
    NotAValidator,
    /// The accused was convicted before.
    #[error("the accused was convicted already")]
    AlreadyConvicted,
    /// The halves do not conflict, or are not the accused's.
    #[error("this is no proof: the halves do not conflict or are not signed by the accused")]
    NoProof,
}

impl Failure {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::OutOfWindow { .. } => "out_of_window",
            Self::NotAValidator => "not_a_validator",
            Self::AlreadyConvicted => "already_convicted",
            Self::NoProof => "no_proof",
        }
    }
}

fn fail<T>(failure: Failure) -> Result<T, Error> {
    Err(Error::Failed(failure.into()))
}

/// The rules of evidence.
pub struct Evidence;

impl Module for Evidence {
    type Message = Message;

    fn genesis(context: &mut Context<'_, '_>, genesis: &Genesis) -> Result<(), Fault> {
        CHAIN.set(context.state, &genesis.chain());
        Ok(())
    }

    fn begin(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn apply(context: &mut Context<'_, '_>, message: &Message) -> Result<(), Error> {
        let Message::Report(proof) = message;
        let (accused, height) = (proof.validator(), proof.height());
        let max_age_blocks = context.params.evidence.max_age_blocks;
        if height > context.block.height || height < context.block.height.minus(max_age_blocks) {
            return fail(Failure::OutOfWindow { max_age_blocks });
        }
        let Some(set) = epochs::set_at(context.state, height)? else { return fail(Failure::NotAValidator) };
        let Some(validator) = set.get(&accused) else { return fail(Failure::NotAValidator) };
        let Some(host) = HOSTS.get(context.state, &accused)? else { return fail(Failure::NotAValidator) };
        if host.status == Status::Removed {
            return fail(Failure::AlreadyConvicted);
        }
        if proof.verify(&CHAIN.require(context.state)?, &validator.key).is_err() {
            return fail(Failure::NoProof);
        }
        let parts = context.params.evidence.equivocation_penalty_thousandths;
        let penalty = hosts::punish(context, &accused, parts, 1_000)?;
        context.emit(receipt::Event::Evidence(Event::Convicted { host: accused, height, penalty }));
        Ok(())
    }

    fn end(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn holdings(_: &dyn Reader, _: &mut Vaults) -> Result<(), Fault> {
        Ok(())
    }
}
