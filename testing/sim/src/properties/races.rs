//! What must always hold of races: the honest are safe, and weights are what hardware was worth.

use std::collections::{BTreeMap, BTreeSet};

use freeway_ledger::hosts::{self, Status};
use freeway_ledger::sprint::{self, Event as Race, HostResult, TRIALS, Void};
use freeway_ledger::{Event, Fault, Reader, weights};
use freeway_primitives::{Address, Amount, Epoch, Height};

use super::{Verdict, Violation, violated};
use crate::adversaries::sprint::Seen;

/// How far a proven weight may be off the host's speed, in thousandths of the mean of all.
const TOLERANCE: f64 = 0.1;

/// A host as the plan has it.
#[derive(Clone, Copy, Debug)]
pub struct Racer {
    /// Nonces per simulated second.
    pub speed: u64,
    /// Whether it follows the rules.
    pub honest: bool,
}

/// A race that is over.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its epoch.
    pub epoch: Epoch,
    /// The height at which it ended.
    pub height: Height,
    /// What it found; nothing if it was abandoned.
    pub results: Option<BTreeMap<Address, HostResult>>,
    /// What was held against whom in it.
    pub charges: BTreeMap<Address, Charges>,
    /// The weights that count for power after it.
    pub powers: BTreeMap<Address, u64>,
}

/// What was held against a host so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charges {
    /// Convictions.
    pub convictions: u64,
    /// What they cost, in the smallest unit.
    pub penalty: u128,
    /// False verdicts.
    pub false_verdicts: u64,
    /// Accusations of right leaves.
    pub false_accusations: u64,
    /// Races that count for nothing.
    pub voids: u64,
}

impl Charges {
    /// Adds what an event says; `accuser` is that of an acquitted leaf.
    pub fn note(all: &mut BTreeMap<Address, Self>, event: &Race, accuser: Option<Address>) {
        match event {
            Race::Convicted { host, penalty, .. } => {
                let charges = all.entry(*host).or_default();
                charges.convictions += 1;
                charges.penalty += penalty.0;
            }
            Race::FalseVerdict { member, .. } => all.entry(*member).or_default().false_verdicts += 1,
            Race::Voided { host, .. } => all.entry(*host).or_default().voids += 1,
            Race::Acquitted { .. } => {
                if let Some(accuser) = accuser {
                    all.entry(accuser).or_default().false_accusations += 1;
                }
            }
            _ => {}
        }
    }
}

/// What all nodes together have shown of races.
#[derive(Debug, Default)]
pub struct Races {
    racers: BTreeMap<Address, Racer>,
    /// What an accusation puts up.
    bond: Amount,
    /// Hosts that had trouble of their own, and the last epoch in which it counts.
    excused: BTreeMap<Address, Epoch>,
    /// In the race under way.
    charges: BTreeMap<Address, Charges>,
    /// Trials in the race under way.
    trials: u64,
    records: BTreeMap<Address, weights::Record>,
    /// Races that are over.
    pub outcomes: Vec<Outcome>,
    /// Trials whose leaf was right.
    pub acquittals: u64,
    /// Leaves that were demanded on chain.
    pub demands: u64,
}

fn readable<T>(result: Result<T, Fault>) -> Result<T, Violation> {
    result.map_err(|fault| Violation { property: "readable", detail: fault.0 })
}

impl Races {
    /// Nothing seen yet of these hosts.
    pub fn new(racers: BTreeMap<Address, Racer>, bond: Amount) -> Self {
        Self { racers, bond, ..Self::default() }
    }

