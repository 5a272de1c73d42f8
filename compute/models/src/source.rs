//! Float models as they come: a Hugging Face folder, a GGUF file, or made by [`synthetic`](crate::synthetic).

use core::fmt;
use std::io;
use std::path::Path;

use crate::config::{Config, ConfigError, name_is_valid};
use crate::manifest::{Provenance, Specials};
use crate::slot::Slot;
use crate::text::short;

pub(crate) mod checkpoint;
pub(crate) mod folder;
pub(crate) mod gguf;

/// Bytes of a JSON file or template beside the weights, at most (a tokenizer may be longer).
pub(crate) const MAX_JSON_BYTES: u64 = 8 << 20;

/// A float model, from which tensors are read one at a time.
#[derive(Debug)]
pub struct Source {
    pub(crate) facts: Facts,
    pub(crate) origin: Box<dyn Origin>,
}

/// All of a model but its tensors.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) config: Config,
    pub(crate) provenance: Provenance,
    pub(crate) specials: Specials,
    pub(crate) chat_template: Option<String>,
    pub(crate) licence: Option<String>,
    /// `tokenizer.json`, or why there is none.
    pub(crate) tokenizer: Result<Vec<u8>, String>,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
}

/// Where tensors are read from. Rows are those of [`Slot::shape`]; ranges are within them.
pub(crate) trait Origin: Send + Sync + fmt::Debug {
    /// Reads `rows` rows from `first` on as floats, all finite.
    fn rows(&self, slot: Slot, first: usize, rows: usize, out: &mut [f32]) -> Result<(), SourceError>;

    /// Whether a tensor is already quantised, in groups of 32 along the inner dimension.
    fn is_quantised(&self, _: Slot) -> bool {
        false
    }

    /// Reads rows of a quantised tensor as they are, with the bits of their scales.
    fn blocks(
        &self,
        slot: Slot,
        _first: usize,
        _rows: usize,
        _weights: &mut [i8],
        _scales: &mut [u16],
    ) -> Result<(), SourceError> {
        Err(SourceError::Missing(slot.to_string()))
    }
}

/// Why a model cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file that cannot be read.
    #[error("{file}: {error}")]
    Read {
        /// Its name.
        file: String,
        /// What the system said.
        error: io::Error,
    },
    /// A file that is needed and not there.
    #[error("there is no {0}")]
    NoFile(String),
    /// A file that is longer than accepted.
    #[error("{file} has more than {limit} bytes, which is more than is read")]
    Long {
        /// Its name.
        file: String,
        /// How many are read.
        limit: u64,
    },
    /// A file whose content makes no sense.
    #[error("{file}: {problem}")]
    Malformed {
        /// Its name.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A kind of model that is not supported.
    #[error("{0}")]
    Unsupported(String),
    /// Dimensions or constants outside their limits.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Rotary positions that make no sense.
    #[error("{0}")]
    Rope(String),
    /// A tensor that is not there.
    #[error("the tensor {0} is missing; is the download complete?")]
    Missing(String),
    /// A tensor that no supported model has.
    #[error(
        "the tensor {0} belongs to no model that is supported: ignoring it would change what the model says"
    )]
    Unexpected(String),
    /// A tensor of another shape than the configuration says.
    #[error("the tensor {tensor} has the shape {found:?}, and the configuration asks for {expected:?}")]
    Shape {
        /// Its name.
        tensor: String,
        /// What it has.
        found: Vec<u64>,
        /// What is needed.
        expected: Vec<u64>,
    },
    /// A tensor of a type that is not read.
    #[error("the tensor {tensor} has the type {found}; {allowed} are read")]
    Type {
        /// Its name.
        tensor: String,
        /// What it has.
        found: String,
        /// What is read.
        allowed: &'static str,
    },
    /// A weight that is infinite or not a number.
    #[error("the tensor {tensor} has {value} at element {index}; every weight must be finite")]
    NotFinite {
        /// Its name.
        tensor: String,
        /// Which element, in the order of the file.
        index: u64,
        /// What it is.
        value: f32,
    },
    /// A quantised block that no exact product may meet.
    #[error("the tensor {tensor}: block {block} has {problem}")]
    Block {
        /// Its name.
        tensor: String,
        /// Which block, in the order of the file.
        block: u64,
        /// What is wrong.
        problem: String,
    },
}

impl SourceError {
    pub(crate) fn malformed(file: &str, problem: impl fmt::Display) -> Self {
        Self::Malformed { file: short(file).to_owned(), problem: short(&problem.to_string()).to_owned() }
    }

    pub(crate) fn read(file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        |error| {
            if error.kind() == io::ErrorKind::NotFound {
                Self::NoFile(file)
            } else {
                Self::Read { file, error }
            }
        }
    }
}

impl Source {
    /// Opens a Hugging Face folder, or a GGUF file. Reads everything but the tensors.
    ///
    /// The name of the model is that of the folder or file, until packing gives it another.
    ///
    /// # Errors
    ///
    /// If something is missing, malformed or not supported.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        if path.is_dir() { folder::open(path) } else { gguf::open(path) }
    }

    /// Dimensions and constants. The group is the default one.
    pub fn config(&self) -> &Config {
        &self.facts.config
    }

    /// A tensor as floats: row-major, outputs by inputs, without padding. Queries and keys are in the order that turns
    /// element `i` of a head with `i + head / 2`.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is not finite.
    pub fn tensor(&self, slot: Slot) -> Result<Vec<f32>, SourceError> {
        let slot = if slot == Slot::Head && self.config().tied { Slot::Embedding } else { slot };
        let (rows, columns) = slot.shape(self.config());
        let mut values = vec![0.0; rows * columns];
        self.origin.rows(slot, 0, rows, &mut values)?;
        Ok(values)
    }

    /// What the user should know about the model.
    pub fn notes(&self) -> &[String] {
        &self.facts.notes
    }
}

/// A valid name for a model from that of its folder or file.
pub(crate) fn name_of(path: &Path) -> String {
    // `models/.` and the like name nothing by themselves.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    let name: String = name
        .map(|name| name.to_string_lossy())
        .unwrap_or_default()
        .chars()
        .map(|character| if name_is_valid(character.encode_utf8(&mut [0; 4])) { character } else { '-' })
        .take(crate::config::MAX_NAME_BYTES)
        .collect();
    if name.is_empty() { "model".to_owned() } else { name }
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read_small(path: &Path, limit: u64) -> Result<Vec<u8>, SourceError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(SourceError::read(path))?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(SourceError::read(path))?;
    if bytes.len() as u64 > limit {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Err(SourceError::Long { file, limit });
    }
    Ok(bytes)
}

/// The first value that is not finite.
pub(crate) fn check_finite(tensor: &str, first: u64, values: &[f32]) -> Result<(), SourceError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(SourceError::NotFinite {
            tensor: tensor.to_owned(),
            index: first + index as u64,
            value: values[index],
        }),
    }
}
