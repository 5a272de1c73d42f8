//! Computes nonces on a set share of the machine.
//!
//! Threads take batches of consecutive nonces from one queue; whoever computes which, the traces come out in
//! order and without gaps. A thread that worked for a while rests for so long that its share of the time is what
//! was asked for: a machine that also does other work stays usable. A race can be stopped at any time and takes
//! no longer for that than one batch.

mod share;

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use freeway_primitives::Address;
use freeway_proofs::merkle::MAX_LEAVES;
use freeway_proofs::sprint::{Position, Trace};

use crate::engine::{EngineError, Model};
use share::Lap;
pub use share::{Meter, Share, ShareError, Stop};

/// The most nonces of a batch.
const MAX_BATCH: u32 = 1_024;
/// How long a batch may take for the sake of good use: so long it may take to stop.
const MAX_BATCH_TIME: Duration = Duration::from_secs(1);

/// What is computed, and by whom.
#[derive(Clone)]
pub struct Task {
    /// The function.
    pub model: Arc<dyn Model>,
    /// The host.
    pub host: Address,
    /// How much of the machine may be used for it.
    pub share: Share,
    /// Counts it.
    pub meter: Arc<Meter>,
    /// Stops it.
    pub stop: Stop,
}

/// Computes nonces of `device` from `first` on until stopped. `deliver` gets the traces in order, about every
/// `every`. Returns after the last delivery.
///
/// # Errors
/// [`EngineError`] if this machine cannot compute them.
pub fn race(
    task: &Task,
    device: u32,
    first: u64,
    every: Duration,
    mut deliver: impl FnMut(u64, Vec<Trace>),
) -> Result<(), EngineError> {
    // Whether it can be done at all is found out here, not on every thread.
    drop(task.model.lane(task.host, device)?);
    let next = Mutex::new(first);
    let (sender, batches) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..task.share.threads {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || worker(task, device, next, &sender));
        }
        drop(sender);
        let (mut ready, mut waiting) = (Vec::new(), BTreeMap::new());
        let mut from = first;
        let mut due = Instant::now() + every;
        loop {
            let received = batches.recv_timeout(due.saturating_duration_since(Instant::now()));
            let ended = matches!(received, Err(RecvTimeoutError::Disconnected));
            if let Ok((start, traces)) = received {
                waiting.insert(start, traces);
            }
            while let Some(traces) = waiting.remove(&(from + ready.len() as u64)) {
                ready.extend(traces);
            }
            let is_due = Instant::now() >= due;
            if !ready.is_empty() && (ended || is_due) {
                let count = ready.len() as u64;
                deliver(from, core::mem::take(&mut ready));
                from += count;
            }
            if ended {
                return;
            }
            if is_due {
                due = Instant::now() + every;
            }
        }
    });
    Ok(())
}

type Batch = (u64, Vec<Trace>);

fn worker(task: &Task, device: u32, next: &Mutex<u64>, batches: &mpsc::Sender<Batch>) {
    let Ok(mut lane) = task.model.lane(task.host, device) else { return };
    let (aim, batch) = (task.share.work(), task.model.batch().clamp(1, MAX_BATCH));
    let (mut lap, mut size) = (Lap::new(&task.meter), 1);
    while !task.stop.is_stopped() {
        let (start, count) = {
            let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
            let left = MAX_LEAVES.saturating_sub(*next);
            let (start, count) = (*next, size.min(u32::try_from(left).unwrap_or(u32::MAX)));
            *next += u64::from(count);
            (start, count)
        };
        if count == 0 {
            return;
        }
        let (traces, worked) = lap.timed(u64::from(count), || lane.run(start, count));
        if batches.send((start, traces)).is_err() {
            return;
        }
        size = resized(count, worked, aim, batch);
        if task.stop.rest(task.share.rest(worked)) {
            return;
        }
    }
}

/// The next batch's size: as much as fits into a thread's part of the cycle, but no less than what makes good use
/// of the thread, as long as that does not take too long.
fn resized(size: u32, worked: Duration, aim: Duration, batch: u32) -> u32 {
    let fitting = if worked * 2 < aim {
        size.saturating_mul(2)
    } else if worked > aim {
        size / 2
    } else {
        size
    };
    let whole = worked.saturating_mul(batch) / size.max(1);
    let least = if whole <= MAX_BATCH_TIME { batch } else { 1 };
    fitting.clamp(least, MAX_BATCH)
}

