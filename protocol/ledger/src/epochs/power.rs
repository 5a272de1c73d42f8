//! From weights to voting power: backing, caps and bounded change. Integers only.

use std::collections::BTreeMap;

use freeway_primitives::{Address, Amount, PublicKey, Validator, ValidatorSet, ValidatorSetError};

use super::{HeldReason, Params};
use crate::genesis::Text;

/// Bound on a single power, so that sums over all hosts stay far below 2^63.
const MAX_POWER: u64 = 1 << 40;

const _: () = assert!(
    (MAX_POWER as u128) * (freeway_primitives::MAX_VALIDATORS as u128)
        <= freeway_primitives::MAX_TOTAL_POWER as u128
);

/// A host that could sign blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The host.
    pub address: Address,
    /// Its consensus key.
    pub key: PublicKey,
    /// Who runs it.
    pub operator: Text,
    /// Its power before caps.
    pub power: u64,
}

/// The part of `weight` that collateral backs, at `per_power` a unit; all of it if nothing is asked.
pub fn backed(weight: u64, collateral: Amount, per_power: Amount) -> u64 {
    let weight = weight.min(MAX_POWER);
    match collateral.0.checked_div(per_power.0) {
        None => weight,
        Some(units) => weight.min(u64::try_from(units).unwrap_or(u64::MAX)),
    }
}

/// Lowers the power of large operators until none is above `cap` thousandths of what remains (water-filling),
/// if there are enough operators for that; an operator's hosts are lowered in proportion.
pub fn cap_operators(candidates: &mut [Candidate], cap: u64) {
    let mut totals: BTreeMap<Text, u64> = BTreeMap::new();
    for candidate in candidates.iter() {
        let total = totals.entry(candidate.operator.clone()).or_default();
        *total = total.saturating_add(candidate.power);
    }
    let mut order: Vec<u64> = totals.values().copied().collect();
    order.sort_unstable_by(|a, b| b.cmp(a));
    if (order.len() as u64).saturating_mul(cap) < 1_000 {
        return;
    }
    // With the k largest at the level x and the others summing to r: x = cap (k x + r).
    let mut rest: u128 = order.iter().map(|total| u128::from(*total)).sum();
    let mut level = u64::MAX;
    for (k, largest) in order.iter().enumerate() {
        let share = cap.saturating_mul(k as u64);
        if share >= 1_000 {
            break;
        }
        if k > 0 {
            let x = rest * u128::from(cap) / u128::from(1_000 - share);
            level = u64::try_from(x).unwrap_or(u64::MAX);
        } else if u128::from(*largest) * 1_000 <= rest * u128::from(cap) {
            return;
        }
        if *largest <= level && k > 0 {
            break;
        }
        rest -= u128::from(*largest);
    }
    for candidate in candidates {
        let total = totals.get(&candidate.operator).copied().unwrap_or_default();
        if total > level {
            let lowered = u128::from(candidate.power) * u128::from(level) / u128::from(total);
            candidate.power = u64::try_from(lowered).unwrap_or(u64::MAX);
        }
    }
}

/// The strongest `max` candidates (ties: by address) that have power.
fn strongest(mut candidates: Vec<Candidate>, max: u32) -> Vec<Candidate> {
    candidates.retain(|candidate| candidate.power > 0);
    candidates.sort_by_key(|candidate| (core::cmp::Reverse(candidate.power), candidate.address));
    candidates.truncate(max as usize);
    candidates
}

/// The candidates that sign, none of their operators above the cap. Capped twice: before the choice, so that
/// an operator cannot fill the places with its own, and after it, as what counts is the share among those who
/// sign, and the many who do not are no counterweight.
fn signers(mut candidates: Vec<Candidate>, params: &Params) -> Vec<Candidate> {
    cap_operators(&mut candidates, params.operator_cap_thousandths);
    let mut chosen = strongest(candidates, params.max_validators);
    cap_operators(&mut chosen, params.operator_cap_thousandths);
    strongest(chosen, params.max_validators)
}

fn set_of(candidates: &[Candidate]) -> Result<ValidatorSet, ValidatorSetError> {
    let member = |c: &Candidate| Validator { address: c.address, key: c.key, power: c.power };
    ValidatorSet::new(candidates.iter().map(member).collect())
}

/// The set of genesis.
///
/// # Errors
/// [`ValidatorSetError`] if the candidates form no set.
pub fn first_set(candidates: Vec<Candidate>, params: &Params) -> Result<ValidatorSet, ValidatorSetError> {
    set_of(&signers(candidates, params))
}

/// What to do if more than a third of the old power would be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Hold the old set.
    Bounded,
    /// The old set was held for an epoch already: go on without those who are gone.
    Accepted,
}

