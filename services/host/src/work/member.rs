//! Duties in the committees of other hosts: look, do again, say what was found, and insist where something is not shown.

use std::collections::BTreeMap;

use freeway_api::serving::ShownSample;
use freeway_ledger::accounts::ACCOUNTS;
use freeway_ledger::models::Tier;
use freeway_ledger::verification::{
    self, Accusation, Assignment, Finding, Leaf, Message as Verify, Proof, TRIALS, VERDICTS, Verdict,
    demands_on, open_trials,
};
use freeway_ledger::work::{self, Commitment, ROUNDS, Round, RoundId, State, Void};
use freeway_ledger::{Fault, Message, Reader};
use freeway_primitives::{Address, Amount, Digest, Domain, Height};
use freeway_proofs::work::{Receipt, tag};

use super::desk::Outcome;
use super::{Moment, Todo, WorkAction, WorkCore, WorkError, examine};
use crate::core::chunks;

const MADE_UP: Domain = Domain::new("freeway 1 made-up tag");

/// How often a host is asked before a sample is demanded on chain.
const MAX_TRIES: u64 = 3;
/// A host, a branch and how many findings.
const VERDICT_BYTES: usize = 32 + 1 + 4;
/// A finding with its tag.
const FINDING_BYTES: usize = 17;

/// A check of what one host committed to in one interval.
pub(super) struct Check {
    host: Address,
    interval: u64,
    /// The round of which it is.
    round: u64,
    from: Height,
    until: Height,
    /// What this member drew.
    assigned: Vec<Assignment>,
    /// What the host has shown of that, each verified against the commitment.
    shown: BTreeMap<u32, Shown>,
    /// What convicts the host by itself.
    proof: Option<Proof>,
    tries: u64,
    next_try: Height,
    pub(super) fetching: bool,
}

/// A sample that was shown.
struct Shown {
    leaf: Leaf,
    receipt: Receipt,
    /// Whether it convicts by itself, so that nothing need be computed.
    convicts: bool,
}

/// What can be said of a sample.
enum Word {
    Found(Finding),
    /// It was shown, and there was no time for it yet.
    NotDone,
    /// It was not shown yet.
    NotShown,
}

impl Check {
    /// Takes those samples that were asked for and are leaves of the commitment.
    pub(super) fn show(
        &mut self,
        state: &dyn Reader,
        commitment: &Commitment,
        samples: Vec<ShownSample>,
    ) -> Result<(), Fault> {
        for ShownSample { sample: number, leaf, receipt } in samples {
            let known = self.assigned.iter().flat_map(|assignment| &assignment.samples);
            let Some((_, sample)) = known.into_iter().find(|(known, _)| *known == number) else { continue };
            let branch = commitment.branches.get(sample.branch);
            let Some(branch) = branch.filter(|_| examine::is_shown(commitment, sample, &leaf, &receipt))
            else {
                continue;
            };
            let (interval, host) = (self.interval, self.host);
            let convicts = examine::convicts(state, interval, &host, branch, &leaf, &receipt)?;
            if branch.tier == Tier::Statistical {
                // Collateral is not at stake there: it is said to be wrong, and nothing is proven.
                let mut contradicts = false;
                for other in self.shown.values_mut() {
                    let is_other = examine::contradict(&other.leaf, &leaf);
                    other.convicts |= is_other;
                    contradicts |= is_other;
                }
                self.shown.insert(number, Shown { leaf, receipt, convicts: convicts || contradicts });
                continue;
            }
            if convicts {
                let (leaf, receipt) = (leaf.clone(), Some(receipt));
                self.proof = Some(Proof::Leaf { interval, host, leaf, receipt });
            }
            let other = self.shown.values().find(|shown| examine::contradict(&shown.leaf, &leaf));
            if let Some(other) = other {
                // Neighbours are compared in their order.
                let (mut first, mut second) = (other.leaf.clone(), leaf.clone());
                if first.opening.index > second.opening.index {
                    (first, second) = (second, first);
                }
                self.proof = Some(Proof::Leaves { host, interval, first, later: interval, second });
            }
            self.shown.insert(number, Shown { leaf, receipt, convicts });
        }
        Ok(())
    }

