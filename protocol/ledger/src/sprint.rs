//! Sprint: the race in which hosts prove their compute, and everything that is said about it.
//!
//! One race an epoch, from epoch 1 on. It goes through [`Stage`]s; the ones that need randomness wait for the
//! beacon's value of one certain height, however long that takes, and no other height's is ever used.
//!
//! | stage | what happens |
//! |---|---|
//! | waiting for the seed | the value of the height before the epoch |
//! | racing | hosts that were registered before the seed was known commit to what they computed |
//! | waiting for the challenge | the value of the last height for commitments |
//! | verdicts | each host's committee recomputes its own draw of leaves and says so by tags; demands, accusations |
//! | waiting for the draw | the value of the last height for verdicts |
//! | revealing | hosts reveal the drawn traces; each must agree with the member's tag, or a trial settles who lied |
//! | settled | weights, reputations and duties are known |
//!
//! Nobody is believed: a leaf is wrong when two thirds of the other validators' power have recomputed it and
//! say so; an opening is withheld when it was demanded here and was not given here. What nobody checked proves
//! nothing new (see [`Void`] and [`HostResult::confirmed`]).
//!
//! A message that would fail is not included in a block at all ([`crate::Rejection::NotDue`]), and those that
//! are included count against no quota: the protocol asks for each of them, and there are no more of them than
//! it asks for. So a host without money can do its duties, and nobody can fill blocks with duties that are none.

mod dispute;
mod duty;
mod message;
mod params;
mod query;
mod race;
mod settle;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Digest, Epoch, Height};
use freeway_proofs::sprint::{Commitment, Position, Tag};

use crate::context::Context;
use crate::error::Error;
use crate::genesis::{Genesis, Text};
use crate::module::{self, Module};
use crate::receipt;
use crate::state::{Cell, Fault, Key, Reader, Table};
use crate::vaults::Vaults;

pub use message::{Event, Failure, Judgement, Message, Reveal, Verdict};
pub use params::Params;
pub use query::{
    DueReveal, assigned, committee, demands_on, drawn_positions, due_reveals, entries, is_judge, open_trials,
    positions, race, results, stage,
};

/// The race of the epoch, or the last one.
pub const RACE: Cell<Option<Race>> = Cell::new("sprint/race");

/// What hosts committed to in this race.
pub const ENTRIES: Table<Address, Entry> = Table::new("sprint/entry/");

/// Who checks a host in this race.
pub const COMMITTEES: Table<Address, Vec<Address>> = Table::new("sprint/committee/");

/// What a member said of a host: under the host, then the member.
pub const VERDICTS: Table<(Address, Address), Given> = Table::new("sprint/verdict/");

/// What the host has revealed for a member: under the host, then the member.
pub const REVEALED: Table<(Address, Address), Revealed> = Table::new("sprint/revealed/");

/// Leaves that a member demands of a host: under the host, then the member.
pub const DEMANDS: Table<(Address, Address), Vec<Demanded>> = Table::new("sprint/demand/");

/// Demands by the last height for their answer.
const DUE: Table<(Height, (Address, Address)), ()> = Table::new("sprint/due/");

/// A leaf: its host, and its place there.
pub type Place = (Address, Position);

/// Leaves on trial, under their host; also those that were decided in this race.
pub const TRIALS: Table<Place, Trial> = Table::new("sprint/trial/");

/// Who judges in this race, with its power and operator, in the order of the validator set.
pub const JURY: Cell<Vec<Juror>> = Cell::new("sprint/jury");

/// What each account has at stake in trials of this race.
const ACCUSERS: Table<Address, Accuser> = Table::new("sprint/accuser/");

/// Members whose verdict was found false in this race.
const LIARS: Table<Address, ()> = Table::new("sprint/liar/");

/// Trials that are open.
const OPEN_TRIALS: Cell<u32> = Cell::new("sprint/open-trials");

/// What the latest settled race found, by host.
pub const RESULTS: Table<Address, HostResult> = Table::new("sprint/result/");

/// The latest settled race.
pub const LATEST: Cell<Option<Settled>> = Cell::new("sprint/latest");

/// Whether records of a race that is over are still to be removed.
const LITTER: Cell<bool> = Cell::new("sprint/litter");

/// A race.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Race {
    /// Its epoch.
    pub epoch: Epoch,
    /// The rules that it is run under. Others hold from the next race on.
    pub rules: Params,
    /// The height whose value is the seed.
    pub seed_height: Height,
    /// Set when the seed is known.
    pub started: Option<Started>,
    /// Set when committees and their leaves are drawn.
    pub challenged: Option<Challenged>,
    /// Set when it is drawn what must be revealed.
    pub drawn: Option<Drawn>,
    /// Set when it is over.
    pub end: Option<End>,
}

