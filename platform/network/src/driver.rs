//! The task that owns the swarm: moves messages between the node and the network, and looks after peers.

use std::collections::BTreeMap;
use std::time::Instant;

use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{self, MessageAcceptance, TopicHash};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, ListenError, SwarmEvent};
use libp2p::{PeerId, Swarm, ping};
use tokio::sync::{mpsc, oneshot, watch};

use crate::dial::Dialer;
use crate::gate::Refusal;
use crate::limits::{HOUSEKEEPING, MAX_PING_FAILURES, VERDICT_TIMEOUT};
use crate::peers::{Peer, Rate};
use crate::swarm::{Behaviour, BehaviourEvent, GRAYLIST, topic};
use crate::{
    AddPeerError, Config, Counters, Incoming, MessageId, Misbehaviour, PeerAddress, PeerInfo, Verdict,
};

/// What the handle asks for.
pub(crate) enum Command {
    /// The node's judgement of a message.
    Verdict { id: MessageId, from: PeerId, verdict: Verdict },
    /// The node's complaint about a peer.
    Report { peer: PeerId, misbehaviour: Misbehaviour },
    /// A new persistent peer.
    AddPeer { address: PeerAddress, reply: oneshot::Sender<Result<(), AddPeerError>> },
}

/// The task's state.
pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    topic: TopicHash,
    max_message_bytes: usize,
    receive_queue: usize,
    dialer: Dialer,
    peers: BTreeMap<PeerId, Peer>,
    /// Messages that await a verdict, and since when. At most `receive_queue`.
    undecided: BTreeMap<MessageId, Instant>,
    counters: Counters,
    /// Whether the peers changed since they were last shown.
    peers_changed: bool,
    incoming: mpsc::Sender<Incoming>,
    publishes: mpsc::Receiver<Vec<u8>>,
    stop: watch::Receiver<bool>,
    peers_out: watch::Sender<Vec<PeerInfo>>,
    counters_out: watch::Sender<Counters>,
    commands: mpsc::Receiver<Command>,
}

impl Driver {
    #[expect(clippy::too_many_arguments, reason = "the ends of its channels, named once, at the only call")]
    pub(crate) fn new(
        config: &Config,
        swarm: Swarm<Behaviour>,
        incoming: mpsc::Sender<Incoming>,
        publishes: mpsc::Receiver<Vec<u8>>,
        commands: mpsc::Receiver<Command>,
        stop: watch::Receiver<bool>,
        peers_out: watch::Sender<Vec<PeerInfo>>,
        counters_out: watch::Sender<Counters>,
    ) -> Self {
        let mut driver = Self {
            topic: topic(&config.chain).hash(),
            max_message_bytes: config.max_message_bytes,
            receive_queue: config.receive_queue,
            dialer: Dialer::new(*swarm.local_peer_id()),
            swarm,
            peers: BTreeMap::new(),
            undecided: BTreeMap::new(),
            counters: Counters::default(),
            peers_changed: false,
            incoming,
            publishes,
            stop,
            peers_out,
            counters_out,
            commands,
        };
        for address in &config.peers {
            // Cannot fail: the configuration was checked against the same bound.
            let _ = driver.add_peer(address.clone());
        }
        driver
    }

