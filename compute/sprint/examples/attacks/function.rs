//! The function once more, written to be read: plain loops, one nonce at a time, and a hook wherever somebody could
//! do something else than the honest host.

use freeway_sprint::shape::GROUP_LAYERS;
use freeway_sprint::trace::state_digest;
use freeway_sprint::{Input, Shape};

use crate::stream::{self, Key};

/// Who sees whom in attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mask {
    /// A token sees itself and those before it.
    Causal,
    /// Every token sees all.
    Full,
}

impl Mask {
    /// Tokens that `query` sees of `tokens`.
    pub(crate) const fn seen(self, query: usize, tokens: usize) -> usize {
        match self {
            Self::Causal => query + 1,
            Self::Full => tokens,
        }
    }
}

/// The matrices of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matrix {
    Qkv = 0,
    Output = 1,
    GateUp = 2,
    Down = 3,
}

impl Matrix {
    pub(crate) const ALL: [Self; 4] = [Self::Qkv, Self::Output, Self::GateUp, Self::Down];

    /// Outputs and inputs.
    pub(crate) const fn dimensions(self, shape: Shape) -> (usize, usize) {
        let (d, f) = (shape.width(), shape.hidden());
        match self {
            Self::Qkv => (3 * d, d),
            Self::Output => (d, d),
            Self::GateUp => (2 * f, d),
            Self::Down => (d, f),
        }
    }
}

/// The two parts of a layer, each with its own residual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Attention,
    FeedForward,
}

/// Int8 values that a hook may look at or change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// Normed rows before queries, keys and values.
    Normed,
    /// Queries, keys and values.
    Qkv,
    /// The output of attention.
    Attended,
    /// Normed rows before the gate.
    NormedAgain,
    /// Gates (requantised, not yet leaky).
    Gate,
    /// What gates are multiplied with.
    Up,
    /// Their products.
    Gated,
}

/// Where a product happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) layer: usize,
    pub(crate) matrix: Matrix,
}

/// A way to compute something else. Every default is what an honest host does.
pub(crate) trait Cheat {
    /// Changes what is injected into a token.
    fn inject(&mut self, _layer: usize, _token: usize, _bytes: &mut [i8]) {}

    /// Leaves out a part of a layer.
    fn skips(&mut self, _layer: usize, _part: Part) -> bool {
        false
    }

    /// Computes a product, and says how many multiply-adds it left out.
    fn product(&mut self, _at: At, rows: &[i8], weights: &Weights, sums: &mut [i32]) -> u64 {
        weights.multiply(rows, sums);
        0
    }

    /// Changes the weights that a query gives to the tokens it sees.
    fn attend(&mut self, _layer: usize, _head: usize, _query: usize, _weights: &mut [i32]) {}

    /// Changes int8 values, and says how many multiply-adds need not be done for it.
    fn values(&mut self, _layer: usize, _point: Point, _values: &mut [i8]) -> u64 {
        0
    }

    /// Changes the state before a layer's injection (`None`) or after a part of it.
    fn state(&mut self, _layer: usize, _after: Option<Part>, _h: &mut [i32]) {}
}

/// Does nothing else than the honest host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Honest;

impl Cheat for Honest {}

/// A matrix, row after row of what one output is made of.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    pub(crate) outputs: usize,
    pub(crate) inner: usize,
    pub(crate) values: Vec<i8>,
}

impl Weights {
    /// `sums[t][n] = rows[t] . values[n]`.
    pub(crate) fn multiply(&self, rows: &[i8], sums: &mut [i32]) {
        for (n, weights) in self.values.chunks_exact(self.inner).enumerate() {
            for (t, row) in rows.chunks_exact(self.inner).enumerate() {
                sums[t * self.outputs + n] = dot(row, weights);
            }
        }
    }

    /// The same with every weight changed.
    pub(crate) fn map(&self, change: impl Fn(i8) -> i8) -> Self {
        Self { values: self.values.iter().map(|weight| change(*weight)).collect(), ..*self }
    }
}

pub(crate) fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(i16::from(*a) * i16::from(*b))).sum()
}

/// All weights of a race.
#[derive(Clone, Debug)]
pub(crate) struct Net {
    pub(crate) shape: Shape,
    pub(crate) mask: Mask,
    pub(crate) layers: Vec<[Weights; 4]>,
}

