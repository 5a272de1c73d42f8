//! The host role of a process: the node's own state machine over simulated hardware.
//!
//! Hardware is a speed: so many nonces a simulated second, whether the host races or checks others. What it has
//! computed is on disk every [`SYNC_MS`]; a power cut takes what came after. Openings are asked for over the
//! simulated links, as the real ones are over HTTP: who does not answer in time is unreachable.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use freeway_consensus::Fatal;
use freeway_host::core::{Action, Core, Identity, Unreachable};
use freeway_host::engine::cheap_trace;
use freeway_host::openings::SignedOpenings;
use freeway_ledger::{Message, Text, Transaction, sprint};
use freeway_primitives::{Address, Block, Canonical, Digest, Epoch, Height};
use freeway_proofs::sprint::{Position, Trace};

use super::{Host, Out, Process};
use crate::plan::HostPlan;
use crate::record::Record;
use crate::wire::{Kind, Wire};

/// How often what is computed becomes durable.
const SYNC_MS: u64 = 100;
/// How long a member waits for openings. The real node waits longer, and its blocks take longer.
const PATIENCE_MS: u64 = 450;
/// What an answer takes before the first nonce.
const SETUP_MS: u64 = 5;

/// Work that is done later.
#[derive(Clone, Debug)]
pub enum Work {
    /// What was computed meanwhile becomes durable.
    Sync(Epoch),
    /// Nonces of another host are recomputed.
    Recomputed {
        /// The race.
        epoch: Epoch,
        /// Its seed.
        seed: Digest,
        /// Whose they are.
        host: Address,
        /// Which.
        positions: Vec<Position>,
    },
    /// A question has not been answered.
    Unanswered(u64),
}

/// What is being computed.
#[derive(Clone, Copy, Debug)]
struct Racing {
    epoch: Epoch,
    seed: Digest,
    began_ms: u64,
    first: u64,
    next: u64,
}

/// A question under way.
#[derive(Clone, Copy, Debug)]
struct Question {
    epoch: Epoch,
    host: Address,
    node: usize,
}

/// The host role.
pub(crate) struct Role {
    core: Core,
    speed: u64,
    pub(super) record: Record,
    racing: Option<Racing>,
    questions: BTreeMap<u64, Question>,
    asked: u64,
}

impl Role {
    /// A host with this hardware and these manners, that goes on with the race in `record`.
    pub(super) fn new(identity: Identity, plan: HostPlan, record: Record) -> Self {
        let mut core = Core::new(identity, plan.adversary);
        if !record.traces.is_empty() {
            core.restore(record.epoch, record.seed, record.traces.clone());
        }
        Self { core, speed: plan.speed, record, racing: None, questions: BTreeMap::new(), asked: 0 }
    }

    /// Computes what the hardware has done by now.
    fn compute(&mut self, address: &Address, now_ms: u64) {
        let Some(racing) = &mut self.racing else { return };
        let done = racing.first + now_ms.saturating_sub(racing.began_ms) * self.speed / 1_000;
        let trace = |nonce| cheap_trace(&racing.seed, address, Position { device: 0, nonce });
        let traces: Vec<Trace> = (racing.next..done).map(trace).collect();
        self.record.append(racing.epoch, &traces);
        self.core.computed(racing.epoch, racing.next, &traces);
        racing.next = done.max(racing.next);
    }
}

/// The endpoint of a node, as its host registers it.
pub fn endpoint(node: usize) -> Text {
    Text::new(format!("http://{node}.example")).expect("a short text")
}

fn node_at(endpoint: &Text) -> Option<usize> {
    endpoint.as_str().strip_prefix("http://")?.strip_suffix(".example")?.parse().ok()
}

type Asked = (u64, Epoch, Address);
type Answer = (u64, Result<Vec<u8>, String>);

impl Host {
    /// The host's turn: it is asked until it wants nothing but messages on chain.
    pub(super) fn step_host(&mut self) {
        let state = self.bridge.application().store().view();
        while self.fatal.is_none() {
            let Some(role) = &mut self.role else { return };
            let actions = role.core.step(&state, state.height());
            let Some(actions) = self.settle(actions.map_err(|fault| Fatal(fault.to_string()))) else {
                return;
            };
            let (mut messages, mut ended) = (Vec::new(), false);
            for action in actions {
                match action {
                    Action::Send(wanted) => messages = wanted,
                    action => ended |= self.act(action),
                }
            }
            if !ended {
                self.send_duties(messages);
                return;
            }
        }
    }

