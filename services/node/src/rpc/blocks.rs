//! Blocks.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use freeway_api::blocks::MAX_BLOCKS;
use freeway_api::{BlockSummary, BlockView, BlocksView, ErrorBody, EventView, TransactionSummary};
use freeway_ledger::{Receipt, Transaction};
use freeway_primitives::{Block, Canonical, Certificate, Height};
use serde::Deserialize;

use super::error::ApiError;
use super::extract::{self, Asked, Nothing, Place};
use super::{Context, Server};
use crate::chain::BlockResults;

/// The default length of lists.
const DEFAULT_LIMIT: u64 = 20;

/// A block as it is stored.
pub(super) struct Loaded {
    pub(super) block: Block,
    pub(super) certificate: Certificate,
    pub(super) bytes: usize,
}

/// The block at `height`, if it is executed and kept.
pub(super) fn load(context: &Context, height: Height) -> Result<Loaded, ApiError> {
    let latest = context.feed.tip().borrow().height;
    if height == Height::GENESIS {
        return Err(
            ApiError::not_found("height 0 has no block").hint("/v1/genesis is where the chain begins")
        );
    }
    if height > latest {
        let error = ApiError::not_found(format!("there is no block {height} yet; the latest is {latest}"));
        return Err(error.hint("/v1/events tells when there is"));
    }
    let Some((bytes, certificate)) = context.store.block(height)? else {
        return Err(pruned("block", height, context.store.oldest_block()));
    };
    let block = Block::decode(&bytes)?;
    Ok(Loaded { block, certificate: Certificate::decode(&certificate)?, bytes: bytes.len() })
}

/// What was kept once.
pub(super) fn pruned(what: &str, height: Height, oldest: Height) -> ApiError {
    ApiError::new(
        axum::http::StatusCode::NOT_FOUND,
        "pruned",
        format!("{what} {height} is not kept here; the oldest is {oldest}"),
    )
    .hint("ask a node that keeps all blocks")
}

/// A block's own events and its receipts, in order.
pub(super) fn results(
    context: &Context,
    block: &Block,
) -> Result<(Vec<freeway_ledger::Event>, Vec<Receipt>), ApiError> {
    let height = block.header.height;
    let missing = |what: &str| pruned(what, height, context.store.oldest_block());
    let bytes = context.store.block_results(height)?.ok_or_else(|| missing("the result of block"))?;
    let BlockResults { events, transactions, .. } = BlockResults::decode(&bytes)?;
    // The block of a snapshot that this node began from was executed elsewhere.
    if transactions.len() != block.transactions.len() {
        return Err(pruned("the result of block", height, height.next()));
    }
    let receipt = |hash| {
        let (_, _, bytes) = context.store.receipt(hash)?.ok_or_else(|| missing("a receipt of block"))?;
        Ok(Receipt::decode(&bytes)?)
    };
    let receipts = transactions.iter().map(receipt).collect::<Result<_, ApiError>>()?;
    Ok((events, receipts))
}

/// A block.
#[utoipa::path(get, path = "/v1/blocks/{height}", tag = "chain",
    params(("height" = String, Path, description = "A height, or `latest`.")),
    responses(
        (status = 200, description = "The block.", body = BlockView),
        (status = "4XX", description = "There is no such block, or not any more.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn block(
    State(server): State<Arc<Server>>,
    Place(height): Place<String>,
    _: Asked<Nothing>,
) -> Result<Json<BlockView>, ApiError> {
    let height = match height.as_str() {
        "latest" => match server.context.feed.tip().borrow().height {
            Height::GENESIS => {
                return Err(
                    ApiError::not_found("there is no block yet").hint("/v1/events tells when there is")
                );
            }
            height => height,
        },
        text => extract::height("height", text)?,
    };
    server.bulk(move |context| view(context, height)).await.map(Json)
}

fn view(context: &Context, height: Height) -> Result<BlockView, ApiError> {
    let Loaded { block, certificate, bytes } = load(context, height)?;
    let (events, receipts) = results(context, &block)?;
    let summary = |(bytes, receipt): (&Vec<u8>, &Receipt)| {
        let transaction = Transaction::decode(bytes)?;
        Ok(TransactionSummary::new(receipt.transaction, &transaction, &receipt.outcome))
    };
    Ok(BlockView {
        id: block.id().0,
        header: (&block.header).into(),
        bytes: bytes as u64,
        parent_certificate: block.parent_certificate.as_ref().map(Into::into),
        certificate: (&certificate).into(),
        transactions: block
            .transactions
            .iter()
            .zip(&receipts)
            .map(summary)
            .collect::<Result<_, ApiError>>()?,
        events: events.iter().map(EventView::from).collect(),
    })
}

/// The query of [`list`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    from: Option<String>,
    limit: Option<String>,
}

/// Blocks in a row, without their transactions.
#[utoipa::path(get, path = "/v1/blocks", tag = "chain",
    params(
        ("from" = Option<u64>, Query, description = "The first height; if missing, the list ends with the latest."),
        ("limit" = Option<u64>, Query, description = "At most so many, 1 to 100; 20 if missing."),
    ),
    responses(
        (status = 200, description = "The blocks, by rising height.", body = BlocksView),
        (status = "4XX", description = "The request is wrong.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn list(
    State(server): State<Arc<Server>>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<BlocksView>, ApiError> {
    let limit = extract::limit("limit", query.limit.as_deref(), DEFAULT_LIMIT, MAX_BLOCKS)?;
    let from = query.from.as_deref().map(|from| extract::height("from", from)).transpose()?;
    server.bulk(move |context| page(context, from, limit)).await.map(Json)
}

fn page(context: &Context, from: Option<Height>, limit: u64) -> Result<BlocksView, ApiError> {
    let latest = context.feed.tip().borrow().height;
    let oldest = context.store.oldest_block();
    let first = from.unwrap_or_else(|| latest.minus(limit - 1)).max(oldest).max(Height::FIRST);
    let mut blocks = Vec::new();
    for height in (first.0..=latest.0.min(first.0.saturating_add(limit - 1))).map(Height) {
        // It may be removed at this moment, as the oldest.
        let Some((bytes, certificate)) = context.store.block(height)? else { continue };
        let (block, certificate) = (Block::decode(&bytes)?, Certificate::decode(&certificate)?);
        blocks.push(BlockSummary {
            height: height.0,
            id: block.id().0,
            time_ms: block.header.time_ms,
            proposer: block.header.proposer,
            round: certificate.round,
            signers: certificate.signatures.len() as u64,
            transactions: block.transactions.len() as u64,
            bytes: bytes.len() as u64,
        });
    }
    Ok(BlocksView { blocks, latest: latest.0, oldest: oldest.0 })
}
