//! Sends the transfers.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use eyre::Result;
use freeway_api::Client;
use freeway_primitives::Digest;
use futures::future::try_join_all;

use crate::Rate;
use crate::measure::Observer;

/// How often each node gets a batch.
const TICK: Duration = Duration::from_millis(50);
/// With `--rate max`: transactions under way at a time, over all nodes. Two or three full blocks.
const UNDER_WAY: u64 = 12_000;
/// The most transactions in one request.
const MAX_BATCH: usize = 1_000;

/// What was sent and taken.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    /// When each transaction was acknowledged, and by which node.
    pub(crate) acknowledged: Vec<(Digest, Instant, usize)>,
    /// Refusals by code.
    pub(crate) refused: BTreeMap<String, u64>,
    /// How long sending took.
    pub(crate) time: Duration,
    /// The times of requests, sorted.
    pub(crate) requests: Vec<Duration>,
}

/// Sends to all nodes for `time`.
pub(crate) async fn run(
    clients: &[Client],
    transfers: Vec<Vec<Vec<u8>>>,
    rate: Rate,
    time: Duration,
    observer: &Observer,
) -> Result<Offered> {
    let count = clients.len();
    let mut queues: Vec<Vec<std::vec::IntoIter<Vec<u8>>>> = (0..count).map(|_| Vec::new()).collect();
    for (at, of_one) in transfers.into_iter().enumerate() {
        queues[at % count].push(of_one.into_iter());
    }
    let start = Instant::now();
    let senders = queues.into_iter().enumerate().map(|(node, queue)| {
        tokio::spawn(send(clients[node].clone(), node, count, queue, rate, start + time, observer.counts()))
    });
    let mut all = Offered::default();
    for part in try_join_all(senders).await? {
        let part = part?;
        all.acknowledged.extend(part.acknowledged);
        all.requests.extend(part.requests);
        for (code, count) in part.refused {
            *all.refused.entry(code).or_default() += count;
        }
    }
    all.time = start.elapsed();
    all.requests.sort_unstable();
    Ok(all)
}

async fn send(
    client: Client,
    node: usize,
    nodes: usize,
    mut queue: Vec<std::vec::IntoIter<Vec<u8>>>,
    rate: Rate,
    end: Instant,
    counts: crate::measure::Counts,
) -> Result<Offered> {
    let mut part = Offered::default();
    let started = Instant::now();
    let mut tick = tokio::time::interval(TICK);
    let mut sent = 0u64;
    let mut turn = 0;
    while Instant::now() < end {
        tick.tick().await;
        let due = match rate {
            Rate::Fixed(rate) => {
                let due = started.elapsed().as_millis() as u64 * rate / 1_000 / nodes as u64;
                due.saturating_sub(sent)
            }
            Rate::Max => {
                let taken = counts.taken.load(Ordering::Relaxed);
                let under_way = taken.saturating_sub(counts.included.load(Ordering::Relaxed));
                UNDER_WAY.saturating_sub(under_way) / nodes as u64
            }
        };
        let mut batch = Vec::new();
        let mut idle = 0;
        // Round robin, so that no account is ahead of its quota.
        while batch.len() < (due as usize).min(MAX_BATCH) && idle < queue.len() {
            let at = turn % queue.len();
            turn += 1;
            match queue[at].next() {
                Some(transfer) => {
                    batch.push(transfer);
                    idle = 0;
                }
                None => idle += 1,
            }
        }
        if batch.is_empty() {
            if idle > 0 {
                break;
            }
            continue;
        }
        sent += batch.len() as u64;
        let asked = Instant::now();
        let answers = client.submit_many(&batch).await?;
        let now = Instant::now();
        part.requests.push(now - asked);
        for answer in answers {
            match answer {
                Ok(hash) => {
                    counts.taken.fetch_add(1, Ordering::Relaxed);
                    part.acknowledged.push((hash, now, node));
                }
                Err(error) => *part.refused.entry(error.code).or_default() += 1,
            }
        }
    }
    Ok(part)
}
