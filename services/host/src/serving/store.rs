//! Receipts and artifacts on disk.
//!
//! A receipt is durable before it leaves the process, so that no number is ever signed twice and none is left out,
//! whenever the process ends. All writing is done by one thread, which takes whatever waits into one transaction:
//! requests that end together share its syncs.
//!
//! ```text
//!   complete ─┐
//!   complete ─┼──► writer: numbers, totals, intervals ──► one transaction ──► receipts
//!   close ────┘
//! ```
//!
//! An interval that is [closed](WorkStore::close) gets no more receipts: what ends later names a later one. As both
//! go through the same thread, a host's commitment covers everything that names its interval.
//!
//! How the shares stand and where an interval's receipts are is kept in memory; the rest is read from the file.

mod known;
mod prune;
mod tables;
mod writer;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, mpsc};
use std::thread::JoinHandle;

use freeway_api::serving::{Artifact, Claims, Ending};
use freeway_ledger::lanes::Constraints;
use freeway_primitives::{Address, Amount, Canonical, ChainId, Digest, SecretKey, Signature};
use freeway_proofs::work::{Entry, LaneId, Usage, Voucher};
use freeway_requests::TokenRequest;
use freeway_requests::evidence::Evidence;
use freeway_store::{Database, Medium, Opening, Session, StoreError};
use tokio::sync::oneshot;

use known::Known;
use tables::{
    Against, BODIES, DIGESTS, EVIDENCE, FACTS, FLOOR, FOREIGN, Key, RECORDS, RUNS, Run, SHARES, VOUCHERS,
    WEIGHED, row,
};
pub use tables::{Body, Record, ShareRecord};
use writer::{Command, Writer};

use crate::work::Weighed;

/// The file's name.
const FILE: &str = "work.redb";
/// Memory for its pages.
const CACHE_BYTES: usize = 32 << 20;
/// What may wait for the writer.
const MAX_WAITING: usize = 1_024;
/// Artifacts of other hosts that are kept, and their bytes.
const MAX_FOREIGN: usize = 4_096;
const MAX_FOREIGN_BYTES: u64 = 256 << 20;

/// Why work cannot be kept or shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// The file fails.
    #[error("what this host served cannot be kept: {0}")]
    Store(#[from] StoreError),
    /// The writer has ended, or has too much to do.
    #[error("what this host served cannot be kept now; if that lasts, restart the node")]
    Busy,
}

/// Who signs receipts.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The network.
    pub chain: ChainId,
    /// The host.
    pub host: Address,
    /// Its consensus key.
    pub key: SecretKey,
}

/// A request that has ended well, to be numbered, signed and kept.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The payer's voucher for it.
    pub voucher: Voucher,
    /// Of the lane's key over that.
    pub voucher_signature: Signature,
    /// The latest voucher of this share that was taken.
    pub latest: (Voucher, Signature),
    /// The lane's model.
    pub model: Digest,
    /// What the lane's payer asks of hosts.
    pub constraints: Constraints,
    /// The request.
    pub request: Arc<TokenRequest>,
    /// The tokens of each choice.
    pub output: Vec<Vec<u32>>,
    /// Why each choice ended.
    pub endings: Vec<Ending>,
    /// What it took.
    pub usage: Usage,
    /// What it costs.
    pub fee: Amount,
    /// With which the receipt's trace is salted.
    pub salt: [u8; 32],
    /// The trace roots of the choices.
    pub traces: Vec<Digest>,
    /// On the statistical tier what the host says of the tokens' likelihoods; the traces are of that.
    pub claims: Option<Vec<Vec<i32>>>,
    /// The interval that it is now.
    pub interval: u64,
}

/// What a host did in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Its number.
    pub interval: u64,
    /// Receipts.
    pub receipts: u64,
    /// What they cost together.
    pub fees: u128,
    /// Whether it gets no more.
    pub closed: bool,
}

/// Receipts and artifacts on disk. What it does may block on the disk.
pub struct WorkStore {
    database: Arc<Database>,
    known: Arc<RwLock<Known>>,
    /// Taken only by `drop`.
    commands: Option<mpsc::SyncSender<Command>>,
    writer: Option<JoinHandle<()>>,
}

