//! A collector of traces, as OpenTelemetry's programs send them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use eyre::Result;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The most spans that are kept.
const MAX_SPANS: usize = 200_000;

/// A span that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// The service that made it.
    pub service: String,
    /// Which of several.
    pub instance: String,
    /// Its name.
    pub name: String,
    /// The trace that it belongs to.
    pub trace: Vec<u8>,
    /// Itself.
    pub id: Vec<u8>,
    /// What it is a part of; empty for the first of a trace.
    pub parent: Vec<u8>,
    /// What it says.
    pub attributes: BTreeMap<String, String>,
    /// All that was sent of it, to be searched for what must not be.
    pub text: String,
}

/// A running collector.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Collected>>>,
    serving: JoinHandle<()>,
}

impl Collector {
    /// Listens on a free port.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let spans: Arc<Mutex<Vec<Collected>>> = Arc::default();
        let router = Router::new()
            .route("/v1/traces", post(take))
            .layer(DefaultBodyLimit::max(64 << 20))
            .with_state(Arc::clone(&spans));
        let serving = tokio::spawn(async move {
            // It ends with the test.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, spans, serving })
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has come so far.
    pub fn spans(&self) -> Vec<Collected> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes away: from now on nobody listens.
    pub async fn kill(&mut self) {
        self.serving.abort();
        // Only then is the listener closed.
        let _ = (&mut self.serving).await;
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(spans): State<Arc<Mutex<Vec<Collected>>>>, body: Bytes) -> StatusCode {
    let Ok(sent) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    let mut kept = spans.lock().unwrap_or_else(PoisonError::into_inner);
    for resource in sent.resource_spans {
        let told = attributes(resource.resource.as_ref().map_or(&[], |resource| &resource.attributes));
        let of = |name: &str| told.get(name).cloned().unwrap_or_default();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            if kept.len() >= MAX_SPANS {
                return StatusCode::TOO_MANY_REQUESTS;
            }
            kept.push(Collected {
                service: of("service.name"),
                instance: of("service.instance.id"),
                text: format!("{told:?} {span:?}"),
                attributes: attributes(&span.attributes),
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
            });
        }
    }
    StatusCode::OK
}

fn attributes(sent: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: Option<&AnyValue>| match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    };
    sent.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref()))).collect()
}
