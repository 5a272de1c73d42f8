//! Random choices: a stream of numbers from a beacon's value, and what is drawn with it.
//!
//! Every choice has a purpose of its own and the parts that make it this choice (which host, which member), so
//! that no two choices share their numbers. All of them are exact: no modulo bias, no rounding.

use core::ops::Range;
use std::collections::BTreeSet;

use freeway_primitives::{Address, Digest, Domain};

const BLOCK_BYTES: usize = 64;

/// With at least half of all tries accepted, more are as unlikely as guessing a key.
const MAX_TRIES: u32 = 256;

/// Numbers without end, the same for the same value, purpose and parts: the output of BLAKE3 in counter mode.
#[derive(Clone)]
pub struct Stream {
    output: blake3::OutputReader,
    block: [u8; BLOCK_BYTES],
    used: usize,
}

impl Stream {
    /// The stream for one choice. Each part is preceded by its length, so that no two lists are the same input.
    pub fn new(value: &Digest, purpose: Domain, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(purpose.name());
        hasher.update(value.as_bytes());
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Self { output: hasher.finalize_xof(), block: [0; BLOCK_BYTES], used: BLOCK_BYTES }
    }

    /// The next number.
    pub fn word(&mut self) -> u64 {
        if self.used >= BLOCK_BYTES {
            self.output.fill(&mut self.block);
            self.used = 0;
        }
        let mut word = [0; 8];
        word.copy_from_slice(&self.block[self.used..self.used + 8]);
        self.used += 8;
        u64::from_le_bytes(word)
    }

    /// A number in `0..n`, all equally likely; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        // Smaller than n, so it fits.
        u64::try_from(self.below_wide(u128::from(n))).unwrap_or_default()
    }

    /// As [`Stream::below`], for larger numbers.
    pub fn below_wide(&mut self, n: u128) -> u128 {
        if n <= 1 {
            return 0;
        }
        let bits = u128::BITS - (n - 1).leading_zeros();
        let mut number = 0;
        for _ in 0..MAX_TRIES {
            number = u128::from(self.word());
            if bits > u64::BITS {
                number |= u128::from(self.word()) << u64::BITS;
            }
            // The lowest bits that can hold n - 1: at least half of all numbers are in range.
            number &= u128::MAX >> (u128::BITS - bits);
            if number < n {
                return number;
            }
        }
        number % n
    }
}

impl Iterator for Stream {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        Some(self.word())
    }
}

/// A digest from a beacon's value, for one purpose and the parts that make it this one.
pub fn derive(value: &Digest, purpose: Domain, parts: &[&[u8]]) -> Digest {
    let mut stream = Stream::new(value, purpose, parts);
    let mut digest = Digest::ZERO;
    for chunk in digest.0.chunks_exact_mut(8) {
        chunk.copy_from_slice(&stream.word().to_le_bytes());
    }
    digest
}

/// `k` different numbers of `0..n` in order, every choice of `k` equally likely; all of them if there are no
/// more than `k`. Takes memory for `k` numbers only.
pub fn distinct(stream: &mut Stream, n: u64, k: u32) -> Vec<u64> {
    let k = u64::from(k).min(n);
    let mut chosen = BTreeSet::new();
    // Robert Floyd's method: Bentley, "A sample of brilliance", CACM 30 (1987).
    for last in n - k..n {
        let number = stream.below(last.saturating_add(1));
        if !chosen.insert(number) {
            chosen.insert(last);
        }
    }
    chosen.into_iter().collect()
}

/// Weights to draw from many times.
#[derive(Clone, Debug, Default)]
pub struct Lottery {
    /// The sum of the weights up to and with each.
    ends: Vec<u128>,
}

impl Lottery {
    /// The lottery over these weights, by their index.
    pub fn new(weights: impl IntoIterator<Item = u64>) -> Self {
        let mut sum = 0u128;
        let add = |weight| {
            sum = sum.saturating_add(u128::from(weight));
            sum
        };
        Self { ends: weights.into_iter().map(add).collect() }
    }

    /// At most `k` different indices, each drawn in proportion to its weight among those that are left; never
    /// one of weight 0, never one within `excluded`. In the order drawn.
    pub fn draw(&self, stream: &mut Stream, k: u32, excluded: Range<usize>) -> Vec<usize> {
        let mut drawn = Vec::new();
        // What may not be drawn (again), as ranges of the sum in order: stepping over them makes every try count.
        let first = self.start(excluded.start)..self.start(excluded.end);
        let mut gaps: Vec<Range<u128>> = core::iter::once(first).collect();
        let total = self.ends.last().copied().unwrap_or_default();
        for _ in 0..k {
            let gone: u128 = gaps.iter().map(|gap| gap.end.saturating_sub(gap.start)).sum();
            let left = total.saturating_sub(gone);
            if left == 0 {
                break;
            }
            let mut point = stream.below_wide(left);
            for gap in &gaps {
                if point >= gap.start {
                    point = point.saturating_add(gap.end.saturating_sub(gap.start));
                }
            }
            let index = self.ends.partition_point(|end| *end <= point);
            drawn.push(index);
            let gap = self.start(index)..self.start(index + 1);
            let place = gaps.partition_point(|known| known.start <= gap.start);
            gaps.insert(place, gap);
        }
        drawn
    }

    /// The sum of the weights before `index`.
    fn start(&self, index: usize) -> u128 {
        let before = index.min(self.ends.len()).checked_sub(1);
        before.and_then(|before| self.ends.get(before)).copied().unwrap_or_default()
    }
}

