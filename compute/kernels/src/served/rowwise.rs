//! What happens to single rows of f32 between products.
//!
//! Bodies are plain Rust, compiled once for each width of vectors. Elements do not depend on each other, or sums have
//! fixed lanes, and nothing is contracted, so that every width computes the same.

use crate::backend::Backend;
use crate::rows::at_level;

/// Lanes of the sum in [`norm`].
const LANES: usize = 16;

/// Scales a row to a root mean square of one, times `weights`: `out[i] = (x[i] * r) * weights[i]`.
///
/// `r = 1 / sqrt(sum / n + eps)`, with `n` the number of weights, the true width. The sum of squares has 16 lanes, lane
/// `i` being `a[i] = a[i] + x*x` over elements `i`, `i + 16` and so on (the row is continued with zeros), which are
/// added as a tree: for `h` in 8, 4, 2, 1: `a[i] = a[i] + a[i+h]`. Every operation is rounded.
///
/// What `x` has beyond `n` elements is not read; what `out` has beyond becomes 0.
///
/// # Panics
///
/// If `backend` is not available, there are no weights, or `x` or `out` are shorter than `weights`.
pub fn norm(backend: Backend, x: &[f32], weights: &[f32], eps: f32, out: &mut [f32]) {
    let level = backend.level();
    let width = weights.len();
    assert!(width > 0 && x.len() >= width && out.len() >= width, "a row is shorter than its weights");
    let (out, padding) = out.split_at_mut(width);
    padding.fill(0.0);
    let x = &x[..width];
    at_level!(
        level,
        norm_body,
        (x: &[f32] = x, weights: &[f32] = weights, eps: f32 = eps, out: &mut [f32] = out)
    );
}

#[inline(always)]
fn norm_body(x: &[f32], weights: &[f32], eps: f32, out: &mut [f32]) {
    let mut lanes = [0.0f32; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x * x;
        }
    }
    // The zeros that continue the row leave a lane as it is: it is no negative zero.
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += x * x;
    }
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    let r = 1.0 / (lanes[0] / x.len() as f32 + eps).sqrt();
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weights) {
        *out = (x * r) * weight;
    }
}

/// The gated activation: `out[i] = (g * s) * u` with `g = gate[i]`, `u = up[i]`, `e = exp(-|g|)` as
/// below, and `s = 1 / (1 + e)` for `g >= 0`, else `e / (1 + e)`.
///
/// # The exponential
///
/// For `a = |g|`: 0 if `a > 87`. Otherwise `t = (-a) * 1.442695 + 12582912`, `n = t - 12582912` (the nearest integer,
/// halves to even), `r = ((-a) - n * 0.69314575195) - n * 1.4286068e-6`, a polynomial `q` of degree 4 in `r` by Horner's
/// rule, `p = 1 + (r + (r*r) * q)`, times `2^n`. All operations are rounded, none is fused. Within 2 units of the last
/// place.
///
/// # Panics
///
/// If `backend` is not available, or lengths differ.
pub fn silu_gate(backend: Backend, gate: &[f32], up: &[f32], out: &mut [f32]) {
    let level = backend.level();
    assert!(gate.len() == out.len() && up.len() == out.len(), "rows of different lengths");
    at_level!(level, silu_body, (gate: &[f32] = gate, up: &[f32] = up, out: &mut [f32] = out));
}

#[inline(always)]
fn silu_body(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
        let e = exp_of_negative(gate.abs());
        let numerator = if *gate >= 0.0 { 1.0 } else { e };
        *out = (gate * (numerator / (1.0 + e))) * up;
    }
}

