//! Every backend, and the blocks of AMX on model registers, against values written from the definition.

use proptest::prelude::*;

use super::*;
use crate::served::{OwnedMatrix, Shape, half_to_f32, pack_matrix};

/// Numbers from a seed, with the values that break things among them.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn weight(&mut self) -> i8 {
        match self.next() % 16 {
            0 => 127,
            1 => -127,
            _ => (self.next() % 255) as i8,
        }
        .max(-127)
    }

    /// Zero, denormals, the largest, and ordinary ones.
    fn scale(&mut self) -> u16 {
        const HOSTILE: [u16; 8] = [0, 1, 0x03ff, 0x0400, 0x0401, 0x7bff, 0x7bfe, 0x3c00];
        if self.next().is_multiple_of(2) {
            HOSTILE[(self.next() % 8) as usize]
        } else {
            0x1000 + (self.next() % 0x1000) as u16
        }
    }

    fn activation(&mut self) -> f32 {
        const HOSTILE: [f32; 10] =
            [0.0, -0.0, 1e-45, -1e-38, 7.888609e-31, 1.1754944e-38, 1e18, -1e18, 127.0, 126.5];
        let ordinary = (self.next() % 20_001) as f32 / 1e4 - 1.0;
        match self.next() % 64 {
            0..10 => HOSTILE[(self.next() % 10) as usize],
            10 => f32::from_bits((self.next() as u32 % 0x5d00_0000) & !(1 << 31)),
            _ => ordinary,
        }
    }

    fn matrix(&mut self, shape: Shape) -> OwnedMatrix {
        let mut other = Self(self.next());
        pack_matrix(shape, |_, _| self.weight(), |_, _| other.scale())
    }

    fn rows(&mut self, rows: usize, width: usize) -> Vec<f32> {
        // Some rows without anything hostile, and some with nothing but.
        let mut x = Vec::new();
        for row in 0..rows {
            match row % 4 {
                0 | 1 => x.extend((0..width).map(|_| self.activation())),
                2 => x.extend((0..width).map(|_| (self.next() % 2_001) as f32 / 1e3 - 1.0)),
                _ => x.extend((0..width).map(|_| if self.next().is_multiple_of(2) { 1e18 } else { -1e18 })),
            }
        }
        x
    }
}

