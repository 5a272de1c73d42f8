//! Nodes on the loopback interface, and ways to await what they do. Nothing here sleeps.

// Each test binary uses a part of this.
#![allow(dead_code, reason = "shared between test binaries")]

use std::time::Duration;

use freeway_network::{ChainId, Config, Counters, Handle, Incoming, Network, PeerAddress, PeerId, PeerInfo};
use freeway_primitives::Digest;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// Long enough for a busy machine; every wait normally ends within a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running node.
pub(crate) struct Node {
    pub(crate) handle: Handle,
    pub(crate) incoming: Receiver<Incoming>,
}

/// The settings of node `n` of chain `chain`, on a free port.
pub(crate) fn config(chain: u8, n: u8) -> Config {
    Config::new([n; 32], ChainId(Digest([chain; 32])), ([127, 0, 0, 1], 0).into())
}

pub(crate) async fn start(config: Config) -> Node {
    let (handle, incoming) = Network::start(config).await.expect("a node that starts");
    Node { handle, incoming }
}

impl Node {
    pub(crate) fn id(&self) -> PeerId {
        self.handle.local_id()
    }

    /// Where this node can be dialled.
    pub(crate) fn address(&self) -> PeerAddress {
        PeerAddress::from(self.handle.listen_address()).with_id(self.id())
    }

    /// Waits until the connected peers satisfy `condition`.
    pub(crate) async fn peers(&self, condition: impl FnMut(&Vec<PeerInfo>) -> bool) -> Vec<PeerInfo> {
        let mut peers = self.handle.watch_peers();
        let found = timeout(PATIENCE, peers.wait_for(condition)).await;
        found.unwrap_or_else(|_| panic!("still {:#?}", self.handle.peers())).expect("a running node").clone()
    }

    /// Waits until messages can be exchanged with `peer`.
    pub(crate) async fn ready(&self, peer: &Node) {
        let id = peer.id();
        self.peers(|peers| peers.iter().any(|peer| peer.id == id && peer.ready)).await;
    }

    /// Waits until `peer` is not connected.
    pub(crate) async fn without(&self, peer: PeerId) {
        self.peers(|peers| peers.iter().all(|info| info.id != peer)).await;
    }

    /// Waits until the counters satisfy `condition`.
    pub(crate) async fn counters(&self, condition: impl FnMut(&Counters) -> bool) -> Counters {
        counters(&self.handle, condition).await
    }

    /// The next message.
    pub(crate) async fn receive(&mut self) -> Incoming {
        timeout(PATIENCE, self.incoming.recv()).await.expect("a message in time").expect("a running node")
    }
}

/// Waits until each can send to the other.
pub(crate) async fn connected(a: &Node, b: &Node) {
    a.ready(b).await;
    b.ready(a).await;
}

/// Waits until the counters satisfy `condition`.
pub(crate) async fn counters(handle: &Handle, condition: impl FnMut(&Counters) -> bool) -> Counters {
    let mut counters = handle.watch_counters();
    let found = timeout(PATIENCE, counters.wait_for(condition)).await;
    *found.unwrap_or_else(|_| panic!("still {:#?}", handle.counters())).expect("a running node")
}
