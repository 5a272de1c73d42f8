//! The configuration of a node: a TOML file in which unknown keys are errors.

mod explorer;
mod gateway;
mod lanes;
mod schema;
mod serve;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use freeway_network::{PeerAddress, PeerId};
use freeway_primitives::Address;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use explorer::{ExplorerConfig, ReferencePrice};
pub use gateway::{GatewayConfig, UpstreamConfig};
pub use lanes::{GatewayFile, LanesConfig};
pub use schema::schemas;
pub use serve::ServeConfig;

/// Bytes of a configuration file; a longer one is no configuration.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}; {kind}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
        /// What it was to be.
        kind: ConfigKind,
    },
    /// The file is longer than any configuration.
    #[error("{0} is longer than 1 MiB; name a configuration")]
    TooLong(PathBuf),
    /// The file is not valid: unknown keys, wrong types.
    #[error("{path}: {detail}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, key and reason.
        detail: String,
    },
}

/// Whose configuration a file is; shown, how one comes by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigKind {
    /// A node's.
    Node,
    /// A gateway's.
    Gateway,
}

impl core::fmt::Display for ConfigKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Node => "make one with `freeway node init`",
            Self::Gateway => {
                "name a file with the sections [gateway] and [lanes], such as the gateway/gateway.toml that `freeway up` \
                 makes in its directory, or leave --config out and say all with options"
            }
        })
    }
}

/// A node's configuration. Relative paths count from the file's folder.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The node's name in logs and for peers.
    pub moniker: String,
    /// The folder of the node's data: chain, state, races, receipts. The first start makes it. Never run two nodes on copies
    /// of it.
    #[schema(value_type = String, format = "path")]
    pub data: PathBuf,
    /// The network's genesis file, the same on all its nodes.
    #[schema(value_type = String, format = "path")]
    pub genesis: PathBuf,
    /// The host that this node signs for: the address of the account that owns it, `fwy1…`. Without one the node only
    /// follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The node's key.
    pub key: KeyConfig,
    /// The network of validators.
    pub consensus: ConsensusConfig,
    /// The network of transactions.
    pub gossip: GossipConfig,
    /// The HTTP interface.
    pub rpc: RpcConfig,
    /// The host's part in the sprint; without it the host keeps its duties as a validator only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sprint: Option<SprintConfig>,
    /// The OpenAI interface to the models that this node serves; without it there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayConfig>,
    /// What the host serves in lanes; without it the host is drawn for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serve: Option<ServeConfig>,
    /// The pages about the network.
    #[serde(default)]
    pub explorer: ExplorerConfig,
    /// What is kept on disk.
    #[serde(default)]
    pub store: StoreConfig,
    /// How a new node gets the chain's state.
    #[serde(default)]
    pub join: JoinConfig,
}

/// Where a key is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The folder of keys, encrypted, as `freeway keys` makes it.
    #[schema(value_type = String, format = "path")]
    pub keystore: PathBuf,
    /// The key's name in it.
    #[serde(default = "KeyConfig::default_name")]
    pub name: String,
    /// A file with the keystore's passphrase, readable by its owner only. Without it the passphrase comes from
    /// the environment variable FREEWAY_PASSPHRASE or from the terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "path")]
    pub passphrase_file: Option<PathBuf>,
}

impl KeyConfig {
    /// The usual name of a node's key.
    pub fn default_name() -> String {
        "node".into()
    }
}

/// The network of validators.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsensusConfig {
    /// Where to listen, as IP:PORT.
    #[schema(value_type = String, format = "IP:PORT")]
    pub listen: SocketAddr,
    /// Validators or sentries to stay connected with, as IP:PORT.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub peers: Vec<SocketAddr>,
    /// Talk to `peers` only: for a validator behind sentries, whose address nobody else learns.
    #[serde(default)]
    pub only_peers: bool,
}

/// The network of transactions.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GossipConfig {
    /// Where to listen, as IP:PORT.
    #[schema(value_type = String, format = "IP:PORT")]
    pub listen: SocketAddr,
    /// Nodes to stay connected with, as HOST:PORT or ID@HOST:PORT.
    #[serde(default)]
    pub peers: Vec<String>,
    /// If not empty, only nodes with these identities may connect: a private network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
}

