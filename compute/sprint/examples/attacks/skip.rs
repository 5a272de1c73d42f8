//! Leaving out layers, neurons, heads, and small attention weights.

use core::ops::Range;

use crate::function::{Cheat, Part, Point};
use crate::lab::Lab;
use crate::report::Table;
use freeway_sprint::Shape;

/// Leaves out parts of some layers.
#[derive(Clone, Debug)]
struct Parts {
    layers: Range<usize>,
    attention: bool,
    feed_forward: bool,
}

impl Cheat for Parts {
    fn skips(&mut self, layer: usize, part: Part) -> bool {
        self.layers.contains(&layer)
            && if part == Part::Attention { self.attention } else { self.feed_forward }
    }
}

/// Leaves out neurons: a share of all, or those whose output is small.
#[derive(Clone, Debug)]
struct Neurons {
    shape: Shape,
    layers: Range<usize>,
    /// The first of these are not computed at all.
    first: usize,
    /// Outputs up to this magnitude are not multiplied.
    small: u8,
}

impl Cheat for Neurons {
    fn values(&mut self, layer: usize, point: Point, values: &mut [i8]) -> u64 {
        if point != Point::Gated || !self.layers.contains(&layer) {
            return 0;
        }
        let (d, mut saved) = (self.shape.width() as u64, 0);
        for row in values.chunks_exact_mut(self.shape.hidden()) {
            for (neuron, z) in row.iter_mut().enumerate() {
                if neuron < self.first {
                    (*z, saved) = (0, saved + 3 * d);
                } else if z.unsigned_abs() <= self.small {
                    (*z, saved) = (0, saved + d);
                }
            }
        }
        saved
    }
}

/// Leaves out the first head in some layers.
#[derive(Clone, Debug)]
struct Heads {
    shape: Shape,
    layers: Range<usize>,
}

impl Cheat for Heads {
    fn values(&mut self, layer: usize, point: Point, values: &mut [i8]) -> u64 {
        if point != Point::Attended || !self.layers.contains(&layer) {
            return 0;
        }
        let d = self.shape.width();
        for row in values.chunks_exact_mut(d) {
            row[..64].fill(0);
        }
        (values.len() / d * 4 * 64 * d) as u64
    }
}

/// Ignores tokens with a small weight.
#[derive(Clone, Debug)]
struct Far {
    layers: Range<usize>,
    small: i32,
    dropped: u64,
}

impl Cheat for Far {
    fn attend(&mut self, layer: usize, _head: usize, _query: usize, weights: &mut [i32]) {
        if self.layers.contains(&layer) {
            for weight in weights.iter_mut().filter(|weight| (1..=self.small).contains(*weight)) {
                *weight = 0;
                self.dropped += 1;
            }
        }
    }
}

pub(crate) fn study(lab: &Lab, table: &mut Table) {
    let (shape, last) = (lab.shape(), lab.shape().layers());
    let parts = |layers: Range<usize>, attention, feed_forward| {
        lab.try_out(|_| Parts { layers: layers.clone(), attention, feed_forward })
    };
    table.outcome("skip: the second half of the layers", parts(last / 2..last, true, true));
    table.outcome("skip: the last four layers", parts(last.saturating_sub(4)..last, true, true));
    table.outcome("skip: the last layer", parts(last - 1..last, true, true));
    table.outcome("skip: the first layer", parts(0..1, true, true));
    table.outcome("skip: a layer in the middle", parts(last / 2..last / 2 + 1, true, true));
    table.outcome("skip: all attention", parts(0..last, true, false));
    table.outcome("skip: attention of the last layer", parts(last - 1..last, true, false));
    table.outcome("skip: all feed-forward", parts(0..last, false, true));

    let neurons = |layers: Range<usize>, first, small| {
        lab.try_out(|_| Neurons { shape, layers: layers.clone(), first, small })
    };
    let hidden = shape.hidden();
    table.outcome("neurons: one of each layer", neurons(0..last, 1, 0));
    table.outcome("neurons: one of the last layer", neurons(last - 1..last, 1, 0));
    table.outcome("neurons: a tenth of each layer", neurons(0..last, hidden.div_ceil(10), 0));
    for small in [1, 4, 16] {
        let name = format!("neurons: outputs up to {small}, all layers");
        table.outcome(name, neurons(0..last, 0, small));
    }
    table.outcome("neurons: outputs up to 1, last layer", neurons(last - 1..last, 0, 1));

    let heads = |layers: Range<usize>| lab.try_out(|_| Heads { shape, layers: layers.clone() });
    table.outcome("heads: one of each layer", heads(0..last));
    table.outcome("heads: one of the last layer", heads(last - 1..last));

    for (small, layers) in [(1, 0..last), (1, last - 1..last), (8, 0..last)] {
        let name = format!("attention: weights up to {small} of 127 dropped, {}", named(&layers));
        let runs = lab.run(|_| Far { layers: layers.clone(), small, dropped: 0 });
        // A dropped weight saves 64 multiply-adds with the values.
        let runs = runs.into_iter().map(|(mut run, cheat)| {
            run.saved += 64 * cheat.dropped;
            run
        });
        table.outcome(name, lab.compare(&runs.collect::<Vec<_>>()));
    }
}

fn named(layers: &Range<usize>) -> &'static str {
    if layers.len() == 1 { "last layer" } else { "all layers" }
}
