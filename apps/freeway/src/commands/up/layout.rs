//! The directory of a local network.
//!
//! ```text
//! genesis.json     what defines the network
//! network.json     where it can be reached, while it runs
//! passphrase       opens the keys below; made at random, readable by the owner only
//! api-key          lets programs ask the hosts' gateways; the same
//! models/          packages of models that the hosts serve beside the built-in guide
//! keys/            the accounts: developer, host-1, host-2, ...
//! host-1/          a node: node.toml, keys/, data/, node.log
//! gateway/         the developer's gateway: gateway.toml, data/ with lanes and receipts, gateway.log
//! passes/          whose passes the gateways take
//! up.lock          held by the running `freeway up`
//! ```
//!
//! The keys are encrypted, but their passphrase lies beside them, because a local network must start without
//! asking: whoever can read the directory can use them. Accounts that matter belong into a keystore whose
//! passphrase is somewhere else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use freeway_api::genesis::GenesisFile;
use freeway_gateway::Key;
use freeway_ledger::{Genesis, GenesisAccount, GenesisHost, Preset, Text};
use freeway_models::{Package, guide};
use freeway_node::NodeConfig;
use freeway_node::config::{GatewayFile, KeyConfig, ServeConfig, UpstreamConfig};
use freeway_primitives::{Address, Amount, SecretKey};

use super::local;
use super::register::Served;
use crate::commands::asking::KEY_FILE;
use crate::commands::gateway::local as gateway;
use crate::commands::join::{NODE, is_joined};
use crate::commands::launch::{Folder, Ports, new_key, write, write_secret};
use crate::commands::model::{FOLDER as MODELS, find};
use crate::commands::node::read_genesis;
use crate::hints::Problem;
use crate::keystore::{Keystore, PassphraseSource};
use crate::output::Output;

/// Web pages that the developer's gateway answers to, at most.
const MAX_PAGES: usize = 32;
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Hosts of a new network unless told otherwise.
const DEFAULT_HOSTS: usize = 4;
/// Each host's power until it proves its compute.
const WEIGHT: u64 = 1_000;
/// The part of one thread's time that each host sprints, in percent: real work of different size on one machine,
/// so that different weights come out of it.
const SHARES: [u8; 4] = [40, 30, 20, 10];
const HOST_BALANCE: Amount = Amount::fwy(10_000);
const HOST_COLLATERAL: Amount = Amount::fwy(100);
const DEVELOPER_BALANCE: Amount = Amount::fwy(1_000_000);
/// The account that people play with.
pub(super) const DEVELOPER: &str = "developer";

/// The directory, held against other runs of `up`.
#[derive(Debug)]
pub(super) struct Layout {
    folder: Folder,
}

/// A network that is ready to start.
#[derive(Debug)]
pub(super) struct Network {
    /// Its identity.
    pub(super) chain: String,
    /// Where all of it listens.
    pub(super) address: IpAddr,
    /// Its hosts' names and configuration files.
    pub(super) hosts: Vec<(String, PathBuf)>,
    /// The configuration file of the developer's gateway.
    pub(super) gateway: PathBuf,
    /// The key for all gateways.
    pub(super) key: String,
    /// The models that are to be registered.
    pub(super) served: Vec<Served>,
}

/// What is to be otherwise than it was.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// So many hosts; a network that is there must have as many.
    pub(super) hosts: Option<usize>,
    /// Where all of it listens.
    pub(super) address: Option<IpAddr>,
    pub(super) rpc_port: Option<u16>,
    pub(super) sprint_threads: Option<usize>,
    /// A model that all hosts serve beside what they serve already.
    pub(super) model: Option<Package>,
    /// The server that answers for it.
    pub(super) server: Option<UpstreamConfig>,
}

