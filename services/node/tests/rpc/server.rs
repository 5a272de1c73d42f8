//! A node's HTTP server around a kit.

use std::path::PathBuf;
use std::sync::Arc;

use freeway_api::{Client, ClientError, ErrorDetail};
use freeway_consensus::SigningGuard;
use freeway_node::rpc::{Context, serve};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::kit::Kit;

/// A kit that is served.
pub(crate) struct Served {
    pub(crate) kit: Kit,
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) guard: SigningGuard,
    pub(crate) snapshots: PathBuf,
    pub(crate) context: Arc<Context>,
    pub(crate) fatal: mpsc::Receiver<String>,
    stop: watch::Sender<bool>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Served {
    pub(crate) async fn new() -> Self {
        Self::around(Kit::new()).await
    }

    pub(crate) async fn around(kit: Kit) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = watch::channel(false);
        let (fatal_out, fatal) = mpsc::channel(8);
        let guard = SigningGuard::open();
        let snapshots = kit.folder.path().join("snapshots");
        let trail = freeway_node::trail::Trail::open(kit.folder.path().join("trail")).unwrap();
        let context = Arc::new(Context {
            guard: Some(guard.clone()),
            snapshots: Some(snapshots.clone()),
            trail: Some(trail),
            ..kit.context(fatal_out)
        });
        let server = tokio::spawn(serve(listener, Arc::clone(&context), stopped));
        let client = Client::new(&url).unwrap();
        Self { kit, client, url, guard, snapshots, context, fatal, stop, server }
    }

    /// Tells the server to stop and waits until it has.
    pub(crate) async fn stop(self) -> Kit {
        self.stop.send_replace(true);
        // The client's idle connections would be waited for.
        drop(self.client);
        self.server.await.unwrap().unwrap();
        self.kit
    }

    /// Asks for a path as any HTTP client would: the status and the body.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The error at a path.
    pub(crate) async fn refused(&self, path: &str) -> (u16, ErrorDetail) {
        let (status, body) = self.get(path).await;
        (status, error_of(&body))
    }

    /// Posts a body to the transactions: the status and the body of the answer.
    pub(crate) async fn post(&self, content_type: &str, body: Vec<u8>) -> (u16, String) {
        let response = reqwest::Client::new()
            .post(format!("{}/v1/transactions", self.url))
            .header("content-type", content_type)
            .body(body)
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

pub(crate) fn error_of(body: &str) -> ErrorDetail {
    serde_json::from_str::<freeway_api::ErrorBody>(body)
        .unwrap_or_else(|error| panic!("not an error body: {error}: {body}"))
        .error
}

/// The node's own words of a refused request.
pub(crate) fn api_error(error: ClientError) -> (u16, String) {
    match error {
        ClientError::Api { status, detail } => (status, detail.code),
        other => panic!("not refused by the node: {other}"),
    }
}
