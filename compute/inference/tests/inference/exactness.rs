//! The promise: the same bits whatever happens beside.

use std::sync::LazyLock;

use freeway_inference::ScoreRequest;
use freeway_models::synthetic::Recipe;
use proptest::prelude::*;

use super::*;

/// A model, requests to it, and what comes out when each is computed alone, position by position, by the reference.
struct Case {
    package: Package,
    truth: Vec<(TokenRequest, Vec<Answer>)>,
}

/// The reference computes these once.
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let recipes = [
        (Recipe::llama(), Group::G32),
        (stretched(), Group::Whole),
        (Recipe::qwen2(), Group::G64),
        (Recipe::qwen3(), Group::G128),
    ];
    recipes.into_iter().map(|(recipe, group)| case(recipe.package(group).unwrap())).collect()
});

fn case(package: Package) -> Case {
    let model = load(&package, Backend::Scalar, 1);
    // One position at a time, so that there is neither chunk nor batch, and no room to find pages again.
    let options = EngineOptions { rows_per_step: 1, max_sequences: 1, ..EngineOptions::default() };
    // The first ones begin alike, over more than a page.
    let common = text(&model, 1, 100);
    let prompts = [
        common.clone(),
        [&common[..], &text(&model, 2, 35)].concat(),
        [&common[..70], &text(&model, 3, 1)].concat(),
        text(&model, 4, 1),
        text(&model, 5, 64),
        text(&model, 6, 129),
    ];
    let truth = prompts
        .into_iter()
        .zip([(40, 1), (3, 2), (70, 1), (66, 1), (2, 3), (1, 1)])
        .map(|(prompt, (max_tokens, choices))| {
            let request = request(&model, prompt, max_tokens, choices);
            let answers = answer(&start(&model, &options), &request);
            (request, answers)
        })
        .collect();
    Case { package, truth }
}

#[test]
fn scoring_tracing_and_generating_agree() {
    for case in CASES.iter() {
        let model = load(&case.package, Backend::best(), 2);
        let engine = start(&model, &EngineOptions::default());
        for (request, answers) in &case.truth {
            for answer in answers {
                let (prompt, continuation) = (request.prompt.clone(), answer.tokens.clone());
                let scores =
                    engine.score(ScoreRequest { prompt, continuation, top: 3 }).unwrap().wait().unwrap();
                assert_eq!(scores.tokens, answer.scored);
                assert_eq!(Some(scores.trace), answer.trace);
                let tokens = [&request.prompt[..], &answer.tokens[..answer.tokens.len() - 1]].concat();
                let trace = model.trace(&tokens).unwrap();
                assert_eq!(Some(trace.root()), answer.trace);
                let (last, layers) = (tokens.len() as u64 - 1, model.config().layers());
                let opening = trace.open(last, layers - 1).unwrap();
                assert!(opening.verify(&trace.root(), tokens.len() as u64, layers).is_some());
            }
        }
    }
}

#[test]
fn kept_pages_change_no_bit() {
    for case in CASES.iter() {
        let model = load(&case.package, Backend::best(), 1);
        let engine = start(&model, &EngineOptions::default());
        let (request, answers) = &case.truth[0];
        assert_eq!(collect(submit(&engine, request)).unwrap(), (answers.clone(), 0));
        // All full pages but the one that holds the last token of the prompt, whose logits are wanted.
        assert_eq!(collect(submit(&engine, request)).unwrap(), (answers.clone(), 64));
        let (request, answers) = &case.truth[1];
        assert_eq!(collect(submit(&engine, request)).unwrap(), (answers.clone(), 64));
        // What was generated is found as well.
        let (request, answers) = &case.truth[2];
        answer(&engine, request);
        let prompt = [&request.prompt[..], &answers[0].tokens[..]].concat();
        let next = super::request(&model, prompt, 5, 1);
        let (warm, cached) = collect(submit(&engine, &next)).unwrap();
        assert_eq!(cached, 128);
        assert_eq!(warm, answer(&start(&model, &EngineOptions::default()), &next));
        let stats = drained(&engine);
        assert_eq!((stats.pages_in_use, stats.cached_tokens), (0, 64 + 64 + 64 + 128));
        assert!(stats.pages_cached >= 3);
    }
}

