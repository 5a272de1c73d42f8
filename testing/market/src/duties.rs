//! What a host sends: commitments, verdicts, revelations, answers, accusations, judgements, settlements.

use std::collections::{BTreeMap, BTreeSet};

use freeway_ledger::lanes::Message as Lanes;
use freeway_ledger::models::Tier;
use freeway_ledger::verification::{
    self, Accusation, Answer, Assignment, Case, Finding, Inclusion, Judgement, Message as Verify, Proof,
    Reveal, Trial, Verdict,
};
use freeway_ledger::work::{self, Commitment, Message as Work, Round, RoundId, Stage};
use freeway_ledger::{Message, Params};
use freeway_primitives::{Address, Digest, Height};
use freeway_proofs::work::tag;
use freeway_requests::evidence::{Evidence, Suspicion};

use crate::conduct::Sight;
use crate::host::{Host, Shelf};
use crate::job::{Kept, PRICES, SALT};
use crate::market::Market;

/// What is the same for all hosts in a block.
pub struct Scene {
    /// The block's height.
    pub next: Height,
    /// The parameters.
    pub params: Params,
    /// Rounds that are not over.
    pub rounds: Vec<(RoundId, Round)>,
    /// Trials without a ruling.
    pub trials: Vec<(Case, Trial)>,
}

/// What a host does in a block.
#[derive(Default)]
pub struct Deeds {
    /// What it sends, in order.
    pub messages: Vec<Message>,
    /// Tokens that it computed for others' sake.
    pub checked: u64,
    /// Tokens that it should have computed, and did not.
    pub skipped: u64,
    /// Whether something in it is not what an honest host would do.
    pub wrong: bool,
    /// Rounds for which its verdicts are among the messages.
    pub given: Vec<RoundId>,
    /// Intervals for which its settlements are.
    pub settled: Vec<u64>,
    /// What speaks against others by now, where that changed.
    pub evidence: BTreeMap<Address, Evidence>,
    /// The receipts that went into it, with their intervals, and whether their hosts were suspected then.
    pub heard: BTreeMap<(u64, Digest), bool>,
    /// Whom it suspects in its verdicts.
    pub suspects: BTreeMap<Address, Suspicion>,
}

impl Deeds {
    fn verify(&mut self, message: Verify) {
        self.messages.push(Message::Verification(message));
    }
}

/// What host `me` does in the next block.
pub fn of(market: &Market, me: usize, scene: &Scene) -> Deeds {
    let mut deeds = Deeds::default();
    for ((interval, number), round) in &scene.rounds {
        let stage = work::stage(round, scene.next);
        if let Stage::Verdicts { until } = stage {
            verdicts(market, me, (*interval, *number), until, scene.next, &mut deeds);
        }
        answers(market, me, *interval, matches!(stage, Stage::Revealing { .. }), &mut deeds);
    }
    judgements(market, me, scene, &mut deeds);
    let host = &market.hosts[me];
    let extra = host.conduct.also(market, me);
    deeds.wrong |= !extra.is_empty();
    deeds.messages.extend(extra);
    for interval in &host.due {
        deeds.settled.push(*interval);
        for settlement in host.settlements(&market.chain.id, *interval) {
            deeds.messages.push(Message::Lanes(Lanes::Settle(Box::new(settlement))));
        }
    }
    deeds
}

/// The commitments of a host that are due, of all intervals in which it served.
pub fn commits(host: &mut Host, state: &dyn freeway_ledger::Reader, scene: &Scene) -> Vec<Message> {
    let params = &scene.params.work;
    let now = work::interval_at(scene.next, params);
    let past: Vec<u64> = host.shelves.range(..now).map(|(interval, _)| *interval).collect();
    let mut messages = Vec::new();
    for interval in past {
        let in_time = scene.next <= work::last_commit(interval, params);
        let known = work::commitment(state, interval, &host.address);
        if in_time
            && known.expect("memory is readable").is_none()
            && let Some(claim) = host.claim(interval)
        {
            messages.push(Message::Work(Work::Commit { interval, claims: vec![claim] }));
        }
    }
    messages
}

fn shelf<'a>(
    market: &'a Market,
    host: &freeway_primitives::Address,
    interval: u64,
) -> Option<(&'a Host, &'a Shelf)> {
    let host = &market.hosts[market.number(host)?];
    Some((host, host.shelves.get(&interval)?))
}

