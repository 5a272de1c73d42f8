//! The log of long-running commands, on stderr; and, beside it, spans for a collector.

use std::io::IsTerminal;

use clap::ValueEnum;
use freeway_api::trace::TARGET;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::telemetry::Telemetry;

/// What is logged unless RUST_LOG says otherwise: our own steps, others' warnings.
const DEFAULT_LOG: &str = "warn,arc_malachitebft_network=off,arc_malachitebft_discovery=off,freeway=info,freeway_node=info,freeway_host=info,freeway_gateway=info,freeway_engines=info,freeway_inference=info,freeway_consensus=info,freeway_store=info,freeway_network=info";

/// How the log is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log. What is logged follows RUST_LOG. With `telemetry`, spans go to its collector, and nowhere else.
pub(crate) fn start_as(format: LogFormat, telemetry: Option<&Telemetry>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    // Spans for collectors are no part of the log, and without a collector they are not even made.
    let filter = match format!("{TARGET}=off").parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let log = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let log = match format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().boxed(),
    };
    let spans = telemetry.map(|telemetry| {
        tracing_opentelemetry::layer()
            .with_tracer(telemetry.tracer())
            // Where in the code a span is made is nothing for operators.
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(TARGET, Level::INFO))
    });
    tracing_subscriber::registry().with(log.with_filter(filter)).with(spans).init();
}
