//! The tensors of a model: as they come (one per projection), and as a package keeps them (fused).

use core::fmt;

use crate::config::Config;

/// A tensor of the float model. Matrices are row-major, outputs by inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Vocabulary by width.
    Embedding,
    /// Vocabulary by width; a tied model has none.
    Head,
    /// The norm before the head.
    FinalNorm,
    /// The norm before queries, keys and values.
    AttentionNorm(u32),
    /// Queries: all heads by width.
    Query(u32),
    /// Keys: all key-value heads by width.
    Key(u32),
    /// Values: all key-value heads by width.
    Value(u32),
    /// The bias of queries.
    QueryBias(u32),
    /// The bias of keys.
    KeyBias(u32),
    /// The bias of values.
    ValueBias(u32),
    /// The norm of each query head.
    QueryNorm(u32),
    /// The norm of each key head.
    KeyNorm(u32),
    /// The output of attention: width by all heads.
    Output(u32),
    /// The norm before gate and up.
    FeedForwardNorm(u32),
    /// Hidden by width.
    Gate(u32),
    /// Hidden by width.
    Up(u32),
    /// Width by hidden.
    Down(u32),
}

impl Slot {
    /// All tensors of a model, in the order of its forward pass.
    pub fn all(config: &Config) -> impl Iterator<Item = Self> + use<> {
        let (bias, norm, tied) = (config.qkv_bias, config.qk_norm, config.tied);
        let layer = move |layer| {
            [
                (Self::AttentionNorm(layer), true),
                (Self::Query(layer), true),
                (Self::Key(layer), true),
                (Self::Value(layer), true),
                (Self::QueryBias(layer), bias),
                (Self::KeyBias(layer), bias),
                (Self::ValueBias(layer), bias),
                (Self::QueryNorm(layer), norm),
                (Self::KeyNorm(layer), norm),
                (Self::Output(layer), true),
                (Self::FeedForwardNorm(layer), true),
                (Self::Gate(layer), true),
                (Self::Up(layer), true),
                (Self::Down(layer), true),
            ]
        };
        core::iter::once((Self::Embedding, true))
            .chain((0..config.layers).flat_map(layer))
            .chain([(Self::FinalNorm, true), (Self::Head, !tied)])
            .filter_map(|(slot, there)| there.then_some(slot))
    }

    /// Rows (outputs) and columns (inputs). A vector is one row.
    pub const fn shape(self, config: &Config) -> (usize, usize) {
        let (width, hidden, head) = (config.width(), config.hidden(), config.head());
        let (queries, keys) = (config.attended(), config.kv_heads() * head);
        match self {
            Self::Embedding | Self::Head => (config.vocabulary(), width),
            Self::FinalNorm | Self::AttentionNorm(_) | Self::FeedForwardNorm(_) => (1, width),
            Self::Query(_) => (queries, width),
            Self::Key(_) | Self::Value(_) => (keys, width),
            Self::QueryBias(_) => (1, queries),
            Self::KeyBias(_) | Self::ValueBias(_) => (1, keys),
            Self::QueryNorm(_) | Self::KeyNorm(_) => (1, head),
            Self::Output(_) => (width, queries),
            Self::Gate(_) | Self::Up(_) => (hidden, width),
            Self::Down(_) => (width, hidden),
        }
    }

    /// Its name in a Hugging Face checkpoint.
    pub(crate) fn huggingface(self) -> String {
        let (layer, name) = match self {
            Self::Embedding => return "model.embed_tokens.weight".to_owned(),
            Self::Head => return "lm_head.weight".to_owned(),
            Self::FinalNorm => return "model.norm.weight".to_owned(),
            Self::AttentionNorm(layer) => (layer, "input_layernorm.weight"),
            Self::Query(layer) => (layer, "self_attn.q_proj.weight"),
            Self::Key(layer) => (layer, "self_attn.k_proj.weight"),
            Self::Value(layer) => (layer, "self_attn.v_proj.weight"),
            Self::QueryBias(layer) => (layer, "self_attn.q_proj.bias"),
            Self::KeyBias(layer) => (layer, "self_attn.k_proj.bias"),
            Self::ValueBias(layer) => (layer, "self_attn.v_proj.bias"),
            Self::QueryNorm(layer) => (layer, "self_attn.q_norm.weight"),
            Self::KeyNorm(layer) => (layer, "self_attn.k_norm.weight"),
            Self::Output(layer) => (layer, "self_attn.o_proj.weight"),
            Self::FeedForwardNorm(layer) => (layer, "post_attention_layernorm.weight"),
            Self::Gate(layer) => (layer, "mlp.gate_proj.weight"),
            Self::Up(layer) => (layer, "mlp.up_proj.weight"),
            Self::Down(layer) => (layer, "mlp.down_proj.weight"),
        };
        format!("model.layers.{layer}.{name}")
    }

