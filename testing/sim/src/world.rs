//! The loop: one clock, one queue of events, all nodes.

mod end;
mod event;
mod faults;
mod node;
mod summary;
mod traffic;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use freeway_ledger::Genesis;
use freeway_primitives::{Address, Amount, Height};

use crate::adversaries::equivocator::Hand;
use crate::adversaries::garbage::Outsider;
use crate::cast::{Cast, Member};
use crate::network::Network;
use crate::plan::{Fault, HostPlan, Plan};
use crate::process::STATUS_MS;
use crate::properties::races::{Racer, Races};
use crate::properties::{Properties, Violation};
use crate::random::Random;
use crate::trace::Trace;
use crate::wire::Wire;
use crate::workload::Promise;
use event::{Event, Scheduled};
use node::Node;
pub use summary::Summary;

/// How long an outsider sends rubbish.
const OUTSIDER_MS: u64 = 60_000;

/// A run.
pub struct World {
    plan: Plan,
    cast: Cast,
    genesis: Arc<Genesis>,
    clock: Arc<AtomicU64>,
    queue: BinaryHeap<Reverse<Scheduled>>,
    order: u64,
    nodes: Vec<Node>,
    network: Network,
    random: Random,
    client: Random,
    outsider: Option<Outsider>,
    history: Vec<Wire>,
    /// The latest gossip that is not of the engine's, with its time and origin.
    gossip: VecDeque<(u64, usize, Wire)>,
    hand: Option<Hand>,
    properties: Properties,
    promises: Vec<Promise>,
    sent_before: Vec<Vec<u8>>,
    last_fault_ms: u64,
    /// The height at which the last fault was over.
    calm_since: Option<Height>,
    summary: Summary,
    /// The record of the run.
    pub trace: Trace,
}

impl World {
    /// Sets up the run of a plan.
    pub fn new(plan: Plan) -> Self {
        let mut random = Random::new(plan.seed ^ 0x5eed);
        let cast = Cast::new(&plan.weights, 6, plan.params.clone());
        let chain = cast.genesis.chain();
        let clock = Arc::new(AtomicU64::new(0));
        let supply = cast
            .genesis
            .accounts
            .iter()
            .fold(Amount::ZERO, |sum, account| sum.checked_add(account.balance).expect("a small supply"));
        let traitor = plan.traitor.as_ref().map(|traitor| cast.members[traitor.node].address());
        let network = Network::new(plan.nodes(), plan.links, random.fork());
        let racer = |(host, member): (&HostPlan, &Member)| {
            (member.address(), Racer { speed: host.speed, honest: host.adversary.is_none() })
        };
        let racers = plan.hosts.iter().zip(&cast.members).map(racer).collect();
        let races = Races::new(racers, plan.params.sprint.accusation_bond);
        let max_age = plan.params.evidence.max_age_blocks;
        let properties = Properties::new(chain, supply, max_age, traitor, races);
        let nodes = cast.members.iter().map(Node::new).collect();
        let outsider = (plan.garbage_every_ms > 0).then(|| Outsider::new(random.fork()));
        let hand = plan.traitor.clone().map(|traitor| Hand::new(traitor, chain, random.fork()));
        let mut this = Self {
            genesis: Arc::new(cast.genesis.clone()),
            cast,
            clock,
            queue: BinaryHeap::new(),
            order: 0,
            nodes,
            network,
            client: random.fork(),
            random,
            outsider,
            history: Vec::new(),
            gossip: VecDeque::new(),
            hand,
            properties,
            promises: Vec::new(),
            sent_before: Vec::new(),
            last_fault_ms: plan.faults.iter().map(|(at, _)| *at).max().unwrap_or_default(),
            calm_since: None,
            summary: Summary { runs: 1, ..Summary::default() },
            trace: Trace::default(),
            plan,
        };
        for (at, fault) in this.plan.faults.clone() {
            this.push(at, Event::Fault(fault));
        }
        for node in 0..this.nodes.len() {
            let first = this.random.between(0, STATUS_MS);
            this.push(first, Event::Status(node));
            this.start(node);
        }
        if this.plan.workload_every_ms > 0 {
            this.push(this.plan.workload_every_ms, Event::Client);
        }
        if this.plan.garbage_every_ms > 0 {
            this.push(this.plan.garbage_every_ms, Event::Rubbish);
        }
        this
    }

