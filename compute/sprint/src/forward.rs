//! The function, layer by layer, for a batch of nonces at once.
//!
//! With `rs(a, s) = (a + 2^(s-1)) >> s`, `c8` a clamp to `[-127, 127]`, `clamp23` one to `+-(2^23 - 1)`, and
//! `s(K)` the least `s` with `2^(2 s + 1) >= 5376 K`, the state `h` (S rows of D elements, zero at first) goes through
//! L layers:
//!
//! 1. **Input**: `h = clamp23(h + (i << 5))`, where `i` are the nonce's own bytes. Injecting in every layer makes
//!    every layer specific to its nonce: nothing can be shared between nonces, or predicted from another.
//! 2. **Norm**: each row is scaled to a root mean square of 32 ([`norm`]).
//! 3. **Queries, keys, values**: `c8(rs(sum, s(D)))`.
//! 4. **Attention** of every token to every token, in heads of 64 ([`attention`]).
//! 5. **Residual**: `h = clamp23(h + rs(sum, s(D) - 6))`.
//! 6. **Norm** again.
//! 7. **Gated unit**: `z = c8(rs(leaky(g) * u, s2))` with `g` and `u` as `c8(rs(sum, s(D)))`; `leaky` quarters what is
//!    negative; `s2` is 4, or 5 when `5376 D > 2^(2 s(D))`.
//! 8. **Residual**: `h = clamp23(h + rs(sum, s(F) - 6))`.
//!
//! Weights are pseudorandom bytes: element `k` of column `n` of matrix `m` (0 queries, keys and values; 1 output; 2
//! gates and values, sixteen columns of each in turn; 3 down) of layer `l` is byte `k % 64` of block
//! `n * (K / 64) + k / 64` of ChaCha8 with nonce `(l, m, 1)`; a byte of -128 counts as 0. Elements `64 b` to `64 b + 63`
//! of the input of token `t` in layer `l` are block `b` with nonce `(l, t, 2)`, under the nonce's own key.

use core::ops::Range;

use freeway_kernels::{Activations, Backend, Buffer, Key, Output, attention, inject, multiply, norm};

use crate::model::{Matrix, Model};
use crate::shape::{FRACTION_BITS, Shape};
use crate::trace::{Trace, state_digest};

/// The states of a batch of nonces, and room for what is between them.
#[derive(Debug)]
pub(crate) struct States {
    shape: Shape,
    backend: Backend,
    /// Nonces that there is room for.
    room: usize,
    /// Nonces in use.
    nonces: usize,
    h: Buffer<i32>,
    qkv: Buffer<i8>,
    /// What products read: normed rows, and the output of attention.
    narrow: Activations,
    /// What the last product of a layer reads.
    wide: Activations,
}

impl States {
    /// Room for up to `nonces`, which is not 0.
    pub(crate) fn new(shape: Shape, backend: Backend, nonces: usize) -> Self {
        let rows = nonces * shape.tokens();
        Self {
            shape,
            backend,
            room: nonces,
            nonces,
            h: Buffer::zeroed(rows * shape.width()),
            qkv: Buffer::zeroed(3 * rows * shape.width()),
            narrow: Activations::new(backend, rows, shape.width()),
            wide: Activations::new(backend, rows, shape.hidden()),
        }
    }

    /// Nonces that there is room for.
    pub(crate) const fn room(&self) -> usize {
        self.room
    }

    /// Begins with the first layer of `nonces` nonces.
    pub(crate) fn reset(&mut self, nonces: usize) {
        self.nonces = nonces;
        let rows = nonces * self.shape.tokens();
        self.narrow.set_rows(rows);
        self.wide.set_rows(rows);
        self.h[..rows * self.shape.width()].fill(0);
    }

    /// The state of one nonce.
    pub(crate) fn state(&self, nonce: usize) -> &[i32] {
        &self.h[nonce * self.shape.state_len()..][..self.shape.state_len()]
    }

    /// The state of one nonce, to be set.
    pub(crate) fn state_mut(&mut self, nonce: usize) -> &mut [i32] {
        &mut self.h[nonce * self.shape.state_len()..][..self.shape.state_len()]
    }

    /// The traces of the nonces with these keys, as many as were reset.
    pub(crate) fn traces(&mut self, model: &Model, threads: usize, keys: &[Key]) -> Vec<Trace> {
        let groups = self.shape.groups();
        let mut traces = vec![Trace { boundaries: Vec::with_capacity(groups) }; keys.len()];
        for group in 0..groups {
            self.layers(model, threads, keys, self.shape.group_layers(group));
            for (nonce, trace) in traces.iter_mut().enumerate() {
                trace.boundaries.push(state_digest(self.state(nonce)));
            }
        }
        traces
    }

    /// Goes through some layers.
    pub(crate) fn layers(&mut self, model: &Model, threads: usize, keys: &[Key], layers: Range<usize>) {
        debug_assert!(model.shape() == self.shape && keys.len() == self.nonces);
        for layer in layers {
            self.layer(model, threads, keys, layer);
        }
    }

    fn layer(&mut self, model: &Model, threads: usize, keys: &[Key], layer: usize) {
        let Self { shape, backend, nonces, .. } = *self;
        let (tokens, width) = (shape.tokens(), shape.width());
        let rows = nonces * tokens;
        let h = &mut self.h[..rows * width];
        let qkv = &mut self.qkv[..3 * rows * width];
        let (narrow, wide) = (&mut self.narrow, &mut self.wide);
        let shift = Shape::shift(width);

        inject(backend, threads, h, width, tokens, keys, layer as u32);
        norm(backend, threads, h, narrow);
        let weights = model.weights(layer, Matrix::Qkv);
        multiply(backend, threads, narrow, weights, Output::Requantise { out: qkv, shift });
        attention(backend, threads, qkv, tokens, narrow);
        let weights = model.weights(layer, Matrix::Output);
        multiply(backend, threads, narrow, weights, Output::Residual { h, shift: shift - FRACTION_BITS });

        norm(backend, threads, h, narrow);
        let weights = model.weights(layer, Matrix::GateUp);
        let gated = Output::Glu { out: wide, shift, product_shift: shape.gate_shift() };
        multiply(backend, threads, narrow, weights, gated);
        let weights = model.weights(layer, Matrix::Down);
        let shift = Shape::shift(shape.hidden()) - FRACTION_BITS;
        multiply(backend, threads, wide, weights, Output::Residual { h, shift });
    }
}
