//! A disk in memory that crashes, tears, fills up and fails on command.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A disk in memory for tests and the simulator. Clones are the same disk.
///
/// Writes are visible at once and durable only after a sync, as on a real machine. [`SimulatedDisk::crash`]
/// decides from a seed what becomes of the writes in between. The same calls and seeds give the same bytes.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<Disk>>);

#[derive(Default)]
struct Disk {
    files: BTreeMap<String, File>,
    /// Whether a store is open on the disk.
    locked: bool,
    /// Number of crashes; a handle from before a crash is dead.
    generation: u64,
    writes_left: Option<u64>,
    sync_fails: bool,
    limit: Option<u64>,
}

#[derive(Default)]
struct File {
    /// What a crash cannot take.
    durable: Vec<u8>,
    /// What a reader sees.
    current: Vec<u8>,
    /// The way from `durable` to `current`.
    unsynced: Vec<Change>,
}

enum Change {
    Write { offset: usize, data: Vec<u8> },
    Resize(usize),
}

impl SimulatedDisk {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts the power. Each write that was not synced is kept, torn at 512-byte sectors, or lost,
    /// independently, as `seed` decides. Stores that were open on the disk fail from now on; a new one can be
    /// opened.
    pub fn crash(&self, seed: u64) {
        let mut disk = self.lock();
        disk.generation += 1;
        disk.locked = false;
        for (name, file) in &mut disk.files {
            file.crash(&mut Dice::new(seed, name));
        }
    }

    /// Lets `writes` more writes succeed; all later ones fail.
    pub fn fail_after(&self, writes: u64) {
        self.lock().writes_left = Some(writes);
    }

    /// Makes every sync fail.
    pub fn fail_sync(&self) {
        self.lock().sync_fails = true;
    }

    /// Lets the files grow to `limit` bytes together; beyond that the disk is full.
    pub fn out_of_space(&self, limit: u64) {
        self.lock().limit = Some(limit);
    }

    /// Ends all injected faults.
    pub fn heal(&self) {
        let mut disk = self.lock();
        (disk.writes_left, disk.sync_fails, disk.limit) = (None, false, None);
    }

    /// The length of all files in bytes.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes()
    }

    /// Takes the disk for one store; `None` while another has it.
    pub(crate) fn try_lock(&self) -> Option<SimulatedLock> {
        let mut disk = self.lock();
        if std::mem::replace(&mut disk.locked, true) {
            return None;
        }
        Some(SimulatedLock { disk: self.clone(), generation: disk.generation })
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.lock().files.contains_key(name)
    }

    pub(crate) fn remove(&self, name: &str) {
        self.lock().files.remove(name);
    }

    /// Gives a file its final name: whole, and durable at once, as a journalling file system does.
    pub(crate) fn rename(&self, from: &str, to: &str) {
        let mut disk = self.lock();
        if let Some(file) = disk.files.remove(from) {
            disk.files.insert(to.into(), file);
        }
    }

    /// Opens or creates a file for the storage engine.
    pub(crate) fn open(&self, name: &str) -> SimulatedFile {
        let mut disk = self.lock();
        disk.files.entry(name.into()).or_default();
        SimulatedFile { disk: self.clone(), name: name.into(), generation: disk.generation }
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedDisk").field("bytes", &self.bytes()).finish()
    }
}

impl Disk {
    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        self.files.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.current.len() as u64).sum()
    }

    /// Accounts for a write that lets a file grow by `growth` bytes.
    fn admit(&mut self, growth: usize) -> io::Result<()> {
        if let Some(left) = &mut self.writes_left {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("injected write failure"))?;
        }
        if growth > 0 && self.limit.is_some_and(|limit| self.bytes() + growth as u64 > limit) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl File {
    fn crash(&mut self, dice: &mut Dice) {
        let mut image = std::mem::take(&mut self.durable);
        for change in self.unsynced.drain(..) {
            match (change, dice.roll() % 3) {
                (_, 0) => {}
                (Change::Write { offset, data }, 1) => {
                    for (i, sector) in data.chunks(SECTOR).enumerate() {
                        if dice.roll() < 128 {
                            write(&mut image, offset + i * SECTOR, sector);
                        }
                    }
                }
                (change, _) => change.apply(&mut image),
            }
        }
        self.durable.clone_from(&image);
        self.current = image;
    }
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => write(image, *offset, data),
            Self::Resize(len) => image.resize(*len, 0),
        }
    }
}

