//! The left operand of a product: rows of f32, quantised in groups.

use crate::activations::{LINE, MAX_INNER, TILE_ROWS};
use crate::backend::Backend;
use crate::buffer::{Buffer, Element};
use crate::pool::Pool;
use crate::rows::at_level;

use super::matrix::{HALF_LINE, group_length};

/// Storage is padded to so many rows, so that a backend may read pairs of tiles.
const PADDED_ROWS: usize = 32;

/// `2^-100`: what the largest magnitude of a group is at least taken for, so that no scale is 0.
const SMALLEST: f32 = f32::from_bits((127 - 100) << 23);

/// Quantised rows: int8 with an f32 scale for each row and group of elements.
///
/// For a group of a row: `m = max |x|`, `m' = max(m, 2^-100)`, `d = m' / 127`, `i = 127 / m'`, and for each element
/// `q = round_half_even(clamp(x * i, -127, 127))`; its value is about `q * d`.
///
/// Buffers are reused from one call to the next, and grow when they must.
///
/// In memory, rows stand in blocks of `height` (the next power of two of their number, at most 16): element `(m, k)` at
/// `((m / height) * (inner / 64) + k / 64) * height * 64 + (m % height) * 64 + k % 64`, scales and sums of `(m, g)` at
/// `((m / height) * groups + g) * height + m % height`.
#[derive(Debug)]
pub struct Rows {
    elements: Buffer<i8>,
    scales: Buffer<f32>,
    /// -128 times the sum of each group: what makes up for weights that are stored 128 larger.
    offsets: Buffer<i32>,
    rows: usize,
    inner: usize,
    group: usize,
    height: usize,
}

impl Default for Rows {
    fn default() -> Self {
        Self::new()
    }
}

impl Rows {
    /// No rows yet.
    pub fn new() -> Self {
        let (elements, scales, offsets) = (Buffer::zeroed(0), Buffer::zeroed(0), Buffer::zeroed(0));
        Self { elements, scales, offsets, rows: 0, inner: LINE, group: 0, height: 1 }
    }

    /// Quantises the rows of `x`, each `width` long, row-major. Rows are continued with zeros to the next multiple of
    /// 64, which is the inner dimension of the product; `group` is that of its matrix (0: one group over all).
    ///
    /// # Panics
    ///
    /// If `backend` is not available, `x` is no whole number of rows, `width` is not 1 to [`MAX_INNER`], or `group` is
    /// none of 0, 32 and multiples of 64.
    pub fn quantise(&mut self, backend: Backend, pool: &Pool, x: &[f32], width: usize, group: usize) {
        let level = backend.level();
        assert!((1..=MAX_INNER).contains(&width), "rows of {width} elements: they have 1 to {MAX_INNER}");
        assert!(x.len().is_multiple_of(width), "{} elements are no whole number of rows of {width}", x.len());
        assert!(group == HALF_LINE || group.is_multiple_of(LINE), "groups of {group} elements");
        self.rows = x.len() / width;
        self.inner = width.next_multiple_of(LINE);
        self.group = group;
        self.height = self.rows.next_power_of_two().min(TILE_ROWS);
        let (height, groups) = (self.height, self.groups());
        let padded = self.rows.next_multiple_of(PADDED_ROWS);
        grow(&mut self.elements, padded * self.inner);
        grow(&mut self.scales, padded * groups);
        grow(&mut self.offsets, padded * groups);

        // An element costs about as much as ten multiply-adds of a product.
        let target = Target {
            elements: self.elements.as_mut_ptr(),
            scales: self.scales.as_mut_ptr(),
            offsets: self.offsets.as_mut_ptr(),
            rows: self.rows,
            inner: self.inner,
            group: group_length(self.inner, group),
            height,
        };
        pool.ranges(x.len() as u64 * 10, self.rows.div_ceil(height), |blocks| {
            let rows = blocks.start * height..(blocks.end * height).min(target.rows);
            for row in rows {
                let (x, target) = (&x[row * width..][..width], &target);
                // Blocks belong to one thread, and the buffers are borrowed exclusively.
                at_level!(level, body, (x: &[f32] = x, row: usize = row, target: &Target = target));
            }
        });
    }

    /// How many rows there are.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Elements of a row, with its padding: the inner dimension of the product.
    pub const fn inner(&self) -> usize {
        self.inner
    }

    /// Elements of a group as given: 0 means all.
    pub const fn group(&self) -> usize {
        self.group
    }

    /// Groups of a row.
    pub const fn groups(&self) -> usize {
        self.inner.div_ceil(self.group_length())
    }

