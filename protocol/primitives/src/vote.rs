//! What validators sign, and the proof that one of them signed twice.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{Address, BlockId, Canonical, ChainId, Domain, Height, PublicKey, SecretKey, Signature};

const VOTE: Domain = Domain::new("freeway 1 vote");
const PROPOSAL: Domain = Domain::new("freeway 1 proposal");

/// The two voting steps of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum VoteKind {
    /// First step: the proposal is acceptable.
    Prevote,
    /// Second step: more than two thirds found it acceptable. These signatures make a certificate.
    Precommit,
}

/// A vote of one validator in one step of one round.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    /// The step.
    pub kind: VoteKind,
    /// The height voted on.
    pub height: Height,
    /// The round within the height, from 0.
    pub round: u32,
    /// The block voted for; `None` is a vote for none.
    pub block: Option<BlockId>,
    /// Who votes.
    pub validator: Address,
}

impl Canonical for Vote {
    const KIND: &'static str = "vote";
    const MAX_BYTES: usize = 78;
}

impl Vote {
    /// Signs the vote.
    pub fn sign(self, chain: &ChainId, key: &SecretKey) -> SignedVote {
        let signature = key.sign(VOTE, chain, &self);
        SignedVote { vote: self, signature }
    }

    /// Whether `signature` is `key`'s under this vote.
    pub fn is_signed(&self, chain: &ChainId, key: &PublicKey, signature: &Signature) -> bool {
        key.verify(VOTE, chain, self, signature).is_ok()
    }

    /// The digest under the signature, for batches.
    pub fn signing_digest(&self, chain: &ChainId) -> crate::Digest {
        crate::signing_digest(VOTE, chain, &self.encode())
    }
}

/// A vote and its signature.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct SignedVote {
    /// The vote.
    pub vote: Vote,
    /// The validator's signature.
    pub signature: Signature,
}

/// The announcement of a round's block by its proposer. The block itself travels in parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Proposal {
    /// The height.
    pub height: Height,
    /// The round.
    pub round: u32,
    /// The proposed block.
    pub block: BlockId,
    /// The earlier round in which the block already had more than two thirds of the prevotes.
    pub valid_round: Option<u32>,
    /// Who proposes.
    pub validator: Address,
}

impl Canonical for Proposal {
    const KIND: &'static str = "proposal";
    const MAX_BYTES: usize = 81;
}

impl Proposal {
    /// Signs the proposal.
    pub fn sign(self, chain: &ChainId, key: &SecretKey) -> SignedProposal {
        let signature = key.sign(PROPOSAL, chain, &self);
        SignedProposal { proposal: self, signature }
    }

    /// Whether `signature` is `key`'s under this proposal.
    pub fn is_signed(&self, chain: &ChainId, key: &PublicKey, signature: &Signature) -> bool {
        key.verify(PROPOSAL, chain, self, signature).is_ok()
    }
}

/// A proposal and its signature.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct SignedProposal {
    /// The proposal.
    pub proposal: Proposal,
    /// The proposer's signature.
    pub signature: Signature,
}

/// Proof that a validator signed two different things for one step of one round.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Equivocation {
    /// Two votes, in ascending order.
    Votes(SignedVote, SignedVote),
    /// Two proposals, in ascending order.
    Proposals(SignedProposal, SignedProposal),
}

impl Canonical for Equivocation {
    const KIND: &'static str = "equivocation";
    const MAX_BYTES: usize = 320;
}

/// Why something is no proof of equivocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EquivocationError {
    /// The halves belong to different validators, heights, rounds or steps.
    #[error("the two halves are not for the same validator, height, round and step")]
    Unrelated,
    /// The halves say the same, or are not in ascending order.
    #[error("the two halves do not differ, or are not in ascending order")]
    NotConflicting,
    /// A half is not signed by the validator's key.
    #[error("a half is not signed by the accused validator")]
    Unsigned,
}

impl Equivocation {
    /// The proof made of two votes, in canonical order.
    pub fn of_votes(a: SignedVote, b: SignedVote) -> Self {
        if a <= b { Self::Votes(a, b) } else { Self::Votes(b, a) }
    }

