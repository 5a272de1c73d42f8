//! What will happen in a run, drawn from its seed before it begins.

mod racing;

use freeway_host::Adversary;
use freeway_ledger::Params;

use crate::adversaries::{churn, crasher, equivocator, garbage, partitioner, saboteur, skewer, wiper};
use crate::cast::params;
use crate::network::{Cut, Links};
use crate::random::Random;
use crate::wire::Kind;

/// Faults begin after this time, so that most runs see a few blocks first.
pub const FIRST_FAULT_MS: u64 = 300;
/// No fault begins after this time.
pub const LAST_FAULT_MS: u64 = 9_000;
/// How long faults last at most.
pub const LONGEST_FAULT_MS: u64 = 6_000;

/// Something that happens to the network from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power of a node fails.
    Crash(usize),
    /// A node starts again, if it is down; its disk works again.
    Start(usize),
    /// The power of a node fails, and its disk is lost.
    Wipe(usize),
    /// Messages stop at a cut with this number.
    Cut(u32, Cut),
    /// A cut ends.
    Mend(u32),
    /// A disk begins to fail.
    Sabotage(usize, Sabotage),
    /// A node's clock jumps to so many milliseconds ahead of the right time.
    Skew(usize, i64),
    /// Loss and duplication end.
    Calm,
    /// The owner of a host asks something of the ledger.
    Ask(usize, churn::Wish),
    /// No message of a kind arrives any more.
    Mute(Kind),
    /// Messages of that kind arrive again.
    Unmute(Kind),
}

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// After so many writes all fail.
    Writes(u64),
    /// As [`Sabotage::Writes`], and at the first failure the power goes as well: a crash within a write.
    PowerAfter(u64),
    /// No sync succeeds.
    Sync,
    /// Nothing can grow.
    Full,
}

/// A host that races.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPlan {
    /// Its hardware: nonces per simulated second.
    pub speed: u64,
    /// How it breaks the rules, if it does.
    pub adversary: Option<Adversary>,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of everything that is drawn while it runs.
    pub seed: u64,
    /// Weight of each node, and whether it is backed by collateral from the start.
    pub weights: Vec<(u64, bool)>,
    /// The network's rules.
    pub params: Params,
    /// The height that all nodes must reach.
    pub target: u64,
    /// The links.
    pub links: Links,
    /// What happens when, in milliseconds.
    pub faults: Vec<(u64, Fault)>,
    /// A validator that breaks the rules.
    pub traitor: Option<equivocator::Traitor>,
    /// How often an outsider sends rubbish, in milliseconds; 0 for never.
    pub garbage_every_ms: u64,
    /// Whether somebody keeps all proposals and votes, and plays them to a validator that lost its disk.
    pub historian: bool,
    /// How often a client sends a transaction, in milliseconds; 0 for never.
    pub workload_every_ms: u64,
    /// Hosts that race, by node; where there is none, nobody does.
    pub hosts: Vec<HostPlan>,
    /// Whether a key must be made after the last fault.
    pub deals_after: bool,
    /// What the command needs besides the seed to make this plan again.
    pub flags: &'static str,
    /// How long after the last fault everybody must have reached the target, in simulated milliseconds.
    pub patience_ms: u64,
}

impl Plan {
    /// A network on which nothing goes wrong: the ground for targeted scenarios.
    pub fn calm(seed: u64, validators: usize, target: u64) -> Self {
        Self {
            seed,
            weights: vec![(100, true); validators],
            params: params(15),
            target,
            links: Links::CALM,
            faults: Vec::new(),
            traitor: None,
            garbage_every_ms: 0,
            historian: false,
            workload_every_ms: 200,
            hosts: Vec::new(),
            deals_after: false,
            flags: "",
            patience_ms: 60_000,
        }
    }

    /// The run of a seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let validators = match random.between(0, 99) {
            0..=79 => random.between(4, 7),
            80..=94 => random.between(8, 10),
            _ => random.between(11, 20),
        } as usize;
        let mut weights: Vec<(u64, bool)> =
            (0..validators).map(|_| (random.between(80, 160), true)).collect();
        let followers = usize::from(random.chance(300));
        weights.extend(std::iter::repeat_n((0, false), followers));
        let mut plan = Self {
            seed,
            params: params(random.between(15, 18)),
            target: if validators > 10 { random.between(16, 20) } else { random.between(18, 36) },
            links: Links {
                delay_ms: (1, *random.pick(&[10, 60, 150])),
                jitter_ms: *random.pick(&[1, 20, 80]),
                loss: *random.pick(&[0, 0, 10, 50, 150]),
                duplicates: *random.pick(&[0, 20, 100]),
            },
            weights,
            faults: Vec::new(),
            traitor: None,
            garbage_every_ms: 0,
            historian: false,
            workload_every_ms: random.between(60, 400),
            hosts: Vec::new(),
            deals_after: false,
            flags: "",
            patience_ms: 600_000,
        };
        if random.chance(500) {
            plan.traitor = Some(equivocator::draw(&mut random, validators));
        }
        if random.chance(650) {
            crasher::schedule(&mut random, &mut plan);
        }
        if random.chance(500) {
            partitioner::schedule(&mut random, &mut plan);
        }
        if random.chance(300) {
            saboteur::schedule(&mut random, &mut plan);
        }
        if random.chance(300) {
            skewer::schedule(&mut random, &mut plan);
        }
        if random.chance(400) {
            churn::schedule(&mut random, &mut plan);
        }
        if random.chance(300) {
            wiper::schedule(&mut random, &mut plan);
        }
        if random.chance(300) {
            garbage::schedule(&mut random, &mut plan);
        }
        // Costs up to two epochs more.
        plan.deals_after = random.chance(150);
        plan.faults.push((LAST_FAULT_MS + LONGEST_FAULT_MS, Fault::Calm));
        plan
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.weights.len()
    }

    /// How many of them are validators from the start. They come first.
    pub fn validators(&self) -> usize {
        self.weights.iter().filter(|(weight, backed)| *weight > 0 && *backed).count()
    }

    /// A fault that begins at a random time, and its end.
    pub(crate) fn spell(&mut self, random: &mut Random, begin: Fault, end: Fault) {
        let at = random.between(FIRST_FAULT_MS, LAST_FAULT_MS);
        let lasts = random.between(20, LONGEST_FAULT_MS);
        self.faults.push((at, begin));
        self.faults.push((at + lasts, end));
    }
}
