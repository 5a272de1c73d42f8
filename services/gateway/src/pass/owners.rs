//! The folder of passes: public keys of owners, and the list of revoked ids. Looked at again while it is used.
//!
//! | file | content |
//! |---|---|
//! | `*.pub` | the public key of an owner |
//! | `owner.key` | the owner's own key, where passes are made; not read by gateways |
//! | `revoked` | one id a line, the rest of the line is a remark |

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::{OwnerKey, OwnerPublic, PassId};

/// The file of an owner's own key.
pub(super) const KEY_FILE: &str = "owner.key";
/// The file of its public half.
const PUBLIC_FILE: &str = "owner.pub";
/// The file of revoked ids.
const REVOKED_FILE: &str = "revoked";
/// Largest list of revoked ids.
const MAX_REVOKED_BYTES: u64 = 64 << 20;
/// Owners of one gateway: a foreign pass is tried with each.
const MAX_OWNERS: usize = 16;
/// Files that a folder may have before it is taken for another one.
const MAX_FILES: usize = 1_024;
/// How often the folder is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Why the folder of passes is of no use.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}; see docs/passes.md, or name another folder of passes", path.display())]
pub struct FolderError {
    path: PathBuf,
    problem: String,
}

fn fail(path: &Path, problem: impl ToString) -> FolderError {
    FolderError { path: path.to_owned(), problem: problem.to_string() }
}

/// A folder of passes, where they are made.
#[derive(Clone, Debug)]
pub struct PassFolder(PathBuf);

impl PassFolder {
    /// The folder at `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The owner's key; made if there is none. Also says whether it was made.
    ///
    /// # Errors
    /// If it can be read by others, is no key, or cannot be written.
    pub fn owner(&self) -> Result<(OwnerKey, bool), FolderError> {
        let path = self.0.join(KEY_FILE);
        match read(&path, 1 << 10) {
            Ok(text) => {
                private(&path)?;
                OwnerKey::parse(&text).map(|key| (key, false)).map_err(|error| fail(&path, error))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = OwnerKey::generate().map_err(|error| fail(&path, error))?;
                folder(&self.0).map_err(|error| fail(&self.0, error))?;
                // The public half first: a key that gateways do not know would be of no use.
                let public = self.0.join(PUBLIC_FILE);
                write_new(&public, &format!("{}\n", key.public()), 0o644)
                    .map_err(|error| fail(&public, error))?;
                let secret = format!("{}\n", key.reveal());
                write_new(&path, &secret, 0o600).map_err(|error| fail(&path, error))?;
                Ok((key, true))
            }
            Err(error) => Err(fail(&path, error)),
        }
    }

    /// Public keys of all owners.
    ///
    /// # Errors
    /// If the folder or a file cannot be read, or is none of ours. A folder that does not exist has no owners.
    pub fn owners(&self) -> Result<Vec<OwnerPublic>, FolderError> {
        let files = match std::fs::read_dir(&self.0) {
            Ok(files) => files,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail(&self.0, error)),
        };
        let mut owners = Vec::new();
        for (count, file) in files.enumerate() {
            let path = file.map_err(|error| fail(&self.0, error))?.path();
            if count >= MAX_FILES {
                return Err(fail(&self.0, format!("has more than {MAX_FILES} files")));
            }
            if path.extension().is_none_or(|extension| extension != "pub") {
                continue;
            }
            let text = read(&path, 1 << 10).map_err(|error| fail(&path, error))?;
            owners.push(text.trim().parse().map_err(|error| fail(&path, error))?);
        }
        if owners.len() > MAX_OWNERS {
            return Err(fail(&self.0, format!("has more than {MAX_OWNERS} public keys of owners")));
        }
        Ok(owners)
    }

    /// The ids that are revoked.
    ///
    /// # Errors
    /// If the list cannot be read, or a line is no id.
    pub fn revoked(&self) -> Result<HashSet<PassId>, FolderError> {
        let path = self.0.join(REVOKED_FILE);
        let text = match read(&path, MAX_REVOKED_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashSet::new()),
            Err(error) => return Err(fail(&path, error)),
        };
        let mut revoked = HashSet::new();
        // A line without an end is being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for (number, line) in whole.lines().enumerate() {
            let Some(word) = line.split_whitespace().next().filter(|word| !word.starts_with('#')) else {
                continue;
            };
            revoked
                .insert(word.parse().map_err(|error| fail(&path, format!("line {}: {error}", number + 1)))?);
        }
        Ok(revoked)
    }

    /// Revokes an id, for ever. Gateways that use this folder see it within a second. `remark` is for people.
    ///
    /// # Errors
    /// If the list cannot be read or written.
    pub fn revoke(&self, id: PassId, remark: &str) -> Result<bool, FolderError> {
        if self.revoked()?.contains(&id) {
            return Ok(false);
        }
        folder(&self.0).map_err(|error| fail(&self.0, error))?;
        let path = self.0.join(REVOKED_FILE);
        let told = |error| fail(&path, error);
        let remark: String = remark.chars().filter(|c| !c.is_control()).take(64).collect();
        let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(told)?;
        file.write_all(format!("{id} {remark}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(told)?;
        Ok(true)
    }

    /// When it last changed, as far as can be told from outside.
    fn stamp(&self) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
        let of = |path: PathBuf| {
            let known = std::fs::metadata(&path).ok();
            let length = known.as_ref().map_or(0, std::fs::Metadata::len);
            (path, known.and_then(|known| known.modified().ok()), length)
        };
        vec![of(self.0.clone()), of(self.0.join(PUBLIC_FILE)), of(self.0.join(REVOKED_FILE))]
    }
}

fn read(path: &Path, most: u64) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(std::io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {most} bytes")));
    }
    Ok(text)
}

/// Makes a folder that only its owner can enter.
pub(crate) fn folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn write_new(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())
}

/// Refuses a key that others can read.
fn private(path: &Path) -> Result<(), FolderError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let mode = std::fs::metadata(path).map_err(|error| fail(path, error))?.mode();
        if mode & 0o077 != 0 {
            return Err(fail(path, "can be read by others, and with it their money spent; chmod 600"));
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// What the folder of passes said when it was last looked at.
#[derive(Debug)]
pub(super) struct Owners {
    folder: PassFolder,
    looked: Option<Instant>,
    stamp: Vec<(PathBuf, Option<SystemTime>, u64)>,
    pub(super) keys: Vec<OwnerPublic>,
    pub(super) revoked: HashSet<PassId>,
    /// It cannot be read: then no pass is good, for it might be revoked.
    pub(super) broken: bool,
    /// Grows when the keys change.
    pub(super) version: u64,
}

impl Owners {
    pub(super) fn new(folder: PassFolder) -> Self {
        Self {
            folder,
            looked: None,
            stamp: Vec::new(),
            keys: Vec::new(),
            revoked: HashSet::new(),
            broken: false,
            version: 0,
        }
    }

    /// Looks again if it is time to.
    pub(super) fn refresh(&mut self, now: Instant) {
        if self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < EVERY) {
            return;
        }
        self.looked = Some(now);
        let stamp = self.folder.stamp();
        if stamp == self.stamp && !self.broken {
            return;
        }
        match (self.folder.owners(), self.folder.revoked()) {
            (Ok(keys), Ok(revoked)) => {
                if keys != self.keys {
                    self.version += 1;
                }
                (self.keys, self.revoked, self.broken, self.stamp) = (keys, revoked, false, stamp);
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "the folder of passes cannot be read; all passes are refused");
                self.broken = true;
            }
        }
    }
}
