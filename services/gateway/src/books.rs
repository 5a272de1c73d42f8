//! What was spent of budgets, and what is set aside for requests under way.
//!
//! A budget belongs to an id: of a key, or of a block of a pass. A request reserves the most that it can cost on every
//! id that bounds it, all or nothing; when it is paid, the fee is spent and the rest released. What was spent outlives
//! the process: see [`journal`]. Time is an argument, in seconds since 1970.

mod journal;
mod spent;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freeway_primitives::Amount;
use journal::{Journal, Record};

pub use spent::Spent;

/// What a budget belongs to.
pub(crate) type Id = [u8; 32];

/// Ids that have spent something and not ended, at most: about 150 bytes of memory for each.
const MAX_ACCOUNTS: usize = 1 << 20;
/// Between two searches for what has ended, in seconds.
const SWEEP_EVERY: u64 = 10;

/// Why what was spent cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct BooksError {
    path: PathBuf,
    problem: String,
}

/// A budget that bounds a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) id: Id,
    /// What may be spent in all.
    pub(crate) limit: Amount,
    /// When it may be forgotten.
    pub(crate) until: u64,
}

/// Why nothing was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A budget does not suffice: so much of it is left.
    Short(Amount),
    /// There is no room for a further id.
    Full,
    /// What is spent could not be kept.
    Broken,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    spent: u128,
    reserved: u128,
    until: u64,
}

#[derive(Debug)]
struct State {
    accounts: HashMap<Id, Account>,
    most: usize,
    swept: u64,
    journal: Option<Journal>,
    broken: bool,
}

/// The budgets of a gateway.
#[derive(Debug)]
pub(crate) struct Books(Mutex<State>);

impl Books {
    /// Books that are forgotten with the process.
    pub(crate) fn in_memory() -> Arc<Self> {
        Self::with(HashMap::new(), None)
    }

    fn with(accounts: HashMap<Id, Account>, journal: Option<Journal>) -> Arc<Self> {
        let state = State { accounts, most: MAX_ACCOUNTS, swept: 0, journal, broken: false };
        Arc::new(Self(Mutex::new(state)))
    }

    /// The books kept in the folder `data`, which is made if need be.
    ///
    /// # Errors
    /// If they are damaged, in use, or cannot be written.
    pub(crate) fn open(data: &Path, now: u64) -> Result<Arc<Self>, BooksError> {
        let (journal, mut records) = Journal::open(data)?;
        records.retain(|record| record.until >= now && record.spent > 0);
        let account =
            |record: &Record| (record.id, Account { spent: record.spent, reserved: 0, until: record.until });
        let books = Self::with(records.iter().map(account).collect(), None);
        let journal = journal.start(Arc::downgrade(&books))?;
        books.state().journal = Some(journal);
        Ok(books)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets `most` aside on each of `lines`, or on none.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        lines: &Arc<[Line]>,
        most: Amount,
        now: u64,
    ) -> Result<Reservation, Refused> {
        let mut state = self.state();
        if state.broken {
            return Err(Refused::Broken);
        }
        let mut left = None;
        let mut further = 0;
        for line in lines.iter() {
            let account = state.accounts.get(&line.id).copied();
            further += usize::from(account.is_none());
            let Account { spent, reserved, .. } = account.unwrap_or_default();
            let free = line.limit.0.saturating_sub(spent.saturating_add(reserved));
            left = Some(left.unwrap_or(free).min(free));
        }
        if let Some(left) = left.filter(|&left| left < most.0) {
            return Err(Refused::Short(Amount(left)));
        }
        if state.accounts.len() + further > state.most && !state.sweep(now, further) {
            return Err(Refused::Full);
        }
        for line in lines.iter() {
            let account = state.accounts.entry(line.id).or_default();
            account.reserved = account.reserved.saturating_add(most.0);
            account.until = account.until.max(line.until);
        }
        drop(state);
        Ok(Reservation { books: Arc::clone(self), lines: Arc::clone(lines), left: most.0 })
    }

    /// What is still free on a line.
    #[cfg(test)]
    pub(crate) fn free(&self, line: &Line) -> Amount {
        let account = self.state().accounts.get(&line.id).copied().unwrap_or_default();
        Amount(line.limit.0.saturating_sub(account.spent + account.reserved))
    }

    /// What was spent under an id.
    #[cfg(test)]
    pub(crate) fn spent(&self, id: &Id) -> Amount {
        Amount(self.state().accounts.get(id).map_or(0, |account| account.spent))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.state().accounts.len()
    }
}

impl State {
    /// Forgets what has ended. Says whether there is room for `further` ids then.
    fn sweep(&mut self, now: u64, further: usize) -> bool {
        if now >= self.swept.saturating_add(SWEEP_EVERY) || now < self.swept {
            self.swept = now;
            self.accounts.retain(|_, account| account.until >= now || account.reserved > 0);
        }
        self.accounts.len() + further <= self.most
    }

    fn records(&self) -> Vec<Record> {
        let spent = self.accounts.iter().filter(|(_, account)| account.spent > 0);
        spent.map(|(id, account)| Record { id: *id, spent: account.spent, until: account.until }).collect()
    }
}

/// What is set aside for a request. Dropping it releases what was not charged.
#[derive(Debug)]
pub(crate) struct Reservation {
    books: Arc<Books>,
    lines: Arc<[Line]>,
    left: u128,
}

impl Reservation {
    /// Spends a fee. What goes beyond the reservation is spent all the same: it was paid.
    pub(crate) fn charge(&mut self, fee: Amount) {
        let released = fee.0.min(self.left);
        self.left -= released;
        if fee.is_zero() {
            return;
        }
        let mut state = self.books.state();
        let mut records = Vec::with_capacity(self.lines.len());
        for line in self.lines.iter() {
            let account = state.accounts.entry(line.id).or_default();
            account.spent = account.spent.saturating_add(fee.0);
            account.reserved = account.reserved.saturating_sub(released);
            records.push(Record { id: line.id, spent: account.spent, until: account.until });
        }
        let Some(journal) = &mut state.journal else { return };
        // In the order of what is spent, and before the request ends: a crash of the process forgets nothing.
        if let Err(error) = journal.append(&records) {
            tracing::error!(%error, "what is spent cannot be kept; paid requests are refused until the next start");
            state.broken = true;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.books.state();
        for line in self.lines.iter() {
            let Entry::Occupied(mut entry) = state.accounts.entry(line.id) else { continue };
            let account = entry.get_mut();
            account.reserved = account.reserved.saturating_sub(self.left);
            if account.reserved == 0 && account.spent == 0 {
                entry.remove();
            }
        }
    }
}
