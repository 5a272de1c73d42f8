//! The node itself: its peers and its metrics.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use freeway_api::{ErrorBody, PeerView, PeersView};
use freeway_network::PeerInfo;

use super::extract::{Asked, Nothing};
use super::status::ready_peers;
use super::{MAX_STREAMS, Server};
use crate::metrics::Sample;

/// The connected peers of the transaction gossip.
#[utoipa::path(get, path = "/v1/peers", tag = "node", responses(
    (status = 200, description = "The peers.", body = PeersView),
    (status = "4XX", description = "The request is wrong.", body = ErrorBody),
    (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
))]
pub(super) async fn peers(State(server): State<Arc<Server>>, _: Asked<Nothing>) -> Json<PeersView> {
    let consensus = server.context.consensus.map(|address| address.to_string());
    let Some(handle) = &server.context.gossip else {
        return Json(PeersView { consensus, ..PeersView::default() });
    };
    Json(PeersView {
        consensus,
        local: Some(handle.local_id().to_string()),
        listen: Some(handle.listen_address().to_string()),
        peers: handle.peers().iter().map(view).collect(),
    })
}

fn view(peer: &PeerInfo) -> PeerView {
    let since = peer.connected_since.duration_since(UNIX_EPOCH).unwrap_or_default();
    PeerView {
        id: peer.id.to_string(),
        address: peer.address.to_string(),
        dialled: peer.dialled,
        ready: peer.ready,
        connected_since_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        penalty: peer.penalty,
        latency_us: peer.latency.map(|latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)),
    }
}

/// The node's metrics, in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "node", responses(
    (status = 200, description = "The metrics.", body = String, content_type = "text/plain"),
    (status = "4XX", description = "The request is wrong.", body = ErrorBody),
    (status = "5XX", description = "The node cannot answer.", body = ErrorBody),
))]
pub(super) async fn metrics(State(server): State<Arc<Server>>, _: Asked<Nothing>) -> impl IntoResponse {
    let context = &server.context;
    let (transactions, bytes) = context.submitter.mempool().size();
    context.metrics.sample(&Sample {
        mempool_transactions: transactions as u64,
        mempool_bytes: bytes as u64,
        peers: ready_peers(context),
        gossip: context.gossip.as_ref().map(|handle| handle.counters()).unwrap_or_default(),
        flushed_height: context.store.flushed_height().0,
        block_height: context.store.block_height().0,
        oldest_block: context.store.oldest_block().0,
        event_streams: MAX_STREAMS.saturating_sub(server.streams.available_permits()) as u64,
    });
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], context.metrics.render())
}
