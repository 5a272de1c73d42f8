//! Epochs: the clock in heights, its phases, who is silent, and the switch of the validator set.
//!
//! The clock knows heights only. When the race of an epoch is over, the set of the next one is planned from
//! weights, collateral and caps ([`power`]), early enough for the beacon's keys to be dealt to its members. The
//! last block of the epoch is the switch: there the plan is adopted, or, where too much power would go at once or
//! the keys are not dealt, the old set is held for another epoch and an event says so.

pub mod power;

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Epoch, Height, MAX_VALIDATORS, ValidatorSet};

use crate::context::Context;
use crate::error::Error;
use crate::genesis::Genesis;
use crate::hosts::{self, HOSTS, Status};
use crate::module::Module;
use crate::params::{ParamsError, Preset, require};
use crate::receipt;
use crate::state::{Cell, Fault, Reader, Table};
use crate::vaults::Vaults;
use crate::{beacon, weights};
use power::{Candidate, Loss};

/// Where the chain stands in its epochs.
pub const CLOCK: Cell<Clock> = Cell::new("epochs/clock");

/// The validators of the next height.
pub const VALIDATORS: Cell<ValidatorSet> = Cell::new("epochs/validators");

/// The set that is to sign the next epoch. Made before its keys are dealt, gone after the switch.
pub const PLAN: Cell<Option<Plan>> = Cell::new("epochs/plan");

/// Sets of recent epochs: for judging old votes.
pub const SETS: Table<Epoch, KnownSet> = Table::new("epochs/set/");

/// For each validator that did not sign the latest blocks: how many in a row.
pub const SILENCE: Cell<BTreeMap<Address, u32>> = Cell::new("epochs/silence");

/// Whether the latest switch was held because too much power would have gone at once.
const HELD: Cell<bool> = Cell::new("epochs/held");

/// How many epochs' validator sets are kept.
pub const KEPT_SETS: u64 = 4;

/// The genesis set stands in the epochs before this one.
const FIRST_PROVEN_EPOCH: Epoch = Epoch(2);

/// An epoch and its first height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Clock {
    /// The epoch.
    pub epoch: Epoch,
    /// Its first height.
    pub start: Height,
}

impl Clock {
    /// Before the first block.
    pub const GENESIS: Self = Self { epoch: Epoch(0), start: Height::FIRST };

    /// The clock at `height`, if this was the clock at the height before.
    pub fn at(self, height: Height, params: &Params) -> Self {
        if height.0.saturating_sub(self.start.0) < params.epoch_blocks {
            return self;
        }
        Self { epoch: self.epoch.next(), start: height }
    }

    /// The height at whose end the next epoch's set is planned.
    pub fn plan_height(self, params: &Params) -> Height {
        let last = params.epoch_blocks.saturating_sub(1);
        self.start.plus(last.saturating_sub(params.dealing_blocks))
    }

    /// The phase of `height`, which must lie in this epoch.
    pub fn phase(self, height: Height, params: &Params) -> Phase {
        let position = height.0.saturating_sub(self.start.0);
        let grace = params.sprint_blocks.saturating_add(params.grace_blocks);
        if position >= params.epoch_blocks.saturating_sub(1) {
            Phase::Switch
        } else if position < params.sprint_blocks {
            Phase::Sprint
        } else if position < grace {
            Phase::CommitGrace
        } else if position == grace {
            Phase::Challenge
        } else if position <= grace.saturating_add(params.verify_blocks) {
            Phase::Verify
        } else {
            Phase::Serve
        }
    }
}

/// The phases of an epoch. Inference is served in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Phase {
    /// Hosts race.
    Sprint,
    /// The last heights for commitments.
    CommitGrace,
    /// What is checked is drawn.
    Challenge,
    /// Openings, verdicts, demands, evidence.
    Verify,
    /// Nothing but serving.
    Serve,
    /// The last block: the next epoch's weights, validators, rewards and prices.
    Switch,
}

impl Phase {
    /// The phase's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sprint => "sprint",
            Self::CommitGrace => "commit_grace",
            Self::Challenge => "challenge",
            Self::Verify => "verify",
            Self::Serve => "serve",
            Self::Switch => "switch",
        }
    }
}

/// A validator set and since when it signs.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct KnownSet {
    /// Its first height.
    pub start: Height,
    /// The set.
    pub validators: ValidatorSet,
}

