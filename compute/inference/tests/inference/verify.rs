//! What was generated verifies, and nothing else does.

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use freeway_inference::{Refused, ScoreRequest, Verified, VerifyRequest};
use freeway_models::synthetic::Recipe;
use freeway_requests::{Grammar, GrammarKind, Sampling, Share};
use proptest::prelude::*;

use super::hostile::{Even, Trouble};
use super::*;

/// Models of all families.
static PACKAGES: LazyLock<Vec<Package>> = LazyLock::new(|| {
    let recipes = [
        (Recipe::llama(), Group::G32),
        (stretched(), Group::Whole),
        (Recipe::qwen2(), Group::G64),
        (Recipe::qwen3(), Group::G128),
    ];
    // A small context, so that it ends as well.
    let recipe = |(recipe, group)| Recipe { context: 200, ..recipe }.package(group).unwrap();
    recipes.into_iter().map(recipe).collect()
});

/// How a request is constrained: by nothing, or to so many even tokens.
fn constraint(model: &Model, even: Option<usize>) -> Option<Box<dyn Constraint>> {
    even.map(|count| Even::boxed(model, count, Trouble::None).0)
}

fn verify(
    engine: &Engine,
    tokens: &TokenRequest,
    even: Option<usize>,
    output: &[Vec<u32>],
) -> Result<Verified, Refused> {
    let constraint = constraint(engine.model(), even);
    let request = VerifyRequest { tokens: Arc::new(tokens.clone()), constraint, output: output.to_vec() };
    engine.verify(request).map(|pending| pending.wait().unwrap())
}

fn outputs(answers: &[Answer]) -> Vec<Vec<u32>> {
    answers.iter().map(|answer| answer.tokens.clone()).collect()
}

fn traces(answers: &[Answer]) -> Vec<Digest> {
    answers.iter().map(|answer| answer.trace.unwrap()).collect()
}

fn even_grammar() -> Option<Grammar> {
    Some(Grammar { kind: GrammarKind::Lark, source: "even".to_owned() })
}

/// All that decides about tokens.
fn sampling() -> impl Strategy<Value = Sampling> {
    let half = Share(1 << 29);
    (
        prop_oneof![Just(Q16::ZERO), Just(Q16::ONE), Just(Q16(90_000))],
        prop_oneof![Just(0u32), Just(5)],
        prop_oneof![Just(Share::ONE), Just(half)],
        prop_oneof![Just(Share::ZERO), Just(Share(1 << 24))],
        prop_oneof![Just(Q16::ONE), Just(Q16(80_000))],
        prop_oneof![Just(Q16::ZERO), Just(Q16(40_000))],
        prop_oneof![Just(Q16::ZERO), Just(Q16(-30_000))],
        prop::collection::btree_map(0u32..330, (-200_000i32..400_000).prop_map(Q16), 0..4),
    )
        .prop_map(|(temperature, top_k, top_p, min_p, repetition, frequency, presence, logit_bias)| {
            Sampling {
                temperature,
                top_k,
                top_p,
                min_p,
                repetition_penalty: repetition,
                frequency_penalty: frequency,
                presence_penalty: presence,
                logit_bias,
            }
        })
}

/// How an answer is changed: which choice, where, and what.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// Another token.
    Other(u32),
    /// A token that there is not.
    Unknown,
    /// Nothing from there on.
    Cut,
    /// One token more at the end.
    More(u32),
    /// A token less within.
    Remove,
    /// Far more than can be.
    Flood,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (1u32..330).prop_map(Change::Other),
        1 => Just(Change::Unknown),
        2 => Just(Change::Cut),
        2 => (0u32..330).prop_map(Change::More),
        1 => Just(Change::Remove),
        1 => Just(Change::Flood),
    ]
}

/// Changes a choice. What is changed really, if anything, differs first where the two differ first.
fn changed(tokens: &[u32], at: prop::sample::Index, vocabulary: u32, change: Change) -> Vec<u32> {
    let mut tokens = tokens.to_vec();
    let at = at.index(tokens.len());
    match change {
        Change::Other(by) => tokens[at] = (tokens[at] + by) % vocabulary,
        Change::Unknown => tokens[at] = u32::MAX - 1,
        Change::Cut => tokens.truncate(at),
        Change::More(token) => tokens.push(token),
        Change::Remove => drop(tokens.remove(at)),
        Change::Flood => tokens.resize(70_000, 0),
    }
    tokens
}