impl Layout {
    /// Opens or makes the directory and takes its lock.
    pub(super) fn open(directory: PathBuf) -> Result<Self, Problem> {
        let folder = Folder::open(directory)?;
        if is_joined(&folder) {
            let message = format!("the node in {} follows a network elsewhere", folder.path(NODE).display());
            return Err(Problem::new("other_network", message).hint(
                "start it with `freeway join`, or choose another --dir for a network of this machine",
            ));
        }
        Ok(Self { folder })
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(super) fn directory(&self) -> &Path {
        self.folder.directory()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    /// Deletes the network, and nothing that `up` did not make.
    pub(super) fn clear(&self) -> Result<(), Problem> {
        let remove = |path: PathBuf| {
            let result =
                if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            match result {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Problem::file("remove", &path, error))
                }
                _ => Ok(()),
            }
        };
        // The genesis goes last: with it, a half-finished clearing is still recognised as a network.
        for (name, path) in self.host_folders()? {
            if path.join("node.toml").exists() {
                remove(path)?;
                remove(self.path("keys").join(format!("{name}.json")))?;
            }
        }
        remove(self.path("keys").join(format!("{DEVELOPER}.json")))?;
        // Its lanes and receipts are of the network that goes.
        remove(self.path(gateway::FOLDER))?;
        for name in ["network.json", KEY_FILE, "passphrase", "genesis.json"] {
            remove(self.path(name))?;
        }
        Ok(())
    }

