//! What a calibration found.

use std::path::PathBuf;
use std::time::Duration;

use freeway_api::NoiseView;
use freeway_requests::evidence::{Evidence, Noise, Spoken, Suspicion, THRESHOLD};
use freeway_requests::{LogProb, Sampling, Scored};
use serde::Serialize;

use super::super::register::beyond;
use super::each;
use super::talk::Answer;
use crate::commands::suspicion;
use crate::hints::Problem;
use crate::output::{Page, Show};

/// So many tokens of a forger are looked at.
const MOST_FORGED: u32 = 100_000;

/// The noise, and what it was measured on.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    package: String,
    noise: NoiseView,
    /// Tokens that were looked at.
    tokens: usize,
    /// Half of the claims are off by less, in millionths of a nat.
    median_gap: u32,
    /// Answers that could not be read, and were passed over.
    skipped: u32,
    /// The most that spoke against the server on the way, in millionths of a nat, by this noise.
    evidence: u32,
    /// What it would be suspected of.
    suspicion: &'static str,
    /// The evidence at which a host is suspected.
    threshold: u32,
    /// After how many tokens a host is suspected whose claims are all beyond the gap; null if it never is.
    forger_after: Option<u32>,
    seconds: u64,
    interrupted: bool,
    /// What of it networks do not take.
    beyond: Option<String>,
    file: Option<PathBuf>,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) tokens: usize,
    pub(super) median_gap: u32,
    pub(super) skipped: u32,
}

impl Found {
    pub(super) fn new(
        noise: Noise,
        answers: &[Answer],
        vocabulary: u32,
        Counts { tokens, median_gap, skipped }: Counts,
        interrupted: bool,
        took: Duration,
    ) -> Self {
        let (mut evidence, mut most) = (Evidence::default(), (Suspicion::Forged, 0));
        each(answers, vocabulary, |spoken| {
            evidence.observe(&noise, spoken);
            let now = evidence.strongest();
            if now.1 > most.1 {
                most = now;
            }
        });
        Self {
            package: String::new(),
            noise: NoiseView::from(&noise),
            tokens,
            median_gap,
            skipped,
            evidence: most.1,
            suspicion: suspicion::name(most.0),
            threshold: THRESHOLD,
            forger_after: forger_after(&noise),
            seconds: took.as_secs(),
            interrupted,
            beyond: beyond(&noise),
            file: None,
        }
    }

    /// The noise as `register --noise` reads it.
    ///
    /// # Errors
    /// If it is one that no network takes.
    pub(super) fn to_write(&self) -> Result<String, Problem> {
        if let Some(beyond) = &self.beyond {
            return Err(Problem::new("invalid_noise", format!("this noise cannot be registered: {beyond}"))
                .hint("the server differs too much from the package; serve weights that are nearer to it"));
        }
        let json = serde_json::to_string_pretty(&self.noise);
        json.map(|json| json + "\n").map_err(|error| Problem::told("defect", error))
    }

    pub(super) fn named(self, package: String, file: Option<PathBuf>) -> Self {
        Self { package, file, ..self }
    }
}

/// After how many tokens a host is suspected all of whose claims are off by more than the gap.
fn forger_after(noise: &Noise) -> Option<u32> {
    let logprob = LogProb(-1_000_000);
    let scored = Scored { logprob, rank: 1, top: vec![(0, logprob)] };
    let claimed = Some(LogProb(logprob.0.saturating_sub_unsigned(noise.gap).saturating_sub(1)));
    let (sampling, mut evidence) = (Sampling::default(), Evidence::default());
    (1..=MOST_FORGED).find(|_| {
        let spoken = Spoken {
            sampling: &sampling,
            constrained: true,
            vocabulary: 2,
            token: 0,
            claimed,
            scored: &scored,
        };
        evidence.observe(noise, &spoken);
        evidence.suspicion(THRESHOLD).is_some()
    })
}

fn nats(micro: u32) -> String {
    format!("{:.4} nat", f64::from(micro) / 1e6)
}

impl Show for Found {
    fn show(&self, page: &mut Page) {
        let NoiseView { gap, rate, allowance } = self.noise;
        let pace = self.tokens as f64 / self.seconds.max(1) as f64;
        let enough = if self.interrupted { ", interrupted" } else { "" };
        page.fields([
            ("tokens", format!("{} in {} s, {pace:.0} a second{enough}", self.tokens, self.seconds)),
            ("median", format!("claims are off by {}", nats(self.median_gap))),
            ("gap", format!("{}: claims that are off by less are noise", nats(gap))),
            ("rate", format!("{:.2} % of honest claims may be off by more", f64::from(rate) / 1e4)),
            ("allowance", allowance.map(nats).join(", ")),
            (
                "this server",
                format!(
                    "{} of {} against it at most ({})",
                    nats(self.evidence),
                    nats(self.threshold),
                    self.suspicion
                ),
            ),
            (
                "a forger",
                self.forger_after.map_or_else(
                    || "is never found by its claims".to_owned(),
                    |tokens| format!("is suspected after {tokens} tokens that are all off by more"),
                ),
            ),
            ("file", self.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default()),
        ]);
        if let Some(beyond) = &self.beyond {
            page.line(format_args!("No network takes this: {beyond}."));
        } else if let Some(file) = &self.file {
            let (package, file) = (&self.package, file.display());
            page.line(format_args!(
                "`freeway model register {package} --statistical --noise {file} --from NAME` puts it on a chain."
            ));
        }
        if self.evidence >= self.threshold {
            page.line(
                "The server that was measured would itself be suspected: it does not do what it is asked.",
            );
        }
        if self.skipped > 0 {
            let skipped = self.skipped;
            page.line(format_args!(
                "{skipped} answers could not be read and were passed over; a host would fail such requests (see -v)."
            ));
        }
        if self.tokens < 10_000 {
            page.line(
                "So few tokens give a wide noise: small differences are not found. Measure 20000 or more.",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forger_is_found_the_sooner_the_rarer_honest_claims_are_off() {
        let after = |rate| forger_after(&Noise { gap: 20_000, rate, ..Noise::default() });
        let (rare, often) = (after(1_000).unwrap(), after(50_000).unwrap());
        assert!((8..60).contains(&rare) && rare < often, "{rare} {often}");
    }

    #[test]
    fn what_no_network_takes_is_not_written() {
        let found = |gap| {
            Found::new(Noise { gap, ..Noise::default() }, &[], 2, Counts::default(), false, Duration::ZERO)
        };
        let written = found(7).to_write().unwrap();
        let read: NoiseView = serde_json::from_str(&written).unwrap();
        assert_eq!(read.gap, 7);
        assert_eq!(found(2_000_000).to_write().unwrap_err().code(), "invalid_noise");
    }
}
