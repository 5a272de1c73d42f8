//! A host process: follows the chain, does what the core asks for, shows what it is asked for.
//!
//! ```text
//!   node ──commits──► follow ──turn()──► Core ──► race, checks      (threads)
//!     ▲                  ▲                │  └──► fetches           (tasks)
//!     └──── duties ──────┼── Send ────────┘
//!                        └──── wake ◄─── results of all of them
//! ```
//!
//! Nothing in here may stop the node: what fails is logged and done again at the next block.

mod chain;
mod serve;
mod shared;
mod work;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use freeway_api::trace::TARGET;
use freeway_node::Access;
use freeway_primitives::{Address, Epoch, Height, SecretKey};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::adversary::Adversary;
use crate::client::Fetcher;
use crate::core::{Action, Core, Identity};
use crate::engine::{Engine, Exact};
use crate::openings::Expected;
use crate::racer::{Share, ShareError, Stop};
use crate::record;
use crate::server;
use crate::serving::probes::Prober;
use crate::serving::store::{Signer, WorkError, WorkStore};
use crate::serving::{self, Serving};
use crate::stats::Stats;
use crate::work::ShowWork;
pub use chain::Chain;
use shared::{CheckOrder, RaceOrder, Shared};
use work::Worker;

/// Hosts that are asked at a time.
const MAX_FETCHES: usize = 8;
/// Checks that wait to be computed; further ones are asked for again later.
const MAX_CHECKS: usize = 1_024;

/// How a host takes part.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// The host's account.
    pub address: Address,
    /// Its consensus key.
    pub key: SecretKey,
    /// Where openings are served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The node's data folder; records of races go into `host` below it.
    pub data: PathBuf,
    /// Threads that compute; 0 takes one for each core.
    pub sprint_threads: usize,
    /// The part of the time in which they do, in percent.
    pub sprint_share: u8,
    /// Whether hosts at private addresses are asked as well.
    pub allow_private: bool,
    /// How it misbehaves, if it does.
    pub adversary: Option<Adversary>,
    /// What it serves to payers, if it does.
    pub serving: Option<Serving>,
}

