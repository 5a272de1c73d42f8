//! What the network is: its genesis and its parameters.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use freeway_api::{ErrorBody, GenesisFile, ParamsView};
use freeway_ledger::Params;

use super::Server;
use super::error::ApiError;
use super::extract::{Asked, Nothing};

/// The parameters, as they stand for the next block.
#[utoipa::path(get, path = "/v1/parameters", tag = "chain", responses(
    (status = 200, description = "The parameters.", body = ParamsView),
    (status = "4XX", description = "The request is wrong.", body = ErrorBody),
    (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
))]
pub(super) async fn parameters(
    State(server): State<Arc<Server>>,
    _: Asked<Nothing>,
) -> Result<Json<ParamsView>, ApiError> {
    let params = Params::current(&server.context.store.view())?;
    Ok(Json((&params).into()))
}

/// The genesis file. Whoever joins must know the network's id from elsewhere, and compare.
#[utoipa::path(get, path = "/v1/genesis", tag = "chain", responses(
    (status = 200, description = "The file.", body = GenesisFile),
    (status = "4XX", description = "The request is wrong.", body = ErrorBody),
    (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
))]
pub(super) async fn genesis(
    State(server): State<Arc<Server>>,
    _: Asked<Nothing>,
) -> Result<Response, ApiError> {
    let file = match server.genesis.get() {
        Some(file) => file.clone(),
        None => {
            let made = server
                .bulk(|context| Ok(Bytes::from(GenesisFile::from(&*context.genesis).to_json())))
                .await?;
            server.genesis.get_or_init(|| made).clone()
        }
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], file).into_response())
}