    fn host_folders(&self) -> Result<Vec<(String, PathBuf)>, Problem> {
        let entries = std::fs::read_dir(self.directory())
            .map_err(|error| Problem::file("read", self.directory(), error))?;
        let mut found: Vec<(usize, String, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok()?;
                let number = name.strip_prefix("host-")?.parse().ok()?;
                Some((number, name, entry.path()))
            })
            .collect();
        found.sort();
        Ok(found.into_iter().map(|(_, name, path)| (name, path)).collect())
    }

    /// The network in the directory, made if there is none, with ports that are free now.
    pub(super) fn network(&self, wishes: &Wishes, output: &Output) -> Result<Network, Problem> {
        let hosts = wishes.hosts;
        if !self.path("genesis.json").exists() {
            let count = hosts.unwrap_or(DEFAULT_HOSTS);
            output.note(format!("making a network of {count} hosts in {}", self.directory().display()));
            self.make(count)?;
        }
        let genesis = read_genesis(&self.path("genesis.json"))?;
        let folders = self.host_folders()?;
        if folders.len() != genesis.hosts.len() || hosts.is_some_and(|count| count != folders.len()) {
            let (here, named) = (folders.len(), genesis.hosts.len());
            let message = match hosts {
                Some(count) if here == named => format!("the network here has {here} hosts, not {count}"),
                _ => format!("there are {here} folders of hosts, but the genesis names {named}"),
            };
            return Err(Problem::new("other_network", message).hint(
                "leave out --hosts to go on with it, choose another --dir, or begin anew with --fresh",
            ));
        }
        let configs = configs(&folders)?;
        let address = match (wishes.address, configs.first()) {
            (Some(address), _) => address,
            (None, Some((_, _, first))) => first.rpc.listen.ip(),
            (None, None) => LOOPBACK,
        };
        let mut ports = Ports::new(address, seed(self.directory(), folders.len()))?;
        let nodes = self.assign_ports(&mut ports, configs, wishes)?;
        let served = self.served(wishes, nodes.iter().map(|(_, _, config)| config))?;
        let rpc = nodes.iter().map(|(_, _, config)| format!("http://{}", config.rpc.listen)).collect();
        let chain = genesis.chain().to_string();
        let (gateway, api) = self.assign_gateway(&mut ports, rpc, &chain, &served)?;
        let mut hosts = Vec::new();
        for (name, path, mut config) in nodes {
            config.explorer.api = Some(api.clone());
            write(&path, config.to_toml().as_bytes())?;
            hosts.push((name, path));
        }
        Ok(Network { chain, address, hosts, gateway, key: self.api_key()?, served })
    }

    /// The models that are to be registered: the guide, the one that is wished for, and those for which servers answer.
    fn served<'a>(
        &self,
        wishes: &Wishes,
        configs: impl Iterator<Item = &'a NodeConfig>,
    ) -> Result<Vec<Served>, Problem> {
        let mut served = vec![Served { package: guide::package(), by_server: false }];
        served.extend(wishes.model.iter().map(|model| Served { package: model.clone(), by_server: false }));
        for (name, _) in
            configs.filter_map(|config| config.serve.as_ref()).flat_map(ServeConfig::answered_elsewhere)
        {
            let package = find(&self.path(MODELS), name)?;
            served.push(Served { package, by_server: true });
        }
        // Once each; a server answers if one does anywhere.
        served.sort_by_key(|model| (model.package.root(), !model.by_server));
        served.dedup_by_key(|model| model.package.root());
        Ok(served)
    }

    /// The key of the account that people play with; `None` if its owner took it away.
    pub(super) fn developer(&self) -> Result<Option<SecretKey>, Problem> {
        let keystore = Keystore::open(self.path("keys"))?;
        if keystore.entry(DEVELOPER).is_err() {
            return Ok(None);
        }
        let passphrase = PassphraseSource::File(self.path("passphrase")).existing("")?;
        Ok(Some(keystore.unlock(DEVELOPER, &passphrase)?))
    }

    /// Writes the configuration of the developer's gateway. What its owner has changed stays; ports and nodes are
    /// those of this start, and the pages of these nodes may ask it. Its file, and its base URL.
    fn assign_gateway(
        &self,
        ports: &mut Ports,
        rpc: Vec<String>,
        chain: &str,
        served: &[Served],
    ) -> Result<(PathBuf, String), Problem> {
        let folder = self.path(gateway::FOLDER);
        std::fs::create_dir_all(&folder).map_err(|error| Problem::file("make", &folder, error))?;
        let path = folder.join(gateway::FILE);
        let mut file = if path.exists() {
            let text = std::fs::read_to_string(&path).map_err(|error| Problem::file("read", &path, error))?;
            GatewayFile::parse(&text).map_err(|error| {
                Problem::told("invalid_config", format!("{}: {error}", path.display()))
                    .or_hint("correct the file, or remove it: the next start makes a new one")
            })?
        } else {
            local::gateway(rpc.len())
        };
        let port = Some(file.gateway.listen.port()).filter(|port| *port > 1_024);
        file.gateway.listen = ports.prefer(port)?;
        let cors = &mut file.gateway.cors;
        for origin in rpc.iter().take(MAX_PAGES) {
            if cors.len() < MAX_PAGES && !cors.iter().any(|known| known == origin || known == "*") {
                cors.push(origin.clone());
            }
        }
        if let Some(lanes) = &mut file.lanes {
            lanes.rpc = rpc;
            for name in served.iter().map(|model| model.package.name()).filter(|name| *name != guide::NAME) {
                if !lanes.models.iter().any(|known| known == name) {
                    lanes.models.push(name.to_owned());
                }
            }
            lanes.chain = Some(chain.to_owned());
        }
        write(&path, file.to_toml().as_bytes())?;
        Ok((path, format!("http://{}/v1", file.gateway.listen)))
    }

    /// Makes keys, genesis and folders. The genesis is written last: it is what says that all is there.
    fn make(&self, count: usize) -> Result<(), Problem> {
        self.clear()?;
        let passphrase = self.folder.passphrase()?;
        let accounts = Keystore::open(self.path("keys"))?;
        let developer = new_key(&accounts, DEVELOPER, &passphrase)?;
        let mut genesis = Genesis {
            name: text("local")?,
            time_ms: now_ms(),
            params: Preset::Local.params(),
            accounts: vec![GenesisAccount {
                address: Address::of(&developer.public()),
                balance: DEVELOPER_BALANCE,
            }],
            hosts: Vec::new(),
        };
        for number in 1..=count {
            let name = format!("host-{number}");
            let address = Address::of(&new_key(&accounts, &name, &passphrase)?.public());
            let folder = self.path(&name);
            std::fs::create_dir_all(&folder).map_err(|error| Problem::file("make", &folder, error))?;
            let node =
                new_key(&Keystore::open(folder.join("keys"))?, &KeyConfig::default_name(), &passphrase)?;
            genesis.accounts.push(GenesisAccount { address, balance: HOST_BALANCE });
            genesis.hosts.push(GenesisHost {
                address,
                consensus_key: node.public(),
                weight: WEIGHT,
                collateral: HOST_COLLATERAL,
                operator: text(&name)?,
                region: text("local")?,
                endpoints: Vec::new(),
            });
            let config = local::node(&name, address, SHARES[(number - 1) % SHARES.len()]);
            write(&folder.join("node.toml"), config.to_toml().as_bytes())?;
        }
        write(&self.path("genesis.json"), GenesisFile::from(&genesis).to_json().as_bytes())
    }

    /// The key for the gateways, made if there is none.
    fn api_key(&self) -> Result<String, Problem> {
        let path = self.path(KEY_FILE);
        if !path.exists() {
            let key = Key::generate().map_err(|error| Problem::told("randomness", error))?;
            write_secret(&path, &format!("{DEVELOPER} {}", key.reveal()))?;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| Problem::file("read", &path, error))?;
        let key = text.lines().find_map(|line| line.strip_prefix(DEVELOPER)).map(str::trim);
        key.map(str::to_owned).ok_or_else(|| {
            Problem::file("read", &path, format!("it has no line `{DEVELOPER} KEY`"))
                .hint("remove it: the next start makes a new one")
        })
    }

    /// Gives every host free ports, the old ones where they still are. Their configurations, and the files
    /// of these.
    fn assign_ports(
        &self,
        ports: &mut Ports,
        mut configs: Vec<(String, PathBuf, NodeConfig)>,
        wishes: &Wishes,
    ) -> Result<Vec<(String, PathBuf, NodeConfig)>, Problem> {
        for (at, (_, _, config)) in configs.iter_mut().enumerate() {
            let old = |address: SocketAddr| Some(address.port()).filter(|port| *port > 1_024);
            config.rpc.listen = match wishes.rpc_port {
                Some(first) => ports.exactly(first.saturating_add(at as u16))?,
                None => ports.prefer(old(config.rpc.listen))?,
            };
            config.consensus.listen = ports.prefer(old(config.consensus.listen))?;
            config.gossip.listen = ports.prefer(old(config.gossip.listen))?;
            if let Some(sprint) = &mut config.sprint {
                sprint.listen = ports.prefer(old(sprint.listen))?;
                sprint.url = Some(format!("http://{}", sprint.listen));
                if let Some(threads) = wishes.sprint_threads {
                    sprint.threads = threads;
                }
            }
            // Networks of earlier versions have none.
            let gateway = config.gateway.get_or_insert_with(local::hosts_gateway);
            gateway.listen = ports.prefer(old(gateway.listen))?;
            let serve = config.serve.get_or_insert_with(local::serve);
            if let Some(model) = &wishes.model {
                serve_too(serve, model.name(), wishes.server.as_ref());
            }
        }
        let consensus: Vec<_> = configs.iter().map(|(_, _, config)| config.consensus.listen).collect();
        let gossip: Vec<_> = configs.iter().map(|(_, _, config)| config.gossip.listen.to_string()).collect();
        for (at, (_, path, config)) in configs.iter_mut().enumerate() {
            config.consensus.peers = others(&consensus, at);
            config.gossip.peers = others(&gossip, at);
            write(path, config.to_toml().as_bytes())?;
        }
        Ok(configs)
    }
}

