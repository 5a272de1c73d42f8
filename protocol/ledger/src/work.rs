//! Work: what hosts commit to have served, interval by interval, and what of it matures.
//!
//! Heights are cut into intervals. After the end of each, every host that served paid requests in it commits to sum
//! trees over them, and from then on can neither add nor change anything. A commitment goes through rounds of checking:
//!
//! | step | what happens |
//! |---|---|
//! | committed | until `commit_grace` blocks after the interval's end |
//! | drawn | the beacon's value of that last height draws samples, as points over the fees, and who checks them |
//! | verdicts | members re-execute the sampled requests; see [`crate::verification`] |
//! | closing | the value of the last height for verdicts draws which commitments must reveal a sample |
//! | settled | what nobody faulted, and somebody has checked, is [`State::Matured`]; all else is not paid |
//!
//! Each step that needs randomness waits for the value of one certain height, and no other height's is ever used. If it
//! cannot come any more, nothing of the interval matures.
//!
//! # Classes
//!
//! Who may check a request depends on its model and on what its payer asked of hosts. So a host commits to one tree for
//! each *class* of lanes: those of the same model and the same constraints. Nothing has to be said afterwards about where
//! a sample lies, and in most networks a host has one tree. As lanes of one class have many payers, a payer's own host may
//! be among those who check what was served to it; in a jury it is not.
//!
//! # Missing evidence
//!
//! An interval matures only if each of its samples was computed again, and more members found it right than said
//! anything else of it: a host that shows what it faked to its friends alone needs more friends than there are others. A
//! tag that what the host reveals contradicts does not count. What is not checked so is given to another committee, whose
//! word is added, so that silent members cost an honest host time and not money; after the last one it is
//! [`Void::Unchecked`] and pays nothing. It follows that a model which only one operator serves earns nothing: there is
//! nobody whose word would count.
//!
//! # Exposure
//!
//! Fees that have not matured are *open*. A host's open fees never exceed a part of what a conviction can take from it
//! ([`limit`]); one without collateral has a small allowance and is sampled as often as possible. What it serves
//! beyond, it cannot commit to, so it has to stop in time.

mod commit;
mod committee;
mod message;
mod params;
mod query;
mod round;
mod settle;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Digest, Height};
use freeway_proofs::sum::Total;
use freeway_proofs::work::LaneId;

use crate::context::Context;
use crate::error::Error;
use crate::genesis::{Genesis, Text};
use crate::lanes::Constraints;
use crate::models::Tier;
use crate::module::Module;
use crate::receipt;
use crate::state::{Fault, Reader, Table};
use crate::vaults::Vaults;

pub use message::{Claim, Event, Failure, Message};
pub use params::Params;
pub use query::{
    Sample, Stage, commitment, interval_at, last_commit, limit, matured_total, of_interval, rounds, samples,
    stage, window,
};
pub(crate) use settle::{annul, convicted};

/// What hosts committed to, by interval. Kept for some intervals after it was decided.
pub const COMMITS: Table<(u64, Address), Commitment> = Table::new("work/commit/");

/// A round of checking: the interval, and the round's number.
pub type RoundId = (u64, u64);

/// Rounds that are not over, by interval and number.
pub const ROUNDS: Table<RoundId, Round> = Table::new("work/round/");

/// What stands open for each host. Hosts with nothing to tell have no entry.
pub const STANDING: Table<Address, Standing> = Table::new("work/standing/");

/// A host's commitment to what it served in an interval.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Commitment {
    /// One for each class of lanes.
    pub branches: Vec<Branch>,
    /// The host's operator when it committed.
    pub operator: Text,
    /// The fees of all branches.
    pub fees: Amount,
    /// Set when samples are drawn.
    pub sampled: Option<Sampled>,
    /// The round that it is in, from 0.
    pub round: u64,
    /// The sample that the host must reveal, if it is drawn.
    pub reveal: Option<Reveal>,
    /// Demands, reports and trials that are undecided. It does not mature while there are any.
    pub open: u32,
    /// Where it stands.
    pub state: State,
}

/// What a host served in lanes of one class.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Branch {
    /// One of its lanes.
    pub lane: LaneId,
    /// Their model.
    pub model: Digest,
    /// Its tier.
    pub tier: Tier,
    /// What their payers ask of hosts.
    pub constraints: Constraints,
    /// The tree.
    pub total: Total,
    /// Who checks its samples, over all rounds. Nobody if it has none.
    pub committee: Vec<Address>,
    /// So many of these were asked in earlier rounds.
    pub asked: u32,
}

