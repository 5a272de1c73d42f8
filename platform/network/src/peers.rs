//! The connected peers, as the driver keeps them and as the node sees them.

use std::time::{Duration, Instant, SystemTime};

use libp2p::PeerId;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::ConnectionId;

use crate::PeerAddress;
use crate::limits::{DUPLICATE_CONNECTION_GRACE, JOIN_TIMEOUT, MAX_MESSAGES_PER_PEER_PER_SECOND};

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Who it is, proven by its key.
    pub id: PeerId,
    /// The other end of the connection. If the peer dialled us, its port is not the one it listens on.
    pub address: PeerAddress,
    /// Whether this node dialled.
    pub dialled: bool,
    /// Since when, by this machine's clock.
    pub connected_since: SystemTime,
    /// Whether it takes part in this network, so that messages can be exchanged with it.
    pub ready: bool,
    /// Points of misbehaviour, of [`BAN_THRESHOLD`](crate::BAN_THRESHOLD).
    pub penalty: u32,
    /// The latest measured round trip.
    pub latency: Option<Duration>,
}

/// One connection of a peer.
#[derive(Debug)]
struct Link {
    id: ConnectionId,
    address: PeerAddress,
    dialled: bool,
    since: Instant,
    ping_failures: u32,
}

/// What the driver knows of a connected peer.
#[derive(Debug)]
pub(crate) struct Peer {
    id: PeerId,
    /// One, or for a short time one in each direction; see the gate.
    links: Vec<Link>,
    connected_since: SystemTime,
    since: Instant,
    pub(crate) ready: bool,
    latency: Option<Duration>,
    /// Start of the current second of counting, and messages since.
    window: (Instant, u32),
}

/// Whether a peer may bring one more message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// Yes.
    Within,
    /// The first one too many in this second.
    Exceeded,
    /// A further one too many in this second.
    StillExceeded,
}

impl Peer {
    pub(crate) fn new(id: PeerId, now: Instant) -> Self {
        Self {
            id,
            links: Vec::with_capacity(1),
            connected_since: SystemTime::now(),
            since: now,
            ready: false,
            latency: None,
            window: (now, 0),
        }
    }

    pub(crate) fn add_link(&mut self, connection: ConnectionId, endpoint: &ConnectedPoint, now: Instant) {
        self.links.push(Link {
            id: connection,
            address: PeerAddress::of_connection(endpoint.get_remote_address(), self.id),
            dialled: endpoint.is_dialer(),
            since: now,
            ping_failures: 0,
        });
    }

    /// Removes a connection; `true` if it was the last.
    pub(crate) fn remove_link(&mut self, connection: ConnectionId) -> bool {
        self.links.retain(|link| link.id != connection);
        self.links.is_empty()
    }

    /// Notes an answered ping.
    pub(crate) fn pong(&mut self, connection: ConnectionId, latency: Duration) {
        self.latency = Some(latency);
        for link in self.links.iter_mut().filter(|link| link.id == connection) {
            link.ping_failures = 0;
        }
    }

    /// Notes an unanswered ping; returns how many in a row there were.
    pub(crate) fn ping_failed(&mut self, connection: ConnectionId) -> u32 {
        let Some(link) = self.links.iter_mut().find(|link| link.id == connection) else { return 0 };
        link.ping_failures = link.ping_failures.saturating_add(1);
        link.ping_failures
    }

    /// Whether the peer had its time to join the network and did not.
    pub(crate) fn is_foreign(&self, now: Instant) -> bool {
        !self.ready && now.saturating_duration_since(self.since) >= JOIN_TIMEOUT
    }

    /// The connection to close, once two have stood side by side for a while: the one dialled by the node with
    /// the larger id. Both sides come to the same answer.
    pub(crate) fn surplus(&self, local: &PeerId, now: Instant) -> Option<ConnectionId> {
        let settled = |link: &Link| now.saturating_duration_since(link.since) >= DUPLICATE_CONNECTION_GRACE;
        if self.links.len() < 2 || !self.links.iter().all(settled) {
            return None;
        }
        let larger_is_local = *local > self.id;
        self.links.iter().find(|link| link.dialled == larger_is_local).map(|link| link.id)
    }

    /// Counts a message against the peer's rate.
    pub(crate) fn count_message(&mut self, now: Instant) -> Rate {
        let (start, count) = &mut self.window;
        if now.saturating_duration_since(*start) >= Duration::from_secs(1) {
            (*start, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        match (*count).checked_sub(MAX_MESSAGES_PER_PEER_PER_SECOND) {
            None | Some(0) => Rate::Within,
            Some(1) => Rate::Exceeded,
            Some(_) => Rate::StillExceeded,
        }
    }

    /// What the node sees; `None` for a peer without connection.
    pub(crate) fn info(&self, penalty: u32) -> Option<PeerInfo> {
        let link = self.links.first()?;
        Some(PeerInfo {
            id: self.id,
            address: link.address.clone(),
            dialled: link.dialled,
            connected_since: self.connected_since,
            ready: self.ready,
            penalty,
            latency: self.latency,
        })
    }
}

#[cfg(test)]
mod tests {
    use libp2p::Multiaddr;
    use libp2p::core::Endpoint;
    use libp2p::core::transport::PortUse;

    use super::*;

    fn outbound() -> ConnectedPoint {
        let address: Multiaddr = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        ConnectedPoint::Dialer { address, role_override: Endpoint::Dialer, port_use: PortUse::New }
    }

    fn inbound() -> ConnectedPoint {
        let address: Multiaddr = "/ip4/10.0.0.1/tcp/2".parse().unwrap();
        ConnectedPoint::Listener { local_addr: address.clone(), send_back_addr: address }
    }

    #[test]
    fn both_sides_close_the_same_connection() {
        let (now, a, b) = (Instant::now(), PeerId::random(), PeerId::random());
        let (by_a, by_b) = (ConnectionId::new_unchecked(1), ConnectionId::new_unchecked(2));
        let mut b_at_a = Peer::new(b, now);
        b_at_a.add_link(by_a, &outbound(), now);
        b_at_a.add_link(by_b, &inbound(), now);
        let mut a_at_b = Peer::new(a, now);
        a_at_b.add_link(by_b, &outbound(), now);
        a_at_b.add_link(by_a, &inbound(), now);
        assert_eq!(b_at_a.surplus(&a, now), None, "not before both sides have seen both");
        let later = now + DUPLICATE_CONNECTION_GRACE;
        let closed = b_at_a.surplus(&a, later).unwrap();
        assert_eq!(a_at_b.surplus(&b, later), Some(closed));
        assert!(!b_at_a.remove_link(closed));
        assert_eq!(b_at_a.surplus(&a, later), None);
    }

    #[test]
    fn a_flood_is_noticed_once_a_second() {
        let now = Instant::now();
        let mut peer = Peer::new(PeerId::random(), now);
        for _ in 0..MAX_MESSAGES_PER_PEER_PER_SECOND {
            assert_eq!(peer.count_message(now), Rate::Within);
        }
        assert_eq!(peer.count_message(now), Rate::Exceeded);
        assert_eq!(peer.count_message(now), Rate::StillExceeded);
        assert_eq!(peer.count_message(now + Duration::from_secs(1)), Rate::Within);
    }
}
