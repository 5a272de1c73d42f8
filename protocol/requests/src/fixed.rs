//! Fixed-point numbers, read from decimal text.
//!
//! What a client writes as `0.7` becomes the nearest multiple of the unit, ties to the even one: a rule about
//! digits, so no conversion of a float can differ between machines.

use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};

/// The most significant digits of a decimal. A float's shortest text has at most 17.
const MAX_DIGITS: usize = 28;
/// The longest accepted text in bytes.
const MAX_TEXT_BYTES: usize = 400;
/// Longer texts are cut in messages, in characters.
const MAX_SHOWN_CHARS: usize = 40;

/// A number in units of 2^-16.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Q16(pub i32);

/// A part of a whole in units of 2^-30: from 0 to 2^30, which is all of it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Share(pub u32);

/// A text that is not a number of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not a decimal number as JSON writes them.
    #[error("{0:?} is not a decimal number: write it like 0.7")]
    Malformed(String),
    /// More digits than any float needs.
    #[error("{0:?} has more than {MAX_DIGITS} significant digits: round it")]
    TooManyDigits(String),
    /// Outside of what the type can hold.
    #[error("{text} is out of range: it must be from {least} to {most}")]
    OutOfRange {
        /// The number.
        text: String,
        /// The smallest that fits.
        least: i32,
        /// The largest that fits.
        most: i32,
    },
}

impl Q16 {
    /// 0.
    pub const ZERO: Self = Self(0);
    /// 1.
    pub const ONE: Self = Self(1 << Self::BITS);

    const BITS: u32 = 16;

    /// A whole number.
    pub const fn from_integer(integer: i16) -> Self {
        Self((integer as i32) << Self::BITS)
    }

    /// The multiple of 2^-16 nearest to a decimal number, ties to the even one.
    ///
    /// # Errors
    /// [`DecimalError`] if `text` is no number as JSON writes them, or is not from -32,768 to 32,767.
    pub fn from_decimal(text: &str) -> Result<Self, DecimalError> {
        let range = || DecimalError::OutOfRange { text: shown(text), least: -32_768, most: 32_767 };
        let units = units(text, Self::BITS)?.ok_or_else(range)?;
        i32::try_from(units).map(Self).map_err(|_| range())
    }
}

impl Share {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All.
    pub const ONE: Self = Self(1 << Self::BITS);

    const BITS: u32 = 30;

    /// The multiple of 2^-30 nearest to a decimal number, ties to the even one.
    ///
    /// # Errors
    /// [`DecimalError`] if `text` is no number as JSON writes them, or is not from 0 to 1.
    pub fn from_decimal(text: &str) -> Result<Self, DecimalError> {
        let range = || DecimalError::OutOfRange { text: shown(text), least: 0, most: 1 };
        let units = units(text, Self::BITS)?.ok_or_else(range)?;
        match u32::try_from(units) {
            Ok(units) if units <= Self::ONE.0 => Ok(Self(units)),
            _ => Err(range()),
        }
    }
}

impl fmt::Display for Q16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, i64::from(self.0), Self::BITS)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, i64::from(self.0), Self::BITS)
    }
}

/// The exact decimal of `units * 2^-bits`, for at most 30 bits.
fn write_decimal(f: &mut fmt::Formatter<'_>, units: i64, bits: u32) -> fmt::Result {
    let magnitude = units.unsigned_abs();
    let mut digits = (magnitude >> bits).to_string();
    let mask = (1u64 << bits) - 1;
    let mut rest = magnitude & mask;
    if rest > 0 {
        digits.push('.');
    }
    while rest > 0 {
        rest *= 10;
        digits.push(char::from(b'0' + u8::try_from(rest >> bits).unwrap_or_default()));
        rest &= mask;
    }
    f.pad_integral(units >= 0, "", &digits)
}

/// `numerator / denominator`, ties to the even integer. `denominator` must be positive.
pub(crate) fn divide_even(numerator: i128, denominator: i128) -> i128 {
    let (quotient, rest) = (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
    let above = match (2 * rest).cmp(&denominator) {
        core::cmp::Ordering::Less => 0,
        core::cmp::Ordering::Equal => quotient & 1,
        core::cmp::Ordering::Greater => 1,
    };
    quotient + above
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN_CHARS).collect()
}

/// A decimal number: `(-1)^negative * mantissa * 10^exponent`, with at most [`MAX_DIGITS`] digits.
struct Decimal {
    negative: bool,
    mantissa: u128,
    exponent: i32,
}

/// The nearest multiple of `2^-bits`, at most 30; `None` if it has more than about 60 bits.
fn units(text: &str, bits: u32) -> Result<Option<i64>, DecimalError> {
    let Decimal { negative, mantissa, exponent } = parse(text)?;
    let power = 10i128.checked_pow(exponent.unsigned_abs());
    // Below 10^28 < 2^94, so there is room for 30 bits more.
    let scaled = i128::try_from(mantissa << bits).unwrap_or(i128::MAX);
    let magnitude = match (power, exponent >= 0) {
        _ if mantissa == 0 => Some(0),
        (Some(power), true) => scaled.checked_mul(power),
        (Some(power), false) => Some(divide_even(scaled, power)),
        (None, true) => None,
        // Less than 10^28 / 10^39.
        (None, false) => Some(0),
    };
    let magnitude = magnitude.and_then(|magnitude| i64::try_from(magnitude).ok());
    Ok(magnitude.map(|magnitude| if negative { -magnitude } else { magnitude }))
}

