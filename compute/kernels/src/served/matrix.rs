//! Grouped weights: int8 tiles, and a half-precision scale for each column and group of inner elements.

use crate::activations::{LINE, MAX_INNER};
use crate::buffer::Buffer;
use crate::chacha::TILE_BYTES;
use crate::weights::{BLOCK_COLUMNS, MAX_COLUMNS, TILE_COLUMNS};

/// The smallest group.
pub(super) const HALF_LINE: usize = 32;

/// The dimensions of a grouped matrix, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    columns: usize,
    inner: usize,
    group: usize,
}

/// Why there is no such matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// Columns outside the contract.
    #[error("{0} columns: pad them to a multiple of {BLOCK_COLUMNS}, from {BLOCK_COLUMNS} to {MAX_COLUMNS}")]
    Columns(usize),
    /// An inner dimension outside the contract.
    #[error("an inner dimension of {0}: pad it to a multiple of {LINE}, from {LINE} to {MAX_INNER}")]
    Inner(usize),
    /// A size of groups outside the contract.
    #[error(
        "groups of {0} elements: they have {HALF_LINE} or a multiple of {LINE} up to {MAX_INNER}, or 0 for one over all"
    )]
    Group(usize),
    /// Other weights than the shape has.
    #[error("{got} weights where the dimensions ask for {expected}")]
    Tiles {
        /// As many as there are.
        got: usize,
        /// As many as there should be.
        expected: usize,
    },
    /// Other scales than the shape has.
    #[error("{got} scales where the dimensions ask for {expected}")]
    Scales {
        /// As many as there are.
        got: usize,
        /// As many as there should be.
        expected: usize,
    },
}

impl Shape {
    /// A matrix of `columns` outputs, a multiple of 32 up to 2^20, and `inner` inputs, a multiple of 64 up to 65,536, in
    /// groups of `group` inner elements: 32, a multiple of 64, or 0 for a single group. The last may be shorter.
    ///
    /// # Errors
    ///
    /// If a dimension is none of these.
    pub const fn new(columns: usize, inner: usize, group: usize) -> Result<Self, MatrixError> {
        if !columns.is_multiple_of(BLOCK_COLUMNS) || columns == 0 || columns > MAX_COLUMNS {
            return Err(MatrixError::Columns(columns));
        }
        if !inner.is_multiple_of(LINE) || inner == 0 || inner > MAX_INNER {
            return Err(MatrixError::Inner(inner));
        }
        if !(group == HALF_LINE || group.is_multiple_of(LINE)) || group > MAX_INNER {
            return Err(MatrixError::Group(group));
        }
        Ok(Self { columns, inner, group })
    }

    /// The shape for these true dimensions, padded.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub const fn padded(columns: usize, inner: usize, group: usize) -> Result<Self, MatrixError> {
        if columns > MAX_COLUMNS {
            return Err(MatrixError::Columns(columns));
        }
        if inner > MAX_INNER {
            return Err(MatrixError::Inner(inner));
        }
        Self::new(columns.next_multiple_of(BLOCK_COLUMNS), inner.next_multiple_of(LINE), group)
    }

    /// Outputs of a product.
    pub const fn columns(self) -> usize {
        self.columns
    }

    /// Inputs of a product.
    pub const fn inner(self) -> usize {
        self.inner
    }

    /// Inner elements of a group as it was given: 0 means all.
    pub const fn group(self) -> usize {
        self.group
    }

    /// Inner elements of every group but the last.
    pub const fn group_length(self) -> usize {
        group_length(self.inner, self.group)
    }

    /// Groups of a column.
    pub const fn groups(self) -> usize {
        self.inner.div_ceil(self.group_length())
    }

    /// How many weights are stored.
    pub const fn tiles(self) -> usize {
        self.columns * self.inner
    }

    /// How many scales are stored.
    pub const fn scales(self) -> usize {
        self.columns * self.groups()
    }

    /// Where weight `(column, k)` stands: `((n/16) * (inner/64) + k/64) * 1024 + (k%64)/4*64 + (n%16)*4 + k%4`.
    const fn tile_index(self, column: usize, k: usize) -> usize {
        let tile = (column / TILE_COLUMNS) * (self.inner / LINE) + k / LINE;
        tile * TILE_BYTES + (k % LINE) / 4 * LINE + (column % TILE_COLUMNS) * 4 + k % 4
    }

    /// Where the scale of `(column, group)` stands: `((n/16) * groups + g) * 16 + n%16`.
    const fn scale_index(self, column: usize, group: usize) -> usize {
        ((column / TILE_COLUMNS) * self.groups() + group) * TILE_COLUMNS + column % TILE_COLUMNS
    }
}

