//! Where the two databases live, and how one is opened, read and written.

use std::fs::{self, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Durability, ReadTransaction, ReadableDatabase, TableDefinition, WriteTransaction};

use crate::error::{Failure, Health, contain};
use crate::simulated::SimulatedLock;
use crate::{SimulatedDisk, StoreError};

/// The newest format of the files. Raised by every change that an older version could not read.
pub(crate) const FORMAT: u64 = 1;
/// Small facts about a database: format, height, root.
pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const FORMAT_KEY: &str = "format";

/// Where a store keeps its data.
#[derive(Clone, Debug)]
pub enum Medium {
    /// Two files in this directory, which is created if missing.
    Directory(PathBuf),
    /// A disk in memory with faults on command.
    Simulated(SimulatedDisk),
}

/// A medium that this process has to itself, and whether writing to it still works.
pub struct Session {
    medium: Medium,
    lock: Arc<Lock>,
    pub(crate) health: Arc<Health>,
}

/// Released when dropped.
enum Lock {
    Directory { _file: fs::File },
    Simulated { _lock: SimulatedLock },
}

impl Session {
    /// Takes the medium, before anything on it is touched.
    ///
    /// # Errors
    /// [`StoreError`] if another process has it, or its folder cannot be made.
    pub fn begin(medium: Medium) -> Result<Self, StoreError> {
        let lock = match &medium {
            Medium::Directory(directory) => {
                fs::create_dir_all(directory).map_err(|error| StoreError::io(directory, &error))?;
                let path = directory.join("lock");
                let file = fs::File::create(&path).map_err(|error| StoreError::io(&path, &error))?;
                match file.try_lock() {
                    Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path }),
                    // Where files cannot be locked, the operator has to see to it.
                    Err(TryLockError::Error(error)) if error.kind() != ErrorKind::Unsupported => {
                        return Err(StoreError::io(&path, &error));
                    }
                    _ => Lock::Directory { _file: file },
                }
            }
            Medium::Simulated(disk) => {
                let path = Path::new("simulated").join("lock");
                Lock::Simulated { _lock: disk.try_lock().ok_or(StoreError::Locked { path })? }
            }
        };
        Ok(Self { medium, lock: Arc::new(lock), health: Arc::default() })
    }

    fn path(&self, name: &str) -> PathBuf {
        match &self.medium {
            Medium::Directory(directory) => directory.join(name),
            Medium::Simulated(_) => Path::new("simulated").join(name),
        }
    }

    fn exists(&self, name: &str) -> Result<bool, StoreError> {
        match &self.medium {
            Medium::Directory(_) => {
                let path = self.path(name);
                path.try_exists().map_err(|error| StoreError::io(&path, &error))
            }
            Medium::Simulated(disk) => Ok(disk.exists(name)),
        }
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        match &self.medium {
            Medium::Directory(_) => match fs::remove_file(self.path(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    Err(StoreError::io(&self.path(name), &error))
                }
                _ => Ok(()),
            },
            Medium::Simulated(disk) => {
                disk.remove(name);
                Ok(())
            }
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        match &self.medium {
            Medium::Directory(directory) => {
                let path = self.path(to);
                fs::rename(self.path(from), &path).map_err(|error| StoreError::io(&path, &error))?;
                sync_directory(directory)
            }
            Medium::Simulated(disk) => {
                disk.rename(from, to);
                Ok(())
            }
        }
    }

    fn open(&self, name: &str, builder: &redb::Builder) -> Result<Database, StoreError> {
        let path = self.path(name);
        let inner = contain(&path, || match &self.medium {
            Medium::Directory(_) => Ok(builder.create(&path)?),
            Medium::Simulated(disk) => Ok(builder.create_with_backend(disk.open(name))?),
        })?;
        Ok(Database {
            inner: Some(inner),
            path,
            health: Arc::clone(&self.health),
            _lock: Arc::clone(&self.lock),
        })
    }
}

