//! The transformer's shape: which tensors it has, what Hugging Face calls them, and how they begin.
//!
//! One decoder family with three faces: Llama (plain), Qwen3 (queries and keys are normalised per head) and Qwen2
//! (queries, keys and values have a bias). Embeddings are tied: the same matrix reads and writes tokens.

use crate::corpus::random::Random;

/// Longest context that a model is published with, in tokens.
pub const CONTEXT: usize = 1024;
/// Base of the rotary embedding's frequencies.
pub const ROPE_THETA: f32 = 10_000.0;
/// What keeps the root of a norm away from zero.
pub const NORM_EPSILON: f32 = 1e-5;
/// Standard deviation of freshly drawn weights.
const INITIAL_DEVIATION: f32 = 0.02;

/// Which member of the decoder family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// No bias, no norm of queries and keys.
    Llama,
    /// Queries and keys are normalised within each head.
    Qwen3,
    /// Queries, keys and values carry a bias.
    Qwen2,
}

/// All sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Which member of the family.
    pub family: Family,
    /// Number of tokens in the vocabulary.
    pub vocabulary: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head.
    pub head: usize,
    /// Width of the feed-forward part.
    pub hidden: usize,
}

impl Shape {
    /// The guide's own shape. Normalised queries and keys make it learn in a fraction of the steps.
    pub fn guide(vocabulary: usize) -> Self {
        Self { width: 192, heads: 6, hidden: 512, ..Self::small(Family::Qwen3, vocabulary) }
    }

    /// A smaller model of any family, for measurements of quality on more than one architecture.
    pub fn small(family: Family, vocabulary: usize) -> Self {
        Self { family, vocabulary, width: 128, layers: 4, heads: 4, kv_heads: 2, head: 32, hidden: 320 }
    }

    /// Every tensor in the order in which they are stored, with Hugging Face's name and dimensions (rows first).
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let spec = |name: String, dimensions: &[usize], start| TensorSpec {
            name,
            dimensions: dimensions.to_vec(),
            start,
        };
        let (queries, keys) = (self.heads * self.head, self.kv_heads * self.head);
        // Products that feed the residual stream start smaller, so that its variance does not grow with depth.
        let into_residual = INITIAL_DEVIATION / (2.0 * self.layers as f32).sqrt();
        let mut all = vec![spec(
            "model.embed_tokens.weight".to_owned(),
            &[self.vocabulary, self.width],
            Start::Normal(INITIAL_DEVIATION),
        )];
        for layer in 0..self.layers {
            let mut add = |name: &str, dimensions: &[usize], start| {
                all.push(spec(format!("model.layers.{layer}.{name}"), dimensions, start));
            };
            add("input_layernorm.weight", &[self.width], Start::Ones);
            for (name, rows) in [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)] {
                add(
                    &format!("self_attn.{name}.weight"),
                    &[rows, self.width],
                    Start::Normal(INITIAL_DEVIATION),
                );
                if self.family == Family::Qwen2 {
                    add(&format!("self_attn.{name}.bias"), &[rows], Start::Zeros);
                }
            }
            if self.family == Family::Qwen3 {
                add("self_attn.q_norm.weight", &[self.head], Start::Ones);
                add("self_attn.k_norm.weight", &[self.head], Start::Ones);
            }
            add("self_attn.o_proj.weight", &[self.width, queries], Start::Normal(into_residual));
            add("post_attention_layernorm.weight", &[self.width], Start::Ones);
            add("mlp.gate_proj.weight", &[self.hidden, self.width], Start::Normal(INITIAL_DEVIATION));
            add("mlp.up_proj.weight", &[self.hidden, self.width], Start::Normal(INITIAL_DEVIATION));
            add("mlp.down_proj.weight", &[self.width, self.hidden], Start::Normal(into_residual));
        }
        all.push(spec("model.norm.weight".to_owned(), &[self.width], Start::Ones));
        all
    }

    /// Number of trained numbers.
    pub fn parameters(&self) -> usize {
        self.tensors().iter().map(TensorSpec::elements).sum()
    }

    /// Freshly drawn weights, one vector per entry of [`Shape::tensors`]; the same for the same seed.
    pub fn initial(&self, seed: u64) -> Vec<Vec<f32>> {
        let mut random = Random::new(seed);
        self.tensors().iter().map(|tensor| tensor.draw(&mut random)).collect()
    }

    /// Cosines and sines of the rotary embedding: `[positions][head / 2]` each.
    pub fn rope(&self, positions: usize) -> (Vec<f32>, Vec<f32>) {
        let half = self.head / 2;
        let angle = |index: usize| {
            let (position, pair) = (index / half, index % half);
            f64::from(position as u32) / f64::from(ROPE_THETA).powf(pair as f64 / half as f64)
        };
        let indices = 0..positions * half;
        (
            indices.clone().map(|i| angle(i).cos() as f32).collect(),
            indices.map(|i| angle(i).sin() as f32).collect(),
        )
    }
}

/// How a tensor's values begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// All ones: gains of norms.
    Ones,
    /// All zeros: biases.
    Zeros,
    /// Normally distributed around zero, with this standard deviation.
    Normal(f32),
}

/// One tensor of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// Hugging Face's name.
    pub name: String,
    /// Dimensions, outputs first.
    pub dimensions: Vec<usize>,
    /// How it begins.
    pub start: Start,
}

impl TensorSpec {
    /// Number of values.
    pub fn elements(&self) -> usize {
        self.dimensions.iter().product()
    }

    /// Whether weight decay applies: to matrices, never to gains and biases.
    pub fn decays(&self) -> bool {
        self.dimensions.len() > 1
    }

    fn draw(&self, random: &mut Random) -> Vec<f32> {
        (0..self.elements())
            .map(|_| match self.start {
                Start::Ones => 1.0,
                Start::Zeros => 0.0,
                Start::Normal(deviation) => random.normal() * deviation,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guide_is_small_enough() {
        let shape = Shape::guide(2048);
        assert!(shape.parameters() < 6_000_000);
        for size in [shape.width, shape.hidden, shape.heads * shape.head] {
            assert_eq!(size % 64, 0);
        }
    }

    #[test]
    fn weights_follow_from_the_seed() {
        let shape = Shape::small(Family::Qwen3, 256);
        assert_eq!(shape.initial(7), shape.initial(7));
        assert_ne!(shape.initial(7), shape.initial(8));
        let lengths: Vec<usize> = shape.initial(7).iter().map(Vec::len).collect();
        let expected: Vec<usize> = shape.tensors().iter().map(TensorSpec::elements).collect();
        assert_eq!(lengths, expected);
    }
}
