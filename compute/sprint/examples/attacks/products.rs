//! Leaving out small products, and computing with fewer bits.

use core::ops::Range;

use crate::function::{At, Cheat, Matrix, Net, Weights};
use crate::lab::Lab;
use crate::report::Table;

/// Leaves out products `x w` up to a magnitude.
#[derive(Clone, Debug)]
struct Small {
    layers: Range<usize>,
    matrices: Vec<Matrix>,
    up_to: i16,
    /// Only for so many outputs.
    outputs: usize,
}

impl Cheat for Small {
    fn product(&mut self, at: At, rows: &[i8], weights: &Weights, sums: &mut [i32]) -> u64 {
        if !self.layers.contains(&at.layer) || !self.matrices.contains(&at.matrix) {
            weights.multiply(rows, sums);
            return 0;
        }
        let mut saved = 0;
        for (n, weights_row) in weights.values.chunks_exact(weights.inner).enumerate() {
            let up_to = if n < self.outputs { self.up_to } else { 0 };
            for (t, row) in rows.chunks_exact(weights.inner).enumerate() {
                let (mut sum, mut dropped) = (0, 0);
                for (x, w) in row.iter().zip(weights_row) {
                    let product = i16::from(*x) * i16::from(*w);
                    let small = product.abs() <= up_to;
                    sum += if small { 0 } else { i32::from(product) };
                    // A product with a zero is no work to begin with.
                    dropped += i32::from(small && product != 0);
                }
                sums[t * weights.outputs + n] = sum;
                saved += dropped as u64;
            }
        }
        saved
    }
}

/// Leaves out the product of the low halves of operands: one of the four products of 4-bit hardware.
#[derive(Clone, Debug)]
struct Nibbles {
    layers: Range<usize>,
    matrices: Vec<Matrix>,
    /// Only for so many outputs.
    outputs: usize,
}

impl Cheat for Nibbles {
    fn product(&mut self, at: At, rows: &[i8], weights: &Weights, sums: &mut [i32]) -> u64 {
        weights.multiply(rows, sums);
        if !self.layers.contains(&at.layer) || !self.matrices.contains(&at.matrix) {
            return 0;
        }
        let low_rows: Vec<_> = rows.iter().map(|x| low(*x)).collect();
        let mut low_sums = vec![0; sums.len()];
        weights.map(low).multiply(&low_rows, &mut low_sums);
        let some = weights.outputs.min(self.outputs);
        for (sums, low) in sums.chunks_mut(weights.outputs).zip(low_sums.chunks(weights.outputs)) {
            for (sum, low) in sums[..some].iter_mut().zip(low) {
                *sum -= low;
            }
        }
        (rows.len() * some / 4) as u64
    }
}

/// The low half, from -8 to 7.
const fn low(value: i8) -> i8 {
    (value << 4) >> 4
}

/// Rounds operands of products. The work is that of the same number of cheaper multiply-adds, so none is counted as saved here.
struct Rounded<F> {
    layers: Range<usize>,
    round: F,
    weights_too: bool,
}

impl<F: Fn(i8) -> i8> Cheat for Rounded<F> {
    fn product(&mut self, at: At, rows: &[i8], weights: &Weights, sums: &mut [i32]) -> u64 {
        if !self.layers.contains(&at.layer) {
            weights.multiply(rows, sums);
            return 0;
        }
        let rows: Vec<_> = rows.iter().map(|x| (self.round)(*x)).collect();
        if self.weights_too {
            weights.map(&self.round).multiply(&rows, sums);
        } else {
            weights.multiply(&rows, sums);
        }
        0
    }
}

/// To the nearest number with `bits` significant bits, as small floats have them.
pub(crate) fn significant(value: i8, bits: u32) -> i8 {
    let magnitude = i32::from(value.unsigned_abs());
    let drop = (32 - magnitude.leading_zeros()).saturating_sub(bits);
    let rounded = if drop == 0 { magnitude } else { (magnitude + (1 << (drop - 1))) >> drop << drop };
    (rounded * i32::from(value.signum())).clamp(-127, 127) as i8
}

/// To a multiple of 2 to the power of `bits`.
pub(crate) fn coarse(value: i8, bits: u32) -> i8 {
    let value = i32::from(value);
    (((value + (1 << (bits - 1))) >> bits) << bits).clamp(-127, 127) as i8
}

