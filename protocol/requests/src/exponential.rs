//! Powers of two and binary logarithms of fixed-point numbers.
//!
//! The only approximations of the contract, so each is a formula: the table holds `2^(-i/1024)` in units of 2^-63,
//! made from ten square roots and their products when the crate is compiled; between its entries `2^-r` is
//! `1 - t + t^2/2` for `t = r ln 2`, which is within 2^-34 of it. Weights are rounded to whole units of 2^-43.

use crate::Q16;

/// The binary logarithm of the largest weight. With a vocabulary of 2^20, sums stay within 2^63.
pub(crate) const WEIGHT_BITS: u32 = 43;

/// Exponents from here on have weight 0: less than half a unit.
const END: u64 = (WEIGHT_BITS as u64 + 1) << EXPONENT_BITS;
/// Exponents are in units of 2^-56.
const EXPONENT_BITS: u32 = 56;
const INDEX_BITS: u32 = 10;
/// `log2(e)` and `ln(2)` in units of 2^-62, rounded.
const LOG2_E: u64 = 6_653_256_548_922_161_246;
const LN_2: u64 = 3_196_577_161_300_663_915;
/// Logarithms are in units of 2^-40.
const LOGARITHM_BITS: u32 = 40;
const MICRO: u128 = 1_000_000;

static POWERS: [u64; 1 << INDEX_BITS] = powers();

/// `2^(-i/1024)` in units of 2^-63.
const fn powers() -> [u64; 1 << INDEX_BITS] {
    // 2^(-2^b/1024), from the square root of one half down.
    let mut roots = [0; INDEX_BITS as usize];
    let mut root: u128 = 1 << 62;
    let mut bit = INDEX_BITS;
    while bit > 0 {
        bit -= 1;
        root = (root << 63).isqrt();
        roots[bit as usize] = root;
    }
    let mut powers = [0; 1 << INDEX_BITS];
    let mut i = 0;
    while i < powers.len() {
        let mut power: u128 = 1 << 63;
        let mut bit = 0;
        while bit < INDEX_BITS {
            if i >> bit & 1 == 1 {
                power = (power * roots[bit as usize] + (1 << 62)) >> 63;
            }
            bit += 1;
        }
        // At most 2^63.
        powers[i] = power as u64;
        i += 1;
    }
    powers
}

/// `2^(43 - exponent)` for an exponent in units of 2^-56 below [`END`].
fn power(exponent: u64) -> u64 {
    let whole = (exponent >> EXPONENT_BITS) as u32;
    let index = exponent >> (EXPONENT_BITS - INDEX_BITS) & ((1 << INDEX_BITS) - 1);
    // What is left, below 2^-10, in units of 2^-42, and so on with the others: everything fits 64 bits.
    let rest = (exponent & ((1 << (EXPONENT_BITS - INDEX_BITS)) - 1)) >> 14;
    let t = (rest * (LN_2 >> 30)) >> 32;
    let factor = (1 << 42) - t + ((t * t) >> 43);
    // In units of 2^-62: 2^63 * 2^63 / 2^64.
    let product = (u128::from(POWERS[index as usize]) * u128::from(factor << 21)) >> 64;
    let shift = 62 - WEIGHT_BITS + whole;
    (product as u64 + (1 << (shift - 1))) >> shift
}

/// How fast weights fall with the distance from the largest logit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slope {
    /// Exponent per unit of a logit.
    per_unit: u64,
    /// The largest distance with an exponent below [`END`].
    reach: u32,
}

impl Slope {
    /// The slope of the distribution itself: temperature 1.
    pub(crate) const ONE: Self = Self::new(Q16::ONE);

    /// The slope for a temperature; one below the unit counts as the unit.
    pub(crate) const fn new(temperature: Q16) -> Self {
        let temperature = if temperature.0 > 1 { temperature.0 as u64 } else { 1 };
        // log2(e) * 2^56 / temperature, where both logits and temperature are in units of 2^-16; rounded.
        let per_unit = (LOG2_E + (temperature << 5)) / (temperature << 6);
        let reach = (END - 1) / per_unit;
        Self { per_unit, reach: if reach > u32::MAX as u64 { u32::MAX } else { reach as u32 } }
    }

    /// `2^43 * e^(-distance / temperature)`, rounded, for a distance in units of 2^-16 nat.
    #[inline]
    pub(crate) fn weight(self, distance: u32) -> u64 {
        if distance > self.reach {
            return 0;
        }
        power(u64::from(distance) * self.per_unit)
    }

    /// Beyond this distance weights are 0.
    pub(crate) const fn reach(self) -> u32 {
        self.reach
    }
}

