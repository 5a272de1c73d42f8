//! Who may connect: the allow list, bans, and the number of peers and connections.
//!
//! The gate stands first in the swarm's behaviour, so that a refused connection reaches nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, ListenFailure};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use crate::AllowList;
use crate::conduct::Conduct;
use crate::limits::MAX_PENDING_INBOUND;

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A private network without this peer.
    #[error("the peer is not on the allow list")]
    NotAllowed,
    /// It misbehaved.
    #[error("the peer is banned")]
    Banned,
    /// Every slot for peers is taken.
    #[error("there are enough peers")]
    Full,
    /// Too many handshakes at once.
    #[error("too many connections are being opened")]
    Busy,
    /// A second connection in the same direction.
    #[error("the peer is already connected")]
    Duplicate,
}

/// The connections of one peer: at most one in each direction.
///
/// Two nodes may dial each other at the same moment. Neither can know at once which connection the other
/// keeps, and closing one at once may lose the subscription sent on it; so both live until the driver closes
/// the one that both sides agree is surplus.
#[derive(Debug, Default)]
struct Links {
    inbound: Option<ConnectionId>,
    outbound: Option<ConnectionId>,
}

/// The gate.
#[derive(Debug)]
pub(crate) struct Gate {
    allowed: AllowList,
    max_peers: usize,
    /// Who misbehaved. Kept here because nobody else needs it before a connection exists.
    pub(crate) conduct: Conduct,
    /// Slots that only persistent peers may take.
    reserved: usize,
    /// Persistent peers whose id is known.
    persistent: BTreeSet<PeerId>,
    links: BTreeMap<PeerId, Links>,
    pending: BTreeSet<ConnectionId>,
    closing: VecDeque<(PeerId, ConnectionId)>,
    waker: Option<Waker>,
}

impl Gate {
    pub(crate) fn new(allowed: AllowList, max_peers: usize) -> Self {
        Self {
            allowed,
            max_peers,
            conduct: Conduct::default(),
            reserved: 0,
            persistent: BTreeSet::new(),
            links: BTreeMap::new(),
            pending: BTreeSet::new(),
            closing: VecDeque::new(),
            waker: None,
        }
    }

    /// Keeps slots for `missing` persistent peers, but at most half of all, so that a list of dead addresses
    /// does not lock everyone else out.
    pub(crate) fn reserve(&mut self, missing: usize) {
        self.reserved = missing.min(self.max_peers / 2);
    }

    /// `peer` is persistent: it may take a reserved slot when it dials us.
    pub(crate) fn prefer(&mut self, peer: PeerId) {
        self.persistent.insert(peer);
    }

    fn check(&self, peer: &PeerId, outbound: bool) -> Result<(), Refusal> {
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(peer)) {
            return Err(Refusal::NotAllowed);
        }
        if self.conduct.is_banned(peer, Instant::now()) {
            return Err(Refusal::Banned);
        }
        if let Some(links) = self.links.get(peer) {
            let taken = if outbound { links.outbound } else { links.inbound };
            return if taken.is_some() { Err(Refusal::Duplicate) } else { Ok(()) };
        }
        let reserved = if outbound || self.persistent.contains(peer) { 0 } else { self.reserved };
        if self.links.len() + reserved >= self.max_peers {
            return Err(Refusal::Full);
        }
        Ok(())
    }

    fn close(&mut self, peer: PeerId, connection: ConnectionId) {
        self.closing.push_back((peer, connection));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        if self.pending.len() >= MAX_PENDING_INBOUND {
            return Err(ConnectionDenied::new(Refusal::Busy));
        }
        self.pending.insert(connection);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.remove(&connection);
        let checked = self.check(&peer, false);
        // A node does not dial whom it is connected to: the earlier connection is dead on its side. Both go, and
        // the next attempt finds a clean slate, on which subscriptions are exchanged anew. (A list that has one
        // node under two names comes here too, once: then it is known who answers under both.)
        if checked == Err(Refusal::Duplicate)
            && let Some(stale) = self.links.get(&peer).and_then(|links| links.inbound)
        {
            self.close(peer, stale);
        }
        checked.map(|()| dummy::ConnectionHandler).map_err(ConnectionDenied::new)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if let Some(peer) = peer {
            self.check(&peer, true).map_err(ConnectionDenied::new)?;
        }
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check(&peer, true).map(|()| dummy::ConnectionHandler).map_err(ConnectionDenied::new)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => {
                let links = self.links.entry(peer_id).or_default();
                let link = if endpoint.is_dialer() { &mut links.outbound } else { &mut links.inbound };
                *link = Some(connection_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                if let Some(links) = self.links.get_mut(&peer_id) {
                    links.inbound.take_if(|link| *link == connection_id);
                    links.outbound.take_if(|link| *link == connection_id);
                    if links.inbound.is_none() && links.outbound.is_none() {
                        self.links.remove(&peer_id);
                    }
                }
            }
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.pending.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection)) = self.closing.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::One(connection),
            });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Misbehaviour;

    fn connect(gate: &mut Gate, peer: PeerId) {
        gate.links.insert(peer, Links { inbound: Some(ConnectionId::new_unchecked(1)), outbound: None });
    }

    #[test]
    fn the_list_and_bans_come_first() {
        let (friend, stranger) = (PeerId::random(), PeerId::random());
        let mut gate = Gate::new(Some([friend].into()), 8);
        assert_eq!(gate.check(&friend, false), Ok(()));
        for outbound in [false, true] {
            assert_eq!(gate.check(&stranger, outbound), Err(Refusal::NotAllowed));
        }
        gate.conduct.penalise(friend, Misbehaviour::Hostile, Instant::now());
        assert_eq!(gate.check(&friend, false), Err(Refusal::Banned));
    }

    #[test]
    fn slots_are_bounded_and_kept_for_persistent_peers() {
        let mut gate = Gate::new(None, 4);
        let (persistent, stranger) = (PeerId::random(), PeerId::random());
        gate.prefer(persistent);
        gate.reserve(100);
        connect(&mut gate, PeerId::random());
        assert_eq!(gate.check(&stranger, false), Ok(()), "at most half of the slots are reserved");
        connect(&mut gate, PeerId::random());
        assert_eq!(gate.check(&stranger, false), Err(Refusal::Full));
        assert_eq!(gate.check(&persistent, false), Ok(()));
        assert_eq!(gate.check(&stranger, true), Ok(()), "whom we dial is persistent");
        connect(&mut gate, PeerId::random());
        connect(&mut gate, PeerId::random());
        assert_eq!(gate.check(&persistent, true), Err(Refusal::Full));
    }

    #[test]
    fn one_connection_in_each_direction() {
        let (mut gate, peer) = (Gate::new(None, 1), PeerId::random());
        connect(&mut gate, peer);
        assert_eq!(gate.check(&peer, false), Err(Refusal::Duplicate));
        assert_eq!(gate.check(&peer, true), Ok(()));
    }
}
