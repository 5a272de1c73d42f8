//! Watching: blocks as they come, and what the processes cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use eyre::{Result, bail};
use freeway_api::{Client, StreamItem};
use freeway_e2e::Usage;
use freeway_primitives::Digest;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::offer::Offered;

/// How long the network may take to include what was acknowledged.
const SETTLE: Duration = Duration::from_secs(60);

/// A block as it arrived.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    /// From the time in its header to its arrival here.
    pub(crate) age: Duration,
    pub(crate) transactions: Vec<Digest>,
}

/// How many transactions were taken and included, for senders that keep their distance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) taken: Arc<AtomicU64>,
    pub(crate) included: Arc<AtomicU64>,
}

/// Follows the blocks of one node.
pub(crate) struct Observer {
    counts: Counts,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<Vec<Seen>>>,
}

impl Observer {
    pub(crate) async fn start(client: &Client) -> Result<Self> {
        let mut events = client.events(None).await?;
        let counts = Counts::default();
        let included = Arc::clone(&counts.included);
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut blocks = Vec::new();
            loop {
                let item = tokio::select! {
                    item = events.next() => item?,
                    _ = stopped.changed() => return Ok(blocks),
                };
                match item {
                    Some(StreamItem::Block(block)) => {
                        let at = Instant::now();
                        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
                        let age = now.saturating_sub(Duration::from_millis(block.time_ms));
                        included.fetch_add(block.transactions.len() as u64, Ordering::Relaxed);
                        let transactions =
                            block.transactions.into_iter().map(|receipt| receipt.hash).collect();
                        blocks.push(Seen { at, age, transactions });
                    }
                    Some(StreamItem::Lagged(lagged)) => bail!("the observer missed {} blocks", lagged.missed),
                    None => bail!("the node ended the stream"),
                }
            }
        });
        Ok(Self { counts, stop, task })
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Waits until everything that was acknowledged is included, or does not become so.
    pub(crate) async fn settle(&self, offered: &Offered) {
        let end = Instant::now() + SETTLE;
        let all = offered.acknowledged.len() as u64;
        while self.counts.included.load(Ordering::Relaxed) < all && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn end(self) -> Result<Vec<Seen>> {
        self.stop.send_replace(true);
        self.task.await?
    }
}

/// What all nodes have used up to a moment.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    at: Instant,
    nodes: Vec<Usage>,
    own: Usage,
}

/// What was used between two moments.
#[derive(Clone, Debug)]
pub(crate) struct Spent {
    pub(crate) time: Duration,
    /// Processor seconds of each node.
    pub(crate) cpu_s: Vec<f64>,
    /// Memory of each node at the end.
    pub(crate) rss_bytes: Vec<u64>,
    /// Processor seconds of this program.
    pub(crate) own_cpu_s: f64,
}

impl Costs {
    pub(crate) fn read(pids: &[u32]) -> Self {
        let nodes = pids.iter().map(|pid| Usage::of(*pid).unwrap_or_default()).collect();
        Self { at: Instant::now(), nodes, own: Usage::of(std::process::id()).unwrap_or_default() }
    }

    pub(crate) fn since(&self, before: &Self) -> Spent {
        Spent {
            time: self.at - before.at,
            cpu_s: self.nodes.iter().zip(&before.nodes).map(|(now, then)| now.cpu_s - then.cpu_s).collect(),
            rss_bytes: self.nodes.iter().map(|node| node.rss_bytes).collect(),
            own_cpu_s: self.own.cpu_s - before.own.cpu_s,
        }
    }
}

/// The mean of `block_work_ms` of each node, from its metrics.
pub(crate) async fn block_work(clients: &[Client]) -> Vec<f64> {
    let mut means = Vec::new();
    for client in clients {
        let text = client.metrics().await.unwrap_or_default();
        let value = |end: &str| {
            text.lines()
                .filter(|line| {
                    line.split([' ', '{'])
                        .next()
                        .is_some_and(|n| n.ends_with(&format!("block_work_ms_{end}")))
                })
                .find_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        means.push(value("sum") / value("count").max(1.0));
    }
    means
}
