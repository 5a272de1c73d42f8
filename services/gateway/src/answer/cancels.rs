//! How often work may be left undone that a host is paid for.
//!
//! A host does not get anything for a request that its payer cancels, and refuses a lane that does so too often. So
//! clients that come and go must not cost the others their lane: beyond a few in a minute, what they left is brought
//! to its end and paid.

use core::time::Duration;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How many in a minute: half of what a host takes from one lane.
const PER_MINUTE: u32 = 4;

/// Counts them.
#[derive(Debug)]
pub(crate) struct Cancels(Mutex<(Instant, u32)>);

impl Default for Cancels {
    fn default() -> Self {
        Self(Mutex::new((Instant::now(), 0)))
    }
}

impl Cancels {
    /// Whether one more may be cancelled now; counts it if so.
    pub(crate) fn allow(&self) -> bool {
        self.allow_at(Instant::now())
    }

    fn allow_at(&self, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.0) >= Duration::from_secs(60) {
            *state = (now, 0);
        }
        state.1 = state.1.saturating_add(1);
        state.1 <= PER_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_few_are_left_undone() {
        let (cancels, now) = (Cancels::default(), Instant::now());
        let allowed = (0..20).filter(|_| cancels.allow_at(now)).count();
        assert_eq!(allowed, PER_MINUTE as usize);
        assert!(cancels.allow_at(now + Duration::from_secs(61)));
    }
}
