//! A race on disk: what is computed survives a crash, and a restart goes on at the next nonce.
//!
//! A file per race: a header that says which race it is, then batches of traces. Each batch carries a checksum
//! over itself and its place, so that whatever a crash leaves behind at the end (a torn batch, blocks that were
//! never written) is recognised and cut off: one wrong trace that counted as right would be a wrong leaf.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{Address, Canonical, ChainId, Digest, Domain, Epoch};
use freeway_proofs::sprint::Trace;

const HEADER: Domain = Domain::new("freeway 1 race record");
const BATCH: Domain = Domain::new("freeway 1 race record batch");

/// The most traces of a batch.
pub const MAX_BATCH: usize = 4_096;

const TRACE_BYTES: usize = 32;
const SUM_BYTES: usize = 16;
const COUNT_BYTES: usize = 4;

/// The longest name of a shape.
const MAX_SHAPE_BYTES: usize = 200;

/// Which race a record is of.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RaceKey {
    /// The network.
    pub chain: ChainId,
    /// The race.
    pub epoch: Epoch,
    /// What its weights and inputs come from.
    pub seed: Digest,
    /// The shape of its model.
    pub shape: String,
    /// Who races.
    pub host: Address,
    /// The host's device.
    pub device: u32,
}

impl Canonical for RaceKey {
    const KIND: &'static str = "race record";
    const MAX_BYTES: usize = 32 + 8 + 32 + 4 + MAX_SHAPE_BYTES + 32 + 4;
}

/// A race cannot be recorded.
#[derive(Debug, thiserror::Error)]
#[error("the race cannot be recorded in {path}: {source}; check the disk and the permissions")]
pub struct RecordError {
    path: PathBuf,
    source: io::Error,
}

/// A record that is open for writing.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    file: File,
    /// Digest of the header: no batch of another race passes for one of this.
    header: Digest,
    count: u64,
    /// The length of what is good: a batch that was not written whole is overwritten by the next.
    end: u64,
}

impl Record {
    /// The record of the race of `key` in `folder`, and what it has of it. One of another race under the same
    /// name is started over.
    ///
    /// # Errors
    /// [`RecordError`] if the file cannot be read or written.
    pub fn open(folder: &Path, key: &RaceKey) -> Result<(Self, Vec<Trace>), RecordError> {
        let path = path(folder, key.epoch);
        let fail = |source| RecordError { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(fail)?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(fail)?;
        let mut record = Self { path: path.clone(), file, header: Digest::ZERO, count: 0, end: 0 };
        let traces = record.begin(key).map_err(fail)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)?;
        Ok((record, traces))
    }

    /// Reads what there is, or writes the header; cuts off the rest.
    fn begin(&mut self, key: &RaceKey) -> io::Result<Vec<Trace>> {
        let bytes = key.encode();
        self.header = Digest::of(HEADER, &bytes);
        let mut head = self.header.0.to_vec();
        head.extend(bytes);
        let mut reader = BufReader::new(&self.file);
        let mut found = vec![0; head.len()];
        let traces = if read_whole(&mut reader, &mut found)? && found == head {
            let mut traces = Vec::new();
            while let Some(batch) = read_batch(&mut reader, &self.header, traces.len() as u64)? {
                self.end += batch_bytes(batch.len());
                traces.extend(batch);
            }
            traces
        } else {
            self.file.set_len(0)?;
            (&self.file).seek(SeekFrom::Start(0))?;
            (&self.file).write_all(&head)?;
            Vec::new()
        };
        self.end += head.len() as u64;
        self.count = traces.len() as u64;
        self.file.set_len(self.end)?;
        self.file.sync_all()?;
        Ok(traces)
    }

    /// How many traces there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Appends traces, and returns when they will survive a crash.
    ///
    /// # Errors
    /// [`RecordError`] if they cannot be written; the record is as before and can be tried again.
    pub fn append(&mut self, traces: &[Trace]) -> Result<(), RecordError> {
        self.write(traces).map_err(|source| RecordError { path: self.path.clone(), source })
    }