    /// Runs the plan of a seed to its end.
    ///
    /// # Panics
    /// If a property is violated.
    pub fn run_seed(seed: u64) -> (Summary, String) {
        let mut world = Self::new(Plan::from_seed(seed));
        let summary = world.run();
        (summary, world.trace.digest())
    }

    /// Simulated milliseconds since the start.
    pub fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// The height that node `node` has committed.
    pub fn height(&self, node: usize) -> Height {
        self.nodes[node].committed
    }

    /// Whether a node runs.
    pub fn is_up(&self, node: usize) -> bool {
        self.nodes[node].process.is_some()
    }

    /// Why a node stopped by itself, if it did.
    pub fn stopped(&self, node: usize) -> Option<&str> {
        self.nodes[node].stopped.as_deref()
    }

    /// The process of a node, if it runs.
    pub fn process(&self, node: usize) -> Option<&crate::process::Process> {
        self.nodes[node].process.as_ref()
    }

    /// What was to happen.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Who takes part.
    pub fn cast(&self) -> &Cast {
        &self.cast
    }

    /// The links.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What was seen.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The totals so far.
    pub fn summary(&self) -> Summary {
        let mut summary = self.summary.clone();
        summary.heights = self.nodes.iter().map(|node| node.committed.0).min().unwrap_or_default();
        summary.messages = self.network.messages();
        summary.evidence = self.properties.evidence;
        summary.convictions = self.properties.convictions();
        (summary.switches, summary.held) = (self.properties.switches, self.properties.held);
        let (beacon, races) = (&self.properties.beacon, &self.properties.races);
        (summary.values, summary.keys, summary.keyless) = (beacon.count(), beacon.made, beacon.failed);
        summary.races = races.settled();
        summary.simulated_ms = self.now();
        summary.events = self.trace.events();
        summary
    }

    /// Runs to the end: all faults are over and all nodes have reached the target.
    ///
    /// # Panics
    /// If a property is violated.
    pub fn run(&mut self) -> Summary {
        let deadline = self.last_fault_ms + self.plan.patience_ms;
        while !self.is_done() {
            self.step();
            if self.calm_since.is_none() && self.now() > self.last_fault_ms {
                self.calm_since = Some(self.tip());
            }
            if self.now() > deadline {
                let detail = self.positions();
                let beacon = &self.properties.beacon;
                let (value, key, calm) = (beacon.latest, beacon.made_by, self.calm_since);
                let detail = format!(
                    "{detail}; the last value is of {value}, the last key was begun at {key}, calm since {calm:?}"
                );
                self.fail(&Violation { property: "liveness", detail });
            }
        }
        self.finish();
        self.summary()
    }

    /// Runs until simulated time `until_ms`, or until `done`.
    ///
    /// # Panics
    /// If a property is violated.
    pub fn run_until(&mut self, until_ms: u64, done: impl Fn(&Self) -> bool) -> bool {
        while !done(self) {
            if self.queue.peek().is_none_or(|Reverse(next)| next.at > until_ms) {
                self.clock.store(until_ms, Ordering::Relaxed);
                return done(self);
            }
            self.step();
        }
        true
    }

    /// Makes something happen now.
    pub fn inject(&mut self, fault: Fault) {
        let now = self.now();
        self.last_fault_ms = self.last_fault_ms.max(now);
        self.calm_since = None;
        self.fault(fault);
    }

    /// The highest height that any node has committed.
    pub fn tip(&self) -> Height {
        self.nodes.iter().map(|node| node.committed).max().unwrap_or_default()
    }

    /// After the last fault values go on, if there is a group to make them, and the next key is made.
    fn beacon_goes_on(&self) -> bool {
        let beacon = &self.properties.beacon;
        let Some(calm) = self.calm_since else { return false };
        let values = !beacon.in_force || beacon.latest > calm;
        values && (!self.plan.deals_after || beacon.made_by > calm)
    }