/// From the formulas, with nothing of the implementation but the layout of elements.
fn expected(x: &[f32], width: usize, matrix: Matrix<'_>) -> Vec<f32> {
    let length = matrix.shape().group_length();
    let mut out = Vec::new();
    for x in x.chunks(width) {
        for n in 0..matrix.columns() {
            let mut y = 0.0f32;
            for (g, x) in x.chunks(length).enumerate() {
                let largest = x.iter().fold(0.0f32, |m, x| m.max(x.abs())).max(2.0f32.powi(-100));
                let (d, inverse) = (largest / 127.0, 127.0 / largest);
                let mut sum = 0i64;
                for (i, x) in x.iter().enumerate() {
                    let q = (x * inverse).clamp(-127.0, 127.0).round_ties_even() as i64;
                    sum += q * i64::from(matrix.get(n, g * length + i));
                }
                y = f32::mul_add(sum as f32, d * half_to_f32(matrix.scale(n, g)), y);
            }
            // Groups of nothing but padding add a zero.
            out.push(y);
        }
    }
    out
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn check(rows: usize, columns: usize, width: usize, group: usize, seed: u64) {
    let mut random = Random(seed);
    let shape = Shape::padded(columns, width, group).unwrap();
    let owned = random.matrix(shape);
    let matrix = owned.matrix();
    let x = random.rows(rows, width);
    let what = format!("{rows} rows, {shape:?}, width {width}, seed {seed}");
    let expected = bits(&expected(&x, width, matrix));
    let mut quantised = Rows::new();
    for backend in Backend::available() {
        for threads in [1, 3] {
            let pool = Pool::new(threads).unwrap();
            quantised.quantise(backend, &pool, &x, width, group);
            let mut out = vec![f32::NAN; rows * matrix.columns()];
            product(backend, &pool, &quantised, matrix, &mut out);
            assert!(bits(&out) == expected, "{backend}, {threads} threads, {what}");
        }
        // Any rows together give what each gives.
        let pool = Pool::single();
        for part in [1, 2, 7].into_iter().filter(|part| *part < rows) {
            let mut all = Vec::new();
            for x in x.chunks(part * width) {
                quantised.quantise(backend, &pool, x, width, group);
                let mut out = vec![f32::NAN; quantised.rows() * matrix.columns()];
                product(backend, &pool, &quantised, matrix, &mut out);
                all.extend(bits(&out));
            }
            assert!(all == expected, "{backend}, {part} rows at a time, {what}");
        }
    }
    #[cfg(target_arch = "x86_64")]
    {
        quantised.quantise(Backend::Scalar, &Pool::single(), &x, width, group);
        if amx::pays(&quantised) {
            let columns = matrix.columns();
            let mut out = vec![f32::NAN; rows * columns];
            let target = Target { out: out.as_mut_ptr(), rows, columns };
            let blocks = columns / BLOCK_COLUMNS;
            amx::run_model(&quantised, matrix, 0..blocks / 2, &target);
            amx::run_model(&quantised, matrix, blocks / 2..blocks, &target);
            assert!(bits(&out) == expected, "model of AMX, {what}");
        }
    }
}

#[test]
fn every_number_of_rows() {
    for rows in (1..=20).chain([31, 32, 33, 50]) {
        for group in [32, 64, 0] {
            check(rows, 64, 128, group, rows as u64);
        }
    }
}

#[test]
fn every_group_and_ragged_ends() {
    for group in [32, 64, 128, 192, 256, 1024, 0] {
        for width in [1, 31, 32, 33, 64, 96, 130, 320, 448, 896] {
            check(18, 32, width, group, width as u64);
        }
    }
}

#[test]
fn long_rows() {
    for group in [32, 256, 0] {
        check(9, 32, 65_536, group, 1);
        check(2, 64, 4_864, group, 2);
    }
}

#[test]
fn many_columns_on_many_threads() {
    check(17, 1_056, 512, 32, 3);
    check(33, 640, 512, 64, 4);
}

#[test]
fn extremes_are_exact() {
    // The largest sums there are, of either sign, in one group of the longest rows.
    for (x, weight) in [(1.0, 127), (-1.0, 127), (1.0, -127), (-1.0, -127)] {
        let shape = Shape::new(32, 65_536, 0).unwrap();
        let owned = pack_matrix(shape, |_, _| weight, |_, _| 0x3c00);
        let x = vec![x; 3 * 65_536];
        let expected = bits(&expected(&x, 65_536, owned.matrix()));
        for backend in Backend::available() {
            let (mut rows, mut out) = (Rows::new(), vec![0.0; 96]);
            rows.quantise(backend, &Pool::single(), &x, 65_536, 0);
            product(backend, &Pool::single(), &rows, owned.matrix(), &mut out);
            assert_eq!(bits(&out), expected, "{backend}");
        }
    }
}

#[test]
fn weights_outside_the_contract_still_agree() {
    let owned = pack_matrix(
        Shape::new(32, 128, 64).unwrap(),
        |n, k| if (n + k) % 3 == 0 { -128 } else { 127 },
        |_, _| 1,
    );
    let x: Vec<f32> = (0..12 * 128).map(|i| if i % 5 < 3 { 1.0 } else { -1.0 }).collect();
    let expected = bits(&expected(&x, 128, owned.matrix()));
    for backend in Backend::available() {
        let (mut rows, mut out) = (Rows::new(), vec![0.0; 12 * 32]);
        rows.quantise(backend, &Pool::single(), &x, 128, 64);
        product(backend, &Pool::single(), &rows, owned.matrix(), &mut out);
        assert_eq!(bits(&out), expected, "{backend}");
    }
}

#[test]
fn no_rows_are_fine() {
    let owned = OwnedMatrix::zeroed(Shape::new(32, 64, 32).unwrap());
    for backend in Backend::available() {
        let mut rows = Rows::new();
        rows.quantise(backend, &Pool::single(), &[], 64, 32);
        product(backend, &Pool::single(), &rows, owned.matrix(), &mut []);
    }
}

#[test]
#[should_panic(expected = "other groups")]
fn groups_must_match() {
    let owned = OwnedMatrix::zeroed(Shape::new(32, 64, 32).unwrap());
    let mut rows = Rows::new();
    rows.quantise(Backend::Scalar, &Pool::single(), &[0.0; 64], 64, 64);
    product(Backend::Scalar, &Pool::single(), &rows, owned.matrix(), &mut [0.0; 32]);
}

#[test]
#[should_panic(expected = "other dimensions")]
fn outputs_must_fit() {
    let owned = OwnedMatrix::zeroed(Shape::new(32, 64, 32).unwrap());
    let mut rows = Rows::new();
    rows.quantise(Backend::Scalar, &Pool::single(), &[0.0; 64], 64, 32);
    product(Backend::Scalar, &Pool::single(), &rows, owned.matrix(), &mut [0.0; 31]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn random_shapes(
        rows in 1usize..40,
        columns in 1usize..200,
        width in 1usize..700,
        group in prop::sample::select(vec![32, 64, 128, 256, 0]),
        seed: u64,
    ) {
        check(rows, columns, width, group, seed);
    }
}