    /// The first sample that is not shown.
    fn missing(&self) -> Option<(u32, usize)> {
        let all = self.assigned.iter().flat_map(|assignment| &assignment.samples);
        let (number, sample) = all.into_iter().find(|(number, _)| !self.shown.contains_key(number))?;
        Some((*number, sample.branch))
    }

    fn length(&self) -> u64 {
        self.until.0.saturating_sub(self.from.0).saturating_add(1)
    }

    /// Blocks between two questions.
    fn pause(&self) -> u64 {
        (self.length() / 20).max(1)
    }

    /// Whether there is little time left, so that what is known is said now.
    fn hurries(&self, next: Height) -> bool {
        next.plus((self.length() / 20).clamp(2, 20)) >= self.until
    }
}

impl WorkCore {
    /// What this host does as a member of committees.
    pub(super) fn check(&mut self, now: &Moment<'_>, todo: &mut Todo) -> Result<(), WorkError> {
        let rounds: BTreeMap<RoundId, Round> = work::rounds(now.state)?.into_iter().collect();
        self.rounds.retain(|id| rounds.contains_key(id));
        self.checks.retain(|(interval, _), check| rounds.contains_key(&(*interval, check.round)));
        for (id, round) in &rounds {
            let Some(drawn) = round.drawn.as_ref().filter(|_| round.closing.is_none()) else { continue };
            // Deadlines are set once all committees are drawn.
            let is_on = drawn.until < Height(u64::MAX) && now.next() <= drawn.until;
            if is_on && self.rounds.insert(*id) {
                self.begin(now, *id, drawn.height, drawn.until)?;
            }
        }
        self.ask(now, todo)?;
        self.give_verdicts(now, todo)?;
        let balance = ACCOUNTS.get(now.state, &self.me.address)?.unwrap_or_default().balance;
        let budget = self.demand(now, balance, todo)?;
        self.accuse(now, &rounds, budget, todo)?;
        Ok(())
    }

    fn begin(
        &mut self,
        now: &Moment<'_>,
        (interval, round): RoundId,
        from: Height,
        until: Height,
    ) -> Result<(), Fault> {
        for assignment in verification::assigned(now.state, interval, &self.me.address)? {
            let host = assignment.host;
            let commitment = work::commitment(now.state, interval, &host)?;
            if assignment.samples.is_empty() || commitment.is_none_or(|known| known.round != round) {
                continue;
            }
            let fresh = || Check {
                host,
                interval,
                round,
                from,
                until,
                assigned: Vec::new(),
                shown: BTreeMap::new(),
                proof: None,
                tries: 0,
                next_try: Height::GENESIS,
                fetching: false,
            };
            let check = self.checks.entry((interval, host)).or_insert_with(fresh);
            if check.round != round {
                *check = fresh();
            }
            check.assigned.push(assignment);
        }
        Ok(())
    }

    /// Asks hosts for samples, and has what they show done again.
    fn ask(&mut self, now: &Moment<'_>, todo: &mut Todo) -> Result<(), Fault> {
        if self.is_lazy() {
            return Ok(());
        }
        let (height, me) = (now.height, self.me.address);
        let mut fetches = Vec::new();
        for ((interval, host), check) in &self.checks {
            if height >= check.until {
                continue;
            }
            let Some(commitment) = work::commitment(now.state, *interval, host)? else { continue };
            for shown in check.shown.values().filter(|shown| !shown.convicts) {
                let committee = commitment.branches.get(usize::from(shown.leaf.branch));
                let committee = committee.map(|branch| branch.committee.as_slice()).unwrap_or_default();
                let mut from = vec![*host];
                from.extend(committee.iter().filter(|member| **member != me));
                self.desk.want(shown.leaf.entry.receipt, &from, check.until);
            }
            let is_complete = check.missing().is_none();
            if check.fetching || is_complete || height < check.next_try || commitment.state != State::Open {
                continue;
            }
            fetches.push((*interval, *host));
        }
        for (interval, host) in fetches {
            let source = self.sources(now, &[host])?.pop();
            if let Some(check) = self.checks.get_mut(&(interval, host)) {
                check.tries += 1;
                check.next_try = height.plus(check.pause());
                // Without an endpoint that is as good as no answer.
                check.fetching = source.is_some();
            }
            todo.actions.extend(source.map(|source| WorkAction::FetchSamples { interval, source }));
        }
        Ok(())
    }

