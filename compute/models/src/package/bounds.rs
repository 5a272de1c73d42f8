//! The proof that no float of a forward pass can overflow, by intervals from the weights.
//!
//! Every number of the pass gets an upper bound on its magnitude that holds for all tokens: an embedding is as large as
//! its largest element, a normed element is at most `sqrt(n)` times its weight, a product at most the sum of its
//! absolute weights times the bounds of its inputs, attention at most its largest value, `silu(g) * u` at most `|g| |u|`,
//! and the residual stream at most the sum of all that was added. Quantisation and rounding are covered by explicit
//! terms and by [`SLACK`]. Bounds grow from layer to layer, which is fine: real models stay far below the limits.

use crate::config::Config;
use crate::package::inspect::Rows;
use crate::package::{Package, PackageError};
use crate::slot::{MatrixSlot, VectorSlot};

/// The greatest bound of any float, as a binary logarithm.
const LIMIT: f64 = 60.0;
/// The greatest bound of a sum of squares, and of a score before it is clamped.
const SQUARES: f64 = 126.0;
/// Covers the rounding of one step: at most 4,200 roundings to 24 bits.
const SLACK: f64 = 1.001;
/// Covers the integer weights of attention, which add up to a little more or less than one.
const ATTENTION_SLACK: f64 = 1.25;
/// The least peak that a group of activations is quantised by.
const LEAST_PEAK: f64 = 1.0 / (1u128 << 100) as f64;
/// Units of the logarithm of a probability.
const SCORE_UNITS: f64 = 1_024.0;

fn limit(what: impl core::fmt::Display, bound: f64, limit: f64) -> Result<(), PackageError> {
    // Not `bound > 2^limit`, which a NaN would pass.
    if bound <= limit.exp2() {
        return Ok(());
    }
    Err(PackageError::Unbounded { what: what.to_string(), log2: bound.log2(), limit })
}

fn greatest(bounds: &[f64]) -> f64 {
    bounds.iter().copied().fold(0.0, f64::max)
}

/// Bounds of activations after quantisation, padded with zeros to `inner`: half a step more than before, and a step is
/// 1/127 of the group's peak.
fn quantised(mut bounds: Vec<f64>, inner: usize, config: &Config) -> Vec<f64> {
    for group in bounds.chunks_mut(config.group.within(inner)) {
        let step = (greatest(group).max(LEAST_PEAK)) / 127.0;
        for bound in group {
            *bound = (*bound + step / 2.0) * SLACK;
        }
    }
    bounds.resize(inner, 0.0);
    bounds
}

fn normed(weights: &[f32]) -> Vec<f64> {
    let root = (weights.len() as f64).sqrt() * SLACK;
    weights.iter().map(|weight| f64::from(weight.abs()) * root).collect()
}

/// Runs the proof. `rows` gives the bounds of a product's outputs from those of its inputs, and looks at the weights
/// as it passes them.
pub(super) fn prove(package: &Package, rows: &mut Rows<'_>) -> Result<(), PackageError> {
    let config = package.config();
    let square = |what: &str, layer: u32, bound: f64, length: usize| {
        limit(
            format_args!("the sum of squares of {what} at layer {layer}"),
            bound * bound * length as f64,
            SQUARES,
        )
    };
    let mut residual = rows.peak(MatrixSlot::Embedding)?;
    for layer in 0..config.layers {
        square("the residual stream", layer, residual, config.width_padded())?;
        residual = (residual + attention(package, rows, layer)?) * SLACK;
        square("the residual stream", layer, residual, config.width_padded())?;
        residual = (residual + feed_forward(package, rows, layer)?) * SLACK;
        limit(format_args!("the residual stream after layer {layer}"), residual, LIMIT)?;
    }
    square("the residual stream", config.layers, residual, config.width_padded())?;
    let inputs = quantised(normed(package.vector(VectorSlot::FinalNorm)), config.width_padded(), config);
    limit("a logit", greatest(&rows.bounds(MatrixSlot::Head, &inputs)?) * SLACK, LIMIT)
}

/// The most that attention adds to the residual stream.
fn attention(package: &Package, rows: &mut Rows<'_>, layer: u32) -> Result<f64, PackageError> {
    let config = package.config();
    let (head, keys, values) = (config.head(), config.key_offset(), config.value_offset());
    let norm = normed(package.vector(VectorSlot::AttentionNorm(layer)));
    limit(VectorSlot::AttentionNorm(layer), greatest(&norm), LIMIT)?;
    let slot = MatrixSlot::Qkv(layer);
    let mut qkv = rows.bounds(slot, &quantised(norm, config.width_padded(), config))?;
    if config.qkv_bias {
        for (bound, bias) in qkv.iter_mut().zip(package.vector(VectorSlot::QkvBias(layer))) {
            *bound = (*bound + f64::from(bias.abs())) * SLACK;
        }
    }
    limit(slot, greatest(&qkv), LIMIT)?;
    let (mut query, mut key) = (greatest(&qkv[..keys]), greatest(&qkv[keys..values]));
    if config.qk_norm {
        limit(slot, query.max(key).powi(2) * head as f64, SQUARES)?;
        query = greatest(&normed(package.vector(VectorSlot::QueryNorm(layer))));
        key = greatest(&normed(package.vector(VectorSlot::KeyNorm(layer))));
    }
    // A turn makes an element of two: at most twice as large. Then half a step of quantisation.
    let turned = 2.0 * f64::from(config.rope_magnitude) * SLACK * (1.0 + 1.0 / 254.0) + LEAST_PEAK;
    (query, key) = (query * turned, key * turned);
    limit(format_args!("rotated {slot}"), query.max(key), LIMIT)?;
    let score = query * key * head as f64 * f64::from(config.score_scale) * SCORE_UNITS * SLACK;
    limit(format_args!("a score of layer {layer}"), score, SQUARES)?;
    // A query head sees nothing but values of its key-value head.
    let shared = config.heads() / config.kv_heads();
    let attended = (0..config.attended())
        .map(|element| {
            let first = values + element / head / shared * head;
            (greatest(&qkv[first..first + head]) + LEAST_PEAK) * ATTENTION_SLACK
        })
        .collect();
    let inputs = quantised(attended, config.attended_padded(), config);
    let bound = greatest(&rows.bounds(MatrixSlot::Output(layer), &inputs)?) * SLACK;
    limit(MatrixSlot::Output(layer), bound, LIMIT)?;
    Ok(bound)
}

/// The most that the feed-forward part adds to the residual stream.
fn feed_forward(package: &Package, rows: &mut Rows<'_>, layer: u32) -> Result<f64, PackageError> {
    let config = package.config();
    let norm = normed(package.vector(VectorSlot::FeedForwardNorm(layer)));
    limit(VectorSlot::FeedForwardNorm(layer), greatest(&norm), LIMIT)?;
    let slot = MatrixSlot::GateUp(layer);
    let both = rows.bounds(slot, &quantised(norm, config.width_padded(), config))?;
    limit(slot, greatest(&both), LIMIT)?;
    let (gate, up) = both.split_at(config.hidden_padded());
    let gated: Vec<f64> = gate.iter().zip(up).map(|(gate, up)| gate * up * SLACK).collect();
    limit(format_args!("gate times up of layer {layer}"), greatest(&gated), LIMIT)?;
    let inputs = quantised(gated, config.hidden_padded(), config);
    let bound = greatest(&rows.bounds(MatrixSlot::Down(layer), &inputs)?) * SLACK;
    limit(MatrixSlot::Down(layer), bound, LIMIT)?;
    Ok(bound)
}
