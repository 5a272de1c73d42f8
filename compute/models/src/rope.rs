//! Rotary positions: the phase of each pair per position, made once when a model is packed.
//!
//! Frequencies are computed in f64 with the functions of one portable library, never those of the system, so that a
//! package is the same wherever it is made. What the engine gets are integers: turns times 2^64.

use core::f64::consts::TAU;

use crate::source::SourceError;

/// How frequencies are stretched for contexts that are longer than those of the first training.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Scaling {
    /// Not at all.
    #[default]
    None,
    /// Positions divided by a factor.
    Linear {
        /// What they are divided by.
        factor: f64,
    },
    /// Llama 3.1: low frequencies are divided, high ones kept, those between interpolated.
    Llama3 {
        /// What low frequencies are divided by.
        factor: f64,
        /// Wavelengths of more than the original context over this are low.
        low: f64,
        /// Wavelengths of less than the original context over this are high.
        high: f64,
        /// Positions of the first training.
        original: f64,
    },
    /// YaRN: a ramp over the pairs, and sines of another magnitude.
    Yarn {
        /// What low frequencies are divided by.
        factor: f64,
        /// Positions of the first training.
        original: f64,
        /// Turns within the original context from which on frequencies are kept.
        fast: f64,
        /// Turns within it below which they are divided.
        slow: f64,
        /// The magnitude of the sines; from the factor if it is not given.
        magnitude: Option<f64>,
        /// Whether the ends of the ramp are rounded outwards to whole pairs.
        whole: bool,
    },
    /// Each frequency divided by its own factor: how GGUF files state what Llama 3.1 does.
    PerPair(
        /// One factor per pair.
        Vec<f64>,
    ),
}

/// The magnitude that YaRN gives to sines at a factor, for an `m` of 1 if the model says nothing else.
pub(crate) fn yarn_magnitude(factor: f64, m: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * m * libm::log(factor) + 1.0 }
}

/// The phases of one position for heads of `head` elements, and the magnitude of sines.
pub(crate) fn steps(base: f64, head: usize, scaling: &Scaling) -> Result<(Vec<u64>, f32), SourceError> {
    let positive = |what: &str, value: f64| {
        let ok = value.is_finite() && (1e-9..=1e18).contains(&value);
        if ok { Ok(()) } else { Err(SourceError::Rope(format!("{what} is {value}, and must be positive"))) }
    };
    positive("the base of rope", base)?;
    if base < 1.0 {
        return Err(SourceError::Rope(format!("the base of rope is {base}, and must be at least 1")));
    }
    let numbers = match scaling {
        Scaling::None => vec![],
        Scaling::Linear { factor } => vec![*factor],
        Scaling::Llama3 { factor, low, high, original } => vec![*factor, *low, *high, *original],
        Scaling::Yarn { factor, original, fast, slow, .. } => vec![*factor, *original, *fast, *slow],
        Scaling::PerPair(factors) => factors.clone(),
    };
    numbers.into_iter().try_for_each(|number| positive("a number of the scaling of rope", number))?;
    let pairs = head / 2;
    let mut magnitude = 1.0;
    let frequencies: Vec<f64> =
        (0..pairs).map(|pair| 1.0 / libm::pow(base, (2 * pair) as f64 / head as f64)).collect();
    let frequencies: Vec<f64> = match *scaling {
        Scaling::None => frequencies,
        Scaling::Linear { factor } => frequencies.into_iter().map(|frequency| frequency / factor).collect(),
        Scaling::Llama3 { factor, low, high, original } => {
            if low >= high {
                return Err(SourceError::Rope("low_freq_factor must be below high_freq_factor".to_owned()));
            }
            let scale = |frequency: f64| {
                let turns = original * frequency / TAU;
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 - kept) * frequency / factor + kept * frequency
            };
            frequencies.into_iter().map(scale).collect()
        }
        Scaling::Yarn { factor, original, fast, slow, magnitude: given, whole } => {
            if base == 1.0 {
                return Err(SourceError::Rope("the base of rope must be above 1 with YaRN".to_owned()));
            }
            magnitude = given.unwrap_or_else(|| yarn_magnitude(factor, 1.0));
            // The pair that makes so many turns within the original context.
            let pair =
                |turns: f64| head as f64 * libm::log(original / (turns * TAU)) / (2.0 * libm::log(base));
            let (mut first, mut last) = (pair(fast), pair(slow));
            if whole {
                (first, last) = (libm::floor(first), libm::ceil(last));
            }
            (first, last) = (first.max(0.0), last.min((head - 1) as f64));
            if first == last {
                last += 0.001;
            }
            let scale = |(index, frequency): (usize, f64)| {
                let divided = ((index as f64 - first) / (last - first)).clamp(0.0, 1.0);
                frequency / factor * divided + frequency * (1.0 - divided)
            };
            frequencies.into_iter().enumerate().map(scale).collect()
        }
        Scaling::PerPair(ref factors) => {
            if factors.len() != pairs {
                return Err(SourceError::Rope(format!("{} factors for {pairs} pairs", factors.len())));
            }
            frequencies.iter().zip(factors).map(|(frequency, factor)| frequency / factor).collect()
        }
    };
    // A turn is 2^64; the product is below it whenever a pair turns by less than once per position, and saturates
    // otherwise.
    let turn = 18_446_744_073_709_551_616.0;
    let steps = frequencies.iter().map(|frequency| libm::rint(frequency / TAU * turn) as u64).collect();
    Ok((steps, magnitude as f32))
}

