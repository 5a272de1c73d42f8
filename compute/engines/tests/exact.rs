//! The exact engine behind the trait, on tiny models with random weights.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::sync::Arc;

use freeway_engines::{
    Engine, EngineError, ErrorKind, Event, Exact, ExactOptions, FinishReason, Finished, Forward, ForwardPath,
    Job, OpenError, Registry, ScoreJob, Tier, Verified, VerifyJob,
};
use freeway_inference::{EngineOptions, ModelOptions, Shutdown};
use freeway_models::synthetic::Recipe;
use freeway_models::{Group, Library, Package};
use freeway_requests::{Grammar, GrammarKind, Q16, Sampling, Scored, Seed, TokenRequest};
use futures::StreamExt;
use serde_json::{Value, json};
use tokenizers::Tokenizer;

fn package() -> Package {
    Recipe::llama().package(Group::G32).unwrap()
}

fn options() -> ExactOptions {
    ExactOptions {
        model: ModelOptions { threads: 1, ..ModelOptions::default() },
        engine: EngineOptions { cache_bytes: 16 << 20, ..EngineOptions::default() },
        ..ExactOptions::default()
    }
}

fn exact() -> (Exact, Package) {
    let (exact, package) = (Exact::new(options()), package());
    exact.add("tiny", package.clone()).unwrap();
    (exact, package)
}

/// What a generation gave.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    prompt_tokens: u32,
    tokens: Vec<Vec<u32>>,
    scored: Vec<Scored>,
    finished: Vec<Option<Finished>>,
    failed: Option<EngineError>,
}

async fn answer(engine: &dyn Engine, request: TokenRequest) -> Result<Answer, EngineError> {
    let choices = usize::from(request.choices);
    let mut events =
        engine.generate("tiny", Job { request: Arc::new(request), trace: true, claims: false }).await?;
    let mut answer =
        Answer { tokens: vec![vec![]; choices], finished: vec![None; choices], ..Answer::default() };
    while let Some(event) = events.next().await {
        match event {
            Event::Started { prompt_tokens, .. } => answer.prompt_tokens = prompt_tokens,
            Event::Token(token) => {
                answer.tokens[usize::from(token.choice)].push(token.id);
                answer.scored.extend(token.scored);
            }
            Event::Finished(finished) => answer.finished[usize::from(finished.choice)] = Some(finished),
            Event::Paid(_) => panic!("nothing is paid here"),
            Event::Failed(error) => answer.failed = Some(error),
        }
    }
    Ok(answer)
}

fn sampled(package: &Package, seed: i64) -> TokenRequest {
    let mut request = TokenRequest::greedy(package.root(), (1..40).collect(), 400);
    request.sampling = Sampling { temperature: Q16::ONE, ..Sampling::greedy() };
    request.seed = Seed::of_number(seed);
    request.stop = BTreeSet::from_iter(package.config().eos.iter().copied());
    request
}

fn with_schema(mut request: TokenRequest, schema: &Value) -> TokenRequest {
    request.grammar = Some(Grammar { kind: GrammarKind::JsonSchema, source: schema.to_string() });
    request
}

#[tokio::test]
async fn what_it_offers() {
    let (exact, package) = exact();
    assert!(exact.add("tiny", package.clone()).is_err());
    let models = exact.models().await.unwrap();
    assert_eq!((models.len(), models[0].tier, models[0].root), (1, Tier::Exact, Some(package.root())));
    let can = exact.capabilities("tiny").unwrap();
    assert!(
        can.exact && can.can_execute && can.can_score && can.takes_tokens && can.grammar && can.embeddings
    );
    assert_eq!(exact.capabilities("other"), None);
    let text = exact.text("tiny").await.unwrap();
    assert_eq!(&*text.tokenizer_json, package.tokenizer_json());
    assert_eq!((text.vocabulary, text.context, text.root), (330, 512, package.root()));
    assert!(text.chat_template.is_some() && !text.eos.is_empty());
    assert!(exact.capabilities("tiny").unwrap().grammar);
    let forward = Forward { path: ForwardPath::Chat, body: json!({}), stream: false };
    assert_eq!(exact.forward("tiny", forward).await.unwrap_err().kind, ErrorKind::Unsupported);
    assert!(exact.health().await.ok);
}

