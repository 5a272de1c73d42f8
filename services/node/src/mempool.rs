//! Transactions that wait for a block: bounded in every direction, in order per key, without duplicates.
//!
//! A key's transactions stand in the order of their sequence numbers; between keys, who came first goes first.
//! Duty transactions precede all others and have room of their own. There is no fee market and no replacing:
//! what was accepted stays until it is included, expires, or can no longer be valid.

pub mod journal;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freeway_ledger::{Class, Fault, Reader, Rejection, Transaction, TransactionError, accounts};
use freeway_primitives::{Address, Canonical, ChainId, Digest, Height};

use crate::verify;

/// Bounds of a mempool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transactions in all.
    pub count: usize,
    /// Bytes in all.
    pub bytes: usize,
    /// Transactions of one key.
    pub per_key: usize,
    /// How far a sequence number may be ahead of the key's next one.
    pub sequence_gap: u64,
    /// Room for duty transactions beyond `count` and `bytes`, in transactions.
    pub duty_reserve: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { count: 50_000, bytes: 64 << 20, per_key: 512, sequence_gap: 512, duty_reserve: 1_000 }
    }
}

/// Why a transaction is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    /// The ledger would not admit it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It waits already.
    #[error("this transaction is waiting already")]
    Duplicate,
    /// Another transaction of the key waits with the same sequence number.
    #[error("another transaction of this key with sequence {0} is waiting; use the next number")]
    SequenceTaken(u64),
    /// Too many of this key wait.
    #[error("{limit} transactions of this key are waiting; let some be included first")]
    KeyFull {
        /// The most.
        limit: usize,
    },
    /// No room.
    #[error(
        "the node's mempool is full ({count} transactions); try again in a few seconds or at another node"
    )]
    Full {
        /// How many wait.
        count: usize,
    },
    /// The state cannot be read.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl InsertError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.code(),
            Self::Duplicate => "duplicate",
            Self::SequenceTaken(_) => "sequence_taken",
            Self::KeyFull { .. } => "key_full",
            Self::Full { .. } => "mempool_full",
            Self::Fault(_) => "storage",
        }
    }

    /// Whether the sender of the bytes did something that an honest node never does.
    pub fn is_offence(&self) -> bool {
        matches!(self, Self::Rejected(Rejection::Malformed(_)))
    }
}

/// A transaction that waits. Its signature has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its hash.
    pub hash: Digest,
    /// The transaction.
    pub transaction: Transaction,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
    /// Whether it came from this node's own clients.
    pub local: bool,
}

/// An account and the key that acts for it.
type KeyId = (Address, Address);

#[derive(Debug)]
struct Slot {
    pending: Arc<Pending>,
    arrival: u64,
}

#[derive(Debug, Default)]
struct Queues {
    by_key: HashMap<KeyId, BTreeMap<u64, Slot>>,
    by_hash: HashMap<Digest, (KeyId, u64)>,
    by_expiry: BTreeMap<Height, Vec<Digest>>,
    bytes: usize,
    arrivals: u64,
}

/// The mempool of a node. All methods may be called from any thread.
#[derive(Debug)]
pub struct Mempool {
    chain: ChainId,
    limits: Limits,
    queues: Mutex<Queues>,
}

fn key_of(transaction: &Transaction) -> KeyId {
    (transaction.body.account(), Address::of(&transaction.body.signer))
}

