//! What was spent, for whoever looks at the books of a gateway from outside.

use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::path::Path;

use freeway_primitives::Amount;

use super::journal::{FILE, MAX_BYTES, RECORD_BYTES, Record};
use super::{BooksError, Id};
use crate::PassId;

/// What passes have spent, by the books of a gateway.
#[derive(Clone, Debug, Default)]
pub struct Spent(HashMap<Id, u128>);

impl Spent {
    /// Reads the books in the folder `data`, which a gateway may be writing meanwhile; `None` if there are none.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(data: &Path) -> Result<Option<Self>, BooksError> {
        let path = data.join(FILE);
        let fail = |problem: String| BooksError { path: path.clone(), problem };
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(format!("{error}; check who may read there"))),
        };
        let mut content = Vec::new();
        let read = file.take(MAX_BYTES).read_to_end(&mut content);
        read.map_err(|error| fail(format!("{error}; check the disk and who may read there")))?;
        // A record that is being written is not there yet.
        let records = content.chunks_exact(RECORD_BYTES).map_while(Record::read);
        Ok(Some(Self(records.map(|record| (record.id, record.spent)).collect())))
    }

    /// What was spent with this pass and all that was narrowed from it. Only passes with a budget of their own are
    /// booked.
    pub fn of(&self, pass: &PassId) -> Amount {
        Amount(self.0.get(&pass.0).copied().unwrap_or_default())
    }
}