impl WorkStore {
    /// Opens the file, or makes it. Receipts are signed by `signer`.
    ///
    /// # Errors
    /// [`WorkError::Store`] if the file cannot be read or made.
    pub fn open(medium: Medium, signer: Signer) -> Result<Self, WorkError> {
        let session = Session::begin(medium)?;
        let opening = Opening { name: FILE, cache_bytes: CACHE_BYTES, verify: false };
        let database = Database::open(&session, &opening, |txn| {
            txn.open_table(FACTS)?.insert(FLOOR, 0)?;
            txn.open_table(SHARES)?;
            txn.open_table(RUNS)?;
            txn.open_table(RECORDS)?;
            txn.open_table(BODIES)?;
            txn.open_table(DIGESTS)?;
            txn.open_table(VOUCHERS)?;
            txn.open_table(FOREIGN)?;
            txn.open_table(WEIGHED)?;
            txn.open_table(EVIDENCE)?;
            Ok(())
        })?;
        let database = Arc::new(database);
        let known = Arc::new(RwLock::new(database.read(Known::read)?));
        let (commands, waiting) = mpsc::sync_channel(MAX_WAITING);
        let writer = Writer::new(Arc::clone(&database), Arc::clone(&known), signer);
        let thread = std::thread::Builder::new().name("work-store".into());
        let writer = thread.spawn(move || writer.run(&waiting)).map_err(|error| {
            let detail = format!("its thread cannot be started: {error}");
            StoreError::Io { path: FILE.into(), detail }
        })?;
        Ok(Self { database, known, commands: Some(commands), writer: Some(writer) })
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, command: Command) -> Result<(), WorkError> {
        let commands = self.commands.as_ref().ok_or(WorkError::Busy)?;
        commands.try_send(command).map_err(|_| WorkError::Busy)
    }

    /// Sends a command and waits until it is durable.
    fn ask<T>(
        &self,
        command: impl FnOnce(mpsc::SyncSender<Result<T, WorkError>>) -> Command,
    ) -> Result<T, WorkError> {
        let (tell, told) = mpsc::sync_channel(1);
        self.send(command(tell))?;
        told.recv().unwrap_or(Err(WorkError::Busy))
    }

    /// Numbers, signs and keeps a request that has ended well. Its record is durable when the future is ready, and
    /// only then.
    ///
    /// # Errors
    /// [`WorkError`] if it cannot be kept: then nothing was signed that anybody may see.
    pub fn complete(
        &self,
        finished: Finished,
    ) -> impl Future<Output = Result<Record, WorkError>> + Send + use<> {
        let (tell, told) = oneshot::channel();
        let sent = self.send(Command::Complete(Box::new(finished), tell));
        async move {
            sent?;
            told.await.unwrap_or(Err(WorkError::Busy))
        }
    }

    /// Ends an interval: when this returns, no receipt will name it or an earlier one, also after a crash.
    ///
    /// # Errors
    /// [`WorkError`] if that cannot be kept.
    pub fn close(&self, interval: u64) -> Result<(), WorkError> {
        if interval < self.known().floor {
            return Ok(());
        }
        self.ask(|tell| Command::Close(interval, tell))
    }

    /// Whether an interval is closed.
    pub fn is_closed(&self, interval: u64) -> bool {
        interval < self.known().floor
    }

    /// The intervals with receipts, in order.
    pub fn intervals(&self) -> Vec<Interval> {
        let known = self.known();
        let sum = |(interval, runs): (&u64, &BTreeMap<LaneId, Run>)| Interval {
            interval: *interval,
            receipts: runs.values().fold(0, |sum, run| sum.saturating_add(run.count)),
            fees: runs.values().fold(0, |sum, run| sum.saturating_add(run.fees)),
            closed: *interval < known.floor,
        };
        known.runs.iter().map(sum).collect()
    }