/// `exp(-a)` for `a >= 0`; see [`silu_gate`].
#[inline(always)]
fn exp_of_negative(a: f32) -> f32 {
    /// Beyond, the result would be denormal.
    const THRESHOLD: f32 = 87.0;
    const LOG2_E: f32 = f32::from_bits(0x3fb8_aa3b);
    /// ln 2 to 16 bits after the point, so that its products with integers below 256 are exact, and the rest.
    const LN2_HIGH: f32 = 45_426.0 / 65_536.0;
    const LN2_LOW: f32 = f32::from_bits(0x35bf_be8e);
    /// `1.5 * 2^23`: what is added to it is rounded to an integer.
    const ROUND: f32 = 12_582_912.0;
    /// `(exp(r) - 1 - r) / r^2` on `+-ln 2 / 2`, from the highest degree.
    const Q: [f32; 5] = [0.001_392_632_6, 0.008_363_293, 0.041_666_552, 0.166_665_76, 0.5];
    let x = if a > THRESHOLD { -THRESHOLD } else { -a };
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let mut q = Q[0];
    for c in &Q[1..] {
        q = q * r + c;
    }
    let p = 1.0 + (r + (r * r) * q);
    // The low bits of the shifted number are those of n, from -126 to 0; its others are shifted out.
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if a > THRESHOLD { 0.0 } else { p * power }
}

/// The residual: `x[i] = x[i] + y[i]`. What `y` has beyond the length of `x` is padding.
///
/// # Panics
///
/// If `backend` is not available, or `y` is shorter.
pub fn add(backend: Backend, x: &mut [f32], y: &[f32]) {
    let level = backend.level();
    assert!(y.len() >= x.len(), "there is less to add than there are elements");
    at_level!(level, add_body, (x: &mut [f32] = x, y: &[f32] = y));
}

