//! The guide, asked through the gateway in words that it was not trained on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use freeway_engines::{Exact, ExactOptions, Registry};
use freeway_gateway::{Access, Config, router};
use freeway_models::guide;
use serde_json::{Value, json};
use tower::ServiceExt;

/// The questions, with what a sensible answer must contain: `compute/training/src/corpus/heldout.rs` says how it is written.
const HELD_OUT: &str = include_str!("../../../compute/training/tests/held-out.tsv");
/// How many of them the guide answers sensibly. It is a small model; this holds it to what was measured.
const SENSIBLE: usize = 42;

struct Guide(axum::Router);

impl Guide {
    async fn new() -> Self {
        let exact = Exact::new(ExactOptions::default());
        exact.add(guide::NAME, guide::package()).unwrap();
        let registry = Arc::new(Registry::new());
        registry.add_engine(Arc::new(exact)).await.unwrap();
        Self(router(&Config::new(SocketAddr::from(([127, 0, 0, 1], 0)), Access::Open), registry))
    }

    async fn ask(&self, question: &str) -> String {
        let body = json!({ "model": guide::NAME, "temperature": 0, "max_tokens": 60,
            "messages": [{ "role": "user", "content": question }] });
        let request = Request::post("/v1/chat/completions")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let answer = self.0.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    }
}

fn is_sensible(answer: &str, words: &str) -> bool {
    let answer = answer.to_lowercase();
    words.split(';').map(str::trim).all(|group| {
        let (wanted, group) = group.strip_prefix('!').map_or((true, group), |group| (false, group));
        group.split('|').any(|word| answer.contains(&word.trim().to_lowercase())) == wanted
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_ask_first_is_answered() {
    let guide = Guide::new().await;
    for (question, words) in [
        ("What is Freeway?", "open highway"),
        ("Who can host?", "any"),
        ("How do I start?", "freeway up"),
        ("what is the sprint", "race"),
        ("who are you?", "guide;small"),
        ("What is the weather in Paris?", "do not know|cannot know"),
    ] {
        let answer = guide.ask(question).await;
        assert!(is_sensible(&answer, words), "{question} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn held_out_paraphrases_are_answered_as_well_as_was_measured() {
    let guide = Guide::new().await;
    let (mut sensible, mut all) = (0, 0);
    for line in HELD_OUT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (question, words) = line.split_once('\t').unwrap();
        all += 1;
        sensible += usize::from(is_sensible(&guide.ask(question).await, words));
    }
    assert!(sensible >= SENSIBLE, "{sensible} of {all}");
}