    fn write(&mut self, traces: &[Trace]) -> io::Result<()> {
        let (mut bytes, mut count) = (Vec::new(), self.count);
        for batch in traces.chunks(MAX_BATCH) {
            let start = bytes.len();
            bytes.extend((batch.len() as u32).to_le_bytes());
            batch.iter().for_each(|trace| bytes.extend(trace.0));
            let sum = checksum(&self.header, count, &bytes[start..]);
            bytes.extend(sum);
            count += batch.len() as u64;
        }
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.end += bytes.len() as u64;
        self.count = count;
        Ok(())
    }
}

/// Removes the records of the race of `epoch` and of all before it. Gives how many there were.
///
/// # Errors
/// [`RecordError`] if the folder cannot be read or a file not removed.
pub fn forget(folder: &Path, epoch: Epoch) -> Result<usize, RecordError> {
    let mut removed = 0;
    for found in epochs(folder)?.into_iter().filter(|found| *found <= epoch) {
        let path = path(folder, found);
        fs::remove_file(&path).map_err(|source| RecordError { path, source })?;
        removed += 1;
    }
    Ok(removed)
}

/// The races that have a record, in order.
///
/// # Errors
/// [`RecordError`] if the folder cannot be read.
pub fn epochs(folder: &Path) -> Result<Vec<Epoch>, RecordError> {
    let fail = |source| RecordError { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    let mut epochs = Vec::new();
    for entry in entries {
        let name = entry.map_err(fail)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("epoch-")?.strip_suffix(".race"));
        epochs.extend(number.and_then(|number| number.parse().ok()).map(Epoch));
    }
    epochs.sort_unstable();
    Ok(epochs)
}

fn path(folder: &Path, epoch: Epoch) -> PathBuf {
    folder.join(format!("epoch-{epoch}.race"))
}

fn batch_bytes(traces: usize) -> u64 {
    (COUNT_BYTES + traces * TRACE_BYTES + SUM_BYTES) as u64
}

fn checksum(header: &Digest, first: u64, batch: &[u8]) -> [u8; SUM_BYTES] {
    let digest = Digest::of_list(BATCH, [header.as_bytes(), &first.to_le_bytes()[..], batch]);
    let mut sum = [0; SUM_BYTES];
    sum.copy_from_slice(&digest.0[..SUM_BYTES]);
    sum
}

/// The next batch, if it is whole and right.
fn read_batch(reader: &mut impl Read, header: &Digest, first: u64) -> io::Result<Option<Vec<Trace>>> {
    let mut bytes = vec![0; COUNT_BYTES];
    if !read_whole(reader, &mut bytes)? {
        return Ok(None);
    }
    let count = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    if count == 0 || count > MAX_BATCH {
        return Ok(None);
    }
    bytes.resize(COUNT_BYTES + count * TRACE_BYTES, 0);
    let mut sum = [0; SUM_BYTES];
    if !read_whole(reader, &mut bytes[COUNT_BYTES..])? || !read_whole(reader, &mut sum)? {
        return Ok(None);
    }
    if sum != checksum(header, first, &bytes) {
        return Ok(None);
    }
    let trace = |chunk: &[u8]| chunk.try_into().ok().map(Trace);
    Ok(Some(bytes[COUNT_BYTES..].chunks_exact(TRACE_BYTES).filter_map(trace).collect()))
}