/// Reads a number as JSON writes them: `-`, digits without a leading zero, a point and digits, an exponent.
fn parse(text: &str) -> Result<Decimal, DecimalError> {
    let malformed = || DecimalError::Malformed(shown(text));
    if text.len() > MAX_TEXT_BYTES {
        return Err(DecimalError::TooManyDigits(shown(text)));
    }
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (number, exponent) = match rest.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (rest, None),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if !are_digits(whole) || leading_zero || !fraction.is_none_or(are_digits) {
        return Err(malformed());
    }
    let mut power = 0;
    if let Some(exponent) = exponent {
        let (below, digits) = match exponent.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
        };
        if !are_digits(digits) {
            return Err(malformed());
        }
        // Beyond any text of this length: the number is out of range, or 0.
        let magnitude = digits.parse::<i32>().unwrap_or(i32::MAX).min(100_000);
        power = if below { -magnitude } else { magnitude };
    }
    let fraction = fraction.unwrap_or_default();
    let digits = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.len() > MAX_DIGITS {
        return Err(DecimalError::TooManyDigits(shown(text)));
    }
    // Both are at most MAX_TEXT_BYTES.
    let count = |text: &str| i32::try_from(text.len()).unwrap_or_default();
    let exponent = power - count(fraction) + count(digits) - count(significant);
    let mantissa = if significant.is_empty() { 0 } else { significant.parse().map_err(|_| malformed())? };
    Ok(Decimal { negative, mantissa, exponent })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn q16(text: &str) -> i32 {
        Q16::from_decimal(text).unwrap().0
    }

    #[test]
    fn decimals_round_half_to_even() {
        for (text, expected) in [
            ("0", 0),
            ("-0.0", 0),
            ("1", 65_536),
            ("0.7", 45_875),
            ("-2", -131_072),
            ("1e2", 6_553_600),
            ("1E-2", 655),
            ("12.5e+1", 125 << 16),
            ("0.00000762939453125", 0), // half a unit
            ("0.00002288818359375", 2), // one and a half
            ("-0.00002288818359375", -2),
            ("0.0000381469726562500000", 2), // two and a half
            ("0.00003814697265626", 3),
            ("1e-99999999999", 0),
            ("0e99999999999", 0),
            ("32767.99998", i32::MAX),
            ("-32768", i32::MIN),
        ] {
            assert_eq!(q16(text), expected, "{text}");
        }
        assert_eq!(Share::from_decimal("1"), Ok(Share::ONE));
        assert_eq!(Share::from_decimal("0.9"), Ok(Share(966_367_642)));
        assert_eq!(Share::from_decimal("1.0000000000"), Ok(Share::ONE));
    }

    #[test]
    fn what_is_no_number_in_range_is_refused() {
        for text in [
            "", "-", ".5", "1.", "01", "+1", "1e", "1e+", "1.5.5", "NaN", "inf", " 1", "1 ", "0x1", "1_0",
            "½", "--1",
        ] {
            assert!(matches!(Q16::from_decimal(text), Err(DecimalError::Malformed(_))), "{text}");
        }
        for text in ["32768", "-32768.1", "1e9", "1e400", "-1e99999999999", "32767.999999"] {
            assert!(matches!(Q16::from_decimal(text), Err(DecimalError::OutOfRange { .. })), "{text}");
        }
        for text in ["-0.1", "1.1", "1.00000001", "2", "1e30"] {
            assert!(matches!(Share::from_decimal(text), Err(DecimalError::OutOfRange { .. })), "{text}");
        }
        let long = format!("0.{}", "1".repeat(29));
        assert!(matches!(Q16::from_decimal(&long), Err(DecimalError::TooManyDigits(_))));
        let error = Q16::from_decimal(&"x".repeat(300)).unwrap_err().to_string();
        assert!(error.len() < 120, "{error}");
        assert!(matches!(Q16::from_decimal(&"1".repeat(100_000)), Err(DecimalError::TooManyDigits(_))));
    }

    #[test]
    fn numbers_are_shown_exactly() {
        assert_eq!(Q16(45_875).to_string(), "0.6999969482421875");
        assert_eq!(Q16(-98_304).to_string(), "-1.5");
        assert_eq!(Q16::from_integer(-100).to_string(), "-100");
        assert_eq!(Share::ONE.to_string(), "1");
        assert_eq!(Share(1).to_string().len(), 32);
    }

    #[test]
    fn division_rounds_half_to_even() {
        for (numerator, denominator, expected) in
            [(5, 2, 2), (7, 2, 4), (-5, 2, -2), (-7, 2, -4), (-1, 3, 0), (-2, 3, -1), (0, 5, 0), (8, 4, 2)]
        {
            assert_eq!(divide_even(numerator, denominator), expected, "{numerator}/{denominator}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(units: i32, share in 0u32..=1 << 30) {
            prop_assert_eq!(Q16::from_decimal(&Q16(units).to_string()), Ok(Q16(units)));
            // A share may have more digits than are read.
            let text: String = Share(share).to_string().chars().take(20).collect();
            let text = text.trim_end_matches('.');
            prop_assert_eq!(Share::from_decimal(text), Ok(Share(share)));
        }

        #[test]
        fn a_float_becomes_its_nearest_unit(value in -30_000.0f64..30_000.0) {
            let expected = (value * 65_536.0).round_ties_even() as i32;
            prop_assert_eq!(q16(&format!("{value}")), expected);
            prop_assert_eq!(q16(&format!("{value:e}")), expected);
        }

        #[test]
        fn no_text_panics(text in "[-+0-9.eE]{0,40}", other: String) {
            let _ = (Q16::from_decimal(&text), Share::from_decimal(&text), Q16::from_decimal(&other));
        }
    }
}
