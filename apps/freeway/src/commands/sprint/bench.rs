//! `freeway sprint bench`.

use core::str::FromStr;
use std::time::Duration;

use clap::Args;
use freeway_api::weights::H100_MACS_PER_SECOND;
use freeway_sprint::{Shape, bench};
use serde::Serialize;

use super::machine::{Machine, compute};
use crate::cli::Context;
use crate::hints::Problem;
use crate::output::{Page, Show};

const EXAMPLES: &str = "\
Examples:
  freeway sprint bench                                     the shape of the public network, for 10 seconds
  freeway sprint bench --backend avx2 --threads 1          one core without newer instructions
  freeway sprint bench --shape tiny --seconds 1 --json

The digest is the same on every machine: it shows that this one computes right.
H100-equivalents take an H100 at 45 % of its peak for dense 8-bit integers, 890 tera-operations a second; none
has been measured yet.";

/// Free memory that is left to all else.
const SPARE_BYTES: u64 = 64 << 20;

/// Options of `freeway sprint bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Bench {
    /// What is computed: tiny, A, B or C.
    #[arg(long, value_name = "NAME", default_value = "A")]
    shape: Shape,

    #[command(flatten)]
    machine: Machine,

    /// How long is measured, after the weights are made.
    #[arg(long, value_name = "N", default_value = "10")]
    seconds: Seconds,
}

/// A duration in seconds.
#[derive(Clone, Copy, Debug)]
struct Seconds(Duration);

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<f64>() {
            Ok(seconds) if (0.01..=3_600.0).contains(&seconds) => Ok(Self(Duration::from_secs_f64(seconds))),
            _ => Err("this is no duration here; write a number of seconds from 0.01 to 3600"),
        }
    }
}

/// What this machine does in a second.
#[derive(Debug, Serialize)]
struct Measured {
    shape: String,
    backend: &'static str,
    threads: usize,
    nonces_per_second: f64,
    ops_per_second: f64,
    peak_ops_per_second: f64,
    peak_share: f64,
    h100_equivalents: f64,
    digest: String,
}

impl Show for Measured {
    fn show(&self, page: &mut Page) {
        page.fields([
            ("shape", self.shape.clone()),
            ("backend", format!("{} on {} threads", self.backend, self.threads)),
            ("nonces", format!("{} a second", quantity(self.nonces_per_second))),
            ("operations", format!("{}op/s", si(self.ops_per_second))),
            (
                "peak",
                format!(
                    "{}op/s; {:.1} % of it reached",
                    si(self.peak_ops_per_second),
                    100.0 * self.peak_share
                ),
            ),
            ("H100s", quantity(self.h100_equivalents)),
            ("digest", self.digest.clone()),
        ]);
    }
}

/// Three digits.
fn quantity(number: f64) -> String {
    let digits = if number > 0.0 { 2 - number.log10().floor() as i64 } else { 0 };
    format!("{number:.*}", usize::try_from(digits.min(9)).unwrap_or_default())
}

/// Three digits and a prefix.
fn si(number: f64) -> String {
    let prefixes = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match prefixes.into_iter().find(|(unit, _)| number >= *unit) {
        Some((unit, prefix)) => format!("{} {prefix}", quantity(number / unit)),
        None => format!("{} ", quantity(number)),
    }
}

impl Bench {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let (backend, threads) = (self.machine.backend()?, self.machine.threads());
        let Self { shape, seconds: Seconds(duration), .. } = self;
        // A hundredth more is stored beside the weights.
        let needed = shape.weights_bytes() / 100 * 101 + SPARE_BYTES;
        if let Some(available) = available_memory()
            && available < needed
        {
            let message = format!(
                "shape {shape} needs {} MiB of memory and {} MiB are free",
                needed >> 20,
                available >> 20
            );
            return Err(Problem::new("memory", message).hint("end other programs, or choose --shape tiny"));
        }
        let what = format!("measuring shape {shape} with {backend} on {threads} threads");
        let measure = move || bench::measure(shape, backend, threads, duration).map_err(Problem::from);
        let measured = compute(context.output(), what, measure).await?;
        context.output().result(&Measured {
            shape: shape.to_string(),
            backend: backend.name(),
            threads,
            nonces_per_second: measured.nonces_per_second,
            ops_per_second: measured.ops_per_second,
            peak_ops_per_second: measured.peak_ops_per_second,
            peak_share: measured.peak_share,
            h100_equivalents: measured.ops_per_second / (2.0 * H100_MACS_PER_SECOND as f64),
            digest: hex::encode(measured.digest),
        })
    }
}

/// Memory that programs can still get, where the system tells.
fn available_memory() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let texts: Vec<String> = [0.0, 0.000_123_4, 0.5, 1.234, 12.34, 1_234.5].map(quantity).into();
        assert_eq!(texts, ["0", "0.000123", "0.500", "1.23", "12.3", "1234"]);
        assert_eq!([5.0, 1_500.0, 8.9e14].map(si), ["5.00 ", "1.50 k", "890 T"]);
    }
}
