//! Receipts as clients of the gateway see them.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use freeway_engines::Registry;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::world::*;
use crate::{Access, Config};

async fn call(app: &axum::Router, request: Request<Body>) -> (StatusCode, Option<String>, String) {
    let response = app.clone().oneshot(request).await.unwrap();
    let receipt = response.headers().get("x-freeway-receipt").map(|name| name.to_str().unwrap().to_owned());
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, receipt, String::from_utf8(body.to_vec()).unwrap())
}

fn post(path: &str, body: &Value) -> Request<Body> {
    let builder = Request::post(path).header("content-type", "application/json");
    builder.body(Body::from(body.to_string())).unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn answers_name_their_receipts() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(2).await;
    let engine = open(config(folder.path(), 2, 1_000_000, 1_000_000), &chain).await;
    let registry = Arc::new(Registry::new());
    registry.add_engine(engine.clone()).await.unwrap();
    let mut settings = Config::new(([127, 0, 0, 1], 0).into(), Access::Open);
    settings.lanes = Some(engine.clone());
    let app = crate::router(&settings, registry);

    let chat = json!({"model": MODEL, "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]});
    let (status, receipt, body) = call(&app, post("/v1/chat/completions", &chat)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let receipt = receipt.unwrap();
    assert_eq!(body["freeway"]["receipt"], receipt.as_str());
    assert_eq!(body["freeway"]["lane"], 0);
    assert!(body["freeway"]["trace"].is_string(), "{body}");

    let (status, _, kept) = call(&app, get(&format!("/v1/receipts/{receipt}"))).await;
    assert_eq!(status, StatusCode::OK, "{kept}");
    let kept: freeway_api::KeptReceipt = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept.summary.digest.to_string(), receipt);
    assert_eq!(kept.summary.fee.0.to_string(), body["freeway"]["fee"].as_str().unwrap());
    assert_eq!(
        kept.artifact().unwrap().request.digest().to_string(),
        body["freeway"]["request"].as_str().unwrap()
    );

    let mut streamed = chat.clone();
    streamed["stream"] = true.into();
    let (_, none, events) = call(&app, post("/v1/chat/completions", &streamed)).await;
    assert_eq!(none, None);
    let last = events.lines().rfind(|line| line.starts_with("data: {")).unwrap();
    let last: Value = serde_json::from_str(&last["data: ".len()..]).unwrap();
    assert!(last["freeway"]["receipt"].is_string(), "{last}");
    assert_eq!(last["choices"][0]["finish_reason"], "length");

    let several = json!({"model": MODEL, "max_tokens": 4, "prompt": ["a", "b"]});
    let (_, receipts, body) = call(&app, post("/v1/completions", &several)).await;
    assert_eq!(receipts.unwrap().split(',').count(), 2, "{body}");

    let (_, _, list) = call(&app, get("/v1/receipts?limit=3")).await;
    let list: freeway_api::ReceiptsView = serde_json::from_str(&list).unwrap();
    assert_eq!(list.receipts.len(), 3);
    let (status, _, lanes) = call(&app, get("/v1/lanes")).await;
    assert_eq!(status, StatusCode::OK);
    let lanes: Value = serde_json::from_str(&lanes).unwrap();
    assert_eq!(lanes["models"][0]["lanes"][0]["shares"].as_array().unwrap().len(), 2, "{lanes}");
    for (path, status) in [
        (format!("/v1/receipts/{}", "0".repeat(64)), StatusCode::NOT_FOUND),
        ("/v1/receipts/nonsense".to_owned(), StatusCode::BAD_REQUEST),
        ("/v1/receipts?limit=-1".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(call(&app, get(&path)).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn clients_see_the_tier_of_the_lane() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(1).await;
    *chain.tier.lock().unwrap() = freeway_engines::Tier::Statistical;
    let engine = open(config(folder.path(), 1, 1_000_000, 1_000_000), &chain).await;
    let registry = Arc::new(Registry::new());
    registry.add_engine(engine.clone()).await.unwrap();
    let app = crate::router(&Config::new(([127, 0, 0, 1], 0).into(), Access::Open), registry);
    let (_, _, models) = call(&app, get("/v1/models")).await;
    let models: Value = serde_json::from_str(&models).unwrap();
    assert_eq!(models["data"][0]["freeway"]["tier"], "statistical", "{models}");
    let ask = json!({"model": MODEL, "max_tokens": 4, "prompt": "a"});
    let (_, receipt, body) = call(&app, post("/v1/completions", &ask)).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(receipt.is_some() && body["freeway"]["tier"] == "statistical", "{body}");
    assert_eq!(body["freeway"]["trace"], Value::Null);
}

#[tokio::test]
async fn a_stop_string_ends_an_answer_and_it_is_paid() {
    let folder = tempfile::tempdir().unwrap();
    let chain = FakeChain::new(1).await;
    let engine = open(config(folder.path(), 1, 1_000_000, 1_000_000), &chain).await;
    let registry = Arc::new(Registry::new());
    registry.add_engine(engine.clone()).await.unwrap();
    let app = crate::router(&Config::new(([127, 0, 0, 1], 0).into(), Access::Open), registry);
    let alphabet: Vec<String> = ('a'..='d').chain('w'..='z').take(4).map(String::from).collect();
    for seed in 0..8 {
        let ask = json!({"model": MODEL, "max_tokens": 8, "prompt": "a", "seed": seed, "stop": alphabet});
        let (status, receipt, body) = call(&app, post("/v1/completions", &ask)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        assert!(receipt.is_some(), "{body}");
    }
    assert_eq!(engine.receipts(100).await.unwrap().len(), 8);
    // Without lanes in its set-up it shows none.
    assert_eq!(call(&app, get("/v1/receipts")).await.0, StatusCode::NOT_FOUND);
}
