//! What happened in a run: a digest of everything, and the latest events in words.

use std::collections::VecDeque;
use std::fmt;

/// Events that a failing run prints.
const KEPT: usize = 60;

/// The record of a run.
#[derive(Debug, Default)]
pub struct Trace {
    hasher: blake3::Hasher,
    recent: VecDeque<String>,
    events: u64,
    /// Print every event as it happens.
    pub live: bool,
}

impl Trace {
    /// Records an event at simulated time `now_ms`.
    pub fn note(&mut self, now_ms: u64, event: fmt::Arguments<'_>) {
        let line = format!("{:>9.3} s  {event}", now_ms as f64 / 1e3);
        self.hasher.update(line.as_bytes());
        self.events += 1;
        if self.live {
            crate::say(&line);
        }
        if self.recent.len() == KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back(line);
    }

    /// The digest of all events so far.
    pub fn digest(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The latest events, oldest first.
    pub fn tail(&self) -> String {
        self.recent.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