impl Branch {
    /// The members that are asked in this round.
    pub fn members(&self) -> &[Address] {
        self.committee.get(self.asked as usize..).unwrap_or_default()
    }
}

/// How samples were drawn.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Sampled {
    /// The beacon's value.
    pub value: Digest,
    /// How many.
    pub count: u32,
}

/// A sample that must be revealed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Reveal {
    /// Which of the [`samples`].
    pub sample: u32,
    /// Whether it was.
    pub done: bool,
}

/// Where a commitment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum State {
    /// Undecided.
    Open,
    /// Its fees may be settled.
    Matured,
    /// It pays nothing.
    Void(Void),
    /// It pays nothing, and its host was convicted for it.
    Convicted,
}

impl State {
    /// The state's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Matured => "matured",
            Self::Void(void) => void.name(),
            Self::Convicted => "convicted",
        }
    }
}

/// Why a commitment pays nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Void {
    /// The host did not answer a demand.
    Withheld,
    /// The host did not reveal what was drawn.
    Unrevealed,
    /// A receipt that the host signed is not in it.
    Omitted,
    /// Not every sample was found right by more members than said anything else.
    Unchecked,
    /// The randomness came too late or not at all.
    NoRandomness,
    /// The host was convicted for something else.
    Forfeited,
}

impl Void {
    /// The reason's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Withheld => "withheld",
            Self::Unrevealed => "unrevealed",
            Self::Omitted => "omitted",
            Self::Unchecked => "unchecked",
            Self::NoRandomness => "no_randomness",
            Self::Forfeited => "forfeited",
        }
    }

    /// Whether the host could have prevented it.
    pub const fn is_fault(self) -> bool {
        matches!(self, Self::Withheld | Self::Unrevealed | Self::Omitted)
    }
}

/// What stands open for a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Standing {
    /// Fees of its commitments that are undecided.
    pub open: Amount,
    /// Their intervals.
    pub intervals: Vec<u64>,
    /// When it was last convicted.
    pub convicted: Option<Height>,
}

/// A round of checking an interval's commitments.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Round {
    /// The height whose value draws who checks.
    pub from: Height,
    /// Set when that value is there.
    pub drawn: Option<Drawn>,
    /// Set when the value after the verdicts is there.
    pub closing: Option<Closing>,
    /// What is being done to all commitments, one after the other.
    pub pass: Pass,
    /// The last host to whose commitment it was done.
    pub after: Option<Address>,
}

/// Committees were drawn.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Drawn {
    /// Since when.
    pub height: Height,
    /// From which value.
    pub value: Digest,
    /// The last height for verdicts and demands. Not set before all committees are drawn.
    pub until: Height,
}

/// Verdicts are over.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Closing {
    /// Since when.
    pub height: Height,
    /// What decides who reveals, and who checks next.
    pub value: Digest,
    /// The last height for revelations, accusations and reports. Not set before all is drawn.
    pub until: Height,
    /// The height at whose beginning commitments mature: until then there is judging.
    pub settles: Height,
}

/// What is being done to all commitments of a round. A block does only so many; the rest follow in the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Pass {
    /// Nothing: it waits for a height or its value.
    Idle,
    /// Drawing samples and committees.
    Drawing,
    /// Drawing what is revealed, or who is asked next.
    Closing,
    /// Deciding.
    Settling,
    /// Giving up: there is no randomness.
    Abandoning,
}

fn fail<T>(failure: Failure) -> Result<T, Error> {
    Err(Error::Failed(failure.into()))
}

/// The rules of work.
pub struct Work;

impl Module for Work {
    type Message = Message;

    fn genesis(_: &mut Context<'_, '_>, _: &Genesis) -> Result<(), Fault> {
        Ok(())
    }

    fn begin(context: &mut Context<'_, '_>) -> Result<(), Fault> {
        settle::sweep(context)?;
        round::advance(context)
    }

    fn apply(context: &mut Context<'_, '_>, message: &Message) -> Result<(), Error> {
        match message {
            Message::Commit { interval, claims } => commit::commit(context, *interval, claims),
        }
    }

    fn end(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn holdings(_: &dyn Reader, _: &mut Vaults) -> Result<(), Fault> {
        Ok(())
    }
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(receipt::Event::Work(event));
}

/// A number of items; no list in a commitment has more than a parameter allows.
fn number(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}
