//! Streamed answers.

use super::*;

async fn streamed(router: &Router, more: Value) -> (Vec<Value>, bool) {
    let mut more = more;
    more.as_object_mut().expect("an object").insert("stream".to_owned(), true.into());
    let answer = chat_with(router, more).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.headers["content-type"].to_str().expect("text").starts_with("text/event-stream"));
    answer.events()
}

fn text(events: &[Value], index: usize) -> String {
    let of = |event: &Value| {
        let choices = event["choices"].as_array().cloned().unwrap_or_default();
        choices.into_iter().find(|choice| choice["index"] == index)
    };
    let pieces = events.iter().filter_map(of);
    pieces.filter_map(|choice| choice["delta"]["content"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn role_pieces_end() {
    let (router, _) = gateway(Fake::new().saying("Hé 😀"));
    let (events, done) = streamed(&router, json!({})).await;
    assert!(done);
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    assert_eq!(text(&events, 0), "Hé 😀");
    assert!(!events.iter().any(|event| event.to_string().contains('\u{fffd}')));
    let last = events.last().expect("an event");
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["choices"][0]["delta"], json!({}));
    assert_eq!(last["freeway"]["trace"], Digest([1; 32]).to_string());
    assert!(events.iter().all(|event| event["id"] == events[0]["id"] && event.get("usage").is_none()));
    assert!(events.iter().all(|event| event["object"] == "chat.completion.chunk"));
    assert!(events[..events.len() - 1].iter().all(|event| event.get("freeway").is_none()));
}

#[tokio::test]
async fn usage_comes_last_if_asked_for() {
    let (router, _) = gateway(Fake::new().saying("ab"));
    let (events, done) = streamed(&router, json!({"stream_options": {"include_usage": true}})).await;
    assert!(done);
    let (last, before) = events.split_last().expect("events");
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 3);
    assert!(last["freeway"].is_object());
    assert!(before.iter().all(|event| event["usage"].is_null() && event.get("usage").is_some()));
}

#[tokio::test]
async fn choices_take_turns() {
    let (router, _) = gateway(Fake::new().then(Reply::Events(say(&["aaa", "bbbbb"], IM_END))));
    let (events, _) = streamed(&router, json!({"n": 2})).await;
    assert_eq!((text(&events, 0), text(&events, 1)), ("aaa".into(), "bbbbb".into()));
    let order: Vec<u64> = events.iter().filter_map(|event| event["choices"][0]["index"].as_u64()).collect();
    assert!(order.starts_with(&[0, 1, 0, 1, 0, 1]), "{order:?}");
    let ends = events.iter().filter(|event| event["choices"][0]["finish_reason"].is_string()).count();
    assert_eq!(ends, 2);
}

#[tokio::test]
async fn stop_strings_are_never_seen() {
    let (router, _) = gateway(Fake::new().saying("one ST two STOP three"));
    let (events, done) = streamed(&router, json!({"stop": "STOP"})).await;
    assert!(done);
    assert_eq!(text(&events, 0), "one ST two ");
}

#[tokio::test]
async fn log_probabilities_come_with_their_text() {
    let mut all = vec![Event::Started { prompt_tokens: 1, cached_tokens: 0 }];
    all.extend("aSTOPb".bytes().map(|byte| scored(0, byte.into())));
    let (router, _) = gateway(Fake::new().then(Reply::Events(all)));
    let (events, _) = streamed(&router, json!({"logprobs": true, "stop": "STOP"})).await;
    let tokens: Vec<&Value> = events
        .iter()
        .flat_map(|event| event["choices"][0]["logprobs"]["content"].as_array())
        .flatten()
        .collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0]["token"], "a");
    assert_eq!(tokens[0]["top_logprobs"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn an_error_ends_the_stream_without_the_mark() {
    let mut events = say(&["abc"], IM_END);
    events.truncate(3);
    events.push(Event::Failed(EngineError::new(freeway_engines::ErrorKind::Internal, "the engine broke")));
    let (router, _) = gateway(Fake::new().then(Reply::Events(events)));
    let (events, done) = streamed(&router, json!({})).await;
    assert!(!done);
    assert_eq!(text(&events, 0), "ab");
    assert_eq!(events.last().map(|event| event["error"]["type"].clone()), Some(json!("server_error")));
}
