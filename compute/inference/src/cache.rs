//! Pages of keys and values: a bounded pool, and the pages kept for prompts that begin alike.
//!
//! A page holds [`PAGE_POSITIONS`] positions. A sequence owns the page it writes alone; a full page never changes, so
//! any number of sequences may read it. Full pages are kept under a hash of all the tokens up to their end, together
//! with the trace nodes of their positions: a sequence that finds them goes on with the same bits as if it had computed
//! them. Kept pages that no sequence reads make room when there is no other, those longest unused first.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use freeway_kernels::served::PAGE_POSITIONS;
use freeway_primitives::{Digest, Domain};

/// The chain of hashes under which full pages are kept.
const CHAIN: Domain = Domain::new("freeway 1 inference cached page");

/// The key of the page of `tokens` (a page full) that follows the page of key `before` (the model's root at the start).
pub(crate) fn key(before: &Digest, tokens: &[u32]) -> Digest {
    let mut bytes = before.as_bytes().to_vec();
    bytes.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
    Digest::of(CHAIN, &bytes)
}

/// A full page that was found.
pub(crate) struct Found {
    pub(crate) key: Digest,
    pub(crate) page: u32,
    /// The trace nodes of its positions.
    pub(crate) nodes: Arc<[Digest]>,
}

/// A page that is kept.
struct Kept {
    page: u32,
    nodes: Arc<[Digest]>,
    /// When it was last of use.
    stamp: u64,
    /// How many pages come before it.
    depth: usize,
}

/// Who has a page.
#[derive(Clone, Copy, Default)]
struct Holders {
    sequences: usize,
    kept: bool,
}

/// The pages of one engine, by number.
pub(crate) struct Cache<P> {
    make: Box<dyn Fn() -> P + Send>,
    capacity: usize,
    /// All that were made, and who has each.
    pages: Vec<P>,
    holders: Vec<Holders>,
    /// Pages that nobody has.
    free: Vec<u32>,
    /// How many pages some sequence has.
    in_use: usize,
    kept: HashMap<Digest, Kept>,
    /// The kept pages in the order in which they go. Of pages of one stamp the deepest goes first, because without
    /// the pages before it no page is found.
    order: BTreeSet<(u64, Reverse<usize>, Digest)>,
    clock: u64,
}

impl<P> Cache<P> {
    /// A pool of at most `capacity` pages, which are made when they are first needed.
    pub(crate) fn new(capacity: usize, make: impl Fn() -> P + Send + 'static) -> Self {
        Self {
            make: Box::new(make),
            capacity: capacity.min(u32::MAX as usize),
            pages: Vec::new(),
            holders: Vec::new(),
            free: Vec::new(),
            in_use: 0,
            kept: HashMap::new(),
            order: BTreeSet::new(),
            clock: 0,
        }
    }

    /// All pages that were made.
    pub(crate) fn pages(&mut self) -> &mut [P] {
        &mut self.pages
    }

