//! Rotary positions: angles in fractions of a turn, a frozen sine, and the rotation of a head.

use crate::backend::Backend;
use crate::rows::at_level;

/// Steps of the table in a quarter of a turn, as a power of two.
const STEP_BITS: u32 = 12;
const STEPS: usize = 1 << STEP_BITS;
/// One entry for each step from 0 to a quarter, and one to interpolate towards.
const ENTRIES: usize = STEPS + 2;

/// `round(2^30 * sin(i * (pi/2) / 4096))`. Constants of the protocol; a test holds their digest.
static SINE: [i32; ENTRIES] = table();

/// The table by the series of the sine, in integers with 60 bits after the point.
const fn table() -> [i32; ENTRIES] {
    const POINT: u32 = 60;
    /// `round(2^60 * pi / 2)`.
    const QUARTER: i128 = 1_811_004_864_519_280_711;
    let mut table = [0; ENTRIES];
    let mut i = 0;
    while i < ENTRIES {
        let x = (QUARTER * i as i128) >> STEP_BITS;
        let square = (x * x) >> POINT;
        let (mut term, mut sum, mut n) = (x, 0, 1);
        while term != 0 {
            sum += term;
            // Towards zero, so that it ends there.
            term = -((term * square) / ((n + 1) * (n + 2))) / (1 << POINT);
            n += 2;
        }
        table[i] = ((sum + (1 << (POINT - 31))) >> (POINT - 30)) as i32;
        i += 1;
    }
    table
}

/// The sine of `phase / 2^64` turns, times `2^30`: linear between entries of a table of `4 * 4096` steps per turn, all
/// in integers. Within 21 of the true value (2e-8).
///
/// With `p` the phase within its quarter (in the second and fourth `2^62 - p`), `i = p >> 50` and
/// `f = (p >> 18) mod 2^32`: `T[i] + (((T[i+1] - T[i]) * f + 2^31) >> 32)`, negated in the second half.
pub fn sine(phase: u64) -> i32 {
    const QUARTER: u64 = 1 << 62;
    let within = phase & (QUARTER - 1);
    let within = if phase & QUARTER == 0 { within } else { QUARTER - within };
    let index = (within >> (62 - STEP_BITS)) as usize;
    let fraction = (within >> (30 - STEP_BITS)) & 0xffff_ffff;
    let (low, high) = (i64::from(SINE[index]), i64::from(SINE[index + 1]));
    let value = low + (((high - low) * fraction as i64 + (1 << 31)) >> 32);
    (if phase >> 63 == 0 { value } else { -value }) as i32
}

/// Cosines and sines of the angles of a position: `phase = position * step mod 2^64` of a turn for each pair's step,
/// `i32_to_f32(sine) * 2^-30 * magnitude`, products rounded in that order (the first is exact). The cosine is the sine a
/// quarter of a turn later.
///
/// # Panics
///
/// If there are not as many of each as steps.
pub fn sincos(steps: &[u64], position: u64, magnitude: f32, cos: &mut [f32], sin: &mut [f32]) {
    const UNIT: f32 = f32::from_bits((127 - 30) << 23);
    assert!(steps.len() == cos.len() && steps.len() == sin.len(), "other numbers of angles than steps");
    for ((step, cos), sin) in steps.iter().zip(cos).zip(sin) {
        let phase = step.wrapping_mul(position);
        *cos = sine(phase.wrapping_add(1 << 62)) as f32 * UNIT * magnitude;
        *sin = sine(phase) as f32 * UNIT * magnitude;
    }
}

/// Rotates pairs `(i, i + n/2)` of each head of a row, `n = 2 * cos.len()` elements each: `a' = a*c - b*s`,
/// `b' = b*c + a*s`, where both products are rounded, then the difference or sum.
///
/// # Panics
///
/// If `backend` is not available, there are other numbers of sines than cosines, or `heads` is no whole number of heads.
pub fn rotate(backend: Backend, heads: &mut [f32], cos: &[f32], sin: &[f32]) {
    let level = backend.level();
    assert_eq!(cos.len(), sin.len(), "other numbers of sines than cosines");
    assert!(!cos.is_empty() && heads.len().is_multiple_of(2 * cos.len()), "no whole number of heads");
    at_level!(level, body, (heads: &mut [f32] = heads, cos: &[f32] = cos, sin: &[f32] = sin));
}

