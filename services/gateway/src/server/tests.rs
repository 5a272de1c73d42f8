//! The interface as clients see it, before engines that do as they are told.

mod chat;
mod completions;
mod doors;
mod exact;
mod hostile;
mod live;
mod passes;
mod relay;
mod stream;
mod tools;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use freeway_engines::{
    Capabilities, Embedding, Engine, EngineError, Event, EventStream, FinishReason, Finished, Forward,
    Forwarded, Health, Job, ModelInfo, Registry, ScoreJob, Scores, Stats, TextAssets, Tier, Token,
};
use freeway_primitives::Digest;
use freeway_proofs::work::Prices;
use freeway_requests::{LogProb, Scored, TokenRequest};
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::text::tests::{CHATML, IM_END, assets};
use crate::{Access, Config};

/// What a [`Fake`] does with the next generation.
enum Reply {
    /// These events, at once.
    Events(Vec<Event>),
    /// As they are sent.
    Live(tokio::sync::mpsc::UnboundedReceiver<Event>),
    Refuse(EngineError),
}

/// An engine that follows a script, and remembers what it was asked.
struct Fake {
    template: Option<String>,
    capabilities: Capabilities,
    /// What everything costs; nothing by default.
    prices: Option<Prices>,
    script: Mutex<VecDeque<Reply>>,
    forwards: Mutex<VecDeque<Result<Forwarded, EngineError>>>,
    asked: Mutex<Vec<Arc<TokenRequest>>>,
    forwarded: Mutex<Vec<Forward>>,
    /// Streams that were dropped.
    dropped: Arc<AtomicUsize>,
}

impl Fake {
    fn new() -> Self {
        let capabilities = Capabilities {
            exact: true,
            can_execute: true,
            can_score: true,
            takes_tokens: true,
            grammar: true,
            embeddings: true,
            context: Some(2_048),
        };
        Self {
            template: Some(CHATML.to_owned()),
            capabilities,
            prices: None,
            script: Mutex::default(),
            forwards: Mutex::default(),
            asked: Mutex::default(),
            forwarded: Mutex::default(),
            dropped: Arc::default(),
        }
    }

    fn then(self, reply: Reply) -> Self {
        self.script.lock().expect("a lock").push_back(reply);
        self
    }

    /// The next answer of one choice.
    fn saying(self, text: &str) -> Self {
        self.then(Reply::Events(say(&[text], IM_END)))
    }

    fn asked(&self, index: usize) -> Arc<TokenRequest> {
        Arc::clone(&self.asked.lock().expect("a lock")[index])
    }
}

/// Counts when it is dropped.
struct Counter(Arc<AtomicUsize>);

