//! What adversaries do to machines and links.

use std::sync::atomic::Ordering;

use freeway_primitives::{Epoch, Height};
use freeway_store::SimulatedDisk;

use super::{Event, World};
use crate::plan::{Fault, Sabotage};
use crate::process::{Files, SKEW_BASE_MS};
use crate::workload;

/// After how long an owner tries again whose wish no node could take.
const AGAIN_MS: u64 = 700;

/// Blocks in which a node catches up that has started again.
const CATCHING_UP: u64 = 8;

impl World {
    /// Makes a fault happen.
    pub(super) fn fault(&mut self, fault: Fault) {
        self.trace.note(self.now(), format_args!("{fault:?}"));
        self.excuse(&fault);
        match fault {
            Fault::Crash(node) => {
                self.summary.crashes += 1;
                self.power_cut(node);
            }
            Fault::Start(node) => {
                // The disk is repaired with the machine at rest.
                if self.nodes[node].sabotage.take().is_some() {
                    self.stop(node);
                    self.nodes[node].disk.heal();
                }
                self.start(node);
                self.offer_gossip(node);
                if self.plan.historian && self.nodes[node].forgetful {
                    self.tell_history(node);
                }
            }
            Fault::Wipe(node) => {
                self.summary.wipes += 1;
                self.power_cut(node);
                let machine = &mut self.nodes[node];
                machine.disk = SimulatedDisk::new();
                machine.files = Files::default();
                machine.journal.clear();
                machine.committed = Height::GENESIS;
                machine.sabotage = None;
                machine.forgetful = true;
                machine.wipes += 1;
            }
            Fault::Cut(number, cut) => {
                self.summary.cuts += 1;
                self.network.cut(number, cut);
            }
            Fault::Mend(number) => self.network.mend(number),
            Fault::Sabotage(node, how) => {
                self.summary.sabotaged += 1;
                let machine = &mut self.nodes[node];
                machine.sabotage = Some(how);
                match how {
                    Sabotage::Writes(writes) | Sabotage::PowerAfter(writes) => {
                        machine.disk.fail_after(writes)
                    }
                    Sabotage::Sync => machine.disk.fail_sync(),
                    Sabotage::Full => machine.disk.out_of_space(machine.disk.bytes()),
                }
            }
            Fault::Skew(node, ahead_ms) => {
                let skew = SKEW_BASE_MS.saturating_add_signed(ahead_ms);
                self.nodes[node].skew_ms.store(skew, Ordering::Relaxed);
            }
            Fault::Calm => self.network.calm(),
            Fault::Mute(kind) => self.network.mute(kind, true),
            Fault::Unmute(kind) => self.network.mute(kind, false),
            Fault::Ask(node, wish) => {
                let member = self.cast.members[node].clone();
                let up: Vec<usize> =
                    (0..self.nodes.len()).filter(|other| self.nodes[*other].process.is_some()).collect();
                if up.is_empty() {
                    let again = self.now() + AGAIN_MS;
                    self.push(again, Event::Fault(Fault::Ask(node, wish)));
                    return;
                }
                let at = *self.client.pick(&up);
                let Some(process) = self.nodes[at].process.as_ref() else { return };
                let who = (at, self.nodes[at].wipes);
                let made = workload::transaction(process, who, &member.owner, wish.message(&member), 40);
                self.submit(at, made);
            }
        }
    }

    /// Cuts the power of a machine: what was not synced may be lost or torn.
    pub(super) fn power_cut(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        node.disk.crash(self.random.bits());
        if let Some(process) = node.process.take() {
            node.files = process.stop();
        }
        node.files.wal.crash(&mut self.random);
        node.life += 1;
    }

    /// Whom a fault keeps from its part in a race: its node until it is back, all while links fail. Nobody is
    /// excused by a fault of somebody else's machine.
    fn excuse(&mut self, fault: &Fault) {
        let ends = match fault {
            Fault::Crash(_) | Fault::Wipe(_) | Fault::Sabotage(..) | Fault::Cut(..) | Fault::Mute(_) => false,
            Fault::Start(_) | Fault::Mend(_) | Fault::Unmute(_) | Fault::Calm => true,
            Fault::Skew(..) | Fault::Ask(..) => return,
        };
        let until = if ends { self.epoch() } else { Epoch(u64::MAX) };
        let nodes = match fault {
            Fault::Crash(node) | Fault::Wipe(node) | Fault::Sabotage(node, _) | Fault::Start(node) => {
                *node..*node + 1
            }
            _ => 0..self.nodes.len(),
        };
        for node in nodes {
            let starts = matches!(fault, Fault::Start(started) if *started == node);
            let until = if self.nodes[node].process.is_none() && !starts { Epoch(u64::MAX) } else { until };
            self.properties.races.excuse(self.cast.members[node].address(), until);
        }
    }

    /// The epoch that the network has come to once a node that starts now has caught up.
    fn epoch(&self) -> Epoch {
        Epoch((self.tip().0 + CATCHING_UP) / self.plan.params.epochs.epoch_blocks)
    }
}
