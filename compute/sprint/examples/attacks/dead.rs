//! Dead work: what can be left out without changing any digest.

use crate::function::{At, Cheat, Mask, Matrix, Point, Weights};
use crate::lab::Lab;
use crate::report::{Table, percent};
use freeway_sprint::Shape;

/// Leaves out the queries of the first token, which sees only itself behind a causal mask.
struct FirstQuery {
    width: usize,
}

impl Cheat for FirstQuery {
    fn product(&mut self, at: At, rows: &[i8], weights: &Weights, sums: &mut [i32]) -> u64 {
        weights.multiply(rows, sums);
        if at.matrix != Matrix::Qkv {
            return 0;
        }
        sums[..self.width].fill(0);
        self.width.pow(2) as u64
    }
}

/// Counts multiply-adds that do not matter.
#[derive(Clone, Debug, Default)]
struct Probe {
    shape: Option<Shape>,
    /// With a zero of the left operand: normed rows, the output of attention, gated units.
    zeros: [u64; 3],
    /// Gates whose factor is zero, and factors whose gate is zero.
    gates: u64,
    /// Values of heads of tokens to which nobody gives a weight.
    values: u64,
    seen: Vec<bool>,
    /// Queries with all weight on one token, of all that see several.
    single: [u64; 2],
    /// Saturated operands: normed, q k v, gated; of all.
    saturated: [u64; 3],
    operands: [u64; 3],
}

impl Cheat for Probe {
    fn attend(&mut self, _layer: usize, _head: usize, query: usize, weights: &mut [i32]) {
        let Some(shape) = self.shape else { return };
        self.seen.resize(shape.tokens(), false);
        for (seen, weight) in self.seen.iter_mut().zip(weights.iter()) {
            *seen |= *weight != 0;
        }
        if weights.len() > 1 {
            self.single[0] += u64::from(weights.iter().filter(|weight| **weight != 0).count() == 1);
            self.single[1] += 1;
        }
        if query + 1 == shape.tokens() {
            let unseen = self.seen.iter().filter(|seen| !**seen).count();
            self.values += (unseen * 64 * shape.width()) as u64;
            self.seen.clear();
        }
    }

    fn values(&mut self, _layer: usize, point: Point, values: &mut [i8]) -> u64 {
        let Some(shape) = self.shape else { return 0 };
        let (d, f) = (shape.width() as u64, shape.hidden() as u64);
        let zeros = values.iter().filter(|value| **value == 0).count() as u64;
        match point {
            Point::Normed => self.zeros[0] += zeros * 3 * d,
            Point::NormedAgain => self.zeros[0] += zeros * 2 * f,
            Point::Attended => self.zeros[1] += zeros * d,
            Point::Gated => self.zeros[2] += zeros * d,
            Point::Gate | Point::Up => self.gates += zeros * d,
            Point::Qkv => (),
        }
        let class = match point {
            Point::Normed | Point::NormedAgain => 0,
            Point::Qkv => 1,
            Point::Gated => 2,
            _ => return 0,
        };
        self.saturated[class] += values.iter().filter(|value| value.unsigned_abs() == 127).count() as u64;
        self.operands[class] += values.len() as u64;
        0
    }
}

/// Leaves that survive without the first token's queries.
pub(crate) fn study(lab: &Lab, table: &mut Table) {
    let outcome = lab.try_out(|_| FirstQuery { width: lab.shape().width() });
    table.outcome(format!("dead work: queries of the first token{}", mask_of(lab)), outcome);
}

fn mask_of(lab: &Lab) -> &'static str {
    match lab.net.mask {
        Mask::Causal => ", causal mask",
        Mask::Full => ", no mask",
    }
}

/// The columns of [`shares`].
pub(crate) const COLUMNS: [&str; 9] = [
    "shape",
    "zeros of the norm",
    "zeros of attention",
    "zeros of gated units",
    "gate or factor zero",
    "values nobody weighs",
    "zero weights",
    "queries with one weight",
    "saturated: norm, q k v, gated",
];

/// All the work that multiplies with zero or is not looked at: exact to leave out, if one can tell in time.
pub(crate) fn shares(lab: &Lab, table: &mut Table) {
    let probes = lab.run(|_| Probe { shape: Some(lab.shape()), ..Probe::default() });
    let total = lab.macs() * probes.len() as f64;
    let share =
        |of: &dyn Fn(&Probe) -> u64| percent(probes.iter().map(|(_, p)| of(p)).sum::<u64>() as f64 / total);
    let ratio = |of: &dyn Fn(&Probe) -> [u64; 2]| {
        let sums = probes.iter().map(|(_, p)| of(p)).fold([0, 0], |a, b| [a[0] + b[0], a[1] + b[1]]);
        percent(sums[0] as f64 / sums[1].max(1) as f64)
    };
    let weights = || lab.net.layers.iter().flatten().flat_map(|weights| &weights.values);
    let zero = weights().filter(|weight| **weight == 0).count() as f64 / weights().count() as f64;
    let saturated: Vec<_> =
        (0..3).map(|class| ratio(&|p: &Probe| [p.saturated[class], p.operands[class]])).collect();
    table.row([
        format!("{}{}", lab.shape(), mask_of(lab)),
        share(&|p| p.zeros[0]),
        share(&|p| p.zeros[1]),
        share(&|p| p.zeros[2]),
        share(&|p| p.gates),
        share(&|p| p.values),
        percent(zero),
        ratio(&|p: &Probe| p.single),
        saturated.join(", "),
    ]);
}
