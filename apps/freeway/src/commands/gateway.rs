//! `freeway gateway`: the OpenAI interface, to models on this machine or to hosts of a network that are paid in lanes.

mod engines;
mod lanes;
pub(crate) mod local;
mod start;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use freeway_engines::Engine;
use freeway_node::config::{GatewayConfig, GatewayFile, KeyConfig, LanesConfig, UpstreamConfig};
use freeway_primitives::Amount;
use serde::Serialize;
use tokio::sync::watch;

use crate::cli::{Context, KEYS, Party};
use crate::commands::model::FOLDER;
use crate::hints::Problem;
use crate::keystore::{KeyName, Keystore};
use crate::logging::LogFormat;
use crate::network_file::NetworkFile;
use crate::output::{Page, Show};
use crate::telemetry::{self, Otlp};

pub(crate) use engines::Engines;
pub(crate) use start::{keys, start, until, upstream_options};

/// Where a gateway keeps what it must not forget, in the directory of a network.
const DATA: &str = "gateway-data";

const EXAMPLES: &str = "\
Examples:
  freeway gateway                                        the guide at http://127.0.0.1:8700/v1, for this machine
  freeway gateway --serve guide --serve my-model         packages that `freeway model list` shows
  freeway gateway --keys keys.txt --listen 0.0.0.0:8700  for others, who need one of the keys
  freeway gateway --keys keys.txt --passes passes        and who holds a pass of `freeway pass new --passes passes`
  freeway gateway --upstream http://127.0.0.1:8080/v1 --forward big=their-name

  freeway gateway --rpc http://127.0.0.1:7700 --pay-from alice --escrow 5 --budget 50
                                                         hosts of that network answer, and are paid by alice
  freeway gateway --config gateway.toml                  all that and more in a file: [gateway], [lanes]

The budget is for all time: what was spent is kept in --data. Hosts of a network have a gateway of their own too: see
[gateway] in node.toml. `freeway up` starts one that pays.";

/// Options of `freeway gateway`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Gateway {
    /// Read everything from a file with the sections [gateway] and [lanes]; no other option is looked at.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Pay hosts of the network with this key: its name here. Nodes are those of --rpc or --dir.
    #[arg(long, value_name = "NAME", help_heading = "Lanes")]
    pay_from: Option<KeyName>,

    /// Pay from this account, which has given the key the scope `lane`.
    #[arg(long, value_name = "ADDRESS|NAME", requires = "pay_from", help_heading = "Lanes")]
    account: Option<Party>,

    /// What a lane is filled with at a time.
    #[arg(long, value_name = "AMOUNT", default_value = "10", help_heading = "Lanes")]
    escrow: Amount,

    /// The most that is spent in all.
    #[arg(long, value_name = "AMOUNT", default_value = "100", help_heading = "Lanes")]
    budget: Amount,

    /// Hosts of each lane.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16), help_heading = "Lanes")]
    hosts: u8,

    /// Only hosts in this region; may be given several times.
    #[arg(long = "region", value_name = "NAME", help_heading = "Lanes")]
    regions: Vec<String>,

    /// Only hosts of this operator; may be given several times.
    #[arg(long = "operator", value_name = "NAME", help_heading = "Lanes")]
    operators: Vec<String>,

    /// A folder of passes: those of its owners are taken like keys; see `freeway pass`.
    #[arg(long, value_name = "DIR")]
    passes: Option<PathBuf>,

    /// Where lanes, receipts and what keys and passes have spent are kept [default: `gateway-data` in the directory of
    /// the network].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Answer with this machine's engine, free of charge, while no lane is open.
    #[arg(long, help_heading = "Lanes")]
    fallback: bool,

    /// Ask hosts at private and loopback addresses as well: for a network of one machine or one organisation.
    #[arg(long, help_heading = "Lanes")]
    allow_private: bool,

    /// How the log on stderr is written. What is logged follows RUST_LOG.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    #[command(flatten)]
    otlp: Otlp,

    /// Stop when standard input closes: for a parent process that must not leave gateways behind.
    #[arg(long)]
    stop_with_parent: bool,

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
    /// Whether hosts of a network are paid for answers.
    pays: bool,
}

impl Show for Listening {
    fn show(&self, page: &mut Page) {
        let answers = if self.pays { "hosts of the network, paid in lanes" } else { "this machine" };
        page.fields([("API", self.api.clone()), ("answered by", answers.to_owned())]);
        page.line("Ctrl-C stops it.");
    }
}

