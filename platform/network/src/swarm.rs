//! The transport and the protocols on it, set up from the configuration.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::TcpListener;

use freeway_primitives::ChainId;
use futures::StreamExt;
use libp2p::core::transport::{Boxed, Transport, TransportError};
use libp2p::core::{muxing::StreamMuxerBox, upgrade};
use libp2p::gossipsub::{
    self, ConfigBuilder, IdentTopic, MaxCountSubscriptionFilter, MessageAuthenticity, PeerScoreParams,
    PeerScoreThresholds, TopicScoreParams, ValidationMode, Version, WhitelistSubscriptionFilter,
};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, dns, noise, ping, tcp, yamux};

use crate::config::keypair;
use crate::gate::Gate;
use crate::limits::{
    BAN_TIME, CONTROL_FRAME_BYTES, DUPLICATE_CACHE_TIME, ENVELOPE_BYTES, GOSSIP_HEARTBEATS,
    HANDSHAKE_TIMEOUT, HEARTBEAT, HISTORY_HEARTBEATS, IDLE_TIMEOUT, LISTEN_TIMEOUT, MAX_IHAVE_IDS,
    MAX_MESSAGES_PER_FRAME, MESH, MESH_HIGH, MESH_LOW, MESH_OUTBOUND, PEER_QUEUE, PING_INTERVAL,
    PING_TIMEOUT,
};
use crate::{Config, MessageId, NetworkError};

/// Score below which gossip no longer listens to a peer; the driver then bans it.
pub(crate) const GRAYLIST: f64 = -100.0;

/// Everything that runs on a connection. The gate comes first, so that nothing else sees whom it refuses.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(crate) struct Behaviour {
    pub(crate) gate: Gate,
    pub(crate) gossip: Gossipsub,
    ping: ping::Behaviour,
}

type Gossipsub = gossipsub::Behaviour<
    gossipsub::IdentityTransform,
    MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>,
>;

/// The one topic of a network.
pub(crate) fn topic(chain: &ChainId) -> IdentTopic {
    IdentTopic::new(format!("freeway/1/{chain}/transactions"))
}

/// A swarm that listens, and the port it got.
pub(crate) async fn listening(config: &Config) -> Result<(Swarm<Behaviour>, u16), NetworkError> {
    let addr = config.listen;
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => NetworkError::PortInUse { addr },
        _ => NetworkError::Listen { addr, source },
    };
    // The transport shares its port with other sockets of the same user (SO_REUSEPORT), so a second node would
    // start without complaint and steal half of the connections. This attempt does not share.
    TcpListener::bind(addr).map(drop).map_err(failed)?;

    let key = keypair(config.key_seed);
    let swarm_config =
        libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_TIMEOUT);
    let mut swarm =
        Swarm::new(transport(&key)?, behaviour(config, &key)?, key.public().to_peer_id(), swarm_config);
    let listener = Multiaddr::empty().with(addr.ip().into()).with(Protocol::Tcp(addr.port()));
    swarm.listen_on(listener).map_err(|error| match error {
        TransportError::Other(source) => failed(source),
        TransportError::MultiaddrNotSupported(address) => {
            NetworkError::Setup(format!("{address} is not TCP"))
        }
    })?;
    let silent = |_| failed(io::Error::new(io::ErrorKind::TimedOut, "no network interface has this address"));
    let port = tokio::time::timeout(LISTEN_TIMEOUT, first_port(&mut swarm)).await.map_err(silent)?;
    Ok((swarm, port.map_err(failed)?))
}

/// Waits for the listener's first address.
async fn first_port(swarm: &mut Swarm<Behaviour>) -> io::Result<u16> {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                if let Some(Protocol::Tcp(port)) =
                    address.iter().find(|part| matches!(part, Protocol::Tcp(_)))
                {
                    return Ok(port);
                }
            }
            SwarmEvent::ListenerClosed { reason, .. } => {
                return Err(reason.err().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into()));
            }
            SwarmEvent::ListenerError { error, .. } => return Err(error),
            _ => {}
        }
    }
}

