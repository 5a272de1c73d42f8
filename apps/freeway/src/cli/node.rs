//! The node that a command asks, and how it is found.

use std::time::Duration;

use freeway_api::{
    AccountView, BeaconValueView, BeaconView, BlockEvent, BlockView, Client, ClientError, EventStream,
    HostView, HostsView, ProofView, SprintHostsView, SprintResultsView, SprintView, Status, StreamItem,
    TransactionView, ValidatorsView,
};
use freeway_primitives::{Address, ChainId, Digest};

use super::Context;
use crate::hints::Problem;
use crate::network_file::NetworkFile;

/// How long a node may take to answer while there are others to ask.
const PATIENCE: Duration = Duration::from_secs(3);

/// A node that has answered.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it said of itself then.
    pub status: Status,
    client: Client,
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Api { detail, .. } => match detail.hint {
                Some(hint) => Self::new(detail.code, detail.message).hint(hint),
                None => Self::told(detail.code, detail.message),
            },
            other => Self::told(other.code().to_owned(), other),
        }
    }
}

impl Context {
    /// A node: that of `--rpc`, else the first of the network in the directory that answers.
    ///
    /// # Errors
    /// If none answers, or it is one of another network.
    pub async fn connect(&self) -> Result<Node, Problem> {
        if let Some(url) = &self.global().rpc {
            return Node::ask(url).await;
        }
        let directory = self.directory()?;
        let network = NetworkFile::read(&directory)?;
        let mut failures = Vec::new();
        for url in &network.rpc {
            let answer = tokio::time::timeout(PATIENCE, Node::ask(url)).await;
            match answer.unwrap_or_else(|_| Err(Problem::new("timed_out", format!("{url} is silent")))) {
                Ok(node) if network.chain.is_empty() => return Ok(node),
                Ok(node) => return node.require_chain_text(&network.chain).map(|()| node),
                Err(problem) => {
                    self.output().detail(problem.message());
                    failures.push(problem);
                }
            }
        }
        let message = match failures.as_slice() {
            [] => format!("the network at {} has no nodes", directory.display()),
            [only] => only.message().to_owned(),
            all => {
                format!("none of the {} nodes of the network at {} answers", all.len(), directory.display())
            }
        };
        Err(Problem::new("unreachable", message)
            .hint("start the network again with `freeway up`, or name a node with --rpc URL")
            .and_hint("`freeway doctor` looks for what is wrong"))
    }
}

