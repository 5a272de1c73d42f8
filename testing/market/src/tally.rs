//! What is counted.

use std::collections::{BTreeMap, BTreeSet};

use freeway_ledger::verification::{self, TRIALS};
use freeway_ledger::work::{self, Void};
use freeway_ledger::{Event, MemoryState, hosts};
use freeway_primitives::{Address, Height};
use freeway_requests::evidence::Suspicion;

use crate::conduct::League;

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// When somebody of the league first did something wrong.
    pub first_wrong: Option<Height>,
    /// When that was first noticed, and how.
    pub caught: Option<(Height, &'static str)>,
    /// How often what was held against the league.
    pub charges: BTreeMap<&'static str, u64>,
    /// Honest hosts against whom something was held, and what.
    pub harmed: BTreeSet<(Address, &'static str)>,
    /// Honest hosts' collateral that was taken: events.
    pub slashes: u64,
    /// The league's: events.
    pub taken: u64,
    /// How often which suspicion of the league there was, by member and interval.
    pub suspicions: BTreeMap<&'static str, u64>,
    /// Tokens that were served.
    pub served: u64,
    /// Tokens that members and jurors computed again.
    pub checked: u64,
    /// Computing that the league did not do, in base units of what it would have been sold for.
    pub saved: u128,
    /// Requests that were done.
    pub requests: u64,
    /// Requests that found no host.
    pub unserved: u64,
    /// Commitments that matured.
    pub matured: u64,
    /// Commitments that did not.
    pub voided: BTreeMap<&'static str, u64>,
    /// Transactions and bytes, by kind.
    pub traffic: BTreeMap<&'static str, (u64, u64)>,
    /// Messages that were refused or failed, by who is honest, and why.
    pub refused: BTreeMap<(bool, &'static str), u64>,
}

impl Tally {
    /// Somebody of the league does something wrong.
    pub fn wrong(&mut self, height: Height) {
        self.first_wrong.get_or_insert(height);
    }

    /// Something is held against an account.
    pub fn charge(&mut self, account: &Address, league: &League, what: &'static str, height: Height) {
        if league.has(account) {
            *self.charges.entry(what).or_default() += 1;
            if self.first_wrong.is_some() {
                self.caught.get_or_insert((height, what));
            }
        } else {
            self.harmed.insert((*account, what));
        }
    }

    /// A member suspects a host of the statistical tier. That no honest one is, is part of what must hold.
    pub fn suspect(&mut self, host: &Address, league: &League, suspicion: Suspicion) {
        let what = match suspicion {
            Suspicion::Surprising => "surprising",
            Suspicion::Predictable => "predictable",
            Suspicion::Missed => "missed",
            Suspicion::Forged => "forged",
        };
        if league.has(host) {
            *self.suspicions.entry(what).or_default() += 1;
        } else {
            self.harmed.insert((*host, what));
        }
    }

    /// Takes note of an event.
    ///
    /// # Panics
    /// Never: memory is readable.
    pub fn note(&mut self, event: &Event, state: &MemoryState, league: &League, height: Height) {
        match event {
            Event::Work(work::Event::Matured { .. }) => self.matured += 1,
            Event::Work(work::Event::Voided { host, reason, .. }) => {
                *self.voided.entry(reason.name()).or_default() += 1;
                // What follows from a conviction, or from a beacon that failed, is not held against anybody anew.
                if !matches!(reason, Void::Forfeited | Void::NoRandomness) {
                    self.charge(host, league, reason.name(), height);
                }
            }
            Event::Verification(verification::Event::Convicted { host, .. }) => {
                self.charge(host, league, "convicted", height);
            }
            Event::Verification(verification::Event::FalseVerdict { member, .. }) => {
                self.charge(member, league, "false verdict", height);
            }
            Event::Verification(verification::Event::Acquitted { case }) => {
                let trial = TRIALS.get(state, case).expect("memory is readable");
                if let Some(accuser) = trial.and_then(|trial| trial.accuser) {
                    self.charge(&accuser, league, "false accusation", height);
                }
            }
            Event::Hosts(hosts::Event::Slashed { host, .. }) => {
                *(if league.has(host) { &mut self.taken } else { &mut self.slashes }) += 1;
            }
            _ => {}
        }
    }
}
