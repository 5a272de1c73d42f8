//! The tokens that a grammar allows next.

const WORD_BITS: usize = u32::BITS as usize;

/// A set of token ids below a length: bit `i % 32` of word `i / 32` stands for id `i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    words: Vec<u32>,
    length: usize,
}

impl Mask {
    /// No token of `length` is allowed.
    pub fn none(length: usize) -> Self {
        Self { words: vec![0; length.div_ceil(WORD_BITS)], length }
    }

    /// Every token of `length` is allowed.
    pub fn all(length: usize) -> Self {
        Self::from_words(vec![u32::MAX; length.div_ceil(WORD_BITS)], length)
    }

    /// A mask from its words. Words that are missing allow nothing; bits at or beyond `length` are dropped.
    pub fn from_words(mut words: Vec<u32>, length: usize) -> Self {
        words.resize(length.div_ceil(WORD_BITS), 0);
        let used = length % WORD_BITS;
        if let Some(last) = words.last_mut().filter(|_| used > 0) {
            *last &= (1 << used) - 1;
        }
        Self { words, length }
    }

    /// Ids from here on are not in the mask.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether the mask has room for no token.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many tokens are allowed.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether `token` is allowed; beyond the length none is.
    pub fn allows(&self, token: u32) -> bool {
        let token = token as usize;
        self.words.get(token / WORD_BITS).is_some_and(|word| word >> (token % WORD_BITS) & 1 == 1)
    }

    /// Allows `token`, if it is within the length.
    pub fn allow(&mut self, token: u32) {
        let token = token as usize;
        if token < self.length {
            self.words[token / WORD_BITS] |= 1 << (token % WORD_BITS);
        }
    }

    /// Forbids `token`.
    pub fn forbid(&mut self, token: u32) {
        let token = token as usize;
        if token < self.length {
            self.words[token / WORD_BITS] &= !(1 << (token % WORD_BITS));
        }
    }

    /// Writes `excluded` over the logits of all tokens that are not allowed.
    pub(crate) fn apply(&self, logits: &mut [i32], excluded: i32) {
        let masked = (self.words.len() * WORD_BITS).min(logits.len());
        let (within, beyond) = logits.split_at_mut(masked);
        for (chunk, word) in within.chunks_mut(WORD_BITS).zip(&self.words) {
            match *word {
                u32::MAX => {}
                0 => chunk.fill(excluded),
                word => {
                    for (bit, logit) in chunk.iter_mut().enumerate() {
                        if word >> bit & 1 == 0 {
                            *logit = excluded;
                        }
                    }
                }
            }
        }
        beyond.fill(excluded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_mask_is_a_set_of_ids(
            length in 0usize..200,
            steps in proptest::collection::vec((any::<bool>(), 0u32..250), 0..100),
            full: bool,
            logits in 0usize..250,
        ) {
            let mut mask = if full { Mask::all(length) } else { Mask::none(length) };
            let mut set: BTreeSet<u32> = (0..if full { length as u32 } else { 0 }).collect();
            for (add, id) in steps {
                if add {
                    mask.allow(id);
                    if (id as usize) < length {
                        set.insert(id);
                    }
                } else {
                    mask.forbid(id);
                    set.remove(&id);
                }
            }
            prop_assert_eq!(mask.count(), set.len());
            prop_assert_eq!((mask.len(), mask.is_empty()), (length, length == 0));
            prop_assert!((0..300).all(|id| mask.allows(id) == set.contains(&id)));
            prop_assert_eq!(&Mask::from_words(mask.words.clone(), length), &mask);
            let mut row = vec![1; logits];
            mask.apply(&mut row, -1);
            for (id, logit) in (0u32..).zip(row) {
                prop_assert_eq!(logit, if set.contains(&id) { 1 } else { -1 });
            }
        }
    }

    #[test]
    fn words_are_cut_and_filled() {
        let mask = Mask::from_words(vec![u32::MAX; 9], 33);
        assert_eq!((mask.count(), mask.words.len()), (33, 2));
        let mask = Mask::from_words(vec![7], 100);
        assert_eq!((mask.count(), mask.len()), (3, 100));
    }
}
