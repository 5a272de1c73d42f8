//! An upstream that is slow, broken, busy or malicious, and one that works.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod fake;
mod tokens;

use std::time::Duration;

use fake::{Fake, Piece, Reply};
use freeway_engines::{
    Capabilities, Engine, EngineError, ErrorKind, Forward, ForwardPath, Forwarded, PayloadStream, ScoreJob,
    Secret, Upstream, UpstreamError, UpstreamOptions,
};
use freeway_requests::LogProb;
use futures::StreamExt;
use serde_json::{Value, json};

const SHORT: Duration = Duration::from_millis(60);
const KEY: &str = "sk-test-1234567890";

fn options(fake: &Fake) -> UpstreamOptions {
    let mut options = UpstreamOptions::new(&fake.base);
    options.key = Some(Secret::new(KEY));
    options.models = vec![("ours".to_owned(), "theirs".to_owned())];
    options.retries.pause = Duration::from_millis(1);
    options
}

fn upstream(fake: &Fake) -> Upstream {
    Upstream::new(options(fake)).unwrap()
}

fn chat(stream: bool) -> Forward {
    let body = json!({"model": "ours", "messages": [{"role": "user", "content": "hi"}], "stream": !stream});
    Forward { path: ForwardPath::Chat, body, stream }
}

async fn whole(upstream: &Upstream) -> Result<Value, EngineError> {
    match upstream.forward("ours", chat(false)).await? {
        Forwarded::Json(value) => Ok(value),
        Forwarded::Stream(_) => panic!("a stream"),
    }
}

async fn stream(upstream: &Upstream) -> Result<PayloadStream, EngineError> {
    match upstream.forward("ours", chat(true)).await? {
        Forwarded::Stream(stream) => Ok(stream),
        Forwarded::Json(value) => panic!("no stream: {value}"),
    }
}

fn chunk(text: &str) -> String {
    format!(
        "data: {}\n\n",
        json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
    )
}

fn last() -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
}

/// The texts of a stream, and the error that ended it.
async fn collect(stream: PayloadStream) -> (String, Option<EngineError>) {
    let mut text = String::new();
    let mut error = None;
    for item in stream.collect::<Vec<_>>().await {
        assert!(error.is_none(), "an error is the last item");
        match item {
            Ok(value) => {
                text.push_str(value.pointer("/choices/0/delta/content").and_then(Value::as_str).unwrap_or(""))
            }
            Err(failed) => error = Some(failed),
        }
    }
    (text, error)
}

#[tokio::test]
async fn a_whole_answer() {
    let answer = json!({"id": "x", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}});
    let fake = Fake::start([Reply::json(200, &answer)]).await;
    let upstream = upstream(&fake);
    assert_eq!(whole(&upstream).await.unwrap(), answer);
    let seen = &fake.seen()[0];
    assert_eq!(seen.path, "/v1/chat/completions");
    assert_eq!(seen.authorization.as_deref(), Some("Bearer sk-test-1234567890"));
    assert_eq!(seen.body["model"], "theirs");
    assert!(seen.body.get("stream").is_none());
    let stats = upstream.stats();
    assert_eq!((stats.requests, stats.failures, stats.running), (1, 0, 0));
    assert_eq!((stats.prompt_tokens, stats.completion_tokens), (5, 7));
}

#[tokio::test]
async fn a_stream_cut_anywhere() {
    let text =
        format!(": hello\r\n\r\n{}{}{}data: [DONE]\n\ndata: not read\n\n", chunk("né"), chunk("€😀"), last());
    for size in [1, 2, 3, 7, 10_000] {
        let mut reply = Reply::events("");
        reply.pieces = text.as_bytes().chunks(size).map(|piece| Piece::Bytes(piece.to_vec())).collect();
        let fake = Fake::start([reply]).await;
        let upstream = upstream(&fake);
        let (read, error) = collect(stream(&upstream).await.unwrap()).await;
        assert_eq!((read.as_str(), error), ("né€😀", None));
        assert_eq!(fake.seen()[0].body["stream"], true);
        let stats = upstream.stats();
        assert_eq!((stats.running, stats.failures, stats.cancelled), (0, 0, 0));
    }
}

#[tokio::test]
async fn ends_without_done() {
    let whole = format!("{}{}", chunk("a"), last());
    let unclosed = whole.trim_end().to_owned();
    let cases = [(whole, true), (unclosed, true), (chunk("a"), false), (String::new(), false)];
    for (text, good) in cases {
        let fake = Fake::start([Reply::events(&text)]).await;
        let (_, error) = collect(stream(&upstream(&fake)).await.unwrap()).await;
        assert_eq!(error.is_none(), good, "{text:?}: {error:?}");
        assert!(error.is_none_or(|error| error.kind == ErrorKind::BadUpstream));
    }
}

