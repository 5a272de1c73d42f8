//! The server: its routes, its state, its beginning and its end.

mod body;
mod chat;
mod completions;
mod embeddings;
mod guard;
mod listener;
mod models;
mod openapi;
pub(crate) mod phase;
mod prepare;
mod receipts;
mod routes;
mod status;

use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use freeway_engines::Registry;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::answer::cancels::Cancels;
use crate::books::Books;
use crate::config::{Access, Config, Limits, Payment, StartError};
use crate::keys::{Holder, KeyHash};
use crate::lanes::LaneEngine;
use crate::metrics::Metrics;
use crate::pass::PassFolder;
use crate::pass::desk::Desk;
use crate::text::Texts;
use listener::{Activity, Bounded, IDLE_TIMEOUT};
use phase::{Phase, Phases};

pub use openapi::openapi;
pub use routes::routes;

/// From the error events of streams to the end of their connections.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What all requests share.
pub(crate) struct Server {
    engines: Arc<Registry>,
    limits: Limits,
    cors: Vec<String>,
    /// The keys; `None` if none is needed.
    accounts: Option<Vec<(KeyHash, Arc<Holder>)>>,
    /// Where passes are looked at.
    desk: Option<Desk>,
    /// What was spent.
    books: Arc<Books>,
    payment: Option<Payment>,
    /// The base of the addresses of what is paid for.
    base: String,
    texts: Texts,
    metrics: Arc<Metrics>,
    lanes: Option<Arc<LaneEngine>>,
    /// Requests that clients leave where hosts are paid.
    cancels: Arc<Cancels>,
    /// Room for bodies.
    bodies: Arc<Semaphore>,
    /// Places for requests that are worked on.
    running: Arc<Semaphore>,
    phases: Phases,
}

impl Server {
    fn new(config: &Config, engines: Arc<Registry>, books: Arc<Books>, phases: Phases) -> Self {
        let mut limits = config.limits.clone();
        // Or connections of silent streams would be taken for dead.
        limits.keep_alive = limits.keep_alive.min(IDLE_TIMEOUT / 3);
        let units = body::units(limits.total_body_bytes.max(limits.max_body_bytes)) as usize;
        let accounts = match &config.access {
            Access::Open => None,
            Access::Keys(keys) => Some(keys.accounts(Instant::now())),
        };
        Self {
            engines,
            cors: config.cors.clone(),
            desk: config.passes.as_ref().map(|folder| {
                let network = config.payment.as_ref().map(|payment| payment.network.clone());
                Desk::new(PassFolder::new(folder), network)
            }),
            books,
            payment: config.payment.clone(),
            base: format!("http://{}", config.listen),
            accounts,
            texts: Texts::default(),
            metrics: Arc::new(Metrics::new()),
            lanes: config.lanes.clone(),
            cancels: Arc::default(),
            bodies: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
            running: Arc::new(Semaphore::new(limits.max_requests.min(Semaphore::MAX_PERMITS))),
            limits,
            phases,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn phases(&self) -> Phases {
        self.phases.clone()
    }
}

/// The routes without a listener, for tests and for other servers. What was spent is forgotten with them.
pub fn router(config: &Config, engines: Arc<Registry>) -> Router {
    // Without a sender it serves for ever.
    let (_, phases) = Phases::new();
    routes::router(Arc::new(Server::new(config, engines, Books::in_memory(), phases)))
}

/// Starts gateways.
#[derive(Debug)]
pub struct Gateway;

impl Gateway {
    /// Listens on `config.listen` and serves the models of `engines`, which may change meanwhile.
    ///
    /// # Errors
    /// If the set-up makes no sense or the address cannot be used.
    pub async fn start(config: Config, engines: Arc<Registry>) -> Result<Running, StartError> {
        config.check()?;
        let listen = |error| StartError::Listen { address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        Self::serve_on(listener, config, engines).await
    }

    /// The same on a listener that is there already; `config.listen` is ignored.
    ///
    /// # Errors
    /// If the set-up makes no sense, or the listener is of no use.
    pub async fn serve_on(
        listener: TcpListener,
        mut config: Config,
        engines: Arc<Registry>,
    ) -> Result<Running, StartError> {
        let address =
            listener.local_addr().map_err(|error| StartError::Listen { address: config.listen, error })?;
        config.listen = address;
        config.check()?;
        let (phase, phases) = Phases::new();
        let books = match &config.data {
            Some(data) => Books::open(data, crate::answer::now())?,
            None => Books::in_memory(),
        };
        let server = Arc::new(Server::new(&config, engines, books, phases.clone()));
        let app = routes::router(server).into_make_service_with_connect_info::<Activity>();
        let listener = Bounded::new(listener, config.limits.max_connections, phases.clone());
        let mut draining = phases;
        let stop = async move { draining.reached(Phase::Draining).await };
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop).await {
                tracing::error!(%error, "the gateway's listener failed");
            }
        });
        tracing::info!(%address, "the gateway is listening");
        Ok(Running { address, phase, serving })
    }
}

/// A gateway that runs. It stops when this is dropped; [`Running::shutdown`] is kinder.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    phase: watch::Sender<Phase>,
    serving: JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The base address for clients, such as `http://127.0.0.1:8080/v1`.
    pub fn api(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Stops: no new requests, and those that run have until `deadline` to end. What is not done then is told so with
    /// an error, and cut.
    pub async fn shutdown(mut self, deadline: Duration) {
        self.phase.send_replace(Phase::Draining);
        if tokio::time::timeout(deadline, &mut self.serving).await.is_ok() {
            return;
        }
        self.phase.send_replace(Phase::Cut);
        // An error means that some client does not even read that.
        let _ = tokio::time::timeout(LAST_WORDS, &mut self.serving).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Closed);
        self.serving.abort();
    }
}

#[cfg(test)]
mod tests;
