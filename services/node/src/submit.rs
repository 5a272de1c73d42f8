//! The way of a transaction into the node: from its own clients, and from other nodes.

use std::sync::Arc;

use borsh::BorshDeserialize;
use freeway_primitives::Digest;
use freeway_store::Store;
use tokio::sync::mpsc;

use crate::duties::Outgoing;
use crate::feed::Feed;
use crate::mempool::journal::{Journal, JournalError};
use crate::mempool::{InsertError, Mempool, Pending};

/// The most transactions that are told again at a time.
const TOLD_AGAIN: usize = 256;
/// The most transactions in one gossip message.
const MAX_BATCH: usize = 4_096;

/// Takes in transactions. Cheap to clone.
#[derive(Clone)]
pub struct Submitter {
    store: Arc<Store>,
    mempool: Arc<Mempool>,
    feed: Feed,
    journal: Option<Journal>,
    outbox: mpsc::Sender<Outgoing>,
}

impl Submitter {
    /// A submitter; `outbox` leads to the peers.
    pub fn new(
        store: Arc<Store>,
        mempool: Arc<Mempool>,
        feed: Feed,
        journal: Option<Journal>,
        outbox: mpsc::Sender<Outgoing>,
    ) -> Self {
        Self { store, mempool, feed, journal, outbox }
    }

    /// Takes in transactions of a client: the hash of each that is accepted. When this returns, what was
    /// accepted survives a crash of the node.
    ///
    /// # Errors
    /// [`JournalError`] if it cannot be made durable; the node must stop.
    pub async fn submit(
        &self,
        batch: Vec<Vec<u8>>,
    ) -> Result<Vec<Result<Digest, InsertError>>, JournalError> {
        let this = self.clone();
        let inserted =
            tokio::task::spawn_blocking(move || this.insert(&batch, true)).await.unwrap_or_default();
        let accepted: Vec<Arc<Pending>> = inserted.iter().flatten().cloned().collect();
        if let Some(journal) = &self.journal
            && !accepted.is_empty()
        {
            journal.record(accepted.clone()).await?;
        }
        for pending in accepted {
            // A full outbox means that peers are slow; the transaction still waits here.
            let _ = self.outbox.try_send(Outgoing::Transaction(pending));
        }
        Ok(inserted.into_iter().map(|result| result.map(|pending| pending.hash)).collect())
    }

    /// Puts transactions from the journal back after a restart. Those that were included meanwhile, or have
    /// expired, drop out by themselves.
    pub fn restore(&self, batch: &[Vec<u8>]) -> usize {
        let inserted: Vec<_> = self.insert(batch, true).into_iter().flatten().collect();
        for pending in &inserted {
            let _ = self.outbox.try_send(Outgoing::Transaction(Arc::clone(pending)));
        }
        inserted.len()
    }

    /// Tells the peers again what clients of this node have waiting longest: when it was told first, peers may have
    /// been down, or this node may have had none.
    pub fn tell_again(&self) {
        for pending in self.mempool.local().into_iter().take(TOLD_AGAIN) {
            let _ = self.outbox.try_send(Outgoing::Transaction(pending));
        }
    }

    /// Takes in a gossip message. `Ok` tells whether it contained anything new.
    ///
    /// # Errors
    /// If the message is not a batch, or contains what no honest node passes on.
    pub fn receive(&self, message: &[u8]) -> Result<bool, BadGossip> {
        let batch = decode_batch(message)?;
        let mut fresh = false;
        for result in self.insert(&batch, false) {
            match result {
                Ok(_) => fresh = true,
                Err(error) if error.is_offence() => return Err(BadGossip(error.to_string())),
                Err(_) => {}
            }
        }
        Ok(fresh)
    }

    fn insert(&self, batch: &[Vec<u8>], local: bool) -> Vec<Result<Arc<Pending>, InsertError>> {
        // The height of the view itself: the chain may commit between two reads.
        let state = self.store.view();
        self.mempool.insert(&state, state.height(), batch, local)
    }

    /// The mempool.
    pub fn mempool(&self) -> &Arc<Mempool> {
        &self.mempool
    }

    /// The feed.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }
}

/// A gossip message that its neighbour should not have passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadGossip(pub(crate) String);

/// Joins transactions for one gossip message.
pub fn encode_batch(batch: &[Arc<Pending>]) -> Vec<u8> {
    let items: Vec<&[u8]> = batch.iter().map(|pending| pending.bytes.as_slice()).collect();
    borsh::to_vec(&items).unwrap_or_default()
}

fn decode_batch(message: &[u8]) -> Result<Vec<Vec<u8>>, BadGossip> {
    let batch = Vec::<Vec<u8>>::try_from_slice(message)
        .map_err(|error| BadGossip(format!("not a batch of transactions: {error}")))?;
    if batch.is_empty() || batch.len() > MAX_BATCH {
        return Err(BadGossip(format!("a batch of {} transactions", batch.len())));
    }
    Ok(batch)
}
