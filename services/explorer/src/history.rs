//! The read model: what happened, in tables, derived from blocks alone.
//!
//! One file in the node's folder, which may be deleted at any time. A file of another network, another version or with
//! other bounds is replaced, and so is one whose latest block is not the chain's. The oldest rows go as new ones come.

mod apply;
mod rows;
mod schema;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use freeway_ledger::epochs::Clock;
use freeway_ledger::{Genesis, Params};
use freeway_primitives::{BlockId, Epoch, Height};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::facts::{Facts, FactsError};

pub(crate) use apply::Beside;
pub(crate) use rows::{Long, position};
pub(crate) use schema::FILE;

/// How long a reader waits for the writer.
const BUSY: Duration = Duration::from_secs(5);
/// Readers that are kept open.
const READERS: usize = 4;

/// Why there is no history at the moment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HistoryError {
    /// The file cannot be read or written.
    #[error("the history's file: {0}")]
    File(#[from] rusqlite::Error),
    /// The file cannot be replaced.
    #[error("{path}: {source}")]
    Replace {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A block cannot be read.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The state cannot be read.
    #[error(transparent)]
    Fault(#[from] freeway_ledger::Fault),
    /// A block does not follow the one before.
    #[error("block {0} does not follow what the history has")]
    Order(Height),
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Epochs, with all that belongs to them.
    pub(crate) epochs: u64,
    /// Blocks, transactions and events: so many of each.
    pub(crate) rows: u64,
}

/// The latest block of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) height: Height,
    pub(crate) block: BlockId,
}

/// Where heights stand in time.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    pub(crate) params: Params,
}

impl Calendar {
    /// The epoch of a height and its first height.
    pub(crate) fn clock(&self, height: Height) -> Clock {
        let length = self.params.epochs.epoch_blocks.max(1);
        let epoch = height.0.saturating_sub(1) / length;
        Clock { epoch: Epoch(epoch), start: Height(epoch.saturating_mul(length).saturating_add(1)) }
    }
}

/// The writing half.
pub(crate) struct History {
    connection: Connection,
    calendar: Calendar,
    bounds: Bounds,
    /// The latest block, if there is any.
    mark: Option<Mark>,
    /// The lowest height that was ever applied, and whether the chain is known from its beginning.
    first: Option<Height>,
    /// Rows of transactions and events.
    counts: (u64, u64),
}

impl History {
    /// Opens the file in `folder`; one that does not fit is replaced by an empty one. `is_block` says whether the chain
    /// has this block at this height.
    ///
    /// # Errors
    /// [`HistoryError`] if the file cannot be made.
    pub(crate) fn open(
        folder: &Path,
        genesis: &Genesis,
        bounds: Bounds,
        is_block: impl Fn(Mark) -> bool,
    ) -> Result<Self, HistoryError> {
        let path = folder.join(FILE);
        let print = schema::fingerprint(&genesis.chain(), bounds);
        let calendar = Calendar { params: genesis.params.clone() };
        match Self::existing(&path, &print, calendar.clone(), bounds) {
            Ok(Some(history)) if history.mark.is_none_or(&is_block) => return Ok(history),
            Ok(Some(_)) => tracing::info!("the explorer's history is of other blocks; it is built anew"),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the explorer's history cannot be used; it is built anew"),
        }
        remove(&path)?;
        let connection = connect(&path)?;
        schema::create(&connection, &print)?;
        Self::load(connection, calendar, bounds)
    }

    /// The history in a file that fits.
    fn existing(
        path: &Path,
        print: &str,
        calendar: Calendar,
        bounds: Bounds,
    ) -> Result<Option<Self>, HistoryError> {
        if !path.exists() {
            return Ok(None);
        }
        let connection = connect(path)?;
        if schema::found(&connection)?.as_deref() != Some(print) {
            tracing::info!("the explorer's history does not fit this node; it is built anew");
            return Ok(None);
        }
        Self::load(connection, calendar, bounds).map(Some)
    }

