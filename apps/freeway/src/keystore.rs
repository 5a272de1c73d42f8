//! The encrypted keystore: where `freeway keys` puts keys and from where a node takes them unattended.
//!
//! ```text
//! 24 words ──BIP-39──► 64-byte seed ──SLIP-0010──► ed25519 seed ──scrypt, ChaCha20-Poly1305──► NAME.json
//! ```
//!
//! - [`Mnemonic`] makes and reads the words; [`DerivationPath`] says which key of them is meant.
//! - [`Keystore`] is a directory with one file per key. A file holds the 32-byte ed25519 seed of that key,
//!   encrypted, and **not the words**: they are shown once, when the key is made, and cannot be got back from
//!   the file. Whoever loses both the words and the passphrase has lost the key.
//! - [`Passphrase`] and [`PassphraseSource`]: typed at a terminal, from `FREEWAY_PASSPHRASE`, or from a file.
//!
//! What holds: no key is ever overwritten; a file is there completely or not at all, also after a power cut;
//! every field of a file is authenticated, so an exchanged or edited file is noticed; no secret appears in an
//! error, a log line or `Debug`. Nothing here prints: the caller shows entries and errors.

mod cipher;
mod derive;
mod disk;
mod error;
mod file;
mod mnemonic;
mod name;
mod nearest;
mod passphrase;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use freeway_primitives::{Address, SecretKey};

pub use cipher::{KdfError, KdfParams};
pub use derive::{COIN_TYPE, DerivationPath, PathError};
pub use error::KeystoreError;
pub use file::{Damage, Entry};
pub use mnemonic::{Mnemonic, MnemonicError};
pub use name::{KeyName, NameError};
pub use passphrase::{ENVIRONMENT_VARIABLE, Passphrase, PassphraseError, PassphraseSource};

use file::{KeyFile, MAX_FILE_BYTES};

/// A directory of encrypted keys.
#[derive(Clone, Debug)]
pub struct Keystore {
    directory: PathBuf,
}

/// What a keystore contains.
#[derive(Debug, Default)]
pub struct Listing {
    /// The keys, by name.
    pub entries: Vec<Entry>,
    /// The files that look like keys but are not, by path; the other keys are usable all the same.
    pub skipped: Vec<Skipped>,
}

/// A file that [`Keystore::list`] left out.
#[derive(Debug)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why it is no usable key, and what to do about it.
    pub reason: KeystoreError,
}

impl Keystore {
    /// The keystore in `directory`. The directory need not exist: the first [`Keystore::create`] makes it.
    ///
    /// # Errors
    /// [`KeystoreError::UnsafePermissions`] if others can look into the directory; [`KeystoreError::Io`] if
    /// it is no directory or cannot be examined.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, KeystoreError> {
        let directory = directory.into();
        match std::fs::metadata(&directory) {
            Ok(found) if found.is_dir() => disk::require_private_directory(&directory, &found)?,
            Ok(_) => {
                let source = io::Error::from(io::ErrorKind::NotADirectory);
                return Err(KeystoreError::io("open the keystore", &directory, source));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(KeystoreError::io("open the keystore", &directory, error)),
        }
        Ok(Self { directory })
    }

    /// Where the keystore is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Encrypts a key and stores it under a new name. When this returns, the key is on disk for good.
    ///
    /// `path` records how the key came from its words, so that the owner can find it again from them; `None`
    /// for a key that came from no words.
    ///
    /// # Errors
    /// [`KeystoreError::NameTaken`]; else whatever kept the key from being stored for good.
    pub fn create(
        &self,
        name: &KeyName,
        key: &SecretKey,
        path: Option<&DerivationPath>,
        passphrase: &Passphrase,
        params: KdfParams,
    ) -> Result<Entry, KeystoreError> {
        // Asked first because stretching the passphrase takes time; what decides is the write below.
        let target = self.path_of(name);
        if target.symlink_metadata().is_ok() {
            return Err(KeystoreError::NameTaken { name: name.clone() });
        }
        let entry = Entry {
            name: name.clone(),
            address: Address::of(&key.public()),
            public_key: key.public(),
            created: unix_seconds(),
            path: path.cloned(),
        };
        let file = KeyFile::seal(entry, key, passphrase, params)?;
        disk::create_private_directory(&self.directory)?;
        match disk::write_new(&target, &file.to_json()?) {
            Err(KeystoreError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                Err(KeystoreError::NameTaken { name: name.clone() })
            }
            written => written.map(|()| file.into_entry()),
        }
    }

