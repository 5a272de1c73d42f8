//! What a network shall be: its genesis, keys and folders.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use eyre::{Context, Result};
use freeway::keystore::{KdfParams, Keystore, Passphrase};
use freeway_api::genesis::GenesisFile;
use freeway_ledger::{Genesis, GenesisAccount, GenesisHost, Params, Preset, Text};
use freeway_node::NodeConfig;
use freeway_node::config::{
    ConsensusConfig, ExplorerConfig, GossipConfig, JoinConfig, KeyConfig, RpcConfig, SprintConfig,
    StoreConfig,
};
use freeway_primitives::{Address, Amount, SecretKey};

use crate::log::Secrets;
use crate::ports::free_port;

/// Opens the nodes' keys. Nobody else's: the networks live for a test.
const PASSPHRASE: &str = "purple lantern orbits quietly";

/// A network to be started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Validators.
    pub hosts: usize,
    /// Accounts with money.
    pub accounts: usize,
    /// What each of them has.
    pub balance: Amount,
    /// The rules.
    pub params: Params,
    /// What nodes keep on disk.
    pub store: StoreConfig,
    /// For each host that sprints: the part of one thread's time, in percent.
    pub sprint_shares: Vec<u8>,
    /// How the last host cheats, if it does.
    pub adversary: Option<String>,
}

impl Default for Plan {
    /// Four validators and a few rich accounts, with short epochs and quick blocks.
    fn default() -> Self {
        Self {
            hosts: 4,
            accounts: 8,
            balance: Amount::fwy(1_000),
            params: quick_params(),
            store: StoreConfig { cache_mib: 16, ..StoreConfig::default() },
            sprint_shares: Vec::new(),
            adversary: None,
        }
    }
}

impl Plan {
    /// Four hosts that sprint for 40, 30, 20 and 10 % of one thread's time, in epochs of about thirteen seconds.
    pub fn racing() -> Self {
        let mut params = Preset::Local.params();
        params.blocks.target_ms = 250;
        params.epochs.epoch_blocks = 52;
        params.epochs.sprint_blocks = 12;
        params.epochs.grace_blocks = 4;
        params.epochs.verify_blocks = 20;
        params.epochs.dealing_blocks = 12;
        // Windows of some seconds: a node that was killed has to catch up within them.
        params.sprint.verdict_blocks = 11;
        params.sprint.judge_blocks = 3;
        params.sprint.answer_blocks = 8;
        Self { params, sprint_shares: vec![40, 30, 20, 10], ..Self::default() }
    }
}

/// The local preset with epochs of 24 blocks and 5 blocks a second, so that tests see several of each.
pub fn quick_params() -> Params {
    let mut params = Preset::Local.params();
    params.blocks.target_ms = 200;
    // What these tests count, then stays what genesis gave; emission is counted where work is paid for.
    params.rewards.first = freeway_primitives::Amount::ZERO;
    params.epochs.epoch_blocks = 24;
    params.epochs.sprint_blocks = 4;
    params.epochs.grace_blocks = 1;
    params.epochs.verify_blocks = 5;
    params.epochs.dealing_blocks = 9;
    params.sprint.verdict_blocks = 2;
    params.sprint.judge_blocks = 1;
    params.sprint.answer_blocks = 2;
    params.evidence.max_age_blocks = 48;
    params
}

/// A key that follows from what it is for.
fn key(kind: u8, number: usize) -> SecretKey {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&(number as u64 + 1).to_le_bytes());
    SecretKey::from_seed(seed)
}

/// A planned network on disk.
pub(crate) struct Laid {
    pub(crate) genesis: Genesis,
    pub(crate) nodes: Vec<PathBuf>,
    pub(crate) accounts: Vec<SecretKey>,
    pub(crate) secrets: Secrets,
}

