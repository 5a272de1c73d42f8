//! What only the inside can do: break the engine's thread.

use freeway_models::Group;
use freeway_models::synthetic::Recipe;
use freeway_requests::TokenRequest;

use super::*;
use crate::model::ModelOptions;
use crate::request::{Event, Failure};

fn engine() -> Engine {
    let options = ModelOptions { threads: 1, ..ModelOptions::default() };
    let model = Model::load(Recipe::llama().package(Group::G32).unwrap(), &options).unwrap();
    Engine::start(Arc::new(model), &EngineOptions::default()).unwrap()
}

fn request(engine: &Engine) -> Request {
    let tokens = Arc::new(TokenRequest::greedy(engine.model().root(), vec![1, 2, 3], 100));
    Request { tokens, constraint: None, trace: true }
}

/// Whatever breaks inside, nobody waits for ever.
#[test]
fn a_broken_engine_ends_every_stream() {
    let engine = engine();
    engine.shared.queue().sabotage = true;
    let mut streams: Vec<Running> = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..5 {
        // The engine may have broken already: then requests are refused.
        streams.extend(engine.submit(request(&engine)));
        answers.extend(engine.embed(vec![1, 2]));
    }
    for mut stream in streams {
        assert_eq!(stream.blocking_next(), Some(Event::Failed(Failure::Stopped)));
        assert_eq!(stream.blocking_next(), None);
    }
    for answer in answers {
        assert_eq!(answer.wait(), Err(Failure::Stopped));
    }
    engine.join();
    assert_eq!(engine.submit(request(&engine)).unwrap_err(), Refused::Stopping);
    assert_eq!(engine.stats().running, 0);
}