/// One database file. Every access to the storage engine passes through here, so that its panics are
/// contained, its errors are told apart, and nothing is written after a failed write. For the databases of a
/// [`Store`](crate::Store), and for those that other parts of a process keep beside it.
pub struct Database {
    /// Taken only by `drop`.
    inner: Option<redb::Database>,
    path: PathBuf,
    health: Arc<Health>,
    _lock: Arc<Lock>,
}

/// How to open a database.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// The file's name.
    pub name: &'static str,
    /// Memory for its pages.
    pub cache_bytes: usize,
    /// Whether all of it is checked for damage first.
    pub verify: bool,
}

impl Database {
    /// Opens a database; `create` makes its tables the first time.
    ///
    /// A new file gets its name when it is complete: a crash while it is made leaves nothing that could be
    /// taken for damage.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read or made, or is of another format.
    pub fn open(
        session: &Session,
        opening: &Opening,
        create: impl FnOnce(&WriteTransaction) -> Result<(), Failure>,
    ) -> Result<Self, StoreError> {
        let name = opening.name;
        let mut builder = redb::Builder::new();
        builder.set_cache_size(opening.cache_bytes).set_check_integrity_on_open(opening.verify);
        if !session.exists(name)? {
            let unfinished = format!("{name}.unfinished");
            session.remove(&unfinished)?;
            let database = session.open(&unfinished, &builder)?;
            database.write(Durability::Immediate, |txn| {
                txn.open_table(META)?.insert(FORMAT_KEY, FORMAT.to_le_bytes().as_slice())?;
                create(txn)
            })?;
            drop(database);
            session.rename(&unfinished, name)?;
        }
        let database = session.open(name, &builder)?;
        match database.format()? {
            FORMAT => Ok(database),
            found => Err(StoreError::Format { found, supported: FORMAT }),
        }
    }

    /// The file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads from a consistent snapshot.
    ///
    /// # Errors
    /// [`StoreError`] if the file is damaged or cannot be read, or what `work` gives.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        contain(&self.path, || work(&self.engine()?.begin_read()?))
    }

    /// Writes all that `work` does, or nothing. A failure of the medium stops all later writes.
    ///
    /// Commits are in two phases with the allocator's state (quick repair): opening after a crash takes
    /// milliseconds instead of a walk over all data, and which commit is valid does not hang on a checksum
    /// that is not cryptographic.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written, if an earlier write failed, or what `work` gives.
    pub fn write<T>(
        &self,
        durability: Durability,
        work: impl FnOnce(&WriteTransaction) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.health.check()?;
        let result = contain(&self.path, || {
            let mut txn = self.engine()?.begin_write()?;
            txn.set_durability(durability)?;
            txn.set_quick_repair(matches!(durability, Durability::Immediate));
            let value = work(&txn)?;
            txn.commit()?;
            Ok(value)
        });
        result.inspect_err(|error| self.health.record(error))
    }

    fn engine(&self) -> Result<&redb::Database, redb::StorageError> {
        self.inner.as_ref().ok_or(redb::StorageError::DatabaseClosed)
    }

    fn format(&self) -> Result<u64, StoreError> {
        self.read(|txn| {
            let format = txn.open_table(META)?.get(FORMAT_KEY)?;
            let format = format.and_then(|bytes| number(bytes.value()));
            format.ok_or_else(|| StoreError::corrupt(&self.path, "the format number is missing").into())
        })
    }
}

impl Drop for Database {
    /// The engine writes as it closes; after a contained panic that may provoke another one.
    fn drop(&mut self) {
        let inner = self.inner.take();
        let closed = contain(&self.path, || {
            drop(inner);
            Ok(())
        });
        if let Err(error) = closed {
            tracing::error!(%error, "closing failed, the next start will recover the file");
        }
    }
}

/// A little-endian number of a [`META`] table.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// Makes new file names in `directory` survive a crash.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    // Only Unix can open a directory; elsewhere names are durable with the files.
    if cfg!(unix) {
        let synced = fs::File::open(directory).and_then(|handle| handle.sync_all());
        synced.map_err(|error| StoreError::io(directory, &error))?;
    }
    Ok(())
}
