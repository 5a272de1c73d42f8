//! A plain float decoder: one sequence, one thread, greedy. For looking at a model while it is trained, and for checking it.

use crate::architecture::{Family, NORM_EPSILON, Shape};

/// A model with the keys and values of one sequence.
pub struct Decoder<'a> {
    shape: Shape,
    weights: &'a [Vec<f32>],
    cosines: Vec<f32>,
    sines: Vec<f32>,
    /// Per layer: keys and values of all positions so far.
    cache: Vec<(Vec<f32>, Vec<f32>)>,
    position: usize,
    limit: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder for at most `limit` positions.
    ///
    /// # Panics
    /// If there are not as many tensors as the shape has.
    pub fn new(shape: Shape, weights: &'a [Vec<f32>], limit: usize) -> Self {
        assert_eq!(shape.tensors().len(), weights.len(), "one vector per tensor of the shape");
        let (cosines, sines) = shape.rope(limit);
        Self {
            shape,
            weights,
            cosines,
            sines,
            cache: vec![Default::default(); shape.layers],
            position: 0,
            limit,
        }
    }

    /// Positions that are left.
    pub fn left(&self) -> usize {
        self.limit - self.position
    }

    /// Reads one token; returns the scores of the next.
    ///
    /// # Panics
    /// If no position is left, or the token is outside the vocabulary.
    pub fn read(&mut self, token: usize) -> Vec<f32> {
        assert!(self.left() > 0, "no position is left");
        let Shape { width, .. } = self.shape;
        let mut tensors = self.weights.iter();
        let mut next = || tensors.next().map(Vec::as_slice).expect("as many tensors as the shape has");
        let embeddings = next();
        let mut state = embeddings[token * width..(token + 1) * width].to_vec();
        for layer in 0..self.shape.layers {
            let input = norm(&state, next());
            let project = |matrix: &[f32], bias: Option<&[f32]>| {
                let mut output = product(matrix, &input);
                output.iter_mut().zip(bias.unwrap_or_default()).for_each(|(value, bias)| *value += bias);
                output
            };
            let biased = self.shape.family == Family::Qwen2;
            let mut linear = || {
                let matrix = next();
                project(matrix, biased.then(&mut next))
            };
            let (mut queries, mut keys, values) = (linear(), linear(), linear());
            if self.shape.family == Family::Qwen3 {
                queries = self.norm_heads(&queries, next());
                keys = self.norm_heads(&keys, next());
            }
            self.rotate(&mut queries);
            self.rotate(&mut keys);
            self.cache[layer].0.extend(keys);
            self.cache[layer].1.extend(values);
            let mixed = self.attend(layer, &queries);
            add(&mut state, &product(next(), &mixed));
            let input = norm(&state, next());
            let (gate, up) = (product(next(), &input), product(next(), &input));
            let hidden: Vec<f32> =
                gate.iter().zip(&up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect();
            add(&mut state, &product(next(), &hidden));
        }
        self.position += 1;
        product(embeddings, &norm(&state, next()))
    }

    fn norm_heads(&self, heads: &[f32], gain: &[f32]) -> Vec<f32> {
        heads.chunks(self.shape.head).flat_map(|head| norm(head, gain)).collect()
    }

    fn rotate(&self, heads: &mut [f32]) {
        let half = self.shape.head / 2;
        let row = self.position * half..(self.position + 1) * half;
        let (cosines, sines) = (&self.cosines[row.clone()], &self.sines[row]);
        for head in heads.chunks_mut(self.shape.head) {
            for pair in 0..half {
                let (first, second) = (head[pair], head[pair + half]);
                head[pair] = first * cosines[pair] - second * sines[pair];
                head[pair + half] = second * cosines[pair] + first * sines[pair];
            }
        }
    }

    fn attend(&self, layer: usize, queries: &[f32]) -> Vec<f32> {
        let Shape { head, heads, kv_heads, .. } = self.shape;
        let (keys, values) = &self.cache[layer];
        let row = kv_heads * head;
        let mut mixed = vec![0.0; heads * head];
        for (index, (query, mixed)) in queries.chunks(head).zip(mixed.chunks_mut(head)).enumerate() {
            let start = index / (heads / kv_heads) * head;
            let mut scores: Vec<f32> = keys
                .chunks(row)
                .map(|keys| dot(query, &keys[start..start + head]) / (head as f32).sqrt())
                .collect();
            let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            scores.iter_mut().for_each(|score| *score = (*score - highest).exp());
            let sum: f32 = scores.iter().sum();
            for (score, values) in scores.iter().zip(values.chunks(row)) {
                let weight = score / sum;
                mixed
                    .iter_mut()
                    .zip(&values[start..start + head])
                    .for_each(|(mixed, value)| *mixed += weight * value);
            }
        }
        mixed
    }
}

/// What the model writes after `prompt`: the likeliest token each time, until `stop` or `most` tokens.
pub fn greedy(shape: Shape, weights: &[Vec<f32>], prompt: &[usize], stop: usize, most: usize) -> Vec<usize> {
    let mut decoder = Decoder::new(shape, weights, prompt.len() + most);
    let mut scores = Vec::new();
    for &token in prompt {
        scores = decoder.read(token);
    }
    let mut written = Vec::new();
    while written.len() < most && !scores.is_empty() {
        let best = likeliest(&scores);
        if best == stop {
            break;
        }
        written.push(best);
        scores = if decoder.left() > 0 { decoder.read(best) } else { Vec::new() };
    }
    written
}

/// Index of the highest score, the lowest such index if several are equal.
pub fn likeliest(scores: &[f32]) -> usize {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    best
}

fn norm(state: &[f32], gain: &[f32]) -> Vec<f32> {
    let mean = state.iter().map(|x| x * x).sum::<f32>() / state.len() as f32;
    let scale = 1.0 / (mean + NORM_EPSILON).sqrt();
    state.iter().zip(gain).map(|(x, gain)| x * scale * gain).collect()
}

/// Rows of `matrix` times `vector`.
fn product(matrix: &[f32], vector: &[f32]) -> Vec<f32> {
    matrix.chunks(vector.len()).map(|row| dot(row, vector)).collect()
}

/// Eight sums side by side, which the compiler turns into vector instructions.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    for (left, right) in left.chunks(8).zip(right.chunks(8)) {
        for (sum, (left, right)) in sums.iter_mut().zip(left.iter().zip(right)) {
            *sum += left * right;
        }
    }
    sums.iter().sum()
}

fn add(state: &mut [f32], change: &[f32]) {
    state.iter_mut().zip(change).for_each(|(state, change)| *state += change);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_decodes_and_stops_at_the_limit() {
        for family in [Family::Llama, Family::Qwen2, Family::Qwen3] {
            let shape = Shape { layers: 2, ..Shape::small(family, 64) };
            let weights = shape.initial(5);
            let written = greedy(shape, &weights, &[1, 2, 3], usize::MAX, 10);
            assert_eq!(written.len(), 10);
            assert_eq!(written, greedy(shape, &weights, &[1, 2, 3], usize::MAX, 10));
        }
    }

    #[test]
    fn ties_go_to_the_lowest_token() {
        assert_eq!(likeliest(&[0.5, 1.0, 1.0]), 1);
    }
}
