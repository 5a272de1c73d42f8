//! What was spent, on disk: an append-only file of records of one size, each with the whole sum of its id.
//!
//! A record is with the system before the request that it belongs to ends, so that no crash of the process loses it; a
//! thread brings it to the disk soon after, so that a power cut loses at most what was spent in its last moment. A torn
//! record at the end is cut off. The thread also writes the file anew when most of it is out of date.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::{Books, BooksError, Id};

/// Bytes of a record: id, sum, end, checksum.
pub(super) const RECORD_BYTES: usize = 32 + 16 + 8 + 8;
/// The file is written anew when it is larger than this, and than twice what it has to say.
const COMPACT_AT_BYTES: u64 = 1 << 20;
/// Larger files are not ours.
pub(super) const MAX_BYTES: u64 = 1 << 30;
/// The file, and the one whose lock says that it is in use.
pub(super) const FILE: &str = "spent";
const LOCK: &str = "spent.lock";

/// The sum of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: Id,
    pub(super) spent: u128,
    pub(super) until: u64,
}

impl Record {
    fn write(&self, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        buffer.extend(self.id);
        buffer.extend(self.spent.to_le_bytes());
        buffer.extend(self.until.to_le_bytes());
        let sum = checksum(&buffer[start..]);
        buffer.extend(sum);
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (content, sum) = bytes.split_at_checked(RECORD_BYTES - 8)?;
        if checksum(content) != *sum {
            return None;
        }
        let (id, rest) = content.split_first_chunk::<32>()?;
        let (spent, rest) = rest.split_first_chunk::<16>()?;
        let until = rest.first_chunk::<8>()?;
        Some(Self { id: *id, spent: u128::from_le_bytes(*spent), until: u64::from_le_bytes(*until) })
    }
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    sum
}

/// The file, open for what follows.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    bytes: u64,
    /// What is appended while the file is written anew.
    tail: Option<Vec<u8>>,
    wake: SyncSender<()>,
    _lock: File,
}

/// A file that was read, before its thread runs.
pub(super) struct Opened {
    path: PathBuf,
    file: File,
    bytes: u64,
    lock: File,
}

impl Journal {
    /// Opens the file in the folder `data`, or makes it. Also gives the last record of every id.
    pub(super) fn open(data: &Path) -> Result<(Opened, Vec<Record>), BooksError> {
        let path = data.join(FILE);
        let fail = |problem: String| BooksError { path: path.clone(), problem };
        let told = |error: io::Error| fail(format!("{error}; check the disk and who may write there"));
        crate::pass::owners::folder(data).map_err(told)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(data.join(LOCK))
            .map_err(told)?;
        lock.try_lock().map_err(|_| {
            fail(
                "another gateway keeps its books there; stop it, or give this one a folder of its own".into(),
            )
        })?;
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(told)?;
        if file.metadata().map_err(told)?.len() > MAX_BYTES {
            return Err(fail("it is too large for books of a gateway; move it away".into()));
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(told)?;
        let mut last: HashMap<Id, Record> = HashMap::new();
        let mut whole = 0;
        for bytes in content.chunks(RECORD_BYTES) {
            let Some(record) = Record::read(bytes) else { break };
            last.insert(record.id, record);
            whole += bytes.len();
        }
        // What follows a torn write was never there; anything else is damage, and would forget what was spent.
        if content[whole..].chunks(RECORD_BYTES).skip(1).any(|bytes| Record::read(bytes).is_some()) {
            let problem =
                "it is damaged; restore it from a copy, or move it away to begin with nothing spent";
            return Err(fail(problem.into()));
        }
        file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(told)?;
        Ok((Opened { path, file, bytes: whole as u64, lock }, last.into_values().collect()))
    }

    /// Appends records. They are with the system when this returns.
    pub(super) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(records.len() * RECORD_BYTES);
        records.iter().for_each(|record| record.write(&mut buffer));
        self.file.write_all(&buffer)?;
        self.bytes += buffer.len() as u64;
        if let Some(tail) = &mut self.tail {
            tail.extend(&buffer);
        }
        // If the thread is already told, it has this to do as well.
        let _ = self.wake.try_send(());
        Ok(())
    }
}

impl Opened {
    /// Starts the thread. It ends with the books.
    pub(super) fn start(self, books: Weak<Books>) -> Result<Journal, BooksError> {
        let (wake, work) = sync_channel(1);
        let path = self.path.clone();
        let thread = std::thread::Builder::new().name("gateway-books".into());
        thread.spawn(move || keep(&path, &books, &work)).map_err(|error| BooksError {
            path: self.path.clone(),
            problem: format!("no thread can be started: {error}"),
        })?;
        Ok(Journal { file: self.file, bytes: self.bytes, tail: None, wake, _lock: self.lock })
    }
}

/// The thread.
fn keep(path: &Path, books: &Weak<Books>, work: &Receiver<()>) {
    while work.recv().is_ok() {
        let Some(books) = books.upgrade() else { return };
        let result = sync(&books).and_then(|()| compact(path, &books));
        if let Err(error) = result {
            tracing::error!(path = %path.display(), %error, "what is spent cannot be brought to the disk; \
                free space or check it: paid requests are refused until the next start");
            books.state().broken = true;
        }
    }
}

fn sync(books: &Books) -> io::Result<()> {
    let file = match &books.state().journal {
        Some(journal) => journal.file.try_clone()?,
        None => return Ok(()),
    };
    file.sync_data()
}

/// Writes the file anew if most of it is out of date. Requests go on meanwhile.
fn compact(path: &Path, books: &Books) -> io::Result<()> {
    let records = {
        let mut state = books.state();
        let large = (2 * state.accounts.len() * RECORD_BYTES) as u64;
        let Some(journal) =
            state.journal.as_mut().filter(|journal| journal.bytes > COMPACT_AT_BYTES.max(large))
        else {
            return Ok(());
        };
        journal.tail = Some(Vec::new());
        state.records()
    };
    let mut buffer = Vec::with_capacity(records.len() * RECORD_BYTES);
    records.iter().for_each(|record| record.write(&mut buffer));
    let temporary = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(&buffer)?;
    file.sync_data()?;
    let mut state = books.state();
    let Some(journal) = &mut state.journal else { return Ok(()) };
    let tail = journal.tail.take().unwrap_or_default();
    file.write_all(&tail)?;
    file.sync_data()?;
    std::fs::rename(&temporary, path)?;
    if let Some(parent) = path.parent() {
        match File::open(parent).and_then(|folder| folder.sync_all()) {
            // Some systems cannot.
            Err(error) if error.kind() != ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    journal.file = OpenOptions::new().append(true).open(path)?;
    journal.bytes = (buffer.len() + tail.len()) as u64;
    Ok(())
}
