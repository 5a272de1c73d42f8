//! A package in memory: checked when it is opened, read as often as one likes.

use core::ops::Range;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use borsh::BorshDeserialize as _;
use freeway_kernels::Mapping;
use freeway_kernels::served::{Matrix, Shape};
use freeway_primitives::Digest;
use freeway_requests::ModelRoot;

use crate::config::{Config, padded};
use crate::manifest::{
    HEAD_BYTES, MAGIC, MAX_MANIFEST_BYTES, Manifest, ManifestError, Specials, TensorEntry, VERSION,
};
use crate::progress::{Progress, Stage};
use crate::slot::{MatrixSlot, Stored, VectorSlot};

mod bounds;
mod inspect;
mod parts;

/// The domain of a root.
const ROOT_DOMAIN: &str = "freeway model v1";
/// Bytes that are hashed between two reports of progress.
const HASH_STEP: usize = 16 << 20;

/// A model, mapped from its file or in memory. Clones share it.
#[derive(Clone, Debug)]
pub struct Package(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    mapping: Mapping,
    manifest: Manifest,
    root: ModelRoot,
    /// The first byte after the manifest and its padding.
    base: usize,
    /// The entry of every tensor in the manifest's table.
    index: HashMap<Stored, usize>,
}

/// Why a package is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The file cannot be read.
    #[error("the package cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It does not begin like a package.
    #[error("this is no model package; make one with `freeway model pack`")]
    Magic,
    /// A version of the format that is not known here.
    #[error("the package has version {0} and this program reads version {VERSION}; pack the model again")]
    Version(u32),
    /// It ends too early, or goes on after its end.
    #[error("the package has {found} bytes where {expected} belong; it was cut off or damaged, get it again")]
    Length {
        /// Bytes that are there.
        found: u64,
        /// Bytes that should be.
        expected: u64,
    },
    /// A manifest that is too long or does not decode.
    #[error("the manifest of the package does not decode ({0}); get it again")]
    Decode(String),
    /// A manifest that breaks a rule.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// This machine keeps its numbers the other way round.
    #[error("packages can be used on little-endian machines only")]
    Endian,
    /// An element of a vector is infinite or not a number.
    #[error("{vector}: element {index} is {value}; every float of a model must be finite")]
    NotFinite {
        /// The vector.
        vector: VectorSlot,
        /// Which element.
        index: usize,
        /// What it is.
        value: f32,
    },
    /// A weight of -128, which no exact product may meet.
    #[error("{matrix}: a weight of column {column} is -128; weights are in -127..=127")]
    Weight {
        /// The matrix.
        matrix: MatrixSlot,
        /// Its column.
        column: usize,
    },
    /// A scale that is negative, infinite or not a number.
    #[error(
        "{matrix}: the scale of column {column}, group {group} has the bits {bits:#06x}; scales are finite and not negative"
    )]
    Scale {
        /// The matrix.
        matrix: MatrixSlot,
        /// Its column.
        column: usize,
        /// Its group.
        group: usize,
        /// What stands there.
        bits: u16,
    },
    /// Padding that holds something.
    #[error("{0}: there is something in its padding, where zeros belong")]
    Padding(String),
    /// A number that could leave the range in which every machine computes the same.
    #[error(
        "{what} could reach 2^{log2:.0}, and no more than 2^{limit:.0} is accepted: with such weights floats could \
         overflow, and machines would disagree"
    )]
    Unbounded {
        /// What grows too large.
        what: String,
        /// The binary logarithm of its bound.
        log2: f64,
        /// The binary logarithm of the limit.
        limit: f64,
    },
    /// A tokenizer that is no JSON, or has more tokens than the model.
    #[error("the tokenizer of the package: {0}")]
    Tokenizer(#[from] crate::tokenizer::TokenizerError),
    /// The content is not what its root says.
    #[error("the package has the root {found}, not {expected}: it was damaged or exchanged; get it again")]
    Root {
        /// The root of the content.
        found: ModelRoot,
        /// The root that was expected.
        expected: ModelRoot,
    },
}

impl Package {
    /// Maps the package at `path`, checks its structure and computes its root, which reads the file once.
    ///
    /// The structure is all that could make a reader go astray: lengths, offsets, dimensions, limits, and floats of
    /// vectors. The weights themselves are looked at by [`verify`](Self::verify), which everyone should call once for
    /// a package from elsewhere; [`Library::add`](crate::Library::add) does.
    ///
    /// # Errors
    ///
    /// If it cannot be read or breaks a rule.
    pub fn open(path: &Path) -> Result<Self, PackageError> {
        Self::from_mapping(Mapping::open(path)?, None)
    }