    /// The classes of lanes with receipts in intervals that are not closed: their models, and what their payers ask of
    /// hosts.
    pub fn open_classes(&self) -> Vec<(Digest, Constraints)> {
        let known = self.known();
        let lanes = known.runs.range(known.floor..).flat_map(|(_, runs)| runs.keys());
        let mut classes: Vec<(Digest, Constraints)> = Vec::new();
        for share in lanes.filter_map(|lane| known.shares.get(lane)) {
            if !classes.iter().any(|(model, asked)| (model, asked) == (&share.model, &share.constraints)) {
                classes.push((share.model, share.constraints.clone()));
            }
        }
        classes
    }

    /// How the host stands with a lane, if it ever did a request in it.
    pub fn share(&self, lane: LaneId) -> Option<ShareRecord> {
        self.known().shares.get(&lane).cloned()
    }

    /// All lanes in which the host did requests.
    pub fn shares(&self) -> Vec<(LaneId, ShareRecord)> {
        self.known().shares.iter().map(|(lane, share)| (*lane, share.clone())).collect()
    }

    /// The entries of an interval, by lane and sequence: the order of a commitment.
    ///
    /// # Errors
    /// [`WorkError`] if the file cannot be read.
    pub fn entries(&self, interval: u64) -> Result<Vec<Entry>, WorkError> {
        Ok(self.database.read(|txn| {
            let mut entries = Vec::new();
            for found in txn.open_table(RECORDS)?.range((interval, 0, 0)..=(interval, u64::MAX, u64::MAX))? {
                let record: Record = row("a record", found?.1.value())?;
                entries.push(record.receipt.entry());
            }
            Ok(entries)
        })?)
    }

    /// The record of a request, by lane and sequence.
    ///
    /// # Errors
    /// [`WorkError`] if the file cannot be read.
    pub fn record(&self, lane: LaneId, sequence: u64) -> Result<Option<Record>, WorkError> {
        let Some(interval) = self.known().interval_of(lane, sequence) else { return Ok(None) };
        self.record_at((interval, lane.0, sequence))
    }

    /// The record of a receipt, by its digest.
    ///
    /// # Errors
    /// [`WorkError`] if the file cannot be read.
    pub fn record_of(&self, receipt: &Digest) -> Result<Option<Record>, WorkError> {
        self.place_of(receipt)?.map_or(Ok(None), |key| self.record_at(key))
    }

    fn record_at(&self, key: Key) -> Result<Option<Record>, WorkError> {
        Ok(self.database.read(|txn| {
            let found = txn.open_table(RECORDS)?.get(key)?;
            found.map(|found| row("a record", found.value())).transpose()
        })?)
    }

    fn place_of(&self, receipt: &Digest) -> Result<Option<Key>, WorkError> {
        let place = |found: redb::AccessGuard<'_, Key>| found.value();
        Ok(self.database.read(|txn| Ok(txn.open_table(DIGESTS)?.get(&receipt.0)?.map(place)))?)
    }

    /// What a voucher's request came to, as long as its interval is not closed.
    ///
    /// # Errors
    /// [`WorkError`] if the file cannot be read.
    pub fn outcome(&self, lane: LaneId, voucher: u64) -> Result<Option<(Record, Body)>, WorkError> {
        let place = |found: redb::AccessGuard<'_, Key>| found.value();
        let key =
            self.database.read(|txn| Ok(txn.open_table(VOUCHERS)?.get((lane.0, voucher))?.map(place)))?;
        let Some(key) = key.filter(|(interval, ..)| !self.is_closed(*interval)) else { return Ok(None) };
        let (record, body) = (self.record_at(key)?, self.body(key)?);
        Ok(record.zip(body))
    }

    fn body(&self, key: Key) -> Result<Option<Body>, WorkError> {
        Ok(self.database.read(|txn| {
            let found = txn.open_table(BODIES)?.get(key)?;
            found.map(|found| row("a body", found.value())).transpose()
        })?)
    }

