//! `freeway node init`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use freeway_node::NodeConfig;
use freeway_node::config::{
    ConsensusConfig, ExplorerConfig, GossipConfig, JoinConfig, KeyConfig, RpcConfig, ServeConfig,
    SprintConfig, StoreConfig,
};
use freeway_primitives::{Address, Amount};
use serde::Serialize;

use crate::cli::Context;
use crate::commands::engine::WhichEngine;
use crate::files::write_new;
use crate::hints::Problem;
use crate::host_file::HostFile;
use crate::keystore::{DerivationPath, KdfParams, KeyName, Keystore, Mnemonic};
use crate::output::{Page, Show};

/// Options of `freeway node init`.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The node's folder: made by this command, must not have a node yet.
    #[arg(long, value_name = "DIR")]
    home: PathBuf,

    /// The account that owns the host, an address or the name of a key; without it the node only follows.
    #[arg(long, value_name = "ACCOUNT")]
    host: Option<crate::cli::Party>,

    /// Where validators reach this node.
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:27000")]
    consensus: SocketAddr,

    /// Where other nodes send transactions.
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:27100")]
    gossip: SocketAddr,

    /// Where HTTP is served. Keep it on loopback unless it shall be public.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7700")]
    http: SocketAddr,

    /// Where other hosts fetch what they check of this host's sprints.
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:27200")]
    sprint: SocketAddr,

    /// The URL under which they reach that, such as http://203.0.113.7:27200.
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Threads that sprint; 0 takes one for each core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    sprint_threads: usize,

    /// The part of the time in which they do, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    sprint_share: u8,

    /// Who runs the host.
    #[arg(long, default_value = "")]
    operator: String,

    /// Where it stands.
    #[arg(long, default_value = "")]
    region: String,

    /// A model that the host serves in lanes: `guide`, or the name or root of a package in the folder `models` of the
    /// node; may be given several times.
    #[arg(long, value_name = "MODEL", requires = "host")]
    serve: Vec<String>,

    /// Lets a server answer for the model of --serve, or for the guide.
    #[command(flatten)]
    engine: WhichEngine,

    /// Its power in the network's first two epochs.
    #[arg(long, default_value_t = 1_000)]
    weight: u64,

    /// Its collateral in the genesis.
    #[arg(long, value_name = "AMOUNT", default_value = "100 FWY")]
    collateral: Amount,

    /// This key has never signed for the network, so the node may sign at once. Leave it out when a lost node is
    /// set up again under its old key.
    #[arg(long)]
    key_is_new: bool,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    config: PathBuf,
    host_file: Option<PathBuf>,
    consensus_key: String,
    /// The words of the node's key; shown this once.
    words: String,
}

impl Show for Made {
    fn show(&self, page: &mut Page) {
        let host_file = self
            .host_file
            .as_ref()
            .map_or_else(|| "none: it only follows".into(), |p| p.display().to_string());
        page.fields([
            ("configuration", self.config.display().to_string()),
            ("host file", host_file),
            ("consensus key", self.consensus_key.clone()),
            ("words of the key", self.words.clone()),
        ]);
        page.line("Write the words down now: they are not kept and not shown again.");
    }
}

impl Init {
    fn passphrase_file(&self, context: &Context) -> Result<Option<PathBuf>, Problem> {
        let absolute =
            |path: &PathBuf| std::path::absolute(path).map_err(|error| Problem::file("find", path, error));
        context.global().passphrase_file.as_ref().map(absolute).transpose()
    }

    pub(super) fn run(self, context: &Context) -> Result<(), Problem> {
        let host: Option<Address> = self.host.as_ref().map(|party| context.address(party)).transpose()?;
        let serve = self.serve()?;
        let config_path = self.home.join("node.toml");
        if config_path.exists() {
            return Err(Problem::new(
                "node_exists",
                format!("there is a node in {} already", self.home.display()),
            )
            .hint("choose another --home, or move it away"));
        }
        std::fs::create_dir_all(&self.home).map_err(|error| Problem::file("make", &self.home, error))?;
        let passphrase = context.passphrases()?.new_passphrase("Passphrase of the node's key")?;
        let mnemonic = Mnemonic::generate()?;
        let path = DerivationPath::default();
        let key = mnemonic.key(None, &path);
        let name: KeyName =
            KeyConfig::default_name().parse().map_err(|error| Problem::told("defect", error))?;
        Keystore::open(self.home.join("keys"))?.create(
            &name,
            &key,
            Some(&path),
            &passphrase,
            KdfParams::DEFAULT,
        )?;

        let config = NodeConfig {
            moniker: self
                .home
                .file_name()
                .map_or_else(|| "node".into(), |name| name.to_string_lossy().into_owned()),
            data: "data".into(),
            genesis: "genesis.json".into(),
            host: host.map(|host| host.to_string()),
            key: KeyConfig {
                keystore: "keys".into(),
                name: KeyConfig::default_name(),
                // Paths in the file count from the node's folder, the one on the command line from where it is given.
                passphrase_file: self.passphrase_file(context)?,
            },
            consensus: ConsensusConfig { listen: self.consensus, peers: Vec::new(), only_peers: false },
            gossip: GossipConfig { listen: self.gossip, peers: Vec::new(), allowed: Vec::new() },
            rpc: RpcConfig { listen: self.http },
            sprint: host.map(|_| SprintConfig {
                threads: self.sprint_threads,
                share: self.sprint_share,
                listen: self.sprint,
                url: self.url.clone(),
                allow_private: false,
            }),
            gateway: None,
            serve,
            store: StoreConfig::default(),
            explorer: ExplorerConfig::default(),
            join: JoinConfig { snapshot_from: Vec::new(), key_is_new: self.key_is_new },
        };
        write_new(&config_path, config.to_toml().as_bytes())?;
        let host_file = match host {
            None => None,
            Some(address) => {
                let path = self.home.join("host.json");
                let file = HostFile {
                    address,
                    consensus_key: key.public(),
                    operator: self.operator,
                    region: self.region,
                    endpoints: self.url.into_iter().collect(),
                    weight: self.weight,
                    collateral: self.collateral,
                };
                file.write(&path)?;
                Some(path)
            }
        };
        context.output().result(&Made {
            config: config_path,
            host_file,
            consensus_key: key.public().to_string(),
            words: mnemonic.phrase().to_string(),
        })
    }

    /// What the host serves in lanes, if it does.
    fn serve(&self) -> Result<Option<ServeConfig>, Problem> {
        if self.serve.is_empty() && !self.engine.is_named() {
            return Ok(None);
        }
        if self.host.is_none() {
            return Err(Problem::usage("only a host serves models").hint("name its account with --host"));
        }
        let models = if self.serve.is_empty() { ServeConfig::default().models } else { self.serve.clone() };
        let upstream = match (models.as_slice(), self.engine.is_named()) {
            (_, false) => None,
            ([only], true) => self.engine.config(only)?,
            _ => {
                return Err(Problem::usage(
                    "it is not said for which of the models the server of --engine answers",
                )
                .hint("name one with --serve, and write the others into [serve] of node.toml"));
            }
        };
        let serve =
            ServeConfig { models, upstream: upstream.into_iter().collect(), ..ServeConfig::default() };
        serve.check().map_err(|error| Problem::told("invalid_config", error))?;
        Ok(Some(serve))
    }
}
