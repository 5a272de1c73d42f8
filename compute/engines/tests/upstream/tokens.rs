//! Servers in three dialects, asked for tokens: honest ones, odd ones and hostile ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use freeway_engines::{
    Engine, EngineError, ErrorKind, Event, FinishReason, Finished, Job, ScoreJob, TextAssets, Tier, Token,
    TokenServer, Upstream,
};
use freeway_models::synthetic::Recipe;
use freeway_models::{Group, Package};
use freeway_requests::{Grammar, GrammarKind, LogProb, Q16, Sampling, Scored, Seed, Share, TokenRequest};
use futures::StreamExt;
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::fake::{Fake, Piece, Reply};

struct Model {
    package: Package,
    tokenizer: Tokenizer,
    eos: u32,
    bos: u32,
}

impl Model {
    fn new() -> Self {
        let package = Recipe::llama().package(Group::G32).unwrap();
        let tokenizer = Tokenizer::from_bytes(package.tokenizer_json()).unwrap();
        let (eos, bos) = (package.config().eos[0], package.config().bos.unwrap());
        Self { package, tokenizer, eos, bos }
    }

    fn ids(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(text, false).unwrap().get_ids().to_vec()
    }

    fn id(&self, text: &str) -> u32 {
        let ids = self.ids(text);
        assert_eq!(ids.len(), 1, "{text:?} is no token");
        ids[0]
    }

    fn request(&self, prompt: &str, max_tokens: u32) -> TokenRequest {
        let mut request = TokenRequest::greedy(self.package.root(), self.ids(prompt), max_tokens);
        request.stop = BTreeSet::from([self.eos]);
        request
    }

    fn server(&self, fake: &Fake) -> TokenServer {
        let upstream = Arc::new(Upstream::new(super::options(fake)).unwrap());
        TokenServer::new(upstream, "ours", TextAssets::of_package(&self.package)).unwrap()
    }

    /// What a server that takes tokens says to the first question.
    fn takes_tokens(&self) -> Reply {
        Reply::json(
            200,
            &whole("a", &legacy(&[("token_id:64", -0.5)]), "length", self.ids("Hello world").len(), 1),
        )
    }

    /// What one that takes text alone says to it, and to the next, with `more` tokens before each prompt.
    fn takes_text(&self, more: usize) -> [Reply; 2] {
        let count = self.ids("Hello world").len() + more;
        [
            Reply::json(422, &json!({"detail": [{"loc": ["body", "prompt"], "msg": "not a string"}]})),
            Reply::json(200, &whole("a", &legacy(&[("a", -0.5)]), "length", count, 1)),
        ]
    }
}

/// Tokens with their likelihood, as the older interface has them.
fn legacy(tokens: &[(&str, f64)]) -> Value {
    let names: Vec<&str> = tokens.iter().map(|(name, _)| *name).collect();
    let values: Vec<f64> = tokens.iter().map(|(_, value)| *value).collect();
    let tops: Vec<Value> = tokens.iter().map(|(name, value)| json!({*name: value})).collect();
    json!({"tokens": names, "token_logprobs": values, "top_logprobs": tops, "text_offset": vec![0; tokens.len()]})
}

fn whole(text: &str, logprobs: &Value, reason: &str, prompt: usize, completion: usize) -> Value {
    json!({
        "choices": [{"index": 0, "text": text, "logprobs": logprobs, "finish_reason": reason}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion},
    })
}

fn event(choice: &Value) -> String {
    format!("data: {}\n\n", json!({"choices": [choice]}))
}

fn usage(prompt: usize, completion: usize) -> String {
    let usage = json!({"prompt_tokens": prompt, "completion_tokens": completion});
    format!("data: {}\n\ndata: [DONE]\n\n", json!({"choices": [], "usage": usage}))
}

/// Everything that comes of a request.
async fn ask(server: &TokenServer, request: TokenRequest, claims: bool) -> Result<Vec<Event>, EngineError> {
    let job = Job { request: Arc::new(request), trace: false, claims };
    Ok(server.generate("ours", job).await?.collect().await)
}