/// Why a host does not take part.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A share of nothing, or of more than all.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The port is taken.
    #[error("cannot listen for openings on {address}: {source}; stop what uses it or choose another port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        source: std::io::Error,
    },
    /// What it serves cannot be kept.
    #[error(transparent)]
    Work(WorkError),
    /// The server ended.
    #[error("openings are no longer served: {0}; restart the node")]
    Serve(#[source] std::io::Error),
    /// A part of the process met a defect.
    #[error("a part of the host ended unexpectedly: {0}; restart the node, and report this")]
    Part(#[source] tokio::task::JoinError),
}

/// A running host.
#[derive(Debug)]
pub struct Host {
    address: SocketAddr,
    stats: watch::Receiver<Stats>,
    follow: JoinHandle<()>,
    serve: JoinHandle<std::io::Result<()>>,
}

impl Host {
    /// Starts a host on the real function. It ends when `stop` becomes true.
    ///
    /// # Errors
    /// [`HostError`] if it cannot begin.
    pub async fn start(
        config: HostConfig,
        chain: impl Chain,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, HostError> {
        let exact = Exact::default();
        info!(backend = exact.backend(), "the sprint's arithmetic");
        Self::start_with(config, chain, Arc::new(exact), stop).await
    }

    /// As [`Host::start`], with another function.
    ///
    /// # Errors
    /// [`HostError`] if it cannot begin.
    pub async fn start_with(
        config: HostConfig,
        chain: impl Chain,
        engine: Arc<dyn Engine>,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, HostError> {
        let threads = match config.sprint_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let share = Share::new(threads, config.sprint_share)?;
        let failed = |source| HostError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if let Some(adversary) = config.adversary {
            warn!(%adversary, "this host misbehaves on purpose");
        }
        let signer = Signer { chain: chain.id(), host: config.address, key: config.key.clone() };
        let identity = Identity { chain: chain.id(), address: config.address, key: config.key };
        let core = Core::new(identity.clone(), config.adversary);
        let folder = config.data.join("host");
        let shared = Arc::new(Shared::new(chain, config.address, core, engine, share, folder));
        let stats = shared.stats.subscribe();
        let (mut routes, mut desk, mut prober) = (axum::Router::new(), None, None);
        if let Some(serving) = &config.serving {
            let store = serve::open(shared.folder.clone(), signer.clone()).await?;
            shared.take_up(identity, serving, Arc::<WorkStore>::clone(&store), config.adversary);
            let show: Arc<dyn ShowWork> = Arc::<Shared<_>>::clone(&shared);
            let taking = serve::desk(&shared, store, signer.clone(), serving, config.adversary);
            routes = routes.merge(serving::routes(Arc::clone(&taking)));
            routes = routes.merge(serving::verifier_routes(signer, show));
            prober = Some(Arc::new(Prober::new(Arc::clone(&taking))));
            desk = Some(taking);
        }
        let serve = {
            let (shared, mut stop) = (Arc::clone(&shared), stop.clone());
            let stopped = async move {
                raised(&mut stop).await;
                desk.inspect(|desk| desk.drain());
            };
            tokio::spawn(server::serve(listener, shared, routes, stopped))
        };
        let fetcher = Fetcher::new(config.allow_private);
        let follow = tokio::spawn(Driver::new(shared, fetcher, prober).follow(stop));
        info!(%address, host = %config.address, "openings are served");
        Ok(Self { address, stats, follow, serve })
    }

    /// Where openings are served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has done so far, and a way to wait for changes.
    pub fn stats(&self) -> watch::Receiver<Stats> {
        self.stats.clone()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`HostError`] if it did not end because it was told to.
    pub async fn join(self) -> Result<(), HostError> {
        self.follow.await.map_err(HostError::Part)?;
        self.serve.await.map_err(HostError::Part)?.map_err(HostError::Serve)
    }
}

/// Runs a host until `stop` becomes true.
///
/// # Errors
/// [`HostError`] if it cannot begin, or ends by itself.
pub async fn run(config: HostConfig, access: Access, stop: watch::Receiver<bool>) -> Result<(), HostError> {
    Host::start(config, access, stop).await?.join().await
}

/// Waits until a signal is raised, or its owner is gone.
async fn raised(signal: &mut watch::Receiver<bool>) {
    // The guard must not live across the caller's next await.
    drop(signal.wait_for(|raised| *raised).await);
}

/// Follows the chain, and starts what the core asks for.
struct Driver<C> {
    shared: Arc<Shared<C>>,
    fetcher: Fetcher,
    permits: Arc<Semaphore>,
    /// Fetches and races under way.
    tasks: JoinSet<()>,
    /// Stops the race of an epoch.
    racing: Option<(Epoch, Stop)>,
    /// Stops checks.
    checking: Stop,
    checks: mpsc::Sender<CheckOrder>,
    worker: Worker<C>,
    prober: Option<Arc<Prober>>,
}

impl<C: Chain> Driver<C> {
    fn new(shared: Arc<Shared<C>>, fetcher: Fetcher, prober: Option<Arc<Prober>>) -> Self {
        let (checks, mut orders) = mpsc::channel::<CheckOrder>(MAX_CHECKS);
        let (checking, mut tasks) = (Stop::default(), JoinSet::new());
        {
            let (shared, stop) = (Arc::clone(&shared), checking.clone());
            tasks.spawn_blocking(move || {
                while let Some(order) = orders.blocking_recv() {
                    let leaves = order.positions.len();
                    info_span!(target: TARGET, "duty check", epoch = order.epoch.0, host = %order.host, leaves)
                        .in_scope(|| shared.check(&order, stop.clone()));
                }
            });
        }
        let permits = Arc::new(Semaphore::new(MAX_FETCHES));
        let worker = Worker::new(Arc::clone(&shared), fetcher);
        Self { shared, fetcher, permits, tasks, racing: None, checking, checks, worker, prober }
    }

    async fn follow(mut self, mut stop: watch::Receiver<bool>) {
        let mut seen = Height::GENESIS;
        loop {
            tokio::select! {
                biased;
                () = raised(&mut stop) => break,
                more = self.shared.chain.wait(seen) => if !more { break },
                () = self.shared.wake.notified() => {}
                // What has ended is forgotten; a defect in one is none of the others.
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Err(defect) = ended {
                        error!(%defect, "a part of the host met a defect");
                    }
                    continue;
                }
            }
            let shared = Arc::clone(&self.shared);
            match tokio::task::spawn_blocking(move || shared.turn()).await {
                Ok((height, actions, work)) => {
                    seen = height;
                    actions.into_iter().for_each(|action| self.perform(action));
                    work.into_iter().for_each(|action| self.worker.perform(action, &mut self.tasks));
                    if let Some(prober) = &self.prober {
                        self.tasks.spawn(Arc::clone(prober).round());
                    }
                }
                Err(defect) => {
                    error!(%defect, "a step of the race met a defect; trying again at the next block");
                    seen = self.shared.chain.state().1;
                }
            }
        }
        self.end().await;
    }

    /// Stops everything. What was computed is recorded first.
    async fn end(mut self) {
        if let Some((_, stop)) = &self.racing {
            stop.stop();
        }
        self.checking.stop();
        drop(self.checks);
        // Fetches are bounded by their own time.
        while self.tasks.join_next().await.is_some() {}
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Race { epoch, seed, shape, from_nonce } => {
                self.race(RaceOrder { epoch, seed, shape, from_nonce });
            }
            Action::EndRace { epoch } => match self.racing.take_if(|(racing, _)| *racing == epoch) {
                Some((_, stop)) => stop.stop(),
                None => self.ended(epoch),
            },
            Action::Fetch { epoch, host, endpoints, key, member } => {
                let chain = self.shared.chain.id();
                let expected = Expected { chain, epoch, host, member, key };
                let endpoints: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
                self.fetch(expected, endpoints);
            }
            Action::Recompute { epoch, host, seed, shape, positions } => {
                let order = CheckOrder { epoch, host, seed, shape, positions };
                if let Err(
                    mpsc::error::TrySendError::Full(order) | mpsc::error::TrySendError::Closed(order),
                ) = self.checks.try_send(order)
                {
                    warn!(host = %order.host, "too many checks at a time; this one waits");
                    self.shared.core().not_recomputed(order.epoch, order.host, &order.positions);
                }
            }
            Action::Forget { epoch } => {
                let folder = self.shared.folder.clone();
                self.tasks.spawn_blocking(move || match record::forget(&folder, epoch) {
                    Ok(0) => {}
                    Ok(races) => debug!(races, %epoch, "records of old races are removed"),
                    Err(error) => warn!(%error, "records of old races cannot be removed"),
                });
            }
            // Sent in the turn itself.
            Action::Send(_) => {}
        }
    }

    fn race(&mut self, order: RaceOrder) {
        let stop = Stop::default();
        if let Some((_, before)) = self.racing.replace((order.epoch, stop.clone())) {
            before.stop();
        }
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            let epoch = order.epoch;
            let racing = Arc::clone(&shared);
            let span = info_span!(target: TARGET, "duty race", epoch = epoch.0, shape = %order.shape);
            let raced =
                tokio::task::spawn_blocking(move || span.in_scope(|| racing.race(&order, stop))).await;
            match raced {
                Ok(Ok(())) => {}
                Ok(Err(error)) => error!(%error, "this host cannot race; its weight in this epoch will be 0"),
                Err(defect) => error!(%defect, "the race met a defect; what was recorded counts"),
            }
            end_race(shared, epoch).await;
        });
    }

    fn ended(&mut self, epoch: Epoch) {
        self.tasks.spawn(end_race(Arc::clone(&self.shared), epoch));
    }

    fn fetch(&mut self, expected: Expected, endpoints: Vec<String>) {
        let (shared, fetcher) = (Arc::clone(&self.shared), self.fetcher);
        let permits = Arc::clone(&self.permits);
        self.tasks.spawn(async move {
            // Never closed.
            let _permit = permits.acquire_owned().await;
            let span = info_span!(target: TARGET, "duty fetch openings", epoch = expected.epoch.0, host = %expected.host);
            let answer = fetcher.fetch(&endpoints, &expected).instrument(span).await;
            if let Err(reason) = &answer {
                shared.count(|stats| stats.unreachable += 1);
                debug!(host = %expected.host, %reason, "a host does not show its openings");
            }
            // The core may be at work for a while.
            let told = tokio::task::spawn_blocking(move || {
                shared.core().opened(expected.epoch, expected.host, answer);
                shared.wake.notify_one();
            });
            let _ = told.await;
        });
    }
}

/// Tells the core that nothing more comes.
async fn end_race<C: Chain>(shared: Arc<Shared<C>>, epoch: Epoch) {
    let told = tokio::task::spawn_blocking(move || {
        shared.core().ended(epoch);
        shared.wake.notify_one();
    });
    let _ = told.await;
}
