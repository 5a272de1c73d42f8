//! Models with random weights: for tests, and for measurements that need a size and not a meaning.
//!
//! A [`Recipe`] and its seed say everything: the same recipe gives the same weights on every machine, in memory, as a
//! Hugging Face folder, and as a GGUF file. Weights are numbers of bfloat16, so that all formats of floats hold the same.

use std::io;

use crate::config::{Config, Family, Group};
use crate::half;
use crate::manifest::{Provenance, Specials};
use crate::pack::{PackError, pack_bytes};
use crate::package::{Package, PackageError};
use crate::rope::{self, Scaling};
use crate::slot::Slot;
use crate::source::{Facts, Origin, Source, SourceError};

mod folder;
mod gguf;
mod vocabulary;

pub use vocabulary::CHAT_TEMPLATE;

/// The least vocabulary: all bytes, some pairs, and the special tokens.
pub const MIN_VOCABULARY: u32 = vocabulary::LEAST;
/// The domain of weights.
const DOMAIN: &str = "freeway synthetic model v1";

/// A model with its weights rounded to multiples of 16 of their steps, as a host would have it that saves on them: for
/// tests of those who must notice.
///
/// # Errors
///
/// Never for a package that was opened.
pub fn coarser(package: &Package) -> Result<Package, PackageError> {
    let mut bytes = package.file().to_vec();
    for tiles in package.tiles() {
        for weight in &mut bytes[tiles] {
            *weight = (i16::from(*weight as i8) / 16 * 16) as u8;
        }
    }
    Package::from_bytes(&bytes)
}

/// What to make. All fields may be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The family: Qwen2 has biases, Qwen3 has norms of queries and keys.
    pub family: Family,
    /// The name.
    pub name: String,
    /// Tokens, at least [`MIN_VOCABULARY`].
    pub vocabulary: u32,
    /// Elements of the residual stream.
    pub width: u32,
    /// Layers.
    pub layers: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads.
    pub kv_heads: u32,
    /// Elements of a head.
    pub head: u32,
    /// Elements between gate and down.
    pub hidden: u32,
    /// Positions.
    pub context: u32,
    /// Whether the embedding is the head as well.
    pub tied: bool,
    /// The base of rope.
    pub rope_base: f64,
    /// How rope is stretched.
    pub scaling: Scaling,
    /// What all weights follow from.
    pub seed: u64,
    /// The mean of the weights of norms: 1 in a fresh model, far more at some places of a trained one.
    pub norm_gain: f32,
}

impl Recipe {
    /// A tiny Llama, whose dimensions need padding.
    pub fn llama() -> Self {
        Self {
            family: Family::Llama,
            name: "tiny-llama".to_owned(),
            vocabulary: 330,
            width: 96,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head: 32,
            hidden: 160,
            context: 512,
            tied: false,
            rope_base: 10_000.0,
            scaling: Scaling::None,
            seed: 1,
            norm_gain: 1.0,
        }
    }

    /// A tiny Qwen2: biases, a tied head, queries wider than the rest needs.
    pub fn qwen2() -> Self {
        Self {
            family: Family::Qwen2,
            name: "tiny-qwen2".to_owned(),
            heads: 6,
            head: 16,
            layers: 3,
            tied: true,
            rope_base: 1e6,
            ..Self::llama()
        }
    }

    /// A tiny Qwen3: norms of queries and keys, heads that do not add up to the width.
    pub fn qwen3() -> Self {
        Self {
            family: Family::Qwen3,
            name: "tiny-qwen3".to_owned(),
            width: 64,
            kv_heads: 1,
            head: 48,
            hidden: 192,
            rope_base: 1e6,
            ..Self::llama()
        }
    }

    /// One of each family.
    pub fn families() -> [Self; 3] {
        [Self::llama(), Self::qwen2(), Self::qwen3()]
    }

    /// About half a billion parameters, for measurements.
    pub fn half_billion() -> Self {
        Self {
            name: "half-billion".to_owned(),
            vocabulary: 32_000,
            width: 896,
            layers: 24,
            heads: 14,
            kv_heads: 2,
            head: 64,
            hidden: 4_864,
            context: 4_096,
            ..Self::llama()
        }
    }

    /// Dimensions and constants of the model.
    ///
    /// # Panics
    ///
    /// If rope cannot be made of the recipe's numbers.
    pub fn config(&self, group: Group) -> Config {
        let (rope_steps, rope_magnitude) = rope::steps(self.rope_base, self.head as usize, &self.scaling)
            .expect("a recipe has a base and a scaling that make sense");
        Config {
            family: self.family,
            name: self.name.clone(),
            vocabulary: self.vocabulary,
            width: self.width,
            layers: self.layers,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head: self.head,
            hidden: self.hidden,
            context: self.context,
            eps: 1e-5,
            rope_steps,
            rope_magnitude,
            score_scale: rope::score_scale(self.head as usize),
            qkv_bias: self.family == Family::Qwen2,
            qk_norm: self.family == Family::Qwen3,
            tied: self.tied,
            group,
            bos: Some(vocabulary::bos(self.vocabulary)),
            eos: vec![vocabulary::eos(self.vocabulary)],
            pad: None,
        }
    }

