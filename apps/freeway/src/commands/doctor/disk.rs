//! The disk under `data`: room, speed, and what kind of file system it is.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use freeway_node::NodeConfig;
use tokio::time::timeout;

use super::finding::{Check, Finding};

/// How long all measurements together may take; a network disk may hang.
const PATIENCE: Duration = Duration::from_secs(20);
/// Free space below which a node stops soon, and below which it is time to act, in MiB.
const LEAST_MIB: u64 = 512;
const ENOUGH_MIB: u64 = 5 << 10;
/// A durable write that takes longer holds up blocks; much longer, and the node cannot keep up.
const SLOW: Duration = Duration::from_millis(50);
const TOO_SLOW: Duration = Duration::from_millis(500);
/// How often the speed is measured, and with how much.
const WRITES: usize = 5;
const WRITE_BYTES: usize = 4 << 10;

/// What was measured.
#[derive(Debug, Default)]
struct Disk {
    /// The folder, or the nearest one above it that is there.
    folder: PathBuf,
    /// Whether the folder itself is there.
    exists: bool,
    free_mib: Option<u64>,
    kind: Option<Kind>,
    /// The middle of some durable writes; or why there could be none.
    write: Option<Result<Duration, String>>,
}

pub(super) async fn checks(config: &NodeConfig) -> Vec<Check> {
    let data = config.data.clone();
    let measured = timeout(PATIENCE, tokio::task::spawn_blocking(move || measure(&data))).await;
    let disk = match measured {
        Ok(Ok(disk)) => disk,
        _ => {
            let found = format!("{} did not answer in {} s", config.data.display(), PATIENCE.as_secs());
            let remedy = "look at the disk and the system's log; a network disk may have lost its server";
            return vec![Check::new("disk", "writes", Finding::failed(found, remedy))];
        }
    };
    vec![
        Check::new("disk", "space", space(&disk)),
        Check::new("disk", "writes", writes(&disk)),
        Check::new("disk", "file_system", file_system(disk.kind)),
    ]
}

fn measure(data: &Path) -> Disk {
    let exists = data.is_dir();
    let folder = data.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new(".")).to_owned();
    Disk {
        free_mib: free_mib(&folder),
        kind: kind(&folder),
        write: Some(durable_write(&folder)),
        folder,
        exists,
    }
}

/// How long it takes until some bytes are on the disk for good.
fn durable_write(folder: &Path) -> Result<Duration, String> {
    let unique = getrandom::u64().map_err(|error| error.to_string())?;
    let path = folder.join(format!(".doctor-{unique:016x}.tmp"));
    let mut file = open(&path).map_err(|error| error.to_string())?;
    let _removed = Removed(&path);
    let mut times = Vec::new();
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&[0; WRITE_BYTES])
            .and_then(|()| file.sync_data())
            .map_err(|error| error.to_string())?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[WRITES / 2])
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Removes the file again, however the measurement ends.
struct Removed<'a>(&'a Path);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        // Nothing depends on it, and the folder's state has been told.
        let _ = std::fs::remove_file(self.0);
    }
}

#[cfg(unix)]
fn free_mib(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize) >> 20)
}

#[cfg(not(unix))]
fn free_mib(_: &Path) -> Option<u64> {
    None
}

/// A kind of file system that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Gone with the power.
    Memory,
    /// Somebody else's disk.
    Network(&'static str),
    /// A layer of a container, gone with it.
    Layer,
    /// A disk of this machine, as far as can be told.
    Disk,
}

#[cfg(target_os = "linux")]
fn kind(folder: &Path) -> Option<Kind> {
    let found = rustix::fs::statfs(folder).ok()?;
    // Numbers of a few bits that the kernel widens as it likes.
    Some(kind_of(u64::try_from(found.f_type).unwrap_or_default() & 0xffff_ffff))
}

#[cfg(not(target_os = "linux"))]
fn kind(_: &Path) -> Option<Kind> {
    None
}

