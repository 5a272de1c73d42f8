//! A network of nodes that live and die by command.

use std::time::Duration;

use eyre::{Result, bail, ensure};
use freeway_api::{BlockView, Client};
use freeway_ledger::Genesis;
use freeway_primitives::{Amount, ChainId};
use futures::future::try_join_all;
use tempfile::TempDir;

use crate::actor::Actor;
use crate::log::Secrets;
use crate::node::NodeProcess;
use crate::plan::Plan;
use crate::wait;

/// How long a new network may take to its first block, on a busy machine.
const FIRST_BLOCK: Duration = Duration::from_secs(60);

/// A network of real processes.
#[derive(Debug)]
pub struct Network {
    plan: Plan,
    /// Ended before the folder goes away.
    nodes: Vec<NodeProcess>,
    validators: usize,
    genesis: Genesis,
    actors: Vec<Actor>,
    secrets: Secrets,
    folder: TempDir,
}

impl Network {
    /// Makes a network and waits until it decides blocks.
    ///
    /// # Errors
    /// If a node does not start or no block is decided.
    pub async fn start(plan: Plan) -> Result<Self> {
        let mut network = Self::lay(plan)?;
        if let (Some(kind), Some(last)) = (network.plan.adversary.clone(), network.nodes.last_mut()) {
            last.cheat(kind);
        }
        for node in &mut network.nodes {
            node.launch()?;
        }
        for node in &mut network.nodes {
            match node.listening().await? {
                crate::node::Started::Listening => {}
                crate::node::Started::Ended(status, error) => bail!("a node ended ({status}): {error}"),
            }
        }
        wait::height(&network.client(0)?, 1, FIRST_BLOCK).await?;
        Ok(network)
    }

