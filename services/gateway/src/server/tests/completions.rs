//! `/v1/completions`, `/v1/tokenize` and `/v1/embeddings`.

use super::*;

async fn complete(router: &Router, more: Value) -> Answer {
    let mut body = json!({"model": "m", "prompt": "ab"});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    post(router, "/v1/completions", &body).await
}

#[tokio::test]
async fn texts_go_on() {
    let (router, fake) = gateway(Fake::new().saying("cd"));
    let json = complete(&router, json!({})).await.json();
    assert_eq!(json["object"], "text_completion");
    let choice = json!({"index": 0, "text": "cd", "logprobs": null, "finish_reason": "stop"});
    assert_eq!(json["choices"][0], choice);
    assert_eq!(json["usage"]["total_tokens"], 13);
    assert_eq!(fake.asked(0).prompt, [97, 98]);
    assert_eq!(fake.asked(0).max_tokens, 16);
}

#[tokio::test]
async fn control_tokens_may_be_written() {
    let (router, fake) = gateway(Fake::new().saying("x").saying("x"));
    complete(&router, json!({"prompt": "<|im_end|>"})).await;
    complete(&router, json!({"prompt": [257, 1]})).await;
    assert_eq!(fake.asked(0).prompt, [IM_END]);
    assert_eq!(fake.asked(1).prompt, [IM_END, 1]);
    let error = complete(&router, json!({"prompt": [258]})).await.error();
    assert_eq!((error.0, error.1.as_str()), (400, "prompt"));
}

#[tokio::test]
async fn several_prompts_and_choices() {
    let fake = Fake::new()
        .then(Reply::Events(say(&["a", "b"], IM_END)))
        .then(Reply::Events(say(&["c", "d"], IM_END)));
    let (router, fake) = gateway(fake);
    let json = complete(&router, json!({"prompt": ["x", "y"], "n": 2, "best_of": 2})).await.json();
    let texts: Vec<&str> = (0..4).filter_map(|index| json["choices"][index]["text"].as_str()).collect();
    assert_eq!(texts, ["a", "b", "c", "d"]);
    assert_eq!(
        json["usage"],
        json!({"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28, "prompt_tokens_details": {"cached_tokens": 8}})
    );
    let choices = json["freeway"]["choices"].as_array().expect("a list").clone();
    assert_eq!(choices[3]["request"], fake.asked(1).digest().to_string());
    assert_ne!(choices[0]["request"], choices[3]["request"]);
}

#[tokio::test]
async fn prompts_are_echoed_with_their_probabilities() {
    let mut events = vec![Event::Started { prompt_tokens: 2, cached_tokens: 0 }];
    events.extend([scored(0, 99), scored(0, IM_END), finished(0, FinishReason::Stop(IM_END), 2)]);
    let (router, _) = gateway(Fake::new().then(Reply::Events(events)));
    let json = complete(&router, json!({"echo": true, "logprobs": 1})).await.json();
    assert_eq!(json["choices"][0]["text"], "abc");
    let lists = &json["choices"][0]["logprobs"];
    assert_eq!(lists["tokens"], json!(["a", "b", "c"]));
    assert_eq!(lists["token_logprobs"], json!([null, -0.5, -0.1]));
    assert_eq!(lists["text_offset"], json!([0, 1, 2]));
    assert_eq!(lists["top_logprobs"][1], json!({"b": -0.5}));
    // Nothing but the prompt: this is how texts are scored.
    let json = complete(&router, json!({"echo": true, "logprobs": 1, "max_tokens": 0})).await.json();
    assert_eq!(json["choices"][0]["text"], "ab");
    assert_eq!(json["choices"][0]["logprobs"]["token_logprobs"], json!([null, -0.5]));
    assert_eq!(json["usage"]["completion_tokens"], 0);
    let (events, done) = complete(&router, json!({"max_tokens": 0, "stream": true})).await.events();
    assert!(done && events.len() == 1);
    assert_eq!(
        (&events[0]["choices"][0]["text"], &events[0]["choices"][0]["finish_reason"]),
        (&json!(""), &json!("length"))
    );
}

#[tokio::test]
async fn streams() {
    let (router, _) = gateway(Fake::new().saying("cd"));
    let more = json!({"stream": true, "echo": true, "stream_options": {"include_usage": true}});
    let (events, done) = complete(&router, more).await.events();
    assert!(done);
    let text: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    assert_eq!(text, "abcd");
    let (last, before) = events.split_last().expect("events");
    assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(13)));
    assert_eq!(before.last().map(|event| event["choices"][0]["finish_reason"].clone()), Some(json!("stop")));
}

#[tokio::test]
async fn tokens_of_a_text() {
    let (router, _) = gateway(Fake::new());
    let json = post(&router, "/v1/tokenize", &json!({"model": "m", "text": "a<|im_end|>"})).await.json();
    assert_eq!(json, json!({"object": "tokens", "model": "m", "tokens": [97, 257], "count": 2}));
    let json = post(&router, "/v1/tokenize", &json!({"model": "m", "text": ""})).await.json();
    assert_eq!(json["count"], 0);
}

#[tokio::test]
async fn vectors() {
    let (router, _) = gateway(Fake::new());
    let embed = |more: Value| {
        let mut body = json!({"model": "m"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let router = router.clone();
        async move { post(&router, "/v1/embeddings", &body).await }
    };
    let json = embed(json!({"input": ["abc", "d"]})).await.json();
    assert_eq!(json["data"][1]["embedding"], json!([0.6, 0.8]));
    assert_eq!(json["data"][1]["index"], 1);
    assert_eq!(json["usage"], json!({"prompt_tokens": 4, "total_tokens": 4}));
    let json = embed(json!({"input": [1, 2], "encoding_format": "base64", "dimensions": 2})).await.json();
    assert_eq!(json["data"][0]["embedding"], "mpkZP83MTD8=");
    assert_eq!(embed(json!({"input": "a", "dimensions": 1})).await.error().1, "dimensions");
    assert_eq!(embed(json!({"input": [999]})).await.error().1, "input");
    assert_eq!(embed(json!({"input": "x".repeat(3_000)})).await.error().2, "context_length_exceeded");
}