    /// All verdicts on an interval together once all are there; what there is when little time is left.
    fn give_verdicts(&self, now: &Moment<'_>, todo: &mut Todo) -> Result<(), Fault> {
        let (next, me) = (now.next(), self.me.address);
        let mut intervals: BTreeMap<u64, (usize, Vec<Verdict>, bool)> = BTreeMap::new();
        for ((interval, host), check) in &self.checks {
            if next > check.until {
                continue;
            }
            let (due, verdicts, hurries) = intervals.entry(*interval).or_default();
            *hurries |= check.hurries(next);
            let commitment = work::commitment(now.state, *interval, host)?;
            if commitment.is_none_or(|commitment| commitment.state != State::Open) {
                continue;
            }
            for assignment in &check.assigned {
                let seat = (*interval, (*host, (u64::from(assignment.branch), me)));
                if VERDICTS.contains(now.state, &seat)? {
                    continue;
                }
                *due += 1;
                if let Some(findings) = self.findings(check, assignment, check.hurries(next)) {
                    verdicts.push(Verdict { host: *host, branch: assignment.branch, findings });
                }
            }
        }
        for (interval, (due, verdicts, hurries)) in intervals {
            if verdicts.is_empty() || (verdicts.len() < due && !hurries) {
                continue;
            }
            let bytes = |verdict: &Verdict| VERDICT_BYTES + FINDING_BYTES * verdict.findings.len();
            for verdicts in chunks(verdicts.into_iter(), bytes) {
                todo.messages.push(Message::Verification(Verify::Verdicts { interval, verdicts }));
            }
        }
        Ok(())
    }

    /// A verdict on a branch, if it can be given: with `hurries` also on what was not shown.
    fn findings(&self, check: &Check, assignment: &Assignment, hurries: bool) -> Option<Vec<Finding>> {
        let of = |(number, _): &(u32, work::Sample)| match self.word(check, *number) {
            Word::Found(finding) => Some(finding),
            Word::NotShown if hurries => Some(Finding::NotShown),
            // To call it anything else would be a lie that costs an honest host its fees.
            Word::NotShown | Word::NotDone => None,
        };
        assignment.samples.iter().map(of).collect()
    }

    fn word(&self, check: &Check, number: u32) -> Word {
        let (interval, me, host) = (check.interval, &self.me.address, &check.host);
        if self.is_lazy() {
            // It looks like a tag, and nobody can tell before the host reveals.
            let parts: [&[u8]; 3] = [&me.0, &host.0, &number.to_le_bytes()];
            let trace = Digest::of_list(MADE_UP, parts);
            return Word::Found(Finding::Right(tag(interval, me, host, &Digest::ZERO, &trace)));
        }
        let Some(shown) = check.shown.get(&number) else { return Word::NotShown };
        let receipt = &shown.leaf.entry.receipt;
        match self.desk.outcome(receipt) {
            _ if shown.convicts => Word::Found(Finding::Wrong),
            Some(Outcome::Wrong | Outcome::Doubtful) => Word::Found(Finding::Wrong),
            Some(Outcome::Right(trace)) => {
                Word::Found(Finding::Right(tag(interval, me, host, receipt, &trace)))
            }
            None if self.desk.is_held(receipt) => Word::NotDone,
            None => Word::NotShown,
        }
    }