#[test]
fn what_gives_up_its_pages_goes_on_with_the_same_bits() {
    for case in CASES.iter() {
        let model = load(&case.package, Backend::best(), 1);
        // Three sequences of up to three pages each do not fit into four.
        let options =
            EngineOptions { cache_bytes: pages(&model, 4), rows_per_step: 64, ..EngineOptions::default() };
        let engine = start(&model, &options);
        for _ in 0..2 {
            let running: Vec<_> = case.truth.iter().map(|(request, _)| submit(&engine, request)).collect();
            for (running, (_, answers)) in running.into_iter().zip(&case.truth) {
                assert_eq!(&collect(running).unwrap().0, answers);
            }
        }
        let stats = drained(&engine);
        assert!(stats.preemptions > 0 && stats.pages_in_use == 0, "{stats:?}");
    }
}

/// Tiny products are never divided among threads; these are.
#[test]
fn threads_change_no_bit_of_a_wider_model() {
    let recipe = Recipe { width: 512, hidden: 1024, heads: 8, head: 64, vocabulary: 4096, ..Recipe::qwen3() };
    let package = recipe.package(Group::G32).unwrap();
    let mut all = Vec::new();
    for threads in 1..4 {
        let model = load(&package, Backend::best(), threads);
        let engine = start(&model, &EngineOptions::default());
        let request = request(&model, text(&model, 8, 300), 12, 2);
        all.push(answer(&engine, &request));
    }
    assert!(all.iter().all(|answers| *answers == all[0]));
}

#[test]
fn embeddings_do_not_depend_on_steps() {
    for case in CASES.iter() {
        let tokens = text(&load(&case.package, Backend::Scalar, 1), 9, 150);
        let mut all = Vec::new();
        for (backend, threads, rows) in
            [(Backend::Scalar, 1, 1), (Backend::best(), 1, 7), (Backend::best(), 2, 256)]
        {
            let model = load(&case.package, backend, threads);
            let options = EngineOptions { rows_per_step: rows, max_sequences: 1, ..EngineOptions::default() };
            let engine = start(&model, &options);
            let vector = engine.embed(tokens.clone()).unwrap().wait().unwrap();
            assert_eq!(vector.len(), model.config().width());
            assert!(vector.iter().all(|value| value.is_finite()) && vector.iter().any(|value| *value != 0.0));
            all.push(vector.into_iter().map(f32::to_bits).collect::<Vec<_>>());
        }
        assert!(all.iter().all(|vector| *vector == all[0]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Any mix of requests, any number of rows in a step, threads, backend, room; with requests that are dropped beside
    /// them, and others that do something else.
    #[test]
    fn nothing_changes_a_bit(
        case in 0usize..4,
        backend in any::<prop::sample::Index>(),
        threads in 1usize..4,
        rows in 1usize..200,
        max_sequences in 1usize..12,
        room in 4usize..40,
        // Which request, and after how many of its events it is dropped.
        mix in prop::collection::vec((0usize..6, prop::option::weighted(0.3, 0usize..20)), 1..12),
        score in any::<bool>(),
        beside in any::<bool>(),
    ) {
        let case = &CASES[case];
        let available = Backend::available();
        let model = load(&case.package, *backend.get(&available), threads);
        let engine = start(&model, &EngineOptions {
            cache_bytes: pages(&model, room),
            max_sequences,
            rows_per_step: rows.max(max_sequences),
            max_waiting: 100,
        });
        let mut kept = Vec::new();
        let mut scored = Vec::new();
        for (which, drop_after) in &mix {
            let (request, answers) = &case.truth[*which];
            let mut running = submit(&engine, request);
            if score {
                let (prompt, continuation) = (request.prompt.clone(), answers[0].tokens.clone());
                let scores = engine.score(ScoreRequest { prompt, continuation, top: 3 }).unwrap();
                scored.push((scores, &answers[0]));
            }
            if beside {
                // Their receivers are gone at once.
                drop(engine.embed(request.prompt.clone()).unwrap());
            }
            match drop_after {
                Some(events) => {
                    for _ in 0..*events {
                        if running.blocking_next().is_none() {
                            break;
                        }
                    }
                }
                None => kept.push((running, answers)),
            }
        }
        for (running, answers) in kept {
            prop_assert_eq!(&collect(running).unwrap().0, answers);
        }
        for (scores, answer) in scored {
            let scores = scores.wait().unwrap();
            prop_assert_eq!(&scores.tokens, &answer.scored);
            prop_assert_eq!(Some(scores.trace), answer.trace);
        }
        prop_assert_eq!(drained(&engine).pages_in_use, 0);
    }
}
