//! The host's part in the sprint as a state machine: what it computes, sends, shows and checks.
//!
//! ```text
//!            state after each block            traces, openings, recomputed nonces
//!                      │                                     │
//!                      ▼                                     ▼
//!   surroundings ──► step() ──► actions ──► surroundings ──► computed() ended() opened() published() recomputed()
//!                                                            serve() ◄── members of its committee
//! ```
//!
//! A [`Core`] has no clock, no files, no network and no threads: a node and the simulation drive the same one.
//! What it has sent, it reads from the state; what it only keeps in memory can be had again after a crash, from
//! the record of the race ([`Core::restore`]) or by asking and computing once more. So [`Core::step`] may be
//! called as often as one likes, and should be called after an input too: it asks for each action once, and for
//! messages until they are on chain.

mod action;
mod judge;
mod member;
mod race;
mod respond;
mod view;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use freeway_ledger::{Fault, Message, Reader};
use freeway_primitives::{Address, ChainId, Digest, Epoch, Height, SecretKey};
use freeway_proofs::sprint::{Opening, Position, Trace};

use crate::adversary::{Adversary, Conduct, Honest, Part};
use crate::openings::SignedOpenings;
pub use action::{Action, Refusal, Unreachable};
use member::Check;
pub(crate) use respond::chunks;
use view::View;
pub use work::DEVICE;
use work::Work;

/// Who a [`Core`] acts for.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The network.
    pub chain: ChainId,
    /// The host's account.
    pub address: Address,
    /// Its consensus key: signs what it shows.
    pub key: SecretKey,
}

/// Where a host stands in the race, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The race's epoch; 0 before the first.
    pub epoch: Epoch,
    /// What happens in it now.
    pub stage: Stage,
    /// This host's nonces.
    pub nonces: u64,
    /// How many of them stand on chain as its commitment.
    pub committed: Option<u64>,
    /// Whether the work behind the commitment is gone, so that it cannot be opened.
    pub lost: bool,
}

/// The stages of a race.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// No race is under way.
    #[default]
    Idle,
    /// Its seed is awaited.
    Seed,
    /// Hosts compute and commit.
    Race,
    /// Commitments are closed; what is checked is awaited.
    Draw,
    /// Openings and verdicts.
    Verify,
    /// Verdicts are closed; traces are revealed.
    Reveal,
}

impl Stage {
    /// The stage's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Seed => "seed",
            Self::Race => "race",
            Self::Draw => "draw",
            Self::Verify => "verify",
            Self::Reveal => "reveal",
        }
    }
}

/// How far this host's own race is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Running {
    /// Not begun.
    #[default]
    No,
    /// Under way.
    Yes,
    /// Told to end.
    Ending,
    /// Nothing more will come.
    Over,
}

/// What is remembered of the race under way.
#[derive(Default)]
struct Current {
    epoch: Epoch,
    running: Running,
    /// The hosts that this one checks, once they are drawn.
    checks: Option<BTreeMap<Address, Check>>,
    /// Nonces of other hosts that were computed here.
    traces: BTreeMap<(Address, Position), Trace>,
    /// Those that were asked for.
    asked: BTreeSet<(Address, Position)>,
    lost: bool,
}

/// The state machine.
pub struct Core {
    me: Identity,
    conduct: Box<dyn Conduct>,
    current: Current,
    /// The work of the race under way.
    work: Option<Work>,
    /// From before a restart: used if the race under way is still the same.
    restored: Option<Work>,
    standing: Standing,
}

impl Core {
    /// A host that follows the rules, or breaks them as `adversary` says.
    pub fn new(me: Identity, adversary: Option<Adversary>) -> Self {
        let conduct: Box<dyn Conduct> = match adversary {
            None => Box::new(Honest),
            Some(adversary) => adversary.conduct(),
        };
        Self {
            me,
            conduct,
            current: Current::default(),
            work: None,
            restored: None,
            standing: Standing::default(),
        }
    }

    /// What was computed in the race of `epoch` before a restart, from nonce 0 on. To be called before the
    /// first step; of several calls the last counts.
    pub fn restore(&mut self, epoch: Epoch, seed: Digest, traces: Vec<Trace>) {
        self.restored = Some(Work::new(epoch, seed, traces));
    }

    /// What is to be done after the block at `height`, whose state is `state`.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read. Nothing is lost by that; the next step asks again.
    pub fn step(&mut self, state: &dyn Reader, height: Height) -> Result<Vec<Action>, Fault> {
        let mut todo = Todo::default();
        let Some(view) = View::read(state, height)? else { return Ok(Vec::new()) };
        self.turn(&view, &mut todo);
        if view.race.end.is_some() {
            self.end(&mut todo);
        } else {
            self.race(&view, &mut todo)?;
            self.respond(&view, &mut todo)?;
            self.verify(&view, &mut todo)?;
            self.judge(&view, &mut todo)?;
        }
        self.standing = self.stand(&view)?;
        Ok(todo.into_actions())
    }

