//! What a host shows to one member of its committee: the leaves that the member drew, signed.
//!
//! An opening proves itself against the commitment. The signature says who answered: a third party in between
//! can neither invent an answer nor pass off an old one as today's.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{
    Address, Canonical, ChainId, Domain, Epoch, InvalidSignature, PublicKey, SecretKey, Signature,
};
use freeway_proofs::merkle::MAX_DEPTH;
use freeway_proofs::sprint::Opening;

const DOMAIN: Domain = Domain::new("freeway 1 sprint openings");

/// The most leaves that one member draws of one host.
pub const MAX_OPENINGS: usize = 512;

/// The longest opening: position, leaf, and a path with its length.
const MAX_OPENING_BYTES: usize = 12 + 32 + 4 + 32 * MAX_DEPTH;

/// Leaves of one host, for one member.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Openings {
    /// The network.
    pub chain: ChainId,
    /// The race.
    pub epoch: Epoch,
    /// Whose leaves they are.
    pub host: Address,
    /// Who drew them.
    pub member: Address,
    /// The leaves.
    pub openings: Vec<Opening>,
}

impl Canonical for Openings {
    const KIND: &'static str = "openings";
    const MAX_BYTES: usize = 32 + 8 + 32 + 32 + 4 + MAX_OPENINGS * MAX_OPENING_BYTES;
}

/// [`Openings`] under the signature of the host's consensus key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedOpenings {
    /// What is shown.
    pub body: Openings,
    /// The host's signature.
    pub signature: Signature,
}

impl Canonical for SignedOpenings {
    const KIND: &'static str = "signed openings";
    const MAX_BYTES: usize = Openings::MAX_BYTES + 64;
}

/// Which answer is expected, and by whom it must be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The network.
    pub chain: ChainId,
    /// The race.
    pub epoch: Epoch,
    /// The host that was asked.
    pub host: Address,
    /// The member that asks.
    pub member: Address,
    /// The host's registered consensus key.
    pub key: PublicKey,
}

/// Why an answer is not the one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOpenings {
    /// For another network, race, host or member.
    #[error("the answer is for another network, race, host or member")]
    Foreign,
    /// More leaves than anybody draws.
    #[error("the answer has more than {MAX_OPENINGS} leaves")]
    TooMany,
    /// Not signed by the host.
    #[error("the answer is not signed with the host's registered consensus key")]
    Unsigned(#[from] InvalidSignature),
}

impl Openings {
    /// Signs them. `key` must be the host's consensus key.
    pub fn sign(self, key: &SecretKey) -> SignedOpenings {
        let signature = key.sign(DOMAIN, &self.chain, &self);
        SignedOpenings { body: self, signature }
    }
}

impl SignedOpenings {
    /// Whether this is the answer that was asked for. The leaves themselves are checked against the
    /// commitment by whoever knows it.
    ///
    /// # Errors
    /// [`BadOpenings`] says why not.
    pub fn check(&self, expected: &Expected) -> Result<(), BadOpenings> {
        let body = &self.body;
        let Expected { chain, epoch, host, member, key } = expected;
        if (body.chain, body.epoch, body.host, body.member) != (*chain, *epoch, *host, *member) {
            return Err(BadOpenings::Foreign);
        }
        if body.openings.len() > MAX_OPENINGS {
            return Err(BadOpenings::TooMany);
        }
        Ok(key.verify(DOMAIN, chain, body, &self.signature)?)
    }
}

#[cfg(test)]
mod tests {
    use freeway_primitives::Digest;
    use freeway_proofs::merkle::Path;
    use freeway_proofs::sprint::Position;

    use super::*;

    fn opening(nonce: u64) -> Opening {
        let path = Path::new(vec![Digest::ZERO; MAX_DEPTH]).unwrap();
        Opening { position: Position { device: 0, nonce }, leaf: Digest::ZERO, path }
    }

    fn body(count: u64) -> Openings {
        Openings {
            chain: ChainId(Digest([1; 32])),
            epoch: Epoch(3),
            host: Address([2; 32]),
            member: Address([3; 32]),
            openings: (0..count).map(opening).collect(),
        }
    }

    #[test]
    fn the_largest_answer_fits_and_comes_back() {
        let key = SecretKey::from_seed([7; 32]);
        let signed = body(MAX_OPENINGS as u64).sign(&key);
        let bytes = signed.encode();
        assert_eq!(bytes.len(), SignedOpenings::MAX_BYTES);
        assert_eq!(SignedOpenings::decode(&bytes), Ok(signed));
    }

    /// Hosts of different versions must understand each other: this is what goes over the wire and is signed.
    #[test]
    fn the_encoding_is_frozen() {
        let signed = body(2).sign(&SecretKey::from_seed([7; 32]));
        let digest = Digest::of(Domain::new("test golden"), &signed.encode());
        assert_eq!(digest.to_string(), "a77f86495305107051a0ac023b0719808e6c0ba0a44fa91b6dc254567589976e");
    }

    #[test]
    fn only_the_expected_answer_passes() {
        let key = SecretKey::from_seed([7; 32]);
        let signed = body(2).sign(&key);
        let Openings { chain, epoch, host, member, .. } = signed.body;
        let expected = Expected { chain, epoch, host, member, key: key.public() };
        assert_eq!(signed.check(&expected), Ok(()));
        for other in [
            Expected { chain: ChainId(Digest([9; 32])), ..expected },
            Expected { epoch: Epoch(4), ..expected },
            Expected { host: member, ..expected },
            Expected { member: host, ..expected },
        ] {
            assert_eq!(signed.check(&other), Err(BadOpenings::Foreign));
        }
        let other = Expected { key: SecretKey::from_seed([8; 32]).public(), ..expected };
        assert_eq!(signed.check(&other), Err(BadOpenings::Unsigned(InvalidSignature)));
        let mut changed = signed;
        changed.body.openings[1].leaf = Digest([1; 32]);
        assert_eq!(changed.check(&expected), Err(BadOpenings::Unsigned(InvalidSignature)));
    }
}
