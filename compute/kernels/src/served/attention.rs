//! Attention of served models: int8 keys and values, weights in integers.

use crate::backend::{Backend, Level};
use crate::pool::Pool;

use super::page::{MAX_PAGES, PAGE_POSITIONS, Page, Shape, View};

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod block;
mod formulas;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod vectors;
#[cfg(target_arch = "x86_64")]
mod vnni;

/// Consecutive positions of one sequence, whose attention is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Where the pages of the sequence are in the cache, in order: positions `64 p` to `64 p + 63` in page `p`.
    pub pages: &'a [u32],
    /// Its first row among the queries and in the output.
    pub first: usize,
    /// How many rows there are.
    pub rows: usize,
    /// How many keys the first row sees: its position and all before. Each further row sees one more.
    pub visible: usize,
}

/// Queries of all rows, with their positions already rotated in: head `h` of row `r` at `r * stride + h * head`.
#[derive(Clone, Copy, Debug)]
pub struct Queries<'a> {
    /// All of them, perhaps with something else between rows.
    pub values: &'a [f32],
    /// From one row to the next.
    pub stride: usize,
    /// Heads of a row, a multiple of the heads of keys: head `h` uses keys of `h / (heads / kv_heads)`.
    pub heads: usize,
}

/// The pages of a sequence, seen by one layer and head.
#[derive(Clone, Copy)]
struct Pages<'a> {
    cache: &'a [Page],
    indices: &'a [u32],
    layer: usize,
    kv_head: usize,
}

impl<'a> Pages<'a> {
    fn view(&self, page: usize) -> View<'a> {
        self.cache[self.indices[page] as usize].view(self.layer, self.kv_head)
    }
}

/// A call, checked.
#[derive(Clone, Copy)]
struct Call<'a> {
    cache: &'a [Page],
    layer: usize,
    jobs: &'a [Job<'a>],
    queries: Queries<'a>,
    score_scale: f32,
    head: usize,
    /// Heads that share keys.
    group: usize,
}

