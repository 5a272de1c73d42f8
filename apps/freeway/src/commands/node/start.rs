//! `freeway node start`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use freeway_api::genesis::GenesisFile;
use freeway_host::adversary::Serve;
use freeway_host::{Adversary, Serving};
use freeway_ledger::Genesis;
use freeway_node::NodeConfig;
use freeway_node::node::{self, Ready};
use freeway_primitives::SecretKey;
use serde::Serialize;
use tokio::sync::{oneshot, watch};

use super::host::Host;
use crate::cli::Context;
use crate::commands::gateway::{self, Engines};
use crate::files::read_bounded;
use crate::hints::Problem;
use crate::keystore::{Keystore, PassphraseSource};
use crate::logging::{self, LogFormat};
use crate::output::{Page, Show};
use crate::telemetry::{self, Otlp};

/// How long a node may take until it listens; opening a large store takes a while.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest genesis file that is read.
const MAX_GENESIS_BYTES: u64 = 64 << 20;

/// Options of `freeway node start`.
#[derive(Debug, Args)]
pub(super) struct Start {
    /// The node's configuration, as `freeway node init` writes it.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Threads with which the host sprints; 0 takes one for each core [default: as the configuration says].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=4_096))]
    sprint_threads: Option<u16>,

    /// The part of the time in which they do, in percent [default: as the configuration says].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    sprint_share: Option<u8>,

    /// Cheat, to see what becomes of the host. Kinds: fake:PERCENT, replay, overcommit:FACTOR, withhold, lazy:copy,
    /// lazy:guess, accuse, late, grind, rent.
    #[arg(long, value_name = "KIND")]
    adversary: Option<Adversary>,

    /// How the log on stderr is written. What is logged follows RUST_LOG.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    #[command(flatten)]
    otlp: Otlp,

    /// Stop when standard input closes: for a parent process that must not leave nodes behind.
    #[arg(long)]
    stop_with_parent: bool,
}

/// Printed once the node listens.
#[derive(Debug, Serialize)]
struct Listening {
    ready: bool,
    rpc: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<String>,
    peer: String,
    chain: String,
}

impl Show for Listening {
    fn show(&self, page: &mut Page) {
        page.fields([
            ("node", self.rpc.clone()),
            ("API", self.api.clone().unwrap_or_default()),
            ("peer", self.peer.clone()),
            ("chain", self.chain.clone()),
        ]);
    }
}

