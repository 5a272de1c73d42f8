//! What becomes of each adversary, counted over many seeds.
//!
//! Every run is made twice under the same seed: once with the scheme, and once with the same accounts being honest. The
//! difference of what they own at the end is what cheating brought in money; computing that was not done comes on top,
//! at [`COMPUTING`] of its price.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use freeway_primitives::{Amount, Height};

use crate::adversaries::{Law, Scheme, all};
use crate::job::Chance;
use crate::market::{Market, Setting};
use crate::tally::Tally;

/// Epochs in which there are requests; after them everything is let come to its end.
pub const EPOCHS: u64 = 4;

/// What computing costs a host, in thousandths of what it is sold for.
pub const COMPUTING: u64 = 500;

/// One run of a scheme.
#[derive(Clone, Debug)]
pub struct Run {
    /// What was counted.
    pub tally: Tally,
    /// Epochs from the first wrong to when it was noticed.
    pub epochs: Option<f64>,
    /// Computing that was not done, in base units.
    pub saved: i128,
    /// By how much more, or less, those who cheat own than had they been honest.
    pub money: i128,
    /// What the payers of the league received beyond what they paid.
    pub unpaid: i128,
    /// What the same accounts came to as honest ones, from beginning to end.
    pub honestly: i128,
    /// Honest hosts against whom something was held.
    pub harmed: usize,
}

/// What the numbers do not say.
const NOTES: &str = "\n## What stands behind some rows\n\n\
- **Self-dealing** is no wrong by itself, so nobody notices it. What it pays to verifiers and to training is more than what comes back by emission.\n\
- **Withheld artifacts, colluding verifiers**: nobody can prove who was shown what, so only fees and reputation are lost; if a fake is shown to one honest member, it is a conviction.\n\
- **Breaks off**: nothing is owed for a request that its payer leaves before the receipt. Hosts refuse a lane after eight of these in a minute, so the gain is bounded by lane and host;\n  \
a payer with many lanes gets as many times that.\n\
- **Statistical tier**: no bit can be computed again there. Tokens are those of made-up models, a quarter of the requests is greedy, and members judge by the test of\n  \
[statistical.md](protocol/statistical.md). What it finds costs the fees of whole intervals; no collateral was moved in any run, and no honest host was suspected by any member.\n\
- **Dies in mid answer**: what it loses is what it did not serve, and the fees of intervals of which it could show nothing in time.\n\n\
## What no check finds\n\n\
- **Cached tokens.** How much of a prompt a host still knew cannot be computed again. A host that denies its cache charges the full price of a prompt, which the payer's voucher\n  \
allows in any case; payers see it in the price of answers, and go elsewhere.\n\
- **What a host keeps.** It sees the tokens of its requests.\n";

/// Runs a scheme once, with so many requests of each payer a block, and as often honestly.
///
/// # Panics
/// If the rules fail: a defect of the ledger.
pub fn run(scheme: &Scheme, seed: u64, rate: u64) -> Run {
    let setting = Setting { rate, tier: scheme.tier, ..Setting::local(seed) };
    let signed = |amount: u128| i128::try_from(amount).unwrap_or(i128::MAX);
    let make = |cheats: bool| {
        let mut market = Market::new(&setting);
        (scheme.league)(&mut market);
        let before = signed(market.wealth_of_league());
        if cheats {
            (scheme.cheat)(&mut market);
        }
        let mut chance = Chance::new(seed, 2);
        for _ in 0..EPOCHS * setting.params.epochs.epoch_blocks {
            if cheats {
                (scheme.tick)(&mut market, &mut chance);
            }
            market.step();
        }
        market.hosts.iter_mut().for_each(|host| host.up = true);
        market.close();
        market.chain.audit();
        let earned = signed(market.wealth_of_league()) - before;
        (market, earned)
    };
    let ((market, earned), (_, honestly)) = (make(true), make(false));
    let money = earned - honestly;
    let of_league = market.payers.iter().filter(|payer| market.league.has(&payer.address));
    let unpaid = of_league.map(|payer| signed(payer.received) - signed(payer.paid)).sum();
    let tally = market.tally.clone();
    let since = |height: Height| tally.first_wrong.map(|first| market.epochs(Height(height.0 - first.0)));
    Run {
        epochs: tally.caught.and_then(|(height, _)| since(height)),
        saved: signed(tally.saved * u128::from(COMPUTING) / 1_000),
        money,
        unpaid,
        honestly,
        harmed: tally.harmed.len(),
        tally,
    }
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The adversary.
    pub scheme: Scheme,
    /// Its runs.
    pub runs: Vec<Run>,
}

