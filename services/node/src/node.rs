//! A whole node: store, chain, engine, gossip and HTTP as one task that ends cleanly or says why not.

mod gossip;
mod snapshots;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use freeway_consensus::engine::{self, EngineConfig};
use freeway_consensus::{Fatal, Signing, SigningGuard};
use freeway_ledger::Genesis;
use freeway_network::{Network, NetworkError};
use freeway_primitives::{Address, ChainId, Domain, SecretKey};
use freeway_store::{Config as StoreSettings, Medium, Store, StoreError};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::beacon::Keeper;
use crate::chain::{Chain, Durability, NodeError};
use crate::config::NodeConfig;
use crate::duties::{Duties, OUTBOX};
use crate::join::{self, JoinError};
use crate::mempool::journal::{Journal, JournalError};
use crate::mempool::{Limits, Mempool};
use crate::metrics::Metrics;
use crate::rpc;
use crate::submit::Submitter;

/// Domain under which the gossip identity derives from the node's key.
const GOSSIP: Domain = Domain::new("freeway 1 gossip transport key");
/// How often validators tell each other their height: bounds how late a restarted node notices that it lags.
const STATUS_INTERVAL: Duration = Duration::from_secs(2);
/// After so many blocks a transaction that still waits is told to peers again.
const TELL_AGAIN_BLOCKS: u64 = 8;
/// Exists while this node's key may have signed what the node no longer knows.
const WATCHING: &str = "watching";

