//! What lanes keep on disk. One thread writes; what comes while it syncs is written together the next time, so that
//! the cost of a sync is shared.

use core::time::Duration;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_api::serving::Artifact;
use freeway_primitives::{Address, ChainId, Digest, PublicKey, Signature};
use freeway_proofs::work::{LaneId, Prices, Voucher};
use freeway_requests::TokenRequest;
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction,
};
use tokio::sync::{mpsc, oneshot};

use super::account::Record;
use super::config::LanesError;

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// The network, once.
const META: Table = TableDefinition::new("meta");
/// By lane and host: [`Record`].
const SHARES: Table = TableDefinition::new("shares");
/// By digest: [`Kept`].
const RECEIPTS: Table = TableDefinition::new("receipts");
/// In the order in which they came: digests.
const ORDER: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("order");
/// By number: [`LaneRecord`].
const LANES: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("lanes");
/// By the model's root: [`Pending`].
const PENDING: Table = TableDefinition::new("pending");
/// Answers to one request that differ.
const EVIDENCE: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("evidence");

/// How long another gateway may take to let go of the file.
const CLOSING: Duration = Duration::from_secs(2);
/// Writes that wait.
const QUEUE: usize = 4_096;
/// Writes in one transaction.
const GROUP: usize = 256;
/// The most pieces of evidence.
const MAX_EVIDENCE: u64 = 1_000;
/// Of the room for receipts, what is freed at once.
const PRUNED: u64 = 64;
/// The most receipts in one list.
pub(super) const MAX_LISTED: usize = 1_000;

/// A receipt and all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Kept {
    /// Receipt, voucher, request and output.
    pub(crate) artifact: Artifact,
    /// The key that signed it.
    pub(crate) key: PublicKey,
    pub(crate) prices: Prices,
    pub(crate) salt: [u8; 32],
    pub(crate) traces: Vec<Digest>,
    /// The model's name here.
    pub(crate) model: String,
    /// When it came, in milliseconds since 1970.
    pub(crate) time_ms: u64,
}

/// A lane of this gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct LaneRecord {
    pub(super) model: Digest,
    /// All that was put in.
    pub(super) escrow: u128,
    /// What its hosts have settled, or are known to be owed, whichever is more.
    pub(super) spent: u128,
    /// It is gone: what was not spent came back.
    pub(super) over: bool,
}

/// An opening or a top-up that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Pending {
    pub(super) hash: Digest,
    pub(super) expiry: u64,
    pub(super) amount: u128,
}

/// An answer that another one contradicts.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Answer {
    pub(super) voucher: Voucher,
    /// Canonical bytes of the host's acceptance, and its signature.
    pub(super) acceptance: Vec<u8>,
    pub(super) signature: Signature,
    pub(super) key: PublicKey,
    pub(super) output: Vec<Vec<u32>>,
}

/// Two answers to one request.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Evidence {
    pub(super) request: TokenRequest,
    pub(super) answers: Vec<Answer>,
}

/// Something to be written.
#[derive(Debug)]
pub(super) enum Write {
    Share(LaneId, Address, Record),
    Receipt(Box<Kept>),
    Lane(LaneId, LaneRecord),
    Pending(Digest, Option<Pending>),
    Evidence(Box<Evidence>),
}

struct Job {
    writes: Vec<Write>,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// Writing or reading failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the gateway's record of lanes cannot be used ({0}); free space or check the disk, then start it again"
)]
pub(crate) struct StoreError(String);

impl StoreError {
    fn of(error: impl Into<redb::Error>) -> Self {
        Self(error.into().to_string())
    }
}

/// The file. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    database: Arc<Database>,
    jobs: mpsc::Sender<Job>,
}

impl core::fmt::Debug for Store {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Store")
    }
}

fn share_key(lane: LaneId, host: &Address) -> [u8; 40] {
    let mut key = [0; 40];
    key[..8].copy_from_slice(&lane.0.to_be_bytes());
    key[8..].copy_from_slice(&host.0);
    key
}

fn bytes(value: &impl BorshSerialize) -> Result<Vec<u8>, redb::Error> {
    Ok(borsh::to_vec(value).map_err(redb::StorageError::Io)?)
}

