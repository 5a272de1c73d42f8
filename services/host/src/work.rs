//! The host's part in work as a state machine: what it declares, commits to, shows, checks, judges and settles.
//!
//! ```text
//!            state after each block            samples, artifacts, requests done again
//!                      │                                     │
//!                      ▼                                     ▼
//!   surroundings ──► step() ──► actions ──► surroundings ──► sampled() fetched() verified()
//!                      │                                     samples() leaf() may_have() ◄── verifiers, payers
//!                    Shelf: what was served, durable
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`shelf`] | what it needs of the store of receipts and artifacts |
//! | `mine` | the trees over what this host served |
//! | `own` | declares models, commits, reveals, answers demands and reports |
//! | `member` | fetches samples, gives verdicts, demands, accuses, proves |
//! | `judge` | judges what is on trial |
//! | `settle` | gets paid |
//! | `show` | what is shown to verifiers and payers |
//! | `examine` | what can be said of a sample without computing |
//! | `desk` | which requests are to be done again, and in which order |
//! | `weigh` | where no bit can be computed again: what a host's tokens say of it |
//!
//! A [`WorkCore`] has no clock, no network and no threads. What it has sent, it reads from the state; what it served and
//! fetched lies on its [`Shelf`]; what it only keeps in memory can be had again by asking and computing once more. So a
//! process that was killed goes on with the next step, and [`WorkCore::step`] may be called as often as one likes.
//!
//! # What must hold
//!
//! - An interval is sealed on the shelf before its commitment is sent: nothing joins what was committed to.
//! - Nothing is found right, accused or judged on another's word: only what this host computed itself.
//! - What was not shown is never called wrong, and what there was no time for is called nothing at all.
//! - On the statistical tier nobody is accused, and no receipt counts twice against its host.

mod action;
mod desk;
mod examine;
mod judge;
mod member;
mod mine;
mod own;
mod settle;
pub mod shelf;
mod show;
mod store;
mod weigh;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freeway_api::serving::{Artifact, Samples};
use freeway_ledger::hosts::HOSTS;
use freeway_ledger::lanes::LANES;
use freeway_ledger::work::{self as ledger, RoundId};
use freeway_ledger::{Fault, Message, Params, Reader};
use freeway_primitives::{Address, Amount, Digest, Height};
use freeway_proofs::work::LaneId;

use crate::adversary::Adversary;
use crate::core::{Identity, Unreachable};
pub use action::{Redone, Refusal, Source, WorkAction, WorkError};
use desk::{Desk, Next, Outcome};
use examine::Shown;
pub(crate) use examine::ends;
use member::Check;
use mine::Mine;
pub use shelf::{Interval, Kept, MemoryShelf, Shelf, ShelfError, Weighed};
pub use show::ShowWork;

/// Trees of own intervals that are kept in memory; others are built again when they are needed.
const MAX_TREES: usize = 8;

/// How a host does its work duties.
#[derive(Clone, Debug)]
pub struct WorkSettings {
    /// The roots of the models that it serves.
    pub models: Vec<Digest>,
    /// Those of them whose answers here nobody could compute again.
    pub inexact: Vec<Digest>,
    /// Requests of others that it does again at a time.
    pub at_once: usize,
}

/// What has been done so far, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkStanding {
    /// The latest interval that this host committed to.
    pub committed: Option<u64>,
    /// Fees of intervals that were not committed to in time, since the process started.
    pub lost_fees: u128,
    /// Intervals that were not.
    pub lost: u64,
    /// Samples found right.
    pub right: u64,
    /// Samples found wrong.
    pub wrong: u64,
    /// Those of them that were, as far as anybody can see, not made by the model that they are said to be of.
    pub suspected: u64,
    /// Hosts that are being checked now.
    pub checking: usize,
}

/// The state machine.
pub struct WorkCore {
    me: Identity,
    settings: WorkSettings,
    shelf: Arc<dyn Shelf>,
    adversary: Option<Adversary>,
    /// Trees of own intervals, as far as they were needed lately, and when that was.
    trees: BTreeMap<u64, (u64, Arc<Mine>)>,
    /// Counts how often trees were needed.
    uses: u64,
    /// Trees that were built since the last step because somebody asked.
    built: u32,
    /// Rounds whose assignments are known.
    rounds: BTreeSet<RoundId>,
    /// The hosts that this one checks, by interval.
    checks: BTreeMap<(u64, Address), Check>,
    desk: Desk,
    /// Models that it does not say that it serves, though it was told to.
    unfit: BTreeSet<Digest>,
    /// What steps that failed had asked for by then: the next one asks for it.
    unasked: Vec<WorkAction>,
    /// Own intervals that are decided, and looked through for settlements.
    decided: BTreeSet<u64>,
    /// The latest matured interval with requests of a lane, and the total of the last of them.
    matured: BTreeMap<LaneId, (u64, Amount)>,
    /// The interval in which was last looked for what can go.
    pruned: u64,
    standing: WorkStanding,
}

