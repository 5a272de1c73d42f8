//! Hugging Face folders: `config.json` and what stands beside it.
//!
//! Every setting that would change what the model computes is either understood or refused by name; a setting that only
//! training needs is passed over.

use std::path::Path;

use serde_json::Value;

use crate::config::{Config, Family, Group, MAX_CONTEXT};
use crate::manifest::Provenance;
use crate::rope;
use crate::slot::Slot;
use crate::source::checkpoint::Checkpoint;
use crate::source::{Facts, MAX_JSON_BYTES, Origin, Source, SourceError, name_of, read_small};
use crate::text::short;

mod scaling;
mod texts;

/// The file of dimensions and constants.
const CONFIG: &str = "config.json";
/// Architectures that are read.
const ARCHITECTURES: &str = "LlamaForCausalLM, MistralForCausalLM (without a sliding window), Qwen2ForCausalLM and \
                             Qwen3ForCausalLM";

/// Opens a folder.
pub(crate) fn open(folder: &Path) -> Result<Source, SourceError> {
    let json = Json::read(&folder.join(CONFIG))?;
    let generation = folder.join("generation_config.json");
    let generation = if generation.is_file() { Some(Json::read(&generation)?) } else { None };
    let mut notes = Vec::new();
    let config = configuration(&json, generation.as_ref(), name_of(folder), &mut notes)?;
    config.validate()?;
    let checkpoint = Checkpoint::open(folder)?;
    check_tensors(&config, &checkpoint)?;
    let texts = texts::read(folder)?;
    let facts = Facts {
        config,
        provenance: Provenance::Safetensors,
        specials: texts.specials,
        chat_template: texts.chat_template,
        licence: texts.licence,
        tokenizer: texts.tokenizer,
        notes,
    };
    Ok(Source { facts, origin: Box::new(FolderOrigin(checkpoint)) })
}

#[derive(Debug)]
struct FolderOrigin(Checkpoint);

impl Origin for FolderOrigin {
    fn rows(&self, slot: Slot, first: usize, rows: usize, out: &mut [f32]) -> Result<(), SourceError> {
        self.0.read(&slot.huggingface(), first * (out.len() / rows.max(1)), out)
    }
}

/// All tensors are there and have their shapes, and no other is there that could mean something.
fn check_tensors(config: &Config, checkpoint: &Checkpoint) -> Result<(), SourceError> {
    let mut known = std::collections::HashSet::new();
    for slot in Slot::all(config) {
        let (rows, columns) = slot.shape(config);
        let shape = [rows as u64, columns as u64];
        let name = slot.huggingface();
        checkpoint.check(&name, if slot.is_vector() { &shape[1..] } else { &shape })?;
        known.insert(name);
    }
    // Old checkpoints store frequencies; a tied head may be stored twice.
    let ignored = |name: &str| {
        name.ends_with(".rotary_emb.inv_freq") || (config.tied && name == Slot::Head.huggingface())
    };
    match checkpoint.names().find(|&name| !known.contains(name) && !ignored(name)) {
        Some(name) => Err(SourceError::Unexpected(short(name).to_owned())),
        None => Ok(()),
    }
}

/// A JSON object with typed access to its members; `null` counts as absent.
struct Json {
    file: String,
    value: Value,
}

impl Json {
    fn read(path: &Path) -> Result<Self, SourceError> {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let value: Value = serde_json::from_slice(&read_small(path, MAX_JSON_BYTES)?)
            .map_err(|error| SourceError::malformed(&file, error))?;
        if !value.is_object() {
            return Err(SourceError::malformed(&file, "it is no JSON object"));
        }
        Ok(Self { file, value })
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.value.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, wanted: &str) -> SourceError {
        SourceError::malformed(&self.file, format!("`{key}` must be {wanted}"))
    }

    fn number(&self, key: &str) -> Result<Option<u32>, SourceError> {
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        match self.get(key) {
            None => Ok(None),
            Some(value) => number(value).map(Some).ok_or_else(|| self.wrong(key, "a whole number")),
        }
    }

    fn needed(&self, key: &str) -> Result<u32, SourceError> {
        self.number(key)?.ok_or_else(|| self.wrong(key, "given"))
    }

    fn float(&self, key: &str) -> Result<Option<f64>, SourceError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| self.wrong(key, "a number")),
        }
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, SourceError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => value.as_bool().map(Some).ok_or_else(|| self.wrong(key, "true or false")),
        }
    }

    /// A token, or a list of tokens.
    fn tokens(&self, key: &str) -> Result<Vec<u32>, SourceError> {
        let values = match self.get(key) {
            None => return Ok(Vec::new()),
            Some(Value::Array(values)) => values.as_slice(),
            Some(value) => core::slice::from_ref(value),
        };
        let token = |value: &Value| value.as_u64().and_then(|token| u32::try_from(token).ok());
        values
            .iter()
            .map(|value| token(value).ok_or_else(|| self.wrong(key, "a token or a list of tokens")))
            .collect()
    }
}

fn unsupported(what: impl Into<String>) -> SourceError {
    SourceError::Unsupported(what.into())
}

