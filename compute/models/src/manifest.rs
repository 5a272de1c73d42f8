//! What stands before the tensors of a package: its manifest, and where everything is.

use core::ops::Range;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::config::{Config, ConfigError, padded};
use crate::slot::{MatrixSlot, Stored, VectorSlot};

/// The first bytes of a package.
pub const MAGIC: [u8; 8] = *b"FWMODEL\n";
/// The version of the format, and of the arithmetic that its tensors are meant for.
pub const VERSION: u32 = 1;
/// Bytes before the manifest: magic, version, four zeros, and the length of the manifest.
pub(crate) const HEAD_BYTES: usize = 24;
/// Bytes of a manifest, at most.
pub const MAX_MANIFEST_BYTES: usize = 8 << 20;
/// Bytes of `tokenizer.json`, at most.
pub const MAX_TOKENIZER_BYTES: usize = 64 << 20;
/// Bytes of a chat template, at most.
pub const MAX_TEMPLATE_BYTES: usize = 1 << 20;
/// Bytes of a licence, at most.
pub const MAX_LICENCE_BYTES: usize = 256 << 10;
/// Bytes of the text of a special token, at most.
pub const MAX_SPECIAL_BYTES: usize = 1_024;

/// The format that a package was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Provenance {
    /// A Hugging Face folder with safetensors.
    Safetensors,
    /// A GGUF file.
    Gguf,
    /// Made by a program for tests and measurements.
    Synthetic,
}

/// Texts of special tokens, for chat templates.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Specials {
    /// Begins a text.
    pub bos: Option<String>,
    /// Ends an answer.
    pub eos: Option<String>,
    /// Fills a batch.
    pub pad: Option<String>,
    /// Stands for what has no token.
    pub unk: Option<String>,
}

/// The kind of a tensor of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Kind {
    /// [`MatrixSlot::Embedding`].
    Embedding,
    /// [`MatrixSlot::Head`].
    Head,
    /// [`MatrixSlot::Qkv`].
    Qkv,
    /// [`MatrixSlot::Output`].
    Output,
    /// [`MatrixSlot::GateUp`].
    GateUp,
    /// [`MatrixSlot::Down`].
    Down,
    /// [`VectorSlot::FinalNorm`].
    FinalNorm,
    /// [`VectorSlot::AttentionNorm`].
    AttentionNorm,
    /// [`VectorSlot::FeedForwardNorm`].
    FeedForwardNorm,
    /// [`VectorSlot::QkvBias`].
    QkvBias,
    /// [`VectorSlot::QueryNorm`].
    QueryNorm,
    /// [`VectorSlot::KeyNorm`].
    KeyNorm,
}

/// Where a tensor is. Offsets count from the first byte after the manifest and its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TensorEntry {
    /// What it is.
    pub kind: Kind,
    /// Its layer; 0 for what belongs to none.
    pub layer: u32,
    /// Columns, with their padding; 1 for a vector.
    pub columns: u32,
    /// The inner dimension, with its padding; the elements of a vector.
    pub inner: u32,
    /// The first byte: of tiles, or of the floats of a vector.
    pub offset: u64,
    /// Bytes of tiles, or of the floats.
    pub length: u64,
    /// The first byte of the scales. A vector has none: the end of its room.
    pub scales_offset: u64,
    /// Bytes of the scales.
    pub scales_length: u64,
}

/// A range of bytes, counted like the offsets of tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Span {
    /// The first byte.
    pub offset: u64,
    /// How many.
    pub length: u64,
}

/// Everything of a package but its tensors and its tokenizer.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct Manifest {
    /// Dimensions and constants.
    pub config: Config,
    /// The format that it was made from.
    pub provenance: Provenance,
    /// Texts of special tokens.
    pub specials: Specials,
    /// The chat template, in the language of Jinja.
    pub chat_template: Option<String>,
    /// The text of the licence.
    pub licence: Option<String>,
    /// All tensors, in the order of the file.
    pub tensors: Vec<TensorEntry>,
    /// `tokenizer.json`, the last thing in the file.
    pub tokenizer: Span,
}

