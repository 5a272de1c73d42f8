//! Every backend, and the blocks of AMX on model registers, against sums written from the definition.

use proptest::prelude::*;

use super::*;
use crate::arithmetic::{c8, clamp23, leaky, rs};
use crate::chacha::Key;
use crate::weights::{Stored, Stream};

/// The results of all epilogues.
#[derive(Debug, PartialEq)]
struct Results {
    raw: Vec<i32>,
    requantised: Vec<i8>,
    residual: Vec<i32>,
    gated: Vec<i8>,
}

const SHIFT: u32 = 9;
const PRODUCT_SHIFT: u32 = 4;

fn initial_state(index: usize) -> i32 {
    (index as i32 * 7919) % (1 << 23)
}

/// From the definitions, element by element.
fn expected(rows: usize, w: &Stored, a: &impl Fn(usize, usize) -> i8) -> Results {
    let sum = |m: usize, n: usize| -> i32 {
        (0..w.inner()).map(|k| i32::from(a(m, k)) * i32::from(w.get(n, k))).sum()
    };
    let raw: Vec<_> =
        (0..rows).flat_map(|m| (0..w.columns()).map(move |n| (m, n))).map(|(m, n)| sum(m, n)).collect();
    let gated = (0..rows).flat_map(|m| {
        let raw = &raw;
        (0..w.columns() / 2).map(move |z| {
            let at = |half: usize| raw[m * w.columns() + z / 16 * 32 + half * 16 + z % 16];
            let (gate, value) = (c8(rs(at(0), SHIFT)), c8(rs(at(1), SHIFT)));
            c8(rs(leaky(gate) * value, PRODUCT_SHIFT)) as i8
        })
    });
    Results {
        requantised: raw.iter().map(|sum| c8(rs(*sum, SHIFT)) as i8).collect(),
        residual: raw
            .iter()
            .enumerate()
            .map(|(i, sum)| clamp23(initial_state(i) + rs(*sum, SHIFT)))
            .collect(),
        gated: gated.collect(),
        raw,
    }
}

/// From `multiply`, or whatever takes its place.
fn computed(
    backend: Backend,
    rows: usize,
    w: Weights<'_>,
    a: &impl Fn(usize, usize) -> i8,
    run: impl Fn(&Activations, Weights<'_>, Output<'_>),
) -> Results {
    let columns = w.columns();
    let mut left = Activations::new(backend, rows, w.inner());
    for m in 0..rows {
        for k in 0..w.inner() {
            left.set(m, k, a(m, k));
        }
    }
    let mut raw = vec![5; rows * columns];
    run(&left, w, Output::Raw(&mut raw));
    let mut requantised = vec![5; rows * columns];
    run(&left, w, Output::Requantise { out: &mut requantised, shift: SHIFT });
    let mut residual: Vec<_> = (0..rows * columns).map(initial_state).collect();
    run(&left, w, Output::Residual { h: &mut residual, shift: SHIFT });
    let mut gated = Vec::new();
    if columns.is_multiple_of(128) {
        let mut z = Activations::new(backend, rows, columns / 2);
        run(&left, w, Output::Glu { out: &mut z, shift: SHIFT, product_shift: PRODUCT_SHIFT });
        gated =
            (0..rows).flat_map(|m| (0..columns / 2).map(move |n| (m, n))).map(|(m, n)| z.get(m, n)).collect();
    }
    Results { raw, requantised, residual, gated }
}

/// The blocks of AMX on the model.
#[cfg(target_arch = "x86_64")]
fn on_model(panel_columns: usize) -> impl Fn(&Activations, Weights<'_>, Output<'_>) {
    move |left, weights, output| {
        let target = Target::new(output, Backend::Amx, left.rows(), weights.columns());
        let Weights::Stored(stored) = weights else { unreachable!("the model is tried with stored weights") };
        for start in (0..weights.columns()).step_by(panel_columns) {
            let panel = stored.panel(start..(start + panel_columns).min(weights.columns()));
            // SAFETY: there is one thread, and `output` is borrowed exclusively.
            unsafe { amx::run_model(left, panel, &target) };
        }
    }
}