/// The configurations of the hosts in these folders: their names, files and contents.
fn configs(folders: &[(String, PathBuf)]) -> Result<Vec<(String, PathBuf, NodeConfig)>, Problem> {
    let read = |(name, folder): &(String, PathBuf)| {
        let path = folder.join("node.toml");
        let text = std::fs::read_to_string(&path).map_err(|error| Problem::file("read", &path, error))?;
        let config = NodeConfig::parse(&text).map_err(|error| {
            Problem::told("invalid_config", format!("{}: {error}", path.display()))
                .or_hint("correct the file, or begin anew with --fresh")
        })?;
        Ok((name.clone(), path, config))
    };
    folders.iter().map(read).collect()
}

/// Lets a host serve a model, by that server if there is one.
fn serve_too(serve: &mut ServeConfig, model: &str, server: Option<&UpstreamConfig>) {
    if !serve.models.iter().any(|known| known == model) {
        serve.models.push(model.to_owned());
    }
    if let Some(server) = server {
        for upstream in &mut serve.upstream {
            upstream.models.remove(model);
        }
        serve.upstream.retain(|upstream| !upstream.models.is_empty());
        serve.upstream.push(server.clone());
    }
}

/// Where free ports are looked for first.
fn seed(directory: &Path, hosts: usize) -> u64 {
    let seed = hosts as u64 ^ directory.as_os_str().len() as u64 ^ u64::from(std::process::id());
    seed.wrapping_mul(131)
}

fn others<T: Clone>(all: &[T], own: usize) -> Vec<T> {
    all.iter().enumerate().filter(|(at, _)| *at != own).map(|(_, one)| one.clone()).collect()
}

fn text(text: &str) -> Result<Text, Problem> {
    Text::new(text).map_err(|error| Problem::new("defect", error.to_string()))
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
