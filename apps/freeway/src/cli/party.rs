//! Whom a command means: an address, or the name of a key.

use core::fmt;
use core::str::FromStr;

use freeway_primitives::{Address, AddressError};

use crate::keystore::{KeyName, NameError};

/// An account, as people write it on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// By its address.
    Address(Address),
    /// By the name of a key in the keystore.
    Name(KeyName),
}

/// A text that means no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartyError {
    /// It begins like an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It could only be a name.
    #[error("{0}; or give an address, which starts with fwy1")]
    Name(NameError),
}

impl FromStr for Party {
    type Err = PartyError;

    /// No name is as long as an address, but one may begin like it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<KeyName>() {
            Ok(name) => Ok(Self::Name(name)),
            Err(_) if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("fwy1")) => {
                Ok(Self::Address(text.parse()?))
            }
            Err(error) => Err(PartyError::Name(error)),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_apart() {
        let address = Address([7; 32]);
        assert_eq!(address.to_string().parse(), Ok(Party::Address(address)));
        assert_eq!(address.to_string().to_uppercase().parse(), Ok(Party::Address(address)));
        assert!(matches!("alice".parse(), Ok(Party::Name(_))));
        assert!(matches!("fwy1".parse(), Ok(Party::Name(_))));
        let mut wrong = address.to_string();
        wrong.replace_range(20..21, if &wrong[20..21] == "q" { "p" } else { "q" });
        assert!(matches!(wrong.parse::<Party>(), Err(PartyError::Address(_))));
        for text in ["", "Alice", "a b", "€uro"] {
            let error = text.parse::<Party>().unwrap_err();
            assert!(matches!(error, PartyError::Name(_)) && error.to_string().contains("fwy1"), "{error}");
        }
    }
}
