//! The loop: one clock, one queue of events, all nodes.

mod faults;
mod node;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use freeway_ledger::Genesis;
use freeway_primitives::{Address, Amount, Height};
use malachitebft_core_types::Timeout;

use crate::adversaries::equivocator::Hand;
use crate::adversaries::garbage::Outsider;
use crate::cast::{Cast, Member};
use crate::network::Network;
use crate::plan::{Fault, HostPlan, Plan};
use crate::process::{Out, Reply, STATUS_MS, Work, encode_batch};
use crate::properties::races::{Racer, Races};
use crate::properties::{Properties, Violation};
use crate::random::Random;
use crate::replay::replay;
use crate::trace::Trace;
use crate::wire::{Kind, Wire};
use crate::workload::{self, Promise};
use node::Node;

/// How long an outsider sends rubbish.
const OUTSIDER_MS: u64 = 60_000;
/// One in so many runs ends with executing its chain once more.
const REPLAYED: u64 = 4;
/// Gossip that is so old is offered to nobody any more, as in the real network.
const GOSSIP_KEPT_MS: u64 = 3_000;
/// How often peers offer what they have heard.
const HEARTBEAT_MS: u64 = 1_000;
/// Messages that a historian keeps.
const MAX_HISTORY: usize = 50_000;

/// Something that will happen.
#[derive(Debug)]
enum Event {
    Deliver { from: usize, to: usize, wire: Wire },
    Timer { node: usize, life: u64, generation: u64, timeout: Timeout },
    Reply { node: usize, life: u64, reply: Reply },
    Work { node: usize, life: u64, work: Work },
    Status(usize),
    Client,
    Rubbish,
    Fault(Fault),
}

struct Scheduled {
    at: u64,
    order: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Runs summed up.
    pub runs: u64,
    /// The lowest height that all nodes reached.
    pub heights: u64,
    /// Messages on links.
    pub messages: u64,
    /// Power cuts.
    pub crashes: u64,
    /// Cuts through the network.
    pub cuts: u64,
    /// Disks that failed.
    pub sabotaged: u64,
    /// Nodes that stopped by themselves because of it.
    pub stopped: u64,
    /// Disks that were lost.
    pub wipes: u64,
    /// Equivocation that honest engines saw.
    pub evidence: u64,
    /// Validators convicted.
    pub convictions: u64,
    /// Switches of the validator set.
    pub switches: u64,
    /// Switches that were held.
    pub held: u64,
    /// Values of the beacon.
    pub values: u64,
    /// Keys of the beacon.
    pub keys: u64,
    /// Keys that could not be made.
    pub keyless: u64,
    /// Races that settled.
    pub races: u64,
    /// Transactions that nodes accepted.
    pub accepted: u64,
    /// The highest round.
    pub max_round: u64,
    /// Simulated milliseconds.
    pub simulated_ms: u64,
    /// Events.
    pub events: u64,
}