/// The set that is to sign an epoch.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Plan {
    /// The epoch.
    pub epoch: Epoch,
    /// The height at whose end it was made.
    pub at: Height,
    /// The set, or why there is none and the old one stays.
    pub set: Result<ValidatorSet, HeldReason>,
}

/// Parameters of epochs and of the validator set.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// Blocks in an epoch.
    pub epoch_blocks: u64,
    /// Blocks of the sprint, from the epoch's first.
    pub sprint_blocks: u64,
    /// Further blocks in which a commitment is accepted.
    pub grace_blocks: u64,
    /// Blocks for openings and verdicts, after the challenge block.
    pub verify_blocks: u64,
    /// Blocks between the plan of the next set and the switch: for dealing its keys.
    pub dealing_blocks: u64,
    /// The most validators that sign blocks; hosts beyond keep their weight.
    pub max_validators: u32,
    /// The most power of one operator, in thousandths of the whole, while there are enough operators for it.
    pub operator_cap_thousandths: u64,
    /// A validator that did not sign so many blocks in a row proposes none until it signs again: a dead
    /// proposer costs everybody a time-out.
    pub silent_after_blocks: u32,
}

impl Params {
    pub(crate) const fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Local => Self {
                epoch_blocks: 60,
                sprint_blocks: 12,
                grace_blocks: 2,
                verify_blocks: 12,
                dealing_blocks: 18,
                max_validators: 100,
                operator_cap_thousandths: 300,
                silent_after_blocks: 3,
            },
            Preset::Main => Self {
                epoch_blocks: 14_400,
                sprint_blocks: 180,
                grace_blocks: 10,
                verify_blocks: 600,
                dealing_blocks: 900,
                max_validators: 100,
                operator_cap_thousandths: 300,
                silent_after_blocks: 5,
            },
        }
    }

    pub(crate) fn check(&self) -> Result<(), ParamsError> {
        require(
            (1..=1 << 32).contains(&self.epoch_blocks),
            "epochs.epoch_blocks",
            self.epoch_blocks,
            "between 1 and 2^32",
        )?;
        // Challenge, the plan and the switch take one block each.
        let phases = self
            .sprint_blocks
            .checked_add(self.grace_blocks)
            .and_then(|sum| sum.checked_add(self.verify_blocks))
            .and_then(|sum| sum.checked_add(self.dealing_blocks))
            .and_then(|sum| sum.checked_add(3));
        require(
            self.sprint_blocks > 0 && phases.is_some_and(|sum| sum <= self.epoch_blocks),
            "epochs.epoch_blocks",
            self.epoch_blocks,
            "at least sprint + grace + verify + dealing + 3 blocks, with a sprint of at least 1",
        )?;
        require(
            (1..=MAX_VALIDATORS).contains(&(self.max_validators as usize)),
            "epochs.max_validators",
            self.max_validators,
            "between 1 and 128",
        )?;
        require(
            (1..=333).contains(&self.operator_cap_thousandths),
            "epochs.operator_cap_thousandths",
            self.operator_cap_thousandths,
            "between 1 and 333: nobody may hold a third alone",
        )?;
        require(self.silent_after_blocks > 0, "epochs.silent_after_blocks", 0u64, "more than 0")
    }
}

/// What happens in epochs.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// A phase began; with [`Phase::Sprint`] also an epoch.
    PhaseStarted {
        /// The epoch.
        epoch: Epoch,
        /// The phase.
        phase: Phase,
    },
    /// The set of the next epoch is formed.
    Switched {
        /// The epoch that it signs.
        epoch: Epoch,
        /// Its members.
        validators: u32,
        /// Its total power.
        power: u64,
    },
    /// The old set stays for one more epoch.
    SwitchHeld {
        /// The epoch that it signs again.
        epoch: Epoch,
        /// Why.
        reason: HeldReason,
    },
    /// The set of the next epoch is planned; its keys can be dealt.
    Planned {
        /// The epoch that it is to sign.
        epoch: Epoch,
        /// Its members.
        validators: u32,
    },
}

/// Why a switch is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum HeldReason {
    /// Nobody would have power.
    NoPower,
    /// More than a third of the old power is gone.
    TooMuchLost,
    /// The beacon's keys are not dealt to the new set.
    DealingFailed,
}

impl HeldReason {
    /// The reason's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoPower => "no_power",
            Self::TooMuchLost => "too_much_lost",
            Self::DealingFailed => "dealing_failed",
        }
    }
}