    /// All keys, sorted by name, and the files that are damaged. No passphrase is needed.
    ///
    /// # Errors
    /// [`KeystoreError::Io`] if the directory cannot be read; one that does not exist has no keys.
    pub fn list(&self) -> Result<Listing, KeystoreError> {
        const ACTION: &str = "list the keystore";
        let fail = |error| KeystoreError::io(ACTION, &self.directory, error);
        let items = match std::fs::read_dir(&self.directory) {
            Ok(items) => items,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
            Err(error) => return Err(fail(error)),
        };
        let mut paths = Vec::new();
        for item in items {
            let path = item.map_err(fail)?.path();
            // Unfinished writes begin with a dot; files without our extension are none of our business.
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !hidden && path.extension().is_some_and(|extension| extension == file::EXTENSION) {
                paths.push(path);
            }
        }
        paths.sort();
        let mut listing = Listing::default();
        for path in paths {
            match load(&path) {
                Ok(file) => listing.entries.push(file.into_entry()),
                Err(reason) => listing.skipped.push(Skipped { path, reason }),
            }
        }
        Ok(listing)
    }

    /// What is known of one key without its passphrase; `wanted` is a name or an address.
    ///
    /// # Errors
    /// [`KeystoreError::UnknownKey`], which lists the known names; [`KeystoreError::Damaged`].
    pub fn entry(&self, wanted: &str) -> Result<Entry, KeystoreError> {
        Ok(self.find(wanted)?.1.into_entry())
    }

    /// Decrypts a key; `wanted` is a name or an address.
    ///
    /// # Errors
    /// [`KeystoreError::WrongPassphrase`]; [`KeystoreError::UnsafePermissions`] if others can read the file;
    /// else as [`Keystore::entry`].
    pub fn unlock(&self, wanted: &str, passphrase: &Passphrase) -> Result<SecretKey, KeystoreError> {
        let (path, file) = self.find(wanted)?;
        disk::require_private_file(&path)?;
        file.unseal(&path, passphrase)
    }

    /// Encrypts a key anew under another passphrase, with fresh salt and nonce. The old file is replaced in
    /// one step. Copies of the old file (backups) still open with the old passphrase.
    ///
    /// # Errors
    /// As [`Keystore::unlock`] for the old passphrase; else whatever kept the new file from being written,
    /// and then the old one is still in place.
    pub fn change_passphrase(
        &self,
        wanted: &str,
        old: &Passphrase,
        new: &Passphrase,
        params: KdfParams,
    ) -> Result<Entry, KeystoreError> {
        let (path, file) = self.find(wanted)?;
        disk::require_private_file(&path)?;
        let key = file.unseal(&path, old)?;
        let file = KeyFile::seal(file.into_entry(), &key, new, params)?;
        disk::replace(&path, &file.to_json()?)?;
        Ok(file.into_entry())
    }

    fn path_of(&self, name: &KeyName) -> PathBuf {
        self.directory.join(format!("{name}.{}", file::EXTENSION))
    }

    /// The file of a name or address. No name is as long as an address, so the two cannot be confused.
    fn find(&self, wanted: &str) -> Result<(PathBuf, KeyFile), KeystoreError> {
        if let Ok(name) = wanted.parse::<KeyName>() {
            let path = self.path_of(&name);
            return match load(&path) {
                Ok(file) => Ok((path, file)),
                Err(KeystoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    Err(self.unknown(wanted)?)
                }
                Err(error) => Err(error),
            };
        }
        if !wanted.starts_with("fwy1") {
            return Err(self.unknown(wanted)?);
        }
        let address: Address = wanted.parse()?;
        let listing = self.list()?;
        match listing.entries.iter().find(|entry| entry.address == address) {
            Some(entry) => {
                let path = self.path_of(&entry.name);
                load(&path).map(|file| (path, file))
            }
            None => Err(self.unknown(wanted)?),
        }
    }

    /// The error for a key that is not there, with what is there.
    fn unknown(&self, wanted: &str) -> Result<KeystoreError, KeystoreError> {
        let known: Vec<KeyName> = self.list()?.entries.into_iter().map(|entry| entry.name).collect();
        Ok(KeystoreError::unknown_key(wanted, known, &self.directory))
    }
}

/// Reads a key file and checks all that can be checked without its passphrase.
fn load(path: &Path) -> Result<KeyFile, KeystoreError> {
    let bytes = disk::read_bounded(path, MAX_FILE_BYTES)?;
    KeyFile::parse(&bytes)
        .and_then(|file| file.belongs_at(path).map(|()| file))
        .map_err(|damage| KeystoreError::Damaged { path: path.to_owned(), damage })
}

/// The time for [`Entry::created`]; a clock before 1970 reads as 0, since the field is for people only.
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
