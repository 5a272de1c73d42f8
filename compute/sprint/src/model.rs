//! The weights of a race.

use freeway_kernels::{Backend, Key, Stored, Stream, Weights};

use crate::input::weights_key;
use crate::shape::Shape;

/// The third nonce word of streams of weights; injected ones have 2.
const WEIGHT_STREAM: u32 = 1;

/// The matrices of a layer. Their numbers are the second nonce word of their streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matrix {
    /// Queries, keys and values: `3 D` columns of `D`.
    Qkv = 0,
    /// From heads back to the stream: `D` of `D`.
    Output = 1,
    /// Gates and values, sixteen columns of each in turn: `2 F` of `D`.
    GateUp = 2,
    /// Back to the stream: `D` of `F`.
    Down = 3,
}

impl Matrix {
    const ALL: [Self; 4] = [Self::Qkv, Self::Output, Self::GateUp, Self::Down];

    /// Columns and inner dimension.
    const fn dimensions(self, shape: Shape) -> (usize, usize) {
        let (width, hidden) = (shape.width(), shape.hidden());
        match self {
            Self::Qkv => (3 * width, width),
            Self::Output => (width, width),
            Self::GateUp => (2 * hidden, width),
            Self::Down => (width, hidden),
        }
    }

    fn stream(self, shape: Shape, key: Key, layer: usize) -> Stream {
        let (columns, inner) = self.dimensions(shape);
        Stream { key, nonce: [layer as u32, self as u32, WEIGHT_STREAM], columns, inner }
    }
}

/// The function of one race: a shape with the weights that follow from a seed.
///
/// Stored weights make nonces cheap and need memory; streamed weights are made panel by panel (at most 2 MiB a
/// thread) for each batch of nonces. Both give the same bits.
#[derive(Debug)]
pub struct Model {
    shape: Shape,
    seed: [u8; 32],
    streams: Vec<[Stream; 4]>,
    stored: Option<Vec<[Stored; 4]>>,
}

impl Model {
    /// A model with all weights in memory: [`Shape::weights_bytes`], and 1/100 more. Made on `threads` threads.
    ///
    /// # Panics
    ///
    /// If `backend` is not available on this machine.
    pub fn stored(shape: Shape, seed: [u8; 32], backend: Backend, threads: usize) -> Self {
        let mut model = Self::streamed(shape, seed);
        let generate =
            |streams: &[Stream; 4]| streams.map(|stream| Stored::generate(&stream, backend, threads));
        model.stored = Some(model.streams.iter().map(generate).collect());
        model
    }

    /// A model that makes weights when they are needed.
    pub fn streamed(shape: Shape, seed: [u8; 32]) -> Self {
        let key = weights_key(&seed);
        let streams = |layer| Matrix::ALL.map(|matrix| matrix.stream(shape, key, layer));
        Self { shape, seed, streams: (0..shape.layers()).map(streams).collect(), stored: None }
    }

    /// Its dimensions.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// The seed of the race.
    pub const fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// Whether its weights are in memory.
    pub const fn is_stored(&self) -> bool {
        self.stored.is_some()
    }

    pub(crate) fn weights(&self, layer: usize, matrix: Matrix) -> Weights<'_> {
        match &self.stored {
            Some(stored) => Weights::Stored(&stored[layer][matrix as usize]),
            None => Weights::Stream(&self.streams[layer][matrix as usize]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_distinct() {
        let model = Model::streamed(Shape::TINY, [0; 32]);
        let mut nonces: Vec<_> = model.streams.iter().flatten().map(|stream| stream.nonce).collect();
        nonces.sort_unstable();
        nonces.dedup();
        assert_eq!(nonces.len(), 4 * Shape::TINY.layers());
        assert!(nonces.iter().all(|nonce| nonce[2] != freeway_kernels::INPUT_STREAM));
    }

    #[test]
    fn parameters_are_those_of_the_matrices() {
        for (_, shape) in Shape::NAMED {
            let sizes = Matrix::ALL.map(|matrix| matrix.dimensions(shape)).map(|(n, k)| (n * k) as u64);
            assert_eq!(shape.parameters(), shape.layers() as u64 * sizes.iter().sum::<u64>());
        }
    }
}
