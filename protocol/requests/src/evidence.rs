//! Whether tokens came from the model that they are said to come from, where no bit can be computed again.
//!
//! A verifier scores what a host generated in one pass, and gathers [`Evidence`] token by token. Each part of it is the
//! logarithm of a likelihood ratio between what an honest host would do and one way to cheat:
//!
//! - **Surprise.** The token is drawn from `p`, the model's distribution under the declared sampling, among the most
//!   likely tokens that the verifier has. Against it stands `q`, proportional to `p^(1-b)` for a bet `b`: its ratio is
//!   `b * surprise - ln(sum of p^(1-b)) + ...`, whose slope at `b = 0` is *surprise minus entropy*. Tokens of a small
//!   model surprise the right one, however honestly they are scored afterwards. With `b` below 0 it finds tokens that
//!   are too likely: those of a greedy host that was to draw.
//! - **Misses.** Tokens beyond the most likely ones come as often as their share allows; tokens that the sampling
//!   excludes, or that are not the first of a greedy choice by more than a margin, almost never.
//! - **Gaps.** What the host claims for its token is what the verifier finds, but for the noise of another machine.
//!
//! Under an honest host the expectation of each ratio is at most 1, so that by the inequality of Ville a sum beginning
//! at any one token ever passes `h` with a chance of at most `e^-h`. Sums do not fall below 0: honest years are no
//! credit for a later cheat. The chance of a false alarm is then at most `e^-h` for each token and part, for as long as
//! tokens come.
//!
//! Honest machines differ in their last digits. How much is [`Noise`], a parameter of the model, measured by
//! [`Calibration`] on answers of an honest host. All numbers are integers; what is found costs reputation and rewards,
//! never collateral.

mod calibration;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::exponential::{Slope, WEIGHT_BITS, micro_nats};
use crate::{LogProb, MAX_TOP_LOGPROBS, Q16, Sampling, Scored, Share};

pub use calibration::{Calibration, LEAST_TOKENS};

/// The evidence in millionths of a nat at which a host is suspected: 32 nats. A billion checked tokens of an honest
/// host give a false alarm with a chance of less than one in ten thousand.
pub const THRESHOLD: u32 = 32_000_000;

/// Sums go no further, so that a host is not suspected for ever.
const MOST: i64 = 64_000_000;
/// The most that one token says.
const TOKEN_MOST: i64 = 4_000_000;
/// All of a share in millionths.
const ALL: u32 = 1_000_000;
const LN_2: i64 = 693_147;

/// The bets on surprise: the temperature of `q` in parts of that of `p`, which is `1 / (1 - b)`.
const BETS: [(i64, i64); 3] = [(8, 7), (4, 3), (4, 5)];

/// How much honest machines differ, in a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Noise {
    /// Differences of log-probabilities up to this, in millionths of a nat, are noise.
    pub gap: u32,
    /// How often in a million tokens an honest machine is beyond.
    pub rate: u32,
    /// What an honest token may give to the bets on surprise in the mean, in millionths of a nat: bets on some more
    /// surprise, on much more, and on less.
    pub allowance: [u32; 3],
}

impl Default for Noise {
    /// For models that nobody has measured: wide.
    fn default() -> Self {
        Self { gap: 200_000, rate: 10_000, allowance: [5_000, 15_000, 15_000] }
    }
}

/// A token as host and verifier see it.
#[derive(Clone, Copy, Debug)]
pub struct Spoken<'a> {
    /// How tokens were to be chosen.
    pub sampling: &'a Sampling,
    /// Whether a grammar restricted them.
    pub constrained: bool,
    /// The tokens of the model.
    pub vocabulary: u32,
    /// The token.
    pub token: u32,
    /// What the host says of its likelihood, if anything.
    pub claimed: Option<LogProb>,
    /// What the verifier found, with as many of the most likely tokens as it has, in order.
    pub scored: &'a Scored,
}

/// What looks wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suspicion {
    /// The tokens surprise the model more than its own would: another model made them.
    Surprising,
    /// They surprise it less: they were not drawn as they were to be.
    Predictable,
    /// They are tokens that the model would not choose.
    Missed,
    /// What is said of their likelihood is not so.
    Forged,
}

/// What speaks against a host, in one model. Begins with nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Evidence {
    /// In millionths of a nat, as all of them.
    bets: [u32; 3],
    missed: u32,
    forged: u32,
}

