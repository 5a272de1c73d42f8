//! Pages of the cache of keys and values: int8, 64 positions, all layers.

use crate::backend::Backend;
use crate::buffer::Buffer;
use crate::rows::at_level;

/// Positions of a page.
pub const PAGE_POSITIONS: usize = 64;
/// The longest head.
pub const MAX_HEAD: usize = 256;
/// The most pages of a sequence: 65,536 positions. With more, the sums of attention could leave 64 bits.
pub const MAX_PAGES: usize = 1024;

/// Heads are a multiple of this long.
pub(super) const HEAD_STEP: usize = 16;
/// What is added to a key, so that it is an unsigned byte: what `vpdpbusd` takes on its left side.
pub(super) const KEY_FLIP: u8 = 0x80;
/// Bytes of the group of four elements of all keys of a page.
pub(super) const KEY_QUADS: usize = 4 * PAGE_POSITIONS;

/// `2^-100`: what the largest magnitude of a vector is at least taken for, so that no scale is 0.
const SMALLEST: f32 = f32::from_bits((127 - 100) << 23);
/// `1.5 * 2^23`: between `2^23` and `2^24`, floats are the integers, so that adding this rounds half to even, and
/// leaves the integer in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

/// Keys and values of [`PAGE_POSITIONS`] positions, for all layers and heads of keys, each vector quantised alone: `m
/// = max |x|`, `m' = max(m, 2^-100)`, `d = m' / 127`, `i = 127 / m'`, `q = round_half_even(clamp(x * i, -127, 127))`.
///
/// What was not stored is zero. A cloned page is a copy, for a sequence that goes on differently.
///
/// In memory, for each layer and head: element `d` of the key at position `j` at `(d / 4) * 256 + 4 j + d % 4`, as an
/// unsigned byte 128 larger; element `d` of the value at `(j / 2) * 2 head + 2 d + j % 2`; 64 scales of keys, then 64
/// of values.
#[derive(Debug)]
pub struct Page {
    keys: Buffer<u8>,
    values: Buffer<i8>,
    scales: Buffer<f32>,
    shape: Shape,
}

/// What pages of one model have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) layers: usize,
    pub(super) kv_heads: usize,
    pub(super) head: usize,
}

/// One layer and head of a page.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) keys: &'a [u8],
    pub(super) values: &'a [i8],
    pub(super) key_scales: &'a [f32; PAGE_POSITIONS],
    pub(super) value_scales: &'a [f32; PAGE_POSITIONS],
}

impl Page {
    /// A page of zeros for `layers` layers with `kv_heads` heads of `head` elements.
    ///
    /// # Panics
    ///
    /// If there is no layer or head, or `head` is not a multiple of 16 up to [`MAX_HEAD`].
    pub fn new(layers: usize, kv_heads: usize, head: usize) -> Self {
        assert!(layers > 0 && kv_heads > 0, "a page has layers and heads");
        assert!(
            head.is_multiple_of(HEAD_STEP) && (HEAD_STEP..=MAX_HEAD).contains(&head),
            "heads of {head} elements: their length is a multiple of {HEAD_STEP} up to {MAX_HEAD}"
        );
        let shape = Shape { layers, kv_heads, head };
        let vectors = layers * kv_heads * PAGE_POSITIONS;
        let mut keys = Buffer::zeroed(vectors * head);
        keys.fill(KEY_FLIP);
        Self { keys, values: Buffer::zeroed(vectors * head), scales: Buffer::zeroed(2 * vectors), shape }
    }

    /// Bytes that [`new`](Self::new) would take from memory.
    pub const fn bytes_of(layers: usize, kv_heads: usize, head: usize) -> usize {
        let vectors = layers * kv_heads * PAGE_POSITIONS;
        2 * vectors * (head + size_of::<f32>()) + size_of::<Self>()
    }

    /// Bytes of memory.
    pub const fn bytes(&self) -> usize {
        Self::bytes_of(self.shape.layers, self.shape.kv_heads, self.shape.head)
    }