/// Attention of rows to the positions before them, with keys and values from pages.
///
/// Rows of `out` have `heads * head` elements. Jobs are in order of their rows, which do not overlap; rows that no
/// job has are left as they are. Before the call, keys and values of all visible positions are stored; what other
/// slots hold makes no difference. However rows are divided into jobs and work among threads, the bits are the same.
///
/// # Formulas
///
/// For one head of one row, with keys `0 <= j < visible`. Floats are `f32`, and each operation is rounded to nearest,
/// ties to even. `k`, `v`, `dk` and `dv` are elements and scales from the [`Page`]; the query is quantised in the
/// same way, to `q` and `dq`. `score_scale` is `log2(e) / sqrt(head)`, perhaps with a factor of the model.
///
/// - *Scores*, powers of two in units of `2^-10`: `c_j = (dq * dk_j) * (score_scale * 1024)`,
///   `u_j = round_half_even(min(max(f32(sum_d q_d k_jd) * c_j, -2^30), 2^30))`.
/// - *Powers*: `U = max u_j`, `t_j = U - u_j`, `p_j = EXP2[t_j & 1023] >> min(t_j >> 10, 31)`, `Z = sum p_j`, where
///   `EXP2[i] = (C[i / 32] * F[i % 32]) >> 32`, `C[i] = round(2^31 * 2^(-i/32))`, `F[i] = round(2^31 * 2^(-i/1024))`.
/// - *Weights*: `M = max dv_j`, `g_j = round_half_even(min(dv_j * (1 / M), 1) * 2^31)`, `w_j = (p_j * g_j) >> 32`, at
///   most `2^29`.
/// - *Sums*, for each page by itself, so that many small weights are not lost beside a large one of another page: `s`
///   such that the largest weight of its visible positions is in `2^29 <= w << s < 2^30` (a page whose weights are
///   all 0 adds nothing), `r_j = min(((w_j << s) + 2^14) >> 15, 32767)`, `S_d = sum r_j v_jd`, and
///   `A_d = A_d + (((S_d << 24) + ((1 << s) >> 1)) >> s)`.
/// - *Output*: `o_d = f32(A_d) * ((M / f32(Z)) * 2^-8)`.
///
/// Only the maxima are needed before the rest, and everything that is summed is an integer: `|sum q k| < 2^22`,
/// `Z <= 2^46`, `|S| < 2^28` and `|A| < 2^62` (64 positions in each of at most 1,024 pages).
///
/// # Panics
///
/// If `backend` is not available; if a job has no rows, sees nothing, has fewer pages than it sees or more than
/// [`MAX_PAGES`] in use, overlaps the one before, or reaches past the queries or the output; if pages that it uses
/// are not in the cache or of different models; or if the heads do not fit those of the pages.
#[expect(clippy::too_many_arguments, reason = "they are few for what takes part in it")]
pub fn attention(
    backend: Backend,
    pool: &Pool,
    cache: &[Page],
    layer: usize,
    jobs: &[Job<'_>],
    queries: Queries<'_>,
    score_scale: f32,
    out: &mut [f32],
) {
    let level = backend.level();
    let Some(first) = jobs.first().and_then(|job| job.pages.first()) else {
        assert!(jobs.is_empty(), "the sequence of a job has no page");
        return;
    };
    let shape = cache[*first as usize].shape();
    let Shape { layers, kv_heads, head } = shape;
    let heads = queries.heads;
    assert!(layer < layers, "layer {layer} of {layers}");
    assert!(
        heads > 0 && heads.is_multiple_of(kv_heads),
        "{heads} heads of queries for {kv_heads} heads of keys: the first is a multiple of the second"
    );
    let width = heads * head;
    assert!(queries.stride >= width, "rows of {width} elements every {} elements", queries.stride);
    let mut end = 0;
    for job in jobs {
        assert!(job.rows > 0 && job.visible > 0, "a job has rows, and they see keys");
        assert!(job.first >= end, "jobs are in order of their rows");
        end = job.first.saturating_add(job.rows);
        assert!(
            end <= out.len() / width
                && (end - 1).saturating_mul(queries.stride).saturating_add(width) <= queries.values.len(),
            "rows {} to {end} are not among the queries or in the output",
            job.first
        );
        let needed = job.visible.saturating_add(job.rows - 1).div_ceil(PAGE_POSITIONS);
        assert!(needed <= job.pages.len(), "{needed} pages are visible, there are {}", job.pages.len());
        assert!(needed <= MAX_PAGES, "{needed} pages of a sequence, at most {MAX_PAGES}");
        let same = job.pages[..needed].iter().all(|page| cache[*page as usize].shape() == shape);
        assert!(same, "pages of different models");
    }
    let call = Call { cache, layer, jobs, queries, score_scale, head, group: heads / kv_heads };
    let target = Target { out: out.as_mut_ptr(), length: out.len(), heads, head };
    // SAFETY: the output is borrowed exclusively, a level exists only for a backend that was checked to be available,
    // and the rows of jobs are distinct.
    unsafe {
        match level {
            Level::Scalar => call.scalar(pool, &target),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => vectors::run(&call, pool, block::Kernel::Avx2, &target),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => vectors::run(&call, pool, block::Kernel::Vnni, &target),
        }
    }
}

impl<'a> Call<'a> {
    fn pages(&self, job: &Job<'a>, kv_head: usize) -> Pages<'a> {
        Pages { cache: self.cache, indices: job.pages, layer: self.layer, kv_head }
    }

    fn query(&self, row: usize, head: usize) -> &'a [f32] {
        &self.queries.values[row * self.queries.stride + head * self.head..][..self.head]
    }

    /// About what `queries` cost that see `visible` keys, in multiply-adds of a product.
    fn steps(&self, queries: usize, visible: usize) -> u64 {
        queries as u64 * visible as u64 * (3 * self.head as u64 + 128)
    }

    /// Each head of each row by itself.
    ///
    /// # Safety
    ///
    /// As for [`Target::store`].
    unsafe fn scalar(&self, pool: &Pool, target: &Target) {
        let heads = self.queries.heads;
        for job in self.jobs {
            let steps = self.steps(job.rows * heads, job.visible + job.rows / 2);
            pool.ranges(steps, job.rows * heads, |range| {
                let mut out = vec![0.0; self.head];
                for index in range {
                    let (row, head) = (index / heads, index % heads);
                    let pages = self.pages(job, head / self.group);
                    let query = self.query(job.first + row, head);
                    scalar::attend(&pages, job.visible + row, query, self.score_scale, &mut out);
                    // SAFETY: the caller's promise; an index is handed out once.
                    unsafe { target.store(job.first + row, head, out.iter().copied()) };
                }
            });
        }
    }
}

/// Writes heads of distinct rows from several threads.
struct Target {
    out: *mut f32,
    length: usize,
    heads: usize,
    head: usize,
}

// SAFETY: a pointer and numbers; whoever writes through it promises that no head is written twice at a time.
unsafe impl Sync for Target {}

impl Target {
    /// Stores one head of a row.
    ///
    /// # Safety
    ///
    /// The output is still exclusively borrowed, and no other thread uses this head of this row.
    unsafe fn store(&self, row: usize, head: usize, values: impl Iterator<Item = f32>) {
        let start = (row * self.heads + head) * self.head;
        assert!(head < self.heads && start + self.head <= self.length);
        // SAFETY: the assertion puts the head inside the slice, the caller promises that it is ours.
        let target = unsafe { core::slice::from_raw_parts_mut(self.out.add(start), self.head) };
        for (target, value) in target.iter_mut().zip(values) {
            *target = value;
        }
    }
}

#[cfg(test)]
mod tests;