/// Computes single nonces of the task's host, in their order; `None` if stopped.
///
/// # Errors
/// [`EngineError`] if this machine cannot compute them.
pub fn recompute(task: &Task, positions: &[Position]) -> Result<Option<Vec<Trace>>, EngineError> {
    // As few as keep all threads busy, as many as make good use of one.
    let even = positions.len().div_ceil(task.share.threads.max(1));
    let size = even.clamp(1, task.model.batch().clamp(1, MAX_BATCH) as usize);
    let parts: Vec<&[Position]> = positions.chunks(size).collect();
    let next = AtomicUsize::new(0);
    let (sender, results) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..task.share.threads.min(parts.len()) {
            let (sender, next, parts) = (sender.clone(), &next, &parts);
            scope.spawn(move || {
                let mut lap = Lap::new(&task.meter);
                while !task.stop.is_stopped() {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(part) = parts.get(index) else { return };
                    let work = || task.model.check(task.host, part);
                    let (traces, worked) = lap.timed(part.len() as u64, work);
                    if sender.send((index, traces)).is_err() || task.stop.rest(task.share.rest(worked)) {
                        return;
                    }
                }
            });
        }
    });
    drop(sender);
    let mut done = BTreeMap::new();
    for (index, traces) in results {
        done.insert(index, traces?);
    }
    let traces: Vec<Trace> = done.into_values().flatten().collect();
    Ok((traces.len() == positions.len()).then_some(traces))
}

#[cfg(test)]
mod tests {
    use freeway_primitives::Digest;

    use super::*;
    use crate::engine::{Cheap, Engine, Exact, Weights};

    const SEED: Digest = Digest([1; 32]);
    const HOST: Address = Address([2; 32]);

    fn task(engine: &dyn Engine, threads: usize, percent: u8) -> Task {
        let model = engine.model("tiny", &SEED, Weights::Stored, 1).unwrap();
        let share = Share::new(threads, percent).unwrap();
        Task { model, host: HOST, share, meter: Arc::default(), stop: Stop::default() }
    }

    /// Races from `first` until there are so many traces.
    fn traces(task: &Task, first: u64, enough: usize) -> Vec<Trace> {
        let mut all = Vec::new();
        race(task, 0, first, Duration::from_millis(1), |from, traces| {
            assert_eq!(from, first + all.len() as u64, "in order and without gaps");
            all.extend(traces);
            if all.len() >= enough {
                task.stop.stop();
            }
        })
        .unwrap();
        all
    }

    #[test]
    fn any_number_of_threads_finds_the_same() {
        let exact = Exact::default();
        let expected = exact.model("tiny", &SEED, Weights::Stored, 1).unwrap();
        let expected = expected.lane(HOST, 0).unwrap().run(0, 4_000);
        for threads in [1, 3] {
            let found = traces(&task(&exact, threads, 100), 0, 200);
            assert!(found.len() >= 200);
            let common = found.len().min(expected.len());
            assert_eq!(found[..common], expected[..common]);
        }
    }

    #[test]
    fn a_race_that_was_stopped_goes_on_where_it_was() {
        let exact = Exact::default();
        let mut all = traces(&task(&exact, 2, 100), 0, 50);
        let first = all.len();
        all.extend(traces(&task(&exact, 1, 50), first as u64, 50));
        let model = exact.model("tiny", &SEED, Weights::Stored, 1).unwrap();
        let expected = model.lane(HOST, 0).unwrap().run(0, u32::try_from(all.len()).unwrap());
        assert_eq!(all, expected);
    }

    #[test]
    fn single_nonces_are_those_of_the_race() {
        let exact = Exact::default();
        let positions: Vec<_> = (0..150).map(|i| Position { device: 3, nonce: i * 5 }).collect();
        let task = task(&exact, 3, 100);
        let expected = task.model.check(HOST, &positions).unwrap();
        assert_eq!(recompute(&task, &positions), Ok(Some(expected)));
        assert_eq!(recompute(&task, &[]), Ok(Some(Vec::new())));
        assert_eq!(task.meter.nonces(), 150);
        task.stop.stop();
        assert_eq!(recompute(&task, &positions), Ok(None));
    }

    #[test]
    fn what_is_done_is_counted() {
        let task = task(&Cheap, 2, 100);
        let found = traces(&task, 0, 1_000);
        assert_eq!(task.meter.nonces(), found.len() as u64);
        assert!(task.meter.cpu() > Duration::ZERO);
    }

    #[test]
    fn batches_fit_the_cycle_but_make_good_use_of_the_thread() {
        let ms = Duration::from_millis;
        assert_eq!(resized(1, ms(1), ms(50), 1), 2);
        assert_eq!(resized(64, ms(60), ms(50), 1), 32);
        assert_eq!(resized(32, ms(40), ms(50), 1), 32);
        assert_eq!(resized(1, ms(5), ms(50), 64), 64, "the whole batch takes 320 ms");
        assert_eq!(resized(1, ms(200), ms(50), 64), 1, "it would take 13 s");
        assert_eq!(resized(1_024, ms(0), ms(50), 64), 1_024);
    }
}