    /// Quantises and keeps a key (with its position already rotated in) and a value.
    ///
    /// # Panics
    ///
    /// If `backend` is not available, if there is no such layer, head or slot, or if a vector is not as long as a
    /// head.
    pub fn store(
        &mut self,
        backend: Backend,
        layer: usize,
        kv_head: usize,
        slot: usize,
        key: &[f32],
        value: &[f32],
    ) {
        let level = backend.level();
        let head = self.shape.head;
        assert!(slot < PAGE_POSITIONS, "slot {slot} of a page of {PAGE_POSITIONS}");
        assert!(key.len() == head && value.len() == head, "keys and values have {head} elements");
        let vector = self.vector(layer, kv_head);
        let mut elements = [0; MAX_HEAD];
        let elements = &mut elements[..head];

        let scale = &mut self.scales[2 * vector..][..2 * PAGE_POSITIONS];
        at_level!(
            level,
            quantise,
            (x: &[f32] = key, q: &mut [i8] = elements, d: &mut f32 = &mut scale[slot])
        );
        let keys = &mut self.keys[vector * head..][..PAGE_POSITIONS * head];
        for (quads, quad) in keys.chunks_exact_mut(KEY_QUADS).zip(elements.as_chunks::<4>().0) {
            quads.as_chunks_mut::<4>().0[slot] = quad.map(|element| element as u8 ^ KEY_FLIP);
        }

        let scale = &mut scale[PAGE_POSITIONS + slot];
        at_level!(level, quantise, (x: &[f32] = value, q: &mut [i8] = elements, d: &mut f32 = scale));
        let values = &mut self.values[vector * head..][..PAGE_POSITIONS * head];
        let pairs = values[slot / 2 * 2 * head..][..2 * head].as_chunks_mut::<2>().0;
        for (pair, element) in pairs.iter_mut().zip(elements) {
            pair[slot % 2] = *element;
        }
    }

    /// Takes over everything that `other` holds.
    ///
    /// # Panics
    ///
    /// If it has another shape.
    pub fn copy_from(&mut self, other: &Self) {
        assert_eq!(self.shape, other.shape, "pages of different models");
        self.keys.copy_from_slice(&other.keys);
        self.values.copy_from_slice(&other.values);
        self.scales.copy_from_slice(&other.scales);
    }

    pub(super) const fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn view(&self, layer: usize, kv_head: usize) -> View<'_> {
        let (vector, head) = (self.vector(layer, kv_head), self.shape.head);
        let scales = &self.scales.as_chunks::<PAGE_POSITIONS>().0[2 * vector / PAGE_POSITIONS..][..2];
        View {
            keys: &self.keys[vector * head..][..PAGE_POSITIONS * head],
            values: &self.values[vector * head..][..PAGE_POSITIONS * head],
            key_scales: &scales[0],
            value_scales: &scales[1],
        }
    }

    /// How many vectors come before those of a layer and head.
    fn vector(&self, layer: usize, kv_head: usize) -> usize {
        let Shape { layers, kv_heads, .. } = self.shape;
        assert!(
            layer < layers && kv_head < kv_heads,
            "layer {layer}, head {kv_head} of {layers} and {kv_heads}"
        );
        (layer * kv_heads + kv_head) * PAGE_POSITIONS
    }
}

impl Clone for Page {
    fn clone(&self) -> Self {
        let Shape { layers, kv_heads, head } = self.shape;
        let mut page = Self::new(layers, kv_heads, head);
        page.copy_from(self);
        page
    }
}

impl View<'_> {
    /// Element `d` of the key at position `j`.
    pub(super) fn key(&self, j: usize, d: usize) -> i8 {
        (self.keys[d / 4 * KEY_QUADS + 4 * j + d % 4] ^ KEY_FLIP) as i8
    }

    /// Element `d` of the value at position `j`.
    pub(super) fn value(&self, j: usize, d: usize) -> i8 {
        self.values[j / 2 * (2 * self.values.len() / PAGE_POSITIONS) + 2 * d + j % 2]
    }
}

/// Quantises a vector: the formulas stand at [`Page`].
///
/// The magnitudes are compared as integers, which orders floats in the same way, so that the compiler may choose how.
#[inline(always)]
pub(super) fn quantise(x: &[f32], q: &mut [i8], d: &mut f32) {
    let largest = x.iter().fold(SMALLEST.to_bits(), |largest, x| largest.max(x.abs().to_bits()));
    let largest = f32::from_bits(largest);
    *d = largest / 127.0;
    let inverse = 127.0 / largest;
    for (q, x) in q.iter_mut().zip(x) {
        let scaled = x * inverse;
        let scaled = if scaled > -127.0 { scaled } else { -127.0 };
        let scaled = if scaled < 127.0 { scaled } else { 127.0 };
        *q = (scaled + ROUNDER).to_bits() as i8;
    }
}