#[tokio::test]
async fn generates_and_scores_the_same() {
    let (exact, package) = exact();
    let mut request = TokenRequest::greedy(package.root(), vec![5, 6, 7], 20);
    request.top_logprobs = Some(2);
    let first = answer(&exact, request.clone()).await.unwrap();
    assert_eq!(first, answer(&exact, request.clone()).await.unwrap());
    assert_eq!((first.prompt_tokens, first.tokens[0].len(), first.scored.len()), (3, 20, 20));
    let finished = first.finished[0].unwrap();
    assert_eq!((finished.reason, finished.completion_tokens), (FinishReason::Length, 20));
    let job = ScoreJob { prompt: request.prompt, continuation: first.tokens[0].clone(), top: 2 };
    let scores = exact.score("tiny", job).await.unwrap();
    assert_eq!(scores.tokens, first.scored);
    assert_eq!(scores.trace, finished.trace);
    assert!(scores.trace.is_some());
    let embedding = exact.embed("tiny", vec![1, 2, 3]).await.unwrap();
    assert_eq!((embedding.vector.len(), embedding.prompt_tokens), (96, 3));
    let stats = exact.stats();
    assert_eq!((stats.running, stats.failures, stats.completion_tokens), (0, 0, 40));
    assert!(stats.cache_bytes > 0);
}

#[tokio::test]
async fn keeps_to_schemas() {
    let (exact, package) = exact();
    let tokenizer = Tokenizer::from_bytes(package.tokenizer_json()).unwrap();
    let flat = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 6},
            "colour": {"enum": ["red", "green", null]},
            "sizes": {"type": "array", "items": {"type": "integer", "minimum": -9, "maximum": 99}, "maxItems": 3},
        },
        "required": ["name", "colour", "sizes"],
        "additionalProperties": false,
    });
    let tree = json!({
        "$ref": "#/$defs/node",
        "$defs": {"node": {
            "type": "object",
            "properties": {"ok": {"type": "boolean"}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}},
            "required": ["ok", "next"],
            "additionalProperties": false,
        }},
    });
    let mut complete = 0;
    for (index, schema) in [&flat, &tree].into_iter().enumerate() {
        for seed in 0..6 {
            let mut request = with_schema(sampled(&package, seed), schema);
            request.choices = 2;
            let answer = answer(&exact, request).await.unwrap();
            assert_eq!(answer.failed, None);
            for (tokens, finished) in answer.tokens.iter().zip(&answer.finished) {
                if finished.unwrap().reason == FinishReason::Length {
                    continue;
                }
                complete += 1;
                let text = tokenizer.decode(tokens, true).unwrap();
                let value: Value =
                    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
                if index == 0 {
                    assert_eq!(value.as_object().unwrap().len(), 3);
                    assert!(value["name"].as_str().unwrap().chars().count() <= 6);
                    assert!(
                        value["sizes"].as_array().unwrap().iter().all(|size| size.as_i64().unwrap() <= 99)
                    );
                } else {
                    assert!(
                        value["ok"].is_boolean() && (value["next"].is_null() || value["next"].is_object())
                    );
                }
            }
        }
    }
    assert!(complete > 12, "{complete} of 24 texts are complete");
}

async fn verify(
    engine: &dyn Engine,
    request: &TokenRequest,
    output: Vec<Vec<u32>>,
) -> Result<Verified, EngineError> {
    engine.verify("tiny", VerifyJob { request: Arc::new(request.clone()), output }).await
}