/// The binary logarithm of a number of at least 1 in units of 2^-40, rounded down but for errors below 2^-50.
fn logarithm(number: u64) -> u64 {
    let whole = number.max(1).ilog2();
    let mut mantissa = u128::from(number.max(1)) << (63 - whole);
    let mut bits = u64::from(whole);
    for _ in 0..LOGARITHM_BITS {
        mantissa = (mantissa * mantissa) >> 63;
        let over = (mantissa >> 64) as u64;
        mantissa >>= over;
        bits = bits << 1 | over;
    }
    bits
}

/// `-ln(e^(-distance) / (total / 2^43))` in millionths, rounded, for a distance in units of 2^-16 nat and a total
/// of weights of at least 2^43.
pub(crate) fn micro_nats(distance: u32, total: u64) -> u128 {
    let normaliser = logarithm(total).saturating_sub(u64::from(WEIGHT_BITS) << LOGARITHM_BITS);
    let normaliser = (u128::from(normaliser) * u128::from(LN_2)) >> 62;
    let nats = (u128::from(distance) << (LOGARITHM_BITS - 16)) + normaliser;
    (nats * MICRO + (1 << (LOGARITHM_BITS - 1))) >> LOGARITHM_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use freeway_primitives::{Digest, Domain};
    use proptest::prelude::*;

    /// `2^-x` by its definition: accurate to a unit in the last place of 53 bits.
    fn reference(exponent: f64) -> f64 {
        (-exponent).exp2()
    }

    #[test]
    fn the_table_is_what_it_was() {
        assert_eq!(POWERS[0], 1 << 63);
        assert_eq!(POWERS[512], 6_521_908_912_666_391_106); // 2^63 / sqrt(2)
        for (i, power) in POWERS.iter().enumerate() {
            let error = *power as f64 / 2f64.powi(63) / reference(i as f64 / 1024.0) - 1.0;
            assert!(error.abs() < 1e-15, "{i}");
        }
        let bytes: Vec<u8> = POWERS.iter().flat_map(|power| power.to_le_bytes()).collect();
        let digest = Digest::of(Domain::new("test powers"), &bytes).to_string();
        assert_eq!(digest, "baa9d419ae63dd996a13e34df0720fa2f5433179211858b87b7f58eb627eec56");
    }

    #[test]
    fn ends_are_exact() {
        assert_eq!(power(0), 1 << 43);
        assert_eq!(power(1 << 56), 1 << 42);
        assert_eq!(power(43 << 56), 1);
        assert_eq!(power(END - 1), 1);
        for temperature in [1, 2, 655, 65_536, 6_553_600] {
            let slope = Slope::new(Q16(temperature));
            assert_eq!(slope.weight(0), 1 << 43);
            assert_eq!(slope.weight(slope.reach), 1);
            assert_eq!((slope.weight(slope.reach + 1), slope.weight(u32::MAX)), (0, 0));
        }
        assert_eq!((Slope::new(Q16(-5)).weight(30), Slope::new(Q16(-5)).weight(31)), (1, 0));
        assert_eq!(Slope::new(Q16(i32::MAX)).reach, u32::MAX);
    }

    #[test]
    fn logarithms_of_powers_are_exact() {
        for bits in 0..64 {
            assert_eq!(logarithm(1 << bits), bits << LOGARITHM_BITS);
        }
        assert_eq!(logarithm(0), 0);
        assert_eq!(micro_nats(0, 1 << 43), 0);
        assert_eq!(micro_nats(0, 1 << 44), 693_147);
        assert_eq!(micro_nats(65_536, 1 << 43), 1_000_000);
        assert!(micro_nats(u32::MAX, u64::MAX) > 65_000_000_000);
    }

    proptest! {
        #[test]
        fn powers_are_close(exponent in 0..END) {
            let exact = reference(exponent as f64 / 2f64.powi(56)) * 2f64.powi(43);
            let error = (power(exponent) as f64 - exact).abs();
            prop_assert!(error <= 0.5 + exact * 2f64.powi(-34), "{error}");
        }

        #[test]
        fn weights_are_close(temperature in 1i32..=6_553_600, part in 0.0f64..1.0) {
            let slope = Slope::new(Q16(temperature));
            let distance = (f64::from(slope.reach) * part) as u32;
            let exact = (-f64::from(distance) / f64::from(temperature)).exp() * 2f64.powi(43);
            let error = (slope.weight(distance) as f64 - exact).abs();
            prop_assert!(error <= 0.5 + exact * 2f64.powi(-28), "{error}");
        }

        #[test]
        fn logarithms_are_close(number in 1u64.., shift in 0u32..64) {
            let number = (number >> shift).max(1);
            let error = logarithm(number) as f64 / 2f64.powi(40) - (number as f64).log2();
            prop_assert!(error.abs() < 1e-11, "{error}");
        }
    }
}
