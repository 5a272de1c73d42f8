//! Decided blocks with their certificates, and proposals that are not decided yet.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use freeway_primitives::{BlockId, Digest, Domain, Height, MAX_BLOCK_BYTES};
use redb::{Durability, ReadableTable, TableDefinition, WriteTransaction};

use crate::error::Failure;
use crate::medium::{Database, Opening, Session};
use crate::{Config, MAX_SIDE_BYTES, StoreError};

type Bytes = &'static [u8];

/// Height to (id, checksum, block). The checksum catches damage long before a peer would.
const BLOCKS: TableDefinition<'_, u64, ([u8; 32], [u8; 32], Bytes)> = TableDefinition::new("blocks");
/// Height to certificate. Apart from the block, because it is replaced when more signatures arrive.
const CERTIFICATES: TableDefinition<'_, u64, Bytes> = TableDefinition::new("certificates");
/// (height, id) to (the proposer's words about the round, block).
const PROPOSALS: TableDefinition<'_, (u64, [u8; 32]), (Bytes, Bytes)> = TableDefinition::new("proposals");

const CHECKSUM: Domain = Domain::new("freeway 1 stored block");
/// Old blocks removed with one new one: a lowered limit is reached in steps, not in one long commit.
const PRUNED_AT_ONCE: u64 = 16;

/// A decided block as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRecord {
    /// The height.
    pub height: Height,
    /// The block's identity.
    pub id: BlockId,
    /// The canonical block.
    pub block: Vec<u8>,
    /// The canonical certificate that makes it final.
    pub certificate: Vec<u8>,
}

/// A block as [`crate::Store::block`] returns it: the canonical block, its certificate.
pub type StoredBlock = (Vec<u8>, Vec<u8>);

/// A proposal as [`crate::Store::proposals`] returns it: identity, what was said about the round, block.
pub type StoredProposal = (BlockId, Vec<u8>, Vec<u8>);

/// The block database.
pub(crate) struct Blocks {
    database: Database,
    retain: u64,
    /// Lowest and highest block, 0 if there is none; changed only under `writer`.
    oldest: AtomicU64,
    newest: AtomicU64,
    writer: Mutex<()>,
}

impl Blocks {
    pub(crate) fn open(session: &Session, config: &Config) -> Result<Self, StoreError> {
        let opening = Opening {
            name: "blocks.redb",
            cache_bytes: config.cache_bytes / 8,
            verify: config.verify_on_open,
        };
        let database = Database::open(session, &opening, create)?;
        let (oldest, newest) = database.read(|txn| {
            let blocks = txn.open_table(BLOCKS)?;
            let oldest = blocks.first()?.map_or(0, |(height, _)| height.value());
            let newest = blocks.last()?.map_or(0, |(height, _)| height.value());
            Ok((oldest, newest))
        })?;
        Ok(Self {
            database,
            retain: config.retain_blocks,
            oldest: AtomicU64::new(oldest),
            newest: AtomicU64::new(newest),
            writer: Mutex::new(()),
        })
    }

    pub(crate) fn newest(&self) -> Height {
        Height(self.newest.load(Ordering::Acquire))
    }

    pub(crate) fn oldest(&self) -> Height {
        Height(self.oldest.load(Ordering::Acquire))
    }

    /// Adds the next block. Blocks up to `disposable` may be forgotten: the durable state does not need them.
    pub(crate) fn append(&self, record: &BlockRecord, disposable: Height) -> Result<(), StoreError> {
        check_block(&record.block, &record.certificate)?;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (oldest, newest) = (self.oldest().0, self.newest().0);
        if record.height != Height(newest).next() {
            return Err(StoreError::Order { expected: Height(newest).next(), got: record.height });
        }
        let height = record.height.0;
        let keep_from = match self.retain {
            0 => 0,
            retain => height.saturating_sub(retain - 1).min(disposable.0.saturating_add(1)),
        };
        let first = if oldest == 0 { height } else { oldest };
        let keep_from = keep_from.clamp(first, first.saturating_add(PRUNED_AT_ONCE)).min(height);
        self.database.write(Durability::Immediate, |txn| {
            insert(txn, record)?;
            let mut blocks = txn.open_table(BLOCKS)?;
            let mut certificates = txn.open_table(CERTIFICATES)?;
            for pruned in first..keep_from {
                blocks.remove(pruned)?;
                certificates.remove(pruned)?;
            }
            txn.open_table(PROPOSALS)?.retain_in(..(height.saturating_add(1), [0; 32]), |_, _| false)?;
            Ok(())
        })?;
        self.oldest.store(keep_from, Ordering::Release);
        self.newest.store(height, Ordering::Release);
        Ok(())
    }

