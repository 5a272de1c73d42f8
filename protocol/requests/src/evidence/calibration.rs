//! How much honest machines differ: measured on answers of a host that is known to be honest.

use super::{ALL, Noise, Ratios, Spoken, TOKEN_MOST, units};
use crate::exponential::{Slope, WEIGHT_BITS};

/// The fewest tokens that say something.
pub const LEAST_TOKENS: usize = 1_000;
/// No more tokens are looked at.
const MOST_TOKENS: usize = 1 << 20;
/// The least rate that is assumed, in millionths.
const LEAST_RATE: u32 = 1_000;
/// Bits after the point of ratios.
const POINT: u32 = 20;

/// Gathers what an honest host says and a verifier finds, and gives the [`Noise`] between them.
#[derive(Clone, Debug, Default)]
pub struct Calibration {
    gaps: Vec<u32>,
    /// For each bet the number of tokens, the sum of the ratios and the sum of their squares, with [`POINT`] and twice
    /// as many bits after the point.
    bets: [(u128, u128, u128); 3],
}

impl Calibration {
    /// Takes a token into account: of an honest host, with its claim. The sampling should be that of later checks; only
    /// drawn tokens say something about the bets.
    pub fn observe(&mut self, spoken: &Spoken<'_>) {
        if self.gaps.len() >= MOST_TOKENS {
            return;
        }
        let Some(claimed) = spoken.claimed else { return };
        self.gaps.push(claimed.0.abs_diff(spoken.scored.logprob.0));
        let ratios = Ratios::new(&Noise::default(), spoken);
        for (sums, ratio) in self.bets.iter_mut().zip(ratios.bets) {
            if let Some(ratio) = ratio {
                let ratio = exponential(ratio.min(TOKEN_MOST));
                *sums = (sums.0 + 1, sums.1 + ratio, sums.2 + ratio * ratio);
            }
        }
    }

    /// The noise: twice what 99 of 100 tokens are within, how often tokens are beyond, and by how much the bets won in
    /// the mean; with margins of three and two standard errors. Ten thousand tokens and more give bets that find
    /// something. `None` with fewer than [`LEAST_TOKENS`] tokens.
    pub fn noise(mut self) -> Option<Noise> {
        let count = self.gaps.len();
        if count < LEAST_TOKENS {
            return None;
        }
        let (_, within, _) = self.gaps.select_nth_unstable(count - 1 - count / 100);
        let gap = within.saturating_mul(2).saturating_add(1_000);
        let beyond = self.gaps.iter().filter(|other| **other > gap).count() as u64;
        let beyond = beyond + 3 * beyond.isqrt() + 1;
        let rate = beyond.saturating_mul(u64::from(ALL)) / count as u64;
        let rate = u32::try_from(rate).unwrap_or(ALL).clamp(LEAST_RATE, ALL / 2);
        let default = Noise::default().allowance;
        let mut allowance = [0; 3];
        for ((allowance, sums), default) in allowance.iter_mut().zip(self.bets).zip(default) {
            *allowance = allowed(sums).unwrap_or(default);
        }
        Some(Noise { gap, rate, allowance })
    }
}

/// The logarithm in millionths, rounded up, of the mean of so many ratios with two standard errors; `None` of too few.
fn allowed((count, sum, squares): (u128, u128, u128)) -> Option<u32> {
    if count < LEAST_TOKENS as u128 {
        return None;
    }
    let mean = sum / count;
    let variance = (squares / count).saturating_sub(mean * mean);
    let most = mean + 2 * (variance / count).isqrt() + 1;
    // ln(1 + x) is at most x.
    let above = most.saturating_sub(1 << POINT);
    u32::try_from((above * u128::from(ALL)).div_ceil(1 << POINT)).ok()
}

/// `e^nats` of millionths of a nat, at most [`TOKEN_MOST`], with [`POINT`] bits after the point.
fn exponential(nats: i64) -> u128 {
    let distance = units(u32::try_from(nats.unsigned_abs()).unwrap_or(u32::MAX));
    let weight = u128::from(Slope::ONE.weight(distance));
    if nats <= 0 {
        return weight >> (WEIGHT_BITS - POINT);
    }
    (1 << (WEIGHT_BITS + POINT)) / weight.max(1)
}
