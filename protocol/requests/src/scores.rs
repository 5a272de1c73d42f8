//! Log-probabilities, ranks and the most likely tokens of the distribution as the model gives it.

use core::cmp::Reverse;
use core::fmt;
use std::borrow::Cow;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::exponential::{Slope, micro_nats};
use crate::request::{MAX_TOP_LOGPROBS, MAX_VOCABULARY};
use crate::sampler::SampleError;
use crate::select::{Key, MAX_LOGIT, first_of, largest};

/// A log-probability in millionths of a nat: 0 or less.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct LogProb(pub i32);

impl LogProb {
    /// -2,000 nats. Whatever is less likely is reported as this.
    pub const FLOOR: Self = Self(-2_000_000_000);

    /// Of a token at `distance` from the largest logit, where the weights of all tokens sum to `total`.
    fn new(distance: u32, total: u64) -> Self {
        let micro = micro_nats(distance, total);
        i32::try_from(micro).map_or(Self::FLOOR, |micro| Self(-micro).max(Self::FLOOR))
    }
}

impl fmt::Display for LogProb {
    /// In nats, with six digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micro = self.0.unsigned_abs();
        let digits = format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
        f.pad_integral(self.0 >= 0, "", &digits)
    }
}

/// What the model thought of a token.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Scored {
    /// Its log-probability.
    pub logprob: LogProb,
    /// Its place in the order of tokens: 1 is the most likely.
    pub rank: u32,
    /// The most likely tokens in order, as many as were asked for.
    pub top: Vec<(u32, LogProb)>,
}

/// What the model thinks of `token`, and the `top` most likely tokens (at most [`MAX_TOP_LOGPROBS`]), from the
/// logits of the whole vocabulary in units of 2^-16 nat. The same numbers as those of
/// [`Sampler::step`](crate::Sampler::step), to within 10^-6 nat of the exact ones.
///
/// # Errors
/// [`SampleError`] if there are no logits or too many, or none for the token.
pub fn score(logits: &[i32], token: u32, top: u8) -> Result<Scored, SampleError> {
    scored(&within_contract(logits)?, token, top)
}

/// The logits, clamped to what the contract allows.
pub(crate) fn within_contract(logits: &[i32]) -> Result<Cow<'_, [i32]>, SampleError> {
    if logits.is_empty() {
        return Err(SampleError::NoLogits);
    }
    if logits.len() > MAX_VOCABULARY {
        return Err(SampleError::TooManyLogits { actual: logits.len() });
    }
    let fits = |logit: &i32| (-MAX_LOGIT..=MAX_LOGIT).contains(logit);
    // No early exit, so that the pass is done with vectors.
    if logits.iter().fold(true, |all, logit| all & fits(logit)) {
        return Ok(Cow::Borrowed(logits));
    }
    Ok(Cow::Owned(logits.iter().map(|logit| (*logit).clamp(-MAX_LOGIT, MAX_LOGIT)).collect()))
}

/// As [`score`], of logits within the contract.
pub(crate) fn scored(logits: &[i32], token: u32, top: u8) -> Result<Scored, SampleError> {
    let Some(own) = logits.get(token as usize).copied() else {
        return Err(SampleError::UnknownToken { token, vocabulary: logits.len() });
    };
    let most = largest(logits);
    let total = logits.iter().map(|logit| Slope::ONE.weight(most.abs_diff(*logit))).sum();
    let logprob = |logit: i32| LogProb::new(most.abs_diff(logit), total);
    // At most MAX_VOCABULARY tokens come before.
    let (before, after) = logits.split_at(token as usize);
    let ahead = before.iter().map(|logit| u32::from(*logit >= own)).sum::<u32>()
        + after.iter().map(|logit| u32::from(*logit > own)).sum::<u32>();
    let mut keys = Vec::new();
    first_of(logits, usize::from(top.min(MAX_TOP_LOGPROBS)), &mut keys);
    keys.sort_unstable_by_key(|key: &Key| Reverse(*key));
    let top = keys.into_iter().map(|key| (key.token(), logprob(key.logit()))).collect();
    Ok(Scored { logprob: logprob(own), rank: ahead + 1, top })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_distributions_have_known_scores() {
        let scored = score(&[0, 0], 1, 5).unwrap();
        let half = LogProb(-693_147);
        assert_eq!(scored, Scored { logprob: half, rank: 2, top: vec![(0, half), (1, half)] });
        assert_eq!(half.to_string(), "-0.693147");
        assert_eq!(LogProb(0).to_string(), "0.000000");
        assert_eq!(LogProb::FLOOR.to_string(), "-2000.000000");
        assert_eq!(score(&[7], 0, 0).unwrap(), Scored { logprob: LogProb(0), rank: 1, top: Vec::new() });
        let flat = score(&vec![-3; MAX_VOCABULARY], 1_048_575, 1).unwrap();
        assert_eq!((flat.logprob, flat.rank), (LogProb(-13_862_944), 1 << 20));
        assert_eq!(flat.top, [(0, flat.logprob)]);
        assert_eq!(score(&[i32::MAX, i32::MIN], 1, 0).unwrap().logprob, LogProb::FLOOR);
        assert_eq!(score(&[i32::MAX, MAX_LOGIT], 1, 0).unwrap().logprob, half);
        assert_eq!(score(&[0; 40], 0, 255).unwrap().top.len(), 20);
    }

    #[test]
    fn what_cannot_be_scored_is_refused() {
        assert_eq!(score(&[], 0, 0), Err(SampleError::NoLogits));
        assert_eq!(score(&[1, 2], 2, 0), Err(SampleError::UnknownToken { token: 2, vocabulary: 2 }));
        let many = vec![0; MAX_VOCABULARY + 1];
        assert_eq!(score(&many, 0, 0), Err(SampleError::TooManyLogits { actual: MAX_VOCABULARY + 1 }));
    }

    proptest! {
        #[test]
        fn scores_are_those_of_the_softmax(
            logits in proptest::collection::vec(-2_000_000i32..2_000_000, 1..2_000),
            token: prop::sample::Index,
        ) {
            let token = token.index(logits.len());
            let scored = score(&logits, token as u32, 20).unwrap();
            let nats = |token: usize| f64::from(logits[token]) / 65_536.0;
            let most = (0..logits.len()).map(nats).fold(f64::MIN, f64::max);
            let total: f64 = (0..logits.len()).map(|token| (nats(token) - most).exp()).sum();
            let exact = |token: usize| nats(token) - most - total.ln();
            prop_assert!((f64::from(scored.logprob.0) / 1e6 - exact(token)).abs() < 1e-6);
            for (token, logprob) in &scored.top {
                prop_assert!((f64::from(logprob.0) / 1e6 - exact(*token as usize)).abs() < 1e-6);
            }
            let mut order: Vec<_> = (0..logits.len()).collect();
            order.sort_by_key(|token| (Reverse(logits[*token]), *token));
            prop_assert_eq!(order[scored.rank as usize - 1], token);
            let top: Vec<_> = scored.top.iter().map(|(token, _)| *token as usize).collect();
            prop_assert_eq!(&top[..], &order[..top.len()]);
            prop_assert_eq!(top.len(), logits.len().min(20));
        }
    }
}
