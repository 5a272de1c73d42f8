//! What must hold of a `tokenizer.json` before anybody loads it: it is JSON, and its tokens are rows of the model.

use core::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::manifest::MAX_TOKENIZER_BYTES;
use crate::text::short;

/// Why a tokenizer is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
    /// Too long.
    #[error("it has {0} bytes; at most {MAX_TOKENIZER_BYTES} are accepted")]
    Long(usize),
    /// No JSON, or JSON of another shape.
    #[error("it is no tokenizer.json: {0}")]
    Json(String),
    /// Something is missing.
    #[error("it has no `{0}`; a tokenizer.json as the tokenizers library writes it is needed")]
    Missing(&'static str),
    /// A token that the model has no row for.
    #[error(
        "its token {token} is outside of the model's vocabulary of {vocabulary}; it belongs to another model"
    )]
    Outside {
        /// The greatest token.
        token: u64,
        /// Tokens of the model.
        vocabulary: u32,
    },
}

/// What is looked at. The rest is passed over without being kept: a hostile file costs no more memory than it has.
#[derive(Deserialize)]
struct Tokenizer {
    model: Option<Model>,
    added_tokens: Option<Added>,
}

#[derive(Deserialize)]
struct Model {
    vocab: Option<Vocabulary>,
}

/// The greatest token of a vocabulary.
struct Vocabulary(Option<u64>);

/// The greatest token of a list of added ones.
struct Added(Option<u64>);

#[derive(Deserialize)]
struct AddedToken {
    id: u64,
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VocabularyVisitor).map(Self)
    }
}

struct VocabularyVisitor;

impl<'de> Visitor<'de> for VocabularyVisitor {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vocabulary: an object of tokens or a list of pieces")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut greatest = None;
        while let Some((IgnoredAny, token)) = map.next_entry::<IgnoredAny, u64>()? {
            greatest = greatest.max(Some(token));
        }
        Ok(greatest)
    }

    /// Unigram models list pieces; a piece's token is its place.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut count = 0u64;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(count.checked_sub(1))
    }
}

impl<'de> Deserialize<'de> for Added {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(AddedVisitor).map(Self)
    }
}

struct AddedVisitor;

impl<'de> Visitor<'de> for AddedVisitor {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of added tokens")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut greatest = None;
        while let Some(token) = seq.next_element::<AddedToken>()? {
            greatest = greatest.max(Some(token.id));
        }
        Ok(greatest)
    }
}

/// Checks a `tokenizer.json`.
pub(crate) fn check(json: &[u8], vocabulary: u32) -> Result<(), TokenizerError> {
    if json.len() > MAX_TOKENIZER_BYTES {
        return Err(TokenizerError::Long(json.len()));
    }
    let tokenizer: Tokenizer = serde_json::from_slice(json)
        .map_err(|error| TokenizerError::Json(short(&error.to_string()).to_owned()))?;
    let vocab =
        tokenizer.model.and_then(|model| model.vocab).ok_or(TokenizerError::Missing("model.vocab"))?;
    match vocab.0.max(tokenizer.added_tokens.and_then(|added| added.0)) {
        Some(token) if token >= u64::from(vocabulary) => Err(TokenizerError::Outside { token, vocabulary }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_rows_of_the_model() {
        let bpe = br#"{"model":{"vocab":{"a":0,"b":7}},"added_tokens":[{"id":9,"content":"<e>"}]}"#;
        assert_eq!(check(bpe, 10), Ok(()));
        assert_eq!(check(bpe, 9), Err(TokenizerError::Outside { token: 9, vocabulary: 9 }));
        let pieces = br#"{"model":{"vocab":[["a",-1.0],["b",-2.0]]}}"#;
        assert_eq!(check(pieces, 2), Ok(()));
        assert_eq!(check(pieces, 1), Err(TokenizerError::Outside { token: 1, vocabulary: 1 }));
    }

    #[test]
    fn other_json_is_refused() {
        assert!(matches!(check(b"", 9), Err(TokenizerError::Json(_))));
        for json in ["[".repeat(100_000), format!("{{\"x\":{}", "[".repeat(100_000))] {
            assert!(matches!(check(json.as_bytes(), 9), Err(TokenizerError::Json(_))));
        }
        for json in [r#"{"model":{"vocab":3}}"#, "null", "7", r#"{"model":{"vocab":{"a":-1}}}"#] {
            assert!(matches!(check(json.as_bytes(), 9), Err(TokenizerError::Json(_))), "{json}");
        }
        for json in ["{}", r#"{"model":{}}"#, r#"{"model":null}"#] {
            assert_eq!(check(json.as_bytes(), 9), Err(TokenizerError::Missing("model.vocab")));
        }
    }
}
