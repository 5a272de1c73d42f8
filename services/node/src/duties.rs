//! Duties: what this node's host owes the protocol, signed by its consensus key and sent on its way.
//!
//! A duty is never lost by being forgotten here: whoever owes one asks the state after every block whether it
//! is still due, and sends it again if nothing of this host waits for a block. That needs no journal and
//! survives every crash.

use std::sync::{Arc, Mutex, PoisonError};

use freeway_ledger::{Body, Fault, Message, accounts};
use freeway_primitives::{Address, Canonical, ChainId, Height, SecretKey};
use freeway_store::Store;
use tokio::sync::mpsc;
use tracing::warn;

use crate::mempool::{Mempool, Pending};

/// Blocks that a duty may wait for inclusion; after that it is signed anew if it is still due.
const LIFETIME: u64 = 12;
/// Messages for peers that wait to be sent; beyond, they are dropped and made again when due.
pub const OUTBOX: usize = 16_384;

/// What a node tells its peers.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// A transaction that this node accepted.
    Transaction(Arc<Pending>),
    /// Shares of a beacon value, encoded.
    Partials(Vec<u8>),
}

struct Inner {
    chain: ChainId,
    host: Address,
    key: SecretKey,
    store: Arc<Store>,
    mempool: Arc<Mempool>,
    outbox: mpsc::Sender<Outgoing>,
    /// Held while sequence numbers are given out.
    order: Mutex<()>,
}

/// Signs and sends the duties of one host. Cheap to clone.
#[derive(Clone)]
pub struct Duties(Arc<Inner>);

impl Duties {
    /// The duties of `host`, whose consensus key is `key`; `outbox` leads to the peers.
    pub fn new(
        chain: ChainId,
        host: Address,
        key: SecretKey,
        store: Arc<Store>,
        mempool: Arc<Mempool>,
        outbox: mpsc::Sender<Outgoing>,
    ) -> Self {
        Self(Arc::new(Inner { chain, host, key, store, mempool, outbox, order: Mutex::default() }))
    }

    /// The host.
    pub fn host(&self) -> Address {
        self.0.host
    }

    /// The key that signs.
    pub fn key(&self) -> &SecretKey {
        &self.0.key
    }

    /// Whether something that this key signed for its host still waits for a block.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    pub fn waiting(&self) -> Result<bool, Fault> {
        let Inner { host, key, store, mempool, .. } = &*self.0;
        let signer = Address::of(&key.public());
        let next = accounts::next_sequence(&store.view(), host, &signer)?;
        Ok(next.is_some_and(|next| mempool.next_sequence(host, &signer, next) > next))
    }

    /// Signs these messages in order, puts them into the mempool and tells the peers. How many were accepted:
    /// the rest is due again after the next block.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    pub fn send(&self, messages: Vec<Message>) -> Result<usize, Fault> {
        self.send_for(messages, LIFETIME)
    }

    /// As [`Duties::send`], for what is sent once: it may wait for so many blocks.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    pub fn send_for(&self, messages: Vec<Message>, lifetime: u64) -> Result<usize, Fault> {
        if messages.is_empty() {
            return Ok(0);
        }
        let Inner { chain, host, key, store, mempool, outbox, order } = &*self.0;
        let _order = order.lock().unwrap_or_else(PoisonError::into_inner);
        let state = store.view();
        let height: Height = state.height();
        let public = key.public();
        let signer = Address::of(&public);
        let Some(next) = accounts::next_sequence(&state, host, &signer)? else {
            warn!("this node's key may not act for its host yet; its duties wait");
            return Ok(0);
        };
        let mut sequence = mempool.next_sequence(host, &signer, next);
        let mut sent = 0;
        for message in messages {
            let body = Body {
                chain: *chain,
                signer: public,
                on_behalf_of: (signer != *host).then_some(*host),
                sequence,
                expiry: height.plus(lifetime),
                message,
            };
            let bytes = body.sign(key).encode();
            for result in mempool.insert(&state, height, &[bytes], true) {
                match result {
                    Ok(pending) => {
                        // A full outbox means that peers are slow; the transaction still waits here.
                        let _ = outbox.try_send(Outgoing::Transaction(pending));
                        sequence += 1;
                        sent += 1;
                    }
                    Err(error) => {
                        warn!(%error, "a duty of this host is not accepted into the mempool");
                        return Ok(sent);
                    }
                }
            }
        }
        Ok(sent)
    }

    /// Tells the peers again what waits: who proposes next may have been down when it was told first.
    pub(crate) fn tell_again(&self) {
        let Inner { host, key, mempool, outbox, .. } = &*self.0;
        for pending in mempool.of_key(host, &Address::of(&key.public())) {
            let _ = outbox.try_send(Outgoing::Transaction(pending));
        }
    }

    /// Tells the peers this host's shares of a beacon value.
    pub(crate) fn tell_partials(&self, message: Vec<u8>) {
        let _ = self.0.outbox.try_send(Outgoing::Partials(message));
    }
}
