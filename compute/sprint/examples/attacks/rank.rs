//! Weights of low rank.

use crate::function::{Matrix, Weights};
use crate::lab::{Lab, parallel};
use crate::products::with_net;
use crate::report::{Table, percent};

/// The largest matrix that is decomposed for a cheat: beyond, the spectrum alone says enough.
const LARGEST: usize = 128;

/// Eigenvalues of a symmetric matrix, largest first, with their vectors, by Jacobi rotations.
fn eigen(mut a: Vec<Vec<f64>>) -> Vec<(f64, Vec<f64>)> {
    let n = a.len();
    let mut vectors: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..8 {
        for p in 0..n {
            for q in p + 1..n {
                let apq = a[p][q];
                if apq.abs() < 1e-9 * (a[p][p] * a[q][q]).abs().sqrt() {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let (c, s) = (1.0 / (t * t + 1.0).sqrt(), t / (t * t + 1.0).sqrt());
                for row in &mut a {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                }
                for rows in [&mut a, &mut vectors] {
                    let (head, tail) = rows.split_at_mut(q);
                    for (x, y) in head[p].iter_mut().zip(&mut tail[0]) {
                        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                    }
                }
            }
        }
    }
    let mut pairs: Vec<_> = (0..n).map(|i| a[i][i]).zip(vectors).collect();
    pairs.sort_by(|x, y| y.0.total_cmp(&x.0));
    pairs
}

fn gram(weights: &Weights) -> Vec<Vec<f64>> {
    let k = weights.inner;
    let mut gram = vec![vec![0i64; k]; k];
    for row in weights.values.chunks_exact(k) {
        for (i, x) in row.iter().enumerate() {
            for (sum, y) in gram[i].iter_mut().zip(row) {
                *sum += i64::from(*x) * i64::from(*y);
            }
        }
    }
    gram.into_iter().map(|row| row.into_iter().map(|sum| sum as f64).collect()).collect()
}

/// The best approximation of rank `rank`, rounded to operands: nearer to the truth than what the cheat could use, which would
/// have to round twice.
fn truncated(weights: &Weights, rank: usize) -> Weights {
    let basis: Vec<_> = eigen(gram(weights)).into_iter().take(rank).map(|(_, vector)| vector).collect();
    let mut values = Vec::with_capacity(weights.values.len());
    for row in weights.values.chunks_exact(weights.inner) {
        let mut sums = vec![0.0; weights.inner];
        for vector in &basis {
            let along: f64 = row.iter().zip(vector).map(|(w, v)| f64::from(*w) * v).sum();
            for (sum, v) in sums.iter_mut().zip(vector) {
                *sum += along * v;
            }
        }
        values.extend(sums.iter().map(|sum| sum.round().clamp(-127.0, 127.0) as i8));
    }
    Weights { values, ..*weights }
}

/// The rank at which two thin products cost half of the whole one.
fn half_rank(weights: &Weights) -> usize {
    weights.inner * weights.outputs / (2 * (weights.inner + weights.outputs))
}

pub(crate) fn study(lab: &Lab, table: &mut Table) {
    if lab.shape().hidden().max(lab.shape().width()) > LARGEST {
        return;
    }
    let mut net = lab.net.clone();
    net.layers = parallel(lab.threads, net.layers.len(), |layer| {
        lab.net.layers[layer].each_ref().map(|weights| truncated(weights, half_rank(weights)))
    });
    table.outcome("low rank: half the work, all layers", with_net(lab, &net, 0.5));
    net.layers[..lab.shape().layers() - 1].clone_from_slice(&lab.net.layers[..lab.shape().layers() - 1]);
    table.outcome(
        "low rank: half the work, last layer",
        with_net(lab, &net, 0.5 / lab.shape().layers() as f64),
    );
}

/// How much of a matrix its largest singular values hold.
pub(crate) fn spectrum(lab: &Lab, table: &mut Table) {
    let weights = &lab.net.layers[0][Matrix::Output as usize];
    let values: Vec<_> = eigen(gram(weights)).into_iter().map(|(value, _)| value.max(0.0)).collect();
    let (n, total) = (values.len(), values.iter().sum::<f64>());
    let held = |share: usize| percent(values[..n / share].iter().sum::<f64>() / total);
    let smallest = (values[n - 1] / values[0]).sqrt();
    table.row([format!("{n} x {n}"), held(8), held(4), held(2), format!("{smallest:.5}")]);
}
