//! The framework's part: gradients of one batch, and nothing else.
//!
//! Weights, optimiser, schedule, data and files are plain Rust and know nothing of the framework, which could be
//! exchanged by writing this one file anew. All tensors are f32; the graph is built anew for each batch.

use burn::tensor::module::{embedding, linear};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use crate::architecture::{Family, NORM_EPSILON, Shape};
use crate::trainer::batches::Batch;

/// What a masked score becomes: far below every real one, and finite, so that no row is ever without a maximum.
const MASKED: f32 = -1.0e9;

/// Computes gradients of the loss, by automatic differentiation.
pub struct Framework {
    shape: Shape,
    device: Device,
}

/// Loss of a batch and the gradient of every tensor.
pub struct Step {
    /// Mean cross entropy of the targets, weighted by their shares, in nats.
    pub loss: f32,
    /// One vector per tensor of the shape; empty where a loss alone was asked for.
    pub gradients: Vec<Vec<f32>>,
}

/// Weights by their place in [`Shape::tensors`], handed out in that order.
struct Weights<'a> {
    shape: &'a Shape,
    values: std::slice::Iter<'a, Leaf>,
}

enum Leaf {
    Vector(Tensor<1>),
    Matrix(Tensor<2>),
}

impl Framework {
    /// A framework for models of `shape`, on the processor.
    pub fn new(shape: Shape) -> Self {
        Self { shape, device: Device::flex() }
    }

    /// The loss of `batch` and its gradients.
    pub fn step(&self, weights: &[Vec<f32>], batch: &Batch) -> Step {
        let leaves = self.leaves(weights, true);
        let loss = self.loss(&leaves, batch, &self.device.clone().autodiff());
        let mut gradients = loss.backward();
        let gradients = leaves
            .iter()
            .map(|leaf| match leaf {
                Leaf::Vector(tensor) => tensor.grad_remove(&mut gradients).map(values),
                Leaf::Matrix(tensor) => tensor.grad_remove(&mut gradients).map(values),
            })
            .map(|gradient| gradient.expect("every tensor takes part in the loss"))
            .collect();
        Step { loss: loss.into_scalar::<f32>(), gradients }
    }

    /// The loss of `batch` alone.
    pub fn evaluate(&self, weights: &[Vec<f32>], batch: &Batch) -> f32 {
        self.loss(&self.leaves(weights, false), batch, &self.device).into_scalar::<f32>()
    }

    fn leaves(&self, weights: &[Vec<f32>], track: bool) -> Vec<Leaf> {
        let device = if track { self.device.clone().autodiff() } else { self.device.clone() };
        let specs = self.shape.tensors();
        specs
            .iter()
            .zip(weights)
            .map(|(spec, values)| {
                let data = TensorData::new(values.clone(), spec.dimensions.clone());
                if spec.dimensions.len() == 1 {
                    let tensor = Tensor::<1>::from_data(data, &device);
                    Leaf::Vector(if track { tensor.require_grad() } else { tensor })
                } else {
                    let tensor = Tensor::<2>::from_data(data, &device);
                    Leaf::Matrix(if track { tensor.require_grad() } else { tensor })
                }
            })
            .collect()
    }

    fn loss(&self, leaves: &[Leaf], batch: &Batch, device: &Device) -> Tensor<1> {
        let shape = &self.shape;
        let (rows, length) = (batch.rows, batch.length);
        let mut weights = Weights { shape, values: leaves.iter() };
        let embeddings = weights.matrix();
        let tokens =
            Tensor::<2, Int>::from_data(TensorData::new(batch.tokens.clone(), [rows, length]), device);
        let mut state = embedding(embeddings.clone(), tokens).reshape([rows * length, shape.width]);
        let (cosines, sines) = shape.rope(length);
        let turn = |values: Vec<f32>| {
            Tensor::<4>::from_data(TensorData::new(values, [1, 1, length, shape.head / 2]), device)
        };
        let rope = (turn(cosines), turn(sines));
        let mask = self.mask(length, device);
        for _ in 0..shape.layers {
            state = weights.layer(state, (rows, length), &rope, &mask);
        }
        let wanted = batch.positions.len();
        let positions =
            Tensor::<1, Int>::from_data(TensorData::new(batch.positions.clone(), [wanted]), device);
        let targets =
            Tensor::<2, Int>::from_data(TensorData::new(batch.targets.clone(), [wanted, 1]), device);
        // Only rows whose next token counts go through the widest product.
        let last = norm(state.select(0, positions), weights.vector());
        let logits = linear(last, embeddings.transpose(), None);
        let total: f32 = batch.shares.iter().sum();
        let shares: Vec<f32> = batch.shares.iter().map(|share| -share / total).collect();
        let shares = Tensor::<2>::from_data(TensorData::new(shares, [wanted, 1]), device);
        (activation::log_softmax(logits, 1).gather(1, targets) * shares).sum()
    }

