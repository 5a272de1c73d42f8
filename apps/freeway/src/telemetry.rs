//! Traces for operators: spans go to a collector, by OTLP over HTTP, if `--otlp` names one.
//!
//! The spans themselves are made where the work is done, under the target [`trace::TARGET`], which the log never shows. Without
//! a collector nobody listens to that target, and making them costs a comparison. With one, they wait in a bounded queue
//! for a thread of their own: whatever the collector does, nothing else waits for it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use freeway_api::trace::{self, Carrier};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, RetryPolicy, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, SpanData, SpanExporter,
};
use tracing::{Span, info, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::hints::Problem;

/// Spans that wait for the collector; more are dropped, and counted.
const QUEUE: usize = 4_096;
/// Spans of one request to the collector.
const BATCH: usize = 512;
/// How often they are sent.
const EVERY: Duration = Duration::from_secs(2);
/// How long the collector may take for a request.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a clean stop waits for what is left.
const LAST_WORDS: Duration = Duration::from_secs(4);
/// Where a collector takes traces, below its base URL.
const PATH: &str = "/v1/traces";
/// The header of trace contexts.
const HEADER: &str = "traceparent";

/// Where traces go.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Otlp {
    /// Send traces to this collector, by OTLP over HTTP, such as http://127.0.0.1:4318 [default: none]. The name of the
    /// service comes from OTEL_SERVICE_NAME.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide_env_values = true)]
    otlp: Option<String>,
}

impl Otlp {
    /// Whether the URL is one, for whoever hands it on.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        self.url().map_or(Ok(()), |url| endpoint(url).map(drop))
    }

    /// The URL, if there is one.
    pub(crate) fn url(&self) -> Option<&str> {
        self.otlp.as_deref().filter(|url| !url.is_empty())
    }

    /// Makes ready to send spans of `service`, of which this is `instance`; nothing if there is no collector.
    ///
    /// # Errors
    /// If the URL is none.
    pub(crate) fn start(&self, service: &'static str, instance: &str) -> Result<Option<Telemetry>, Problem> {
        let Some(url) = self.url() else { return Ok(None) };
        let endpoint = endpoint(url)?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&endpoint)
            .with_timeout(PATIENCE)
            // What is not taken now is dropped: spans behind it must not wait for it.
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .map_err(|error| bad_url(url, &error))?;
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(EVERY)
            .build();
        let watched =
            Watched { inner: exporter, endpoint, lost: AtomicU64::new(0), away: AtomicBool::new(false) };
        let processor = BatchSpanProcessor::builder(watched).with_batch_config(batch).build();
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(service);
        }
        let resource = resource
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
            .build();
        let provider =
            SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource).build();
        trace::carry(Box::new(W3c(TraceContextPropagator::new())));
        Ok(Some(Telemetry { provider }))
    }
}

/// The whole URL for traces.
fn endpoint(url: &str) -> Result<String, Problem> {
    let parsed = reqwest::Url::parse(url).map_err(|error| bad_url(url, &error))?;
    match parsed.scheme() {
        "http" if parsed.has_host() => {}
        "https" => {
            return Err(bad_url(url, &"TLS is not supported here; use http:// through a local collector"));
        }
        _ => return Err(bad_url(url, &"it must start with http://")),
    }
    let base = url.trim_end_matches('/');
    Ok(if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") })
}

fn bad_url(url: &str, error: &dyn fmt::Display) -> Problem {
    let shown: String = url.chars().take(200).collect();
    Problem::new("invalid_url", format!("{shown:?} is no address of a collector: {error}"))
        .hint("give --otlp the base URL of an OpenTelemetry collector, such as http://127.0.0.1:4318")
}

/// A running export of spans.
#[derive(Debug)]
pub(crate) struct Telemetry {
    provider: SdkTracerProvider,
}

impl Telemetry {
    /// What turns spans of the program into those of OpenTelemetry.
    pub(crate) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("freeway")
    }

    /// Sends what is left, for a bounded time.
    pub(crate) async fn stop(self) {
        let flushed = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(LAST_WORDS));
        if let Ok(Err(error)) = flushed.await {
            warn!(%error, "the last traces were not sent");
        }
    }
}

/// Stops the export, if there is one.
pub(crate) async fn stop(telemetry: Option<Telemetry>) {
    if let Some(telemetry) = telemetry {
        telemetry.stop().await;
    }
}

/// Sends spans, and says once when they cannot be sent, not with every batch.
#[derive(Debug)]
struct Watched<E> {
    inner: E,
    endpoint: String,
    /// Spans that no collector took.
    lost: AtomicU64,
    away: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        match self.inner.export(batch).await {
            Ok(()) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    let lost = self.lost.load(Ordering::Relaxed);
                    info!(collector = self.endpoint, lost, "the collector takes traces again");
                }
            }
            Err(error) => {
                self.lost.fetch_add(spans, Ordering::Relaxed);
                if !self.away.swap(true, Ordering::Relaxed) {
                    warn!(collector = self.endpoint, %error, "the collector takes no traces; they are dropped until it does");
                }
            }
        }
        // It has been told; the processor has nothing to add.
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 {
            warn!(lost, "traces that no collector took");
        }
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Trace contexts in the W3C's header.
#[derive(Debug)]
struct W3c(TraceContextPropagator);

impl Carrier for W3c {
    fn header(&self, span: &Span) -> Option<String> {
        let mut headers = std::collections::HashMap::new();
        self.0.inject_context(&span.context(), &mut headers);
        headers.remove(HEADER)
    }

    fn adopt(&self, span: &Span, header: &str) {
        let headers = std::collections::HashMap::from([(HEADER.to_owned(), header.to_owned())]);
        let context = self.0.extract_with_context(&Context::new(), &headers);
        // A span that nobody listens to has no parent either.
        let _ = span.set_parent(context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_completed_and_others_are_refused() {
        for (given, whole) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://c:4318/", "http://c:4318/v1/traces"),
            ("http://c:4318/v1/traces", "http://c:4318/v1/traces"),
        ] {
            assert_eq!(endpoint(given).unwrap(), whole);
        }
        for bad in ["https://c:4318", "c:4318", "", "grpc://c"] {
            let problem = endpoint(bad).unwrap_err();
            assert!(problem.what_next().unwrap().contains("--otlp"), "{problem}");
        }
        assert!(Otlp::default().start("test", "one").unwrap().is_none());
    }

    /// An exporter that takes nothing while it is told so.
    #[derive(Debug, Default)]
    struct Moody(std::sync::Arc<AtomicBool>);

    impl SpanExporter for Moody {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            if self.0.load(Ordering::Relaxed) {
                return Err(opentelemetry_sdk::error::OTelSdkError::InternalFailure("away".into()));
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_collector_that_is_away_fails_nothing() {
        let moody = Moody::default();
        let away = moody.0.clone();
        let watched = Watched {
            inner: moody,
            endpoint: "c".into(),
            lost: AtomicU64::new(0),
            away: AtomicBool::new(false),
        };
        away.store(true, Ordering::Relaxed);
        assert!(watched.export(Vec::new()).await.is_ok());
        assert!(watched.away.load(Ordering::Relaxed));
        away.store(false, Ordering::Relaxed);
        assert!(watched.export(Vec::new()).await.is_ok());
        assert!(!watched.away.load(Ordering::Relaxed));
    }
}
