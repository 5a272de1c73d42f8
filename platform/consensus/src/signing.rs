//! Signing and checking for the engine, and the guard of a validator that lost its data.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives as p;
use malachitebft_core_types as ct;
use malachitebft_core_types::{SignedMessage, ValidatorProof, VoteExtensionScope};
use malachitebft_signing::{Error, Signer, VerificationResult, Verifier};

use crate::context::{Context, Proposal, PublicKey, Vote};

/// ed25519 as the engine's signing scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme;

/// A signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Signature(pub p::Signature);

impl ct::SigningScheme for Scheme {
    type DecodingError = String;
    type Signature = Signature;
    type PublicKey = PublicKey;
    type PrivateKey = p::SecretKey;

    fn decode_signature(bytes: &[u8]) -> Result<Signature, String> {
        let bytes = bytes.try_into().map_err(|_| "a signature has 64 bytes".to_owned())?;
        Ok(Signature(p::Signature(bytes)))
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.0.0.to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<PublicKey, String> {
        let bytes = bytes.try_into().map_err(|_| "a public key has 32 bytes".to_owned())?;
        Ok(PublicKey(p::PublicKey(bytes)))
    }

    fn encode_public_key(key: &PublicKey) -> Vec<u8> {
        key.0.0.to_vec()
    }
}

/// Keeps a validator from contradicting votes that it no longer remembers.
///
/// A node that starts with an empty directory under a key that may have signed before could vote differently
/// at the very height at which it was lost. Until it has seen the network decide a block without its help (not
/// from a peer's history, but live) that was made after it started, it signs nothing. Whatever it signed in its
/// earlier life lies at or below that height: what lies above was begun after the block was decided. A block
/// made earlier would not do, though it seems to be decided now: votes may be late, or sent again by somebody
/// who wants the validator to contradict itself.
#[derive(Clone, Debug)]
pub struct SigningGuard(Arc<AtomicU64>);

impl SigningGuard {
    /// For a node whose memory is whole, or whose key has never signed.
    pub fn open() -> Self {
        Self(Arc::new(AtomicU64::new(0)))
    }

    /// For a node that may have forgotten votes.
    pub fn closed() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// Whether votes of `height` may be signed.
    pub fn allows(&self, height: p::Height) -> bool {
        height.0 >= self.0.load(Ordering::Acquire)
    }

    /// Whether nothing may be signed yet.
    pub fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) == u64::MAX
    }

    /// `height` was decided live without this node's votes: from the next one on it may sign.
    pub fn open_after(&self, height: p::Height) {
        self.0.store(height.next().0, Ordering::Release);
    }
}

/// A validator's key for one network. Also checks the signatures of others.
#[derive(Clone, Debug)]
pub struct Signing {
    chain: p::ChainId,
    key: p::SecretKey,
    guard: SigningGuard,
}

impl Signing {
    /// Signs for `chain` with `key`, as far as `guard` allows.
    pub fn new(chain: p::ChainId, key: p::SecretKey, guard: SigningGuard) -> Self {
        Self { chain, key, guard }
    }

    /// The network.
    pub fn chain(&self) -> &p::ChainId {
        &self.chain
    }

    /// The key.
    pub fn key(&self) -> &p::SecretKey {
        &self.key
    }

    /// The guard.
    pub fn guard(&self) -> &SigningGuard {
        &self.guard
    }

    fn permit(&self, height: p::Height) -> Result<(), Error> {
        if self.guard.allows(height) {
            return Ok(());
        }
        Err(refusal("this node may have signed before it lost its data; it watches until that is past"))
    }
}

fn refusal(reason: &str) -> Error {
    Error::from_source(std::io::Error::other(reason.to_owned()))
}

/// Checks signatures; all that a node without a key needs.
#[derive(Clone, Copy, Debug)]
pub struct Checking(pub p::ChainId);

#[async_trait]
impl Verifier<Context> for Checking {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        let valid = vote.to_primitive().is_some_and(|vote| vote.is_signed(&self.0, &key.0, &signature.0));
        Ok(VerificationResult::from_bool(valid))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        let valid =
            proposal.to_primitive().is_some_and(|proposal| proposal.is_signed(&self.0, &key.0, &signature.0));
        Ok(VerificationResult::from_bool(valid))
    }

    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<Context>,
        _: &Vec<u8>,
        _: &Signature,
        _: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        // Nobody sends extensions; one that arrives is not ours.
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<Context>,
    ) -> Result<VerificationResult, Error> {
        let valid = proof
            .decoded_public_key()
            .is_ok_and(|key| key.0.verify_raw(&proof.preimage(), &proof.signature.0).is_ok());
        Ok(VerificationResult::from_bool(valid))
    }
}

#[async_trait]
impl Signer<Context> for Signing {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<Context, Vote>, Error> {
        let primitive = vote.to_primitive().ok_or_else(|| refusal("a vote without a round"))?;
        self.permit(primitive.height)?;
        let signed = primitive.sign(&self.chain, &self.key);
        Ok(SignedMessage::new(vote, Signature(signed.signature)))
    }

    async fn sign_proposal(&self, proposal: Proposal) -> Result<SignedMessage<Context, Proposal>, Error> {
        let primitive = proposal.to_primitive().ok_or_else(|| refusal("a proposal without a round"))?;
        self.permit(primitive.height)?;
        let signed = primitive.sign(&self.chain, &self.key);
        Ok(SignedMessage::new(proposal, Signature(signed.signature)))
    }

    async fn sign_vote_extension(
        &self,
        _: VoteExtensionScope<Context>,
        _: Vec<u8>,
    ) -> Result<SignedMessage<Context, Vec<u8>>, Error> {
        Err(refusal("extensions are not in use"))
    }

    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<Context>, Error> {
        // The engine fixes this preimage and keeps it apart from all others.
        let message = ValidatorProof::<Context>::signing_bytes(&public_key, &peer_id);
        let signature = Signature(self.key.sign_raw(&message));
        Ok(ValidatorProof::new(public_key, peer_id, signature))
    }
}
