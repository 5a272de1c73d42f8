//! A gateway as a configuration describes it: in a process of its own, or beside a node.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use freeway_engines::{Registry, Secret, UpstreamOptions};
use freeway_gateway::lanes::LaneEngine;
use freeway_gateway::{Access, Config, Gateway, KeySet, Payment, Running};
use freeway_node::config::{GatewayConfig, UpstreamConfig};
use tokio::sync::watch;

use crate::files::read_bounded;
use crate::hints::Problem;

/// How long answers that have begun may take when the process stops.
const DRAIN: Duration = Duration::from_secs(5);
/// Largest file of keys.
const MAX_KEYS_BYTES: u64 = 16 << 20;

/// What pays the hosts that answer.
pub(crate) struct Paying {
    /// Keeps the lanes.
    pub(crate) lanes: Arc<LaneEngine>,
    /// What callers are told whose budgets do not suffice, if the network is known.
    pub(crate) payment: Option<Payment>,
}

/// Starts to answer with the models of `registry`. With `paying`, hosts are paid, and what was paid is shown.
///
/// # Errors
/// If a key cannot be read, or the address is taken.
pub(crate) async fn start(
    config: &GatewayConfig,
    registry: Arc<Registry>,
    paying: Option<Paying>,
) -> Result<Running, Problem> {
    let access = match &config.keys {
        Some(path) => Access::Keys(keys(path)?),
        None => Access::Open,
    };
    let mut settings = Config::new(config.listen, access);
    settings.cors = config.cors.clone();
    settings.data = config.data.clone();
    settings.passes = config.passes.clone();
    if let Some(Paying { lanes, payment }) = paying {
        settings.lanes = Some(lanes);
        settings.payment = payment;
    }
    Gateway::start(settings, registry).await.map_err(|error| {
        Problem::told("no_gateway", error)
            .or_hint("choose another address for gateway.listen in the configuration")
    })
}

/// Keeps the gateway until `stop` is raised, then lets it end what it has begun.
pub(crate) async fn until(gateway: Option<Running>, mut stop: watch::Receiver<bool>) {
    let Some(gateway) = gateway else { return };
    // The other end only goes away when the process ends.
    let _ = stop.wait_for(|stop| *stop).await;
    gateway.shutdown(DRAIN).await;
}

/// How an OpenAI-compatible server is asked.
pub(crate) fn upstream_options(config: &UpstreamConfig) -> Result<UpstreamOptions, Problem> {
    let key = match &config.key_file {
        Some(path) => {
            let text = text(path)?;
            Some(Secret::new(text.trim()))
        }
        None => None,
    };
    let models = config.models.iter().map(|(ours, theirs)| (ours.clone(), theirs.clone())).collect();
    Ok(UpstreamOptions { key, models, ..UpstreamOptions::new(&config.url) })
}

/// Reads a file with one `NAME KEY` a line, and what the key may do; lines that begin with `#` are remarks.
pub(crate) fn keys(path: &Path) -> Result<KeySet, Problem> {
    let mut keys = KeySet::new();
    for (number, line) in text(path)?.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        keys.add_line(line).map_err(|error| {
            let place = format!("{}, line {}", path.display(), number + 1);
            Problem::told("invalid_keys", format!("{place}: {error}"))
                .or_hint("write one `NAME KEY` a line; a key is `fw-` and 43 letters and digits")
        })?;
    }
    if keys.is_empty() {
        return Err(Problem::new("invalid_keys", format!("{} has no keys", path.display()))
            .hint("write one `NAME KEY` a line"));
    }
    Ok(keys)
}

fn text(path: &Path) -> Result<String, Problem> {
    String::from_utf8(read_bounded(path, MAX_KEYS_BYTES)?)
        .map_err(|_| Problem::file("read", path, "it is not text"))
}
