//! The directory of a network: its lock, its secrets, and where others find what runs.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use freeway_primitives::SecretKey;

use crate::hints::Problem;
use crate::keystore::{DerivationPath, KdfParams, KeyName, Keystore, Mnemonic, Passphrase, PassphraseSource};
use crate::network_file::NetworkFile;

/// The file whose content opens the keys that were made with the directory.
const PASSPHRASE: &str = "passphrase";

/// The directory, held against other processes that run what is in it.
#[derive(Debug)]
pub(crate) struct Folder {
    directory: PathBuf,
    _lock: File,
}

impl Folder {
    /// Opens or makes the directory and takes its lock.
    pub(crate) fn open(directory: PathBuf) -> Result<Self, Problem> {
        std::fs::create_dir_all(&directory).map_err(|error| Problem::file("make", &directory, error))?;
        let directory = directory.canonicalize().map_err(|error| Problem::file("find", &directory, error))?;
        let path = directory.join("up.lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| Problem::file("write", &path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { directory, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Problem::new(
                "running",
                format!("a network is running in {} already", directory.display()),
            )
            .hint("see it with `freeway status`, stop it there with Ctrl-C, or choose another --dir")),
            Err(TryLockError::Error(error)) => Err(Problem::file("lock", &path, error)),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The passphrase of the keys in the directory; made at random if there is none yet.
    pub(crate) fn passphrase(&self) -> Result<Passphrase, Problem> {
        let path = self.path(PASSPHRASE);
        if !path.exists() {
            let mut random = [0; 32];
            getrandom::fill(&mut random).map_err(|error| {
                Problem::new("randomness", format!("the system gives no randomness: {error}"))
            })?;
            write_secret(&path, &hex::encode(random))?;
        }
        Ok(PassphraseSource::File(path).existing("")?)
    }

    /// Tells other commands where the network is.
    pub(crate) fn announce(&self, file: &NetworkFile) -> Result<(), Problem> {
        let json = serde_json::to_vec_pretty(file).map_err(|error| {
            Problem::new("defect", format!("the network file cannot be written: {error}"))
        })?;
        write(&NetworkFile::path_in(&self.directory), &json)
    }

    /// Nothing runs any more. That the file cannot be removed is no reason to fail then.
    pub(crate) fn forget_running(&self) {
        let _ = std::fs::remove_file(NetworkFile::path_in(&self.directory));
    }
}

/// A new file with one line that only its owner may read.
pub(crate) fn write_secret(path: &Path, line: &str) -> Result<(), Problem> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| Problem::file("write", path, error))?;
    writeln!(file, "{line}").map_err(|error| Problem::file("write", path, error))
}

/// Makes a key under the passphrase of a folder. That has 256 random bits: stretching would add nothing but time.
pub(crate) fn new_key(
    keystore: &Keystore,
    name: &str,
    passphrase: &Passphrase,
) -> Result<SecretKey, Problem> {
    let kdf = KdfParams::new(4, 8, 1).map_err(|error| Problem::new("defect", error.to_string()))?;
    let path = DerivationPath::default();
    let key = Mnemonic::generate()?.key(None, &path);
    let name: KeyName = name.parse().map_err(|error| Problem::told("invalid_name", error))?;
    keystore.create(&name, &key, Some(&path), passphrase, kdf)?;
    Ok(key)
}

/// Replaces a file as a whole.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, bytes)
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|error| Problem::file("write", path, error))
}
