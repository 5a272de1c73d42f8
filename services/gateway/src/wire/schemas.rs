//! How requests are described: every bound that reading enforces, as JSON Schema says it.
//!
//! Requests are read by hand, so that errors name fields and unknown fields pass; these types exist for the
//! description alone. A test holds both together.

use serde_json::{Value, json};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{ObjectBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::chat::{MAX_MESSAGES, MAX_PARTS};
use super::completions::MAX_PROMPTS;
use super::embeddings::MAX_INPUTS;
use super::tools::MAX_TOOLS;
use super::tuning::{MAX_CHOICES, MAX_STOP_CHARACTERS, MAX_STOPS, MAX_TOKENS, MAX_TOP};
use freeway_requests::{MAX_LOGIT_BIAS, MAX_PROMPT_TOKENS};

macro_rules! described {
    ($(#[doc = $doc:literal] $name:ident = $schema:ident;)*) => {$(
        #[doc = $doc]
        #[derive(Debug)]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                read($schema())
            }
        }

        impl ToSchema for $name {}
    )*};
}

described! {
    #[doc = "A request for the next message of a conversation."]
    ChatRequest = chat;
    #[doc = "A request to continue texts."]
    CompletionRequest = completion;
    #[doc = "A request to turn texts into vectors."]
    EmbeddingRequest = embedding;
    #[doc = "A request to turn a text into tokens."]
    TokenizeRequest = tokenize;
    #[doc = "An event of a stream: its data is a piece of the answer as JSON, an error, or `[DONE]`."]
    StreamEvent = stream_event;
}

fn read(schema: Value) -> RefOr<Schema> {
    // A test reads all of them.
    let schema = serde_json::from_value(schema);
    schema.unwrap_or_else(|_| RefOr::T(Schema::Object(ObjectBuilder::new().build())))
}

fn either(options: &[Value]) -> Value {
    json!({ "oneOf": options })
}

fn null() -> Value {
    json!({"type": "null"})
}

fn flag() -> Value {
    json!({"type": ["boolean", "null"]})
}

fn text() -> Value {
    json!({"type": ["string", "null"]})
}

fn integer(low: i64, high: i64) -> Value {
    json!({"type": ["integer", "null"], "minimum": low, "maximum": high})
}

fn number(low: f64, high: f64) -> Value {
    json!({"type": ["number", "null"], "minimum": low, "maximum": high})
}

fn word(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

fn name() -> Value {
    json!({"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"})
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

fn model() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 256, "description": "A name from `/v1/models`."})
}

/// What chat and plain completions have in common.
fn tuning() -> Vec<(&'static str, Value)> {
    let stop = json!({"type": "string", "minLength": 1, "maxLength": MAX_STOP_CHARACTERS});
    let bias = json!({
        "type": ["object", "null"],
        "maxProperties": MAX_LOGIT_BIAS,
        "propertyNames": {"type": "string", "pattern": "^[0-9]{1,9}$"},
        "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
        "description": "Added to the logits of tokens, by id. Every id must be one of the model's.",
    });
    vec![
        ("temperature", number(0.0, 2.0)),
        ("top_p", number(0.0, 1.0)),
        ("min_p", number(0.0, 1.0)),
        ("top_k", integer(-1, 1 << 20)),
        ("repetition_penalty", number(0.0625, 16.0)),
        ("frequency_penalty", number(-2.0, 2.0)),
        ("presence_penalty", number(-2.0, 2.0)),
        ("logit_bias", bias),
        ("n", integer(1, MAX_CHOICES)),
        ("seed", json!({"type": ["integer", "null"], "format": "int64"})),
        (
            "stop",
            either(&[null(), stop.clone(), json!({"type": "array", "maxItems": MAX_STOPS, "items": stop})]),
        ),
        ("stream", flag()),
        (
            "stream_options",
            json!({"type": ["object", "null"], "properties": {"include_usage": flag()}, "description": "For streams."}),
        ),
        ("user", text()),
    ]
}