/// The set that follows `old`. With a bounded loss at least two thirds of the old power remain, and the power
/// that is new is at most half of the old: the old members that remain hold more than a third.
///
/// # Errors
/// [`HeldReason`] if the old set must stay.
pub fn next_set(
    old: &ValidatorSet,
    candidates: Vec<Candidate>,
    params: &Params,
    loss: Loss,
) -> Result<ValidatorSet, HeldReason> {
    let before = |candidate: &Candidate| old.get(&candidate.address).map_or(0, |member| member.power);
    let total = u128::from(old.total_power());
    let mut chosen = signers(candidates, params);
    let growth: u128 = chosen.iter().map(|c| u128::from(c.power.saturating_sub(before(c)))).sum();
    let allowed = total / 2;
    if growth > allowed {
        for candidate in &mut chosen {
            let base = before(candidate);
            let wanted = u128::from(candidate.power.saturating_sub(base));
            if wanted > 0 {
                candidate.power = base + u64::try_from(wanted * allowed / growth).unwrap_or(u64::MAX);
            }
        }
        // The shares have changed.
        chosen = signers(chosen, params);
    }
    if chosen.is_empty() {
        return Err(HeldReason::NoPower);
    }
    let remaining: u128 = chosen.iter().map(|c| u128::from(c.power.min(before(c)))).sum();
    if loss == Loss::Bounded && remaining * 3 < total * 2 {
        return Err(HeldReason::TooMuchLost);
    }
    set_of(&chosen).map_err(|_| HeldReason::NoPower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Preset;
    use freeway_primitives::SecretKey;
    use proptest::prelude::*;

    fn candidates(powers: &[u64], operators: usize) -> Vec<Candidate> {
        let make = |(i, power): (usize, &u64)| {
            let key = SecretKey::from_seed([i as u8 + 1; 32]).public();
            let operator = Text::new(format!("operator {}", i % operators)).unwrap();
            Candidate { address: Address::of(&key), key, operator, power: *power }
        };
        powers.iter().enumerate().map(make).collect()
    }

    fn params() -> Params {
        Params::preset(Preset::Local)
    }

    #[test]
    fn the_cap_fills_like_water() {
        let mut four = candidates(&[10, 20, 30, 40], 4);
        cap_operators(&mut four, 300);
        assert_eq!(four.iter().map(|c| c.power).collect::<Vec<_>>(), [10, 20, 22, 22]);
        let mut three = candidates(&[10, 20, 70], 3);
        cap_operators(&mut three, 300);
        assert_eq!(three[2].power, 70, "three operators cannot all be below 30 %");
    }

    #[test]
    fn power_needs_backing() {
        assert_eq!(backed(100, Amount(50), Amount(1)), 50);
        assert_eq!(backed(100, Amount(500), Amount(1)), 100);
        assert_eq!(backed(100, Amount::ZERO, Amount::ZERO), 100);
        assert_eq!(backed(u64::MAX, Amount(u128::MAX), Amount(1)), MAX_POWER);
    }

    #[test]
    fn losing_more_than_a_third_holds_the_set() {
        let old = first_set(candidates(&[10, 10, 10, 10], 4), &params()).unwrap();
        let kept = next_set(&old, candidates(&[10, 10, 10], 3), &params(), Loss::Bounded).unwrap();
        assert_eq!(kept.members().len(), 3);
        assert_eq!(
            next_set(&old, candidates(&[10, 10], 2), &params(), Loss::Bounded),
            Err(HeldReason::TooMuchLost)
        );
        let accepted = next_set(&old, candidates(&[10, 10], 2), &params(), Loss::Accepted).unwrap();
        assert_eq!(accepted.members().len(), 2);
        assert_eq!(next_set(&old, vec![], &params(), Loss::Accepted), Err(HeldReason::NoPower));
    }

    proptest! {
        #[test]
        fn no_operator_is_above_the_cap(powers in proptest::collection::vec(1u64..1 << 40, 4..40), operators in 4usize..10) {
            let mut all = candidates(&powers, operators.min(powers.len()));
            cap_operators(&mut all, 300);
            let total: u128 = all.iter().map(|c| u128::from(c.power)).sum();
            let mut sums: BTreeMap<Text, u128> = BTreeMap::new();
            for c in &all {
                *sums.entry(c.operator.clone()).or_default() += u128::from(c.power);
            }
            let slack = all.len() as u128;
            for (operator, sum) in sums {
                prop_assert!(sum * 1_000 <= (total + slack) * 300 + 1_000, "{operator}: {sum} of {total}");
            }
        }

        /// Invariant 6: never empty, never a third lost at once, never mostly strangers.
        #[test]
        fn a_switch_changes_power_within_bounds(
            old in proptest::collection::vec(1u64..1_000_000, 1..20),
            new in proptest::collection::vec(0u64..1_000_000, 1..40),
        ) {
            let old = first_set(candidates(&old, old.len()), &params()).unwrap();
            if let Ok(set) = next_set(&old, candidates(&new, new.len()), &params(), Loss::Bounded) {
                let remaining: u128 = set.members().iter()
                    .map(|m| u128::from(m.power.min(old.get(&m.address).map_or(0, |o| o.power)))).sum();
                prop_assert!(remaining * 3 >= u128::from(old.total_power()) * 2);
                prop_assert!(remaining * 3 > u128::from(set.total_power()));
            }
        }
    }
}
