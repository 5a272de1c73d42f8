//! A look at every weight of a package, in parallel: nothing forbidden, padding zero, and the sums that
//! [the proof](super::bounds) needs.

use std::thread;

use freeway_kernels::served::{Shape, half_to_f32};

use crate::config::padded;
use crate::package::{Package, PackageError, bounds};
use crate::progress::{Progress, Stage};
use crate::slot::{MatrixSlot, Stored};
use crate::tokenizer;

/// Columns of a tile.
const TILE_COLUMNS: usize = 16;
/// Inner elements of a tile.
const TILE_INNER: usize = 64;
/// Bytes of a tile.
const TILE_BYTES: usize = TILE_COLUMNS * TILE_INNER;
/// Bytes of four inner elements of all columns of a tile.
const QUAD_BYTES: usize = TILE_COLUMNS * 4;
/// The first pattern of bits that is no finite half, or a negative one.
const NOT_A_SCALE: u16 = 0x7c00;

/// Looks at everything; see [`Package::verify`].
pub(super) fn inspect(package: &Package, progress: &mut dyn FnMut(Progress)) -> Result<(), PackageError> {
    check_gaps(package)?;
    tokenizer::check(package.tokenizer_json(), package.config().vocabulary)?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    bounds::prove(package, &mut Rows { package, progress, done: 0, threads })
}

/// Tensors begin at cache lines, and between them are zeros.
fn check_gaps(package: &Package) -> Result<(), PackageError> {
    let bytes = package.0.mapping.bytes();
    for stored in Stored::all(package.config()) {
        let entry = package.entry(stored);
        for (offset, length) in [(entry.offset, entry.length), (entry.scales_offset, entry.scales_length)] {
            let gap = package.range(offset + length, padded(length as usize) as u64 - length);
            if bytes[gap].iter().any(|&byte| byte != 0) {
                return Err(PackageError::Padding(stored.to_string()));
            }
        }
    }
    Ok(())
}

/// Passes over matrices, and gives the bounds of what they make.
pub(super) struct Rows<'a> {
    package: &'a Package,
    progress: &'a mut dyn FnMut(Progress),
    /// Bytes of matrices that were passed.
    done: u64,
    threads: usize,
}

impl Rows<'_> {
    /// The bound of each output of a product, from those of its inputs (one per inner element, all finite). Checks the
    /// matrix as well.
    pub(super) fn bounds(&mut self, slot: MatrixSlot, inputs: &[f64]) -> Result<Vec<f64>, PackageError> {
        let inputs: Vec<f32> = inputs.iter().map(|&bound| bound as f32).collect();
        self.strips(slot, |strip| strip.sums(&inputs))
    }

    /// The largest magnitude of an element of a matrix. Checks the matrix as well.
    pub(super) fn peak(&mut self, slot: MatrixSlot) -> Result<f64, PackageError> {
        Ok(self.strips(slot, |strip| strip.peaks())?.into_iter().fold(0.0, f64::max))
    }

    /// One number per column, made strip by strip on all threads.
    fn strips(
        &mut self,
        slot: MatrixSlot,
        work: impl Fn(&Strip<'_>) -> [f64; TILE_COLUMNS] + Sync,
    ) -> Result<Vec<f64>, PackageError> {
        let (tiles, scales, shape) = self.package.raw(slot);
        let config = self.package.config();
        let parts: Vec<_> = slot
            .parts(config)
            .into_iter()
            .map(|(first, tensor)| {
                let (rows, columns) = tensor.shape(config);
                (first..first + rows, columns)
            })
            .collect();
        let true_inner = parts[0].1;
        let strip = |index: usize| Strip {
            tiles: &tiles[index * TILE_COLUMNS * shape.inner()..][..TILE_COLUMNS * shape.inner()],
            scales: &scales[index * TILE_COLUMNS * shape.groups()..][..TILE_COLUMNS * shape.groups()],
            shape,
            slot,
            first: index * TILE_COLUMNS,
            true_inner,
        };
        let used = |column: usize| parts.iter().any(|(columns, _)| columns.contains(&column));
        let count = shape.columns() / TILE_COLUMNS;
        let part = count.div_ceil(self.threads);
        let mut results = vec![[0.0; TILE_COLUMNS]; count];
        let outcome = thread::scope(|scope| {
            let handles: Vec<_> = results
                .chunks_mut(part)
                .zip((0..).step_by(part))
                .map(|(results, first)| {
                    let (strip, used, work) = (&strip, &used, &work);
                    scope.spawn(move || {
                        for (index, result) in (first..).zip(results) {
                            let strip = strip(index);
                            strip.check(used)?;
                            *result = work(&strip);
                        }
                        Ok::<_, PackageError>(())
                    })
                })
                .collect();
            // In order, so that the error is the same for any number of threads.
            handles.into_iter().try_for_each(|handle| handle.join().expect("checks do not panic"))
        });
        outcome?;
        self.done += (size_of_val(tiles) + size_of_val(scales)) as u64;
        let total = self.package.bytes().max(self.done);
        (self.progress)(Progress { stage: Stage::Proving, done: self.done, total });
        Ok(results.into_flattened())
    }
}

/// All inner elements of 16 columns.
struct Strip<'a> {
    tiles: &'a [i8],
    scales: &'a [u16],
    shape: Shape,
    slot: MatrixSlot,
    /// The first column.
    first: usize,
    /// Inner elements without padding.
    true_inner: usize,
}

