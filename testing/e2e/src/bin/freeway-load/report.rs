//! What was measured.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use freeway_primitives::Digest;
use serde::Serialize;

use crate::measure::{Seen, Spent};
use crate::offer::Offered;

/// Blocks with transactions that are left out at both ends: the network was filling or emptying.
const EDGE: usize = 2;

/// Everything that a report is made of.
pub(crate) struct Measured<'a> {
    pub(crate) hosts: usize,
    pub(crate) offered: &'a Offered,
    pub(crate) blocks: &'a [Seen],
    pub(crate) load: Spent,
    pub(crate) idle: Spent,
    pub(crate) work: Vec<f64>,
    pub(crate) compared: u64,
}

/// Percentiles in milliseconds.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Percentiles {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |part: f64| {
            let index = (times.len() as f64 * part) as usize;
            times.get(index.min(times.len().saturating_sub(1))).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        Self { p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

/// What one node used.
#[derive(Debug, Serialize)]
pub(crate) struct NodeCost {
    /// Share of one core under load.
    pub(crate) load_cpu_percent: f64,
    /// Processor seconds under load.
    pub(crate) load_cpu_s: f64,
    pub(crate) load_rss_mb: f64,
    pub(crate) idle_cpu_percent: f64,
    pub(crate) idle_rss_mb: f64,
    /// Mean time from beginning to build or judge a block to its commit.
    pub(crate) block_work_ms: f64,
}

/// The report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) hosts: usize,
    pub(crate) offered_s: f64,
    pub(crate) acknowledged: usize,
    pub(crate) included: usize,
    pub(crate) refused: BTreeMap<String, u64>,
    /// Over the steady window.
    pub(crate) included_per_s: f64,
    pub(crate) window_s: f64,
    pub(crate) window_blocks: usize,
    pub(crate) largest_block: usize,
    /// From acknowledgement at one node to inclusion seen at another.
    pub(crate) finality: Percentiles,
    /// From the time in a block's header to its arrival.
    pub(crate) block_age: Percentiles,
    pub(crate) block_interval: Percentiles,
    pub(crate) request: Percentiles,
    pub(crate) nodes: Vec<NodeCost>,
    /// Processor seconds of the load itself.
    pub(crate) generator_cpu_s: f64,
    /// Height up to which all nodes were found to agree.
    pub(crate) agreed_height: u64,
}

impl Report {
    pub(crate) fn new(measured: Measured<'_>) -> Self {
        let Measured { hosts, offered, blocks, load, idle, work, compared } = measured;
        let seen: HashMap<Digest, Instant> =
            blocks.iter().flat_map(|block| block.transactions.iter().map(|hash| (*hash, block.at))).collect();
        // The observer listens to the last node.
        let elsewhere = offered.acknowledged.iter().filter(|(_, _, node)| hosts == 1 || node + 1 != hosts);
        let finality =
            elsewhere.filter_map(|(hash, at, _)| Some(seen.get(hash)?.saturating_duration_since(*at)));
        let full: Vec<&Seen> = blocks.iter().filter(|block| !block.transactions.is_empty()).collect();
        let window = if full.len() > 2 * EDGE + 1 { &full[EDGE..full.len() - EDGE] } else { &full[..] };
        let window_s = match window {
            [first, .., last] => (last.at - first.at).as_secs_f64(),
            _ => 0.0,
        };
        // The first block's transactions came before the window began.
        let within: usize = window.iter().skip(1).map(|block| block.transactions.len()).sum();
        let cost = |at: usize| NodeCost {
            load_cpu_percent: 100.0 * load.cpu_s[at] / load.time.as_secs_f64(),
            load_cpu_s: load.cpu_s[at],
            load_rss_mb: load.rss_bytes[at] as f64 / 1e6,
            idle_cpu_percent: 100.0 * idle.cpu_s[at] / idle.time.as_secs_f64().max(1e-9),
            idle_rss_mb: idle.rss_bytes[at] as f64 / 1e6,
            block_work_ms: work.get(at).copied().unwrap_or_default(),
        };
        Self {
            hosts,
            offered_s: offered.time.as_secs_f64(),
            acknowledged: offered.acknowledged.len(),
            included: offered.acknowledged.iter().filter(|(hash, ..)| seen.contains_key(hash)).count(),
            refused: offered.refused.clone(),
            included_per_s: if window_s > 0.0 { within as f64 / window_s } else { 0.0 },
            window_s,
            window_blocks: window.len(),
            largest_block: full.iter().map(|block| block.transactions.len()).max().unwrap_or_default(),
            finality: Percentiles::of(finality.collect()),
            block_age: Percentiles::of(window.iter().map(|block| block.age).collect()),
            block_interval: Percentiles::of(window.windows(2).map(|pair| pair[1].at - pair[0].at).collect()),
            request: Percentiles::of(offered.requests.clone()),
            nodes: (0..hosts).map(cost).collect(),
            generator_cpu_s: load.own_cpu_s,
            agreed_height: compared,
        }
    }
}