fn write(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(data);
}

/// Bytes that depend on the seed alone.
struct Dice(blake3::OutputReader);

impl Dice {
    fn new(seed: u64, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(name.as_bytes());
        Self(hasher.finalize_xof())
    }

    fn roll(&mut self) -> u8 {
        let mut byte = [0];
        self.0.fill(&mut byte);
        byte[0]
    }
}

/// Held by the store that is open on a [`SimulatedDisk`].
#[derive(Debug)]
pub(crate) struct SimulatedLock {
    disk: SimulatedDisk,
    generation: u64,
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        let mut disk = self.disk.lock();
        // The store of before a crash has lost its hold already; another may have it now.
        if disk.generation == self.generation {
            disk.locked = false;
        }
    }
}

/// One open file of a [`SimulatedDisk`].
#[derive(Debug)]
pub(crate) struct SimulatedFile {
    disk: SimulatedDisk,
    name: String,
    generation: u64,
}

impl SimulatedFile {
    fn with<T>(&self, work: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        let mut disk = self.disk.lock();
        if disk.generation != self.generation {
            return Err(io::Error::other("the simulated machine has crashed"));
        }
        work(&mut disk)
    }

    fn change(&self, growth: impl FnOnce(usize) -> usize, change: Change) -> io::Result<()> {
        self.with(|disk| {
            let len = disk.file(&self.name)?.current.len();
            disk.admit(growth(len))?;
            let file = disk.file(&self.name)?;
            change.apply(&mut file.current);
            file.unsynced.push(change);
            Ok(())
        })
    }
}

impl redb::StorageBackend for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|disk| Ok(disk.file(&self.name)?.current.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|disk| {
            let start = usize::try_from(offset).map_err(io::Error::other)?;
            let end = start.checked_add(out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            let bytes = disk.file(&self.name)?.current.get(start..end);
            out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.change(|current| len.saturating_sub(current), Change::Resize(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|disk| {
            if disk.sync_fails {
                return Err(io::Error::other("injected sync failure"));
            }
            let file = disk.file(&self.name)?;
            for change in file.unsynced.drain(..) {
                change.apply(&mut file.durable);
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let end = offset.checked_add(data.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.change(|len| end.saturating_sub(len), Change::Write { offset, data: data.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use redb::StorageBackend;

    use super::*;

    fn filled(disk: &SimulatedDisk) -> SimulatedFile {
        let file = disk.open("f");
        file.write(0, &[1; 4096]).unwrap();
        file.sync_data().unwrap();
        file.write(0, &[2; 4096]).unwrap();
        file
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_tears_the_rest_by_sectors() {
        let mut outcomes = std::collections::BTreeSet::new();
        for seed in 0..64 {
            let disk = SimulatedDisk::new();
            let old = filled(&disk);
            disk.crash(seed);
            let mut bytes = [0; 4096];
            assert!(old.read(0, &mut bytes).is_err(), "handles from before a crash are dead");
            disk.open("f").read(0, &mut bytes).unwrap();
            for sector in bytes.chunks(SECTOR) {
                assert!(sector.iter().all(|b| *b == sector[0]) && [1, 2].contains(&sector[0]));
            }
            let again = SimulatedDisk::new();
            let _old = filled(&again);
            again.crash(seed);
            let mut same = [0; 4096];
            again.open("f").read(0, &mut same).unwrap();
            assert_eq!(bytes, same, "the seed decides alone");
            outcomes.insert(bytes.iter().filter(|b| **b == 2).count());
        }
        assert!(outcomes.contains(&0) && outcomes.contains(&4096) && outcomes.len() > 2);
    }

    #[test]
    fn faults_are_injected_until_healed() {
        let disk = SimulatedDisk::new();
        let file = disk.open("f");
        let lock = disk.try_lock();
        assert!(lock.is_some() && disk.try_lock().is_none());
        drop(lock);
        assert!(disk.try_lock().is_some());
        disk.out_of_space(1000);
        assert_eq!(file.write(990, &[0; 11]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        file.write(990, &[0; 10]).unwrap();
        disk.fail_after(1);
        file.write(0, &[0]).unwrap();
        assert!(file.write(0, &[0]).is_err() && file.write(0, &[0]).is_err());
        disk.fail_sync();
        assert!(file.sync_data().is_err());
        disk.heal();
        file.write(2000, &[0]).unwrap();
        file.sync_data().unwrap();
        assert_eq!(disk.bytes(), 2001);
    }
}
