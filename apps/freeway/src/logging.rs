//! The log of long-running commands, on stderr.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

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

/// Starts the log. What is logged follows RUST_LOG.
pub(crate) fn start_as(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