impl Plan {
    /// Writes genesis, keys and configurations below `folder`.
    pub(crate) fn lay(&self, folder: &Path) -> Result<Laid> {
        let accounts: Vec<SecretKey> = (0..self.accounts).map(|at| key(0xa1, at)).collect();
        let owners: Vec<SecretKey> = (0..self.hosts).map(|at| key(0xb2, at)).collect();
        let nodes: Vec<SecretKey> = (0..self.hosts).map(|at| key(0xc3, at)).collect();
        let genesis = self.genesis(&accounts, &owners, &nodes)?;
        let file = GenesisFile::from(&genesis);
        file.build().wrap_err("the plan gives no genesis")?;
        std::fs::write(folder.join("genesis.json"), file.to_json())?;
        write_passphrase(folder)?;

        let mut secrets = Secrets::default();
        secrets.add("the passphrase", PASSPHRASE);
        for key in accounts.iter().chain(&owners).chain(&nodes) {
            secrets.add_key("a seed", key);
        }
        let consensus: Vec<_> = (0..self.hosts).map(|_| free_port()).collect();
        let gossip: Vec<_> = (0..self.hosts).map(|_| free_port()).collect();
        let mut homes = Vec::new();
        for at in 0..self.hosts {
            let home = folder.join(format!("node-{at}"));
            let others = |all: &[std::net::SocketAddr]| {
                all.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, one)| *one).collect::<Vec<_>>()
            };
            let config = NodeConfig {
                host: Some(Address::of(&owners[at].public()).to_string()),
                consensus: ConsensusConfig {
                    listen: consensus[at],
                    peers: others(&consensus),
                    only_peers: false,
                },
                gossip: GossipConfig {
                    listen: gossip[at],
                    peers: others(&gossip).iter().map(ToString::to_string).collect(),
                    allowed: Vec::new(),
                },
                explorer: ExplorerConfig::default(),
                join: JoinConfig { snapshot_from: Vec::new(), key_is_new: true },
                sprint: self.sprint_shares.get(at).map(|share| {
                    let listen = free_port();
                    let url = Some(format!("http://{listen}"));
                    SprintConfig { threads: 1, share: *share, listen, url, allow_private: true }
                }),
                ..self.config(&format!("node-{at}"))
            };
            lay_node(&home, &config, &nodes[at])?;
            homes.push(home);
        }
        Ok(Laid { genesis, nodes: homes, accounts, secrets })
    }

    /// Writes the folder of a node that follows `network` without signing: its home.
    pub(crate) fn lay_follower(
        &self,
        folder: &Path,
        number: usize,
        network: &[NodeConfig],
        snapshot_from: Vec<String>,
    ) -> Result<PathBuf> {
        let name = format!("follower-{number}");
        let home = folder.join(&name);
        let config = NodeConfig {
            consensus: ConsensusConfig {
                listen: free_port(),
                peers: network.iter().map(|config| config.consensus.listen).collect(),
                only_peers: false,
            },
            gossip: GossipConfig {
                listen: free_port(),
                peers: network.iter().map(|config| config.gossip.listen.to_string()).collect(),
                allowed: Vec::new(),
            },
            explorer: ExplorerConfig::default(),
            join: JoinConfig { snapshot_from, key_is_new: true },
            ..self.config(&name)
        };
        lay_node(&home, &config, &key(0xd4, number))?;
        Ok(home)
    }

    /// What all nodes have in common, following nobody.
    fn config(&self, name: &str) -> NodeConfig {
        NodeConfig {
            moniker: name.to_owned(),
            data: "data".into(),
            genesis: "../genesis.json".into(),
            host: None,
            key: KeyConfig {
                keystore: "keys".into(),
                name: KeyConfig::default_name(),
                passphrase_file: Some("../passphrase".into()),
            },
            consensus: ConsensusConfig { listen: free_port(), peers: Vec::new(), only_peers: false },
            gossip: GossipConfig { listen: free_port(), peers: Vec::new(), allowed: Vec::new() },
            rpc: RpcConfig { listen: free_port() },
            sprint: None,
            gateway: None,
            serve: None,
            store: self.store.clone(),
            explorer: ExplorerConfig::default(),
            join: JoinConfig::default(),
        }
    }

    fn genesis(&self, accounts: &[SecretKey], owners: &[SecretKey], nodes: &[SecretKey]) -> Result<Genesis> {
        let entry =
            |key: &SecretKey, balance| GenesisAccount { address: Address::of(&key.public()), balance };
        let mut entries: Vec<_> = accounts.iter().map(|key| entry(key, self.balance)).collect();
        entries.extend(owners.iter().map(|key| entry(key, Amount::fwy(1_000))));
        let hosts = owners.iter().zip(nodes).enumerate().map(|(at, (owner, node))| {
            Ok(GenesisHost {
                address: Address::of(&owner.public()),
                consensus_key: node.public(),
                weight: 1_000,
                collateral: Amount::fwy(100),
                operator: Text::new(format!("operator {at}"))?,
                region: Text::new("loopback")?,
                endpoints: Vec::new(),
            })
        });
        let time_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
        Ok(Genesis {
            name: Text::new("e2e")?,
            time_ms,
            params: self.params.clone(),
            accounts: entries,
            hosts: hosts.collect::<Result<_, freeway_ledger::TextError>>()?,
        })
    }
}

fn lay_node(home: &Path, config: &NodeConfig, key: &SecretKey) -> Result<()> {
    std::fs::create_dir_all(home)?;
    let keystore = Keystore::open(home.join("keys"))?;
    // The least work: what it would protect is printed above.
    let kdf = KdfParams::new(1, 1, 1)?;
    keystore.create(&config.key.name.parse()?, key, None, &Passphrase::new(PASSPHRASE)?, kdf)?;
    std::fs::write(home.join("node.toml"), config.to_toml())?;
    Ok(())
}

fn write_passphrase(folder: &Path) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = folder.join("passphrase");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{PASSPHRASE}")?;
    Ok(())
}
