//! The words of a key (BIP-39, English list).

use core::fmt;

use bip39::Language;
use freeway_primitives::SecretKey;
use zeroize::Zeroizing;

use super::nearest::nearest;
use super::{DerivationPath, Passphrase};

/// Longest text that is taken for words: 24 words have at most 215 characters, spaces included.
const MAX_BYTES: usize = 2048;
/// Longest word that an error repeats. Anything longer is no typing error of a word from the list (3 to 8
/// letters) but may be a secret that was pasted into the wrong place.
const MAX_SHOWN_CHARS: usize = 12;
/// How many words an error suggests at most.
const MAX_SUGGESTIONS: usize = 3;
/// In the English list, this many letters identify a word.
const UNIQUE_LETTERS: usize = 4;

/// The words from which keys are derived: the one thing to write on paper.
///
/// Neither `Debug` nor any error shows them; [`Mnemonic::words`] and [`Mnemonic::phrase`] do.
#[derive(Clone)]
pub struct Mnemonic(bip39::Mnemonic);

/// A text that is no mnemonic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MnemonicError {
    /// Too few or too many words.
    #[error(
        "a mnemonic has 12, 15, 18, 21 or 24 words, and here are {found}; check that none is missing or doubled"
    )]
    WordCount {
        /// How many there are.
        found: usize,
    },
    /// Far too long to be words.
    #[error(
        "this is too long for a mnemonic; enter 12 to 24 words with spaces between them, and nothing else"
    )]
    TooLong,
    /// A word that is not in the list.
    #[error("word {position}{} is not in the BIP-39 English list{}", shown(.word), hint(.suggestions))]
    UnknownWord {
        /// Which word, counted from 1.
        position: usize,
        /// The word, if it looks like one.
        word: Option<String>,
        /// The words of the list that are nearest to it.
        suggestions: Vec<&'static str>,
    },
    /// Every word is in the list, but they do not belong together.
    #[error(
        "every word is in the list, but the checksum is wrong: one of them was mistaken for another, or two \
         are swapped; compare each with what you wrote down, and their order"
    )]
    Checksum,
    /// Entropy of a length that no mnemonic has.
    #[error("a mnemonic is made of 16, 20, 24, 28 or 32 random bytes, not of {found}")]
    Entropy {
        /// How many there are.
        found: usize,
    },
    /// The operating system has no random numbers.
    #[error(
        "the operating system gives no random numbers ({0}); no key was made, because it could be guessed"
    )]
    Randomness(getrandom::Error),
}

fn shown(word: &Option<String>) -> String {
    word.as_ref().map_or_else(String::new, |word| format!(" ({word})"))
}

fn hint(suggestions: &[&str]) -> String {
    match suggestions {
        [] => "; compare it with what you wrote down".to_owned(),
        near => format!("; did you mean {}?", near.join(" or ")),
    }
}

impl Mnemonic {
    /// 24 new words, from 256 random bits.
    ///
    /// # Errors
    /// [`MnemonicError::Randomness`].
    pub fn generate() -> Result<Self, MnemonicError> {
        let mut entropy = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *entropy).map_err(MnemonicError::Randomness)?;
        Self::from_entropy(&*entropy)
    }

    /// The words for given random bytes.
    ///
    /// # Errors
    /// [`MnemonicError::Entropy`] unless there are 16, 20, 24, 28 or 32.
    pub fn from_entropy(entropy: &[u8]) -> Result<Self, MnemonicError> {
        let words = bip39::Mnemonic::from_entropy_in(Language::English, entropy);
        words.map(Self).map_err(|_| MnemonicError::Entropy { found: entropy.len() })
    }

    /// Reads words that somebody wrote down: any spacing, any case, 12, 15, 18, 21 or 24 of them.
    ///
    /// # Errors
    /// Names the first thing that is wrong, and the word where it can.
    pub fn parse(text: &str) -> Result<Self, MnemonicError> {
        if text.len() > MAX_BYTES {
            return Err(MnemonicError::TooLong);
        }
        let text = Zeroizing::new(text.to_ascii_lowercase());
        bip39::Mnemonic::parse_in_normalized(Language::English, &text).map(Self).map_err(
            |error| match error {
                bip39::Error::BadWordCount(found) => MnemonicError::WordCount { found },
                bip39::Error::UnknownWord(index) => unknown_word(&text, index),
                // The rest concerns entropy and the choice of a language, of which there is none here.
                _ => MnemonicError::Checksum,
            },
        )
    }

    /// The words in order.
    pub fn words(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.words()
    }

    /// The words with single spaces between them.
    pub fn phrase(&self) -> Zeroizing<String> {
        // Reserved at once: a growing string would leave copies of its beginning behind.
        let mut phrase = Zeroizing::new(String::with_capacity(MAX_BYTES));
        for word in self.words() {
            if !phrase.is_empty() {
                phrase.push(' ');
            }
            phrase.push_str(word);
        }
        phrase
    }

    /// The key at `path`. `passphrase` is that of BIP-39, sometimes called the 25th word, and has nothing to
    /// do with the passphrase of a key file: another one gives another key, without any error.
    pub fn key(&self, passphrase: Option<&Passphrase>, path: &DerivationPath) -> SecretKey {
        path.key_of(&*self.seed(passphrase.map_or("", Passphrase::as_str)))
    }

    fn seed(&self, passphrase: &str) -> Zeroizing<[u8; 64]> {
        Zeroizing::new(self.0.to_seed(passphrase))
    }
}

impl fmt::Debug for Mnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mnemonic({} words)", self.0.word_count())
    }
}

