//! Blocks, and the certificates that make them final.

use core::fmt;
use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::keys::{BatchItem, verify_batch};
use crate::{
    Address, Canonical, ChainId, Digest, Domain, Height, MAX_VALIDATORS, Signature, ValidatorSet, Vote,
    VoteKind,
};

const HEADER: Domain = Domain::new("freeway 1 header");
const TRANSACTIONS: Domain = Domain::new("freeway 1 transactions");
const CERTIFICATE: Domain = Domain::new("freeway 1 certificate");

/// The longest block in bytes. The ledger's own limit is a parameter below this.
pub const MAX_BLOCK_BYTES: usize = 4 << 20;

/// The identity of a block: the digest of its header, which commits to everything in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct BlockId(pub Digest);

impl BlockId {
    /// The parent of the first block.
    pub const GENESIS: Self = Self(Digest::ZERO);
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A value of the randomness beacon, as a header records it: the threshold signature of the group of its height.
/// The same for everybody, whichever shares made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BeaconRecord {
    /// The height that the value belongs to; below the header's own.
    pub height: Height,
    /// The signature: a compressed point of BLS12-381's G1.
    pub signature: [u8; 48],
}

/// What validators agree on about a height.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Header {
    /// The network.
    pub chain: ChainId,
    /// The number of this block.
    pub height: Height,
    /// The proposer's clock in milliseconds since 1970, later than the parent's. Shown to people; no rule
    /// of the ledger reads it.
    pub time_ms: u64,
    /// Who built the block.
    pub proposer: Address,
    /// The block before.
    pub parent: BlockId,
    /// Digest of [`Block::parent_certificate`].
    pub parent_certificate: Digest,
    /// Root of the state after the parent. One block late, so that computing it is off the critical path.
    pub state_root: Digest,
    /// Digest of the parent's receipts.
    pub receipts_root: Digest,
    /// Digest of the list of transactions.
    pub transactions_root: Digest,
    /// Digest of the validator set that signs this height.
    pub validators: Digest,
    /// Digest of the set that signs the next height: light clients walk from set to set by certificates.
    pub next_validators: Digest,
    /// A value of the beacon that became known since, usually the parent's. At most one: the values of skipped
    /// heights are recorded only if somebody waits for them.
    pub beacon: Option<BeaconRecord>,
}

impl Canonical for Header {
    const KIND: &'static str = "header";
    const MAX_BYTES: usize = 361;
}

impl Header {
    /// The block's identity.
    pub fn id(&self) -> BlockId {
        BlockId(Digest::of(HEADER, &self.encode()))
    }
}

/// A block as it is proposed, stored and synced.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// Why the parent is final, and who signed it: the record from which the ledger knows who is silent.
    /// `None` only for the first block.
    pub parent_certificate: Option<Certificate>,
    /// Canonical transactions, in order of execution.
    pub transactions: Vec<Vec<u8>>,
}

impl Canonical for Block {
    const KIND: &'static str = "block";
    const MAX_BYTES: usize = MAX_BLOCK_BYTES;
}

impl Block {
    /// The block's identity.
    pub fn id(&self) -> BlockId {
        self.header.id()
    }

    /// The digest of a list of transactions, as in [`Header::transactions_root`].
    pub fn transactions_root(transactions: &[Vec<u8>]) -> Digest {
        Digest::of_list(TRANSACTIONS, transactions.iter().map(Vec::as_slice))
    }

    /// The digest of a parent certificate, as in [`Header::parent_certificate`].
    pub fn certificate_digest(certificate: Option<&Certificate>) -> Digest {
        certificate.map_or(Digest::ZERO, |certificate| Digest::of(CERTIFICATE, &certificate.encode()))
    }

    /// Whether the header commits to exactly this body.
    pub fn is_consistent(&self) -> bool {
        self.header.transactions_root == Self::transactions_root(&self.transactions)
            && self.header.parent_certificate == Self::certificate_digest(self.parent_certificate.as_ref())
    }
}

/// One validator's precommit within a [`Certificate`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CommitSignature {
    /// Who signed.
    pub validator: Address,
    /// Its signature under the precommit for the certificate's block.
    pub signature: Signature,
}

/// Precommits of more than two thirds of the power: the proof that a block is final.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Certificate {
    /// The height.
    pub height: Height,
    /// The round in which the block was decided.
    pub round: u32,
    /// The block.
    pub block: BlockId,
    /// The precommits.
    pub signatures: Vec<CommitSignature>,
}

impl Canonical for Certificate {
    const KIND: &'static str = "certificate";
    const MAX_BYTES: usize = 48 + MAX_VALIDATORS * 96;
}

