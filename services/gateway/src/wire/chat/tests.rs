//! Reading chat requests, good and bad.

use serde_json::json;

use super::*;

fn read(mut body: Value) -> Result<Chat, ApiError> {
    let map = body.as_object_mut().expect("an object");
    map.entry("model").or_insert("m".into());
    map.entry("messages").or_insert(json!([{"role": "user", "content": "hi"}]));
    chat(map)
}

fn function(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

#[test]
fn defaults() {
    let chat = read(json!({"some_future_field": {"x": 1}, "temperature": null})).expect("valid");
    assert_eq!((chat.tuning.choices, chat.max_tokens, chat.logprobs), (1, None, None));
    assert_eq!(chat.tuning.sampling, freeway_requests::Sampling::default());
    assert_eq!(chat.tool_choice, ToolChoice::Auto);
    assert!(chat.parallel_calls && !chat.tuning.stream);
}

#[test]
fn parts_are_joined_and_developers_are_the_system() {
    let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
    let chat = read(json!({"messages": [{"role": "developer", "content": parts}]})).expect("valid");
    assert_eq!(chat.messages[0].role, Role::System);
    assert_eq!(chat.messages[0].content.as_deref(), Some("ab"));
}

#[test]
fn calls_and_their_results() {
    let call = json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}});
    let messages = json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
    ]);
    let chat = read(json!({"messages": messages})).expect("valid");
    assert_eq!(chat.messages[1].content, None);
    assert_eq!(chat.messages[1].calls[0].arguments, json!({"x": 1}));
    assert_eq!(chat.messages[2].answers.as_deref(), Some("c1"));
}

#[test]
fn the_newer_name_of_the_limit_wins() {
    let chat = read(json!({"max_tokens": 5, "max_completion_tokens": 7})).expect("valid");
    assert_eq!(chat.max_tokens, Some(7));
}

#[test]
fn what_is_wrong_is_named() {
    let message = |message: Value| json!({"messages": [message]});
    let format = |format: Value| json!({"response_format": format});
    let cases = [
        (json!({"model": 5}), "model"),
        (json!({"model": ""}), "model"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": "hi"}), "messages"),
        (message(json!("hi")), "messages[0]"),
        (message(json!({"content": "hi"})), "messages[0].role"),
        (message(json!({"role": "king", "content": "hi"})), "messages[0].role"),
        (message(json!({"role": "user"})), "messages[0].content"),
        (message(json!({"role": "user", "content": 5})), "messages[0].content"),
        (message(json!({"role": "user", "content": []})), "messages[0].content"),
        (
            message(json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]})),
            "messages[0].content[0].type",
        ),
        (message(json!({"role": "user", "content": [{"type": "text"}]})), "messages[0].content[0].text"),
        (message(json!({"role": "tool", "content": "x"})), "messages[0].tool_call_id"),
        (
            message(json!({"role": "assistant", "tool_calls": [{"id": "a"}]})),
            "messages[0].tool_calls[0].type",
        ),
        (json!({"temperature": 2.1}), "temperature"),
        (json!({"temperature": -0.1}), "temperature"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"top_p": 1.5}), "top_p"),
        (json!({"min_p": -1}), "min_p"),
        (json!({"top_k": 1.5}), "top_k"),
        (json!({"repetition_penalty": 0}), "repetition_penalty"),
        (json!({"frequency_penalty": 3}), "frequency_penalty"),
        (json!({"presence_penalty": true}), "presence_penalty"),
        (json!({"logit_bias": {"1": 101}}), "logit_bias.1"),
        (json!({"logit_bias": {"x": 1}}), "logit_bias"),
        (json!({"logit_bias": [1]}), "logit_bias"),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop"),
        (json!({"stop": ""}), "stop"),
        (json!({"stop": [1]}), "stop"),
        (json!({"n": 0}), "n"),
        (json!({"n": 1_000_000_000}), "n"),
        (json!({"seed": 1.5}), "seed"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": 1e18}), "max_tokens"),
        (json!({"max_completion_tokens": -1}), "max_completion_tokens"),
        (json!({"top_logprobs": 5}), "top_logprobs"),
        (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs"),
        (json!({"logprobs": 1}), "logprobs"),
        (json!({"stream": 1}), "stream"),
        (json!({"stream": true, "stream_options": {"include_usage": 1}}), "stream_options.include_usage"),
        (format(json!({"type": "xml"})), "response_format.type"),
        (format(json!({"type": "json_schema"})), "response_format.json_schema"),
        (
            format(json!({"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}})),
            "response_format.json_schema.name",
        ),
        (
            format(json!({"type": "json_schema", "json_schema": {"name": "a"}})),
            "response_format.json_schema.schema",
        ),
        (json!({"tools": [{"type": "retrieval"}]}), "tools[0].type"),
        (json!({"tools": [function("a b")]}), "tools[0].function.name"),
        (json!({"tools": [function("a"), function("a")]}), "tools[1].function.name"),
        (json!({"tool_choice": "maybe"}), "tool_choice"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (
            json!({"tools": [function("a")], "tool_choice": {"type": "function", "function": {"name": "b"}}}),
            "tool_choice",
        ),
        (json!({"parallel_tool_calls": "no"}), "parallel_tool_calls"),
        (json!({"user": 1}), "user"),
    ];
    for (body, expected) in cases {
        let error = read(body.clone()).expect_err(&body.to_string());
        assert_eq!((error.told().0, error.told().1), (400, Some(expected)), "{body}");
    }
}
