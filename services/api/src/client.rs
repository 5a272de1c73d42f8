//! A typed client of a node's HTTP interface.
//!
//! ```no_run
//! # async fn example() -> Result<(), freeway_api::ClientError> {
//! let client = freeway_api::Client::new("http://127.0.0.1:26680")?;
//! let status = client.status().await?;
//! let latest = client.block(status.height).await?;
//! # let _ = latest;
//! # Ok(())
//! # }
//! ```

mod error;
mod explorer;
mod lanes;
mod stream;

use core::time::Duration;

use freeway_ledger::{Params, Transaction};
use freeway_primitives::{Address, Canonical, Digest};
use futures::StreamExt;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::de::DeserializeOwned;

pub use error::ClientError;
pub use stream::{EventStream, StreamItem};

use crate::transactions::{MAX_SUBMIT, SubmitResult, SubmitView};
use crate::{
    AccountView, BeaconValueView, BeaconView, BlockView, BlocksView, ErrorBody, ErrorDetail, GenesisFile,
    HealthView, HostView, HostsView, ParamsView, PeersView, ProofView, SnapshotsView, SprintHostsView,
    SprintResultsView, SprintView, Status, TransactionView, ValidatorsView, WeightsView,
};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may take, from sending it to the last byte of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// The longest error that is read.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// Bytes of transactions in one request of [`Client::submit_many`]; nodes take 8 MiB.
const MAX_SUBMIT_BYTES: usize = 6 << 20;

/// A client of one node. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    /// The address as it is shown in errors: without a password.
    shown: String,
}