/// Why a node stopped, or did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The chain cannot go on.
    #[error(transparent)]
    Chain(#[from] NodeError),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Consensus stopped.
    #[error(transparent)]
    Consensus(#[from] Fatal),
    /// Gossip cannot start.
    #[error("gossip: {0}")]
    Gossip(#[from] NetworkError),
    /// The mempool's journal fails.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The state could not be fetched.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The HTTP port is taken.
    #[error("cannot listen for HTTP on {address}: {source}; stop what uses it or choose another port")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's words.
        source: std::io::Error,
    },
    /// A folder or marker cannot be made.
    #[error("{path}: {source}; check the disk and the permissions, then start again")]
    Folder {
        /// The path.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The configuration contradicts itself.
    #[error("the configuration is not usable: {0}")]
    Config(String),
    /// A part of the node reported that it cannot go on.
    #[error("{0}")]
    Part(String),
}

/// What a running node tells its owner.
#[derive(Clone)]
pub struct Ready {
    /// Where HTTP listens.
    pub rpc: std::net::SocketAddr,
    /// The node's gossip identity.
    pub peer: String,
    /// For the services of this node's host, if it has one.
    pub access: Option<Access>,
}

/// How the services of a host, in the same process, see the chain and act on it.
#[derive(Clone)]
pub struct Access {
    /// State and blocks.
    pub store: Arc<Store>,
    /// Commits.
    pub feed: crate::Feed,
    /// The way of the host's duties to the chain.
    pub duties: Duties,
    /// The network.
    pub chain: ChainId,
    /// Where the host's totals are shown.
    pub metrics: Arc<Metrics>,
}

/// Runs a node until `stop` becomes true. `key` is the node's key; with a host in the configuration it signs
/// votes. `ready` is told once everything listens. `mount` adds pages to its HTTP interface.
///
/// # Errors
/// [`RunError`] says why it stopped; what was acknowledged is durable, and a restart goes on from there.
pub async fn run(
    config: NodeConfig,
    genesis: Genesis,
    key: SecretKey,
    mount: Option<rpc::Mount>,
    ready: oneshot::Sender<Ready>,
    stop: watch::Receiver<bool>,
) -> Result<(), RunError> {
    let host = config.host().map_err(RunError::Config)?;
    make_folder(&config.data)?;
    let chain_id = genesis.chain();
    let guard = signing_guard(&config)?;
    let store = Arc::new(open_store(&config, &genesis).await?);
    let mempool = Arc::new(Mempool::new(chain_id, Limits::default()));
    let (journal, waiting) = {
        let mempool = Arc::clone(&mempool);
        Journal::open(config.data.join("mempool.journal"), move || mempool.local())?
    };
    let trail = join::trail(&config.data).map_err(NodeError::Trail)?;
    let address = host.unwrap_or_else(|| Address::of(&key.public()));
    let (outgoing, outbox) = mpsc::channel(OUTBOX);
    let duties = host.map(|host| {
        let (store, mempool) = (Arc::clone(&store), Arc::clone(&mempool));
        Duties::new(chain_id, host, key.clone(), store, mempool, outgoing.clone())
    });
    let chain = {
        let (store, mempool, genesis) = (Arc::clone(&store), Arc::clone(&mempool), genesis.clone());
        let duties = duties.clone();
        let trail = trail.clone();
        let open = move || {
            let now = Box::new(now_ms);
            let mut chain =
                Chain::open(store, &genesis, mempool, address, duties, now, Durability::Background)?;
            chain.keep_trail(trail)?;
            Ok::<_, NodeError>(chain)
        };
        blocking(open).await??
    };
    let feed = chain.feed().clone();
    let beacon = Arc::clone(chain.beacon());
    let submitter = Submitter::new(Arc::clone(&store), mempool, feed.clone(), Some(journal), outgoing);
    let restored = {
        let submitter = submitter.clone();
        blocking(move || submitter.restore(&waiting)).await?
    };
    if restored > 0 {
        info!(transactions = restored, "transactions from before the stop wait again");
    }

    // The last part to end the node is consensus; everything else ends when this says so.
    let (end, ended) = watch::channel(false);
    let mut parts = JoinSet::new();
    let (fatal, mut fatals) = mpsc::channel(8);
    let gossip = {
        let mut settings =
            freeway_network::Config::new(key.derive_bytes(GOSSIP), chain_id, config.gossip.listen);
        settings.peers = config.gossip.peers().map_err(RunError::Config)?;
        let allowed = config.gossip.allowed().map_err(RunError::Config)?;
        settings.allowed = (!allowed.is_empty()).then(|| allowed.into_iter().collect());
        let (handle, incoming) = Network::start(settings).await?;
        parts.spawn(gossip::send(handle.clone(), outbox, ended.clone()));
        parts.spawn(gossip::receive(
            handle.clone(),
            incoming,
            submitter.clone(),
            Arc::clone(&beacon),
            ended.clone(),
        ));
        handle
    };

    let listener = TcpListener::bind(config.rpc.listen)
        .await
        .map_err(|source| RunError::Listen { address: config.rpc.listen, source })?;
    let rpc_address =
        listener.local_addr().map_err(|source| RunError::Listen { address: config.rpc.listen, source })?;
    let metrics = Arc::new(Metrics::new());
    let snapshots_folder = config.data.join("snapshots");
    let context = rpc::Context {
        store: Arc::clone(&store),
        submitter: submitter.clone(),
        feed: feed.clone(),
        genesis: Arc::new(genesis),
        chain: chain_id,
        address: host,
        guard: host.map(|_| guard.clone()),
        consensus: (!config.consensus.only_peers).then_some(config.consensus.listen),
        gossip: Some(gossip.clone()),
        snapshots: Some(snapshots_folder.clone()),
        trail: Some(trail),
        metrics: Arc::clone(&metrics),
        started: Instant::now(),
        fatal: fatal.clone(),
    };
    let context = Arc::new(context);
    let pages = mount.map(|mount| mount(Arc::clone(&context), ended.clone()));
    let pages = pages.map_or_else(axum::Router::new, |rpc::Mounted { router, work }| {
        parts.spawn(work);
        router
    });
    {
        let (context, ended, fatal) = (Arc::clone(&context), ended.clone(), fatal.clone());
        parts.spawn(async move {
            if let Err(error) = rpc::serve_with(listener, context, pages, ended).await {
                let _ = fatal.send(format!("the HTTP server stopped: {error}")).await;
            }
        });
    }
    parts.spawn(crate::metrics::follow(context, ended.clone()));
    if config.store.snapshot_every_epochs > 0 {
        let settings = snapshots::Settings {
            folder: snapshots_folder,
            every_epochs: config.store.snapshot_every_epochs,
            keep: config.store.snapshots.max(1),
        };
        parts.spawn(snapshots::make(settings, Arc::clone(&store), feed.clone(), ended.clone()));
    }
    parts.spawn(tell_again(submitter.clone(), feed.clone(), ended.clone()));
    parts.spawn(forget_watching(config.data.join(WATCHING), guard.clone(), feed.clone(), ended.clone()));
    if let Some(duties) = &duties {
        let (store, duties) = (Arc::clone(&store), duties.clone());
        parts.spawn(keep_beacon(beacon, store, feed.clone(), duties, fatal.clone(), ended.clone()));
    }

    let signing = host.map(|_| Signing::new(chain_id, key.clone(), guard));
    let engine = EngineConfig {
        moniker: config.moniker.clone(),
        listen: config.consensus.listen,
        peers: config.consensus.peers.clone(),
        only_peers: config.consensus.only_peers,
        wal: config.data.join("consensus.wal"),
        status_interval: STATUS_INTERVAL,
    };
    let access = duties.map(|duties| {
        let (store, metrics) = (Arc::clone(&store), Arc::clone(&metrics));
        Access { store, feed, duties, chain: chain_id, metrics }
    });
    let _ = ready.send(Ready { rpc: rpc_address, peer: gossip.local_id().to_string(), access });
    let (engine_stop, engine_stopped) = watch::channel(false);
    let consensus = engine::run(engine, chain, address, &key, chain_id, signing, engine_stopped);
    tokio::pin!(consensus);
    let mut stop = stop;
    let result = tokio::select! {
        result = &mut consensus => result.map_err(RunError::from),
        Some(reason) = fatals.recv() => {
            engine_stop.send_replace(true);
            let _ = consensus.await;
            Err(RunError::Part(reason))
        }
        () = raised(&mut stop) => {
            info!("stopping");
            engine_stop.send_replace(true);
            consensus.await.map_err(RunError::from)
        }
    };
    end.send_replace(true);
    gossip.shutdown().await;
    while parts.join_next().await.is_some() {}
    // After a failure the state on disk is that of some blocks ago, which the next start replays.
    if result.is_ok() {
        blocking(move || store.flush_all()).await??;
    }
    result
}

/// Waits until a signal is raised, or its owner is gone.
pub(crate) async fn raised(signal: &mut watch::Receiver<bool>) {
    // The guard must not live across the caller's next await.
    drop(signal.wait_for(|raised| *raised).await);
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RunError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| RunError::Part(format!("a task failed: {error}")))
}

fn make_folder(path: &PathBuf) -> Result<(), RunError> {
    std::fs::create_dir_all(path).map_err(|source| RunError::Folder { path: path.clone(), source })
}

fn store_folder(config: &NodeConfig) -> PathBuf {
    config.data.join("store")
}

/// An empty directory under a key that is not new has forgotten what it signed. The marker outlives a crash
/// before the guard opens.
fn signing_guard(config: &NodeConfig) -> Result<SigningGuard, RunError> {
    let marker = config.data.join(WATCHING);
    let empty = !store_folder(config).exists();
    if empty && !config.join.key_is_new && config.host.is_some() {
        std::fs::write(
            &marker,
            b"This node signs nothing until it has seen the network decide without it.\n",
        )
        .and_then(|()| std::fs::File::open(&config.data)?.sync_all())
        .map_err(|source| RunError::Folder { path: marker.clone(), source })?;
    }
    if marker.exists() {
        warn!(
            "this node has no memory of what it signed; it watches until the network has decided without it"
        );
        return Ok(SigningGuard::closed());
    }
    Ok(SigningGuard::open())
}

/// Every few blocks: what still waits is told to peers again.
async fn tell_again(submitter: Submitter, feed: crate::Feed, mut ended: watch::Receiver<bool>) {
    let mut tip = feed.tip();
    let mut next = tip.borrow().height.plus(TELL_AGAIN_BLOCKS);
    loop {
        tokio::select! {
            () = raised(&mut ended) => return,
            changed = tip.changed() => if changed.is_err() { return },
        }
        let height = tip.borrow_and_update().height;
        if height >= next {
            next = height.plus(TELL_AGAIN_BLOCKS);
            submitter.tell_again();
        }
    }
}

/// After every commit: this host's shares of the beacon's value, and its part in the making of the next key.
async fn keep_beacon(
    beacon: Arc<Keeper>,
    store: Arc<Store>,
    feed: crate::Feed,
    duties: Duties,
    fatal: mpsc::Sender<String>,
    mut ended: watch::Receiver<bool>,
) {
    let mut tip = feed.tip();
    loop {
        tokio::select! {
            () = raised(&mut ended) => return,
            changed = tip.changed() => if changed.is_err() { return },
        }
        tip.borrow_and_update();
        let (beacon, store, duties) = (Arc::clone(&beacon), Arc::clone(&store), duties.clone());
        let step = move || {
            let state = store.view();
            beacon.committed(&state, state.height(), &duties)
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(step).await {
            let _ = fatal.send(format!("the duties of this node's host failed: {error}")).await;
            return;
        }
    }
}

/// Removes the marker once the guard is open.
async fn forget_watching(
    marker: PathBuf,
    guard: SigningGuard,
    feed: crate::Feed,
    mut ended: watch::Receiver<bool>,
) {
    let mut tip = feed.tip();
    while guard.is_closed() {
        tokio::select! {
            () = raised(&mut ended) => return,
            changed = tip.changed() => if changed.is_err() { return },
        }
    }
    if marker.exists()
        && let Err(error) = std::fs::remove_file(&marker)
    {
        warn!(%error, path = %marker.display(), "cannot be removed; the node will watch again after a restart");
    }
}

/// Opens the store; an empty one is first filled from a snapshot, if the configuration names sources.
async fn open_store(config: &NodeConfig, genesis: &Genesis) -> Result<Store, RunError> {
    let folder = store_folder(config);
    let settings = StoreSettings {
        cache_bytes: config.store.cache_mib << 20,
        retain_blocks: config.store.retain_blocks,
        flush_every: config.store.flush_every,
        ..StoreSettings::default()
    };
    if !config.join.snapshot_from.is_empty() && !join::is_complete(&folder) {
        let sources = &config.join.snapshot_from;
        let trail = join::trail(&config.data).map_err(NodeError::Trail)?;
        return Ok(join::from_snapshot(sources, genesis, &folder, &trail, settings).await?);
    }
    blocking(move || Store::open(Medium::Directory(folder), settings)).await?.map_err(RunError::from)
}
