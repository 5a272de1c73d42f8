//! `freeway gateway`: the OpenAI interface to models on this machine, without a network.

mod start;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use freeway_node::config::{GatewayConfig, UpstreamConfig};
use serde::Serialize;
use tokio::sync::watch;

use crate::cli::Context;
use crate::commands::model::FOLDER;
use crate::hints::Problem;
use crate::output::{Page, Show};

pub(crate) use start::{start, until};

const EXAMPLES: &str = "\
Examples:
  freeway gateway                                        the guide at http://127.0.0.1:8700/v1, for this machine
  freeway gateway --serve guide --serve my-model         packages that `freeway model list` shows
  freeway gateway --keys keys.txt --listen 0.0.0.0:8700  for others, who need one of the keys
  freeway gateway --upstream http://127.0.0.1:8080/v1 --forward big=their-name

Hosts of a network have a gateway of their own: see [gateway] in node.toml, and `freeway up`.";

/// Options of `freeway gateway`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Gateway {
    /// Where to listen.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8700")]
    listen: SocketAddr,

    /// A model to serve, by name or root; may be given several times.
    #[arg(long, value_name = "MODEL", default_value = "guide")]
    serve: Vec<String>,

    /// The folder of packages [default: `models` in the directory of the network].
    #[arg(long, value_name = "DIR", env = "FREEWAY_MODELS")]
    models: Option<PathBuf>,

    /// A file of keys, one `NAME KEY` a line; without it everybody on this machine is answered.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,

    /// Threads that compute; 0 takes one for each core.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=4_096))]
    threads: u16,

    /// Memory for keys and values of each model, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    cache: u32,

    /// Sequences that each model computes at once.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    sequences: u16,

    /// A web page that may ask, as origin; may be given several times.
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,

    /// An OpenAI-compatible server that answers for the models of --forward, as URL ending in /v1.
    #[arg(long, value_name = "URL", requires = "forward")]
    upstream: Option<String>,

    /// A model of that server: its name here, or NAME=NAME-THERE; may be given several times.
    #[arg(long, value_name = "MODEL", requires = "upstream")]
    forward: Vec<String>,

    /// A file with the key for that server.
    #[arg(long, value_name = "FILE", requires = "upstream")]
    upstream_key: Option<PathBuf>,
}

/// Printed once it listens.
#[derive(Debug, Serialize)]
struct Listening {
    ready: bool,
    api: String,
}

impl Show for Listening {
    fn show(&self, page: &mut Page) {
        page.fields([("API", self.api.clone())]);
        page.line("Ctrl-C stops it.");
    }
}

impl Gateway {
    /// Runs the command.
    ///
    /// # Errors
    /// If a model or key cannot be read, or the address is taken.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        crate::logging::start();
        let models = match self.models {
            Some(folder) => folder,
            None => context.directory()?.join(FOLDER),
        };
        let forward = self.forward.iter().map(|model| {
            let (ours, theirs) = model.split_once('=').unwrap_or((model, model));
            (ours.to_owned(), theirs.to_owned())
        });
        let config = GatewayConfig {
            listen: self.listen,
            keys: self.keys,
            models,
            serve: self.serve,
            threads: usize::from(self.threads),
            cache_mib: self.cache as usize,
            sequences: usize::from(self.sequences),
            cors: self.cors,
            upstream: self
                .upstream
                .into_iter()
                .map(|url| UpstreamConfig {
                    url,
                    key_file: self.upstream_key.clone(),
                    models: forward.clone().collect(),
                })
                .collect(),
        };
        config.check().map_err(|error| Problem::told("invalid_config", error))?;
        let running = start(&config).await?;
        context.output().result(&Listening { ready: true, api: running.api() })?;
        let (stop, stopped) = watch::channel(false);
        tokio::join!(until(Some(running), stopped), async {
            crate::signals::stop().await;
            stop.send_replace(true);
        });
        Ok(())
    }
}