fn ids(events: &[Event], of: u16) -> Vec<u32> {
    let id = |event: &Event| match event {
        Event::Token(Token { choice, id, .. }) if *choice == of => Some(*id),
        _ => None,
    };
    events.iter().filter_map(id).collect()
}

fn scored(events: &[Event]) -> Vec<Option<Scored>> {
    let scored = |event: &Event| match event {
        Event::Token(token) => Some(token.scored.clone()),
        _ => None,
    };
    events.iter().filter_map(scored).collect()
}

fn end(events: &[Event]) -> Finished {
    match events.last() {
        Some(Event::Finished(finished)) => *finished,
        other => panic!("no end: {other:?}"),
    }
}

fn failed(events: &[Event]) -> EngineError {
    match events.last() {
        Some(Event::Failed(error)) => error.clone(),
        other => panic!("no failure: {other:?}"),
    }
}

#[tokio::test]
async fn what_it_offers() {
    let (model, fake) = (Model::new(), Fake::start([]).await);
    let server = model.server(&fake);
    let listed = &server.models().await.unwrap()[0];
    assert_eq!(
        (listed.name.as_str(), listed.root, listed.tier),
        ("ours", Some(model.package.root()), Tier::Statistical)
    );
    let can = server.capabilities("ours").unwrap();
    assert!(can.takes_tokens && can.can_execute && !can.exact && !can.grammar && !can.can_score);
    assert_eq!((server.capabilities("theirs"), can.context), (None, Some(512)));
    assert_eq!(server.text("ours").await.unwrap().root, model.package.root());
    assert!(fake.seen().is_empty(), "nothing of this asks the server");
    let upstream = Arc::new(Upstream::new(super::options(&fake)).unwrap());
    assert!(TokenServer::new(upstream, "other", TextAssets::of_package(&model.package)).is_err());
}

#[tokio::test]
async fn vllm_names_tokens_by_id() {
    let model = Model::new();
    let (the, and) = (model.id(" the"), model.id(" and"));
    let top = json!({format!("token_id:{and}"): -0.25, format!("token_id:{the}"): -1.5});
    let first =
        json!({"tokens": [format!("token_id:{the}")], "token_logprobs": [-1.5], "top_logprobs": [top]});
    let last = legacy(&[(&format!("token_id:{}", model.eos), -0.125)]);
    let stream = [
        event(&json!({"index": 0, "text": " the", "logprobs": first, "finish_reason": null})),
        event(
            &json!({"index": 0, "text": "", "logprobs": last, "finish_reason": "stop", "stop_reason": null}),
        ),
        usage(1, 2),
    ];
    let fake = Fake::start([model.takes_tokens(), Reply::events(&stream.concat())]).await;
    let server = model.server(&fake);
    let mut request = model.request("a", 8);
    request.top_logprobs = Some(1);
    let events = ask(&server, request, false).await.unwrap();
    assert_eq!(events[0], Event::Started { prompt_tokens: 1, cached_tokens: 0 });
    assert_eq!(ids(&events, 0), [the, model.eos]);
    // The server adds the token itself to the one alternative that was asked for.
    let told = Scored { logprob: LogProb(-1_500_000), rank: 2, top: vec![(and, LogProb(-250_000))] };
    assert_eq!(scored(&events)[0], Some(told));
    let finished =
        Finished { choice: 0, reason: FinishReason::Stop(model.eos), completion_tokens: 2, trace: None };
    assert_eq!(end(&events), finished);
    let asked = &fake.seen()[1];
    assert_eq!(asked.path, "/v1/completions");
    assert_eq!((&asked.body["prompt"], &asked.body["stream"]), (&json!(model.ids("a")), &json!(true)));
    assert_eq!(
        (&asked.body["model"], &asked.body["stop_token_ids"]),
        (&json!("theirs"), &json!([model.eos]))
    );
    assert_eq!(asked.body["ignore_eos"], false);
    assert_eq!((server.stats().cancelled, server.stats().failures), (0, 0));
}

