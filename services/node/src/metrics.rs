//! What a node counts and measures, in the text format of Prometheus.
//!
//! Blocks are counted by [`follow`], requests by the RPC server; what is a reading rather than a count (the
//! mempool, peers, heights of the store, memory) is taken when somebody asks, by [`Metrics::sample`].

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Instant;

use freeway_ledger::lanes::Event as LaneEvent;
use freeway_ledger::{Event, Outcome};
use freeway_network::Counters;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use crate::feed::{Committed, Tip};
use crate::rpc::Context;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct GossipLabels {
    what: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HostLabels {
    what: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LaneLabels {
    what: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

/// A reading of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Waiting transactions.
    pub mempool_transactions: u64,
    /// Their bytes.
    pub mempool_bytes: u64,
    /// Peers that take part in the network.
    pub peers: u64,
    /// Totals of gossip.
    pub gossip: Counters,
    /// The height up to which the state is on disk.
    pub flushed_height: u64,
    /// The latest block on disk.
    pub block_height: u64,
    /// The lowest block that is kept.
    pub oldest_block: u64,
    /// Open event streams.
    pub event_streams: u64,
}

/// The metrics of one node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    height: Gauge,
    epoch: Gauge,
    block_time: Gauge,
    blocks: Counter,
    transactions: Family<OutcomeLabels, Counter>,
    block_work: Histogram,
    block_bytes: Histogram,
    block_interval: Histogram,
    mempool_transactions: Gauge,
    mempool_bytes: Gauge,
    peers: Gauge,
    gossip: Family<GossipLabels, Counter<u64, AtomicU64>>,
    host: Family<HostLabels, Counter<f64, AtomicU64>>,
    lanes: Family<LaneLabels, Counter>,
    fees: Family<LaneLabels, Counter<f64, AtomicU64>>,
    flushed_height: Gauge,
    stored_height: Gauge,
    oldest_block: Gauge,
    event_streams: Gauge,
    resident_memory: Gauge,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabels, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn request_histogram() -> Histogram {
    // 0.25 ms to 65 s, by factors of four.
    Histogram::new(exponential_buckets(0.000_25, 4.0, 10))
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut this = Self {
            registry: Registry::with_prefix("freeway"),
            height: Gauge::default(),
            epoch: Gauge::default(),
            block_time: Gauge::default(),
            blocks: Counter::default(),
            transactions: Family::default(),
            // 0.5 ms to 8 s.
            block_work: Histogram::new(exponential_buckets(0.5, 2.0, 15)),
            // 256 bytes to 4 MiB.
            block_bytes: Histogram::new(exponential_buckets(256.0, 4.0, 8)),
            // 50 ms to 51 s.
            block_interval: Histogram::new(exponential_buckets(0.05, 2.0, 11)),
            mempool_transactions: Gauge::default(),
            mempool_bytes: Gauge::default(),
            peers: Gauge::default(),
            gossip: Family::default(),
            host: Family::default(),
            lanes: Family::default(),
            fees: Family::default(),
            flushed_height: Gauge::default(),
            stored_height: Gauge::default(),
            oldest_block: Gauge::default(),
            event_streams: Gauge::default(),
            resident_memory: Gauge::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(request_histogram),
        };
        this.register();
        this
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("height", "Latest committed height", self.height.clone());
        r.register("epoch", "Current epoch", self.epoch.clone());
        r.register(
            "block_time_ms",
            "Time of the latest block in milliseconds since 1970",
            self.block_time.clone(),
        );
        r.register("blocks", "Blocks committed since the start", self.blocks.clone());
        r.register("transactions", "Transactions in committed blocks, by outcome", self.transactions.clone());
        r.register(
            "block_work_ms",
            "From the start of building or judging a block to its commit, in milliseconds",
            self.block_work.clone(),
        );
        r.register_with_unit("block", "Length of committed blocks", Unit::Bytes, self.block_bytes.clone());
        r.register_with_unit(
            "finality_interval",
            "Time from commit to commit",
            Unit::Seconds,
            self.block_interval.clone(),
        );
        r.register("mempool_transactions", "Waiting transactions", self.mempool_transactions.clone());
        r.register_with_unit("mempool", "Waiting transactions", Unit::Bytes, self.mempool_bytes.clone());
        r.register("peers", "Connected peers of this network", self.peers.clone());
        r.register("gossip", "Totals of transaction gossip", self.gossip.clone());
        r.register("host", "Totals of the host that sprints in this process", self.host.clone());
        r.register(
            "lanes",
            "Lanes of the network in committed blocks, by what became of them",
            self.lanes.clone(),
        );
        r.register(
            "lane_fees_nfwy",
            "Settled in committed blocks, in base units: fees that left lanes, and of them what hosts got",
            self.fees.clone(),
        );
        r.register(
            "state_flushed_height",
            "Height up to which the state is on disk",
            self.flushed_height.clone(),
        );
        r.register("store_height", "Latest block on disk", self.stored_height.clone());
        r.register("store_oldest_height", "Lowest block that is kept", self.oldest_block.clone());
        r.register("rpc_event_streams", "Open event streams", self.event_streams.clone());
        r.register_with_unit(
            "resident_memory",
            "Resident memory of the process",
            Unit::Bytes,
            self.resident_memory.clone(),
        );
        r.register("rpc_requests", "Requests by method, route and status", self.requests.clone());
        r.register_with_unit(
            "rpc_request",
            "Time to the head of the answer, by route",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
    }

    /// The chain stands at `tip`.
    pub fn at(&self, tip: &Tip) {
        self.height.set(signed(tip.height.0));
        self.epoch.set(signed(tip.clock.epoch.0));
        self.block_time.set(signed(tip.time_ms));
    }

    /// A block was committed, `interval` seconds after the one before, if that is known.
    pub fn committed(&self, block: &Committed, interval: Option<f64>) {
        self.blocks.inc();
        self.block_work.observe(block.work_ms);
        self.block_bytes.observe(block.bytes as f64);
        if let Some(interval) = interval {
            self.block_interval.observe(interval);
        }
        let done = block.receipts.iter().filter(|receipt| receipt.outcome == Outcome::Done).count() as u64;
        let failed = block.receipts.len() as u64 - done;
        for (outcome, count) in [("done", done), ("failed", failed)] {
            self.transactions.get_or_create(&OutcomeLabels { outcome }).inc_by(count);
        }
        for event in block.events.iter().chain(block.receipts.iter().flat_map(|receipt| &receipt.events)) {
            if let Event::Lanes(event) = event {
                self.lane(event);
            }
        }
    }

    /// Something became of a lane.
    fn lane(&self, event: &LaneEvent) {
        let what = match event {
            LaneEvent::Opened { .. } => "opened",
            LaneEvent::Drawn { .. } => "drawn",
            LaneEvent::NoHosts { .. } => "no_hosts",
            LaneEvent::NoRandomness { .. } => "no_randomness",
            LaneEvent::ToppedUp { .. } => "topped_up",
            LaneEvent::Closing { .. } => "closing",
            LaneEvent::Settled { fees, paid, .. } => {
                for (what, amount) in [("fees", fees), ("paid", paid)] {
                    self.fees.get_or_create(&LaneLabels { what }).inc_by(amount.0 as f64);
                }
                "settled"
            }
            LaneEvent::Ended { .. } => "ended",
            LaneEvent::Forfeited { .. } => "forfeited",
        };
        self.lanes.get_or_create(&LaneLabels { what }).inc();
    }

    /// Takes in totals of the host that sprints in this process, by their names.
    pub fn host(&self, totals: &[(&'static str, f64)]) {
        for (what, total) in totals {
            let counter = self.host.get_or_create(&HostLabels { what });
            counter.inner().store(total.to_bits(), Ordering::Relaxed);
        }
    }

    /// A request was answered.
    pub fn answered(&self, method: &'static str, route: &str, status: u16, seconds: f64) {
        let route = route.to_owned();
        self.request_seconds.get_or_create(&RouteLabels { route: route.clone() }).observe(seconds);
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    }

    /// Takes in a reading.
    pub fn sample(&self, sample: &Sample) {
        self.mempool_transactions.set(signed(sample.mempool_transactions));
        self.mempool_bytes.set(signed(sample.mempool_bytes));
        self.peers.set(signed(sample.peers));
        self.flushed_height.set(signed(sample.flushed_height));
        self.stored_height.set(signed(sample.block_height));
        self.oldest_block.set(signed(sample.oldest_block));
        self.event_streams.set(signed(sample.event_streams));
        if let Some(bytes) = resident_bytes() {
            self.resident_memory.set(signed(bytes));
        }
        let g = &sample.gossip;
        for (what, total) in [
            ("received", g.received),
            ("received_bytes", g.received_bytes),
            ("published", g.published),
            ("published_bytes", g.published_bytes),
            ("unpublished", g.unpublished),
            ("accepted", g.accepted),
            ("rejected", g.rejected),
            ("ignored", g.ignored),
            ("dropped", g.dropped),
            ("unjudged", g.unjudged),
            ("connections", g.connections),
            ("refused", g.refused),
            ("foreign", g.foreign),
            ("dials", g.dials),
            ("failed_dials", g.failed_dials),
            ("bans", g.bans),
        ] {
            self.gossip.get_or_create(&GossipLabels { what }).inner().store(total, Ordering::Relaxed);
        }
    }

    /// All metrics as text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Resident memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// Counts committed blocks until `stop` is set or the feed ends.
pub async fn follow(context: Arc<Context>, stop: watch::Receiver<bool>) {
    let metrics = &context.metrics;
    let mut blocks = context.feed.blocks();
    let tip = context.feed.tip();
    metrics.at(&tip.borrow());
    let mut last: Option<Instant> = None;
    let mut stopped = core::pin::pin!(crate::rpc::stopped(stop));
    loop {
        let block = tokio::select! {
            block = blocks.recv() => block,
            () = &mut stopped => return,
        };
        match block {
            Ok(block) => {
                let now = Instant::now();
                metrics.at(&tip.borrow());
                metrics.committed(&block, last.map(|last| now.duration_since(last).as_secs_f64()));
                last = Some(now);
            }
            Err(RecvError::Lagged(missed)) => {
                metrics.blocks.inc_by(missed);
                last = None;
            }
            Err(RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freeway_primitives::{Address, Amount};
    use freeway_proofs::work::LaneId;

    #[test]
    fn lanes_and_what_hosts_got_are_counted() {
        let metrics = Metrics::new();
        let (lane, host) = (LaneId(1), Address([1; 32]));
        let settled = |fees, paid| LaneEvent::Settled { lane, host, fees: Amount(fees), paid: Amount(paid) };
        for event in [settled(10, 9), settled(5, 4), LaneEvent::NoHosts { lane }] {
            metrics.lane(&event);
        }
        let text = metrics.render();
        for line in [
            "freeway_lanes_total{what=\"settled\"} 2",
            "freeway_lanes_total{what=\"no_hosts\"} 1",
            "freeway_lane_fees_nfwy_total{what=\"fees\"} 15.0",
            "freeway_lane_fees_nfwy_total{what=\"paid\"} 13.0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
