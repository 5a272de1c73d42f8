//! Who comes in with what: keys, bodies, methods, ids, web pages, and the description of all that.

use axum::http::Method;

use super::*;
use crate::{Allowance, Key, KeySet};

fn with_key(allowance: Allowance) -> (Router, Arc<Fake>, Key) {
    let fake = Arc::new(Fake::new().saying("a").saying("b").saying("c"));
    let key = Key::generate().expect("random bytes");
    let mut keys = KeySet::new();
    keys.add("tests", key.hash(), allowance).expect("a key");
    let config = Config::new(([127, 0, 0, 1], 0).into(), Access::Keys(keys));
    (crate::router(&config, registry(&fake)), fake, key)
}

fn bearing(key: &str) -> Request<Body> {
    let mut request = request("POST", "/v1/chat/completions", chatting(json!({})).to_string());
    let value = format!("Bearer {key}").parse().expect("a header");
    request.headers_mut().insert("authorization", value);
    request
}

#[tokio::test]
async fn keys_are_asked_for() {
    let (router, _, key) = with_key(Allowance::default());
    let answer = chat_with(&router, json!({})).await;
    assert_eq!(answer.error(), (401, String::new(), "invalid_api_key".into()));
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    for wrong in ["", "fw-", "fw-000000000000000000000000", "é"] {
        let answer = send(&router, bearing(wrong)).await;
        assert_eq!(answer.status, 401, "{wrong}");
        assert!(wrong.is_empty() || !answer.body.contains("0000"));
    }
    assert_eq!(send(&router, bearing(key.reveal())).await.status, 200);
    assert_eq!(get(&router, "/v1/models").await.status, 401);
    assert_eq!(get(&router, "/v1/models/m").await.status, 401);
    assert_eq!(get(&router, "/health").await.status, 200);
}

#[tokio::test]
async fn allowances_are_told_and_kept() {
    let allowance =
        Allowance { requests_per_minute: Some(2), tokens_per_minute: Some(1_000), concurrency: None };
    let (router, _, key) = with_key(allowance);
    let answer = send(&router, bearing(key.reveal())).await;
    assert_eq!(answer.headers["x-ratelimit-limit-requests"], "2");
    assert_eq!(answer.headers["x-ratelimit-remaining-requests"], "1");
    assert_eq!(answer.headers["x-ratelimit-limit-tokens"], "1000");
    assert!(answer.headers["x-ratelimit-reset-requests"].to_str().expect("text").ends_with('s'));
    let answer = send(&router, bearing(key.reveal())).await;
    // Ten of the prompt and two of the answer, once.
    assert_eq!(answer.headers["x-ratelimit-remaining-tokens"], "976");
    let answer = send(&router, bearing(key.reveal())).await;
    assert_eq!(answer.headers["x-ratelimit-remaining-requests"], "0");
    assert_eq!(answer.error(), (429, String::new(), "rate_limit_exceeded".into()));
    let after: u64 = answer.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=31).contains(&after), "{after}");
}

#[tokio::test]
async fn bodies_that_are_none() {
    let (router, _) = gateway(Fake::new());
    let post = |body: Vec<u8>| send(&router, request("POST", "/v1/chat/completions", body));
    let messages =
        |text: &str| format!(r#"{{"model": "m", "messages": [{{"role": "user", "content": "{text}"}}]}}"#);
    let cases: [(Vec<u8>, &str); 7] = [
        (b"".to_vec(), "invalid_json"),
        (b"{".to_vec(), "invalid_json"),
        (b"[]".to_vec(), "invalid_type"),
        (messages(r"\ud83d").into_bytes(), "invalid_json"),
        (messages(r"\udc00 x").into_bytes(), "invalid_json"),
        (b"{\"model\": \"\xff\xfe\"}".to_vec(), "invalid_json"),
        (format!("{}{}", "{\"a\":".repeat(100_000), "1").into_bytes(), "invalid_json"),
    ];
    for (body, code) in cases {
        let error = post(body).await.error();
        assert_eq!((error.0, error.2.as_str()), (400, code));
    }
    let answer = post(messages("x\n").into_bytes()).await;
    assert!(answer.json()["error"]["message"].as_str().is_some_and(|text| text.contains("line 2 column 0")));
    let error = post(vec![b' '; (4 << 20) + 1]).await.error();
    assert_eq!((error.0, error.2.as_str()), (413, "request_too_large"));
    // Before it arrives, if it is announced.
    let mut announced = request("POST", "/v1/completions", "{}");
    announced.headers_mut().insert("content-length", "10000000".parse().expect("a header"));
    assert_eq!(send(&router, announced).await.status, 413);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "\u{e9}"] {
        let mut typed = request("POST", "/v1/completions", "{}");
        typed
            .headers_mut()
            .insert("content-type", axum::http::HeaderValue::from_bytes(kind.as_bytes()).expect("a header"));
        assert_eq!(send(&router, typed).await.error().0, 415, "{kind}");
    }
}

