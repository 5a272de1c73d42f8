//! Duties in the committees of other hosts: look, recompute, judge, and insist where something is not shown.

use std::collections::BTreeMap;

use freeway_ledger::sprint::Verdict;
use freeway_ledger::{Fault, Text};
use freeway_primitives::{Address, Amount, Digest, Height};
use freeway_proofs::sprint::{Commitment, Opening, Position, TAG_BYTES, Tag, leaf, tag};

use super::respond::chunks;
use super::view::{self, View, Window};
use super::{Action, Core, Todo};
use crate::adversary::Case;
use crate::openings::Expected;

/// How often a host is asked before its openings are demanded on chain.
const MAX_TRIES: u32 = 3;

/// A check of one host.
pub(super) struct Check {
    pub(super) expected: Expected,
    commitment: Commitment,
    /// What this member drew.
    positions: Vec<Position>,
    endpoints: Vec<Text>,
    /// What the host has shown of that, each verified against the commitment.
    shown: BTreeMap<Position, Opening>,
    tries: u32,
    next_try: Height,
    pub(super) fetching: bool,
}

impl Check {
    /// Takes those of `openings` that were asked for and stand in the commitment.
    pub(super) fn show(&mut self, openings: impl IntoIterator<Item = Opening>) {
        for opening in openings {
            if self.positions.contains(&opening.position) && opening.verify(&self.commitment) {
                self.shown.insert(opening.position, opening);
            }
        }
    }

    /// The indices of what is not shown.
    fn missing(&self) -> impl Iterator<Item = u16> {
        let hidden = |(i, position)| (!self.shown.contains_key(position)).then_some(i);
        (0u16..).zip(&self.positions).filter_map(hidden)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.missing().next().is_none()
    }
}

impl Core {
    pub(super) fn verify(&mut self, view: &View<'_>, todo: &mut Todo) -> Result<(), Fault> {
        let (Some(window), Some(started)) = (view.verdicts(), &view.race.started) else { return Ok(()) };
        if self.current.checks.is_none() {
            self.current.checks = Some(self.begin_checks(view)?);
        }
        self.ask(view, window, started.seed, todo);
        self.give_verdicts(view, window, started.seed, todo)?;
        let budget = view.balance(&self.me.address)?;
        let budget = self.demand(view, window, budget, todo)?;
        self.accuse(view, window, budget, todo)
    }

    fn begin_checks(&self, view: &View<'_>) -> Result<BTreeMap<Address, Check>, Fault> {
        let member = self.me.address;
        let mut checks = BTreeMap::new();
        for host in view.assigned(&member)? {
            let (Some(entry), Some(profile)) = (view.entry(&host)?, view.profile(&host)?) else { continue };
            let expected = Expected {
                chain: self.me.chain,
                epoch: view.race.epoch,
                host,
                member,
                key: profile.consensus_key,
            };
            let check = Check {
                expected,
                positions: view.positions(&host, &member, &entry.commitment),
                commitment: entry.commitment,
                endpoints: profile.endpoints,
                shown: BTreeMap::new(),
                tries: 0,
                next_try: Height::GENESIS,
                fetching: false,
            };
            checks.insert(host, check);
        }
        Ok(checks)
    }

    /// Asks the hosts, and for the recomputation of what they should show: one does not wait for the other.
    fn ask(&mut self, view: &View<'_>, window: Window, seed: Digest, todo: &mut Todo) {
        let (epoch, height, member) = (view.race.epoch, view.height, self.me.address);
        // What comes after the last block is of use to nobody.
        if height >= window.last {
            return;
        }
        let wait = (window.length() / 20).max(1);
        for (host, check) in self.current.checks.iter_mut().flatten() {
            let host = *host;
            let asked = &mut self.current.asked;
            if self.conduct.recomputes() {
                let fresh = |position: &Position| asked.insert((host, *position));
                let positions: Vec<_> = check.positions.iter().copied().filter(fresh).collect();
                if !positions.is_empty() {
                    let shape = view.race.rules.shape.clone();
                    todo.actions.push(Action::Recompute { epoch, host, seed, shape, positions });
                }
            }
            if check.fetching || check.is_complete() || check.tries >= MAX_TRIES || height < check.next_try {
                continue;
            }
            let mut endpoints = check.endpoints.clone();
            // Another one first each time.
            let first = usize::try_from(check.tries).unwrap_or(0).checked_rem(endpoints.len()).unwrap_or(0);
            endpoints.rotate_left(first);
            check.tries += 1;
            check.next_try = height.plus(wait);
            if !endpoints.is_empty() {
                check.fetching = true;
                todo.actions.push(Action::Fetch { epoch, host, endpoints, key: check.expected.key, member });
            }
        }
    }

