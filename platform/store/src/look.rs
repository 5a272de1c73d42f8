//! A look at a store from outside, which changes nothing: whose chain it holds, and whether somebody has it open.

use std::fs::{self, TryLockError};
use std::path::Path;

use redb::{DatabaseError, ReadOnlyDatabase, ReadableDatabase};

use crate::StoreError;
use crate::base::{GENESIS_KEY, RESTORING_KEY};
use crate::error::contain;
use crate::medium::META;
use crate::state::STATE_FILE;

/// What a look at a store found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// There is no store.
    Nothing,
    /// A running process has it.
    InUse,
    /// It was not closed in order; the next start repairs it before it can be read.
    Unclosed,
    /// A snapshot is being restored into it, and was not finished.
    Unfinished,
    /// It holds the chain of this genesis, in canonical bytes.
    Chain(Vec<u8>),
}

/// Looks at the store in `directory`, without writing there. A node that is started in the moment of the look finds
/// the files locked, so this is for when none seems to run.
///
/// # Errors
/// [`StoreError`] if the files cannot be read.
pub fn look(directory: &Path) -> Result<Look, StoreError> {
    let (lock, path) = (directory.join("lock"), directory.join(STATE_FILE));
    if !path.try_exists().map_err(|error| StoreError::io(&path, &error))? {
        return Ok(Look::Nothing);
    }
    let _held = match fs::File::open(&lock) {
        Ok(file) => match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => return Ok(Look::InUse),
            _ => Some(file),
        },
        // Copied without its lock, or not to be read; the database below says more.
        Err(_) => None,
    };
    contain(&path, || {
        let database = match ReadOnlyDatabase::open(&path) {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen) => return Ok(Look::InUse),
            Err(DatabaseError::RepairAborted) => return Ok(Look::Unclosed),
            Err(error) => return Err(error.into()),
        };
        let table = database.begin_read()?.open_table(META)?;
        if table.get(RESTORING_KEY)?.is_some() {
            return Ok(Look::Unfinished);
        }
        Ok(table.get(GENESIS_KEY)?.map_or(Look::Nothing, |genesis| Look::Chain(genesis.value().to_vec())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Medium, Store};

    #[test]
    fn a_look_tells_whose_chain_it_is_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("store");
        assert_eq!(look(&directory), Ok(Look::Nothing));
        assert!(!directory.exists());
        let store = Store::open(Medium::Directory(directory.clone()), Config::default()).unwrap();
        store.initialise(b"genesis", &Default::default()).unwrap();
        assert_eq!(look(&directory), Ok(Look::InUse));
        drop(store);
        assert_eq!(look(&directory), Ok(Look::Chain(b"genesis".to_vec())));
        // And it can be opened as before.
        drop(Store::open(Medium::Directory(directory.clone()), Config::default()).unwrap());
        std::fs::write(directory.join(STATE_FILE), b"no database").unwrap();
        assert!(look(&directory).is_err());
    }
}
