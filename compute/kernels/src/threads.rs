//! Splitting work over threads. Whoever does which part, the results are the same.

use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Multiply-adds (or steps of similar cost) below which another thread costs more than it brings.
const GRAIN: u64 = 1 << 21;

/// How many of `threads` are worth starting for `work` steps in `items` parts.
pub(crate) fn useful(threads: usize, work: u64, items: usize) -> usize {
    let worth = usize::try_from(work / GRAIN).unwrap_or(usize::MAX);
    threads.min(items).min(worth).max(1)
}

/// Runs `body` on `threads` threads, the caller's among them.
pub(crate) fn each(threads: usize, body: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(&body);
        }
        body();
    });
}

/// Calls `body` with disjoint ranges that cover `0..items`, on up to `threads` threads.
pub(crate) fn ranges(threads: usize, items: usize, body: impl Fn(Range<usize>) + Sync) {
    if threads == 1 {
        return body(0..items);
    }
    let part = items.div_ceil(threads);
    let queue = Queue::new(threads);
    each(threads, || {
        while let Some(index) = queue.next() {
            let start = (index * part).min(items);
            body(start..(start + part).min(items));
        }
    });
}

/// Hands out the numbers below a bound, each once.
pub(crate) struct Queue {
    next: AtomicUsize,
    end: usize,
}

impl Queue {
    /// The numbers below `end`.
    pub(crate) fn new(end: usize) -> Self {
        Self { next: AtomicUsize::new(0), end }
    }

    /// A number that nobody had before.
    pub(crate) fn next(&self) -> Option<usize> {
        // Only the number is shared; what is done with it becomes visible when the threads are joined.
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.end).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn ranges_cover_everything_once() {
        for threads in 1..6 {
            for items in [0, 1, 5, 17] {
                let seen = Mutex::new(vec![0; items]);
                ranges(threads, items, |range| range.for_each(|i| seen.lock().unwrap()[i] += 1));
                assert!(seen.into_inner().unwrap().iter().all(|count| *count == 1));
            }
        }
    }
}
