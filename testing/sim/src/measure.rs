//! How surely cheating is noticed, and what it brings: counted, beside what theory says.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use freeway_ledger::Preset;
use freeway_ledger::sprint::{self, Params};
use freeway_primitives::{Address, Amount, Digest, Domain, SecretKey};
use freeway_proofs::draw::{Lottery, Stream, distinct};
use freeway_proofs::sprint::{Commitment, DeviceCommitment};
use serde::Serialize;

use crate::adversaries::sprint::{Scheme, found};
use crate::arena::{Arena, NONCES, rules};

const DRAWS: Domain = Domain::new("freeway simulation draws");
const FAKES: Domain = Domain::new("freeway simulation made-up leaves");
const HOPED: Domain = Domain::new("freeway simulation hoped-for draw");

/// What was counted of one way to cheat.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The adversary.
    pub adversary: String,
    /// Races in which it cheated.
    pub races: u64,
    /// How many of them showed it.
    pub noticed: u64,
    /// The share of them, and what theory says, in percent.
    pub noticed_percent: f64,
    /// What theory says.
    pub theory_percent: f64,
    /// Its weight, in percent of an honest host's with the same hardware; the mean.
    pub weight_percent: f64,
    /// Its power, likewise.
    pub power_percent: f64,
    /// What a race cost it in FWY, penalties and bonds; the mean.
    pub lost_fwy: f64,
    /// Honest hosts that lost anything, in all races.
    pub harmed: u64,
}

impl Row {
    /// By how many standard deviations the count is off theory, if theory leaves anything to chance.
    pub fn deviation(&self) -> f64 {
        let (n, p) = (self.races as f64, self.theory_percent / 100.0);
        let sigma = (n * p * (1.0 - p)).sqrt();
        let off = self.noticed as f64 - n * p;
        // Where theory leaves less than a race to chance, a race or two more or less says nothing.
        off / sigma.max(0.5)
    }
}

/// Runs `races` races of each scheme by the rules alone, and counts. The same seed gives the same counts.
///
/// # Panics
/// If a scheme's law does not hold: a defect of the rules.
pub fn count(scheme: &Scheme, races: u64, seed: u64) -> Row {
    let rules = rules().sprint;
    let (mut done, mut noticed, mut harmed) = (0u64, 0u64, 0u64);
    let (mut weight, mut power, mut lost) = (0.0, 0.0, 0u128);
    let mut run = 0u64;
    while done < races {
        let mut arena = Arena::new(seed.wrapping_mul(1_000_003).wrapping_add(run), Some(scheme.adversary));
        run += 1;
        // What a conviction leaves behind must not decide the next race: few races each, then a new network.
        let mut seen = Vec::new();
        for number in 1..=scheme.races.max(scheme.from) {
            let (race, honest_harmed) = arena.race();
            harmed += honest_harmed as u64;
            if number >= scheme.from && done < races && (scheme.occasion)(&race) {
                done += 1;
                noticed += u64::from((scheme.noticed)(&race));
                weight += race.weight;
                power += race.power;
                lost += race.lost;
            }
            seen.push(race);
        }
        if let Err(broken) = (scheme.law)(&seen) {
            panic!("{}, seed {seed}, network {run}: {broken}", scheme.adversary);
        }
    }
    let per_race = |sum: f64| sum / done.max(1) as f64;
    Row {
        adversary: scheme.adversary.to_string(),
        races: done,
        noticed,
        noticed_percent: per_race(noticed as f64) * 100.0,
        theory_percent: (scheme.theory)(scheme.adversary, &rules, NONCES) * 100.0,
        weight_percent: per_race(weight) * 100.0,
        power_percent: per_race(power) * 100.0,
        lost_fwy: per_race(lost as f64) / Amount::fwy(1).0 as f64,
        harmed,
    }
}

/// How the leaves are chosen that are made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// At random.
    Random,
    /// The best of many choices, for a draw that could be foreseen.
    Ground,
}

/// What was counted of draws under the public network's rules.
#[derive(Clone, Debug, Serialize)]
pub struct DrawRow {
    /// Of a million leaves, so many are made up.
    pub fakes_per_million: u64,
    /// And which.
    pub choice: Choice,
    /// Leaves that all members draw together.
    pub drawn: u64,
    /// Draws.
    pub draws: u64,
    /// Those that hit a made-up leaf.
    pub hits: u64,
    /// The share of them in percent.
    pub hit_percent: f64,
    /// What theory says.
    pub theory_percent: f64,
}

impl DrawRow {
    /// As [`Row::deviation`].
    pub fn deviation(&self) -> f64 {
        let (n, p) = (self.draws as f64, self.theory_percent / 100.0);
        (self.hits as f64 - n * p) / (n * p * (1.0 - p)).sqrt().max(0.5)
    }
}

/// Leaves of the host whose committees are drawn.
const LEAVES: u64 = 1_000_000;
/// Choices that a grinder tries.
const TRIES: u32 = 32;

/// A host of the public network, and who can check it.
struct Drawing {
    rules: Params,
    host: Address,
    members: Vec<Address>,
    lottery: Lottery,
    commitment: Commitment,
}

