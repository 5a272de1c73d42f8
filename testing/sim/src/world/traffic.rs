//! Everything on its way: what nodes, clients and outsiders send.

use super::World;
use super::event::Event;
use crate::process::Out;
use crate::wire::{Kind, Wire, encode_batch};
use crate::workload;

/// Gossip that is so old is offered to nobody any more, as in the real network.
const GOSSIP_KEPT_MS: u64 = 3_000;
/// How often peers offer what they have heard.
const HEARTBEAT_MS: u64 = 1_000;
/// Messages that a historian keeps.
const MAX_HISTORY: usize = 50_000;

impl World {
    pub(super) fn broadcast(&mut self, from: usize, wire: &Wire) {
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
    pub(super) fn offer_gossip(&mut self, to: usize) {
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
    pub(super) fn tell_history(&mut self, to: usize) {
        let (now, from) = (self.now(), self.nodes.len());
        for (count, wire) in self.history.clone().into_iter().enumerate() {
            self.push(now + 1 + count as u64 / 10, Event::Deliver { from, to, wire });
        }
    }

    pub(super) fn send(&mut self, from: usize, to: usize, wire: &Wire) {
        if from == to {
            return;
        }
        for delay in self.network.send(from, to, wire) {
            self.push(self.now() + delay, Event::Deliver { from, to, wire: wire.clone() });
        }
    }

    /// Sends out what a node made.
    pub(super) fn route(&mut self, node: usize, life: u64, outs: Vec<Out>) {
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

    pub(super) fn client_sends(&mut self) {
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
    pub(super) fn submit(&mut self, node: usize, made: workload::Made) -> bool {
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

    pub(super) fn outsider_sends(&mut self) {
        let height = self.tip();
        let chain = self.genesis.chain();
        let count = self.nodes.len();
        let to = self.random.index(count);
        let Some(outsider) = &mut self.outsider else { return };
        for wire in outsider.rubbish(&chain, height) {
            self.push(self.now() + 5, Event::Deliver { from: count, to, wire });
        }
    }
}
