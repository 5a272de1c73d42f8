//! Predicting the result without doing the products.

use crate::function::{Run, clamp23};
use crate::lab::Lab;
use crate::report::Table;
use crate::stream;
use freeway_sprint::shape::GROUP_LAYERS;
use freeway_sprint::trace::state_digest;

/// What a nonce injects: by layer, all tokens after each other, as added to the state.
fn injections(lab: &Lab, index: usize) -> Vec<Vec<f64>> {
    let (key, shape) = (stream::nonce_key(&lab.inputs[index]), lab.shape());
    let added = |layer: usize| {
        let bytes =
            (0..shape.tokens()).flat_map(|token| stream::injection(&key, layer, token, shape.width()));
        bytes.map(|byte| f64::from(byte) * 32.0).collect()
    };
    (0..shape.layers()).map(added).collect()
}

/// States as predicted at every boundary: the sum of the injections so far, each times its layer's factor, and a part that
/// does not depend on the nonce.
fn predicted(lab: &Lab, injections: &[Vec<f64>], factors: &[f64], common: &[f64]) -> Run {
    let layers = lab.shape().layers();
    let mut sum = common.to_vec();
    let mut run = Run { saved: lab.macs() as u64, ..Run::default() };
    for (layer, (injection, factor)) in injections.iter().zip(factors).enumerate() {
        for (sum, injection) in sum.iter_mut().zip(injection) {
            *sum += factor * injection;
        }
        if (layer + 1).is_multiple_of(GROUP_LAYERS as usize) || layer + 1 == layers {
            run.h = sum.iter().map(|element| clamp23(element.round() as i32)).collect();
            run.boundaries.push(state_digest(&run.h));
        }
    }
    run
}

pub(crate) fn study(lab: &Lab, table: &mut Table) {
    let all: Vec<_> = (0..lab.inputs.len()).map(|index| injections(lab, index)).collect();
    let (layers, length) = (lab.shape().layers(), lab.shape().state_len());
    let nothing = vec![0.0; length];
    let plain: Vec<_> = all.iter().map(|i| predicted(lab, i, &vec![1.0; layers], &nothing)).collect();
    table.outcome("predict: the sum of all injections", lab.compare(&plain));

    // Fitted on the very nonces that are predicted, which no cheat could do.
    let factor = |layer: usize| {
        let pairs = || all.iter().zip(&lab.honest).flat_map(|(i, run)| i[layer].iter().zip(&run.h));
        let products: f64 = pairs().map(|(i, h)| i * f64::from(*h)).sum();
        products / pairs().map(|(i, _)| i * i).sum::<f64>()
    };
    let factors: Vec<_> = (0..layers).map(factor).collect();
    let fitted: Vec<_> = all.iter().map(|i| predicted(lab, i, &factors, &nothing)).collect();
    table.outcome("predict: the same with a fitted factor per layer", lab.compare(&fitted));

    let rest = |own: usize, element: usize| {
        let others = fitted.iter().zip(&lab.honest).enumerate().filter(|(index, _)| *index != own);
        others.map(|(_, (run, honest))| f64::from(honest.h[element]) - f64::from(run.h[element])).sum::<f64>()
            / (lab.honest.len() - 1).max(1) as f64
    };
    let common = |own: usize| {
        let mean: Vec<f64> = (0..length).map(|element| rest(own, element)).collect();
        predicted(lab, &all[own], &factors, &mean)
    };
    let with_mean: Vec<_> = (0..all.len()).map(common).collect();
    table.outcome("predict: and the mean of all other nonces added", lab.compare(&with_mean));
}
