//! The float model, in the plainest way: f32 weights, ordinary softmax, one layer in memory at a time.

use freeway_kernels::Pool;
use freeway_models::{Config, Slot, Source, SourceError};

/// Rows for which logits are in memory at a time.
const LOGIT_ROWS: usize = 128;

/// Computes texts from their beginnings. `each` gets the number of the text, the position in it, and the logits there; all
/// positions, in order. Tokens must be in the vocabulary.
///
/// # Errors
/// If a tensor cannot be read.
pub fn logits(
    source: &Source,
    pool: &Pool,
    texts: &[&[u32]],
    mut each: impl FnMut(usize, usize, &[f32]),
) -> Result<(), SourceError> {
    let config = source.config();
    let width = config.width();
    let embedding = source.tensor(Slot::Embedding)?;
    let tokens = texts.iter().copied().flatten();
    let mut x: Vec<f32> =
        tokens.flat_map(|token| embedding[*token as usize * width..][..width].iter().copied()).collect();
    drop(embedding);
    for layer in 0..config.layers {
        let normed = norm(&x, &source.tensor(Slot::AttentionNorm(layer))?, config.eps);
        let attended = attention(source, pool, texts, &normed, layer)?;
        add(&mut x, &product(pool, &attended, &source.tensor(Slot::Output(layer))?, width));
        let normed = norm(&x, &source.tensor(Slot::FeedForwardNorm(layer))?, config.eps);
        let mut gate = product(pool, &normed, &source.tensor(Slot::Gate(layer))?, config.hidden());
        let up = product(pool, &normed, &source.tensor(Slot::Up(layer))?, config.hidden());
        for (gate, up) in gate.iter_mut().zip(&up) {
            *gate = *gate / (1.0 + (-*gate).exp()) * up;
        }
        add(&mut x, &product(pool, &gate, &source.tensor(Slot::Down(layer))?, width));
    }
    let states = norm(&x, &source.tensor(Slot::FinalNorm)?, config.eps);
    let head = source.tensor(Slot::Head)?;
    let mut places =
        texts.iter().enumerate().flat_map(|(text, tokens)| (0..tokens.len()).map(move |at| (text, at)));
    for states in states.chunks(LOGIT_ROWS * width) {
        let logits = product(pool, states, &head, config.vocabulary());
        // Rows are taken last, as many as there are.
        for (logits, (text, position)) in logits.chunks_exact(config.vocabulary()).zip(&mut places) {
            each(text, position, logits);
        }
    }
    Ok(())
}

/// Queries, keys and values, and what each position takes from those before it.
fn attention(
    source: &Source,
    pool: &Pool,
    texts: &[&[u32]],
    x: &[f32],
    layer: u32,
) -> Result<Vec<f32>, SourceError> {
    let config = source.config();
    let (head, heads, kv_heads) = (config.head(), config.heads(), config.kv_heads());
    let project =
        |weights: Slot, bias: Slot, normed: Slot, columns: usize| -> Result<Vec<f32>, SourceError> {
            let mut y = product(pool, x, &source.tensor(weights)?, columns);
            if config.qkv_bias {
                let bias = source.tensor(bias)?;
                y.chunks_exact_mut(columns).for_each(|row| add(row, &bias));
            }
            // Values have neither norm nor rotation.
            if matches!(weights, Slot::Value(_)) {
                return Ok(y);
            }
            if config.qk_norm {
                y = norm(&y, &source.tensor(normed)?, config.eps);
            }
            let positions = texts.iter().flat_map(|text| 0..text.len());
            y.chunks_exact_mut(columns)
                .zip(positions)
                .for_each(|(row, position)| rotate(config, row, position));
            Ok(y)
        };
    let (query, key) = (Slot::QueryNorm(layer), Slot::KeyNorm(layer));
    let q = project(Slot::Query(layer), Slot::QueryBias(layer), query, heads * head)?;
    let k = project(Slot::Key(layer), Slot::KeyBias(layer), key, kv_heads * head)?;
    let v = project(Slot::Value(layer), Slot::ValueBias(layer), key, kv_heads * head)?;
    let scale = config.score_scale * std::f32::consts::LN_2;
    let mut out = vec![0.0; q.len()];
    let starts: Vec<(usize, usize)> = texts
        .iter()
        .scan(0, |next, text| {
            let start = *next;
            *next += text.len();
            Some((start, text.len()))
        })
        .flat_map(|(start, length)| (0..length).map(move |position| (start, position)))
        .collect();
    let work = (q.len() * texts.iter().map(|text| text.len()).max().unwrap_or(0)) as u64;
    pool.chunks(work, &mut out, head, |index, out| {
        let (row, own) = (index / heads, index % heads);
        let (start, position) = starts[row];
        let at = |row: usize| (row * kv_heads + own * kv_heads / heads) * head;
        let query = &q[index * head..][..head];
        let mut weights: Vec<f32> =
            (start..=start + position).map(|row| dot(query, &k[at(row)..][..head]) * scale).collect();
        let largest = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        weights.iter_mut().for_each(|weight| *weight = (*weight - largest).exp());
        let sum: f32 = weights.iter().sum();
        for (weight, row) in weights.iter().zip(start..) {
            for (out, value) in out.iter_mut().zip(&v[at(row)..][..head]) {
                *out += weight / sum * value;
            }
        }
    });
    Ok(out)
}

/// Rotates all heads of a row.
fn rotate(config: &Config, row: &mut [f32], position: usize) {
    let half = config.head() / 2;
    for head in row.chunks_exact_mut(2 * half) {
        let (first, second) = head.split_at_mut(half);
        for ((a, b), step) in first.iter_mut().zip(second).zip(&config.rope_steps) {
            // Steps are parts of a turn times 2^64; whole turns fall away.
            let turns = step.wrapping_mul(position as u64) as f64 / 2f64.powi(64);
            let (sin, cos) = (turns * std::f64::consts::TAU).sin_cos();
            let (sin, cos) = (sin as f32 * config.rope_magnitude, cos as f32 * config.rope_magnitude);
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}

/// Norms rows as long as the weights.
fn norm(x: &[f32], weights: &[f32], eps: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(weights.len()) {
        let mean = row.iter().map(|x| x * x).sum::<f32>() / row.len() as f32;
        let scale = 1.0 / (mean + eps).sqrt();
        out.extend(row.iter().zip(weights).map(|(x, weight)| x * scale * weight));
    }
    out
}

/// Rows of `x` times a matrix of `columns` outputs, an output's weights after the other.
fn product(pool: &Pool, x: &[f32], weights: &[f32], columns: usize) -> Vec<f32> {
    /// Rows that meet a column while it is near.
    const BLOCK: usize = 8;
    let inner = weights.len() / columns;
    let mut out = vec![0.0; x.len() / inner * columns];
    // Eight times what an exact product takes.
    let work = 8 * (x.len() * columns) as u64;
    pool.chunks(work, &mut out, BLOCK * columns, |block, out| {
        for column in 0..columns {
            let weights = &weights[column * inner..][..inner];
            for (row, out) in out.chunks_exact_mut(columns).enumerate() {
                out[column] = dot(&x[(block * BLOCK + row) * inner..][..inner], weights);
            }
        }
    });
    out
}

/// A sum in lanes, so that the compiler finds vectors.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.into_iter().chain(a_rest.iter().zip(b_rest).map(|(a, b)| a * b)).sum()
}

fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}
