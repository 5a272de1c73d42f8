//! GGUF files with weights of type Q8_0: blocks of 32 are taken as they are, so that importing loses nothing.
//!
//! Files of the Llama family keep queries and keys in an order that turns neighbours; here they come out in the order
//! that turns element `i` of a head with `i + head / 2`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::config::{Config, Family, Group, MAX_CONTEXT};
use crate::half;
use crate::manifest::{Provenance, Specials};
use crate::rope::{self, Scaling};
use crate::slot::Slot;
use crate::source::checkpoint::Dtype;
use crate::source::{Facts, Origin, Source, SourceError, check_finite, name_of};
use crate::text::short;

mod header;
mod vocabulary;

pub(crate) use header::{ALIGNMENT, MAGIC};
use header::{Header, Metadata};

/// Elements of a block of type Q8_0.
pub(crate) const BLOCK: usize = 32;
/// Bytes of a block: the scale as a half, and the elements.
pub(crate) const BLOCK_BYTES: usize = 2 + BLOCK;
/// The number of the type Q8_0.
pub(crate) const Q8_0: u32 = 8;
/// Tensors that the format may hold beside the weights: factors of frequencies.
const ROPE_FACTORS: &str = "rope_freqs.weight";

/// How the elements of a tensor are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Storage {
    Floats(Dtype),
    Blocks,
}

impl Storage {
    fn of(kind: u32) -> Option<Self> {
        match kind {
            0 => Some(Self::Floats(Dtype::F32)),
            1 => Some(Self::Floats(Dtype::F16)),
            30 => Some(Self::Floats(Dtype::Bf16)),
            Q8_0 => Some(Self::Blocks),
            _ => None,
        }
    }

    /// Bytes of so many elements, which are whole blocks.
    const fn bytes(self, elements: usize) -> usize {
        match self {
            Self::Floats(dtype) => elements * dtype.bytes(),
            Self::Blocks => elements / BLOCK * BLOCK_BYTES,
        }
    }
}

#[derive(Debug)]
struct GgufOrigin {
    path: PathBuf,
    file: Mutex<File>,
    /// Per tensor, its first byte in the file.
    places: BTreeMap<String, (Storage, u64)>,
    /// Elements of a head, if queries and keys are in the other order.
    interleaved: Option<usize>,
}

/// Opens a file.
pub(crate) fn open(path: &Path) -> Result<Source, SourceError> {
    let file = File::open(path).map_err(SourceError::read(path))?;
    let header = Header::read(&file, path)?;
    let metadata = &header.metadata;
    let mut notes = Vec::new();
    let config = configuration(&header, &file, path, &mut notes)?;
    config.validate()?;
    let mut places = BTreeMap::new();
    let mut known = vec![ROPE_FACTORS.to_owned()];
    for slot in Slot::all(&config) {
        let name = slot.gguf();
        let (rows, columns) = slot.shape(&config);
        let (storage, place) = header.check(&name, rows, columns, slot.is_vector())?;
        places.insert(name.clone(), (storage, place));
        known.push(name);
    }
    if let Some(name) = header.tensors.keys().find(|name| !known.contains(name)) {
        return Err(SourceError::Unexpected(short(name).to_owned()));
    }
    let text = |token: Option<u32>| metadata.element("tokenizer.ggml.tokens", token?).map(str::to_owned);
    let facts = Facts {
        specials: Specials {
            bos: text(config.bos),
            eos: text(metadata.token("tokenizer.ggml.eos_token_id")),
            pad: text(config.pad),
            unk: text(metadata.token("tokenizer.ggml.unknown_token_id")),
        },
        tokenizer: vocabulary::tokenizer(metadata),
        chat_template: metadata.text("tokenizer.chat_template").map(str::to_owned),
        licence: metadata.text("general.license").map(str::to_owned),
        provenance: Provenance::Gguf,
        notes,
        config,
    };
    let interleaved = (facts.config.family == Family::Llama).then(|| facts.config.head());
    let origin = GgufOrigin { path: path.to_owned(), file: Mutex::new(file), places, interleaved };
    Ok(Source { facts, origin: Box::new(origin) })
}

fn unsupported(what: impl Into<String>) -> SourceError {
    SourceError::Unsupported(what.into())
}