/// The error for the word at `index` of a text in lower case.
fn unknown_word(text: &str, index: usize) -> MnemonicError {
    let word = text.split_whitespace().nth(index).unwrap_or_default();
    let plausible = word.len() <= MAX_SHOWN_CHARS && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let (word, suggestions) =
        if plausible { (Some(word.to_owned()), suggestions(word)) } else { (None, vec![]) };
    MnemonicError::UnknownWord { position: index + 1, word, suggestions }
}

fn suggestions(word: &str) -> Vec<&'static str> {
    let list = Language::English.word_list();
    let beginning = word.get(..UNIQUE_LETTERS);
    let begun =
        list.iter().copied().find(|known| beginning.is_some_and(|letters| known.starts_with(letters)));
    let mut near = nearest(word, list.iter().copied());
    near.truncate(MAX_SUGGESTIONS);
    match begun {
        // A word cut to the letters that identify it, as some people write them down.
        Some(known) if word.len() == UNIQUE_LETTERS => vec![known],
        Some(known) if near.is_empty() => vec![known],
        _ => near,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keystore::vectors::{BIP_0039, BIP_0039_PASSPHRASE, random_bytes};

    #[test]
    fn bip_0039_vectors() {
        for (entropy, phrase, seed) in BIP_0039 {
            let entropy = hex::decode(entropy).unwrap();
            let made = Mnemonic::from_entropy(&entropy).unwrap();
            assert_eq!(*made.phrase(), phrase);
            let read = Mnemonic::parse(phrase).unwrap();
            assert_eq!(read.0.to_entropy(), entropy);
            assert_eq!(hex::encode(*read.seed(BIP_0039_PASSPHRASE)), seed, "{phrase}");
        }
    }

    #[test]
    fn property_words_are_read_as_they_were_written() {
        for case in 0..256 {
            let entropy = &random_bytes(case)[..[16, 20, 24, 28, 32][case as usize % 5]];
            let made = Mnemonic::from_entropy(entropy).unwrap();
            let read = Mnemonic::parse(&made.phrase()).unwrap();
            assert_eq!(read.0.to_entropy(), entropy, "case {case}");
            assert_eq!(made.words().count(), entropy.len() * 3 / 4, "case {case}");
        }
    }

    #[test]
    fn property_any_text_is_handled() {
        let (_, phrase, _) = BIP_0039[23];
        for at in 0..phrase.len() {
            for replacement in ["", " ", "x", "é", "\0", "\u{feff}", "\n"] {
                let _ = Mnemonic::parse(&[&phrase[..at], replacement, &phrase[at + 1..]].concat());
            }
        }
        assert_eq!(Mnemonic::parse(&"a ".repeat(1_000_000)).unwrap_err(), MnemonicError::TooLong);
    }

    #[test]
    fn new_words_are_24_and_differ() {
        let (one, other) = (Mnemonic::generate().unwrap(), Mnemonic::generate().unwrap());
        assert_eq!(one.words().count(), 24);
        assert_ne!(*one.phrase(), *other.phrase());
    }

    #[test]
    fn spacing_and_case_do_not_matter() {
        let (_, phrase, _) = BIP_0039[0];
        let typed = format!("  {}\r\n", phrase.to_uppercase().replace(' ', "\n\t "));
        assert_eq!(*Mnemonic::parse(&typed).unwrap().phrase(), phrase);
    }

    #[test]
    fn errors_say_which_word_and_what_was_meant() {
        let ask = |word: &str| {
            let words = [&["abandon"; 6][..], &[word], &["abandon"; 5]].concat().join(" ");
            Mnemonic::parse(&words).unwrap_err().to_string()
        };
        assert_eq!(ask("zpo"), "word 7 (zpo) is not in the BIP-39 English list; did you mean zoo?");
        assert!(ask("aboue").ends_with("did you mean about or above?"));
        assert!(ask("elephantine").ends_with("did you mean elephant?"));
        assert!(ask("acce").ends_with("did you mean access?"));
        assert!(ask("qqqqq").ends_with("compare it with what you wrote down"));
        assert!(ask("абв").starts_with("word 7 is not"));
        assert_eq!(ask("zoo"), MnemonicError::Checksum.to_string());
    }

    #[test]
    fn the_number_of_words_is_checked_first() {
        for count in (0..40).filter(|count| ![12, 15, 18, 21, 24].contains(count)) {
            let error = Mnemonic::parse(&"zoo ".repeat(count)).unwrap_err();
            assert_eq!(error, MnemonicError::WordCount { found: count });
        }
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        let secret = hex::encode(random_bytes(1));
        let alone = Mnemonic::parse(&secret).unwrap_err();
        let among = Mnemonic::parse(&format!("{secret}{}", " zoo".repeat(11))).unwrap_err();
        for error in [alone, among] {
            assert!(!format!("{error} {error:?}").contains(&secret[..8]));
        }
    }

    #[test]
    fn debug_shows_no_word() {
        let mnemonic = Mnemonic::parse(BIP_0039[0].1).unwrap();
        assert_eq!(format!("{mnemonic:?}"), "Mnemonic(12 words)");
    }

    #[test]
    fn account_and_passphrase_change_the_key() {
        let mnemonic = Mnemonic::parse(BIP_0039[0].1).unwrap();
        let word = Passphrase::new("TREZOR").unwrap();
        let keys = [(None, 0), (None, 1), (Some(&word), 0)]
            .map(|(word, account)| mnemonic.key(word, &DerivationPath::account(account)).public());
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
        // Pinned: a change here would lose everybody's keys.
        assert_eq!(keys[0].to_string(), "63e5f252b71c2f91f4a1105cdeefdb92bd2f4158dd832947666ff5e2f61c3883");
    }
}
