//! What a key has used of its allowance. Time is an argument.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Allowance;

const MINUTE: Duration = Duration::from_secs(60);
/// One whole unit of a [`Bucket`]: what it gains in a minute at one a minute, in a nanosecond each.
const UNIT: i128 = MINUTE.as_nanos() as i128;

/// An amount that fills up evenly, to at most what a minute gives.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    per_minute: u32,
    level: i128,
    at: Instant,
}

impl Bucket {
    fn new(per_minute: u32, at: Instant) -> Self {
        Self { per_minute, level: i128::from(per_minute) * UNIT, at }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        self.at = self.at.max(now);
        let gained = i128::from(self.per_minute) * passed.as_nanos() as i128;
        self.level = (self.level + gained).min(i128::from(self.per_minute) * UNIT);
    }

    /// How long until there are `units`.
    fn wait(&self, units: i128) -> Duration {
        let missing = (units * UNIT - self.level).max(0);
        if missing == 0 {
            return Duration::ZERO;
        }
        let nanos = missing / i128::from(self.per_minute.max(1)) + 1;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn reading(&self) -> Reading {
        Reading {
            limit: self.per_minute,
            remaining: u32::try_from((self.level / UNIT).max(0)).unwrap_or(u32::MAX),
            reset: self.wait(self.per_minute.into()),
        }
    }
}

/// An account as the headers of answers tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    pub(crate) reset: Duration,
}

#[derive(Debug)]
struct State {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    running: u32,
}

/// The account of one key.
#[derive(Debug)]
pub(crate) struct Rates {
    concurrency: Option<u32>,
    state: Mutex<State>,
}

/// Why a request is refused, and when it would not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    pub(crate) after: Duration,
}

impl Rates {
    pub(crate) fn new(allowance: Allowance, now: Instant) -> Self {
        let bucket = |limit: Option<u32>| limit.map(|limit| Bucket::new(limit, now));
        let state = State {
            requests: bucket(allowance.requests_per_minute),
            tokens: bucket(allowance.tokens_per_minute),
            running: 0,
        };
        Self { concurrency: allowance.concurrency, state: Mutex::new(state) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a request in, or says why not.
    pub(crate) fn admit(self: &Arc<Self>, now: Instant) -> Result<Lease, Refusal> {
        let mut state = self.state();
        self.check(&mut state, now)?;
        if let Some(requests) = &mut state.requests {
            requests.level -= UNIT;
        }
        state.running += 1;
        Ok(Lease(Arc::clone(self)))
    }

    /// Says whether a request would be let in.
    pub(crate) fn look(&self, now: Instant) -> Result<(), Refusal> {
        self.check(&mut self.state(), now)
    }

    fn check(&self, state: &mut State, now: Instant) -> Result<(), Refusal> {
        if let Some(most) = self.concurrency.filter(|&most| state.running >= most) {
            let message = format!("this key may have {most} requests at a time; wait for one to end");
            return Err(Refusal { message, after: Duration::from_secs(1) });
        }
        if let Some(tokens) = &mut state.tokens {
            tokens.refill(now);
            if tokens.level < UNIT {
                let message =
                    format!("this key may use {} tokens a minute; wait, or ask for less", tokens.per_minute);
                return Err(Refusal { message, after: tokens.wait(1) });
            }
        }
        if let Some(requests) = &mut state.requests {
            requests.refill(now);
            if requests.level < UNIT {
                let message =
                    format!("this key or pass may send {} requests a minute; wait", requests.per_minute);
                return Err(Refusal { message, after: requests.wait(1) });
            }
        }
        Ok(())
    }

    /// Counts tokens that were used.
    pub(crate) fn charge(&self, now: Instant, tokens: u64) {
        if let Some(bucket) = &mut self.state().tokens {
            bucket.refill(now);
            bucket.level -= i128::from(tokens) * UNIT;
        }
    }

    /// What is left: of requests, and of tokens.
    pub(crate) fn readings(&self, now: Instant) -> (Option<Reading>, Option<Reading>) {
        let mut state = self.state();
        let read = |bucket: &mut Bucket| {
            bucket.refill(now);
            bucket.reading()
        };
        (state.requests.as_mut().map(read), state.tokens.as_mut().map(read))
    }
}

/// A request that was let in, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Rates>);

impl Lease {
    pub(crate) fn rates(&self) -> &Arc<Rates> {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.running = state.running.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rates(requests: Option<u32>, tokens: Option<u32>, concurrency: Option<u32>) -> (Arc<Rates>, Instant) {
        let now = Instant::now();
        let allowance = Allowance { requests_per_minute: requests, tokens_per_minute: tokens, concurrency };
        (Arc::new(Rates::new(allowance, now)), now)
    }

    #[test]
    fn requests_come_back_evenly() {
        let (rates, now) = rates(Some(2), None, None);
        assert!(rates.admit(now).is_ok() && rates.admit(now).is_ok());
        let refusal = rates.admit(now).expect_err("used up");
        assert!(refusal.after > SECOND * 29 && refusal.after <= SECOND * 31, "{refusal:?}");
        assert!(rates.admit(now + SECOND * 29).is_err());
        assert!(rates.admit(now + refusal.after).is_ok());
        let (requests, tokens) = rates.readings(now + SECOND * 300);
        assert_eq!(requests, Some(Reading { limit: 2, remaining: 2, reset: Duration::ZERO }));
        assert_eq!(tokens, None);
    }

    #[test]
    fn tokens_may_be_overdrawn_once() {
        let (rates, now) = rates(None, Some(60), None);
        drop(rates.admit(now).expect("full"));
        rates.charge(now, 100);
        assert_eq!(rates.readings(now).1.map(|reading| reading.remaining), Some(0));
        let refusal = rates.admit(now).expect_err("overdrawn");
        assert!(refusal.after > SECOND * 40 && refusal.after < SECOND * 42, "{refusal:?}");
        assert!(rates.admit(now + SECOND * 42).is_ok());
    }

    #[test]
    fn requests_at_a_time() {
        let (rates, now) = rates(None, None, Some(1));
        let lease = rates.admit(now).expect("the first");
        assert!(rates.admit(now).is_err());
        drop(lease);
        assert!(rates.admit(now).is_ok());
    }
}
