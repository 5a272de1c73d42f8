//! The engine as others use it, on tiny models with random weights.

#![allow(clippy::unwrap_used, reason = "in tests a panic is an answer")]

mod exactness;
mod golden;
mod hostile;
mod quality;
mod verify;

use std::sync::Arc;

use freeway_inference::{
    Constraint, Engine, EngineOptions, Event, Failure, FinishReason, Model, ModelOptions, Request, Running,
    Shutdown, Stats,
};
use freeway_kernels::Backend;
use freeway_models::synthetic::Recipe;
use freeway_models::{Group, Package, Scaling};
use freeway_primitives::Digest;
use freeway_requests::{Q16, Scored, Seed, TokenRequest};

/// A model as anything computes it.
fn load(package: &Package, backend: Backend, threads: usize) -> Arc<Model> {
    Arc::new(Model::load(package.clone(), &ModelOptions { backend, threads }).unwrap())
}

/// A Llama with a stretched rope, one head of keys, and its embedding for a head.
fn stretched() -> Recipe {
    let scaling =
        Scaling::Yarn { factor: 4.0, original: 64.0, fast: 32.0, slow: 1.0, magnitude: None, whole: true };
    let name = "tiny-stretched".to_owned();
    Recipe { name, tied: true, kv_heads: 1, head: 64, scaling, ..Recipe::llama() }
}

/// The quickest model to test with.
fn tiny() -> Arc<Model> {
    load(&Recipe::llama().package(Group::G32).unwrap(), Backend::best(), 1)
}

fn start(model: &Arc<Model>, options: &EngineOptions) -> Engine {
    Engine::start(Arc::clone(model), options).unwrap()
}

/// Room for so many pages.
fn pages(model: &Model, count: usize) -> u64 {
    (count * model.page_bytes()) as u64
}

/// Tokens without a pattern.
fn text(model: &Model, seed: u64, length: usize) -> Vec<u32> {
    let vocabulary = u64::from(model.config().vocabulary);
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % vocabulary) as u32
        })
        .collect()
}

/// A request that draws, with log-probabilities.
fn request(model: &Model, prompt: Vec<u32>, max_tokens: u32, choices: u16) -> TokenRequest {
    let mut request = TokenRequest::greedy(model.root(), prompt, max_tokens);
    request.sampling.temperature = Q16::ONE;
    request.choices = choices;
    request.top_logprobs = Some(3);
    request.seed = Seed::of_number(i64::from(max_tokens));
    request
}

/// What one choice came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Answer {
    tokens: Vec<u32>,
    scored: Vec<Scored>,
    reason: Option<FinishReason>,
    trace: Option<Digest>,
}

fn submit(engine: &Engine, tokens: &TokenRequest) -> Running {
    submit_with(engine, tokens, None)
}

fn submit_with(engine: &Engine, tokens: &TokenRequest, constraint: Option<Box<dyn Constraint>>) -> Running {
    engine.submit(Request { tokens: Arc::new(tokens.clone()), constraint, trace: true }).unwrap()
}

/// Reads a stream to its end. Gives the answers and how much of the prompt was found computed.
fn collect(mut running: Running) -> Result<(Vec<Answer>, u32), Failure> {
    let mut answers: Vec<Answer> = Vec::new();
    let mut cached = None;
    while let Some(event) = running.blocking_next() {
        match event {
            Event::Started { cached_tokens } => {
                assert_eq!(cached.replace(cached_tokens), None, "started twice")
            }
            Event::Token(token) => {
                let choice = usize::from(token.choice);
                answers.resize_with(answers.len().max(choice + 1), Answer::default);
                answers[choice].tokens.push(token.id);
                answers[choice].scored.extend(token.scored);
            }
            Event::Finished(end) => {
                let answer = &mut answers[usize::from(end.choice)];
                assert_eq!(answer.tokens.len(), end.completion_tokens as usize);
                assert_eq!(Some(end.cached_tokens), cached);
                assert_eq!(answer.reason.replace(end.reason), None, "finished twice");
                answer.trace = end.trace;
            }
            Event::Failed(failure) => {
                assert_eq!(running.blocking_next(), None);
                return Err(failure);
            }
        }
    }
    assert!(answers.iter().all(|answer| answer.reason.is_some()));
    Ok((answers, cached.unwrap()))
}

/// Runs one request.
fn answer(engine: &Engine, tokens: &TokenRequest) -> Vec<Answer> {
    collect(submit(engine, tokens)).unwrap().0
}

/// Lets the engine finish. Gives its numbers.
fn drained(engine: &Engine) -> Stats {
    engine.shutdown(Shutdown::Drain);
    engine.join();
    engine.stats()
}