/// Elements of a group, where 0 means all `inner`.
pub(super) const fn group_length(inner: usize, group: usize) -> usize {
    if group == 0 || group > inner { inner } else { group }
}

/// Grouped weights in somebody's memory. The value of an element is `weight * scale`.
///
/// Weights are in `[-127, 127]` (-128 is outside the contract, and products of it still agree), scales are the bits of
/// finite half-precision numbers with a clear sign. Who reads a package checks that; here only lengths are.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    tiles: &'a [i8],
    scales: &'a [u16],
    shape: Shape,
}

impl<'a> Matrix<'a> {
    /// A matrix of `tiles` and `scales` in the order that [`OwnedMatrix`] has.
    ///
    /// # Errors
    ///
    /// If there are not as many as `shape` asks for.
    pub const fn new(tiles: &'a [i8], scales: &'a [u16], shape: Shape) -> Result<Self, MatrixError> {
        if tiles.len() != shape.tiles() {
            return Err(MatrixError::Tiles { got: tiles.len(), expected: shape.tiles() });
        }
        if scales.len() != shape.scales() {
            return Err(MatrixError::Scales { got: scales.len(), expected: shape.scales() });
        }
        Ok(Self { tiles, scales, shape })
    }

    /// Its dimensions.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Outputs of a product.
    pub const fn columns(&self) -> usize {
        self.shape.columns
    }

    /// Inputs of a product.
    pub const fn inner(&self) -> usize {
        self.shape.inner
    }

    /// Weight `(column, k)`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn get(&self, column: usize, k: usize) -> i8 {
        assert!(column < self.columns() && k < self.inner(), "element ({column}, {k}) is outside");
        self.tiles[self.shape.tile_index(column, k)]
    }

    /// The bits of the scale of `(column, group)`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn scale(&self, column: usize, group: usize) -> u16 {
        assert!(
            column < self.columns() && group < self.shape.groups(),
            "group ({column}, {group}) is outside"
        );
        self.scales[self.shape.scale_index(column, group)]
    }

    /// The weights of one column as floats, `i8_to_f32(weight) * f16_to_f32(scale)`, as many as `out` takes: the
    /// embedding of a token.
    ///
    /// # Panics
    ///
    /// If there is no such column, or `out` is longer than the inner dimension.
    pub fn row_into(&self, column: usize, out: &mut [f32]) {
        assert!(column < self.columns(), "column {column} is outside");
        assert!(out.len() <= self.inner(), "a row has {} elements, not {}", self.inner(), out.len());
        let length = self.shape.group_length();
        for (group, out) in out.chunks_mut(length).enumerate() {
            let scale = half_to_f32(self.scale(column, group));
            // Groups begin at a multiple of 32, so that elements of four stand together.
            for (quad, out) in out.chunks_mut(4).enumerate() {
                let start = self.shape.tile_index(column, group * length + quad * 4);
                for (out, weight) in out.iter_mut().zip(&self.tiles[start..start + 4]) {
                    *out = f32::from(*weight) * scale;
                }
            }
        }
    }

    /// The tiles of 16 columns.
    pub(super) fn tile_column(&self, index: usize) -> &'a [i8] {
        let length = TILE_COLUMNS * self.inner();
        &self.tiles[index * length..][..length]
    }

    /// The scales of 16 columns: for each group after the other.
    pub(super) fn tile_scales(&self, index: usize) -> &'a [[u16; TILE_COLUMNS]] {
        let groups = self.shape.groups();
        &self.scales.as_chunks().0[index * groups..][..groups]
    }
}

