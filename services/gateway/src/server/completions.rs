//! `/v1/completions` and `/v1/tokenize`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use freeway_engines::{ForwardPath, ScoreJob};

use super::Server;
use super::body::JsonBody;
use super::chat::{fingerprint, settings};
use super::guard::Caller;
use super::prepare::{Plan, Target, need, not_here, room, seed};
use crate::answer::choice::logprob;
use crate::answer::completion::{CompletionStream, Echo, Shape, echoed, whole};
use crate::answer::generation::Generation;
use crate::answer::meter::Meter;
use crate::answer::{Head, relay, respond, sse};
use crate::error::{ApiError, ErrorBody};
use crate::text::TextModel;
use crate::wire::answers::{TextCompletion, TokenList};
use crate::wire::completions::{self, Completion, Prompt};
use crate::wire::schemas::{CompletionRequest, StreamEvent, TokenizeRequest};

/// Continues texts.
///
/// Prompts are raw: control tokens in them are control tokens. With `"stream": true` the answer is a stream of
/// server-sent events that ends with `data: [DONE]`; if it must end early, its last event has an `error`.
#[utoipa::path(post, path = "/v1/completions", tag = "inference", request_body = CompletionRequest, responses(
    (status = 200, description = "The texts, or a stream of their pieces.", content(
        (TextCompletion<'static> = "application/json"), (StreamEvent = "text/event-stream"))),
    (status = "4XX", description = "The request is wrong, or too many are sent.", body = ErrorBody),
    (status = "5XX", description = "The gateway or an engine cannot answer now.", body = ErrorBody),
))]
pub(super) async fn completions(
    State(server): State<Arc<Server>>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let request = completions::completion(&body.map)?;
    let target = server.target(&request.model, &caller)?;
    let meter = server.meter(caller)?;
    if !target.capabilities.takes_tokens {
        return relay::relay(&server, &target.route, ForwardPath::Completions, body.map, meter).await;
    }
    drop(body);
    answer(&server, &target, request, meter).await
}

async fn answer(
    server: &Server,
    target: &Target,
    request: Completion,
    mut meter: Meter,
) -> Result<Response, ApiError> {
    let text = server.texts.get(&target.route).await?;
    let Completion { prompts, tuning, max_tokens, logprobs, echo, .. } = request;
    let model = Arc::clone(&text);
    let prompts = server.aside(move || tokens(&model, "prompt", prompts)).await?;
    let plan = Plan {
        target,
        text: &text,
        tuning: &tuning,
        logprobs,
        grammar: None,
        field: "prompt",
        max_tokens: (Some(max_tokens.max(1)), 1),
    };
    // All of them are looked at before the first is computed.
    let seed = seed(tuning.seed)?;
    let requests = prompts.iter().map(|prompt| plan.request(prompt.clone(), seed));
    let requests = requests.collect::<Result<Vec<_>, _>>()?;
    let echoes = if echo { echoes(target, &text, &prompts, logprobs).await? } else { Vec::new() };
    let shape = Shape {
        head: Head::new("cmpl", &target.route.name, fingerprint(&text))?,
        scored: logprobs.is_some(),
        echoes,
        per_prompt: usize::from(tuning.choices),
        include_usage: tuning.include_usage,
    };
    if max_tokens == 0 {
        let tokens = prompts.iter().map(|prompt| prompt.len() as u64).sum();
        meter.prompt(tokens, 0);
        let answer = echoed(&shape, prompts.len(), tokens)?;
        if tuning.stream {
            return Ok(sse::respond(sse::Once::new(answer), server.phases(), server.limits.keep_alive));
        }
        return Ok(Json(answer).into_response());
    }
    server.reserve(&mut meter, target, "/v1/completions", &requests)?;
    let mut tasks = Vec::with_capacity(requests.len());
    for request in requests {
        tasks.push(plan.start(request).await?);
    }
    let generation = Generation::new(tasks, &settings(&text, &tuning.stops, None, true), meter);
    let mut phases = server.phases();
    if tuning.stream {
        let source = CompletionStream::new(generation, shape);
        return Ok(sse::respond(source, phases, server.limits.keep_alive));
    }
    tokio::select! {
        answer = whole(generation, &shape) => {
            let (answer, receipts) = answer?;
            Ok(respond(answer, &receipts))
        }
        () = phases.cut() => Err(sse::stopping()),
    }
}

