//! What an upstream has done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::Stats;

/// Counters of one upstream.
#[derive(Debug, Default)]
pub(super) struct Counters {
    running: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
    cancelled: AtomicU64,
    retries: AtomicU64,
    prompt_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    completion_tokens: AtomicU64,
}

impl Counters {
    /// An attempt is repeated.
    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the numbers of tokens from an answer that tells them.
    pub(super) fn usage(&self, payload: &Value) {
        let Some(usage) = payload.get("usage").filter(|usage| usage.is_object()) else { return };
        let count = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or(0);
        self.prompt_tokens.fetch_add(count(usage.get("prompt_tokens")), Ordering::Relaxed);
        self.completion_tokens.fetch_add(count(usage.get("completion_tokens")), Ordering::Relaxed);
        let cached = usage.get("prompt_tokens_details").and_then(|details| details.get("cached_tokens"));
        self.cached_tokens.fetch_add(count(cached), Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            running: read(&self.running),
            requests: read(&self.requests),
            failures: read(&self.failures),
            cancelled: read(&self.cancelled),
            retries: read(&self.retries),
            prompt_tokens: read(&self.prompt_tokens),
            cached_tokens: read(&self.cached_tokens),
            completion_tokens: read(&self.completion_tokens),
            ..Stats::default()
        }
    }
}

/// A request that is under way. Dropped before it was settled, it counts as cancelled.
#[derive(Debug)]
pub(super) struct Underway {
    counters: Arc<Counters>,
    settled: bool,
}

impl Underway {
    pub(super) fn begin(counters: &Arc<Counters>) -> Self {
        counters.requests.fetch_add(1, Ordering::Relaxed);
        counters.running.fetch_add(1, Ordering::Relaxed);
        Self { counters: Arc::clone(counters), settled: false }
    }

    /// It came to its end.
    pub(super) fn settle(&mut self, well: bool) {
        if !core::mem::replace(&mut self.settled, true) && !well {
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.counters.running.fetch_sub(1, Ordering::Relaxed);
        if !self.settled {
            self.counters.cancelled.fetch_add(1, Ordering::Relaxed);
        }
    }
}