    /// Forgets everything, and then starts at `record` if there is one.
    pub(crate) fn reset(&self, record: Option<&BlockRecord>) -> Result<(), StoreError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.database.write(Durability::Immediate, |txn| {
            txn.delete_table(BLOCKS)?;
            txn.delete_table(CERTIFICATES)?;
            txn.delete_table(PROPOSALS)?;
            create(txn)?;
            record.map_or(Ok(()), |record| insert(txn, record))
        })?;
        let height = record.map_or(0, |record| record.height.0);
        self.oldest.store(height, Ordering::Release);
        self.newest.store(height, Ordering::Release);
        Ok(())
    }

    pub(crate) fn update_certificate(&self, height: Height, certificate: &[u8]) -> Result<(), StoreError> {
        check_block(&[], certificate)?;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if height > self.newest() || height == Height::GENESIS {
            return Err(StoreError::Order { expected: self.newest(), got: height });
        }
        if height < self.oldest() {
            return Ok(());
        }
        self.database.write(Durability::None, |txn| {
            txn.open_table(CERTIFICATES)?.insert(height.0, certificate)?;
            Ok(())
        })
    }

    pub(crate) fn block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError> {
        self.database.read(|txn| {
            let Some(stored) = txn.open_table(BLOCKS)?.get(height.0)? else {
                return Ok(None);
            };
            let (id, checksum, block) = stored.value();
            if checksum != checksum_of(height, &id, block) {
                return Err(self.damaged(height));
            }
            let certificate = txn.open_table(CERTIFICATES)?.get(height.0)?;
            let certificate = certificate.ok_or_else(|| self.damaged(height))?;
            Ok(Some((block.to_vec(), certificate.value().to_vec())))
        })
    }

    pub(crate) fn put_proposal(
        &self,
        height: Height,
        id: BlockId,
        meta: &[u8],
        block: &[u8],
    ) -> Result<(), StoreError> {
        check_block(block, meta)?;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // A proposal for a decided height comes too late to matter, and nothing would ever remove it.
        if height <= self.newest() {
            return Ok(());
        }
        self.database.write(Durability::Immediate, |txn| {
            txn.open_table(PROPOSALS)?.insert((height.0, id.0.0), (meta, block))?;
            Ok(())
        })
    }

    pub(crate) fn proposals(&self, height: Height) -> Result<Vec<StoredProposal>, StoreError> {
        self.database.read(|txn| {
            let proposals = txn.open_table(PROPOSALS)?;
            let range = proposals.range((height.0, [0; 32])..=(height.0, [0xff; 32]))?;
            range
                .map(|entry| {
                    let (key, value) = entry?;
                    let (meta, block) = value.value();
                    Ok((BlockId(Digest(key.value().1)), meta.to_vec(), block.to_vec()))
                })
                .collect()
        })
    }

    fn damaged(&self, height: Height) -> Failure {
        StoreError::corrupt(self.database.path(), format!("block {height} is not what was written")).into()
    }
}

fn create(txn: &WriteTransaction) -> Result<(), Failure> {
    txn.open_table(BLOCKS)?;
    txn.open_table(CERTIFICATES)?;
    txn.open_table(PROPOSALS)?;
    Ok(())
}

fn insert(txn: &WriteTransaction, record: &BlockRecord) -> Result<(), Failure> {
    let (height, id) = (record.height, record.id.0.0);
    let checksum = checksum_of(height, &id, &record.block);
    txn.open_table(BLOCKS)?.insert(height.0, (id, checksum, record.block.as_slice()))?;
    txn.open_table(CERTIFICATES)?.insert(height.0, record.certificate.as_slice())?;
    Ok(())
}

fn checksum_of(height: Height, id: &[u8; 32], block: &[u8]) -> [u8; 32] {
    Digest::of_list(CHECKSUM, [height.0.to_le_bytes().as_slice(), id, block]).0
}

fn check_block(block: &[u8], side: &[u8]) -> Result<(), StoreError> {
    let limits = [("a block", block.len(), MAX_BLOCK_BYTES), ("a certificate", side.len(), MAX_SIDE_BYTES)];
    for (what, actual, limit) in limits {
        if actual > limit {
            return Err(StoreError::Limit { what, actual, limit });
        }
    }
    Ok(())
}
