//! What a model is: its dimensions and constants, their limits, and the sizes that follow from them.

use core::fmt;
use core::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::text::short;

/// Both dimensions of every matrix are padded with zeros to a multiple of this, so that a row of outputs can be a
/// row of inputs.
pub const PAD: usize = 64;
/// The widest inner dimension of a product: width, hidden width, and all heads together.
pub const MAX_INNER: usize = freeway_kernels::MAX_INNER;
/// Layers, at most.
pub const MAX_LAYERS: u32 = 512;
/// Tokens of the vocabulary, at most.
pub const MAX_VOCABULARY: u32 = 1 << 20;
/// Positions, at most: what integer attention is proven for.
pub const MAX_CONTEXT: u32 = 65_536;
/// Elements of a head, at most; they are a multiple of [`HEAD_STEP`].
pub const MAX_HEAD: u32 = 256;
/// Heads have a multiple of this many elements.
pub const HEAD_STEP: u32 = 16;
/// Heads, at most.
pub const MAX_HEADS: u32 = 1_024;
/// Tokens that end an answer, at most.
pub const MAX_ENDS: usize = 64;
/// Bytes of a model's name, at most.
pub const MAX_NAME_BYTES: usize = 96;
/// The least and the greatest epsilon of a norm.
const EPS: core::ops::RangeInclusive<f32> = 1e-12..=1e-1;
/// The least and the greatest magnitude of rope's sines, and of the scale of scores.
const FACTOR: core::ops::RangeInclusive<f32> = 1e-4..=1e3;

/// The next multiple of [`PAD`].
pub const fn padded(length: usize) -> usize {
    length.next_multiple_of(PAD)
}

/// Families of decoders. They differ in biases and in norms of queries and keys, which [`Config`] states as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Family {
    /// Llama, Mistral without a sliding window, and what shares their structure.
    Llama,
    /// Qwen2 and Qwen2.5: biases on queries, keys and values.
    Qwen2,
    /// Qwen3: norms of queries and keys.
    Qwen3,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        })
    }
}

/// How many elements of the inner dimension share a scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Group {
    /// 32 elements: what Q8_0 files have, and near-lossless on real models.
    #[default]
    G32,
    /// 64 elements.
    G64,
    /// 128 elements.
    G128,
    /// All of them: one scale per output, and per row of activations.
    Whole,
}

/// A number that is no size of a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a group has 32, 64 or 128 elements, or 0 for the whole inner dimension, not {0}")]
pub struct InvalidGroup(pub String);

impl Group {
    /// All sizes.
    pub const ALL: [Self; 4] = [Self::G32, Self::G64, Self::G128, Self::Whole];

    /// Elements of a group; 0 stands for the whole inner dimension.
    pub const fn size(self) -> usize {
        match self {
            Self::G32 => 32,
            Self::G64 => 64,
            Self::G128 => 128,
            Self::Whole => 0,
        }
    }

    /// Elements of a group in an inner dimension of `inner`.
    pub const fn within(self, inner: usize) -> usize {
        if matches!(self, Self::Whole) { inner } else { self.size() }
    }

    /// Groups of an inner dimension of `inner`, the last of which may be shorter.
    pub const fn count(self, inner: usize) -> usize {
        inner.div_ceil(self.within(inner))
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.size().fmt(f)
    }
}

impl FromStr for Group {
    type Err = InvalidGroup;

    fn from_str(text: &str) -> Result<Self, InvalidGroup> {
        Self::ALL
            .into_iter()
            .find(|group| group.to_string() == text)
            .ok_or_else(|| InvalidGroup(short(text).to_owned()))
    }
}

/// The dimensions and constants of a decoder, all that an engine needs besides the tensors.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct Config {
    /// The family.
    pub family: Family,
    /// What people call it: letters, digits and `.-_:/+`.
    pub name: String,
    /// Tokens, each with a row of the embedding.
    pub vocabulary: u32,
    /// Elements of the residual stream.
    pub width: u32,
    /// Layers.
    pub layers: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads, each shared by `heads / kv_heads` query heads.
    pub kv_heads: u32,
    /// Elements of a head.
    pub head: u32,
    /// Elements between gate and down.
    pub hidden: u32,
    /// Positions.
    pub context: u32,
    /// What is added to the mean square in a norm.
    pub eps: f32,
    /// Per pair of a head, the phase of one position as a fraction of a turn times 2^64.
    pub rope_steps: Vec<u64>,
    /// What sines and cosines are multiplied by: 1 unless YaRN scales them.
    pub rope_magnitude: f32,
    /// `log2(e) / sqrt(head)`, the scale of scores.
    pub score_scale: f32,
    /// Whether queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Whether queries and keys are normed head by head.
    pub qk_norm: bool,
    /// Whether the embedding is the output head as well.
    pub tied: bool,
    /// Elements that share a scale.
    pub group: Group,
    /// The token that begins a text.
    pub bos: Option<u32>,
    /// Tokens that end an answer, ascending.
    pub eos: Vec<u32>,
    /// The token that fills a batch; nothing here needs it.
    pub pad: Option<u32>,
}