    /// As [`open`](Self::open), but believes that `root` is the root: for files that were verified when they came,
    /// and which nobody else writes. Costs no more than reading the manifest.
    ///
    /// # Errors
    ///
    /// If it cannot be read or breaks a rule of structure.
    pub fn open_known(path: &Path, root: ModelRoot) -> Result<Self, PackageError> {
        Self::from_mapping(Mapping::open(path)?, Some(root))
    }

    /// As [`open`](Self::open) or, with a root, [`open_known`](Self::open_known), but reads the file into memory of this
    /// process, in huge pages where there are any: weights are then read up to 1.7 times as fast, and shared with nobody.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn load(path: &Path, known: Option<ModelRoot>) -> Result<Self, PackageError> {
        Self::from_mapping(Mapping::read(path)?, known)
    }

    /// A package in memory: the bytes are copied to an aligned place.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PackageError> {
        Self::from_mapping(Mapping::from_bytes(bytes), None)
    }

    fn from_mapping(mapping: Mapping, root: Option<ModelRoot>) -> Result<Self, PackageError> {
        if cfg!(target_endian = "big") {
            return Err(PackageError::Endian);
        }
        let (manifest, base) = read_manifest(mapping.bytes())?;
        let found = mapping.bytes().len();
        let expected = manifest.tokenizer.range(base).map_or(usize::MAX, |range| range.end);
        if found != expected {
            return Err(PackageError::Length { found: found as u64, expected: expected as u64 });
        }
        let index = Stored::all(&manifest.config).into_iter().zip(0..).collect();
        let root = root.unwrap_or_else(|| root_of(mapping.bytes(), &mut |_| ()));
        let package = Self(Arc::new(Inner { mapping, manifest, root, base, index }));
        package.check_vectors()?;
        Ok(package)
    }

    fn check_vectors(&self) -> Result<(), PackageError> {
        for stored in Stored::all(self.config()) {
            let Stored::Vector(slot) = stored else { continue };
            let vector = self.vector(slot);
            if let Some(index) = vector.iter().position(|value| !value.is_finite()) {
                return Err(PackageError::NotFinite { vector: slot, index, value: vector[index] });
            }
        }
        Ok(())
    }

    /// Computes the root again and compares; looks at every weight, scale and padding byte, and at the tokenizer; and
    /// proves that no float of a forward pass can overflow, whatever the tokens are.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn verify(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), PackageError> {
        let found = root_of(self.0.mapping.bytes(), progress);
        if found != self.0.root {
            return Err(PackageError::Root { found, expected: self.0.root });
        }
        self.inspect(progress)
    }

    /// All of [`verify`](Self::verify) but the root: for a package whose root was computed when it was opened.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn inspect(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), PackageError> {
        inspect::inspect(self, progress)
    }

    /// Dimensions and constants.
    pub fn config(&self) -> &Config {
        &self.0.manifest.config
    }

    /// Everything but tensors and tokenizer.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The root: BLAKE3 of the whole file.
    pub fn root(&self) -> ModelRoot {
        self.0.root
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.config().name
    }

    /// Bytes of the package.
    pub fn bytes(&self) -> u64 {
        self.0.mapping.bytes().len() as u64
    }

    /// A matrix. The head of a tied model is its embedding.
    ///
    /// # Panics
    ///
    /// If the model has no such layer.
    pub fn matrix(&self, slot: MatrixSlot) -> Matrix<'_> {
        let (tiles, scales, shape) = self.raw(slot);
        Matrix::new(tiles, scales, shape).expect("lengths were checked when the package was opened")
    }

    /// Tiles, scales and shape of a matrix.
    fn raw(&self, slot: MatrixSlot) -> (&[i8], &[u16], Shape) {
        let slot = match slot {
            MatrixSlot::Head if self.config().tied => MatrixSlot::Embedding,
            slot => slot,
        };
        let entry = self.entry(Stored::Matrix(slot));
        let tiles = self.0.mapping.i8s(self.range(entry.offset, entry.length));
        let scales = self.0.mapping.u16s(self.range(entry.scales_offset, entry.scales_length));
        let (columns, inner) = slot.shape(self.config());
        let shape = Shape::new(columns, inner, self.config().group.size())
            .expect("dimensions were checked when the package was opened");
        (
            tiles.expect("offsets were checked when the package was opened"),
            scales.expect("alignment was checked when the package was opened"),
            shape,
        )
    }

    /// A vector, without padding: see [`VectorSlot::length`].
    ///
    /// # Panics
    ///
    /// If the model has none: no such layer, no biases, no norms of queries and keys.
    pub fn vector(&self, slot: VectorSlot) -> &[f32] {
        let entry = self.entry(Stored::Vector(slot));
        self.0
            .mapping
            .f32s(self.range(entry.offset, entry.length))
            .expect("offsets were checked when the package was opened")
    }

    /// The bytes of `tokenizer.json`.
    pub fn tokenizer_json(&self) -> &[u8] {
        let span = self.0.manifest.tokenizer;
        &self.0.mapping.bytes()[self.range(span.offset, span.length)]
    }

    /// The chat template, in the language of Jinja.
    pub fn chat_template(&self) -> Option<&str> {
        self.0.manifest.chat_template.as_deref()
    }

    /// Texts of special tokens, for the chat template.
    pub fn specials(&self) -> &Specials {
        &self.0.manifest.specials
    }

    /// The text of the licence, where the source had one.
    pub fn licence(&self) -> Option<&str> {
        self.0.manifest.licence.as_deref()
    }

    fn entry(&self, stored: Stored) -> &TensorEntry {
        let Some(&index) = self.0.index.get(&stored) else { panic!("this model has no {stored}") };
        &self.0.manifest.tensors[index]
    }

    /// Bytes of the file, for an offset that was checked.
    fn range(&self, offset: u64, length: u64) -> Range<usize> {
        let start = self.0.base + offset as usize;
        start..start + length as usize
    }
}

