//! The formulas of attention that are no products: each a function of one score or weight.

/// `round(2^31 * 2^(-i/32))`: one of the two factors of a power of two.
pub(super) const COARSE: [u32; 32] = [
    0x80000000, 0x7d41d96e, 0x7a92be8b, 0x77f25cce, 0x75606374, 0x72dc8374, 0x70666f76, 0x6dfddbcc,
    0x6ba27e65, 0x69540ec9, 0x6712460b, 0x64dcdec3, 0x62b39509, 0x60962665, 0x5e8451d0, 0x5c7dd7a4,
    0x5a82799a, 0x5891fac1, 0x56ac1f75, 0x54d0ad5a, 0x52ff6b55, 0x51382182, 0x4f7a9930, 0x4dc69cdd,
    0x4c1bf829, 0x4a7a77d4, 0x48e1e9ba, 0x47521cc6, 0x45cae0f2, 0x444c0740, 0x42d561b4, 0x4166c34c,
];

/// `round(2^31 * 2^(-i/1024))`: the other.
pub(super) const FINE: [u32; 32] = [
    0x80000000, 0x7fe9d3a9, 0x7fd3ab29, 0x7fbd8680, 0x7fa765ad, 0x7f9148af, 0x7f7b2f85, 0x7f651a30,
    0x7f4f08ae, 0x7f38faff, 0x7f22f122, 0x7f0ceb16, 0x7ef6e8da, 0x7ee0ea6f, 0x7ecaefd3, 0x7eb4f906,
    0x7e9f0606, 0x7e8916d5, 0x7e732b6f, 0x7e5d43d6, 0x7e476009, 0x7e318006, 0x7e1ba3cd, 0x7e05cb5d,
    0x7deff6b6, 0x7dda25d8, 0x7dc458c1, 0x7dae8f70, 0x7d98c9e6, 0x7d830821, 0x7d6d4a22, 0x7d578fe6,
];

/// `EXP2[i]`: `2^30 * 2^(-i/1024)`, rounded down from the product of the factors; at most 1 below the nearest
/// integer.
pub(super) static EXP2: [u32; 1024] = {
    let mut table = [0; 1024];
    let mut i = 0;
    while i < 1024 {
        table[i] = ((COARSE[i / 32] as u64 * FINE[i % 32] as u64) >> 32) as u32;
        i += 1;
    }
    table
};

/// What a score is multiplied with before it is rounded: scores are powers of two in units of `2^-10`.
pub(super) const UNITS: f32 = 1024.0;
/// Scores are within this, so that the difference of two fits in 32 bits.
pub(super) const LARGEST_UNIT: f32 = (1 << 30) as f32;
/// The scale of values that is the largest, in fixed point.
pub(super) const LARGEST_GAIN: f32 = (1u32 << 31) as f32;
/// The largest weight of a page after it was shifted and rounded.
pub(super) const LARGEST_WEIGHT: u32 = 32_767;
/// `2^-8`: what is left of the fixed points of powers, gains, weights and sums.
const LAST: f32 = 1.0 / 256.0;

/// A score in units, from the product of query and key and all factors. (NaN, which there is not, would be the
/// smallest.)
#[inline(always)]
pub(super) fn unit(product: i32, factor: f32) -> i32 {
    let score = product as f32 * factor;
    let score = if score > -LARGEST_UNIT { score } else { -LARGEST_UNIT };
    let score = if score < LARGEST_UNIT { score } else { LARGEST_UNIT };
    score.round_ties_even() as i32
}

/// `2^30 * 2^(-distance/1024)`.
#[inline(always)]
pub(super) fn power(distance: u32) -> u32 {
    EXP2[(distance & 1023) as usize] >> (distance >> 10).min(31)
}

/// The scale of a value in relation to the largest, with 31 bits.
#[inline(always)]
pub(super) fn gain(scale: f32, inverse: f32) -> u32 {
    let gain = scale * inverse;
    let gain = if gain < 1.0 { gain } else { 1.0 };
    (gain * LARGEST_GAIN).round_ties_even() as u32
}

