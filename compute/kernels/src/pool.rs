//! The threads of served models: started once, asleep when there is nothing to do.
//!
//! Products of served models are too short to start threads for each; those of the race are long, and use
//! [`threads`](crate::threads).

use core::ops::Range;

use crate::threads::Queue;

/// The most threads of a pool.
pub const MAX_THREADS: usize = 1024;

/// Steps (a multiply-add of a product with many rows, or what costs as much) below which waking another thread costs
/// more than it brings: some microseconds.
const GRAIN: u64 = 1 << 21;

/// Threads for the work of a model. All that is done with it is the same for any number of them.
///
/// A pool of one has no thread: everything runs on the caller's. In larger ones the caller waits, without spinning,
/// while the pool's threads work, and is woken afterwards; to pay for that once per step of a model and not once per
/// product, do the step inside [`run`](Self::run).
#[derive(Debug)]
pub struct Pool {
    threads: Option<rayon::ThreadPool>,
}

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// None, or too many.
    #[error("a pool of {0} threads: ask for 1 to {MAX_THREADS}")]
    Count(usize),
    /// The system refused.
    #[error("the system started no {0} threads: {1}; ask for fewer, or raise the limit of processes")]
    Refused(usize, #[source] rayon::ThreadPoolBuildError),
}

impl Pool {
    /// A pool of `threads` threads.
    ///
    /// # Errors
    ///
    /// If there are none or more than [`MAX_THREADS`], or the system starts none.
    pub fn new(threads: usize) -> Result<Self, PoolError> {
        match threads {
            1 => Ok(Self::single()),
            2..=MAX_THREADS => rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|index| format!("compute-{index}"))
                .build()
                .map(|pool| Self { threads: Some(pool) })
                .map_err(|error| PoolError::Refused(threads, error)),
            _ => Err(PoolError::Count(threads)),
        }
    }

    /// The pool without threads: its work is done by whoever calls.
    pub const fn single() -> Self {
        Self { threads: None }
    }

    /// How many threads work.
    pub fn threads(&self) -> usize {
        self.threads.as_ref().map_or(1, rayon::ThreadPool::current_num_threads)
    }

    /// Runs `body` on a thread of the pool, and returns what it returned. What it asks of the pool then starts
    /// without a change of threads. A panic of `body` is passed on.
    pub fn run<R: Send>(&self, body: impl FnOnce() -> R + Send) -> R {
        match &self.threads {
            Some(pool) => pool.install(body),
            None => body(),
        }
    }

    /// Calls `body` with disjoint ranges that cover `0..items`, in any order and on any threads. `steps` is the cost of
    /// all items in multiply-adds: little work stays on one thread. A panic of `body` is passed on.
    pub fn ranges(&self, steps: u64, items: usize, body: impl Fn(Range<usize>) + Sync) {
        /// Ranges for each thread, so that one that was held up holds up no others.
        const SHARES: usize = 4;
        let worth = usize::try_from(steps / GRAIN).unwrap_or(usize::MAX);
        let workers = self.threads().min(items).min(worth);
        let Some(pool) = self.threads.as_ref().filter(|_| workers > 1) else {
            if items > 0 {
                body(0..items);
            }
            return;
        };
        let part = items.div_ceil(workers * SHARES.min(worth.div_ceil(workers)));
        let queue = Queue::new(items.div_ceil(part));
        let work = || {
            while let Some(index) = queue.next() {
                body(index * part..((index + 1) * part).min(items));
            }
        };
        pool.scope(|scope| {
            for _ in 1..workers {
                scope.spawn(|_| work());
            }
            work();
        });
    }

    /// Calls `body` with the index of each chunk of `data` and the chunk: all have `chunk` elements, the last one
    /// perhaps fewer. `steps` is the cost of everything, as in [`ranges`](Self::ranges).
    ///
    /// # Panics
    ///
    /// If `chunk` is 0.
    pub fn chunks<T: Send>(
        &self,
        steps: u64,
        data: &mut [T],
        chunk: usize,
        body: impl Fn(usize, &mut [T]) + Sync,
    ) {
        self.chunks2(steps, (data, chunk), (&mut [(); 0], 1), |index, data, _| body(index, data));
    }

    /// As [`chunks`](Self::chunks), with the chunks of two slices that have the same index. Where the second slice is
    /// at its end, its chunks are empty.
    ///
    /// # Panics
    ///
    /// If a chunk has no elements.
    pub fn chunks2<T: Send, U: Send>(
        &self,
        steps: u64,
        first: (&mut [T], usize),
        second: (&mut [U], usize),
        body: impl Fn(usize, &mut [T], &mut [U]) + Sync,
    ) {
        let (first, second) = (Chunks::new(first), Chunks::new(second));
        self.ranges(steps, first.length.div_ceil(first.chunk), |range| {
            for index in range {
                // SAFETY: the slices are borrowed for this call, and each index is handed out once.
                unsafe { body(index, first.get(index), second.get(index)) };
            }
        });
    }
}

/// A slice whose chunks are handed to several threads.
struct Chunks<T> {
    start: *mut T,
    length: usize,
    chunk: usize,
}

// SAFETY: a pointer to elements that may be sent; whoever takes a chunk promises to be the only one.
unsafe impl<T: Send> Sync for Chunks<T> {}

impl<T> Chunks<T> {
    fn new((data, chunk): (&mut [T], usize)) -> Self {
        assert!(chunk > 0, "chunks have at least one element");
        Self { start: data.as_mut_ptr(), length: data.len(), chunk }
    }

    /// # Safety
    ///
    /// The slice is still borrowed exclusively, and nobody else uses this chunk.
    #[expect(clippy::mut_from_ref, reason = "chunks are disjoint")]
    unsafe fn get(&self, index: usize) -> &mut [T] {
        let start = index.saturating_mul(self.chunk).min(self.length);
        let length = self.chunk.min(self.length - start);
        // SAFETY: inside the slice, and ours, as the caller promises.
        unsafe { core::slice::from_raw_parts_mut(self.start.add(start), length) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn everything_is_covered_once() {
        for threads in 1..4 {
            let pool = Pool::new(threads).unwrap();
            assert_eq!(pool.threads(), threads);
            for items in [0, 1, 5, 17, 1000] {
                for steps in [0, 3 * GRAIN, u64::MAX] {
                    let seen = Mutex::new(vec![0; items]);
                    pool.ranges(steps, items, |range| range.for_each(|i| seen.lock().unwrap()[i] += 1));
                    assert!(seen.into_inner().unwrap().iter().all(|count| *count == 1));

                    let (mut first, mut second) = (vec![0; items], vec![0; items / 2]);
                    pool.run(|| {
                        pool.chunks2(steps, (&mut first, 3), (&mut second, 2), |index, first, second| {
                            first.iter_mut().for_each(|value| *value += index);
                            second.iter_mut().for_each(|value| *value += index);
                        });
                    });
                    assert!(first.iter().enumerate().all(|(i, value)| *value == i / 3));
                    let chunks = items.div_ceil(3);
                    assert!(second.iter().enumerate().all(|(i, value)| i / 2 >= chunks || *value == i / 2));
                }
            }
        }
    }

    #[test]
    fn counts_are_limited() {
        for threads in [0, MAX_THREADS + 1, usize::MAX] {
            assert!(matches!(Pool::new(threads), Err(PoolError::Count(_))));
        }
    }

    #[test]
    #[should_panic(expected = "from inside")]
    fn panics_are_passed_on() {
        Pool::new(2).unwrap().ranges(u64::MAX, 8, |_| panic!("from inside"));
    }
}