impl Node {
    async fn ask(url: &str) -> Result<Self, Problem> {
        let client = Client::new(url)?;
        let status = client.status().await?;
        Ok(Self { status, client })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// What speaks to it, for what is asked nowhere else.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Checks that it is a node of this network.
    ///
    /// # Errors
    /// If it is one of another.
    pub fn require_chain(&self, wanted: &ChainId) -> Result<(), Problem> {
        self.require_chain_text(&wanted.to_string())
    }

    fn require_chain_text(&self, wanted: &str) -> Result<(), Problem> {
        let found = self.status.chain.to_string();
        if found == wanted {
            return Ok(());
        }
        let message = format!("{} is a node of network {found}, not of {wanted}", self.url());
        Err(Problem::new("wrong_chain", message).hint("check --rpc and --dir, and which network you mean"))
    }

    /// Its status now.
    ///
    /// # Errors
    /// As all below: if it does not answer, or refuses.
    pub async fn status_now(&self) -> Result<Status, Problem> {
        Ok(self.client.status().await?)
    }

    /// An account.
    ///
    /// # Errors
    /// See [`Node::status_now`].
    pub async fn account(&self, address: &Address) -> Result<AccountView, Problem> {
        Ok(self.client.account(address).await?)
    }

    /// A proof of an account at a height.
    ///
    /// # Errors
    /// See [`Node::status_now`].
    pub async fn account_proof(&self, address: &Address, height: u64) -> Result<ProofView, Problem> {
        Ok(self.client.account_proof(address, Some(height)).await?)
    }

    /// The validators that sign a height.
    ///
    /// # Errors
    /// See [`Node::status_now`].
    pub async fn validators(&self, height: u64) -> Result<ValidatorsView, Problem> {
        Ok(self.client.validators(Some(height)).await?)
    }

    /// A block; the latest without a height.
    ///
    /// # Errors
    /// See [`Node::status_now`].
    pub async fn block(&self, height: Option<u64>) -> Result<BlockView, Problem> {
        Ok(match height {
            Some(height) => self.client.block(height).await?,
            None => self.client.latest_block().await?,
        })
    }

    /// A transaction.
    ///
    /// # Errors
    /// See [`Node::status_now`].
    pub async fn transaction(&self, hash: &Digest) -> Result<TransactionView, Problem> {
        Ok(self.client.transaction(hash).await?)
    }

    /// A host.
    ///
    /// # Errors
    /// See [`Node::status_now`].
    pub async fn host(&self, address: &Address) -> Result<HostView, Problem> {
        Ok(self.client.host(address).await?)
    }

    /// A page of hosts.
    ///
    /// # Errors
    /// See [`Node::status_now`].
    pub async fn hosts(&self, after: Option<&Address>, limit: u64) -> Result<HostsView, Problem> {
        Ok(self.client.hosts(after, limit).await?)
    }

    /// The race in which compute is proven.
    ///
    /// # Errors
    /// See [`Node::status_now`].
    pub async fn sprint(&self) -> Result<SprintView, Problem> {
        Ok(self.client.sprint().await?)
    }

    /// A page of the hosts in the race.
    ///
    /// # Errors
    /// See [`Node::status_now`].
    pub async fn sprint_hosts(
        &self,
        after: Option<&Address>,
        limit: u64,
    ) -> Result<SprintHostsView, Problem> {
        Ok(self.client.sprint_hosts(after, limit).await?)
    }

    /// A page of the results of the latest settled race.
    ///
    /// # Errors
    /// See [`Node::status_now`].
    pub async fn sprint_results(
        &self,
        after: Option<&Address>,
        limit: u64,
    ) -> Result<SprintResultsView, Problem> {
        Ok(self.client.sprint_results(after, limit).await?)
    }

    /// The randomness beacon.
    ///
    /// # Errors
    /// See [`Node::status_now`].
    pub async fn beacon(&self) -> Result<BeaconView, Problem> {
        Ok(self.client.beacon().await?)
    }

    /// The beacon's value of a height.
    ///
    /// # Errors
    /// See [`Node::status_now`].
    pub async fn beacon_value(&self, height: u64) -> Result<BeaconValueView, Problem> {
        Ok(self.client.beacon_value(height).await?)
    }

    /// Submits the canonical bytes of a transaction.
    ///
    /// # Errors
    /// See [`Node::status_now`].
    pub async fn submit(&self, bytes: &[u8]) -> Result<Digest, Problem> {
        Ok(self.client.submit_bytes(bytes).await?)
    }

    /// The blocks from a height on, as they come.
    ///
    /// # Errors
    /// See [`Node::status_now`].
    pub async fn blocks(&self, from: u64) -> Result<Blocks, Problem> {
        Ok(Blocks { stream: self.client.events(Some(from)).await?, end: None, url: self.url().to_owned() })
    }
}

/// Blocks as they come, until the connection ends.
#[derive(Debug)]
pub struct Blocks {
    stream: EventStream,
    end: Option<Problem>,
    url: String,
}

impl Blocks {
    /// The next block; `None` when the connection has ended, or missed something: connect again from there.
    pub async fn next(&mut self) -> Option<BlockEvent> {
        match self.stream.next().await {
            Ok(Some(StreamItem::Block(block))) => return Some(*block),
            Ok(Some(StreamItem::Lagged(_)) | None) => {}
            Err(error) => self.end = Some(error.into()),
        }
        None
    }

    /// Why it ended.
    pub fn end(self) -> Problem {
        self.end.unwrap_or_else(|| {
            Problem::new("broken_connection", format!("{} ended the stream of blocks", self.url))
                .hint("it is stopping or overloaded; try again, or another node with --rpc URL")
        })
    }
}