#[tokio::test]
async fn malformed_streams() {
    let long = format!("data: {}", "x".repeat(3_000));
    let cases = [
        "data: {\"choices\": [\n\n".to_owned(),
        "data: [1]\n\n".to_owned(),
        "data: hello\n\n".to_owned(),
        "<html>".to_owned(),
        long,
    ];
    for text in cases {
        let fake = Fake::start([Reply::events(&format!("{}{text}", chunk("a")))]).await;
        let mut options = options(&fake);
        options.limits.event_bytes = 2_000;
        let upstream = Upstream::new(options).unwrap();
        let (read, error) = collect(stream(&upstream).await.unwrap()).await;
        assert_eq!(read, "a");
        assert_eq!(error.unwrap().kind, ErrorKind::BadUpstream, "{text:?}");
        assert_eq!(upstream.stats().failures, 1);
    }
}

#[tokio::test]
async fn errors_within_streams() {
    let error = format!("data: {}\n\n", json!({"error": {"message": "out of memory", "code": 503}}));
    let fake = Fake::start([Reply::events(&format!("{}{error}{}", chunk("a"), chunk("b")))]).await;
    let (read, error) = collect(stream(&upstream(&fake)).await.unwrap()).await;
    let error = error.unwrap();
    assert_eq!((read.as_str(), error.kind), ("a", ErrorKind::Unavailable));
    assert!(error.message.contains("out of memory"));
}

#[tokio::test]
async fn the_connection_breaks() {
    let fake = Fake::start([
        Reply::events(&chunk("a")).then(Piece::Break),
        Reply::json(200, &json!({"id": 1})).then(Piece::Break),
    ])
    .await;
    let upstream = upstream(&fake);
    let (read, error) = collect(stream(&upstream).await.unwrap()).await;
    assert_eq!((read.as_str(), error.unwrap().kind), ("a", ErrorKind::BadUpstream));
    assert_eq!(whole(&upstream).await.unwrap_err().kind, ErrorKind::BadUpstream);
    assert_eq!(fake.seen().len(), 2, "what began is not asked for again");
}

#[tokio::test]
async fn slow_servers() {
    let fake = Fake::start([
        Reply::silent(),
        Reply::silent(),
        Reply::events(&chunk("a")).then(Piece::Stall),
        Reply::json(200, &json!({})).then(Piece::Stall),
    ])
    .await;
    let mut options = options(&fake);
    options.timeouts.first_byte = SHORT;
    options.timeouts.whole = SHORT;
    options.timeouts.idle = SHORT;
    let upstream = Upstream::new(options).unwrap();
    assert_eq!(stream(&upstream).await.err().unwrap().kind, ErrorKind::Timeout);
    assert_eq!(whole(&upstream).await.unwrap_err().kind, ErrorKind::Timeout);
    let (read, error) = collect(stream(&upstream).await.unwrap()).await;
    assert_eq!((read.as_str(), error.unwrap().kind), ("a", ErrorKind::Timeout));
    assert_eq!(whole(&upstream).await.unwrap_err().kind, ErrorKind::Timeout);
    fake.gone(4).await;
    assert_eq!((fake.seen().len(), upstream.stats().failures), (4, 4));
}

#[tokio::test]
async fn dropping_cancels() {
    let stalled = || Reply::events(&chunk("a")).then(Piece::Stall);
    let fake = Fake::start([stalled(), Reply::silent()]).await;
    let upstream = upstream(&fake);
    let mut running = stream(&upstream).await.unwrap();
    assert!(running.next().await.unwrap().is_ok());
    assert_eq!(upstream.stats().running, 1);
    drop(running);
    fake.gone(1).await;
    let asked = stream(&upstream);
    assert!(tokio::time::timeout(SHORT, asked).await.is_err());
    fake.gone(2).await;
    let stats = upstream.stats();
    assert_eq!((stats.running, stats.cancelled, stats.failures), (0, 2, 0));
}

