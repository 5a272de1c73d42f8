//! What was acknowledged to clients, on disk until it is included: a crash loses none of it.
//!
//! An append-only file of records (length, checksum, transaction). Writes are gathered: while one group is
//! being synced the next gathers, so that the cost of a sync is shared. A torn tail is cut off on reading; it
//! was never acknowledged.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use freeway_ledger::MAX_TRANSACTION_BYTES;
use tokio::sync::{mpsc, oneshot};

use super::Pending;

/// Bytes after which the file is written anew with what still waits.
const COMPACT_AT_BYTES: u64 = 32 << 20;
/// Groups that may wait for the writer.
const QUEUE: usize = 1_024;
/// Length and checksum before each record.
const HEAD_BYTES: usize = 4 + 8;

/// Writing to the journal failed; the node must stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot write {path}: {detail}; free space or check the disk, then start the node again: nothing that was \
     acknowledged is lost"
)]
pub struct JournalError {
    path: String,
    detail: String,
}

struct Group {
    records: Vec<Arc<Pending>>,
    done: oneshot::Sender<Result<(), JournalError>>,
}

/// The journal of a mempool.
#[derive(Clone, Debug)]
pub struct Journal {
    groups: mpsc::Sender<Group>,
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    sum
}

/// The whole records of a journal; what follows the last whole one is a torn write.
fn read(file: &mut File) -> io::Result<Vec<Vec<u8>>> {
    let mut content = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut content)?;
    let mut records = Vec::new();
    let mut rest = content.as_slice();
    while let Some((head, tail)) = rest.split_at_checked(HEAD_BYTES) {
        let mut length = [0; 4];
        length.copy_from_slice(&head[..4]);
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_TRANSACTION_BYTES {
            break;
        }
        let Some((bytes, tail)) = tail.split_at_checked(length) else { break };
        if checksum(bytes) != head[4..] {
            break;
        }
        records.push(bytes.to_vec());
        rest = tail;
    }
    Ok(records)
}

fn append(buffer: &mut Vec<u8>, bytes: &[u8]) {
    // Transactions are at most 32 KiB.
    buffer.extend((bytes.len() as u32).to_le_bytes());
    buffer.extend(checksum(bytes));
    buffer.extend(bytes);
}

/// Replaces the journal by one with these records, atomically.
fn rewrite(path: &Path, records: &[Arc<Pending>]) -> io::Result<File> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&temporary)?;
    let mut buffer = Vec::new();
    for record in records {
        append(&mut buffer, &record.bytes);
    }
    file.write_all(&buffer)?;
    file.sync_data()?;
    std::fs::rename(&temporary, path)?;
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    OpenOptions::new().append(true).open(path)
}

impl Journal {
    /// Opens the journal at `path`, or makes one. Also gives the transactions that it holds. `waiting` tells
    /// what still waits whenever the file is written anew.
    ///
    /// # Errors
    /// [`JournalError`] if the file cannot be read or made.
    pub fn open(
        path: PathBuf,
        waiting: impl Fn() -> Vec<Arc<Pending>> + Send + 'static,
    ) -> Result<(Self, Vec<Vec<u8>>), JournalError> {
        let error = {
            let path = path.display().to_string();
            move |error: io::Error| JournalError { path: path.clone(), detail: error.to_string() }
        };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(&error)?;
        let records = read(&mut file).map_err(&error)?;
        let whole: u64 = records.iter().map(|record| (HEAD_BYTES + record.len()) as u64).sum();
        file.set_len(whole).map_err(&error)?;
        file.sync_all().map_err(&error)?;
        file.seek(SeekFrom::End(0)).map_err(&error)?;
        let (groups, queue) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("mempool-journal".into())
            .spawn(move || writer(&path, file, whole, queue, waiting))
            .map_err(&error)?;
        Ok((Self { groups }, records))
    }

    /// Waits until these transactions are on disk.
    ///
    /// # Errors
    /// [`JournalError`] if they cannot be written.
    pub async fn record(&self, records: Vec<Arc<Pending>>) -> Result<(), JournalError> {
        let stopped =
            || JournalError { path: "the journal".into(), detail: "an earlier write failed".into() };
        let (done, written) = oneshot::channel();
        self.groups.send(Group { records, done }).await.map_err(|_| stopped())?;
        written.await.map_err(|_| stopped())?
    }
}

/// The writer's thread. Ends when the journal is dropped or after the first failure.
fn writer(
    path: &Path,
    mut file: File,
    mut length: u64,
    mut queue: mpsc::Receiver<Group>,
    waiting: impl Fn() -> Vec<Arc<Pending>>,
) {
    while let Some(first) = queue.blocking_recv() {
        let mut groups = vec![first];
        while let Ok(next) = queue.try_recv() {
            groups.push(next);
        }
        let mut buffer = Vec::new();
        for record in groups.iter().flat_map(|group| &group.records) {
            append(&mut buffer, &record.bytes);
        }
        let result = file
            .write_all(&buffer)
            .and_then(|()| file.sync_data())
            .map_err(|error| JournalError { path: path.display().to_string(), detail: error.to_string() });
        let failed = result.is_err();
        for group in groups {
            let _ = group.done.send(result.clone());
        }
        length += buffer.len() as u64;
        if failed {
            return;
        }
        if length > COMPACT_AT_BYTES {
            // What was just acknowledged is in the mempool already or in a block: both are durable enough.
            match rewrite(path, &waiting()).and_then(|new| Ok((new.metadata()?.len(), new))) {
                Ok((new_length, new)) => (file, length) = (new, new_length),
                Err(error) => {
                    tracing::warn!(%error, "the mempool journal could not be compacted and grows on")
                }
            }
        }
    }
}