fn configuration(
    header: &Header,
    file: &File,
    path: &Path,
    notes: &mut Vec<String>,
) -> Result<Config, SourceError> {
    let metadata = &header.metadata;
    let architecture = metadata.text("general.architecture").unwrap_or_default();
    let family = match architecture {
        "llama" => Family::Llama,
        "qwen2" => Family::Qwen2,
        "qwen3" => Family::Qwen3,
        other => {
            let other = short(other);
            return Err(unsupported(format!(
                "the architecture {other:?} is not supported; supported are llama, qwen2 and qwen3"
            )));
        }
    };
    let key = |name: &str| format!("{architecture}.{name}");
    let number = |name: &str| metadata.number(&key(name));
    let needed = |name: &str| number(name)?.ok_or_else(|| SourceError::Missing(key(name)));
    if number("expert_count")?.is_some_and(|experts| experts > 0) {
        return Err(unsupported("mixtures of experts are not supported"));
    }
    let (width, heads) = (needed("embedding_length")?, needed("attention.head_count")?);
    let head = match number("attention.key_length")? {
        Some(head) => head,
        None if heads > 0 && width.is_multiple_of(heads) => width / heads,
        None => return Err(SourceError::Missing(key("attention.key_length"))),
    };
    if number("attention.value_length")?.is_some_and(|value| value != head) {
        return Err(unsupported("values of another size than keys are not supported"));
    }
    if number("rope.dimension_count")?.is_some_and(|turned| turned != head) {
        return Err(unsupported("turning a part of each head (`rope.dimension_count`) is not supported"));
    }
    let mut context = needed("context_length")?;
    if context > MAX_CONTEXT {
        notes.push(format!(
            "the context of {context} positions is cut to {MAX_CONTEXT}, the most that is supported"
        ));
        context = MAX_CONTEXT;
    }
    if number("attention.sliding_window")?.is_some_and(|window| window > 0 && window < context) {
        return Err(unsupported("a sliding window shorter than the context is not supported"));
    }
    if head == 0 || head > crate::config::MAX_HEAD {
        return Err(unsupported(format!(
            "heads of {head} elements are not supported; a multiple of 16 up to 256 is"
        )));
    }
    let base = metadata.float(&key("rope.freq_base"))?.unwrap_or(10_000.0);
    let scaling = scaling(header, file, path, architecture, head as usize)?;
    let (rope_steps, rope_magnitude) = rope::steps(base, head as usize, &scaling)?;
    let vocabulary = metadata
        .length("tokenizer.ggml.tokens")
        .or(header.tensors.get("token_embd.weight").and_then(|tensor| tensor.shape.get(1).copied()))
        .and_then(|tokens| u32::try_from(tokens).ok());
    let mut eos: Vec<u32> = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"]
        .into_iter()
        .filter_map(|key| metadata.token(key))
        .collect();
    eos.sort_unstable();
    eos.dedup();
    Ok(Config {
        family,
        name: name_of(path),
        vocabulary: vocabulary.ok_or_else(|| SourceError::Missing("token_embd.weight".to_owned()))?,
        width,
        layers: needed("block_count")?,
        heads,
        kv_heads: number("attention.head_count_kv")?.unwrap_or(heads),
        head,
        hidden: needed("feed_forward_length")?,
        context,
        eps: metadata.float(&key("attention.layer_norm_rms_epsilon"))?.unwrap_or(1e-6) as f32,
        rope_steps,
        rope_magnitude,
        score_scale: rope::score_scale(head as usize),
        qkv_bias: family == Family::Qwen2,
        qk_norm: family == Family::Qwen3,
        tied: !header.tensors.contains_key(&Slot::Head.gguf()),
        group: Group::G32,
        bos: metadata.token("tokenizer.ggml.bos_token_id"),
        eos,
        pad: metadata.token("tokenizer.ggml.padding_token_id"),
    })
}

fn scaling(
    header: &Header,
    file: &File,
    path: &Path,
    architecture: &str,
    head: usize,
) -> Result<Scaling, SourceError> {
    let metadata: &Metadata = &header.metadata;
    let key = |name: &str| format!("{architecture}.rope.scaling.{name}");
    if header.tensors.contains_key(ROPE_FACTORS) {
        let (storage, place) = header.check(ROPE_FACTORS, 1, head / 2, true)?;
        let mut factors = vec![0.0; head / 2];
        read_floats(file, path, storage, place, &mut factors)?;
        check_finite(ROPE_FACTORS, 0, &factors)?;
        return Ok(Scaling::PerPair(factors.into_iter().map(f64::from).collect()));
    }
    let factor = metadata.float(&key("factor"))?;
    match metadata.text(&key("type")).unwrap_or("none") {
        "none" => Ok(Scaling::None),
        "linear" => Ok(Scaling::Linear { factor: factor.unwrap_or(1.0) }),
        "yarn" => {
            let prefix = key("yarn_");
            if metadata.has_prefix(&prefix) || metadata.float(&key("attn_factor"))?.is_some() {
                return Err(unsupported("YaRN with settings of its own is not supported in GGUF files"));
            }
            let original = metadata.number(&key("original_context_length"))?;
            Ok(Scaling::Yarn {
                factor: factor.unwrap_or(1.0),
                original: f64::from(
                    original.ok_or_else(|| SourceError::Missing(key("original_context_length")))?,
                ),
                fast: 32.0,
                slow: 1.0,
                magnitude: None,
                whole: true,
            })
        }
        other => Err(unsupported(format!("rope scaling {:?} is not supported", short(other)))),
    }
}

fn read_at(mut file: &File, path: &Path, place: u64, bytes: &mut [u8]) -> Result<(), SourceError> {
    file.seek(SeekFrom::Start(place)).and_then(|_| file.read_exact(bytes)).map_err(SourceError::read(path))
}