/// How far the weights of a page are shifted when `largest` is the largest of them; `None`: all are zero.
#[inline(always)]
pub(super) fn shift(largest: u32) -> Option<u32> {
    (largest > 0).then(|| largest.leading_zeros() - 2)
}

/// A shifted weight, rounded to 15 bits.
#[inline(always)]
pub(super) fn weight(weight: u32, shift: u32) -> i16 {
    (((weight << shift) + (1 << 14)) >> 15).min(LARGEST_WEIGHT) as i16
}

/// The sum of a page with its shift taken back, in the fixed point of all pages: `sum * 2^(24 - shift)`, rounded half
/// up.
#[inline(always)]
pub(super) fn unshifted(sum: i32, shift: u32) -> i64 {
    ((i64::from(sum) << 24) + ((1 << shift) >> 1)) >> shift
}

/// What sums are multiplied with, from the largest scale of values and the sum of powers.
#[inline(always)]
pub(super) fn output_scale(largest: f32, total: u64) -> f32 {
    (largest / total as f32) * LAST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_what_they_say() {
        for i in 0..32 {
            let exact = |steps: f64| (2f64.powi(31) * (-steps).exp2()).round() as u32;
            assert_eq!(COARSE[i], exact(i as f64 / 32.0));
            assert_eq!(FINE[i], exact(i as f64 / 1024.0));
        }
        for (i, power) in EXP2.iter().enumerate() {
            let nearest = (2f64.powi(30) * (-(i as f64) / 1024.0).exp2()).round() as u32;
            assert!(nearest - power <= 1, "{i}");
        }
        assert_eq!(EXP2[0], 1 << 30);
        let bytes: Vec<_> = EXP2.iter().flat_map(|power| power.to_le_bytes()).collect();
        // The table is part of the protocol.
        let known = "04b697cb1ac7a8b743a28cbfa32a4146ff2a4882d4c31331f6976aa4b1fc9a0a";
        assert_eq!(blake3::hash(&bytes).to_hex().as_str(), known);
    }

    #[test]
    fn shifts_fill_thirty_bits() {
        assert_eq!(shift(0), None);
        for (largest, expected) in [(1, 29), (2, 28), (3, 28), ((1 << 28) - 1, 2), (1 << 28, 1), (1 << 29, 0)]
        {
            assert_eq!(shift(largest), Some(expected));
            assert!((1 << 29..1 << 30).contains(&(largest << expected)));
        }
        assert_eq!(weight(1, 29), 1 << 14);
        assert_eq!(weight((1 << 29) - 1, 1), 32_767);
    }

    #[test]
    fn sums_are_taken_back() {
        for sum in [0, 1, -1, 5, -5, 1 << 27, -(1 << 27)] {
            for shift in 0..=24 {
                assert_eq!(unshifted(sum, shift), i64::from(sum) << (24 - shift));
            }
            for shift in 25..=29 {
                let exact = f64::from(sum) / 2f64.powi(shift - 24);
                assert_eq!(unshifted(sum, shift as u32), (exact + 0.5).floor() as i64);
            }
        }
    }

    #[test]
    fn extremes() {
        assert_eq!(unit(1 << 22, f32::MAX), 1 << 30);
        assert_eq!(unit(-(1 << 22), f32::MAX), -(1 << 30));
        assert_eq!(unit(0, f32::MAX), 0);
        assert_eq!((unit(1, 0.5), unit(1, 1.5), unit(-1, 0.5)), (0, 2, 0));
        assert_eq!(power(u32::MAX), 0);
        assert_eq!(power(1 << 31), 0);
        assert_eq!((power(30 << 10), power((30 << 10) + 1)), (1, 0));
        assert_eq!(
            (gain(1.0, 1.0), gain(1.0, 1.1), gain(0.0, 1.0), gain(0.5, 1.0)),
            (1 << 31, 1 << 31, 0, 1 << 30)
        );
    }
}
