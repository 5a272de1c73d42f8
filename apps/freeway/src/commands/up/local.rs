//! The configurations of a network's processes on one machine.

use std::net::SocketAddr;
use std::path::Path;

use freeway_node::NodeConfig;
use freeway_node::config::{
    ConsensusConfig, ExplorerConfig, GatewayConfig, GatewayFile, GossipConfig, JoinConfig, KeyConfig,
    LanesConfig, RpcConfig, ServeConfig, SprintConfig, StoreConfig,
};
use freeway_primitives::{Address, Amount};

use super::layout::DEVELOPER;
use crate::commands::asking::KEY_FILE;
use crate::commands::model::FOLDER as MODELS;

/// Hosts of the developer's lane, at most: all of them, so that each is seen to work.
const LANE_HOSTS: usize = 16;
/// What a lane of the developer's is filled with, and what its gateway may spend in all.
const ESCROW: Amount = Amount::fwy(20);
const BUDGET: Amount = Amount::fwy(10_000);
/// The folder of passes.
const PASSES: &str = "passes";

/// The node of a host, and what it serves. `share` is the part of the time in which it sprints, in percent.
pub(super) fn node(name: &str, host: Address, share: u8) -> NodeConfig {
    // Replaced by free ports before every start; the engine asks for one that is not 0.
    let unset = SocketAddr::from(([127, 0, 0, 1], 1));
    NodeConfig {
        moniker: name.to_owned(),
        data: "data".into(),
        genesis: "../genesis.json".into(),
        host: Some(host.to_string()),
        key: KeyConfig {
            keystore: "keys".into(),
            name: KeyConfig::default_name(),
            passphrase_file: Some("../passphrase".into()),
        },
        consensus: ConsensusConfig { listen: unset, peers: Vec::new(), only_peers: false },
        gossip: GossipConfig { listen: unset, peers: Vec::new(), allowed: Vec::new() },
        rpc: RpcConfig { listen: unset },
        sprint: Some(SprintConfig { threads: 1, share, listen: unset, url: None, allow_private: true }),
        gateway: Some(hosts_gateway()),
        serve: Some(serve()),
        store: StoreConfig { cache_mib: 16, ..StoreConfig::default() },
        explorer: ExplorerConfig::default(),
        join: JoinConfig { snapshot_from: Vec::new(), key_is_new: true },
    }
}

/// One thread for each host: all of them share this machine.
pub(super) fn hosts_gateway() -> GatewayConfig {
    GatewayConfig {
        keys: Some(Path::new("..").join(KEY_FILE)),
        models: Path::new("..").join(MODELS),
        threads: 1,
        cache_mib: 64,
        // Replaced by a free port before every start.
        ..GatewayConfig::new(SocketAddr::from(([127, 0, 0, 1], 1)))
    }
}

/// The developer's gateway on a network of so many hosts.
pub(super) fn gateway(hosts: usize) -> GatewayFile {
    GatewayFile { gateway: developers_gateway(), lanes: Some(lanes(hosts)) }
}

/// The same with passes: what they spend is kept beside the lanes.
fn developers_gateway() -> GatewayConfig {
    GatewayConfig {
        data: Some(LanesConfig::default_data()),
        passes: Some(Path::new("..").join(PASSES)),
        ..hosts_gateway()
    }
}

/// The guide, by the engine of the host's own gateway.
pub(super) fn serve() -> ServeConfig {
    ServeConfig { folder: Path::new("..").join(MODELS), threads: 1, cache_mib: 64, ..ServeConfig::default() }
}

/// The developer pays, and asks this machine while no lane is open yet.
fn lanes(hosts: usize) -> LanesConfig {
    LanesConfig {
        rpc: Vec::new(),
        chain: None,
        account: None,
        models: GatewayConfig::default_serve(),
        hosts: hosts.clamp(1, LANE_HOSTS) as u8,
        escrow: ESCROW,
        budget: BUDGET,
        lifetime: LanesConfig::default_lifetime(),
        regions: Vec::new(),
        operators: Vec::new(),
        data: LanesConfig::default_data(),
        fallback: true,
        allow_private: true,
        key: KeyConfig {
            keystore: Path::new("..").join("keys"),
            name: DEVELOPER.to_owned(),
            passphrase_file: Some(Path::new("..").join("passphrase")),
        },
    }
}
