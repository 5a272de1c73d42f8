//! The node's side: start the network, talk to it, stop it.

use core::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use libp2p::PeerId;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::driver::{Command, Driver};
use crate::limits::SPARE_COMMANDS;
use crate::{
    AddPeerError, Config, Counters, Incoming, MessageId, Misbehaviour, NetworkError, PeerAddress, PeerInfo,
    PublishError, Verdict, swarm,
};

/// The gossip network of one node.
#[derive(Debug)]
pub struct Network;

impl Network {
    /// Listens, starts to dial the persistent peers, and runs in the background until [`Handle::shutdown`] or
    /// until every [`Handle`] is dropped.
    ///
    /// Must be called on a tokio runtime. Received messages come through the receiver; each wants a
    /// [`Handle::verdict`].
    ///
    /// # Errors
    /// [`NetworkError`] if a setting is out of range or the address cannot be listened on.
    pub async fn start(config: Config) -> Result<(Handle, mpsc::Receiver<Incoming>), NetworkError> {
        config.validate()?;
        let (swarm, port) = swarm::listening(&config).await?;
        let listen = SocketAddr::new(config.listen.ip(), port);
        let local = *swarm.local_peer_id();
        let (publish, publishes) = mpsc::channel(config.publish_queue);
        let (command, commands) = mpsc::channel(config.receive_queue + SPARE_COMMANDS);
        let (incoming, received) = mpsc::channel(config.receive_queue);
        let (peers_out, peers) = watch::channel(Vec::new());
        let (counters_out, counters) = watch::channel(Counters::default());
        let (stop, stopped) = watch::channel(false);
        let max_message_bytes = config.max_message_bytes;
        let driver =
            Driver::new(&config, swarm, incoming, publishes, commands, stopped, peers_out, counters_out);
        tokio::spawn(driver.run());
        tracing::info!(%listen, %local, chain = %config.chain, "gossip is listening");
        let shared = Shared { local, listen, max_message_bytes, publish, command, peers, counters, stop };
        Ok((Handle { shared: Arc::new(shared) }, received))
    }
}

struct Shared {
    local: PeerId,
    listen: SocketAddr,
    max_message_bytes: usize,
    publish: mpsc::Sender<Vec<u8>>,
    command: mpsc::Sender<Command>,
    peers: watch::Receiver<Vec<PeerInfo>>,
    counters: watch::Receiver<Counters>,
    /// Also tells the driver that all handles are gone, by being dropped.
    stop: watch::Sender<bool>,
}

/// Controls a running network. Clones control the same one.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("local", &self.shared.local)
            .field("listen", &self.shared.listen)
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// The id under which others see this node.
    pub fn local_id(&self) -> PeerId {
        self.shared.local
    }

    /// Where the node listens, with the real port if 0 was configured.
    pub fn listen_address(&self) -> SocketAddr {
        self.shared.listen
    }

    /// Queues a message for all nodes, without waiting.
    ///
    /// Bytes that went through the network within [`DUPLICATE_CACHE_TIME`](crate::DUPLICATE_CACHE_TIME) are not
    /// sent again. If the last peer leaves meanwhile, queued messages wait for the next one.
    ///
    /// # Errors
    /// [`PublishError`] if the message was not queued.
    pub fn publish(&self, bytes: Vec<u8>) -> Result<(), PublishError> {
        let (actual, limit) = (bytes.len(), self.shared.max_message_bytes);
        if actual > limit {
            return Err(PublishError::TooLarge { actual, limit });
        }
        if self.shared.publish.is_closed() {
            return Err(PublishError::Stopped);
        }
        if !self.shared.peers.borrow().iter().any(|peer| peer.ready) {
            return Err(PublishError::NoPeers);
        }
        self.shared.publish.try_send(bytes).map_err(|error| match error {
            TrySendError::Full(_) => PublishError::Full,
            TrySendError::Closed(_) => PublishError::Stopped,
        })
    }

    /// Says whether the message `id`, received from `from`, may travel on. Only the first verdict counts, and
    /// only within [`VERDICT_TIMEOUT`](crate::VERDICT_TIMEOUT).
    pub fn verdict(&self, id: MessageId, from: PeerId, verdict: Verdict) {
        self.command(Command::Verdict { id, from, verdict });
    }

    /// Holds misbehaviour against a peer, connected or not. At [`BAN_THRESHOLD`](crate::BAN_THRESHOLD) points
    /// it is disconnected and banned.
    pub fn report(&self, peer: PeerId, misbehaviour: Misbehaviour) {
        self.command(Command::Report { peer, misbehaviour });
    }

    /// The connected peers.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.shared.peers.borrow().clone()
    }

    /// The connected peers, and word of every change.
    pub fn watch_peers(&self) -> watch::Receiver<Vec<PeerInfo>> {
        self.shared.peers.clone()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        *self.shared.counters.borrow()
    }

    /// What happened so far, and word of every change.
    pub fn watch_counters(&self) -> watch::Receiver<Counters> {
        self.shared.counters.clone()
    }

    /// Adds a persistent peer and dials it at once. One that is listed already stays as it is.
    ///
    /// # Errors
    /// [`AddPeerError`] if the list is full or gossip has stopped.
    pub async fn add_peer(&self, address: PeerAddress) -> Result<(), AddPeerError> {
        let (reply, added) = oneshot::channel();
        let command = Command::AddPeer { address, reply };
        self.shared.command.send(command).await.map_err(|_| AddPeerError::Stopped)?;
        added.await.map_err(|_| AddPeerError::Stopped)?
    }

    /// Stops, closes every connection and frees the port. What is still queued is not sent.
    pub async fn shutdown(&self) {
        self.shared.stop.send_replace(true);
        // The driver drops its end of this channel last, when the sockets are closed.
        self.shared.command.closed().await;
    }

    /// Sends a command without waiting. The queue holds one verdict for every message that can be undecided,
    /// and reports beyond; a node that fills it with repeated ones loses the rest.
    fn command(&self, command: Command) {
        if let Err(TrySendError::Full(_)) = self.shared.command.try_send(command) {
            tracing::warn!("too many verdicts or reports at once; one is lost");
        }
    }
}