/// Why a configuration is not accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A number outside its range.
    #[error("{what} is {found}; it must be {allowed}")]
    Range {
        /// Which.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        allowed: String,
    },
    /// A name with other characters, empty, or too long.
    #[error(
        "the name {0:?} is not accepted: use 1 to {MAX_NAME_BYTES} letters, digits and the characters .-_:/+"
    )]
    Name(String),
}

fn check(ok: bool, what: &'static str, found: impl fmt::Display, allowed: String) -> Result<(), ConfigError> {
    if ok { Ok(()) } else { Err(ConfigError::Range { what, found: found.to_string(), allowed }) }
}

fn within(what: &'static str, found: u32, least: u32, most: u32) -> Result<(), ConfigError> {
    check((least..=most).contains(&found), what, found, format!("from {least} to {most}"))
}

/// Whether a model may be called so.
pub(crate) fn name_is_valid(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:/+".contains(&byte))
}

impl Config {
    /// Checks every number against its limits, and those that depend on each other.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !name_is_valid(&self.name) {
            return Err(ConfigError::Name(short(&self.name).to_owned()));
        }
        within("the vocabulary", self.vocabulary, 1, MAX_VOCABULARY)?;
        within("the width", self.width, 1, MAX_INNER as u32)?;
        within("the number of layers", self.layers, 1, MAX_LAYERS)?;
        within("the hidden width", self.hidden, 1, MAX_INNER as u32)?;
        within("the context", self.context, 1, MAX_CONTEXT)?;
        within("the number of heads", self.heads, 1, MAX_HEADS)?;
        within("the number of key-value heads", self.kv_heads, 1, self.heads)?;
        check(
            self.heads.is_multiple_of(self.kv_heads),
            "the number of key-value heads",
            self.kv_heads,
            format!("a divisor of the number of heads, {}", self.heads),
        )?;
        check(
            self.head > 0 && self.head <= MAX_HEAD && self.head.is_multiple_of(HEAD_STEP),
            "the size of a head",
            self.head,
            format!("a multiple of {HEAD_STEP} up to {MAX_HEAD}"),
        )?;
        within("the width of all heads", self.heads * self.head, 1, MAX_INNER as u32)?;
        check(
            self.rope_steps.len() == self.head() / 2,
            "the number of rope steps",
            self.rope_steps.len(),
            format!("one per pair of a head, {}", self.head() / 2),
        )?;
        for (what, value, range) in [
            ("the epsilon of norms", self.eps, EPS),
            ("the magnitude of rope", self.rope_magnitude, FACTOR),
            ("the scale of scores", self.score_scale, FACTOR),
        ] {
            check(
                range.contains(&value),
                what,
                value,
                format!("from {:e} to {:e}", range.start(), range.end()),
            )?;
        }
        check(
            self.eos.len() <= MAX_ENDS,
            "the number of end tokens",
            self.eos.len(),
            format!("at most {MAX_ENDS}"),
        )?;
        check(
            self.eos.is_sorted_by(|a, b| a < b),
            "the list of end tokens",
            "out of order",
            "ascending, each once".to_owned(),
        )?;
        let special = self.eos.iter().chain(&self.bos).chain(&self.pad).copied().max();
        check(
            special.is_none_or(|token| token < self.vocabulary),
            "a special token",
            special.unwrap_or_default(),
            format!("below the size of the vocabulary, {}", self.vocabulary),
        )
    }

    /// Elements of the residual stream.
    pub const fn width(&self) -> usize {
        self.width as usize
    }

    /// Elements between gate and down.
    pub const fn hidden(&self) -> usize {
        self.hidden as usize
    }

    /// Elements of a head.
    pub const fn head(&self) -> usize {
        self.head as usize
    }

    /// Query heads.
    pub const fn heads(&self) -> usize {
        self.heads as usize
    }

    /// Key and value heads.
    pub const fn kv_heads(&self) -> usize {
        self.kv_heads as usize
    }

    /// Layers.
    pub const fn layers(&self) -> usize {
        self.layers as usize
    }

    /// Tokens.
    pub const fn vocabulary(&self) -> usize {
        self.vocabulary as usize
    }

    /// Positions.
    pub const fn context(&self) -> usize {
        self.context as usize
    }

    /// Elements of a row of the residual stream with its padding: the inner dimension of what reads it, and the
    /// columns of what adds to it.
    pub const fn width_padded(&self) -> usize {
        padded(self.width())
    }

    /// Elements between gate and down with their padding: the inner dimension of down.
    pub const fn hidden_padded(&self) -> usize {
        padded(self.hidden())
    }

    /// Elements of all query heads.
    pub const fn attended(&self) -> usize {
        self.heads() * self.head()
    }

    /// Elements of all query heads with their padding: the inner dimension of the output of attention.
    pub const fn attended_padded(&self) -> usize {
        padded(self.attended())
    }

    /// Columns of queries, keys and values together, with their padding. Queries begin at column 0.
    pub const fn qkv_columns(&self) -> usize {
        padded(self.attended() + 2 * self.kv_heads() * self.head())
    }

    /// The first column of keys.
    pub const fn key_offset(&self) -> usize {
        self.attended()
    }

    /// The first column of values.
    pub const fn value_offset(&self) -> usize {
        self.attended() + self.kv_heads() * self.head()
    }

    /// Columns of gate and up: the gate stands at `0..hidden`, up at `hidden_padded()..hidden_padded() + hidden`, and
    /// the rest is zero.
    pub const fn gate_up_columns(&self) -> usize {
        2 * self.hidden_padded()
    }

    /// Columns of the head with their padding. Logits past the vocabulary mean nothing.
    pub const fn vocabulary_padded(&self) -> usize {
        padded(self.vocabulary())
    }

    /// Parameters: elements of all tensors, those of a tied embedding once.
    pub fn parameters(&self) -> u64 {
        crate::Slot::all(self)
            .map(|slot| {
                let (rows, columns) = slot.shape(self);
                (rows * columns) as u64
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Recipe;

    fn rejected(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Recipe::llama().config(Group::G32);
        config.validate().unwrap();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn every_number_has_limits() {
        assert!(rejected(|config| config.vocabulary = 0).contains("vocabulary"));
        assert!(rejected(|config| config.width = 65_537).contains("from 1 to 65536"));
        assert!(rejected(|config| config.layers = 513).contains("layers is 513"));
        assert!(rejected(|config| config.kv_heads = 0).contains("key-value"));
        assert!(rejected(|config| (config.heads, config.kv_heads) = (3, 2)).contains("divisor"));
        assert!(rejected(|config| config.head = 24).contains("multiple of 16"));
        assert!(rejected(|config| config.head = 272).contains("up to 256"));
        assert!(rejected(|config| config.context = 65_537).contains("context"));
        assert!(rejected(|config| config.eps = f32::NAN).contains("epsilon"));
        assert!(rejected(|config| config.eps = 0.0).contains("epsilon"));
        assert!(rejected(|config| config.rope_magnitude = f32::INFINITY).contains("magnitude"));
        assert!(rejected(|config| config.score_scale = -1.0).contains("scores"));
        assert!(rejected(|config| config.rope_steps.truncate(1)).contains("rope steps"));
        assert!(rejected(|config| config.eos = vec![4, 3]).contains("ascending"));
        assert!(rejected(|config| config.bos = Some(u32::MAX)).contains("special token"));
        assert!(rejected(|config| config.name = "a b".to_owned()).contains("name"));
        assert!(
            rejected(|config| (config.heads, config.kv_heads, config.head) = (1_024, 1, 256))
                .contains("all heads")
        );
    }

    #[test]
    fn groups_are_read_and_counted() {
        for group in Group::ALL {
            assert_eq!(group.to_string().parse(), Ok(group));
        }
        assert!("16".parse::<Group>().unwrap_err().to_string().contains("not 16"));
        assert_eq!(Group::ALL.map(|group| group.count(192)), [6, 3, 2, 1]);
    }
}
