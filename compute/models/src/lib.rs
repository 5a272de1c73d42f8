//! Model packages: one content-addressed file, made from safetensors or GGUF, mapped into memory.
//!
//! | item | what it is |
//! |---|---|
//! | [`Package`] | a packed model: configuration, exact matrices, vectors, tokenizer |
//! | [`pack`] | makes a package of a Hugging Face folder or a GGUF file |
//! | [`guide`] | the model that is part of the program |
//! | [`Library`] | a folder of packages, verified when they are added |
//! | [`Source`] | the float model, one tensor at a time |
//! | [`synthetic`] | models with random weights, for tests and measurements |
//!
//! # The file
//!
//! All numbers are little-endian; everything between the parts is zero.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | [`MAGIC`] |
//! | 8..12 | [`VERSION`], of the format and of the arithmetic that the weights are meant for |
//! | 12..16 | zero |
//! | 16..24 | bytes of the manifest, at most [`MAX_MANIFEST_BYTES`] |
//! | 24.. | the [`Manifest`] in borsh: [`Config`], texts, table of tensors |
//! | from the next multiple of 64 | tensors in the order of the table, each at a multiple of 64 |
//! | the rest | `tokenizer.json` |
//!
//! The order is: embedding; per layer the attention norm, the bias of queries, keys and values (where there is one), the
//! norms of queries and of keys (where there are), the feed-forward norm, then the matrices qkv, output, gate-up and down;
//! the final norm; the head (unless tied). Where everything is follows from the configuration, and a table that says
//! anything else is refused: that is the whole check of offsets, overlaps and lengths.
//!
//! A vector is its floats (f32). A **matrix** is fused ([`MatrixSlot`]), padded with zeros to a multiple of [`PAD`] in both
//! dimensions, and kept as tiles of 16 columns by 64 inner elements: element `(n, k)` is byte
//! `((n / 16) * (inner / 64) + k / 64) * 1024 + k % 64 / 4 * 64 + n % 16 * 4 + k % 4`, in -127..=127. Its scales follow at
//! the next multiple of 64: the scale of column `n`, group `g` is half number `((n / 16) * groups + g) * 16 + n % 16`,
//! finite and not negative. The value of an element is its integer times its scale.
//!
//! The **root** is BLAKE3 in key derivation mode, with the context `freeway model v1`, of the whole file. It names the
//! model wherever it is asked for: two hosts with one root have the same bits.
//!
//! # What is checked when
//!
//! [`Package::open`] checks the structure and computes the root. [`Package::verify`] looks at every weight as well and
//! proves that nothing can overflow, whatever the tokens: a crafted model must not make honest hosts differ. Packing and
//! [`Library::add`] verify; a package that a library holds is then opened by [`Package::open_known`], which costs nothing.
//!
//! # Quantisation
//!
//! Per row and group of the inner dimension: the scale is the half nearest to the largest magnitude over 127, each weight
//! the nearest multiple of the scale, both ties to even, cut to 127. Blocks of a GGUF file of type Q8_0 are taken as they
//! are.

mod config;
pub mod guide;
mod half;
mod library;
mod manifest;
mod pack;
mod package;
mod progress;
mod quantise;
mod rope;
mod slot;
mod source;
pub mod synthetic;
mod text;
mod tokenizer;

pub use config::{
    Config, ConfigError, Family, Group, HEAD_STEP, InvalidGroup, MAX_CONTEXT, MAX_ENDS, MAX_HEAD, MAX_HEADS,
    MAX_INNER, MAX_LAYERS, MAX_NAME_BYTES, MAX_VOCABULARY, PAD, padded,
};
pub use library::{Entry, Library, LibraryError, Listing};
pub use manifest::{
    Kind, MAGIC, MAX_LICENCE_BYTES, MAX_MANIFEST_BYTES, MAX_SPECIAL_BYTES, MAX_TEMPLATE_BYTES,
    MAX_TOKENIZER_BYTES, Manifest, ManifestError, Provenance, Span, Specials, TensorEntry, VERSION,
};
pub use pack::{EXTENSION, PackError, PackOptions, Packed, pack, pack_source};
pub use package::{Package, PackageError};
pub use progress::{Progress, Stage};
pub use rope::Scaling;
pub use slot::{MatrixSlot, Slot, VectorSlot};
pub use source::checkpoint::Dtype;
pub use source::{Source, SourceError};
pub use tokenizer::TokenizerError;
