//! Tools: shown to models, found in answers, forced by grammars.

use super::*;

fn tools() -> Value {
    let f = json!({"type": "function", "function": {"name": "f", "description": "does", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}});
    let g = json!({"type": "function", "function": {"name": "g"}});
    json!([f, g])
}

const CALL: &str = "Well.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>";

#[tokio::test]
async fn calls_are_found() {
    let (router, fake) = gateway(Fake::new().saying(CALL));
    let json = chat_with(&router, json!({"tools": tools()})).await.json();
    let choice = &json["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], "Well.");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["type"], "function");
    assert_eq!(call["function"], json!({"name": "f", "arguments": "{\"x\":1}"}));
    assert!(call["id"].as_str().is_some_and(|id| id.starts_with("call_")) && call.get("index").is_none());
    let shown: String =
        fake.asked(0).prompt.iter().filter_map(|&id| u8::try_from(id).ok()).map(char::from).collect();
    assert!(shown.contains("\"description\": \"does\""), "{shown}");
}

#[tokio::test]
async fn calls_are_found_in_streams() {
    let two = format!("{CALL}\n<tool_call>{{\"name\": \"g\"}}</tool_call>");
    let (router, _) = gateway(Fake::new().saying(&two));
    let (events, done) = chat_with(&router, json!({"tools": tools(), "stream": true})).await.events();
    assert!(done);
    let calls: Vec<&Value> = events
        .iter()
        .flat_map(|event| event["choices"][0]["delta"]["tool_calls"].as_array())
        .flatten()
        .collect();
    assert_eq!(calls.len(), 2);
    assert_eq!((&calls[0]["index"], &calls[1]["index"]), (&json!(0), &json!(1)));
    assert_eq!(calls[1]["function"]["name"], "g");
    let text: String =
        events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "Well.");
    assert_eq!(
        events.last().map(|event| event["choices"][0]["finish_reason"].clone()),
        Some(json!("tool_calls"))
    );
}

#[tokio::test]
async fn one_call_if_only_one_is_wanted() {
    let two = format!("{CALL}{CALL}");
    let (router, _) = gateway(Fake::new().saying(&two));
    let json = chat_with(&router, json!({"tools": tools(), "parallel_tool_calls": false})).await.json();
    assert_eq!(json["choices"][0]["message"]["tool_calls"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn calls_can_be_forced() {
    let call = "{\"name\": \"g\", \"arguments\": {}}";
    let (router, fake) = gateway(Fake::new().saying(call).saying(call).saying("no"));
    let named = json!({"type": "function", "function": {"name": "g"}});
    let json = chat_with(&router, json!({"tools": tools(), "tool_choice": named})).await.json();
    assert_eq!(json["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "g");
    assert_eq!(json["choices"][0]["message"]["content"], Value::Null);
    let source = fake.asked(0).grammar.clone().expect("a grammar").source;
    assert!(source.contains("\"g\"") && !source.contains("\"f\""), "{source}");
    chat_with(&router, json!({"tools": tools(), "tool_choice": "required"})).await;
    assert!(fake.asked(1).grammar.clone().expect("a grammar").source.contains("\"f\""));
    // None: they are not even shown.
    chat_with(&router, json!({"tools": tools(), "tool_choice": "none"})).await;
    assert!(fake.asked(2).prompt.len() < fake.asked(1).prompt.len() && fake.asked(2).grammar.is_none());
    let refused =
        EngineError::new(freeway_engines::ErrorKind::Invalid, "bad schema").with_param("response_format");
    let (router, _) = gateway(Fake::new().then(Reply::Refuse(refused)));
    let error = chat_with(&router, json!({"tools": tools(), "tool_choice": "required"})).await.error();
    assert_eq!(error.1, "tools");
}

#[tokio::test]
async fn results_go_back_to_the_model() {
    let (router, fake) = gateway(Fake::new().saying("done"));
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}});
    let messages = json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "two"},
    ]);
    chat_with(&router, json!({"messages": messages, "tools": tools()})).await;
    let shown: String =
        fake.asked(0).prompt.iter().filter_map(|&id| u8::try_from(id).ok()).map(char::from).collect();
    assert!(shown.contains("<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1}}</tool_call>"), "{shown}");
    assert!(shown.contains("tool\ntwo"), "{shown}");
}

#[tokio::test]
async fn models_that_know_no_tools() {
    let mut fake = Fake::new();
    fake.template = None;
    let (router, _) = gateway(fake.saying("user: hi\nuser: more"));
    let error = chat_with(&router, json!({"tools": tools()})).await.error();
    assert_eq!(error, (400, "tools".into(), "unsupported".into()));
    // Nor do they go on with the user's words.
    let json = chat_with(&router, json!({"tools": tools(), "tool_choice": "none"})).await.json();
    assert_eq!(json["choices"][0]["message"]["content"], "user: hi");
}
