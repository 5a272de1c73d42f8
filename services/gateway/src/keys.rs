//! Keys of clients, and what each key may do.
//!
//! A gateway keeps hashes of keys, never keys: whoever reads its memory or its files cannot call it. A key has 192
//! random bits, so a plain hash is enough.

pub(crate) mod grant;
mod line;
pub(crate) mod rates;

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use freeway_primitives::Amount;

use crate::books::Line;
use grant::Grant;
use rates::Rates;

pub use line::KeyLineError;

/// What every key begins with.
const PREFIX: &str = "fw-";
/// Random bytes of a key.
const RANDOM_BYTES: usize = 24;
/// Characters of a key that somebody else made, without the prefix.
const LENGTHS: core::ops::RangeInclusive<usize> = 16..=128;
/// Keys of one gateway: all of them are looked at for every request.
const MAX_KEYS: usize = 4_096;
/// Bytes of the name of a key.
const MAX_NAME_BYTES: usize = 64;
/// The purpose of the hash.
const CONTEXT: &str = "freeway gateway key v1";
/// The purpose of the hash under which a key's spending is booked.
const BUDGET_CONTEXT: &str = "freeway gateway key budget v1";

/// Why a key or its name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It does not look like a key.
    #[error("a key is {PREFIX:?} and 16 to 128 letters, digits, hyphens or underscores")]
    Malformed,
    /// It does not look like a hash.
    #[error("the hash of a key is 64 hexadecimal digits")]
    MalformedHash,
    /// The name is empty or too long.
    #[error("the name of a key has 1 to {MAX_NAME_BYTES} bytes and no control characters")]
    Name,
    /// Another key has the same name or hash.
    #[error("there is a key of that name, or the same key under another name")]
    Twice,
    /// There are too many.
    #[error("a gateway has at most {MAX_KEYS} keys; remove one first")]
    TooMany,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    Random(String),
}

/// A key. Shown with [`Key::reveal`] alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// A new key.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| KeyError::Random(error.to_string()))?;
        Ok(Self(format!("{PREFIX}{}", hex::encode(bytes))))
    }

    /// A key that somebody chose.
    ///
    /// # Errors
    /// If it is not one.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let rest = text.strip_prefix(PREFIX).filter(|rest| LENGTHS.contains(&rest.len()));
        rest.filter(|rest| rest.bytes().all(fits)).map(|_| Self(text.to_owned())).ok_or(KeyError::Malformed)
    }

    /// The key itself, for its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> KeyHash {
        KeyHash(blake3::derive_key(CONTEXT, self.0.as_bytes()).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What is kept of a key. Compared in constant time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash(blake3::Hash);

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.to_hex())
    }
}

impl FromStr for KeyHash {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        blake3::Hash::from_hex(text).map(Self).map_err(|_| KeyError::MalformedHash)
    }
}

/// What a key may do; no limit by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Requests in a minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens of prompts and completions in a minute. They are counted when they are known, so that a request may
    /// overdraw once.
    pub tokens_per_minute: Option<u32>,
    /// Requests at a time.
    pub concurrency: Option<u32>,
}

/// What a key may do and spend; without a budget or models of its own, all that its gateway may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How often and how much at a time.
    pub allowance: Allowance,
    /// What it may spend in all, for models that cost something.
    pub budget: Option<Amount>,
    /// The models that it may ask.
    pub models: Option<BTreeSet<String>>,
}

/// A key that may be used.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    hash: KeyHash,
    terms: Terms,
}

/// A key's account and what it may do.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) rates: Arc<Rates>,
    pub(crate) grant: Arc<Grant>,
}

impl Entry {
    fn holder(&self, now: Instant) -> Holder {
        let id = blake3::derive_key(BUDGET_CONTEXT, self.hash.0.as_bytes());
        let line = self.terms.budget.map(|limit| Line { id, limit, until: u64::MAX });
        let grant = Grant {
            name: self.name.clone(),
            what: "key",
            models: self.terms.models.clone(),
            lines: line.into_iter().collect(),
            pays: true,
        };
        let rates = Rates::new(self.terms.allowance, now);
        Holder { rates: Arc::new(rates), grant: Arc::new(grant) }
    }
}

/// The keys of a gateway.
#[derive(Debug, Default)]
pub struct KeySet(Vec<Entry>);

impl KeySet {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key.
    ///
    /// # Errors
    /// If there are too many, or it or its name is there already.
    pub fn add(&mut self, name: &str, hash: KeyHash, allowance: Allowance) -> Result<(), KeyError> {
        self.add_with(name, hash, Terms { allowance, ..Terms::default() })
    }

    /// Adds a key that may not do everything.
    ///
    /// # Errors
    /// As [`KeySet::add`].
    pub fn add_with(&mut self, name: &str, hash: KeyHash, terms: Terms) -> Result<(), KeyError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(KeyError::Name);
        }
        if self.0.iter().any(|entry| entry.name == name || entry.hash == hash) {
            return Err(KeyError::Twice);
        }
        if self.0.len() >= MAX_KEYS {
            return Err(KeyError::TooMany);
        }
        self.0.push(Entry { name: name.to_owned(), hash, terms });
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none: then nobody can call the gateway.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key has a budget, so that what it spends must be kept.
    pub fn has_budgets(&self) -> bool {
        self.0.iter().any(|entry| entry.terms.budget.is_some())
    }

    /// The keys with empty accounts, as a gateway begins.
    pub(crate) fn accounts(&self, now: Instant) -> Vec<(KeyHash, Arc<Holder>)> {
        self.0.iter().map(|entry| (entry.hash, Arc::new(entry.holder(now)))).collect()
    }
}

/// The account of the key whose hash this is. Looks at all of them, so that time does not tell which it was.
pub(crate) fn find(accounts: &[(KeyHash, Arc<Holder>)], hash: KeyHash) -> Option<Arc<Holder>> {
    let mut found = None;
    for (known, account) in accounts {
        if *known == hash {
            found = Some(account);
        }
    }
    found.cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_not_shown() {
        let key = Key::generate().expect("random bytes");
        assert!(key.reveal().starts_with("fw-") && key.reveal().len() == 51);
        assert!(!format!("{key:?}").contains(&key.reveal()[3..]));
        assert_eq!(Key::parse(key.reveal()), Ok(key.clone()));
        assert_eq!(key.hash().to_string().parse(), Ok(key.hash()));
        assert_ne!(key.hash(), Key::generate().expect("random bytes").hash());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in
            ["", "fw-", "fw-short", "sk-0123456789abcdef0123", "fw-0123456789abcde\n", "fw-0123456789abcdefé"]
        {
            assert_eq!(Key::parse(text), Err(KeyError::Malformed), "{text:?}");
        }
        assert!("12".parse::<KeyHash>().is_err());
    }

    #[test]
    fn names_and_keys_differ() {
        let (mut set, key) = (KeySet::new(), Key::parse("fw-0123456789abcdef").expect("a key"));
        set.add("a", key.hash(), Allowance::default()).expect("new");
        assert_eq!(set.add("b", key.hash(), Allowance::default()), Err(KeyError::Twice));
        let other = Key::parse("fw-0123456789abcdeg").expect("a key");
        assert_eq!(set.add("a", other.hash(), Allowance::default()), Err(KeyError::Twice));
        assert_eq!(set.add("", other.hash(), Allowance::default()), Err(KeyError::Name));
        let accounts = set.accounts(Instant::now());
        assert!(find(&accounts, key.hash()).is_some() && find(&accounts, other.hash()).is_none());
    }
}
