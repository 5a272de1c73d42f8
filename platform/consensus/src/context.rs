//! The engine's `Context`: our types in the shape that Malachite asks for.
//!
//! Wrappers exist where Rust's orphan rule bites; each converts to and from the primitive it wraps, and only
//! primitives are ever signed.

use core::fmt;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives as p;
use malachitebft_core_types as ct;
use malachitebft_core_types::{NilOrVal, Round, SignedExtension, VoteType};

use crate::parts::Part;
use crate::signing::Scheme;

/// The engine's type parameter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context;

/// A validator's address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Address(pub p::Address);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl ct::Address for Address {}

/// A height.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Height(pub p::Height);

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ct::Height for Height {
    const ZERO: Self = Self(p::Height::GENESIS);
    const INITIAL: Self = Self(p::Height::FIRST);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.plus(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.0.checked_sub(n).map(|height| Self(p::Height(height)))
    }

    fn as_u64(&self) -> u64 {
        self.0.0
    }
}

/// What is agreed on: the identity of a block. Its bytes travel in [`Part`]s.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Value(pub p::BlockId);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl ct::Value for Value {
    type Id = Self;

    fn id(&self) -> Self {
        *self
    }
}

/// The round number of the primitives; `None` for the engine's "no round".
pub fn round_number(round: Round) -> Option<u32> {
    round.as_u32()
}

/// A proposal.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proposal {
    height: Height,
    round: Round,
    value: Value,
    pol_round: Round,
    validator: Address,
}

impl Proposal {
    /// What is signed, unless the round is none, which nobody may sign.
    pub fn to_primitive(&self) -> Option<p::Proposal> {
        Some(p::Proposal {
            height: self.height.0,
            round: round_number(self.round)?,
            block: self.value.0,
            valid_round: round_number(self.pol_round),
            validator: self.validator.0,
        })
    }
}

impl ct::Proposal<Context> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &Value {
        &self.value
    }

    fn take_value(self) -> Value {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Address {
        &self.validator
    }
}

/// A vote.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    kind: VoteType,
    height: Height,
    round: Round,
    value: NilOrVal<Value>,
    validator: Address,
    // Extensions carry nothing yet and are not sent.
    #[borsh(skip)]
    extension: Option<SignedExtension<Context>>,
}

impl Vote {
    /// What is signed, unless the round is none, which nobody may sign.
    pub fn to_primitive(&self) -> Option<p::Vote> {
        Some(p::Vote {
            kind: match self.kind {
                VoteType::Prevote => p::VoteKind::Prevote,
                VoteType::Precommit => p::VoteKind::Precommit,
            },
            height: self.height.0,
            round: round_number(self.round)?,
            block: match self.value {
                NilOrVal::Nil => None,
                NilOrVal::Val(value) => Some(value.0),
            },
            validator: self.validator.0,
        })
    }

    /// The same vote for another value: what an equivocator signs. For tests and the simulator.
    pub fn with_value(&self, value: NilOrVal<Value>) -> Self {
        Self { value, ..self.clone() }
    }
}

impl PartialEq for Vote {
    fn eq(&self, other: &Self) -> bool {
        self.to_primitive() == other.to_primitive() && self.round == other.round
    }
}

impl Eq for Vote {}

impl ct::Vote<Context> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<Value> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<Value> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Address {
        &self.validator
    }

    fn extension(&self) -> Option<&SignedExtension<Context>> {
        self.extension.as_ref()
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Context>> {
        self.extension.take()
    }

    fn extend(self, extension: SignedExtension<Context>) -> Self {
        Self { extension: Some(extension), ..self }
    }
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub p::PublicKey);

/// A member of a [`ValidatorView`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validator {
    address: Address,
    key: PublicKey,
    power: u64,
    silent: bool,
}

impl ct::Validator<Context> for Validator {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &PublicKey {
        &self.key
    }

    fn voting_power(&self) -> u64 {
        self.power
    }
}

/// The validators of a height, with the mark of who is not asked for proposals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorView(Arc<Vec<Validator>>);

impl ValidatorView {
    /// A view of `set`. If all are silent, all are asked.
    pub fn new(set: &p::ValidatorSet, silent: &[p::Address]) -> Self {
        let all_silent = set.members().iter().all(|member| silent.contains(&member.address));
        let view = set.members().iter().map(|member| Validator {
            address: Address(member.address),
            key: PublicKey(member.key),
            power: member.power,
            silent: !all_silent && silent.contains(&member.address),
        });
        Self(Arc::new(view.collect()))
    }

    /// The key of a member.
    pub fn key_of(&self, address: &p::Address) -> Option<p::PublicKey> {
        self.0.iter().find(|member| member.address.0 == *address).map(|member| member.key.0)
    }