impl Summary {
    /// Adds another run.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.heights += other.heights;
        self.messages += other.messages;
        self.crashes += other.crashes;
        self.cuts += other.cuts;
        self.sabotaged += other.sabotaged;
        self.stopped += other.stopped;
        self.wipes += other.wipes;
        self.evidence += other.evidence;
        self.convictions += other.convictions;
        self.switches += other.switches;
        self.held += other.held;
        self.values += other.values;
        self.keys += other.keys;
        self.keyless += other.keyless;
        self.races += other.races;
        self.accepted += other.accepted;
        self.max_round = self.max_round.max(other.max_round);
        self.simulated_ms += other.simulated_ms;
        self.events += other.events;
    }
}

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

    fn broadcast(&mut self, from: usize, wire: &Wire) {
        self.network.count_made(wire);
        if let Some(outsider) = &mut self.outsider {
            outsider.hear(wire);
        }
        let told = matches!(wire.kind, Kind::Part | Kind::Proposal | Kind::Vote);
        if self.plan.historian && told && self.history.len() < MAX_HISTORY {
            self.history.push(wire.clone());
        }
        for to in 0..self.nodes.len() {
            self.send(from, to, wire);
        }
        if matches!(wire.kind, Kind::Transactions | Kind::Partials) {
            let now = self.now();
            self.gossip.retain(|(at, ..)| at + GOSSIP_KEPT_MS > now);
            self.gossip.push_back((now, from, wire.clone()));
        }
    }

    /// A node that has just started is offered what its peers have heard in the last seconds.
    fn offer_gossip(&mut self, to: usize) {
        let now = self.now();
        let after = self.random.between(1, HEARTBEAT_MS);
        for (at, from, wire) in self.gossip.clone() {
            let connected = from != to && self.network.connected(from, to);
            if at + GOSSIP_KEPT_MS > now && connected && self.nodes[from].process.is_some() {
                self.push(now + after, Event::Deliver { from, to, wire });
            }
        }
    }

    /// Plays everything that was ever sent to a node, in order and fast, as an outsider.
    fn tell_history(&mut self, to: usize) {
        let (now, from) = (self.now(), self.nodes.len());
        for (count, wire) in self.history.clone().into_iter().enumerate() {
            self.push(now + 1 + count as u64 / 10, Event::Deliver { from, to, wire });
        }
    }

    fn send(&mut self, from: usize, to: usize, wire: &Wire) {
        if from == to {
            return;
        }
        for delay in self.network.send(from, to, wire) {
            self.push(self.now() + delay, Event::Deliver { from, to, wire: wire.clone() });
        }
    }

    /// Sends out what a node made.
    fn route(&mut self, node: usize, life: u64, outs: Vec<Out>) {
        let betrays = self.plan.traitor.as_ref().is_some_and(|traitor| traitor.node == node);
        let key = self.nodes[node].process.as_ref().and_then(|process| process.key().cloned());
        let count = self.nodes.len();
        for out in outs {
            let instead = match (&mut self.hand, &out, &key) {
                (Some(hand), Out::Consensus(message), Some(key)) if betrays => {
                    hand.consensus(message, key, count)
                }
                (Some(hand), Out::Parts(parts), Some(key)) if betrays => hand.parts(parts, key, count),
                _ => None,
            };
            if let Some(addressed) = instead {
                self.trace.note(self.now(), format_args!("{node} betrays with {} messages", addressed.len()));
                for (to, wire) in addressed {
                    self.send(node, to, &wire);
                }
                continue;
            }
            match out {
                Out::Broadcast(wire) => self.broadcast(node, &wire),
                Out::Send(to, wire) => {
                    self.network.count_made(&wire);
                    if to < count {
                        self.send(node, to, &wire);
                    }
                }
                Out::Consensus(message) => {
                    let kind = match *message {
                        malachitebft_core_consensus::SignedConsensusMsg::Vote(_) => Kind::Vote,
                        malachitebft_core_consensus::SignedConsensusMsg::Proposal(_) => Kind::Proposal,
                    };
                    self.broadcast(node, &Wire::new(kind, &*message));
                }
                Out::Parts(parts) => {
                    for part in parts {
                        self.broadcast(node, &Wire::new(Kind::Part, &part));
                    }
                }
                Out::Timer { delay_ms, generation, timeout } => {
                    self.push(self.now() + delay_ms, Event::Timer { node, life, generation, timeout });
                }
                Out::Later { delay_ms, work } => {
                    self.push(self.now() + delay_ms, Event::Work { node, life, work });
                }
                Out::Reply(reply) => {
                    let delay = if self.random.chance(30) { 40 } else { self.random.between(0, 4) };
                    // Answers of one application keep their order.
                    let at = (self.now() + delay).max(self.nodes[node].last_reply_ms);
                    self.nodes[node].last_reply_ms = at;
                    self.push(at, Event::Reply { node, life, reply });
                }
            }
        }
    }

    fn client_sends(&mut self) {
        let up: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].process.is_some()).collect();
        if up.is_empty() {
            return;
        }
        let node = *self.client.pick(&up);
        let Some(process) = self.nodes[node].process.as_ref() else { return };
        let who = (node, self.nodes[node].wipes);
        let made = workload::client(&mut self.client, &self.cast.users, process, who, &mut self.sent_before);
        self.submit(node, made);
    }

    /// Hands a transaction to a node as its client, and gossips it if it is accepted.
    fn submit(&mut self, node: usize, made: workload::Made) -> bool {
        let mut accepted = false;
        let bytes = made.bytes.clone();
        self.with(node, |process| {
            accepted = process.submit(std::slice::from_ref(&bytes), true).iter().all(Result::is_ok);
        });
        self.trace.note(self.now(), format_args!("client > {node}: accepted {accepted}"));
        if accepted && self.nodes[node].process.is_some() {
            let hash = freeway_ledger::Transaction::hash_of(&made.bytes);
            self.summary.accepted += 1;
            self.nodes[node].journal.push(made.bytes.clone());
            if hash == made.promise.hash {
                self.promises.push(made.promise);
            }
            self.broadcast(node, &Wire { kind: Kind::Transactions, bytes: encode_batch(&[made.bytes]) });
        }
        accepted
    }

    fn outsider_sends(&mut self) {
        let height = self.tip();
        let chain = self.genesis.chain();
        let count = self.nodes.len();
        let to = self.random.index(count);
        let Some(outsider) = &mut self.outsider else { return };
        for wire in outsider.rubbish(&chain, height) {
            self.push(self.now() + 5, Event::Deliver { from: count, to, wire });
        }
    }

    /// The properties that concern the end of a run.
    fn finish(&mut self) {
        for node in &self.nodes {
            if let Some(process) = &node.process {
                self.require(self.properties.supply_conserved(process.chain()));
            }
        }
        for promise in &self.promises {
            self.require(self.promise_kept(promise));
        }
        if self.plan.seed.is_multiple_of(REPLAYED)
            && let Some(process) = self.nodes.iter().find_map(|node| node.process.as_ref())
        {
            let same = replay(&self.genesis, process.chain().store());
            self.require(same.map_err(|detail| Violation { property: "replay", detail }));
        }
    }

    /// A transaction that a node accepted is in a block, or waits, or has expired, or was overtaken by another
    /// of the same key. Only losing the disk excuses from that.
    fn promise_kept(&self, promise: &Promise) -> Result<(), Violation> {
        let node = &self.nodes[promise.node];
        let Some(process) = node.process.as_ref().filter(|_| node.wipes == promise.wipes) else {
            return Ok(());
        };
        let store = process.chain().store();
        let included = store.receipt(&promise.hash).is_ok_and(|receipt| receipt.is_some());
        let waits = process.mempool().contains(&promise.hash);
        let expired = promise.expiry <= process.chain().height();
        let next = freeway_ledger::accounts::next_sequence(&store.view(), &promise.account, &promise.signer);
        let overtaken = next.is_ok_and(|next| next.is_none_or(|next| next > promise.sequence));
        if included || waits || expired || overtaken {
            return Ok(());
        }
        Err(Violation { property: "promises are kept", detail: format!("{promise:?} is lost") })
    }

    fn life_of(nodes: &[Node], members: &[crate::cast::Member], address: &Address) -> Option<u64> {
        let at = members.iter().position(|member| member.address() == *address)?;
        nodes[at].process.as_ref().map(|_| nodes[at].life)
    }
}