impl Strip<'_> {
    fn check(&self, used: impl Fn(usize) -> bool) -> Result<(), PackageError> {
        let matrix = self.slot;
        let lane = |index: usize| index % QUAD_BYTES / 4;
        if let Some(index) = self.tiles.iter().position(|&weight| weight == i8::MIN) {
            return Err(PackageError::Weight { matrix, column: self.first + lane(index) });
        }
        if let Some(index) = self.scales.iter().position(|&bits| bits >= NOT_A_SCALE) {
            let (column, group) = (self.first + index % TILE_COLUMNS, index / TILE_COLUMNS);
            return Err(PackageError::Scale { matrix, column, group, bits: self.scales[index] });
        }
        let padding = || PackageError::Padding(matrix.to_string());
        // Elements past the end of the inner dimension, and their scales: in the last tile, or in later groups.
        let inner =
            |index: usize| index / TILE_BYTES * TILE_INNER + index % TILE_BYTES / QUAD_BYTES * 4 + index % 4;
        let last = self.true_inner / TILE_INNER * TILE_BYTES;
        let mut tail = (last..).zip(&self.tiles[last..]);
        let groups = self.true_inner.div_ceil(self.shape.group_length());
        if tail.any(|(index, &weight)| weight != 0 && inner(index) >= self.true_inner)
            || self.scales[groups * TILE_COLUMNS..].iter().any(|&bits| bits != 0)
        {
            return Err(padding());
        }
        // Columns that are nobody's.
        let free: [bool; TILE_COLUMNS] = core::array::from_fn(|column| !used(self.first + column));
        if free.contains(&true)
            && (self.tiles.iter().enumerate().any(|(index, &weight)| weight != 0 && free[lane(index)])
                || self
                    .scales
                    .iter()
                    .enumerate()
                    .any(|(index, &bits)| bits != 0 && free[index % TILE_COLUMNS]))
        {
            return Err(padding());
        }
        Ok(())
    }

    /// Per column, the sum of absolute weights times inputs.
    fn sums(&self, inputs: &[f32]) -> [f64; TILE_COLUMNS] {
        self.fold(|lanes, quad, k| {
            let inputs: [f32; 4] = core::array::from_fn(|at| inputs[k + at]);
            for (lanes, weights) in lanes.as_chunks_mut::<4>().0.iter_mut().zip(quad.as_chunks::<4>().0) {
                for at in 0..4 {
                    lanes[at] += f32::from(weights[at].unsigned_abs()) * inputs[at];
                }
            }
        })
    }

    /// Per column, the magnitude of its largest element.
    fn peaks(&self) -> [f64; TILE_COLUMNS] {
        let mut peaks = [0.0f64; TILE_COLUMNS];
        let length = self.shape.group_length();
        for (quad, k) in self.tiles.as_chunks::<QUAD_BYTES>().0.iter().zip((0..).step_by(4)) {
            let scales = &self.scales[k / length * TILE_COLUMNS..][..TILE_COLUMNS];
            for ((peak, weights), &scale) in peaks.iter_mut().zip(quad.as_chunks::<4>().0).zip(scales) {
                let weight = weights.iter().map(|weight| weight.unsigned_abs()).max().unwrap_or(0);
                *peak = peak.max(f64::from(weight) * f64::from(half_to_f32(scale)));
            }
        }
        peaks
    }

    /// Adds lanes of four inner elements within a group or tile, in f32 (at most 16 additions), then, times the scale,
    /// to the column in f64.
    fn fold(&self, add: impl Fn(&mut [f32; QUAD_BYTES], &[i8; QUAD_BYTES], usize)) -> [f64; TILE_COLUMNS] {
        let length = self.shape.group_length();
        let run = length.min(TILE_INNER) / 4;
        let mut columns = [0.0; TILE_COLUMNS];
        for (quads, k) in self.tiles.as_chunks::<QUAD_BYTES>().0.chunks(run).zip((0..).step_by(4 * run)) {
            let mut lanes = [0.0f32; QUAD_BYTES];
            for (quad, k) in quads.iter().zip((k..).step_by(4)) {
                add(&mut lanes, quad, k);
            }
            let scales = &self.scales[k / length * TILE_COLUMNS..][..TILE_COLUMNS];
            for ((column, lanes), &scale) in columns.iter_mut().zip(lanes.as_chunks::<4>().0).zip(scales) {
                *column += f64::from(lanes.iter().sum::<f32>()) * f64::from(half_to_f32(scale));
            }
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Group;
    use crate::synthetic::Recipe;

    #[test]
    fn sums_and_peaks_are_those_of_the_elements() {
        for group in Group::ALL {
            let package = Recipe::llama().package(group).unwrap();
            for threads in [1, 3] {
                let mut rows = Rows { package: &package, progress: &mut |_| (), done: 0, threads };
                let slot = MatrixSlot::Qkv(1);
                let matrix = package.matrix(slot);
                let inputs: Vec<f64> = (0..matrix.inner()).map(|k| 1.0 + (k * 7 % 13) as f64).collect();
                let bounds = rows.bounds(slot, &inputs).unwrap();
                assert_eq!(bounds.len(), matrix.columns());
                let mut row = vec![0.0; matrix.inner()];
                let mut peak = 0.0f64;
                for (column, bound) in bounds.iter().enumerate() {
                    matrix.row_into(column, &mut row);
                    let sum: f64 = row.iter().zip(&inputs).map(|(x, input)| f64::from(x.abs()) * input).sum();
                    assert!((bound - sum).abs() <= sum * 1e-5, "column {column}: {bound} is not {sum}");
                    peak = row.iter().fold(peak, |peak, x| peak.max(f64::from(x.abs())));
                }
                assert!((rows.peak(slot).unwrap() - peak).abs() <= peak * 1e-6);
            }
        }
    }
}