/// The rules of epochs.
pub struct Epochs;

/// Epochs take no messages.
pub enum Never {}

impl Module for Epochs {
    type Message = Never;

    fn genesis(context: &mut Context<'_, '_>, _: &Genesis) -> Result<(), Fault> {
        let candidates = candidates(context, None)?;
        let set = power::first_set(candidates, &context.params.epochs)
            .map_err(|error| Fault(format!("the hosts form no validator set: {error}")))?;
        CLOCK.set(context.state, &Clock::GENESIS);
        SILENCE.set(context.state, &BTreeMap::new());
        PLAN.set(context.state, &None);
        SETS.set(context.state, &Epoch(0), &KnownSet { start: Height::FIRST, validators: set.clone() });
        VALIDATORS.set(context.state, &set);
        Ok(())
    }

    fn begin(context: &mut Context<'_, '_>) -> Result<(), Fault> {
        CLOCK.set(context.state, &context.clock);
        let (clock, height, params) = (context.clock, context.block.height, &context.params.epochs);
        let phase = clock.phase(height, params);
        // Across the epoch's edge the clock's start lies after the parent: that is a new phase as well.
        if height == clock.start || clock.phase(height.minus(1), params) != phase {
            emit(context, Event::PhaseStarted { epoch: clock.epoch, phase });
        }
        count_silence(context)
    }

    fn apply(_: &mut Context<'_, '_>, message: &Never) -> Result<(), Error> {
        match *message {}
    }

    fn end(context: &mut Context<'_, '_>) -> Result<(), Fault> {
        if context.block.height == context.clock.plan_height(&context.params.epochs) {
            plan(context)?;
        }
        if context.clock.phase(context.block.height, &context.params.epochs) == Phase::Switch {
            switch(context)?;
        }
        Ok(())
    }

    fn holdings(_: &dyn Reader, _: &mut Vaults) -> Result<(), Fault> {
        Ok(())
    }
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(receipt::Event::Epochs(event));
}

/// Counts who did not sign the parent.
fn count_silence(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let parent = context.block.height.minus(1);
    if parent == Height::GENESIS {
        return Ok(());
    }
    let set = set_at(context.state, parent)?
        .ok_or_else(|| Fault(format!("the validators of height {parent} are not known")))?;
    let mut silence = SILENCE.require(context.state)?;
    let before = silence.clone();
    for member in set.members() {
        if context.block.parent_signers.contains(&member.address) {
            silence.remove(&member.address);
        } else {
            let missed = silence.entry(member.address).or_default();
            *missed = missed.saturating_add(1);
        }
    }
    silence.retain(|address, _| set.get(address).is_some());
    if silence != before {
        SILENCE.set(context.state, &silence);
    }
    Ok(())
}

/// Who could sign in the next epoch. `old` is the set that signs now, or `None` at genesis.
fn candidates(context: &Context<'_, '_>, old: Option<&ValidatorSet>) -> Result<Vec<Candidate>, Fault> {
    let per_power = context.params.hosts.collateral_per_power;
    let genesis_stands = context.clock.epoch.next() < FIRST_PROVEN_EPOCH;
    let mut candidates = Vec::new();
    for (address, host) in hosts::all(context.state)? {
        if host.status != Status::Active {
            continue;
        }
        let power = match old {
            Some(set) if genesis_stands => set.get(&address).map_or(0, |member| member.power),
            _ => {
                let weight = weights::record_of(context.state, &address, &host)?.power();
                power::backed(weight, host.collateral, per_power)
            }
        };
        if power > 0 {
            let (key, operator) = (host.profile.consensus_key, host.profile.operator);
            candidates.push(Candidate { address, key, operator, power });
        }
    }
    Ok(candidates)
}

/// Forms the set of the next epoch.
fn plan(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let old = VALIDATORS.require(context.state)?;
    let epoch = context.clock.epoch.next();
    let candidates = candidates(context, Some(&old))?;
    // A held switch warns everybody for one epoch. After that the loss stands: those who left are gone, and a
    // set that can never change again would be worse than a small one.
    let loss = if HELD.get(context.state)? == Some(true) { Loss::Accepted } else { Loss::Bounded };
    let set = power::next_set(&old, candidates, &context.params.epochs, loss);
    if let Ok(set) = &set {
        emit(context, Event::Planned { epoch, validators: set.members().len() as u32 });
    }
    PLAN.set(context.state, &Some(Plan { epoch, at: context.block.height, set }));
    Ok(())
}