    fn load(connection: Connection, calendar: Calendar, bounds: Bounds) -> Result<Self, HistoryError> {
        let mark = schema::meta(&connection, "height")?.zip(schema::meta(&connection, "block")?);
        let mark = mark.and_then(|(height, block)| {
            Some(Mark { height: Height(height.parse().ok()?), block: BlockId(block.parse().ok()?) })
        });
        let first = schema::meta(&connection, "first")?.and_then(|first| first.parse().ok()).map(Height);
        let count = |table: &str| {
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
        };
        let counts = (count("transactions")?.unsigned_abs(), count("events")?.unsigned_abs());
        Ok(Self { connection, calendar, bounds, mark, first, counts })
    }

    /// The latest block.
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.mark
    }

    /// The lowest height that was ever applied.
    pub(crate) fn first(&self) -> Option<Height> {
        self.first
    }

    /// Adds blocks in a row, all or none.
    ///
    /// # Errors
    /// [`HistoryError`] if they do not follow, or cannot be written.
    pub(crate) fn apply(&mut self, blocks: &[Facts], beside: &dyn Beside) -> Result<(), HistoryError> {
        let (mut mark, mut first, mut counts) = (self.mark, self.first, self.counts);
        let transaction = self.connection.transaction()?;
        for facts in blocks {
            let height = facts.height();
            match mark {
                Some(mark) if mark.height.next() != height => return Err(HistoryError::Order(height)),
                Some(_) => {}
                None => {
                    apply::begin(&transaction, height, beside)?;
                    first = Some(height);
                    schema::set_meta(&transaction, "first", &height.0.to_string())?;
                }
            }
            let whole = first.is_some_and(|first| first <= self.calendar.clock(height).start);
            let added = apply::block(&transaction, &self.calendar, facts, whole, beside)?;
            counts = (counts.0 + added.0, counts.1 + added.1);
            mark = Some(Mark { height, block: facts.id });
            counts = apply::prune(&transaction, &self.calendar, self.bounds, height, counts)?;
        }
        if let Some(mark) = mark {
            schema::set_meta(&transaction, "height", &mark.height.0.to_string())?;
            schema::set_meta(&transaction, "block", &mark.block.0.to_string())?;
        }
        transaction.commit()?;
        (self.mark, self.first, self.counts) = (mark, first, counts);
        Ok(())
    }

    /// Forgets everything: the next block begins the history.
    ///
    /// # Errors
    /// [`HistoryError`] if it cannot be written.
    pub(crate) fn forget(&mut self) -> Result<(), HistoryError> {
        schema::clear(&self.connection)?;
        (self.mark, self.first, self.counts) = (None, None, (0, 0));
        Ok(())
    }

    /// For reading what was written.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// The reading half: connections that cannot write.
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { path: folder.join(FILE), idle: Mutex::new(Vec::new()) }
    }

    /// Reads at one moment: all that `read` asks shows the same blocks.
    ///
    /// # Errors
    /// The file's, if it cannot be read.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, rusqlite::Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(&self.path, flags)?;
                connection.busy_timeout(BUSY)?;
                connection
            }
        };
        let result = {
            let transaction = connection.transaction()?;
            read(&transaction)?
        };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < READERS {
            idle.push(connection);
        }
        Ok(result)
    }

    /// Forgets connections: the file is another.
    pub(crate) fn renew(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn connect(path: &Path) -> Result<Connection, HistoryError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // What a crash takes is built again from blocks: nothing here waits for the disk.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -8_192)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn remove(path: &Path) -> Result<(), HistoryError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(HistoryError::Replace { path: name.into(), source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The latest height in a file.
///
/// # Errors
/// The file's, if it cannot be read.
pub(crate) fn reach(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let text: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE key = ?1", params!["height"], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or_default())
}
