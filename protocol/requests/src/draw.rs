//! Which tokens stay, and which of them is drawn.
//!
//! Top-k and top-p both keep a beginning of the order of tokens, so what stays is described by its last key, and
//! no list of tokens is sorted.

use crate::exponential::{Slope, WEIGHT_BITS};
use crate::select::{BLOCK, EXCLUDED, Key, MAX_LOGIT, cut, first_of, largest};
use crate::{Sampling, Share};

/// Top-p first tries with this many tokens: enough for most distributions of trained models.
const FEW: usize = 256;

// An excluded token is at least this far from any other, so that it has no weight.
const _: () = assert!(Slope::new(Sampling::MAX_TEMPERATURE).reach() < MAX_LOGIT as u32);

/// The rules of a draw.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    slope: Slope,
    top_k: usize,
    top_p: Share,
    /// The least weight that stays.
    least: u64,
}

/// Memory that is used again for every token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    keys: Vec<Key>,
    blocks: Vec<u64>,
}

impl Rules {
    pub(crate) fn new(sampling: &Sampling) -> Self {
        Self {
            slope: Slope::new(sampling.temperature),
            top_k: sampling.top_k as usize,
            top_p: sampling.top_p,
            least: u64::from(sampling.min_p.min(Share::ONE).0) << (WEIGHT_BITS - 30),
        }
    }

    /// The token that `word` decides on. The first token in order is `first`; excluded ones have no weight.
    pub(crate) fn draw(&self, logits: &[i32], first: Key, word: u64, scratch: &mut Scratch) -> u32 {
        let last = self.last(logits, first, scratch);
        let weight = |token: usize, logit: i32| {
            if Key::new(logit, token as u32) < last {
                return 0;
            }
            let weight = self.weight(first, logit);
            if weight < self.least { 0 } else { weight }
        };
        let block = |(index, chunk): (usize, &[i32])| -> u64 {
            if largest(chunk) < last.logit() {
                return 0;
            }
            chunk.iter().enumerate().map(|(i, logit)| weight(index * BLOCK + i, *logit)).sum()
        };
        scratch.blocks.clear();
        scratch.blocks.extend(logits.chunks(BLOCK).enumerate().map(block));
        let total: u64 = scratch.blocks.iter().sum();
        let mut point = ((u128::from(word) * u128::from(total)) >> 64) as u64;
        let mut index = 0;
        while let Some(sum) = scratch.blocks.get(index).filter(|sum| **sum <= point) {
            point -= sum;
            index += 1;
        }
        let start = index * BLOCK;
        for (token, logit) in logits.iter().enumerate().skip(start) {
            let weight = weight(token, *logit);
            if weight > point {
                return token as u32;
            }
            point -= weight;
        }
        // The point is below the total, which counts the weight of the first token at least.
        first.token()
    }

    /// The last token in order that top-k and top-p leave.
    fn last(&self, logits: &[i32], first: Key, scratch: &mut Scratch) -> Key {
        let Scratch { keys, .. } = scratch;
        let weight = |key: Key| self.weight(first, key.logit());
        let sum = |keys: &[Key]| keys.iter().map(|key| weight(*key)).sum::<u64>();
        let all = self.top_k == 0 || self.top_k >= logits.len();
        if all && self.top_p >= Share::ONE {
            return Key::END;
        }
        if !all {
            first_of(logits, self.top_k, keys);
            if self.top_p >= Share::ONE {
                return keys.iter().copied().min().unwrap_or(Key::END);
            }
            let target = self.target(sum(keys));
            return cut(keys, target, weight);
        }
        let target = self.target(logits.iter().map(|logit| self.weight(first, *logit)).sum());
        first_of(logits, FEW, keys);
        if sum(keys) < target {
            let tokens = (0..).zip(logits).filter(|(_, logit)| **logit != EXCLUDED);
            keys.clear();
            keys.extend(tokens.map(|(token, logit)| Key::new(*logit, token)));
        }
        cut(keys, target, weight)
    }