    /// Element `(row, k)`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn get(&self, row: usize, k: usize) -> i8 {
        assert!(row < self.rows && k < self.inner, "element ({row}, {k}) is outside");
        self.elements[self.line_index(row, k / LINE) + k % LINE]
    }

    /// The scale of `(row, group)`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn scale(&self, row: usize, group: usize) -> f32 {
        assert!(row < self.rows && group < self.groups(), "group ({row}, {group}) is outside");
        self.scales[self.group_index(row, group)]
    }

    /// Elements of every group but the last.
    pub(super) const fn group_length(&self) -> usize {
        group_length(self.inner, self.group)
    }

    /// Rows of a block in memory.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "the reference reads rows one by one")
    )]
    pub(super) const fn height(&self) -> usize {
        self.height
    }

    /// Where line `line` of `row` begins.
    pub(super) const fn line_index(&self, row: usize, line: usize) -> usize {
        ((row / self.height) * (self.inner / LINE) + line) * self.height * LINE + row % self.height * LINE
    }

    /// Where the scale and the offset of a group stand.
    pub(super) const fn group_index(&self, row: usize, group: usize) -> usize {
        ((row / self.height) * self.groups() + group) * self.height + row % self.height
    }

    pub(super) fn elements(&self) -> &[i8] {
        &self.elements
    }

    pub(super) fn scales(&self) -> &[f32] {
        &self.scales
    }

    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "the reference has signed products"))]
    pub(super) fn offsets(&self) -> &[i32] {
        &self.offsets
    }
}

fn grow<T: Element>(buffer: &mut Buffer<T>, length: usize) {
    if buffer.len() < length {
        *buffer = Buffer::zeroed(length);
    }
}

/// Where a row goes.
struct Target {
    elements: *mut i8,
    scales: *mut f32,
    offsets: *mut i32,
    rows: usize,
    inner: usize,
    /// Elements of a group, never 0.
    group: usize,
    height: usize,
}

// SAFETY: pointers into buffers that the caller of `quantise` borrows exclusively; a row belongs to one thread.
unsafe impl Sync for Target {}

/// Quantises one row, which belongs to this thread.
#[inline(always)]
fn body(x: &[f32], row: usize, target: &Target) {
    let &Target { rows, inner, group, height, .. } = target;
    assert!(row < rows && x.len() <= inner);
    let (groups, lines) = (inner.div_ceil(group), inner / LINE);
    let first = (row / height * lines * height + row % height) * LINE;
    let first_group = row / height * groups * height + row % height;
    // Where half lines go: row and half line are inside the matrix, which has room for all its rows.
    let place =
        |half: usize| target.elements.wrapping_add(first + half / 2 * height * LINE + half % 2 * HALF_LINE);
    let mut done = 0;
    if group == HALF_LINE {
        // The same with a length that is known: half the time.
        for x in x.as_chunks::<HALF_LINE>().0 {
            let (scale, inverse) = scale(largest(x));
            // SAFETY: as below.
            unsafe {
                let sum = quantise(x, inverse, &mut *place(done).cast());
                target.scales.add(first_group + done * height).write(scale);
                target.offsets.add(first_group + done * height).write(-128 * sum);
            }
            done += 1;
        }
    }
    for index in done..groups {
        let (start, end) = (index * group, ((index + 1) * group).min(inner));
        let part = &x[start.min(x.len())..end.min(x.len())];
        let (scale, inverse) = scale(largest(part));
        let (mut sum, mut half) = (0, start / HALF_LINE);
        let (full, rest) = part.as_chunks::<HALF_LINE>();
        for x in full {
            // SAFETY: inside, as above, and this row is ours.
            sum += quantise(x, inverse, unsafe { &mut *place(half).cast() });
            half += 1;
        }
        // The row is continued with zeros.
        while half < end / HALF_LINE {
            let mut padded = [0.0; HALF_LINE];
            if half == start / HALF_LINE + full.len() {
                padded[..rest.len()].copy_from_slice(rest);
            }
            // SAFETY: as above.
            sum += quantise(&padded, inverse, unsafe { &mut *place(half).cast() });
            half += 1;
        }
        let at = first_group + index * height;
        // SAFETY: as above, for a group inside the row.
        unsafe {
            target.scales.add(at).write(scale);
            target.offsets.add(at).write(-128 * sum);
        }
    }
}

/// The scale of a group with this largest magnitude, and what its elements are multiplied with.
#[inline(always)]
fn scale(largest: f32) -> (f32, f32) {
    let largest = if largest > SMALLEST { largest } else { SMALLEST };
    (largest / 127.0, 127.0 / largest)
}

