//! From a checked source to a parser in its first state.

use std::sync::Arc;

use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::toktrie::{
    ApproximateTokEnv, INVALID_TOKEN, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie,
};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use super::limits::Source;
use super::{VocabularyError, invalid};
use crate::EngineError;
use crate::error::shown;

/// Blanks between the parts of a JSON text: one, or a line break and an indentation. A model can lay a text out as
/// people do, and cannot fill its answer with blanks.
const WHITESPACE: &str = r"( |\n {0,24})";

/// The limits of parsers. All of them count steps, none measures time.
const LIMITS: ParserLimits = ParserLimits {
    max_items_in_row: 2_000,
    initial_lexer_fuel: 1_000_000,
    step_lexer_fuel: 200_000,
    step_max_items: 20_000,
    max_lexer_states: 20_000,
    max_grammar_size: 200_000,
    precompute_large_lexemes: true,
    verbose_errors: false,
};

/// What makes masks of JSON faster, and changes none: sets of tokens that are looked at together.
pub(super) fn slices() -> Vec<String> {
    llguidance::earley::SlicedBiasComputer::general_slices()
}

/// What compiles grammars over `words`, some of which end a text.
pub(super) fn factory(
    words: &[Vec<u8>],
    eos: &[u32],
    slices: &[String],
) -> Result<ParserFactory, VocabularyError> {
    let unusable = |what: String| VocabularyError::Unusable(shown(&what));
    let count = u32::try_from(words.len()).map_err(|_| unusable("it is too large".to_owned()))?;
    let trie = TokTrie::from(&TokRxInfo::new(count, eos.first().copied().unwrap_or(INVALID_TOKEN)), words);
    let trie = if eos.is_empty() { trie } else { trie.with_eos_tokens(eos) };
    let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let mut factory = ParserFactory::new(&environment, InferenceCapabilities::default(), slices)
        .map_err(|error| unusable(error.to_string()))?;
    factory.quiet();
    *factory.limits_mut() = LIMITS;
    Ok(factory)
}

/// Compiles `source`, and sees whether any text fits it.
pub(super) fn compile(factory: &ParserFactory, source: Source) -> Result<Matcher, EngineError> {
    let grammar = match source {
        Source::Json(schema) => TopLevelGrammar::from_json_schema(with_options(schema)),
        Source::Regex(text) => TopLevelGrammar::from_regex(&text),
        Source::Lark(text) => TopLevelGrammar::from_lark(text),
    };
    let matcher = Matcher::new(factory.create_parser(grammar));
    if let Some(error) = matcher.get_error() {
        return Err(invalid(told(&error)));
    }
    let mut tried = matcher.deep_clone();
    tried.compute_mask().map_err(|error| {
        let said = told(&error.to_string());
        if said.eq_ignore_ascii_case("NoExtensionBias") { invalid("no text fits it") } else { invalid(said) }
    })?;
    Ok(matcher)
}

/// The schema with the compiler's options, which are not the client's to set.
fn with_options(mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.insert("x-guidance".to_owned(), json!({"whitespace_pattern": WHITESPACE}));
    }
    schema
}

/// The first lines of what the compiler says, without the dumps that it adds.
pub(super) fn told(message: &str) -> String {
    let end = message.find("\n<").unwrap_or(message.len());
    let kept = message[..end].trim();
    if kept.starts_with("panic") {
        return "it could not be compiled; simplify it".to_owned();
    }
    if kept.contains("coerce_one_of") {
        return "oneOf is supported where its alternatives exclude each other by the type or by a constant string; \
                use anyOf"
            .to_owned();
    }
    shown(kept)
}
