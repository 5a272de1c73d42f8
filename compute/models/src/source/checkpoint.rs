//! Tensors in safetensors files: headers that are checked before anything else is read, and rows on demand.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

use crate::half;
use crate::source::{MAX_JSON_BYTES, SourceError, check_finite, read_small};
use crate::text::short;

/// Bytes of a header, at most: a thousand layers need a tenth.
const MAX_HEADER_BYTES: u64 = 8 << 20;
/// Tensors of a model, at most.
const MAX_TENSORS: usize = 65_536;
/// Files of a model, at most.
const MAX_SHARDS: usize = 1_024;
/// The file of a model that has one.
const SINGLE: &str = "model.safetensors";
/// The list of the files of a model that has several.
const INDEX: &str = "model.safetensors.index.json";

/// The types of floats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 32 bits.
    F32,
    /// 16 bits, IEEE half.
    F16,
    /// 16 bits, the upper half of an `F32`.
    Bf16,
}

impl Dtype {
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    /// Converts little-endian numbers; `bytes` has exactly those of `out`.
    pub(crate) fn decode(self, bytes: &[u8], out: &mut [f32]) {
        let halves = |out: &mut [f32], value: fn(u16) -> f32| {
            for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *out = value(u16::from_le_bytes(*bytes));
            }
        };
        match self {
            Self::F32 => {
                for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *out = f32::from_le_bytes(*bytes);
                }
            }
            Self::F16 => halves(out, half::to_f32),
            Self::Bf16 => halves(out, half::bf16_to_f32),
        }
    }
}

/// Where a tensor is.
#[derive(Debug)]
struct Place {
    file: usize,
    dtype: Result<Dtype, String>,
    shape: Vec<u64>,
    /// Its first byte in the file.
    start: u64,
}

/// All tensors of a folder.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    files: Vec<(PathBuf, Mutex<File>)>,
    tensors: BTreeMap<String, Place>,
}

impl Checkpoint {
    /// Reads the headers of all files of a folder.
    pub(crate) fn open(folder: &Path) -> Result<Self, SourceError> {
        let mut checkpoint = Self { files: Vec::new(), tensors: BTreeMap::new() };
        let index = folder.join(INDEX);
        if !index.is_file() {
            let single = folder.join(SINGLE);
            if !single.is_file() {
                return Err(SourceError::NoFile(format!(
                    "{SINGLE} and no {INDEX}: weights are read from safetensors, or from a GGUF file"
                )));
            }
            checkpoint.add(&single, None)?;
            return Ok(checkpoint);
        }
        let text = read_small(&index, MAX_JSON_BYTES)?;
        let value: Value =
            serde_json::from_slice(&text).map_err(|error| SourceError::malformed(INDEX, error))?;
        let map = value.get("weight_map").and_then(Value::as_object);
        let map = map.ok_or_else(|| SourceError::malformed(INDEX, "it has no weight_map"))?;
        let mut shards: BTreeMap<&str, HashSet<&str>> = BTreeMap::new();
        for (tensor, file) in map {
            let file = file.as_str().unwrap_or_default();
            // A name and nothing else: no path that leads elsewhere.
            let plain = file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            if !plain || !file.ends_with(".safetensors") || file.starts_with('.') {
                let problem = format!("{:?} is no name of a safetensors file", short(file));
                return Err(SourceError::malformed(INDEX, problem));
            }
            shards.entry(file).or_default().insert(tensor);
        }
        if shards.len() > MAX_SHARDS {
            return Err(SourceError::malformed(INDEX, format!("more than {MAX_SHARDS} files")));
        }
        for (file, tensors) in shards {
            checkpoint.add(&folder.join(file), Some(&tensors))?;
        }
        if let Some(tensor) = map.keys().find(|&tensor| !checkpoint.tensors.contains_key(tensor)) {
            return Err(SourceError::Missing(short(tensor).to_owned()));
        }
        Ok(checkpoint)
    }