/// TCP, names, noise, yamux.
fn transport(key: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, NetworkError> {
    let security = noise::Config::new(key).map_err(|error| NetworkError::Setup(error.to_string()))?;
    let tcp = || tcp::tokio::Transport::new(tcp::Config::default());
    // A machine without resolver settings can still reach peers by their IP address.
    Ok(match dns::tokio::Transport::system(tcp()) {
        Ok(names) => names
            .upgrade(upgrade::Version::V1Lazy)
            .authenticate(security)
            .multiplex(yamux::Config::default())
            .timeout(HANDSHAKE_TIMEOUT)
            .boxed(),
        Err(error) => {
            tracing::warn!(%error, "no DNS on this machine: only peers given by IP address can be reached");
            tcp()
                .upgrade(upgrade::Version::V1Lazy)
                .authenticate(security)
                .multiplex(yamux::Config::default())
                .timeout(HANDSHAKE_TIMEOUT)
                .boxed()
        }
    })
}

fn behaviour(config: &Config, key: &Keypair) -> Result<Behaviour, NetworkError> {
    let setup = |error: &dyn std::fmt::Display| NetworkError::Setup(error.to_string());
    let topic = topic(&config.chain);
    let settings = ConfigBuilder::default()
        .protocol_id(format!("/freeway/1/{}/gossip", config.chain), Version::V1_1)
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(|message| MessageId::of(&message.data).to_gossip())
        .flood_publish(true)
        // After a restart, peers may still offer what this node published before. That is no fault of theirs
        // and worth having back; what it published since is a duplicate anyway.
        .allow_self_origin(true)
        .max_transmit_size(config.max_message_bytes.max(CONTROL_FRAME_BYTES) + ENVELOPE_BYTES)
        .duplicate_cache_time(DUPLICATE_CACHE_TIME)
        .heartbeat_interval(HEARTBEAT)
        .heartbeat_initial_delay(HEARTBEAT)
        .history_length(HISTORY_HEARTBEATS)
        .history_gossip(GOSSIP_HEARTBEATS)
        .mesh_n(MESH)
        .mesh_n_low(MESH_LOW)
        .mesh_n_high(MESH_HIGH)
        .mesh_outbound_min(MESH_OUTBOUND)
        .max_ihave_length(MAX_IHAVE_IDS)
        .max_messages_per_rpc(Some(MAX_MESSAGES_PER_FRAME))
        .connection_handler_queue_len(PEER_QUEUE)
        .build()
        .map_err(|error| setup(&error))?;
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(HashSet::from([topic.hash()])),
        max_subscribed_topics: 1,
        max_subscriptions_per_request: 4,
    };
    let author = MessageAuthenticity::Signed(key.clone());
    let mut gossip =
        Gossipsub::new_with_subscription_filter(author, settings, filter).map_err(|error| setup(&error))?;
    let (params, thresholds) = scoring(&topic);
    gossip.with_peer_score(params, thresholds).map_err(|error| setup(&error))?;
    gossip.subscribe(&topic).map_err(|error| setup(&error))?;
    Ok(Behaviour {
        gate: Gate::new(config.allowed.clone(), config.max_peers),
        gossip,
        ping: ping::Behaviour::new(
            ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT),
        ),
    })
}

/// Only faults count, nothing earns credit that could be spent on faults later. Some ten invalid messages within
/// a minute (their number is squared), or sixteen breaches of the protocol within seconds, lead below
/// [`GRAYLIST`].
/// Slowness and sharing an IP address are no faults. Silence is none either: a quiet network is a healthy one.
fn scoring(topic: &IdentTopic) -> (PeerScoreParams, PeerScoreThresholds) {
    let faults = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -1.0,
        invalid_message_deliveries_decay: 0.99,
        ..TopicScoreParams::default()
    };
    let params = PeerScoreParams {
        topics: HashMap::from([(topic.hash(), faults)]),
        app_specific_weight: 0.0,
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: -1.0,
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: 0.9,
        slow_peer_weight: 0.0,
        // Whoever is let in again after a ban starts anew here too.
        retain_score: BAN_TIME / 2,
        ..PeerScoreParams::default()
    };
    let thresholds = PeerScoreThresholds {
        gossip_threshold: GRAYLIST / 4.0,
        publish_threshold: GRAYLIST / 2.0,
        graylist_threshold: GRAYLIST,
        accept_px_threshold: 0.0,
        opportunistic_graft_threshold: 0.0,
    };
    (params, thresholds)
}
