//! Between the submitter and the gossip network.

use std::sync::Arc;
use std::time::Duration;

use freeway_network::{DEFAULT_MAX_MESSAGE_BYTES, Handle, Incoming, Misbehaviour, PublishError, Verdict};
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

use crate::mempool::Pending;
use crate::submit::{Submitter, encode_batch};

/// How long transactions gather before they are sent: fewer, fuller messages.
const GATHER: Duration = Duration::from_millis(20);
/// Bytes of transactions in a message; leaves room for lengths.
const MAX_BATCH_BYTES: usize = DEFAULT_MAX_MESSAGE_BYTES - (16 << 10);
/// Transactions in a message.
const MAX_BATCH: usize = 1_024;

const _: () = assert!(MAX_BATCH * 4 + MAX_BATCH_BYTES + 4 <= DEFAULT_MAX_MESSAGE_BYTES);

/// Sends what the own clients submitted.
pub(super) async fn send(
    network: Handle,
    mut outbox: mpsc::Receiver<Arc<Pending>>,
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
                    Some(pending) => pending,
                    None => return,
                },
            },
        };
        tick.tick().await;
        let mut bytes = first.bytes.len();
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH {
            let Ok(next) = outbox.try_recv() else { break };
            if bytes + next.bytes.len() > MAX_BATCH_BYTES {
                carried = Some(next);
                break;
            }
            bytes += next.bytes.len();
            batch.push(next);
        }
        let message = encode_batch(&batch);
        loop {
            match network.publish(message.clone()) {
                Ok(()) => break,
                Err(PublishError::Full) => {
                    if *ended.borrow() {
                        return;
                    }
                    tick.tick().await;
                }
                // They wait in this node's mempool and go into its own blocks.
                Err(error) => {
                    debug!(%error, transactions = batch.len(), "transactions were not gossiped");
                    break;
                }
            }
        }
    }
}

/// Takes in what other nodes send, and judges them by it.
pub(super) async fn receive(
    network: Handle,
    mut incoming: mpsc::Receiver<Incoming>,
    submitter: Submitter,
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
        let submitter = submitter.clone();
        let judged = tokio::task::spawn_blocking(move || submitter.receive(&bytes)).await;
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
