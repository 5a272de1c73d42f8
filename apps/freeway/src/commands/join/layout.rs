//! The directory of a machine that has joined a network.
//!
//! ```text
//! genesis.json     what defines the network
//! network.json     where the node can be reached, while it runs
//! passphrase       opens the node's key; made at random, readable by the owner only
//! keys/            accounts of the machine's user, each under a passphrase of its own
//! models/          packages of models that the host serves beside the built-in guide
//! node/            the node: node.toml, keys/, data/, node.log
//! up.lock          held by the running `freeway join`
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use freeway_api::genesis::GenesisFile;
use freeway_api::reach::is_allowed;
use freeway_ledger::hosts::Profile;
use freeway_ledger::{Genesis, Text};
use freeway_node::NodeConfig;
use freeway_node::config::{
    ConsensusConfig, ExplorerConfig, GossipConfig, JoinConfig, KeyConfig, RpcConfig, ServeConfig,
    SprintConfig, StoreConfig,
};
use freeway_primitives::{Address, ChainId, PublicKey};

use super::find::Found;
use crate::commands::launch::{Folder, Ports, new_key, write};
use crate::commands::model::FOLDER as MODELS;
use crate::commands::node::read_genesis;
use crate::hints::Problem;
use crate::keystore::Keystore;
use crate::output::Output;

/// The folder of the node.
pub(in crate::commands) const NODE: &str = "node";
const CONFIG: &str = "node.toml";
const GENESIS: &str = "genesis.json";
const KEYS: &str = "keys";
const DATA: &str = "data";

/// The usual ports, as `freeway node init` takes them: those that firewalls are opened for.
const CONSENSUS: u16 = 27_000;
const GOSSIP: u16 = 27_100;
const SPRINT: u16 = 27_200;
const RPC: u16 = 7_700;

/// Whether the directory has a node that joined a network elsewhere.
pub(in crate::commands) fn is_joined(folder: &Folder) -> bool {
    folder.path(NODE).join(CONFIG).exists()
}

/// What is known or to be otherwise than before.
pub(super) struct Wishes<'a> {
    /// The network, if nodes of it were named.
    pub(super) found: Option<&'a Found>,
    /// The network that it must be.
    pub(super) chain: Option<ChainId>,
    /// The account that owns the host.
    pub(super) host: Option<Address>,
    pub(super) address: Option<IpAddr>,
    pub(super) sprint_threads: Option<usize>,
    pub(super) sprint_share: Option<u8>,
}

/// A member of a network that is ready to start.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) chain: ChainId,
    /// The network's name.
    pub(super) name: String,
    /// The node's configuration file.
    pub(super) config: PathBuf,
    /// The account that owns the host, if there is one.
    pub(super) host: Option<Address>,
    key: PublicKey,
    url: Option<String>,
}

impl Member {
    /// What the host says of itself on the chain.
    pub(super) fn profile(&self, operator: &str, region: &str) -> Result<Profile, Problem> {
        let text = |text: &str| Text::new(text).map_err(|error| crate::host_file::invalid_text(&error));
        Ok(Profile {
            consensus_key: self.key,
            endpoints: self.url.iter().map(|url| text(url)).collect::<Result<_, _>>()?,
            region: text(region)?,
            operator: text(operator)?,
            hardware: Text::default(),
        })
    }
}

/// Makes the node if there is none, and writes its configuration for this start.
pub(super) fn prepare(folder: &Folder, wishes: &Wishes<'_>, output: &Output) -> Result<Member, Problem> {
    let genesis = genesis(folder, wishes)?;
    let home = folder.path(NODE);
    let path = home.join(CONFIG);
    let key = key(folder, &home)?;
    let mut config = if path.exists() {
        read(&path)?
    } else {
        let Some(found) = wishes.found else { return Err(nobody_named(folder)) };
        new_config(wishes.address.unwrap_or(found.from))?
    };
    apply(&mut config, wishes)?;
    write(&path, config.to_toml().as_bytes())?;
    let host = config.host().map_err(|error| Problem::told("invalid_config", error))?;
    let url = config.sprint.as_ref().and_then(|sprint| sprint.url.clone());
    if let Some(url) = &url {
        output.detail(format_args!("other hosts are told to reach this one at {url}"));
    }
    Ok(Member { chain: genesis.chain(), name: genesis.name.to_string(), config: path, host, key, url })
}