    /// The proof made of two proposals, in canonical order.
    pub fn of_proposals(a: SignedProposal, b: SignedProposal) -> Self {
        if a <= b { Self::Proposals(a, b) } else { Self::Proposals(b, a) }
    }

    /// Who is accused.
    pub fn validator(&self) -> Address {
        match self {
            Self::Votes(a, _) => a.vote.validator,
            Self::Proposals(a, _) => a.proposal.validator,
        }
    }

    /// The height of the offence.
    pub fn height(&self) -> Height {
        match self {
            Self::Votes(a, _) => a.vote.height,
            Self::Proposals(a, _) => a.proposal.height,
        }
    }

    /// Checks that the proof stands against the owner of `key`.
    ///
    /// # Errors
    /// [`EquivocationError`] if it does not.
    pub fn verify(&self, chain: &ChainId, key: &PublicKey) -> Result<(), EquivocationError> {
        let (related, conflicting, signed) = match self {
            Self::Votes(a, b) => (
                (a.vote.kind, a.vote.height, a.vote.round, a.vote.validator)
                    == (b.vote.kind, b.vote.height, b.vote.round, b.vote.validator),
                a.vote < b.vote,
                a.vote.is_signed(chain, key, &a.signature) && b.vote.is_signed(chain, key, &b.signature),
            ),
            Self::Proposals(a, b) => (
                (a.proposal.height, a.proposal.round, a.proposal.validator)
                    == (b.proposal.height, b.proposal.round, b.proposal.validator),
                a.proposal < b.proposal,
                a.proposal.is_signed(chain, key, &a.signature)
                    && b.proposal.is_signed(chain, key, &b.signature),
            ),
        };
        if !related {
            return Err(EquivocationError::Unrelated);
        }
        if !conflicting {
            return Err(EquivocationError::NotConflicting);
        }
        if !signed {
            return Err(EquivocationError::Unsigned);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    fn vote(block: Option<BlockId>, round: u32, signer: &SecretKey) -> SignedVote {
        let chain = ChainId(Digest::ZERO);
        let validator = Address::of(&signer.public());
        Vote { kind: VoteKind::Prevote, height: Height(3), round, block, validator }.sign(&chain, signer)
    }

    #[test]
    fn only_conflicting_signed_votes_are_proof() {
        let chain = ChainId(Digest::ZERO);
        let (secret, other) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
        let (a, b) = (vote(None, 0, &secret), vote(Some(BlockId(Digest([5; 32]))), 0, &secret));
        let check = |e: Equivocation| e.verify(&chain, &secret.public());
        assert_eq!(check(Equivocation::of_votes(b.clone(), a.clone())), Ok(()));
        assert_eq!(
            check(Equivocation::of_votes(a.clone(), a.clone())),
            Err(EquivocationError::NotConflicting)
        );
        let later = vote(Some(BlockId(Digest([5; 32]))), 1, &secret);
        assert_eq!(check(Equivocation::of_votes(a.clone(), later)), Err(EquivocationError::Unrelated));
        let mut forged = b.clone();
        forged.vote.block = Some(BlockId(Digest([6; 32])));
        assert_eq!(check(Equivocation::of_votes(a.clone(), forged)), Err(EquivocationError::Unsigned));
        assert_eq!(
            Equivocation::of_votes(a, b).verify(&chain, &other.public()),
            Err(EquivocationError::Unsigned)
        );
    }

    #[test]
    fn the_bounds_hold_the_largest_values() {
        let secret = SecretKey::from_seed([1; 32]);
        let largest = vote(Some(BlockId(Digest::ZERO)), u32::MAX, &secret);
        assert_eq!(largest.vote.encode().len(), Vote::MAX_BYTES);
        let proposal = Proposal {
            height: Height(1),
            round: 1,
            block: BlockId(Digest::ZERO),
            valid_round: Some(1),
            validator: largest.vote.validator,
        };
        assert_eq!(proposal.encode().len(), Proposal::MAX_BYTES);
        let signed = proposal.sign(&ChainId(Digest::ZERO), &secret);
        assert!(Equivocation::of_proposals(signed.clone(), signed).encode().len() <= Equivocation::MAX_BYTES);
    }
}
