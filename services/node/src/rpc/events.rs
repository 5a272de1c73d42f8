//! The stream of committed blocks, as server-sent events.
//!
//! Every block is rendered once, by one task, however many streams there are. A stream subscribes first, then
//! replays what was asked for from the store, and then goes on with what was rendered meanwhile: no block is
//! missed and none comes twice. A reader that cannot keep up is told which blocks it missed.

use core::convert::Infallible;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use freeway_api::{BlockEvent, ErrorBody, EventView, LaggedEvent, ReceiptView};
use freeway_ledger::{Params, Receipt};
use freeway_primitives::{Header, Height};
use futures::Stream;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use super::error::ApiError;
use super::extract::{self, Asked};
use super::listener::stopped;
use super::status::clock_at;
use super::{Context, Server, blocks};

/// How many blocks back a stream can begin.
const MAX_REPLAY: u64 = 1_000;
/// A comment is sent after so long a silence, so that both ends know that the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A block as it goes to every stream.
pub(super) struct Rendered {
    height: Height,
    json: String,
}

/// Renders committed blocks for all streams until the server stops.
pub(super) async fn render(server: Arc<Server>) {
    let context = &server.context;
    let mut blocks = context.feed.blocks();
    let mut stop = core::pin::pin!(stopped(server.stop.clone()));
    loop {
        let block = tokio::select! {
            block = blocks.recv() => block,
            () = &mut stop => return,
        };
        match block {
            // A stream that comes later finds this block in the store.
            Ok(_) if server.rendered.receiver_count() == 0 => {}
            Ok(block) => match rendered(context, &block.header, &block.events, &block.receipts) {
                // All streams may have gone meanwhile.
                Ok(rendered) => drop(server.rendered.send(Arc::new(rendered))),
                Err(_) => tracing::warn!(height = %block.header.height, "a block cannot be shown to streams"),
            },
            // The streams notice the gap by themselves.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

fn rendered(
    context: &Context,
    header: &Header,
    events: &[freeway_ledger::Event],
    receipts: &[Receipt],
) -> Result<Rendered, ApiError> {
    let params = Params::current(&context.store.view())?.epochs;
    let clock = clock_at(context.feed.tip().borrow().clock, header.height, &params);
    let event = BlockEvent {
        height: header.height.0,
        id: header.id().0,
        time_ms: header.time_ms,
        epoch: clock.epoch.0,
        phase: clock.phase(header.height, &params).name().into(),
        transactions: receipts.iter().map(ReceiptView::from).collect(),
        events: events.iter().map(EventView::from).collect(),
    };
    let json = serde_json::to_string(&event).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Rendered { height: header.height, json })
}

/// The query of [`events`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    from: Option<String>,
}

/// Committed blocks as they come, as server-sent events.
///
/// `block` events have the height as `id` and a `BlockEvent` as data. A `lagged` event with a `LaggedEvent` says
/// that this reader was too slow. The header `Last-Event-ID` continues after that height.
#[utoipa::path(get, path = "/v1/events", tag = "chain",
    params(
        ("from" = Option<u64>, Query,
            description = "Begin with the block of this height, at most 1,000 back; if missing, with the next one."),
        ("Last-Event-ID" = Option<u64>, Header, description = "Begin with the block after this height."),
    ),
    responses(
        (status = 200, description = "The stream.", body = BlockEvent, content_type = "text/event-stream"),
        (status = "4XX", description = "The request is wrong, or asks for blocks too far back.", body = ErrorBody),
        (status = "5XX", description = "There are too many streams.", body = ErrorBody),
    ))]
pub(super) async fn events(
    State(server): State<Arc<Server>>,
    Asked(query): Asked<EventsQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let after = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
    let from = match (&query.from, after) {
        (Some(text), _) => Some(extract::height("from", text)?),
        (None, Some(text)) => Some(extract::height("Last-Event-ID", text)?.next()),
        (None, None) => None,
    };
    let permit = Arc::clone(&server.streams)
        .try_acquire_owned()
        .map_err(|_| ApiError::busy("the node serves as many event streams as it can"))?;
    // Subscribed before the tip is read: a block after the tip is certain to come.
    let blocks = server.rendered.subscribe();
    let latest = server.context.feed.tip().borrow().height;
    let from = from.unwrap_or(latest.next()).max(Height::FIRST);
    let oldest = server.context.store.oldest_block();
    if latest.0.saturating_sub(from.0) >= MAX_REPLAY {
        let message = format!("a stream can begin {MAX_REPLAY} blocks back; the latest block is {latest}");
        return Err(ApiError::parameter("from", message).hint("read older blocks at /v1/blocks/{height}"));
    }
    if from < oldest {
        return Err(blocks::pruned("block", from, oldest));
    }
    let follower = Follower {
        replay_until: latest,
        sent: from.minus(1),
        queue: VecDeque::new(),
        blocks,
        server,
        _permit: permit,
    };
    let stream = futures::stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// One reader.
struct Follower {
    server: Arc<Server>,
    blocks: broadcast::Receiver<Arc<Rendered>>,
    /// Up to here blocks come from the store.
    replay_until: Height,
    /// The last height that was sent, or the one before the first.
    sent: Height,
    queue: VecDeque<Event>,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// The next event; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        if *self.server.stop.borrow() {
            return None;
        }
        if let Some(event) = self.queue.pop_front() {
            return Some(event);
        }
        if self.sent < self.replay_until {
            return self.replay().await;
        }
        loop {
            let block = tokio::select! {
                block = self.blocks.recv() => block,
                () = stopped(self.server.stop.clone()) => return None,
            };
            match block {
                Ok(block) if block.height <= self.sent => {}
                Ok(block) => {
                    let expected = self.sent.next();
                    self.sent = block.height;
                    if block.height > expected {
                        self.queue.push_back(block_event(&block));
                        return lagged(expected, block.height.0 - expected.0);
                    }
                    return Some(block_event(&block));
                }
                // The next block shows how many are missing.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }

    async fn replay(&mut self) -> Option<Event> {
        let height = self.sent.next();
        let block = self.server.bulk(move |context| {
            let block = blocks::load(context, height)?.block;
            let (events, receipts) = blocks::results(context, &block)?;
            rendered(context, &block.header, &events, &receipts)
        });
        match block.await {
            Ok(block) => {
                self.sent = height;
                Some(block_event(&block))
            }
            Err(error) => {
                // The reader comes back and is told why.
                tracing::debug!(%height, reason = %error.detail().message, "an event stream cannot replay a block");
                None
            }
        }
    }
}

fn block_event(block: &Rendered) -> Event {
    Event::default().event("block").id(block.height.0.to_string()).data(&block.json)
}

fn lagged(from: Height, missed: u64) -> Option<Event> {
    let data = serde_json::to_string(&LaggedEvent { missed, from: from.0 }).ok()?;
    Some(Event::default().event("lagged").data(data))
}
