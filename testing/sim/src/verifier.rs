//! Checking signatures, each once: every node of a run sees the same ones, and the answer cannot change.

use std::cell::RefCell;
use std::collections::HashMap;

use async_trait::async_trait;
use freeway_consensus::context::{Context, Proposal, PublicKey, Vote};
use freeway_consensus::signing::{Checking, Signature};
use freeway_primitives::{self as p, Canonical, ChainId};
use futures::FutureExt;
use malachitebft_core_types::{ValidatorProof, VoteExtensionScope};
use malachitebft_signing::{Error, VerificationResult, Verifier};

/// Answers that are kept before the memory is emptied.
const MAX_KNOWN: usize = 1 << 16;

thread_local! {
    static KNOWN: RefCell<HashMap<[u8; 32], bool>> = RefCell::new(HashMap::new());
}

/// [`Checking`], which remembers its answers.
#[derive(Clone, Copy, Debug)]
pub struct Remembering(pub ChainId);

impl Remembering {
    fn answer(
        &self,
        message: &[u8],
        signature: &Signature,
        key: &PublicKey,
        check: impl FnOnce() -> bool,
    ) -> bool {
        let mut name = blake3::Hasher::new();
        name.update(self.0.0.as_bytes()).update(&key.0.0).update(&signature.0.0).update(message);
        let name = *name.finalize().as_bytes();
        if let Some(known) = KNOWN.with_borrow(|known| known.get(&name).copied()) {
            return known;
        }
        let answer = check();
        KNOWN.with_borrow_mut(|known| {
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(name, answer);
        });
        answer
    }
}

/// The result of a future that never waits: all signing and checking here.
///
/// # Panics
/// If it waits.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("signing and checking never wait")
}

fn valid(result: Result<VerificationResult, Error>) -> bool {
    result.is_ok_and(|result| result.is_valid())
}

#[async_trait]
impl Verifier<Context> for Remembering {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        let message = vote.to_primitive().map(|vote| vote.encode()).unwrap_or_default();
        let check = || valid(now(Checking(self.0).verify_signed_vote(vote, signature, key)));
        Ok(VerificationResult::from_bool(self.answer(&message, signature, key, check)))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        let message = proposal.to_primitive().map(|proposal| proposal.encode()).unwrap_or_default();
        let check = || valid(now(Checking(self.0).verify_signed_proposal(proposal, signature, key)));
        Ok(VerificationResult::from_bool(self.answer(&message, signature, key, check)))
    }

    async fn verify_signed_vote_extension(
        &self,
        scope: &VoteExtensionScope<Context>,
        extension: &Vec<u8>,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Checking(self.0).verify_signed_vote_extension(scope, extension, signature, key).await
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<Context>,
    ) -> Result<VerificationResult, Error> {
        Checking(self.0).verify_validator_proof(proof).await
    }
}

/// Whether a certificate stands against the validators of its height; each is checked once.
pub fn certificate_stands(chain: &ChainId, certificate: &p::Certificate, set: &p::ValidatorSet) -> bool {
    let key = PublicKey(p::PublicKey([0; 32]));
    let signature = Signature(p::Signature([0; 64]));
    let mut message = certificate.encode();
    message.extend_from_slice(set.digest().as_bytes());
    Remembering(*chain).answer(&message, &signature, &key, || certificate.verify(chain, set).is_ok())
}