impl Drop for Counter {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn token(choice: u16, id: u32) -> Event {
    Event::Token(Token { choice, id, scored: None })
}

fn scored(choice: u16, id: u32) -> Event {
    let top = vec![(id, LogProb(-100_000)), (u32::from(b'?'), LogProb(-3_000_000))];
    Event::Token(Token { choice, id, scored: Some(Scored { logprob: LogProb(-100_000), rank: 1, top }) })
}

fn finished(choice: u16, reason: FinishReason, completion_tokens: u32) -> Event {
    Event::Finished(Finished {
        choice,
        reason,
        completion_tokens,
        trace: Some(Digest([choice as u8 + 1; 32])),
    })
}

/// One byte for a token; choices take turns.
fn say(texts: &[&str], end: u32) -> Vec<Event> {
    let mut events = vec![Event::Started { prompt_tokens: 10, cached_tokens: 4 }];
    let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    for at in 0..=longest {
        for (choice, text) in texts.iter().enumerate() {
            let choice = choice as u16;
            match text.as_bytes().get(at) {
                Some(byte) => events.push(token(choice, u32::from(*byte))),
                None if at == text.len() => {
                    events.push(token(choice, end));
                    events.push(finished(choice, FinishReason::Stop(end), at as u32 + 1));
                }
                None => {}
            }
        }
    }
    events
}

#[async_trait]
impl Engine for Fake {
    fn label(&self) -> &str {
        "fake"
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, EngineError> {
        let info = |name: &str| ModelInfo {
            name: name.to_owned(),
            root: Some(assets(None).root),
            context: Some(2_048),
            tier: Tier::Exact,
            owned_by: "tests".to_owned(),
            created: 5,
        };
        Ok(vec![info("m"), info("org/m")])
    }

    fn capabilities(&self, _: &str) -> Option<Capabilities> {
        Some(self.capabilities)
    }

    fn prices(&self, _: &str) -> Option<Prices> {
        self.prices
    }

    async fn text(&self, _: &str) -> Result<TextAssets, EngineError> {
        Ok(assets(self.template.as_deref()))
    }

    async fn generate(&self, _: &str, job: Job) -> Result<EventStream, EngineError> {
        assert!(job.trace);
        let choices = usize::from(job.request.choices);
        self.asked.lock().expect("a lock").push(job.request);
        let counter = Counter(Arc::clone(&self.dropped));
        let reply = self.script.lock().expect("a lock").pop_front();
        match reply.unwrap_or_else(|| Reply::Events(say(&vec!["x"; choices], IM_END))) {
            Reply::Events(events) => Ok(futures::stream::iter(events).boxed()),
            Reply::Live(events) => {
                let state = (events, counter);
                let step = |(mut events, counter): (tokio::sync::mpsc::UnboundedReceiver<Event>, Counter)| async {
                    events.recv().await.map(|event| (event, (events, counter)))
                };
                Ok(futures::stream::unfold(state, step).boxed())
            }
            Reply::Refuse(error) => Err(error),
        }
    }

    async fn score(&self, _: &str, job: ScoreJob) -> Result<Scores, EngineError> {
        let one =
            |id: &u32| Scored { logprob: LogProb(-500_000), rank: 2, top: vec![(*id, LogProb(-500_000))] };
        Ok(Scores { tokens: job.continuation.iter().map(one).collect(), trace: None, cached_tokens: 0 })
    }

    async fn embed(&self, _: &str, tokens: Vec<u32>) -> Result<Embedding, EngineError> {
        Ok(Embedding { vector: vec![3.0, 4.0], prompt_tokens: tokens.len() as u32 })
    }

    async fn forward(&self, _: &str, request: Forward) -> Result<Forwarded, EngineError> {
        self.forwarded.lock().expect("a lock").push(request);
        self.forwards.lock().expect("a lock").pop_front().expect("a reply")
    }

    async fn health(&self) -> Health {
        Health { ok: true, detail: "as told".to_owned() }
    }

    fn stats(&self) -> Stats {
        Stats { running: 1, ..Stats::default() }
    }
}

fn open() -> Config {
    Config::new(([127, 0, 0, 1], 0).into(), Access::Open)
}

fn registry(fake: &Arc<Fake>) -> Arc<Registry> {
    let registry = Registry::new();
    let engine: Arc<dyn Engine> = Arc::<Fake>::clone(fake);
    registry.add("m", Arc::clone(&engine), "m").expect("a name");
    registry.add("org/m", engine, "org/m").expect("a name");
    Arc::new(registry)
}

/// A gateway before `fake`, and the engine to look at.
fn gateway(fake: Fake) -> (Router, Arc<Fake>) {
    let fake = Arc::new(fake);
    (crate::router(&open(), registry(&fake)), fake)
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }

    /// The payloads of a stream, and whether it ended as a whole one does.
    fn events(&self) -> (Vec<Value>, bool) {
        let mut payloads: Vec<&str> = Vec::new();
        for part in self.body.split_terminator("\n\n") {
            payloads.push(part.strip_prefix("data: ").expect(part));
        }
        let done = payloads.last() == Some(&"[DONE]");
        if done {
            payloads.pop();
        }
        (payloads.iter().map(|payload| serde_json::from_str(payload).expect(payload)).collect(), done)
    }

    /// Status, parameter and code of an error.
    fn error(&self) -> (u16, String, String) {
        let json = self.json();
        let error = &json["error"];
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{json}");
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), text("param"), text("code"))
    }
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 64 << 20).await.expect("a body");
    let body = String::from_utf8(bytes.to_vec()).expect("text");
    assert!(parts.headers.contains_key("x-request-id"));
    Answer { status: parts.status, headers: parts.headers, body }
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let builder = Request::builder().method(method).uri(path).header("content-type", "application/json");
    builder.body(body.into()).expect("a request")
}

async fn post(router: &Router, path: &str, body: &Value) -> Answer {
    send(router, request("POST", path, body.to_string())).await
}

async fn get(router: &Router, path: &str) -> Answer {
    send(router, request("GET", path, Body::empty())).await
}

/// A request to chat, with `more` fields.
fn chatting(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let map = body.as_object_mut().expect("an object");
    map.extend(more.as_object().expect("an object").clone());
    body
}

async fn chat_with(router: &Router, more: Value) -> Answer {
    post(router, "/v1/chat/completions", &chatting(more)).await
}
