//! Models on servers that take text.

use super::*;

fn upstream(answers: Vec<Result<Forwarded, EngineError>>) -> (Router, Arc<Fake>) {
    let mut fake = Fake::new();
    fake.capabilities = Capabilities { can_execute: true, embeddings: true, ..Capabilities::default() };
    fake.forwards = Mutex::new(answers.into());
    gateway(fake)
}

fn stream(payloads: Vec<Result<Value, EngineError>>) -> Result<Forwarded, EngineError> {
    Ok(Forwarded::Stream(futures::stream::iter(payloads).boxed()))
}

#[tokio::test]
async fn answers_come_under_our_names() {
    let theirs = json!({"id": "x", "model": "theirs", "created": 1, "choices": [{"index": 0, "message": {"content": "hi"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}});
    let (router, fake) = upstream(vec![Ok(Forwarded::Json(theirs))]);
    let json = chat_with(&router, json!({"temperature": 0.5, "their_field": 1})).await.json();
    assert_eq!((&json["model"], &json["choices"][0]["message"]["content"]), (&json!("m"), &json!("hi")));
    assert!(json["id"].as_str().is_some_and(|id| id.starts_with("chatcmpl-")));
    let forwarded = fake.forwarded.lock().expect("a lock")[0].clone();
    assert_eq!((&forwarded.body["their_field"], forwarded.stream), (&json!(1), false));
    let text = get(&router, "/metrics").await.body;
    assert!(text.contains("freeway_gateway_completion_tokens_total 4"), "{text}");
}

#[tokio::test]
async fn what_is_wrong_does_not_get_through() {
    let (router, fake) = upstream(vec![]);
    assert_eq!(chat_with(&router, json!({"temperature": 5})).await.error().1, "temperature");
    assert!(fake.forwarded.lock().expect("a lock").is_empty());
    let error = post(&router, "/v1/tokenize", &json!({"model": "m", "text": "a"})).await.error();
    assert_eq!((error.0, error.1.as_str()), (400, "model"));
}

#[tokio::test]
async fn streams_are_handed_on() {
    let piece = |text: &str| {
        Ok(json!({"id": "x", "model": "theirs", "choices": [{"index": 0, "delta": {"content": text}}]}))
    };
    let usage =
        || Ok(json!({"id": "x", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}));
    let broken = EngineError::new(freeway_engines::ErrorKind::BadUpstream, "cut off");
    let answers = vec![
        stream(vec![piece("a"), piece("b"), usage()]),
        stream(vec![piece("a"), usage()]),
        stream(vec![piece("a"), Err(broken)]),
    ];
    let (router, fake) = upstream(answers);
    let (events, done) = chat_with(&router, json!({"stream": true})).await.events();
    assert!(done);
    assert_eq!(events.len(), 2, "usage was not asked for");
    assert!(events.iter().all(|event| event["model"] == "m" && event["id"] == events[0]["id"]));
    assert_eq!(fake.forwarded.lock().expect("a lock")[0].body["stream_options"]["include_usage"], true);
    let wanted = json!({"stream": true, "stream_options": {"include_usage": true}});
    let (events, _) = chat_with(&router, wanted).await.events();
    assert_eq!(events[1]["usage"]["completion_tokens"], 2);
    let (events, done) = chat_with(&router, json!({"stream": true})).await.events();
    assert!(!done);
    assert_eq!(events[1]["error"]["code"], "bad_upstream");
}

#[tokio::test]
async fn errors_of_servers() {
    let limited = EngineError::new(freeway_engines::ErrorKind::RateLimited, "slower")
        .with_retry_after(core::time::Duration::from_secs(7));
    let (router, _) = upstream(vec![Err(limited)]);
    let answer = post(&router, "/v1/completions", &json!({"model": "m", "prompt": "a"})).await;
    assert_eq!(answer.error().0, 429);
    assert_eq!(answer.headers["retry-after"], "7");
}

#[tokio::test]
async fn vectors_are_handed_on() {
    let theirs = json!({"object": "list", "model": "theirs", "data": [], "usage": {"prompt_tokens": 3, "total_tokens": 3}});
    let (router, _) = upstream(vec![Ok(Forwarded::Json(theirs))]);
    let json = post(&router, "/v1/embeddings", &json!({"model": "m", "input": "a"})).await.json();
    assert_eq!((&json["model"], json.get("id")), (&json!("m"), None));
}
