//! The real exact engine on a tiny model with random weights: what it says is nonsense, and always the same.

use freeway_engines::{Exact, ExactOptions};
use freeway_models::{Group, synthetic::Recipe};

use super::*;

fn exact() -> Router {
    let mut options = ExactOptions::default();
    options.model.threads = 1;
    options.engine.cache_bytes = 8 << 20;
    let engine = Exact::new(options);
    let package = Recipe::llama().package(Group::G32).expect("a model");
    engine.add("tiny", package).expect("a name");
    let registry = Registry::new();
    registry.add("m", Arc::new(engine), "tiny").expect("a name");
    crate::router(&open(), Arc::new(registry))
}

#[tokio::test]
async fn the_same_request_has_the_same_answer() {
    let router = exact();
    let ask = json!({"seed": 11, "max_tokens": 12, "n": 2, "logprobs": true, "top_logprobs": 5});
    let first = chat_with(&router, ask.clone()).await;
    assert_eq!(first.status, 200, "{}", first.body);
    // Another process, another load.
    let (other, busy) = tokio::join!(
        chat_with(&router, ask.clone()),
        chat_with(&router, json!({"seed": 12, "max_tokens": 30})),
    );
    assert_eq!(busy.status, 200);
    let again = chat_with(&exact(), ask.clone()).await.json();
    let (first, other) = (first.json(), other.json());
    assert_eq!(first["choices"], other["choices"]);
    assert_eq!(first["choices"], again["choices"]);
    assert_eq!(first["freeway"]["choices"], again["freeway"]["choices"]);
    assert!(first["freeway"]["trace"].is_string());
    assert_ne!(first["choices"][0]["message"], first["choices"][1]["message"]);
    for token in first["choices"][0]["logprobs"]["content"].as_array().expect("tokens") {
        let top = token["top_logprobs"].as_array().expect("a list");
        let sum: f64 = top.iter().filter_map(|other| other["logprob"].as_f64()).map(f64::exp).sum();
        assert!(top.len() == 5 && sum > 0.0 && sum <= 1.0 + 1e-5, "{sum}");
    }
    // The pieces of a stream add up to the same.
    let mut ask = ask;
    ask.as_object_mut().expect("an object").insert("stream".into(), true.into());
    let (events, done) = chat_with(&router, ask).await.events();
    assert!(done);
    for index in 0..2 {
        let mine = events.iter().map(|event| &event["choices"][0]).filter(|choice| choice["index"] == index);
        let text: String = mine.filter_map(|choice| choice["delta"]["content"].as_str()).collect();
        assert_eq!(first["choices"][index]["message"]["content"], text);
    }
    assert_eq!(
        events.last().map(|event| event["freeway"]["trace"].clone()),
        Some(first["freeway"]["trace"].clone())
    );
}

#[tokio::test]
async fn schemas_are_kept_to() {
    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}, "kind": {"enum": ["a", "b"]}},
        "required": ["ok", "kind"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "s", "schema": schema}});
    let answer =
        chat_with(&exact(), json!({"response_format": format, "max_tokens": 200, "seed": 3})).await.json();
    let text = answer["choices"][0]["message"]["content"].as_str().expect("text");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{answer}");
    let value: Value = serde_json::from_str(text).expect(text);
    assert!(value["ok"].is_boolean() && (value["kind"] == "a" || value["kind"] == "b"), "{value}");
}

#[tokio::test]
async fn hostile_schemas_are_refused() {
    let router = exact();
    let deep = (0..60).fold(json!({"type": "string"}), |inner, _| json!({"type": "array", "items": inner}));
    let cases = [
        json!({"$ref": "#"}),
        json!({"$ref": "#/nowhere"}),
        json!({"type": "nonsense"}),
        json!({"$ref": "http://example.org/schema"}),
        json!({"type": "string", "pattern": "(a{1,1000}){1,1000}"}),
        deep,
    ];
    for schema in cases {
        let format = json!({"type": "json_schema", "json_schema": {"name": "s", "schema": schema}});
        let answer = chat_with(&router, json!({"response_format": format, "max_tokens": 5})).await;
        let fine = answer.status == 200;
        assert!(
            fine || answer.error().0 == 400 && answer.error().1.starts_with("response_format"),
            "{}",
            answer.body
        );
    }
    assert_eq!(chat_with(&router, json!({"max_tokens": 5})).await.status, 200, "others are not affected");
}

#[tokio::test]
async fn prompts_are_scored_as_they_were_generated() {
    let router = exact();
    let body =
        json!({"model": "m", "prompt": [72, 101, 108], "max_tokens": 4, "temperature": 0, "logprobs": 2});
    let made = post(&router, "/v1/completions", &body).await.json();
    let body = json!({"model": "m", "prompt": "Hello there", "max_tokens": 0, "echo": true, "logprobs": 0});
    let scored = post(&router, "/v1/completions", &body).await;
    assert_eq!(scored.status, 200, "{}", scored.body);
    assert_eq!(
        made["choices"][0]["logprobs"]["tokens"].as_array().map(Vec::len),
        made["usage"]["completion_tokens"].as_u64().map(|n| n as usize)
    );
    let lists = scored.json()["choices"][0]["logprobs"].clone();
    assert!(lists["token_logprobs"][0].is_null());
    assert!(lists["token_logprobs"][1].as_f64().is_some_and(|logprob| logprob < 0.0));
}

#[tokio::test]
async fn vectors_are_the_same_every_time() {
    let body = json!({"model": "m", "input": ["Hello", "there"], "encoding_format": "base64"});
    let router = exact();
    let first = post(&router, "/v1/embeddings", &body).await;
    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!(first.json(), post(&exact(), "/v1/embeddings", &body).await.json());
    let numbers = post(&router, "/v1/embeddings", &json!({"model": "m", "input": "Hello"})).await.json();
    let vector = numbers["data"][0]["embedding"].as_array().expect("numbers").clone();
    let square: f64 = vector.iter().filter_map(Value::as_f64).map(|x| x * x).sum();
    assert!(vector.len() == 96 && (square - 1.0).abs() < 1e-5, "{square}");
}
