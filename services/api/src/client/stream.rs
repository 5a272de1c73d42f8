//! The stream of committed blocks: server-sent events, read within bounds.

use core::fmt;
use core::pin::Pin;
use core::time::Duration;
use std::collections::VecDeque;

use futures::{Stream, StreamExt};
use reqwest::Response;
use serde::de::DeserializeOwned;

use super::ClientError;
use crate::events::{BlockEvent, LaggedEvent};

/// The longest event that is read.
const MAX_EVENT_BYTES: usize = 64 << 20;
/// How long the stream may be silent: nodes send a comment every 15 seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// What comes out of an [`EventStream`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamItem {
    /// A committed block.
    Block(Box<BlockEvent>),
    /// This reader was too slow and missed blocks.
    Lagged(LaggedEvent),
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Vec<u8>, reqwest::Error>> + Send>>;

/// A stream of committed blocks.
pub struct EventStream {
    chunks: Chunks,
    parser: Parser,
    ready: VecDeque<StreamItem>,
    url: String,
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("url", &self.url).finish_non_exhaustive()
    }
}

impl EventStream {
    pub(super) fn new(response: Response, url: String) -> Self {
        let chunks = response.bytes_stream().map(|chunk| chunk.map(Vec::from)).boxed();
        Self { chunks, parser: Parser::default(), ready: VecDeque::new(), url }
    }

    /// The next item; `None` when the node ends the stream, which it does when it stops. Dropping the future
    /// loses nothing.
    ///
    /// # Errors
    /// [`ClientError`] if the connection breaks, is silent for a minute, or brings something else.
    pub async fn next(&mut self) -> Result<Option<StreamItem>, ClientError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            let chunk = tokio::time::timeout(SILENCE, self.chunks.next())
                .await
                .map_err(|_| ClientError::TimedOut { url: self.url.clone() })?;
            let Some(chunk) = chunk else { return Ok(None) };
            let chunk = chunk.map_err(|error| ClientError::of_transport(&self.url, &error))?;
            for event in self.parser.push(&chunk) {
                if let Some(item) = self.read(&event)? {
                    self.ready.push_back(item);
                }
            }
            if self.parser.held() > MAX_EVENT_BYTES {
                return Err(ClientError::TooLarge { url: self.url.clone(), limit: MAX_EVENT_BYTES });
            }
        }
    }

    fn read(&self, event: &RawEvent) -> Result<Option<StreamItem>, ClientError> {
        match event.name.as_str() {
            "block" => Ok(Some(StreamItem::Block(Box::new(self.parse(&event.data)?)))),
            "lagged" => Ok(Some(StreamItem::Lagged(self.parse(&event.data)?))),
            // Of a newer node.
            _ => Ok(None),
        }
    }

    fn parse<T: DeserializeOwned>(&self, data: &str) -> Result<T, ClientError> {
        serde_json::from_str(data)
            .map_err(|error| ClientError::Unexpected { url: self.url.clone(), detail: error.to_string() })
    }
}

/// An event as it stands in the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RawEvent {
    name: String,
    data: String,
}

/// Puts lines together to events (HTML standard, "server-sent events", section 9.2.6).
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    after_return: bool,
    event: RawEvent,
}

impl Parser {
    fn held(&self) -> usize {
        self.line.len() + self.event.data.len() + self.event.name.len()
    }

    fn push(&mut self, chunk: &[u8]) -> Vec<RawEvent> {
        let mut complete = Vec::new();
        for byte in chunk {
            let after_return = core::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                // Second half of one line break.
                b'\n' if after_return => {}
                b'\n' | b'\r' => {
                    let line = core::mem::take(&mut self.line);
                    complete.extend(self.end_of_line(&String::from_utf8_lossy(&line)));
                }
                byte => self.line.push(*byte),
            }
        }
        complete
    }

    fn end_of_line(&mut self, line: &str) -> Option<RawEvent> {
        if line.is_empty() {
            let event = core::mem::take(&mut self.event);
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.name = value.to_owned(),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &str = ": hello\n\nevent: block\nid: 4\ndata: {\"a\":1}\r\n\r\nevent:lagged\ndata:x\ndata: y\n\n\ndata\n\nevent: block\ndata: unfinished";

    fn event(name: &str, data: &str) -> RawEvent {
        RawEvent { name: name.into(), data: data.into() }
    }

    proptest! {
        #[test]
        fn events_are_found_however_the_stream_is_cut(cuts in proptest::collection::vec(0usize..STREAM.len(), 0..20)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for pair in cuts.windows(2) {
                events.extend(parser.push(&STREAM.as_bytes()[pair[0]..pair[1]]));
            }
            prop_assert_eq!(events, vec![event("block", "{\"a\":1}"), event("lagged", "x\ny")]);
        }

        #[test]
        fn anything_is_survived(bytes: Vec<u8>) {
            let mut parser = Parser::default();
            parser.push(&bytes);
            prop_assert!(parser.held() <= bytes.len() * 3);
        }
    }
}