/// Decodes and checks the manifest at the beginning of a package; also says where the tensors begin.
pub(crate) fn read_manifest(bytes: &[u8]) -> Result<(Manifest, usize), PackageError> {
    let short =
        |expected: usize| PackageError::Length { found: bytes.len() as u64, expected: expected as u64 };
    if !bytes.starts_with(&MAGIC) {
        return Err(PackageError::Magic);
    }
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return Err(short(HEAD_BYTES)) };
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if word(8) != VERSION {
        return Err(PackageError::Version(word(8)));
    }
    // The upper half of the length, and the word before it, are zero in every package that is short enough.
    let length = word(16) as usize;
    if word(12) != 0 || word(20) != 0 || length > MAX_MANIFEST_BYTES {
        return Err(PackageError::Decode("its length is too great".to_owned()));
    }
    let base = padded(HEAD_BYTES + length);
    if rest.len() < base - HEAD_BYTES {
        return Err(short(base));
    }
    let (encoded, padding) = rest[..base - HEAD_BYTES].split_at(length);
    if padding.iter().any(|&byte| byte != 0) {
        return Err(PackageError::Padding("the manifest".to_owned()));
    }
    let manifest = Manifest::try_from_slice(encoded)
        .map_err(|error| PackageError::Decode(crate::text::short(&error.to_string()).to_owned()))?;
    manifest.validate()?;
    Ok((manifest, base))
}

/// Everything before the tensors.
pub(crate) fn write_manifest(manifest: &Manifest) -> Vec<u8> {
    let encoded = borsh::to_vec(manifest).expect("a valid manifest has no NaN, and memory does not fail");
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend((encoded.len() as u64).to_le_bytes());
    bytes.extend(&encoded);
    bytes.resize(padded(bytes.len()), 0);
    bytes
}

/// A hasher for roots.
pub(crate) fn root_hasher() -> blake3::Hasher {
    blake3::Hasher::new_derive_key(ROOT_DOMAIN)
}

/// What a hasher says about all that it was given.
pub(crate) fn finish(hasher: &blake3::Hasher) -> ModelRoot {
    ModelRoot(Digest(*hasher.finalize().as_bytes()))
}

fn root_of(bytes: &[u8], progress: &mut dyn FnMut(Progress)) -> ModelRoot {
    let mut hasher = root_hasher();
    let total = bytes.len() as u64;
    let mut done = 0;
    for part in bytes.chunks(HASH_STEP) {
        hasher.update(part);
        done += part.len() as u64;
        progress(Progress { stage: Stage::Hashing, done, total });
    }
    finish(&hasher)
}
