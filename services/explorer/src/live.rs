//! The live stream: what happened in each block, rendered once for all pages.
//!
//! A frame is a piece of shared bytes, as it goes to the wire. Of five hundred open pages each costs a pointer and a
//! write.

use core::convert::Infallible;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};

use crate::error::Problem;
use crate::follow::raised;

/// Streams at a time.
pub(crate) const MAX_STREAMS: usize = 600;
/// Frames that a slow page may be behind before it misses some.
const BACKLOG: usize = 64;
/// A comment is sent this often, so that both ends know that the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A block in a few numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BlockFrame {
    pub(crate) height: u64,
    pub(crate) id: String,
    pub(crate) time_ms: u64,
    pub(crate) epoch: u64,
    pub(crate) phase: &'static str,
    pub(crate) left_in_phase: u64,
    pub(crate) left_in_epoch: u64,
    pub(crate) transactions: u64,
    pub(crate) failed: u64,
    /// Tokens to which hosts committed in it.
    pub(crate) tokens: u64,
    /// Verdicts given in it.
    pub(crate) checks: u64,
    /// Its events by their kind.
    pub(crate) kinds: BTreeMap<String, u64>,
}

/// All streams.
#[derive(Debug)]
pub(crate) struct Live {
    frames: broadcast::Sender<Bytes>,
    permits: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Live {
    pub(crate) fn new(stop: watch::Receiver<bool>) -> Self {
        let permits = Arc::new(Semaphore::new(MAX_STREAMS));
        Self { frames: broadcast::Sender::new(BACKLOG), permits, stop }
    }

    /// Whether anybody would see a frame.
    pub(crate) fn is_watched(&self) -> bool {
        self.frames.receiver_count() > 0
    }

    /// Sends a frame to all streams.
    pub(crate) fn send(&self, frame: Bytes) {
        // All streams may have gone meanwhile.
        let _ = self.frames.send(frame);
    }

    /// Sends a comment to all streams now and then, until the node stops.
    pub(crate) async fn keep_alive(&self) {
        let mut stop = self.stop.clone();
        loop {
            tokio::select! {
                () = raised(&mut stop) => return,
                () = tokio::time::sleep(KEEP_ALIVE) => self.send(Bytes::from_static(b":\n\n")),
            }
        }
    }

    /// A new stream. `first` makes its first frame, after the stream has subscribed: nothing is missed between.
    ///
    /// # Errors
    /// [`Problem`] if there are too many.
    pub(crate) fn stream(&self, first: impl FnOnce() -> Bytes) -> Result<Response<Body>, Problem> {
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| Problem::busy("the node has as many live pages as it can"))?;
        let frames = self.frames.subscribe();
        let reader = Reader { first: Some(first()), frames, stop: self.stop.clone(), _permit: permit };
        let stream = futures::stream::unfold(reader, |mut reader| async move {
            let frame = reader.next().await?;
            Some((Ok::<_, Infallible>(frame), reader))
        });
        let mut response = Response::new(Body::from_stream(stream));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(response)
    }
}

/// One page.
struct Reader {
    first: Option<Bytes>,
    frames: broadcast::Receiver<Bytes>,
    stop: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    /// The next frame; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let frame = tokio::select! {
                frame = self.frames.recv() => frame,
                () = raised(&mut self.stop) => return None,
            };
            match frame {
                Ok(frame) => return Some(frame),
                // The next frame has the present again; what was missed stands in the tables.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// An event as it goes to the wire. JSON has no line ends, so that it is one line.
pub(crate) fn frame(name: &str, id: Option<u64>, data: &impl Serialize) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    let data = serde_json::to_string(data).unwrap_or_else(|_| "null".into());
    Bytes::from(format!("event: {name}\n{id}data: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn streams_are_bounded_and_share_their_frames() {
        let (stop, stopped) = watch::channel(false);
        let live = Live::new(stopped);
        let open = || live.stream(|| Bytes::from_static(b"first"));
        let mut streams: Vec<_> = (0..MAX_STREAMS).map(|_| open().unwrap().into_body()).collect();
        assert!(open().is_err(), "one more");
        drop(streams.pop());
        streams.push(open().unwrap().into_body());

        let text = frame("block", Some(7), &"<b>\nline");
        assert_eq!(text, "event: block\nid: 7\ndata: \"<b>\\nline\"\n\n", "a text is one line");
        live.send(text.clone());
        let mut one = streams.swap_remove(0).into_data_stream();
        assert_eq!(one.next().await.unwrap().unwrap(), "first");
        let frame = one.next().await.unwrap().unwrap();
        assert_eq!(frame.as_ptr(), text.as_ptr(), "the same bytes for all");
        stop.send_replace(true);
        assert!(one.next().await.is_none());
    }

    #[tokio::test]
    async fn a_slow_page_misses_frames_and_nothing_else() {
        let (_stop, stopped) = watch::channel(false);
        let live = Live::new(stopped);
        let mut page = live.stream(|| Bytes::from_static(b"first")).unwrap().into_body().into_data_stream();
        for height in 0..=2 * BACKLOG as u64 {
            live.send(frame("block", Some(height), &height));
        }
        assert_eq!(page.next().await.unwrap().unwrap(), "first");
        let next = page.next().await.unwrap().unwrap();
        let next = String::from_utf8(next.to_vec()).unwrap();
        assert!(next.contains("id: ") && !next.contains("id: 0\n"), "{next}");
    }
}