impl Gateway {
    /// Runs the command.
    ///
    /// # Errors
    /// If a model or key cannot be read, or the address is taken.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let telemetry = self.otlp.start("freeway-gateway", &self.instance())?;
        crate::logging::start_as(self.log_format, telemetry.as_ref());
        let ended = self.answer(context).await;
        telemetry::stop(telemetry).await;
        ended
    }

    /// Which gateway this is among others.
    fn instance(&self) -> String {
        match &self.config {
            Some(path) => path.display().to_string(),
            None => self.listen.to_string(),
        }
    }

    async fn answer(self, context: &Context) -> Result<(), Problem> {
        let with_parent = self.stop_with_parent;
        let file = match &self.config {
            Some(path) => GatewayFile::load(path).map_err(|error| {
                Problem::told("invalid_config", error).or_hint("correct the file and start again")
            })?,
            None => self.file(context)?,
        };
        let mut engines = Engines::new(Some(&file.gateway), None)?;
        let mut names = Vec::new();
        let paying = match &file.lanes {
            Some(lanes) => {
                names = engines.for_lanes(lanes, &file.gateway.models)?;
                Some(lanes::start(lanes, &names, &engines, context).await?)
            }
            None => None,
        };
        let lanes = paying.as_ref().map(|paying| Arc::clone(&paying.lanes));
        let paid = lanes.clone().map(|lanes| (lanes as Arc<dyn Engine>, names.as_slice()));
        engines.publish(Some(&file.gateway), paid).await?;
        let stopping = crate::signals::stop_or_parent(with_parent);
        let running = start(&file.gateway, engines.registry, paying).await?;
        context.output().result(&Listening { ready: true, api: running.api(), pays: lanes.is_some() })?;
        let (stop, stopped) = watch::channel(false);
        tokio::join!(until(Some(running), stopped), async {
            stopping.await;
            stop.send_replace(true);
        });
        if let Some(lanes) = lanes {
            lanes.shutdown().await;
        }
        Ok(())
    }

    /// What the options say, as a file would.
    fn file(self, context: &Context) -> Result<GatewayFile, Problem> {
        let lanes = self.lanes(context)?;
        let models = match self.models {
            Some(folder) => folder,
            None => context.directory()?.join(FOLDER),
        };
        let forward = self.forward.iter().map(|model| {
            let (ours, theirs) = model.split_once('=').unwrap_or((model, model));
            (ours.to_owned(), theirs.to_owned())
        });
        // Of what others spend, something has to be kept.
        let data = match (&self.data, &self.passes) {
            (None, Some(_)) => Some(context.directory()?.join(DATA)),
            (data, _) => data.clone(),
        };
        let gateway = GatewayConfig {
            keys: self.keys,
            data,
            passes: self.passes,
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
            ..GatewayConfig::new(self.listen)
        };
        let file = GatewayFile { gateway, lanes };
        file.check().map_err(|error| Problem::told("invalid_config", error))?;
        Ok(file)
    }

    fn lanes(&self, context: &Context) -> Result<Option<LanesConfig>, Problem> {
        let Some(key) = &self.pay_from else { return Ok(None) };
        let rpc = match &context.global().rpc {
            Some(url) => vec![url.clone()],
            None => NetworkFile::read(&context.directory()?)?.rpc,
        };
        let data = match &self.data {
            Some(data) => data.clone(),
            None => context.directory()?.join(DATA),
        };
        let account = self.account.as_ref().map(|party| context.address(party)).transpose()?;
        // Here --keys is not where keys of accounts are, but the file of those that callers have.
        let keystore = context.directory()?.join(KEYS);
        // A network of `freeway up` has the passphrase of its keys beside them; a key that was added has its own.
        let passphrase_file = context.local_passphrase(&Keystore::open(&keystore)?, key)?;
        let key = KeyConfig { keystore, name: key.to_string(), passphrase_file };
        Ok(Some(LanesConfig {
            rpc,
            chain: None,
            account: account.map(|account| account.to_string()),
            models: self.serve.clone(),
            hosts: self.hosts,
            escrow: self.escrow,
            budget: self.budget,
            lifetime: LanesConfig::default_lifetime(),
            regions: self.regions.clone(),
            operators: self.operators.clone(),
            data,
            fallback: self.fallback,
            allow_private: self.allow_private,
            key,
        }))
    }
}