impl Evidence {
    /// Takes a token into account.
    pub fn observe(&mut self, noise: &Noise, spoken: &Spoken<'_>) {
        let ratios = Ratios::new(noise, spoken);
        for ((sum, ratio), allowance) in self.bets.iter_mut().zip(ratios.bets).zip(noise.allowance) {
            add(sum, ratio.map(|ratio| ratio - i64::from(allowance)));
        }
        add(&mut self.missed, ratios.missed);
        add(&mut self.forged, ratios.forged);
    }

    /// The strongest suspicion with its evidence in millionths of a nat; 0 if there is none.
    pub fn strongest(&self) -> (Suspicion, u32) {
        let [some, much, less] = self.bets;
        [
            (Suspicion::Surprising, some.max(much)),
            (Suspicion::Predictable, less),
            (Suspicion::Missed, self.missed),
            (Suspicion::Forged, self.forged),
        ]
        .into_iter()
        .max_by_key(|(_, evidence)| *evidence)
        .unwrap_or((Suspicion::Forged, 0))
    }

    /// The suspicion, if the evidence reaches `threshold` (see [`THRESHOLD`]).
    pub fn suspicion(&self, threshold: u32) -> Option<Suspicion> {
        let (suspicion, evidence) = self.strongest();
        (evidence >= threshold).then_some(suspicion)
    }
}

/// A sum that begins anew where it would fall below 0.
fn add(sum: &mut u32, ratio: Option<i64>) {
    let next = i64::from(*sum) + ratio.unwrap_or(0).min(TOKEN_MOST);
    // Between them it fits.
    *sum = next.clamp(0, MOST) as u32;
}

/// What one token says, in millionths of a nat; `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Ratios {
    bets: [Option<i64>; 3],
    missed: Option<i64>,
    forged: Option<i64>,
}

impl Ratios {
    fn new(noise: &Noise, spoken: &Spoken<'_>) -> Self {
        let Spoken { sampling, scored, claimed, .. } = *spoken;
        let gap = claimed.map(|claimed| claimed.0.abs_diff(scored.logprob.0));
        let forged = Some(missed(gap.is_none_or(|gap| gap > noise.gap), noise.rate));
        let mut ratios = Self { forged, ..Self::default() };
        let adjusted = sampling.has_penalties() || !sampling.logit_bias.is_empty() || spoken.constrained;
        let Some(list) = List::new(sampling, spoken.vocabulary, scored).filter(|_| !adjusted) else {
            return ratios;
        };
        let own = list.distance(scored.logprob);
        // Two log-probabilities, each with its noise.
        let margin = units(noise.gap.saturating_mul(2));
        if sampling.is_greedy() {
            ratios.missed = Some(missed(own > margin, noise.rate));
            return ratios;
        }
        let kept = scored.top.iter().take(list.kept()).any(|(token, _)| *token == spoken.token);
        let border = list.kept.last().copied().unwrap_or(0);
        let beyond = list.beyond().max(noise.rate);
        if kept {
            ratios.missed = Some(missed(false, beyond));
            ratios.bets = list.bets(own);
        } else if !list.complete || own > border.saturating_add(margin) {
            ratios.missed = Some(missed(true, beyond));
        }
        ratios
    }
}

/// What it says that something of this rate (in millionths, or less often) happened, or did not, beside a rate that is
/// more by a quarter, or so much nearer to 1 as a small model's would be.
fn missed(happened: bool, rate: u32) -> i64 {
    let rate = rate.clamp(1, ALL - 1);
    let left = ALL - rate;
    let other = rate + (u64::from(rate) * u64::from(left) / (4 * u64::from(ALL))) as u32 + left.div_ceil(64);
    let ratio = |a: u32, b: u32| logarithm(u64::from(a)) - logarithm(u64::from(b));
    if happened { ratio(other, rate) } else { ratio((ALL - other).max(1), ALL - rate) }
}

/// The natural logarithm of a number in units of 2^-43, in millionths; a number of 0 counts as 1.
fn logarithm(number: u64) -> i64 {
    let shift = number.max(1).leading_zeros();
    let scaled = i64::try_from(micro_nats(0, number.max(1) << shift)).unwrap_or(i64::MAX);
    scaled - i64::from(shift) * LN_2
}

/// Millionths of a nat in units of 2^-16 nat.
fn units(micro: u32) -> u32 {
    // Less than the millionths.
    ((u64::from(micro) * 65_536 + 500_000) / 1_000_000) as u32
}

/// The most likely tokens under the declared sampling.
struct List {
    temperature: Q16,
    slope: Slope,
    /// Whether top-p may have left fewer.
    cut: bool,
    vocabulary: u32,
    first: LogProb,
    /// The distances of all that are known.
    all: Vec<u32>,
    /// Of those that the sampling leaves, apart from top-p.
    kept: Vec<u32>,
    /// No token beyond them can be chosen.
    complete: bool,
}

