//! The bytes of every token, from a tokenizer's JSON.
//!
//! Two kinds of tokenizers are known: byte-level ones, which write each byte as a printable character, and those
//! that write text plainly, with a sign for the blank and tokens such as `<0x0A>` for bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

/// Stands before the bytes of a token that is not text. It occurs in no UTF-8, so no grammar over text allows it.
pub(crate) const MARK: u8 = 0xff;
/// Longer tokens are never allowed; the trie of tokens takes twice as many bytes.
const MAX_TOKEN_BYTES: usize = 512;
/// What stands for a blank in vocabularies that write text plainly.
const BLANK: &str = "\u{2581}";

/// Why the bytes of tokens cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VocabularyError {
    /// The tokenizer is no such JSON as it should be.
    #[error("the tokenizer cannot be read: {0}; pack the model again")]
    Unreadable(String),
    /// The tokenizer is of a kind whose tokens have no bytes of their own.
    #[error("tokenizers with decoder {0} cannot be used with grammars; choose another model")]
    Unsupported(String),
    /// There are no tokens, or ends of text that are no tokens.
    #[error("the vocabulary cannot be used with grammars: {0}")]
    Unusable(String),
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    decoder: Value,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Model {
    vocab: Vocab,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vocab {
    Named(BTreeMap<String, u32>),
    Scored(Vec<(String, f64)>),
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    ByteLevel,
    Plain,
}

/// The bytes of each of `vocabulary` tokens. Tokens that have none, or too many, are empty. Control tokens and the
/// ends of text begin with [`MARK`].
pub(crate) fn token_bytes(
    json: &[u8],
    vocabulary: u32,
    eos: &[u32],
) -> Result<Vec<Vec<u8>>, VocabularyError> {
    if vocabulary == 0 || vocabulary as usize > freeway_requests::MAX_VOCABULARY {
        return Err(VocabularyError::Unusable(format!("it has {vocabulary} tokens")));
    }
    if let Some(id) = eos.iter().find(|&&id| id >= vocabulary) {
        return Err(VocabularyError::Unusable(format!(
            "token {id} ends a text, and there are {vocabulary} tokens"
        )));
    }
    let file: File =
        serde_json::from_slice(json).map_err(|error| VocabularyError::Unreadable(error.to_string()))?;
    let style = style(&file.decoder)?;
    let bytes_of_characters = characters();
    let mut words = vec![Vec::new(); vocabulary as usize];
    let mut put = |id: u32, bytes: Vec<u8>| {
        if let Some(word) = words.get_mut(id as usize)
            && bytes.len() <= MAX_TOKEN_BYTES
        {
            *word = bytes;
        }
    };
    let entries: Vec<(String, u32)> = match file.model.vocab {
        Vocab::Named(map) => map.into_iter().collect(),
        Vocab::Scored(list) => list.into_iter().zip(0..).map(|((text, _), id)| (text, id)).collect(),
    };
    for (text, id) in entries {
        let bytes = match style {
            Style::Plain => plain(&text),
            // A token with characters that stand for no byte is no text; it must be an added token.
            Style::ByteLevel => text
                .chars()
                .map(|c| bytes_of_characters.get(&c).copied())
                .collect::<Option<Vec<u8>>>()
                .unwrap_or_default(),
        };
        put(id, bytes);
    }
    for added in file.added_tokens {
        let mut bytes = added.content.into_bytes();
        if added.special || eos.contains(&added.id) {
            bytes.insert(0, MARK);
        }
        put(added.id, bytes);
    }
    for &id in eos {
        let word = &mut words[id as usize];
        if word.first() != Some(&MARK) {
            word.insert(0, MARK);
        }
    }
    Ok(words)
}

/// Whether the bytes of tokens can be told at all.
pub(crate) fn token_bytes_exist(json: &[u8], vocabulary: u32, eos: &[u32]) -> Result<(), VocabularyError> {
    token_bytes(json, vocabulary, eos).map(drop)
}

/// The control tokens among `words`.
pub(crate) fn specials(words: &[Vec<u8>]) -> BTreeSet<u32> {
    words.iter().zip(0u32..).filter(|(word, _)| word.first() == Some(&MARK)).map(|(_, id)| id).collect()
}

/// How the vocabulary is written, told by the decoder.
fn style(decoder: &Value) -> Result<Style, VocabularyError> {
    let mut kinds = Vec::new();
    let parts = decoder.get("decoders").and_then(Value::as_array);
    for part in parts.into_iter().flatten().chain([decoder]) {
        kinds.extend(part.get("type").and_then(Value::as_str));
    }
    if kinds.contains(&"ByteLevel") {
        Ok(Style::ByteLevel)
    } else if kinds.contains(&"ByteFallback") || kinds.contains(&"Metaspace") {
        Ok(Style::Plain)
    } else {
        let named = kinds.first().map_or_else(|| "of no kind".to_owned(), |kind| crate::error::shown(kind));
        Err(VocabularyError::Unsupported(named))
    }
}

/// The bytes of a token that is written plainly.
fn plain(text: &str) -> Vec<u8> {
    let byte = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    if let Some(hex) = byte
        && hex.len() == 2
        && let Ok(byte) = u8::from_str_radix(hex, 16)
    {
        return vec![byte];
    }
    text.replace(BLANK, " ").into_bytes()
}

/// Which byte each character of a byte-level vocabulary stands for: printable bytes for themselves, all others, in
/// order, for the characters from U+0100.
fn characters() -> BTreeMap<char, u8> {
    let mut map = BTreeMap::new();
    let mut next = 0x100u32;
    for byte in 0..=255u8 {
        let printable = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        let character = if printable {
            char::from(byte)
        } else {
            next += 1;
            char::from_u32(next - 1).unwrap_or_default()
        };
        map.insert(character, byte);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bytes(value: &Value, vocabulary: u32, eos: &[u32]) -> Result<Vec<Vec<u8>>, VocabularyError> {
        token_bytes(&serde_json::to_vec(value).unwrap(), vocabulary, eos)
    }

    #[test]
    fn byte_level() {
        let file = json!({
            "decoder": {"type": "Sequence", "decoders": [{"type": "ByteLevel"}]},
            "added_tokens": [{"id": 3, "content": "<|end|>", "special": true}, {"id": 4, "content": "<tool>", "special": false}],
            "model": {"vocab": {"a": 0, "Ġb": 1, "Ċ": 2, "é": 6, "€": 7}},
        });
        let words = bytes(&file, 8, &[3]).unwrap();
        assert_eq!(words[0], b"a");
        assert_eq!(words[1], b" b");
        assert_eq!(words[2], b"\n");
        assert_eq!(words[3], b"\xff<|end|>");
        assert_eq!(words[4], b"<tool>");
        assert!(words[5].is_empty());
        assert_eq!(words[6], [0xe9], "a byte, not the letter");
        assert!(words[7].is_empty(), "stands for no byte");
        assert_eq!(specials(&words), BTreeSet::from([3]));
        assert_eq!(characters().len(), 256);
    }

    #[test]
    fn plain_with_bytes() {
        let file = json!({
            "decoder": {"type": "Sequence", "decoders": [{"type": "Replace"}, {"type": "ByteFallback"}]},
            "model": {"vocab": [["<unk>", 0.0], ["<0x0A>", 0.0], ["▁the", -1.0], ["</s>", 0.0]]},
        });
        let words = bytes(&file, 4, &[3]).unwrap();
        assert_eq!(words[1], b"\n");
        assert_eq!(words[2], b" the");
        assert_eq!(words[3], b"\xff</s>");
    }

    #[test]
    fn hostile() {
        let good =
            json!({"decoder": {"type": "ByteLevel"}, "model": {"vocab": {"a": 0, "b": 4_000_000_000u32}}});
        assert_eq!(bytes(&good, 2, &[]).unwrap(), [b"a".to_vec(), vec![]]);
        assert!(matches!(bytes(&good, 2, &[9]), Err(VocabularyError::Unusable(_))));
        assert!(matches!(bytes(&good, 0, &[]), Err(VocabularyError::Unusable(_))));
        assert!(matches!(
            bytes(&json!({"model": {"vocab": {}}}), 2, &[]),
            Err(VocabularyError::Unsupported(_))
        ));
        assert!(matches!(bytes(&json!({"model": 3}), 2, &[]), Err(VocabularyError::Unreadable(_))));
        assert!(matches!(token_bytes(b"\xff", 2, &[]), Err(VocabularyError::Unreadable(_))));
        let long = json!({"decoder": {"type": "ByteLevel"}, "model": {"vocab": {"a".repeat(5_000): 0}}});
        assert!(bytes(&long, 1, &[]).unwrap()[0].is_empty());
    }
}
