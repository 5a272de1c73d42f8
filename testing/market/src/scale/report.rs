//! The tables of what was measured.

use std::fmt::Write as _;
use std::time::Duration;

use freeway_ledger::Preset;

use super::{Measured, Shape};

/// A node on a path: a hash and two sums.
const NODE_BYTES: f64 = 56.0;

impl Measured {
    fn of(&self, kind: &str) -> (u64, u64) {
        self.traffic.get(kind).copied().unwrap_or_default()
    }

    /// Bytes and transactions of an epoch: six intervals, and every share settled once.
    pub fn epoch(&self) -> (u64, u64) {
        let rules = Preset::Main.params();
        let intervals = rules.epochs.epoch_blocks / rules.work.interval_blocks;
        let (mut count, mut bytes) = self.of("settlement");
        for kind in ["commitment", "verdicts", "reveal", "dispute"] {
            let (number, sum) = self.of(kind);
            (count, bytes) = (count + number * intervals, bytes + sum * intervals);
        }
        (bytes, count)
    }

    /// Bytes on chain for each request.
    pub fn bytes_per_request(&self) -> f64 {
        self.epoch().0 as f64 / self.shape.requests as f64
    }

    /// The same with another number of requests: as many transactions, and longer paths in those that have one.
    pub fn bytes_per_request_of(&self, requests: u64) -> f64 {
        let rules = Preset::Main.params();
        let intervals = rules.epochs.epoch_blocks / rules.work.interval_blocks;
        let paths = self.of("settlement").0 + self.of("reveal").0 * intervals;
        let longer = (requests as f64 / self.shape.requests as f64).log2() * NODE_BYTES;
        (self.epoch().0 as f64 + paths as f64 * longer) / requests as f64
    }

    /// A row of the table of more requests.
    pub fn curve(&self) -> String {
        let Shape { hosts, lanes, shares, reputation, .. } = self.shape;
        let at = |zeros: u32| format!("{:.4}", self.bytes_per_request_of(10u64.pow(zeros)));
        let all: Vec<String> = (6..=9).map(at).collect();
        format!("| {hosts} | {lanes} x {shares} | {reputation} | {} |", all.join(" | "))
    }

    /// A row of the table.
    pub fn row(&self) -> String {
        let Shape { hosts, lanes, shares, reputation, .. } = self.shape;
        let (bytes, count) = self.epoch();
        let mut text = format!("| {hosts} | {lanes} x {shares} | {reputation} | {} ", self.serving);
        for kind in ["commitment", "verdicts", "reveal", "settlement"] {
            let (number, sum) = self.of(kind);
            // Writing into a string cannot fail.
            let _ = write!(text, "| {number} x {} ", sum / number.max(1));
        }
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let _ = write!(
            text,
            "| {count} | {:.0} | **{:.3}** | {:.2}, {:.1} | {:.1}, {:.1} |",
            bytes as f64 / 1e3,
            self.bytes_per_request(),
            ms(self.mean),
            ms(self.slowest),
            self.state_before as f64 / 1e6,
            self.state as f64 / 1e6,
        );
        text
    }
}

/// The head of the table.
pub const HEAD: &str = "| hosts | lanes x hosts each | reputation | hosts that serve | commitments x bytes | verdicts x bytes | reveals x bytes | settlements x bytes | transactions an epoch | kB an epoch | bytes a request | block, ms: mean, slowest | state, MB: before, after |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|";

/// The head of the table of more requests.
pub const CURVES: &str = "\n| hosts | lanes x hosts each | reputation | 10^6 requests an epoch | 10^7 | 10^8 | 10^9 |\n|---|---|---|---|---|---|---|";