    /// Runs until stopped.
    pub(crate) async fn run(mut self) {
        let mut next_round = Instant::now() + HOUSEKEEPING;
        loop {
            self.dial_due();
            self.show();
            let wake = self.dialer.next_due().map_or(next_round, |due| due.min(next_round));
            // While nobody would hear them, own messages wait in their queue.
            let heard = self.peers.values().any(|peer| peer.ready);
            tokio::select! {
                // An error means that every handle is gone.
                _ = self.stop.changed() => break,
                Some(command) = self.commands.recv() => self.on_command(command),
                Some(bytes) = self.publishes.recv(), if heard => self.publish(bytes),
                event = self.swarm.select_next_some() => self.on_event(event),
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            let now = Instant::now();
            if now >= next_round {
                self.look_after(now);
                next_round = now + HOUSEKEEPING;
            }
        }
        self.peers.clear();
        self.peers_changed = true;
        self.show();
        // In this order: whoever waits for the command channel to close finds the port free.
        drop(self.swarm);
        drop(self.commands);
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Verdict { id, from, verdict } => self.judge(id, from, verdict),
            Command::Report { peer, misbehaviour } => self.penalise(peer, misbehaviour),
            Command::AddPeer { address, reply } => {
                let added = self.add_peer(address);
                // Whoever asked may have stopped waiting.
                let _ = reply.send(added);
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.on_ping(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                self.on_closed(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.on_dial_failed(connection_id, peer_id, &error);
            }
            SwarmEvent::IncomingConnectionError { error: ListenError::Denied { cause }, peer_id, .. } => {
                self.counters.refused += 1;
                tracing::debug!(?peer_id, reason = ?cause.downcast_ref::<Refusal>(), "connection refused");
            }
            SwarmEvent::ListenerClosed { reason, .. } => {
                tracing::error!(?reason, "gossip no longer accepts connections; restart the node");
            }
            _ => {}
        }
    }

    // Messages.

    fn publish(&mut self, bytes: Vec<u8>) {
        let length = bytes.len() as u64;
        match self.swarm.behaviour_mut().gossip.publish(self.topic.clone(), bytes) {
            Ok(_) => {
                self.counters.published += 1;
                self.counters.published_bytes += length;
            }
            // It went through the network already, which is all that was asked for.
            Err(gossipsub::PublishError::Duplicate) => {}
            Err(error) => {
                self.counters.unpublished += 1;
                tracing::debug!(%error, "a message was not published");
            }
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message, .. } => {
                self.receive(propagation_source, message.data);
            }
            gossipsub::Event::Subscribed { peer_id, .. } => self.set_ready(peer_id, true),
            gossipsub::Event::Unsubscribed { peer_id, .. } => self.set_ready(peer_id, false),
            gossipsub::Event::GossipsubNotSupported { peer_id } => self.part_from_foreign(peer_id),
            gossipsub::Event::SlowPeer { peer_id, failed_messages } => {
                tracing::debug!(%peer_id, missed = failed_messages.total(), "peer does not keep up");
            }
        }
    }

    fn receive(&mut self, from: PeerId, bytes: Vec<u8>) {
        let (now, id) = (Instant::now(), MessageId::of(&bytes));
        self.counters.received += 1;
        self.counters.received_bytes += bytes.len() as u64;
        if bytes.len() > self.max_message_bytes {
            self.counters.dropped += 1;
            self.settle(id, &from, MessageAcceptance::Reject);
            self.penalise(from, Misbehaviour::Oversized);
            return;
        }
        let rate = self.peers.get_mut(&from).map_or(Rate::Within, |peer| peer.count_message(now));
        if rate == Rate::Exceeded {
            self.penalise(from, Misbehaviour::Flooding);
        }
        let has_room = self.undecided.len() < self.receive_queue;
        let taken =
            rate == Rate::Within && has_room && self.incoming.try_send(Incoming { from, id, bytes }).is_ok();
        if taken {
            self.undecided.insert(id, now);
        } else {
            self.counters.dropped += 1;
            self.settle(id, &from, MessageAcceptance::Ignore);
        }
    }

    fn judge(&mut self, id: MessageId, from: PeerId, verdict: Verdict) {
        if self.undecided.remove(&id).is_none() {
            tracing::debug!(%id, "a verdict came twice or too late");
            return;
        }
        match verdict {
            Verdict::Accept => {
                self.counters.accepted += 1;
                self.settle(id, &from, MessageAcceptance::Accept);
            }
            Verdict::Reject => {
                self.counters.rejected += 1;
                self.settle(id, &from, MessageAcceptance::Reject);
            }
            Verdict::Ignore => {
                self.counters.ignored += 1;
                self.settle(id, &from, MessageAcceptance::Ignore);
            }
        }
    }

    fn settle(&mut self, id: MessageId, from: &PeerId, acceptance: MessageAcceptance) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.report_message_validation_result(&id.to_gossip(), from, acceptance);
    }

