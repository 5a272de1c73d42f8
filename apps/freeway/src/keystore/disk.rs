//! Files that are there completely or not at all, and that nobody else can read.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::KeystoreError;

/// Permissions of a key file.
const FILE_MODE: u32 = 0o600;
/// Permissions of the directory.
const DIRECTORY_MODE: u32 = 0o700;

/// The permissions, if they let anybody but the owner in. Systems without such permissions have none to
/// check.
#[cfg(unix)]
pub(super) fn shared_mode(found: &Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = found.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
pub(super) fn shared_mode(_: &Metadata) -> Option<u32> {
    None
}

/// Refuses a directory that others can look into.
pub(super) fn require_private_directory(path: &Path, found: &Metadata) -> Result<(), KeystoreError> {
    require_private(path, found, DIRECTORY_MODE)
}

/// Refuses a file that others can read: they could try passphrases at leisure.
pub(super) fn require_private_file(path: &Path) -> Result<(), KeystoreError> {
    let found = fs::metadata(path).map_err(|error| KeystoreError::io("examine", path, error))?;
    require_private(path, &found, FILE_MODE)
}

fn require_private(path: &Path, found: &Metadata, wanted: u32) -> Result<(), KeystoreError> {
    match shared_mode(found) {
        Some(mode) => Err(KeystoreError::UnsafePermissions { path: path.to_owned(), mode, wanted }),
        None => Ok(()),
    }
}

/// Reads a file of at most `limit` bytes. Of a longer one, one byte more comes back, which no decoder
/// accepts.
pub(super) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, KeystoreError> {
    let fail = |error| KeystoreError::io("read", path, error);
    let mut bytes = Vec::new();
    File::open(path).map_err(fail)?.take(limit + 1).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

/// Makes the directory of a keystore, and those above it, unless it is there.
pub(super) fn create_private_directory(path: &Path) -> Result<(), KeystoreError> {
    let fail = |error| KeystoreError::io("create the directory", path, error);
    match fs::metadata(path) {
        Ok(found) => return require_private_directory(path, &found),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        Err(_) => {}
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, DIRECTORY_MODE);
    builder.create(path).map_err(fail)?;
    // The new name is an entry in the directory above.
    sync_directory(parent(path))
}

/// Writes a file under a name that must be free.
///
/// # Errors
/// [`KeystoreError::Io`] with [`io::ErrorKind::AlreadyExists`] if it is not.
pub(super) fn write_new(target: &Path, bytes: &[u8]) -> Result<(), KeystoreError> {
    let staged = Staged::write(target, bytes)?;
    // A link fails if its name exists; a rename would replace what is there.
    match fs::hard_link(&staged.path, target) {
        Ok(()) => drop(staged),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(KeystoreError::io("write", target, error));
        }
        // Some file systems have no links.
        Err(_) => staged.rename_to_free(target)?,
    }
    sync_directory(parent(target))
}

/// Puts new content in the place of a file, in one step.
pub(super) fn replace(target: &Path, bytes: &[u8]) -> Result<(), KeystoreError> {
    Staged::write(target, bytes)?.rename(target)?;
    sync_directory(parent(target))
}

/// Content that is on disk under a temporary name. Removed when dropped.
struct Staged {
    path: PathBuf,
}

impl Staged {
    /// Writes beside `target`, because a rename works within one file system only.
    fn write(target: &Path, bytes: &[u8]) -> Result<Self, KeystoreError> {
        let unique = getrandom::u64().map_err(KeystoreError::Randomness)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.{unique:016x}.tmp"));
        let fail = |error| KeystoreError::io("write", &path, error);
        let mut file = open_new(&path).map_err(fail)?;
        let staged = Self { path: path.clone() };
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fail)?;
        Ok(staged)
    }

    fn rename(self, target: &Path) -> Result<(), KeystoreError> {
        fs::rename(&self.path, target).map_err(|error| KeystoreError::io("write", target, error))
    }

    /// Takes the name with an empty file first, which fails if it exists. After a crash between the two steps
    /// the empty file remains, and is reported as damaged.
    fn rename_to_free(self, target: &Path) -> Result<(), KeystoreError> {
        open_new(target).map_err(|error| KeystoreError::io("write", target, error))?;
        self.rename(target).inspect_err(|_| {
            // The first error is the one to report; what stays behind is an empty file that a listing shows.
            let _ = fs::remove_file(target);
        })
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a success there is nothing under this name. After a failure, what matters is that error; a
        // file that cannot be removed is encrypted, and no listing takes it for a key.
        let _ = fs::remove_file(&self.path);
    }
}

/// A new file for its owner only.
fn open_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, FILE_MODE);
    options.open(path)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes names in a directory survive a power cut.
#[cfg(unix)]
fn sync_directory(path: &Path) -> Result<(), KeystoreError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| KeystoreError::io("write the directory", path, error))
}

/// Windows has no such operation; its file systems log names themselves.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> Result<(), KeystoreError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|item| item.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_never_overwritten_and_nothing_is_left_over() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.json");
        write_new(&target, b"one").unwrap();
        let error = write_new(&target, b"two").unwrap_err();
        assert!(
            matches!(error, KeystoreError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
        );
        assert_eq!(fs::read(&target).unwrap(), b"one");
        replace(&target, b"three").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"three");
        assert_eq!(names(directory.path()), ["a.json"]);
    }

    #[test]
    fn without_links_a_file_is_not_overwritten_either() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.json");
        Staged::write(&target, b"one").unwrap().rename_to_free(&target).unwrap();
        assert!(Staged::write(&target, b"two").unwrap().rename_to_free(&target).is_err());
        assert_eq!(fs::read(&target).unwrap(), b"one");
        // If the second step fails, the name is free again.
        let other = directory.path().join("b.json");
        let staged = Staged::write(&other, b"x").unwrap();
        fs::remove_file(&staged.path).unwrap();
        assert!(staged.rename_to_free(&other).is_err());
        assert_eq!(names(directory.path()), ["a.json"]);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.json");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("inside"), b"").unwrap();
        assert!(replace(&target, b"x").is_err());
        assert!(write_new(&target, b"x").is_err());
        assert_eq!(names(directory.path()), ["a.json"]);
    }

    #[test]
    fn of_many_writers_one_wins() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.json");
        let won: Vec<bool> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8u8)
                .map(|i| {
                    scope.spawn({
                        let target = &target;
                        move || write_new(target, &[i; 1000]).is_ok()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        let winner = won.iter().position(|won| *won).unwrap();
        assert_eq!(fs::read(&target).unwrap(), [winner as u8; 1000]);
    }

    #[test]
    fn reading_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, vec![0; 1000]).unwrap();
        assert_eq!(read_bounded(&path, 10).unwrap().len(), 11);
        assert_eq!(read_bounded(&path, 1000).unwrap().len(), 1000);
    }

    #[cfg(unix)]
    #[test]
    fn new_files_and_directories_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("one/two");
        create_private_directory(&directory).unwrap();
        create_private_directory(&directory).unwrap();
        let target = directory.join("a.json");
        write_new(&target, b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&target)), (0o700, 0o600));
        replace(&target, b"y").unwrap();
        assert_eq!(mode(&target), 0o600);
    }
}
