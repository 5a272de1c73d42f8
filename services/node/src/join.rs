//! A new node's way to the present: a snapshot from peers, none of which is trusted.
//!
//! From the genesis validators the node walks along the trail of switches to the snapshot's height, checks the
//! block there and the one after it, whose header certifies the state root, and then takes the state in chunks
//! that are each checked against that root. Any peer may serve any part; a wrong part is refused by name.

use std::path::Path;
use std::time::Duration;

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_ledger::Genesis;
use freeway_primitives::{Block, Canonical, Certificate, Height, MAX_BLOCK_BYTES};
use freeway_store::{BlockRecord, Config, Manifest, Medium, Restore, RestoreError, Store, StoreError};
use tracing::{info, warn};

use crate::chain::BlockResults;
use crate::trail::{Certified, MAX_SWITCHES, Switch, Trail, Walk};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer in bytes.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// What a node offers to a new one.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Offer {
    /// The snapshot.
    pub manifest: Manifest,
    /// The block of its height.
    pub block: Vec<u8>,
    /// Why that block is final.
    pub certificate: Certificate,
    /// The header after it, which carries the root of the snapshot's state.
    pub next: Certified,
}

impl Canonical for Offer {
    const KIND: &'static str = "snapshot offer";
    const MAX_BYTES: usize =
        Manifest::MAX_BYTES + MAX_BLOCK_BYTES + Certificate::MAX_BYTES + Certified::MAX_BYTES + 4;
}

/// Why no snapshot could be fetched.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No source worked.
    #[error(
        "no snapshot could be fetched: {0}; name other nodes in join.snapshot_from, or remove the setting to \
         execute every block since genesis instead"
    )]
    NoSource(String),
    /// The own store or trail fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether `folder` holds a chain: not absent, not empty, not half restored.
pub fn is_complete(folder: &Path) -> bool {
    if !folder.exists() {
        return false;
    }
    match Store::open(Medium::Directory(folder.to_owned()), Config::default()) {
        Ok(store) => matches!(store.genesis(), Ok(Some(_))),
        Err(StoreError::Unfinished) => false,
        // Something is there; opening it in earnest says what is wrong.
        Err(_) => true,
    }
}

/// Fills `folder` from a snapshot of one of `sources` (URLs).
///
/// # Errors
/// [`JoinError`] if no source serves a snapshot that stands every check.
pub async fn from_snapshot(
    sources: &[String],
    genesis: &Genesis,
    folder: &Path,
    trail: &Trail,
    config: Config,
) -> Result<Store, JoinError> {
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| JoinError::NoSource(error.to_string()))?;
    let mut reasons = Vec::new();
    for source in sources {
        let base = source.trim_end_matches('/').to_owned();
        let source_of = Source { client: client.clone(), base };
        match fetch(&source_of, genesis, folder, trail, config.clone()).await {
            Ok(store) => return Ok(store),
            Err(reason) => {
                warn!(source, reason, "this node's snapshot is not used");
                reasons.push(format!("{source}: {reason}"));
            }
        }
    }
    Err(JoinError::NoSource(reasons.join("; ")))
}

struct Source {
    client: reqwest::Client,
    base: String,
}

impl Source {
    async fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        let url = format!("{}/v1/sync/{path}", self.base);
        let text = |error: reqwest::Error| error.without_url().to_string();
        let mut response = self.client.get(&url).send().await.map_err(text)?;
        if !response.status().is_success() {
            return Err(format!("{url} answers {}", response.status()));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(text)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_ANSWER_BYTES {
                return Err(format!("{url} answers with more than {MAX_ANSWER_BYTES} bytes"));
            }
        }
        Ok(bytes)
    }
}

