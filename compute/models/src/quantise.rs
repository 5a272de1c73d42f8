//! Weights become integers of 8 bits and a scale per group, in one way only.

use crate::half;

/// Quantises a group of finite weights: the scale is the half nearest to a 127th of the peak, and each weight the
/// nearest multiple of it, ties to even. Gives the bits of the scale; `None` if it is beyond the range of a half.
///
/// A scale that rounds down makes the peak a little more than 127 steps: it is cut to 127. A peak below what a half can
/// express makes the whole group zero.
pub(crate) fn quantise(weights: &[f32], quantised: &mut [i8]) -> Option<u16> {
    // Magnitudes of floats are in the order of their bits.
    let peak = weights.iter().fold(0, |peak, weight| weight.abs().to_bits().max(peak));
    let bits = half::from_f32(f32::from_bits(peak) / 127.0)?;
    if bits == 0 {
        quantised[..weights.len()].fill(0);
        return Some(0);
    }
    let scale = half::to_f32(bits);
    for (quantised, &weight) in quantised.iter_mut().zip(weights) {
        // The sum rounds to a whole number, ties to even, and its lowest byte is that number: a vector instruction on
        // every machine, where rounding is a call on some.
        *quantised = ((weight / scale).clamp(-127.0, 127.0) + ROUNDER).to_bits() as i8;
    }
    Some(bits)
}

/// `1.5 * 2^23`: floats of its size are whole numbers, and the lowest bits of its own are zero.
const ROUNDER: f32 = 12_582_912.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quantised(weights: &[f32]) -> (Option<u16>, Vec<i8>) {
        let mut result = vec![1; weights.len()];
        let scale = quantise(weights, &mut result);
        (scale, result)
    }

    #[test]
    fn weights_are_rounded_to_even() {
        let (scale, weights) = quantised(&[127.0, -127.0, 0.5, 1.5, -2.5, 63.49, 0.0, -0.0]);
        assert_eq!(scale, Some(0x3c00));
        assert_eq!(weights, [127, -127, 0, 2, -2, 63, 0, 0]);
    }

    #[test]
    fn extremes_are_quantised() {
        assert_eq!(quantised(&[0.0, -0.0]), (Some(0), vec![0, 0]));
        assert_eq!(quantised(&[1e-30, f32::MIN_POSITIVE]), (Some(0), vec![0, 0]));
        // The smallest scale: 2^-24. The peak is 127.4 steps.
        let step = half::to_f32(1);
        assert_eq!(quantised(&[127.4 * step, -127.4 * step, step]), (Some(1), vec![127, -127, 1]));
        // 1.49 of the smallest step rounds down to it, so that the peak is far more than 127 steps.
        assert_eq!(quantised(&[1.49 * 127.0 * step]), (Some(1), vec![127]));
        assert_eq!(quantised(&[127.0 * 65_504.0]).0, Some(0x7bff));
        assert_eq!(quantised(&[127.0 * 65_520.0]).0, None);
    }

    proptest! {
        #[test]
        fn every_weight_is_the_nearest_multiple(
            weights in proptest::collection::vec(-1e3f32..1e3, 1..64),
            scale in prop_oneof![Just(1.0f32), Just(1e-6), Just(1e-3), Just(8e3)],
        ) {
            let weights: Vec<f32> = weights.into_iter().map(|weight| weight * scale).collect();
            let (bits, quantised) = quantised(&weights);
            let scale = half::to_f32(bits.unwrap());
            for (&weight, &quantised) in weights.iter().zip(&quantised) {
                let expected =
                    if scale == 0.0 { 0.0 } else { (weight / scale).round_ties_even().clamp(-127.0, 127.0) };
                prop_assert_eq!(f32::from(quantised), expected);
            }
        }
    }
}