impl Mempool {
    /// An empty mempool.
    pub fn new(chain: ChainId, limits: Limits) -> Self {
        Self { chain, limits, queues: Mutex::default() }
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        // The queues are consistent between statements that cannot panic; a poisoned lock changes nothing.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in transactions, judged against the state after `height`. Signatures are checked on all cores.
    /// One bad transaction does not keep out the others.
    pub fn insert(
        &self,
        state: &dyn Reader,
        height: Height,
        batch: &[Vec<u8>],
        local: bool,
    ) -> Vec<Result<Arc<Pending>, InsertError>> {
        let mut parsed: Vec<_> = batch.iter().map(|bytes| self.parse(bytes)).collect();
        let fresh: Vec<usize> = (0..parsed.len()).filter(|i| parsed[*i].is_ok()).collect();
        let checked = {
            let transactions: Vec<&Transaction> = parsed.iter().flatten().map(|(_, t)| t).collect();
            verify::signatures(&transactions)
        };
        for (at, valid) in fresh.into_iter().zip(checked) {
            if !valid {
                parsed[at] = Err(Rejection::from(TransactionError::BadSignature).into());
            }
        }
        let insert = |(parsed, bytes): (Result<_, _>, &Vec<u8>)| {
            let (hash, transaction) = parsed?;
            self.insert_checked(state, height, Pending { hash, transaction, bytes: bytes.clone(), local })
        };
        parsed.into_iter().zip(batch).map(insert).collect()
    }

    /// Everything that can be said without a signature check, cheapest first.
    fn parse(&self, bytes: &[u8]) -> Result<(Digest, Transaction), InsertError> {
        let hash = Transaction::hash_of(bytes);
        if self.contains(&hash) {
            return Err(InsertError::Duplicate);
        }
        let transaction = Transaction::parse(bytes, &self.chain).map_err(Rejection::from)?;
        Ok((hash, transaction))
    }

    fn insert_checked(
        &self,
        state: &dyn Reader,
        height: Height,
        pending: Pending,
    ) -> Result<Arc<Pending>, InsertError> {
        let body = &pending.transaction.body;
        let key = key_of(&pending.transaction);
        match freeway_ledger::admit(state, &pending.transaction, height.next())? {
            // These may pass by the time it is this transaction's turn.
            Err(Rejection::SequenceAhead { got, next }) if got - next <= self.limits.sequence_gap => {}
            Err(Rejection::QuotaExceeded { period: "block", .. }) => {}
            // Its sender is a block ahead of this node.
            Err(rejection @ Rejection::NotDue(_)) if rejection.is_temporary() => {}
            verdict => verdict?,
        }
        let mut queues = self.queues();
        let duty = body.message.class() == Class::Duty;
        let count = queues.by_hash.len();
        let reserve = if duty { self.limits.duty_reserve } else { 0 };
        if count >= self.limits.count + reserve
            || (queues.bytes + pending.bytes.len() > self.limits.bytes && !duty)
        {
            return Err(InsertError::Full { count });
        }
        if queues.by_hash.contains_key(&pending.hash) {
            return Err(InsertError::Duplicate);
        }
        let queue = queues.by_key.entry(key).or_default();
        if queue.contains_key(&body.sequence) {
            return Err(InsertError::SequenceTaken(body.sequence));
        }
        if queue.len() >= self.limits.per_key {
            return Err(InsertError::KeyFull { limit: self.limits.per_key });
        }
        let pending = Arc::new(pending);
        queues.add(key, Arc::clone(&pending));
        Ok(pending)
    }

    /// Whether a transaction waits here; then its signature has been checked.
    pub fn contains(&self, hash: &Digest) -> bool {
        self.queues().by_hash.contains_key(hash)
    }

    /// A waiting transaction.
    pub fn get(&self, hash: &Digest) -> Option<Arc<Pending>> {
        let queues = self.queues();
        let (key, sequence) = queues.by_hash.get(hash)?;
        Some(Arc::clone(&queues.by_key.get(key)?.get(sequence)?.pending))
    }

    /// What could stand in the next block, best first: duties, then by arrival, in order per key.
    pub fn candidates(&self, count: usize) -> Vec<Arc<Pending>> {
        let queues = self.queues();
        let mut heads: BinaryHeap<Reverse<(Class, u64, KeyId, u64)>> = queues
            .by_key
            .iter()
            .filter_map(|(key, queue)| {
                let (sequence, slot) = queue.first_key_value()?;
                let class = slot.pending.transaction.body.message.class();
                Some(Reverse((class, slot.arrival, *key, *sequence)))
            })
            .collect();
        let mut chosen = Vec::new();
        while let Some(Reverse((_, _, key, sequence))) = heads.pop() {
            if chosen.len() >= count {
                break;
            }
            let Some(queue) = queues.by_key.get(&key) else { continue };
            if let Some(slot) = queue.get(&sequence) {
                chosen.push(Arc::clone(&slot.pending));
            }
            if let Some((next, slot)) = queue.range(sequence + 1..).next() {
                let class = slot.pending.transaction.body.message.class();
                heads.push(Reverse((class, slot.arrival, key, *next)));
            }
        }
        // A duty behind an ordinary one of the same key cannot come first without breaking the key's order;
        // it waits for the next block.
        chosen.sort_by_key(|pending| pending.transaction.body.message.class());
        chosen
    }

    /// The sequence number after the last consecutive one that waits for this key, from `next` on.
    pub fn next_sequence(&self, account: &Address, signer: &Address, next: u64) -> u64 {
        let queues = self.queues();
        let Some(queue) = queues.by_key.get(&(*account, *signer)) else { return next };
        let mut after = next;
        for (sequence, _) in queue.range(next..) {
            if *sequence != after {
                break;
            }
            after += 1;
        }
        after
    }

    /// What waits of this key, in order.
    pub fn of_key(&self, account: &Address, signer: &Address) -> Vec<Arc<Pending>> {
        let queues = self.queues();
        let queue = queues.by_key.get(&(*account, *signer));
        queue.into_iter().flat_map(BTreeMap::values).map(|slot| Arc::clone(&slot.pending)).collect()
    }

    /// Removes transactions that were included or can no longer be.
    pub fn remove<'a>(&self, hashes: impl IntoIterator<Item = &'a Digest>) {
        let mut queues = self.queues();
        for hash in hashes {
            queues.remove(hash);
        }
    }