    // Peers.

    fn on_connected(&mut self, id: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let now = Instant::now();
        self.counters.connections += 1;
        self.dialer.answered(connection, id);
        self.dialer.connected(&id);
        self.peers.entry(id).or_insert_with(|| Peer::new(id, now)).add_link(connection, endpoint, now);
        self.on_peers_changed(&id);
        tracing::debug!(peer = %id, address = %endpoint.get_remote_address(), "connected");
    }

    fn on_closed(&mut self, id: PeerId, connection: ConnectionId) {
        if self.peers.get_mut(&id).is_some_and(|peer| peer.remove_link(connection)) {
            self.peers.remove(&id);
            self.dialer.lost(&id, Instant::now());
            tracing::debug!(peer = %id, "disconnected");
        }
        self.on_peers_changed(&id);
    }

    fn on_peers_changed(&mut self, id: &PeerId) {
        self.peers_changed = true;
        let missing = self.dialer.missing();
        let persistent = self.dialer.knows(id);
        let gate = &mut self.swarm.behaviour_mut().gate;
        gate.reserve(missing);
        if persistent {
            gate.prefer(*id);
        }
    }

    fn set_ready(&mut self, id: PeerId, ready: bool) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.ready = ready;
        self.peers_changed = true;
        if ready {
            self.dialer.joined(&id);
            tracing::info!(peer = %id, "peer joined");
        }
    }

    fn on_ping(&mut self, event: ping::Event) {
        let Some(peer) = self.peers.get_mut(&event.peer) else { return };
        match event.result {
            Ok(latency) => {
                peer.pong(event.connection, latency);
                self.peers_changed = true;
            }
            Err(error) => {
                let failures = peer.ping_failed(event.connection);
                tracing::debug!(peer = %event.peer, %error, failures, "no answer to a ping");
                if failures >= MAX_PING_FAILURES {
                    self.swarm.close_connection(event.connection);
                }
            }
        }
    }

    fn penalise(&mut self, peer: PeerId, misbehaviour: Misbehaviour) {
        let conduct = &mut self.swarm.behaviour_mut().gate.conduct;
        let banned = conduct.penalise(peer, misbehaviour, Instant::now());
        self.peers_changed = true;
        tracing::debug!(%peer, ?misbehaviour, "peer misbehaved");
        if banned {
            self.counters.bans += 1;
            tracing::warn!(%peer, ?misbehaviour, "peer banned");
            self.disconnect(peer);
        }
    }

    fn part_from_foreign(&mut self, peer: PeerId) {
        self.counters.foreign += 1;
        let expected = self.dialer.knows(&peer);
        if expected {
            tracing::warn!(%peer, "a configured peer does not belong to this network; check its genesis");
        } else {
            tracing::debug!(%peer, "peer does not belong to this network");
        }
        self.disconnect(peer);
    }

    fn disconnect(&mut self, peer: PeerId) {
        // An error means that it is gone already.
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    // Dialling.

    fn add_peer(&mut self, address: PeerAddress) -> Result<(), AddPeerError> {
        let id = address.id;
        self.dialer.add(address, Instant::now())?;
        if let Some(id) = id {
            self.swarm.behaviour_mut().gate.prefer(id);
            if self.peers.contains_key(&id) {
                self.dialer.connected(&id);
            }
        }
        let missing = self.dialer.missing();
        self.swarm.behaviour_mut().gate.reserve(missing);
        Ok(())
    }

    fn dial_due(&mut self) {
        let attempt = |address: &PeerAddress| {
            let options = dial_options(address);
            (options.connection_id(), options)
        };
        while let Some(options) = self.dialer.begin(Instant::now(), attempt) {
            let (connection, peer) = (options.connection_id(), options.get_peer_id());
            self.counters.dials += 1;
            if let Err(error) = self.swarm.dial(options) {
                self.on_dial_failed(connection, peer, &error);
            }
        }
    }

    fn on_dial_failed(&mut self, connection: ConnectionId, found: Option<PeerId>, error: &DialError) {
        match (error, found) {
            // Every node of a network may be given the same list, in which it finds itself.
            (DialError::LocalPeerId { .. } | DialError::NoAddresses, _) => {
                self.dialer.is_self(connection);
                return;
            }
            // Reached under a second address.
            (DialError::Denied { cause }, Some(peer))
                if cause.downcast_ref::<Refusal>() == Some(&Refusal::Duplicate) =>
            {
                self.dialer.answered(connection, peer);
                return;
            }
            _ => {}
        }
        self.counters.failed_dials += 1;
        let Some((peer, wait)) = self.dialer.failed(connection, Instant::now()) else { return };
        match error {
            DialError::WrongPeerId { obtained, .. } => {
                tracing::warn!(%peer, %obtained, ?wait, "another node than configured answers there; trying again");
            }
            DialError::Denied { cause } => {
                let reason = cause.downcast_ref::<Refusal>();
                tracing::warn!(%peer, ?found, ?reason, ?wait, "a persistent peer may not connect; trying again");
            }
            _ => tracing::info!(%peer, %error, ?wait, "a persistent peer cannot be reached; trying again"),
        }
    }

    // Housekeeping.

    fn look_after(&mut self, now: Instant) {
        let before = self.undecided.len();
        self.undecided.retain(|_, since| now.saturating_duration_since(*since) < VERDICT_TIMEOUT);
        self.counters.unjudged += (before - self.undecided.len()) as u64;

        let missing = self.dialer.missing();
        self.swarm.behaviour_mut().gate.reserve(missing);

        let local = *self.swarm.local_peer_id();
        let surplus: Vec<_> = self.peers.values().filter_map(|peer| peer.surplus(&local, now)).collect();
        for connection in surplus {
            self.swarm.close_connection(connection);
        }
        let (mut foreign, mut hostile) = (Vec::new(), Vec::new());
        for (id, peer) in &self.peers {
            if peer.is_foreign(now) {
                foreign.push(*id);
            }
            if self.swarm.behaviour().gossip.peer_score(id).is_some_and(|score| score < GRAYLIST) {
                hostile.push(*id);
            }
        }
        foreign.into_iter().for_each(|peer| self.part_from_foreign(peer));
        hostile.into_iter().for_each(|peer| self.penalise(peer, Misbehaviour::Hostile));
    }

    /// Shows the node what changed.
    fn show(&mut self) {
        if self.peers_changed {
            self.peers_changed = false;
            let now = Instant::now();
            let conduct = &self.swarm.behaviour().gate.conduct;
            let infos = self.peers.iter().filter_map(|(id, peer)| peer.info(conduct.points(id, now)));
            self.peers_out.send_replace(infos.collect());
        }
        self.counters_out.send_if_modified(|shown| {
            let changed = *shown != self.counters;
            *shown = self.counters;
            changed
        });
    }
}

/// How to reach a persistent peer: always from a fresh port (sharing the listener's helps only behind a NAT and
/// makes quick reconnections collide), and proving its id if that is configured.
fn dial_options(address: &PeerAddress) -> DialOpts {
    let place = address.multiaddr();
    match address.id {
        Some(id) => DialOpts::peer_id(id)
            .condition(PeerCondition::Always)
            .addresses(vec![place])
            .allocate_new_port()
            .build(),
        None => DialOpts::unknown_peer_id().address(place).allocate_new_port().build(),
    }
}