    /// Pages kept for prompts to come, whether a sequence has them or not.
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Pages that some sequence has.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use
    }

    /// Pages that [`take`](Self::take) would give, one after the other.
    pub(crate) fn available(&self) -> usize {
        self.capacity - self.in_use
    }

    /// A page for the caller alone, holding anything; `None` if all are in use.
    pub(crate) fn take(&mut self) -> Option<u32> {
        let page = self.free.pop().or_else(|| self.make()).or_else(|| self.evict())?;
        self.holders[page as usize].sequences = 1;
        self.in_use += 1;
        Some(page)
    }

    fn make(&mut self) -> Option<u32> {
        let page = u32::try_from(self.pages.len()).ok().filter(|page| (*page as usize) < self.capacity)?;
        self.pages.push((self.make)());
        self.holders.push(Holders::default());
        Some(page)
    }

    /// Keeps a page no longer that no sequence has.
    fn evict(&mut self) -> Option<u32> {
        let idle =
            |key| self.kept.get(key).is_some_and(|kept| self.holders[kept.page as usize].sequences == 0);
        let oldest = *self.order.iter().find(|(_, _, key)| idle(key))?;
        self.order.remove(&oldest);
        let page = self.kept.remove(&oldest.2)?.page;
        self.holders[page as usize].kept = false;
        Some(page)
    }

    /// One more sequence has a page that some have.
    pub(crate) fn share(&mut self, page: u32) {
        let holders = &mut self.holders[page as usize];
        self.in_use += usize::from(holders.sequences == 0);
        holders.sequences += 1;
    }

    /// Takes back what a sequence had.
    pub(crate) fn give(&mut self, page: u32) {
        let holders = &mut self.holders[page as usize];
        holders.sequences -= 1;
        if holders.sequences == 0 {
            self.in_use -= 1;
            if !holders.kept {
                self.free.push(page);
            }
        }
    }

    /// The longest row of kept pages with which `tokens` begin, at most `most` pages. The caller has them now.
    pub(crate) fn find(&mut self, root: &Digest, tokens: &[u32], most: usize) -> Vec<Found> {
        let mut found = Vec::new();
        let mut before = *root;
        for tokens in tokens.chunks_exact(PAGE_POSITIONS).take(most) {
            let key = key(&before, tokens);
            let Some(kept) = self.kept.get(&key) else { break };
            found.push(Found { key, page: kept.page, nodes: Arc::clone(&kept.nodes) });
            before = key;
        }
        found.iter().for_each(|found| self.share(found.page));
        self.touch(found.iter().map(|found| found.key));
        found
    }

    /// Keeps a full page; if another of the same content is kept, the caller has that one from now on.
    pub(crate) fn keep(&mut self, key: Digest, depth: usize, page: &mut u32, nodes: &[Digest]) {
        if let Some(kept) = self.kept.get(&key) {
            let same = kept.page;
            self.share(same);
            self.give(std::mem::replace(page, same));
        } else {
            let kept = Kept { page: *page, nodes: nodes.into(), stamp: self.clock, depth };
            self.holders[*page as usize].kept = true;
            self.order.insert((kept.stamp, Reverse(depth), key));
            self.kept.insert(key, kept);
        }
    }

    /// Marks pages as just used. A whole chain is given at once, so that its beginning does not go before its end.
    pub(crate) fn touch(&mut self, keys: impl IntoIterator<Item = Digest>) {
        self.clock += 1;
        for key in keys {
            if let Some(kept) = self.kept.get_mut(&key) {
                self.order.remove(&(kept.stamp, Reverse(kept.depth), key));
                kept.stamp = self.clock;
                self.order.insert((kept.stamp, Reverse(kept.depth), key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOT: Digest = Digest([3; 32]);

    fn cache(capacity: usize) -> Cache<()> {
        Cache::new(capacity, || ())
    }

    fn give(cache: &mut Cache<()>, pages: impl IntoIterator<Item = u32>) {
        pages.into_iter().for_each(|page| cache.give(page));
    }

    /// Takes and keeps pages for `tokens`, as a sequence that computed them would.
    fn fill(cache: &mut Cache<()>, tokens: &[u32]) -> Option<Vec<u32>> {
        let mut pages = Vec::new();
        let mut before = ROOT;
        for (depth, tokens) in tokens.chunks_exact(PAGE_POSITIONS).enumerate() {
            let Some(mut page) = cache.take() else {
                give(cache, pages);
                return None;
            };
            before = key(&before, tokens);
            cache.keep(before, depth, &mut page, &[Digest::ZERO; PAGE_POSITIONS]);
            pages.push(page);
        }
        Some(pages)
    }

    /// The pages found for `tokens`, given back at once.
    fn look(cache: &mut Cache<()>, tokens: &[u32]) -> Vec<u32> {
        let pages: Vec<u32> = cache.find(&ROOT, tokens, usize::MAX).iter().map(|found| found.page).collect();
        give(cache, pages.clone());
        pages
    }

    fn text(seed: u32, pages: usize) -> Vec<u32> {
        (0..pages * PAGE_POSITIONS).map(|i| seed * 1000 + (i / PAGE_POSITIONS) as u32).collect()
    }

    #[test]
    fn what_was_kept_is_found_and_shared() {
        let mut cache = cache(10);
        let pages = fill(&mut cache, &text(1, 3)).unwrap();
        let mut longer = text(1, 3);
        longer.extend(text(2, 1));
        assert_eq!(look(&mut cache, &longer), pages);
        let found = cache.find(&ROOT, &longer, 2);
        assert_eq!(found.iter().map(|found| found.page).collect::<Vec<_>>(), pages[..2]);
        assert_eq!(look(&mut cache, &longer[..PAGE_POSITIONS * 2 - 1]).len(), 1);
        assert!(cache.find(&Digest::ZERO, &longer, usize::MAX).is_empty(), "of another model");
        // The same text computed twice is kept once.
        let again = fill(&mut cache, &text(1, 3)).unwrap();
        assert_eq!(again, pages);
        assert_eq!((cache.in_use(), cache.kept(), cache.available()), (3, 3, 7));
        give(&mut cache, pages.into_iter().chain(again).chain(found.into_iter().map(|found| found.page)));
        assert_eq!((cache.in_use(), cache.kept(), cache.available()), (0, 3, 10));
    }

    #[test]
    fn the_longest_unused_goes_first_and_ends_before_beginnings() {
        let mut cache = cache(4);
        for seed in [1, 2] {
            let pages = fill(&mut cache, &text(seed, 2)).unwrap();
            give(&mut cache, pages);
            look(&mut cache, &text(seed, 2));
        }
        look(&mut cache, &text(1, 2));
        assert!(cache.take().is_some());
        assert_eq!(look(&mut cache, &text(2, 2)).len(), 1);
        assert_eq!(look(&mut cache, &text(1, 2)).len(), 2);
        let held = cache.find(&ROOT, &text(1, 2), usize::MAX);
        assert!(cache.take().is_some());
        assert_eq!(look(&mut cache, &text(2, 2)).len(), 0);
        assert!(cache.take().is_none(), "pages in use never go");
        give(&mut cache, held.into_iter().map(|found| found.page));
        assert!(cache.take().is_some());
    }

    proptest! {
        /// Whatever is done, no page is lost, none is given twice, and what is said to be available is.
        #[test]
        fn pages_are_neither_lost_nor_doubled(
            steps in prop::collection::vec((0u32..6, 1usize..4, any::<bool>()), 1..60),
        ) {
            let mut cache = cache(7);
            let mut held: Vec<Vec<u32>> = Vec::new();
            for (seed, pages, release) in steps {
                if release {
                    give(&mut cache, held.pop().unwrap_or_default());
                } else if seed == 0 {
                    held.extend(cache.take().map(|page| vec![page]));
                } else {
                    held.extend(fill(&mut cache, &text(seed, pages)));
                }
                let distinct: BTreeSet<u32> = held.iter().flatten().copied().collect();
                prop_assert_eq!(cache.in_use(), distinct.len());
                prop_assert!(cache.pages().len() <= 7);
            }
            give(&mut cache, held.into_iter().flatten());
            prop_assert_eq!(cache.available(), 7);
            let all: BTreeSet<u32> = (0..7).map(|_| cache.take().unwrap()).collect();
            prop_assert!(cache.take().is_none());
            prop_assert_eq!(all, (0..7).collect());
        }
    }
}
