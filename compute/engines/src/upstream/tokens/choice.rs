//! One choice of a request: asked for, read, ended.

use std::sync::Arc;

use freeway_requests::TokenRequest;
use futures::StreamExt;
use serde_json::{Value, json};

use super::super::http::bad;
use super::answer::Reader;
use super::{Inner, question};
use crate::{Engine, EngineError, Event, EventStream, Forward, ForwardPath, Forwarded, PayloadStream};

/// What happens in choice `choice` of `request`. Dropping it closes the connection.
pub(super) fn events(
    inner: &Arc<Inner>,
    request: Arc<TokenRequest>,
    prompt: Value,
    choice: u16,
    claims: bool,
    stream: bool,
) -> EventStream {
    let reader = Reader::new(Arc::clone(&inner.words), Arc::clone(&request), choice, claims);
    let ask = Ask { prompt, choice, stream };
    let state = State {
        inner: Arc::clone(inner),
        request,
        reader,
        ask: Some(ask),
        payloads: None,
        usage: None,
        ended: false,
    };
    futures::stream::unfold(state, |mut state| async move {
        let event = state.next().await?;
        Some((event, state))
    })
    .boxed()
}

struct Ask {
    prompt: Value,
    choice: u16,
    stream: bool,
}

struct State {
    inner: Arc<Inner>,
    request: Arc<TokenRequest>,
    reader: Reader,
    /// What is still to be asked.
    ask: Option<Ask>,
    /// The answer, while it comes.
    payloads: Option<PayloadStream>,
    usage: Option<Value>,
    ended: bool,
}

impl State {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.reader.event() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            match self.step().await {
                Ok(None) => {}
                Ok(Some(event)) => {
                    self.ended = true;
                    return Some(event);
                }
                Err(error) => {
                    self.ended = true;
                    self.inner.forget(&error);
                    return Some(Event::Failed(error));
                }
            }
        }
    }

    /// Takes the next part of the answer. Gives the last event, once there is nothing before it.
    async fn step(&mut self) -> Result<Option<Event>, EngineError> {
        if let Some(ask) = self.ask.take() {
            self.ask(ask).await?;
            return Ok(None);
        }
        if !self.reader.is_cut()
            && let Some(payloads) = &mut self.payloads
            && let Some(payload) = payloads.next().await
        {
            self.take(&payload?)?;
            return Ok(None);
        }
        // A server that is still at work is told so.
        self.payloads = None;
        if let Some(usage) = &self.usage {
            self.reader.check(usage)?;
        }
        self.reader.finish().map(Some)
    }

    async fn ask(&mut self, ask: Ask) -> Result<(), EngineError> {
        let Ask { prompt, choice, stream } = ask;
        let (stop, eos) = (&self.request.stop, &self.inner.assets().eos);
        let ends = eos.iter().any(|id| stop.contains(id));
        let mut body = question::body(&self.request, choice, prompt, ends);
        if stream {
            body.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
        let request = Forward { path: ForwardPath::Completions, body: Value::Object(body), stream };
        match self.inner.upstream.forward(&self.inner.name, request).await? {
            Forwarded::Stream(payloads) => self.payloads = Some(payloads),
            Forwarded::Json(answer) => self.take(&answer)?,
        }
        Ok(())
    }

    fn take(&mut self, payload: &Value) -> Result<(), EngineError> {
        if let Some(usage) = payload.get("usage").filter(|usage| usage.is_object()) {
            let expected = self.request.prompt.len() as u64;
            let told = usage.get("prompt_tokens").and_then(Value::as_u64).unwrap_or(expected);
            if told != expected {
                return Err(bad(format!(
                    "the upstream server counts {told} tokens of a prompt that has {expected}: its model has another tokenizer, or it adds tokens"
                )));
            }
            self.usage = Some(usage.clone());
        }
        match payload.get("choices").and_then(Value::as_array).map_or(&[][..], Vec::as_slice) {
            [] => Ok(()),
            [one] => self.reader.read(one),
            _ => Err(bad("the upstream server gave several choices where one was asked for")),
        }
    }
}
