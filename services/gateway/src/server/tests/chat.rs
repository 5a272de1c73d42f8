//! Whole answers of `/v1/chat/completions`.

use freeway_engines::ErrorKind;
use freeway_requests::{GrammarKind, Q16, Seed};

use super::*;

#[tokio::test]
async fn an_answer_has_all_its_fields() {
    let (router, fake) = gateway(Fake::new().saying("Hello!"));
    let answer = chat_with(&router, json!({"seed": 5, "temperature": 0.7, "max_tokens": 50})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let json = answer.json();
    assert_eq!(json["object"], "chat.completion");
    assert_eq!(json["model"], "m");
    assert!(json["id"].as_str().is_some_and(|id| id.starts_with("chatcmpl-")));
    assert_eq!(json["system_fingerprint"], "fw_0707070707070707");
    let choice = &json["choices"][0];
    assert_eq!(choice["message"], json!({"role": "assistant", "content": "Hello!", "refusal": null}));
    assert_eq!((&choice["finish_reason"], &choice["logprobs"]), (&json!("stop"), &Value::Null));
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 17, "prompt_tokens_details": {"cached_tokens": 4}});
    assert_eq!(json["usage"], usage);
    let asked = fake.asked(0);
    let proof = &json["freeway"];
    assert_eq!(proof["request"], asked.digest().to_string());
    assert_eq!(proof["trace"], Digest([1; 32]).to_string());
    assert_eq!(proof["model_root"], "07".repeat(32));
    assert_eq!(proof["seed"], Seed::of_number(5).to_string());
    assert_eq!(asked.max_tokens, 50);
    assert_eq!(asked.sampling.temperature, Q16::from_decimal("0.7").expect("a number"));
    assert!(asked.stop.contains(&IM_END) && asked.grammar.is_none() && asked.top_logprobs.is_none());
}

#[tokio::test]
async fn seeds_are_drawn_where_none_is_given() {
    let (router, fake) = gateway(Fake::new().saying("a").saying("a"));
    chat_with(&router, json!({})).await;
    chat_with(&router, json!({})).await;
    assert_ne!(fake.asked(0).seed, fake.asked(1).seed);
    assert_eq!(fake.asked(0).prompt, fake.asked(1).prompt);
}

#[tokio::test]
async fn several_choices() {
    let (router, fake) = gateway(Fake::new().then(Reply::Events(say(&["one", "three"], IM_END))));
    let json = chat_with(&router, json!({"n": 2})).await.json();
    assert_eq!(fake.asked(0).choices, 2);
    let text = |index: usize| json["choices"][index]["message"]["content"].clone();
    assert_eq!((text(0), text(1)), (json!("one"), json!("three")));
    assert_eq!(json["usage"]["completion_tokens"], 10);
    assert_eq!(json["freeway"]["choices"][1]["trace"], Digest([2; 32]).to_string());
}

#[tokio::test]
async fn log_probabilities() {
    let mut events = vec![Event::Started { prompt_tokens: 1, cached_tokens: 0 }];
    events.extend("é!".bytes().map(|byte| scored(0, byte.into())));
    events.extend([scored(0, IM_END), finished(0, FinishReason::Stop(IM_END), 4)]);
    let (router, fake) = gateway(Fake::new().then(Reply::Events(events)));
    let json = chat_with(&router, json!({"logprobs": true, "top_logprobs": 2})).await.json();
    assert_eq!(fake.asked(0).top_logprobs, Some(2));
    let content = json["choices"][0]["logprobs"]["content"].as_array().expect("a list").clone();
    assert_eq!(content.len(), 3, "the end has no text: {json}");
    assert_eq!(content[0]["bytes"], json!([0xc3]));
    assert_eq!(content[2]["token"], "!");
    assert_eq!(content[2]["logprob"], -0.1);
    assert_eq!(content[2]["top_logprobs"][1], json!({"token": "?", "logprob": -3.0, "bytes": [63]}));
}

