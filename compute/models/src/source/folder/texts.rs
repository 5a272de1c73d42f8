//! Tokenizer, chat template, special tokens and licence of a folder.

use std::path::Path;

use serde_json::Value;

use super::Json;
use crate::manifest::{MAX_LICENCE_BYTES, MAX_TEMPLATE_BYTES, MAX_TOKENIZER_BYTES, Specials};
use crate::source::{SourceError, read_small};

/// Names of licence files, the first of which that is there is taken.
const LICENCES: [&str; 6] = ["LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "LICENCE.md"];

pub(super) struct Texts {
    pub(super) tokenizer: Result<Vec<u8>, String>,
    pub(super) chat_template: Option<String>,
    pub(super) specials: Specials,
    pub(super) licence: Option<String>,
}

pub(super) fn read(folder: &Path) -> Result<Texts, SourceError> {
    let tokenizer = folder.join("tokenizer.json");
    let tokenizer = if tokenizer.is_file() {
        Ok(read_small(&tokenizer, MAX_TOKENIZER_BYTES as u64)?)
    } else {
        Err("there is no tokenizer.json beside the weights".to_owned())
    };
    let config = folder.join("tokenizer_config.json");
    let config = if config.is_file() { Some(Json::read(&config)?) } else { None };
    let template = folder.join("chat_template.jinja");
    let chat_template = if template.is_file() {
        Some(text(&template, MAX_TEMPLATE_BYTES as u64)?)
    } else {
        config.as_ref().and_then(template_of)
    };
    let specials = config.as_ref().map(specials).unwrap_or_default();
    let licence = LICENCES.map(|name| folder.join(name)).into_iter().find(|path| path.is_file());
    let licence = licence.map(|path| text(&path, MAX_LICENCE_BYTES as u64)).transpose()?;
    Ok(Texts { tokenizer, chat_template, specials, licence })
}

fn text(path: &Path, limit: u64) -> Result<String, SourceError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    String::from_utf8(read_small(path, limit)?)
        .map_err(|_| SourceError::malformed(&name, "it is no text in UTF-8"))
}

/// The template itself, or the one called `default` of a list.
fn template_of(config: &Json) -> Option<String> {
    let named = |value: &Value| {
        let ours = value.get("name")?.as_str()? == "default";
        if ours { value.get("template")?.as_str() } else { None }.map(str::to_owned)
    };
    match config.get("chat_template")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => list.iter().find_map(named),
        _ => None,
    }
}

/// A special token is a text, or an object with a `content`.
fn specials(config: &Json) -> Specials {
    let token = |key: &str| {
        let value = config.get(key)?;
        value.as_str().or(value.get("content").and_then(Value::as_str)).map(str::to_owned)
    };
    Specials {
        bos: token("bos_token"),
        eos: token("eos_token"),
        pad: token("pad_token"),
        unk: token("unk_token"),
    }
}
