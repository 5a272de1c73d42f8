//! The order of tokens, and the first of them without sorting all.
//!
//! The order is total (logit, then id), so that every method of selection finds the same tokens.

use core::cmp::Reverse;

/// Logits are clamped to this, either way.
pub(crate) const MAX_LOGIT: i32 = 1 << 30;

/// Stands for the logit of a token that may not be chosen: below every other.
pub(crate) const EXCLUDED: i32 = i32::MIN;

/// Logits are passed over in blocks of this many: a block whose largest logit is too small is left out at once.
pub(crate) const BLOCK: usize = 512;

/// A token with its logit, as a number: larger is earlier in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u64);

impl Key {
    /// After every token.
    pub(crate) const END: Self = Self(0);

    pub(crate) fn new(logit: i32, token: u32) -> Self {
        Self(u64::from(logit as u32 ^ 1 << 31) << 32 | u64::from(!token))
    }

    pub(crate) fn logit(self) -> i32 {
        ((self.0 >> 32) as u32 ^ 1 << 31) as i32
    }

    pub(crate) fn token(self) -> u32 {
        !(self.0 as u32)
    }
}

/// The largest of some logits; [`EXCLUDED`] if there is none.
pub(crate) fn largest(logits: &[i32]) -> i32 {
    logits.iter().copied().max().unwrap_or(EXCLUDED)
}

/// The first token in order; `None` if all are excluded.
pub(crate) fn first(logits: &[i32]) -> Option<Key> {
    let logit = largest(logits);
    if logit == EXCLUDED {
        return None;
    }
    let at = logits.iter().position(|other| *other == logit)?;
    Some(Key::new(logit, at as u32))
}

/// Makes `keys` the `count` first tokens in order, in any order, or all that are not excluded if there are fewer.
pub(crate) fn first_of(logits: &[i32], count: usize, keys: &mut Vec<Key>) {
    keys.clear();
    if count == 0 {
        return;
    }
    // Tokens come by ascending id: with `count` keys at hand, one with the logit of the last would come after it.
    let mut least = EXCLUDED;
    let room = count.saturating_mul(2).max(64);
    for (block, chunk) in logits.chunks(BLOCK).enumerate() {
        if largest(chunk) <= least {
            continue;
        }
        for (i, logit) in chunk.iter().enumerate() {
            if *logit > least {
                keys.push(Key::new(*logit, (block * BLOCK + i) as u32));
            }
        }
        if keys.len() >= room {
            least = keep_first(keys, count).logit();
        }
    }
    if keys.len() > count {
        keep_first(keys, count);
    }
}

/// Drops all but the first `count` keys in order, which must be from 1 to the length; the last of them.
fn keep_first(keys: &mut Vec<Key>, count: usize) -> Key {
    let last = *keys.select_nth_unstable_by_key(count - 1, |key| Reverse(*key)).1;
    keys.truncate(count);
    last
}

/// The last key of the shortest beginning, in order, whose weights sum to at least `target`: the first key at
/// least, the last if there is not enough. [`Key::END`] without keys. Reorders them.
pub(crate) fn cut(keys: &mut [Key], mut target: u64, weight: impl Fn(Key) -> u64) -> Key {
    let mut range = 0..keys.len();
    while range.len() > 1 {
        let middle = range.start + range.len() / 2;
        keys[range.clone()].select_nth_unstable_by_key(middle - range.start - 1, |key| Reverse(*key));
        let sum: u64 = keys[range.start..middle].iter().map(|key| weight(*key)).sum();
        if sum >= target {
            range.end = middle;
        } else {
            target -= sum;
            range.start = middle;
        }
    }
    keys.get(range.start).copied().unwrap_or(Key::END)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(logits: &[i32]) -> Vec<Key> {
        let mut keys: Vec<_> = (0..).zip(logits).map(|(token, logit)| Key::new(*logit, token)).collect();
        keys.retain(|key| key.logit() != EXCLUDED);
        keys.sort_by(|a, b| b.logit().cmp(&a.logit()).then(a.token().cmp(&b.token())));
        keys
    }

    fn logits() -> impl Strategy<Value = Vec<i32>> {
        let logit = prop_oneof![
            8 => -5i32..5,
            2 => -MAX_LOGIT..=MAX_LOGIT,
            1 => Just(EXCLUDED),
        ];
        proptest::collection::vec(logit, 0..3_000)
    }

    #[test]
    fn a_key_is_a_logit_and_a_token() {
        for (logit, token) in [(0, 0), (-1, u32::MAX), (MAX_LOGIT, 7), (EXCLUDED, 1), (i32::MAX, 1 << 20)] {
            let key = Key::new(logit, token);
            assert_eq!((key.logit(), key.token()), (logit, token));
        }
        assert_eq!(first(&[EXCLUDED, EXCLUDED]), None);
        assert_eq!(first(&[]), None);
        assert_eq!(first(&[3, 9, 9]).map(Key::token), Some(1));
        assert_eq!(cut(&mut [], 1, |_| 1), Key::END);
    }

    proptest! {
        #[test]
        fn selection_is_the_beginning_of_a_sort(logits in logits(), count in 0usize..400) {
            let all = sorted(&logits);
            prop_assert_eq!(first(&logits), all.first().copied());
            let mut keys = Vec::new();
            first_of(&logits, count, &mut keys);
            keys.sort_by_key(|key| Reverse(*key));
            prop_assert_eq!(&keys[..], &all[..count.min(all.len())]);
        }

        #[test]
        fn a_cut_is_that_of_running_sums(logits in logits(), part in 0.0f64..1.1) {
            let all = sorted(&logits);
            let weight = |key: Key| u64::from(key.logit().unsigned_abs() % 7);
            let total: u64 = all.iter().map(|key| weight(*key)).sum();
            let target = (total as f64 * part) as u64;
            let mut sum = 0;
            let enough = all.iter().find(|key| {
                sum += weight(**key);
                sum >= target
            });
            let expected = enough.or(all.last()).copied().unwrap_or(Key::END);
            let mut keys = all.clone();
            keys.reverse();
            prop_assert_eq!(cut(&mut keys, target, weight), expected);
        }
    }
}