    /// 0 for visible pairs, far below 0 for others; repeated for the query heads that share a key head.
    fn mask(&self, length: usize, device: &Device) -> Tensor<4> {
        let group = self.shape.heads / self.shape.kv_heads;
        let values: Vec<f32> = (0..group * length)
            .flat_map(|row| (0..length).map(move |key| if key <= row % length { 0.0 } else { MASKED }))
            .collect();
        Tensor::from_data(TensorData::new(values, [1, 1, group * length, length]), device)
    }
}

impl Weights<'_> {
    fn vector(&mut self) -> Tensor<1> {
        match self.values.next() {
            Some(Leaf::Vector(tensor)) => tensor.clone(),
            _ => panic!("the order of tensors differs from the shape's"),
        }
    }

    fn matrix(&mut self) -> Tensor<2> {
        match self.values.next() {
            Some(Leaf::Matrix(tensor)) => tensor.clone(),
            _ => panic!("the order of tensors differs from the shape's"),
        }
    }

    /// A product with the next matrix, and the next bias where the family has one.
    fn project(&mut self, input: Tensor<2>) -> Tensor<2> {
        let product = linear(input, self.matrix().transpose(), None);
        match self.shape.family {
            Family::Qwen2 => product + self.vector().unsqueeze(),
            _ => product,
        }
    }

    fn layer(
        &mut self,
        state: Tensor<2>,
        (rows, length): (usize, usize),
        rope: &(Tensor<4>, Tensor<4>),
        mask: &Tensor<4>,
    ) -> Tensor<2> {
        let shape = *self.shape;
        let group = shape.heads / shape.kv_heads;
        let input = norm(state.clone(), self.vector());
        // [rows * length, heads * head] -> [rows, heads, length, head]
        let split =
            |tensor: Tensor<2>, heads| tensor.reshape([rows, length, heads, shape.head]).swap_dims(1, 2);
        let mut queries = split(self.project(input.clone()), shape.heads);
        let mut keys = split(self.project(input.clone()), shape.kv_heads);
        let values = split(self.project(input), shape.kv_heads);
        if shape.family == Family::Qwen3 {
            queries = norm(queries, self.vector());
            keys = norm(keys, self.vector());
        }
        let queries = rotate(queries.mul_scalar((shape.head as f32).sqrt().recip()), rope);
        let keys = rotate(keys, rope);
        // Query heads that share a key head are stacked along the rows: one product for all of them.
        let queries = queries.reshape([rows, shape.kv_heads, group * length, shape.head]);
        let scores = queries.matmul(keys.swap_dims(2, 3)) + mask.clone();
        let mixed = activation::softmax(scores, 3).matmul(values);
        let mixed = mixed
            .reshape([rows, shape.heads, length, shape.head])
            .swap_dims(1, 2)
            .reshape([rows * length, shape.heads * shape.head]);
        let state = state + linear(mixed, self.matrix().transpose(), None);
        let input = norm(state.clone(), self.vector());
        let gate = linear(input.clone(), self.matrix().transpose(), None);
        let up = linear(input, self.matrix().transpose(), None);
        state + linear(activation::silu(gate) * up, self.matrix().transpose(), None)
    }
}

fn norm<const D: usize>(state: Tensor<D>, gain: Tensor<1>) -> Tensor<D> {
    let mean = state.clone().square().mean_dim(D - 1);
    state * (mean + NORM_EPSILON).sqrt().recip() * gain.unsqueeze()
}