#[tokio::test]
async fn tries_again_before_an_answer_began() {
    let answer = json!({"ok": true});
    let busy = || Reply::json(429, &json!({"error": {"message": "slower"}})).header("retry-after", "0");
    let fake = Fake::start([busy(), Reply::new(502, "text/html", "<html>"), Reply::json(200, &answer)]).await;
    let upstream = upstream(&fake);
    assert_eq!(whole(&upstream).await.unwrap(), answer);
    assert_eq!((fake.seen().len(), upstream.stats().retries), (3, 2));

    let fake = Fake::start([busy(), busy(), busy(), Reply::json(200, &answer)]).await;
    let error = whole(&self::upstream(&fake)).await.unwrap_err();
    assert_eq!((error.kind, error.status(), fake.seen().len()), (ErrorKind::RateLimited, 429, 3));
    assert!(error.message.contains("slower"));

    let later = Reply::json(429, &json!({})).header("retry-after", "3600");
    let fake = Fake::start([later, Reply::json(200, &answer)]).await;
    let error = whole(&self::upstream(&fake)).await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(3_600)), "nobody waits that long");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn refusals() {
    let long =
        json!({"error": {"message": "too long", "code": "context_length_exceeded", "param": "messages"}});
    let fake = Fake::start([
        Reply::json(400, &json!({"error": {"message": "bad top_p", "param": "top_p", "code": "range"}})),
        Reply::json(401, &json!({"error": {"message": format!("wrong key {KEY}")}})),
        Reply::json(404, &json!({"detail": "Not Found"})),
        Reply::json(400, &long),
        Reply::json(307, &json!({})).header("location", "http://example.com/"),
        Reply::json(200, &json!({"error": {"message": format!("no {KEY}"), "code": 400}})),
    ])
    .await;
    let upstream = upstream(&fake);
    let mut errors = Vec::new();
    for _ in 0..6 {
        errors.push(whole(&upstream).await.unwrap_err());
    }
    let kinds: Vec<ErrorKind> = errors.iter().map(|error| error.kind).collect();
    use ErrorKind::{BadUpstream, Invalid, TooLong, Unsupported};
    assert_eq!(kinds, [Invalid, BadUpstream, Unsupported, TooLong, BadUpstream, Invalid]);
    assert_eq!((errors[0].param.as_deref(), errors[0].code()), (Some("top_p"), "range"));
    assert!(errors.iter().all(|error| !error.message.contains(KEY)), "{errors:?}");
    assert_eq!(fake.seen().len(), 6, "none of them gets better");
}

#[tokio::test]
async fn huge_and_strange_bodies() {
    let fake = Fake::start([
        Reply::json(200, &json!({"text": "x".repeat(5_000)})),
        Reply::new(200, "text/html", "<html>"),
        Reply::json(200, &json!([1])),
        Reply::new(500, "text/plain", &"x".repeat(300_000)),
        Reply::events(&chunk(&"x".repeat(500)).repeat(20)),
        Reply::json(200, &json!({"choices": []})),
        Reply::new(200, "text/html", "<html>"),
    ])
    .await;
    let mut options = options(&fake);
    options.limits.answer_bytes = 4_000;
    options.limits.stream_bytes = 4_000;
    options.limits.request_bytes = 10_000;
    options.retries.attempts = 1;
    let upstream = Upstream::new(options).unwrap();
    for _ in 0..4 {
        let error = whole(&upstream).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadUpstream);
        assert!(error.message.len() < 1_000);
    }
    let (_, error) = collect(stream(&upstream).await.unwrap()).await;
    assert!(error.unwrap().message.contains("4000 bytes"));
    for _ in 0..2 {
        let error = stream(&upstream).await.err().unwrap();
        assert!(error.message.contains("where a stream of events was asked for"), "{error}");
    }
    let before = fake.seen().len();
    let body = json!({"messages": "x".repeat(20_000)});
    let large = Forward { path: ForwardPath::Completions, body, stream: false };
    assert_eq!(upstream.forward("ours", large).await.unwrap_err().kind, ErrorKind::TooLarge);
    let no_object = Forward { path: ForwardPath::Completions, body: json!(3), stream: false };
    assert_eq!(upstream.forward("ours", no_object).await.unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(fake.seen().len(), before, "these are not sent");
}

#[tokio::test]
async fn nobody_there() {
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut options = UpstreamOptions::new(format!("http://{address}/v1"));
    options.retries.pause = Duration::from_millis(1);
    let upstream = Upstream::new(options).unwrap();
    let error = whole(&upstream).await.unwrap_err();
    assert_eq!((error.kind, upstream.stats().retries), (ErrorKind::Unavailable, 2));
    assert!(!upstream.health().await.ok);
    assert!(upstream.models().await.is_err());
}