#[tokio::test]
async fn there_is_room_for_so_many() {
    let (_keep, receiver) = tokio::sync::mpsc::unbounded_channel();
    let fake = Arc::new(Fake::new().then(Reply::Live(receiver)));
    let mut config = open();
    config.limits.max_requests = 1;
    let router = crate::router(&config, registry(&fake));
    let first = request("POST", "/v1/chat/completions", chatting(json!({"stream": true})).to_string());
    let response = router.clone().oneshot(first).await.expect("an answer");
    let answer = chat_with(&router, json!({})).await;
    assert_eq!(answer.error(), (503, String::new(), "busy".into()));
    assert!(answer.headers.contains_key("retry-after"));
    // Whoever leaves makes room, and the engine stops.
    drop(response);
    assert_eq!(fake.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(post(&router, "/v1/tokenize", &json!({"model": "m", "text": "a"})).await.status, 200);
}

#[tokio::test]
async fn paths_and_methods() {
    let (router, _) = gateway(Fake::new());
    assert_eq!(get(&router, "/v2").await.error().2, "not_found");
    let answer = get(&router, "/v1/chat/completions").await;
    assert_eq!(answer.error(), (405, String::new(), "method_not_allowed".into()));
    assert_eq!(answer.headers["allow"], "POST");
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"] {
        assert_eq!(send(&router, request(method, "/v1/models", "")).await.status, 405, "{method}");
    }
}

#[tokio::test]
async fn requests_have_ids() {
    let (router, _) = gateway(Fake::new());
    let with = |id: &str| {
        let mut request = request("GET", "/v1/models", "");
        request
            .headers_mut()
            .insert("x-request-id", axum::http::HeaderValue::from_bytes(id.as_bytes()).expect("a header"));
        send(&router, request)
    };
    assert_eq!(with("my-id.1").await.headers["x-request-id"], "my-id.1");
    for odd in ["", "a b", "é", &"x".repeat(200)] {
        let answer = with(odd).await;
        assert!(answer.headers["x-request-id"].to_str().expect("text").starts_with("req-"), "{odd}");
    }
}

#[tokio::test]
async fn web_pages() {
    let from = |method: &str, origin: &str| {
        let mut request = request(method, "/v1/models", "");
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
        request
    };
    let (router, fake) = gateway(Fake::new());
    assert!(
        !send(&router, from("GET", "https://a.example"))
            .await
            .headers
            .contains_key("access-control-allow-origin")
    );
    let config = Config { cors: vec!["https://a.example".to_owned()], ..open() };
    let router = crate::router(&config, registry(&fake));
    let answer = send(&router, from("GET", "https://a.example")).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "https://a.example");
    assert!(
        !send(&router, from("GET", "https://b.example"))
            .await
            .headers
            .contains_key("access-control-allow-origin")
    );
    let mut preflight = from(Method::OPTIONS.as_str(), "https://a.example");
    preflight
        .headers_mut()
        .insert("access-control-request-headers", "authorization".parse().expect("a header"));
    let answer = send(&router, preflight).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.headers["access-control-allow-headers"], "authorization");
}

#[tokio::test]
async fn models_are_listed() {
    let (router, _) = gateway(Fake::new());
    let json = get(&router, "/v1/models").await.json();
    assert_eq!(json["data"].as_array().map(Vec::len), Some(2));
    let expected = json!({"id": "org/m", "object": "model", "created": 5, "owned_by": "tests",
        "freeway": {"root": "07".repeat(32), "context": 2048, "tier": "exact"}});
    assert_eq!(get(&router, "/v1/models/org/m").await.json(), expected);
    assert_eq!(get(&router, "/v1/models/org%2Fm").await.json(), expected);
    assert_eq!(get(&router, "/v1/models/x").await.error(), (404, "model".into(), "model_not_found".into()));
    assert_eq!(get(&router, "/v1/models/%ff").await.error().0, 400);
}

#[tokio::test]
async fn operators_see_what_happens() {
    let (router, _) = gateway(Fake::new().saying("abc"));
    chat_with(&router, json!({})).await;
    let health = get(&router, "/health").await.json();
    assert_eq!(
        health,
        json!({"status": "ok", "engines": [{"engine": "fake", "ok": true, "detail": "as told"}]})
    );
    let text = get(&router, "/metrics").await.body;
    for line in [
        r#"freeway_gateway_requests_total{route="/v1/chat/completions",status="200"} 1"#,
        "freeway_gateway_completion_tokens_total 4",
        "freeway_gateway_prompt_tokens_total 10",
        "freeway_gateway_time_to_first_token_seconds_count 1",
        "freeway_gateway_running_requests 0",
        r#"freeway_engine_running{engine="fake"} 1"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test]
async fn the_description_is_complete() {
    let (router, _) = gateway(Fake::new());
    let json = get(&router, "/openapi.json").await.json();
    let mut described: Vec<(String, String)> = Vec::new();
    for (path, methods) in json["paths"].as_object().expect("an object") {
        described.extend(
            methods.as_object().expect("an object").keys().map(|method| (method.clone(), path.clone())),
        );
    }
    let mut served: Vec<(String, String)> =
        crate::routes().into_iter().map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
    described.sort();
    served.sort();
    assert_eq!(described, served);
    assert!(json.get("security").is_none());
    let chat = &json["components"]["schemas"]["ChatRequest"];
    assert_eq!(chat["properties"]["temperature"]["maximum"].as_f64(), Some(2.0));
    let (router, ..) = with_key(Allowance::default());
    let json = get(&router, "/openapi.json").await.json();
    assert!(json["security"][0]["key"].is_array(), "{}", json["security"]);
    assert_eq!(json["paths"]["/health"]["get"]["security"], json!([{}]));
    // Every reference leads somewhere.
    let text = json.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(json.pointer(reference).is_some(), "{reference}");
    }
}
