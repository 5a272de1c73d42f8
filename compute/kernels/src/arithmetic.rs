//! The scalar arithmetic that every backend reproduces: rounding shifts, clamps, the root and the table.

/// Largest magnitude of an operand of a product.
pub const MAX_OPERAND: i32 = 127;

/// Largest magnitude of an element of the residual stream: `2^23 - 1`, so that one is exact in an f32 too.
pub const MAX_STATE: i32 = (1 << 23) - 1;

/// Elements that one head of attention, one ChaCha block and one tile line have in common.
pub const HEAD: usize = 64;

/// `round(2^15 * 2^(-i/16))`: the fractional part of a power of two. Constants of the protocol.
pub const EXP2: [i32; 16] = [
    32768, 31379, 30048, 28774, 27554, 26386, 25268, 24196, 23170, 22188, 21247, 20347, 19484, 18658, 17867,
    17109,
];

/// `(value + 2^(shift - 1)) >> shift`: division by a power of two, halves rounded up. `shift` is 1 to 31, and
/// the sum must not overflow.
#[inline(always)]
pub const fn rs(value: i32, shift: u32) -> i32 {
    (value + (1 << (shift - 1))) >> shift
}

/// Clamps to the range of an operand, `[-127, 127]`.
#[inline(always)]
pub const fn c8(value: i32) -> i32 {
    if value > MAX_OPERAND {
        MAX_OPERAND
    } else if value < -MAX_OPERAND {
        -MAX_OPERAND
    } else {
        value
    }
}

/// Clamps to the range of the residual stream, `+-(2^23 - 1)`.
#[inline(always)]
pub const fn clamp23(value: i32) -> i32 {
    if value > MAX_STATE {
        MAX_STATE
    } else if value < -MAX_STATE {
        -MAX_STATE
    } else {
        value
    }
}

/// The activation of the gate: negative values are quartered, not zeroed, so that no hardware gains from
/// skipping zeros.
#[inline(always)]
pub const fn leaky(value: i32) -> i32 {
    if value >= 0 { value } else { value >> 2 }
}

/// A pseudorandom byte as an operand: -128, which has no negative, becomes 0.
#[inline(always)]
pub const fn operand(byte: u8) -> i8 {
    if byte == 0x80 { 0 } else { byte as i8 }
}

/// The largest integer whose square is at most `value`, in integer arithmetic only.
#[inline]
pub const fn isqrt(value: u64) -> u64 {
    value.isqrt()
}

/// What an element of a row is multiplied with in [`norm`](crate::norm): `2^29 / max(1, isqrt(sum / width))`,
/// where `sum` is that of the squares.
#[inline]
pub const fn inverse_rms(sum: u64, width: u64) -> i64 {
    let rms = isqrt(sum / width);
    (1 << 29) / (if rms == 0 { 1 } else { rms as i64 })
}

/// The weight of one position in attention before normalisation: 2 to the power of its score's distance from
/// the best, in steps of `2^-12`, from `2^15` down to 0.
#[inline(always)]
pub const fn exponential(best: i32, score: i32) -> i32 {
    let steps = (best - score) >> 8;
    let whole = steps >> 4;
    if whole > 15 { 0 } else { EXP2[(steps & 15) as usize] >> whole }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_root(root: u64, value: u64) -> bool {
        let square = |x: u64| u128::from(x) * u128::from(x);
        square(root) <= u128::from(value) && square(root + 1) > u128::from(value)
    }

    proptest! {
        #[test]
        fn roots_are_floors(value: u64, shift in 0u32..64) {
            prop_assert!(is_root(isqrt(value >> shift), value >> shift));
        }

        #[test]
        fn roots_around_squares_are_floors(root in 1u64..1 << 32) {
            let square = root * root;
            prop_assert_eq!(isqrt(square), root);
            prop_assert_eq!(isqrt(square - 1), root - 1);
            prop_assert!(is_root(isqrt(square.saturating_add(1)), square.saturating_add(1)));
        }
    }

    #[test]
    fn roots_at_the_ends() {
        assert_eq!(isqrt(0), 0);
        assert_eq!(isqrt(u64::MAX), u64::from(u32::MAX));
        assert_eq!(isqrt(u64::from(u32::MAX) * u64::from(u32::MAX) - 1), u64::from(u32::MAX) - 1);
    }

    #[test]
    fn the_table_is_rounded_correctly() {
        // 2 T is the odd integer between which and whose neighbour the true value 2^(16 - i/16) lies:
        // (2 T - 1)^16 <= 2^(256 - i) <= (2 T + 1)^16, checked in big integers of 32-bit digits.
        fn power16(base: u64) -> Vec<u32> {
            let mut digits = vec![1u32];
            for _ in 0..16 {
                let mut carry = 0u64;
                for digit in &mut digits {
                    let product = u64::from(*digit) * base + carry;
                    *digit = product as u32;
                    carry = product >> 32;
                }
                if carry > 0 {
                    digits.push(carry as u32);
                }
            }
            digits
        }
        fn at_least_power_of_two(digits: &[u32], bits: usize) -> bool {
            let top = digits.last().copied().unwrap_or(0);
            (digits.len() - 1) * 32 + (32 - top.leading_zeros() as usize) > bits
        }
        for (i, value) in EXP2.iter().enumerate() {
            let twice = 2 * *value as u64;
            assert!(!at_least_power_of_two(&power16(twice - 1), 256 - i), "entry {i} is too large");
            assert!(at_least_power_of_two(&power16(twice + 1), 256 - i), "entry {i} is too small");
        }
    }

    #[test]
    fn halves_are_rounded_up() {
        assert_eq!([rs(3, 1), rs(-3, 1), rs(8, 4), rs(7, 4), rs(-8, 4), rs(-9, 4)], [2, -1, 1, 0, 0, -1]);
        assert_eq!([leaky(5), leaky(-1), leaky(-127)], [5, -1, -32]);
        assert_eq!([operand(0x80), operand(0x7f), operand(0x81)], [0, 127, -127]);
    }
}
