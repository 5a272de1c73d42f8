//! The key of somebody who gives out passes.

use core::fmt;
use core::str::FromStr;

use biscuit_auth::builder::Algorithm;
use biscuit_auth::{KeyPair, PrivateKey, PublicKey};

use super::PassError;

/// An owner's key. Whoever has it can make passes that spend the owner's money. Shown with [`OwnerKey::reveal`] alone.
pub struct OwnerKey(KeyPair);

impl OwnerKey {
    /// A new key.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn generate() -> Result<Self, PassError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| PassError::Random(error.to_string()))?;
        Self::of(&bytes)
    }

    /// The key as [`OwnerKey::reveal`] gave it.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, PassError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| PassError::Key)?;
        Self::of(&bytes)
    }

    fn of(bytes: &[u8; 32]) -> Result<Self, PassError> {
        let key = PrivateKey::from_bytes(bytes, Algorithm::Ed25519).map_err(|_| PassError::Key)?;
        Ok(Self(KeyPair::from(&key)))
    }

    /// What gateways know it by.
    pub fn public(&self) -> OwnerPublic {
        OwnerPublic(self.0.public())
    }

    /// The key itself, for its file: 64 hexadecimal digits.
    pub fn reveal(&self) -> String {
        self.0.private().to_bytes_hex()
    }

    pub(super) fn pair(&self) -> &KeyPair {
        &self.0
    }
}

impl fmt::Debug for OwnerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerKey(..)")
    }
}

/// What gateways know an owner by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerPublic(PublicKey);

impl OwnerPublic {
    pub(super) fn inner(&self) -> &PublicKey {
        &self.0
    }
}

impl fmt::Display for OwnerPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_bytes_hex())
    }
}

impl FromStr for OwnerPublic {
    type Err = PassError;

    fn from_str(text: &str) -> Result<Self, PassError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| PassError::Key)?;
        PublicKey::from_bytes(&bytes, Algorithm::Ed25519).map(Self).map_err(|_| PassError::Key)
    }
}
