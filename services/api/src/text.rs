//! How values of the protocol are written in JSON, for `#[serde(with = "...")]`.

use core::fmt::Display;
use core::str::FromStr;
use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

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

/// Heights that may be without end: `null` for never.
pub(crate) fn limit_of(height: freeway_primitives::Height) -> Option<u64> {
    (height.0 != u64::MAX).then_some(height.0)
}
