//! Beacon: the network's one source of randomness, one value per height.
//!
//! A value is a threshold signature of the *group*: the validators' shares of a key that they make together,
//! fresh for every epoch. The ledger carries the making of the key (dealings, acknowledgements and logs, so
//! that everybody sees the same ones in the same order), keeps the groups, and records the values that headers
//! carry. A value is never replaced by another height's: who needs one waits for it, and only what was decided
//! before that height may be drawn from it.
//!
//! Losing shares costs randomness and what waits for it, never agreement: blocks go on, and a dealing that
//! fails leaves the old group and the old validators together in force.

mod round;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_beacon::{Group, Value};
use freeway_primitives::{Address, BeaconRecord, Digest, Epoch, Height};

use crate::accounts::Scope;
use crate::context::Context;
use crate::error::Error;
use crate::evidence::CHAIN;
use crate::genesis::{Genesis, Text};
use crate::module::Module;
use crate::params::{ParamsError, Preset, require};
use crate::receipt;
use crate::state::{Fault, Reader, Table};
use crate::vaults::Vaults;

pub use round::{ACKNOWLEDGEMENTS, DEALINGS, Dealing, LOGS, NEXT, ROUND, Stage, posted, stage};

/// Recent values, by the height they belong to.
pub const VALUES: Table<Height, Digest> = Table::new("beacon/value/");

/// Groups, by the epoch for which their key was made.
pub const GROUPS: Table<Epoch, KnownGroup> = Table::new("beacon/group/");

/// How many groups are kept: for values of heights before a switch, and for light clients.
pub const KEPT_GROUPS: u64 = 4;

/// How many heights back a value may be recorded, and how long it is kept.
pub const WINDOW: u64 = 512;

/// A group and since when it signs.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct KnownGroup {
    /// Its first height.
    pub start: Height,
    /// The group.
    pub group: Group,
}

/// Parameters of the beacon.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// Shares of the key, divided among the validators by power.
    pub seats: u16,
}

impl Params {
    pub(crate) const fn preset(preset: Preset) -> Self {
        Self {
            seats: match preset {
                Preset::Local => 16,
                Preset::Main => 192,
            },
        }
    }

    pub(crate) fn check(&self) -> Result<(), ParamsError> {
        require((1..=255).contains(&self.seats), "beacon.seats", self.seats, "between 1 and 255")
    }
}

/// What the holders of seats post, each once per epoch. The bytes are those of the crate `freeway-beacon`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// A part of the next epoch's key, with an encrypted share for every seat.
    Deal(Vec<u8>),
    /// Which dealings gave the sender right shares, and which did not.
    Acknowledge(Vec<u8>),
    /// The shares of those who called the sender's dealing wrong. Due only if somebody did.
    Close(Vec<u8>),
}

impl Message {
    pub(crate) fn scope(&self) -> Option<Scope> {
        Some(Scope::Operator)
    }
}

/// What happens with the beacon.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// The validators begin to make the key of an epoch.
    DealingStarted {
        /// The epoch.
        epoch: Epoch,
        /// Holders of seats.
        holders: u32,
    },
    /// The key of an epoch is made.
    GroupFormed {
        /// The epoch.
        epoch: Epoch,
        /// Digest of the group's key.
        key: Digest,
    },
    /// The key could not be made; the old group and the old validators stay.
    DealingFailed {
        /// The epoch.
        epoch: Epoch,
        /// Why.
        reason: Text,
    },
}

/// Why a message about the making of a key is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum Failure {
    /// No key is being made, or its making has not come so far.
    #[error("this step of a dealing is not due yet; wait for its stage")]
    TooEarly,
    /// A later step is due.
    #[error("the time for this step of the dealing is over: the stage is {stage}")]
    TooLate {
        /// The stage.
        stage: Text,
    },
    /// The sender has no seat.
    #[error("only validators of the coming epoch take part in its dealing")]
    NoSeat,
    /// The sender has done this.
    #[error("this step was done already; nothing more is needed")]
    Repeated,
    /// The bytes are no good.
    #[error("the message is not valid: {reason}")]
    Invalid {
        /// What is wrong.
        reason: Text,
    },
}

impl Failure {
    /// Whether the same message may be accepted by a later block.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::TooEarly)
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::TooEarly => "too_early",
            Self::TooLate { .. } => "too_late",
            Self::NoSeat => "no_seat",
            Self::Repeated => "repeated",
            Self::Invalid { .. } => "invalid_dealing",
        }
    }
}

/// The rules of the beacon.
pub struct Beacon;

impl Module for Beacon {
    type Message = Message;