#[tokio::test]
async fn llama_server_tells_ids_beside_tokens() {
    let model = Model::new();
    let (the, and) = (model.id(" the"), model.id(" and"));
    let token = |id: u32, logprob: f64| {
        let top = json!([{"id": id, "token": "?", "bytes": [], "logprob": logprob}]);
        json!({"content": [{"id": id, "token": "?", "bytes": [], "logprob": logprob, "top_logprobs": top}]})
    };
    let stream = [
        event(&json!({"index": 0, "text": " the", "logprobs": token(the, -0.5), "finish_reason": null})),
        event(&json!({"index": 0, "text": " and", "logprobs": token(and, -0.75), "finish_reason": null})),
        event(&json!({"index": 0, "text": "", "logprobs": null, "finish_reason": "stop"})),
        usage(1, 3),
    ];
    let fake = Fake::start([model.takes_tokens(), Reply::events(&stream.concat())]).await;
    let events = ask(&model.server(&fake), model.request("a", 8), true).await.unwrap();
    // It stopped at a token that it does not tell.
    assert_eq!(ids(&events, 0), [the, and, model.eos]);
    assert_eq!(end(&events).reason, FinishReason::Stop(model.eos));
    let claims: Vec<Option<i32>> =
        scored(&events).into_iter().map(|scored| scored.map(|scored| scored.logprob.0)).collect();
    assert_eq!(claims, [Some(-500_000), Some(-750_000), None]);
}

#[tokio::test]
async fn llama_cpp_python_tells_text_alone() {
    let model = Model::new();
    let answer = whole(" the a", &legacy(&[(" the", -0.5), (" a", -2.0)]), "stop", 2, 2);
    let [refused, told] = model.takes_text(0);
    let again = Reply::json(200, &answer);
    let fake = Fake::start([refused, told, again.clone(), again]).await;
    let server = model.server(&fake);
    server.probe().await.unwrap();
    let events = ask(&server, model.request("a cat", 8), true).await;
    // Four tokens were asked with, and the server counts two.
    assert!(failed(&events.unwrap()).message.contains("counts 2 tokens"));
    let [refused, told] = model.takes_text(0);
    let fake = Fake::start([refused, told, Reply::json(200, &answer)]).await;
    let server = model.server(&fake);
    let events = ask(&server, model.request(" the a", 8), true).await.unwrap();
    assert_eq!(ids(&events, 0), [model.id(" the"), model.id(" a"), model.eos]);
    assert_eq!(scored(&events)[1].as_ref().unwrap().logprob, LogProb(-2_000_000));
    let asked = &fake.seen()[2];
    assert_eq!(asked.body["prompt"], " the a");
    assert!(asked.body.get("stream").is_none(), "a stream does not tell how many tokens the prompt has");
}

#[tokio::test]
async fn prompts_in_text_have_the_same_tokens_there() {
    let model = Model::new();
    let answer = |prompt: usize| Reply::json(200, &whole("a", &legacy(&[("a", -0.5)]), "length", prompt, 1));
    let [refused, told] = model.takes_text(1);
    let fake = Fake::start([refused, told, answer(3)]).await;
    let server = model.server(&fake);
    let mut request = model.request("a the", 1);
    request.prompt.insert(0, model.bos);
    ask(&server, request.clone(), false).await.unwrap();
    // The server puts the first token there by itself.
    assert_eq!(fake.seen()[2].body["prompt"], "a the");
    request.prompt.remove(0);
    let error = ask(&server, request.clone(), false).await.unwrap_err();
    assert_eq!((error.kind, error.param.as_deref()), (ErrorKind::Unsupported, Some("prompt")));
    // "t" and "he" by themselves; the text has one token.
    request.prompt = [&[model.bos][..], &model.ids(" t"), &model.ids("he")].concat();
    assert_eq!(model.ids(" the").len(), 1);
    assert_eq!(ask(&server, request, false).await.unwrap_err().kind, ErrorKind::Unsupported);
    assert_eq!(fake.seen().len(), 3, "what cannot be asked is not asked");
}

