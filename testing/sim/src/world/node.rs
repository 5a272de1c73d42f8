//! A node from outside: its machine, which outlives the process on it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use freeway_primitives::{Height, SecretKey};
use freeway_store::SimulatedDisk;

use super::World;
use crate::cast::Member;
use crate::plan::Sabotage;
use crate::process::{Files, Process, SKEW_BASE_MS, Start};
use crate::properties::Properties;

/// A machine, and the process on it if it runs.
pub(super) struct Node {
    pub(super) process: Option<Process>,
    pub(super) disk: SimulatedDisk,
    /// Its other files while no process has them.
    pub(super) files: Files,
    /// The key of its votes.
    pub(super) key: SecretKey,
    /// Whether it may have forgotten votes; kept beside the key, and lost last.
    pub(super) forgetful: bool,
    /// What clients were promised.
    pub(super) journal: Vec<Vec<u8>>,
    pub(super) skew_ms: Arc<AtomicU64>,
    /// Counts processes on this machine: what was meant for an earlier one is dropped.
    pub(super) life: u64,
    pub(super) wipes: u64,
    /// The height that must never be lost.
    pub(super) committed: Height,
    pub(super) sabotage: Option<Sabotage>,
    /// Why the process stopped by itself.
    pub(super) stopped: Option<String>,
    pub(super) last_reply_ms: u64,
}

impl Node {
    pub(super) fn new(member: &Member) -> Self {
        Self {
            process: None,
            disk: SimulatedDisk::new(),
            files: Files::default(),
            key: member.consensus.clone(),
            forgetful: false,
            journal: Vec::new(),
            skew_ms: Arc::new(AtomicU64::new(SKEW_BASE_MS)),
            life: 0,
            wipes: 0,
            committed: Height::GENESIS,
            sabotage: None,
            stopped: None,
            last_reply_ms: 0,
        }
    }
}

impl World {
    /// Starts the process of a node that is down.
    pub(super) fn start(&mut self, number: usize) {
        let address = self.cast.members[number].address();
        let now = self.now();
        let node = &mut self.nodes[number];
        if node.process.is_some() {
            return;
        }
        node.life += 1;
        node.last_reply_ms = now;
        let result = Process::start(Start {
            number,
            genesis: &self.genesis,
            disk: &node.disk,
            files: std::mem::take(&mut node.files),
            key: Some(node.key.clone()),
            address,
            forgetful: node.forgetful,
            clock: Arc::clone(&self.clock),
            skew_ms: Arc::clone(&node.skew_ms),
            incarnation: node.life << 32,
            journal: &node.journal,
            host: self.plan.hosts.get(number).copied(),
        });
        match result {
            Ok(process) => {
                self.trace.note(now, format_args!("{number} starts at height {}", process.chain().height()));
                let committed = node.committed;
                node.process = Some(process);
                node.stopped = None;
                if let Some(process) = &self.nodes[number].process {
                    self.require(self.properties.no_rollback(process.chain(), committed));
                }
                self.settle(number);
            }
            Err(failed) => {
                let (fatal, files) = *failed;
                node.files = files;
                self.trace.note(now, format_args!("{number} cannot start: {fatal}"));
                let verdict =
                    Properties::fail_stop(Some(&fatal.0), false, self.nodes[number].sabotage.is_some());
                self.require(verdict);
                self.nodes[number].stopped = Some(fatal.0);
            }
        }
    }

    /// Ends the process of a node; its files stay as they are.
    pub(super) fn stop(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        if let Some(process) = node.process.take() {
            node.files = process.stop();
            node.life += 1;
        }
    }

    /// Everything that follows from a step of a node: properties, then what it sends.
    pub(super) fn settle(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        let Some(process) = node.process.as_mut() else { return };
        let life = node.life;
        let seen = process.take_seen();
        let outs = process.take_out();
        let address = self.cast.members[number].address();
        self.summary.max_round = self.summary.max_round.max(seen.round.max(0) as u64);

        let stopped = process.fatal().map(|fatal| fatal.0.clone());
        let poisoned = process.chain().store().poisoned().is_some();
        let verdict = Properties::fail_stop(stopped.as_deref(), poisoned, node.sabotage.is_some());
        self.require(verdict);
        let node = &self.nodes[number];
        let Some(process) = node.process.as_ref() else { return };
        if let Some(key) = process.key().map(SecretKey::public)
            && stopped.is_none()
        {
            let verdict = self.properties.no_double_votes(key, &seen.votes);
            self.require(verdict);
            let verdict = self.properties.no_double_proposals(key, &seen.proposals);
            self.require(verdict);
        }
        self.require(Properties::bounded_memory(process.bridge().held_bytes()));

        // What the chain shows of itself; a failed write hides whether the block before it is durable.
        let height = process.chain().height();
        if stopped.is_none() {
            let plan = process.bridge().plan();
            let (next, set) = (plan.height, plan.validators.clone());
            let verdict = self.properties.same_validators(next, &set);
            self.require(verdict);
            let mut at = self.nodes[number].committed;
            while at < height {
                at = at.next();
                let process = self.nodes[number].process.as_ref().expect("it runs");
                let (nodes, members) = (&self.nodes, &self.cast.members);
                let verdict = self
                    .properties
                    .committed(process.chain(), at, |address| Self::life_of(nodes, members, address));
                self.require(verdict);
            }
            if !seen.evidence.is_empty() && !self.is_traitor(number) && set.get(&address).is_some() {
                let verdict = self.properties.evidence_seen(address, life, height, &seen.evidence);
                self.require(verdict);
            }
        }
        if height > self.nodes[number].committed {
            let id = self.properties.block(height);
            let short = id.map(|id| id.to_string()).unwrap_or_default();
            self.trace.note(self.now(), format_args!("{number} commits {height} {short}"));
            for event in self.properties.news() {
                self.trace.note(self.now(), format_args!("{event:?}"));
            }
            self.nodes[number].committed = height;
        }
        self.route(number, life, outs);
        if let Some(reason) = stopped {
            self.stopped_itself(number, reason);
            return;
        }
        self.follow_keys(number);
    }

    fn is_traitor(&self, number: usize) -> bool {
        self.plan.traitor.as_ref().is_some_and(|traitor| traitor.node == number)
    }

    fn stopped_itself(&mut self, number: usize, reason: String) {
        self.trace.note(self.now(), format_args!("{number} stops: {reason}"));
        self.summary.stopped += 1;
        if matches!(self.nodes[number].sabotage, Some(Sabotage::PowerAfter(_))) {
            self.power_cut(number);
        } else {
            self.stop(number);
        }
        self.nodes[number].stopped = Some(reason);
    }

    /// What an operator does: remembers that the guard has opened, and starts the node with its other key when
    /// the network expects that one.
    fn follow_keys(&mut self, number: usize) {
        let member = &self.cast.members[number];
        let node = &mut self.nodes[number];
        let Some(process) = node.process.as_ref() else { return };
        if process.bridge().votes() {
            node.forgetful = false;
        }
        let expected =
            process.bridge().plan().validators.get(&member.address()).map(|validator| validator.key);
        if expected == Some(member.next.public()) && node.key.public() != member.next.public() {
            node.key = member.next.clone();
            self.trace.note(self.now(), format_args!("{number} starts again with its other key"));
            self.stop(number);
            self.start(number);
        }
    }
}
