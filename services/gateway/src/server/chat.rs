//! `/v1/chat/completions`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use freeway_engines::ForwardPath;

use super::Server;
use super::body::JsonBody;
use super::guard::Caller;
use super::prepare::{Plan, Target, need, seed};
use crate::answer::chat::{ChatStream, whole};
use crate::answer::choice::Settings;
use crate::answer::generation::Generation;
use crate::answer::meter::Meter;
use crate::answer::{Head, relay, respond, sse};
use crate::error::{ApiError, ErrorBody};
use crate::text::calls::Style;
use crate::text::{TextModel, forced};
use crate::wire::answers::ChatCompletion;
use crate::wire::chat::{self, Chat};
use crate::wire::schemas::{ChatRequest, StreamEvent};
use crate::wire::tools::ToolChoice;

/// Says the next message of a conversation.
///
/// With `"stream": true` the answer is a stream of server-sent events that ends with `data: [DONE]`; if it must end
/// early, its last event has an `error`.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "inference", request_body = ChatRequest, responses(
    (status = 200, description = "The message, or a stream of its pieces.", content(
        (ChatCompletion = "application/json"), (StreamEvent = "text/event-stream"))),
    (status = "4XX", description = "The request is wrong, or too many are sent.", body = ErrorBody),
    (status = "5XX", description = "The gateway or an engine cannot answer now.", body = ErrorBody),
))]
pub(super) async fn chat(
    State(server): State<Arc<Server>>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let request = chat::chat(&body.map)?;
    let target = server.target(&request.model, &caller)?;
    let meter = server.meter(caller)?;
    if !target.capabilities.takes_tokens {
        return relay::relay(&server, &target.route, ForwardPath::Chat, body.map, meter).await;
    }
    drop(body);
    answer(&server, &target, request, meter).await
}

async fn answer(
    server: &Server,
    target: &Target,
    request: Chat,
    mut meter: Meter,
) -> Result<Response, ApiError> {
    let text = server.texts.get(&target.route).await?;
    let tools = Tools::new(&request, target, &text)?;
    let Chat { messages, tuning, .. } = request;
    let shown = tools.shown;
    let model = Arc::clone(&text);
    let prompt = server.aside(move || model.conversation(&messages, &shown)).await?;
    let head = Head::new("chatcmpl", &target.route.name, fingerprint(&text))?;
    let plan = Plan {
        target,
        text: &text,
        tuning: &tuning,
        logprobs: request.logprobs,
        grammar: tools.grammar.or(request.format),
        field: "messages",
        max_tokens: (request.max_tokens, server.limits.default_max_tokens),
    };
    let token_request = plan.request(prompt, seed(tuning.seed)?)?;
    server.reserve(&mut meter, target, "/v1/chat/completions", core::slice::from_ref(&token_request))?;
    let implied = text.implied_stops().iter().map(|stop| (*stop).to_owned());
    let stops: Vec<String> = tuning.stops.iter().cloned().chain(implied).collect();
    let settings = settings(&text, &stops, tools.calls, request.parallel_calls);
    let started = plan.start(token_request).await;
    // The schema of a call comes from the tools.
    let task = started.map_err(|error| if tools.forced { error.param("tools") } else { error })?;
    let scored = request.logprobs.is_some();
    let generation = Generation::new(vec![task], &settings, meter);
    let mut phases = server.phases();
    if tuning.stream {
        let source = ChatStream::new(generation, head, scored, tuning.include_usage);
        return Ok(sse::respond(source, phases, server.limits.keep_alive));
    }
    tokio::select! {
        answer = whole(generation, head, scored) => {
            let (answer, receipts) = answer?;
            Ok(respond(answer, &receipts))
        }
        () = phases.cut() => Err(sse::stopping()),
    }
}

/// What tools mean for a request.
struct Tools {
    /// What the template shows.
    shown: Vec<crate::wire::tools::Tool>,
    /// How calls are found in the answer.
    calls: Option<(Style, Arc<[String]>)>,
    grammar: Option<freeway_requests::Grammar>,
    forced: bool,
}

impl Tools {
    fn new(request: &Chat, target: &Target, text: &TextModel) -> Result<Self, ApiError> {
        if request.format.is_some() {
            need(target.capabilities.grammar, "response_format", "cannot be kept to by this model")?;
        }
        if request.tools.is_empty() || request.tool_choice == ToolChoice::None {
            return Ok(Self { shown: Vec::new(), calls: None, grammar: None, forced: false });
        }
        let Some(style) = text.tool_style() else {
            let problem = "cannot be used with this model, whose chat template knows none; leave them out";
            return Err(ApiError::field("tools", problem).code("unsupported"));
        };
        let grammar = forced::grammar(&request.tools, &request.tool_choice, style)?;
        let forced = grammar.is_some();
        if forced {
            need(target.capabilities.grammar, "tool_choice", "cannot be forced with this model")?;
            if request.format.is_some() {
                let problem = "cannot be given where a tool must be called";
                return Err(ApiError::field("response_format", problem));
            }
        }
        let names: Arc<[String]> = request.tools.iter().map(|tool| tool.name.clone()).collect();
        // A forced call is bare JSON, whatever the model is used to.
        let style = if forced { Style::Bare } else { style };
        Ok(Self { shown: request.tools.clone(), calls: Some((style, names)), grammar, forced })
    }
}

/// What all choices of a request have in common.
pub(super) fn settings(
    text: &Arc<TextModel>,
    stops: &[String],
    calls: Option<(Style, Arc<[String]>)>,
    parallel: bool,
) -> Settings {
    Settings {
        model: Arc::clone(text),
        ends: Arc::new(text.assets().eos.iter().copied().collect()),
        stops: stops.iter().cloned().collect(),
        calls,
        parallel,
    }
}

/// The same for as long as the model is.
pub(super) fn fingerprint(text: &TextModel) -> String {
    let root = text.assets().root.to_string();
    format!("fw_{}", root.get(..16).unwrap_or(&root))
}