impl GossipConfig {
    /// The peers, parsed.
    ///
    /// # Errors
    /// If one is malformed; names it.
    pub fn peers(&self) -> Result<Vec<PeerAddress>, String> {
        self.peers.iter().map(|peer| peer.parse().map_err(|error| format!("gossip.peers: {error}"))).collect()
    }

    /// The allowed identities, parsed.
    ///
    /// # Errors
    /// If one is malformed; names it.
    pub fn allowed(&self) -> Result<Vec<PeerId>, String> {
        let parse = |id: &String| {
            id.parse().map_err(|_| {
                format!("gossip.allowed: {id:?} is not a node identity; it starts with 12D3KooW")
            })
        };
        self.allowed.iter().map(parse).collect()
    }
}

/// The HTTP interface.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RpcConfig {
    /// Where to listen, as IP:PORT; port 0 takes a free one.
    #[schema(value_type = String, format = "IP:PORT")]
    pub listen: SocketAddr,
}

/// How a host sprints, and where others find what it must show them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SprintConfig {
    /// Threads that compute; 0 takes one for each core.
    #[serde(default)]
    pub threads: usize,
    /// The part of the time of a race in which they compute, in percent.
    #[serde(default = "SprintConfig::default_share")]
    pub share: u8,
    /// Where other hosts and payers ask this one, as IP:PORT; port 0 takes a free one.
    #[schema(value_type = String, format = "IP:PORT")]
    pub listen: SocketAddr,
    /// The URL under which others reach `listen`; kept up to date in the host's record on the chain. Without it
    /// the record stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Ask hosts at private and loopback addresses as well: for networks of one machine or one organisation.
    #[serde(default)]
    pub allow_private: bool,
}

impl SprintConfig {
    /// The whole of the time.
    pub fn default_share() -> u8 {
        100
    }
}

/// What is kept on disk, and when it is written.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Memory for caches in MiB.
    pub cache_mib: usize,
    /// Blocks to keep; 0 keeps all. Nodes that join without a snapshot need all of them from somebody.
    pub retain_blocks: u64,
    /// Blocks between two writes of the state. Blocks themselves are written at once; after a crash, so many are executed
    /// again at most.
    pub flush_every: u64,
    /// Epochs between two snapshots for new nodes; 0 makes none.
    pub snapshot_every_epochs: u64,
    /// Snapshots to keep.
    pub snapshots: usize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { cache_mib: 64, retain_blocks: 0, flush_every: 16, snapshot_every_epochs: 1, snapshots: 2 }
    }
}

/// How a new node gets the chain's state.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JoinConfig {
    /// Nodes, as URLs, from which an empty node fetches a snapshot instead of executing every block since
    /// genesis. None of them is trusted: everything is checked against certificates, starting from genesis.
    pub snapshot_from: Vec<String>,
    /// This key has never signed for this network, so an empty directory has forgotten nothing and the node
    /// may sign at once. Never set it for a node that lost its data.
    pub key_is_new: bool,
}