/// Why a manifest is not accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ManifestError {
    /// Its configuration is not.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A text that is too long.
    #[error("{what} has {found} bytes; at most {limit} are accepted")]
    Long {
        /// Which.
        what: &'static str,
        /// Its bytes.
        found: usize,
        /// How many are accepted.
        limit: usize,
    },
    /// A table that is not the one that the configuration demands.
    #[error("the table of tensors is not the one that the configuration demands; get the package again")]
    Table,
}

/// Where everything of a package of this configuration is.
pub(crate) fn layout(config: &Config, tokenizer_bytes: usize) -> (Vec<TensorEntry>, Span) {
    let mut offset = 0;
    let tensors = Stored::all(config)
        .into_iter()
        .map(|stored| {
            let (kind, layer) = kind(stored);
            let (columns, inner) = match stored {
                Stored::Matrix(slot) => slot.shape(config),
                Stored::Vector(slot) => (1, slot.length(config)),
            };
            let (length, scales) = stored.bytes(config);
            let scales_offset = offset + padded(length) as u64;
            let entry = TensorEntry {
                kind,
                layer,
                columns: columns as u32,
                inner: inner as u32,
                offset,
                length: length as u64,
                scales_offset,
                scales_length: scales as u64,
            };
            offset = scales_offset + padded(scales) as u64;
            entry
        })
        .collect();
    (tensors, Span { offset, length: tokenizer_bytes as u64 })
}

fn kind(stored: Stored) -> (Kind, u32) {
    match stored {
        Stored::Matrix(MatrixSlot::Embedding) => (Kind::Embedding, 0),
        Stored::Matrix(MatrixSlot::Head) => (Kind::Head, 0),
        Stored::Matrix(MatrixSlot::Qkv(layer)) => (Kind::Qkv, layer),
        Stored::Matrix(MatrixSlot::Output(layer)) => (Kind::Output, layer),
        Stored::Matrix(MatrixSlot::GateUp(layer)) => (Kind::GateUp, layer),
        Stored::Matrix(MatrixSlot::Down(layer)) => (Kind::Down, layer),
        Stored::Vector(VectorSlot::FinalNorm) => (Kind::FinalNorm, 0),
        Stored::Vector(VectorSlot::AttentionNorm(layer)) => (Kind::AttentionNorm, layer),
        Stored::Vector(VectorSlot::FeedForwardNorm(layer)) => (Kind::FeedForwardNorm, layer),
        Stored::Vector(VectorSlot::QkvBias(layer)) => (Kind::QkvBias, layer),
        Stored::Vector(VectorSlot::QueryNorm(layer)) => (Kind::QueryNorm, layer),
        Stored::Vector(VectorSlot::KeyNorm(layer)) => (Kind::KeyNorm, layer),
    }
}

impl Manifest {
    /// Checks everything that can be checked without the file.
    pub fn validate(&self) -> Result<(), ManifestError> {
        self.config.validate()?;
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let specials = [&self.specials.bos, &self.specials.eos, &self.specials.pad, &self.specials.unk];
        for (what, found, limit) in [
            ("the chat template", length(&self.chat_template), MAX_TEMPLATE_BYTES),
            ("the licence", length(&self.licence), MAX_LICENCE_BYTES),
            ("a special token", specials.into_iter().map(length).max().unwrap_or(0), MAX_SPECIAL_BYTES),
            (
                "the tokenizer",
                usize::try_from(self.tokenizer.length).unwrap_or(usize::MAX),
                MAX_TOKENIZER_BYTES,
            ),
        ] {
            if found > limit {
                return Err(ManifestError::Long { what, found, limit });
            }
        }
        let (tensors, tokenizer) = layout(&self.config, self.tokenizer.length as usize);
        if self.tensors != tensors || self.tokenizer != tokenizer {
            return Err(ManifestError::Table);
        }
        Ok(())
    }
}

impl Span {
    /// The bytes of a file in which offsets count from `base`. `None` where that overflows.
    pub(crate) fn range(self, base: usize) -> Option<Range<usize>> {
        let start = base.checked_add(usize::try_from(self.offset).ok()?)?;
        Some(start..start.checked_add(usize::try_from(self.length).ok()?)?)
    }
}