    /// Who proposes in a round: drawn with chances by power from a hash of height and round, without
    /// replacement within a height, so that the rounds after a failed one go to others. Known in advance to
    /// everybody and chosen by nobody; nothing else may be drawn from it.
    ///
    /// # Panics
    /// Never: the set behind a view has a member.
    pub fn proposer(&self, height: p::Height, round: u32) -> &Validator {
        const DOMAIN: p::Domain = p::Domain::new("freeway 1 proposer");
        let mut left: Vec<&Validator> = self.0.iter().filter(|member| !member.silent).collect();
        let turns = round as usize % left.len();
        for turn in 0..=turns {
            let mut input = height.0.to_le_bytes().to_vec();
            // Round 7 of four proposers is turn 3 of their second cycle.
            input.extend((round - (turns - turn) as u32).to_le_bytes());
            let hash = p::Digest::of(DOMAIN, &input);
            let mut drawn = [0; 16];
            drawn.copy_from_slice(&hash.0[..16]);
            let total: u128 = left.iter().map(|member| u128::from(member.power)).sum();
            let mut point = u128::from_le_bytes(drawn) % total;
            let at = left.iter().position(|member| {
                let inside = point < u128::from(member.power);
                if !inside {
                    point -= u128::from(member.power);
                }
                inside
            });
            let at = at.unwrap_or_default();
            if turn == turns {
                return left[at];
            }
            left.remove(at);
        }
        left[0]
    }
}

impl ct::ValidatorSet<Context> for ValidatorView {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn total_voting_power(&self) -> u64 {
        self.0.iter().map(|member| member.power).sum()
    }

    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        self.0.iter().find(|member| member.address == *address)
    }

    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.0.get(index)
    }
}

impl ct::Context for Context {
    type Address = Address;
    type Height = Height;
    type ProposalPart = Part;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = ValidatorView;
    type Timeouts = ct::LinearTimeouts;
    type Value = Value;
    type Vote = Vote;
    type Extension = Vec<u8>;
    type SigningScheme = Scheme;

    fn select_proposer<'a>(
        &self,
        validators: &'a ValidatorView,
        height: Height,
        round: Round,
    ) -> &'a Validator {
        validators.proposer(height.0, round_number(round).unwrap_or_default())
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: Value,
        pol_round: Round,
        validator: Address,
    ) -> Proposal {
        Proposal { height, round, value, pol_round, validator }
    }

    fn new_prevote(&self, height: Height, round: Round, value: NilOrVal<Value>, validator: Address) -> Vote {
        Vote { kind: VoteType::Prevote, height, round, value, validator, extension: None }
    }

    fn new_precommit(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<Value>,
        validator: Address,
    ) -> Vote {
        Vote { kind: VoteType::Precommit, height, round, value, validator, extension: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use malachitebft_core_types::Validator as _;
    use std::collections::BTreeMap;

    fn set(powers: &[u64]) -> p::ValidatorSet {
        let member = |(i, power): (usize, &u64)| {
            let key = p::SecretKey::from_seed([i as u8 + 1; 32]).public();
            p::Validator { address: p::Address::of(&key), key, power: *power }
        };
        p::ValidatorSet::new(powers.iter().enumerate().map(member).collect()).unwrap()
    }

    #[test]
    fn proposers_follow_power_and_rounds_change_hands() {
        let view = ValidatorView::new(&set(&[10, 20, 30, 40]), &[]);
        let mut counts = BTreeMap::new();
        for height in 1..=4_000 {
            let first = view.proposer(p::Height(height), 0);
            *counts.entry(first.voting_power()).or_insert(0) += 1;
            let mut seen: Vec<_> =
                (0..4).map(|round| view.proposer(p::Height(height), round).address).collect();
            seen.sort();
            seen.dedup();
            assert!(seen.len() == 4, "four rounds ask all four");
        }
        for (power, count) in counts {
            let expected = power as i64 * 40;
            assert!((count - expected).abs() < expected / 4 + 40, "{power}: {count}");
        }
    }

    #[test]
    fn the_silent_are_not_asked_unless_all_are_silent() {
        let set = set(&[10, 10, 10, 10]);
        let quiet = set.members()[0].address;
        let view = ValidatorView::new(&set, &[quiet]);
        assert!((1..200).all(|h| (0..5).all(|r| view.proposer(p::Height(h), r).address.0 != quiet)));
        let everybody: Vec<_> = set.members().iter().map(|member| member.address).collect();
        let view = ValidatorView::new(&set, &everybody);
        assert!((1..200).any(|h| view.proposer(p::Height(h), 0).address.0 == quiet));
    }
}