async fn fetch(
    source: &Source,
    genesis: &Genesis,
    folder: &Path,
    trail: &Trail,
    config: Config,
) -> Result<Store, String> {
    let chain = genesis.chain();
    let (_, first) = freeway_ledger::open(genesis).map_err(|error| error.to_string())?;
    let offer = Offer::decode(&source.get("offer").await?).map_err(|error| error.to_string())?;
    let height = offer.manifest.height;
    info!(%height, chunks = offer.manifest.chunks.len(), source = source.base, "a snapshot is offered");

    let (mut walk, switches) = walk_to(source, Walk::new(chain, first), height, trail).await?;
    let block = Block::decode(&offer.block).map_err(|error| error.to_string())?;
    let certified = Certified { header: block.header.clone(), certificate: offer.certificate.clone() };
    walk.check(&certified).map_err(|error| error.to_string())?;
    if !block.is_consistent() || block.header.height != height {
        return Err("the block offered is not that of the snapshot".into());
    }
    // If the snapshot's block is itself a switch, its successor is signed by the next set.
    if let Some(switch) = switches.into_iter().find(|switch| switch.last.header.height == height) {
        walk.step(switch).map_err(|error| error.to_string())?;
    }
    walk.check(&offer.next).map_err(|error| error.to_string())?;
    let next = &offer.next.header;
    if next.parent != block.id() || next.height != height.next() {
        return Err("the header offered does not follow the snapshot's block".into());
    }
    if next.state_root != offer.manifest.root {
        return Err("the snapshot's root is not the certified one".into());
    }

    let medium = Medium::Directory(folder.to_owned());
    let text = |error: RestoreError| error.to_string();
    let mut restore = Restore::begin(medium, config, &genesis.encode(), height, next.state_root)
        .map_err(|error| error.to_string())?;
    let count = offer.manifest.chunks.len();
    for index in 0..count {
        let chunk = source.get(&format!("snapshots/{height}/{index}")).await?;
        tokio::task::block_in_place(|| restore.add_chunk(&chunk)).map_err(text)?;
        info!(chunk = index + 1, of = count, "part of the state received and verified");
    }
    let record =
        BlockRecord { height, id: block.id(), block: offer.block, certificate: offer.certificate.encode() };
    let results = BlockResults {
        receipts_root: next.receipts_root,
        // Receipts are not part of a snapshot; their digest is certified.
        events: Vec::new(),
        transactions: Vec::new(),
    };
    tokio::task::block_in_place(|| restore.finish(&record, &results.encode())).map_err(text)
}

/// Walks to the set that signs `height`. Also gives the switches at or after it that came along.
async fn walk_to(
    source: &Source,
    mut walk: Walk,
    height: Height,
    trail: &Trail,
) -> Result<(Walk, Vec<Switch>), String> {
    loop {
        let bytes = source.get(&format!("switches/{}", walk.height())).await?;
        let switches = decode_switches(&bytes)?;
        let full = switches.len() == MAX_SWITCHES;
        let mut rest = switches.into_iter().peekable();
        while let Some(switch) = rest.next_if(|switch| switch.last.header.height < height) {
            walk.step(switch.clone()).map_err(|error| error.to_string())?;
            trail.keep(&switch).map_err(|error| error.to_string())?;
        }
        if rest.peek().is_some() || !full {
            return Ok((walk, rest.collect()));
        }
    }
}

/// Joins switches for an answer.
pub fn encode_switches(switches: &[Switch]) -> Vec<u8> {
    borsh::to_vec(switches).unwrap_or_default()
}

fn decode_switches(bytes: &[u8]) -> Result<Vec<Switch>, String> {
    let switches = Vec::<Switch>::try_from_slice(bytes).map_err(|error| error.to_string())?;
    if switches.len() > MAX_SWITCHES {
        return Err(format!("{} switches in one answer", switches.len()));
    }
    Ok(switches)
}

/// What this node can offer: its latest snapshot, with what proves it.
///
/// # Errors
/// If a file or the store cannot be read.
pub fn offer(store: &Store, snapshots: &Path) -> Result<Option<Offer>, String> {
    let Ok(entries) = std::fs::read_dir(snapshots) else { return Ok(None) };
    let mut heights: Vec<u64> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    heights.sort_unstable();
    for height in heights.into_iter().rev().map(Height) {
        let path = snapshots.join(height.to_string()).join(freeway_store::MANIFEST_NAME);
        let manifest = match std::fs::read(path) {
            Ok(bytes) => bytes,
            // Just being written, or removed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.to_string()),
        };
        let manifest = Manifest::decode(&manifest).map_err(|error| error.to_string())?;
        let read = |height| store.block(height).map_err(|error: StoreError| error.to_string());
        let (Some((block, certificate)), Some((next, next_certificate))) =
            (read(height)?, read(height.next())?)
        else {
            continue;
        };
        let decode = |bytes: &[u8]| Certificate::decode(bytes).map_err(|error| error.to_string());
        let header = Block::decode(&next).map_err(|error| error.to_string())?.header;
        return Ok(Some(Offer {
            manifest,
            block,
            certificate: decode(&certificate)?,
            next: Certified { header, certificate: decode(&next_certificate)? },
        }));
    }
    Ok(None)
}

/// The trail of a node whose data is in `data`.
///
/// # Errors
/// The system's, if its folder cannot be made.
pub fn trail(data: &Path) -> std::io::Result<Trail> {
    Trail::open(data.join("trail"))
}
