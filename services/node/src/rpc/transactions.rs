//! Transactions: taking them in, and telling what became of them.

use core::time::Duration;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use borsh::BorshDeserialize;
use freeway_api::transactions::MAX_SUBMIT;
use freeway_api::{ErrorBody, SubmitRequest, SubmitResult, SubmitView, TransactionView};
use freeway_ledger::{MAX_TRANSACTION_BYTES, Receipt, Transaction};
use freeway_primitives::{Block, Canonical, Digest};
use futures::StreamExt;
use serde::Deserialize;

use super::error::ApiError;
use super::extract::{self, Asked, Nothing, Place};
use super::listener::stopped;
use super::{Context, Server};
use crate::mempool::InsertError;

/// The route of a single transaction.
pub(super) const PATH: &str = "/v1/transactions/{hash}";
/// The longest that a request may wait for its transaction.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(60);
/// The longest body.
const MAX_BODY_BYTES: usize = 8 << 20;
/// Bodies up to this length are always read; of longer ones, few at a time.
const SMALL_BODY_BYTES: usize = 64 << 10;
/// What is read of a body that is too long, so that its sender hears the answer.
const MAX_DISCARDED_BYTES: usize = 4 * MAX_BODY_BYTES;

/// The query of [`transaction`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitQuery {
    wait: Option<String>,
}

/// A transaction, waiting or included.
#[utoipa::path(get, path = "/v1/transactions/{hash}", tag = "transactions",
    params(
        ("hash" = String, Path, description = "The transaction's hash, 64 hexadecimal digits."),
        ("wait" = Option<u64>, Query,
            description = "Wait so many milliseconds, at most 60000, for it to be included."),
    ),
    responses(
        (status = 200, description = "The transaction.", body = TransactionView),
        (status = "4XX", description = "The request is wrong, or the node does not know it.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn transaction(
    State(server): State<Arc<Server>>,
    Place(hash): Place<String>,
    Asked(query): Asked<WaitQuery>,
) -> Result<Json<TransactionView>, ApiError> {
    let hash: Digest = extract::value("hash", &hash)?;
    let wait = match &query.wait {
        Some(text) => Duration::from_millis(extract::number("wait", text)?),
        None => Duration::ZERO,
    };
    if wait > MAX_WAIT {
        return Err(ApiError::parameter(
            "wait",
            "a request can wait 60000 milliseconds; ask again after that",
        ));
    }
    if !wait.is_zero() {
        wait_for(&server, &hash, wait).await?;
    }
    server.bulk(move |context| find(context, &hash)).await.map(Json)
}

/// Waits until a transaction is included, has dropped out of the mempool, or `wait` is over.
async fn wait_for(server: &Server, hash: &Digest, wait: Duration) -> Result<(), ApiError> {
    let context = &server.context;
    let (mempool, mut tip) = (context.submitter.mempool(), context.feed.tip());
    let over = async {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stopped(server.stop.clone()) => {}
        }
    };
    let mut over = core::pin::pin!(over);
    let mut seen = false;
    loop {
        tip.mark_unchanged();
        // In this order: a transaction leaves the mempool after its receipt is there.
        let waits = mempool.contains(hash);
        if context.store.receipt(hash)?.is_some() || (seen && !waits) {
            return Ok(());
        }
        seen |= waits;
        tokio::select! {
            changed = tip.changed() => if changed.is_err() { return Ok(()) },
            () = &mut over => return Ok(()),
        }
    }
}

fn find(context: &Context, hash: &Digest) -> Result<TransactionView, ApiError> {
    let pending = context.submitter.mempool().get(hash);
    let Some((height, index, receipt)) = context.store.receipt(hash)? else {
        return match pending {
            Some(pending) => {
                Ok(TransactionView::pending(*hash, &pending.transaction, pending.bytes.len()))
            }
            None => Err(ApiError::not_found(format!("transaction {hash} is not known here")).hint(
                "it has not reached this node, has expired, or its block is no longer kept; sign and send it again \
                 only after its expiry height has passed",
            )),
        };
    };
    let pruned = || super::blocks::pruned("block", height, context.store.oldest_block());
    let (block, _) = context.store.block(height)?.ok_or_else(pruned)?;
    let block = Block::decode(&block)?;
    let bytes = block.transactions.get(index as usize).ok_or_else(pruned)?;
    let (receipt, transaction) = (Receipt::decode(&receipt)?, Transaction::decode(bytes)?);
    Ok(TransactionView::included(&receipt, height.0, index, &transaction, bytes.len()))
}