/// The node has started: should it lose its data one day, it must not sign as if its key were new.
pub(super) fn has_started(member: &Member) -> Result<(), Problem> {
    let mut config = read(&member.config)?;
    config.join.key_is_new = false;
    write(&member.config, config.to_toml().as_bytes())
}

fn read(path: &Path) -> Result<NodeConfig, Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| Problem::file("read", path, error))?;
    NodeConfig::parse(&text).map_err(|error| {
        Problem::told("invalid_config", format!("{}: {error}", path.display()))
            .or_hint("correct the file, or remove it: `freeway join URL` makes a new one")
    })
}

/// The genesis of the directory, or that which was found.
fn genesis(folder: &Folder, wishes: &Wishes<'_>) -> Result<Genesis, Problem> {
    let path = folder.path(GENESIS);
    if !path.exists() {
        let Some(found) = wishes.found else { return Err(nobody_named(folder)) };
        write(&path, GenesisFile::from(&found.genesis).to_json().as_bytes())?;
        return Ok(found.genesis.clone());
    }
    if !is_joined(folder) && folder.path("host-1").exists() {
        let message = format!("there is a network of `freeway up` in {}", folder.directory().display());
        return Err(Problem::new("other_network", message)
            .hint("choose another directory for the node that joins, with --dir"));
    }
    let genesis = read_genesis(&path)?;
    let here = genesis.chain();
    let wanted = wishes.found.map(|found| found.genesis.chain()).or(wishes.chain);
    match wanted.filter(|wanted| *wanted != here) {
        None => Ok(genesis),
        Some(wanted) => {
            let message =
                format!("the node in {} is of network {here}, not of {wanted}", folder.directory().display());
            Err(Problem::new("wrong_chain", message).hint("choose another directory with --dir"))
        }
    }
}

fn nobody_named(folder: &Folder) -> Problem {
    Problem::usage(format!("no node in {} has joined a network yet", folder.directory().display()))
        .hint("name a node of the network, such as `freeway join http://192.168.1.10:7700`")
}

/// The node's own key, made if there is none.
fn key(folder: &Folder, home: &Path) -> Result<PublicKey, Problem> {
    std::fs::create_dir_all(home).map_err(|error| Problem::file("make", home, error))?;
    let (keystore, name) = (Keystore::open(home.join(KEYS))?, KeyConfig::default_name());
    if let Ok(entry) = keystore.entry(&name) {
        return Ok(entry.public_key);
    }
    Ok(new_key(&keystore, &name, &folder.passphrase()?)?.public())
}

/// A node that follows, at the usual ports where they are free.
fn new_config(address: IpAddr) -> Result<NodeConfig, Problem> {
    let listen = listen_at(address);
    let (mut ports, mut own) = (ports(listen)?, ports(Ipv4Addr::LOCALHOST.into())?);
    Ok(NodeConfig {
        moniker: "joined".into(),
        data: DATA.into(),
        genesis: Path::new("..").join(GENESIS),
        host: None,
        key: KeyConfig {
            keystore: KEYS.into(),
            name: KeyConfig::default_name(),
            passphrase_file: Some(Path::new("..").join("passphrase")),
        },
        consensus: ConsensusConfig {
            listen: ports.prefer(Some(CONSENSUS))?,
            peers: Vec::new(),
            only_peers: false,
        },
        gossip: GossipConfig { listen: ports.prefer(Some(GOSSIP))?, peers: Vec::new(), allowed: Vec::new() },
        rpc: RpcConfig { listen: own.prefer(Some(RPC))? },
        sprint: None,
        gateway: None,
        serve: None,
        store: StoreConfig::default(),
        explorer: ExplorerConfig::default(),
        join: JoinConfig { snapshot_from: Vec::new(), key_is_new: true },
    })
}

/// Puts what was found and wished for into a configuration.
fn apply(config: &mut NodeConfig, wishes: &Wishes<'_>) -> Result<(), Problem> {
    if let Some(found) = wishes.found {
        config.consensus.peers.clone_from(&found.consensus);
        config.gossip.peers = found.gossip.iter().map(SocketAddr::to_string).collect();
        config.join.snapshot_from.clone_from(&found.snapshots);
    }
    if let Some(address) = wishes.address {
        let listen = listen_at(address);
        config.consensus.listen.set_ip(listen);
        config.gossip.listen.set_ip(listen);
        if let Some(sprint) = &mut config.sprint {
            sprint.listen.set_ip(listen);
            sprint.url = Some(url(address, sprint.listen.port()));
        }
    }
    if let Some(host) = wishes.host {
        become_host(config, host, wishes)?;
    }
    if let Some(sprint) = &mut config.sprint {
        sprint.threads = wishes.sprint_threads.unwrap_or(sprint.threads);
        sprint.share = wishes.sprint_share.unwrap_or(sprint.share);
    } else if wishes.sprint_threads.is_some() || wishes.sprint_share.is_some() {
        return Err(Problem::usage("only a host sprints").hint("name the account that owns it with --host"));
    }
    Ok(())
}

