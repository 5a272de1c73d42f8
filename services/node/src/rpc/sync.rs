//! What a new node fetches on its way to the present; see [`crate::join`].

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use freeway_api::ErrorBody;
use freeway_primitives::Canonical;

use super::Server;
use super::error::ApiError;
use super::extract::{self, Asked, Nothing, Place};
use super::snapshots::binary;
use crate::join;

/// The latest snapshot, with the block and the header that prove it, in canonical bytes.
#[utoipa::path(get, path = "/v1/sync/offer", tag = "sync", responses(
    (status = 200, description = "The offer.", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = "4XX", description = "This node has no snapshot.", body = ErrorBody),
    (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
))]
pub(super) async fn offer(
    State(server): State<Arc<Server>>,
    _: Asked<Nothing>,
) -> Result<Response, ApiError> {
    let offer = server.bulk(|context| {
        let Some(folder) = &context.snapshots else { return Ok(None) };
        join::offer(&context.store, folder).map_err(|error| {
            tracing::warn!(error, "a snapshot cannot be offered");
            ApiError::internal("the snapshots of this node cannot be read")
        })
    });
    match offer.await? {
        Some(offer) => Ok(binary(Body::from(offer.encode()))),
        None => Err(ApiError::not_found("this node has no snapshot to offer")
            .hint("ask another node, or begin at genesis")),
    }
}

/// Switches of the validator set after a height, in canonical bytes.
#[utoipa::path(get, path = "/v1/sync/switches/{height}", tag = "sync",
    params(("height" = u64, Path, description = "The height of the latest switch that is known already; 0 at genesis.")),
    responses(
        (status = 200, description = "The switches.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", description = "The request is wrong, or this node keeps no trail.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn switches(
    State(server): State<Arc<Server>>,
    Place(height): Place<String>,
    _: Asked<Nothing>,
) -> Result<Response, ApiError> {
    let height = extract::height("height", &height)?;
    let bytes = server.bulk(move |context| {
        let Some(trail) = &context.trail else {
            return Err(
                ApiError::not_found("this node keeps no trail of validator sets").hint("ask another node")
            );
        };
        let switches = trail.after(height).map_err(|error| {
            tracing::warn!(%error, "the trail of validator sets cannot be read");
            ApiError::internal("the trail of this node cannot be read")
        })?;
        Ok(join::encode_switches(&switches))
    });
    Ok(binary(Body::from(bytes.await?)))
}

/// A chunk of the offered snapshot.
#[utoipa::path(get, path = "/v1/sync/snapshots/{height}/{index}", tag = "sync",
    params(
        ("height" = u64, Path, description = "The snapshot's height."),
        ("index" = u64, Path, description = "The chunk's number, from 0."),
    ),
    responses(
        (status = 200, description = "The chunk.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", description = "There is no such chunk.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn chunk(
    server: State<Arc<Server>>,
    place: Place<(String, String)>,
    nothing: Asked<Nothing>,
) -> Result<Response, ApiError> {
    super::snapshots::chunk(server, place, nothing).await
}