    /// All verdicts together once all are there; what there is when little time is left.
    fn give_verdicts(
        &self,
        view: &View<'_>,
        window: Window,
        seed: Digest,
        todo: &mut Todo,
    ) -> Result<(), Fault> {
        let (from, until) = self.conduct.window(window.first, window.last);
        let next = view.height.next();
        if !(from..=until).contains(&next) {
            return Ok(());
        }
        let (mut verdicts, mut due) = (Vec::new(), 0);
        for (host, check) in self.current.checks.iter().flatten() {
            if view.has_verdict(host, &self.me.address)? {
                continue;
            }
            due += 1;
            if let Some(tags) = self.tags(view, host, check, seed)? {
                verdicts.push(Verdict { host: *host, tags });
            }
        }
        let hurry = next.plus((window.length() / 10).clamp(1, 10)) >= until;
        if verdicts.len() == due || hurry {
            let parts = chunks(verdicts.into_iter(), |verdict| 36 + verdict.tags.len() * TAG_BYTES);
            todo.messages.extend(parts.into_iter().map(view::verdicts));
        }
        Ok(())
    }

    /// The tags of a verdict, once all its nonces are computed.
    fn tags(
        &self,
        view: &View<'_>,
        host: &Address,
        check: &Check,
        seed: Digest,
    ) -> Result<Option<Vec<Tag>>, Fault> {
        let (me, epoch) = (&self.me, view.race.epoch);
        if !self.conduct.recomputes() {
            let others = view.verdicts_of_others(host, &me.address)?;
            let case = Case {
                part: self.part(view, seed),
                host: *host,
                positions: &check.positions,
                shown: &check.shown,
                others: &others,
            };
            let tags = self.conduct.tags(&case);
            return Ok(tags.filter(|tags| tags.len() == check.positions.len()));
        }
        let tag = |position: &Position| {
            let trace = self.current.traces.get(&(*host, *position))?;
            Some(tag(&me.chain, epoch, &me.address, host, trace))
        };
        Ok(check.positions.iter().map(tag).collect())
    }

    /// Demands on chain what was not shown. Gives the money that is left for other bonds.
    fn demand(
        &self,
        view: &View<'_>,
        window: Window,
        mut budget: Amount,
        todo: &mut Todo,
    ) -> Result<Amount, Fault> {
        if !window.contains(view.height.next()) {
            return Ok(budget);
        }
        let rules = &view.race.rules;
        let most = usize::try_from(rules.max_demand_positions).unwrap_or(usize::MAX);
        for (host, check) in self.current.checks.iter().flatten() {
            let asked_enough = check.tries >= MAX_TRIES && !check.fetching;
            if check.is_complete() || !asked_enough {
                continue;
            }
            if view.is_void(host)? || view.has_demanded(host, &self.me.address)? {
                continue;
            }
            let mut positions = Vec::new();
            for index in check.missing().take(most) {
                let Some(rest) = budget.checked_sub(rules.demand_bond) else { break };
                budget = rest;
                positions.push(index);
            }
            if !positions.is_empty() {
                todo.messages.push(view::demand(*host, positions));
            }
        }
        Ok(budget)
    }

    /// Accuses one wrong leaf of each host that has shown one.
    fn accuse(
        &self,
        view: &View<'_>,
        window: Window,
        mut budget: Amount,
        todo: &mut Todo,
    ) -> Result<(), Fault> {
        if !view.takes_accusations() {
            return Ok(());
        }
        for (host, check) in self.current.checks.iter().flatten() {
            let wrong = check.shown.values().find(|opening| self.doubts(host, opening));
            let Some(opening) = wrong else { continue };
            // Two a block: a conviction by the first spares the others their bonds, and a host has few trials.
            let rank = view.committee(host)?.iter().position(|member| *member == self.me.address);
            let turn = window.first.plus(rank.map_or(0, |rank| rank as u64 / 2));
            if view.height < turn || !view.can_accuse(host, opening.position)? {
                continue;
            }
            let Some(rest) = budget.checked_sub(view.race.rules.accusation_bond) else { break };
            budget = rest;
            todo.messages.push(view::accuse(*host, opening.clone()));
        }
        Ok(())
    }

    /// Whether the leaf is not that of the nonce, as far as it was recomputed.
    fn doubts(&self, host: &Address, opening: &Opening) -> bool {
        let trace = self.current.traces.get(&(*host, opening.position));
        trace.is_some_and(|trace| (leaf(trace) != opening.leaf) != self.conduct.slanders())
    }
}
