//! Requests that nobody should send, constraints that misbehave, and receivers that go away.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use freeway_inference::{ConstraintError, LoadError, Refused, ScoreRequest, Shutdown, StartError};
use freeway_requests::{Grammar, GrammarKind, LogProb, Mask};

use super::*;

#[test]
fn wrong_requests_are_refused_with_a_reason() {
    let model = tiny();
    let engine = start(&model, &EngineOptions { cache_bytes: pages(&model, 2), ..EngineOptions::default() });
    let vocabulary = model.config().vocabulary;
    let refused = |change: &dyn Fn(&mut TokenRequest)| {
        let mut tokens = request(&model, vec![1, 2], 5, 1);
        change(&mut tokens);
        engine.submit(Request { tokens: Arc::new(tokens), constraint: None, trace: true }).unwrap_err()
    };
    assert_eq!(refused(&|request| request.model.0.0[0] ^= 1), Refused::WrongModel);
    for (name, change) in [
        ("prompt", &(|request: &mut TokenRequest| request.prompt.clear()) as &dyn Fn(&mut TokenRequest)),
        ("prompt", &|request| request.prompt.push(vocabulary)),
        ("prompt", &|request| request.prompt = vec![0; 100_000]),
        ("max_tokens", &|request| request.max_tokens = 0),
        ("max_tokens", &|request| request.max_tokens = u32::MAX),
        ("n:", &|request| request.choices = 0),
        ("stop", &|request| request.stop = [u32::MAX].into()),
    ] {
        let error = refused(change);
        assert!(matches!(error, Refused::Invalid(_)) && error.to_string().contains(name), "{error}");
    }
    let grammar = Grammar { kind: GrammarKind::JsonObject, source: String::new() };
    assert_eq!(refused(&|request| request.grammar = Some(grammar.clone())), Refused::NoConstraint);
    // Room for two pages; the last token is not computed.
    let error = refused(&|request| (request.prompt, request.max_tokens) = (vec![0; 100], 30));
    assert_eq!(error, Refused::TooLong { tokens: 129, limit: 128 });
    let fits = TokenRequest { prompt: vec![0; 100], max_tokens: 29, ..request(&model, vec![1], 1, 1) };
    assert_eq!(answer(&engine, &fits)[0].tokens.len(), 29);

    let score = |prompt: &[u32], continuation: &[u32], top| {
        let (prompt, continuation) = (prompt.to_vec(), continuation.to_vec());
        engine.score(ScoreRequest { prompt, continuation, top }).map(drop)
    };
    assert!(matches!(score(&[], &[1], 0), Err(Refused::Invalid(_))));
    assert!(matches!(score(&[1], &[], 0), Err(Refused::Invalid(_))));
    assert!(matches!(score(&[1], &[vocabulary], 0), Err(Refused::Invalid(_))));
    assert!(matches!(score(&[1], &[1], 21), Err(Refused::Invalid(_))));
    assert!(matches!(score(&[1], &[1; 129], 0), Err(Refused::TooLong { .. })));
    assert_eq!(score(&[1], &[1; 128], 20), Ok(()));
    assert!(matches!(engine.embed(Vec::new()), Err(Refused::Invalid(_))));
    assert!(matches!(engine.embed(vec![vocabulary]), Err(Refused::Invalid(_))));
    assert!(matches!(engine.embed(vec![1; 129]), Err(Refused::TooLong { .. })));
    assert!(matches!(model.trace(&[]), Err(Refused::Invalid(_))));
    assert_eq!(drained(&engine).failed, 0);
    assert_eq!(score(&[1], &[1], 0), Err(Refused::Stopping));
}

#[test]
fn options_are_checked() {
    let model = tiny();
    for options in [
        EngineOptions { max_sequences: 0, ..EngineOptions::default() },
        EngineOptions { max_waiting: 0, ..EngineOptions::default() },
        EngineOptions { rows_per_step: 63, ..EngineOptions::default() },
        EngineOptions { rows_per_step: usize::MAX, ..EngineOptions::default() },
    ] {
        assert!(matches!(Engine::start(Arc::clone(&model), &options), Err(StartError::Option { .. })));
    }
    let options = EngineOptions { cache_bytes: 1000, ..EngineOptions::default() };
    assert!(matches!(Engine::start(Arc::clone(&model), &options), Err(StartError::NoRoom { .. })));
    let options = ModelOptions { threads: 0, ..ModelOptions::default() };
    assert!(matches!(Model::load(model.package().clone(), &options), Err(LoadError::Threads(_))));
}

