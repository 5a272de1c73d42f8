//! The real engine: Malachite over TCP, driving a [`Bridge`] until told to stop or until something is fatal.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use freeway_primitives as p;
use malachitebft_app_channel::app::config::{
    ConsensusConfig, NodeConfig, P2pConfig, PubSubMaxSizePerTopic, TransportProtocol, ValueSyncConfig,
};
use malachitebft_app_channel::app::types::Keypair;
use malachitebft_app_channel::{
    AppMsg, Channels, ConsensusContext, EngineBuilder, NetworkContext, NetworkIdentity, NetworkMsg,
    RequestContext, SyncContext, WalContext,
};
use malachitebft_codec::Codec as _;
use malachitebft_core_consensus::VoteExtensionError;
use malachitebft_engine::host::Next;
use malachitebft_signing::Signer as _;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::application::{Application, Fatal};
use crate::bridge::Bridge;
use crate::codec::{MAX_MESSAGE_BYTES, MAX_PART_MESSAGE_BYTES, MAX_RESPONSE_BYTES, WireCodec};
use crate::context::{Address, Context};
use crate::parts::PartMessage;
use crate::signing::{Checking, Signing};

/// Domain under which a node's transport identity is derived from its key.
const TRANSPORT: p::Domain = p::Domain::new("freeway 1 consensus transport key");

/// Domain of the address under which a validator follows while it may not sign.
const FOLLOWER: p::Domain = p::Domain::new("freeway 1 follower address");

/// Where and with whom the engine talks.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The node's name in logs.
    pub moniker: String,
    /// Where to listen. The port must be given.
    pub listen: SocketAddr,
    /// Peers to keep connections to.
    pub peers: Vec<SocketAddr>,
    /// Talk to these peers only: for validators behind sentries.
    pub only_peers: bool,
    /// The engine's write-ahead log.
    pub wal: PathBuf,
    /// How often peers are told the own height.
    pub status_interval: Duration,
}

#[derive(Clone)]
struct Settings {
    moniker: String,
    consensus: ConsensusConfig,
    sync: ValueSyncConfig,
}

impl NodeConfig for Settings {
    fn moniker(&self) -> &str {
        &self.moniker
    }

    fn consensus(&self) -> &ConsensusConfig {
        &self.consensus
    }

    fn consensus_mut(&mut self) -> &mut ConsensusConfig {
        &mut self.consensus
    }

    fn value_sync(&self) -> &ValueSyncConfig {
        &self.sync
    }

    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.sync
    }
}

fn settings(config: &EngineConfig) -> Settings {
    let multiaddr = |address: &SocketAddr| {
        TransportProtocol::Tcp.multiaddr(&address.ip().to_string(), address.port().into())
    };
    let messages = Some(ByteSize(MAX_MESSAGE_BYTES as u64));
    let p2p = P2pConfig {
        listen_addr: multiaddr(&config.listen),
        persistent_peers: config.peers.iter().map(multiaddr).collect(),
        persistent_peers_only: config.only_peers,
        pubsub_max_size: ByteSize((MAX_PART_MESSAGE_BYTES + (4 << 10)) as u64),
        pubsub_max_size_per_topic: PubSubMaxSizePerTopic {
            consensus: messages,
            proposal_parts: Some(ByteSize(MAX_PART_MESSAGE_BYTES as u64)),
            liveness: messages,
        },
        rpc_max_size: ByteSize(MAX_RESPONSE_BYTES as u64),
        ..P2pConfig::default()
    };
    let sync = ValueSyncConfig {
        status_update_interval: config.status_interval,
        max_response_size: ByteSize(MAX_RESPONSE_BYTES as u64),
        ..ValueSyncConfig::default()
    };
    Settings {
        moniker: config.moniker.clone(),
        consensus: ConsensusConfig { p2p, queue_capacity: 32, ..ConsensusConfig::default() },
        sync,
    }
}

/// The transport identity of a node, from its key.
///
/// # Errors
/// [`Fatal`] if the transport library refuses the derived bytes, which it does not.
fn transport(key: &p::SecretKey) -> Result<Keypair, Fatal> {
    Keypair::ed25519_from_bytes(key.derive_bytes(TRANSPORT)).map_err(|error| Fatal(error.to_string()))
}

/// How long a port may be taken by an engine that has just stopped.
const PORT_PATIENCE: Duration = Duration::from_secs(10);

