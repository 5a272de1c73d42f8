//! `freeway keys new`.

use clap::Args;
use serde::Serialize;
use zeroize::Zeroizing;

use super::Key;
use crate::cli::Context;
use crate::hints::{Exit, Problem};
use crate::keystore::{DerivationPath, KdfParams, KeyName, KeystoreError, Mnemonic};
use crate::output::{Page, Show};

/// Columns in which the words are shown.
const COLUMNS: usize = 4;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  freeway keys new alice
  freeway keys new node --passphrase-file /run/secrets/freeway
  freeway keys new bob --json | jq -r .words           the words, for a program that keeps them")]
pub(super) struct New {
    /// A name for the key: 1 to 40 of the characters a-z, 0-9, _ and -.
    name: KeyName,
}

/// A key that was just made. The only result of this program with a secret in it.
#[derive(Serialize)]
struct NewKey<'a> {
    #[serde(flatten)]
    key: Key,
    words: &'a str,
}

impl Show for NewKey<'_> {
    fn show(&self, page: &mut Page) {
        self.key.show(page);
        let words: Vec<&str> = self.words.split(' ').collect();
        let rows = words.len().div_ceil(COLUMNS);
        page.gap();
        page.line(format_args!("Write down these {} words on paper, in this order:", words.len()));
        page.gap();
        for row in 0..rows {
            let numbered = words.iter().enumerate().skip(row).step_by(rows);
            let cells = numbered.map(|(index, word)| format!("{:>4} {word:<10}", index + 1));
            page.line(cells.collect::<String>());
        }
        page.gap();
        page.line(
            "They are shown this once. Whoever has them has the key; if you lose both the words and the",
        );
        page.line("passphrase, nobody can bring the key back.");
    }
}

impl New {
    pub(super) fn run(self, context: &Context) -> Result<(), Problem> {
        let keystore = context.keystore()?;
        // Before somebody invents a passphrase for nothing.
        match keystore.entry(self.name.as_str()) {
            Ok(_) => return Err(KeystoreError::NameTaken { name: self.name }.into()),
            Err(KeystoreError::UnknownKey { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let passphrase =
            context.passphrases()?.new_passphrase(&format!("New passphrase for {}", self.name))?;
        let (words, path) = (Mnemonic::generate()?, DerivationPath::default());
        let key = words.key(None, &path);
        let entry = keystore.create(&self.name, &key, Some(&path), &passphrase, KdfParams::DEFAULT)?;
        let phrase: Zeroizing<String> = words.phrase();
        let made = NewKey { key: entry.into(), words: &phrase };
        // A key whose words nobody has seen is a trap, so here a closed output is no trifle.
        context.output().result(&made).map_err(|problem| match problem.exit() {
            Exit::Closed => Problem::new("words_not_shown", "the key was made, but nobody read its words")
                .hint(format!("put no money on it; remove {}.json from --keys and make another", self.name)),
            _ => problem,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freeway_primitives::{Address, SecretKey};

    #[test]
    fn the_words_are_numbered_down_the_columns() {
        let public_key = SecretKey::from_seed([1; 32]).public();
        let address = Address::of(&public_key);
        let key = Key { name: "a".into(), address, public_key, created: 0, derivation: None };
        let words: Vec<String> = (1..=24).map(|i| format!("w{i}")).collect();
        let mut page = Page::default();
        NewKey { key, words: &words.join(" ") }.show(&mut page);
        let text = page.into_text();
        assert!(text.contains("   1 w1           7 w7          13 w13         19 w19\n"), "{text}");
        assert!(text.contains("   6 w6          12 w12         18 w18         24 w24\n"), "{text}");
    }
}