fn read<T: BorshDeserialize>(bytes: &[u8]) -> Result<T, redb::Error> {
    Ok(borsh::from_slice(bytes).map_err(redb::StorageError::Io)?)
}

impl Store {
    /// Opens the file in `folder`, or makes it. `receipts`: how many are kept.
    pub(super) fn open(folder: &Path, chain: &ChainId, receipts: u64) -> Result<Self, LanesError> {
        let path = folder.join("lanes.redb");
        let wrong = |detail: String| LanesError::Store { path: folder.display().to_string(), detail };
        std::fs::create_dir_all(folder).map_err(|error| wrong(error.to_string()))?;
        let database = create(&path).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => {
                wrong("another gateway uses it; stop that one, or give this one a folder of its own".into())
            }
            other => wrong(other.to_string()),
        })?;
        let known = prepare(&database, chain).map_err(|error| wrong(error.to_string()))?;
        if known != *chain {
            return Err(wrong(format!(
                "it belongs to network {known}, and the node to {chain}; choose another folder"
            )));
        }
        let database = Arc::new(database);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let own = Arc::clone(&database);
        std::thread::Builder::new()
            .name("lanes-store".into())
            .spawn(move || writer(&own, queue, receipts.max(1)))
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self { database, jobs })
    }

    /// Waits until all of it is on disk.
    pub(super) async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let stopped = || StoreError("its writer has ended".into());
        let (done, written) = oneshot::channel();
        self.jobs.send(Job { writes, done }).await.map_err(|_| stopped())?;
        written.await.map_err(|_| stopped())?
    }

    fn get<T>(
        &self,
        read: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let transaction = self.database.begin_read().map_err(StoreError::of)?;
        read(&transaction).map_err(StoreError::of)
    }

    pub(super) fn share(&self, lane: LaneId, host: &Address) -> Result<Record, StoreError> {
        self.get(|transaction| {
            let found = transaction.open_table(SHARES)?.get(share_key(lane, host).as_slice())?;
            found.map_or(Ok(Record::default()), |value| read(value.value()))
        })
    }

    pub(super) fn lanes(&self) -> Result<Vec<(LaneId, LaneRecord)>, StoreError> {
        self.get(|transaction| {
            let table = transaction.open_table(LANES)?;
            let entry = |entry: Result<_, redb::StorageError>| {
                let (key, value): (redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, &[u8]>) = entry?;
                Ok((LaneId(key.value()), read(value.value())?))
            };
            table.iter()?.map(entry).collect()
        })
    }

    pub(super) fn pending(&self, model: &Digest) -> Result<Option<Pending>, StoreError> {
        self.get(|transaction| {
            let found = transaction.open_table(PENDING)?.get(model.as_bytes().as_slice())?;
            found.map(|value| read(value.value())).transpose()
        })
    }

    /// A receipt by its digest.
    pub(crate) fn receipt(&self, digest: &Digest) -> Result<Option<Kept>, StoreError> {
        self.get(|transaction| {
            let found = transaction.open_table(RECEIPTS)?.get(digest.as_bytes().as_slice())?;
            found.map(|value| read(value.value())).transpose()
        })
    }

    /// The latest receipts, latest first.
    pub(crate) fn receipts(&self, limit: usize) -> Result<Vec<Kept>, StoreError> {
        self.get(|transaction| {
            let (order, receipts) = (transaction.open_table(ORDER)?, transaction.open_table(RECEIPTS)?);
            let mut list = Vec::new();
            for entry in order.iter()?.rev().take(limit.min(MAX_LISTED)) {
                let (_, digest) = entry?;
                if let Some(value) = receipts.get(digest.value())? {
                    list.push(read(value.value())?);
                }
            }
            Ok(list)
        })
    }

    #[cfg(test)]
    pub(super) fn evidence(&self) -> Result<Vec<Evidence>, StoreError> {
        self.get(|transaction| {
            let table = transaction.open_table(EVIDENCE)?;
            let mut list = Vec::new();
            for entry in table.iter()? {
                list.push(read(entry?.1.value())?);
            }
            Ok(list)
        })
    }
}