/// What of the plan can be adopted: it, without those who left or were removed since.
fn adoptable(context: &Context<'_, '_>, epoch: Epoch) -> Result<Result<ValidatorSet, HeldReason>, Fault> {
    let Some(plan) = PLAN.require(context.state)?.filter(|plan| plan.epoch == epoch) else {
        return Ok(Err(HeldReason::NoPower));
    };
    let planned = match plan.set {
        Ok(set) => set,
        Err(reason) => return Ok(Err(reason)),
    };
    let mut members = Vec::new();
    for member in planned.members() {
        if HOSTS.get(context.state, &member.address)?.is_some_and(|host| host.status == Status::Active) {
            members.push(*member);
        }
    }
    let left: u128 = members.iter().map(|member| u128::from(member.power)).sum();
    if left * 3 < u128::from(planned.total_power()) * 2 {
        return Ok(Err(HeldReason::TooMuchLost));
    }
    if !beacon::ready(context.state, epoch)? {
        return Ok(Err(HeldReason::DealingFailed));
    }
    Ok(ValidatorSet::new(members).map_err(|_| HeldReason::NoPower))
}

/// The last block of an epoch: adopts the planned set and lets go who asked to leave, or holds the old one.
fn switch(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let epoch = context.clock.epoch.next();
    let formed = adoptable(context, epoch)?;
    if formed != Err(HeldReason::DealingFailed) {
        HELD.set(context.state, &(formed == Err(HeldReason::TooMuchLost)));
    }
    PLAN.set(context.state, &None);
    let set = match formed {
        Ok(set) => {
            beacon::adopt(context, epoch)?;
            let leaving: Vec<_> = hosts::all(context.state)?
                .into_iter()
                .filter(|(_, host)| host.status == Status::Leaving)
                .collect();
            for (address, host) in leaving {
                hosts::let_go(context, &address, host)?;
            }
            let (validators, power) = (set.members().len() as u32, set.total_power());
            emit(context, Event::Switched { epoch, validators, power });
            set
        }
        Err(reason) => {
            beacon::discard(context)?;
            emit(context, Event::SwitchHeld { epoch, reason });
            VALIDATORS.require(context.state)?
        }
    };
    VALIDATORS.set(context.state, &set);
    SETS.set(context.state, &epoch, &KnownSet { start: context.block.height.next(), validators: set });
    if let Some(expired) = epoch.0.checked_sub(KEPT_SETS) {
        SETS.remove(context.state, &Epoch(expired));
    }
    Ok(())
}

/// The validators that signed `height`, if that is recent enough to be kept.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn set_at(state: &dyn Reader, height: Height) -> Result<Option<ValidatorSet>, Fault> {
    let known = SETS.page(state, None, KEPT_SETS as usize + 1)?;
    Ok(known.into_iter().rev().find(|(_, set)| set.start <= height).map(|(_, set)| set.validators))
}

/// Validators that have been silent for so long that they are not asked for proposals.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn silent(state: &dyn Reader, params: &Params) -> Result<Vec<Address>, Fault> {
    let silence = SILENCE.require(state)?;
    Ok(silence
        .into_iter()
        .filter(|(_, missed)| *missed >= params.silent_after_blocks)
        .map(|(address, _)| address)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_its_length() {
        for preset in Preset::ALL {
            let params = Params::preset(preset);
            let mut clock = Clock::GENESIS;
            let mut lengths = BTreeMap::new();
            for height in 1..=2 * params.epoch_blocks {
                clock = clock.at(Height(height), &params);
                *lengths.entry(clock.phase(Height(height), &params).name()).or_insert(0) += 1;
            }
            assert_eq!(clock.epoch, Epoch(1));
            let rest =
                params.epoch_blocks - params.sprint_blocks - params.grace_blocks - params.verify_blocks - 2;
            let expected = BTreeMap::from([
                ("sprint", 2 * params.sprint_blocks),
                ("commit_grace", 2 * params.grace_blocks),
                ("challenge", 2),
                ("verify", 2 * params.verify_blocks),
                ("serve", 2 * rest),
                ("switch", 2),
            ]);
            assert_eq!(lengths, expected);
        }
    }
}
