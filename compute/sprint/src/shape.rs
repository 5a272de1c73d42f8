//! The dimensions of the function, and what follows from them.

use core::fmt;
use core::str::FromStr;

/// Tokens, at least.
pub const MIN_TOKENS: u32 = 2;
/// Tokens, at most.
pub const MAX_TOKENS: u32 = freeway_kernels::MAX_TOKENS as u32;
/// Width and hidden dimension, at most: the inner dimensions of products.
pub const MAX_WIDTH: u32 = freeway_kernels::MAX_INNER as u32;
/// Layers, at most.
pub const MAX_LAYERS: u32 = 1_024;
/// Parameters (each a byte) of all layers, at most.
pub const MAX_PARAMETERS: u64 = 1 << 36;
/// Layers of a group: a digest of the state is taken after each. About 1 % of the time.
pub const GROUP_LAYERS: u32 = 4;
/// Elements of a head, of a ChaCha block, and of the unit in which widths are counted.
pub const HEAD: u32 = 64;
/// Bits of the fraction of the residual stream.
pub(crate) const FRACTION_BITS: u32 = 6;

/// The dimensions of a decoder: `tokens` (S), `width` (D), `layers` (L), `hidden` (F). Heads have 64 elements.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    tokens: u32,
    width: u32,
    layers: u32,
    hidden: u32,
}

/// Why dimensions make no shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// Too few or too many tokens.
    #[error("a shape has {MIN_TOKENS} to {MAX_TOKENS} tokens, not {0}")]
    Tokens(u32),
    /// A width that is no number of heads.
    #[error("the width is a multiple of {HEAD} up to {MAX_WIDTH}, not {0}")]
    Width(u32),
    /// Too few or too many layers.
    #[error("a shape has 1 to {MAX_LAYERS} layers, not {0}")]
    Layers(u32),
    /// A hidden dimension that is no number of blocks.
    #[error("the hidden dimension is a multiple of {HEAD} up to {MAX_WIDTH}, not {0}")]
    Hidden(u32),
    /// Together too large.
    #[error("a shape has at most {MAX_PARAMETERS} parameters, not {0}")]
    Parameters(u64),
}

/// A name that no shape has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no shape {0:?}; the shapes are tiny, A, B and C")]
pub struct UnknownShape(String);

impl Shape {
    /// For tests and networks on one machine: 1.3 million multiply-adds for a nonce, 320 KiB of weights. One slow core
    /// computes thousands of nonces in a race of some seconds, and checks dozens in milliseconds.
    pub const TINY: Self = Self { tokens: 4, width: 64, layers: 8, hidden: 128 };
    /// The default on processors: 470 million parameters.
    pub const A: Self = Self { tokens: 4, width: 512, layers: 64, hidden: 4_096 };
    /// For processors with much memory: 1.9 billion parameters.
    pub const B: Self = Self { tokens: 4, width: 1_024, layers: 64, hidden: 8_192 };
    /// For graphics processors: 2.1 billion parameters, and enough tokens to fill wide tiles.
    pub const C: Self = Self { tokens: 16, width: 2_048, layers: 32, hidden: 8_192 };
    /// All that have names.
    pub const NAMED: [(&'static str, Self); 4] =
        [("tiny", Self::TINY), ("A", Self::A), ("B", Self::B), ("C", Self::C)];

    /// A shape of these dimensions, if they are within bounds.
    pub const fn new(tokens: u32, width: u32, layers: u32, hidden: u32) -> Result<Self, ShapeError> {
        // A single token attends to itself whatever its query and key are: they would be work that nobody needs.
        if tokens < MIN_TOKENS || tokens > MAX_TOKENS {
            return Err(ShapeError::Tokens(tokens));
        }
        if width == 0 || width > MAX_WIDTH || !width.is_multiple_of(HEAD) {
            return Err(ShapeError::Width(width));
        }
        if layers == 0 || layers > MAX_LAYERS {
            return Err(ShapeError::Layers(layers));
        }
        if hidden == 0 || hidden > MAX_WIDTH || !hidden.is_multiple_of(HEAD) {
            return Err(ShapeError::Hidden(hidden));
        }
        let shape = Self { tokens, width, layers, hidden };
        if shape.parameters() > MAX_PARAMETERS {
            return Err(ShapeError::Parameters(shape.parameters()));
        }
        Ok(shape)
    }

    /// Its name, if it has one.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMED.into_iter().find(|(_, shape)| *shape == self).map(|(name, _)| name)
    }

    /// Tokens of a nonce.
    pub const fn tokens(self) -> usize {
        self.tokens as usize
    }

    /// Elements of a token.
    pub const fn width(self) -> usize {
        self.width as usize
    }

    /// Layers.
    pub const fn layers(self) -> usize {
        self.layers as usize
    }

    /// Elements between gate and down.
    pub const fn hidden(self) -> usize {
        self.hidden as usize
    }

    /// Elements of the state of one nonce.
    pub const fn state_len(self) -> usize {
        self.tokens() * self.width()
    }

    /// Groups of four layers, the last of which may be shorter: digests of a trace.
    pub const fn groups(self) -> usize {
        self.layers.div_ceil(GROUP_LAYERS) as usize
    }

    /// The layers of a group, which is below [`groups`](Self::groups).
    pub const fn group_layers(self, group: usize) -> core::ops::Range<usize> {
        let (start, length) = (group * GROUP_LAYERS as usize, GROUP_LAYERS as usize);
        let end = start + length;
        start..if end < self.layers() { end } else { self.layers() }
    }

    /// Parameters: `L (4 D^2 + 3 D F)`.
    pub const fn parameters(self) -> u64 {
        let (width, hidden) = (self.width as u64, self.hidden as u64);
        self.layers as u64 * (4 * width * width + 3 * width * hidden)
    }

    /// Bytes of all weights, without what is stored beside them.
    pub const fn weights_bytes(self) -> u64 {
        self.parameters()
    }

    /// Multiply-adds of one nonce: every parameter once per token, and attention of all tokens to all.
    pub const fn macs_per_nonce(self) -> u64 {
        let tokens = self.tokens as u64;
        let pairs = tokens * tokens;
        self.parameters() * tokens + self.layers as u64 * pairs * 2 * self.width as u64
    }

    /// The dimensions as they are hashed: S, D, L, F, four bytes each, little-endian.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let dimensions = [self.tokens, self.width, self.layers, self.hidden];
        for (bytes, dimension) in bytes.as_chunks_mut().0.iter_mut().zip(dimensions) {
            *bytes = dimension.to_le_bytes();
        }
        bytes
    }