fn family(json: &Json) -> Result<(Family, &'static str), SourceError> {
    let named = json.get("architectures").and_then(|names| names.get(0)?.as_str()).unwrap_or_default();
    match named {
        "LlamaForCausalLM" => Ok((Family::Llama, "llama")),
        "MistralForCausalLM" => Ok((Family::Llama, "mistral")),
        "Qwen2ForCausalLM" => Ok((Family::Qwen2, "qwen2")),
        "Qwen3ForCausalLM" => Ok((Family::Qwen3, "qwen3")),
        other => Err(unsupported(format!(
            "the architecture {:?} is not supported; supported are {ARCHITECTURES}",
            short(other)
        ))),
    }
}

/// Reads `config.json`.
fn configuration(
    json: &Json,
    generation: Option<&Json>,
    name: String,
    notes: &mut Vec<String>,
) -> Result<Config, SourceError> {
    let (family, kind) = family(json)?;
    refuse(json)?;
    let (width, heads) = (json.needed("hidden_size")?, json.needed("num_attention_heads")?);
    let head = match json.number("head_dim")? {
        Some(head) => head,
        // The default of Qwen3, whose heads do not fill its width.
        None if family == Family::Qwen3 => 128,
        None if heads > 0 && width.is_multiple_of(heads) => width / heads,
        None => {
            return Err(json.wrong("num_attention_heads", "a divisor of `hidden_size`, or `head_dim` given"));
        }
    };
    let mut context = json.needed("max_position_embeddings")?;
    let trained = context;
    if context > MAX_CONTEXT {
        notes.push(format!(
            "the context of {context} positions is cut to {MAX_CONTEXT}, the most that is supported"
        ));
        context = MAX_CONTEXT;
    }
    window(json, kind, context)?;
    let (base, scaling) = scaling::read(json, f64::from(trained))?;
    // Checked here because what follows is sized by it.
    if head == 0 || head > crate::config::MAX_HEAD {
        return Err(json.wrong("head_dim", "a multiple of 16 up to 256"));
    }
    let (rope_steps, rope_magnitude) = rope::steps(base, head as usize, &scaling)?;
    let token = |key: &str| -> Result<Option<u32>, SourceError> {
        let own = json.tokens(key)?.first().copied();
        Ok(own
            .or(generation.map(|json| json.tokens(key)).transpose()?.and_then(|list| list.first().copied())))
    };
    let mut eos = json.tokens("eos_token_id")?;
    if let Some(generation) = generation {
        eos.extend(generation.tokens("eos_token_id")?);
    }
    eos.sort_unstable();
    eos.dedup();
    if eos.is_empty() {
        notes.push("the model names no token that ends an answer: answers end at their limit".to_owned());
    }
    let qkv_bias = match (family, json.flag("attention_bias")?) {
        (Family::Qwen2, _) => true,
        (_, Some(true)) => {
            return Err(unsupported("`attention_bias` is supported for the Qwen2 family only"));
        }
        _ => false,
    };
    Ok(Config {
        family,
        name,
        vocabulary: json.needed("vocab_size")?,
        width,
        layers: json.needed("num_hidden_layers")?,
        heads,
        kv_heads: json.number("num_key_value_heads")?.unwrap_or(heads),
        head,
        hidden: json.needed("intermediate_size")?,
        context,
        eps: json.float("rms_norm_eps")?.unwrap_or(1e-6) as f32,
        rope_steps,
        rope_magnitude,
        score_scale: rope::score_scale(head as usize),
        qkv_bias,
        qk_norm: family == Family::Qwen3,
        tied: json.flag("tie_word_embeddings")?.unwrap_or(false),
        group: Group::default(),
        bos: token("bos_token_id")?,
        eos,
        pad: token("pad_token_id")?,
    })
}

/// Refuses settings that change what a model computes in ways that are not supported.
fn refuse(json: &Json) -> Result<(), SourceError> {
    if let Some(act) = json.get("hidden_act")
        && act != "silu"
    {
        let act = act.to_string();
        return Err(unsupported(format!("`hidden_act` {} is not supported; silu is", short(&act))));
    }
    if json.flag("mlp_bias")? == Some(true) {
        return Err(unsupported("`mlp_bias` is not supported"));
    }
    if json.get("quantization_config").is_some() {
        return Err(unsupported(
            "the weights are quantised already (`quantization_config`); get the model in F32, F16 or BF16, or as a \
             GGUF file of type Q8_0",
        ));
    }
    if json.float("partial_rotary_factor")?.is_some_and(|factor| factor != 1.0) {
        return Err(unsupported("`partial_rotary_factor` other than 1 is not supported"));
    }
    Ok(())
}

/// Refuses attention that does not reach back to the beginning.
fn window(json: &Json, kind: &str, context: u32) -> Result<(), SourceError> {
    // Mistral has a window when it names one; Qwen names one and says whether it is used.
    let used = json.flag("use_sliding_window")?.unwrap_or(kind == "mistral");
    if used && json.number("sliding_window")?.is_some_and(|window| window < context) {
        return Err(unsupported(
            "a sliding window (`sliding_window`) shorter than the context is not supported",
        ));
    }
    if let Some(types) = json.get("layer_types") {
        let full = types.as_array().is_some_and(|types| types.iter().all(|kind| kind == "full_attention"));
        if !full {
            return Err(unsupported("`layer_types` other than full_attention are not supported"));
        }
    }
    Ok(())
}