fn first_difference(a: &[u32], b: &[u32]) -> Option<u32> {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    (same < a.len().max(b.len())).then_some(same as u32)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    /// Any request, beside any load and in any steps: what it gives verifies with the same traces, and a change is found
    /// where it is.
    #[test]
    fn what_was_generated_verifies_and_changes_are_found(
        which in 0usize..4,
        seed in any::<u64>(),
        prompt in prop_oneof![1usize..20, 60usize..140, 195usize..=200],
        max_tokens in 1u32..60,
        choices in 1u16..5,
        sampling in sampling(),
        stops in prop::collection::btree_set(0u32..330, 0..12),
        even in prop::option::weighted(0.3, 1usize..40),
        backend in any::<prop::sample::Index>(),
        (threads, rows, max_sequences, room) in (1usize..4, 1usize..90, 1usize..6, 5usize..30),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), change()), 1..4),
        beside in any::<bool>(),
    ) {
        let package = &PACKAGES[which];
        let model = load(package, Backend::best(), 1);
        let mut request = request(&model, text(&model, seed, prompt), max_tokens, choices);
        request.sampling = sampling;
        request.stop = stops;
        request.grammar = even.and_then(|_| even_grammar());
        let generator = start(&model, &EngineOptions::default());
        let answers = collect(submit_with(&generator, &request, constraint(&model, even))).unwrap().0;

        let available = Backend::available();
        let other = load(package, *backend.get(&available), threads);
        let options = EngineOptions {
            cache_bytes: pages(&other, room),
            max_sequences,
            rows_per_step: rows.max(max_sequences),
            max_waiting: 100,
        };
        let engine = start(&other, &options);
        let vocabulary = model.config().vocabulary;
        let output = outputs(&answers);
        let wait = |output: &[Vec<u32>]| {
            let tokens = Arc::new(request.clone());
            engine.verify(VerifyRequest { tokens, constraint: constraint(&model, even), output: output.to_vec() })
        };
        let load: Vec<_> = (0..if beside { 3 } else { 0 })
            .map(|number| {
                drop(wait(&output).unwrap());
                let beside = self::request(&model, text(&model, number, 70), 30, 2);
                (submit(&engine, &beside), engine.score(ScoreRequest { prompt: vec![1], continuation: vec![2; 50], top: 1 }))
            })
            .collect();
        let pending = wait(&output).unwrap();
        // Several changes at once: the first choice that has one decides.
        let mut wrong = output.clone();
        for (choice, at, change) in changes {
            let choice = choice.index(wrong.len());
            wrong[choice] = changed(&output[choice], at, vocabulary, change);
        }
        let differs = (0u16..).zip(output.iter().zip(&wrong)).find_map(|(choice, (right, wrong))| {
            first_difference(right, wrong).map(|position| (choice, position))
        });
        let pending_wrong = wait(&wrong).unwrap();
        let verified = pending.wait().unwrap();
        prop_assert_eq!(verified.differs, None);
        prop_assert_eq!(&verified.traces, &traces(&answers));
        let verified = pending_wrong.wait().unwrap();
        prop_assert_eq!(verified.differs, differs);
        let before = differs.map_or(answers.len(), |(choice, _)| usize::from(choice));
        prop_assert_eq!(&verified.traces, &traces(&answers[..before]));
        for (running, scores) in load {
            prop_assert!(collect(running).is_ok() && scores.unwrap().wait().is_ok());
        }
        let stats = drained(&engine);
        prop_assert_eq!((stats.pages_in_use, stats.failed, stats.running, stats.paused), (0, 0, 0, 0));
    }

    /// Whatever is claimed of whatever request is judged.
    #[test]
    fn nothing_that_is_claimed_breaks_it(
        output in prop::collection::vec(prop::collection::vec(prop_oneof![8 => 0u32..330, 1 => any::<u32>()], 0..30), 0..5),
        prompt in prop_oneof![0usize..5, 198usize..203],
        max_tokens in prop_oneof![0u32..30, Just(65_536), Just(u32::MAX)],
        choices in prop_oneof![0u16..5, Just(u16::MAX)],
        stops in prop::collection::btree_set(prop_oneof![0u32..330, any::<u32>()], 0..3),
        even in any::<bool>(),
    ) {
        let model = load(&PACKAGES[0], Backend::best(), 1);
        let engine = start(&model, &EngineOptions::default());
        let mut request = request(&model, text(&model, 1, prompt), max_tokens, choices);
        request.stop = stops;
        request.grammar = if even { even_grammar() } else { None };
        let verified = verify(&engine, &request, even.then_some(9), &output).unwrap();
        prop_assert!(verified.differs.is_some());
        prop_assert_eq!(drained(&engine).pages_in_use, 0);
    }
}

