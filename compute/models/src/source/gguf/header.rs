//! The header of a GGUF file: metadata and the table of tensors, read with a bound on everything.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use super::{BLOCK, Storage};
use crate::source::SourceError;
use crate::text::short;

/// The first bytes of a file.
pub(crate) const MAGIC: [u8; 4] = *b"GGUF";
/// The version that is written today; the one before differs in nothing that matters here.
const VERSIONS: core::ops::RangeInclusive<u32> = 2..=3;
/// Keys of metadata, at most.
const MAX_KEYS: u64 = 4_096;
/// Tensors, at most.
const MAX_TENSORS: u64 = 16_384;
/// Bytes of a name, at most.
const MAX_NAME_BYTES: u64 = 1_024;
/// Bytes of the header, at most: vocabularies are in it.
const MAX_HEADER_BYTES: u64 = 64 << 20;
/// Elements of an array, at most.
const MAX_ELEMENTS: u64 = 4 << 20;
/// Where tensors begin, if nothing is said: at a multiple of this.
pub(crate) const ALIGNMENT: u64 = 32;

/// A value of metadata.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    Integer(i128),
    Float(f64),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
    Integers(Vec<i64>),
    /// An array of something that nobody needs: its elements.
    Other(u64),
}

/// Metadata by name.
#[derive(Debug, Default)]
pub(super) struct Metadata(BTreeMap<String, Entry>);

/// A tensor of the table.
#[derive(Debug)]
pub(super) struct Tensor {
    /// The inner dimension comes first.
    pub(super) shape: Vec<u64>,
    kind: u32,
    offset: u64,
}

#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: Metadata,
    pub(super) tensors: BTreeMap<String, Tensor>,
    file: String,
    /// The first byte of the tensors.
    base: u64,
    /// Bytes of the file.
    length: u64,
}

/// Reads numbers and texts, and knows what is wrong when it cannot.
struct Reader<'a> {
    inner: std::io::Take<BufReader<&'a File>>,
    file: &'a str,
}

impl Reader<'_> {
    fn wrong(&self, problem: impl core::fmt::Display) -> SourceError {
        SourceError::malformed(self.file, problem)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], SourceError> {
        let mut bytes = [0; N];
        match self.inner.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(_) => Err(self.wrong("it ends within its header, or the header is longer than accepted")),
        }
    }

    fn u32(&mut self) -> Result<u32, SourceError> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, SourceError> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn text(&mut self, limit: u64) -> Result<String, SourceError> {
        let length = self.u64()?;
        if length > limit {
            return Err(
                self.wrong(format_args!("a text of {length} bytes; at most {limit} are accepted here"))
            );
        }
        // Grows with what is there, not with what is promised.
        let mut bytes = Vec::new();
        let read = self.inner.by_ref().take(length).read_to_end(&mut bytes);
        if read.ok() != Some(length as usize) {
            return Err(self.wrong("it ends within its header, or the header is longer than accepted"));
        }
        // Tokens of some vocabularies are cut within a character; such a token is no text of ours.
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn scalar(&mut self, kind: u32) -> Result<Entry, SourceError> {
        Ok(match kind {
            0 => Entry::Integer(self.bytes().map(u8::from_le_bytes)?.into()),
            1 => Entry::Integer(self.bytes().map(i8::from_le_bytes)?.into()),
            2 => Entry::Integer(self.bytes().map(u16::from_le_bytes)?.into()),
            3 => Entry::Integer(self.bytes().map(i16::from_le_bytes)?.into()),
            4 => Entry::Integer(self.u32()?.into()),
            5 => Entry::Integer(self.bytes().map(i32::from_le_bytes)?.into()),
            6 => Entry::Float(self.bytes().map(f32::from_le_bytes)?.into()),
            7 => Entry::Flag(self.bytes::<1>()? != [0]),
            8 => Entry::Text(self.text(MAX_HEADER_BYTES)?),
            10 => Entry::Integer(self.u64()?.into()),
            11 => Entry::Integer(self.bytes().map(i64::from_le_bytes)?.into()),
            12 => Entry::Float(self.bytes().map(f64::from_le_bytes)?),
            other => return Err(self.wrong(format_args!("a value of the unknown type {other}"))),
        })
    }

    fn value(&mut self) -> Result<Entry, SourceError> {
        let kind = self.u32()?;
        if kind != 9 {
            return self.scalar(kind);
        }
        let (kind, length) = (self.u32()?, self.u64()?);
        if length > MAX_ELEMENTS {
            return Err(self
                .wrong(format_args!("an array of {length} elements; at most {MAX_ELEMENTS} are accepted")));
        }
        match kind {
            8 => (0..length).map(|_| self.text(MAX_HEADER_BYTES)).collect::<Result<_, _>>().map(Entry::Texts),
            4 | 5 | 10 | 11 => {
                let mut integers = Vec::new();
                for _ in 0..length {
                    let Entry::Integer(value) = self.scalar(kind)? else { continue };
                    integers.push(i64::try_from(value).unwrap_or(i64::MAX));
                }
                Ok(Entry::Integers(integers))
            }
            9 => Err(self.wrong("an array of arrays")),
            kind => {
                for _ in 0..length {
                    self.scalar(kind)?;
                }
                Ok(Entry::Other(length))
            }
        }
    }
}