#[inline(always)]
fn add_body(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// Logits with 16 bits after the point: `round_half_even(clamp(l * 65536, -2^30, 2^30))`, as many as `out` takes.
///
/// # Panics
///
/// If `backend` is not available, or there are fewer logits.
pub fn fixed_logits(backend: Backend, logits: &[f32], out: &mut [i32]) {
    let level = backend.level();
    assert!(logits.len() >= out.len(), "fewer logits than are asked for");
    at_level!(level, fixed_body, (logits: &[f32] = logits, out: &mut [i32] = out));
}

#[inline(always)]
fn fixed_body(logits: &[f32], out: &mut [i32]) {
    const LIMIT: f32 = (1 << 30) as f32;
    for (out, logit) in out.iter_mut().zip(logits) {
        let scaled = logit * 65_536.0;
        let scaled = if scaled < LIMIT { scaled } else { LIMIT };
        let scaled = if scaled > -LIMIT { scaled } else { -LIMIT };
        // SAFETY: within +-2^30, and no NaN: that would have become the limit.
        *out = unsafe { scaled.round_ties_even().to_int_unchecked() };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn the_exponential_is_within_two_units() {
        let mut worst = 0.0f64;
        let mut check = |a: f32| {
            let (value, exact) = (exp_of_negative(a), (-f64::from(a)).exp());
            let unit = f64::from(f32::from_bits(value.to_bits() + 1)) - f64::from(value);
            worst = worst.max((f64::from(value) - exact).abs() / unit);
        };
        // Every magnitude, and densely where it matters.
        (0..0x42ae_0000).step_by(1_003).for_each(|bits| check(f32::from_bits(bits)));
        (0..2_000_000).for_each(|i| check(i as f32 * (87.0 / 2e6)));
        assert!(worst < 1.5, "{worst} units");
        assert_eq!([exp_of_negative(0.0), exp_of_negative(87.00001), exp_of_negative(1e30)], [1.0, 0.0, 0.0]);
        assert!(exp_of_negative(87.0) > 0.0 && exp_of_negative(f32::from_bits(1)) == 1.0);
    }

    #[test]
    fn gates_have_their_values() {
        let gates: Vec<f32> =
            (-4_000..4_000).map(|i| i as f32 / 32.0).chain([-0.0, 1e18, -1e18, 1e-40]).collect();
        let ups: Vec<f32> = (0..gates.len()).map(|i| (i % 13) as f32 - 6.0).collect();
        let mut out = vec![f32::NAN; gates.len()];
        silu_gate(Backend::Scalar, &gates, &ups, &mut out);
        for ((gate, up), value) in gates.iter().zip(&ups).zip(&out) {
            let gate = f64::from(*gate);
            let exact = gate / (1.0 + (-gate).exp()) * f64::from(*up);
            assert!(
                (exact - f64::from(*value)).abs() <= 1e-6 * exact.abs() + 1e-30,
                "{gate} {up}: {value}, {exact}"
            );
        }
    }

    #[test]
    fn logits_are_rounded_and_clamped() {
        let unit = 1.0 / 65_536.0;
        let logits =
            [1.0, -1.5, 0.5 * unit, 1.5 * unit, 2.5 * unit, -0.5 * unit, 16_384.0, 1e30, -1e30, 1e-40];
        let expected = [1 << 16, -3 << 15, 0, 2, 2, 0, 1 << 30, 1 << 30, -(1 << 30), 0];
        for backend in Backend::available() {
            let mut out = [7; 10];
            fixed_logits(backend, &logits, &mut out);
            assert_eq!(out, expected, "{backend}");
        }
    }

    #[test]
    fn normed_rows_have_a_mean_square_of_one() {
        let x: Vec<f32> = (0..300).map(|i| ((i * 37) % 101) as f32 - 50.0).collect();
        let mut out = [9.0; 320];
        norm(Backend::Scalar, &x, &[1.0; 300], 1e-6, &mut out);
        let mean = out[..300].iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / 300.0;
        assert!((mean - 1.0).abs() < 1e-6, "{mean}");
        assert_eq!(out[300..], [0.0; 20]);
    }

    /// The norm from its formula, on a row continued with zeros.
    fn expected_norm(x: &[f32], weights: &[f32], eps: f32) -> Vec<f32> {
        let mut padded = x[..weights.len()].to_vec();
        padded.resize(weights.len().next_multiple_of(16), 0.0);
        let mut a = [0.0f32; 16];
        for (i, x) in padded.iter().enumerate() {
            a[i % 16] += x * x;
        }
        for h in [8, 4, 2, 1] {
            for i in 0..h {
                a[i] += a[i + h];
            }
        }
        let r = 1.0 / (a[0] / weights.len() as f32 + eps).sqrt();
        x.iter().zip(weights).map(|(x, w)| (x * r) * w).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_backend_gives_the_same_rows(
            pairs in prop::collection::vec((
                prop_oneof![-9.0f32..9.0, -120.0f32..120.0, -1e18f32..1e18, prop::num::f32::SUBNORMAL],
                prop_oneof![-2.0f32..2.0, Just(0.0), Just(-0.0), prop::num::f32::SUBNORMAL],
            ), 1..400),
            padding in 0usize..40,
        ) {
            let (x, y): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let n = x.len();
            let mut expected = (vec![0.0; n], x.clone(), vec![0; n]);
            silu_gate(Backend::Scalar, &x, &y, &mut expected.0);
            expected.1.iter_mut().zip(&y).for_each(|(x, y)| *x += y);
            fixed_logits(Backend::Scalar, &x, &mut expected.2);
            let mut normed = expected_norm(&x, &y, 1e-5);
            normed.resize(n + padding, 0.0);
            for backend in Backend::available() {
                let mut got = vec![f32::NAN; n];
                silu_gate(backend, &x, &y, &mut got);
                prop_assert!(bits(&got) == bits(&expected.0), "gate, {}", backend);
                got.copy_from_slice(&x);
                add(backend, &mut got, &y);
                prop_assert!(bits(&got) == bits(&expected.1), "sum, {}", backend);
                let mut fixed = vec![7; n];
                fixed_logits(backend, &x, &mut fixed);
                prop_assert!(fixed == expected.2, "logits, {}", backend);
                let mut got = vec![f32::NAN; n + padding];
                norm(backend, &x, &y, 1e-5, &mut got);
                prop_assert!(bits(&got) == bits(&normed), "norm, {}", backend);
            }
        }
    }
}
