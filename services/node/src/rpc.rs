//! The node's HTTP interface, under `/v1`, described by `/openapi.json`.
//!
//! Everything that comes from outside has a bound: connections, requests at a time, event streams, bodies, the
//! length of lists, how long a request may take to arrive and to be answered. Past a bound there is an error that
//! says so. Nothing here changes the node but the submission of transactions: there are no administrative
//! endpoints, and no headers that would let other web sites' scripts read answers.
//!
//! Others in the same process can add pages of their own ([`Mount`]), within the same bounds.
//!
//! A storage error stops the node: whoever meets one reports it through [`Context::fatal`].

mod accounts;
mod beacon;
mod blocks;
mod chain;
mod endorsements;
mod error;
mod events;
mod extract;
mod guard;
mod hosts;
mod lanes;
mod listener;
mod models;
mod node;
mod openapi;
mod proofs;
mod rewards;
mod routes;
mod snapshots;
mod sprint;
mod status;
mod sync;
mod transactions;
mod weights;
mod work;

use core::future::Future;
use core::pin::Pin;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::Router;
use bytes::Bytes;
use freeway_consensus::SigningGuard;
use freeway_ledger::Genesis;
use freeway_network::Handle;
use freeway_primitives::{Address, ChainId};
use freeway_store::Store;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, broadcast, mpsc, watch};

use crate::feed::Feed;
use crate::metrics::Metrics;
use crate::submit::Submitter;
use crate::trail::Trail;
use error::ApiError;
use listener::{Activity, Bounded};

pub(crate) use listener::stopped;
pub use openapi::openapi;
pub use routes::routes;

/// Makes pages beside the interface, from what the interface shows and the signal to stop.
pub type Mount = Box<dyn FnOnce(Arc<Context>, watch::Receiver<bool>) -> Mounted + Send>;

/// Pages beside the interface.
pub struct Mounted {
    /// They must have other paths than the interface.
    pub router: Router,
    /// What goes on behind them until the signal to stop.
    pub work: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Requests that are answered at a time.
const MAX_REQUESTS: usize = 1_024;
/// Event streams at a time.
const MAX_STREAMS: usize = 512;
/// Long reads of the store at a time.
const MAX_BULK: usize = 16;
/// Large bodies that are received at a time.
const MAX_UPLOADS: usize = 16;
/// Rendered blocks that an event stream may be behind.
const STREAM_BACKLOG: usize = 256;

/// What the interface shows and uses.
pub struct Context {
    /// Blocks and state.
    pub store: Arc<Store>,
    /// The way in for transactions.
    pub submitter: Submitter,
    /// Commits.
    pub feed: Feed,
    /// What defines the network.
    pub genesis: Arc<Genesis>,
    /// The network.
    pub chain: ChainId,
    /// The host that this node is, if it is one.
    pub address: Option<Address>,
    /// Whether its votes may be signed, if it has a key.
    pub guard: Option<SigningGuard>,
    /// Where others may join consensus through this node.
    pub consensus: Option<SocketAddr>,
    /// The gossip network, if there is one.
    pub gossip: Option<Handle>,
    /// Where snapshots are, if they are offered: one folder per height.
    pub snapshots: Option<PathBuf>,
    /// The trail of validator sets, if it is kept.
    pub trail: Option<Trail>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// When the node started.
    pub started: Instant,
    /// Where a storage error is reported that must stop the node.
    pub fatal: mpsc::Sender<String>,
}

/// A [`Context`] and what the server keeps for itself.
struct Server {
    context: Arc<Context>,
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    rendered: broadcast::Sender<Arc<events::Rendered>>,
    /// The genesis file, once it was asked for.
    genesis: OnceLock<Bytes>,
    /// What has happened in the race, as it was counted last.
    counted: Mutex<Option<sprint::Counted>>,
    stop: watch::Receiver<bool>,
}

impl Server {
    fn new(context: Arc<Context>, stop: watch::Receiver<bool>) -> Self {
        Self {
            context,
            requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            bulk: Arc::new(Semaphore::new(MAX_BULK)),
            uploads: Arc::new(Semaphore::new(MAX_UPLOADS)),
            rendered: broadcast::Sender::new(STREAM_BACKLOG),
            genesis: OnceLock::new(),
            counted: Mutex::new(None),
            stop,
        }
    }

    /// Runs `work` where it may take long, while few others of its kind do.
    async fn bulk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Context) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = Arc::clone(&self.bulk).acquire_owned().await;
        let context = Arc::clone(&self.context);
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&context)
        });
        done.await.map_err(|_| ApiError::internal("the node could not answer this"))?
    }
}

/// Serves the interface until `stop` is set: then event streams end, requests under way are answered, and
/// connections that take longer than ten seconds for that are cut.
///
/// # Errors
/// If the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    context: Arc<Context>,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    serve_with(listener, context, Router::new(), stop).await
}

/// As [`serve`], with more pages.
///
/// # Errors
/// If the listener fails for good.
pub async fn serve_with(
    listener: TcpListener,
    context: Arc<Context>,
    pages: Router,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let address = listener.local_addr()?;
    let server = Arc::new(Server::new(context, stop.clone()));
    let renderer = tokio::spawn(events::render(Arc::clone(&server)));
    let app = routes::router(server, pages).into_make_service_with_connect_info::<Activity>();
    tracing::info!(%address, "RPC is listening");
    let served =
        axum::serve(Bounded::new(listener, stop.clone()), app).with_graceful_shutdown(stopped(stop)).await;
    renderer.abort();
    served
}
