//! Many seeds on a few threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::plan::Plan;
use crate::world::{Summary, World};

/// A seed whose run violated a property, and what it said.
pub type Failure = (u64, String);

/// Runs the plans of `count` seeds from `first` on `jobs` threads; `progress` hears of every finished one.
///
/// # Panics
/// If a thread cannot be joined.
pub fn run(
    plan_of: fn(u64) -> Plan,
    first: u64,
    count: u64,
    jobs: usize,
    progress: impl Fn(u64) + Sync,
) -> (Summary, Vec<Failure>) {
    let next = AtomicU64::new(0);
    let done = AtomicU64::new(0);
    let total = Mutex::new((Summary::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let offset = next.fetch_add(1, Ordering::Relaxed);
                    if offset >= count {
                        return;
                    }
                    let seed = first + offset;
                    let result = catch_unwind(AssertUnwindSafe(|| World::new(plan_of(seed)).run()));
                    let mut total = total.lock().expect("no thread panics while it counts");
                    match result {
                        Ok(summary) => total.0.add(&summary),
                        Err(panic) => {
                            let text = panic.downcast_ref::<String>().cloned();
                            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                            total.1.push((seed, text.unwrap_or_else(|| "a panic without words".into())));
                        }
                    }
                    drop(total);
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                }
            });
        }
    });
    total.into_inner().expect("all threads have ended")
}