    /// Demands one sample of a host that shows nothing, unless another member did. Gives the money that is left.
    fn demand(&self, now: &Moment<'_>, mut budget: Amount, todo: &mut Todo) -> Result<Amount, Fault> {
        let next = now.next();
        for ((interval, host), check) in &self.checks {
            let asked_enough = check.tries >= MAX_TRIES && !check.fetching;
            let Some((sample, branch)) = check.missing().filter(|_| asked_enough) else { continue };
            let Some(commitment) = work::commitment(now.state, *interval, host)? else { continue };
            if next > check.until || commitment.state != State::Open {
                continue;
            }
            // One is enough, so the members take turns.
            let patience = MAX_TRIES.saturating_mul(check.pause());
            let turn = check.from.plus(patience.saturating_add(rank(&commitment, branch, &self.me.address)));
            if now.height < turn || !demands_on(now.state, *interval, host)?.is_empty() {
                continue;
            }
            let Some(rest) = budget.checked_sub(now.params.verification.demand_bond) else { break };
            budget = rest;
            let (interval, host) = (*interval, *host);
            todo.messages.push(Message::Verification(Verify::Demand { interval, host, sample }));
        }
        Ok(budget)
    }

    /// Proves or accuses one wrong leaf of each host that has shown one.
    fn accuse(
        &self,
        now: &Moment<'_>,
        rounds: &BTreeMap<RoundId, Round>,
        mut budget: Amount,
        todo: &mut Todo,
    ) -> Result<(), Fault> {
        for ((interval, host), check) in &self.checks {
            let Some(commitment) = work::commitment(now.state, *interval, host)? else { continue };
            if matches!(commitment.state, State::Convicted | State::Void(Void::Forfeited)) {
                continue;
            }
            if let Some(proof) = &check.proof {
                let proof = Box::new(proof.clone());
                todo.messages.push(Message::Verification(Verify::Prove(proof)));
                continue;
            }
            let is_wrong = |shown: &&Shown| {
                let branch = commitment.branches.get(usize::from(shown.leaf.branch));
                branch.is_some_and(|branch| branch.tier == Tier::Exact)
                    && self.desk.outcome(&shown.leaf.entry.receipt) == Some(Outcome::Wrong)
            };
            let wrong = check.shown.values().filter(is_wrong);
            let closing = rounds.get(&(*interval, check.round)).and_then(|round| round.closing.as_ref());
            if commitment.state == State::Matured
                || closing.is_some_and(|closing| now.next() > closing.until)
                || ROUNDS.get(now.state, &(*interval, commitment.round))?.is_none()
            {
                continue;
            }
            for shown in wrong {
                // A conviction by one spares the others their bonds.
                let branch = usize::from(shown.leaf.branch);
                let turn = check.from.plus(1 + rank(&commitment, branch, &self.me.address));
                if now.height < turn || self.is_tried(now, *interval, host, &shown.leaf)? {
                    continue;
                }
                let Some(rest) = budget.checked_sub(now.params.verification.accusation_bond) else {
                    return Ok(());
                };
                budget = rest;
                let (interval, host, leaf, receipt) = (*interval, *host, shown.leaf.clone(), shown.receipt);
                let accusation = Box::new(Accusation { interval, host, leaf, receipt });
                todo.messages.push(Message::Verification(Verify::Accuse(accusation)));
                break;
            }
        }
        Ok(())
    }

    /// Whether a leaf was or is on trial, or another one of the same commitment is.
    fn is_tried(&self, now: &Moment<'_>, interval: u64, host: &Address, leaf: &Leaf) -> Result<bool, Fault> {
        let case = (interval, (*host, (u64::from(leaf.branch), leaf.opening.index)));
        if TRIALS.contains(now.state, &case)? {
            return Ok(true);
        }
        let of_host = |(number, (accused, _)): &verification::Case| (number, accused) == (&interval, host);
        Ok(open_trials(now.state)?.iter().any(|(case, _)| of_host(case)))
    }
}

/// The place of a member among those who are asked.
fn rank(commitment: &Commitment, branch: usize, member: &Address) -> u64 {
    let members = commitment.branches.get(branch).map(work::Branch::members).unwrap_or_default();
    members.iter().position(|known| known == member).unwrap_or_default() as u64
}