/// By the numbers of Linux (`man 2 statfs`).
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn kind_of(number: u64) -> Kind {
    match number {
        0x0102_1994 | 0x8584_58f6 => Kind::Memory,
        0x6969 => Kind::Network("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Kind::Network("SMB"),
        0x0102_1997 => Kind::Network("9P"),
        0x00c3_6400 => Kind::Network("Ceph"),
        0x6573_5546 => Kind::Network("FUSE"),
        0x5346_414f => Kind::Network("AFS"),
        0x794c_7630 => Kind::Layer,
        _ => Kind::Disk,
    }
}

fn space(disk: &Disk) -> Finding {
    let Some(free) = disk.free_mib else { return Finding::none("this system does not tell") };
    let found = format!("{} free in {}", size(free), disk.folder.display());
    let remedy =
        "make room, move `data` to a larger disk, or keep fewer blocks with `retain_blocks` in [store]";
    match free {
        ..LEAST_MIB => Finding::failed(found, remedy),
        LEAST_MIB..ENOUGH_MIB => Finding::warning(found, remedy),
        _ => Finding::ok(found),
    }
}

fn size(mib: u64) -> String {
    if mib < 10 << 10 { format!("{mib} MiB") } else { format!("{} GiB", mib >> 10) }
}

fn writes(disk: &Disk) -> Finding {
    let folder = disk.folder.display();
    let is_new = if disk.exists { "" } else { ", where `data` is to be made" };
    match &disk.write {
        None => Finding::none("not measured"),
        Some(Err(error)) => Finding::failed(
            format!("cannot write in {folder}{is_new}: {error}"),
            format!("run as the user of the node, or let it write: chown -R USER '{folder}'"),
        ),
        Some(Ok(time)) => {
            let found = format!("{:.1} ms for a durable write in {folder}{is_new}", time.as_secs_f64() * 1e3);
            let remedy = "put `data` on a local SSD: every block waits for such writes";
            if *time > TOO_SLOW {
                Finding::failed(found, remedy)
            } else if *time > SLOW {
                Finding::warning(found, remedy)
            } else {
                Finding::ok(found)
            }
        }
    }
}

fn file_system(kind: Option<Kind>) -> Finding {
    match kind {
        None => Finding::none("this system does not tell"),
        Some(Kind::Disk) => Finding::ok("a disk of this machine"),
        Some(Kind::Memory) => Finding::warning(
            "in memory: gone when the machine restarts",
            "put `data` on a disk: a validator without its data must watch before it signs",
        ),
        Some(Kind::Network(name)) => Finding::warning(
            format!("{name}: locks and durable writes may not hold there"),
            "put `data` on a disk of this machine",
        ),
        Some(Kind::Layer) => {
            Finding::warning("a layer of a container: gone with it", "mount a volume where `data` is")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn space_and_speed_are_judged() {
        for (free, status) in [(100, Status::Failed), (1_000, Status::Warning), (9_000, Status::Ok)] {
            assert_eq!(space(&Disk { free_mib: Some(free), ..Disk::default() }).status, status, "{free}");
        }
        let of = |write| writes(&Disk { write: Some(write), ..Disk::default() }).status;
        for (ms, status) in [(2, Status::Ok), (60, Status::Warning), (800, Status::Failed)] {
            assert_eq!(of(Ok(Duration::from_millis(ms))), status, "{ms}");
        }
        assert_eq!(of(Err("no".into())), Status::Failed);
    }

    #[test]
    fn file_systems_are_told_apart() {
        for (number, status) in [
            (0xef53, Status::Ok),
            (0x0102_1994, Status::Warning),
            (0x6969, Status::Warning),
            (0x794c_7630, Status::Warning),
        ] {
            assert_eq!(file_system(Some(kind_of(number))).status, status, "{number:x}");
        }
    }

    #[test]
    fn a_measurement_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let disk = measure(&folder.path().join("data"));
        assert!(!disk.exists && disk.folder == folder.path());
        assert!(disk.write.unwrap().is_ok());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