    /// The least sum of weights that top-p keeps of `total`.
    fn target(&self, total: u64) -> u64 {
        // Not more than the total: top-p is below 1 where this is called.
        (u128::from(total) * u128::from(self.top_p.0)).div_ceil(1 << 30) as u64
    }

    #[inline]
    fn weight(&self, first: Key, logit: i32) -> u64 {
        self.slope.weight(first.logit().abs_diff(logit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Q16;
    use crate::select;
    use proptest::prelude::*;

    /// Steps 5 to 9 of the contract, word by word: everything is sorted and kept in lists.
    fn reference(rules: &Rules, logits: &[i32], word: u64) -> u32 {
        let tokens = (0..).zip(logits).filter(|(_, logit)| **logit != EXCLUDED);
        let mut order: Vec<(u32, i32)> = tokens.map(|(token, logit)| (token, *logit)).collect();
        order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let most = order[0].1;
        let mut order: Vec<(u32, u64)> = order
            .into_iter()
            .map(|(token, logit)| (token, rules.slope.weight(most.abs_diff(logit))))
            .collect();
        if rules.top_k > 0 {
            order.truncate(rules.top_k);
        }
        if rules.top_p < Share::ONE {
            let total: u128 = order.iter().map(|(_, weight)| u128::from(*weight)).sum();
            let (mut sum, mut kept) = (0, 0);
            while kept == 0 || sum << 30 < total * u128::from(rules.top_p.0) {
                sum += u128::from(order[kept].1);
                kept += 1;
            }
            order.truncate(kept);
        }
        order.retain(|(_, weight)| *weight >= rules.least);
        order.sort_by_key(|(token, _)| *token);
        let total: u128 = order.iter().map(|(_, weight)| u128::from(*weight)).sum();
        let point = (u128::from(word) * total) >> 64;
        let mut sum = 0;
        for (token, weight) in order {
            sum += u128::from(weight);
            if sum > point {
                return token;
            }
        }
        unreachable!("the point is below the total");
    }

    /// Rows as they come from models and as they come from nowhere else: peaked, flat, equal, masked.
    fn logits() -> impl Strategy<Value = Vec<i32>> {
        let narrow = proptest::collection::vec(-200_000i32..200_000, 1..3_000);
        let equal = (1usize..2_000, -9i32..9).prop_map(|(length, logit)| vec![logit; length]);
        let wide = proptest::collection::vec(-MAX_LOGIT..=MAX_LOGIT, 1..600);
        let few = proptest::collection::vec(-3i32..3, 1..2_000);
        let rows = prop_oneof![narrow, equal, wide, few];
        (rows, proptest::collection::vec(any::<prop::sample::Index>(), 0..40)).prop_map(
            |(mut row, masked)| {
                for index in masked {
                    let at = index.index(row.len());
                    row[at] = EXCLUDED;
                }
                row
            },
        )
    }

    fn share() -> impl Strategy<Value = Share> {
        prop_oneof![Just(Share::ONE), Just(Share::ZERO), (0u32..=1 << 30).prop_map(Share)]
    }

    fn sampling() -> impl Strategy<Value = Sampling> {
        let temperature = prop_oneof![1i32..200_000, 1i32..=6_553_600];
        let top_k = prop_oneof![Just(0u32), 1u32..10, 1u32..4_000];
        (temperature, top_k, share(), share(), any::<bool>()).prop_map(
            |(temperature, top_k, top_p, min_p, off)| {
                let min_p = if off { Share::ZERO } else { min_p };
                Sampling { temperature: Q16(temperature), top_k, top_p, min_p, ..Sampling::default() }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        #[test]
        fn a_draw_is_that_of_the_contract_whatever_the_method(
            logits in logits(),
            sampling in sampling(),
            words in proptest::collection::vec(prop_oneof![8 => any::<u64>(), 1 => Just(0), 1 => Just(u64::MAX)], 1..6),
        ) {
            let rules = Rules::new(&sampling);
            let Some(first) = select::first(&logits) else { return Ok(()) };
            let mut scratch = Scratch::default();
            for word in words {
                let drawn = rules.draw(&logits, first, word, &mut scratch);
                prop_assert_eq!(drawn, reference(&rules, &logits, word));
            }
        }
    }
}