    /// The float model, in memory.
    pub fn source(&self) -> Source {
        let facts = Facts {
            config: self.config(Group::default()),
            provenance: Provenance::Synthetic,
            specials: Specials {
                bos: Some(vocabulary::BOS.to_owned()),
                eos: Some(vocabulary::EOS.to_owned()),
                ..Specials::default()
            },
            chat_template: Some(CHAT_TEMPLATE.to_owned()),
            licence: None,
            tokenizer: Ok(self.tokenizer_json().into_bytes()),
            notes: Vec::new(),
        };
        Source { facts, origin: Box::new(self.clone()) }
    }

    /// The packed model, in memory.
    ///
    /// # Errors
    ///
    /// If the recipe is not one of a supported model.
    pub fn package(&self, group: Group) -> Result<Package, PackError> {
        Ok(Package::from_bytes(&self.package_bytes(group)?)?)
    }

    /// The bytes of the packed model.
    ///
    /// # Errors
    ///
    /// If the recipe is not one of a supported model.
    pub fn package_bytes(&self, group: Group) -> Result<Vec<u8>, PackError> {
        pack_bytes(&self.source(), group)
    }

    /// Its tokenizer: every byte a token, some pairs, and special tokens.
    pub fn tokenizer_json(&self) -> String {
        vocabulary::json(self.vocabulary)
    }

    /// Mean and deviation of the weights of a tensor.
    fn distribution(&self, slot: Slot) -> (f32, f32) {
        let spread = |inner: u32, gain: f32| (0.0, gain / (inner as f32).sqrt());
        match slot {
            Slot::Embedding if !self.tied => (0.0, 1.0),
            // Logits with a deviation of about 3, so that some tokens are likely.
            Slot::Embedding | Slot::Head => spread(self.width, 3.0),
            Slot::FinalNorm | Slot::AttentionNorm(_) | Slot::FeedForwardNorm(_) => {
                (self.norm_gain, 0.1 * self.norm_gain)
            }
            Slot::QueryNorm(_) | Slot::KeyNorm(_) => (self.norm_gain, 0.1 * self.norm_gain),
            Slot::QueryBias(_) | Slot::KeyBias(_) | Slot::ValueBias(_) => (0.0, 0.5),
            Slot::Query(_) | Slot::Key(_) | Slot::Value(_) | Slot::Gate(_) | Slot::Up(_) => {
                spread(self.width, 1.0)
            }
            Slot::Output(_) => spread(self.heads * self.head, 1.0),
            Slot::Down(_) => spread(self.hidden, 1.0),
        }
    }

    /// Makes a row: near a normal distribution, as the sum of four random bytes.
    fn row(&self, slot: Slot, row: usize, out: &mut [f32]) {
        /// Of the sum of four bytes.
        const MEAN: f32 = 510.0;
        const DEVIATION: f32 = 147.8;
        let mut hasher = blake3::Hasher::new_derive_key(DOMAIN);
        hasher.update(&self.seed.to_le_bytes()).update(&(row as u64).to_le_bytes());
        hasher.update(slot.to_string().as_bytes());
        let mut bytes = vec![0; 4 * out.len()];
        hasher.finalize_xof().fill(&mut bytes);
        let (mean, deviation) = self.distribution(slot);
        let step = deviation / DEVIATION;
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
            let sum: u16 = bytes.iter().map(|&byte| u16::from(byte)).sum();
            let value = mean + (f32::from(sum) - MEAN) * step;
            *out = half::bf16_to_f32(half::bf16_from_f32(value));
        }
    }
}

impl Origin for Recipe {
    fn rows(&self, slot: Slot, first: usize, rows: usize, out: &mut [f32]) -> Result<(), SourceError> {
        let columns = out.len() / rows.max(1);
        for (row, out) in (first..).zip(out.chunks_mut(columns.max(1))) {
            self.row(slot, row, out);
        }
        Ok(())
    }
}

/// All rows of a tensor in parts of about a megabyte, so that no tensor is in memory as a whole.
fn each_part(
    recipe: &Recipe,
    slot: Slot,
    mut work: impl FnMut(usize, &[f32]) -> io::Result<()>,
) -> io::Result<()> {
    /// Elements of a part.
    const PART: usize = 1 << 18;
    let (rows, columns) = slot.shape(&recipe.config(Group::default()));
    let step = (PART / columns).max(1);
    let mut part = vec![0.0; step * columns];
    for first in (0..rows).step_by(step) {
        let part = &mut part[..step.min(rows - first) * columns];
        for (row, out) in (first..).zip(part.chunks_mut(columns)) {
            recipe.row(slot, row, out);
        }
        work(first, part)?;
    }
    Ok(())
}