/// Lets the node be a host, which sprints and serves the guide.
fn become_host(config: &mut NodeConfig, host: Address, wishes: &Wishes<'_>) -> Result<(), Problem> {
    let host = host.to_string();
    match &config.host {
        Some(same) if *same == host => return Ok(()),
        // Its key has signed for the one, and belongs to it for ever.
        Some(other) => {
            let message = format!("the node here is the host of {other}, not of {host}");
            return Err(Problem::new("other_host", message)
                .hint("leave out --host to go on with it, or choose another --dir for another host"));
        }
        None => {}
    }
    let listen = config.consensus.listen.ip();
    let address = wishes.address.or(wishes.found.map(|found| found.from));
    let Some(address) = address.or((!listen.is_unspecified()).then_some(listen)) else {
        return Err(Problem::usage("it is not known at which address other machines reach this one")
            .hint("say so with --address"));
    };
    let listen = ports(listen)?.prefer(Some(SPRINT))?;
    config.host = Some(host);
    config.sprint = Some(SprintConfig {
        threads: 0,
        share: SprintConfig::default_share(),
        listen,
        url: Some(url(address, listen.port())),
        // In a private network the others are at private addresses.
        allow_private: !is_allowed(address, false),
    });
    let models = Path::new("..").join(MODELS);
    config.serve = Some(ServeConfig { folder: models, ..ServeConfig::default() });
    Ok(())
}

/// Where to listen so that others reach this machine at `address`: there, or everywhere if it is the address of a
/// router in front.
fn listen_at(address: IpAddr) -> IpAddr {
    match (TcpListener::bind((address, 0)), address) {
        (Ok(_), _) => address,
        (Err(_), IpAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
        (Err(_), IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn ports(address: IpAddr) -> Result<Ports, Problem> {
    Ports::new(address, u64::from(std::process::id()))
}

fn url(address: IpAddr, port: u16) -> String {
    format!("http://{}", SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    const NOTHING: Wishes<'static> = Wishes {
        found: None,
        chain: None,
        host: None,
        address: None,
        sprint_threads: None,
        sprint_share: None,
    };

    #[test]
    fn a_follower_becomes_a_host_once() {
        let mut config = new_config(here()).unwrap();
        assert!(config.host.is_none() && NodeConfig::parse(&config.to_toml()).is_ok());
        let problem = apply(&mut config, &Wishes { sprint_share: Some(50), ..NOTHING }).unwrap_err();
        assert!(problem.what_next().unwrap().contains("--host"), "{problem}");
        let host = Some(Address([7; 32]));
        apply(&mut config, &Wishes { host, sprint_share: Some(50), ..NOTHING }).unwrap();
        let again = NodeConfig::parse(&config.to_toml()).unwrap();
        let sprint = again.sprint.unwrap();
        assert_eq!(sprint.url, Some(format!("http://{}", sprint.listen)));
        assert!(sprint.share == 50 && sprint.allow_private && again.serve.is_some());
        // The same again changes nothing, another one is refused.
        apply(&mut config, &Wishes { host, ..NOTHING }).unwrap();
        assert_eq!(config.sprint.as_ref().unwrap().share, 50);
        let other = Some(Address([8; 32]));
        assert_eq!(apply(&mut config, &Wishes { host: other, ..NOTHING }).unwrap_err().code(), "other_host");
    }

    #[test]
    fn behind_a_router_the_node_listens_everywhere_and_says_the_routers_address() {
        let outside: IpAddr = "203.0.113.7".parse().unwrap();
        let mut config = new_config(outside).unwrap();
        assert!(config.consensus.listen.ip().is_unspecified() && config.rpc.listen.ip().is_loopback());
        let host = Some(Address([7; 32]));
        assert!(apply(&mut config, &Wishes { host, ..NOTHING }).is_err());
        apply(&mut config, &Wishes { host, address: Some(outside), ..NOTHING }).unwrap();
        let sprint = config.sprint.unwrap();
        assert!(sprint.url.unwrap().starts_with("http://203.0.113.7:"));
        assert!(sprint.listen.ip().is_unspecified());
    }
}