/// Submits one transaction or many. What is answered with a hash is durable.
///
/// One: `{"transaction": "<hex>"}`; the answer is its hash or an error. Many: `{"transactions": ["<hex>", ...]}`,
/// or `application/octet-stream` with the borsh encoding of a list of byte strings; the answer is a list with a
/// hash or an error for each, in order. At most 4,096 transactions and 8 MiB.
#[utoipa::path(post, path = "/v1/transactions", tag = "transactions",
    request_body(content(
        (SubmitRequest = "application/json"),
        (Vec<u8> = "application/octet-stream"),
    )),
    responses(
        (status = 200, description = "For one transaction an object with its `hash`; for many a list.",
            body = SubmitAnswer),
        (status = "4XX", description = "The transaction, or the request as a whole, is refused.", body = ErrorBody),
        (status = "5XX", description = "There is no room, or the node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn submit(
    State(server): State<Arc<Server>>,
    _: Asked<Nothing>,
    request: Request,
) -> Result<Response, ApiError> {
    let content = content_type(request.headers());
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let small = length.is_some_and(|length| length <= SMALL_BODY_BYTES);
    let uploads = Arc::clone(&server.uploads);
    let _permit = if small { None } else { uploads.acquire_owned().await.ok() };
    let body = read(request.into_body()).await?;
    let (batch, single) = match content {
        Some(Content::Json) => parse_json(&body)?,
        Some(Content::Binary) => (parse_binary(&body)?, false),
        None => {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "the content type must be application/json or application/octet-stream",
            ));
        }
    };
    drop(body);
    let count = batch.len();
    let results = server.context.submitter.submit(batch).await?;
    if results.len() != count {
        return Err(ApiError::internal("the node could not judge the transactions"));
    }
    if let [result] = results.as_slice()
        && single
    {
        let hash = result.clone().map_err(ApiError::from)?;
        return Ok(Json(SubmitView { hash }).into_response());
    }
    if let Some(fault) = results.iter().find_map(|result| match result {
        Err(InsertError::Fault(fault)) => Some(fault.clone()),
        _ => None,
    }) {
        return Err(fault.into());
    }
    let answer = |result: Result<Digest, InsertError>| match result {
        Ok(hash) => SubmitResult { hash: Some(hash), error: None },
        Err(error) => SubmitResult { hash: None, error: Some(ApiError::from(error).detail().clone()) },
    };
    Ok(Json(results.into_iter().map(answer).collect::<Vec<_>>()).into_response())
}

/// The answer to a submission.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the two forms of the answer")]
pub(super) enum SubmitAnswer {
    /// To one transaction.
    One(SubmitView),
    /// To many.
    Many(Vec<SubmitResult>),
}

#[derive(Clone, Copy)]
enum Content {
    Json,
    Binary,
}

fn content_type(headers: &HeaderMap) -> Option<Content> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = text.split(';').next()?.trim();
    if kind.eq_ignore_ascii_case("application/json") {
        Some(Content::Json)
    } else if kind.eq_ignore_ascii_case("application/octet-stream") {
        Some(Content::Binary)
    } else {
        None
    }
}

async fn read(body: Body) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut length = 0;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| ApiError::bad_request("broken_body", "the body ended too early"))?;
        length += piece.len();
        if length > MAX_DISCARDED_BYTES {
            break;
        }
        if length > MAX_BODY_BYTES {
            // Only its length matters now.
            bytes = Vec::new();
        } else {
            bytes.extend_from_slice(&piece);
        }
    }
    if length > MAX_BODY_BYTES {
        let message = format!("a body can have {MAX_BODY_BYTES} bytes");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
            .hint("send the transactions in several requests"));
    }
    Ok(bytes)
}

fn check_count(count: usize) -> Result<(), ApiError> {
    if (1..=MAX_SUBMIT).contains(&count) {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "bad_count",
        format!("{count} transactions; a request can have 1 to {MAX_SUBMIT}"),
    ))
}

/// The transactions, and whether there is one by itself.
fn parse_json(body: &[u8]) -> Result<(Vec<Vec<u8>>, bool), ApiError> {
    let request: SubmitRequest = serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request("bad_json", format!("the body is not a submission: {error}"))
    })?;
    match request {
        SubmitRequest { transaction: Some(one), transactions: None } => {
            Ok((vec![unhex("transaction", &one)?], true))
        }
        SubmitRequest { transaction: None, transactions: Some(many) } => {
            check_count(many.len())?;
            let item = |(at, text): (usize, &String)| unhex(&format!("transactions[{at}]"), text);
            Ok((many.iter().enumerate().map(item).collect::<Result<_, _>>()?, false))
        }
        _ => Err(ApiError::bad_request(
            "bad_json",
            "the body must have either \"transaction\" or \"transactions\"",
        )),
    }
}

fn unhex(name: &str, text: &str) -> Result<Vec<u8>, ApiError> {
    if text.len() > 2 * MAX_TRANSACTION_BYTES {
        let message = format!("{name}: a transaction can have {MAX_TRANSACTION_BYTES} bytes");
        return Err(ApiError::bad_request("too_large", message));
    }
    hex::decode(text).map_err(|error| ApiError::parameter(name, format!("not hexadecimal: {error}")))
}

fn parse_binary(body: &[u8]) -> Result<Vec<Vec<u8>>, ApiError> {
    let broken = |detail: &str| {
        ApiError::bad_request(
            "bad_borsh",
            format!("the body is not the borsh encoding of a list of byte strings: {detail}"),
        )
    };
    // The count is checked first, so that it decides nothing about memory.
    let count = body.first_chunk::<4>().map(|count| u32::from_le_bytes(*count) as usize);
    check_count(count.ok_or_else(|| broken("it is too short"))?)?;
    Vec::<Vec<u8>>::try_from_slice(body).map_err(|error| broken(&error.to_string()))
}
