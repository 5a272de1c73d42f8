//! Hosts that cheat in the race, one file each: what they do, how surely it is noticed, and what they get.
//!
//! The conduct itself is that of the host crate, the same that `freeway up --adversary` runs. A [`Scheme`] says
//! what must come of it. The same law is held against races by the rules alone (the [`crate::arena`], where
//! thousands of them are counted) and against whole networks.
//!
//! | file | what it does | what it gets |
//! |---|---|---|
//! | [`fake`] | makes up so many percent of its leaves | convicted with 1 - (1 - f)^k |
//! | [`grind`] | chooses the leaves that it makes up | as much as without choosing |
//! | [`replay`] | commits to an earlier race's work | convicted |
//! | [`overcommit`] | counts its work several times | convicted |
//! | [`withhold`] | computes honestly and shows nothing | no weight |
//! | [`lazy`] | gives verdicts without computing: copies, or guesses | no duty done, no reputation |
//! | [`accuse`] | accuses honest leaves | loses its bonds, harms nobody |
//! | [`late`] | commits and judges after the end | not in the race |
//! | [`rent`] | has ten times the hardware in one race of four | the power of its own hardware |

pub mod accuse;
pub mod fake;
pub mod grind;
pub mod late;
pub mod lazy;
pub mod overcommit;
pub mod rent;
pub mod replay;
pub mod withhold;

use freeway_host::Adversary;
use freeway_ledger::sprint::{HostResult, Params};
use freeway_primitives::Epoch;

use crate::properties::races::Charges;

/// What a race came to for the host that misbehaves.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The race.
    pub epoch: Epoch,
    /// Its result.
    pub result: HostResult,
    /// What was held against it in this race.
    pub charges: Charges,
    /// Its weight, relative to an honest host's with the same hardware.
    pub weight: f64,
    /// Its power after the race, relative to an honest host's with the same hardware.
    pub power: f64,
    /// What it is poorer by, in the smallest unit.
    pub lost: u128,
}

/// A way to cheat, and what must come of it.
#[derive(Clone, Copy)]
pub struct Scheme {
    /// The conduct.
    pub adversary: Adversary,
    /// The first race in which it does anything wrong.
    pub from: u64,
    /// Races after which everything that it does has happened.
    pub races: u64,
    /// Whether a race gave it an occasion: who checks nobody can do nothing wrong in that.
    pub occasion: fn(&Seen) -> bool,
    /// Whether a race shows that it was noticed.
    pub noticed: fn(&Seen) -> bool,
    /// How often it should be, under rules, for so many nonces.
    pub theory: fn(Adversary, &Params, u64) -> f64,
    /// What must hold for its races, from the first on.
    pub law: fn(&[Seen]) -> Result<(), String>,
}

/// All of them, with the shares of made-up leaves that are of interest.
pub fn all() -> Vec<Scheme> {
    let fakes = [1, 5, 20, 100].map(|percent| fake::scheme(Adversary::Fake { percent }));
    let others = [
        grind::scheme(),
        replay::scheme(),
        overcommit::scheme(),
        withhold::scheme(),
        lazy::copy(),
        lazy::guess(),
        accuse::scheme(),
        late::scheme(),
        rent::scheme(),
    ];
    fakes.into_iter().chain(others).collect()
}

/// The chance that at least one of all drawn leaves is wrong, if a share `wrong` of them is.
pub fn found(wrong: f64, rules: &Params) -> f64 {
    let drawn = f64::from(rules.committee) * f64::from(rules.leaves);
    1.0 - (1.0 - wrong).powf(drawn)
}

fn always(_: Adversary, _: &Params, _: u64) -> f64 {
    1.0
}

fn any(_: &Seen) -> bool {
    true
}

/// It sits in somebody's committee.
fn checks_somebody(seen: &Seen) -> bool {
    seen.result.owed > 0
}

fn convicted(seen: &Seen) -> bool {
    seen.charges.convictions > 0
}

/// Fails unless `holds`.
fn ensure(holds: bool, what: &str, seen: &Seen) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what}: {seen:?}")) }
}

/// A convicted host has no weight, and pays; one that is not keeps what it committed to.
fn pays_if_convicted(seen: &Seen) -> Result<(), String> {
    if convicted(seen) {
        ensure(seen.result.weight == 0 && seen.power == 0.0, "a convicted host has weight", seen)?;
        return ensure(seen.charges.penalty > 0, "a conviction costs nothing", seen);
    }
    ensure(seen.result.void.is_none(), "void, and not convicted", seen)
}
