//! Names of keys. They become file names, so the alphabet is one that no file system can misunderstand.

use core::fmt;
use core::str::FromStr;

/// Longest name. An address has 62 characters, so no name can be taken for one.
const MAX_CHARS: usize = 40;

/// The name of a key: 1 to 40 of the characters a-z, 0-9, `_` and `-`.
///
/// There are no capitals, because some file systems treat `Alice` and `alice` as one file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A string that cannot name a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} cannot name a key; use 1 to {MAX_CHARS} of the characters a-z, 0-9, _ and -")]
pub struct NameError {
    /// The beginning of what was given.
    shown: String,
}

impl FromStr for KeyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if text.is_empty() || text.len() > MAX_CHARS || !text.bytes().all(allowed) {
            return Err(NameError { shown: text.chars().take(MAX_CHARS).collect() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for good in ["a", "validator-1", "my_key", "-", &"x".repeat(40)] {
            assert_eq!(good.parse::<KeyName>().unwrap().as_str(), good);
        }
        for bad in ["", "Alice", "a b", "../x", "a.json", "é", "a/b", "a\0", &"x".repeat(41)] {
            assert!(bad.parse::<KeyName>().is_err(), "{bad:?}");
        }
    }
}