/// Pairs (i, i + head / 2) turned by their angles.
fn rotate(state: Tensor<4>, (cosines, sines): &(Tensor<4>, Tensor<4>)) -> Tensor<4> {
    let half = state.dims()[3] / 2;
    let first = state.clone().narrow(3, 0, half);
    let second = state.narrow(3, half, half);
    let turned_first = first.clone() * cosines.clone() - second.clone() * sines.clone();
    let turned_second = second * cosines.clone() + first * sines.clone();
    Tensor::cat(vec![turned_first, turned_second], 3)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("tensors are made as f32")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Decoder;

    /// Two rows of nine tokens, the second padded.
    fn batch() -> Batch {
        let rows = [[3, 1, 4, 1, 5, 9, 2, 6, 5], [3, 5, 8, 9, 7, 9, 0, 0, 0]];
        let positions = vec![2, 3, 6, 10, 13];
        let tokens: Vec<i32> = rows.concat();
        let targets = positions.iter().map(|&position| tokens[position as usize + 1]).collect();
        Batch { rows: 2, length: 9, tokens, positions, targets, shares: vec![1.0, 4.0, 1.0, 2.0, 1.0] }
    }

    fn shape(family: Family) -> Shape {
        Shape { family, vocabulary: 32, width: 32, layers: 2, heads: 4, kv_heads: 2, head: 8, hidden: 48 }
    }

    /// Weights large enough that every part of the model matters.
    fn weights(shape: &Shape) -> Vec<Vec<f32>> {
        let mut weights = shape.initial(4);
        weights.iter_mut().flatten().for_each(|value| *value *= 5.0);
        weights
    }

    /// The loss by the plain decoder, row by row.
    fn plain_loss(shape: Shape, weights: &[Vec<f32>], batch: &Batch) -> f32 {
        let mut sum = 0.0;
        for row in 0..batch.rows {
            let mut decoder = Decoder::new(shape, weights, batch.length);
            for place in 0..batch.length {
                let index = row * batch.length + place;
                let scores = decoder.read(batch.tokens[index] as usize);
                if let Some(which) = batch.positions.iter().position(|&position| position as usize == index) {
                    let total: f32 = scores.iter().map(|score| score.exp()).sum();
                    sum += batch.shares[which] * (total.ln() - scores[batch.targets[which] as usize]);
                }
            }
        }
        sum / batch.shares.iter().sum::<f32>()
    }

    #[test]
    fn loss_is_that_of_the_plain_decoder() {
        for family in [Family::Llama, Family::Qwen2, Family::Qwen3] {
            let shape = shape(family);
            let (weights, batch) = (weights(&shape), batch());
            let framework = Framework::new(shape);
            let (theirs, ours) = (framework.evaluate(&weights, &batch), plain_loss(shape, &weights, &batch));
            assert!((theirs - ours).abs() < 1e-4 * ours, "{family:?}: {theirs} {ours}");
            assert!((framework.step(&weights, &batch).loss - theirs).abs() < 1e-5);
        }
    }

    #[test]
    fn gradients_are_slopes() {
        for family in [Family::Llama, Family::Qwen2, Family::Qwen3] {
            let shape = shape(family);
            let (mut weights, batch) = (weights(&shape), batch());
            let framework = Framework::new(shape);
            let gradients = framework.step(&weights, &batch).gradients;
            for (index, tensor) in shape.tensors().iter().enumerate() {
                let steepest =
                    |a: &usize, b: &usize| gradients[index][*a].abs().total_cmp(&gradients[index][*b].abs());
                let at = (0..tensor.elements()).max_by(steepest).expect("tensors are not empty");
                let (value, step) = (weights[index][at], 2e-3);
                weights[index][at] = value + step;
                let above = plain_loss(shape, &weights, &batch);
                weights[index][at] = value - step;
                let below = plain_loss(shape, &weights, &batch);
                weights[index][at] = value;
                let (slope, gradient) = ((above - below) / (2.0 * step), gradients[index][at]);
                let tolerance = 0.05 * gradient.abs() + 2e-3;
                assert!(
                    (slope - gradient).abs() < tolerance,
                    "{family:?} {}: {slope} {gradient}",
                    tensor.name
                );
            }
        }
    }

    /// Sizes at which vector instructions and blocked products are used: along its gradient each tensor's slope is the
    /// gradient's length.
    #[test]
    fn gradients_of_full_size_are_slopes() {
        let shape = Shape { vocabulary: 512, layers: 2, ..Shape::guide(512) };
        let (rows, length) = (12, 72);
        let mut random = crate::corpus::random::Random::new(8);
        let tokens: Vec<i32> = (0..rows * length).map(|_| random.below(512) as i32).collect();
        let positions: Vec<i32> = (0..rows * length - 1)
            .filter(|place| place % length > 30 && place % length < 71)
            .map(|p| p as i32)
            .collect();
        let targets: Vec<i32> = positions.iter().map(|&position| tokens[position as usize + 1]).collect();
        let shares = positions.iter().map(|position| 1.0 + (position % 4) as f32).collect();
        let batch = Batch { rows, length, tokens, positions, targets, shares };
        let framework = Framework::new(shape);
        let mut weights = shape.initial(2);
        weights.iter_mut().flatten().for_each(|value| *value *= 3.0);
        let gradients = framework.step(&weights, &batch).gradients;
        for (index, tensor) in shape.tensors().iter().enumerate() {
            let length = gradients[index].iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt() as f32;
            let original = weights[index].clone();
            // A step along the gradient that changes the loss by about a hundredth.
            let step = 0.01 / length;
            let mut moved = |sign: f32| {
                weights[index] = original
                    .iter()
                    .zip(&gradients[index])
                    .map(|(w, g)| w + sign * step * g / length)
                    .collect();
                framework.evaluate(&weights, &batch)
            };
            let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
            weights[index] = original;
            assert!((slope - length).abs() < 0.03 * length, "{}: {slope} {length}", tensor.name);
        }
    }
}