    /// Adds the tensors of a file: all, or those that the index expects there.
    fn add(&mut self, path: &Path, expected: Option<&HashSet<&str>>) -> Result<(), SourceError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let malformed = |problem: String| SourceError::malformed(&name, problem);
        let mut file = File::open(path).map_err(SourceError::read(path))?;
        let length = file.metadata().map_err(SourceError::read(path))?.len();
        let mut word = [0; 8];
        file.read_exact(&mut word).map_err(|_| malformed("it ends within its first 8 bytes".to_owned()))?;
        let header = u64::from_le_bytes(word);
        if header > MAX_HEADER_BYTES {
            let problem =
                format!("its header would have {header} bytes, at most {MAX_HEADER_BYTES} are read");
            return Err(malformed(problem));
        }
        if length < 8 + header {
            return Err(malformed(format!("it ends within its header, after {length} bytes")));
        }
        let mut bytes = vec![0; header as usize];
        file.read_exact(&mut bytes).map_err(SourceError::read(path))?;
        let tensors: Map<String, Value> = serde_json::from_slice(&bytes)
            .map_err(|error| malformed(format!("its header is no JSON object: {error}")))?;
        if self.tensors.len() + tensors.len() > MAX_TENSORS {
            return Err(malformed(format!("more than {MAX_TENSORS} tensors")));
        }
        let room = length - 8 - header;
        let mut spans = Vec::new();
        for (tensor, entry) in tensors {
            if tensor == "__metadata__" {
                continue;
            }
            let Entry { dtype, shape, span: [start, end] } = Entry::parse(&entry)
                .ok_or_else(|| malformed(format!("the entry of {:?} is malformed", short(&tensor))))?;
            if start > end || end > room {
                return Err(malformed(format!(
                    "{:?} is at bytes {start}..{end}, and there are {room}: the file was cut off or damaged",
                    short(&tensor)
                )));
            }
            if let Ok(dtype) = dtype {
                let elements = shape.iter().try_fold(1u64, |product, &length| product.checked_mul(length));
                let bytes = elements.and_then(|elements| elements.checked_mul(dtype.bytes() as u64));
                if bytes != Some(end - start) {
                    return Err(malformed(format!(
                        "{:?} has {} bytes, which is not what its shape and type say",
                        short(&tensor),
                        end - start
                    )));
                }
            }
            spans.push((start, end));
            if expected.is_some_and(|expected| !expected.contains(tensor.as_str())) {
                continue;
            }
            let place = Place { file: self.files.len(), dtype, shape, start: 8 + header + start };
            self.tensors.insert(tensor, place);
        }
        spans.sort_unstable();
        if spans.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            return Err(malformed("two tensors overlap".to_owned()));
        }
        self.files.push((path.to_owned(), Mutex::new(file)));
        Ok(())
    }

    /// Names of all tensors.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Checks that a tensor is there, of this shape, and of a type that is read.
    pub(crate) fn check(&self, name: &str, shape: &[u64]) -> Result<(), SourceError> {
        let place = self.tensors.get(name).ok_or_else(|| SourceError::Missing(name.to_owned()))?;
        if let Err(dtype) = &place.dtype {
            return Err(SourceError::Type {
                tensor: name.to_owned(),
                found: short(dtype).to_owned(),
                allowed: "F32, F16 and BF16",
            });
        }
        if place.shape != shape {
            return Err(SourceError::Shape {
                tensor: name.to_owned(),
                found: place.shape.iter().copied().take(8).collect(),
                expected: shape.to_vec(),
            });
        }
        Ok(())
    }

    /// Reads elements of a tensor from `first` on, within its shape.
    pub(crate) fn read(&self, name: &str, first: usize, out: &mut [f32]) -> Result<(), SourceError> {
        let place = self.tensors.get(name).ok_or_else(|| SourceError::Missing(name.to_owned()))?;
        let Ok(dtype) = place.dtype else { return Err(SourceError::Missing(name.to_owned())) };
        let (path, file) = &self.files[place.file];
        let mut bytes = vec![0; out.len() * dtype.bytes()];
        {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(place.start + (first * dtype.bytes()) as u64))
                .and_then(|_| file.read_exact(&mut bytes))
                .map_err(SourceError::read(path))?;
        }
        dtype.decode(&bytes, out);
        check_finite(name, first as u64, out)
    }
}

/// A tensor in a header.
struct Entry {
    /// The type, or the name of one that is not read.
    dtype: Result<Dtype, String>,
    shape: Vec<u64>,
    /// The first byte after the header, and the one after the last.
    span: [u64; 2],
}

impl Entry {
    fn parse(value: &Value) -> Option<Self> {
        let numbers = |value: &Value| value.as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<_>>>();
        let dtype = match value.get("dtype")?.as_str()? {
            "F32" => Ok(Dtype::F32),
            "F16" => Ok(Dtype::F16),
            "BF16" => Ok(Dtype::Bf16),
            other => Err(short(other).to_owned()),
        };
        let span = numbers(value.get("data_offsets")?)?.try_into().ok()?;
        Some(Self { dtype, shape: numbers(value.get("shape")?)?, span })
    }
}
