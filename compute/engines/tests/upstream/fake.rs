//! A server that says what it is told to say.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures::StreamExt;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A piece of an answer's body.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing, as long as the client listens.
    Stall,
    /// The connection breaks.
    Break,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) pieces: Vec<Piece>,
    /// Say nothing at all, not even the status.
    pub(crate) silent: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, kind: &str, body: &str) -> Self {
        let headers = vec![("content-type", kind.to_owned())];
        Self { status, headers, pieces: vec![Piece::Bytes(body.as_bytes().to_vec())], silent: false }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", &body.to_string())
    }

    pub(crate) fn events(body: &str) -> Self {
        Self::new(200, "text/event-stream; charset=utf-8", body)
    }

    pub(crate) fn then(mut self, piece: Piece) -> Self {
        self.pieces.push(piece);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn silent() -> Self {
        Self { silent: true, ..Self::new(200, "text/plain", "") }
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

struct Inner {
    replies: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Seen>>,
    /// Clients that went away while they were stalled.
    gone: watch::Sender<usize>,
}

/// The server. It ends with the test.
pub(crate) struct Fake {
    pub(crate) base: String,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

impl Fake {
    /// A server that gives these answers, one after the other, and 418 afterwards.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let replies = Mutex::new(replies.into_iter().collect());
        let inner = Arc::new(Inner { replies, seen: Mutex::default(), gone: watch::Sender::new(0) });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, inner, task }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap().clone()
    }

    /// Waits until `count` clients have gone away.
    pub(crate) async fn gone(&self, count: usize) {
        self.inner.gone.subscribe().wait_for(|gone| *gone >= count).await.unwrap();
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counts a client that goes away.
struct Watcher(Arc<Inner>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.gone.send_modify(|gone| *gone += 1);
    }
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 24).await.unwrap();
    inner.seen.lock().unwrap().push(Seen {
        path: parts.uri.path().to_owned(),
        authorization: parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    });
    let reply = inner.replies.lock().unwrap().pop_front();
    let reply = reply.unwrap_or_else(|| Reply::new(418, "text/plain", "nothing is left to say"));
    if reply.silent {
        let _watcher = Watcher(Arc::clone(&inner));
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    let pieces = futures::stream::iter(reply.pieces).then(move |piece| {
        let inner = Arc::clone(&inner);
        async move {
            match piece {
                Piece::Bytes(bytes) => Ok(Bytes::from(bytes)),
                Piece::Break => {
                    // What was said before is sent first.
                    for _ in 0..10 {
                        tokio::task::yield_now().await;
                    }
                    Err("broken")
                }
                Piece::Stall => {
                    let _watcher = Watcher(inner);
                    std::future::pending().await
                }
            }
        }
    });
    Ok(response.body(Body::from_stream(pieces)).unwrap())
}