impl Row {
    fn mean(&self, of: impl Fn(&Run) -> f64) -> f64 {
        self.runs.iter().map(of).sum::<f64>() / self.runs.len().max(1) as f64
    }

    /// In how many percent of the runs it was noticed.
    pub fn caught(&self) -> f64 {
        self.mean(|run| f64::from(u8::from(run.tally.caught.is_some()))) * 100.0
    }

    /// The mean and the most epochs until it was noticed.
    pub fn epochs(&self) -> Option<(f64, f64)> {
        let all: Vec<f64> = self.runs.iter().filter_map(|run| run.epochs).collect();
        let most = all.iter().copied().fold(0.0, f64::max);
        (!all.is_empty()).then(|| (all.iter().sum::<f64>() / all.len() as f64, most))
    }

    /// Whether the cheat is a payer's.
    fn of_payer(&self) -> bool {
        matches!(self.scheme.law, Law::Refused | Law::AtMost(_))
    }

    /// What it gained and lost in an epoch, in FWY: the means.
    pub fn gain_and_loss(&self) -> (f64, f64) {
        let fwy = |units: i128| units as f64 / Amount::fwy(1).0 as f64 / EPOCHS as f64;
        if self.of_payer() {
            return (self.mean(|run| fwy(run.unpaid.max(0))), self.mean(|run| fwy((-run.unpaid).max(0))));
        }
        let gain = self.mean(|run| fwy(run.saved + run.money.max(0)));
        (gain, self.mean(|run| fwy((-run.money).max(0))))
    }

    /// The most that a run gained in all, losses taken off, in base units.
    pub fn best(&self) -> i128 {
        let net = |run: &Run| if self.of_payer() { run.unpaid } else { run.saved + run.money };
        self.runs.iter().map(net).max().unwrap_or_default()
    }

    /// Honest hosts against whom anything was held, in all runs.
    pub fn harmed(&self) -> usize {
        self.runs.iter().map(|run| run.harmed).sum()
    }

    /// Tokens that were computed again, in percent of those served.
    pub fn checking(&self) -> f64 {
        self.mean(|run| run.tally.checked as f64 / run.tally.served.max(1) as f64) * 100.0
    }

    /// How it was noticed first, most often first.
    pub fn ways(&self) -> String {
        let mut ways = std::collections::BTreeMap::new();
        for (_, way) in self.runs.iter().filter_map(|run| run.tally.caught) {
            *ways.entry(way).or_insert(0usize) += 1;
        }
        let mut ways: Vec<_> = ways.into_iter().collect();
        ways.sort_by_key(|(way, count)| (core::cmp::Reverse(*count), *way));
        let ways: Vec<&str> = ways.into_iter().map(|(way, _)| way).collect();
        if ways.is_empty() { "-".into() } else { ways.join(", ") }
    }

    /// Whether what must come of the scheme did.
    ///
    /// # Errors
    /// What did not.
    pub fn check(&self) -> Result<(), String> {
        let name = self.scheme.name;
        let ensure = |holds: bool, what: &str| {
            if holds { Ok(()) } else { Err(format!("{name}: {what}")) }
        };
        ensure(self.harmed() == 0, "honest hosts were harmed")?;
        ensure(self.runs.iter().all(|run| run.tally.slashes == 0), "honest hosts were slashed")?;
        let in_time = || self.runs.iter().all(|run| run.epochs.is_some_and(|epochs| epochs <= 2.0));
        let poorer = || self.best() < 0;
        match self.scheme.law {
            Law::Convicted => {
                let convicted = |run: &Run| run.tally.charges.contains_key("convicted");
                ensure(self.runs.iter().all(convicted), "not convicted in every run")?;
                ensure(in_time(), "not within two epochs")?;
                ensure(poorer(), "a run gained by it")
            }
            Law::Noticed => {
                ensure(in_time(), "not noticed within two epochs")?;
                ensure(poorer(), "a run gained by it")
            }
            Law::Suspected => {
                ensure(in_time(), "not noticed within two epochs")?;
                ensure(poorer(), "a run gained by it")?;
                let suspected = |run: &Run| !run.tally.suspicions.is_empty();
                ensure(self.runs.iter().all(suspected), "nobody suspected it")?;
                ensure(self.runs.iter().all(|run| run.tally.taken == 0), "collateral was taken")
            }
            Law::Poorer => ensure(poorer(), "a run gained by it"),
            Law::Refused => {
                ensure(in_time(), "not refused")?;
                ensure(self.best() <= 0, "a run gained by it")
            }
            Law::AtMost(thousandths) => {
                let most = i128::from(thousandths) * i128::from(EPOCHS) * 1_000_000;
                ensure(self.best() <= most, "a run gained more than it may")
            }
            Law::Spared => {
                let guilty = |run: &Run| {
                    ["convicted", "false verdict"].iter().any(|charge| run.tally.charges.contains_key(charge))
                };
                ensure(!self.runs.iter().any(guilty), "it was convicted")
            }
        }
    }
}

