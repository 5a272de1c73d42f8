//! How much new money an epoch brings: a fixed part of what the epoch before brought.

use freeway_primitives::{Amount, Epoch};

use super::Params;

/// One, in parts of 2^64.
const ONE: u128 = 1 << 64;

/// The emission of an epoch: `first x decay^epoch`, by repeated squaring in parts of 2^64.
///
/// Every product is rounded down, and so is the result: no epoch brings more than the exact value, and all epochs
/// together no more than [`limit`].
pub fn emission(params: &Params, epoch: Epoch) -> Amount {
    // At most 2^63, by the parameters' check, and the power is at most 2^64.
    Amount(product(params.first.0, power(params.decay, epoch.0)))
}

/// What all emission of all epochs together can never exceed: `first / (1 - decay)`.
pub fn limit(params: &Params) -> Amount {
    // At least 1, as the decay is less than one.
    let lost = ONE - u128::from(params.decay);
    // first x 2^64 is less than 2^127; else the parameters' check has failed.
    Amount(params.first.0.checked_mul(ONE).map_or(u128::MAX, |product| product / lost))
}

/// `base^exponent` in parts of 2^64, rounded down at each of at most 128 products.
fn power(base: u64, exponent: u64) -> u128 {
    let (mut result, mut square, mut left) = (ONE, u128::from(base), exponent);
    while left > 0 && result > 0 {
        if left % 2 == 1 {
            result = product(result, square);
        }
        square = product(square, square);
        left /= 2;
    }
    result
}

/// `a x b / 2^64`. Whoever calls makes sure that one of them is less than 2^64 and the other at most that, or that
/// the product fits otherwise.
const fn product(a: u128, b: u128) -> u128 {
    a.saturating_mul(b) >> 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Preset;
    use proptest::prelude::*;

    fn of(preset: Preset, epoch: u64) -> u128 {
        emission(&Params::preset(preset), Epoch(epoch)).0
    }

    /// Frozen: another value of any of these is another history of money.
    #[test]
    fn the_emission_of_the_presets_is_frozen() {
        let main = [0, 1, 10, 1_000, 100_000, 10_000_000].map(|epoch| of(Preset::Main, epoch));
        assert_eq!(
            main,
            [10_000_000_000_000, 9_999_209_308_947, 9_992_095_902_243, 9_239_731_821_468, 3_680_752_558, 0]
        );
        let local = [0, 1, 10, 1_000, 100_000, 10_000_000].map(|epoch| of(Preset::Local, epoch));
        assert_eq!(local, [100_000_000_000, 99_992_093_089, 99_920_959_022, 92_397_318_214, 36_807_525, 0]);
        assert_eq!(of(Preset::Main, 0), Params::preset(Preset::Main).first.0);
        assert_eq!(of(Preset::Main, u64::MAX), 0);
    }

    #[test]
    fn it_halves_in_four_years() {
        // Four years of 365.25 days, six epochs each.
        assert_eq!(4 * 1_461 / 4 * 6, 8_766);
        let first = of(Preset::Main, 0);
        for (halvings, shift) in (1..10u64).zip(1..) {
            assert!(of(Preset::Main, halvings * 8_766).abs_diff(first >> shift) <= 1);
        }
    }

    /// The whole history of the public network: never more than in the epoch before, and all of it within the limit,
    /// which it nearly reaches.
    #[test]
    fn all_emission_together_stays_below_the_limit() {
        let params = Params::preset(Preset::Main);
        let (mut sum, mut last) = (0u128, u128::MAX);
        for epoch in 0..400_000 {
            let emitted = emission(&params, Epoch(epoch)).0;
            assert!(emitted <= last, "{epoch}");
            sum += emitted;
            last = emitted;
        }
        assert_eq!(last, 0);
        assert_eq!((sum, limit(&params).0), (126_471_647_350_018_593, 126_471_647_350_220_049));
    }

    proptest! {
        /// Whatever the parameters are: no overflow, no division by zero, and a sum within the limit.
        #[test]
        fn any_parameters_have_a_limit(
            first in 0u128..=1 << 63,
            decay in prop_oneof![any::<u64>(), Just(0), Just(u64::MAX), u64::MAX - 1_000..=u64::MAX],
            from in prop_oneof![Just(0u64), any::<u64>()],
        ) {
            let params = Params { first: Amount(first), decay, ..Params::preset(Preset::Local) };
            let most = limit(&params);
            prop_assert!(most.0 >= first);
            let mut sum = 0u128;
            for epoch in from..from.saturating_add(300) {
                sum += emission(&params, Epoch(epoch)).0;
            }
            prop_assert!(sum <= most.0);
        }
    }
}