impl Net {
    pub(crate) fn new(shape: Shape, mask: Mask, seed: &[u8; 32], threads: usize) -> Self {
        let key = stream::weights_key(seed);
        let layers = crate::lab::parallel(threads, shape.layers(), |layer| {
            Matrix::ALL.map(|matrix| {
                let (outputs, inner) = matrix.dimensions(shape);
                let blocks = 0..(outputs * inner / 64) as u32;
                let nonce = [layer as u32, matrix as u32, 1];
                let values = blocks.flat_map(|block| key.operands(block, nonce)).collect();
                Weights { outputs, inner, values }
            })
        });
        Self { shape, mask, layers }
    }

    /// A net with other weights.
    pub(crate) fn map(&self, change: impl Fn(&Weights) -> Weights) -> Self {
        let layers = self.layers.iter().map(|layer| layer.each_ref().map(&change)).collect();
        Self { layers, ..*self }
    }
}

/// What a computation leaves behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub(crate) boundaries: Vec<[u8; 32]>,
    pub(crate) h: Vec<i32>,
    /// Multiply-adds that were left out.
    pub(crate) saved: u64,
}

pub(crate) const fn rs(value: i32, shift: u32) -> i32 {
    (value + (1 << (shift - 1))) >> shift
}

pub(crate) fn c8(value: i32) -> i8 {
    value.clamp(-127, 127) as i8
}

pub(crate) fn clamp23(value: i32) -> i32 {
    value.clamp(1 - (1 << 23), (1 << 23) - 1)
}

const EXP2: [i32; 16] = [
    32768, 31379, 30048, 28774, 27554, 26386, 25268, 24196, 23170, 22188, 21247, 20347, 19484, 18658, 17867,
    17109,
];

/// The least `s` with `2^(2 s + 1) >= 5376 inner`.
pub(crate) fn shift(inner: usize) -> u32 {
    (0..).find(|s| 1u64 << (2 * s + 1) >= 5_376 * inner as u64).unwrap_or(31)
}

/// Multiply-adds of one part of a layer.
pub(crate) fn part_macs(shape: Shape, mask: Mask, part: Part) -> u64 {
    let (s, d, f) = (shape.tokens(), shape.width(), shape.hidden());
    let pairs: usize = (0..s).map(|query| mask.seen(query, s)).sum();
    let macs = match part {
        Part::Attention => 4 * s * d * d + 2 * pairs * d,
        Part::FeedForward => 3 * s * d * f,
    };
    macs as u64
}

/// Multiply-adds of one nonce.
pub(crate) fn macs(shape: Shape, mask: Mask) -> u64 {
    let layer = part_macs(shape, mask, Part::Attention) + part_macs(shape, mask, Part::FeedForward);
    shape.layers() as u64 * layer
}

/// All layers of one nonce.
pub(crate) fn run(net: &Net, input: &Input, cheat: &mut impl Cheat) -> Run {
    let mut run = Run { h: vec![0; net.shape.state_len()], ..Run::default() };
    let key = stream::nonce_key(input);
    for layer in 0..net.shape.layers() {
        run.saved += step(net, &key, layer, &mut run.h, cheat);
        if (layer + 1).is_multiple_of(GROUP_LAYERS as usize) || layer + 1 == net.shape.layers() {
            run.boundaries.push(state_digest(&run.h));
        }
    }
    run
}

