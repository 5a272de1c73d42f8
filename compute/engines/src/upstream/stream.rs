//! Answers that come piece by piece.

use std::collections::VecDeque;

use futures::StreamExt;
use reqwest::Response;
use serde_json::Value;

use super::counters::Underway;
use super::http::{Http, bad};
use super::refusal;
use super::sse::Parser;
use crate::{EngineError, PayloadStream};

/// What closes a stream.
const DONE: &str = "[DONE]";

/// The payloads of `response`. Dropping it closes the connection, which cancels the work of the server.
pub(super) fn payloads(http: Http, response: Response, underway: Underway) -> PayloadStream {
    let parser = Parser::new(http.limits.event_bytes);
    let state = State {
        http,
        response,
        parser,
        waiting: VecDeque::new(),
        received: 0,
        finished: false,
        broken: None,
        ended: false,
        underway,
    };
    futures::stream::unfold(state, |mut state| async move {
        let item = state.next().await?;
        Some((item, state))
    })
    .boxed()
}

struct State {
    http: Http,
    response: Response,
    parser: Parser,
    /// Data of events that were read and not given yet.
    waiting: VecDeque<String>,
    /// Bytes so far.
    received: usize,
    /// A choice told why it ended: the answer may be whole even if nothing closes it.
    finished: bool,
    /// What could be read before it is given first.
    broken: Option<EngineError>,
    /// Nothing follows.
    ended: bool,
    underway: Underway,
}

impl State {
    async fn next(&mut self) -> Option<Result<Value, EngineError>> {
        if self.ended {
            return None;
        }
        let item = self.step().await.transpose();
        match &item {
            None => {
                self.ended = true;
                self.underway.settle(true);
            }
            Some(Err(_)) => {
                self.ended = true;
                self.underway.settle(false);
            }
            Some(Ok(_)) => {}
        }
        item
    }

    async fn step(&mut self) -> Result<Option<Value>, EngineError> {
        loop {
            if let Some(data) = self.waiting.pop_front() {
                if data.trim() == DONE {
                    return Ok(None);
                }
                return self.payload(&data).map(Some);
            }
            if let Some(error) = self.broken.take() {
                return Err(error);
            }
            let Some(piece) = self.http.piece(&mut self.response).await? else {
                match self.parser.finish().map_err(malformed)? {
                    Some(data) => self.waiting.push_back(data),
                    None if self.finished => return Ok(None),
                    None => return Err(bad("the upstream server ended its answer in the middle; try again")),
                }
                continue;
            };
            self.received = self.received.saturating_add(piece.len());
            if self.received > self.http.limits.stream_bytes {
                let limit = self.http.limits.stream_bytes;
                return Err(bad(format!("the upstream server sent more than {limit} bytes in one answer")));
            }
            let waiting = &mut self.waiting;
            let read = self.parser.feed(&piece, &mut |data| waiting.push_back(data));
            self.broken = read.err().map(malformed);
        }
    }

    fn payload(&mut self, data: &str) -> Result<Value, EngineError> {
        let value: Value = serde_json::from_str(data)
            .map_err(|error| bad(format!("the upstream server sent an event that is no JSON ({error})")))?;
        if !value.is_object() {
            return Err(bad("the upstream server sent an event that is no JSON object"));
        }
        if let Some(error) = refusal::of_payload(&value, self.http.key()) {
            return Err(error);
        }
        let choices = value.get("choices").and_then(Value::as_array);
        let ends = |choice: &Value| choice.get("finish_reason").is_some_and(|reason| !reason.is_null());
        self.finished |= choices.is_some_and(|choices| choices.iter().any(ends));
        self.http.counters.usage(&value);
        Ok(value)
    }
}

fn malformed(error: super::sse::SseError) -> EngineError {
    bad(format!("the upstream server's stream cannot be read: {error}"))
}
