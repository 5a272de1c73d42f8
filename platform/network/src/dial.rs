//! When to dial which persistent peer. Pure: time comes as an argument, nothing here opens a socket.

use std::time::{Duration, Instant};

use freeway_primitives::{Digest, Domain};
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;

use crate::limits::{DIAL_BACKOFF_MAX, DIAL_BACKOFF_MIN, MAX_PERSISTENT_PEERS};
use crate::{AddPeerError, PeerAddress};

const JITTER: Domain = Domain::new("freeway 1 dial jitter");

/// What a persistent peer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not connected; the next attempt is due then.
    Waiting(Instant),
    /// An attempt is under way.
    Dialing(ConnectionId),
    /// Connected, in whichever direction.
    Connected,
}

#[derive(Debug)]
struct Entry {
    address: PeerAddress,
    /// Who was found there last. Never enforced; only the configured id is.
    found: Option<PeerId>,
    /// Attempts since the peer last joined.
    attempts: u32,
    state: State,
}

impl Entry {
    fn is(&self, peer: &PeerId) -> bool {
        self.address.id.as_ref().or(self.found.as_ref()) == Some(peer)
    }
}

/// The persistent peers.
#[derive(Debug)]
pub(crate) struct Dialer {
    local: PeerId,
    entries: Vec<Entry>,
}

impl Dialer {
    pub(crate) fn new(local: PeerId) -> Self {
        Self { local, entries: Vec::new() }
    }

    /// Adds a peer, due at once. One that is listed already, or is this node itself, is left as it is.
    pub(crate) fn add(&mut self, address: PeerAddress, now: Instant) -> Result<(), AddPeerError> {
        if address.id == Some(self.local) || self.entries.iter().any(|entry| entry.address == address) {
            return Ok(());
        }
        if self.entries.len() >= MAX_PERSISTENT_PEERS {
            return Err(AddPeerError::TooMany { limit: MAX_PERSISTENT_PEERS });
        }
        self.entries.push(Entry { address, found: None, attempts: 0, state: State::Waiting(now) });
        Ok(())
    }

    /// When the next attempt is due, if any.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = |entry: &Entry| match entry.state {
            State::Waiting(due) => Some(due),
            State::Dialing(_) | State::Connected => None,
        };
        self.entries.iter().filter_map(due).min()
    }

    /// A peer to dial now. The attempt that `connect` makes of its address counts as begun.
    pub(crate) fn begin<T>(
        &mut self,
        now: Instant,
        connect: impl FnOnce(&PeerAddress) -> (ConnectionId, T),
    ) -> Option<T> {
        let is_due = |entry: &&mut Entry| matches!(entry.state, State::Waiting(due) if due <= now);
        let entry = self.entries.iter_mut().find(is_due)?;
        let (connection, attempt) = connect(&entry.address);
        entry.state = State::Dialing(connection);
        entry.attempts = entry.attempts.saturating_add(1);
        Some(attempt)
    }

    /// The attempt failed. Returns whom it was for, and the wait before the next.
    pub(crate) fn failed(
        &mut self,
        connection: ConnectionId,
        now: Instant,
    ) -> Option<(PeerAddress, Duration)> {
        let local = self.local;
        let entry = self.dialing(connection)?;
        let wait = backoff(&local, &entry.address, entry.attempts);
        entry.state = State::Waiting(now + wait);
        Some((entry.address.clone(), wait))
    }

    /// The attempt led to this very node: its own address is in the list, as everybody's may be.
    pub(crate) fn is_self(&mut self, connection: ConnectionId) {
        self.entries.retain(|entry| entry.state != State::Dialing(connection));
    }

    /// `peer` answered the attempt.
    pub(crate) fn answered(&mut self, connection: ConnectionId, peer: PeerId) {
        if let Some(entry) = self.dialing(connection) {
            entry.found = Some(peer);
            entry.state = State::Connected;
        }
    }

    /// `peer` is connected, in whichever direction: no need to dial it.
    pub(crate) fn connected(&mut self, peer: &PeerId) {
        for entry in self.entries.iter_mut().filter(|entry| entry.is(peer)) {
            if matches!(entry.state, State::Waiting(_)) {
                entry.state = State::Connected;
            }
        }
    }

    /// `peer` takes part in the network: the next wait starts small again.
    ///
    /// A connection alone proves nothing: a peer that accepts and hangs up at once must not be dialled in a
    /// tight loop.
    pub(crate) fn joined(&mut self, peer: &PeerId) {
        for entry in self.entries.iter_mut().filter(|entry| entry.is(peer)) {
            entry.attempts = 0;
        }
    }

    /// `peer` is gone.
    pub(crate) fn lost(&mut self, peer: &PeerId, now: Instant) {
        let local = self.local;
        for entry in self.entries.iter_mut().filter(|entry| entry.is(peer)) {
            if entry.state == State::Connected {
                entry.state = State::Waiting(now + backoff(&local, &entry.address, entry.attempts));
            }
        }
    }

    /// Whether `peer` is known to be persistent.
    pub(crate) fn knows(&self, peer: &PeerId) -> bool {
        self.entries.iter().any(|entry| entry.is(peer))
    }

    /// Persistent peers that are not connected: slots to keep free.
    pub(crate) fn missing(&self) -> usize {
        self.entries.iter().filter(|entry| entry.state != State::Connected).count()
    }

    fn dialing(&mut self, connection: ConnectionId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.state == State::Dialing(connection))
    }
}

