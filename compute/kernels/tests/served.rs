//! Frozen digests of the arithmetic of served models: it is a rule of the protocol.

use std::fmt::Write as _;
use std::path::Path;

use freeway_kernels::served::{
    OwnedMatrix, Rows, Shape, add, fixed_logits, half_to_f32, norm, pack_matrix, product, rotate, silu_gate,
    sincos,
};
use freeway_kernels::{Backend, Pool};

/// Set to 1 when the tests are built, this variable makes them rewrite their file.
const UPDATE: Option<&str> = option_env!("FREEWAY_UPDATE_GOLDEN");

/// Numbers of 31 bits from a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Of magnitudes from `2^-20` to `2^8`, exactly the same everywhere.
    fn float(&mut self) -> f32 {
        let (sign, exponent, fraction) = (self.next() % 2, 107 + self.next() % 28, self.next() % (1 << 23));
        f32::from_bits((sign << 31 | exponent << 23 | fraction) as u32)
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    fn matrix(&mut self, shape: Shape) -> OwnedMatrix {
        let mut scales = Self(self.next());
        // Every finite scale, denormal ones too.
        pack_matrix(
            shape,
            |_, _| ((self.next() % 255) as i32 - 127) as i8,
            |_, _| (scales.next() % 0x7c00) as u16,
        )
    }
}

fn digest(values: impl IntoIterator<Item = u32>) -> String {
    let mut hasher = blake3::Hasher::new();
    values.into_iter().for_each(|value| {
        hasher.update(&value.to_le_bytes());
    });
    hasher.finalize().to_hex().as_str()[..32].to_owned()
}

fn bits(values: &[f32]) -> impl Iterator<Item = u32> {
    values.iter().map(|value| value.to_bits())
}

/// One line per function and input.
fn vectors(backend: Backend, pool: &Pool) -> String {
    let mut text = String::new();
    let mut random = Random(1);
    let mut rows = Rows::new();
    for (count, columns, width, group) in [
        (1, 64, 64, 32),
        (5, 96, 200, 32),
        (17, 64, 384, 64),
        (9, 32, 320, 128),
        (3, 32, 448, 256),
        (4, 64, 1_000, 0),
    ] {
        let owned =
            random.matrix(Shape::padded(columns, width, group).expect("dimensions inside the contract"));
        rows.quantise(backend, pool, &random.floats(count * width), width, group);
        let mut out = vec![0.0; count * columns];
        product(backend, pool, &rows, owned.matrix(), &mut out);
        let _ = writeln!(text, "product {count} x {columns} x {width} group {group}: {}", digest(bits(&out)));
        owned.matrix().row_into(columns - 1, &mut out[..width.min(64)]);
        let elements = (0..count).flat_map(|m| (0..width).map(move |k| (m, k)));
        let _ = writeln!(
            text,
            "rows {count} x {width} group {group}: {}",
            digest(elements.map(|(m, k)| rows.get(m, k) as u32).chain(bits(&out[..width.min(64)])))
        );
    }
    for width in [1, 64, 100, 896, 4_096] {
        let (x, weights) = (random.floats(width), random.floats(width));
        let mut out = vec![0.0; width];
        norm(backend, &x, &weights, 1e-6, &mut out);
        let _ = writeln!(text, "norm {width}: {}", digest(bits(&out)));
    }
    // Every sign and exponent, and some fractions: the exponential of all of them.
    let gates: Vec<f32> =
        (0..u32::MAX).step_by(8_191).map(f32::from_bits).filter(|gate| gate.abs() < 1e18).collect();
    let mut out = vec![0.0; gates.len()];
    silu_gate(backend, &gates, &vec![1.0; gates.len()], &mut out);
    let _ = writeln!(text, "gate of {}: {}", gates.len(), digest(bits(&out)));

    let steps: Vec<u64> = (0..32).map(|i| (u64::MAX / 6) >> i).collect();
    let (mut cos, mut sin) = ([0.0; 32], [0.0; 32]);
    let mut heads = random.floats(3 * 64);
    let mut angles = vec![];
    for position in (0..65_536).step_by(97) {
        sincos(&steps, position, 1.25, &mut cos, &mut sin);
        angles.extend(bits(&cos).chain(bits(&sin)));
        rotate(backend, &mut heads, &cos, &sin);
        heads.iter_mut().for_each(|x| *x *= 0.75);
    }
    let _ = writeln!(text, "angles: {}", digest(angles));
    let _ = writeln!(text, "rotated: {}", digest(bits(&heads)));

    let (mut x, y) = (random.floats(1_000), random.floats(1_000));
    add(backend, &mut x, &y);
    let mut fixed = vec![0; 1_000];
    fixed_logits(backend, &x, &mut fixed);
    let _ = writeln!(text, "sums: {}", digest(bits(&x)));
    let _ = writeln!(text, "logits: {}", digest(fixed.into_iter().map(|value| value as u32)));
    let _ = writeln!(text, "halves: {}", digest((0..0x7c00).map(|half| half_to_f32(half).to_bits())));
    text
}

#[test]
fn golden_arithmetic() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/served.txt");
    let text = vectors(Backend::Scalar, &Pool::single());
    for backend in Backend::available() {
        assert_eq!(vectors(backend, &Pool::new(2).unwrap()), text, "{backend} differs from the reference");
    }
    if UPDATE == Some("1") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = text.lines().zip(known.lines()).find(|(now, known)| now != known);
    assert!(
        known == text,
        "golden vectors differ, first at {differing:?} (now, in the file {})\n\
         A changed vector is a protocol change: hosts no longer agree with verifiers. If that is meant:\n  \
         FREEWAY_UPDATE_GOLDEN=1 cargo test -p freeway-kernels golden",
        path.display(),
    );
}