    /// Its name in a GGUF file.
    pub(crate) fn gguf(self) -> String {
        let (layer, name) = match self {
            Self::Embedding => return "token_embd.weight".to_owned(),
            Self::Head => return "output.weight".to_owned(),
            Self::FinalNorm => return "output_norm.weight".to_owned(),
            Self::AttentionNorm(layer) => (layer, "attn_norm.weight"),
            Self::Query(layer) => (layer, "attn_q.weight"),
            Self::Key(layer) => (layer, "attn_k.weight"),
            Self::Value(layer) => (layer, "attn_v.weight"),
            Self::QueryBias(layer) => (layer, "attn_q.bias"),
            Self::KeyBias(layer) => (layer, "attn_k.bias"),
            Self::ValueBias(layer) => (layer, "attn_v.bias"),
            Self::QueryNorm(layer) => (layer, "attn_q_norm.weight"),
            Self::KeyNorm(layer) => (layer, "attn_k_norm.weight"),
            Self::Output(layer) => (layer, "attn_output.weight"),
            Self::FeedForwardNorm(layer) => (layer, "ffn_norm.weight"),
            Self::Gate(layer) => (layer, "ffn_gate.weight"),
            Self::Up(layer) => (layer, "ffn_up.weight"),
            Self::Down(layer) => (layer, "ffn_down.weight"),
        };
        format!("blk.{layer}.{name}")
    }

    /// Whether it is a vector.
    pub const fn is_vector(self) -> bool {
        matches!(
            self,
            Self::FinalNorm
                | Self::AttentionNorm(_)
                | Self::FeedForwardNorm(_)
                | Self::QueryBias(_)
                | Self::KeyBias(_)
                | Self::ValueBias(_)
                | Self::QueryNorm(_)
                | Self::KeyNorm(_)
        )
    }
}

/// A matrix of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatrixSlot {
    /// One column per token.
    Embedding,
    /// One column per token; that of a tied model is its embedding.
    Head,
    /// Queries, then keys, then values.
    Qkv(u32),
    /// The output of attention.
    Output(u32),
    /// The gate, then up from column `hidden_padded()` on.
    GateUp(u32),
    /// Back to the residual stream.
    Down(u32),
}

/// A vector of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VectorSlot {
    /// The norm before the head.
    FinalNorm,
    /// The norm before queries, keys and values.
    AttentionNorm(u32),
    /// The norm before gate and up.
    FeedForwardNorm(u32),
    /// The bias of queries, keys and values, in their columns.
    QkvBias(u32),
    /// The norm of each query head.
    QueryNorm(u32),
    /// The norm of each key head.
    KeyNorm(u32),
}

impl MatrixSlot {
    /// Columns (outputs) and the inner dimension, both padded.
    pub const fn shape(self, config: &Config) -> (usize, usize) {
        match self {
            Self::Embedding | Self::Head => (config.vocabulary_padded(), config.width_padded()),
            Self::Qkv(_) => (config.qkv_columns(), config.width_padded()),
            Self::Output(_) => (config.width_padded(), config.attended_padded()),
            Self::GateUp(_) => (config.gate_up_columns(), config.width_padded()),
            Self::Down(_) => (config.width_padded(), config.hidden_padded()),
        }
    }

    /// The tensors that it is made of, each with its first column.
    pub(crate) fn parts(self, config: &Config) -> Vec<(usize, Slot)> {
        match self {
            Self::Embedding => vec![(0, Slot::Embedding)],
            Self::Head => vec![(0, Slot::Head)],
            Self::Qkv(layer) => vec![
                (0, Slot::Query(layer)),
                (config.key_offset(), Slot::Key(layer)),
                (config.value_offset(), Slot::Value(layer)),
            ],
            Self::Output(layer) => vec![(0, Slot::Output(layer))],
            Self::GateUp(layer) => vec![(0, Slot::Gate(layer)), (config.hidden_padded(), Slot::Up(layer))],
            Self::Down(layer) => vec![(0, Slot::Down(layer))],
        }
    }
}