/// One layer. Gives the multiply-adds that were left out.
pub(crate) fn step(net: &Net, key: &Key, layer: usize, h: &mut [i32], cheat: &mut impl Cheat) -> u64 {
    let (d, f) = (net.shape.width(), net.shape.hidden());
    let mut saved = 0;
    cheat.state(layer, None, h);
    for (token, row) in h.chunks_exact_mut(d).enumerate() {
        let mut bytes = stream::injection(key, layer, token, d);
        cheat.inject(layer, token, &mut bytes);
        for (h, byte) in row.iter_mut().zip(bytes) {
            *h = clamp23(*h + (i32::from(byte) << 5));
        }
    }
    if cheat.skips(layer, Part::Attention) {
        saved += part_macs(net.shape, net.mask, Part::Attention);
    } else {
        let mut x = norm(h, d);
        saved += cheat.values(layer, Point::Normed, &mut x);
        let sums = product(net, layer, Matrix::Qkv, &x, cheat, &mut saved);
        let mut qkv: Vec<_> = sums.iter().map(|sum| c8(rs(*sum, shift(d)))).collect();
        saved += cheat.values(layer, Point::Qkv, &mut qkv);
        let mut o = attention(net, layer, &qkv, cheat);
        saved += cheat.values(layer, Point::Attended, &mut o);
        let sums = product(net, layer, Matrix::Output, &o, cheat, &mut saved);
        residual(h, &sums, shift(d) - 6);
        cheat.state(layer, Some(Part::Attention), h);
    }
    if cheat.skips(layer, Part::FeedForward) {
        saved += part_macs(net.shape, net.mask, Part::FeedForward);
    } else {
        let mut x = norm(h, d);
        saved += cheat.values(layer, Point::NormedAgain, &mut x);
        let sums = product(net, layer, Matrix::GateUp, &x, cheat, &mut saved);
        let half = |offset: usize| -> Vec<i8> {
            let blocks = sums.chunks_exact(32).flat_map(|block| &block[offset..offset + 16]);
            blocks.map(|sum| c8(rs(*sum, shift(d)))).collect()
        };
        let (mut gate, mut up) = (half(0), half(16));
        saved += cheat.values(layer, Point::Gate, &mut gate);
        saved += cheat.values(layer, Point::Up, &mut up);
        let mut z: Vec<_> = gate.iter().zip(&up).map(|(g, u)| glu(net.shape, *g, *u)).collect();
        saved += cheat.values(layer, Point::Gated, &mut z);
        let sums = product(net, layer, Matrix::Down, &z, cheat, &mut saved);
        residual(h, &sums, shift(f) - 6);
    }
    cheat.state(layer, Some(Part::FeedForward), h);
    saved
}

/// `c8(rs(leaky(g) u, s2))`.
pub(crate) fn glu(shape: Shape, gate: i8, up: i8) -> i8 {
    let d = shape.width();
    let s2 = if 5_376 * d as u64 > 1 << (2 * shift(d)) { 5 } else { 4 };
    let leaky = if gate >= 0 { gate } else { gate >> 2 };
    c8(rs(i32::from(leaky) * i32::from(up), s2))
}

fn product(
    net: &Net,
    layer: usize,
    matrix: Matrix,
    x: &[i8],
    cheat: &mut impl Cheat,
    saved: &mut u64,
) -> Vec<i32> {
    let weights = &net.layers[layer][matrix as usize];
    let mut sums = vec![0; net.shape.tokens() * weights.outputs];
    *saved += cheat.product(At { layer, matrix }, x, weights, &mut sums);
    sums
}

fn residual(h: &mut [i32], sums: &[i32], shift: u32) {
    for (h, sum) in h.iter_mut().zip(sums) {
        *h = clamp23(*h + rs(*sum, shift));
    }
}

fn norm(h: &[i32], width: usize) -> Vec<i8> {
    let scaled = |row: &[i32]| -> Vec<i8> {
        let sum: u64 = row.iter().map(|h| i64::from(*h).pow(2) as u64).sum();
        let inverse = (1i64 << 29) / ((sum / width as u64).isqrt() as i64).max(1);
        row.iter().map(|h| ((i64::from(*h) * inverse + (1 << 23)) >> 24).clamp(-127, 127) as i8).collect()
    };
    h.chunks_exact(width).flat_map(scaled).collect()
}

fn attention(net: &Net, layer: usize, qkv: &[i8], cheat: &mut impl Cheat) -> Vec<i8> {
    let (s, d) = (net.shape.tokens(), net.shape.width());
    let part = |token: usize, part: usize, head: usize| &qkv[token * 3 * d + part * d + head * 64..][..64];
    let mut out = vec![0; s * d];
    for head in 0..d / 64 {
        for query in 0..s {
            let seen = 0..net.mask.seen(query, s);
            let scores: Vec<_> = seen.map(|token| dot(part(query, 0, head), part(token, 1, head))).collect();
            let best = scores.iter().copied().max().unwrap_or(0);
            let exponential = |score: &i32| {
                let steps = (best - score) >> 8;
                if steps >> 4 > 15 { 0 } else { EXP2[(steps & 15) as usize] >> (steps >> 4) }
            };
            let p: Vec<_> = scores.iter().map(exponential).collect();
            let total: i32 = p.iter().sum();
            let mut weights: Vec<_> = p.iter().map(|p| (127 * p + total / 2) / total).collect();
            cheat.attend(layer, head, query, &mut weights);
            for (i, out) in out[query * d + head * 64..][..64].iter_mut().enumerate() {
                let values =
                    weights.iter().enumerate().map(|(token, w)| w * i32::from(part(token, 2, head)[i]));
                *out = c8(rs(values.sum(), 7));
            }
        }
    }
    out
}