fn with(mut properties: Value, more: Vec<(&'static str, Value)>) -> Value {
    if let Some(map) = properties.as_object_mut() {
        map.extend(more.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    }
    properties
}

fn content() -> Value {
    let part = object(&["type", "text"], json!({"type": word(&["text"]), "text": {"type": "string"}}));
    either(&[
        json!({"type": "string"}),
        json!({"type": "array", "minItems": 1, "maxItems": MAX_PARTS, "items": part}),
    ])
}

fn message() -> Value {
    let participant = || json!({"type": ["string", "null"], "maxLength": 64});
    let call = object(
        &["id", "type", "function"],
        json!({
            "id": {"type": "string"},
            "type": word(&["function"]),
            "function": object(&["name", "arguments"], json!({"name": name(), "arguments": {"type": "string"}})),
        }),
    );
    let mut silent = content();
    if let Some(options) = silent.get_mut("oneOf").and_then(Value::as_array_mut) {
        options.push(null());
    }
    either(&[
        object(
            &["role", "content"],
            json!({"role": word(&["system", "developer", "user"]), "content": content(), "name": participant()}),
        ),
        object(
            &["role"],
            json!({
                "role": word(&["assistant"]),
                "content": silent,
                "name": participant(),
                "tool_calls": {"type": ["array", "null"], "maxItems": MAX_TOOLS, "items": call},
            }),
        ),
        object(
            &["role", "content", "tool_call_id"],
            json!({
                "role": word(&["tool"]),
                "content": content(),
                "tool_call_id": {"type": "string"},
                "name": participant(),
            }),
        ),
    ])
}

fn chat() -> Value {
    let function = object(
        &["name"],
        json!({
            "name": name(),
            "description": text(),
            "parameters": {"type": ["object", "null"]},
            "strict": flag(),
        }),
    );
    let tool = object(&["type", "function"], json!({"type": word(&["function"]), "function": function}));
    let named = object(
        &["type", "function"],
        json!({"type": word(&["function"]), "function": object(&["name"], json!({"name": name()}))}),
    );
    let schema = object(
        &["name", "schema"],
        json!({"name": name(), "description": text(), "schema": {"type": "object"}, "strict": flag()}),
    );
    let format = either(&[
        null(),
        object(&["type"], json!({"type": word(&["text", "json_object"])})),
        object(&["type", "json_schema"], json!({"type": word(&["json_schema"]), "json_schema": schema})),
    ]);
    let own = json!({
        "model": model(),
        "messages": {"type": "array", "minItems": 1, "maxItems": MAX_MESSAGES, "items": message()},
        "max_tokens": integer(1, MAX_TOKENS),
        "max_completion_tokens": integer(1, MAX_TOKENS),
        "logprobs": flag(),
        "top_logprobs": {
            "type": ["integer", "null"],
            "minimum": 0,
            "maximum": MAX_TOP,
            "description": "Only with `logprobs`.",
        },
        "response_format": format,
        "tools": {"type": ["array", "null"], "maxItems": MAX_TOOLS, "items": tool,
            "description": "Names must differ; the model's chat template must know tools."},
        "tool_choice": either(&[null(), word(&["none", "auto", "required"]), named]),
        "parallel_tool_calls": flag(),
    });
    object(&["model", "messages"], with(own, tuning()))
}

fn texts(most: usize) -> Value {
    let text = json!({"type": "string", "minLength": 1});
    let id = json!({"type": "integer", "minimum": 0, "maximum": u32::MAX});
    let tokens = json!({"type": "array", "minItems": 1, "maxItems": MAX_PROMPT_TOKENS, "items": id});
    either(&[
        text.clone(),
        json!({"type": "array", "minItems": 1, "maxItems": most, "items": text}),
        tokens.clone(),
        json!({"type": "array", "minItems": 1, "maxItems": most, "items": tokens}),
    ])
}

fn completion() -> Value {
    let own = json!({
        "model": model(),
        "prompt": texts(MAX_PROMPTS),
        "max_tokens": {
            "type": ["integer", "null"],
            "minimum": 0,
            "maximum": MAX_TOKENS,
            "description": "16 if missing. With 0 and `echo`, a text is only scored.",
        },
        "logprobs": integer(0, MAX_TOP),
        "echo": flag(),
        "best_of": {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": MAX_CHOICES,
            "description": "Must equal `n`.",
        },
        "suffix": {"type": ["string", "null"], "maxLength": 0, "description": "Not supported."},
    });
    object(&["model", "prompt"], with(own, tuning()))
}

fn embedding() -> Value {
    let own = json!({
        "model": model(),
        "input": texts(MAX_INPUTS),
        "encoding_format": {"type": ["string", "null"], "enum": ["float", "base64", null]},
        "dimensions": {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": 1 << 20,
            "description": "The width of the model's vectors, if it is given at all.",
        },
        "user": text(),
    });
    object(&["model", "input"], own)
}

fn tokenize() -> Value {
    object(&["model", "text"], json!({"model": model(), "text": {"type": "string"}}))
}

fn stream_event() -> Value {
    object(&["data"], json!({"data": {"type": "string"}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_on_the_way() {
        for schema in [chat(), completion(), embedding(), tokenize(), stream_event()] {
            let read: RefOr<Schema> = serde_json::from_value(schema.clone()).expect("a schema");
            let written = serde_json::to_value(&read).expect("JSON");
            assert_eq!(sorted(&written), sorted(&schema));
        }
    }

    /// Without regard to order, and to whole floats.
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut pairs: Vec<_> = map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
                pairs.sort_by(|a, b| a.0.cmp(&b.0));
                pairs.into_iter().collect::<serde_json::Map<_, _>>().into()
            }
            Value::Array(list) => list.iter().map(sorted).collect(),
            Value::Number(number) => json!(number.as_f64()),
            other => other.clone(),
        }
    }
}
