//! What can go wrong with a keystore, and what to do then.

use std::io;
use std::path::{Path, PathBuf};

use freeway_primitives::AddressError;

use super::nearest::nearest;
use super::{Damage, KdfError, KeyName, NameError};

/// How many names an error lists.
const MAX_LISTED: usize = 20;

/// Why the keystore did not do what was asked. The text says what to do next, and never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The passphrase is wrong, or somebody edited the file: the cipher cannot tell these apart.
    #[error(
        "this passphrase does not open the key {name}; try again. If you are sure of it, {} was changed since it \
         was written: restore it from a backup, or move it away and run `freeway keys import` with the words",
        path.display()
    )]
    WrongPassphrase {
        /// The key.
        name: KeyName,
        /// Its file.
        path: PathBuf,
    },
    /// There is no such key.
    #[error("there is no key {wanted:?} in {}{}", directory.display(), next_step(.near, .known))]
    UnknownKey {
        /// What was asked for.
        wanted: String,
        /// Where it was looked for.
        directory: PathBuf,
        /// What there is.
        known: Vec<KeyName>,
        /// What was perhaps meant.
        near: Option<KeyName>,
    },
    /// The name is in use; keys are never overwritten.
    #[error("there is a key {name} already, and keys are never overwritten; choose another name")]
    NameTaken {
        /// The name.
        name: KeyName,
    },
    /// Something that cannot be a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Something that begins like an address and is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The file is not what it was when it was written.
    #[error(
        "{} is not a usable key file: {damage}; restore it from a backup, or move it away and run \
         `freeway keys import` with the words",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// Others can read a key file, or look into the directory.
    #[error("others can read {0} (mode {mode:03o}); run: chmod {wanted:03o} '{0}'", path.display())]
    UnsafePermissions {
        /// The file or directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// The disk, or the quota of the user, is full.
    #[error("there is no space left to write {}; nothing was changed, free some and try again", path.display())]
    DiskFull {
        /// What was written.
        path: PathBuf,
    },
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What came back.
        source: io::Error,
    },
    /// Key stretching outside the bounds.
    #[error(transparent)]
    Kdf(#[from] KdfError),
    /// The operating system has no random numbers.
    #[error(
        "the operating system gives no random numbers ({0}); nothing was written, because it could be guessed"
    )]
    Randomness(getrandom::Error),
    /// The cipher or the encoder refused what this program gave it.
    #[error(
        "the key could not be {0}, which is a defect of this program; nothing was written, please report it"
    )]
    Defect(&'static str),
}

impl KeystoreError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { action, path, source },
        }
    }

    pub(super) fn unknown_key(wanted: &str, known: Vec<KeyName>, directory: &Path) -> Self {
        let typed = wanted.to_lowercase();
        let near =
            nearest(&typed, known.iter().map(KeyName::as_str)).first().and_then(|name| name.parse().ok());
        let wanted = wanted.chars().take(90).collect();
        Self::UnknownKey { wanted, directory: directory.to_owned(), known, near }
    }
}

fn next_step(near: &Option<KeyName>, known: &[KeyName]) -> String {
    if known.is_empty() {
        return ", which has no keys; make one with `freeway keys new`, or check the directory".to_owned();
    }
    let question = near.as_ref().map_or_else(String::new, |name| format!("; did you mean {name}?"));
    let names: Vec<&str> = known.iter().take(MAX_LISTED).map(KeyName::as_str).collect();
    let more = match known.len().saturating_sub(MAX_LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{question} (the keys are: {}{more})", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<KeyName> {
        list.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn an_unknown_key_comes_with_what_there_is() {
        let error = KeystoreError::unknown_key("Alcie", names(&["alice", "bob"]), Path::new("keys"));
        assert_eq!(
            error.to_string(),
            "there is no key \"Alcie\" in keys; did you mean alice? (the keys are: alice, bob)"
        );
        let error = KeystoreError::unknown_key("x", vec![], Path::new("keys")).to_string();
        assert!(error.contains("freeway keys new"), "{error}");
        let many: Vec<String> = (0..50).map(|i| format!("key{i}")).collect();
        let many = names(&many.iter().map(String::as_str).collect::<Vec<_>>());
        let error = KeystoreError::unknown_key(&"x".repeat(1000), many, Path::new("keys")).to_string();
        assert!(error.contains("and 30 more") && error.len() < 500, "{error}");
    }

    #[test]
    fn a_full_disk_is_called_so() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let error = KeystoreError::io("write", Path::new("a.json"), kind.into());
            assert!(error.to_string().contains("no space left to write a.json"), "{error}");
        }
    }
}