#[tokio::test]
async fn servers_that_count_otherwise_or_not_at_all() {
    let model = Model::new();
    for more in [2, 7] {
        let fake = Fake::start(model.takes_text(more)).await;
        let error = model.server(&fake).probe().await.unwrap_err();
        assert!(error.message.contains("another tokenizer"), "{error}");
    }
    let [refused, _] = model.takes_text(0);
    let silent =
        json!({"choices": [{"text": "a", "logprobs": legacy(&[("a", -0.5)]), "finish_reason": "length"}]});
    let fake = Fake::start([refused, Reply::json(200, &silent)]).await;
    let error = model.server(&fake).probe().await.unwrap_err();
    assert!(error.message.contains("usage.prompt_tokens"), "{error}");
    let none = json!({"choices": [{"text": "a", "logprobs": null, "finish_reason": "length"}]});
    let fake = Fake::start([Reply::json(200, &none), Reply::json(200, &none)]).await;
    let error = model.server(&fake).probe().await.unwrap_err();
    assert!(error.message.contains("logprobs"), "{error}");
    let fake = Fake::start([Reply::json(404, &json!({"error": "no such path"}))]).await;
    assert_eq!(model.server(&fake).probe().await.unwrap_err().kind, ErrorKind::Unsupported);
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn how_tokens_are_chosen_is_told() {
    let model = Model::new();
    let stream = [
        event(&json!({"text": "a", "logprobs": legacy(&[("token_id:64", -0.5)]), "finish_reason": "length"})),
        usage(1, 1),
    ];
    let fake = Fake::start([model.takes_tokens(), Reply::events(&stream.concat())]).await;
    let mut request = model.request("a", 1);
    request.sampling = Sampling {
        temperature: Q16::from_decimal("0.5").unwrap(),
        top_k: 40,
        top_p: Share::ZERO,
        min_p: Share::from_decimal("0.25").unwrap(),
        repetition_penalty: Q16::from_decimal("1.25").unwrap(),
        frequency_penalty: Q16::from_integer(-1),
        presence_penalty: Q16::from_integer(2),
        logit_bias: [(7, Q16::from_integer(-100))].into(),
    };
    request.stop.clear();
    request.seed = Seed([255; 32]);
    ask(&model.server(&fake), request, false).await.unwrap();
    let body = &fake.seen()[1].body;
    for (field, value) in [
        ("temperature", json!(0.5)),
        ("top_k", json!(40)),
        ("min_p", json!(0.25)),
        ("repetition_penalty", json!(1.25)),
        ("repeat_penalty", json!(1.25)),
        ("frequency_penalty", json!(-1.0)),
        ("presence_penalty", json!(2.0)),
        ("logit_bias", json!({"7": -100.0})),
        ("seed", json!(0x7fff_ffff)),
        ("max_tokens", json!(1)),
        ("logprobs", json!(1)),
        ("ignore_eos", json!(true)),
        ("stop_token_ids", json!([])),
    ] {
        assert_eq!(body[field], value, "{field}");
    }
    assert!(body["top_p"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn likelihoods_only_where_they_are_wanted() {
    let model = Model::new();
    let stream = [
        event(&json!({"text": "a", "logprobs": legacy(&[("token_id:64", -0.5)]), "finish_reason": "length"})),
        usage(1, 1),
    ];
    for (claims, top, told, tops) in
        [(false, None, false, 0), (true, None, true, 0), (false, Some(0), true, 0), (true, Some(3), true, 1)]
    {
        let fake = Fake::start([model.takes_tokens(), Reply::events(&stream.concat())]).await;
        let mut request = model.request("a", 1);
        request.top_logprobs = top;
        let events = ask(&model.server(&fake), request, claims).await.unwrap();
        let scored = scored(&events).remove(0);
        assert_eq!(scored.is_some(), told);
        assert_eq!(scored.map_or(0, |scored| scored.top.len()), tops);
        assert_eq!(fake.seen()[1].body["logprobs"], top.unwrap_or(0).max(1));
    }
}

#[tokio::test]
async fn parts_of_characters_are_told_from_the_whole_text() {
    let model = Model::new();
    let answer = |tokens: &[(&str, f64)], text: &str| {
        let [refused, told] = model.takes_text(0);
        [refused, told, Reply::json(200, &whole(text, &legacy(tokens), "length", 1, tokens.len()))]
    };
    // The two halves of the character have no text by themselves.
    let fake = Fake::start(answer(&[("a", -0.5), ("", -1.0), ("", -1.5), (" the", -2.0)], "aé the")).await;
    let events = ask(&model.server(&fake), model.request("a", 4), true).await.unwrap();
    assert_eq!(ids(&events, 0), model.ids("aé the"));
    assert_eq!(scored(&events)[3].as_ref().unwrap().logprob, LogProb(-2_000_000));
    assert_eq!(end(&events).reason, FinishReason::Length);
    // Other tokens than the tokenizer's own are known where their text says what they are.
    let fake = Fake::start(answer(&[(" t", -0.5), ("he", -1.0), ("", -1.0), ("", -1.0)], " theé")).await;
    let events = ask(&model.server(&fake), model.request("a", 4), true).await.unwrap();
    assert_eq!(ids(&events, 0), [model.ids(" t"), model.ids("he"), model.ids("é")].concat());
    for (tokens, text) in [
        // A part of a character at the end is in no text.
        (&[("a", -0.5), ("", -1.0)][..], "a"),
        (&[("b", -0.5), ("", -1.0), ("", -1.0)], "aé"),
        (&[("a", -0.5), ("x", -1.0), ("", -1.0)], "aé"),
        (&[("a", -0.5), ("", -1.0), ("", -1.0), ("", -1.0)], "aé"),
        (&[("a", -0.5), ("", -1.0), ("", -1.0)], "aéb"),
        (&[("", -0.5), ("", -1.0), ("a", -1.0)], "éb"),
        (&[("nothing has this", -0.5)], "nothing has this"),
    ] {
        let fake = Fake::start(answer(tokens, text)).await;
        let error = failed(&ask(&model.server(&fake), model.request("a", 4), true).await.unwrap());
        assert_eq!(error.kind, ErrorKind::BadUpstream);
        assert!(error.message.contains("cannot be told from its text"), "{error}");
    }
}

#[tokio::test]
async fn bytes_are_as_good_as_ids() {
    let model = Model::new();
    let entry = |bytes: Value| json!({"token": "?", "bytes": bytes, "logprob": -1.0, "top_logprobs": []});
    let logprobs = json!({"content": [entry(json!([195])), entry(json!([169]))]});
    let stream = [event(&json!({"text": "é", "logprobs": logprobs, "finish_reason": "length"})), usage(1, 2)];
    let fake = Fake::start([model.takes_tokens(), Reply::events(&stream.concat())]).await;
    let events = ask(&model.server(&fake), model.request("a", 2), true).await.unwrap();
    assert_eq!(ids(&events, 0), model.ids("é"));
}

#[tokio::test]
async fn a_stop_token_that_the_server_does_not_know_ends_the_answer() {
    let model = Model::new();
    let (a, b) = (model.id("a"), model.id("b"));
    let token = |id: u32| {
        let logprobs = legacy(&[(&format!("token_id:{id}"), -0.5)]);
        event(&json!({"text": "?", "logprobs": logprobs, "finish_reason": null}))
    };
    let reply = Reply::events(&[token(a), token(b), token(a)].concat()).then(Piece::Stall);
    let fake = Fake::start([model.takes_tokens(), reply]).await;
    let mut request = model.request("a", 100);
    request.stop = BTreeSet::from([b]);
    let events = ask(&model.server(&fake), request, false).await.unwrap();
    assert_eq!(ids(&events, 0), [a, b]);
    assert_eq!(end(&events).reason, FinishReason::Stop(b));
    assert_eq!(fake.seen()[1].body["ignore_eos"], true);
    // The server is told that nobody listens.
    fake.gone(1).await;
}

#[tokio::test]
async fn which_stop_token_it_was() {
    let model = Model::new();
    let other = model.id("b");
    let answer = |reason: Value, usage_of: usize| {
        let logprobs = legacy(&[("token_id:64", -0.5)]);
        let end = json!({"text": "a", "logprobs": logprobs, "finish_reason": "stop", "stop_reason": reason});
        Reply::events(&[event(&end), usage(1, usage_of)].concat())
    };
    for (stop, reason, expected) in [
        (vec![other, model.eos], json!(null), Some(model.eos)),
        (vec![other, model.eos], json!(other), Some(other)),
        (vec![other, model.eos], json!("b"), Some(model.eos)),
        // It ended where the request goes on.
        (vec![other], json!(null), None),
        (vec![], json!(model.eos), None),
    ] {
        let fake = Fake::start([model.takes_tokens(), answer(reason, 2)]).await;
        let mut request = model.request("a", 9);
        request.stop = stop.into_iter().collect();
        let events = ask(&model.server(&fake), request, false).await.unwrap();
        match expected {
            Some(id) => assert_eq!(end(&events).reason, FinishReason::Stop(id)),
            None => assert!(failed(&events).message.contains("ended its answer where the request does not")),
        }
    }
}

#[tokio::test]
async fn answers_end_where_nothing_more_fits() {
    let model = Model::new();
    let answer = || {
        let end =
            json!({"text": "a", "logprobs": legacy(&[("token_id:64", -0.5)]), "finish_reason": "length"});
        [event(&end), usage(1, 1)].concat()
    };
    let fake = Fake::start([model.takes_tokens(), Reply::events(&answer())]).await;
    // The server's context is smaller than the package's.
    let error = failed(&ask(&model.server(&fake), model.request("a", 2), true).await.unwrap());
    assert!(error.message.contains("after 1 of 2 tokens; start it with a context of 512"), "{error}");
    let full = answer().replace("\"prompt_tokens\":1", "\"prompt_tokens\":511");
    let fake = Fake::start([model.takes_tokens(), Reply::events(&full)]).await;
    let mut request = model.request("a", 2);
    request.prompt = vec![model.id("a"); 511];
    let events = ask(&model.server(&fake), request, true).await.unwrap();
    assert_eq!((ids(&events, 0), end(&events).reason), (vec![64], FinishReason::Length));
}

#[tokio::test]
async fn choices_are_asked_for_one_by_one() {
    let model = Model::new();
    let answer = || {
        let logprobs = legacy(&[("token_id:64", -0.5), ("token_id:65", -0.5)]);
        let end = json!({"text": "ab", "logprobs": logprobs, "finish_reason": "length"});
        Reply::events(&[event(&end), usage(1, 2)].concat())
    };
    let replies = core::iter::once(model.takes_tokens()).chain((0..20).map(|_| answer()));
    let fake = Fake::start(replies).await;
    let mut request = model.request("a", 2);
    request.choices = 20;
    let events = ask(&model.server(&fake), request.clone(), true).await.unwrap();
    for choice in 0..20 {
        assert_eq!(ids(&events, choice), [64, 65]);
    }
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Finished(_))).count(), 20);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Started { .. })).count(), 1);
    let seeds: BTreeSet<u64> =
        fake.seen()[1..].iter().map(|seen| seen.body["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds.len(), 20);
    // One that fails ends all.
    let fake = Fake::start([model.takes_tokens(), answer(), Reply::json(400, &json!({"error": "no"}))]).await;
    let events = ask(&model.server(&fake), request, true).await.unwrap();
    assert_eq!(failed(&events).kind, ErrorKind::Invalid);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Failed(_))).count(), 1);
}