/// The beginning of a race.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Started {
    /// When the seed was known.
    pub height: Height,
    /// What all weights and inputs come from.
    pub seed: Digest,
    /// The last height for commitments.
    pub deadline: Height,
}

/// The challenge of a race.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Challenged {
    /// When committees were drawn.
    pub height: Height,
    /// What each member's leaves are drawn from.
    pub challenge: Digest,
    /// The last height for verdicts and demands.
    pub until: Height,
    /// Whether all who could check have one operator: then hosts of one operator check each other.
    pub single_operator: bool,
}

/// The draw of a race.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Drawn {
    /// When it was drawn what must be revealed.
    pub height: Height,
    /// What it is drawn from.
    pub draw: Digest,
    /// The last height for revelations and accusations.
    pub until: Height,
    /// The height at whose beginning the race settles: until then there is judging.
    pub settles: Height,
}

/// The end of a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum End {
    /// It settled.
    Settled {
        /// When.
        height: Height,
    },
    /// It could not be finished; all weights stay as they were.
    Abandoned {
        /// When.
        height: Height,
        /// Why.
        reason: AbandonReason,
    },
}

/// Why a race is abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum AbandonReason {
    /// The randomness came too late or not at all.
    NoRandomness,
    /// Nobody proved anything. A network of weight 0 could never go on.
    NothingProven,
}

impl AbandonReason {
    /// The reason's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoRandomness => "no_randomness",
            Self::NothingProven => "nothing_proven",
        }
    }
}

/// Where a race stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing happens before the beacon's value of this height is there.
    WaitingForSeed {
        /// The height.
        height: Height,
    },
    /// Hosts compute and commit.
    Racing(Started),
    /// Nothing happens before the beacon's value of this height is there.
    WaitingForChallenge {
        /// The height.
        height: Height,
    },
    /// Members check and give verdicts.
    Verdicts(Challenged),
    /// Nothing happens before the beacon's value of this height is there.
    WaitingForDraw {
        /// The height.
        height: Height,
    },
    /// Hosts reveal, validators judge.
    Revealing(Drawn),
    /// The last trials are judged; nothing can be revealed any more.
    Judging(Drawn),
    /// Over, with results.
    Settled {
        /// Since when.
        height: Height,
    },
    /// Over, without results.
    Abandoned {
        /// Since when.
        height: Height,
        /// Why.
        reason: AbandonReason,
    },
}

impl Stage {
    /// The stage's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::WaitingForSeed { .. } => "waiting_for_seed",
            Self::Racing(_) => "racing",
            Self::WaitingForChallenge { .. } => "waiting_for_challenge",
            Self::Verdicts(_) => "verdicts",
            Self::WaitingForDraw { .. } => "waiting_for_draw",
            Self::Revealing(_) => "revealing",
            Self::Judging(_) => "judging",
            Self::Settled { .. } => "settled",
            Self::Abandoned { .. } => "abandoned",
        }
    }
}

/// A host in a race.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Entry {
    /// What it committed to.
    pub commitment: Commitment,
    /// Its operator then. A later change makes it nobody else's in this race.
    pub operator: Text,
    /// Why its race counts for nothing, if so.
    pub void: Option<Void>,
}

/// Why a host's race counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Void {
    /// It did not answer a demand.
    Withheld,
    /// It did not reveal what was drawn.
    Unrevealed,
    /// One of its leaves is wrong.
    Convicted,
}

impl Void {
    /// The reason's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Withheld => "withheld",
            Self::Unrevealed => "unrevealed",
            Self::Convicted => "convicted",
        }
    }
}

/// A verdict in state.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Given {
    /// One tag per position, in the order of [`positions`].
    pub tags: Vec<Tag>,
}

/// How far a host has come with revealing to a member. Bits by the order of [`drawn_positions`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Revealed {
    /// Revealed.
    pub done: u32,
    /// Of these: revealed, but not what the member's tag says.
    pub contradicted: u32,
}

/// A demanded leaf.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Demanded {
    /// Which of the member's [`positions`].
    pub index: u16,
    /// The last height for an answer.
    pub until: Height,
    /// What the member put up for it; nothing once it is paid out.
    pub bond: Amount,
    /// The answer.
    pub leaf: Option<Digest>,
}

