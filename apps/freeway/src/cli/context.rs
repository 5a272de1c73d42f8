//! What a command finds around itself: directory, keys, passphrases, output.

use std::path::PathBuf;

use freeway_primitives::{Address, SecretKey};

use super::directory::{Platform, default_directory};
use super::{Global, Party};
use crate::hints::Problem;
use crate::keystore::{Entry, KeyName, Keystore, KeystoreError, PassphraseSource};
use crate::output::Output;

/// The folder of keys in a directory of a network.
pub(crate) const KEYS: &str = "keys";

/// The file in a directory of a network that opens the keys made with it.
const PASSPHRASE: &str = "passphrase";

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
        given.or_else(|| default_directory(Platform::CURRENT, |name| std::env::var_os(name))).ok_or_else(
            || {
                Problem::new("no_directory", "this user has no data directory")
                    .hint("name a directory with --dir DIR")
            },
        )
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
        if let Some(key) = self.unlock_as_local(&keystore, name)? {
            return Ok(key);
        }
        let passphrase = self.passphrases()?.existing(&format!("Passphrase of {name}"))?;
        Ok(keystore.unlock(name.as_str(), &passphrase)?)
    }

    /// Decrypts a key of a network that `freeway up` made: its passphrase lies beside its keys. `None` if this
    /// is no such key, or the user named another file.
    fn unlock_as_local(&self, keystore: &Keystore, name: &KeyName) -> Result<Option<SecretKey>, Problem> {
        if self.global.passphrase_file.is_some() || self.global.keys.is_some() {
            return Ok(None);
        }
        Ok(self.beside_network(keystore, name)?.map(|(_, key)| key))
    }

    /// The file with the passphrase of a key of a network that `freeway up` made. `None` if the file is not there or
    /// does not open the key.
    ///
    /// # Errors
    /// If there is no such key, or the file cannot be read.
    pub(crate) fn local_passphrase(
        &self,
        keystore: &Keystore,
        name: &KeyName,
    ) -> Result<Option<PathBuf>, Problem> {
        Ok(self.beside_network(keystore, name)?.map(|(file, _)| file))
    }

    fn beside_network(
        &self,
        keystore: &Keystore,
        name: &KeyName,
    ) -> Result<Option<(PathBuf, SecretKey)>, Problem> {
        let file = self.directory()?.join(PASSPHRASE);
        if !file.exists() {
            return Ok(None);
        }
        let passphrase = PassphraseSource::File(file.clone()).existing("")?;
        match keystore.unlock(name.as_str(), &passphrase) {
            Ok(key) => Ok(Some((file, key))),
            // A key that its owner added to those of the network.
            Err(KeystoreError::WrongPassphrase { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is known of a key without its passphrase.
    ///
    /// # Errors
    /// If there is none.
    pub fn entry(&self, party: &Party) -> Result<Entry, Problem> {
        let entry = self.keystore()?.entry(&party.to_string());
        entry.map_err(|error| match (party, error) {
            (Party::Name(name), error @ KeystoreError::UnknownKey { .. })
                if name.as_str().starts_with("fwy1") =>
            {
                Problem::from(error).and_hint("as an address it is cut short: those have 62 characters")
            }
            (_, error) => error.into(),
        })
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

    #[cfg(unix)]
    #[test]
    fn the_keys_of_a_local_network_open_by_themselves() {
        use crate::keystore::{KdfParams, Passphrase};
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let context = context(directory.path());
        let name: KeyName = "developer".parse().unwrap();
        let (key, kdf) = (SecretKey::from_seed([1; 32]), KdfParams::new(1, 1, 1).unwrap());
        let passphrase = Passphrase::new("made at random").unwrap();
        context.keystore().unwrap().create(&name, &key, None, &passphrase, kdf).unwrap();
        let file = directory.path().join(PASSPHRASE);
        std::fs::write(&file, "made at random\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(context.unlock(&name).unwrap().public(), key.public());
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