impl VectorSlot {
    /// Elements: vectors are not padded.
    pub const fn length(self, config: &Config) -> usize {
        match self {
            Self::FinalNorm | Self::AttentionNorm(_) | Self::FeedForwardNorm(_) => config.width(),
            Self::QkvBias(_) => config.attended() + 2 * config.kv_heads() * config.head(),
            Self::QueryNorm(_) | Self::KeyNorm(_) => config.head(),
        }
    }

    /// The tensors that it is made of, each with its first element.
    pub(crate) fn parts(self, config: &Config) -> Vec<(usize, Slot)> {
        match self {
            Self::FinalNorm => vec![(0, Slot::FinalNorm)],
            Self::AttentionNorm(layer) => vec![(0, Slot::AttentionNorm(layer))],
            Self::FeedForwardNorm(layer) => vec![(0, Slot::FeedForwardNorm(layer))],
            Self::QkvBias(layer) => vec![
                (0, Slot::QueryBias(layer)),
                (config.key_offset(), Slot::KeyBias(layer)),
                (config.value_offset(), Slot::ValueBias(layer)),
            ],
            Self::QueryNorm(layer) => vec![(0, Slot::QueryNorm(layer))],
            Self::KeyNorm(layer) => vec![(0, Slot::KeyNorm(layer))],
        }
    }
}

/// A tensor of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stored {
    Matrix(MatrixSlot),
    Vector(VectorSlot),
}

impl Stored {
    /// All tensors of a package, in the order of the file.
    pub(crate) fn all(config: &Config) -> Vec<Self> {
        let mut all = vec![Self::Matrix(MatrixSlot::Embedding)];
        for layer in 0..config.layers {
            all.push(Self::Vector(VectorSlot::AttentionNorm(layer)));
            if config.qkv_bias {
                all.push(Self::Vector(VectorSlot::QkvBias(layer)));
            }
            if config.qk_norm {
                all.push(Self::Vector(VectorSlot::QueryNorm(layer)));
                all.push(Self::Vector(VectorSlot::KeyNorm(layer)));
            }
            all.push(Self::Vector(VectorSlot::FeedForwardNorm(layer)));
            all.push(Self::Matrix(MatrixSlot::Qkv(layer)));
            all.push(Self::Matrix(MatrixSlot::Output(layer)));
            all.push(Self::Matrix(MatrixSlot::GateUp(layer)));
            all.push(Self::Matrix(MatrixSlot::Down(layer)));
        }
        all.push(Self::Vector(VectorSlot::FinalNorm));
        if !config.tied {
            all.push(Self::Matrix(MatrixSlot::Head));
        }
        all
    }

    /// Bytes of its data: scales stand after the tiles, from the next multiple of [`PAD`] on (tiles always fill one).
    pub(crate) const fn bytes(self, config: &Config) -> (usize, usize) {
        match self {
            Self::Matrix(slot) => {
                let (columns, inner) = slot.shape(config);
                (columns * inner, columns * config.group.count(inner) * size_of::<u16>())
            }
            Self::Vector(slot) => (slot.length(config) * size_of::<f32>(), 0),
        }
    }
}

macro_rules! names {
    ($type:ty: $($plain:ident = $name:literal),*; $($layered:ident = $text:literal),*) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$plain => f.write_str($name),)*
                    $(Self::$layered(layer) => write!(f, concat!($text, " of layer {}"), layer),)*
                }
            }
        }
    };
}

names!(Slot: Embedding = "embedding", Head = "head", FinalNorm = "final norm";
    AttentionNorm = "attention norm", Query = "queries", Key = "keys", Value = "values",
    QueryBias = "bias of queries", KeyBias = "bias of keys", ValueBias = "bias of values",
    QueryNorm = "norm of queries", KeyNorm = "norm of keys", Output = "attention output",
    FeedForwardNorm = "feed-forward norm", Gate = "gate", Up = "up", Down = "down");
names!(MatrixSlot: Embedding = "embedding", Head = "head";
    Qkv = "queries, keys and values", Output = "attention output", GateUp = "gate and up", Down = "down");
names!(VectorSlot: FinalNorm = "final norm";
    AttentionNorm = "attention norm", FeedForwardNorm = "feed-forward norm",
    QkvBias = "bias of queries, keys and values", QueryNorm = "norm of queries", KeyNorm = "norm of keys");

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matrix(slot) => slot.fmt(f),
            Self::Vector(slot) => slot.fmt(f),
        }
    }
}
