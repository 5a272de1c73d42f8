//! `freeway keys`: makes, imports and shows keys.

mod import;
mod new;
mod passphrase;

use clap::{Args, Subcommand};
use freeway_primitives::{Address, PublicKey};
use serde::Serialize;

use crate::cli::{Context, Party};
use crate::hints::Problem;
use crate::keystore::{DerivationPath, Entry};
use crate::output::{Column, Page, Show};

const EXAMPLES: &str = "\
Examples:
  freeway keys new alice                        asks for a passphrase, shows 24 words once
  freeway keys list
  freeway keys show alice --json | jq -r .address
  freeway keys import alice                     asks for the words
  freeway keys import bob --account 1           the second account of the same words
  freeway keys change-passphrase alice

Keys are encrypted files in --keys. A node signs with the key named `node`; money belongs on others.";

/// Options of `freeway keys`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key from 24 new words, which are shown once.
    New(new::New),
    /// List all keys.
    List(List),
    /// Show one key, without its secret.
    Show(ShowKey),
    /// Make a key from words that somebody wrote down.
    Import(import::Import),
    /// Encrypt a key anew under another passphrase.
    ChangePassphrase(passphrase::ChangePassphrase),
}

impl Keys {
    /// Runs the command.
    ///
    /// # Errors
    /// If the keystore, a passphrase or the words are not usable.
    pub fn run(self, context: &Context) -> Result<(), Problem> {
        match self.command {
            Command::New(command) => command.run(context),
            Command::List(command) => command.run(context),
            Command::Show(command) => command.run(context),
            Command::Import(command) => command.run(context),
            Command::ChangePassphrase(command) => command.run(context),
        }
    }
}

/// A key without its secret.
#[derive(Debug, Serialize)]
struct Key {
    name: String,
    #[serde(with = "freeway_api::text")]
    address: Address,
    #[serde(with = "freeway_api::text")]
    public_key: PublicKey,
    /// Seconds since 1970.
    created: u64,
    derivation: Option<String>,
}

impl From<Entry> for Key {
    fn from(entry: Entry) -> Self {
        Self {
            name: entry.name.to_string(),
            address: entry.address,
            public_key: entry.public_key,
            created: entry.created,
            derivation: entry.path.as_ref().map(DerivationPath::to_string),
        }
    }
}

impl Show for Key {
    fn show(&self, page: &mut Page) {
        page.fields([
            ("name", self.name.clone()),
            ("address", self.address.to_string()),
            ("public key", self.public_key.to_string()),
            ("derivation", self.derivation.clone().unwrap_or_else(|| "not from words".to_owned())),
        ]);
    }
}

#[derive(Debug, Args)]
struct List {}

/// All keys.
#[derive(Debug, Serialize)]
struct AllKeys {
    directory: String,
    keys: Vec<Key>,
    /// Files that look like keys but are not.
    skipped: Vec<SkippedFile>,
}

#[derive(Debug, Serialize)]
struct SkippedFile {
    path: String,
    reason: String,
}

impl Show for AllKeys {
    fn show(&self, page: &mut Page) {
        if self.keys.is_empty() && self.skipped.is_empty() {
            page.line(format_args!("no keys in {}; make one with `freeway keys new NAME`", self.directory));
        } else if !self.keys.is_empty() {
            let row = |key: &Key| vec![key.name.clone(), key.address.to_string()];
            page.table(&[Column::left("NAME"), Column::left("ADDRESS")], self.keys.iter().map(row));
        }
    }
}

impl List {
    fn run(self, context: &Context) -> Result<(), Problem> {
        let keystore = context.keystore()?;
        let listing = keystore.list()?;
        let skipped = listing.skipped.iter().map(|file| SkippedFile {
            path: file.path.display().to_string(),
            reason: file.reason.to_string(),
        });
        let keys = AllKeys {
            directory: keystore.directory().display().to_string(),
            keys: listing.entries.into_iter().map(Key::from).collect(),
            skipped: skipped.collect(),
        };
        context.output().result(&keys)?;
        for file in &keys.skipped {
            context.output().note(format_args!("warning: {}", file.reason));
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
struct ShowKey {
    /// Name or address of the key.
    #[arg(value_name = "NAME|ADDRESS")]
    key: Party,
}

impl ShowKey {
    fn run(self, context: &Context) -> Result<(), Problem> {
        context.output().result(&Key::from(context.entry(&self.key)?))
    }
}
