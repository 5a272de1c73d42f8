//! The weighted set of validators that signs a height.

use core::cmp::Reverse;
use std::io::{Error, ErrorKind, Read};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{Address, Canonical, Digest, Domain, PublicKey};

const DOMAIN: Domain = Domain::new("freeway 1 validator set");

/// The most validators that sign one block: certificates grow by 96 bytes a signer.
pub const MAX_VALIDATORS: usize = 128;

/// Bound on the total power of a set. The consensus engine adds and triples powers in `u64`.
pub const MAX_TOTAL_POWER: u64 = 1 << 60;

const _: () = assert!(MAX_TOTAL_POWER < u64::MAX / 4);

/// A member of a validator set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Validator {
    /// The host's account.
    pub address: Address,
    /// The key that signs its votes and proposals.
    pub key: PublicKey,
    /// Voting power, at least 1.
    pub power: u64,
}

impl Validator {
    /// What the canonical order sorts by.
    fn rank(&self) -> (Reverse<u64>, Address) {
        (Reverse(self.power), self.address)
    }
}

/// Why a list of validators is not a set that can sign blocks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorSetError {
    /// Nobody could sign.
    #[error("a validator set needs at least one member")]
    Empty,
    /// More than [`MAX_VALIDATORS`].
    #[error("{0} validators, at most {MAX_VALIDATORS} can sign a block")]
    TooMany(usize),
    /// Power 0, or a total above [`MAX_TOTAL_POWER`].
    #[error("every power must be at least 1 and their sum at most {MAX_TOTAL_POWER}")]
    Power,
    /// The same address or key twice.
    #[error("validator {0} or its key is listed twice")]
    Duplicate(Address),
}

/// Validators in order of falling power (ties: by address), each address and key once.
///
/// Decoding checks all of that: a set from outside is as good as one made here.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct ValidatorSet(Vec<Validator>);

impl BorshDeserialize for ValidatorSet {
    fn deserialize_reader<R: Read>(reader: &mut R) -> Result<Self, Error> {
        let invalid = |why: String| Error::new(ErrorKind::InvalidData, why);
        let members = Vec::<Validator>::deserialize_reader(reader)?;
        if !members.is_sorted_by_key(Validator::rank) {
            return Err(invalid("the validators are not in canonical order".into()));
        }
        Self::new(members).map_err(|error| invalid(error.to_string()))
    }
}

impl ValidatorSet {
    /// A set of these members, in canonical order.
    ///
    /// # Errors
    /// [`ValidatorSetError`] if it is empty or too large, if a power is 0, their sum too large, or if an
    /// address or key occurs twice.
    pub fn new(mut members: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        if members.is_empty() {
            return Err(ValidatorSetError::Empty);
        }
        if members.len() > MAX_VALIDATORS {
            return Err(ValidatorSetError::TooMany(members.len()));
        }
        let mut total = 0u64;
        for member in &members {
            total = total.checked_add(member.power).ok_or(ValidatorSetError::Power)?;
            if member.power == 0 || total > MAX_TOTAL_POWER {
                return Err(ValidatorSetError::Power);
            }
        }
        members.sort_by_key(|v| v.key);
        if let Some(pair) = members.windows(2).find(|pair| pair[0].key == pair[1].key) {
            return Err(ValidatorSetError::Duplicate(pair[1].address));
        }
        members.sort_by_key(|v| v.address);
        if let Some(pair) = members.windows(2).find(|pair| pair[0].address == pair[1].address) {
            return Err(ValidatorSetError::Duplicate(pair[1].address));
        }
        members.sort_by_key(Validator::rank);
        Ok(Self(members))
    }

    /// The members in canonical order.
    pub fn members(&self) -> &[Validator] {
        &self.0
    }

    /// The member with this address.
    pub fn get(&self, address: &Address) -> Option<&Validator> {
        self.0.iter().find(|v| v.address == *address)
    }

    /// Sum of all powers; at most [`MAX_TOTAL_POWER`].
    pub fn total_power(&self) -> u64 {
        self.0.iter().map(|v| v.power).sum()
    }

    /// Whether `power` is more than two thirds of the total.
    pub fn is_quorum(&self, power: u64) -> bool {
        u128::from(power) * 3 > u128::from(self.total_power()) * 2
    }

    /// What a header commits to.
    pub fn digest(&self) -> Digest {
        Digest::of(DOMAIN, &self.encode())
    }
}

impl Canonical for ValidatorSet {
    const KIND: &'static str = "validator set";
    const MAX_BYTES: usize = 4 + MAX_VALIDATORS * 72;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validator(seed: u8, power: u64) -> Validator {
        Validator { address: Address([seed; 32]), key: PublicKey([seed; 32]), power }
    }

    #[test]
    fn a_set_that_could_not_be_built_cannot_be_read() {
        let read =
            |members: &[Validator]| ValidatorSet::decode(&borsh::to_vec(&members.to_vec()).unwrap()).is_ok();
        assert!(read(&[validator(1, 9), validator(2, 5)]));
        assert!(!read(&[]), "empty");
        assert!(!read(&[validator(2, 5), validator(1, 9)]), "not in order");
        assert!(!read(&[validator(1, 9), validator(1, 9)]), "twice");
        assert!(!read(&[validator(1, 0)]), "without power");
        assert!(!read(&[validator(1, u64::MAX), validator(2, 1)]), "too much power");
    }
}