/// The largest magnitude. Magnitudes are ordered as their bits are, and a maximum of integers has no order.
#[inline(always)]
fn largest(part: &[f32]) -> f32 {
    let mut largest = 0;
    for x in part {
        largest = largest.max(x.to_bits() & !(1 << 31));
    }
    f32::from_bits(largest)
}

/// `1.5 * 2^23`: added to a number up to `2^22` in magnitude, it leaves that rounded to an integer, halves to even,
/// in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Quantises elements, and returns their sum.
#[inline(always)]
fn quantise(x: &[f32; HALF_LINE], inverse: f32, to: &mut [i8; HALF_LINE]) -> i32 {
    let mut sum = 0;
    for (to, x) in to.iter_mut().zip(x) {
        let scaled = x * inverse;
        let scaled = if scaled < 127.0 { scaled } else { 127.0 };
        let scaled = if scaled > -127.0 { scaled } else { -127.0 };
        let value = (scaled + ROUND).to_bits() as i32 - ROUND.to_bits() as i32;
        *to = value as i8;
        sum += value;
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quantised(backend: Backend, x: &[f32], width: usize, group: usize) -> (Vec<i8>, Vec<u32>, Vec<i32>) {
        let mut rows = Rows::new();
        // Whatever was there before does not matter.
        rows.quantise(backend, &Pool::single(), &[1e9; 4096], 4096, 32);
        rows.quantise(backend, &Pool::single(), x, width, group);
        let indices = |end: usize| (0..rows.rows()).flat_map(move |m| (0..end).map(move |i| (m, i)));
        (
            indices(rows.inner()).map(|(m, k)| rows.get(m, k)).collect(),
            indices(rows.groups()).map(|(m, g)| rows.scale(m, g).to_bits()).collect(),
            indices(rows.groups()).map(|(m, g)| rows.offsets[rows.group_index(m, g)]).collect(),
        )
    }

    /// From the formula, one element after the other.
    fn expected(x: &[f32], width: usize, group: usize) -> (Vec<i8>, Vec<u32>, Vec<i32>) {
        let inner = width.next_multiple_of(64);
        let (mut elements, mut scales, mut offsets) = (vec![], vec![], vec![]);
        for x in x.chunks(width) {
            let mut x = x.to_vec();
            x.resize(inner, 0.0);
            for part in x.chunks(if group == 0 { inner } else { group }) {
                let largest = part.iter().fold(0.0f32, |m, x| m.max(x.abs())).max(2.0f32.powi(-100));
                let inverse = 127.0 / largest;
                let values = part.iter().map(|x| (x * inverse).clamp(-127.0, 127.0).round_ties_even() as i8);
                let start = elements.len();
                elements.extend(values);
                scales.push((largest / 127.0).to_bits());
                offsets.push(-128 * elements[start..].iter().map(|q: &i8| i32::from(*q)).sum::<i32>());
            }
        }
        (elements, scales, offsets)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn all_backends_follow_the_formula(
            x in prop::collection::vec(prop_oneof![
                -4.0f32..4.0, prop::num::f32::SUBNORMAL, prop::num::f32::NORMAL, Just(0.0), Just(-0.0)
            ], 1..900),
            rows in 1usize..20,
            group in prop::sample::select(vec![32, 64, 192, 0]),
        ) {
            let width = (x.len() / rows).max(1);
            let x = &x[..x.len() / width * width];
            let expected = expected(x, width, group);
            for backend in Backend::available() {
                prop_assert!(quantised(backend, x, width, group) == expected, "{}", backend);
            }
        }
    }

    #[test]
    fn halves_go_to_the_even_integer() {
        let x: Vec<f32> = [127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, -126.5].into();
        for backend in Backend::available() {
            let (elements, ..) = quantised(backend, &x, x.len(), 32);
            assert_eq!(elements[..x.len()], [127, 0, 2, 2, 0, -2, -2, 126, -126]);
        }
    }

    #[test]
    fn tiny_and_endless_values_stay_inside() {
        // Below 2^-100 nothing is scaled up to 127; infinities and NaN break nothing.
        for backend in Backend::available() {
            let (elements, scales, _) = quantised(backend, &[1e-40, -1e-45], 2, 32);
            assert_eq!((elements[0], f32::from_bits(scales[0])), (0, SMALLEST / 127.0));
            for x in [[f32::INFINITY, 1.0], [f32::NAN, 1.0], [f32::MAX, f32::MIN]] {
                assert_eq!(quantised(backend, &x, 2, 32), quantised(Backend::Scalar, &x, 2, 32));
            }
        }
    }
}
