//! What can go wrong, said so that the reader knows what to do; and how causes are kept.

use std::any::Any;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use freeway_primitives::Height;

/// Why the store refuses or fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the files.
    #[error(
        "{} is in use: another node is running on this directory; stop it, or give this node a directory of its own",
        path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The files do not contain what was written to them.
    #[error(
        "{} is damaged ({detail}); restore from a snapshot, or remove the directory and let the node sync again",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The disk is full.
    #[error(
        "no space left for {}; free space and start the node again, nothing that was acknowledged is lost",
        path.display()
    )]
    NoSpace {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// The operating system refused a read or write.
    #[error(
        "{}: {detail}; check the disk and the permissions of the directory, then start the node again",
        path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// The files were written by a newer version of this program.
    #[error(
        "the directory has format {found}, this version reads up to {supported}; install the newer version again, or start with an empty directory"
    )]
    Format {
        /// The format number in the files.
        found: u64,
        /// The newest format that this version knows.
        supported: u64,
    },
    /// A height out of turn: a defect of the caller, nothing was written.
    #[error("height {got} is out of order, {expected} comes next")]
    Order {
        /// The only height that would have been accepted.
        expected: Height,
        /// The height that was given.
        got: Height,
    },
    /// An earlier write failed. What is on disk is sound, but this process no longer knows what is there.
    #[error("the store stopped after a failed write: {cause}")]
    Poisoned {
        /// The first failure.
        cause: Box<StoreError>,
    },
    /// The store has no genesis yet.
    #[error("the directory is empty: write a genesis or restore a snapshot first")]
    Uninitialised,
    /// The store already has a chain in it.
    #[error("the directory already holds a chain; use another directory, or remove this one to start over")]
    AlreadyInitialised,
    /// A restore was interrupted.
    #[error("restoring a snapshot into this directory was not finished; start the restore again")]
    Unfinished,
    /// The state or root of this height is no longer, or not yet, here.
    #[error("the state of height {height} is not kept; heights {oldest} to {newest} are")]
    NotRetained {
        /// The height asked for.
        height: Height,
        /// The oldest that could be served.
        oldest: Height,
        /// The newest that could be served.
        newest: Height,
    },
    /// Something is larger than the store accepts: a defect of the caller, nothing was written.
    #[error("{what} has {actual} bytes, at least 1 and at most {limit} are accepted")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        actual: usize,
        /// The bound in bytes.
        limit: usize,
    },
}

impl StoreError {
    /// Whether the medium failed, as opposed to a request that was refused without touching it.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::NoSpace { .. } | Self::Io { .. } | Self::Poisoned { .. })
    }

    pub(crate) fn corrupt(path: &Path, detail: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_path_buf(), detail: detail.into() }
    }

    pub(crate) fn io(path: &Path, error: &std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Self::NoSpace { path: path.to_path_buf() }
            }
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Self::corrupt(path, error.to_string()),
            _ => Self::Io { path: path.to_path_buf(), detail: error.to_string() },
        }
    }
}

/// A failure inside a transaction, before it is known to which file it belongs.
#[derive(Debug)]
pub enum Failure {
    /// Of the storage engine.
    Storage(Box<redb::Error>),
    /// That says all by itself.
    Store(StoreError),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Storage(Box::new(error.into()))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    fn at(self, path: &Path) -> StoreError {
        let error = match self {
            Self::Store(error) => return error,
            Self::Storage(error) => *error,
        };
        match error {
            redb::Error::Io(error) => StoreError::io(path, &error),
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                StoreError::Locked { path: path.to_path_buf() }
            }
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
                StoreError::Io { path: path.to_path_buf(), detail: error.to_string() }
            }
            other => StoreError::corrupt(path, other.to_string()),
        }
    }
}

/// Runs `work` on the file at `path` so that whatever a damaged file provokes comes back as an error.
///
/// The storage engine trusts what it wrote and asserts it; on a damaged file an assertion may fail. Nothing of ours is left half changed: every change is prepared aside and swapped in when complete.
pub(crate) fn contain<T>(path: &Path, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failure)) => Err(failure.at(path)),
        Err(panic) => Err(StoreError::corrupt(path, panic_message(panic.as_ref()))),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("inconsistent content").chars().take(200).collect()
}

/// The first failed write, after which nothing more is written.
#[derive(Debug, Default)]
pub(crate) struct Health(OnceLock<StoreError>);

impl Health {
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.0.get().map_or(Ok(()), |cause| Err(StoreError::Poisoned { cause: Box::new(cause.clone()) }))
    }

    pub(crate) fn record(&self, error: &StoreError) {
        // Only the first failure is the cause; later ones are its consequences.
        if error.is_fault() && self.0.set(error.clone()).is_ok() {
            tracing::error!(%error, "a write failed, the store accepts no more");
        }
    }

    pub(crate) fn cause(&self) -> Option<StoreError> {
        self.0.get().cloned()
    }
}
