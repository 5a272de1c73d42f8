//! What a grammar may be before a compiler sees it.
//!
//! A compiler's time and memory can grow far faster than its input: schemas that are combined (`allOf`, `anyOf`
//! beside other keywords) multiply, and references that take part in a combination are copied each time. So the
//! size of the combined schema is bounded here by a count that needs neither time nor memory: the size of a
//! combination is the product of the sizes of its parts, that of all else the sum.

mod schema;

use freeway_requests::{Grammar, GrammarKind, MAX_GRAMMAR_BYTES};
use serde_json::{Value, json};

use super::invalid;
use crate::EngineError;

/// The longest regular expression, in bytes.
const MAX_REGEX_BYTES: usize = 8 << 10;
/// The longest Lark grammar, in bytes.
const MAX_LARK_BYTES: usize = 32 << 10;
/// How deeply brackets may be nested in a regular expression or a Lark grammar.
const MAX_BRACKETS: usize = 64;

/// A grammar that may be compiled.
pub(super) enum Source {
    /// A schema, an object.
    Json(Value),
    /// A regular expression for the whole text.
    Regex(String),
    /// A Lark grammar.
    Lark(String),
}

/// Looks at a grammar without compiling it: size, depth, form, references. Quick.
///
/// # Errors
/// If it cannot be used; the error names the parameter `response_format`.
pub fn check_grammar(grammar: &Grammar) -> Result<(), EngineError> {
    prepare(grammar).map(drop)
}

/// The source of a grammar, checked.
pub(super) fn prepare(grammar: &Grammar) -> Result<Source, EngineError> {
    let source = grammar.source.as_str();
    bounded(source, MAX_GRAMMAR_BYTES)?;
    match grammar.kind {
        GrammarKind::JsonObject => Ok(Source::Json(json!({"type": "object"}))),
        GrammarKind::JsonSchema => {
            let mut value: Value =
                serde_json::from_str(source).map_err(|error| invalid(format!("it is no JSON: {error}")))?;
            schema::check(&value)?;
            if let Some(object) = value.as_object_mut() {
                // One draft and one base for all.
                object.remove("$schema");
                object.remove("$id");
            }
            Ok(Source::Json(value))
        }
        GrammarKind::Regex => {
            expression(source)?;
            let backslashes = source.bytes().rev().take_while(|&byte| byte == b'\\').count();
            if source.is_empty() || backslashes % 2 == 1 {
                return Err(invalid("the regular expression is empty or ends with a backslash"));
            }
            Ok(Source::Regex(source.to_owned()))
        }
        GrammarKind::Lark => {
            bounded(source, MAX_LARK_BYTES)?;
            nested(source)?;
            if source.contains("%json") {
                return Err(invalid("a Lark grammar cannot contain schemas here; send the schema by itself"));
            }
            Ok(Source::Lark(source.to_owned()))
        }
    }
}

fn bounded(source: &str, limit: usize) -> Result<(), EngineError> {
    if source.len() > limit {
        return Err(invalid(format!("it has {} bytes and may have {limit}", source.len())));
    }
    Ok(())
}

/// Checks a regular expression.
fn expression(source: &str) -> Result<(), EngineError> {
    bounded(source, MAX_REGEX_BYTES)?;
    nested(source)
}

/// Counts opening brackets that are not closed yet, quoted ones too: more than there are never nest.
fn nested(source: &str) -> Result<(), EngineError> {
    let mut depth = 0usize;
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_BRACKETS {
            return Err(invalid(format!("its brackets are nested more than {MAX_BRACKETS} deep")));
        }
    }
    Ok(())
}