/// The engine reports a taken port late and from a background task; this asks first.
async fn free_port(listen: SocketAddr, patience: Duration) -> Result<(), Fatal> {
    let until = tokio::time::Instant::now() + patience;
    loop {
        match std::net::TcpListener::bind(listen) {
            Ok(_) => return Ok(()),
            Err(_) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => {
                return Err(Fatal(format!(
                    "cannot listen for validators on {listen}: {error}; stop what uses it or choose another port"
                )));
            }
        }
    }
}

/// Runs the engine for `application` until `stop` becomes true. `key` is the node's key: the transport
/// identity derives from it, and with `signing` it also votes for the validator `address`.
///
/// While the guard of `signing` is closed the engine runs as a follower's, as it fails when it is asked to
/// sign and may not. When the guard opens, the engine starts again as a validator's.
///
/// # Errors
/// [`Fatal`] if the application, the engine's log or its network fails for good. Nothing was sent after the
/// failure, and a restart goes on from what is durable.
pub async fn run<A: Application>(
    config: EngineConfig,
    application: A,
    address: p::Address,
    key: &p::SecretKey,
    chain: p::ChainId,
    signing: Option<Signing>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Fatal> {
    free_port(config.listen, Duration::ZERO).await?;
    let incarnation = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_nanos() as u64);
    let mut bridge = Bridge::new(application, chain, address, signing.clone(), incarnation)?;
    loop {
        let voter = signing.clone().filter(|_| bridge.votes());
        match serve(&config, &mut bridge, address, key, chain, voter, &mut stop).await? {
            End::Stopped => return Ok(()),
            End::MayVote => {
                info!("the engine starts again, now to vote");
                free_port(config.listen, PORT_PATIENCE).await?;
            }
        }
    }
}

/// The engine's own words name the log but not what to do about it.
fn did_not_start(config: &EngineConfig, error: &str) -> Fatal {
    if error.contains("WAL") {
        return Fatal(format!(
            "the consensus log {} is damaged; move it away and make an empty file named `watching` beside it: the \
             node then votes only after it has seen the network decide without it",
            config.wal.display()
        ));
    }
    Fatal(format!("the consensus engine did not start: {error}"))
}

/// Why the engine ended, if nothing failed.
enum End {
    Stopped,
    MayVote,
}

/// Runs one engine: a validator's with `voter`, a follower's without.
async fn serve<A: Application>(
    config: &EngineConfig,
    bridge: &mut Bridge<A>,
    address: p::Address,
    key: &p::SecretKey,
    chain: p::ChainId,
    voter: Option<Signing>,
    stop: &mut watch::Receiver<bool>,
) -> Result<End, Fatal> {
    let fatal = |error: &dyn std::fmt::Display| Fatal(format!("the consensus engine did not start: {error}"));
    let follows = voter.is_none();
    let keypair = transport(key)?;
    let identity = match &voter {
        None => NetworkIdentity::new(config.moniker.clone(), keypair, None),
        Some(signing) => {
            let peer = keypair.public().to_peer_id().to_bytes();
            let proof = signing
                .sign_validator_proof(signing.key().public().0.to_vec(), peer)
                .await
                .map_err(|error| fatal(&error))?;
            let proof = WireCodec.encode(&proof).map_err(|error| fatal(&error))?;
            NetworkIdentity::new_validator(config.moniker.clone(), keypair, address.to_string(), proof)
        }
    };
    let member = match voter {
        // Under the validator's own address the engine would expect to sign.
        None => {
            let follower = p::Address::of(&key.derive(FOLLOWER).public());
            ConsensusContext::new_full_node(Address(follower), Box::new(Checking(chain)))
        }
        Some(signing) => {
            ConsensusContext::new_validator(Address(address), Box::new(Checking(chain)), Box::new(signing))
        }
    };
    let (mut channels, handle) = EngineBuilder::new(Context, settings(config))
        .with_default_wal(WalContext::new(config.wal.clone(), WireCodec))
        .with_default_network(NetworkContext::new(identity, WireCodec))
        .with_default_sync(SyncContext::new(WireCodec))
        .with_default_consensus(member)
        .with_default_request(RequestContext::new(64))
        .build()
        .await
        .map_err(|error| did_not_start(config, &error.to_string()))?;
    info!(listen = %config.listen, follows, "consensus engine started");

    let result = loop {
        tokio::select! {
            // Stop first: a stopping node must not start new work.
            biased;
            () = raised(stop) => break Ok(End::Stopped),
            message = channels.consensus.recv() => match message {
                // The engine hangs up when its log cannot be written: what it would do next could not be
                // remembered, so nothing more may be signed.
                None => break Err(Fatal(format!(
                    "the consensus engine stopped because its log at {} could not be written or read; check \
                     the disk and start again", config.wal.display()))),
                Some(message) => match answer(bridge, &channels, message).await {
                    Err(error) => break Err(error),
                    Ok(()) if follows && bridge.votes() => break Ok(End::MayVote),
                    Ok(()) => {}
                },
            },
        }
    };
    handle.actor.stop(None);
    if tokio::time::timeout(Duration::from_secs(5), handle.handle).await.is_err() {
        warn!("the consensus engine did not stop in time and is abandoned");
    }
    result
}

