//! Rewards: new money for those who keep the network running, and what verifiers are owed.
//!
//! Each epoch has an emission ([`emission`]), smaller from epoch to epoch, so that all of it together has a limit
//! ([`limit`]). It is made in the last block of the epoch and at no other time; the executor checks that. Half goes to
//! hosts by their capped weight, half to those who served, both times the part of its duties that a host did. What
//! nobody earns goes to the common pool, not to the others: nobody gains by what another misses.
//!
//! # Serving
//!
//! Only fees of lanes that the beacon drew without constraints count, at arm's length
//! ([`Earned`](crate::lanes::Earned)), and emission for them is at most the training fund's part of them. Whoever pays
//! itself loses that part for good; the verifiers' part it may get back as a verifier. So dealing with oneself earns at
//! most what it costs, before any computing. Requests made by the protocol itself (probes) would count here beside the
//! fees of lanes; there are none yet.
//!
//! # Verifiers
//!
//! Their part of all fees is shared out at the switch by verdicts done; what is left over, and everything if nobody
//! did any, waits for the next.
//!
//! # Vesting
//!
//! Emission first fills the collateral that a host's weight needs; the rest is released in equal parts over
//! [`Params::vesting_epochs`] ([`Vesting`]), the first part at once. A host that is slashed loses what is not
//! released, and gets nothing for the epoch. Fees do not vest.
//!
//! # How money stays conserved
//!
//! The supply is what genesis gave plus [`MINTED`]; a block that ends an epoch adds exactly that epoch's emission to
//! both, any other block nothing.

mod emission;
mod release;
mod share;
mod vesting;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Epoch};

use crate::context::{BlockInfo, Context};
use crate::epochs::{Clock, Phase};
use crate::error::Error;
use crate::genesis::Genesis;
use crate::module::{self, Module};
use crate::params::{ParamsError, Preset, require};
use crate::receipt;
use crate::state::{Cell, Fault, Reader, Table};
use crate::vaults::{MINTED, SUPPLY, Vault, Vaults};

pub use emission::{emission, limit};
pub use vesting::{Bucket, MAX_BUCKETS, Vesting};

/// What each host was given. Entries of hosts that are gone stay until all is released.
pub const EARNINGS: Table<Address, Earnings> = Table::new("rewards/earnings/");

/// Checks of served work in this epoch, by who had to do them.
pub const DUTIES: Table<Address, Duty> = Table::new("rewards/duty/");

/// Hosts that were slashed in this epoch.
const FORFEITED: Table<Address, ()> = Table::new("rewards/forfeited/");

/// What verifiers are owed from earlier epochs.
const CARRIED: Cell<Amount> = Cell::new("rewards/carried");

/// The pass over [`EARNINGS`] that is under way.
const PASS: Cell<Option<Pass>> = Cell::new("rewards/pass");

/// The bits of a duty factor: this many times a half is everything.
const DUTY_BITS: u32 = 16;

/// What a host was given, and what of it is not released.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Earnings {
    /// What is not released.
    pub vesting: Vesting,
    /// What it got last.
    pub last: Grant,
    /// All emission that was put into vesting.
    pub granted: Amount,
    /// All emission that went into its collateral.
    pub bonded: Amount,
    /// Of what vested, all that was released.
    pub released: Amount,
    /// Of what vested, all that was lost.
    pub forfeited: Amount,
    /// All that it got for verdicts.
    pub verdicts: Amount,
}

/// What a host got at a switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Grant {
    /// The epoch that it was for.
    pub epoch: Epoch,
    /// Emission by weight.
    pub capacity: Amount,
    /// Emission for serving.
    pub served: Amount,
    /// Of these two, what went into collateral. The rest vests.
    pub bonded: Amount,
    /// For verdicts.
    pub verdicts: Amount,
}

/// Checks of served work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Duty {
    /// Asked for.
    pub owed: u32,
    /// Of these, done.
    pub done: u32,
}

impl Duty {
    /// The part that was done, in parts of 2^16. All of it if nothing was asked for: then nothing was missed.
    fn factor(self) -> u64 {
        let done = u64::from(self.done.min(self.owed)) << DUTY_BITS;
        done.checked_div(u64::from(self.owed)).unwrap_or(1 << DUTY_BITS)
    }
}

/// A pass over [`EARNINGS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Pass {
    /// The epoch that ended last.
    epoch: Epoch,
    /// The last entry that is done.
    after: Option<Address>,
}

/// Parameters of rewards.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// The emission of epoch 0.
    pub first: Amount,
    /// What an epoch's emission is of the one before, in parts of 2^64.
    pub decay: u64,
    /// The part of emission that goes by weight, in thousandths; the rest is for serving.
    pub capacity_thousandths: u64,
    /// Epochs over which emission is released.
    pub vesting_epochs: u64,
    /// The part of what is not released that a slashed host loses, in thousandths.
    pub forfeit_thousandths: u64,
    /// The most hosts whose emission one block releases; the rest follow in the next.
    pub max_releases_per_block: u32,
}

/// Halves in 8,766 epochs: four years, if an epoch is four hours.
const HALVING_IN_8766: u64 = 0xfffa_d170_c757_276b;

/// The most emission of an epoch: its product with a part of 2^64 is a number.
const MAX_FIRST: Amount = Amount(1 << 63);

