//! The making of one epoch's key, over the chain.
//!
//! It begins when the plan of the next validators stands and must be done by the switch. Its blocks are
//! divided into three stages: dealings, acknowledgements, and the answers of dealers whose shares somebody
//! called wrong. At the switch the group is formed from them, or the dealing has failed.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_beacon::{Acks, Board, Dealing as DealingMessage, Group, Log, Round, Seats};
use freeway_primitives::{Address, Canonical, ChainId, Digest, Domain, Epoch, Height};

use super::{Event, Failure, Message, emit, text};
use crate::context::Context;
use crate::epochs::{self, Phase, Plan};
use crate::error::Error;
use crate::evidence::CHAIN;
use crate::params::Params;
use crate::state::{Cell, Fault, Reader, Table};

/// Names a group's key in events.
const KEY: Domain = Domain::new("freeway 1 beacon group key");

/// The dealing that is under way.
pub const ROUND: Cell<Option<Dealing>> = Cell::new("beacon/round");

/// The group of the next epoch, between its making and the switch.
pub const NEXT: Cell<Option<Group>> = Cell::new("beacon/next");

/// Dealings, by epoch and dealer. Kept with the group: shares are read from them.
pub const DEALINGS: Table<(Epoch, Address), Vec<u8>> = Table::new("beacon/dealing/");

/// Acknowledgements, by epoch and holder.
pub const ACKNOWLEDGEMENTS: Table<(Epoch, Address), Vec<u8>> = Table::new("beacon/acknowledgement/");

/// Logs, by epoch and dealer. Kept with the group.
pub const LOGS: Table<(Epoch, Address), Vec<u8>> = Table::new("beacon/log/");

/// A dealing under way.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Dealing {
    /// The epoch whose key is made.
    pub epoch: Epoch,
    /// The first block of the dealing.
    pub start: Height,
    /// The block of the switch.
    pub switch: Height,
    /// Who holds which seats.
    pub seats: Seats,
}

/// What is due in a dealing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Stage {
    /// Dealings.
    Deal,
    /// Acknowledgements.
    Acknowledge,
    /// Logs.
    Close,
    /// Nothing: the key is made, or not.
    Over,
}

impl Stage {
    /// The stage's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deal => "deal",
            Self::Acknowledge => "acknowledge",
            Self::Close => "close",
            Self::Over => "over",
        }
    }
}

impl Dealing {
    /// The stage of a block at `height`.
    pub fn stage(&self, height: Height) -> Stage {
        let blocks = self.switch.0.saturating_sub(self.start.0);
        let third = blocks.div_ceil(3);
        let position = height.0.saturating_sub(self.start.0);
        if position >= blocks {
            Stage::Over
        } else if position < third {
            Stage::Deal
        } else if position < 2 * third {
            Stage::Acknowledge
        } else {
            Stage::Close
        }
    }

    /// The round, as the crate `freeway-beacon` has it.
    pub fn round(&self, chain: ChainId) -> Round {
        Round::new(chain, self.epoch, self.seats.clone())
    }

    /// Who holds seats.
    pub fn holders(&self) -> Vec<Address> {
        self.seats.holders().iter().map(|holder| holder.address).collect()
    }
}

/// The dealing that the block at `height` begins, if the plan was made in the block before.
fn opening(state: &dyn Reader, height: Height) -> Result<Option<Dealing>, Fault> {
    let Some(Plan { epoch, at, set: Ok(set) }) = epochs::PLAN.require(state)? else { return Ok(None) };
    if at.next() != height {
        return Ok(None);
    }
    let params = Params::current(state)?;
    let start = epochs::CLOCK.require(state)?.start;
    let switch = Height(start.0.saturating_add(params.epochs.epoch_blocks.saturating_sub(1)));
    let seats = Seats::apportion(&set, params.beacon.seats).map_err(|error| Fault(error.to_string()))?;
    Ok((height < switch).then_some(Dealing { epoch, start: height, switch, seats }))
}

/// The dealing under way, and what is due in the block at `height`, the first after `state`.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn stage(state: &dyn Reader, height: Height) -> Result<Option<(Dealing, Stage)>, Fault> {
    let dealing = match ROUND.require(state)? {
        Some(dealing) => Some(dealing),
        None => opening(state, height)?,
    };
    Ok(dealing.map(|dealing| {
        let stage = dealing.stage(height);
        (dealing, stage)
    }))
}

pub(super) fn begin(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let height = context.block.height;
    if context.clock.phase(height, &context.params.epochs) == Phase::Switch {
        return finish(context);
    }
    let Some(dealing) = opening(context.state, height)? else { return Ok(()) };
    let epoch = dealing.epoch;
    let holders = dealing.seats.holders().len() as u32;
    ROUND.set(context.state, &Some(dealing));
    emit(context, Event::DealingStarted { epoch, holders });
    Ok(())
}

