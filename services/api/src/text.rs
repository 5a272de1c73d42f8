//! How values of the protocol are written in JSON, for `#[serde(with = "...")]`.

use core::fmt::Display;
use core::str::FromStr;
use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes a value as it is shown to people.
///
/// # Errors
/// Whatever the serializer reports.
pub fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Reads a value from its text.
///
/// # Errors
/// If there is no string or it does not spell a value.
pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// The same for values that may be missing.
pub mod option {
    use super::{Cow, Deserialize, Deserializer, Display, FromStr, Serializer};
    use serde::de::Error as _;

    /// Writes the text or nothing.
    ///
    /// # Errors
    /// Whatever the serializer reports.
    pub fn serialize<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    /// Reads the text or nothing.
    ///
    /// # Errors
    /// If there is a string that does not spell a value.
    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// The same for lists.
pub mod list {
    use super::{Cow, Deserialize, Deserializer, Display, FromStr, Serializer};
    use serde::de::Error as _;

    /// Writes the texts.
    ///
    /// # Errors
    /// Whatever the serializer reports.
    pub fn serialize<T: Display, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(ToString::to_string))
    }

    /// Reads the texts.
    ///
    /// # Errors
    /// If one of them does not spell a value.
    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let texts = Vec::<Cow<'de, str>>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

/// Amounts as strings of base units.
pub mod nfwy {
    use super::{Cow, Deserialize, Deserializer, Serializer};
    use freeway_primitives::Amount;
    use serde::de::Error as _;

    /// Writes base units.
    ///
    /// # Errors
    /// Whatever the serializer reports.
    pub fn serialize<S: Serializer>(amount: &Amount, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&amount.0)
    }

    /// Reads base units.
    ///
    /// # Errors
    /// If there is anything but digits, or more than an amount can be.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        // The number's own parser would accept a sign.
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(D::Error::custom(format!("{text:?} is not an amount in base units (nfwy)")));
        }
        text.parse().map(Amount).map_err(D::Error::custom)
    }
}

/// Amounts with their unit, for documents that people write.
pub mod coins {
    use super::{Cow, Deserialize, Deserializer, Serializer};
    use freeway_primitives::Amount;
    use serde::de::Error as _;

    /// Writes `12.5 FWY`.
    ///
    /// # Errors
    /// Whatever the serializer reports.
    pub fn serialize<S: Serializer>(amount: &Amount, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(amount)
    }

    /// Reads an amount with a unit.
    ///
    /// # Errors
    /// If there is no unit or no amount.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        if !text.to_ascii_lowercase().ends_with("fwy") {
            return Err(D::Error::custom(format!(
                "{text:?} has no unit; write for example \"12.5 FWY\" or \"12500000000nfwy\""
            )));
        }
        text.parse().map_err(D::Error::custom)
    }
}

/// A number with six decimals: exact in comparisons, a plain number in JSON, three digits for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millionths(pub u64);

impl Millionths {
    /// `part` of `whole`, rounded to the nearest; 0 of nothing.
    pub fn of(part: u128, whole: u128) -> Self {
        let part = part.saturating_mul(1_000_000).saturating_add(whole / 2);
        let millionths = part.checked_div(whole).unwrap_or_default();
        Self(u64::try_from(millionths).unwrap_or(u64::MAX))
    }

    /// The number.
    pub fn number(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl Display for Millionths {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let decimals = match self.0 {
            0 | 100_000_000.. => 0,
            10_000_000.. => 1,
            1_000_000.. => 2,
            100_000.. => 3,
            10_000.. => 4,
            1_000.. => 5,
            _ => 6,
        };
        write!(f, "{:.decimals$}", self.number())
    }
}

impl Serialize for Millionths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.number())
    }
}

impl<'de> Deserialize<'de> for Millionths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        if !(0.0..=1e13).contains(&number) {
            return Err(D::Error::custom(format!("{number} is not a number from 0 to 10^13")));
        }
        Ok(Self((number * 1e6).round() as u64))
    }
}

/// Heights that may be without end: `null` for never.
pub(crate) fn limit_of(height: freeway_primitives::Height) -> Option<u64> {
    (height.0 != u64::MAX).then_some(height.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn millionths_have_three_digits_for_people() {
        for (millionths, text) in [
            (0, "0"),
            (45, "0.000045"),
            (1_234, "0.00123"),
            (12_345, "0.0123"),
            (123_456, "0.123"),
            (1_234_567, "1.23"),
            (12_345_678, "12.3"),
            (123_456_789, "123"),
            (123_456_789_000, "123457"),
        ] {
            assert_eq!(Millionths(millionths).to_string(), text);
        }
        assert_eq!([1, 2].map(|part| Millionths::of(part, 3)), [Millionths(333_333), Millionths(666_667)]);
        assert_eq!(Millionths::of(1, 0), Millionths(0));
        assert_eq!(Millionths::of(u128::MAX, 1), Millionths(u64::MAX));
    }

    proptest! {
        #[test]
        fn millionths_are_numbers_in_json(millionths in 0u64..1 << 48) {
            let json = serde_json::to_string(&Millionths(millionths)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Millionths>(&json).unwrap(), Millionths(millionths));
        }
    }

    #[test]
    fn what_is_no_amount_of_anything_is_refused() {
        for json in ["-1", "1e14", "\"1\"", "null"] {
            assert!(serde_json::from_str::<Millionths>(json).is_err(), "{json}");
        }
        assert_eq!(serde_json::from_str::<Millionths>("2").unwrap(), Millionths(2_000_000));
    }
}