    /// These nonces of the race of `epoch` are computed and durable, from `first` on. They continue those
    /// before; what comes for another race, or leaves a gap, is passed over.
    pub fn computed(&mut self, epoch: Epoch, first: u64, traces: &[Trace]) {
        if let Some(work) = self.work.as_mut().filter(|work| work.epoch == epoch) {
            work.extend(first, traces);
        }
    }

    /// The answer to [`Action::EndRace`]: nothing more comes.
    pub fn ended(&mut self, epoch: Epoch) {
        if epoch == self.current.epoch {
            self.current.running = Running::Over;
        }
    }

    /// The answer to [`Action::Fetch`].
    pub fn opened(&mut self, epoch: Epoch, host: Address, answer: Result<SignedOpenings, Unreachable>) {
        let Some(check) = self.check_of(epoch, &host) else { return };
        check.fetching = false;
        if let Ok(signed) = answer
            && signed.check(&check.expected).is_ok()
        {
            check.show(signed.body.openings);
        }
    }

    /// The answer to [`Action::Recompute`].
    pub fn recomputed(&mut self, epoch: Epoch, host: Address, traces: &[(Position, Trace)]) {
        if epoch != self.current.epoch {
            return;
        }
        for (position, trace) in traces {
            // Only what was asked for, so that this is as bounded as the questions.
            if self.current.asked.contains(&(host, *position)) {
                self.current.traces.insert((host, *position), *trace);
            }
        }
    }

    /// What `host` has published on chain for this member, in an answer to its demand: the state keeps only that
    /// it answered.
    pub fn published(&mut self, epoch: Epoch, host: Address, openings: &[Opening]) {
        if let Some(check) = self.check_of(epoch, &host) {
            check.show(openings.iter().cloned());
        }
    }

    /// Whether this member has demanded leaves that it does not know yet: then what is published on chain should
    /// come in through [`Core::published`].
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    pub fn awaits_answers(&self, state: &dyn Reader, height: Height) -> Result<bool, Fault> {
        let Some(view) = View::read(state, height)? else { return Ok(false) };
        if view.race.epoch != self.current.epoch || view.race.end.is_some() {
            return Ok(false);
        }
        for (host, check) in self.current.checks.iter().flatten() {
            if !check.is_complete() && view.has_demanded(host, &self.me.address)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What was to be computed for [`Action::Recompute`] could not be: it will be asked for again.
    pub fn not_recomputed(&mut self, epoch: Epoch, host: Address, positions: &[Position]) {
        if epoch == self.current.epoch {
            for position in positions {
                self.current.asked.remove(&(host, *position));
            }
        }
    }

    /// Where this host stood after the latest step.
    pub fn standing(&self) -> Standing {
        let mut standing = self.standing.clone();
        if let Some(work) = &self.work {
            standing.nonces = work.count();
        }
        standing
    }

    fn check_of(&mut self, epoch: Epoch, host: &Address) -> Option<&mut Check> {
        if epoch != self.current.epoch {
            return None;
        }
        self.current.checks.as_mut()?.get_mut(host)
    }

    /// Begins the race of a new epoch.
    fn turn(&mut self, view: &View<'_>, todo: &mut Todo) {
        let epoch = view.race.epoch;
        if self.current.epoch == epoch {
            return;
        }
        if self.current.running == Running::Yes {
            todo.actions.push(Action::EndRace { epoch: self.current.epoch });
        }
        // The race before this one is settled; it is kept for one more epoch, for whoever wants to look.
        if let Some(old) = epoch.0.checked_sub(2) {
            todo.actions.push(Action::Forget { epoch: Epoch(old) });
        }
        self.current = Current { epoch, ..Current::default() };
        self.work = None;
    }

    fn part(&self, view: &View<'_>, seed: Digest) -> Part {
        let Identity { chain, address, .. } = self.me;
        Part { chain, epoch: view.race.epoch, seed, host: address, leaves: view.race.rules.leaves }
    }

    fn stand(&self, view: &View<'_>) -> Result<Standing, Fault> {
        let committed = view.entry(&self.me.address)?.map(|entry| entry.commitment.total());
        Ok(Standing {
            epoch: view.race.epoch,
            stage: view.stage(),
            nonces: 0,
            committed,
            lost: self.current.lost,
        })
    }
}

/// What a step gathers.
#[derive(Default)]
struct Todo {
    actions: Vec<Action>,
    messages: Vec<Message>,
}

impl Todo {
    fn into_actions(mut self) -> Vec<Action> {
        if !self.messages.is_empty() {
            self.actions.push(Action::Send(self.messages));
        }
        self.actions
    }
}