#[tokio::test]
async fn hostile_answers() {
    let model = Model::new();
    let one = |choice: &Value| [event(choice), usage(1, 1)].concat();
    let told = |logprobs: Value| one(&json!({"text": "a", "logprobs": logprobs, "finish_reason": "length"}));
    let many: Vec<(&str, f64)> = vec![("token_id:64", -0.5); 9];
    let wide: Vec<Value> = (0..200).map(|id| json!({"id": id, "token": "", "logprob": -1.0})).collect();
    let content = |entry: Value| told(json!({"content": [entry]}));
    let cases = [
        told(json!(null)),
        told(json!(7)),
        told(json!({})),
        told(json!({"content": 7})),
        told(json!({"content": []})),
        content(json!(null)),
        content(json!({"id": 64})),
        content(json!({"id": -1, "logprob": -1.0})),
        content(json!({"id": 1e300, "logprob": -1.0})),
        content(json!({"id": 330, "logprob": -1.0})),
        content(json!({"id": 64, "logprob": "x"})),
        content(json!({"token": "a", "bytes": [256], "logprob": -1.0})),
        content(json!({"id": 64, "logprob": -1.0, "top_logprobs": wide})),
        told(json!({"tokens": ["token_id:64"]})),
        told(json!({"tokens": ["token_id:64"], "token_logprobs": [null]})),
        told(json!({"tokens": ["token_id:64"], "token_logprobs": [-1.0, -1.0]})),
        told(json!({"tokens": ["token_id:64"], "token_logprobs": [-1.0], "top_logprobs": []})),
        told(json!({"tokens": [64], "token_logprobs": [-1.0]})),
        told(json!({"tokens": ["token_id:99999999999"], "token_logprobs": [-1.0]})),
        told(json!({"tokens": ["token_id:330"], "token_logprobs": [-1.0]})),
        told(legacy(&many)),
        one(&json!({"text": 7, "logprobs": legacy(&[("token_id:64", -0.5)]), "finish_reason": "length"})),
        one(&json!({"text": "a", "logprobs": legacy(&[("token_id:64", -0.5)]), "finish_reason": 7})),
        one(&json!({"text": "", "finish_reason": "abort"})),
        one(&json!({"text": "", "finish_reason": "length"})),
        one(&json!(null)),
        "data: {\"choices\": 7}\n\ndata: [DONE]\n\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
        "data: NaN\n\n".to_owned(),
        // Two choices, other prompts, other numbers of tokens than were told.
        format!("data: {}\n\n", json!({"choices": [{"text": ""}, {"text": ""}]})),
        [told(legacy(&[("token_id:64", -0.5)])).replace("\"prompt_tokens\":1", "\"prompt_tokens\":2")]
            .concat(),
        [told(legacy(&[("token_id:64", -0.5)]))
            .replace("\"completion_tokens\":1", "\"completion_tokens\":3")]
        .concat(),
    ];
    for case in cases {
        let fake = Fake::start([model.takes_tokens(), Reply::events(&case)]).await;
        let mut request = model.request("a", 1);
        request.top_logprobs = Some(2);
        let events = ask(&model.server(&fake), request, true).await.unwrap();
        assert_eq!(failed(&events).kind, ErrorKind::BadUpstream, "{case}");
    }
}

