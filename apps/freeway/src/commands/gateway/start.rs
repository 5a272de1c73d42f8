//! A gateway as a configuration describes it: in a process of its own, or beside a node.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use freeway_engines::{Exact, ExactOptions, Registry, Secret, Upstream, UpstreamOptions};
use freeway_gateway::{Access, Allowance, Config, Gateway, Key, KeySet, Running};
use freeway_models::{Library, guide};
use freeway_node::config::{GatewayConfig, UpstreamConfig};
use tokio::sync::watch;

use crate::files::read_bounded;
use crate::hints::Problem;

/// How long answers that have begun may take when the process stops.
const DRAIN: Duration = Duration::from_secs(5);
/// Largest file of keys.
const MAX_KEYS_BYTES: u64 = 16 << 20;

/// Starts to answer.
///
/// # Errors
/// If a model or key cannot be read, or the address is taken.
pub(crate) async fn start(config: &GatewayConfig) -> Result<Running, Problem> {
    let registry = Arc::new(Registry::new());
    let mut options = ExactOptions::default();
    if config.threads > 0 {
        options.model.threads = config.threads;
    }
    options.engine.cache_bytes = (config.cache_mib as u64) << 20;
    options.engine.max_sequences = config.sequences;
    let exact = Exact::new(options);
    for name in &config.serve {
        add(&exact, name, &config.models)?;
    }
    let told = |error: &dyn std::fmt::Display| Problem::told("invalid_config", error);
    registry.add_engine(Arc::new(exact)).await.map_err(|error| told(&error))?;
    for upstream in &config.upstream {
        let server = Upstream::new(upstream_options(upstream)?).map_err(|error| told(&error))?;
        registry.add_engine(Arc::new(server)).await.map_err(|error| told(&error))?;
    }
    let access = match &config.keys {
        Some(path) => Access::Keys(keys(path)?),
        None => Access::Open,
    };
    let mut settings = Config::new(config.listen, access);
    settings.cors = config.cors.clone();
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

fn add(exact: &Exact, name: &str, folder: &Path) -> Result<(), Problem> {
    let guide = guide::package();
    let package = if name == guide.name() {
        guide
    } else {
        let unknown = |error: &dyn std::fmt::Display| {
            Problem::told("unknown_model", format!("gateway.serve: {error}"))
                .or_hint("`freeway model list` shows the models of this machine")
        };
        let library = Library::open(folder).map_err(|error| unknown(&error))?;
        let entry = library.find(name).map_err(|error| unknown(&error))?;
        library.load(&entry).map_err(|error| unknown(&error))?
    };
    let name = package.name().to_owned();
    exact
        .add(&name, package)
        .map_err(|error| Problem::told("invalid_config", format!("gateway.serve: {error}")))
}

fn upstream_options(config: &UpstreamConfig) -> Result<UpstreamOptions, Problem> {
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

/// Reads a file with one `NAME KEY` a line; lines that begin with `#` are remarks.
fn keys(path: &Path) -> Result<KeySet, Problem> {
    let mut keys = KeySet::new();
    for (number, line) in text(path)?.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |reason: String| {
            Problem::new("invalid_keys", format!("{}, line {}: {reason}", path.display(), number + 1))
                .hint("write one `NAME KEY` a line; a key is `fw-` and 43 letters and digits")
        };
        let (name, key) =
            line.trim().split_once(char::is_whitespace).ok_or_else(|| bad("there is no key".into()))?;
        let key = Key::parse(key.trim()).map_err(|error| bad(error.to_string()))?;
        keys.add(name, key.hash(), Allowance::default()).map_err(|error| bad(error.to_string()))?;
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