impl Params {
    pub(crate) const fn preset(preset: Preset) -> Self {
        Self {
            first: match preset {
                Preset::Local => Amount::fwy(100),
                Preset::Main => Amount::fwy(10_000),
            },
            decay: HALVING_IN_8766,
            capacity_thousandths: 500,
            vesting_epochs: match preset {
                Preset::Local => 4,
                Preset::Main => 180,
            },
            forfeit_thousandths: 1_000,
            max_releases_per_block: 1_024,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ParamsError> {
        let first = u64::try_from(self.first.0).unwrap_or(u64::MAX);
        require(self.first <= MAX_FIRST, "rewards.first", first, "at most 2^63 base units")?;
        for (name, value) in [
            ("rewards.capacity_thousandths", self.capacity_thousandths),
            ("rewards.forfeit_thousandths", self.forfeit_thousandths),
        ] {
            require(value <= 1_000, name, value, "at most 1000")?;
        }
        require(
            (1..=10_000).contains(&self.vesting_epochs),
            "rewards.vesting_epochs",
            self.vesting_epochs,
            "between 1 and 10000",
        )?;
        require(
            (1..=10_000).contains(&self.max_releases_per_block),
            "rewards.max_releases_per_block",
            self.max_releases_per_block,
            "between 1 and 10000",
        )
    }
}

/// What happens with rewards.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// An epoch's emission was made.
    Emitted {
        /// The epoch.
        epoch: Epoch,
        /// All of it.
        emission: Amount,
        /// Of this, what went to the common pool.
        pooled: Amount,
    },
    /// A host got its part of an epoch.
    Granted {
        /// The host.
        host: Address,
        /// What it got.
        grant: Grant,
    },
    /// Emission came free.
    Released {
        /// The host.
        host: Address,
        /// How much.
        amount: Amount,
    },
    /// A slashed host lost what was not released.
    Forfeited {
        /// The host.
        host: Address,
        /// How much.
        amount: Amount,
    },
}

/// The rules of rewards.
pub struct Rewards;

/// Rewards take no messages.
pub enum Never {}

impl Module for Rewards {
    type Message = Never;

    fn genesis(context: &mut Context<'_, '_>, _: &Genesis) -> Result<(), Fault> {
        let supply = SUPPLY.require(context.state)?;
        if supply.checked_add(limit(&context.params.rewards)).is_none() {
            return Err(Fault("all money that would ever exist is more than can be counted".into()));
        }
        CARRIED.set(context.state, &Amount::ZERO);
        PASS.set(context.state, &None);
        Ok(())
    }

    fn begin(context: &mut Context<'_, '_>) -> Result<(), Fault> {
        release::run(context)
    }

    fn apply(_: &mut Context<'_, '_>, message: &Never) -> Result<(), Error> {
        match *message {}
    }

    fn end(context: &mut Context<'_, '_>) -> Result<(), Fault> {
        if context.clock.phase(context.block.height, &context.params.epochs) != Phase::Switch {
            return Ok(());
        }
        share::out(context)?;
        release::start(context)?;
        release::run(context)
    }

    fn holdings(state: &dyn Reader, totals: &mut Vaults) -> Result<(), Fault> {
        module::add(&mut totals.rewards, CARRIED.require(state)?)?;
        let mut after = None;
        loop {
            let page = EARNINGS.page(state, after.as_ref(), 256)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for (_, earnings) in &page {
                module::add(&mut totals.rewards, earnings.vesting.left()?)?;
            }
        }
    }
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(receipt::Event::Rewards(event));
}

/// Counts checks of served work that `member` had to do, and those of them that it did.
pub(crate) fn count_duty(
    context: &mut Context<'_, '_>,
    member: &Address,
    owed: u32,
    done: u32,
) -> Result<(), Fault> {
    let mut duty = DUTIES.get(context.state, member)?.unwrap_or_default();
    duty.owed = duty.owed.saturating_add(owed);
    duty.done = duty.done.saturating_add(done);
    DUTIES.set(context.state, member, &duty);
    Ok(())
}

/// A host was slashed: it loses what is not released, and gets nothing at the next switch.
pub(crate) fn forfeit(context: &mut Context<'_, '_>, host: &Address) -> Result<(), Fault> {
    FORFEITED.set(context.state, host, &());
    let Some(mut earnings) = EARNINGS.get(context.state, host)? else { return Ok(()) };
    let lost = earnings.vesting.forfeit(context.params.rewards.forfeit_thousandths, 1_000)?;
    if lost.is_zero() {
        return Ok(());
    }
    module::add(&mut earnings.forfeited, lost)?;
    EARNINGS.set(context.state, host, &earnings);
    context.shift(Vault::Rewards, Vault::Pool, lost)?;
    emit(context, Event::Forfeited { host: *host, amount: lost });
    Ok(())
}

/// What a block must have made: its epoch's emission if it is the epoch's last, else nothing.
pub(crate) fn due(params: &crate::Params, clock: Clock, block: &BlockInfo) -> Amount {
    match clock.phase(block.height, &params.epochs) {
        Phase::Switch => emission(&params.rewards, clock.epoch),
        _ => Amount::ZERO,
    }
}

/// What an account's host was given; nothing if there is none.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn earnings(state: &dyn Reader, host: &Address) -> Result<Earnings, Fault> {
    Ok(EARNINGS.get(state, host)?.unwrap_or_default())
}

/// All money that was made since genesis.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn minted(state: &dyn Reader) -> Result<Amount, Fault> {
    MINTED.require(state)
}