/// Why a certificate proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A signer is not in the set.
    #[error("{0} is not a validator at this height")]
    Stranger(Address),
    /// A signer is listed twice.
    #[error("{0} is listed twice")]
    Duplicate(Address),
    /// A signature does not verify.
    #[error("a signature does not verify")]
    InvalidSignature,
    /// Not more than two thirds of the power.
    #[error("signed by {signed} of {total} power; more than two thirds are needed")]
    NoQuorum {
        /// Power of the signers.
        signed: u64,
        /// Power of the set.
        total: u64,
    },
}

impl Certificate {
    /// The vote that `validator` must have signed.
    pub fn vote_of(&self, validator: Address) -> Vote {
        Vote {
            kind: VoteKind::Precommit,
            height: self.height,
            round: self.round,
            block: Some(self.block),
            validator,
        }
    }

    /// Checks that more than two thirds of `set` signed.
    ///
    /// # Errors
    /// [`CertificateError`] if a signer is foreign or repeated, a signature is bad or power is missing.
    pub fn verify(&self, chain: &ChainId, set: &ValidatorSet) -> Result<(), CertificateError> {
        let mut seen = BTreeSet::new();
        let mut signed = 0;
        let mut batch = Vec::with_capacity(self.signatures.len());
        for commit in &self.signatures {
            let validator = set.get(&commit.validator).ok_or(CertificateError::Stranger(commit.validator))?;
            if !seen.insert(commit.validator) {
                return Err(CertificateError::Duplicate(commit.validator));
            }
            // Cannot overflow: every validator counts once and the set's total is bounded.
            signed += validator.power;
            batch.push(BatchItem {
                key: validator.key,
                message: self.vote_of(commit.validator).signing_digest(chain),
                signature: commit.signature,
            });
        }
        if !set.is_quorum(signed) {
            return Err(CertificateError::NoQuorum { signed, total: set.total_power() });
        }
        verify_batch(&batch).map_err(|_| CertificateError::InvalidSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SecretKey, Validator};

    fn keys() -> Vec<SecretKey> {
        (1..=4).map(|i| SecretKey::from_seed([i; 32])).collect()
    }

    fn set(keys: &[SecretKey]) -> ValidatorSet {
        let member =
            |key: &SecretKey| Validator { address: Address::of(&key.public()), key: key.public(), power: 10 };
        ValidatorSet::new(keys.iter().map(member).collect()).unwrap()
    }

    fn certificate(chain: &ChainId, signers: &[SecretKey]) -> Certificate {
        let mut certificate =
            Certificate { height: Height(9), round: 1, block: BlockId(Digest([7; 32])), signatures: vec![] };
        for key in signers {
            let validator = Address::of(&key.public());
            let signature = certificate.vote_of(validator).sign(chain, key).signature;
            certificate.signatures.push(CommitSignature { validator, signature });
        }
        certificate
    }

    #[test]
    fn a_certificate_needs_more_than_two_thirds_each_counted_once() {
        let chain = ChainId(Digest([3; 32]));
        let keys = keys();
        let set = set(&keys);
        assert_eq!(certificate(&chain, &keys[..3]).verify(&chain, &set), Ok(()));
        assert!(matches!(
            certificate(&chain, &keys[..2]).verify(&chain, &set),
            Err(CertificateError::NoQuorum { signed: 20, total: 40 })
        ));
        let mut doubled = certificate(&chain, &keys[..2]);
        doubled.signatures.push(doubled.signatures[0].clone());
        assert!(matches!(doubled.verify(&chain, &set), Err(CertificateError::Duplicate(_))));
        let stranger = SecretKey::from_seed([99; 32]);
        assert!(matches!(
            certificate(&chain, &[stranger]).verify(&chain, &set),
            Err(CertificateError::Stranger(_))
        ));
        let other = ChainId(Digest([4; 32]));
        assert_eq!(
            certificate(&other, &keys[..3]).verify(&chain, &set),
            Err(CertificateError::InvalidSignature)
        );
    }

    #[test]
    fn a_header_commits_to_its_body() {
        let chain = ChainId(Digest([3; 32]));
        let certificate = certificate(&chain, &keys());
        let transactions = vec![b"one".to_vec(), b"two".to_vec()];
        let header = Header {
            chain,
            height: Height(10),
            time_ms: 1,
            proposer: Address([1; 32]),
            parent: BlockId::GENESIS,
            parent_certificate: Block::certificate_digest(Some(&certificate)),
            state_root: Digest::ZERO,
            receipts_root: Digest::ZERO,
            transactions_root: Block::transactions_root(&transactions),
            validators: Digest::ZERO,
            next_validators: Digest::ZERO,
            beacon: Some(BeaconRecord { height: Height(9), signature: [7; 48] }),
        };
        assert_eq!(header.encode().len(), Header::MAX_BYTES);
        let block = Block { header, parent_certificate: Some(certificate), transactions };
        assert!(block.is_consistent());
        let joined = Block { transactions: vec![b"onetwo".to_vec()], ..block.clone() };
        assert!(!joined.is_consistent());
        let stripped = Block { parent_certificate: None, ..block };
        assert!(!stripped.is_consistent());
    }
}