/// At the switch: the group, or why there is none.
fn finish(context: &mut Context<'_, '_>) -> Result<(), Fault> {
    let Some(dealing) = ROUND.require(context.state)? else { return Ok(()) };
    ROUND.set(context.state, &None);
    let round = dealing.round(CHAIN.require(context.state)?);
    let holders = dealing.holders();
    let dealings = posted::<DealingMessage>(context.state, DEALINGS, dealing.epoch, &holders)?;
    let acks = posted::<Acks>(context.state, ACKNOWLEDGEMENTS, dealing.epoch, &holders)?;
    let logs = posted::<Log>(context.state, LOGS, dealing.epoch, &holders)?;
    match Board::new(round, dealings).group(&acks, &logs) {
        Ok(group) => {
            for holder in &holders {
                ACKNOWLEDGEMENTS.remove(context.state, &(dealing.epoch, *holder));
            }
            emit(context, Event::GroupFormed { epoch: dealing.epoch, key: Digest::of(KEY, &group.key()) });
            NEXT.set(context.state, &Some(group));
        }
        Err(failed) => {
            forget(context, dealing.epoch, &holders);
            emit(context, Event::DealingFailed { epoch: dealing.epoch, reason: text(&failed.to_string()) });
        }
    }
    Ok(())
}

/// What the holders of seats have posted.
///
/// # Errors
/// [`Fault`] if the state cannot be read.
pub fn posted<T: Canonical>(
    state: &dyn Reader,
    table: Table<(Epoch, Address), Vec<u8>>,
    epoch: Epoch,
    holders: &[Address],
) -> Result<BTreeMap<Address, T>, Fault> {
    let mut found = BTreeMap::new();
    for holder in holders {
        if let Some(bytes) = table.get(state, &(epoch, *holder))? {
            // It was decoded before it was recorded.
            found.insert(*holder, T::decode(&bytes).map_err(|error| Fault(error.to_string()))?);
        }
    }
    Ok(found)
}

/// Removes what was posted for the key of `epoch`.
pub(super) fn forget(context: &mut Context<'_, '_>, epoch: Epoch, holders: &[Address]) {
    for holder in holders {
        DEALINGS.remove(context.state, &(epoch, *holder));
        ACKNOWLEDGEMENTS.remove(context.state, &(epoch, *holder));
        LOGS.remove(context.state, &(epoch, *holder));
    }
}

fn fail<T>(failure: Failure) -> Result<T, Error> {
    Err(Error::Failed(failure.into()))
}

fn invalid<T>(error: impl core::fmt::Display) -> Result<T, Error> {
    fail(Failure::Invalid { reason: text(&error.to_string()) })
}

pub(super) fn apply(context: &mut Context<'_, '_>, message: &Message) -> Result<(), Error> {
    let (caller, height) = (context.caller, context.block.height);
    let Some((dealing, stage)) = stage(context.state, height)? else { return fail(Failure::TooEarly) };
    let (due, table, bytes) = match message {
        Message::Deal(bytes) => (Stage::Deal, DEALINGS, bytes),
        Message::Acknowledge(bytes) => (Stage::Acknowledge, ACKNOWLEDGEMENTS, bytes),
        Message::Close(bytes) => (Stage::Close, LOGS, bytes),
    };
    if stage < due {
        return fail(Failure::TooEarly);
    }
    if stage > due {
        return fail(Failure::TooLate { stage: text(stage.name()) });
    }
    if dealing.seats.holder(&caller).is_none() {
        return fail(Failure::NoSeat);
    }
    let key = (dealing.epoch, caller);
    if table.get(context.state, &key)?.is_some() {
        return fail(Failure::Repeated);
    }
    let round = dealing.round(CHAIN.require(context.state)?);
    match message {
        Message::Deal(bytes) => {
            let posted = DealingMessage::decode(bytes).or_else(invalid)?;
            round.check_dealing(&caller, &posted).or_else(invalid)?;
        }
        Message::Acknowledge(bytes) => {
            let posted = Acks::decode(bytes).or_else(invalid)?;
            round.check_acks(&caller, &posted).or_else(invalid)?;
        }
        Message::Close(bytes) => {
            let log = Log::decode(bytes).or_else(invalid)?;
            let Some(own) = DEALINGS.get(context.state, &key)? else {
                return invalid("there is no dealing to defend");
            };
            let own = DealingMessage::decode(&own).map_err(|error| Fault(error.to_string()))?;
            round.check_log(&caller, &own, &log).or_else(invalid)?;
        }
    }
    table.set(context.state, &key, bytes);
    Ok(())
}