/// A leaf on trial.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Trial {
    /// The leaf in question: what stands in the host's tree.
    pub leaf: Digest,
    /// Who accused.
    pub accuser: Option<Address>,
    /// What the accuser put up; nothing once it is paid out.
    pub bond: Amount,
    /// Members whose tag for this leaf is another: if the leaf is right, their verdicts are false.
    pub members: Vec<Address>,
    /// When it was opened.
    pub opened: Height,
    /// Power that said guilty.
    pub guilty: u64,
    /// Power that said innocent.
    pub innocent: u64,
    /// Bits of those who judged, by their place in [`JURY`].
    pub judged: u128,
    /// How it ended.
    pub ruling: Option<Ruling>,
}

/// How a trial ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Ruling {
    /// The leaf is wrong.
    Guilty,
    /// The leaf is right.
    Innocent,
    /// Another leaf of the host was found wrong first.
    Moot,
}

impl Ruling {
    /// The ruling's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guilty => "guilty",
            Self::Innocent => "innocent",
            Self::Moot => "moot",
        }
    }
}

/// Who judges.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Juror {
    /// The validator.
    pub address: Address,
    /// Its power.
    pub power: u64,
    /// Its operator when the race was challenged.
    pub operator: Text,
}

/// An account that has accused.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Accuser {
    /// Its trials that are open.
    open: u32,
    /// Whether it lost one.
    lost: bool,
}

/// What a settled race found about a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HostResult {
    /// Nonces it committed to; 0 if it did not race.
    pub count: u64,
    /// The weight that they prove; 0 if void.
    pub weight: u64,
    /// Why its race counts for nothing, if so.
    pub void: Option<Void>,
    /// Members of its committee.
    pub committee: u32,
    /// Of these: members whose verdict on it stood every revelation. If there is none, its weight cannot grow.
    pub confirmed: u32,
    /// Hosts whose committees it sat in.
    pub owed: u32,
    /// Of these: hosts on which it gave a verdict that was not contradicted.
    pub done: u32,
}

/// A settled race.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Settled {
    /// Its epoch.
    pub epoch: Epoch,
    /// When.
    pub height: Height,
    /// Hosts that committed.
    pub hosts: u32,
    /// Of these, hosts with weight.
    pub proven: u32,
    /// All weight.
    pub weight: u128,
}

fn fail<T>(failure: Failure) -> Result<T, Error> {
    Err(Error::Failed(failure.into()))
}

/// The rules of the race.
pub struct Sprint;

impl Module for Sprint {
    type Message = Message;

    fn genesis(context: &mut Context<'_, '_>, _: &Genesis) -> Result<(), Fault> {
        RACE.set(context.state, &None);
        LATEST.set(context.state, &None);
        JURY.set(context.state, &Vec::new());
        OPEN_TRIALS.set(context.state, &0);
        LITTER.set(context.state, &false);
        Ok(())
    }

    fn begin(context: &mut Context<'_, '_>) -> Result<(), Fault> {
        race::advance(context)
    }

    fn apply(context: &mut Context<'_, '_>, message: &Message) -> Result<(), Error> {
        match message {
            Message::Commit(commitment) => duty::commit(context, commitment),
            Message::Verdicts(verdicts) => duty::verdicts(context, verdicts),
            Message::Reveal(reveals) => duty::reveal(context, reveals),
            Message::Demand { host, positions } => dispute::demand(context, host, positions),
            Message::Answer { member, openings } => dispute::answer(context, member, openings),
            Message::Accuse { host, opening } => dispute::accuse(context, host, opening),
            Message::Judge(judgements) => dispute::judge(context, judgements),
        }
    }

    fn end(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn holdings(state: &dyn Reader, totals: &mut Vaults) -> Result<(), Fault> {
        let mut after = None;
        loop {
            let page = DEMANDS.page(state, after.as_ref(), 1_000)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for item in page.iter().flat_map(|(_, items)| items) {
                module::add(&mut totals.bonds, item.bond)?;
            }
        }
        let mut after = None;
        loop {
            let page = TRIALS.page(state, after.as_ref(), 1_000)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for (_, trial) in &page {
                module::add(&mut totals.bonds, trial.bond)?;
            }
        }
    }
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(receipt::Event::Sprint(event));
}

/// A number of items for an event; no list of a message has more than bytes.
fn number(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

impl Key for Position {
    fn to_bytes(&self) -> Vec<u8> {
        [&self.device.to_be_bytes()[..], &self.nonce.to_be_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (device, nonce) = bytes.split_at_checked(4)?;
        let device = u32::from_be_bytes(device.try_into().ok()?);
        Some(Self { device, nonce: u64::from_be_bytes(nonce.try_into().ok()?) })
    }
}