#[test]
fn another_model_is_found() {
    let package = Recipe::llama().package(Group::G32).unwrap();
    let right = load(&package, Backend::best(), 1);
    let engine = start(&right, &EngineOptions::default());
    let coarser = Recipe::llama().package(Group::Whole).unwrap();
    let other = Recipe { seed: 2, ..Recipe::llama() }.package(Group::G32).unwrap();
    for cheat in [coarser, other] {
        let cheat = load(&cheat, Backend::best(), 1);
        let cheating = start(&cheat, &EngineOptions::default());
        for (temperature, choices) in [(Q16::ZERO, 1), (Q16::ONE, 2)] {
            let mut asked = request(&right, text(&right, 3, 40), 120, choices);
            asked.sampling.temperature = temperature;
            let output: Vec<Vec<u32>> = {
                // It draws as the request says, with the logits that it has.
                let forged = TokenRequest { model: cheat.root(), ..asked.clone() };
                outputs(&answer(&cheating, &forged))
            };
            let truth = answer(&engine, &asked);
            let differs = (0u16..).zip(truth.iter().zip(&output)).find_map(|(choice, (right, wrong))| {
                first_difference(&right.tokens, wrong).map(|position| (choice, position))
            });
            assert!(differs.is_some());
            assert_eq!(verify(&engine, &asked, None, &output).unwrap().differs, differs);
        }
        let asked = request(&cheat, vec![1], 5, 1);
        assert_eq!(verify(&engine, &asked, None, &[vec![1]]), Err(Refused::WrongModel));
    }
}

#[test]
fn choices_share_the_prompt() {
    let model = tiny();
    let request = request(&model, text(&model, 1, 130), 20, 5);
    let answers = answer(&start(&model, &EngineOptions::default()), &request);
    let engine = start(&model, &EngineOptions::default());
    let verified = verify(&engine, &request, None, &outputs(&answers)).unwrap();
    assert_eq!((verified.differs, verified.traces, verified.cached_tokens), (None, traces(&answers), 0));
    let stats = drained(&engine);
    // Two full pages are computed once; the two tokens after them, and the claims, for each choice.
    assert_eq!(stats.rows, 128 + 5 * (2 + 19));
    assert_eq!((stats.finished, stats.cancelled, stats.prompt_tokens), (1, 0, 130));
}

#[test]
fn it_stops_where_it_is_wrong_and_with_its_receiver() {
    let model = tiny();
    let request = request(&model, text(&model, 1, 100), 300, 3);
    let mut output = outputs(&answer(&start(&model, &EngineOptions::default()), &request));
    output[0][5] = (output[0][5] + 1) % model.config().vocabulary;
    let options = EngineOptions { rows_per_step: 64, ..EngineOptions::default() };
    let engine = start(&model, &options);
    assert_eq!(verify(&engine, &request, None, &output).unwrap().differs, Some((0, 5)));
    let stats = drained(&engine);
    assert_eq!((stats.rows, stats.finished, stats.cancelled, stats.pages_in_use), (128, 1, 0, 0));

    let engine = start(&model, &options);
    let tokens = Arc::new(request.clone());
    drop(engine.verify(VerifyRequest { tokens, constraint: None, output: output.clone() }).unwrap());
    let stats = drained(&engine);
    assert_eq!((stats.finished + stats.cancelled, stats.pages_in_use), (1, 0));
    let late = verify(&engine, &request, None, &output);
    assert_eq!(late, Err(Refused::Stopping));
}

#[test]
fn what_has_no_room_is_refused_and_not_judged() {
    let model = tiny();
    let engine = start(&model, &EngineOptions { cache_bytes: pages(&model, 2), ..EngineOptions::default() });
    let request = request(&model, vec![1; 100], 60, 1);
    let claim = |length: usize| verify(&engine, &request, None, &[vec![0; length]]);
    assert_eq!(claim(60), Err(Refused::TooLong { tokens: 159, limit: 128 }));
    assert!(claim(29).is_ok());
    let constrained = TokenRequest { grammar: even_grammar(), ..request.clone() };
    assert_eq!(verify(&engine, &constrained, None, &[vec![0]]), Err(Refused::NoConstraint));
}

/// A grammar that breaks breaks the generation, so that nobody can have had an answer.
#[test]
fn where_a_grammar_fails_the_claim_is_wrong() {
    let model = tiny();
    let engine = start(&model, &EngineOptions::default());
    let request = TokenRequest { grammar: even_grammar(), ..request(&model, text(&model, 1, 70), 20, 1) };
    let (even, _) = Even::boxed(&model, 20, Trouble::None);
    let answers = collect(submit_with(&engine, &request, Some(even))).unwrap().0;
    let mut constraints = Vec::new();
    for trouble in [Trouble::Error, Trouble::Panic, Trouble::AllowsNothing] {
        let (even, alive) = Even::boxed(&model, 8, trouble);
        let tokens = Arc::new(request.clone());
        let claim = VerifyRequest { tokens, constraint: Some(even), output: outputs(&answers) };
        assert_eq!(engine.verify(claim).unwrap().wait().unwrap().differs, Some((0, 7)));
        constraints.push(alive);
    }
    assert_eq!(drained(&engine).failed, 0);
    assert!(constraints.iter().all(|alive| alive.load(Ordering::SeqCst) == 0));
}