/// Runs all schemes under so many seeds each on some threads; `progress` hears of every row that is done.
///
/// # Panics
/// If the rules fail.
pub fn count(seeds: u64, first: u64, rate: u64, jobs: usize, progress: impl Fn(&Row) + Sync) -> Vec<Row> {
    let schemes = all();
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(scheme) = schemes.get(at) else { return };
                    // Its ten thousand lanes take a while, and chance has no part in it.
                    let seeds = if scheme.name.starts_with("10,000") { seeds.min(2) } else { seeds };
                    let runs = (first..first + seeds).map(|seed| run(scheme, seed, rate)).collect();
                    let row = Row { scheme: *scheme, runs };
                    progress(&row);
                    rows.lock().expect("no thread panics while it writes").push((at, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().expect("all threads have ended");
    rows.sort_by_key(|(at, _)| *at);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The table as a page.
pub fn page(rows: &[Row], rate: u64) -> String {
    let setting = Setting::local(0);
    let work = &setting.params.work;
    let fwy = |units: i128| units as f64 / Amount::fwy(1).0 as f64;
    let honestly = rows.first().map_or(0.0, |row| row.mean(|run| fwy(run.honestly)));
    let mut text = format!(
        "# What becomes of cheats\n\n\
         Written by `cargo run --release -p freeway-market -- truth-table`: the real ledger under the rules of the local preset, {} hosts of full reputation ({} samples a\n\
         commitment, the fewest there are), {} payers, {EPOCHS} epochs of requests, about {} a host and interval; then all comes to its end. Who cheats goes on cheating. What is\n\
         abstract in it is said in `testing/market/src/lib.rs`. Money is in FWY an epoch, the mean of all runs.\n\n\
         - **noticed**: the share of runs; epochs (mean, most) from the first wrong to the first ruling, void interval or refusal.\n\
         - **gain**: computing that was not done, at {} % of its price, and money gained. For payers: what they got and did not pay.\n\
         - **loss**: what the cheat and its friends own less than under the same seed as honest ones. An honest host comes to {honestly:.0} FWY in such a run and has {} FWY of collateral.\n\
         - **best run**: gain less loss, over all epochs, of the run that went best for the cheat. It must not be more than 0 for hosts.\n\
         - **honest punished**: other hosts that lost collateral, reputation or an interval's fees, in all runs. Must be 0.\n\
         - **checking**: tokens that members and jurors computed again, of all tokens served. Scoring known tokens takes a sixth to a fifth of generating them alone. Samples do not grow with\n  \
         the work: with ten times the requests it is a tenth of this.\n\n\
         | adversary | what it does | runs | noticed, % | epochs | first as | gain | loss | best run | honest punished | checking, % |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
        setting.hosts,
        work.samples_least,
        setting.payers,
        rate * setting.payers as u64 * work.interval_blocks / setting.hosts as u64,
        COMPUTING / 10,
        setting.collateral.0 / Amount::fwy(1).0,
    );
    for row in rows {
        let (gain, loss) = row.gain_and_loss();
        let epochs = row.epochs().map_or("-".into(), |(mean, most)| format!("{mean:.2}, {most:.2}"));
        let counts = !matches!(row.scheme.law, Law::Spared);
        let caught = if counts && row.caught() > 0.0 { format!("{:.0}", row.caught()) } else { "-".into() };
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {caught} | {epochs} | {} | {gain:.2} | {loss:.2} | {:.2} | {} | {:.1} |",
            row.scheme.name,
            row.scheme.does,
            row.runs.len(),
            row.ways(),
            fwy(row.best()),
            row.harmed(),
            row.checking(),
        );
    }
    text.push_str(NOTES);
    text
}