#[tokio::test]
async fn verifies_what_another_generated() {
    let ((host, package), (verifier, _)) = (exact(), exact());
    let schema = json!({
        "type": "object",
        "properties": {"a": {"enum": ["red", "green"]}, "b": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3}},
        "required": ["a", "b"],
        "additionalProperties": false,
    });
    let mut complete = 0;
    for seed in 0..6 {
        let plain = TokenRequest { choices: 2, max_tokens: 60, ..sampled(&package, seed) };
        for mut request in [with_schema(plain.clone(), &schema), plain] {
            request.sampling.frequency_penalty = Q16(20_000);
            let answer = answer(&host, request.clone()).await.unwrap();
            let finished: Vec<Finished> = answer.finished.iter().map(|finished| finished.unwrap()).collect();
            complete += finished.iter().filter(|finished| finished.reason == FinishReason::Grammar).count();
            let verified = verify(&verifier, &request, answer.tokens.clone()).await.unwrap();
            let traces = finished.iter().map(|finished| finished.trace.unwrap()).collect();
            assert_eq!(verified, Verified { differs: None, traces });

            let last = answer.tokens[1].len() - 1;
            let mut cut = answer.tokens.clone();
            cut[1].pop();
            let differs = verify(&verifier, &request, cut).await.unwrap().differs;
            assert_eq!(differs, Some((1, last as u32)));
            for at in [0, last] {
                let mut other = answer.tokens.clone();
                other[1][at] ^= 1;
                let differs = verify(&verifier, &request, other).await.unwrap().differs;
                assert_eq!(differs, Some((1, at as u32)));
            }
            let mut longer = answer.tokens.clone();
            longer[0].push(65);
            let differs = verify(&verifier, &request, longer).await.unwrap().differs;
            assert_eq!(differs, Some((0, answer.tokens[0].len() as u32)));
        }
    }
    assert!(complete > 0, "no text is complete");
    assert_eq!(verifier.stats().running, 0);
}