    /// Makes a network's folders; starts nothing.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn lay(plan: Plan) -> Result<Self> {
        let mut folder = tempfile::Builder::new().prefix("freeway-e2e-").tempdir()?;
        // To look into the logs of a test that fails.
        folder.disable_cleanup(std::env::var_os("FREEWAY_E2E_KEEP").is_some());
        let laid = plan.lay(folder.path())?;
        let chain = laid.genesis.chain();
        Ok(Self {
            validators: plan.hosts,
            plan,
            nodes: laid.nodes.into_iter().map(NodeProcess::new).collect(),
            actors: laid.accounts.into_iter().map(|key| Actor::new(key, chain)).collect(),
            genesis: laid.genesis,
            secrets: laid.secrets,
            folder,
        })
    }

    /// The network's identity.
    pub fn chain(&self) -> ChainId {
        self.genesis.chain()
    }

    /// What defines the network.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// How many of the nodes are validators; followers come after them.
    pub fn validators(&self) -> usize {
        self.validators
    }

    /// A node.
    pub fn node(&mut self, at: usize) -> &mut NodeProcess {
        &mut self.nodes[at]
    }

    /// All nodes.
    pub fn nodes(&self) -> &[NodeProcess] {
        &self.nodes
    }

    /// A client of a node.
    ///
    /// # Errors
    /// If its configuration cannot be read.
    pub fn client(&self, at: usize) -> Result<Client> {
        self.nodes[at].client()
    }

    /// An account with money.
    pub fn actor(&mut self, at: usize) -> &mut Actor {
        &mut self.actors[at]
    }

    /// Gives all accounts with money away, to somebody who acts while nodes come and go.
    pub fn take_actors(&mut self) -> Vec<Actor> {
        core::mem::take(&mut self.actors)
    }

    /// Adds a node that follows without signing, and starts nothing: its number. It takes its state from a
    /// snapshot of `sources`, if there are any.
    ///
    /// # Errors
    /// If its folder cannot be written.
    pub fn add_follower(&mut self, sources: Vec<String>) -> Result<usize> {
        let number = self.nodes.len();
        let configs: Vec<_> =
            self.nodes[..self.validators].iter().map(NodeProcess::config).collect::<Result<_>>()?;
        let home = self.plan.lay_follower(self.folder.path(), number, &configs, sources)?;
        self.nodes.push(NodeProcess::new(home));
        Ok(number)
    }

    /// Waits until all running nodes are at `height` or above: the lowest height among them.
    ///
    /// # Errors
    /// If one is not within `limit`.
    pub async fn all_at(&self, height: u64, limit: Duration) -> Result<u64> {
        let clients = self.running_clients()?;
        let heights = try_join_all(clients.iter().map(|client| wait::height(client, height, limit))).await?;
        heights.into_iter().min().ok_or_else(|| eyre::eyre!("no node runs"))
    }

    /// Checks that all running nodes have the same blocks up to the lowest of their heights, as far as each keeps
    /// them; the highest height that was compared. A block's identity covers its whole history and the root of
    /// the state after its parent.
    ///
    /// # Errors
    /// If two differ: a fork.
    pub async fn check_agreement(&self) -> Result<u64> {
        let clients = self.running_clients()?;
        let states = try_join_all(clients.iter().map(Client::status)).await?;
        let common = states.iter().map(|status| status.height).min().unwrap_or_default();
        let mut reference = std::collections::BTreeMap::new();
        for (client, status) in clients.iter().zip(&states) {
            ensure!(status.chain == self.chain(), "{} is on another chain", client.url());
            let mut next = status.oldest_block.max(1);
            while next <= common {
                let page = client.blocks(Some(next), 100).await?;
                let Some(last) = page.blocks.last() else { bail!("{} has no block {next}", client.url()) };
                let after = last.height + 1;
                for block in page.blocks {
                    let known = *reference.entry(block.height).or_insert(block.id);
                    ensure!(
                        known == block.id,
                        "two blocks at height {}: {known} and {}",
                        block.height,
                        block.id
                    );
                }
                next = after;
            }
        }
        Ok(common)
    }

    /// Checks that no host lost its place or was convicted, as the running nodes see it.
    ///
    /// # Errors
    /// Names the host.
    pub async fn check_nobody_convicted(&self) -> Result<()> {
        for client in self.running_clients()? {
            for host in client.hosts(None, 100).await?.hosts {
                ensure!(
                    host.summary.status == "active",
                    "{} is {}",
                    host.summary.address,
                    host.summary.status
                );
                let bonded = self.genesis.hosts.iter().find(|entry| entry.address == host.summary.address);
                let bonded = bonded.map(|entry| entry.collateral);
                ensure!(bonded == Some(host.collateral), "{} lost collateral", host.summary.address);
            }
        }
        Ok(())
    }

    /// Checks that the accounts and hosts of the genesis still have together what it gave them: transfers among
    /// them make and lose nothing.
    ///
    /// # Errors
    /// If there is more or less.
    pub async fn check_conservation(&self, client: &Client) -> Result<()> {
        // Accounts are read one by one while the chain goes on; without transfers under way they do not change.
        let mut held = Amount::ZERO;
        let mut add = |amount: Amount| {
            held = held.checked_add(amount).unwrap_or_default();
        };
        for entry in &self.genesis.accounts {
            let account = client.account(&entry.address).await?;
            add(account.balance);
            if let Some(host) = account.host {
                add(host.collateral);
                host.unbonding.iter().for_each(|part| add(part.amount));
            }
        }
        let given = self
            .genesis
            .accounts
            .iter()
            .fold(Amount::ZERO, |sum, entry| sum.checked_add(entry.balance).unwrap_or_default());
        ensure!(held == given, "there were {given} in the genesis, there are {held} now");
        Ok(())
    }

    /// The block at `height` of a node.
    ///
    /// # Errors
    /// If it has none.
    pub async fn block(&self, at: usize, height: u64) -> Result<BlockView> {
        Ok(self.client(at)?.block(height).await?)
    }

    /// Stops all nodes in order.
    ///
    /// # Errors
    /// If one does not stop well.
    pub async fn stop(mut self) -> Result<()> {
        let running = self.nodes.iter_mut().filter(|node| node.is_running());
        try_join_all(running.map(NodeProcess::stop)).await?;
        Ok(())
    }

    fn running_clients(&self) -> Result<Vec<Client>> {
        self.nodes.iter().filter(|node| node.is_running()).map(NodeProcess::client).collect()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Kills what still runs, so that the logs are whole.
        self.nodes.clear();
        crate::log::close(&mut self.folder, &self.secrets);
    }
}
