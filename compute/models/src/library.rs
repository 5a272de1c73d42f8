//! A folder of packages, each called by its root: `<root>.freeway`.
//!
//! A package is verified once, when it is added, and believed from then on: the folder belongs to the user, as the
//! program itself does. Adding writes under another name and renames, so that no package is ever half there.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use freeway_requests::ModelRoot;

use crate::config::{Family, Group};
use crate::pack::{EXTENSION, Temporary};
use crate::package::{self, Package, PackageError};
use crate::progress::{Progress, Stage};
use crate::text::short;

/// Files that are looked at, at most.
const MAX_ENTRIES: usize = 10_000;
/// Digits of the beginning of a root that stand for it, at least.
const MIN_PREFIX: usize = 4;
/// Candidates that a message names, at most.
const SHOWN: usize = 5;
/// Bytes that are copied at once.
const COPY_BYTES: usize = 1 << 20;

/// A folder of packages.
#[derive(Clone, Debug)]
pub struct Library {
    folder: PathBuf,
}

/// A package of a library, as a list shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What people call it.
    pub name: String,
    /// Its root.
    pub root: ModelRoot,
    /// Its file.
    pub path: PathBuf,
    /// Bytes of the file.
    pub bytes: u64,
    /// Parameters of the model.
    pub parameters: u64,
    /// The family of the model.
    pub family: Family,
    /// Elements that share a scale.
    pub group: Group,
    /// Positions.
    pub context: u32,
}

/// What a library holds.
#[derive(Debug, Default)]
pub struct Listing {
    /// Packages by name, then by root.
    pub entries: Vec<Entry>,
    /// Files that are called like packages and are none, with what is wrong.
    pub damaged: Vec<(PathBuf, PackageError)>,
}

/// Why a library cannot do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The folder cannot be read or written.
    #[error("the library of models: {0}")]
    Io(#[from] io::Error),
    /// Nothing of this name.
    #[error("there is no model {0:?} in the library; `freeway model list` shows what there is")]
    Unknown(String),
    /// Several of this name.
    #[error("{query:?} could be any of {candidates}; give more digits of the root")]
    Ambiguous {
        /// What was asked for.
        query: String,
        /// Some that match.
        candidates: String,
    },
    /// A package that is damaged or breaks a rule.
    #[error(transparent)]
    Package(#[from] PackageError),
}

impl Library {
    /// Opens the library in `folder`, and makes it if it is not there.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, LibraryError> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All packages.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn list(&self) -> Result<Listing, LibraryError> {
        let mut listing = Listing::default();
        for file in fs::read_dir(&self.folder)?.take(MAX_ENTRIES) {
            let path = file?.path();
            let Some(root) = root_of(&path) else { continue };
            match Package::open_known(&path, root) {
                Ok(package) => listing.entries.push(entry(&package, path)),
                Err(error) => listing.damaged.push((path, error)),
            }
        }
        listing.entries.sort_by(|a, b| (&a.name, a.root).cmp(&(&b.name, b.root)));
        listing.damaged.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(listing)
    }

    /// The package that has this name, this root, or a root that begins so.
    ///
    /// # Errors
    ///
    /// If there is none, or more than one.
    pub fn find(&self, query: &str) -> Result<Entry, LibraryError> {
        let entries = self.list()?.entries;
        let named: Vec<_> = entries.iter().filter(|entry| entry.name == query).collect();
        let prefix = query.to_ascii_lowercase();
        let rooted =
            |entry: &&Entry| prefix.len() >= MIN_PREFIX && entry.root.to_string().starts_with(&prefix);
        let found = if named.is_empty() { entries.iter().filter(rooted).collect() } else { named };
        match found.as_slice() {
            [] => Err(LibraryError::Unknown(short(query).to_owned())),
            [entry] => Ok((*entry).clone()),
            several => {
                let names: Vec<_> = several
                    .iter()
                    .take(SHOWN)
                    .map(|entry| format!("{} {}", entry.name, entry.root))
                    .collect();
                Err(LibraryError::Ambiguous { query: short(query).to_owned(), candidates: names.join(", ") })
            }
        }
    }

    /// Opens a package of the library, without verifying it again.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn package(&self, entry: &Entry) -> Result<Package, LibraryError> {
        Ok(Package::open_known(&entry.path, entry.root)?)
    }

    /// As [`package`](Self::package), but in memory of this process: for whoever computes with it. See
    /// [`Package::load`].
    ///
    /// # Errors
    ///
    /// As [`package`](Self::package).
    pub fn load(&self, entry: &Entry) -> Result<Package, LibraryError> {
        Ok(Package::load(&entry.path, Some(entry.root))?)
    }

    /// Copies a package into the library and verifies it. A file that is called by a root must have that root.
    ///
    /// # Errors
    ///
    /// If it cannot be copied, is damaged, or breaks a rule; nothing is added then.
    pub fn add(&self, path: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Entry, LibraryError> {
        let temporary = Temporary::new(&self.folder)?;
        let found = copy(path, temporary.create()?, progress)?;
        if let Some(expected) = root_of(path)
            && expected != found
        {
            return Err(PackageError::Root { found, expected }.into());
        }
        let package = Package::open_known(&temporary.0, found)?;
        package.inspect(progress)?;
        let path = self.folder.join(format!("{found}.{EXTENSION}"));
        let entry = entry(&package, path);
        drop(package);
        temporary.rename(&entry.path)?;
        Ok(entry)
    }

    /// Removes a package. One that is open stays readable where the system keeps mapped files.
    ///
    /// # Errors
    ///
    /// If it cannot be removed.
    pub fn remove(&self, entry: &Entry) -> Result<(), LibraryError> {
        Ok(fs::remove_file(self.folder.join(format!("{}.{EXTENSION}", entry.root)))?)
    }
}

/// The root that a file is called by.
fn root_of(path: &Path) -> Option<ModelRoot> {
    let ours = path.extension()? == EXTENSION;
    if ours { path.file_stem()?.to_str()?.parse().ok() } else { None }
}

fn entry(package: &Package, path: PathBuf) -> Entry {
    let config = package.config();
    Entry {
        name: config.name.clone(),
        root: package.root(),
        path,
        bytes: package.bytes(),
        parameters: config.parameters(),
        family: config.family,
        group: config.group,
        context: config.context,
    }
}

/// Copies a file and gives its root.
fn copy(path: &Path, mut to: File, progress: &mut dyn FnMut(Progress)) -> io::Result<ModelRoot> {
    let mut from = File::open(path)?;
    let total = from.metadata()?.len();
    let mut hasher = package::root_hasher();
    let mut buffer = vec![0; COPY_BYTES];
    let mut done = 0;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        done += count as u64;
        progress(Progress { stage: Stage::Copying, done, total });
    }
    to.sync_all()?;
    Ok(package::finish(&hasher))
}