#[test]
fn the_context_ends_where_it_ends() {
    let recipe = Recipe { context: 70, ..Recipe::llama() };
    let model = load(&recipe.package(Group::G32).unwrap(), Backend::best(), 1);
    let engine = start(&model, &EngineOptions::default());
    for (prompt, max_tokens, generated) in [(70, 5, 1), (69, 5, 2), (1, 100, 70), (60, 11, 11), (60, 12, 11)]
    {
        let request = request(&model, text(&model, 1, prompt), max_tokens, 1);
        let answer = &answer(&engine, &request)[0];
        assert_eq!((answer.tokens.len(), answer.reason), (generated, Some(FinishReason::Length)));
    }
    let too_long = request(&model, text(&model, 1, 71), 1, 1);
    let tokens = Request { tokens: Arc::new(too_long), constraint: None, trace: true };
    assert_eq!(engine.submit(tokens).unwrap_err(), Refused::TooLong { tokens: 71, limit: 70 });
    let score = |length: usize| {
        let (prompt, continuation) = (vec![1], vec![2; length]);
        engine
            .score(ScoreRequest { prompt, continuation, top: 0 })
            .map(|pending| pending.wait().unwrap().tokens.len())
    };
    assert_eq!(score(70), Ok(70));
    assert_eq!(score(71), Err(Refused::TooLong { tokens: 71, limit: 70 }));
    assert!(matches!(model.trace(&[0; 71]), Err(Refused::TooLong { .. })));
}

#[test]
fn stop_tokens_end_a_choice_and_are_told() {
    let model = tiny();
    let engine = start(&model, &EngineOptions::default());
    let mut request = request(&model, text(&model, 1, 10), 30, 2);
    // The draw depends on all of the request, its stop tokens too; the greedy choice does not.
    request.sampling.temperature = Q16::ZERO;
    let all = answer(&engine, &request)[0].tokens.clone();
    request.stop = [all[5]].into();
    let end = all.iter().position(|token| *token == all[5]).unwrap();
    for answer in answer(&engine, &request) {
        assert_eq!(answer.tokens, all[..=end]);
        assert_eq!(answer.reason, Some(FinishReason::Stop(all[5])));
    }
}

#[test]
fn untraced_requests_have_the_same_tokens_and_no_root() {
    let model = tiny();
    let engine = start(&model, &EngineOptions::default());
    let tokens = Arc::new(request(&model, text(&model, 1, 100), 30, 2));
    let request = Request { tokens: Arc::clone(&tokens), constraint: None, trace: false };
    let untraced = collect(engine.submit(request).unwrap()).unwrap().0;
    assert_eq!(engine.stats().pages_cached, 0);
    for (mut traced, untraced) in answer(&engine, &tokens).into_iter().zip(untraced) {
        assert!(traced.trace.take().is_some());
        assert_eq!(traced, untraced);
    }
}

#[test]
fn the_queue_is_bounded_and_empties_when_receivers_go() {
    let model = tiny();
    let options = EngineOptions { max_sequences: 2, max_waiting: 10, ..EngineOptions::default() };
    let engine = start(&model, &options);
    let tokens = Arc::new(request(&model, vec![1], 1000, 1));
    let submit = || engine.submit(Request { tokens: Arc::clone(&tokens), constraint: None, trace: true });
    let mut running = Vec::new();
    let mut refused = 0;
    for _ in 0..5000 {
        match submit() {
            Ok(stream) => running.push(stream),
            Err(Refused::Busy { waiting: 10, limit: 10 }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0 && running.len() < 5000);
    // Whoever waits and goes away makes room at once.
    drop(running);
    let stream = submit().unwrap();
    assert_eq!(collect(stream).unwrap().0[0].tokens.len(), 1000.min(model.config().context()));
    let stats = drained(&engine);
    assert_eq!((stats.pages_in_use, stats.running, stats.paused, stats.waiting), (0, 0, 0, 0));
    assert_eq!(stats.finished + stats.cancelled, 5001 - refused);
}

#[test]
fn receivers_that_go_in_mid_stream_free_everything() {
    let model = tiny();
    let engine = start(&model, &EngineOptions { cache_bytes: pages(&model, 20), ..EngineOptions::default() });
    for round in 0..30u64 {
        let request = request(&model, text(&model, round, 90), 60, 3);
        let mut running = submit(&engine, &request);
        for _ in 0..round {
            running.blocking_next();
        }
    }
    let other = request(&model, text(&model, 99, 30), 10, 1);
    assert_eq!(answer(&engine, &other), answer(&start(&model, &EngineOptions::default()), &other));
    let stats = drained(&engine);
    assert_eq!((stats.pages_in_use, stats.running), (0, 0));
    assert!(stats.cancelled > 0 && stats.failed == 0, "{stats:?}");
}

#[test]
fn shutting_down_finishes_or_fails_what_runs() {
    let model = tiny();
    let tokens = request(&model, text(&model, 1, 40), 50, 2);
    let engine = start(&model, &EngineOptions::default());
    let running: Vec<_> = (0..5).map(|_| submit(&engine, &tokens)).collect();
    assert_eq!(drained(&engine).finished, 5);
    let answers: Vec<_> = running.into_iter().map(|running| collect(running).unwrap().0).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));

    let engine = start(&model, &EngineOptions { max_sequences: 2, ..EngineOptions::default() });
    let long = TokenRequest { max_tokens: 60_000, ..tokens };
    let running: Vec<_> = (0..5).map(|_| submit(&engine, &long)).collect();
    let pending = engine.embed(vec![1]).unwrap();
    engine.shutdown(Shutdown::Abort);
    engine.shutdown(Shutdown::Drain);
    engine.join();
    for running in running {
        // A short context may have let the first of them finish.
        assert!(matches!(collect(running), Err(Failure::Stopped) | Ok(_)));
    }
    let _ = pending.wait();
    assert_eq!(engine.stats().pages_in_use, 0);

    // Dropping an engine aborts.
    let engine = start(&model, &EngineOptions { max_sequences: 1, ..EngineOptions::default() });
    let _first = submit(&engine, &long);
    let second = submit(&engine, &long);
    drop(engine);
    assert!(matches!(collect(second), Err(Failure::Stopped) | Ok(_)));
}