pub(crate) fn study(lab: &Lab, table: &mut Table) {
    let last = lab.shape().layers();
    let small = |layers: Range<usize>, matrices: &[Matrix], up_to| {
        lab.try_out(|_| Small {
            layers: layers.clone(),
            matrices: matrices.to_vec(),
            up_to,
            outputs: usize::MAX,
        })
    };
    for up_to in [1, 16, 64, 256] {
        let name = format!("small products: up to {up_to}, all layers");
        table.outcome(name, small(0..last, &Matrix::ALL, up_to));
    }
    for up_to in [1, 16, 64] {
        let name = format!("small products: up to {up_to}, last layer");
        table.outcome(name, small(last - 1..last, &Matrix::ALL, up_to));
    }
    for (matrix, name) in Matrix::ALL.into_iter().zip(["q, k, v", "output", "gate and up", "down"]) {
        let name = format!("small products: up to 1, last layer, only {name}");
        table.outcome(name, small(last - 1..last, &[matrix], 1));
    }
    let scores = 2 * lab.shape().width();
    for up_to in [16, 64] {
        let outcome = lab.try_out(|_| Small {
            layers: last - 1..last,
            matrices: vec![Matrix::Qkv],
            up_to,
            outputs: scores,
        });
        table.outcome(format!("small products: up to {up_to}, last layer, only q and k"), outcome);
    }

    let nibbles = |layers: Range<usize>, matrices: &[Matrix], outputs: usize| {
        lab.try_out(|_| Nibbles { layers: layers.clone(), matrices: matrices.to_vec(), outputs })
    };
    let all = nibbles(0..last, &Matrix::ALL, usize::MAX);
    table.outcome("4-bit hardware: low times low left out, all layers", all);
    let one = nibbles(last - 1..last, &Matrix::ALL, usize::MAX);
    table.outcome("4-bit hardware: low times low left out, last layer", one);
    let queries = nibbles(last - 1..last, &[Matrix::Qkv], scores);
    table.outcome("4-bit hardware: low times low left out, last layer, only q and k", queries);

    type Round = fn(i8) -> i8;
    let kinds: [(&str, Round); 3] = [
        ("7-bit operands", |value| coarse(value, 1)),
        ("4-bit operands", |value| coarse(value, 4)),
        ("fp8 operands (e4m3)", |value| significant(value, 4)),
    ];
    for (name, round) in kinds {
        let rounded = |layers: Range<usize>, weights_too| {
            lab.try_out(|_| Rounded { layers: layers.clone(), round, weights_too })
        };
        table.outcome(format!("{name}: activations and weights, all layers"), rounded(0..last, true));
        table.outcome(format!("{name}: activations only, last layer"), rounded(last - 1..last, false));
    }
}

/// Sparse weights: 2 of 4 kept, as sparse tensor cores have them, or only the smallest dropped.
pub(crate) fn sparse(lab: &Lab, table: &mut Table) {
    let halved = lab.net.map(two_of_four);
    table.outcome("sparse weights: two of four", with_net(lab, &halved, 0.5));
    for small in [1u8, 4] {
        let kept = |w: i8| if w.unsigned_abs() <= small { 0 } else { w };
        let net = lab.net.map(|weights| weights.map(kept));
        let weights = || lab.net.layers.iter().flatten().flat_map(|weights| &weights.values);
        let dropped = weights().filter(|w| (1..=small).contains(&w.unsigned_abs())).count();
        let share = dropped as f64 / weights().count() as f64;
        table.outcome(format!("sparse weights: up to {small} dropped"), with_net(lab, &net, share));
    }
}

/// Honest work on other weights, which cost less by a share of all products.
pub(crate) fn with_net(lab: &Lab, net: &Net, share: f64) -> crate::lab::Outcome {
    let products = (lab.shape().parameters() * lab.shape().tokens() as u64) as f64;
    let runs = lab.run_on(net, |_| crate::function::Honest).into_iter().map(|(mut run, _)| {
        run.saved = (share * products) as u64;
        run
    });
    lab.compare(&runs.collect::<Vec<_>>())
}

fn two_of_four(weights: &Weights) -> Weights {
    let mut values = weights.values.clone();
    for four in values.as_chunks_mut::<4>().0 {
        let mut order = [0, 1, 2, 3];
        order.sort_by_key(|i| four[*i].unsigned_abs());
        (four[order[0]], four[order[1]]) = (0, 0);
    }
    Weights { values, ..*weights }
}