    /// The race of `epoch`, once it is over.
    pub fn outcome(&self, epoch: Epoch) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.epoch == epoch)
    }

    /// What settled races came to for a host; relative to the mean of the honest ones.
    pub fn seen(&self, host: &Address) -> Vec<Seen> {
        let mut seen = Vec::new();
        for outcome in &self.outcomes {
            let Some(results) = &outcome.results else { continue };
            let honest = || self.racers.iter().filter(|(_, racer)| racer.honest).map(|(other, _)| other);
            let mean = |of: &dyn Fn(&Address) -> u64| {
                honest().map(of).sum::<u64>() as f64 / honest().count().max(1) as f64
            };
            let weight = |of: &Address| results.get(of).map_or(0, |result| result.weight);
            let power = |of: &Address| outcome.powers.get(of).copied().unwrap_or_default();
            let charges = outcome.charges.get(host).copied().unwrap_or_default();
            seen.push(Seen {
                epoch: outcome.epoch,
                result: results.get(host).cloned().unwrap_or_default(),
                charges,
                weight: weight(host) as f64 / mean(&weight),
                power: power(host) as f64 / mean(&power),
                lost: charges.penalty + u128::from(charges.false_accusations) * self.bond.0,
            });
        }
        seen
    }

    /// Races that found something.
    pub fn settled(&self) -> u64 {
        self.outcomes.iter().filter(|outcome| outcome.results.is_some()).count() as u64
    }

    /// A host has trouble of its own, and cannot be expected to do its part up to the race of `until`.
    pub fn excuse(&mut self, host: Address, until: Epoch) {
        self.excused.insert(host, until);
    }

    /// Whether a host that follows the rules is expected to do everything in the race of `epoch`.
    fn counts_on(&self, host: &Address, epoch: Epoch) -> bool {
        self.racers.get(host).is_some_and(|racer| racer.honest)
            && self.excused.get(host).is_none_or(|until| *until < epoch)
    }

    fn is_honest(&self, host: &Address) -> bool {
        self.racers.get(host).is_none_or(|racer| racer.honest)
    }

    /// A block with these events is committed; `state` is the one after it.
    pub(super) fn committed(&mut self, state: &dyn Reader, height: Height, events: &[Event]) -> Verdict {
        for event in events {
            let Event::Sprint(event) = event else { continue };
            let mut accuser = None;
            if let Race::Acquitted { host, position } = event {
                let trial = readable(TRIALS.get(state, &(*host, *position)))?;
                accuser = trial.and_then(|trial| trial.accuser);
            }
            Charges::note(&mut self.charges, event, accuser);
            match event {
                Race::RaceStarted { .. } => self.trials = 0,
                Race::TrialOpened { .. } => self.trials += 1,
                Race::Acquitted { .. } => {
                    self.acquittals += 1;
                    if let Some(accuser) = accuser.filter(|accuser| self.is_honest(accuser)) {
                        let detail = format!("{accuser} accused a right leaf, judged at {height}");
                        return violated("the honest are not convicted", detail);
                    }
                }
                Race::Demanded { leaves, .. } => self.demands += u64::from(*leaves),
                Race::Convicted { host, position, .. } if self.is_honest(host) => {
                    let detail = format!("{host} was convicted for {position:?} at {height}");
                    return violated("the honest are not convicted", detail);
                }
                Race::FalseVerdict { member, host } if self.is_honest(member) => {
                    let detail = format!("{member} is said to have judged {host} falsely at {height}");
                    return violated("the honest are not convicted", detail);
                }
                Race::Voided { host, reason } => self.voided(state, height, host, *reason)?,
                Race::RaceSettled { epoch, .. } => self.settled_at(state, height, *epoch)?,
                Race::RaceAbandoned { epoch, .. } => {
                    for (host, known) in &self.records {
                        let now = readable(weights::of(state, host))?;
                        if (now.now, now.before) != (known.now, known.before) {
                            return violated("abandoned", format!("{host} had {known:?}, has {now:?}"));
                        }
                    }
                    self.over(*epoch, height, None);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn over(&mut self, epoch: Epoch, height: Height, results: Option<BTreeMap<Address, HostResult>>) {
        let charges = std::mem::take(&mut self.charges);
        let powers = self.records.iter().map(|(host, record)| (*host, record.power())).collect();
        self.outcomes.push(Outcome { epoch, height, results, charges, powers });
    }

    fn voided(&self, state: &dyn Reader, height: Height, host: &Address, reason: Void) -> Verdict {
        let race = readable(sprint::race(state))?;
        let epoch = race.map(|race| race.epoch).unwrap_or_default();
        if self.counts_on(host, epoch) {
            let detail = format!("the race of {host} is void at {height}: {}", reason.name());
            return violated("the honest keep their weight", detail);
        }
        Ok(())
    }

    fn settled_at(&mut self, state: &dyn Reader, height: Height, epoch: Epoch) -> Verdict {
        let results: BTreeMap<_, _> =
            readable(sprint::results(state, None, usize::MAX))?.into_iter().collect();
        let rules = readable(sprint::race(state))?.map(|race| race.rules);
        let Some(rules) = rules else { return violated("races", "a race settles, and there is none") };
        let mut worth = Vec::new();
        let mut active = BTreeSet::new();
        for (host, known) in readable(hosts::all(state))? {
            let record = readable(weights::of(state, &host))?;
            let result = results.get(&host).cloned().unwrap_or_default();
            if record.now != result.weight || record.power() > record.now {
                return violated("weights", format!("{host} proved {result:?}, and has {record:?}"));
            }
            let old = self.records.insert(host, record.clone());
            if old.is_some_and(|old| record.before != old.now) && known.status == Status::Active {
                return violated("weights", format!("{host} forgot what it proved before: {record:?}"));
            }
            if known.status == Status::Active && known.since < epoch || known.since == Epoch(0) {
                active.insert(host);
            }
        }
        for (host, racer) in &self.racers {
            if !self.counts_on(host, epoch) || !active.contains(host) {
                continue;
            }
            let result = results.get(host).cloned().unwrap_or_default();
            let full = rules.weight(result.count);
            let kept = if result.confirmed > 0 { result.weight == full } else { result.weight <= full };
            if result.count == 0 || result.void.is_some() || !kept || result.done != result.owed {
                let detail = format!("{host} in the race of {epoch}, full weight {full}: {result:?}");
                return violated("the honest keep their weight", detail);
            }
            if result.confirmed > 0 {
                worth.push((*host, result.weight as f64 / racer.speed as f64));
            }
        }
        let mean = worth.iter().map(|(_, worth)| worth).sum::<f64>() / worth.len().max(1) as f64;
        for (host, worth) in &worth {
            if (worth / mean - 1.0).abs() > TOLERANCE {
                let detail =
                    format!("{host} proved {worth:.3} for each nonce a second, the mean is {mean:.3}");
                return violated("weight is speed", detail);
            }
        }
        self.duties_add_up(epoch, &results)?;
        self.over(epoch, height, Some(results));
        Ok(())
    }

    /// Everybody in a committee owes a verdict on its host, and nobody else does.
    fn duties_add_up(&self, epoch: Epoch, results: &BTreeMap<Address, HostResult>) -> Verdict {
        let sum = |of: fn(&HostResult) -> u32| results.values().map(|r| u64::from(of(r))).sum::<u64>();
        let (owed, done) = (sum(|r| r.owed), sum(|r| r.done));
        let (seats, confirmed) = (sum(|r| r.committee), sum(|r| r.confirmed));
        // Word against word counts neither way: only where there was a trial can a duty be left out.
        let right = owed <= seats && (owed == seats || self.trials > 0);
        let bounded = results.values().all(|r| r.done <= r.owed && r.confirmed <= r.committee);
        if !right || !bounded || done > owed || (self.trials == 0 && confirmed > done) {
            let detail = format!(
                "epoch {epoch}: {seats} places in committees, {owed} owed, {done} done, {confirmed} confirmed"
            );
            return violated("duties add up", detail);
        }
        Ok(())
    }
}
