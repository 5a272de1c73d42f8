//! What a request uses, counted however it ends: answered, failed, or left by its client.

use std::sync::Arc;
use std::time::Instant;

use freeway_primitives::Amount;
use tokio::sync::OwnedSemaphorePermit;

use crate::books::Reservation;
use crate::keys::grant::{Admitted, Grant};
use crate::metrics::Metrics;

/// A place among the requests that are worked on, and the account that pays. Counts when it is dropped.
#[derive(Debug)]
pub(crate) struct Meter {
    metrics: Arc<Metrics>,
    caller: Option<Arc<Admitted>>,
    reserved: Option<Reservation>,
    _permit: OwnedSemaphorePermit,
    began: Instant,
    first: Option<Instant>,
    last: Instant,
    prompt: u64,
    cached: u64,
    completion: u64,
}

impl Meter {
    pub(crate) fn new(
        metrics: Arc<Metrics>,
        caller: Option<Arc<Admitted>>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        metrics.running(1);
        let now = Instant::now();
        Self {
            metrics,
            caller,
            reserved: None,
            _permit: permit,
            began: now,
            first: None,
            last: now,
            prompt: 0,
            cached: 0,
            completion: 0,
        }
    }

    /// What the caller may do, if there is any limit to it.
    pub(crate) fn grant(&self) -> Option<&Arc<Grant>> {
        self.caller.as_ref().map(|caller| &caller.grant)
    }

    /// Keeps what was set aside for the request. It is released when this is dropped.
    pub(crate) fn set_aside(&mut self, reserved: Reservation) {
        self.reserved = Some(reserved);
    }

    /// A part of the request was paid for.
    pub(crate) fn paid(&mut self, fee: Amount) {
        if let Some(reserved) = &mut self.reserved {
            reserved.charge(fee);
        }
    }

    pub(crate) fn prompt(&mut self, tokens: u64, cached: u64) {
        self.prompt += tokens;
        self.cached += cached;
    }

    pub(crate) fn completion(&mut self, tokens: u64) {
        self.last = Instant::now();
        if self.first.is_none() && tokens > 0 {
            self.first = Some(self.last);
            self.metrics.first_token(self.last - self.began);
        }
        self.completion += tokens;
    }

    /// Prompt, cached and completion.
    pub(crate) fn totals(&self) -> (u64, u64, u64) {
        (self.prompt, self.cached, self.completion)
    }

    /// The totals, as somebody else counted them.
    pub(crate) fn set(&mut self, prompt: u64, cached: u64, completion: u64) {
        (self.prompt, self.cached, self.completion) = (prompt, cached, completion);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.metrics.running(-1);
        self.metrics.tokens(self.prompt, self.cached, self.completion);
        if let Some(first) = self.first {
            self.metrics.pace(self.completion.saturating_sub(1), self.last - first);
        }
        if let Some(caller) = &self.caller {
            caller.charge(Instant::now(), self.prompt.saturating_add(self.completion));
        }
    }
}
