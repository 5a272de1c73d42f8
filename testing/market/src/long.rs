//! Thousands of epochs of honest hosts in trouble: down, late, restarted, without randomness. Nobody is slashed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use freeway_primitives::Amount;

use crate::job::Chance;
use crate::market::{Market, Setting};
use crate::tally::Tally;

/// How many epochs are audited entry by entry: one of so many.
const AUDIT_EVERY: u64 = 16;

/// How much trouble there is, in thousandths a block and host.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    /// A host goes down.
    pub down: u64,
    /// It comes back.
    pub up: u64,
    /// A host is late with everything in this block.
    pub late: u64,
    /// A host restarts: it is down for one block, and has forgotten what it need not keep.
    pub restart: u64,
    /// The beacon fails, in millionths.
    pub dark: u64,
    /// It works again.
    pub light: u64,
}

impl Trouble {
    /// Down a tenth of the time, late a fifth, restarted every few epochs; twice in a hundred epochs there is no
    /// randomness for half an epoch.
    pub const USUAL: Self = Self { down: 4, up: 36, late: 200, restart: 4, dark: 330, light: 30 };
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Epochs.
    pub epochs: u64,
    /// What was counted.
    pub tally: Tally,
    /// Blocks in which a host was down, late or without randomness: sums over hosts.
    pub trouble: BTreeMap<&'static str, u64>,
    /// The time it took.
    pub took: Duration,
    /// What payers received and paid, in base units.
    pub received: u128,
    /// What they paid.
    pub paid: u128,
}

/// Lets honest hosts be in trouble for so many epochs, or until the time is over. `progress` hears of every hundredth.
///
/// # Panics
/// If an honest host is convicted, slashed, or found to have given a false verdict or accusation: a defect of the rules.
pub fn run(
    setting: &Setting,
    trouble: Trouble,
    epochs: u64,
    limit: Duration,
    progress: impl Fn(u64, &Tally),
) -> Report {
    let started = Instant::now();
    let mut market = Market::new(setting);
    let mut chance = Chance::new(setting.seed, 3);
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut done = 0;
    while done < epochs && started.elapsed() < limit {
        for _ in 0..setting.params.epochs.epoch_blocks {
            befall(&mut market, &mut chance, trouble, &mut counts);
            market.step();
        }
        done += 1;
        nobody_is_slashed(&market, done);
        if done.is_multiple_of(AUDIT_EVERY) {
            market.chain.audit();
        }
        if done.is_multiple_of(100) {
            progress(done, &market.tally);
        }
    }
    market.hosts.iter_mut().for_each(|host| (host.up, host.late) = (true, false));
    market.chain.dark = false;
    market.close();
    market.chain.audit();
    nobody_is_slashed(&market, done);
    let sum = |of: fn(&crate::payer::Payer) -> u128| market.payers.iter().map(of).sum();
    Report {
        epochs: done,
        trouble: counts,
        took: started.elapsed(),
        received: sum(|payer| payer.received),
        paid: sum(|payer| payer.paid),
        tally: market.tally,
    }
}

fn befall(
    market: &mut Market,
    chance: &mut Chance,
    trouble: Trouble,
    counts: &mut BTreeMap<&'static str, u64>,
) {
    let mut count = |what| *counts.entry(what).or_default() += 1;
    for host in &mut market.hosts {
        if host.up && chance.thousandths(trouble.down) {
            host.up = false;
        } else if !host.up && chance.thousandths(trouble.up) {
            host.up = true;
            host.given.clear();
        }
        host.late = chance.thousandths(trouble.late);
        if host.up && chance.thousandths(trouble.restart) {
            host.late = true;
            host.given.clear();
            count("restarts");
        }
        if !host.up {
            count("blocks down");
        } else if host.late {
            count("blocks late");
        }
    }
    let chain = &mut market.chain;
    chain.dark =
        if chain.dark { !chance.thousandths(trouble.light) } else { chance.below(1_000_000) < trouble.dark };
    if chain.dark {
        count("blocks without randomness");
    }
}

fn nobody_is_slashed(market: &Market, epoch: u64) {
    let charged = ["convicted", "false verdict", "false accusation"];
    let found: Vec<_> = market.tally.harmed.iter().filter(|(_, what)| charged.contains(what)).collect();
    assert!(found.is_empty() && market.tally.slashes == 0, "epoch {epoch}: {found:?}");
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        let fwy = |units: u128| units as f64 / Amount::fwy(1).0 as f64;
        let per_second = self.epochs as f64 / self.took.as_secs_f64();
        format!(
            "{} epochs in {:.0} s, {per_second:.1} a second; nobody was slashed.\n{} requests, {} found no host; \
             {:.0} FWY of answers, {:.0} FWY paid.\n{} commitments matured, others ended as {:?}.\n{:?}\nrefused: {:?}",
            self.epochs,
            self.took.as_secs_f64(),
            self.tally.requests,
            self.tally.unserved,
            fwy(self.received),
            fwy(self.paid),
            self.tally.matured,
            self.tally.voided,
            self.trouble,
            self.tally.refused,
        )
    }
}
