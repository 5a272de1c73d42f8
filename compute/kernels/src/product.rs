//! Products of int8 matrices with an epilogue, the same on every backend.

use crate::activations::Activations;
use crate::backend::Backend;
use crate::buffer::Buffer;
use crate::threads::{self, Queue};
use crate::weights::{BLOCK_COLUMNS, Panel, Weights};

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod output;
mod scalar;
#[cfg(target_arch = "x86_64")]
pub(crate) mod tiles;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub use output::Output;
pub(crate) use output::Target;

/// Columns that are made and used together: they stay in the second-level cache.
const PANEL_COLUMNS: usize = 128;
/// Bytes of weights in a panel that the second-level cache should keep, next to the activations. Machines with
/// tiles have 2 MiB of it, and need many columns to use each load of activations.
const fn panel_bytes(backend: Backend) -> usize {
    match backend {
        Backend::Amx => 1 << 20,
        Backend::Scalar | Backend::Avx2 | Backend::Vnni => 256 << 10,
    }
}

/// Computes `activations * weights` and hands every sum to `output`.
///
/// The columns are split over `threads` threads (the caller's among them) where that pays. Neither the number of
/// threads nor the backend changes a bit of the result: sums of integers have no order, and every element is
/// computed by one thread.
///
/// # Panics
///
/// If `backend` is not available, if `activations` or the matrix of [`Output::Glu`] were made for another one,
/// or if dimensions do not match: `activations` has the inner dimension of `weights` as its width, `output`
/// holds (rows) x (columns) elements (half the columns for `Glu`), columns are a multiple of 32 up to
/// [`MAX_COLUMNS`](crate::MAX_COLUMNS), shifts are 1 to 29.
pub fn multiply(
    backend: Backend,
    threads: usize,
    activations: &Activations,
    weights: Weights<'_>,
    output: Output<'_>,
) {
    let level = backend.level();
    weights.check();
    let (columns, inner) = (weights.columns(), weights.inner());
    assert_eq!(activations.backend(), backend, "the activations were made for another backend");
    assert_eq!(activations.width(), inner, "the activations do not have the inner dimension of the weights");
    let target = Target::new(output, backend, activations.rows(), columns);

    let work = (activations.rows() * columns) as u64 * inner as u64;
    let threads = threads::useful(threads, work, columns / BLOCK_COLUMNS);
    let share = columns.div_ceil(threads).next_multiple_of(BLOCK_COLUMNS);
    let fitting =
        (panel_bytes(backend) / inner / BLOCK_COLUMNS * BLOCK_COLUMNS).clamp(BLOCK_COLUMNS, PANEL_COLUMNS);
    let width = fitting.min(share);
    let queue = Queue::new(columns.div_ceil(width));
    threads::each(threads, || {
        let mut worker = Worker::new(backend, activations, target);
        let (mut tiles, mut sums) = (Buffer::zeroed(0), Buffer::zeroed(0));
        while let Some(index) = queue.next() {
            let range = index * width..((index + 1) * width).min(columns);
            let panel = match weights {
                Weights::Stored(stored) => stored.panel(range.clone()),
                Weights::Stream(stream) => {
                    if sums.is_empty() {
                        (tiles, sums) = (Buffer::zeroed(width * inner), Buffer::zeroed(width));
                    }
                    let (tiles, sums) = (&mut tiles[..range.len() * inner], &mut sums[..range.len()]);
                    stream.panel(level, range.clone(), tiles, sums);
                    Panel { tiles, sums, inner, first: range.start, followed: false }
                }
            };
            worker.run(panel);
        }
    });
}

/// What one thread needs to use panel after panel.
struct Worker<'a> {
    backend: Backend,
    activations: &'a Activations,
    target: Target,
    /// Partial sums that a backend parks between parts of the inner dimension.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "the reference needs none"))]
    partial: Vec<i32>,
    #[cfg(target_arch = "x86_64")]
    tiles: Option<tiles::Hardware>,
}

impl<'a> Worker<'a> {
    /// `backend` was checked to be available.
    fn new(backend: Backend, activations: &'a Activations, target: Target) -> Self {
        Self {
            backend,
            activations,
            target,
            partial: Vec::new(),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: availability was checked, which includes the permission to use tiles.
            tiles: (backend == Backend::Amx).then(|| unsafe { tiles::Hardware::configure() }),
        }
    }

    fn run(&mut self, panel: Panel<'_>) {
        let Self { activations, target, .. } = *self;
        match self.backend {
            // SAFETY: this thread alone works on the columns of this panel, and outputs of different columns
            // do not overlap; the target is borrowed exclusively by the caller of `multiply`.
            Backend::Scalar => unsafe { scalar::run(activations, panel, &target) },
            // SAFETY: as above, and availability was checked.
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => unsafe { avx2::run(activations, panel, &target) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Backend::Vnni => unsafe { vnni::run(activations, panel, &target, &mut self.partial) },
            #[cfg(target_arch = "x86_64")]
            Backend::Amx => {
                if let Some(tiles) = &mut self.tiles {
                    // SAFETY: as above, and the tile registers were configured on this thread.
                    unsafe { amx::run(tiles, activations, panel, &target) };
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            Backend::Avx2 | Backend::Vnni | Backend::Amx => {}
        }
    }
}

#[cfg(test)]
mod tests;