/// Tokens of texts, with what begins a text for this model.
pub(super) fn tokens(
    model: &TextModel,
    field: &str,
    prompts: Vec<Prompt>,
) -> Result<Vec<Vec<u32>>, ApiError> {
    let one = |prompt| match prompt {
        Prompt::Tokens(tokens) => Ok(tokens),
        Prompt::Text(text) => model.encode(&text, true).map_err(|error| error.param(field)),
    };
    prompts.into_iter().map(one).collect()
}

/// The prompts again, with their probabilities if they are wanted.
async fn echoes(
    target: &Target,
    text: &TextModel,
    prompts: &[Vec<u32>],
    logprobs: Option<u8>,
) -> Result<Vec<Echo>, ApiError> {
    let mut echoes = Vec::with_capacity(prompts.len());
    for prompt in prompts {
        let mut echo = Echo { text: text.decode(prompt), tokens: Vec::new() };
        if let (Some(top), [first, rest @ ..]) = (logprobs, prompt.as_slice()) {
            need(target.capabilities.can_score, "logprobs", "of a prompt cannot be told by this model")?;
            let name = String::from_utf8_lossy(&text.bytes(*first)).into_owned();
            echo.tokens.push((name, None));
            if !rest.is_empty() {
                let job = ScoreJob { prompt: vec![*first], continuation: rest.to_vec(), top };
                let scores = target.route.engine.score(&target.route.theirs, job).await?;
                let scored = rest.iter().zip(&scores.tokens).map(|(&id, scored)| logprob(text, id, scored));
                echo.tokens.extend(scored.map(|scored| (scored.token.clone(), Some(scored))));
            }
        }
        echoes.push(echo);
    }
    Ok(echoes)
}

/// Turns a text into tokens, as `/v1/completions` would.
#[utoipa::path(post, path = "/v1/tokenize", tag = "inference", request_body = TokenizeRequest, responses(
    (status = 200, description = "The tokens.", body = TokenList),
    (status = "4XX", description = "The request is wrong, or too many are sent.", body = ErrorBody),
    (status = "5XX", description = "The gateway or an engine cannot answer now.", body = ErrorBody),
))]
pub(super) async fn tokenize(
    State(server): State<Arc<Server>>,
    caller: Caller,
    body: JsonBody,
) -> Result<Json<TokenList>, ApiError> {
    let request = completions::tokenize(&body.map)?;
    let target = server.target(&request.model, &caller)?;
    let _meter = server.meter(caller)?;
    if !target.capabilities.takes_tokens {
        return Err(not_here("the server of this model keeps its tokenizer for itself"));
    }
    drop(body);
    let model = server.texts.get(&target.route).await?;
    let tokens = server.aside(move || model.encode(&request.text, true)).await?;
    let count = tokens.len();
    Ok(Json(TokenList { object: "tokens", model: target.route.name, tokens, count }))
}

/// Refuses texts that the model cannot take.
pub(super) fn fits(field: &'static str, tokens: &[u32], text: &TextModel) -> Result<(), ApiError> {
    let assets = text.assets();
    room(field, tokens.len(), assets.context, (None, 1))?;
    match tokens.iter().find(|&&id| id >= assets.vocabulary) {
        None => Ok(()),
        Some(id) => {
            let problem = format!("has the token id {id}; the model knows ids below {}", assets.vocabulary);
            Err(ApiError::field(field, problem))
        }
    }
}