impl List {
    /// `None` if the most likely token is not known.
    fn new(sampling: &Sampling, vocabulary: u32, scored: &Scored) -> Option<Self> {
        let first = scored.top.first()?.1;
        let temperature = sampling.temperature.min(Sampling::MAX_TEMPERATURE);
        let slope = Slope::new(temperature);
        let from_first = |logprob: LogProb| units(first.0.saturating_sub(logprob.0).max(0).unsigned_abs());
        let top = scored.top.iter().take(usize::from(MAX_TOP_LOGPROBS));
        let all: Vec<u32> = top.map(|(_, logprob)| from_first(*logprob)).collect();
        let top_k = if sampling.top_k == 0 { usize::MAX } else { sampling.top_k as usize };
        let least = u64::from(sampling.min_p.min(Share::ONE).0) << (WEIGHT_BITS - 30);
        let likely = |distance: &&u32| slope.weight(**distance) >= least;
        let kept: Vec<u32> = all.iter().take(top_k).take_while(likely).copied().collect();
        let complete = kept.len() < all.len() || top_k <= all.len() || all.len() >= vocabulary as usize;
        let cut = sampling.top_p < Share::ONE;
        Some(Self { temperature, slope, cut, vocabulary, first, all, kept, complete })
    }

    fn kept(&self) -> usize {
        self.kept.len()
    }

    fn distance(&self, logprob: LogProb) -> u32 {
        units(self.first.0.saturating_sub(logprob.0).max(0).unsigned_abs())
    }

    /// The ratios of the bets for a token at `own` from the first one: those of `q` and `p` among what is kept.
    fn bets(&self, own: u32) -> [Option<i64>; 3] {
        let total = |slope: Slope| self.kept.iter().map(|distance| slope.weight(*distance)).sum::<u64>();
        let temperature = i64::from(self.temperature.0.max(1));
        let honest = logarithm(total(self.slope));
        BETS.map(|(part, of)| {
            // Top-p takes away what is less likely: where that is bet on, it makes the ratio smaller, and else larger.
            let bends = part < of && self.cut;
            let other = i32::try_from(temperature * part / of).ok().map(Q16)?;
            if bends || other > Sampling::MAX_TEMPERATURE || other < Q16(1) {
                return None;
            }
            // Both temperatures and the distance in units of 2^-16, so that the quotients are in nats.
            let nats = |temperature: i64| i64::from(own) * 1_000_000 / temperature;
            let ratio = nats(temperature) - nats(i64::from(other.0));
            Some(ratio + honest - logarithm(total(Slope::new(other))))
        })
    }

    /// The most, in millionths, that all tokens beyond the list can have of the draws.
    fn beyond(&self) -> u32 {
        if self.complete {
            return 0;
        }
        let own = u128::from(Slope::ONE.weight(units(self.first.0.unsigned_abs()))).max(1);
        // The sum of all weights is one over the probability of the first token; what the list has not is the tail. Rounded
        // log-probabilities are off by less than what is added.
        let total = (1u128 << (2 * WEIGHT_BITS)) / own;
        let listed: u128 = self.all.iter().map(|distance| u128::from(Slope::ONE.weight(*distance))).sum();
        let tail = total.saturating_sub(listed) + (total >> 15);
        let last = self.all.last().copied().unwrap_or(0);
        let others = u128::from(self.vocabulary).saturating_sub(self.all.len() as u128).max(1);
        let tail = if self.temperature <= Q16::ONE {
            // Each of them falls by at least as much as the last one of the list.
            match u128::from(Slope::ONE.weight(last)) {
                0 => return ALL,
                before => tail.saturating_mul(u128::from(self.slope.weight(last)) + 1) / before + 1,
            }
        } else {
            // The sum of roots is largest where all are equal; and none is more likely than the last one of the list.
            let each = u64::try_from(tail / others).unwrap_or(u64::MAX);
            let distance = -logarithm(each.max(1));
            let distance = units(u32::try_from(distance.max(0)).unwrap_or(u32::MAX)).max(last);
            others.saturating_mul(u128::from(self.slope.weight(distance)) + 1)
        };
        let listed: u128 = self.all.iter().map(|distance| u128::from(self.slope.weight(*distance))).sum();
        let share = tail.saturating_mul(u128::from(ALL)) / listed.saturating_add(tail).max(1) + 1;
        u32::try_from(share).unwrap_or(ALL).min(ALL)
    }
}

#[cfg(test)]
mod tests;
