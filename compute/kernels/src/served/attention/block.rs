//! A block of queries on its way through the pages: what the vector backends have in common.

use core::ops::Range;

use super::formulas::output_scale;
use super::{PAGE_POSITIONS, Pages, avx2, vnni};
use crate::backend::Level;
use crate::rows::at_level;
use crate::served::page::{View, quantise};

/// The most queries of a block: their sums, with what is added to them, fill the 32 vector registers that there are.
pub(super) const QUERIES: usize = 7;

/// An implementation of the two passes, chosen by the [`Level`] of a backend.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kernel {
    Avx2,
    Vnni,
}

/// One query of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    /// Keys that it sees.
    pub(super) visible: usize,
    /// Its scale.
    pub(super) scale: f32,
    /// The sum of its elements: keys are stored larger than they are, by the same for each.
    pub(super) sum: i32,
    /// The largest score, in units.
    pub(super) largest: i32,
    /// The largest scale of values, as bits, which are ordered in the same way.
    pub(super) largest_scale: u32,
    /// The sum of powers.
    pub(super) total: u64,
}

/// Queries that share their keys, and a range of pages.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) queries: Vec<Query>,
    pub(super) pages: Range<usize>,
    pub(super) head: usize,
    /// Quantised queries, each `head` long.
    pub(super) bytes: Vec<i8>,
    /// The same in 16 bits and in the order 0 2 1 3 of each four, for 256-bit vectors.
    pub(super) wide: Vec<i16>,
    /// Scores of all keys of the pages, for each query.
    pub(super) units: Vec<i32>,
    /// Sums over the pages, `head` for each query.
    pub(super) sums: Vec<i64>,
}

impl Query {
    /// How many keys of page `page` it sees.
    pub(super) fn visible_in(&self, page: usize) -> usize {
        self.visible.saturating_sub(page * PAGE_POSITIONS).min(PAGE_POSITIONS)
    }
}

impl Block {
    /// Begins anew with queries and how many keys each of them sees.
    pub(super) fn begin<'a>(
        &mut self,
        kernel: Kernel,
        pages: Range<usize>,
        head: usize,
        queries: impl ExactSizeIterator<Item = (&'a [f32], usize)>,
    ) {
        assert!(queries.len() <= QUERIES);
        (self.pages, self.head) = (pages, head);
        // Scores and quantised queries are written before they are read, so that old ones may stay.
        self.units.resize(queries.len() * self.stride(), 0);
        self.bytes.resize(queries.len() * head, 0);
        self.sums.clear();
        self.sums.resize(queries.len() * head, 0);
        self.queries.clear();
        // Kernels, too, are chosen by levels only, so after a check.
        let level = match kernel {
            Kernel::Avx2 => Level::Avx2,
            Kernel::Vnni => Level::Avx512,
        };
        for ((query, visible), bytes) in queries.zip(self.bytes.chunks_exact_mut(head)) {
            let mut scale = 0.0;
            at_level!(level, quantise, (x: &[f32] = query, q: &mut [i8] = bytes, d: &mut f32 = &mut scale));
            let sum = bytes.iter().map(|byte| i32::from(*byte)).sum();
            let (largest, largest_scale, total) = (i32::MIN, 0, 0);
            self.queries.push(Query { visible, scale, sum, largest, largest_scale, total });
        }
        if let Kernel::Avx2 = kernel {
            self.wide.clear();
            let quads = self.bytes.as_chunks::<4>().0;
            self.wide
                .extend(quads.iter().flat_map(|quad| [quad[0], quad[2], quad[1], quad[3]].map(i16::from)));
        }
    }

    /// Scores of one query.
    pub(super) fn stride(&self) -> usize {
        self.pages.len() * PAGE_POSITIONS
    }

    /// The page after `page` (or, after the last, that one), to be fetched in time.
    fn next<'a>(&self, page: usize, pages: &Pages<'a>) -> View<'a> {
        pages.view((page + 1).min(self.pages.end - 1))
    }

    /// The first pass: scores, the largest of them, and the largest scale of values.
    ///
    /// # Safety
    ///
    /// The processor has the features of the kernel.
    pub(super) unsafe fn scores(&mut self, kernel: Kernel, pages: &Pages<'_>, score_scale: f32) {
        for page in self.pages.clone() {
            let (view, next) = (pages.view(page), self.next(page, pages));
            match kernel {
                // SAFETY: the caller's promise.
                Kernel::Avx2 => unsafe { avx2::scores(self, page, view, score_scale) },
                // SAFETY: as above.
                Kernel::Vnni => unsafe { vnni::scores(self, page, view, next, score_scale) },
            }
        }
    }

    /// The second pass: sums of powers, and of weighted values. Before it, `largest` and `largest_scale` of each
    /// query are those of all its pages.
    ///
    /// # Safety
    ///
    /// The processor has the features of the kernel.
    pub(super) unsafe fn values(&mut self, kernel: Kernel, pages: &Pages<'_>) {
        for page in self.pages.clone() {
            let (view, next) = (pages.view(page), self.next(page, pages));
            match kernel {
                // SAFETY: the caller's promise.
                Kernel::Avx2 => unsafe { avx2::values(self, page, view) },
                // SAFETY: as above.
                Kernel::Vnni => unsafe { vnni::values(self, page, view, next) },
            }
        }
    }

    /// Takes over the results of the first pass over all pages.
    pub(super) fn set_largest(&mut self, joined: &Self) {
        for (query, other) in self.queries.iter_mut().zip(&joined.queries) {
            (query.largest, query.largest_scale) = (other.largest, other.largest_scale);
        }
    }

    /// Joins the results of the first pass over other pages.
    pub(super) fn join_largest(&mut self, other: &Self) {
        for (query, other) in self.queries.iter_mut().zip(&other.queries) {
            query.largest = query.largest.max(other.largest);
            query.largest_scale = query.largest_scale.max(other.largest_scale);
        }
    }

    /// Adds the results of the second pass over other pages.
    pub(super) fn join_sums(&mut self, other: &Self) {
        for (query, other) in self.queries.iter_mut().zip(&other.queries) {
            query.total += other.total;
        }
        for (sum, other) in self.sums.iter_mut().zip(&other.sums) {
            *sum += other;
        }
    }

    /// The output of each query.
    pub(super) fn outputs(&self) -> impl Iterator<Item = impl Iterator<Item = f32>> {
        self.queries.iter().zip(self.sums.chunks_exact(self.head)).map(|(query, sums)| {
            let scale = output_scale(f32::from_bits(query.largest_scale), query.total);
            sums.iter().map(move |sum| *sum as f32 * scale)
        })
    }
}

/// The largest scale among the first `visible` of a page, as bits; at least `largest`.
#[inline(always)]
pub(super) fn largest_scale(largest: u32, view: View<'_>, visible: usize) -> u32 {
    // All of a page is the usual case, and has a fixed length.
    if visible == PAGE_POSITIONS {
        view.value_scales.iter().fold(largest, |largest, scale| largest.max(scale.to_bits()))
    } else {
        view.value_scales[..visible].iter().fold(largest, |largest, scale| largest.max(scale.to_bits()))
    }
}
