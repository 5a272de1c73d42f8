//! The chain through the interface of nodes: the next one is asked when one is silent.

use core::future::Future;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use core::time::Duration;

use async_trait::async_trait;
use freeway_api::{AccountView, Client, ClientError, EventStream, LaneView, OutcomeView, StreamItem};
use freeway_engines::Tier;
use freeway_ledger::lanes::Message;
use freeway_ledger::{Body, Message as Any};
use freeway_primitives::{Address, ChainId, Digest, Height, SecretKey};
use freeway_proofs::work::LaneId;
use tokio::sync::Mutex;

use super::chain::{Chain, ChainError, Lane, LaneShare, LaneState, Outcome, Sent};

/// Blocks that a transaction may wait.
const LIFETIME: u64 = 20;
/// The beacon's latest value is at most so many blocks old while it works.
const RECENT: u64 = 6;
/// The longest wait for a block.
const WAIT: Duration = Duration::from_secs(30);
/// Between two attempts to reach a node.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a transaction is signed anew when another one of the same key was faster.
const ATTEMPTS: usize = 3;
/// Lanes of one page, and the most pages.
const PAGE: (u64, usize) = (100, 200);

/// The chain through nodes.
pub struct RpcChain {
    clients: Vec<Client>,
    /// The node that answered last.
    current: AtomicUsize,
    id: ChainId,
    account: Address,
    key: SecretKey,
    /// The latest height that was seen: nodes that are behind are not believed.
    seen: AtomicU64,
    blocks: Mutex<Option<EventStream>>,
}

impl core::fmt::Debug for RpcChain {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RpcChain").field("clients", &self.clients).finish_non_exhaustive()
    }
}

fn of_client(error: &ClientError) -> ChainError {
    ChainError::new(error.code(), error.to_string())
}

impl RpcChain {
    /// Asks the nodes at `urls` for the network. `key` signs for `account`.
    ///
    /// # Errors
    /// [`ChainError`] if no node answers, or if they are of different networks.
    pub async fn connect(urls: &[String], account: Address, key: SecretKey) -> Result<Self, ChainError> {
        let clients: Result<Vec<Client>, ClientError> = urls.iter().map(|url| Client::new(url)).collect();
        let clients = clients.map_err(|error| of_client(&error))?;
        let mut found: Option<ChainId> = None;
        let mut silent = ChainError::new("no_node", "no node is named; name one");
        for client in &clients {
            match client.status().await {
                Ok(status) if found.is_some_and(|chain| chain != status.chain) => {
                    let message = format!("{} is a node of another network; leave it out", client.url());
                    return Err(ChainError::new("wrong_chain", message));
                }
                Ok(status) => found = Some(status.chain),
                Err(error) => silent = of_client(&error),
            }
        }
        let id = found.ok_or(silent)?;
        let (current, seen, blocks) = (AtomicUsize::new(0), AtomicU64::new(0), Mutex::new(None));
        Ok(Self { clients, current, id, account, key, seen, blocks })
    }

    /// The answer of the first node that gives one, beginning with the last that did.
    async fn ask<'a, T, F>(&'a self, what: impl Fn(&'a Client) -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>> + Send + 'a,
    {
        let first = self.current.load(Relaxed);
        let mut last = ClientError::Unreachable { url: "any node".into() };
        for step in 0..self.clients.len() {
            let at = (first + step) % self.clients.len();
            match what(&self.clients[at]).await {
                Err(error) if !matches!(error, ClientError::Api { .. }) => last = error,
                answer => {
                    self.current.store(at, Relaxed);
                    return answer;
                }
            }
        }
        Err(last)
    }

    fn sees(&self, height: u64) -> bool {
        self.seen.fetch_max(height, Relaxed) <= height
    }

    /// The key's next sequence for the account.
    fn sequence(&self, view: &AccountView) -> Result<u64, ChainError> {
        let key = self.key.public();
        if Address::of(&key) == self.account {
            return Ok(view.sequence);
        }
        let found = view.delegates.iter().find(|delegate| delegate.key == key);
        found.map(|delegate| delegate.sequence).ok_or_else(|| {
            let message = format!(
                "the gateway's key may not open lanes for {}; its owner can allow it: `freeway delegate add {key} \
                 --scope lane`",
                self.account
            );
            ChainError::new("not_authorised", message)
        })
    }

    async fn try_send(&self, message: &Message) -> Result<Sent, ClientError> {
        let account = self.account;
        let view = self.ask(|client| client.account(&account)).await?;
        let sequence = self.sequence(&view).map_err(|error| ClientError::Api {
            status: 403,
            detail: freeway_api::ErrorDetail::new(error.code, error.message),
        })?;
        let height = view.height.max(self.seen.load(Relaxed));
        let own = Address::of(&self.key.public()) == account;
        let body = Body {
            chain: self.id,
            signer: self.key.public(),
            on_behalf_of: (!own).then_some(account),
            sequence,
            expiry: Height(height).plus(LIFETIME),
            message: Any::Lanes(message.clone()),
        };
        let expiry = body.expiry.0;
        let transaction = body.sign(&self.key);
        let transaction = &transaction;
        let hash = self.ask(|client| client.submit(transaction)).await?;
        Ok(Sent { hash, expiry })
    }
}

#[async_trait]
impl Chain for RpcChain {
    fn id(&self) -> ChainId {
        self.id
    }