impl NodeConfig {
    /// Reads a configuration; relative paths in the result count from the file's folder.
    ///
    /// # Errors
    /// [`ConfigError`] if it cannot be read or has an unknown or malformed key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path, ConfigKind::Node)?;
        let mut config =
            Self::parse(&text).map_err(|detail| ConfigError::Invalid { path: path.to_owned(), detail })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for relative in [&mut config.data, &mut config.genesis, &mut config.key.keystore]
            .into_iter()
            .chain(config.key.passphrase_file.as_mut())
        {
            *relative = folder.join(&relative);
        }
        if let Some(gateway) = &mut config.gateway {
            gateway.resolve(folder);
        }
        if let Some(serve) = &mut config.serve {
            serve.resolve(folder);
        }
        Ok(config)
    }

    /// Parses a configuration.
    ///
    /// # Errors
    /// A description with line and key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        config.check()?;
        Ok(config)
    }

    /// What makes no sense, in words.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<(), String> {
        let config = self;
        config.gossip.peers()?;
        config.gossip.allowed()?;
        config.host()?;
        if config.store.cache_mib > 1 << 20 {
            return Err("store.cache_mib must be at most 1048576, a tebibyte".into());
        }
        if config.store.flush_every == 0 || config.store.flush_every > 1_000 {
            return Err("store.flush_every must be from 1 to 1000".into());
        }
        config.explorer.check()?;
        if let Some(sprint) = &config.sprint {
            if config.host.is_none() {
                return Err("sprint: only a host sprints; add `host`, or remove the section".into());
            }
            if !(1..=100).contains(&sprint.share) {
                return Err("sprint.share must be from 1 to 100 percent".into());
            }
            if sprint.threads > 4_096 {
                return Err("sprint.threads must be at most 4096".into());
            }
        }
        if let Some(gateway) = &config.gateway {
            gateway.check()?;
        }
        if let Some(serve) = &config.serve {
            if config.sprint.is_none() {
                return Err(
                    "serve: hosts are asked at sprint.listen; add `host` and a section [sprint], or \
                            remove the section"
                        .into(),
                );
            }
            serve.check()?;
        }
        if config.consensus.listen.port() == 0 {
            return Err("consensus.listen needs a port: peers must know where to find this node".into());
        }
        Ok(())
    }

    /// The host, parsed.
    ///
    /// # Errors
    /// If it is not an address.
    pub fn host(&self) -> Result<Option<Address>, String> {
        self.host.as_ref().map(|host| host.parse().map_err(|error| format!("host: {error}"))).transpose()
    }

    /// The configuration as text.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_default()
    }
}

/// A file's text, if it is no longer than any configuration.
fn read_text(path: &Path, kind: ConfigKind) -> Result<String, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_owned(), source, kind };
    if std::fs::metadata(path).map_err(read)?.len() > MAX_FILE_BYTES {
        return Err(ConfigError::TooLong(path.to_owned()));
    }
    std::fs::read_to_string(path).map_err(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
moniker = "one"
data = "data"
genesis = "genesis.json"
[key]
keystore = "keys"
[consensus]
listen = "127.0.0.1:27000"
[gossip]
listen = "127.0.0.1:0"
[rpc]
listen = "127.0.0.1:0"
"#;

    #[test]
    fn what_is_written_reads_back() {
        let config = NodeConfig::parse(MINIMAL).unwrap();
        let again = NodeConfig::parse(&config.to_toml()).unwrap();
        assert_eq!(config.to_toml(), again.to_toml());
        assert_eq!(again.key.name, "node");
        assert_eq!(again.store.flush_every, 16);
    }

    #[test]
    fn unknown_keys_and_bad_values_are_named() {
        for (change, named) in [
            (("moniker = \"one\"", "moniker = \"one\"\ncolour = 3"), "colour"),
            (("[rpc]\n", "[rpc]\ncors = true\n"), "cors"),
            (("27000", "270000"), "listen"),
            (("127.0.0.1:27000", "127.0.0.1:0"), "consensus.listen"),
            (("data = \"data\"", "data = \"data\"\nhost = \"fwy1x\""), "host"),
            (("[rpc]\n", "[store]\nflush_every = 0\n[rpc]\n"), "flush_every"),
            (("[rpc]\n", "[explorer]\napi = \"javascript:alert(1)\"\n[rpc]\n"), "explorer.api"),
            (("[rpc]\n", "[explorer]\nhistory_epochs = 0\n[rpc]\n"), "history_epochs"),
            (
                (
                    "[rpc]\n",
                    "[[explorer.reference_prices]]\nname = \"x\"\ninput = \"1\"\noutput = \"2\"\nsource = \"y\"\n\
                     date = \"today\"\n[rpc]\n",
                ),
                "YYYY-MM-DD",
            ),
            (("[rpc]\n", "[serve]\n[rpc]\n"), "serve: hosts are asked"),
            (("[rpc]\n", "[sprint]\nlisten = \"127.0.0.1:0\"\n[rpc]\n"), "only a host sprints"),
            (("[rpc]\n", "[gateway]\nlisten = \"10.0.0.1:8700\"\n[rpc]\n"), "gateway.keys"),
            (("[rpc]\n", "[gateway]\nlisten = \"127.0.0.1:0\"\nsequences = 0\n[rpc]\n"), "gateway.sequences"),
        ] {
            let text = MINIMAL.replace(change.0, change.1);
            let error = NodeConfig::parse(&text).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
