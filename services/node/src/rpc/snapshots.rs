//! Snapshots that this node offers to new nodes.

use std::io::ErrorKind;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use freeway_api::{ErrorBody, SnapshotView, SnapshotsView};
use freeway_primitives::{Canonical, Height};
use freeway_store::{MANIFEST_NAME, MAX_CHUNK_BYTES, MAX_CHUNKS, Manifest, chunk_name};
use tokio::io::AsyncReadExt;

use super::error::ApiError;
use super::extract::{self, Asked, Nothing, Place};
use super::{Context, Server};

/// The most snapshots that are listed.
const MAX_LISTED: usize = 64;
/// Files are sent in pieces of this length.
const PIECE_BYTES: usize = 64 << 10;

/// The snapshots, newest first.
#[utoipa::path(get, path = "/v1/snapshots", tag = "snapshots", responses(
    (status = 200, description = "The snapshots.", body = SnapshotsView),
    (status = "4XX", description = "The request is wrong.", body = ErrorBody),
    (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
))]
pub(super) async fn list(
    State(server): State<Arc<Server>>,
    _: Asked<Nothing>,
) -> Result<Json<SnapshotsView>, ApiError> {
    server.bulk(|context| Ok(SnapshotsView { snapshots: listed(context)? })).await.map(Json)
}

fn listed(context: &Context) -> Result<Vec<SnapshotView>, ApiError> {
    let Some(folder) = &context.snapshots else { return Ok(Vec::new()) };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&error)),
    };
    let mut heights: Vec<u64> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    heights.sort_unstable_by(|a, b| b.cmp(a));
    let mut found = Vec::new();
    for height in heights {
        if found.len() >= MAX_LISTED {
            break;
        }
        // One that is being written has no manifest yet; one that is being removed has none any more.
        let Some(bytes) = read_manifest(&folder.join(height.to_string()))? else { continue };
        let Ok(manifest) = Manifest::decode(&bytes) else {
            tracing::warn!(height, "the manifest of a snapshot is damaged; remove its folder");
            continue;
        };
        found.push(SnapshotView {
            height,
            root: manifest.root,
            entries: manifest.entries,
            chunks: manifest.chunks.len() as u64,
        });
    }
    Ok(found)
}

fn read_manifest(folder: &FilePath) -> Result<Option<Vec<u8>>, ApiError> {
    match std::fs::read(folder.join(MANIFEST_NAME)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&error)),
    }
}

/// A snapshot is a copy: that it cannot be read does not stop the node.
fn unreadable(error: &std::io::Error) -> ApiError {
    tracing::warn!(%error, "a snapshot cannot be read");
    ApiError::internal("the snapshots of this node cannot be read")
}

fn none(height: Height) -> ApiError {
    ApiError::not_found(format!("there is no snapshot of height {height}")).hint("/v1/snapshots lists them")
}

fn folder_of(context: &Context, height: Height) -> Result<PathBuf, ApiError> {
    let folder = context.snapshots.as_ref().ok_or_else(|| none(height))?;
    // From the number, not from what the request says.
    Ok(folder.join(height.0.to_string()))
}

/// The canonical manifest of a snapshot.
#[utoipa::path(get, path = "/v1/snapshots/{height}/manifest", tag = "snapshots",
    params(("height" = u64, Path, description = "The snapshot's height.")),
    responses(
        (status = 200, description = "The manifest.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", description = "There is no such snapshot.", body = ErrorBody),
        (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
    ))]
pub(super) async fn manifest(
    State(server): State<Arc<Server>>,
    Place(height): Place<String>,
    _: Asked<Nothing>,
) -> Result<Response, ApiError> {
    let height = extract::height("height", &height)?;
    let folder = folder_of(&server.context, height)?;
    let bytes = server.bulk(move |_| read_manifest(&folder)).await?.ok_or_else(|| none(height))?;
    Ok(binary(Body::from(bytes)))
}

/// A chunk of a snapshot.
#[utoipa::path(get, path = "/v1/snapshots/{height}/chunks/{index}", tag = "snapshots",
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
    State(server): State<Arc<Server>>,
    Place((height, index)): Place<(String, String)>,
    _: Asked<Nothing>,
) -> Result<Response, ApiError> {
    let height = extract::height("height", &height)?;
    let index = extract::number("index", &index)?;
    let folder = folder_of(&server.context, height)?;
    let index = usize::try_from(index).ok().filter(|index| *index < MAX_CHUNKS);
    let missing = || {
        ApiError::not_found(format!("snapshot {height} has no such chunk"))
            .hint("its manifest lists the chunks")
    };
    let path = folder.join(chunk_name(index.ok_or_else(missing)?));
    // Without a manifest the snapshot is unfinished.
    if !tokio::fs::try_exists(folder.join(MANIFEST_NAME)).await.map_err(|error| unreadable(&error))? {
        return Err(none(height));
    }
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(missing()),
        Err(error) => return Err(unreadable(&error)),
    };
    let length = file.metadata().await.map_err(|error| unreadable(&error))?.len();
    if length > MAX_CHUNK_BYTES as u64 {
        return Err(ApiError::internal("a chunk is longer than chunks can be"));
    }
    let pieces = futures::stream::try_unfold(file.take(length), |mut file| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let read = file.read(&mut piece).await?;
        piece.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(piece), file)))
    });
    let mut response = binary(Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    Ok(response)
}

/// An answer of bytes.
pub(super) fn binary(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response()
}