#[tokio::test]
async fn stop_strings_end_answers_and_cancel() {
    let mut events = say(&["abcENDxyz"], IM_END);
    events.truncate(8);
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    for event in events {
        sender.send(event).expect("a receiver");
    }
    let (router, fake) = gateway(Fake::new().then(Reply::Live(receiver)));
    // The engine has not ended: the answer comes all the same.
    let json = chat_with(&router, json!({"stop": ["nothing", "END"]})).await.json();
    assert_eq!(json["choices"][0]["message"]["content"], "abc");
    assert_eq!(json["choices"][0]["finish_reason"], "stop");
    assert_eq!(json["usage"]["completion_tokens"], 6);
    assert_eq!(json["freeway"]["trace"], Value::Null);
    assert_eq!(fake.dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn limits_of_length() {
    let mut events = say(&["ab"], IM_END);
    events.truncate(3);
    events.push(finished(0, FinishReason::Length, 2));
    let (router, fake) = gateway(Fake::new().then(Reply::Events(events)).saying("x"));
    let json = chat_with(&router, json!({"max_tokens": 2})).await.json();
    assert_eq!(json["choices"][0]["finish_reason"], "length");
    // What is left of the context.
    chat_with(&router, json!({"max_tokens": 2_048})).await;
    let asked = fake.asked(1);
    assert_eq!(asked.prompt.len() + asked.max_tokens as usize, 2_048);
    let error = chat_with(&router, json!({"max_tokens": 2_049})).await.error();
    assert_eq!(error, (400, "max_tokens".into(), "context_length_exceeded".into()));
    let long = "x".repeat(3_000);
    let error = chat_with(&router, json!({"messages": [{"role": "user", "content": long}]})).await.error();
    assert_eq!(error, (400, "messages".into(), "context_length_exceeded".into()));
}

#[tokio::test]
async fn formats_become_grammars() {
    let (router, fake) = gateway(Fake::new().saying("{}").saying("{}").saying("x"));
    chat_with(&router, json!({"response_format": {"type": "json_object"}})).await;
    let schema = json!({"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": true}});
    chat_with(&router, json!({"response_format": format})).await;
    chat_with(&router, json!({"response_format": {"type": "text"}})).await;
    assert_eq!(fake.asked(0).grammar.as_ref().map(|grammar| grammar.kind), Some(GrammarKind::JsonObject));
    // The order of properties is kept: it is the order of the answer.
    assert_eq!(
        fake.asked(1).grammar.as_ref().map(|grammar| grammar.source.clone()),
        Some(schema.to_string())
    );
    assert_eq!(fake.asked(2).grammar, None);
    let mut fake = Fake::new();
    fake.capabilities.grammar = false;
    let (router, _) = gateway(fake);
    let error = chat_with(&router, json!({"response_format": {"type": "json_object"}})).await.error();
    assert_eq!(error, (400, "response_format".into(), "unsupported".into()));
}

#[tokio::test]
async fn errors_of_engines_become_answers() {
    let refuse = |kind, message: &str| Reply::Refuse(EngineError::new(kind, message));
    let fake = Fake::new()
        .then(refuse(ErrorKind::Busy, "full"))
        .then(Reply::Refuse(
            EngineError::new(ErrorKind::Invalid, "no such schema").with_param("response_format"),
        ))
        .then(Reply::Events(vec![Event::Failed(EngineError::new(ErrorKind::Unavailable, "gone"))]))
        .then(Reply::Events(vec![Event::Started { prompt_tokens: 1, cached_tokens: 0 }]));
    let (router, _) = gateway(fake);
    let busy = chat_with(&router, json!({})).await;
    assert_eq!(busy.error(), (503, String::new(), "busy".into()));
    assert!(busy.headers.contains_key("retry-after"));
    assert_eq!(chat_with(&router, json!({})).await.error().1, "response_format");
    assert_eq!(chat_with(&router, json!({})).await.error().0, 503);
    // It stopped in the middle without a word.
    assert_eq!(chat_with(&router, json!({})).await.error().0, 500);
}

#[tokio::test]
async fn models_that_are_not_there() {
    let (router, _) = gateway(Fake::new());
    let answer = chat_with(&router, json!({"model": "gpt-x"})).await;
    assert_eq!(answer.error(), (404, "model".into(), "model_not_found".into()));
    let error = chat_with(&router, json!({"logit_bias": {"999": 1}})).await.error();
    assert_eq!((error.0, error.1.as_str()), (400, "logit_bias"));
}