#[tokio::test]
async fn odd_but_usable_answers() {
    let model = Model::new();
    // More likely than certain, twice the same, beyond the package's vocabulary.
    let top = json!([
        {"id": 65, "token": "", "logprob": 0.5}, {"id": 65, "token": "", "logprob": -9.0},
        {"id": 5_000, "token": "", "logprob": -0.1}, {"id": 64, "token": "", "logprob": -1e300},
    ]);
    let content = json!({"content": [{"id": 64, "token": "a", "logprob": -1e300, "top_logprobs": top}]});
    let stream = [event(&json!({"text": "a", "logprobs": content, "finish_reason": "length"})), usage(1, 1)];
    let fake = Fake::start([model.takes_tokens(), Reply::events(&stream.concat())]).await;
    let mut request = model.request("a", 1);
    request.top_logprobs = Some(20);
    let events = ask(&model.server(&fake), request, true).await.unwrap();
    let told = Scored { logprob: LogProb::FLOOR, rank: 2, top: vec![(65, LogProb(0)), (64, LogProb::FLOOR)] };
    assert_eq!(scored(&events), [Some(told)]);
}

#[tokio::test]
async fn dropping_cancels() {
    let model = Model::new();
    let token =
        event(&json!({"text": "a", "logprobs": legacy(&[("token_id:64", -0.5)]), "finish_reason": null}));
    let fake = Fake::start([model.takes_tokens(), Reply::events(&token).then(Piece::Stall)]).await;
    let server = model.server(&fake);
    let job = Job { request: Arc::new(model.request("a", 8)), trace: false, claims: true };
    let mut events = server.generate("ours", job).await.unwrap();
    assert!(matches!(events.next().await, Some(Event::Started { .. })));
    assert!(matches!(events.next().await, Some(Event::Token(_))));
    drop(events);
    fake.gone(1).await;
    let [refused, told] = model.takes_text(0);
    let fake = Fake::start([refused, told, Reply::silent()]).await;
    let server = model.server(&fake);
    let job = Job { request: Arc::new(model.request("a", 8)), trace: false, claims: true };
    let mut events = server.generate("ours", job).await.unwrap();
    assert!(matches!(events.next().await, Some(Event::Started { .. })));
    let mut next = events.next();
    assert!(futures::poll!(&mut next).is_pending());
    while fake.seen().len() < 3 {
        assert!(futures::poll!(&mut next).is_pending());
        tokio::task::yield_now().await;
    }
    drop(events);
    fake.gone(1).await;
}