impl Client {
    /// A client of the node at `url`, such as `http://127.0.0.1:26680`. Does not connect yet.
    ///
    /// # Errors
    /// [`ClientError::BadUrl`] if that is no HTTP address.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        let bad = |detail: &str| ClientError::BadUrl {
            url: url.chars().take(200).collect(),
            detail: detail.to_owned(),
        };
        let mut base = Url::parse(url.trim()).map_err(|error| bad(&error.to_string()))?;
        match base.scheme() {
            "http" => {}
            "https" => {
                return Err(bad("TLS is not supported here; use http:// through a local proxy or tunnel"));
            }
            _ => return Err(bad("it must start with http://")),
        }
        if !base.has_host() || base.query().is_some() || base.fragment().is_some() {
            return Err(bad("it must be a host and a port"));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("freeway/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| bad(&error.to_string()))?;
        let mut shown = base.clone();
        // Fails only for addresses that cannot have a password.
        let _ = (shown.set_password(None), shown.set_username(""));
        let shown = shown.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http, base, shown })
    }

    /// The node's address, as it may be shown.
    pub fn url(&self) -> &str {
        &self.shown
    }

    /// The node and where its chain stands.
    ///
    /// # Errors
    /// [`ClientError`]; the same holds for all methods below.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("v1/status", &[]).await
    }

    /// Whether the node works.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn health(&self) -> Result<HealthView, ClientError> {
        self.get("healthz", &[]).await
    }

    /// The block at `height`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn block(&self, height: u64) -> Result<BlockView, ClientError> {
        self.get(&format!("v1/blocks/{height}"), &[]).await
    }

    /// The latest block.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn latest_block(&self) -> Result<BlockView, ClientError> {
        self.get("v1/blocks/latest", &[]).await
    }

    /// At most `limit` blocks (and at most 100) from `from` on, or the latest ones.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn blocks(&self, from: Option<u64>, limit: u64) -> Result<BlocksView, ClientError> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(from.map(|from| ("from", from.to_string())));
        self.get("v1/blocks", &query).await
    }

    /// A transaction, waiting or included.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::is_not_found`] if the node does not know it.
    pub async fn transaction(&self, hash: &Digest) -> Result<TransactionView, ClientError> {
        self.get(&format!("v1/transactions/{hash}"), &[]).await
    }

    /// A transaction, after it was included or `wait` (at most a minute) has passed: look at its status.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::is_not_found`] if the node does not know it.
    pub async fn wait_for_transaction(
        &self,
        hash: &Digest,
        wait: Duration,
    ) -> Result<TransactionView, ClientError> {
        let path = format!("v1/transactions/{hash}");
        let request = self.request(Method::GET, &path)?.query(&[("wait", wait.as_millis().to_string())]);
        self.json(request.timeout(wait.saturating_add(REQUEST_TIMEOUT))).await
    }

    /// Submits a transaction. When this returns its hash, it survives a crash of the node.
    ///
    /// # Errors
    /// [`ClientError`]; the node's reasons come as [`ClientError::Api`].
    pub async fn submit(&self, transaction: &Transaction) -> Result<Digest, ClientError> {
        self.submit_bytes(&transaction.encode()).await
    }

    /// Submits the canonical bytes of a transaction.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub async fn submit_bytes(&self, bytes: &[u8]) -> Result<Digest, ClientError> {
        let body = crate::SubmitRequest { transaction: Some(hex::encode(bytes)), transactions: None };
        let request = self.request(Method::POST, "v1/transactions")?.json(&body).timeout(REQUEST_TIMEOUT);
        Ok(self.json::<SubmitView>(request).await?.hash)
    }

    /// Submits many transactions, in as few requests as their number and size allow: for each, in order, its
    /// hash or why it was not accepted.
    ///
    /// # Errors
    /// [`ClientError`] if a request fails as a whole; those before it have been submitted.
    pub async fn submit_many(
        &self,
        transactions: &[Vec<u8>],
    ) -> Result<Vec<Result<Digest, ErrorDetail>>, ClientError> {
        let mut results = Vec::with_capacity(transactions.len());
        let mut rest = transactions;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |item: &&Vec<u8>| {
                bytes += 4 + item.len();
                bytes <= MAX_SUBMIT_BYTES
            };
            let count = rest.iter().take(MAX_SUBMIT).take_while(fits).count().max(1);
            let (batch, after) = rest.split_at(count);
            let answers = self.submit_batch(batch).await?;
            if answers.len() != batch.len() {
                return Err(self.unexpected(format!("{} answers for {count} transactions", answers.len())));
            }
            for answer in answers {
                results.push(match answer {
                    SubmitResult { hash: Some(hash), .. } => Ok(hash),
                    SubmitResult { error: Some(error), .. } => Err(error),
                    SubmitResult { .. } => return Err(self.unexpected("an empty answer".into())),
                });
            }
            rest = after;
        }
        Ok(results)
    }

    async fn submit_batch(&self, batch: &[Vec<u8>]) -> Result<Vec<SubmitResult>, ClientError> {
        // Borsh of a list of byte strings: counts as u32 in little endian.
        let mut body = Vec::with_capacity(4 + batch.iter().map(|item| 4 + item.len()).sum::<usize>());
        body.extend((batch.len() as u32).to_le_bytes());
        for item in batch {
            body.extend((item.len() as u32).to_le_bytes());
            body.extend(item);
        }
        let request = self
            .request(Method::POST, "v1/transactions")?
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(body)
            .timeout(REQUEST_TIMEOUT);
        self.json(request).await
    }

    /// An account.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn account(&self, address: &Address) -> Result<AccountView, ClientError> {
        self.get(&format!("v1/accounts/{address}"), &[]).await
    }

    /// Proof of an account's entry in the state, at a certified height.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn account_proof(
        &self,
        address: &Address,
        height: Option<u64>,
    ) -> Result<ProofView, ClientError> {
        self.get(&format!("v1/accounts/{address}/proof"), &at(height)).await
    }

    /// A page of hosts, by address, after `after`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn hosts(&self, after: Option<&Address>, limit: u64) -> Result<HostsView, ClientError> {
        self.get("v1/hosts", &page(after, limit)).await
    }

    /// A host.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::is_not_found`] if the account owns none.
    pub async fn host(&self, address: &Address) -> Result<HostView, ClientError> {
        self.get(&format!("v1/hosts/{address}"), &[]).await
    }

    /// The validators that sign `height`, or the next one.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn validators(&self, height: Option<u64>) -> Result<ValidatorsView, ClientError> {
        self.get("v1/validators", &at(height)).await
    }

    /// A page of what hosts have proven, by address, after `after`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn weights(&self, after: Option<&Address>, limit: u64) -> Result<WeightsView, ClientError> {
        self.get("v1/weights", &page(after, limit)).await
    }

    /// The race in which hosts prove their compute.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn sprint(&self) -> Result<SprintView, ClientError> {
        self.get("v1/sprint", &[]).await
    }

    /// A page of the hosts in the race under way, by address, after `after`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn sprint_hosts(
        &self,
        after: Option<&Address>,
        limit: u64,
    ) -> Result<SprintHostsView, ClientError> {
        self.get("v1/sprint/hosts", &page(after, limit)).await
    }

    /// A page of what the latest settled race found, by address, after `after`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn sprint_results(
        &self,
        after: Option<&Address>,
        limit: u64,
    ) -> Result<SprintResultsView, ClientError> {
        self.get("v1/sprint/results", &page(after, limit)).await
    }

    /// The randomness beacon.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn beacon(&self) -> Result<BeaconView, ClientError> {
        self.get("v1/beacon", &[]).await
    }

    /// The beacon's value of `height`.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::is_not_found`] if it is not recorded, or not yet.
    pub async fn beacon_value(&self, height: u64) -> Result<BeaconValueView, ClientError> {
        self.get(&format!("v1/beacon/{height}"), &[]).await
    }

    /// The parameters.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn parameters(&self) -> Result<Params, ClientError> {
        Ok((&self.get::<ParamsView>("v1/parameters", &[]).await?).into())
    }

    /// The genesis file. Whoever joins a network must know its chain id from elsewhere, and compare.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn genesis(&self) -> Result<GenesisFile, ClientError> {
        self.get("v1/genesis", &[]).await
    }

    /// The connected peers.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn peers(&self) -> Result<PeersView, ClientError> {
        self.get("v1/peers", &[]).await
    }

    /// Proof of a key of the state.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn proof(&self, key: &[u8], height: Option<u64>) -> Result<ProofView, ClientError> {
        self.get(&format!("v1/proofs/{}", hex::encode(key)), &at(height)).await
    }

    /// The snapshots that the node offers.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn snapshots(&self) -> Result<SnapshotsView, ClientError> {
        self.get("v1/snapshots", &[]).await
    }

    /// The canonical manifest of the snapshot of `height`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn snapshot_manifest(&self, height: u64) -> Result<Vec<u8>, ClientError> {
        self.bytes(&format!("v1/snapshots/{height}/manifest")).await
    }

    /// A chunk of the snapshot of `height`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn snapshot_chunk(&self, height: u64, index: u64) -> Result<Vec<u8>, ClientError> {
        self.bytes(&format!("v1/snapshots/{height}/chunks/{index}")).await
    }

    /// Committed blocks as they come; with `from`, first those from that height on (at most 1,000 back).
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn events(&self, from: Option<u64>) -> Result<EventStream, ClientError> {
        let from = from.map(|from| ("from", from.to_string()));
        let request = self.request(Method::GET, "v1/events")?.query(from.as_slice());
        let response = self.send(request).await?;
        Ok(EventStream::new(response, self.shown.clone()))
    }

    /// The node's metrics, in the text format of Prometheus.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn metrics(&self) -> Result<String, ClientError> {
        String::from_utf8(self.bytes("metrics").await?).map_err(|error| self.unexpected(error.to_string()))
    }

    /// The description of the interface (OpenAPI), as JSON.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn openapi(&self) -> Result<serde_json::Value, ClientError> {
        self.get("openapi.json", &[]).await
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, ClientError> {
        let url = self.base.join(path).map_err(|error| self.unexpected(error.to_string()))?;
        Ok(self.http.request(method, url))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, ClientError> {
        self.json(self.request(Method::GET, path)?.query(query).timeout(REQUEST_TIMEOUT)).await
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        let bytes = self.read(response, MAX_ANSWER_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.unexpected(error.to_string()))
    }

    async fn bytes(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        let response = self.send(self.request(Method::GET, path)?.timeout(REQUEST_TIMEOUT)).await?;
        self.read(response, MAX_ANSWER_BYTES).await
    }

    /// Sends a request; an answer that is not a success becomes an error.
    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response =
            request.send().await.map_err(|error| ClientError::of_transport(&self.shown, &error))?;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let body = self.read(response, MAX_ERROR_BYTES).await?;
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(ErrorBody { error }) => Err(ClientError::Api { status: status.as_u16(), detail: error }),
            Err(_) => Err(self.unexpected(format!("HTTP {status}"))),
        }
    }

    async fn read(&self, response: Response, limit: usize) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| ClientError::of_transport(&self.shown, &error))?;
            if body.len() + chunk.len() > limit {
                return Err(ClientError::TooLarge { url: self.shown.clone(), limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unexpected(&self, detail: String) -> ClientError {
        ClientError::Unexpected { url: self.shown.clone(), detail }
    }
}

fn at(height: Option<u64>) -> Vec<(&'static str, String)> {
    height.map(|height| ("height", height.to_string())).into_iter().collect()
}

fn page<T: ToString>(after: Option<&T>, limit: u64) -> Vec<(&'static str, String)> {
    let mut query = vec![("limit", limit.to_string())];
    query.extend(after.map(|after| ("after", after.to_string())));
    query
}
