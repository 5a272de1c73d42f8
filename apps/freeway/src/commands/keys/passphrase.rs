//! `freeway keys change-passphrase`.

use std::path::PathBuf;

use clap::Args;

use super::Key;
use crate::cli::Context;
use crate::hints::Problem;
use crate::keystore::{KdfParams, KeyName, PassphraseError, PassphraseSource};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  freeway keys change-passphrase alice                        asks for the old one and the new one
  freeway keys change-passphrase alice --passphrase-file old.txt --new-passphrase-file new.txt

Copies of the old file, such as backups, still open with the old passphrase.")]
pub(super) struct ChangePassphrase {
    /// The key.
    name: KeyName,

    /// Take the new passphrase from the first line of this file [default: ask].
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

impl ChangePassphrase {
    pub(super) fn run(self, context: &Context) -> Result<(), Problem> {
        let keystore = context.keystore()?;
        // Before somebody types a passphrase for nothing.
        keystore.entry(self.name.as_str())?;
        let old = context.passphrases()?.existing(&format!("Passphrase of {}", self.name))?;
        keystore.unlock(self.name.as_str(), &old)?;
        let source = self.new_passphrase_file.map_or(PassphraseSource::Terminal, PassphraseSource::File);
        let new = source.new_passphrase(&format!("New passphrase for {}", self.name));
        let new = new.map_err(|error| match error {
            error @ PassphraseError::NoTerminal(_) => {
                Problem::from(error).hint("give the new one with --new-passphrase-file FILE")
            }
            error => error.into(),
        })?;
        let entry = keystore.change_passphrase(self.name.as_str(), &old, &new, KdfParams::DEFAULT)?;
        context.output().result(&Key::from(entry))
    }
}