impl core::fmt::Debug for Matrix<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Matrix of {:?}", self.shape)
    }
}

/// Grouped weights in memory of their own: what packing fills.
#[derive(Debug)]
pub struct OwnedMatrix {
    tiles: Buffer<i8>,
    scales: Buffer<u16>,
    shape: Shape,
}

impl OwnedMatrix {
    /// All weights and scales 0.
    pub fn zeroed(shape: Shape) -> Self {
        Self { tiles: Buffer::zeroed(shape.tiles()), scales: Buffer::zeroed(shape.scales()), shape }
    }

    /// Sets the weights and scales of one column. What the slices do not reach stays as it is: 0 in padding.
    ///
    /// # Panics
    ///
    /// If there is no such column, or a slice is longer than a column.
    pub fn set_row(&mut self, column: usize, weights: &[i8], scales: &[u16]) {
        assert!(column < self.shape.columns, "column {column} is outside");
        assert!(
            weights.len() <= self.shape.inner && scales.len() <= self.shape.groups(),
            "a row is too long"
        );
        let start = self.shape.tile_index(column, 0);
        // Quads of one column are 64 bytes apart, across tiles too: a tile is sixteen of them.
        let end = start - column % TILE_COLUMNS * 4 + self.shape.inner * TILE_COLUMNS;
        let lines = self.tiles[start..end].chunks_mut(LINE);
        for (line, quad) in lines.zip(weights.chunks(4)) {
            line[..quad.len()].copy_from_slice(quad);
        }
        let start = self.shape.scale_index(column, 0);
        let groups = self.scales[start..].iter_mut().step_by(TILE_COLUMNS);
        groups.zip(scales).for_each(|(to, scale)| *to = *scale);
    }

    /// It, to multiply with.
    pub fn matrix(&self) -> Matrix<'_> {
        Matrix { tiles: &self.tiles, scales: &self.scales, shape: self.shape }
    }

    /// All weights in the order of the format.
    pub fn tiles(&self) -> &[i8] {
        &self.tiles
    }

    /// The bits of all scales in the order of the format.
    pub fn scales(&self) -> &[u16] {
        &self.scales
    }

    /// Its dimensions.
    pub const fn shape(&self) -> Shape {
        self.shape
    }
}

/// A matrix of a function of column and inner index, and one of column and group.
pub fn pack_matrix(
    shape: Shape,
    mut weight: impl FnMut(usize, usize) -> i8,
    mut scale: impl FnMut(usize, usize) -> u16,
) -> OwnedMatrix {
    let mut matrix = OwnedMatrix::zeroed(shape);
    let (mut weights, mut scales) = (vec![0; shape.inner], vec![0; shape.groups()]);
    for column in 0..shape.columns {
        weights.iter_mut().enumerate().for_each(|(k, to)| *to = weight(column, k));
        scales.iter_mut().enumerate().for_each(|(group, to)| *to = scale(column, group));
        matrix.set_row(column, &weights, &scales);
    }
    matrix
}