/// Waits until the signal is raised, or its owner is gone.
async fn raised(signal: &mut watch::Receiver<bool>) {
    // The guard must not live across the caller's next await.
    drop(signal.wait_for(|raised| *raised).await);
}

async fn publish(channels: &Channels<Context>, parts: Vec<PartMessage>) -> Result<(), Fatal> {
    for part in parts {
        channels
            .network
            .send(NetworkMsg::PublishProposalPart(part))
            .await
            .map_err(|_| Fatal("the consensus engine's network stopped; start again".into()))?;
    }
    Ok(())
}

/// Answers one question of the engine. Replies to an engine that is gone are dropped: its end is noticed by
/// the closed channel.
async fn answer<A: Application>(
    bridge: &mut Bridge<A>,
    channels: &Channels<Context>,
    message: AppMsg<Context>,
) -> Result<(), Fatal> {
    // The application reads and writes disks and executes blocks; other tasks go on meanwhile.
    use tokio::task::block_in_place as blocking;
    match message {
        AppMsg::ConsensusReady { reply } => {
            let _ = reply.send(bridge.start());
        }
        AppMsg::StartedRound { height, round, reply_value, .. } => {
            let values = blocking(|| bridge.started_round(height.0, round))?;
            let _ = reply_value.send(values);
        }
        AppMsg::GetValue { height, round, reply, .. } => {
            if let Some(outgoing) = blocking(|| bridge.propose(height.0, round))? {
                let _ = reply.send(outgoing.value);
                publish(channels, outgoing.parts).await?;
            }
        }
        AppMsg::RestreamProposal { height, round, valid_round, value_id, .. } => {
            let parts = blocking(|| bridge.restream(height.0, round, valid_round, value_id.0))?;
            publish(channels, parts).await?;
        }
        AppMsg::ReceivedProposalPart { from, published_by, part, reply } => {
            let publisher = published_by.unwrap_or(from).to_bytes();
            let value = blocking(|| bridge.receive(publisher, part))?;
            let _ = reply.send(value);
        }
        AppMsg::ExtendVote { reply, .. } => {
            let _ = reply.send(None);
        }
        AppMsg::VerifyVoteExtensions { extensions, reply, .. } => {
            let refuse = |(address, _)| (address, Err(VoteExtensionError::InvalidVoteExtension));
            let _ = reply.send(extensions.into_iter().map(refuse).collect());
        }
        AppMsg::Decided { certificate, reply, .. } => {
            blocking(|| bridge.decided(&certificate))?;
            let _ = reply.send(());
        }
        AppMsg::Finalized { certificate, evidence, reply, .. } => {
            let next = if blocking(|| bridge.finalized(&certificate, &evidence))? {
                let (height, params) = bridge.start();
                Next::Start(height, params)
            } else {
                let (_, params) = bridge.start();
                Next::Restart(certificate.height, params)
            };
            let _ = reply.send(next);
        }
        AppMsg::GetHistoryMinHeight { reply } => {
            let _ = reply.send(blocking(|| bridge.oldest())?);
        }
        AppMsg::GetDecidedValues { range, reply } => {
            let _ = reply.send(blocking(|| bridge.history(range))?);
        }
        AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply } => {
            let outcome = blocking(|| bridge.synced(height.0, round, proposer.0, value_bytes))?;
            let _ = reply.send(outcome);
        }
    }
    Ok(())
}
