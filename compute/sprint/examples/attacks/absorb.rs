//! How often one error disappears in a rounding before anybody can see it.

use crate::function::{At, Cheat, Honest, Matrix, Part, Point, Weights, step};
use crate::lab::{Lab, parallel};
use crate::report::{Table, percent};
use crate::stream::{self, Dice};

/// One thing that goes wrong in one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slip {
    /// One product left out of one sum: of queries (0), keys (1) or values (2), or of the matrices after them.
    Product(Matrix, usize),
    /// The same, of the smallest product of the sum that is not zero.
    Smallest(Matrix, usize),
    /// One operand of a matrix's rows left out, so for all its outputs.
    Operand(Point),
    /// One head of one token left out.
    Head,
    /// One rounding of an int8 value off by one.
    Rounding(Point, usize),
    /// One element of the state off by one, before the layer's second part.
    State,
}

const SLIPS: [(&str, Slip); 18] = [
    ("a product of a query", Slip::Product(Matrix::Qkv, 0)),
    ("a product of a key", Slip::Product(Matrix::Qkv, 1)),
    ("a product of a value", Slip::Product(Matrix::Qkv, 2)),
    ("a product of the output", Slip::Product(Matrix::Output, 0)),
    ("a product of gate or up", Slip::Product(Matrix::GateUp, 0)),
    ("a product of down", Slip::Product(Matrix::Down, 0)),
    ("the smallest product of a query", Slip::Smallest(Matrix::Qkv, 0)),
    ("the smallest product of a value", Slip::Smallest(Matrix::Qkv, 2)),
    ("the smallest product of gate or up", Slip::Smallest(Matrix::GateUp, 0)),
    ("the smallest product of down", Slip::Smallest(Matrix::Down, 0)),
    ("a query off by one", Slip::Rounding(Point::Qkv, 0)),
    ("a key off by one", Slip::Rounding(Point::Qkv, 1)),
    ("a gate off by one", Slip::Rounding(Point::Gate, 0)),
    ("an output of attention off by one", Slip::Rounding(Point::Attended, 0)),
    ("a normed operand left out", Slip::Operand(Point::Normed)),
    ("a neuron of a token left out", Slip::Operand(Point::Gated)),
    ("a head of a token left out", Slip::Head),
    ("an element of the state off by one", Slip::State),
];

/// Makes the slip.
#[derive(Clone, Debug)]
struct Slipping {
    slip: Slip,
    tokens: usize,
    dice: Dice,
}

impl Slipping {
    /// An index among the rows' elements: `part` of three for queries, keys and values.
    fn pick(&mut self, length: usize, part: Option<usize>) -> usize {
        let row = length / self.tokens;
        let token = self.dice.below(self.tokens);
        match part {
            Some(part) => token * row + part * (row / 3) + self.dice.below(row / 3),
            None => token * row + self.dice.below(row),
        }
    }
}

impl Cheat for Slipping {
    fn product(&mut self, at: At, rows: &[i8], weights: &Weights, sums: &mut [i32]) -> u64 {
        weights.multiply(rows, sums);
        let (Slip::Product(matrix, part) | Slip::Smallest(matrix, part)) = self.slip else { return 0 };
        if matrix != at.matrix {
            return 0;
        }
        let index = self.pick(sums.len(), (matrix == Matrix::Qkv).then_some(part));
        let (token, output) = (index / weights.outputs, index % weights.outputs);
        let row = &rows[token * weights.inner..][..weights.inner];
        let pairs = row.iter().zip(&weights.values[output * weights.inner..]);
        let products: Vec<_> =
            pairs.map(|(x, w)| i32::from(*x) * i32::from(*w)).filter(|p| *p != 0).collect();
        let smallest = products.iter().copied().min_by_key(|product| product.abs()).unwrap_or(0);
        let any = products[self.dice.below(products.len().max(1))];
        sums[index] -= if matches!(self.slip, Slip::Product(..)) { any } else { smallest };
        1
    }

    fn values(&mut self, _layer: usize, point: Point, values: &mut [i8]) -> u64 {
        match self.slip {
            Slip::Operand(at) if at == point => {
                let nonzero: Vec<_> = (0..values.len()).filter(|i| values[*i] != 0).collect();
                values[nonzero[self.dice.below(nonzero.len())]] = 0;
            }
            Slip::Head if point == Point::Attended => {
                let head = self.dice.below(values.len() / 64);
                values[head * 64..][..64].fill(0);
            }
            Slip::Rounding(at, part) if at == point => {
                let index = self.pick(values.len(), (at == Point::Qkv).then_some(part));
                values[index] = if values[index] == 127 { 126 } else { values[index] + 1 };
            }
            _ => (),
        }
        0
    }

    fn state(&mut self, _layer: usize, after: Option<Part>, h: &mut [i32]) {
        if self.slip == Slip::State && after == Some(Part::Attention) {
            h[self.dice.below(h.len())] += 1;
        }
    }
}

/// Keeps the state before each layer.
#[derive(Clone, Debug, Default)]
struct Keep(Vec<Vec<i32>>);

impl Cheat for Keep {
    fn state(&mut self, _layer: usize, after: Option<Part>, h: &mut [i32]) {
        if after.is_none() {
            self.0.push(h.to_vec());
        }
    }
}

/// For each slip, the share of trials after which the state at the end of the layer is right nevertheless, by depth, and
/// whether any error that was visible there was healed by later layers.
pub(crate) fn study(lab: &Lab, trials: usize, table: &mut Table) {
    let layers = lab.shape().layers();
    let kept: Vec<_> = lab.run(|_| Keep::default()).into_iter().map(|(_, keep)| keep.0).collect();
    let after = |nonce: usize, layer: usize| {
        if layer + 1 == layers { &lab.honest[nonce].h } else { &kept[nonce][layer + 1] }
    };
    for (name, slip) in SLIPS {
        let mut cells = vec![lab.shape().to_string(), name.to_owned()];
        let mut visible = Vec::new();
        for layer in [0, layers / 2, layers - 1] {
            let results = parallel(lab.threads, trials, |trial| {
                let nonce = trial % lab.inputs.len();
                let dice = Dice::new(&format!("{name} {layer} {trial}"));
                let mut cheat = Slipping { slip, tokens: lab.shape().tokens(), dice };
                let mut h = kept[nonce][layer].clone();
                step(&lab.net, &stream::nonce_key(&lab.inputs[nonce]), layer, &mut h, &mut cheat);
                (h != *after(nonce, layer)).then_some((nonce, layer, h))
            });
            let absorbed = results.iter().filter(|result| result.is_none()).count();
            cells.push(percent(absorbed as f64 / trials as f64));
            visible.extend(results.into_iter().flatten().filter(|(_, layer, _)| layer + 1 < layers).take(8));
        }
        let healed = parallel(lab.threads, visible.len(), |index| {
            let (nonce, layer, mut h) = visible[index].clone();
            let key = stream::nonce_key(&lab.inputs[nonce]);
            for later in layer + 1..layers {
                step(&lab.net, &key, later, &mut h, &mut Honest);
            }
            h == lab.honest[nonce].h
        });
        let healed = healed.iter().filter(|healed| **healed).count();
        cells.push(format!("{healed} of {}", visible.len()));
        table.row(cells);
    }
}