    fn is_done(&self) -> bool {
        self.now() > self.last_fault_ms
            && self.beacon_goes_on()
            && self.nodes.iter().all(|node| {
                node.committed.0 >= self.plan.target
                    && node
                        .process
                        .as_ref()
                        .is_some_and(|process| process.key().is_none() || process.bridge().votes())
            })
    }

    /// Where everybody stands.
    pub fn positions(&self) -> String {
        let position = |(number, node): (usize, &Node)| match &node.process {
            None => format!("{number}: down at {} ({:?})", node.committed, node.stopped),
            Some(process) => {
                let (height, round) = process.position();
                let votes = if process.bridge().votes() { "" } else { ", watches" };
                format!("{number}: at {height}/{round}, committed {}{votes}", node.committed)
            }
        };
        let names = self.cast.members.iter().enumerate();
        let names = names.map(|(number, member)| format!("{number} is {}", member.address().short()));
        let positions = self.nodes.iter().enumerate().map(position);
        positions.chain(names).collect::<Vec<_>>().join("; ")
    }

    /// Ends the run with everything that is needed to repeat it.
    fn fail(&self, violation: &Violation) -> ! {
        panic!(
            "{}: {}\nat {} ms, {}\n{}\nseed {}; to repeat: cargo run --release -p freeway-sim -- {}--seed {} --trace",
            violation.property,
            violation.detail,
            self.now(),
            self.positions(),
            self.trace.tail(),
            self.plan.seed,
            self.plan.flags,
            self.plan.seed,
        )
    }

    fn require(&self, verdict: Result<(), Violation>) {
        if let Err(violation) = verdict {
            self.fail(&violation);
        }
    }

    fn push(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.queue.push(Reverse(Scheduled { at, order: self.order, event }));
    }

    fn step(&mut self) {
        let Some(Reverse(Scheduled { at, event, .. })) = self.queue.pop() else {
            self.fail(&Violation { property: "liveness", detail: "nothing will ever happen again".into() });
        };
        self.clock.store(at, Ordering::Relaxed);
        match event {
            Event::Deliver { from, to, wire } => {
                if self.nodes[to].process.is_some() {
                    self.trace
                        .note(at, format_args!("{from} > {to} {} {} B", wire.kind.name(), wire.bytes.len()));
                    self.with(to, |process| process.receive(from, &wire));
                }
            }
            Event::Timer { node, life, generation, timeout } => {
                if self.nodes[node].life == life {
                    self.with(node, |process| process.timer(generation, timeout));
                }
            }
            Event::Reply { node, life, reply } => {
                if self.nodes[node].life == life {
                    self.with(node, |process| process.reply(reply));
                }
            }
            Event::Work { node, life, work } => {
                if self.nodes[node].life == life {
                    self.with(node, |process| process.work(work));
                }
            }
            Event::Status(node) => {
                self.push(at + STATUS_MS, Event::Status(node));
                let mut wire = None;
                self.with(node, |process| wire = process.announce(node));
                if let Some(wire) = wire {
                    self.broadcast(node, &wire);
                }
            }
            Event::Client => {
                self.push(at + self.plan.workload_every_ms, Event::Client);
                self.client_sends();
            }
            Event::Rubbish => {
                if at < OUTSIDER_MS {
                    self.push(at + self.plan.garbage_every_ms, Event::Rubbish);
                }
                self.outsider_sends();
            }
            Event::Fault(fault) => self.fault(fault),
        }
    }

    /// Does something with a running process, and everything that follows from it.
    fn with(&mut self, node: usize, work: impl FnOnce(&mut crate::process::Process)) {
        let Some(process) = self.nodes[node].process.as_mut() else { return };
        work(process);
        self.settle(node);
    }

    fn life_of(nodes: &[Node], members: &[crate::cast::Member], address: &Address) -> Option<u64> {
        let at = members.iter().position(|member| member.address() == *address)?;
        nodes[at].process.as_ref().map(|_| nodes[at].life)
    }
}