    /// Does what the host wants; whether that is done already.
    fn act(&mut self, action: Action) -> bool {
        let now_ms = self.clock.load(Ordering::Relaxed);
        let Some(role) = &mut self.role else { return false };
        match action {
            Action::Race { epoch, seed, from_nonce, .. } => {
                role.record.begin(epoch, seed, from_nonce);
                role.racing =
                    Some(Racing { epoch, seed, began_ms: now_ms, first: from_nonce, next: from_nonce });
                self.out.push(Out::Later { delay_ms: SYNC_MS, work: Work::Sync(epoch) });
            }
            Action::EndRace { epoch } => {
                role.compute(&self.address, now_ms);
                role.racing = None;
                role.core.ended(epoch);
                return true;
            }
            Action::Fetch { epoch, host, endpoints, member, .. } => {
                role.asked += 1;
                let number = role.asked;
                if let Some(node) = endpoints.first().and_then(node_at) {
                    role.questions.insert(number, Question { epoch, host, node });
                    let question: Asked = (number, epoch, member);
                    let bytes = borsh::to_vec(&question).expect("it has an encoding").into();
                    self.out.push(Out::Send(node, Wire { kind: Kind::Question, bytes }));
                }
                self.out.push(Out::Later { delay_ms: PATIENCE_MS, work: Work::Unanswered(number) });
            }
            Action::Recompute { epoch, host, seed, positions, .. } => {
                let delay_ms = SETUP_MS + positions.len() as u64 * 1_000 / role.speed.max(1);
                let work = Work::Recomputed { epoch, seed, host, positions };
                self.out.push(Out::Later { delay_ms, work });
            }
            Action::Forget { epoch } => role.record.forget(epoch),
            Action::Send(_) => {}
        }
        false
    }

    fn send_duties(&mut self, messages: Vec<Message>) {
        let Some(duties) = self.duties.as_ref().filter(|_| !messages.is_empty()) else { return };
        let sent = match duties.waiting() {
            Ok(true) => Ok(0),
            Ok(false) => duties.send(messages),
            Err(fault) => Err(fault),
        };
        self.settle(sent.map_err(|fault| Fatal(fault.to_string())));
    }

    /// Tells the host what was published for it in the blocks after `before`.
    pub(super) fn published_after(&mut self, before: Height) {
        let Some(role) = &mut self.role else { return };
        let store = self.bridge.application().store();
        let Ok(Some(race)) = sprint::race(&store.view()) else { return };
        for height in before.0 + 1..=store.view().height().0 {
            let Ok(Some((bytes, _))) = store.block(Height(height)) else { continue };
            let Ok(block) = Block::decode(&bytes) else { continue };
            for bytes in &block.transactions {
                let Ok(transaction) = Transaction::parse(bytes, &block.header.chain) else { continue };
                let sender = transaction.body.account();
                if let Message::Sprint(sprint::Message::Answer { member, openings }) =
                    transaction.body.message
                    && member == self.address
                {
                    role.core.published(race.epoch, sender, &openings);
                }
            }
        }
    }

    /// A member of this host's committee asks for its leaves.
    fn question(&mut self, from: usize, bytes: &[u8]) {
        let Ok((number, epoch, member)) = borsh::from_slice::<Asked>(bytes) else { return };
        let Some(role) = &self.role else { return };
        let state = self.bridge.application().store().view();
        let shown = role.core.serve(&state, epoch, member);
        let answer: Answer =
            (number, shown.map(|signed| signed.encode()).map_err(|refusal| refusal.code().into()));
        let bytes = borsh::to_vec(&answer).expect("it has an encoding").into();
        self.out.push(Out::Send(from, Wire { kind: Kind::Answer, bytes }));
    }

    fn answer(&mut self, from: usize, bytes: &[u8]) {
        let Ok((number, answer)) = borsh::from_slice::<Answer>(bytes) else { return };
        let Some(role) = &mut self.role else { return };
        let Some(question) = role.questions.get(&number).copied().filter(|asked| asked.node == from) else {
            return;
        };
        role.questions.remove(&number);
        let shown = answer
            .map_err(Unreachable)
            .and_then(|bytes| SignedOpenings::decode(&bytes).map_err(|error| Unreachable(error.to_string())));
        role.core.opened(question.epoch, question.host, shown);
        self.step_host();
    }
}

impl Process {
    /// Where its host stands, if it is one.
    pub fn standing(&self) -> Option<freeway_host::core::Standing> {
        self.host.role.as_ref().map(|role| role.core.standing())
    }

    /// Work is done.
    pub fn work(&mut self, work: Work) {
        let host = &mut self.host;
        let now_ms = host.clock.load(Ordering::Relaxed);
        let Some(role) = host.role.as_mut().filter(|_| host.fatal.is_none()) else { return };
        match work {
            Work::Sync(epoch) => {
                role.compute(&host.address, now_ms);
                if role.racing.is_some_and(|racing| racing.epoch == epoch) {
                    host.out.push(Out::Later { delay_ms: SYNC_MS, work });
                }
                return;
            }
            Work::Recomputed { epoch, seed, host: other, positions } => {
                let trace = |position| (position, cheap_trace(&seed, &other, position));
                let traces: Vec<_> = positions.into_iter().map(trace).collect();
                role.core.recomputed(epoch, other, &traces);
            }
            Work::Unanswered(number) => {
                let Some(question) = role.questions.remove(&number) else { return };
                let Question { epoch, host: other, .. } = question;
                role.core.opened(epoch, other, Err(Unreachable("no answer in time".into())));
            }
        }
        host.step_host();
    }

    pub(super) fn receive_for_host(&mut self, from: usize, wire: &Wire) {
        match wire.kind {
            Kind::Question => self.host.question(from, &wire.bytes),
            Kind::Answer => self.host.answer(from, &wire.bytes),
            _ => {}
        }
    }
}
