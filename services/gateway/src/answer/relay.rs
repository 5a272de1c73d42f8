//! Answers of servers that take text: handed on under our names.

use axum::Json;
use axum::response::{IntoResponse, Response};
use freeway_engines::{Forward, ForwardPath, Forwarded, PayloadStream, Route};
use futures::StreamExt;
use serde_json::{Map, Value};

use super::Head;
use super::meter::Meter;
use super::sse::{self, Source, event};
use crate::error::ApiError;
use crate::server::Server;

/// Hands a request on and its answer back.
pub(crate) async fn relay(
    server: &Server,
    route: &Route,
    path: ForwardPath,
    mut body: Map<String, Value>,
    mut meter: Meter,
) -> Result<Response, ApiError> {
    let stream = path != ForwardPath::Embeddings && body.get("stream").is_some_and(|stream| *stream == true);
    let mut include_usage = true;
    if stream {
        // Usage is always wanted here, to be counted.
        let options = body.get("stream_options").and_then(Value::as_object).cloned().unwrap_or_default();
        include_usage = options.get("include_usage").is_some_and(|wanted| *wanted == true);
        let mut options = options;
        options.insert("include_usage".to_owned(), true.into());
        body.insert("stream_options".to_owned(), options.into());
    }
    let prefix = match path {
        ForwardPath::Chat => "chatcmpl",
        ForwardPath::Completions => "cmpl",
        ForwardPath::Embeddings => "embd",
    };
    let head = Head::new(prefix, &route.name, String::new())?;
    let forward = Forward { path, body: Value::Object(body), stream };
    let mut phases = server.phases();
    let answer = tokio::select! {
        answer = route.engine.forward(&route.theirs, forward) => answer?,
        () = phases.cut() => return Err(sse::stopping()),
    };
    match answer {
        Forwarded::Json(mut value) => {
            count(&value, &mut meter);
            rename(&mut value, &head, path != ForwardPath::Embeddings);
            Ok(Json(value).into_response())
        }
        Forwarded::Stream(payloads) => {
            let source = Relay { payloads, head, include_usage, meter };
            Ok(sse::respond(source, phases, server.limits().keep_alive))
        }
    }
}

fn rename(value: &mut Value, head: &Head, with_id: bool) {
    let Some(map) = value.as_object_mut() else { return };
    map.insert("model".to_owned(), head.model.clone().into());
    if with_id {
        map.insert("id".to_owned(), head.id.clone().into());
        map.insert("created".to_owned(), head.created.into());
    }
}

fn count(value: &Value, meter: &mut Meter) {
    let Some(usage) = value.get("usage").filter(|usage| usage.is_object()) else { return };
    let read = |place: &str| usage.pointer(place).and_then(Value::as_u64).unwrap_or(0);
    let cached = read("/prompt_tokens_details/cached_tokens");
    meter.set(read("/prompt_tokens"), cached, read("/completion_tokens"));
}

struct Relay {
    payloads: PayloadStream,
    head: Head,
    include_usage: bool,
    meter: Meter,
}

impl Source for Relay {
    async fn next(&mut self) -> Option<Result<String, ApiError>> {
        loop {
            let mut value = match self.payloads.next().await? {
                Ok(value) => value,
                Err(error) => return Some(Err(error.into())),
            };
            let empty = value.get("choices").and_then(Value::as_array).is_none_or(Vec::is_empty);
            if !empty {
                // About a token; what was really used comes at the end.
                self.meter.completion(1);
            }
            count(&value, &mut self.meter);
            if !self.include_usage {
                if empty && value.get("usage").is_some_and(Value::is_object) {
                    continue;
                }
                if let Some(map) = value.as_object_mut() {
                    map.remove("usage");
                }
            }
            rename(&mut value, &self.head, true);
            return Some(event(&value));
        }
    }
}
