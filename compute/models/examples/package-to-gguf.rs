//! Writes a package as a GGUF file of type Q8_0, with the same integers and scales: to ask llama.cpp what the exact engine is
//! asked.
//!
//! ```text
//! cargo run -p freeway-models --example package-to-gguf -- guide guide.gguf
//! ```
//!
//! For packages of family Llama with one scale for each 32 weights, byte-level tokenizers, and plain rope.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use freeway_models::{Config, Family, Group, MatrixSlot, Package, VectorSlot, guide};
use serde_json::Value;

const USAGE: &str = "usage: package-to-gguf guide|PACKAGE FILE";
/// Weights of a block.
const BLOCK: usize = 32;
/// Where tensors begin.
const ALIGNMENT: usize = 32;
/// Numbers of the types of values and tensors.
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;
const TENSOR_F32: u32 = 0;
const TENSOR_Q8_0: u32 = 8;

type Failure = Box<dyn Error>;

/// Metadata on their way into a header.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    count: u64,
}

impl Keys {
    fn key(&mut self, key: &str, kind: u32) -> &mut Vec<u8> {
        self.count += 1;
        text(&mut self.bytes, key);
        self.bytes.extend(kind.to_le_bytes());
        &mut self.bytes
    }

    fn number(&mut self, key: &str, value: u32) {
        self.key(key, U32).extend(value.to_le_bytes());
    }

    fn float(&mut self, key: &str, value: f32) {
        self.key(key, F32).extend(value.to_le_bytes());
    }

    fn text(&mut self, key: &str, value: &str) {
        text(self.key(key, TEXT), value);
    }

