//! What a command finds around itself: directory, keys, passphrases, output.

use std::path::PathBuf;

use freeway_primitives::{Address, SecretKey};

use super::directory::{Platform, default_directory};
use super::{Global, Party};
use crate::hints::Problem;
use crate::keystore::{Entry, KeyName, Keystore, PassphraseSource};
use crate::output::Output;

/// The folder of keys in a directory of a network.
const KEYS: &str = "keys";

/// The surroundings of a command.
#[derive(Clone, Debug)]
pub struct Context {
    global: Global,
}

impl Context {
    /// The surroundings that these options describe. Nothing is looked at yet.
    pub const fn new(global: Global) -> Self {
        Self { global }
    }

    /// The options that every command takes.
    pub const fn global(&self) -> &Global {
        &self.global
    }

    /// How results are printed.
    pub const fn output(&self) -> Output {
        self.global.output()
    }

    /// The directory of the network. It need not exist.
    ///
    /// # Errors
    /// If none is given and the user has no home.
    pub fn directory(&self) -> Result<PathBuf, Problem> {
        let given = self.global.dir.clone();
        given.or_else(|| default_directory(Platform::CURRENT, |name| std::env::var_os(name))).ok_or_else(|| {
            Problem::new("no_directory", "this user has no data directory")
                .hint("name a directory with --dir DIR")
        })
    }

    /// The directory of keys. It need not exist.
    ///
    /// # Errors
    /// As [`Context::directory`].
    pub fn keys_directory(&self) -> Result<PathBuf, Problem> {
        match &self.global.keys {
            Some(keys) => Ok(keys.clone()),
            None => Ok(self.directory()?.join(KEYS)),
        }
    }

    /// The keys.
    ///
    /// # Errors
    /// If others can look into the directory, or it cannot be opened.
    pub fn keystore(&self) -> Result<Keystore, Problem> {
        Ok(Keystore::open(self.keys_directory()?)?)
    }

    /// Where passphrases come from.
    ///
    /// # Errors
    /// If the variable for them is set and unusable.
    pub fn passphrases(&self) -> Result<PassphraseSource, Problem> {
        Ok(PassphraseSource::of_process(self.global.passphrase_file.clone())?)
    }

    /// Decrypts a key.
    ///
    /// # Errors
    /// If there is none of that name, or the passphrase does not open it.
    pub fn unlock(&self, name: &KeyName) -> Result<SecretKey, Problem> {
        let keystore = self.keystore()?;
        // Before somebody types a passphrase for nothing.
        keystore.entry(name.as_str())?;
        let passphrase = self.passphrases()?.existing(&format!("Passphrase of {name}"))?;
        Ok(keystore.unlock(name.as_str(), &passphrase)?)
    }

    /// What is known of a key without its passphrase.
    ///
    /// # Errors
    /// If there is none.
    pub fn entry(&self, party: &Party) -> Result<Entry, Problem> {
        Ok(self.keystore()?.entry(&party.to_string())?)
    }

    /// The account that is meant.
    ///
    /// # Errors
    /// If a name is no key.
    pub fn address(&self, party: &Party) -> Result<Address, Problem> {
        match party {
            Party::Address(address) => Ok(*address),
            Party::Name(_) => Ok(self.entry(party)?.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(directory: &std::path::Path) -> Context {
        Context::new(Global { dir: Some(directory.to_owned()), ..Global::default() })
    }

    #[test]
    fn keys_are_in_the_directory_unless_said_otherwise() {
        let base = context("d".as_ref());
        assert_eq!(base.keys_directory().unwrap(), PathBuf::from("d/keys"));
        let other = Context::new(Global { keys: Some("k".into()), ..base.global().clone() });
        assert_eq!(other.keys_directory().unwrap(), PathBuf::from("k"));
        assert_eq!(other.directory().unwrap(), PathBuf::from("d"));
    }

    #[test]
    fn an_address_needs_no_key_and_a_name_does() {
        let directory = tempfile::tempdir().unwrap();
        let context = context(directory.path());
        let address = Address([3; 32]);
        assert_eq!(context.address(&Party::Address(address)), Ok(address));
        let problem = context.address(&"alice".parse().unwrap()).unwrap_err();
        assert_eq!(problem.code(), "unknown_key");
        assert!(problem.what_next().unwrap().contains("freeway keys new"), "{problem}");
    }
}