const _: () = assert!(PAGE_POSITIONS == 64 && KEY_QUADS == 256, "the layout that is documented");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From the formulas.
    fn expected(x: &[f32]) -> (Vec<i8>, f32) {
        let m = x.iter().fold(0.0f32, |m, x| m.max(x.abs())).max(2f32.powi(-100));
        let inverse = 127.0 / m;
        let q = x.iter().map(|x| (x * inverse).clamp(-127.0, 127.0).round_ties_even() as i8);
        (q.collect(), m / 127.0)
    }

    fn check(head: usize, slot: usize, key: &[f32], value: &[f32]) {
        for backend in Backend::available() {
            let mut page = Page::new(2, 3, head);
            page.store(backend, 1, 2, slot, key, value);
            let view = page.view(1, 2);
            let (keys, key_scale) = expected(key);
            let (values, value_scale) = expected(value);
            for d in 0..head {
                assert_eq!(view.key(slot, d), keys[d], "{backend}: {} of {key:?}", key[d]);
                assert_eq!(view.value(slot, d), values[d]);
                let other = (slot + 1) % PAGE_POSITIONS;
                assert_eq!((view.key(other, d), view.value(other, d)), (0, 0));
            }
            assert_eq!(view.key_scales[slot].to_bits(), key_scale.to_bits());
            assert_eq!(view.value_scales[slot].to_bits(), value_scale.to_bits());
            let untouched = page.view(1, 1);
            assert!(untouched.keys.iter().all(|key| *key == KEY_FLIP));
            assert!(untouched.values.iter().all(|value| *value == 0));
            let copy = page.clone();
            assert_eq!(copy.view(1, 2).keys, view.keys);
            assert_eq!(copy.view(1, 2).values, view.values);
            assert_eq!(copy.view(1, 2).key_scales, view.key_scales);
        }
    }

    #[test]
    fn hostile_vectors() {
        for x in [0.0, -0.0, f32::from_bits(1), -f32::MIN_POSITIVE, 1.0, -0.5, 1e30, f32::MAX, f32::MIN] {
            let mut vector = [x; 32];
            check(32, 63, &vector, &[0.5; 32]);
            vector[7] = 3.0;
            vector[9] = 1.5 / 127.0 * 3.0;
            check(32, 0, &[-1.0; 32], &vector);
        }
    }

    #[test]
    fn bytes_are_those_of_the_buffers() {
        let page = Page::new(3, 2, 48);
        let buffers = page.keys.len() + page.values.len() + 4 * page.scales.len();
        assert_eq!(page.bytes(), buffers + size_of::<Page>());
    }

    #[test]
    #[should_panic(expected = "their length is a multiple of 16")]
    fn odd_heads_are_refused() {
        let _ = Page::new(1, 1, 24);
    }

    #[test]
    #[should_panic(expected = "layer 1, head 0")]
    fn other_layers_are_refused() {
        Page::new(1, 1, 16).store(Backend::Scalar, 1, 0, 0, &[0.0; 16], &[0.0; 16]);
    }

    proptest! {
        #[test]
        fn vectors_are_quantised(
            head in 1usize..=16,
            slot in 0..PAGE_POSITIONS,
            bits in prop::collection::vec(any::<(u32, u32)>(), 256),
        ) {
            let finite = |bits: u32| {
                let x = f32::from_bits(bits);
                if x.is_finite() { x } else { 1.0 }
            };
            let (key, value): (Vec<_>, Vec<_>) = bits.iter().map(|bits| (finite(bits.0), finite(bits.1))).unzip();
            check(16 * head, slot, &key[..16 * head], &value[..16 * head]);
        }

        #[test]
        fn halves_round_to_even(head in 1usize..=16, elements in prop::collection::vec(-254i32..=254, 256)) {
            let mut vector: Vec<_> = elements.iter().map(|half| *half as f32 * 0.5).collect();
            vector[0] = 127.0;
            check(16 * head, 5, &vector[..16 * head], &vector[..16 * head]);
        }
    }
}