/// What a member finds about the samples of others.
fn verdicts(market: &Market, me: usize, id: RoundId, until: Height, next: Height, deeds: &mut Deeds) {
    let (host, interval) = (&market.hosts[me], id.0);
    let waits = !host.conduct.hurries() && next.plus(3) <= until;
    // While the pass that draws committees is under way, the deadline is not set.
    if host.given.contains(&id) || waits || until.0 == u64::MAX {
        return;
    }
    let all =
        verification::assigned(&market.chain.state, interval, &host.address).expect("memory is readable");
    let mut verdicts = Vec::new();
    for assignment in all.into_iter().filter(|assignment| !assignment.given) {
        let findings = findings(market, me, &assignment, deeds);
        verdicts.push(Verdict { host: assignment.host, branch: assignment.branch, findings });
    }
    if !verdicts.is_empty() {
        deeds.verify(Verify::Verdicts { interval, verdicts });
    }
    deeds.given.push(id);
}

fn findings(market: &Market, me: usize, assignment: &Assignment, deeds: &mut Deeds) -> Vec<Finding> {
    let (host, interval) = (&market.hosts[me], assignment.interval);
    let mut seen = BTreeSet::new();
    let mut accused = false;
    let mut findings = Vec::new();
    let (state, me, league) = (&market.chain.state, &host.address, &market.league);
    let sight = |place, kept| Sight { state, assignment, place, me, kept, league };
    for (place, (sample, at)) in assignment.samples.iter().enumerate() {
        let shown = shelf(market, &assignment.host, interval).filter(|(other, _)| other.up);
        let leaf = shown.and_then(|(other, shelf)| Some((other, shelf, shelf.at(at.point)?)));
        let shown = leaf.filter(|(other, shelf, leaf)| {
            shelf.kept.get(*leaf).is_some_and(|kept| other.conduct.shows(kept, me, league))
        });
        let Some((other, shelf, index)) = shown else {
            let said = host.conduct.finds(&sight(place, None), Finding::NotShown);
            if said == Finding::NotShown && host.conduct.accuses() {
                deeds.verify(Verify::Demand { interval, host: assignment.host, sample: *sample });
            }
            deeds.wrong |= said != Finding::NotShown;
            findings.push(said);
            continue;
        };
        let kept = &shelf.kept[index];
        if seen.insert(index) {
            let tokens = kept.receipt.usage.tokens();
            let count = if host.conduct.computes() { &mut deeds.checked } else { &mut deeds.skipped };
            *count += tokens;
        }
        let honest = honest_finding(market, host, other, interval, kept, deeds);
        let said = host.conduct.finds(&sight(place, Some(kept)), honest);
        deeds.wrong |= said != honest;
        // What only evidence speaks against cannot be shown to a jury.
        let provable = market.tier == Tier::Exact;
        if said == Finding::Wrong && provable && host.conduct.accuses() && !accused {
            accused = true;
            deeds.messages.extend(charge(other, shelf, index, interval));
        }
        findings.push(said);
    }
    findings
}

fn honest_finding(
    market: &Market,
    member: &Host,
    host: &Host,
    interval: u64,
    kept: &Kept,
    deeds: &mut Deeds,
) -> Finding {
    let Some(trace) = kept.check(&host.address, market.tier) else { return Finding::Wrong };
    let receipt = kept.receipt.digest();
    if market.tier == Tier::Statistical && member.conduct.computes() {
        let known = member.evidence.get(&host.address).copied().unwrap_or_default();
        let evidence = deeds.evidence.entry(host.address).or_insert(known);
        let place = (interval, receipt);
        // However many samples hit it, and whoever asks again: each receipt counts once.
        let heard = member.heard.get(&place).or_else(|| deeds.heard.get(&place)).copied();
        let suspected = heard.unwrap_or_else(|| {
            let suspicion = market.answers.listen(evidence, kept);
            deeds.suspects.extend(suspicion.map(|suspicion| (host.address, suspicion)));
            deeds.heard.insert(place, suspicion.is_some());
            suspicion.is_some()
        });
        if suspected {
            return Finding::Wrong;
        }
    }
    Finding::Right(tag(interval, &member.address, &host.address, &receipt, &trace))
}