/// The wait after `attempts`: doubling and capped, of which the upper half is jitter, so that nodes that lost
/// each other at the same moment do not meet again in lockstep.
fn backoff(local: &PeerId, address: &PeerAddress, attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let whole = DIAL_BACKOFF_MIN.saturating_mul(1 << doublings).min(DIAL_BACKOFF_MAX);
    let input = [local.to_bytes(), address.to_string().into_bytes(), attempts.to_le_bytes().to_vec()];
    let digest = Digest::of_list(JITTER, input.iter().map(Vec::as_slice));
    let jitter = u32::from(u16::from_le_bytes([digest.0[0], digest.0[1]]));
    whole / 2 + whole / 2 * jitter / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialer(addresses: &[&str], now: Instant) -> Dialer {
        let mut dialer = Dialer::new(PeerId::random());
        for address in addresses {
            dialer.add(address.parse().unwrap(), now).unwrap();
        }
        dialer
    }

    fn id(n: usize) -> ConnectionId {
        ConnectionId::new_unchecked(n)
    }

    fn begin(dialer: &mut Dialer, n: usize, now: Instant) -> bool {
        dialer.begin(now, |_| (id(n), ())).is_some()
    }

    #[test]
    fn waits_double_are_capped_and_never_vanish() {
        let mut now = Instant::now();
        let mut dialer = dialer(&["10.0.0.1:1"], now);
        let mut waits = Vec::new();
        for attempt in 0..20 {
            assert!(begin(&mut dialer, attempt, now));
            assert!(!begin(&mut dialer, 99, now), "one attempt at a time");
            let (_, wait) = dialer.failed(id(attempt), now).unwrap();
            now += wait;
            assert_eq!(dialer.next_due(), Some(now));
            waits.push(wait);
        }
        assert!(waits[0] >= DIAL_BACKOFF_MIN / 2 && waits[0] <= DIAL_BACKOFF_MIN);
        assert!(waits.iter().all(|wait| *wait <= DIAL_BACKOFF_MAX));
        assert!(waits[10..].iter().all(|wait| *wait >= DIAL_BACKOFF_MAX / 2));
    }

    #[test]
    fn the_jitter_is_a_function_of_the_node() {
        let address = "10.0.0.1:1".parse().unwrap();
        let (a, b) = (PeerId::random(), PeerId::random());
        assert_eq!(backoff(&a, &address, 9), backoff(&a, &address, 9));
        assert_ne!(backoff(&a, &address, 9), backoff(&b, &address, 9));
    }

    #[test]
    fn a_peer_that_hangs_up_is_not_dialled_in_a_loop() {
        let mut now = Instant::now();
        let (mut dialer, peer) = (dialer(&["10.0.0.1:1"], now), PeerId::random());
        for attempt in 0..10 {
            assert!(begin(&mut dialer, attempt, now));
            dialer.answered(id(attempt), peer);
            dialer.lost(&peer, now);
            now = dialer.next_due().unwrap();
        }
        assert!(begin(&mut dialer, 10, now));
        dialer.answered(id(10), peer);
        dialer.joined(&peer);
        dialer.lost(&peer, now);
        assert!(dialer.next_due().unwrap() - now <= DIAL_BACKOFF_MIN);
    }

    #[test]
    fn a_peer_that_dialled_us_is_not_dialled() {
        let now = Instant::now();
        let peer = PeerId::random();
        let mut dialer = dialer(&[&format!("{peer}@10.0.0.1:1")], now);
        assert_eq!(dialer.missing(), 1);
        dialer.connected(&peer);
        assert_eq!((dialer.missing(), dialer.next_due()), (0, None));
        dialer.lost(&peer, now);
        assert_eq!(dialer.missing(), 1);
        assert!(dialer.knows(&peer));
    }

    #[test]
    fn the_own_address_leaves_the_list_which_is_bounded() {
        let now = Instant::now();
        let mut dialer = dialer(&["10.0.0.1:1", "10.0.0.1:1"], now);
        assert!(begin(&mut dialer, 0, now));
        assert!(!begin(&mut dialer, 1, now), "a repeated address is one entry");
        dialer.is_self(id(0));
        assert_eq!((dialer.missing(), dialer.next_due()), (0, None));
        for port in 1..=MAX_PERSISTENT_PEERS {
            dialer.add(format!("10.0.0.1:{port}").parse().unwrap(), now).unwrap();
        }
        let refused = dialer.add("10.0.0.2:1".parse().unwrap(), now);
        assert_eq!(refused, Err(AddPeerError::TooMany { limit: MAX_PERSISTENT_PEERS }));
    }
}