impl Drawing {
    fn new() -> Self {
        let address = |number: u8| Address::of(&SecretKey::from_seed([number; 32]).public());
        Self {
            rules: Preset::Main.params().sprint,
            host: address(200),
            members: (0..40).map(address).collect(),
            lottery: Lottery::new((0..40).map(|rank| 1_000 / (rank + 3))),
            commitment: Commitment { devices: vec![DeviceCommitment { count: LEAVES, root: Digest::ZERO }] },
        }
    }

    /// All leaves that a committee draws under `challenge`, by the ledger's own functions.
    fn drawn(&self, challenge: &Digest) -> BTreeSet<u64> {
        let mut stream = Stream::new(challenge, DRAWS, &[]);
        let committee = self.lottery.draw(&mut stream, self.rules.committee, 0..0);
        let positions = committee.into_iter().flat_map(|member| {
            let member = &self.members[member];
            sprint::positions(challenge, &self.host, member, &self.commitment, &self.rules)
        });
        positions.map(|position| position.nonce).collect()
    }
}

/// Draws committees and their leaves under the public network's rules: how often does a member draw a leaf that
/// is made up?
pub fn count_draws(fakes_per_million: u64, choice: Choice, draws: u64, seed: u64) -> DrawRow {
    let drawing = Drawing::new();
    let fakes = u32::try_from(fakes_per_million).unwrap_or(u32::MAX);
    let mut hits = 0;
    for draw in 0..draws {
        let number = [seed.to_le_bytes(), draw.to_le_bytes()].concat();
        let mut own = Stream::new(&Digest::of(FAKES, &number), FAKES, &[]);
        let mut choose = || distinct(&mut own, LEAVES, fakes);
        let chosen = match choice {
            Choice::Random => choose(),
            Choice::Ground => {
                let hoped = drawing.drawn(&Digest::of(HOPED, &number));
                let found = |chosen: &Vec<u64>| chosen.iter().filter(|leaf| hoped.contains(leaf)).count();
                (0..TRIES).map(|_| choose()).min_by_key(found).unwrap_or_default()
            }
        };
        let drawn = drawing.drawn(&Digest::of(DRAWS, &number));
        hits += u64::from(chosen.iter().any(|leaf| drawn.contains(leaf)));
    }
    let Params { committee, leaves, .. } = drawing.rules;
    DrawRow {
        fakes_per_million,
        choice,
        drawn: u64::from(committee) * u64::from(leaves),
        draws,
        hits,
        hit_percent: hits as f64 / draws.max(1) as f64 * 100.0,
        theory_percent: found(fakes_per_million as f64 / LEAVES as f64, &drawing.rules) * 100.0,
    }
}

/// All that is counted.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Races by the rules of a local network.
    pub races: Vec<Row>,
    /// Draws by the rules of the public one.
    pub draws: Vec<DrawRow>,
}

/// Shares of made-up leaves whose draws are counted, in millionths, and how they are chosen.
pub const SHARES: [(u64, Choice); 5] = [
    (200, Choice::Random),
    (200, Choice::Ground),
    (1_000, Choice::Random),
    (1_000, Choice::Ground),
    (10_000, Choice::Random),
];

/// Counts everything on `jobs` threads.
///
/// # Panics
/// If a law does not hold.
pub fn run(races: u64, seed: u64, jobs: usize) -> Report {
    let schemes = crate::adversaries::sprint::all();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let rows = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(scheme) = schemes.get(at) else { return };
                    let row = count(scheme, races, seed);
                    rows.lock().expect("no thread panics while it writes").push((at, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().expect("all threads have ended");
    rows.sort_by_key(|(at, _)| *at);
    Report {
        races: rows.into_iter().map(|(_, row)| row).collect(),
        draws: SHARES.map(|(share, choice)| count_draws(share, choice, races, seed)).to_vec(),
    }
}

impl Report {
    /// As a table.
    pub fn text(&self) -> String {
        let rules = rules().sprint;
        let mut text = format!(
            "Races by the rules alone: {} members draw {} of {NONCES} leaves each; weight and power in percent of \
             an honest host's with the same hardware.\n\n\
             | adversary | races | noticed, % | theory, % | weight, % | power, % | lost a race, FWY | honest hosts harmed |\n\
             |---|---|---|---|---|---|---|---|\n",
            rules.committee, rules.leaves,
        );
        for row in &self.races {
            // Writing into a string cannot fail.
            let _ = writeln!(
                text,
                "| {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.3} | {} |",
                row.adversary,
                row.races,
                row.noticed_percent,
                row.theory_percent,
                row.weight_percent,
                row.power_percent,
                row.lost_fwy,
                row.harmed,
            );
        }
        text.push_str(
            "\nDraws under the rules of the public network:\n\n\
             | made up, % | chosen | leaves drawn | draws | hit, % | theory, % |\n|---|---|---|---|---|---|\n",
        );
        for row in &self.draws {
            let _ = writeln!(
                text,
                "| {:.2} | {} | {} | {} | {:.1} | {:.1} |",
                row.fakes_per_million as f64 / 1e4,
                if row.choice == Choice::Ground { "by grinding" } else { "at random" },
                row.drawn,
                row.draws,
                row.hit_percent,
                row.theory_percent,
            );
        }
        text
    }
}
