//! Account addresses: bech32m of BLAKE3 of the public key.

use core::fmt;
use core::str::FromStr;

use bech32::{Bech32m, Hrp};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{Digest, Domain, PublicKey};

const DOMAIN: Domain = Domain::new("freeway 1 address");
/// Human-readable part of an address.
const PREFIX: &str = "fwy";

/// The address of an account: BLAKE3 of its public key, written as bech32m (BIP-350) with the prefix `fwy`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Address(pub [u8; 32]);

impl Address {
    /// The address that belongs to a key.
    pub fn of(key: &PublicKey) -> Self {
        Self(Digest::of(DOMAIN, key.as_bytes()).0)
    }

    /// The first characters, for logs and tables.
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            bech32::encode::<Bech32m>(Hrp::parse_unchecked(PREFIX), &self.0).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// A string that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not bech32m: a typing error, or cut short.
    #[error("{0:?} is not an address (a character is wrong or missing); copy it again, it starts with fwy1")]
    Checksum(String),
    /// Valid bech32m of something else.
    #[error("{0:?} is not a Freeway address; those start with fwy1")]
    Foreign(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || text.chars().take(90).collect::<String>();
        let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text)
            .map_err(|_| AddressError::Checksum(shown()))?;
        if checked.hrp().to_lowercase() != PREFIX {
            return Err(AddressError::Foreign(shown()));
        }
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let address = bytes.try_into().map(Self).map_err(|_| AddressError::Foreign(shown()))?;
        // The last character has four bits to spare; only zeros there make one spelling per address.
        if address.to_string() == text.to_ascii_lowercase() {
            Ok(address)
        } else {
            Err(AddressError::Foreign(shown()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_bytes_agree(bytes: [u8; 32]) {
            let address = Address(bytes);
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
        }

        #[test]
        fn a_changed_character_is_noticed(bytes: [u8; 32], at in 4usize..62) {
            let mut text = Address(bytes).to_string().into_bytes();
            text[at] = if text[at] == b'q' { b'p' } else { b'q' };
            let text = String::from_utf8(text).unwrap();
            prop_assert!(text.parse::<Address>().is_err());
        }

        #[test]
        fn any_text_is_handled(text in ".{0,200}") {
            let _ = text.parse::<Address>();
        }
    }
}
