//! Between this node's own messages and the gossip network.
//!
//! A message is a byte that says what it is, eight that tell it from earlier ones (the network delivers equal bytes
//! once, and some things have to be said again), and the thing itself: a batch of transactions, or one
//! validator's shares of a beacon value.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use freeway_network::{DEFAULT_MAX_MESSAGE_BYTES, Handle, Incoming, Misbehaviour, PublishError, Verdict};
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

use crate::beacon::Keeper;
use crate::duties::Outgoing;
use crate::submit::{BadGossip, Submitter, encode_batch};

/// How long transactions gather before they are sent: fewer, fuller messages.
const GATHER: Duration = Duration::from_millis(20);
/// Bytes of transactions in a message; leaves room for lengths.
const MAX_BATCH_BYTES: usize = DEFAULT_MAX_MESSAGE_BYTES - (16 << 10);
/// Transactions in a message.
const MAX_BATCH: usize = 1_024;

const _: () = assert!(MAX_BATCH * 4 + MAX_BATCH_BYTES + 4 + HEAD <= DEFAULT_MAX_MESSAGE_BYTES);

/// What a message is, by its first byte.
const TRANSACTIONS: u8 = 0;
const PARTIALS: u8 = 1;
/// When this process began, in nanoseconds since 1970.
static BEGAN: OnceLock<u64> = OnceLock::new();
/// Bytes before the thing itself.
const HEAD: usize = 9;

/// Sends what the own clients submitted and what the own host has to say.
pub(super) async fn send(
    network: Handle,
    mut outbox: mpsc::Receiver<Outgoing>,
    mut ended: watch::Receiver<bool>,
) {
    let mut tick = tokio::time::interval(GATHER);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut carried = None;
    loop {
        let first = match carried.take() {
            Some(pending) => pending,
            None => tokio::select! {
                () = super::raised(&mut ended) => return,
                next = outbox.recv() => match next {
                    Some(Outgoing::Transaction(pending)) => pending,
                    Some(Outgoing::Partials(message)) => {
                        publish(&network, tagged(PARTIALS, &message), &mut tick, &ended).await;
                        continue;
                    }
                    None => return,
                },
            },
        };
        tick.tick().await;
        let mut bytes = first.bytes.len();
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH {
            let Ok(next) = outbox.try_recv() else { break };
            let next = match next {
                Outgoing::Transaction(next) => next,
                Outgoing::Partials(message) => {
                    publish(&network, tagged(PARTIALS, &message), &mut tick, &ended).await;
                    continue;
                }
            };
            if bytes + next.bytes.len() > MAX_BATCH_BYTES {
                carried = Some(next);
                break;
            }
            bytes += next.bytes.len();
            batch.push(next);
        }
        publish(&network, tagged(TRANSACTIONS, &encode_batch(&batch)), &mut tick, &ended).await;
    }
}

/// A message, unlike any before it.
fn tagged(tag: u8, thing: &[u8]) -> Vec<u8> {
    static SAID: AtomicU64 = AtomicU64::new(0);
    // Two runs of a process within the network's memory of messages are told apart by the clock.
    let began = *BEGAN.get_or_init(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
    });
    let number = began.wrapping_add(SAID.fetch_add(1, Ordering::Relaxed));
    let mut message = Vec::with_capacity(HEAD + thing.len());
    message.push(tag);
    message.extend(number.to_le_bytes());
    message.extend(thing);
    message
}

/// Publishes a message; waits while the network's queue is full.
async fn publish(
    network: &Handle,
    message: Vec<u8>,
    tick: &mut tokio::time::Interval,
    ended: &watch::Receiver<bool>,
) {
    loop {
        match network.publish(message.clone()) {
            Ok(()) => return,
            Err(PublishError::Full) if !*ended.borrow() => {
                tick.tick().await;
            }
            // Transactions wait in this node's mempool and go into its own blocks; shares are sent again.
            Err(error) => {
                debug!(%error, "a message was not gossiped");
                return;
            }
        }
    }
}

/// Judges a message by what it is.
fn judge(message: &[u8], submitter: &Submitter, beacon: &Keeper) -> Result<bool, BadGossip> {
    match message.split_at_checked(HEAD) {
        Some(([TRANSACTIONS, ..], batch)) => submitter.receive(batch),
        Some(([PARTIALS, ..], partials)) => beacon.receive(&submitter.store().view(), partials),
        _ => Err(BadGossip("neither transactions nor shares of a beacon value".into())),
    }
}

/// Takes in what other nodes send, and judges them by it.
pub(super) async fn receive(
    network: Handle,
    mut incoming: mpsc::Receiver<Incoming>,
    submitter: Submitter,
    beacon: Arc<Keeper>,
    mut ended: watch::Receiver<bool>,
) {
    loop {
        let message = tokio::select! {
            () = super::raised(&mut ended) => return,
            next = incoming.recv() => match next {
                Some(message) => message,
                None => return,
            },
        };
        let Incoming { from, id, bytes } = message;
        let (submitter, beacon) = (submitter.clone(), Arc::clone(&beacon));
        let judged = tokio::task::spawn_blocking(move || judge(&bytes, &submitter, &beacon)).await;
        let verdict = match judged {
            Ok(Ok(true)) => Verdict::Accept,
            // Nothing new: others have it too.
            Ok(Ok(false)) | Err(_) => Verdict::Ignore,
            Ok(Err(reason)) => {
                warn!(peer = %from, %reason, "a peer sent what no honest node passes on");
                network.report(from, Misbehaviour::Malformed);
                Verdict::Reject
            }
        };
        network.verdict(id, from, verdict);
    }
}
