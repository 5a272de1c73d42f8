//! The vocabulary of a GGUF file as a `tokenizer.json`: byte-level pair encoding, and the splits that are known.

use serde_json::{Map, Value, json};

use super::header::Metadata;
use crate::text::short;

/// Kinds of tokens.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// The split of Llama 3: digits in threes. That of Qwen 2 differs in splitting digits one by one.
const LLAMA_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Names of it. A word that is a token as a whole is taken as such, whatever the merges would make of it.
const LLAMA_NAMES: [&str; 3] = ["llama-bpe", "llama3", "llama-v3"];

/// Makes a tokenizer, or says why it cannot.
pub(super) fn tokenizer(metadata: &Metadata) -> Result<Vec<u8>, String> {
    let kind = metadata.text("tokenizer.ggml.model").unwrap_or_default();
    if kind != "gpt2" {
        return Err(format!(
            "the tokenizer of the file is of the kind {:?}, and only gpt2 is converted",
            short(kind)
        ));
    }
    let split = metadata.text("tokenizer.ggml.pre").unwrap_or("default");
    let (normalizer, pre_tokenizer) = pre_tokenizer(split)?;
    let missing = || "the file has no complete vocabulary".to_owned();
    let tokens = metadata.texts("tokenizer.ggml.tokens").ok_or_else(missing)?;
    let merges = metadata.texts("tokenizer.ggml.merges").ok_or_else(missing)?;
    let kinds = metadata.integers("tokenizer.ggml.token_type").unwrap_or_default();
    let mut vocab = Map::new();
    let mut added = Vec::new();
    for (id, token) in tokens.iter().enumerate() {
        let kind = kinds.get(id).copied().unwrap_or(1);
        if kind == CONTROL || kind == USER_DEFINED {
            added.push(json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": kind == CONTROL,
            }));
        }
        vocab.insert(token.clone(), id.into());
    }
    let merges: Vec<Value> = merges
        .iter()
        .map(|merge| merge.split_once(' ').map(|(left, right)| json!([left, right])))
        .collect::<Option<_>>()
        .ok_or_else(|| "a merge of the file is no pair".to_owned())?;
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    let begin = metadata
        .flag("tokenizer.ggml.add_bos_token")
        .unwrap_or(false)
        .then(|| metadata.token("tokenizer.ggml.bos_token_id"))
        .flatten();
    let post_processor = match begin {
        None => bytes,
        Some(id) => {
            let token = tokens.get(id as usize).ok_or_else(missing)?;
            json!({
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [
                    {"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                    {"SpecialToken": {"id": token, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}},
                ],
                "special_tokens": {token.as_str(): {"id": token, "ids": [id], "tokens": [token]}},
            })
        }
    };
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": post_processor,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": LLAMA_NAMES.contains(&split), "vocab": vocab, "merges": merges,
        },
    });
    Ok(tokenizer.to_string().into_bytes())
}

/// The normaliser and the splits of a name.
fn pre_tokenizer(name: &str) -> Result<(Value, Value), String> {
    let sequence = |pattern: &str| {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        ]})
    };
    match name {
        "default" | "gpt-2" => {
            let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
            Ok((Value::Null, bytes))
        }
        name if LLAMA_NAMES.contains(&name) => Ok((Value::Null, sequence(LLAMA_SPLIT))),
        "qwen2" => Ok((json!({"type": "NFC"}), sequence(&LLAMA_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")))),
        other => Err(format!("the split {:?} of the file's tokenizer is not known", short(other))),
    }
}