/// What is to be done about a wrong leaf: a proof if it is one by itself, else an accusation.
pub fn charge(host: &Host, shelf: &Shelf, index: usize, interval: u64) -> Option<Message> {
    let (leaf, receipt) = (shelf.leaf(index)?, shelf.kept.get(index)?.receipt);
    let message = if receipt.fee == PRICES.fee(&receipt.usage) {
        Verify::Accuse(Box::new(Accusation { interval, host: host.address, leaf, receipt }))
    } else {
        let receipt = Some(receipt);
        Verify::Prove(Box::new(Proof::Leaf { interval, host: host.address, leaf, receipt }))
    };
    Some(Message::Verification(message))
}

/// What a host owes about its own commitment: a revelation, answers to demands and reports.
fn answers(market: &Market, me: usize, interval: u64, reveals: bool, deeds: &mut Deeds) {
    let (host, state) = (&market.hosts[me], &market.chain.state);
    let known = work::commitment(state, interval, &host.address).expect("memory is readable");
    let Some(commitment) = known.filter(|commitment| commitment.state == work::State::Open) else { return };
    let Some(shelf) = host.shelves.get(&interval).filter(|_| host.conduct.answers()) else { return };
    if reveals && let Some(reveal) = reveal(host, shelf, interval, &commitment) {
        deeds.verify(Verify::Reveal(Box::new(reveal)));
    }
    if commitment.open == 0 {
        return;
    }
    let samples = work::samples(&host.address, interval, &commitment);
    let demands = verification::demands_on(state, interval, &host.address).expect("memory is readable");
    for ((_, (_, sample)), _) in demands.into_iter().filter(|(_, demand)| !demand.answered) {
        let point = samples.get(sample as usize).map(|sample| sample.point);
        let place = point.and_then(|point| shelf.at(point));
        if let Some((leaf, kept)) = place.and_then(|place| Some((shelf.leaf(place)?, shelf.kept.get(place)?)))
        {
            let answer = Answer { interval, sample: sample as u32, leaf, receipt: kept.receipt };
            deeds.verify(Verify::Answer(Box::new(answer)));
        }
    }
    let reports = verification::reports_on(state, interval, &host.address).expect("memory is readable");
    for ((_, (_, (lane, sequence))), _) in reports.into_iter().filter(|(_, report)| !report.answered) {
        if let Some(leaf) = shelf.place(lane, sequence).and_then(|place| shelf.leaf(place)) {
            deeds.verify(Verify::Include(Box::new(Inclusion { interval, leaf })));
        }
    }
}

fn reveal(host: &Host, shelf: &Shelf, interval: u64, commitment: &Commitment) -> Option<Reveal> {
    let (_, sample) = verification::reveal_due(interval, &host.address, commitment)?;
    let place = shelf.at(sample.point)?;
    let kept = shelf.kept.get(place)?;
    Some(Reveal { interval, leaf: shelf.leaf(place)?, receipt: kept.receipt, salt: SALT, trace: kept.trace })
}

/// What a juror says of the leaves on trial.
fn judgements(market: &Market, me: usize, scene: &Scene, deeds: &mut Deeds) {
    let host = &market.hosts[me];
    let mut judgements = Vec::new();
    for (case, trial) in &scene.trials {
        let (interval, (accused, (_, index))) = *case;
        let place = verification::is_judge(trial, &host.address);
        if place.is_none_or(|place| (trial.guilty | trial.innocent) >> place & 1 == 1) {
            continue;
        }
        // What a leaf was computed from is with its accuser and with its host; jurors get it from either.
        let Some((other, shelf)) = shelf(market, &accused, interval) else { continue };
        let Some(kept) = shelf.kept.get(index as usize) else { continue };
        if !host.conduct.computes() {
            continue;
        }
        deeds.checked += kept.receipt.usage.tokens();
        let wrong = kept.check(&other.address, market.tier).is_none();
        let guilty = host.conduct.judges(&accused, &market.league, wrong);
        deeds.wrong |= guilty != wrong;
        judgements.push(Judgement { case: *case, guilty });
    }
    if !judgements.is_empty() {
        deeds.verify(Verify::Judge(judgements));
    }
}
