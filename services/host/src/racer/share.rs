//! How much of the machine is used, and how that is counted.

use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// The cycle of work and rest.
const CYCLE: Duration = Duration::from_millis(100);

/// How much of the machine may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Threads.
    pub threads: usize,
    /// Of each thread's time, in percent.
    pub percent: u8,
}

/// A share of nothing, or of more than all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the sprint's share is {threads} threads at {percent} %; set between 1 and 4096 threads and 1 to 100 %"
)]
pub struct ShareError {
    threads: usize,
    percent: u8,
}

impl Share {
    /// Checks a share.
    ///
    /// # Errors
    /// [`ShareError`] if it is nothing, or more than all.
    pub fn new(threads: usize, percent: u8) -> Result<Self, ShareError> {
        let sensible = (1..=4_096).contains(&threads) && (1..=100).contains(&percent);
        if sensible { Ok(Self { threads, percent }) } else { Err(ShareError { threads, percent }) }
    }

    /// How long a thread works in a cycle.
    pub(super) fn work(self) -> Duration {
        CYCLE * u32::from(self.percent) / 100
    }

    /// How long a thread rests after `worked`.
    pub(super) fn rest(self, worked: Duration) -> Duration {
        let percent = u32::from(self.percent.clamp(1, 100));
        worked * (100 - percent) / percent
    }
}

/// What was computed, over all races.
#[derive(Debug, Default)]
pub struct Meter {
    nonces: AtomicU64,
    cpu_nanoseconds: AtomicU64,
}

impl Meter {
    /// Nonces computed.
    pub fn nonces(&self) -> u64 {
        self.nonces.load(Ordering::Relaxed)
    }

    /// Time that threads spent computing, on a processor.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_nanoseconds.load(Ordering::Relaxed))
    }
}

/// Stops what is being computed. Cheap to clone; all clones stop together.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Stops.
    pub fn stop(&self) {
        let (flag, changed) = &*self.0;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; `true` if it was stopped meanwhile.
    pub(super) fn rest(&self, time: Duration) -> bool {
        let (flag, changed) = &*self.0;
        let stopped = flag.lock().unwrap_or_else(PoisonError::into_inner);
        if time.is_zero() {
            return *stopped;
        }
        let waited = changed.wait_timeout_while(stopped, time, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Counts what one thread does.
pub(super) struct Lap<'a> {
    meter: &'a Meter,
    /// The thread's processor time when it was last looked at. Counted from there, as the kernel brings it up to
    /// date only now and then.
    last: Option<Duration>,
}

impl<'a> Lap<'a> {
    pub(super) fn new(meter: &'a Meter) -> Self {
        Self { meter, last: thread_cpu() }
    }

    /// Runs `work`, counts it, and gives how long it took.
    pub(super) fn timed<T>(&mut self, nonces: u64, work: impl FnOnce() -> T) -> (T, Duration) {
        let started = Instant::now();
        let result = work();
        let worked = started.elapsed();
        let now = thread_cpu();
        let cpu = match (self.last, now) {
            (Some(last), Some(now)) => now.saturating_sub(last),
            // Without such a clock: as if the thread had never been interrupted.
            _ => worked,
        };
        self.last = now;
        let nanoseconds = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
        self.meter.cpu_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        self.meter.nonces.fetch_add(nonces, Ordering::Relaxed);
        (result, worked)
    }
}

/// The time that this thread has spent on a processor, if it is known: the first number of Linux's scheduler
/// statistics, which is 0 where they are not kept.
fn thread_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_rests_in_proportion() {
        let share = |percent| Share::new(1, percent).unwrap();
        let ms = Duration::from_millis;
        assert_eq!((share(100).work(), share(100).rest(ms(70))), (ms(100), ms(0)));
        assert_eq!((share(25).work(), share(25).rest(ms(25))), (ms(25), ms(75)));
        assert_eq!(share(1).rest(ms(1_000)), ms(99_000));
        assert!(Share::new(0, 50).is_err() && Share::new(1, 0).is_err() && Share::new(1, 101).is_err());
    }

    #[test]
    fn a_resting_thread_stops_at_once() {
        let stop = Stop::default();
        let other = stop.clone();
        let handle = std::thread::spawn(move || other.rest(Duration::from_secs(600)));
        stop.stop();
        assert!(handle.join().unwrap());
        assert!(stop.rest(Duration::ZERO));
    }
}
