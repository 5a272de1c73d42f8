//! Algorithms that do fewer multiplications and get the same integers: honest, but not of equal use to everybody.

use crate::function::{At, Cheat, Weights};
use crate::lab::Lab;
use crate::report::Table;

/// A matrix of integers.
#[derive(Clone, Debug)]
struct Grid {
    rows: usize,
    columns: usize,
    values: Vec<i32>,
}

impl Grid {
    /// One of four quarters.
    fn quarter(&self, bottom: usize, right: usize) -> Self {
        let (rows, columns) = (self.rows / 2, self.columns / 2);
        let row =
            |row: usize| &self.values[(bottom * rows + row) * self.columns + right * columns..][..columns];
        Self { rows, columns, values: (0..rows).flat_map(row).copied().collect() }
    }

    fn plus(&self, other: &Self, sign: i32) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(a, b)| a + sign * b).collect();
        Self { values, ..*self }
    }

    /// Adds to a quarter of `out`.
    fn add_to(&self, out: &mut Self, bottom: usize, right: usize, sign: i32) {
        for (row, values) in self.values.chunks_exact(self.columns).enumerate() {
            let start = (bottom * self.rows + row) * out.columns + right * self.columns;
            for (out, value) in out.values[start..].iter_mut().zip(values) {
                *out += sign * value;
            }
        }
    }
}

/// Strassen's seven products instead of eight, some times over.
#[derive(Clone, Debug)]
struct Strassen {
    levels: u32,
    done: u64,
    largest: i32,
}

impl Strassen {
    /// `a` times the transpose of `b`.
    fn multiply(&mut self, a: &Grid, b: &Grid, levels: u32) -> Grid {
        let mut out = Grid { rows: a.rows, columns: b.rows, values: vec![0; a.rows * b.rows] };
        if levels == 0 {
            for (i, row) in a.values.chunks_exact(a.columns).enumerate() {
                for (j, column) in b.values.chunks_exact(b.columns).enumerate() {
                    out.values[i * b.rows + j] = row.iter().zip(column).map(|(x, y)| x * y).sum();
                }
            }
            self.done += (a.values.len() * b.rows) as u64;
            let largest = a.values.iter().chain(&b.values).map(|value| value.abs()).max();
            self.largest = self.largest.max(largest.unwrap_or(0));
            return out;
        }
        let [a11, a12, a21, a22] = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(i, j)| a.quarter(i, j));
        // The transpose of `b` has its quarters mirrored.
        let [b11, b21, b12, b22] = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(i, j)| b.quarter(i, j));
        let products = [
            (a11.plus(&a22, 1), b11.plus(&b22, 1)),
            (a21.plus(&a22, 1), b11.clone()),
            (a11.clone(), b12.plus(&b22, -1)),
            (a22.clone(), b21.plus(&b11, -1)),
            (a11.plus(&a12, 1), b22.clone()),
            (a21.plus(&a11, -1), b11.plus(&b12, 1)),
            (a12.plus(&a22, -1), b21.plus(&b22, 1)),
        ];
        let places: [&[(usize, usize, i32)]; 7] = [
            &[(0, 0, 1), (1, 1, 1)],
            &[(1, 0, 1), (1, 1, -1)],
            &[(0, 1, 1), (1, 1, 1)],
            &[(0, 0, 1), (1, 0, 1)],
            &[(0, 0, -1), (0, 1, 1)],
            &[(1, 1, 1)],
            &[(0, 0, 1)],
        ];
        for ((a, b), places) in products.iter().zip(places) {
            let product = self.multiply(a, b, levels - 1);
            for (bottom, right, sign) in places {
                product.add_to(&mut out, *bottom, *right, *sign);
            }
        }
        out
    }
}

impl Cheat for Strassen {
    fn product(&mut self, _at: At, rows: &[i8], weights: &Weights, sums: &mut [i32]) -> u64 {
        let grid = |values: &[i8]| Grid {
            rows: values.len() / weights.inner,
            columns: weights.inner,
            values: values.iter().map(|value| i32::from(*value)).collect(),
        };
        self.done = 0;
        let product = self.multiply(&grid(rows), &grid(&weights.values), self.levels);
        sums.copy_from_slice(&product.values);
        (rows.len() * weights.outputs) as u64 - self.done
    }
}

/// Winograd's inner product: `(x1 + w2) (x2 + w1) = x1 x2 + w1 w2 + x1 w1 + x2 w2`, where the first two need not be
/// computed for each pair of row and column.
#[derive(Clone, Debug)]
struct Winograd;

impl Cheat for Winograd {
    fn product(&mut self, _at: At, rows: &[i8], weights: &Weights, sums: &mut [i32]) -> u64 {
        let own = |values: &[i8]| -> i32 {
            values.as_chunks::<2>().0.iter().map(|[a, b]| i32::from(*a) * i32::from(*b)).sum()
        };
        let columns: Vec<_> =
            weights.values.chunks_exact(weights.inner).map(|column| (column, own(column))).collect();
        for (t, row) in rows.chunks_exact(weights.inner).enumerate() {
            let own = own(row);
            for (n, (column, columns_own)) in columns.iter().enumerate() {
                let pairs = row.as_chunks::<2>().0.iter().zip(column.as_chunks::<2>().0);
                let crossed = pairs.map(|([x1, x2], [w1, w2])| {
                    (i32::from(*x1) + i32::from(*w2)) * (i32::from(*x2) + i32::from(*w1))
                });
                sums[t * weights.outputs + n] = crossed.sum::<i32>() - own - columns_own;
            }
        }
        // The weights' own products are made once per race.
        (rows.len() * weights.outputs / 2 - rows.len() / 2) as u64
    }
}

pub(crate) fn study(lab: &Lab, table: &mut Table) {
    for levels in [1, 2] {
        let runs = lab.run(|_| Strassen { levels, done: 0, largest: 0 });
        let largest = runs.iter().map(|(_, strassen)| strassen.largest).max().unwrap_or(0);
        let runs: Vec<_> = runs.into_iter().map(|(run, _)| run).collect();
        let name = format!("exact: Strassen, {levels} level(s), operands up to {largest}");
        table.outcome(name, lab.compare(&runs));
    }
    table.outcome("exact: Winograd's inner product, operands up to 254", lab.try_out(|_| Winograd));
}