    fn genesis(context: &mut Context<'_, '_>, _: &Genesis) -> Result<(), Fault> {
        ROUND.set(context.state, &None);
        NEXT.set(context.state, &None);
        Ok(())
    }

    fn begin(context: &mut Context<'_, '_>) -> Result<(), Fault> {
        if let Some((height, value)) = context.block.beacon {
            VALUES.set(context.state, &height, &value);
        }
        if let Some(expired) = context.block.height.0.checked_sub(WINDOW + 1) {
            VALUES.remove(context.state, &Height(expired));
        }
        round::begin(context)
    }

    fn apply(context: &mut Context<'_, '_>, message: &Message) -> Result<(), Error> {
        round::apply(context, message)
    }

    fn end(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn holdings(_: &dyn Reader, _: &mut Vaults) -> Result<(), Fault> {
        Ok(())
    }
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(receipt::Event::Beacon(event));
}

/// A short text for people, cut to what a [`Text`] may hold.
fn text(words: &str) -> Text {
    Text::new(words.chars().filter(|c| !c.is_control()).take(120).collect::<String>()).unwrap_or_default()
}

/// The value of `height`, if it has been recorded and is recent.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn value(state: &dyn Reader, height: Height) -> Result<Option<Digest>, Fault> {
    VALUES.get(state, &height)
}

/// The group that signs for `height`, if there is one and it is recent enough to be kept.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn group_at(state: &dyn Reader, height: Height) -> Result<Option<KnownGroup>, Fault> {
    let known = GROUPS.page(state, None, KEPT_GROUPS as usize + 1)?;
    Ok(known.into_iter().rev().map(|(_, known)| known).find(|known| known.start <= height))
}

/// Why a header may not carry a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not of an earlier, recent height.
    #[error("its beacon value is not of one of the last {WINDOW} heights")]
    OutOfWindow,
    /// It is in state already.
    #[error("its beacon value is recorded already")]
    Recorded,
    /// Nobody could have signed it.
    #[error("its beacon value is of a height without a group")]
    NoGroup,
    /// Not the group's signature.
    #[error("its beacon value is not the group's signature for that height")]
    Invalid,
}

/// The randomness of a value that the header of `height` carries, if it may: `state` is the parent's.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn check_record(
    state: &dyn Reader,
    height: Height,
    record: &BeaconRecord,
) -> Result<Result<Digest, RecordError>, Fault> {
    if record.height >= height || record.height.0 + WINDOW < height.0 {
        return Ok(Err(RecordError::OutOfWindow));
    }
    if value(state, record.height)?.is_some() {
        return Ok(Err(RecordError::Recorded));
    }
    let Some(known) = group_at(state, record.height)? else { return Ok(Err(RecordError::NoGroup)) };
    let (chain, value) = (CHAIN.require(state)?, Value(record.signature));
    Ok(match known.group.verify(&chain, record.height, &value) {
        Ok(()) => Ok(value.randomness()),
        Err(_) => Err(RecordError::Invalid),
    })
}

/// Whether a group stands ready to sign from the first height of `epoch` on.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn ready(state: &dyn Reader, epoch: Epoch) -> Result<bool, Fault> {
    Ok(NEXT.require(state)?.is_some_and(|group| group.epoch == epoch))
}

/// Forgets a group that was made for a switch which is held for another reason: set and group stay together.
pub(crate) fn discard(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    if let Some(group) = NEXT.require(context.state)? {
        round::forget(context, group.epoch, &holders(&group));
        NEXT.set(context.state, &None);
    }
    Ok(())
}

fn holders(group: &Group) -> Vec<Address> {
    group.seats.holders().iter().map(|holder| holder.address).collect()
}

/// Puts the group of `epoch` in force from the next height on. For the switch, which has seen that it is
/// [`ready`].
pub(crate) fn adopt(context: &mut Context<'_, '_>, epoch: Epoch) -> Result<(), Fault> {
    let Some(group) = NEXT.require(context.state)? else {
        return Err(Fault(format!("no group stands ready for epoch {epoch}")));
    };
    NEXT.set(context.state, &None);
    GROUPS.set(context.state, &epoch, &KnownGroup { start: context.block.height.next(), group });
    let known = GROUPS.page(context.state, None, KEPT_GROUPS as usize + 1)?;
    if known.len() > KEPT_GROUPS as usize
        && let Some((oldest, known)) = known.into_iter().next()
    {
        GROUPS.remove(context.state, &oldest);
        round::forget(context, oldest, &holders(&known.group));
    }
    Ok(())
}