impl Header {
    /// Reads the header of a file from its beginning.
    pub(super) fn read(file: &File, path: &Path) -> Result<Self, SourceError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let length = file.metadata().map_err(SourceError::read(path))?.len();
        let inner = BufReader::with_capacity(1 << 16, file).take(MAX_HEADER_BYTES);
        let mut reader = Reader { inner, file: &name };
        if reader.bytes().ok() != Some(MAGIC) {
            return Err(reader.wrong("it is neither a folder with a model nor a GGUF file"));
        }
        let version = reader.u32()?;
        if !VERSIONS.contains(&version) {
            return Err(reader.wrong(format_args!("version {version} of GGUF is not read; 2 and 3 are")));
        }
        let (tensors, keys) = (reader.u64()?, reader.u64()?);
        if tensors > MAX_TENSORS || keys > MAX_KEYS {
            return Err(reader.wrong(format_args!(
                "{tensors} tensors and {keys} keys; at most {MAX_TENSORS} and {MAX_KEYS} are accepted"
            )));
        }
        let mut metadata = Metadata::default();
        for _ in 0..keys {
            let key = reader.text(MAX_NAME_BYTES)?;
            let value = reader.value()?;
            metadata.0.insert(key, value);
        }
        let table = (0..tensors).map(|_| tensor(&mut reader)).collect::<Result<_, _>>()?;
        let end = MAX_HEADER_BYTES - reader.inner.limit();
        let alignment = metadata.number("general.alignment")?.map_or(ALIGNMENT, u64::from);
        if !alignment.is_power_of_two() || alignment > 1 << 16 {
            return Err(reader.wrong(format_args!("an alignment of {alignment}")));
        }
        let base = end.next_multiple_of(alignment);
        Ok(Self { metadata, tensors: table, base, length, file: name })
    }

    /// Checks that a tensor is there, of this shape, of a type that is read, and inside of the file. Says where it is.
    pub(super) fn check(
        &self,
        name: &str,
        rows: usize,
        columns: usize,
        vector: bool,
    ) -> Result<(Storage, u64), SourceError> {
        let tensor = self.tensors.get(name).ok_or_else(|| SourceError::Missing(name.to_owned()))?;
        let allowed = if vector { "F32, F16 and BF16" } else { "Q8_0, F32, F16 and BF16" };
        let wrong_type = |found: String| SourceError::Type { tensor: name.to_owned(), found, allowed };
        let storage = Storage::of(tensor.kind).filter(|storage| !(vector && *storage == Storage::Blocks));
        let storage = storage.ok_or_else(|| wrong_type(format!("with the number {}", tensor.kind)))?;
        let shape = [columns as u64, rows as u64];
        let shape = if vector { &shape[..1] } else { &shape };
        if tensor.shape != shape {
            let (found, expected) = (tensor.shape.clone(), shape.to_vec());
            return Err(SourceError::Shape { tensor: name.to_owned(), found, expected });
        }
        if storage == Storage::Blocks && !columns.is_multiple_of(BLOCK) {
            return Err(wrong_type("Q8_0 and rows that are no whole number of blocks".to_owned()));
        }
        let bytes = storage.bytes(rows * columns) as u64;
        let end = self.base.checked_add(tensor.offset).and_then(|start| start.checked_add(bytes));
        if end.is_none_or(|end| end > self.length) {
            return Err(SourceError::malformed(
                &self.file,
                format_args!("the tensor {name} ends after the file does, which was cut off or damaged"),
            ));
        }
        Ok((storage, self.base + tensor.offset))
    }
}

fn tensor(reader: &mut Reader<'_>) -> Result<(String, Tensor), SourceError> {
    let name = reader.text(MAX_NAME_BYTES)?;
    let dimensions = reader.u32()?;
    if dimensions > 4 {
        let name = short(&name);
        return Err(reader.wrong(format_args!("the tensor {name:?} has {dimensions} dimensions")));
    }
    let shape = (0..dimensions).map(|_| reader.u64()).collect::<Result<_, _>>()?;
    Ok((name, Tensor { shape, kind: reader.u32()?, offset: reader.u64()? }))
}

impl Metadata {
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key) {
            Some(Entry::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A number below 2^32. A list of them counts as one if all are the same.
    pub(super) fn number(&self, key: &str) -> Result<Option<u32>, SourceError> {
        let number = match self.0.get(key) {
            None => return Ok(None),
            Some(Entry::Integer(number)) => u32::try_from(*number).ok(),
            Some(Entry::Integers(list)) => {
                let all = list.first().filter(|first| list.iter().all(|number| number == *first));
                all.and_then(|&number| u32::try_from(number).ok())
            }
            Some(_) => None,
        };
        number
            .map(Some)
            .ok_or_else(|| SourceError::malformed(key, "it must be a whole number, the same for all layers"))
    }

    pub(super) fn float(&self, key: &str) -> Result<Option<f64>, SourceError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Entry::Float(number)) => Ok(Some(*number)),
            Some(_) => Err(SourceError::malformed(key, "it must be a float")),
        }
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match self.0.get(key) {
            Some(Entry::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    /// A token; what is none counts as absent.
    pub(super) fn token(&self, key: &str) -> Option<u32> {
        self.number(key).ok().flatten()
    }

    pub(super) fn texts(&self, key: &str) -> Option<&[String]> {
        match self.0.get(key) {
            Some(Entry::Texts(texts)) => Some(texts),
            _ => None,
        }
    }

    pub(super) fn integers(&self, key: &str) -> Option<&[i64]> {
        match self.0.get(key) {
            Some(Entry::Integers(list)) => Some(list),
            _ => None,
        }
    }

    /// Elements of a list of texts.
    pub(super) fn length(&self, key: &str) -> Option<u64> {
        self.texts(key).map(|texts| texts.len() as u64)
    }

    /// An element of a list of texts.
    pub(super) fn element(&self, key: &str, index: u32) -> Option<&str> {
        self.texts(key)?.get(index as usize).map(String::as_str)
    }

    /// Whether a key begins so.
    pub(super) fn has_prefix(&self, prefix: &str) -> bool {
        self.0.range(prefix.to_owned()..).next().is_some_and(|(key, _)| key.starts_with(prefix))
    }
}