    /// After the block at `height`: drops what was included, what has expired, and what another transaction
    /// of the same key has overtaken.
    ///
    /// # Errors
    /// [`Fault`] if the state cannot be read.
    pub fn committed(
        &self,
        state: &dyn Reader,
        height: Height,
        included: &[(Digest, Address, Address)],
    ) -> Result<(), Fault> {
        let mut queues = self.queues();
        for (hash, account, signer) in included {
            queues.remove(hash);
            let Some(next) = accounts::next_sequence(state, account, signer)? else { continue };
            let stale: Vec<Digest> = queues
                .by_key
                .get(&(*account, *signer))
                .map(|queue| queue.range(..next).map(|(_, slot)| slot.pending.hash).collect())
                .unwrap_or_default();
            for hash in stale {
                queues.remove(&hash);
            }
        }
        // What expires at `height` could stand at `height` for the last time.
        let later = queues.by_expiry.split_off(&height.next());
        let expired = std::mem::replace(&mut queues.by_expiry, later);
        for hash in expired.into_values().flatten() {
            queues.remove(&hash);
        }
        let undue = queues.undue(state, height)?;
        for hash in undue {
            queues.remove(&hash);
        }
        Ok(())
    }

    /// How many wait, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        let queues = self.queues();
        (queues.by_hash.len(), queues.bytes)
    }

    /// The waiting transactions of this node's own clients, in order of arrival.
    pub fn local(&self) -> Vec<Arc<Pending>> {
        let queues = self.queues();
        let mut local: Vec<(u64, Arc<Pending>)> = queues
            .by_key
            .values()
            .flat_map(BTreeMap::values)
            .filter(|slot| slot.pending.local)
            .map(|slot| (slot.arrival, Arc::clone(&slot.pending)))
            .collect();
        local.sort_by_key(|(arrival, _)| *arrival);
        local.into_iter().map(|(_, pending)| pending).collect()
    }
}

impl Queues {
    /// Duties that are first in their queue and not due any more. They would keep their key waiting, as no block
    /// can take them.
    fn undue(&self, state: &dyn Reader, height: Height) -> Result<Vec<Digest>, Fault> {
        let heads = self.by_key.values().filter_map(|queue| queue.values().next());
        let mut undue = Vec::new();
        for Slot { pending, .. } in heads.filter(|slot| slot.pending.transaction.body.message.is_owed()) {
            if let Err(rejection) = freeway_ledger::admit(state, &pending.transaction, height.next())?
                && !rejection.is_temporary()
            {
                undue.push(pending.hash);
            }
        }
        Ok(undue)
    }

    fn add(&mut self, key: KeyId, pending: Arc<Pending>) {
        let body = &pending.transaction.body;
        self.arrivals += 1;
        self.bytes += pending.bytes.len();
        self.by_hash.insert(pending.hash, (key, body.sequence));
        self.by_expiry.entry(body.expiry).or_default().push(pending.hash);
        let (sequence, arrival) = (body.sequence, self.arrivals);
        self.by_key.entry(key).or_default().insert(sequence, Slot { pending, arrival });
    }

    fn remove(&mut self, hash: &Digest) {
        let Some((key, sequence)) = self.by_hash.remove(hash) else { return };
        let Some(queue) = self.by_key.get_mut(&key) else { return };
        if let Some(slot) = queue.remove(&sequence) {
            self.bytes -= slot.pending.bytes.len();
            let expiry = slot.pending.transaction.body.expiry;
            if let Some(hashes) = self.by_expiry.get_mut(&expiry) {
                hashes.retain(|other| other != hash);
                if hashes.is_empty() {
                    self.by_expiry.remove(&expiry);
                }
            }
        }
        if queue.is_empty() {
            self.by_key.remove(&key);
        }
    }
}

const _: () = assert!(<Transaction as Canonical>::MAX_BYTES <= 32 << 10);