#[test]
fn streams_and_answers_can_be_polled() {
    let model = tiny();
    let engine = start(&model, &EngineOptions::default());
    let tokens = request(&model, text(&model, 1, 5), 3, 1);
    let mut running = submit(&engine, &tokens);
    let mut pending = std::pin::pin!(engine.embed(vec![1, 2, 3]).unwrap());
    drained(&engine);
    let mut context = Context::from_waker(Waker::noop());
    let mut events = Vec::new();
    while let Poll::Ready(Some(event)) = running.poll_next(&mut context) {
        events.push(event);
    }
    assert_eq!(events.len(), 5);
    assert_eq!(running.poll_next(&mut context), Poll::Ready(None));
    assert!(matches!(pending.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
}

/// Allows even tokens, and so many of them.
pub(super) struct Even {
    left: usize,
    vocabulary: usize,
    /// What it does when asked once too often.
    trouble: Trouble,
    alive: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Trouble {
    None,
    Error,
    Panic,
    AllowsNothing,
}

impl Even {
    pub(super) fn boxed(
        model: &Model,
        left: usize,
        trouble: Trouble,
    ) -> (Box<dyn Constraint>, Arc<AtomicUsize>) {
        let alive = Arc::new(AtomicUsize::new(1));
        let even = Self { left, vocabulary: model.config().vocabulary(), trouble, alive: Arc::clone(&alive) };
        (Box::new(even), alive)
    }
}

impl Drop for Even {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Constraint for Even {
    fn mask(&mut self) -> Result<Option<Mask>, ConstraintError> {
        let mut mask = Mask::none(self.vocabulary);
        let troubled = self.left == 1;
        match self.trouble {
            Trouble::Error if troubled => return Err(ConstraintError("no more".to_owned())),
            Trouble::Panic if troubled => panic!("a bug in a grammar"),
            Trouble::AllowsNothing if troubled => {}
            _ => (0..self.vocabulary as u32).step_by(2).for_each(|id| mask.allow(id)),
        }
        Ok(Some(mask))
    }

    fn accept(&mut self, token: u32) -> Result<bool, ConstraintError> {
        assert_eq!(token % 2, 0);
        self.left -= 1;
        Ok(self.left == 0)
    }

    fn fork(&self) -> Box<dyn Constraint> {
        self.alive.fetch_add(1, Ordering::SeqCst);
        Box::new(Self { alive: Arc::clone(&self.alive), ..*self })
    }
}

#[test]
fn constraints_decide_for_each_choice_and_hurt_nobody_else() {
    let model = tiny();
    let engine = start(&model, &EngineOptions::default());
    let grammar = Some(Grammar { kind: GrammarKind::Lark, source: "even".to_owned() });
    let constrained = TokenRequest { grammar, ..request(&model, text(&model, 1, 70), 20, 3) };
    let other = request(&model, text(&model, 2, 20), 30, 1);
    let expected = answer(&engine, &other);

    let beside = submit(&engine, &other);
    let (even, alive) = Even::boxed(&model, 7, Trouble::None);
    for answer in collect(submit_with(&engine, &constrained, Some(even))).unwrap().0 {
        assert_eq!((answer.tokens.len(), answer.reason), (7, Some(FinishReason::Constraint)));
        assert!(answer.tokens.iter().all(|token| token % 2 == 0));
        assert!(answer.scored.iter().all(|scored| scored.logprob <= LogProb(0)));
    }
    assert_eq!(collect(beside).unwrap().0, expected);

    for trouble in [Trouble::Error, Trouble::Panic, Trouble::AllowsNothing] {
        let beside = submit(&engine, &other);
        let (even, troubled) = Even::boxed(&model, 4, trouble);
        let failure = collect(submit_with(&engine, &constrained, Some(even))).unwrap_err();
        let expected_failure = if trouble == Trouble::AllowsNothing {
            matches!(failure, Failure::Sampling(_))
        } else {
            matches!(failure, Failure::Constraint(_))
        };
        assert!(expected_failure, "{failure}");
        assert_eq!(collect(beside).unwrap().0, expected);
        // The other choices are swept away with the next request.
        assert_eq!(answer(&engine, &other), expected);
        assert_eq!(troubled.load(Ordering::SeqCst), 0);
    }
    let (even, _) = Even::boxed(&model, 7, Trouble::None);
    let request = Request { tokens: Arc::new(other), constraint: Some(even), trace: true };
    assert_eq!(engine.submit(request).unwrap_err(), Refused::NoConstraint);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    let stats = drained(&engine);
    assert_eq!((stats.failed, stats.pages_in_use, stats.cancelled), (3, 0, 0));
}