#[inline(always)]
fn body(heads: &mut [f32], cos: &[f32], sin: &[f32]) {
    let half = cos.len();
    for head in heads.chunks_exact_mut(2 * half) {
        let (first, second) = head.split_at_mut(half);
        for (((a, b), c), s) in first.iter_mut().zip(second).zip(cos).zip(sin) {
            (*a, *b) = (*a * *c - *b * *s, *b * *c + *a * *s);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_table_is_rounded_correctly() {
        for (i, value) in SINE.iter().enumerate() {
            let exact = (i as f64 * core::f64::consts::FRAC_PI_2 / STEPS as f64).sin() * f64::from(1 << 30);
            assert!((exact - f64::from(*value)).abs() < 0.5 + 1e-6, "entry {i}: {value}, {exact}");
        }
        let bytes: Vec<u8> = SINE.iter().flat_map(|value| value.to_le_bytes()).collect();
        let digest = blake3::hash(&bytes).to_hex();
        assert_eq!(digest.as_str(), "e57cf6eb8787a10f2d80c15104cee550d8d5d0e3fb616a1924b4b0511fa8d897");
    }

    #[test]
    fn quarters_are_exact() {
        assert_eq!([sine(0), sine(1 << 62), sine(1 << 63), sine(3 << 62)], [0, 1 << 30, 0, -(1 << 30)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn sines_are_near_and_symmetric(phase: u64) {
            let exact = (phase as f64 / 2.0f64.powi(64) * core::f64::consts::TAU).sin() * f64::from(1 << 30);
            let value = sine(phase);
            prop_assert!((exact - f64::from(value)).abs() < 21.0, "{} {}", value, exact);
            prop_assert_eq!(sine(phase.wrapping_neg()), -value);
            // The mirrored fraction is one step of the interpolation away.
            prop_assert!((sine((1u64 << 63).wrapping_sub(phase)) - value).abs() <= 1);
        }
    }

    #[test]
    fn angles_are_fractions_of_a_turn() {
        // An eighth of a turn per position, and a step that wraps around.
        let steps = [1u64 << 61, u64::MAX];
        let (mut cos, mut sin) = ([0.0; 2], [0.0; 2]);
        for position in [0, 1, 2, 3, 8, 65_535] {
            sincos(&steps, position, 2.0, &mut cos, &mut sin);
            let angle = (position % 8) as f64 * core::f64::consts::FRAC_PI_4;
            assert!((f64::from(cos[0]) - 2.0 * angle.cos()).abs() < 1e-7);
            assert!((f64::from(sin[0]) - 2.0 * angle.sin()).abs() < 1e-7);
            assert_eq!((cos[1], sin[1]), (2.0, 0.0));
        }
    }

    proptest! {
        #[test]
        fn every_backend_rotates_alike(
            x in prop::collection::vec(-1e3f32..1e3, 300), half in 1usize..64, seed: u64
        ) {
            let steps: Vec<u64> = (0..half as u64).map(|i| seed.wrapping_mul(2 * i + 1)).collect();
            let (mut cos, mut sin) = (vec![0.0; half], vec![0.0; half]);
            sincos(&steps, 77, 1.1, &mut cos, &mut sin);
            let x = &x[..x.len() / (2 * half) * 2 * half];
            let mut expected = x.to_vec();
            for (i, to) in expected.iter_mut().enumerate() {
                let (start, j) = (i / (2 * half) * 2 * half, i % half);
                let (a, b) = (x[start + j], x[start + half + j]);
                *to = if i % (2 * half) < half { a * cos[j] - b * sin[j] } else { b * cos[j] + a * sin[j] };
            }
            for backend in Backend::available() {
                let mut got = x.to_vec();
                rotate(backend, &mut got, &cos, &sin);
                let same = got.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
                prop_assert!(same, "{}", backend);
            }
        }
    }
}
