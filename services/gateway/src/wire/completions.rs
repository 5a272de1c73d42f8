//! Requests for `/v1/completions` and `/v1/tokenize`.

use serde_json::{Map, Value};

use super::read::{Fields, missing, wrong};
use super::tuning::{self, MAX_TOP, Tuning};
use crate::error::ApiError;

/// Prompts of one request.
pub(crate) const MAX_PROMPTS: usize = 64;
/// Choices of one request, over all its prompts.
pub(crate) const MAX_TOTAL_CHOICES: usize = 128;
/// What is generated if nothing is said, as others do.
const DEFAULT_TOKENS: u32 = 16;

/// A text to be continued or looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
}

/// A request to continue texts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Completion {
    pub(crate) model: String,
    pub(crate) prompts: Vec<Prompt>,
    pub(crate) tuning: Tuning,
    pub(crate) max_tokens: u32,
    pub(crate) logprobs: Option<u8>,
    pub(crate) echo: bool,
}

/// Reads a request.
pub(crate) fn completion(body: &Map<String, Value>) -> Result<Completion, ApiError> {
    let fields = Fields::new(body);
    let model = super::model(fields)?;
    let prompts = prompts(fields, "prompt", MAX_PROMPTS)?;
    let tuning = tuning::tuning(fields)?;
    let echo = fields.flag("echo")?.unwrap_or(false);
    let logprobs = fields.integer("logprobs", 0..=MAX_TOP)?.map(|top| top as u8);
    let max_tokens = tuning::max_tokens(fields, "max_tokens", 0)?.unwrap_or(DEFAULT_TOKENS);
    if fields.text("suffix")?.is_some_and(|suffix| !suffix.is_empty()) {
        let problem = "is not supported; leave it out, and put all text into the prompt";
        return Err(ApiError::field("suffix", problem));
    }
    let best_of = fields.integer("best_of", 1..=tuning::MAX_CHOICES)?;
    if best_of.is_some_and(|best_of| best_of != i64::from(tuning.choices)) {
        return Err(ApiError::field("best_of", "must equal \"n\"; choosing among more is not supported"));
    }
    if prompts.len() * usize::from(tuning.choices) > MAX_TOTAL_CHOICES {
        let problem = format!("times the number of prompts is more than {MAX_TOTAL_CHOICES}");
        return Err(ApiError::field("n", problem));
    }
    Ok(Completion { model, prompts, tuning, max_tokens, logprobs, echo })
}

/// Strings, or token ids, or several of either.
pub(crate) fn prompts(fields: Fields<'_>, name: &str, most: usize) -> Result<Vec<Prompt>, ApiError> {
    const EXPECTED: &str = "a string, an array of strings, an array of token ids or an array of such arrays";
    let value = fields.get(name).ok_or_else(|| missing(name))?;
    let list = match value {
        Value::String(text) => return Ok(vec![prompt_text(name, text)?]),
        Value::Array(list) => list,
        other => return Err(wrong(name, other, EXPECTED)),
    };
    match list.first() {
        None => return Err(ApiError::field(name, "is empty")),
        Some(Value::Number(_)) => return Ok(vec![prompt_tokens(name, list)?]),
        _ => {}
    }
    if list.len() > most {
        return Err(ApiError::field(name, format!("has {} texts; {most} are allowed", list.len())));
    }
    let one = |(index, value): (usize, &Value)| {
        let place = format!("{name}[{index}]");
        match value {
            Value::String(text) => prompt_text(&place, text),
            Value::Array(list) => prompt_tokens(&place, list),
            other => Err(wrong(&place, other, "a string or an array of token ids")),
        }
    };
    list.iter().enumerate().map(one).collect()
}

fn prompt_text(name: &str, text: &str) -> Result<Prompt, ApiError> {
    if text.is_empty() {
        return Err(ApiError::field(name, "is empty"));
    }
    Ok(Prompt::Text(text.to_owned()))
}

fn prompt_tokens(name: &str, list: &[Value]) -> Result<Prompt, ApiError> {
    const MOST: usize = freeway_requests::MAX_PROMPT_TOKENS;
    if list.is_empty() || list.len() > MOST {
        return Err(ApiError::field(name, format!("has {} token ids; 1 to {MOST} are expected", list.len())));
    }
    tuning::tokens(name, list).map(Prompt::Tokens)
}

/// A request to turn a text into tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tokenize {
    pub(crate) model: String,
    pub(crate) text: String,
}

/// Reads a request.
pub(crate) fn tokenize(body: &Map<String, Value>) -> Result<Tokenize, ApiError> {
    let fields = Fields::new(body);
    Ok(Tokenize { model: super::model(fields)?, text: fields.required_text("text")?.to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<Completion, ApiError> {
        completion(body.as_object().expect("an object"))
    }

    #[test]
    fn prompts_of_every_kind() {
        let prompts = |value: Value| read(json!({"model": "m", "prompt": value})).map(|c| c.prompts);
        assert_eq!(prompts(json!("a")), Ok(vec![Prompt::Text("a".into())]));
        assert_eq!(prompts(json!(["a", "b"])), Ok(vec![Prompt::Text("a".into()), Prompt::Text("b".into())]));
        assert_eq!(prompts(json!([1, 2])), Ok(vec![Prompt::Tokens(vec![1, 2])]));
        assert_eq!(prompts(json!([[1], [2]])), Ok(vec![Prompt::Tokens(vec![1]), Prompt::Tokens(vec![2])]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let param = |mut body: Value| {
            let map = body.as_object_mut().expect("an object");
            map.entry("model").or_insert("m".into());
            map.entry("prompt").or_insert("p".into());
            let error = completion(map).expect_err("an error");
            (error.told().0, error.told().1.unwrap_or_default().to_owned())
        };
        let cases = [
            (json!({"prompt": []}), "prompt"),
            (json!({"prompt": ""}), "prompt"),
            (json!({"prompt": [1, "a"]}), "prompt[1]"),
            (json!({"prompt": [1, -1]}), "prompt[1]"),
            (json!({"prompt": [[1], [4294967296u64]]}), "prompt[1][0]"),
            (json!({"prompt": ["a", null]}), "prompt[1]"),
            (json!({"prompt": {"a": 1}}), "prompt"),
            (json!({"prompt": vec!["a"; 65]}), "prompt"),
            (json!({"max_tokens": -1}), "max_tokens"),
            (json!({"suffix": "x"}), "suffix"),
            (json!({"best_of": 2}), "best_of"),
            (json!({"n": 16, "prompt": vec!["a"; 9]}), "n"),
            (json!({"logprobs": 21}), "logprobs"),
            (json!({"echo": "yes"}), "echo"),
        ];
        for (body, expected) in cases {
            assert_eq!(param(body.clone()), (400, expected.to_owned()), "{body}");
        }
    }
}