/// What a step looks at.
struct Moment<'a> {
    state: &'a dyn Reader,
    height: Height,
    params: Params,
}

impl Moment<'_> {
    /// The height of the block in which a message can stand.
    fn next(&self) -> Height {
        self.height.next()
    }

    /// The interval that the next block lies in.
    fn interval(&self) -> u64 {
        ledger::interval_at(self.next(), &self.params.work)
    }
}

/// What a step gathers.
#[derive(Default)]
struct Todo {
    actions: Vec<WorkAction>,
    /// Duties, and what can be sent after them.
    messages: Vec<Message>,
    later: Vec<Message>,
}

impl WorkCore {
    /// A host that follows the rules, or breaks them as `adversary` says.
    pub fn new(
        me: Identity,
        settings: WorkSettings,
        shelf: Arc<dyn Shelf>,
        adversary: Option<Adversary>,
    ) -> Self {
        Self {
            me,
            settings,
            shelf,
            adversary,
            trees: BTreeMap::new(),
            uses: 0,
            built: 0,
            rounds: BTreeSet::new(),
            checks: BTreeMap::new(),
            desk: Desk::default(),
            unfit: BTreeSet::new(),
            unasked: Vec::new(),
            decided: BTreeSet::new(),
            matured: BTreeMap::new(),
            pruned: 0,
            standing: WorkStanding::default(),
        }
    }

    /// What is to be done after the block at `height`, whose state is `state`.
    ///
    /// # Errors
    /// [`WorkError`] if state or shelf cannot be read. Nothing is lost by that; the next step asks again.
    pub fn step(&mut self, state: &dyn Reader, height: Height) -> Result<Vec<WorkAction>, WorkError> {
        let now = Moment { state, height, params: Params::current(state)? };
        let mut todo = Todo { actions: core::mem::take(&mut self.unasked), ..Todo::default() };
        self.built = 0;
        if let Err(problem) = self.advance(&now, &mut todo) {
            // It is noted as asked for, and nobody else would ever ask.
            self.unasked = todo.actions;
            return Err(problem);
        }
        self.standing.checking = self.checks.len();
        todo.messages.append(&mut todo.later);
        if !todo.messages.is_empty() {
            todo.actions.push(WorkAction::Send(todo.messages));
        }
        Ok(todo.actions)
    }

    fn advance(&mut self, now: &Moment<'_>, todo: &mut Todo) -> Result<(), WorkError> {
        self.declare(now, todo)?;
        self.commit(now, todo)?;
        self.respond(now, todo)?;
        self.check(now, todo)?;
        self.judge(now, todo)?;
        self.settle(now, todo)?;
        self.pump(now, todo)?;
        self.prune(now)
    }

    /// The answer to [`WorkAction::FetchSamples`].
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    pub fn sampled(
        &mut self,
        state: &dyn Reader,
        interval: u64,
        host: Address,
        answer: Result<Samples, Unreachable>,
    ) -> Result<(), Fault> {
        let Some(check) = self.checks.get_mut(&(interval, host)) else { return Ok(()) };
        check.fetching = false;
        let (Ok(answer), Some(commitment)) = (answer, ledger::commitment(state, interval, &host)?) else {
            return Ok(());
        };
        check.show(state, &commitment, answer.samples)
    }

    /// The answer to [`WorkAction::FetchArtifact`], with the host that gave it.
    ///
    /// # Errors
    /// [`WorkError`] if it cannot be read whose it is, or the artifact cannot be kept.
    pub fn fetched(
        &mut self,
        state: &dyn Reader,
        height: Height,
        receipt: Digest,
        answer: Result<(Address, Artifact), Unreachable>,
    ) -> Result<(), WorkError> {
        // Before anything can fail: it is asked for again.
        self.desk.missed(&receipt, height.next());
        let Ok((from, artifact)) = answer else { return Ok(()) };
        self.take(state, &receipt, &artifact, Some(from))?;
        Ok(())
    }

    /// The answer to [`WorkAction::Verify`] and [`WorkAction::Score`].
    ///
    /// # Errors
    /// [`WorkError`] if what was scored cannot be weighed; it is asked for again.
    pub fn verified(
        &mut self,
        state: &dyn Reader,
        height: Height,
        receipt: Digest,
        redone: &Redone,
    ) -> Result<(), WorkError> {
        let weighed = match redone {
            Redone::Scored(scores) => self.weigh(state, &receipt, scores),
            _ => Ok(None),
        };
        match &weighed {
            Ok(Some(outcome)) => self.desk.known(&receipt, *outcome),
            _ => self.desk.verified(&receipt, redone, height.next()),
        }
        self.count(&receipt);
        weighed.map(drop)
    }

    /// Counts a request of another host that is known now.
    fn count(&mut self, receipt: &Digest) {
        match self.desk.outcome(receipt) {
            Some(Outcome::Right(_)) => self.standing.right += 1,
            Some(Outcome::Wrong | Outcome::Doubtful) => self.standing.wrong += 1,
            None => {}
        }
    }

    /// What has been done so far.
    pub fn standing(&self) -> WorkStanding {
        self.standing
    }

