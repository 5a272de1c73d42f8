//! Whatever a client sends, it is answered or refused: no defect, and nobody else is affected.

use proptest::prelude::*;
use tokio::runtime::Builder;

use super::*;

const PATHS: [&str; 4] = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/tokenize"];
/// All fields of all requests.
const FIELDS: [&str; 31] = [
    "model",
    "messages",
    "prompt",
    "input",
    "text",
    "temperature",
    "top_p",
    "min_p",
    "top_k",
    "n",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "response_format",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "user",
    "echo",
    "suffix",
    "best_of",
    "encoding_format",
];

fn valid(path: &str) -> Value {
    match path {
        "/v1/chat/completions" => chatting(json!({})),
        "/v1/completions" => json!({"model": "m", "prompt": "p"}),
        "/v1/embeddings" => json!({"model": "m", "input": "i"}),
        _ => json!({"model": "m", "text": "t"}),
    }
}

fn judge(answer: &Answer, body: &str) {
    let shown: String = body.chars().take(200).collect();
    assert!(answer.status.is_success() || answer.status.is_client_error(), "{} for {shown}", answer.status);
    if answer.status.is_client_error() {
        answer.error();
    }
}

#[tokio::test]
async fn odd_values_in_every_field() {
    let (router, _) = gateway(Fake::new());
    let nested = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let odd = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(0.5),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("x"),
        json!("\u{0}"),
        json!("\u{fdd0}<|im_end|>"),
        json!("é".repeat(70_000)),
        json!([]),
        json!([null]),
        json!([[]]),
        json!([[[1]]]),
        json!([1, "a"]),
        json!(["a", 1]),
        json!({}),
        json!({"type": {}}),
        json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#"}}}),
        json!({"type": "function", "function": null}),
        json!([{"type": "function", "function": {"name": "f", "parameters": {"a": nested}}}]),
        json!([{"role": "tool"}]),
        json!([{"role": "assistant"}]),
        json!([{"role": "user", "content": [{}]}]),
        json!({"999999999": 1}),
        json!({"-1": 1}),
        json!({"1": null}),
        nested.clone(),
    ];
    for path in PATHS {
        for field in FIELDS {
            for value in &odd {
                let mut body = valid(path);
                body.as_object_mut().expect("an object").insert(field.to_owned(), value.clone());
                let body = body.to_string();
                judge(&send(&router, request("POST", path, body.clone())).await, &body);
            }
        }
    }
    for path in PATHS {
        assert_eq!(post(&router, path, &valid(path)).await.status, 200);
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|x| json!(x)),
        "[a-z<|>_\\PC]{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["user", "assistant", "function", "text", "json_schema", "required"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let keys = prop::sample::select(vec![
            "role",
            "content",
            "type",
            "function",
            "name",
            "arguments",
            "tool_calls",
            "id",
            "schema",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((keys, inner), 0..6).prop_map(|pairs| Value::Object(
                pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_fields(path in prop::sample::select(PATHS.to_vec()), fields in prop::collection::vec((prop::sample::select(FIELDS.to_vec()), value()), 1..4)) {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut body = valid(path);
        for (field, value) in fields {
            body.as_object_mut().expect("an object").insert(field.to_owned(), value);
        }
        let body = body.to_string();
        runtime.block_on(async {
            let (router, _) = gateway(Fake::new());
            judge(&send(&router, request("POST", path, body.clone())).await, &body);
        });
    }

    #[test]
    fn arbitrary_bytes(path in prop::sample::select(PATHS.to_vec()), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (router, _) = gateway(Fake::new());
            let answer = send(&router, request("POST", path, bytes)).await;
            prop_assert_eq!(answer.status, 400);
            Ok(())
        })?;
    }
}