#[tokio::test]
async fn a_claim_is_judged_and_an_error_judges_nothing() {
    let (exact, package) = exact();
    let request = TokenRequest::greedy(package.root(), vec![5, 6, 7], 4);
    let right = answer(&exact, request.clone()).await.unwrap().tokens;
    let wrong = Verified { differs: Some((0, 0)), traces: vec![] };
    for output in [vec![], vec![vec![]], vec![vec![u32::MAX]]] {
        assert_eq!(verify(&exact, &request, output).await.unwrap(), wrong);
    }
    let invalid = TokenRequest { max_tokens: 0, ..request.clone() };
    assert_eq!(verify(&exact, &invalid, right.clone()).await.unwrap(), wrong);
    let long = TokenRequest { prompt: vec![1; 600], ..request.clone() };
    assert_eq!(verify(&exact, &long, right.clone()).await.unwrap(), wrong);

    let other = Recipe::qwen2().package(Group::G32).unwrap();
    let foreign = TokenRequest { model: other.root(), ..request.clone() };
    let error = verify(&exact, &foreign, right.clone()).await.unwrap_err();
    assert_eq!((error.kind, error.param.as_deref()), (ErrorKind::Invalid, Some("model")));
    let bad = with_schema(request.clone(), &json!({"not": {}}));
    assert_eq!(verify(&exact, &bad, right.clone()).await.unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(verify(&exact, &request, right).await.unwrap().differs, None);
}

#[tokio::test]
async fn a_grammar_changes_nothing_else() {
    let (exact, package) = exact();
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer", "maximum": 999, "minimum": 0}}, "required": ["a"], "additionalProperties": false});
    let request = with_schema(sampled(&package, 4), &schema);
    let alone = answer(&exact, request.clone()).await.unwrap();
    let other = with_schema(
        sampled(&package, 9),
        &json!({"type": "array", "items": {"type": "boolean"}, "maxItems": 5}),
    );
    let plain = sampled(&package, 5);
    let beside = tokio::join!(
        answer(&exact, request.clone()),
        answer(&exact, other),
        answer(&exact, plain),
        answer(&exact, request.clone()),
    );
    assert_eq!(alone, beside.0.unwrap());
    assert_eq!(alone, beside.3.unwrap());
    assert!(beside.1.is_ok() && beside.2.is_ok());
    let (elsewhere, _) = self::exact();
    assert_eq!(alone, answer(&elsewhere, request).await.unwrap());
}

#[tokio::test]
async fn bad_requests() {
    let (exact, package) = exact();
    let good = || TokenRequest::greedy(package.root(), vec![1], 3);
    let error = async |request| answer(&exact, request).await.unwrap_err();
    let unknown = error(TokenRequest { prompt: vec![400], ..good() }).await;
    assert_eq!((unknown.kind, unknown.param.as_deref()), (ErrorKind::Invalid, Some("prompt")));
    let none = error(TokenRequest { max_tokens: 0, ..good() }).await;
    assert_eq!((none.kind, none.param.as_deref()), (ErrorKind::Invalid, Some("max_tokens")));
    let long = error(TokenRequest { prompt: vec![1; 600], ..good() }).await;
    assert_eq!((long.kind, long.status()), (ErrorKind::TooLong, 400));
    let other = Recipe::qwen2().package(Group::G32).unwrap();
    let wrong = error(TokenRequest { model: other.root(), ..good() }).await;
    assert_eq!((wrong.kind, wrong.param.as_deref()), (ErrorKind::Invalid, Some("model")));
    for schema in [json!({"$ref": "#"}), json!({"not": {}}), json!(5), json!({"type": "object", "$ref": "#"})]
    {
        let refused = error(with_schema(good(), &schema)).await;
        assert_eq!((refused.kind, refused.param.as_deref()), (ErrorKind::Invalid, Some("response_format")));
    }
    let absent =
        exact.generate("absent", Job { request: Arc::new(good()), trace: false, claims: false }).await;
    assert_eq!(absent.err().unwrap().kind, ErrorKind::UnknownModel);
    let job = ScoreJob { prompt: vec![], continuation: vec![1], top: 0 };
    assert_eq!(exact.score("tiny", job).await.unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(exact.embed("tiny", vec![]).await.unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(answer(&exact, good()).await.unwrap().tokens[0].len(), 3, "and it still works");
}

#[tokio::test]
async fn dropped_streams_and_the_end() {
    let (exact, package) = exact();
    let request = Arc::new(TokenRequest::greedy(package.root(), vec![1], 500));
    for _ in 0..8 {
        let mut events = exact
            .generate("tiny", Job { request: Arc::clone(&request), trace: true, claims: false })
            .await
            .unwrap();
        assert!(matches!(events.next().await, Some(Event::Started { .. })));
        drop(events);
    }
    assert!(exact.remove("tiny"));
    assert!(!exact.remove("tiny"));
    exact.add("tiny", package.clone()).unwrap();
    let job = Job { request: Arc::clone(&request), trace: false, claims: false };
    let mut events = exact.generate("tiny", job.clone()).await.unwrap();
    exact.shutdown(Shutdown::Drain).await;
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    assert!(matches!(last, Some(Event::Finished(_))), "{last:?}");
    assert_eq!(exact.generate("tiny", job).await.err().unwrap().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn libraries_and_memory() {
    let folder = tempfile::tempdir().unwrap();
    let library = Library::open(&folder.path().join("library")).unwrap();
    let mut roots = Vec::new();
    for (index, group) in [Group::G32, Group::G64].into_iter().enumerate() {
        let file = folder.path().join(format!("{index}.freeway"));
        std::fs::write(&file, Recipe::llama().package_bytes(group).unwrap()).unwrap();
        roots.push(library.add(&file, &mut |_| ()).unwrap());
    }
    let both = Exact::open(&library, &[], options()).unwrap();
    let names: Vec<String> = both.models().await.unwrap().into_iter().map(|info| info.name).collect();
    assert_eq!(names.len(), 2);
    assert!(names[1].starts_with("tiny-llama-"), "{names:?}");

    let one = roots[0].root.to_string();
    let open = |name: &str, options| Exact::open(&library, &[name.to_owned()], options);
    assert!(matches!(open("nothing", options()), Err(OpenError::Library { .. })));
    let exact = open(&one[..12], options()).unwrap();
    let registry = Registry::new();
    registry.add_engine(Arc::new(exact)).await.unwrap();
    registry.alias("tiny", "tiny-llama").unwrap();
    let route = registry.resolve("tiny").unwrap();
    let request = Arc::new(TokenRequest::greedy(roots[0].root, vec![1], 2));
    let events =
        route.engine.generate(&route.theirs, Job { request, trace: false, claims: false }).await.unwrap();
    assert_eq!(events.collect::<Vec<_>>().await.len(), 4);

    // Room for one model only.
    let small = ExactOptions { memory_bytes: (16 << 20) + roots[0].bytes + roots[1].bytes, ..options() };
    let tight = Exact::open(&library, &[], small).unwrap();
    tight.preload(&names[0]).await.unwrap();
    let error = tight.preload(&names[1]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("bytes of memory"), "{error}");
    assert!(!tight.health().await.ok);
    assert!(tight.remove(&names[0]));
    tight.preload(&names[1]).await.unwrap();
    assert!(tight.health().await.ok);

    // A file that went away after it was listed.
    let late = Exact::open(&library, &[], options()).unwrap();
    library.remove(&roots[0]).unwrap();
    let results = [late.preload(&names[0]).await, late.preload(&names[1]).await];
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1, "{results:?}");
}