    async fn height(&self) -> Result<u64, ChainError> {
        let status = self.ask(|client| client.status()).await.map_err(|error| of_client(&error))?;
        if status.chain != self.id {
            let message = format!("the node is of network {} now, not {}", status.chain, self.id);
            return Err(ChainError::new("wrong_chain", message));
        }
        self.sees(status.height);
        Ok(status.height)
    }

    async fn wait(&self, after: u64) {
        let mut blocks = self.blocks.lock().await;
        loop {
            if blocks.is_none() {
                match self.ask(|client| client.events(None)).await {
                    Ok(stream) => *blocks = Some(stream),
                    Err(_) => return tokio::time::sleep(PAUSE).await,
                }
            }
            let Some(stream) = blocks.as_mut() else { return };
            match tokio::time::timeout(WAIT, stream.next()).await {
                Ok(Ok(Some(StreamItem::Block(block)))) if block.height > after => {
                    self.sees(block.height);
                    return;
                }
                Ok(Ok(Some(_))) => {}
                Err(_) => return,
                Ok(Ok(None) | Err(_)) => {
                    *blocks = None;
                    self.current.fetch_add(1, Relaxed);
                    return tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn serving(&self, root: &Digest) -> Result<Option<u64>, ChainError> {
        let name = root.to_string();
        let name = &name;
        match self.ask(|client| client.model(name, None, 1)).await {
            Ok(view) => Ok(Some(view.serving)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(of_client(&error)),
        }
    }

    async fn draws(&self) -> Result<bool, ChainError> {
        let beacon = self.ask(|client| client.beacon()).await.map_err(|error| of_client(&error))?;
        Ok(beacon.latest.is_some_and(|latest| latest.height.saturating_add(RECENT) >= beacon.height))
    }

    async fn lanes(&self) -> Result<Vec<Lane>, ChainError> {
        let (mut lanes, mut after) = (Vec::new(), None);
        for _ in 0..PAGE.1 {
            let account = &self.account;
            let page = self.ask(|client| client.lanes_of_payer(account, after, PAGE.0)).await;
            let page = page.map_err(|error| of_client(&error))?;
            if !self.sees(page.height) {
                return Err(ChainError::new("behind", "the node is behind; it will catch up"));
            }
            for view in page.lanes {
                lanes.push(lane(view)?);
            }
            after = page.next;
            if after.is_none() {
                return Ok(lanes);
            }
        }
        Err(ChainError::new("too_many_lanes", "the account has more lanes than can be read; close some"))
    }

    async fn endpoints(&self, host: &Address) -> Result<Vec<String>, ChainError> {
        let view = self.ask(|client| client.host(host)).await.map_err(|error| of_client(&error))?;
        Ok(view.endpoints)
    }

    async fn send(&self, message: Message) -> Result<Sent, ChainError> {
        let mut attempt = 1;
        loop {
            match self.try_send(&message).await {
                Ok(sent) => return Ok(sent),
                // Refused for good, so that signing the same once more cannot make it happen twice.
                Err(error) if error.code() == "sequence_used" && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(of_client(&error)),
            }
        }
    }

    async fn outcome(&self, hash: &Digest) -> Result<Outcome, ChainError> {
        let view = match self.ask(|client| client.transaction(hash)).await {
            Ok(view) => view,
            Err(error) if error.is_not_found() => return Ok(Outcome::Waiting),
            Err(error) => return Err(of_client(&error)),
        };
        Ok(match (view.outcome, view.failure) {
            (None, _) => Outcome::Waiting,
            (Some(OutcomeView::Done), _) => Outcome::Done,
            (Some(_), Some(failure)) => Outcome::Failed(ChainError::new(failure.code, failure.message)),
            (Some(_), None) => Outcome::Failed(ChainError::new("failed", "the transaction failed")),
        })
    }
}

fn lane(view: LaneView) -> Result<Lane, ChainError> {
    let state = match view.state.as_str() {
        "waiting" => LaneState::Waiting,
        "open" => LaneState::Open,
        "closing" => LaneState::Closing,
        other => {
            let message = format!("a lane in the state {other:?} is not known here; update the gateway");
            return Err(ChainError::new("unknown_state", message));
        }
    };
    let tier = match view.tier.as_str() {
        "exact" => Tier::Exact,
        "statistical" => Tier::Statistical,
        other => {
            let message = format!("a lane of the tier {other:?} is not known here; update the gateway");
            return Err(ChainError::new("unknown_tier", message));
        }
    };
    let shares = view.shares.iter().map(|share| LaneShare {
        host: share.host,
        key: share.key,
        deposit: share.deposit,
        paid: share.paid,
        forfeited: share.forfeited,
    });
    Ok(Lane {
        id: LaneId(view.id),
        key: view.key,
        model: view.model,
        tier,
        prices: (&view.prices).into(),
        escrow: view.escrow,
        state,
        opened: view.opened,
        expires: view.expires,
        shares: shares.collect(),
    })
}
