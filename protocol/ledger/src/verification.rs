//! Verification: what members say of sampled work, and how it is decided where word stands against word.
//!
//! The beacon draws samples of every commitment to work and a committee for them (see [`crate::work`]). From there on:
//!
//! | who | says | and then |
//! |---|---|---|
//! | member | [`Message::Verdicts`]: a tag per sample that only the right trace gives | a missing verdict is its fault |
//! | host | [`Message::Reveal`]: the trace of a drawn sample | each tag is compared with it; copied and invented ones show |
//! | member | [`Message::Demand`], under a bond: this sample is not shown to me | the host answers, or its interval is void |
//! | anybody | [`Message::Report`], under a bond: this receipt is not in the commitment | the host answers, or its interval is void |
//! | anybody | [`Message::Accuse`], under a bond: this request was not computed right | a jury re-executes it |
//! | anybody | [`Message::Prove`]: this cannot be honest | a conviction at once |
//!
//! # Who judges
//!
//! A jury consists of all hosts that serve the model and meet the payer's constraints, without the operators of the
//! accused, the accuser, the payer and of members whose own verdict is in question. More than two thirds of its power
//! decide, and at least three operators must be on the deciding side (all of them, if there are fewer). With fewer than
//! three operators, and on the statistical tier, the same verdict costs fees and reputation but no collateral.
//!
//! # What silence costs
//!
//! A host that does not answer loses the interval's fees and its reputation, never collateral: its machine may be down,
//! and nobody is to be slashed for that. Collateral is taken only for what the host has signed or committed to. Nothing
//! forces a host to show a member the prompts behind a sample (they would have to stand here for everybody to read); but
//! whoever was shown nothing says so, and a sample matures only if more members found it right.
//!
//! # Duties
//!
//! A verdict is done if all of its tags stand. One that says otherwise is done only if the commitment turns out not to
//! pay; saying nothing, or that nothing was shown, is no way to save the work. On the exact tier a verdict is false if a
//! jury finds otherwise; then nothing in it counts. Where word stands against word and nobody
//! decides, the verdict counts neither as done nor as owed. What is owed and done is counted by [`crate::rewards`].

mod answer;
mod due;
mod duty;
mod failure;
mod fate;
mod message;
mod params;
mod proof;
mod query;
mod trial;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Amount, Digest, Height};
use freeway_proofs::work::LaneId;

use crate::context::Context;
use crate::error::Error;
use crate::genesis::Genesis;
use crate::module::{self, Module};
use crate::receipt;
use crate::state::{Cell, Fault, Reader, Table};
use crate::vaults::Vaults;

pub(crate) use duty::{count_duties, forget, is_suspected, unchecked};
pub use failure::Failure;
pub use message::{
    Accusation, Answer, Event, Finding, Inclusion, Judgement, Leaf, Message, Proof, Report, Reveal, Signed,
    Tag, Verdict,
};
pub use params::Params;
pub use query::{Assignment, assigned, demands_on, is_judge, open_trials, reports_on, reveal_due};

/// A branch of a commitment, and a member of its committee: interval, host, branch, member.
pub type Seat = (u64, (Address, (u64, Address)));

/// A sample of a commitment: interval, host, and which of its samples.
pub type Place = (u64, (Address, u64));

/// A leaf of a commitment: interval, host, branch, and the leaf's index.
pub type Case = (u64, (Address, (u64, u64)));

/// A request for which a host signed a receipt: interval, host, lane, sequence.
pub type Request = (u64, (Address, (LaneId, u64)));

/// What members said.
pub const VERDICTS: Table<Seat, Given> = Table::new("verification/verdict/");

/// Samples that were demanded; also those that were answered, as long as the commitment is kept.
pub const DEMANDS: Table<Place, Demanded> = Table::new("verification/demand/");

/// Receipts that were reported missing, likewise.
pub const REPORTS: Table<Request, Reported> = Table::new("verification/report/");

/// Leaves on trial, likewise.
pub const TRIALS: Table<Case, Trial> = Table::new("verification/trial/");

/// What has a deadline, by the last height before it and a number.
const DUE: Table<(Height, u64), Due> = Table::new("verification/due/");

/// The number of the next [`Due`].
const NEXT: Cell<u64> = Cell::new("verification/next");

/// Trials that are open.
const OPEN_TRIALS: Cell<u32> = Cell::new("verification/open-trials");

