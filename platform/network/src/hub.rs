//! Gossip within one process: many endpoints, deterministic order, loss by seed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freeway_primitives::{Digest, Domain};
use libp2p::PeerId;
use tokio::sync::mpsc;

use crate::limits::{DEFAULT_MAX_MESSAGE_BYTES, DEFAULT_RECEIVE_QUEUE};
use crate::{Counters, Gossip, Incoming, MessageId, Misbehaviour, PublishError, Verdict, peer_id_of};

const DOMAIN: Domain = Domain::new("freeway 1 local hub");

/// A network in memory, for tests: every endpoint is connected to every other.
///
/// A published message reaches the others at once, in the order in which they joined, each at most once. The
/// same calls with the same seed lose the same messages. Nothing is forwarded, so verdicts only count, and
/// reports are only kept for the test to see.
#[derive(Clone, Debug)]
pub struct LocalHub {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    seed: u64,
    loss_permille: u16,
    /// Deliveries decided so far: the position in the stream of losses.
    decided: u64,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug)]
struct Endpoint {
    inbox: mpsc::Sender<Incoming>,
    seen: BTreeSet<MessageId>,
    counters: Counters,
    reports: Vec<(PeerId, Misbehaviour)>,
}

impl LocalHub {
    /// A hub that loses nothing.
    pub fn new() -> Self {
        Self::with_loss(0, 0)
    }

    /// A hub that loses `loss_permille` of 1,000 deliveries, chosen by `seed`.
    pub fn with_loss(seed: u64, loss_permille: u16) -> Self {
        let state = State { seed, loss_permille, decided: 0, endpoints: Vec::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// A further endpoint. Its id depends only on how many joined before.
    pub fn join(&self) -> (LocalPeer, mpsc::Receiver<Incoming>) {
        let (inbox, received) = mpsc::channel(DEFAULT_RECEIVE_QUEUE);
        let mut state = lock(&self.state);
        let index = state.endpoints.len();
        let id = peer_id_of(Digest::of(DOMAIN, &(index as u64).to_le_bytes()).0);
        state.endpoints.push(Endpoint {
            inbox,
            seen: BTreeSet::new(),
            counters: Counters::default(),
            reports: Vec::new(),
        });
        (LocalPeer { id, index, state: Arc::clone(&self.state) }, received)
    }
}

impl Default for LocalHub {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn loses(&mut self) -> bool {
        let input = [self.seed.to_le_bytes(), self.decided.to_le_bytes()].concat();
        self.decided += 1;
        let digest = Digest::of(DOMAIN, &input);
        u16::from_le_bytes([digest.0[0], digest.0[1]]) % 1000 < self.loss_permille
    }

    fn deliver(&mut self, to: usize, message: &Incoming) {
        if self.loses() {
            return;
        }
        let endpoint = &mut self.endpoints[to];
        if !endpoint.seen.insert(message.id) {
            return;
        }
        endpoint.counters.received += 1;
        endpoint.counters.received_bytes += message.bytes.len() as u64;
        if endpoint.inbox.try_send(message.clone()).is_err() {
            endpoint.counters.dropped += 1;
        }
    }
}

/// A panic elsewhere leaves nothing half done here: every change is complete before anything can fail.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An endpoint of a [`LocalHub`].
#[derive(Clone, Debug)]
pub struct LocalPeer {
    id: PeerId,
    index: usize,
    state: Arc<Mutex<State>>,
}

impl LocalPeer {
    /// What happened so far.
    pub fn counters(&self) -> Counters {
        lock(&self.state).endpoints[self.index].counters
    }

    /// What this endpoint held against others, in order.
    pub fn reports(&self) -> Vec<(PeerId, Misbehaviour)> {
        lock(&self.state).endpoints[self.index].reports.clone()
    }
}

impl Gossip for LocalPeer {
    fn local_id(&self) -> PeerId {
        self.id
    }

    fn publish(&self, bytes: Vec<u8>) -> Result<(), PublishError> {
        if bytes.len() > DEFAULT_MAX_MESSAGE_BYTES {
            return Err(PublishError::TooLarge { actual: bytes.len(), limit: DEFAULT_MAX_MESSAGE_BYTES });
        }
        let mut state = lock(&self.state);
        if state.endpoints.len() < 2 {
            return Err(PublishError::NoPeers);
        }
        let message = Incoming { from: self.id, id: MessageId::of(&bytes), bytes };
        let own = &mut state.endpoints[self.index];
        if !own.seen.insert(message.id) {
            return Ok(());
        }
        own.counters.published += 1;
        own.counters.published_bytes += message.bytes.len() as u64;
        for to in (0..state.endpoints.len()).filter(|to| *to != self.index) {
            state.deliver(to, &message);
        }
        Ok(())
    }

    fn verdict(&self, _: MessageId, _: PeerId, verdict: Verdict) {
        let counters = &mut lock(&self.state).endpoints[self.index].counters;
        match verdict {
            Verdict::Accept => counters.accepted += 1,
            Verdict::Reject => counters.rejected += 1,
            Verdict::Ignore => counters.ignored += 1,
        }
    }

    fn report(&self, peer: PeerId, misbehaviour: Misbehaviour) {
        lock(&self.state).endpoints[self.index].reports.push((peer, misbehaviour));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_else_hears_a_message_once() {
        let hub = LocalHub::new();
        let (a, mut at_a) = hub.join();
        assert_eq!(a.publish(b"alone".to_vec()), Err(PublishError::NoPeers));
        let (b, mut at_b) = hub.join();
        let (c, mut at_c) = hub.join();
        a.publish(b"hello".to_vec()).unwrap();
        b.publish(b"hello".to_vec()).unwrap();
        for received in [&mut at_b, &mut at_c] {
            let message = received.try_recv().unwrap();
            assert_eq!((message.from, message.bytes.as_slice()), (a.local_id(), b"hello".as_slice()));
            assert!(received.try_recv().is_err());
        }
        assert!(at_a.try_recv().is_err());
        c.verdict(MessageId::of(b"hello"), a.local_id(), Verdict::Reject);
        c.report(a.local_id(), Misbehaviour::Invalid);
        assert_eq!(c.counters().rejected, 1);
        assert_eq!(c.reports(), [(a.local_id(), Misbehaviour::Invalid)]);
    }

    #[test]
    fn loss_follows_the_seed() {
        let heard = |seed| {
            let hub = LocalHub::with_loss(seed, 300);
            let ((a, _at_a), (_b, mut at_b)) = (hub.join(), hub.join());
            (0..200u8).for_each(|n| a.publish(vec![n]).unwrap());
            std::iter::from_fn(|| at_b.try_recv().ok()).map(|message| message.bytes[0]).collect::<Vec<_>>()
        };
        assert_eq!(heard(1), heard(1));
        assert_ne!(heard(1), heard(2));
        assert!((100..180).contains(&heard(1).len()));
    }

    #[test]
    fn a_full_inbox_drops() {
        let hub = LocalHub::new();
        let ((a, _at_a), (b, _at_b)) = (hub.join(), hub.join());
        (0..=DEFAULT_RECEIVE_QUEUE).for_each(|n| a.publish(n.to_le_bytes().to_vec()).unwrap());
        assert_eq!(b.counters().dropped, 1);
    }
}