#[tokio::test]
async fn lists_of_models() {
    let list = json!({"object": "list", "data": [
        {"id": "theirs", "owned_by": "them", "created": 12, "max_model_len": 4096},
        {"id": "other"}, {"id": ""}, {"id": 5}, {"no": "id"}, {"id": "x\ny"}, "text",
    ]});
    let fake = Fake::start([Reply::json(200, &list), Reply::json(200, &json!({"data": 3}))]).await;
    let mapped = upstream(&fake);
    let models = mapped.models().await.unwrap();
    assert_eq!(models.len(), 1);
    assert_eq!(
        (models[0].name.as_str(), models[0].context, models[0].owned_by.as_str()),
        ("ours", Some(4096), "them")
    );
    assert_eq!(mapped.models().await.unwrap(), models, "the list is kept");
    assert_eq!(fake.seen().len(), 1);
    assert_eq!(mapped.capabilities("ours").unwrap().context, Some(4096));
    assert_eq!(mapped.capabilities("theirs"), None);
    assert_eq!(mapped.forward("theirs", chat(false)).await.unwrap_err().kind, ErrorKind::UnknownModel);
    // A list that cannot be read: the configured names serve.
    let named = upstream(&fake).models().await.unwrap();
    assert_eq!(named[0].name, "ours");

    let fake = Fake::start([Reply::json(200, &list)]).await;
    let open = Upstream::new(UpstreamOptions { models: vec![], ..options(&fake) }).unwrap();
    let names: Vec<String> = open.models().await.unwrap().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["other", "theirs"]);
    assert_eq!(open.forward("nothing", chat(false)).await.unwrap_err().kind, ErrorKind::UnknownModel);
}

#[tokio::test]
async fn scoring_where_it_is_offered() {
    let entry = json!({"1": {"logprob": -0.25, "rank": 1}});
    let answer = json!({"choices": [{"prompt_logprobs": [null, entry]}]});
    let fake = Fake::start([
        Reply::json(200, &json!({"choices": [{"text": ""}]})),
        Reply::json(200, &answer),
        Reply::json(200, &answer),
    ])
    .await;
    let upstream = upstream(&fake);
    let job = ScoreJob { prompt: vec![2], continuation: vec![1], top: 1 };
    assert_eq!(upstream.score("ours", job.clone()).await.unwrap_err().kind, ErrorKind::Unsupported);
    assert!(!upstream.probe("ours").await.unwrap().can_score);
    assert!(upstream.probe("ours").await.unwrap().can_score);
    let scores = upstream.score("ours", job).await.unwrap();
    assert_eq!((scores.tokens[0].logprob, scores.tokens[0].rank), (LogProb(-250_000), 1));
    assert_eq!(fake.seen()[2].body["prompt"], json!([2, 1]));
    assert_eq!(fake.seen()[2].path, "/v1/completions");
}

#[tokio::test]
async fn tokens_are_not_taken() {
    let fake = Fake::start([]).await;
    let all = Capabilities { exact: true, takes_tokens: true, can_execute: true, ..Capabilities::default() };
    let upstream = Upstream::new(UpstreamOptions { capabilities: all, ..options(&fake) }).unwrap();
    let has = upstream.capabilities("ours").unwrap();
    assert!(!has.exact && !has.takes_tokens && has.can_execute);
    assert_eq!(upstream.embed("ours", vec![1]).await.unwrap_err().kind, ErrorKind::Unsupported);
    assert_eq!(upstream.text("ours").await.unwrap_err().kind, ErrorKind::Unsupported);
}

#[test]
fn configuration_that_cannot_be() {
    let message = |url: &str| Upstream::new(UpstreamOptions::new(url)).unwrap_err().to_string();
    assert!(message("https://example.com/v1").contains("no TLS"));
    assert!(message("ftp://example.com").contains("http://"));
    assert!(message("nothing").contains("no URL"));
    assert!(message("http://h/v1?x=1").contains("host, a port and a path"));
    let secret = message("http://user:hunter2@h/v1");
    assert!(secret.contains("name or password") && !secret.contains("hunter2"), "{secret}");
    let mut options = UpstreamOptions::new("http://h:1/v1");
    options.key = Some(Secret::new("two words"));
    assert!(!format!("{options:?}").contains("two words"));
    assert_eq!(Upstream::new(options.clone()).unwrap_err(), UpstreamError::BadKey);
    options.key = Some(Secret::new(KEY));
    options.models = vec![("a".to_owned(), "b".to_owned()), ("a".to_owned(), "c".to_owned())];
    assert_eq!(Upstream::new(options.clone()).unwrap_err(), UpstreamError::SameName("a".to_owned()));
    options.models.pop();
    let upstream = Upstream::new(options).unwrap();
    assert!(!format!("{upstream:?}").contains(KEY));
    assert_eq!(upstream.label(), "upstream http://h:1/v1/");
}