    /// Whether an artifact that was fetched from a host, or was on the shelf, is the one. It is kept for jurors.
    fn take(
        &mut self,
        state: &dyn Reader,
        receipt: &Digest,
        artifact: &Artifact,
        from: Option<Address>,
    ) -> Result<bool, WorkError> {
        let shown = examine::artifact(state, &self.me.chain, receipt, artifact, from)?;
        if from.is_some() && shown != Shown::Nothing {
            self.shelf.keep(artifact)?;
        }
        match shown {
            Shown::Nothing => return Ok(false),
            Shown::Wrong => self.desk.known(receipt, Outcome::Wrong),
            Shown::Plausible { model, tier } => {
                self.desk.held(receipt, model, tier, artifact.request.grammar.is_some());
            }
        }
        Ok(true)
    }

    /// Has the desk's next things done.
    fn pump(&mut self, now: &Moment<'_>, todo: &mut Todo) -> Result<(), WorkError> {
        // What lies on the shelf need not be fetched, and can be done again at once.
        loop {
            let mut found = false;
            let mut all = self.desk.next(now.height, self.settings.at_once).into_iter();
            while let Some(next) = all.next() {
                match self.begin_one(now, &next, todo) {
                    Ok(was_there) => found |= was_there,
                    Err(problem) => {
                        core::iter::once(next).chain(all).for_each(|next| self.desk.put_back(&next));
                        return Err(problem);
                    }
                }
            }
            if !found {
                break;
            }
        }
        self.desk.forget(now.height, ledger::window(&now.params));
        Ok(())
    }

    /// Has one thing done. Whether it was on the shelf, so that there is more to do now.
    fn begin_one(&mut self, now: &Moment<'_>, next: &Next, todo: &mut Todo) -> Result<bool, WorkError> {
        match next {
            Next::Get(receipt, from) => {
                let receipt = *receipt;
                if let Some(artifact) = self.shelf.artifact(&receipt)?
                    && self.take(now.state, &receipt, &artifact, None)?
                {
                    return Ok(true);
                }
                let from = self.sources(now, from)?;
                if from.is_empty() {
                    self.desk.missed(&receipt, now.next());
                } else {
                    todo.actions.push(WorkAction::FetchArtifact { receipt, from });
                }
            }
            Next::Verify(receipt, model) => match self.shelf.artifact(receipt)? {
                Some(artifact) => {
                    let (receipt, model, artifact) = (*receipt, *model, Arc::new(artifact));
                    todo.actions.push(WorkAction::Verify { receipt, model, artifact });
                }
                None => self.desk.missed(receipt, now.next()),
            },
            Next::Score(receipt, model) => match self.shelf.artifact(receipt)? {
                Some(artifact) => {
                    // Before this process began, perhaps.
                    if let Some(outcome) = self.weighed(receipt, &artifact)? {
                        self.desk.known(receipt, outcome);
                        self.count(receipt);
                        return Ok(true);
                    }
                    let (receipt, model, artifact) = (*receipt, *model, Arc::new(artifact));
                    todo.actions.push(WorkAction::Score { receipt, model, artifact });
                }
                None => self.desk.missed(receipt, now.next()),
            },
        }
        Ok(false)
    }

    /// Where hosts can be asked; not this one.
    fn sources(&self, now: &Moment<'_>, hosts: &[Address]) -> Result<Vec<Source>, Fault> {
        let mut all = Vec::new();
        for host in hosts.iter().filter(|host| **host != self.me.address) {
            let known = HOSTS.get(now.state, host)?.filter(|known| !known.profile.endpoints.is_empty());
            all.extend(known.map(|known| Source { host: *host, endpoints: known.profile.endpoints }));
        }
        Ok(all)
    }

    /// Once an interval: what nobody can ask about any more goes.
    fn prune(&mut self, now: &Moment<'_>) -> Result<(), WorkError> {
        let interval = now.interval();
        if interval <= self.pruned {
            return Ok(());
        }
        self.pruned = interval;
        let rules = &now.params.work;
        let all = interval.saturating_sub(rules.keep_intervals.saturating_add(1));
        let window = ledger::window(&now.params).checked_div(rules.interval_blocks).unwrap_or_default();
        // A round that waited for its randomness may take longer than it should.
        let bodies = interval.saturating_sub(window.saturating_mul(2).saturating_add(4)).max(all);
        self.shelf.prune(bodies, all)?;
        let mut over = Vec::new();
        for lane in self.shelf.lanes()? {
            if !LANES.contains(now.state, &lane)? {
                over.push(lane);
            }
        }
        self.shelf.forget(over)?;
        self.decided.retain(|interval| *interval >= all);
        self.matured.retain(|_, (interval, _)| *interval >= all);
        Ok(())
    }

    fn withholds(&self) -> bool {
        matches!(self.adversary, Some(Adversary::WithholdWork | Adversary::Withhold))
    }

    fn is_lazy(&self) -> bool {
        self.adversary == Some(Adversary::LazyVerifier)
    }
}
