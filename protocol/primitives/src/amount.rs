//! Money: whole base units, always checked.

use core::fmt;
use core::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};

/// Base units (`nfwy`) in one coin (`FWY`).
pub const NFWY_PER_FWY: u128 = 1_000_000_000;

/// An amount of money in base units (`nfwy`, 10^-9 FWY).
///
/// There are no arithmetic operators: every sum and difference is checked by its caller.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Amount(pub u128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// `coins` whole FWY, saturating.
    pub const fn fwy(coins: u128) -> Self {
        Self(coins.saturating_mul(NFWY_PER_FWY))
    }

    /// The sum, or `None` on overflow.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` if `other` is larger.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// `self x parts / whole`, rounded down; `None` if `whole` is 0 or the result overflows, which it never
    /// does for a part of the whole.
    pub const fn fraction(self, parts: u64, whole: u64) -> Option<Self> {
        if whole == 0 {
            return None;
        }
        let (parts, whole) = (parts as u128, whole as u128);
        // The product may need 192 bits, so quotient and remainder are taken apart; the second term is less
        // than 2^128 as both of its factors are less than 2^64.
        let rest = self.0 % whole * parts / whole;
        match (self.0 / whole).checked_mul(parts) {
            Some(most) => Self(most).checked_add(Self(rest)),
            None => None,
        }
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Amount {
    /// `12.5 FWY`: decimal, without trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / NFWY_PER_FWY, self.0 % NFWY_PER_FWY);
        if rest == 0 {
            return write!(f, "{whole} FWY");
        }
        let digits = format!("{rest:09}");
        write!(f, "{whole}.{} FWY", digits.trim_end_matches('0'))
    }
}

/// A string that is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a decimal number.
    #[error("{0:?} is not an amount; write for example 12.5, \"12.5 FWY\" or 12500000000nfwy")]
    NotANumber(String),
    /// More than nine digits after the point.
    #[error("{0:?} has more than 9 decimals; the smallest unit is 0.000000001 FWY (1 nfwy)")]
    TooPrecise(String),
    /// Past the largest amount.
    #[error("{0:?} is more than can exist")]
    TooLarge(String),
}

impl FromStr for Amount {
    type Err = AmountError;

    /// `12.5`, `12.5 FWY` (coins) or `12500000000nfwy` (base units). No sign, no exponent.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || text.chars().take(60).collect::<String>();
        let lower = text.trim().to_ascii_lowercase();
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if let Some(units) = lower.strip_suffix("nfwy") {
            let units = units.trim();
            if !digits(units) {
                return Err(AmountError::NotANumber(shown()));
            }
            return units.parse().map(Self).map_err(|_| AmountError::TooLarge(shown()));
        }
        let number = lower.strip_suffix("fwy").unwrap_or(&lower).trim();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        if !digits(whole) || !digits(decimals) {
            return Err(AmountError::NotANumber(shown()));
        }
        if decimals.len() > 9 {
            return Err(AmountError::TooPrecise(shown()));
        }
        let whole: u128 = whole.parse().map_err(|_| AmountError::TooLarge(shown()))?;
        let rest: u128 = format!("{decimals:0<9}").parse().map_err(|_| AmountError::NotANumber(shown()))?;
        whole
            .checked_mul(NFWY_PER_FWY)
            .and_then(|units| units.checked_add(rest))
            .map(Self)
            .ok_or_else(|| AmountError::TooLarge(shown()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_coins_and_base_units() {
        assert_eq!("12.5".parse(), Ok(Amount(12_500_000_000)));
        assert_eq!("12.5 FWY".parse(), Ok(Amount(12_500_000_000)));
        assert_eq!("7nfwy".parse(), Ok(Amount(7)));
        assert!(matches!("-1".parse::<Amount>(), Err(AmountError::NotANumber(_))));
        assert!(matches!("1e9".parse::<Amount>(), Err(AmountError::NotANumber(_))));
        assert!(matches!("".parse::<Amount>(), Err(AmountError::NotANumber(_))));
        assert!(matches!("0.0000000001".parse::<Amount>(), Err(AmountError::TooPrecise(_))));
        assert!(matches!(
            "999999999999999999999999999999999999999999".parse::<Amount>(),
            Err(AmountError::TooLarge(_))
        ));
    }

    proptest! {
        #[test]
        fn what_is_shown_parses_back(units: u128) {
            let amount = Amount(units);
            prop_assert_eq!(amount.to_string().parse::<Amount>(), Ok(amount));
        }
    }
}
