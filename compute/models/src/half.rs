//! Half-precision and bfloat16 numbers as bits. All conversions are integer arithmetic or exact.

/// The bits of the half that is nearest to `value`, ties to even. `None` if that is infinite, or `value` no number.
pub(crate) fn from_f32(value: f32) -> Option<u16> {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    // Halves below 2^-14 are subnormal: multiples of 2^-24. The exponent of an f32 counts from 2^-127.
    let exponent = magnitude >> 23;
    let half = if exponent >= 113 {
        // Normal: 13 bits of the fraction go, and the exponent moves by 112; rounding up may carry into it, and
        // that is right.
        round_shift(magnitude - (112 << 23), 13)
    } else if exponent >= 102 {
        round_shift(magnitude & 0x7f_ffff | 0x80_0000, 126 - exponent)
    } else {
        // Below half of the smallest subnormal number.
        0
    };
    (half < 0x7c00).then_some(sign | half as u16)
}

/// `value / 2^shift`, rounded half to even.
const fn round_shift(value: u32, shift: u32) -> u32 {
    let floor = value >> shift;
    let rest = value & ((1 << shift) - 1);
    let half = 1 << (shift - 1);
    floor + (rest > half || (rest == half && floor & 1 == 1)) as u32
}

/// The value of a half, exactly. Infinities and NaN are kept.
pub(crate) fn to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10 & 31), u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        // 2^-24 times an integer of ten bits is exact.
        0 => (fraction as f32 * f32::from_bits(103 << 23)).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// The value of a bfloat16, exactly.
pub(crate) const fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits((bits as u32) << 16)
}

/// The bits of the bfloat16 that is nearest to a finite `value`, ties to even.
pub(crate) fn bf16_from_f32(value: f32) -> u16 {
    round_shift(value.to_bits(), 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_comes_back() {
        for bits in 0..=u16::MAX {
            let value = to_f32(bits);
            let expected = value.is_finite().then_some(bits);
            assert_eq!(from_f32(value), expected, "{bits:#06x} is {value}");
            if bits < 0x8000 {
                assert_eq!(value.to_bits(), freeway_kernels::served::half_to_f32(bits).to_bits());
            }
        }
    }

    #[test]
    fn halves_round_to_even() {
        for bits in 0..0x7bff_u16 {
            let (low, high) = (to_f32(bits), to_f32(bits + 1));
            // Exact in f32: neighbours differ in one bit of eleven.
            let middle = low + (high - low) / 2.0;
            assert_eq!(from_f32(middle), Some(bits + bits % 2), "between {low} and {high}");
            assert_eq!(from_f32(middle.next_down()), Some(bits));
            assert_eq!(from_f32(middle.next_up()), Some(bits + 1));
            assert_eq!(from_f32(-middle), Some((bits + bits % 2) | 0x8000));
        }
        assert_eq!(from_f32(65_519.99), Some(0x7bff));
        assert_eq!(from_f32(65_520.0), None);
        assert_eq!(from_f32(f32::INFINITY), None);
        assert_eq!(from_f32(f32::NAN), None);
        assert_eq!(from_f32(f32::MIN_POSITIVE), Some(0));
    }

    #[test]
    fn bfloats_round_to_even() {
        for bits in (0..0x7f80_u16).chain(0x8000..0xff80) {
            assert_eq!(bf16_from_f32(bf16_to_f32(bits)), bits);
        }
        assert_eq!(bf16_from_f32(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(bf16_from_f32(f32::from_bits(0x3f81_8000)), 0x3f82);
    }
}
