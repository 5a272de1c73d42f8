//! How much the operands of one product tell about another's: between nonces, tokens, and layers.

use crate::function::{Cheat, Part, Point};
use crate::lab::Lab;
use crate::report::{Table, percent};

/// Keeps the normed rows of every layer, and the state.
#[derive(Clone, Debug, Default)]
struct Normed {
    rows: Vec<Vec<i8>>,
    states: Vec<Vec<i32>>,
}

impl Cheat for Normed {
    fn values(&mut self, _layer: usize, point: Point, values: &mut [i8]) -> u64 {
        if point == Point::Normed {
            self.rows.push(values.to_vec());
        }
        0
    }

    fn state(&mut self, _layer: usize, after: Option<Part>, h: &mut [i32]) {
        if after == Some(Part::FeedForward) {
            self.states.push(h.to_vec());
        }
    }
}

fn cosine(a: &[i8], b: &[i8]) -> f64 {
    let dot = |a: &[i8], b: &[i8]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn mean_and_most(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut sum, mut count, mut most) = (0.0, 0.0, 0f64);
    for value in values {
        (sum, count, most) = (sum + value, count + 1.0, most.max(value.abs()));
    }
    (sum / f64::max(count, 1.0), most)
}

/// The columns of [`study`].
pub(crate) const COLUMNS: [&str; 7] = [
    "shape",
    "layer",
    "nonces: mean, most",
    "tokens of a nonce: mean, most",
    "to the layer before: mean, most",
    "equal to the layer before",
    "state changed by the layer",
];

pub(crate) fn study(lab: &Lab, table: &mut Table) {
    let kept: Vec<_> = lab.run(|_| Normed::default()).into_iter().map(|(_, kept)| kept).collect();
    let (d, layers) = (lab.shape().width(), lab.shape().layers());
    let shown = |(mean, most): (f64, f64)| format!("{mean:+.3}, {most:.3}");
    for layer in [0, 1, layers / 2, layers - 1] {
        let rows = |nonce: usize| kept[nonce].rows[layer].chunks_exact(d);
        let pairs = (0..kept.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        let nonces = pairs.flat_map(|(a, b)| rows(a).zip(rows(b)).map(|(a, b)| cosine(a, b)));
        let all: Vec<Vec<&[i8]>> = (0..kept.len()).map(|nonce| rows(nonce).collect()).collect();
        let tokens = all.iter().flat_map(|rows| {
            (0..rows.len()).flat_map(move |a| (0..a).map(move |b| cosine(rows[a], rows[b])))
        });
        let mut cells = vec![lab.shape().to_string(), layer.to_string()];
        cells.extend([shown(mean_and_most(nonces)), shown(mean_and_most(tokens))]);
        if layer == 0 {
            cells.extend(["-".to_owned(), "-".to_owned(), "-".to_owned()]);
        } else {
            let before = |nonce: usize| kept[nonce].rows[layer - 1].chunks_exact(d);
            let layers = (0..kept.len()).flat_map(|n| rows(n).zip(before(n)).map(|(a, b)| cosine(a, b)));
            let values = || kept.iter().flat_map(|kept| kept.rows[layer].iter().zip(&kept.rows[layer - 1]));
            let equal = values().filter(|(a, b)| a == b).count() as f64 / values().count() as f64;
            let energy = |of: &dyn Fn(&Normed) -> f64| kept.iter().map(of).sum::<f64>();
            let square = |value: i32| f64::from(value).powi(2);
            let whole = energy(&|kept| kept.states[layer].iter().map(|h| square(*h)).sum());
            let change = energy(&|kept| {
                kept.states[layer].iter().zip(&kept.states[layer - 1]).map(|(a, b)| square(a - b)).sum()
            });
            cells.extend([shown(mean_and_most(layers)), percent(equal), percent((change / whole).sqrt())]);
        }
        table.row(cells);
    }
}
