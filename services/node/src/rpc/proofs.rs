//! Proofs about the state.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use freeway_api::{ErrorBody, ProofView};
use freeway_ledger::Reader;
use freeway_ledger::accounts::ACCOUNTS;
use freeway_ledger::work::COMMITS;
use freeway_primitives::{Address, Block, Canonical, Height};
use freeway_store::MAX_KEY_BYTES;

use super::error::ApiError;
use super::extract::{self, Asked, AtHeight, Place};
use super::{Context, Server};

/// Proof of a key of the state: its value, or that there is none.
#[utoipa::path(get, path = "/v1/proofs/{key}", tag = "proofs",
    params(
        ("key" = String, Path, description = "The key, in hexadecimal."),
        ("height" = Option<u64>, Query,
            description = "The height of the state; if missing, the latest whose root is certified."),
    ),
    responses(
        (status = 200, description = "The proof.", body = ProofView),
        (status = "4XX", description = "The request is wrong, or that height is not kept.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn key(
    State(server): State<Arc<Server>>,
    Place(key): Place<String>,
    Asked(query): Asked<AtHeight>,
) -> Result<Json<ProofView>, ApiError> {
    let key =
        hex::decode(&key).map_err(|error| ApiError::parameter("key", format!("not hexadecimal: {error}")))?;
    if key.len() > MAX_KEY_BYTES {
        return Err(ApiError::parameter("key", format!("longer than {MAX_KEY_BYTES} bytes")));
    }
    answer(&server, key, query).await
}

/// Proof of an account's entry in the state.
#[utoipa::path(get, path = "/v1/accounts/{address}/proof", tag = "proofs",
    params(
        ("address" = String, Path, description = "The account's address."),
        ("height" = Option<u64>, Query,
            description = "The height of the state; if missing, the latest whose root is certified."),
    ),
    responses(
        (status = 200, description = "The proof. The value is the canonical encoding of the account.",
            body = ProofView),
        (status = "4XX", description = "The request is wrong, or that height is not kept.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn account(
    State(server): State<Arc<Server>>,
    Place(address): Place<String>,
    Asked(query): Asked<AtHeight>,
) -> Result<Json<ProofView>, ApiError> {
    let address: Address = extract::value("address", &address)?;
    answer(&server, ACCOUNTS.key(&address), query).await
}

/// Proof of a host's commitment to work in the state.
#[utoipa::path(get, path = "/v1/work/{interval}/{host}/proof", tag = "proofs",
    params(
        ("interval" = u64, Path, description = "The interval."),
        ("host" = String, Path, description = "The account that owns the host."),
        ("height" = Option<u64>, Query,
            description = "The height of the state; if missing, the latest whose root is certified."),
    ),
    responses(
        (status = 200, description = "The proof. The value is the canonical encoding of the commitment.",
            body = ProofView),
        (status = "4XX", description = "The request is wrong, or that height is not kept.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn commitment(
    State(server): State<Arc<Server>>,
    Place((interval, host)): Place<(String, String)>,
    Asked(query): Asked<AtHeight>,
) -> Result<Json<ProofView>, ApiError> {
    let interval = extract::number("interval", &interval)?;
    let host: Address = extract::value("host", &host)?;
    answer(&server, COMMITS.key(&(interval, host)), query).await
}

async fn answer(server: &Server, key: Vec<u8>, query: AtHeight) -> Result<Json<ProofView>, ApiError> {
    let height = query.height.as_deref().map(|text| extract::height("height", text)).transpose()?;
    server.bulk(move |context| prove(context, &key, height)).await.map(Json)
}

fn prove(context: &Context, key: &[u8], height: Option<Height>) -> Result<ProofView, ApiError> {
    let latest = context.feed.tip().borrow().height;
    // The root of a state is in the header of the next block.
    let height = height.unwrap_or_else(|| latest.minus(1));
    let proof = context.store.prove(height, key)?;
    let retained = || freeway_store::StoreError::NotRetained {
        height,
        oldest: context.store.flushed_height(),
        newest: latest,
    };
    // Between two reads a flush may have moved on.
    let state = context.store.view_at(height).ok_or_else(retained)?;
    let next = if height < latest { context.store.block(height.next())? } else { None };
    let header = match &next {
        Some((block, _)) => Some(hex::encode(Block::decode(block)?.header.encode())),
        None => None,
    };
    Ok(ProofView {
        height: height.0,
        root: state.root(),
        key: hex::encode(key),
        value: state.get(key)?.map(hex::encode),
        proof: hex::encode(proof.encode()),
        header,
        certificate: next.map(|(_, certificate)| hex::encode(certificate)),
    })
}