    fn texts(&mut self, key: &str, values: &[String]) {
        let bytes = self.key(key, ARRAY);
        bytes.extend(TEXT.to_le_bytes());
        bytes.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| text(bytes, value));
    }

    fn numbers(&mut self, key: &str, values: &[i32]) {
        let bytes = self.key(key, ARRAY);
        bytes.extend(I32.to_le_bytes());
        bytes.extend((values.len() as u64).to_le_bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// Tensors on their way into a file.
#[derive(Default)]
struct Tensors {
    table: Vec<u8>,
    data: Vec<u8>,
    count: u64,
}

impl Tensors {
    fn begin(&mut self, name: &str, shape: &[usize], kind: u32) {
        self.count += 1;
        text(&mut self.table, name);
        self.table.extend((shape.len() as u32).to_le_bytes());
        shape.iter().for_each(|length| self.table.extend((*length as u64).to_le_bytes()));
        self.table.extend(kind.to_le_bytes());
        self.data.resize(self.data.len().next_multiple_of(ALIGNMENT), 0);
        self.table.extend((self.data.len() as u64).to_le_bytes());
    }

    fn vector(&mut self, name: &str, values: &[f32]) {
        self.begin(name, &[values.len()], TENSOR_F32);
        self.data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    /// The columns of `slot` that `columns` gives, in this order, each with its first `inner` weights.
    fn matrix(
        &mut self,
        name: &str,
        package: &Package,
        slot: MatrixSlot,
        inner: usize,
        columns: impl ExactSizeIterator<Item = usize>,
    ) {
        let matrix = package.matrix(slot);
        self.begin(name, &[inner, columns.len()], TENSOR_Q8_0);
        for column in columns {
            for group in 0..inner / BLOCK {
                self.data.extend(matrix.scale(column, group).to_le_bytes());
                self.data.extend(
                    (group * BLOCK..(group + 1) * BLOCK).map(|k| matrix.get(column, k).cast_unsigned()),
                );
            }
        }
    }
}

/// The base of rope, if its steps are plain.
fn rope_base(config: &Config) -> Result<f64, Failure> {
    let [first, second, ..] = config.rope_steps.as_slice() else {
        return Err("the heads are too small".into());
    };
    let half = config.head() as f64 / 2.0;
    let base = (*first as f64 / *second as f64).powf(half).round();
    let plain = |(pair, step): (usize, &u64)| {
        let expected = *first as f64 * base.powf(-(pair as f64) / half);
        (expected / *step as f64 - 1.0).abs() < 1e-6
    };
    if config.rope_steps.iter().enumerate().all(plain) {
        Ok(base)
    } else {
        Err("its rope is not plain".into())
    }
}

fn tokenizer(keys: &mut Keys, package: &Package) -> Result<(), Failure> {
    let config = package.config();
    let file: Value = serde_json::from_slice(package.tokenizer_json())?;
    let vocabulary =
        file.pointer("/model/vocab").and_then(Value::as_object).ok_or("its tokenizer has no vocabulary")?;
    let mut tokens = vec![(String::new(), 5); config.vocabulary()];
    let ids = vocabulary.iter().map(|(text, id)| (text.as_str(), id.as_u64(), 1));
    let added = file.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
    let added = added.map(|token| {
        let kind = if token["special"] == true { 3 } else { 4 };
        (token["content"].as_str().unwrap_or_default(), token["id"].as_u64(), kind)
    });
    for (text, id, kind) in ids.chain(added) {
        let place = id.and_then(|id| tokens.get_mut(usize::try_from(id).ok()?));
        *place.ok_or("its tokenizer has tokens outside of its vocabulary")? = (text.to_owned(), kind);
    }
    for (id, (text, kind)) in tokens.iter_mut().enumerate() {
        if *kind == 5 {
            *text = format!("<|unused-{id}|>");
        }
    }
    let merges =
        file.pointer("/model/merges").and_then(Value::as_array).ok_or("its tokenizer has no merges")?;
    let merge = |merge: &Value| match merge {
        Value::Array(pair) => pair.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let digits = file["pre_tokenizer"].to_string().contains("individual_digits\":true");
    keys.text("tokenizer.ggml.model", "gpt2");
    keys.text("tokenizer.ggml.pre", if digits { "smollm" } else { "gpt-2" });
    keys.texts("tokenizer.ggml.tokens", &tokens.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>());
    keys.numbers("tokenizer.ggml.token_type", &tokens.iter().map(|(_, kind)| *kind).collect::<Vec<_>>());
    keys.texts("tokenizer.ggml.merges", &merges.iter().map(merge).collect::<Vec<_>>());
    if let Some(bos) = config.bos {
        keys.number("tokenizer.ggml.bos_token_id", bos);
    }
    keys.number("tokenizer.ggml.eos_token_id", *config.eos.first().ok_or("no token ends its texts")?);
    keys.key("tokenizer.ggml.add_bos_token", BOOL).push(0);
    if let Some(template) = package.chat_template() {
        keys.text("tokenizer.chat_template", template);
    }
    Ok(())
}

fn tensors(package: &Package) -> Tensors {
    let config = package.config();
    let (width, head, hidden) = (config.width(), config.head(), config.hidden());
    let mut tensors = Tensors::default();
    tensors.matrix("token_embd.weight", package, MatrixSlot::Embedding, width, 0..config.vocabulary());
    // Neighbours turn together in this format: what comes from the first half, then its partner from the second.
    let turned = |row: usize| row - row % head + row % head % 2 * (head / 2) + row % head / 2;
    let (queries, keys) = (config.attended(), config.kv_heads() * head);
    for layer in 0..config.layers {
        let name = |name: &str| format!("blk.{layer}.{name}.weight");
        tensors.vector(&name("attn_norm"), &package.vector(VectorSlot::AttentionNorm(layer))[..width]);
        let qkv = MatrixSlot::Qkv(layer);
        tensors.matrix(&name("attn_q"), package, qkv, width, (0..queries).map(turned));
        let key = |row| config.key_offset() + turned(row);
        tensors.matrix(&name("attn_k"), package, qkv, width, (0..keys).map(key));
        let value = |row| config.value_offset() + row;
        tensors.matrix(&name("attn_v"), package, qkv, width, (0..keys).map(value));
        tensors.matrix(&name("attn_output"), package, MatrixSlot::Output(layer), queries, 0..width);
        tensors.vector(&name("ffn_norm"), &package.vector(VectorSlot::FeedForwardNorm(layer))[..width]);
        tensors.matrix(&name("ffn_gate"), package, MatrixSlot::GateUp(layer), width, 0..hidden);
        let up = |row| config.hidden_padded() + row;
        tensors.matrix(&name("ffn_up"), package, MatrixSlot::GateUp(layer), width, (0..hidden).map(up));
        tensors.matrix(&name("ffn_down"), package, MatrixSlot::Down(layer), hidden, 0..width);
    }
    tensors.vector("output_norm.weight", &package.vector(VectorSlot::FinalNorm)[..width]);
    if !config.tied {
        tensors.matrix("output.weight", package, MatrixSlot::Head, width, 0..config.vocabulary());
    }
    tensors
}

fn gguf(package: &Package) -> Result<Vec<u8>, Failure> {
    let config = package.config();
    let whole =
        [config.width(), config.hidden(), config.attended()].iter().all(|inner| inner.is_multiple_of(BLOCK));
    if config.family != Family::Llama
        || config.qk_norm
        || config.qkv_bias
        || config.group != Group::G32
        || !whole
    {
        return Err("only packages of family llama with one scale for each 32 weights can be written".into());
    }
    let mut keys = Keys::default();
    keys.text("general.architecture", "llama");
    keys.text("general.name", package.name());
    keys.number("general.file_type", 7);
    keys.number("general.quantization_version", 2);
    for (name, value) in [
        ("vocab_size", config.vocabulary),
        ("context_length", config.context),
        ("embedding_length", config.width),
        ("block_count", config.layers),
        ("feed_forward_length", config.hidden),
        ("rope.dimension_count", config.head),
        ("attention.head_count", config.heads),
        ("attention.head_count_kv", config.kv_heads),
        ("attention.key_length", config.head),
        ("attention.value_length", config.head),
    ] {
        keys.number(&format!("llama.{name}"), value);
    }
    keys.float("llama.attention.layer_norm_rms_epsilon", config.eps);
    keys.float("llama.rope.freq_base", rope_base(config)? as f32);
    tokenizer(&mut keys, package)?;
    let tensors = tensors(package);
    let mut file = b"GGUF".to_vec();
    file.extend(3u32.to_le_bytes());
    file.extend(tensors.count.to_le_bytes());
    file.extend(keys.count.to_le_bytes());
    file.extend(keys.bytes);
    file.extend(tensors.table);
    file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
    file.extend(tensors.data);
    Ok(file)
}

#[expect(clippy::print_stdout, reason = "an example that reports what it wrote")]
fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [package, file] = arguments.as_slice() else { return Err(USAGE.into()) };
    let package = if package == guide::NAME { guide::package() } else { Package::open(Path::new(package))? };
    let bytes = gguf(&package)?;
    std::fs::write(file, &bytes)?;
    println!("gguf {file}: {} bytes, of package {}", bytes.len(), package.root());
    Ok(())
}

#[expect(clippy::print_stderr, reason = "an example that says what went wrong")]
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