/// A verdict in state.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Given {
    /// One per sample of the branch, in order.
    pub findings: Vec<Finding>,
    /// Bits of those whose tag is not what the host revealed.
    pub contradicted: u64,
    /// Whether it was found false.
    pub is_false: bool,
}

/// A sample that a member demands.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Demanded {
    /// The member.
    pub member: Address,
    /// The last height for an answer.
    pub until: Height,
    /// What the member put up; nothing once it is paid out.
    pub bond: Amount,
    /// Whether it was answered.
    pub answered: bool,
}

/// A receipt that is reported missing.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Reported {
    /// Who reports.
    pub by: Address,
    /// The receipt's digest.
    pub receipt: Digest,
    /// The last height for an answer.
    pub until: Height,
    /// What was put up; nothing once it is paid out.
    pub bond: Amount,
    /// Whether it was answered.
    pub answered: bool,
}

/// A leaf on trial.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Trial {
    /// The receipt that is judged.
    pub receipt: Digest,
    /// Who accused; nobody, if it follows from what was revealed.
    pub accuser: Option<Address>,
    /// What the accuser put up; nothing once it is paid out.
    pub bond: Amount,
    /// Members whose tag is not what the host revealed: if the leaf is right, their verdicts are false.
    pub members: Vec<Address>,
    /// Which of the branch's samples lie in the leaf. If it is wrong, whoever found it right is false.
    pub places: Vec<u32>,
    /// Who judges.
    pub jury: Vec<Juror>,
    /// Whether collateral is at stake.
    pub slashes: bool,
    /// Bits of those who said guilty, by their place in the jury.
    pub guilty: u128,
    /// Bits of those who said innocent.
    pub innocent: u128,
    /// The last height for judging.
    pub until: Height,
    /// How it ended.
    pub ruling: Option<Ruling>,
}

/// Who judges.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Juror {
    /// The host.
    pub host: Address,
    /// Its power when the trial was opened.
    pub power: u64,
    /// Its operator: the number of the first juror with the same one.
    pub operator: u8,
}

/// How a trial ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Ruling {
    /// The leaf is wrong.
    Guilty,
    /// The leaf is right.
    Innocent,
    /// It was not decided in time.
    Undecided,
    /// The host was convicted for something else first.
    Moot,
}

impl Ruling {
    /// The ruling's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guilty => "guilty",
            Self::Innocent => "innocent",
            Self::Undecided => "undecided",
            Self::Moot => "moot",
        }
    }
}

/// Something with a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
enum Due {
    Demand(Place),
    Report(Request),
    Trial(Case),
}

fn fail<T>(failure: Failure) -> Result<T, Error> {
    Err(Error::Failed(failure.into()))
}

/// The rules of verification.
pub struct Verification;

impl Module for Verification {
    type Message = Message;

    fn genesis(context: &mut Context<'_, '_>, _: &Genesis) -> Result<(), Fault> {
        NEXT.set(context.state, &0);
        OPEN_TRIALS.set(context.state, &0);
        Ok(())
    }

    fn begin(context: &mut Context<'_, '_>) -> Result<(), Fault> {
        due::expire(context)
    }

    fn apply(context: &mut Context<'_, '_>, message: &Message) -> Result<(), Error> {
        match message {
            Message::Verdicts { interval, verdicts } => duty::verdicts(context, *interval, verdicts),
            Message::Reveal(reveal) => duty::reveal(context, reveal),
            Message::Demand { interval, host, sample } => answer::demand(context, *interval, host, *sample),
            Message::Answer(answer) => answer::answer(context, answer),
            Message::Accuse(accusation) => trial::accuse(context, accusation),
            Message::Judge(judgements) => trial::judge(context, judgements),
            Message::Prove(proof) => proof::prove(context, proof),
            Message::Report(report) => answer::report(context, report),
            Message::Include(inclusion) => answer::include(context, inclusion),
        }
    }

    fn end(_: &mut Context<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn holdings(state: &dyn Reader, totals: &mut Vaults) -> Result<(), Fault> {
        let bonds = &mut totals.bonds;
        query::each(state, &DEMANDS, |demand| module::add(bonds, demand.bond))?;
        query::each(state, &REPORTS, |report| module::add(bonds, report.bond))?;
        query::each(state, &TRIALS, |trial| module::add(bonds, trial.bond))
    }
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(receipt::Event::Verification(event));
}