#[tokio::test]
async fn a_server_that_was_exchanged_is_asked_anew() {
    let model = Model::new();
    let [refused, told] = model.takes_text(0);
    let good = Reply::json(200, &whole("a", &legacy(&[("a", -0.5)]), "length", 1, 1));
    let gone = Reply::json(422, &json!({"detail": "prompt is no string"}));
    let fake = Fake::start([model.takes_tokens(), gone, refused, told, good]).await;
    let server = model.server(&fake);
    let first = ask(&server, model.request("a", 1), false).await.unwrap();
    assert_eq!(failed(&first).kind, ErrorKind::Invalid);
    let second = ask(&server, model.request("a", 1), false).await.unwrap();
    assert_eq!(ids(&second, 0), [model.id("a")]);
}

#[tokio::test]
async fn what_cannot_be_asked() {
    let model = Model::new();
    let fake = Fake::start([]).await;
    let server = model.server(&fake);
    let refused = async |change: &dyn Fn(&mut TokenRequest)| {
        let mut request = model.request("a", 8);
        change(&mut request);
        ask(&server, request, false).await.unwrap_err()
    };
    let grammar = Grammar { kind: GrammarKind::JsonObject, source: String::new() };
    let error = refused(&|request| request.grammar = Some(grammar.clone())).await;
    assert_eq!((error.kind, error.param.as_deref()), (ErrorKind::Unsupported, Some("response_format")));
    assert_eq!(refused(&|request| request.prompt = vec![1; 512]).await.kind, ErrorKind::TooLong);
    assert_eq!(refused(&|request| request.prompt = vec![330]).await.kind, ErrorKind::Invalid);
    assert_eq!(refused(&|request| request.model.0.0[0] ^= 1).await.kind, ErrorKind::Invalid);
    let job = Job { request: Arc::new(model.request("a", 8)), trace: false, claims: false };
    assert_eq!(server.generate("theirs", job).await.err().unwrap().kind, ErrorKind::UnknownModel);
    let job = ScoreJob { prompt: vec![1], continuation: vec![1], top: 1 };
    assert_eq!(server.score("ours", job).await.unwrap_err().kind, ErrorKind::Unsupported);
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn scores_where_the_server_does() {
    let model = Model::new();
    let entry = json!({"65": {"logprob": -0.5, "rank": 1}});
    let answer = json!({"choices": [{"text": "", "prompt_logprobs": [null, entry]}]});
    let fake = Fake::start([Reply::json(200, &answer)]).await;
    let mut options = super::options(&fake);
    options.capabilities.can_score = true;
    let upstream = Arc::new(Upstream::new(options).unwrap());
    let server = TokenServer::new(upstream, "ours", TextAssets::of_package(&model.package)).unwrap();
    assert!(server.capabilities("ours").unwrap().can_score);
    let job = ScoreJob { prompt: vec![64], continuation: vec![65], top: 1 };
    assert_eq!(server.score("ours", job).await.unwrap().tokens[0].logprob, LogProb(-500_000));
}
