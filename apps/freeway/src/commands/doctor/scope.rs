//! What is looked at: nodes by their configurations, a gateway, and nodes that only answer.

use std::path::{Path, PathBuf};

use freeway_ledger::Genesis;
use freeway_node::NodeConfig;
use freeway_node::config::GatewayFile;

use super::finding::Finding;
use crate::cli::Context;
use crate::commands::gateway::local as gateway;
use crate::commands::join::NODE;
use crate::commands::node::read_genesis;
use crate::hints::Problem;
use crate::network_file::NetworkFile;

/// The most nodes of a folder that are looked at.
const MAX_NODES: usize = 64;

/// A node.
#[derive(Debug)]
pub(super) struct Subject {
    /// Its name where there are several.
    pub(super) name: Option<String>,
    /// Its configuration's file; empty for a node of which only its address is known.
    pub(super) path: PathBuf,
    /// Its configuration, or what is wrong with it.
    pub(super) config: Result<NodeConfig, Problem>,
    /// Its network's genesis, if that can be read.
    pub(super) genesis: Option<Result<Genesis, Problem>>,
    /// One of a network that `freeway up` made.
    pub(super) is_local: bool,
}

impl Subject {
    /// The node with this configuration.
    fn read(name: Option<String>, path: PathBuf, is_local: bool) -> Self {
        let config = NodeConfig::load(&path).map_err(|error| Problem::told("invalid_config", error));
        let genesis = config.as_ref().ok().map(|config| read_genesis(&config.genesis));
        Self { name, path, config, genesis, is_local }
    }
}

/// A gateway that runs by itself.
#[derive(Debug)]
pub(super) struct GatewaySubject {
    pub(super) path: PathBuf,
    pub(super) file: Result<GatewayFile, Problem>,
    /// Whether it belongs to a network that does not run now.
    pub(super) rests: bool,
}

/// What is looked at.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) nodes: Vec<Subject>,
    pub(super) gateway: Option<GatewaySubject>,
    /// Another node, to compare with; or the only one, if there is no configuration.
    pub(super) rpc: Option<String>,
    /// The nodes of the local network, while it runs.
    pub(super) network: Vec<String>,
    /// The directory of the local network, if that is what was looked for.
    pub(super) directory: Option<PathBuf>,
    /// Without what takes more than a moment.
    pub(super) fast: bool,
}

impl Scope {
    /// What the options mean.
    ///
    /// # Errors
    /// If the user has no directory and names none.
    pub(super) fn find(
        context: &Context,
        config: Option<PathBuf>,
        gateway: Option<PathBuf>,
        fast: bool,
    ) -> Result<Self, Problem> {
        let rpc = context.global().rpc.clone();
        let named = |path: PathBuf, rests| {
            let file = GatewayFile::load(&path).map_err(|error| Problem::told("invalid_config", error));
            GatewaySubject { path, file, rests }
        };
        if config.is_some() || gateway.is_some() || rpc.is_some() {
            let nodes = config.map(|path| Subject::read(None, path, false)).into_iter().collect();
            let gateway = gateway.map(|path| named(path, false));
            return Ok(Self { nodes, gateway, rpc, network: Vec::new(), directory: None, fast });
        }
        let directory = context.directory()?;
        let folders = local_nodes(&directory);
        let network = NetworkFile::read(&directory).map(|file| file.rpc).unwrap_or_default();
        let mut nodes: Vec<_> =
            folders.into_iter().map(|(name, path)| Subject::read(Some(name), path, true)).collect();
        let joined = directory.join(NODE).join("node.toml");
        if joined.exists() {
            nodes.push(Subject::read(None, joined, false));
        }
        let path = directory.join(gateway::FOLDER).join(gateway::FILE);
        let gateway = path.exists().then(|| named(path, network.is_empty()));
        Ok(Self { nodes, gateway, rpc, network, directory: Some(directory), fast })
    }
}

/// There is no node to look at.
pub(super) fn nothing(directory: Option<&Path>) -> Finding {
    let directory = directory.map(|directory| directory.display().to_string()).unwrap_or_default();
    Finding::none(format!(
        "no network in {directory}: name a node with --config FILE or --home DIR; `freeway up` makes a network"
    ))
}

/// The configurations of the network in a directory, in the order of their numbers.
fn local_nodes(directory: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut found: Vec<(usize, String, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let number = name.strip_prefix("host-")?.parse().ok()?;
            let path = directory.join(&name).join("node.toml");
            path.exists().then_some((number, name, path))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, name, path)| (name, path)).take(MAX_NODES).collect()
}
