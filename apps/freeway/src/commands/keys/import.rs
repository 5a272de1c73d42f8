//! `freeway keys import`.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;
use zeroize::Zeroizing;

use super::Key;
use crate::cli::Context;
use crate::hints::Problem;
use crate::keystore::{DerivationPath, KdfParams, KeyName, Mnemonic};

/// More than any words have; what is longer is refused as such.
const MAX_BYTES: u64 = 4096;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  freeway keys import alice                              asks for the words, without showing them
  freeway keys import alice --words-file words.txt
  pass show freeway/alice | freeway keys import alice    words from another program
  freeway keys import bob --account 1                    the second account of the same words
  freeway keys import carol --path \"m/44'/4609881'/7'\"")]
pub(super) struct Import {
    /// A name for the key: 1 to 40 of the characters a-z, 0-9, _ and -.
    name: KeyName,

    /// Read the words from this file [default: stdin, or ask if that is a terminal].
    #[arg(long, value_name = "FILE", help_heading = "Words")]
    words_file: Option<PathBuf>,

    /// Which account of the words.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, help_heading = "Words")]
    account: u16,

    /// Which key of the words, as a derivation path.
    #[arg(long, value_name = "PATH", conflicts_with = "account", help_heading = "Words")]
    path: Option<DerivationPath>,
}

impl Import {
    pub(super) fn run(self, context: &Context) -> Result<(), Problem> {
        let keystore = context.keystore()?;
        let words = Mnemonic::parse(&self.words()?)?;
        let path = self.path.unwrap_or_else(|| DerivationPath::account(self.account));
        let passphrase =
            context.passphrases()?.new_passphrase(&format!("New passphrase for {}", self.name))?;
        let key = words.key(None, &path);
        let entry = keystore.create(&self.name, &key, Some(&path), &passphrase, KdfParams::DEFAULT)?;
        context.output().result(&Key::from(entry))
    }

    fn words(&self) -> Result<Zeroizing<String>, Problem> {
        if let Some(file) = &self.words_file {
            let fail = |error| Problem::file("read", file, error);
            return read(File::open(file).map_err(fail)?).map_err(fail);
        }
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return read(stdin.lock()).map_err(|error| {
                Problem::new("file", format!("cannot read the words from stdin: {error}"))
                    .hint("give them as UTF-8 text, or in a file with --words-file FILE")
            });
        }
        let asked = rpassword::prompt_password("Words (not shown while you type): ");
        asked.map(Zeroizing::new).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => {
                Problem::interrupted().saying("no words were entered; nothing was done")
            }
            _ => Problem::new("no_terminal", format!("cannot ask for the words: {error}"))
                .hint("give them on stdin, or in a file with --words-file FILE"),
        })
    }
}

/// All text, but not more than could be words.
fn read(from: impl Read) -> io::Result<Zeroizing<String>> {
    // Reserved at once: a growing string would leave copies of its beginning behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize + 1));
    from.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}