    /// All that belongs to a receipt: of this host, or of another whose artifact was kept.
    ///
    /// # Errors
    /// [`WorkError`] if the file cannot be read.
    pub fn artifact(&self, receipt: &Digest) -> Result<Option<Artifact>, WorkError> {
        let Some(key) = self.place_of(receipt)? else { return self.foreign(receipt) };
        let (Some(record), Some(body)) = (self.record_at(key)?, self.body(key)?) else { return Ok(None) };
        let Record { receipt, signature, voucher, voucher_signature, salt, .. } = record;
        let Body { request, output, claims, .. } = body;
        let claims = claims.map(|logprobs| Claims { salt, logprobs });
        Ok(Some(Artifact { receipt, signature, voucher, voucher_signature, request, output, claims }))
    }

    fn foreign(&self, receipt: &Digest) -> Result<Option<Artifact>, WorkError> {
        let interval = {
            let known = self.known();
            known.foreign.keys().find(|(_, digest)| digest == receipt).map(|(interval, _)| *interval)
        };
        let Some(interval) = interval else { return Ok(None) };
        Ok(self.database.read(|txn| {
            let found = txn.open_table(FOREIGN)?.get((interval, &receipt.0))?;
            found.map(|found| row("an artifact", found.value())).transpose()
        })?)
    }

    /// Keeps another host's artifact for those who must see it; the oldest go if there are too many.
    ///
    /// # Errors
    /// [`WorkError`] if it cannot be kept.
    pub fn keep(&self, artifact: &Artifact) -> Result<(), WorkError> {
        let (interval, digest) = (artifact.receipt.interval, artifact.receipt.digest());
        if self.known().foreign.contains_key(&(interval, digest)) {
            return Ok(());
        }
        let body = artifact.encode();
        self.ask(|tell| Command::Keep { interval, digest, body, tell })
    }

    /// What speaks against another host in a model.
    ///
    /// # Errors
    /// [`WorkError`] if the file cannot be read.
    pub fn evidence(&self, host: &Address, model: &Digest) -> Result<Evidence, WorkError> {
        Ok(self.database.read(|txn| {
            let Some(found) = txn.open_table(EVIDENCE)?.get((&host.0, &model.0))? else {
                return Ok(Evidence::default());
            };
            let against: Against = row("evidence", found.value())?;
            Ok(against.evidence)
        })?)
    }

    /// Whether another host's receipt was weighed, and if so whether its host was suspected.
    ///
    /// # Errors
    /// [`WorkError`] if the file cannot be read.
    pub fn weighed(&self, interval: u64, receipt: &Digest) -> Result<Option<bool>, WorkError> {
        Ok(self.database.read(|txn| {
            let found = txn.open_table(WEIGHED)?.get((interval, &receipt.0))?;
            Ok(found.map(|found| found.value()))
        })?)
    }

    /// Keeps what was found of another host's receipt, unless it was weighed before.
    ///
    /// # Errors
    /// [`WorkError`] if it cannot be kept.
    pub fn weigh(&self, weighed: &Weighed) -> Result<(), WorkError> {
        self.ask(|tell| Command::Weigh(Box::new(*weighed), tell))
    }

    /// Removes prompts and outputs of intervals before `bodies`, and all that is known of intervals before `all`; only
    /// of those that are closed.
    ///
    /// # Errors
    /// [`WorkError`] if the file cannot be written.
    pub fn prune(&self, bodies: u64, all: u64) -> Result<(), WorkError> {
        while self.ask(|tell| Command::Prune { bodies, all, tell })? {}
        Ok(())
    }

    /// Forgets shares of lanes that are over. Those with receipts that are still kept stay.
    ///
    /// # Errors
    /// [`WorkError`] if the file cannot be written.
    pub fn forget(&self, over: Vec<LaneId>) -> Result<(), WorkError> {
        if over.is_empty() {
            return Ok(());
        }
        self.ask(|tell| Command::Forget(over, tell))
    }
}

impl Drop for WorkStore {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the thread that keeps receipts met a defect");
        }
    }
}

impl core::fmt::Debug for WorkStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let known = self.known();
        f.debug_struct("WorkStore").field("shares", &known.shares.len()).field("open", &known.floor).finish()
    }
}

#[cfg(test)]
mod tests;