impl Start {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let config = NodeConfig::load(&self.config).map_err(|error| {
            Problem::told("invalid_config", error).or_hint("correct the file and start again")
        })?;
        let telemetry = self.otlp.start("freeway-node", &config.moniker)?;
        logging::start_as(self.log_format, telemetry.as_ref());
        let ended = self.serve(config, context).await;
        telemetry::stop(telemetry).await;
        ended
    }

    async fn serve(self, config: NodeConfig, context: &Context) -> Result<(), Problem> {
        let genesis = read_genesis(&config.genesis)?;
        let key = unlock(&config, context)?;
        let chain = genesis.chain().to_string();
        let mut engines = Engines::new(config.gateway.as_ref(), config.serve.as_ref())?;
        let mut host = self.host(&config, &key)?;
        if let (Some(host), Some(serve)) = (&mut host, &config.serve) {
            host.serving = Some(Serving {
                scorers: engines.scorers(),
                engines: Arc::clone(&engines.registry),
                models: engines.served(serve)?,
                requests: serve.requests,
            });
        }
        if matches!(self.adversary, Some(Adversary::Serve(Serve::Coarser | Serve::Rescore))) {
            engines.coarsen()?;
        }
        engines.publish(config.gateway.as_ref(), None).await?;
        let stopping = crate::signals::stop_or_parent(self.stop_with_parent);
        let gateway = match &config.gateway {
            Some(gateway) => Some(gateway::start(gateway, engines.registry, None).await?),
            None => None,
        };
        let api = gateway.as_ref().map(|gateway| gateway.api());

        let (stop, stopped) = watch::channel(false);
        let (ended, host_stopped, beside_stopped) = (stop.clone(), stopped.clone(), stopped.clone());
        tokio::spawn(async move {
            stopping.await;
            stop.send_replace(true);
            // A second request does not wait for order.
            crate::signals::stop().await;
            std::process::exit(130);
        });
        let (ready, listening) = oneshot::channel::<Ready>();
        let output = context.output();
        let beside = async move {
            let Ok(ready) = listening.await else { return Ok(()) };
            let announced = output.result(&Listening {
                ready: true,
                rpc: format!("http://{}", ready.rpc),
                api,
                peer: ready.peer,
                chain,
            });
            let gateway = gateway::until(gateway, beside_stopped);
            match (host, ready.access) {
                (Some(host), Some(access)) => {
                    tokio::join!(host.run(access, host_stopped), gateway);
                }
                _ => gateway.await,
            }
            announced
        };
        let explorer = config.explorer.clone();
        let pages = explorer.enabled.then(|| {
            let private = config.sprint.as_ref().is_some_and(|sprint| sprint.allow_private);
            freeway_explorer::mount(explorer, &config.data, private)
        });
        let node = async move {
            let run = node::run(config, genesis, key, pages, ready, stopped).await;
            // A node that failed takes its host with it.
            ended.send_replace(true);
            run
        };
        let (run, announced) = tokio::join!(node, beside);
        run.map_err(|error| {
            Problem::told("node_stopped", error).or_hint("see the log above for what led to it")
        })?;
        announced
    }
}

impl Start {
    /// The host that sprints in this process, if the configuration has one.
    fn host(&self, config: &NodeConfig, key: &SecretKey) -> Result<Option<Host>, Problem> {
        let address = config.host().map_err(|error| Problem::told("invalid_config", error))?;
        let (Some(address), Some(sprint)) = (address, &config.sprint) else {
            let wanted =
                self.sprint_threads.is_some() || self.sprint_share.is_some() || self.adversary.is_some();
            if wanted {
                return Err(Problem::new("invalid_config", "this node has no host that sprints")
                    .hint("add `host` and a section [sprint] to the configuration"));
            }
            return Ok(None);
        };
        let mut sprint = sprint.clone();
        if let Some(threads) = self.sprint_threads {
            sprint.threads = usize::from(threads);
        }
        if let Some(share) = self.sprint_share {
            sprint.share = share;
        }
        let (key, data) = (key.clone(), config.data.clone());
        Ok(Some(Host { address, key, data, sprint, serving: None, adversary: self.adversary }))
    }
}

/// Reads and checks a genesis file.
pub(crate) fn read_genesis(path: &Path) -> Result<Genesis, Problem> {
    let bytes = read_bounded(path, MAX_GENESIS_BYTES)?;
    let told = |error: &dyn std::fmt::Display| {
        Problem::told("invalid_genesis", format!("{}: {error}", path.display()))
            .or_hint("make one with `freeway genesis new`; `freeway genesis show FILE` checks it")
    };
    let text = String::from_utf8(bytes).map_err(|error| told(&error))?;
    let file = GenesisFile::from_json(&text).map_err(|error| told(&error))?;
    file.build().map_err(|error| told(&error))
}

fn unlock(config: &NodeConfig, context: &Context) -> Result<SecretKey, Problem> {
    let keystore = Keystore::open(&config.key.keystore)?;
    keystore.entry(&config.key.name)?;
    let file = context.global().passphrase_file.clone().or_else(|| config.key.passphrase_file.clone());
    let source = PassphraseSource::of_process(file)?;
    let passphrase = source.existing(&format!("Passphrase of {}", config.key.name))?;
    Ok(keystore.unlock(&config.key.name, &passphrase)?)
}