/// The value of a half-precision number, which is exact in single precision.
#[inline(always)]
pub const fn half_to_f32(bits: u16) -> f32 {
    let (sign, exponent, fraction) =
        ((bits as u32 >> 15) << 31, (bits >> 10) as u32 & 31, bits as u32 & 1023);
    match exponent {
        // Denormal: a multiple of 2^-24, which the product is exactly.
        0 => {
            let value = fraction as f32 * f32::from_bits((127 - 24) << 23);
            f32::from_bits(value.to_bits() | sign)
        }
        31 => f32::from_bits(sign | 0xff << 23 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_checked() {
        for (columns, inner, group, groups) in
            [(32, 64, 32, 2), (64, 192, 128, 2), (1 << 20, 65_536, 0, 1), (32, 64, 256, 1), (32, 128, 64, 2)]
        {
            assert_eq!(Shape::new(columns, inner, group).unwrap().groups(), groups);
        }
        for (columns, inner, group) in
            [(0, 64, 32), (16, 64, 32), (usize::MAX - 31, 64, 32), (1 << 21, 64, 32)]
        {
            assert_eq!(Shape::new(columns, inner, group), Err(MatrixError::Columns(columns)));
        }
        for inner in [0, 32, 65_600, usize::MAX & !63] {
            assert_eq!(Shape::new(32, inner, 32), Err(MatrixError::Inner(inner)));
        }
        for group in [1, 16, 33, 96, 1 << 17] {
            assert_eq!(Shape::new(32, 64, group), Err(MatrixError::Group(group)));
        }
        assert_eq!(Shape::padded(33, 65, 32), Shape::new(64, 128, 32));
        assert_eq!(Shape::padded(usize::MAX, 65, 32), Err(MatrixError::Columns(usize::MAX)));
        assert_eq!(Shape::padded(1, usize::MAX, 32), Err(MatrixError::Inner(usize::MAX)));

        let shape = Shape::new(32, 64, 32).unwrap();
        let (tiles, scales) = (vec![0; 32 * 64], vec![0; 64]);
        assert!(Matrix::new(&tiles, &scales, shape).is_ok());
        let error = Matrix::new(&tiles[1..], &scales, shape).unwrap_err();
        assert_eq!(error, MatrixError::Tiles { got: 2047, expected: 2048 });
        let error = Matrix::new(&tiles, &scales[1..], shape).unwrap_err();
        assert_eq!(error, MatrixError::Scales { got: 63, expected: 64 });
    }

    #[test]
    fn elements_are_where_the_format_says() {
        for group in [32, 64, 128, 0] {
            let shape = Shape::new(64, 192, group).unwrap();
            let weight = |n: usize, k: usize| ((n * 31 + k * 7) % 255) as u8 as i8;
            let scale = |n: usize, g: usize| (n * 8 + g) as u16;
            let packed = pack_matrix(shape, weight, scale);
            let matrix = Matrix::new(packed.tiles(), packed.scales(), packed.shape()).unwrap();
            for n in 0..64 {
                for k in 0..192 {
                    let at = ((n / 16) * 3 + k / 64) * 1024 + (k % 64) / 4 * 64 + (n % 16) * 4 + k % 4;
                    assert_eq!(packed.tiles()[at], weight(n, k));
                    assert_eq!(matrix.get(n, k), weight(n, k));
                }
                for g in 0..shape.groups() {
                    assert_eq!(packed.scales()[((n / 16) * shape.groups() + g) * 16 + n % 16], scale(n, g));
                    assert_eq!(matrix.scale(n, g), scale(n, g));
                }
                for length in [0, 1, 30, 129, 192] {
                    let mut row = vec![f32::NAN; length];
                    matrix.row_into(n, &mut row);
                    for (k, value) in row.into_iter().enumerate() {
                        let scale = half_to_f32(scale(n, k / shape.group_length()));
                        assert_eq!(value, f32::from(weight(n, k)) * scale);
                    }
                }
            }
        }
    }

    #[test]
    fn short_rows_leave_the_padding() {
        let mut matrix = OwnedMatrix::zeroed(Shape::new(32, 64, 32).unwrap());
        matrix.set_row(31, &[1; 33], &[7]);
        assert_eq!([matrix.matrix().get(31, 32), matrix.matrix().get(31, 33)], [1, 0]);
        assert_eq!([matrix.matrix().scale(31, 0), matrix.matrix().scale(31, 1)], [7, 0]);
        assert_eq!(matrix.tiles().iter().map(|w| usize::from(*w != 0)).sum::<usize>(), 33);
    }

    #[test]
    fn halves_have_their_values() {
        for bits in 0..=u16::MAX {
            let value = half_to_f32(bits);
            let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
            let magnitude = match exponent {
                0 => fraction * f64::powi(2.0, -24),
                31 if fraction == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                _ => (1024.0 + fraction) * f64::powi(2.0, exponent - 25),
            };
            let expected = if bits >> 15 == 1 { -magnitude } else { magnitude };
            assert!(f64::from(value).to_bits() == expected.to_bits() || value.is_nan() && expected.is_nan());
        }
    }
}