/// Opens the file. One that is just being closed is waited for.
fn create(path: &Path) -> Result<Database, redb::DatabaseError> {
    let began = Instant::now();
    loop {
        match Database::create(path) {
            Err(redb::DatabaseError::DatabaseAlreadyOpen) if began.elapsed() < CLOSING => {
                std::thread::sleep(CLOSING / 50);
            }
            opened => return opened,
        }
    }
}

/// Makes the tables; gives the network that the file belongs to.
fn prepare(database: &Database, chain: &ChainId) -> Result<ChainId, redb::Error> {
    let transaction = database.begin_write()?;
    let known = {
        let mut meta = transaction.open_table(META)?;
        let known = meta.get(b"chain".as_slice())?.map(|value| read(value.value())).transpose()?;
        if known.is_none() {
            meta.insert(b"chain".as_slice(), bytes(chain)?.as_slice())?;
        }
        transaction.open_table(SHARES)?;
        transaction.open_table(RECEIPTS)?;
        transaction.open_table(ORDER)?;
        transaction.open_table(LANES)?;
        transaction.open_table(PENDING)?;
        transaction.open_table(EVIDENCE)?;
        known
    };
    transaction.commit()?;
    Ok(known.unwrap_or(*chain))
}

/// The writer's thread. Ends with the last [`Store`].
fn writer(database: &Database, mut queue: mpsc::Receiver<Job>, most: u64) {
    while let Some(first) = queue.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP {
            let Ok(job) = queue.try_recv() else { break };
            group.push(job);
        }
        let written = write(database, group.iter().flat_map(|job| &job.writes), most);
        let written = written.map_err(|error| {
            tracing::error!(%error, "the record of lanes cannot be written");
            StoreError(error.to_string())
        });
        for job in group {
            // Whoever asked may be gone.
            let _ = job.done.send(written.clone());
        }
    }
}

fn write<'a>(
    database: &Database,
    writes: impl Iterator<Item = &'a Write>,
    most: u64,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for write in writes {
        match write {
            Write::Share(lane, host, record) => {
                let mut table = transaction.open_table(SHARES)?;
                let key = share_key(*lane, host);
                let found =
                    table.get(key.as_slice())?.map(|value| read::<Record>(value.value())).transpose()?;
                let mut merged = found.unwrap_or_default();
                merged.merge(record);
                table.insert(key.as_slice(), bytes(&merged)?.as_slice())?;
            }
            Write::Receipt(kept) => receipt(&transaction, kept, most)?,
            Write::Lane(lane, record) => {
                transaction.open_table(LANES)?.insert(lane.0, bytes(record)?.as_slice())?;
            }
            Write::Pending(model, pending) => {
                let mut table = transaction.open_table(PENDING)?;
                match pending {
                    Some(pending) => table.insert(model.as_bytes().as_slice(), bytes(pending)?.as_slice())?,
                    None => table.remove(model.as_bytes().as_slice())?,
                };
            }
            Write::Evidence(evidence) => {
                let mut table = transaction.open_table(EVIDENCE)?;
                let next = table.last()?.map_or(0, |(key, _)| key.value().saturating_add(1));
                if next < MAX_EVIDENCE {
                    table.insert(next, bytes(evidence.as_ref())?.as_slice())?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn receipt(transaction: &WriteTransaction, kept: &Kept, most: u64) -> Result<(), redb::Error> {
    let mut receipts = transaction.open_table(RECEIPTS)?;
    let mut order = transaction.open_table(ORDER)?;
    let digest = kept.artifact.receipt.digest();
    if receipts.insert(digest.as_bytes().as_slice(), bytes(kept)?.as_slice())?.is_some() {
        return Ok(());
    }
    let next = order.last()?.map_or(0, |(key, _)| key.value().saturating_add(1));
    order.insert(next, digest.as_bytes().as_slice())?;
    if order.len()? >= most.saturating_add(PRUNED) {
        for _ in 0..PRUNED {
            let Some((_, digest)) = order.pop_first()? else { break };
            receipts.remove(digest.value())?;
        }
    }
    Ok(())
}