/// At most `k` different members, each drawn in proportion to its weight among those that are left; never one
/// of weight 0, never one that is `excluded`. In the order drawn. For many draws from the same weights there is
/// [`Lottery`].
pub fn weighted(
    stream: &mut Stream,
    weights: &[(Address, u64)],
    k: u32,
    excluded: impl Fn(&Address) -> bool,
) -> Vec<Address> {
    let weight = |(address, weight): &(Address, u64)| if excluded(address) { 0 } else { *weight };
    let drawn = Lottery::new(weights.iter().map(weight)).draw(stream, k, 0..0);
    drawn.into_iter().filter_map(|index| Some(weights.get(index)?.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PURPOSE: Domain = Domain::new("test draw");

    fn stream(i: u64) -> Stream {
        Stream::new(&Digest([7; 32]), PURPOSE, &[&i.to_le_bytes()])
    }

    #[test]
    fn a_choice_depends_on_value_purpose_and_parts() {
        let first = |value: u8, purpose, parts: &[&[u8]]| derive(&Digest([value; 32]), purpose, parts);
        let all = [
            first(1, PURPOSE, &[b"ab"]),
            first(2, PURPOSE, &[b"ab"]),
            first(1, Domain::new("test other"), &[b"ab"]),
            first(1, PURPOSE, &[b"a", b"b"]),
            first(1, PURPOSE, &[b"b", b"a"]),
            first(1, PURPOSE, &[]),
        ];
        assert_eq!(BTreeSet::from(all).len(), all.len());
        assert_eq!(first(1, PURPOSE, &[b"ab"]), all[0]);
    }

    #[test]
    fn numbers_below_a_bound_are_equally_likely() {
        let mut stream = stream(0);
        for n in [2u64, 3, 5, 7, 10] {
            let mut counts = vec![0u32; n as usize];
            for _ in 0..10_000 * n {
                counts[stream.below(n) as usize] += 1;
            }
            // Four standard deviations of a count are below 400.
            assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{n}: {counts:?}");
        }
        assert_eq!((stream.below(0), stream.below(1)), (0, 0));
        assert!((0..100).all(|_| stream.below_wide(1 << 100) < 1 << 100));
        assert!((0..100).any(|_| stream.below_wide(u128::MAX) > u128::from(u64::MAX)));
        assert!((0..100).any(|_| stream.below(u64::MAX) > u64::MAX / 2));
    }

    #[test]
    fn every_index_is_equally_likely_to_be_among_the_distinct() {
        let mut counts = [0u32; 20];
        let mut stream = stream(1);
        for _ in 0..20_000 {
            for index in distinct(&mut stream, 20, 5) {
                counts[index as usize] += 1;
            }
        }
        assert!(counts.iter().all(|count| (4_750..5_250).contains(count)), "{counts:?}");
    }

    #[test]
    fn who_is_drawn_first_follows_weight() {
        let mut stream = stream(2);
        let lottery = Lottery::new([10, 0, 20, 30, 40]);
        let (mut first, mut second) = ([0u32; 5], [0u32; 5]);
        for _ in 0..50_000 {
            let drawn = lottery.draw(&mut stream, 2, 4..5);
            first[drawn[0]] += 1;
            second[drawn[1]] += 1;
        }
        // Of 60 in all: 10, 20, 30.
        for (index, expected) in [(0, 8_333), (1, 0), (2, 16_667), (3, 25_000), (4, 0)] {
            assert!(first[index].abs_diff(expected) <= 450, "{first:?}");
        }
        // After 0: 2/5 and 3/5; after 2: 1/4 and 3/4; after 3: 1/3 and 2/3.
        for (index, expected) in [(0, 12_500), (1, 0), (2, 20_000), (3, 17_500), (4, 0)] {
            assert!(second[index].abs_diff(expected) <= 500, "{second:?}");
        }
    }

    proptest! {
        #[test]
        fn distinct_numbers_are_distinct_in_range_and_in_order(i: u64, n in 0u64..1_000, k in 0u32..1_000) {
            let drawn = distinct(&mut stream(i), n, k);
            prop_assert_eq!(drawn.len() as u64, n.min(u64::from(k)));
            prop_assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(drawn.iter().all(|index| *index < n));
        }

        #[test]
        fn of_numbers_without_bound_few_are_drawn(i: u64, n in u64::MAX - 10..=u64::MAX) {
            prop_assert_eq!(distinct(&mut stream(i), n, 9).len(), 9);
        }

        #[test]
        fn a_draw_by_weight_is_distinct_and_keeps_the_exclusions(
            i: u64,
            weights in proptest::collection::vec(prop_oneof![Just(0u64), 1u64..9, any::<u64>()], 0..40),
            k in 0u32..50, from in 0usize..40, length in 0usize..40,
        ) {
            let excluded = from.min(weights.len())..(from + length).min(weights.len());
            let may = |index: &usize| weights[*index] > 0 && !excluded.contains(index);
            let eligible = (0..weights.len()).filter(may).count();
            let drawn = Lottery::new(weights.iter().copied()).draw(&mut stream(i), k, excluded.clone());
            prop_assert_eq!(drawn.len(), eligible.min(k as usize));
            prop_assert!(drawn.iter().all(may));
            prop_assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), drawn.len());

            let members: Vec<_> = (0u8..).zip(&weights).map(|(i, weight)| (Address([i; 32]), *weight)).collect();
            let out = |address: &Address| excluded.contains(&usize::from(address.0[0]));
            let named: Vec<_> = weighted(&mut stream(i), &members, k, out);
            prop_assert_eq!(named.len(), drawn.len());
            prop_assert!(named.iter().all(|address| !out(address)));
        }
    }
}