/// Fills `bytes`; `false` if there are fewer left.
fn read_whole(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        result => result.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(epoch: u64) -> RaceKey {
        RaceKey {
            chain: ChainId(Digest([1; 32])),
            epoch: Epoch(epoch),
            seed: Digest([2; 32]),
            shape: "tiny".into(),
            host: Address([3; 32]),
            device: 0,
        }
    }

    fn traces(range: core::ops::Range<u32>) -> Vec<Trace> {
        let trace = |i: u32| Trace(Digest::of(Domain::new("test trace"), &i.to_le_bytes()).0);
        range.map(trace).collect()
    }

    #[test]
    fn what_was_appended_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (mut record, found) = Record::open(folder.path(), &key(3)).unwrap();
        assert_eq!(found, []);
        record.append(&traces(0..10)).unwrap();
        record.append(&traces(10..5_000)).unwrap();
        record.append(&[]).unwrap();
        drop(record);
        let (mut record, found) = Record::open(folder.path(), &key(3)).unwrap();
        assert_eq!((record.count(), found), (5_000, traces(0..5_000)));
        record.append(&traces(5_000..5_001)).unwrap();
        assert_eq!(Record::open(folder.path(), &key(3)).unwrap().1, traces(0..5_001));
    }

    #[test]
    fn a_torn_tail_is_dropped_wherever_it_tears() {
        let folder = tempfile::tempdir().unwrap();
        let (mut record, _) = Record::open(folder.path(), &key(3)).unwrap();
        let (path, start) = (record.path.clone(), record.end);
        record.append(&traces(0..3)).unwrap();
        let first = record.end;
        record.append(&traces(3..7)).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() as u64 {
            let expected = if length < first { 0 } else { 3 };
            fs::write(&path, &whole[..length as usize]).unwrap();
            let (mut record, found) = Record::open(folder.path(), &key(3)).unwrap();
            assert_eq!(found, traces(0..expected), "cut at {length}");
            assert_eq!(fs::metadata(&path).unwrap().len(), if expected == 0 { start } else { first });
            record.append(&traces(expected..9)).unwrap();
            assert_eq!(Record::open(folder.path(), &key(3)).unwrap().1, traces(0..9));
        }
    }

    #[test]
    fn blocks_that_were_never_written_are_not_taken_for_traces() {
        let folder = tempfile::tempdir().unwrap();
        let (mut record, _) = Record::open(folder.path(), &key(3)).unwrap();
        let (path, start) = (record.path.clone(), record.end as usize);
        record.append(&traces(0..3)).unwrap();
        record.append(&traces(3..7)).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in start..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            fs::write(&path, &damaged).unwrap();
            let expected = if at < start + batch_bytes(3) as usize { 0 } else { 3 };
            assert_eq!(Record::open(folder.path(), &key(3)).unwrap().1, traces(0..expected), "at {at}");
        }
        let mut zeros = whole.clone();
        zeros.extend([0; 4_096]);
        fs::write(&path, &zeros).unwrap();
        assert_eq!(Record::open(folder.path(), &key(3)).unwrap().1, traces(0..7));
        // A batch in the wrong place.
        let second = whole[start + batch_bytes(3) as usize..].to_vec();
        fs::write(&path, [&whole[..start], &second].concat()).unwrap();
        assert_eq!(Record::open(folder.path(), &key(3)).unwrap().1, []);
    }

    #[test]
    fn another_race_starts_over() {
        let folder = tempfile::tempdir().unwrap();
        let (mut record, _) = Record::open(folder.path(), &key(3)).unwrap();
        record.append(&traces(0..3)).unwrap();
        let other = RaceKey { seed: Digest([9; 32]), ..key(3) };
        assert_eq!(Record::open(folder.path(), &other).unwrap().1, []);
        assert_eq!(Record::open(folder.path(), &key(3)).unwrap().1, []);
    }

    #[test]
    fn old_races_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(epochs(&folder.path().join("missing")).unwrap(), []);
        for epoch in [2, 10, 9] {
            Record::open(folder.path(), &key(epoch)).unwrap();
        }
        fs::write(folder.path().join("epoch-x.race"), "mine").unwrap();
        assert_eq!(forget(folder.path(), Epoch(9)).unwrap(), 2);
        assert_eq!(epochs(folder.path()).unwrap(), [Epoch(10)]);
        assert!(folder.path().join("epoch-x.race").exists());
    }

    #[test]
    fn a_folder_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Record::open(&file, &key(1)).unwrap_err().to_string();
        assert!(error.contains("epoch-1.race") && error.contains("check the disk"), "{error}");
    }
}