/// The scale of scores of heads of `head` elements.
pub(crate) fn score_scale(head: usize) -> f32 {
    (core::f64::consts::LOG2_E / libm::sqrt(head as f64)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: f64 = 18_446_744_073_709_551_616.0;

    fn frequencies(base: f64, head: usize, scaling: &Scaling) -> Vec<f64> {
        steps(base, head, scaling).unwrap().0.into_iter().map(|step| step as f64 / TURN * TAU).collect()
    }

    #[test]
    fn plain_frequencies_fall_geometrically() {
        let plain = frequencies(10_000.0, 64, &Scaling::None);
        assert!((plain[0] - 1.0).abs() < 1e-15 && (plain[16] - 0.01).abs() < 1e-15);
    }

    #[test]
    fn scalings_keep_fast_pairs_and_divide_slow_ones() {
        let plain = frequencies(500_000.0, 128, &Scaling::None);
        let llama = Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8_192.0 };
        let yarn = Scaling::Yarn {
            factor: 8.0,
            original: 8_192.0,
            fast: 32.0,
            slow: 1.0,
            magnitude: None,
            whole: true,
        };
        for scaling in [llama, yarn] {
            let scaled = frequencies(500_000.0, 128, &scaling);
            assert_eq!(scaled[0], plain[0]);
            assert!((scaled[63] * 8.0 / plain[63] - 1.0).abs() < 1e-9);
            assert!(
                plain.iter().zip(&scaled).all(|(plain, scaled)| scaled <= plain && *scaled >= plain / 8.001)
            );
        }
        let linear = frequencies(500_000.0, 128, &Scaling::Linear { factor: 2.0 });
        assert!(plain.iter().zip(&linear).all(|(plain, linear)| (linear * 2.0 / plain - 1.0).abs() < 1e-9));
        let (_, magnitude) = steps(
            1e6,
            64,
            &Scaling::Yarn {
                factor: 4.0,
                original: 32_768.0,
                fast: 32.0,
                slow: 1.0,
                magnitude: None,
                whole: true,
            },
        )
        .unwrap();
        assert_eq!(magnitude, 1.138_629_4);
    }

    #[test]
    fn hostile_numbers_are_refused() {
        for base in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(steps(base, 64, &Scaling::None).is_err());
        }
        assert!(steps(1e4, 64, &Scaling::Linear { factor: 0.0 }).is_err());
        assert!(steps(1e4, 64, &Scaling::PerPair(vec![1.0; 31])).is_err());
        let llama = Scaling::Llama3 { factor: 8.0, low: 4.0, high: 4.0, original: 8_192.0 };
        assert!(steps(1e4, 64, &llama).is_err());
    }

    #[test]
    fn scores_are_scaled_in_powers_of_two() {
        assert_eq!(score_scale(64), core::f32::consts::LOG2_E / 8.0);
    }
}