/// Reads the elements of a vector of floats.
fn read_floats(
    file: &File,
    path: &Path,
    storage: Storage,
    place: u64,
    out: &mut [f32],
) -> Result<(), SourceError> {
    let Storage::Floats(dtype) = storage else {
        return Err(SourceError::malformed("the file", "a vector is quantised"));
    };
    let mut bytes = vec![0; out.len() * dtype.bytes()];
    read_at(file, path, place, &mut bytes)?;
    dtype.decode(&bytes, out);
    Ok(())
}

impl GgufOrigin {
    /// Calls `work` with the bytes of each row, in our order: the place among the rows that are read, the number of
    /// the row's first element in the file, and its bytes.
    fn each(
        &self,
        slot: Slot,
        rows: core::ops::Range<usize>,
        columns: usize,
        mut work: impl FnMut(usize, u64, &[u8]) -> Result<(), SourceError>,
    ) -> Result<Storage, SourceError> {
        let name = slot.gguf();
        let &(storage, place) = self.places.get(&name).ok_or(SourceError::Missing(name))?;
        let row_bytes = storage.bytes(columns);
        let turned = matches!(slot, Slot::Query(_) | Slot::Key(_));
        let head = self.interleaved.filter(|_| turned);
        let mut bytes = vec![0; if head.is_some() { row_bytes } else { row_bytes * rows.len() }];
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let start = |row: usize| place + (row * row_bytes) as u64;
        match head {
            None => {
                read_at(&file, &self.path, start(rows.start), &mut bytes)?;
                for ((index, row), bytes) in rows.enumerate().zip(bytes.chunks_exact(row_bytes)) {
                    work(index, (row * columns) as u64, bytes)?;
                }
            }
            Some(head) => {
                for (index, row) in rows.enumerate() {
                    // Element i of the first half stands at 2 i, its partner in the second half beside it.
                    let (half, element) = (row % head / (head / 2), row % (head / 2));
                    let row = row / head * head + 2 * element + half;
                    read_at(&file, &self.path, start(row), &mut bytes)?;
                    work(index, (row * columns) as u64, &bytes)?;
                }
            }
        }
        Ok(storage)
    }

    fn storage(&self, slot: Slot) -> Option<Storage> {
        self.places.get(&slot.gguf()).map(|&(storage, _)| storage)
    }
}

impl Origin for GgufOrigin {
    fn rows(&self, slot: Slot, first: usize, rows: usize, out: &mut [f32]) -> Result<(), SourceError> {
        let columns = out.len() / rows.max(1);
        if let Some(Storage::Floats(dtype)) = self.storage(slot) {
            let name = slot.gguf();
            self.each(slot, first..first + rows, columns, |index, element, bytes| {
                let out = &mut out[index * columns..][..columns];
                dtype.decode(bytes, out);
                check_finite(&name, element, out)
            })?;
            return Ok(());
        }
        let mut weights = vec![0; out.len()];
        let mut scales = vec![0; out.len() / BLOCK];
        self.blocks(slot, first, rows, &mut weights, &mut scales)?;
        for ((out, weights), &scale) in out.chunks_mut(BLOCK).zip(weights.chunks(BLOCK)).zip(&scales) {
            let scale = half::to_f32(scale);
            for (out, &weight) in out.iter_mut().zip(weights) {
                *out = f32::from(weight) * scale;
            }
        }
        Ok(())
    }

    fn is_quantised(&self, slot: Slot) -> bool {
        self.storage(slot) == Some(Storage::Blocks)
    }

    fn blocks(
        &self,
        slot: Slot,
        first: usize,
        rows: usize,
        weights: &mut [i8],
        scales: &mut [u16],
    ) -> Result<(), SourceError> {
        let columns = weights.len() / rows.max(1);
        let blocks = columns / BLOCK;
        let name = slot.gguf();
        self.each(slot, first..first + rows, columns, |index, element, bytes| {
            let weights = weights[index * columns..].chunks_exact_mut(BLOCK);
            let scales = &mut scales[index * blocks..];
            let first = element / BLOCK as u64;
            for (((block, bytes), weights), scale) in
                (first..).zip(bytes.as_chunks::<BLOCK_BYTES>().0).zip(weights).zip(scales)
            {
                let wrong = |problem: String| SourceError::Block { tensor: name.clone(), block, problem };
                *scale = u16::from_le_bytes([bytes[0], bytes[1]]);
                if *scale >= 0x7c00 {
                    return Err(wrong(format!(
                        "the scale {}, which is negative or not finite",
                        half::to_f32(*scale)
                    )));
                }
                for (weight, &byte) in weights.iter_mut().zip(&bytes[2..]) {
                    *weight = byte.cast_signed();
                }
                if weights.contains(&i8::MIN) {
                    return Err(wrong("a weight of -128; weights are in -127..=127".to_owned()));
                }
            }
            Ok(())
        })?;
        Ok(())
    }
}