fn check(rows: usize, columns: usize, inner: usize, extreme: Option<(i8, i8)>) {
    let stream = Stream { key: Key::derive("test", &[1]), nonce: [7, 8, 9], columns, inner };
    let other = Key::derive("test", &[2]);
    let values: Vec<i8> = (0..(rows * inner).div_ceil(64) as u32)
        .flat_map(|block| other.block(block, [0; 3]).map(crate::arithmetic::operand))
        .collect();
    let a = |m: usize, k: usize| extreme.map_or(values[m * inner + k], |(a, _)| a);
    let stored = match extreme {
        Some((_, w)) => Stored::from_fn(columns, inner, |_, _| w),
        None => Stored::generate(&stream, Backend::Scalar, 1),
    };
    let mut expected = expected(rows, &stored, &a);
    if !columns.is_multiple_of(128) {
        expected.gated.clear();
    }
    for backend in Backend::available() {
        for threads in [1, 3] {
            let run = |left: &Activations, weights: Weights<'_>, output: Output<'_>| {
                multiply(backend, threads, left, weights, output);
            };
            let got = computed(backend, rows, Weights::Stored(&stored), &a, run);
            assert!(got == expected, "{backend}, {threads} threads, {rows} x {columns} x {inner}");
            if extreme.is_none() {
                let got = computed(backend, rows, Weights::Stream(&stream), &a, run);
                assert!(got == expected, "{backend}, streamed, {rows} x {columns} x {inner}");
            }
        }
    }
    #[cfg(target_arch = "x86_64")]
    for panel in [32, 96, 128] {
        let got = computed(Backend::Amx, rows, Weights::Stored(&stored), &a, on_model(panel));
        assert!(got == expected, "model of AMX, {rows} x {columns} x {inner}");
    }
}

#[test]
fn every_number_of_rows() {
    for rows in (1..=20).chain([31, 32, 33, 50]) {
        check(rows, 32, 128, None);
    }
}

#[test]
fn shapes_around_the_limits_of_parts_and_panels() {
    for (rows, columns, inner) in
        [(4, 128, 64), (35, 160, 512), (9, 256, 576), (40, 128, 1024), (33, 256, 1088), (5, 64, 2176)]
    {
        check(rows, columns, inner, None);
    }
}

#[test]
fn the_largest_sums_are_exact() {
    for pair in [(127, 127), (-127, 127), (-127, -127)] {
        check(2, 32, crate::MAX_INNER, Some(pair));
    }
}

#[test]
fn values_outside_the_contract_agree_too() {
    check(3, 128, 128, Some((-128, -128)));
}

#[test]
fn work_for_many_threads_gives_the_same_bits() {
    // Large enough that all threads are started.
    let stream = Stream { key: Key::derive("test", &[3]), nonce: [0; 3], columns: 512, inner: 512 };
    let stored = Stored::generate(&stream, Backend::best(), 4);
    for backend in Backend::available() {
        let mut left = Activations::new(backend, 64, 512);
        for m in 0..64 {
            for k in 0..512 {
                left.set(m, k, ((m * 31 + k * 17) % 255) as u8 as i8);
            }
        }
        let sums = |threads, weights| {
            let mut out = vec![0; 64 * 512];
            multiply(backend, threads, &left, weights, Output::Raw(&mut out));
            out
        };
        let expected = sums(1, Weights::Stored(&stored));
        for threads in [2, 3, 5, 16] {
            assert!(sums(threads, Weights::Stored(&stored)) == expected, "{backend} {threads}");
            assert!(sums(threads, Weights::Stream(&stream)) == expected, "{backend} {threads}");
        }
    }
}

#[test]
#[should_panic(expected = "the output does not hold")]
fn outputs_of_another_size_are_refused() {
    let stored = Stored::from_fn(32, 64, |_, _| 1);
    let left = Activations::new(Backend::Scalar, 2, 64);
    multiply(Backend::Scalar, 1, &left, Weights::Stored(&stored), Output::Raw(&mut [0; 32]));
}

#[test]
#[should_panic(expected = "made for another backend")]
fn activations_of_another_backend_are_refused() {
    let stored = Stored::from_fn(32, 64, |_, _| 1);
    let left = Activations::new(Backend::Vnni, 1, 64);
    multiply(Backend::Scalar, 1, &left, Weights::Stored(&stored), Output::Raw(&mut [0; 32]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn random_shapes(rows in 1usize..70, columns in 1usize..9, inner in 1usize..20) {
        check(rows, 32 * columns, 64 * inner, None);
    }
}