    /// The shift after a product with `inner` operands of root mean square 32, to get such operands again: the
    /// least `s` with `2^(2 s + 1) >= 5376 inner`.
    ///
    /// Weights are uniform in `[-127, 127]`, of mean square 5,376 to the nearest: 5,376 `inner` stands for the variance of the
    /// sum divided by that of an operand.
    pub(crate) const fn shift(inner: usize) -> u32 {
        let mut shift = 0;
        while 1u64 << (2 * shift + 1) < 5_376 * inner as u64 {
            shift += 1;
        }
        shift
    }

    /// The shift after the product of gate and value: 4, or 5 where rounding up [`shift`](Self::shift) did not make
    /// both a little smaller.
    pub(crate) const fn gate_shift(self) -> u32 {
        let requantised = Self::shift(self.width());
        if 5_376 * self.width() as u64 > 1 << (2 * requantised) { 5 } else { 4 }
    }
}

impl FromStr for Shape {
    type Err = UnknownShape;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::NAMED.into_iter().find(|(name, _)| *name == text);
        known.map(|(_, shape)| shape).ok_or_else(|| UnknownShape(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "S{} D{} L{} F{}", self.tokens, self.width, self.layers, self.hidden),
        }
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shape(S{} D{} L{} F{})", self.tokens, self.width, self.layers, self.hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_shapes_are_valid_and_read_back() {
        for (name, shape) in Shape::NAMED {
            assert_eq!(Shape::new(shape.tokens, shape.width, shape.layers, shape.hidden), Ok(shape));
            assert_eq!(name.parse(), Ok(shape));
            assert_eq!(shape.to_string(), name);
        }
        assert!("a".parse::<Shape>().unwrap_err().to_string().contains("tiny"));
        assert_eq!(Shape::new(2, 64, 2, 64).unwrap().to_string(), "S2 D64 L2 F64");
    }

    #[test]
    fn dimensions_out_of_bounds_are_refused() {
        assert_eq!(Shape::new(1, 64, 1, 64), Err(ShapeError::Tokens(1)));
        assert_eq!(Shape::new(65, 64, 1, 64), Err(ShapeError::Tokens(65)));
        assert_eq!(Shape::new(2, 96, 1, 64), Err(ShapeError::Width(96)));
        assert_eq!(Shape::new(2, 65_600, 1, 64), Err(ShapeError::Width(65_600)));
        assert_eq!(Shape::new(2, 64, 0, 64), Err(ShapeError::Layers(0)));
        assert_eq!(Shape::new(2, 64, 1_025, 64), Err(ShapeError::Layers(1_025)));
        assert_eq!(Shape::new(2, 64, 1, 0), Err(ShapeError::Hidden(0)));
        let error = Shape::new(2, 65_536, 1_024, 65_536).unwrap_err();
        assert!(matches!(error, ShapeError::Parameters(_)), "{error}");
    }

    #[test]
    fn numbers_of_the_named_shapes() {
        assert_eq!(Shape::TINY.parameters(), 327_680);
        assert_eq!(Shape::TINY.macs_per_nonce(), 1_327_104);
        assert_eq!(Shape::A.parameters(), 469_762_048);
        assert_eq!(Shape::A.macs_per_nonce(), 1_880_096_768);
        assert_eq!(Shape::B.parameters(), 1_879_048_192);
        assert_eq!(Shape::C.parameters(), 2_147_483_648);
        assert_eq!([Shape::TINY.groups(), Shape::A.groups(), Shape::C.groups()], [2, 16, 8]);
    }

    #[test]
    fn groups_cover_all_layers() {
        for layers in 1..=13 {
            let shape = Shape::new(2, 64, layers, 64).unwrap();
            let all: Vec<_> = (0..shape.groups()).flat_map(|group| shape.group_layers(group)).collect();
            assert_eq!(all, (0..layers as usize).collect::<Vec<_>>());
        }
    }

    #[test]
    fn shifts_are_the_least() {
        assert_eq!([64, 512, 1_024, 4_096, 65_536].map(Shape::shift), [9, 11, 11, 12, 14]);
        for inner in (64..=65_536).step_by(64) {
            let (shift, target) = (Shape::shift(inner), 5_376 * inner as u64);
            assert!(1 << (2 * shift + 1) >= target && 1 << (2 * shift - 1) < target);
            // Residuals keep their fraction, and shifts stay in the range of the kernels.
            assert!((FRACTION_BITS + 1..=29).contains(&shift));
        }
    }
}
