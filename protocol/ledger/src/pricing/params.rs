//! The numbers of prices, and the one rule that they serve.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_proofs::work::Prices;

use crate::params::{ParamsError, Preset, require};

/// Utilisation is in parts of this.
pub const FULL: u64 = 1_000;

/// Parameters of prices.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Params {
    /// No price is lower.
    pub floor: Prices,
    /// No price is higher.
    pub ceiling: u64,
    /// The largest change in an interval, in thousandths.
    pub step_thousandths: u64,
    /// The largest change in an epoch, in thousandths of the price at its start.
    pub epoch_thousandths: u64,
    /// Prices fall below this utilisation, in thousandths.
    pub low_thousandths: u64,
    /// Prices rise above this utilisation, in thousandths.
    pub high_thousandths: u64,
}

impl Params {
    pub(crate) const fn preset(preset: Preset) -> Self {
        let floor = match preset {
            Preset::Local => Prices { input: 1_000, cached: 100, output: 2_000 },
            Preset::Main => Prices { input: 1_000_000, cached: 100_000, output: 2_000_000 },
        };
        Self {
            floor,
            ceiling: 1_000_000_000_000_000,
            step_thousandths: 20,
            epoch_thousandths: 200,
            low_thousandths: 400,
            high_thousandths: 600,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ParamsError> {
        let Prices { input, cached, output } = self.floor;
        let least = input.min(cached).min(output);
        // Below, a step would round to nothing.
        require(least >= 100, "pricing.floor", least, "at least 100 each")?;
        let most = input.max(cached).max(output);
        require(
            (most..=1 << 60).contains(&self.ceiling),
            "pricing.ceiling",
            self.ceiling,
            "at least each floor, and at most 2^60",
        )?;
        require(
            (1..=FULL).contains(&self.epoch_thousandths),
            "pricing.epoch_thousandths",
            self.epoch_thousandths,
            "between 1 and 1000",
        )?;
        require(
            (1..=self.epoch_thousandths).contains(&self.step_thousandths),
            "pricing.step_thousandths",
            self.step_thousandths,
            "between 1 and pricing.epoch_thousandths",
        )?;
        require(
            self.low_thousandths <= self.high_thousandths && self.high_thousandths <= FULL,
            "pricing.low_thousandths",
            self.low_thousandths,
            "at most pricing.high_thousandths, which is at most 1000",
        )
    }

    /// Whether a model may begin with these prices.
    pub fn allows(&self, prices: &Prices) -> bool {
        let Prices { input, cached, output } = self.floor;
        [(prices.input, input), (prices.cached, cached), (prices.output, output)]
            .into_iter()
            .all(|(price, floor)| (floor..=self.ceiling).contains(&price))
    }

    /// The prices after an interval with this utilisation, in an epoch that began with `start`.
    pub fn next(&self, prices: &Prices, start: &Prices, utilisation: u64) -> Prices {
        let next = |price, start, floor| self.next_of(price, start, floor, utilisation);
        Prices {
            input: next(prices.input, start.input, self.floor.input),
            cached: next(prices.cached, start.cached, self.floor.cached),
            output: next(prices.output, start.output, self.floor.output),
        }
    }

    fn next_of(&self, price: u64, start: u64, floor: u64, utilisation: u64) -> u64 {
        let step = thousandths(price, self.step_thousandths);
        let next = if utilisation > self.high_thousandths {
            price.saturating_add(step)
        } else if utilisation < self.low_thousandths {
            price.saturating_sub(step)
        } else {
            price
        };
        let range = thousandths(start, self.epoch_thousandths);
        let (least, most) = (start.saturating_sub(range), start.saturating_add(range));
        // The floor last: it holds even where it has been raised above everything else.
        next.max(least).min(most).min(self.ceiling).max(floor)
    }
}

/// So many thousandths of a price, rounded down.
fn thousandths(price: u64, parts: u64) -> u64 {
    let part = u128::from(price) * u128::from(parts) / u128::from(FULL);
    u64::try_from(part).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn params() -> Params {
        Params::preset(Preset::Local)
    }

    fn prices(of: u64) -> Prices {
        Prices { input: of, cached: of, output: of }
    }

    #[test]
    fn prices_follow_use_by_steps_within_an_epochs_range() {
        let params = params();
        let start = prices(100_000);
        for (utilisation, expected) in
            [(0, 98_000), (399, 98_000), (400, 100_000), (600, 100_000), (601, 102_000), (1_000, 102_000)]
        {
            assert_eq!(params.next(&start, &start, utilisation), prices(expected), "{utilisation}");
        }
        let (mut up, mut down) = (start, start);
        for _ in 0..100 {
            (up, down) = (params.next(&up, &start, 1_000), params.next(&down, &start, 0));
        }
        assert_eq!((up, down), (prices(120_000), prices(80_000)));
    }

    #[test]
    fn prices_never_fall_below_the_floor_and_never_stick_to_it() {
        let params = params();
        let mut low = params.floor;
        for _ in 0..10 {
            low = params.next(&low, &low, 0);
        }
        assert_eq!(low, params.floor);
        let up = params.next(&low, &low, 1_000);
        assert!(up.input > low.input && up.cached > low.cached && up.output > low.output);
        // A floor that was raised holds at once.
        let raised = Params { floor: prices(5_000_000), ..params };
        assert_eq!(raised.next(&low, &low, 0), prices(5_000_000));
    }

    proptest! {
        /// Whatever the numbers: no step is larger than allowed, more use never makes cheaper, nothing overflows.
        #[test]
        fn a_step_is_bounded_and_monotonic(
            price in 2_000u64..=1_000_000_000_000_000,
            moved in 800u64..=1_200,
            utilisation in 0u64..=1_000,
            more in 0u64..=1_000,
        ) {
            let params = params();
            // Somewhere in the range of an epoch that began with that price, as all prices are.
            let (least, most) = (price - price / 5, price + price / 5);
            let now = thousandths(price, moved).clamp(least, most).clamp(2_000, params.ceiling);
            let next = params.next_of(now, price, 2_000, utilisation);
            prop_assert!(next.abs_diff(now) <= now / 50);
            prop_assert!((2_000..=params.ceiling).contains(&next));
            prop_assert!((least..=most).contains(&next) || next == 2_000);
            prop_assert!(params.next_of(now, price, 2_000, utilisation.saturating_add(more)) >= next);
        }

        #[test]
        fn any_numbers_are_handled(price: u64, start: u64, floor: u64, utilisation: u64) {
            prop_assert!(params().next_of(price, start, floor, utilisation) >= floor);
        }
    }
}
