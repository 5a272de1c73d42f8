//! What receipts and vouchers cost a gateway: the same small answers three ways, in turns.
//!
//! - **inside**: the engine is in the gateway.
//! - **bare**: it is behind a host's interface, with the same bytes on the wire but nothing signed, checked or kept.
//! - **lanes**: the same with vouchers, acceptances and receipts, and what must be on disk.
//!
//! Gateway, hosts and clients have threads of their own, so that what each computes can be told apart. The difference of
//! lanes and bare is what receipts and vouchers cost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::post;
use freeway_api::serving::{Ask, Ending, Frame, frame};
use freeway_engines::{
    Capabilities, Engine, EngineError, ErrorKind, Event, EventStream, FinishReason, Finished, Health, Job,
    ModelInfo, Registry, Stats, TextAssets, Token,
};
use freeway_primitives::{Address, Amount, Canonical, SecretKey};
use freeway_proofs::work::{self, LaneId, Voucher};
use futures::StreamExt;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::world::*;
use crate::lanes::client::HostClient;
use crate::{Access, Config, Gateway};

/// Requests in a second, seconds of a turn, and turns that count.
const OFFERED: (u32, u32, usize) = (200, 5, 6);
/// Requests under way where as many are sent as are answered, and how many in all.
const CLOSED: (usize, u32) = (32, 2_000);

/// An engine behind a host's interface without anything that is signed.
struct Bare {
    client: HostClient,
    hosts: Vec<String>,
    voucher: Voucher,
    signature: freeway_primitives::Signature,
}

#[async_trait]
impl Engine for Bare {
    fn label(&self) -> &str {
        "bare"
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, EngineError> {
        Local.models().await
    }

    fn capabilities(&self, model: &str) -> Option<Capabilities> {
        Local.capabilities(model)
    }

    async fn text(&self, model: &str) -> Result<TextAssets, EngineError> {
        Local.text(model).await
    }

    async fn generate(&self, _: &str, job: Job) -> Result<EventStream, EngineError> {
        let (voucher, signature, request) = (self.voucher, self.signature, (*job.request).clone());
        let host = &self.hosts[usize::from(job.request.seed.0[0]) % self.hosts.len()];
        let asked = self.client.ask(host, LaneId(0), Ask { voucher, signature, request }.encode()).await;
        let answer =
            asked.map_err(|refused| EngineError::new(ErrorKind::Internal, format!("{refused:?}")))?;
        let next = |mut answer: crate::lanes::client::Answer| async move {
            let event = match answer.next().await.unwrap()? {
                Frame::Started { prompt_tokens, cached_tokens } => {
                    Event::Started { prompt_tokens, cached_tokens }
                }
                Frame::Token { choice, id, scored } => Event::Token(Token { choice, id, scored }),
                Frame::Finished { choice, completion_tokens, .. } => {
                    let reason = FinishReason::Length;
                    Event::Finished(Finished { choice, reason, completion_tokens, trace: None })
                }
                other => panic!("{other:?}"),
            };
            Some((event, answer))
        };
        Ok(futures::stream::unfold(answer, next).boxed())
    }

    async fn health(&self) -> Health {
        Local.health().await
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

/// What the hosts of [`Bare`] answer: piece by piece, as those of lanes do.
async fn bare(body: Bytes) -> Response {
    let request = Ask::decode(&body).unwrap().request;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Vec<u8>>(64);
    tokio::spawn(async move {
        let said = tokens(&request, 0);
        let completion_tokens = said.len() as u32;
        let started = Frame::Started { prompt_tokens: request.prompt.len() as u32, cached_tokens: 1 };
        let each = said.into_iter().map(|id| Frame::Token { choice: 0, id, scored: None });
        let finished = Frame::Finished { choice: 0, ending: Ending::Length, completion_tokens };
        for said in core::iter::once(started).chain(each).chain([finished]) {
            if sender.send(frame(&said)).await.is_err() {
                return;
            }
        }
    });
    let pieces = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|bytes| (Ok::<_, std::io::Error>(Bytes::from(bytes)), receiver))
    });
    Response::new(Body::from_stream(pieces))
}

/// Threads of their own. The name is of all of them.
fn threads(name: &str, count: usize) -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(count).thread_name(name).enable_all().build().unwrap()
}

/// What the threads of each name have computed, in nanoseconds.
fn computed() -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        // One that has ended in between is of no use to anybody.
        let Ok(name) = std::fs::read_to_string(path.join("comm")) else { continue };
        let Ok(times) = std::fs::read_to_string(path.join("schedstat")) else { continue };
        let nanoseconds: u64 = times.split(' ').next().unwrap().parse().unwrap();
        *all.entry(name.trim().to_owned()).or_default() += nanoseconds;
    }
    all
}

/// The gateway's own threads, and the one that writes what lanes keep.
const THREADS: [&str; 2] = ["of-gateway", "lanes-store"];

/// What these threads have computed since, in microseconds for each of so many requests.
fn used(names: &[&str], before: &BTreeMap<String, u64>, requests: usize) -> f64 {
    let sum = |all: &BTreeMap<String, u64>| names.iter().filter_map(|name| all.get(*name)).sum::<u64>();
    (sum(&computed()) - sum(before)) as f64 / 1e3 / requests as f64
}

async fn chat(http: reqwest::Client, url: String, number: u32) {
    let body = json!({ "model": MODEL, "max_tokens": 8, "seed": number,
        "messages": [{ "role": "user", "content": format!("request {number}") }] });
    let request = http.post(url).header("content-type", "application/json").body(body.to_string());
    let answer = request.send().await.unwrap();
    let (status, body) = (answer.status(), answer.bytes().await.unwrap());
    assert!(status.is_success(), "{}", String::from_utf8_lossy(&body));
}

/// Offers requests at a rate whatever the answers do: how many milliseconds each took from when it was due.
async fn offered(http: &reqwest::Client, url: &str, first: u32) -> Vec<f64> {
    let (rate, seconds, _) = OFFERED;
    let start = tokio::time::Instant::now();
    let mut running = JoinSet::new();
    for number in 0..rate * seconds {
        let due = start + Duration::from_secs(1) * number / rate;
        tokio::time::sleep_until(due).await;
        let answer = chat(http.clone(), url.to_owned(), first + number);
        running.spawn(async move {
            answer.await;
            due.elapsed().as_secs_f64() * 1e3
        });
    }
    running.join_all().await
}

/// As many at once as are answered: requests in a second.
async fn closed(http: &reqwest::Client, url: &str, first: u32) -> f64 {
    let (at_once, count) = CLOSED;
    let began = Instant::now();
    let asked = (first..first + count).map(|number| chat(http.clone(), url.to_owned(), number));
    futures::stream::iter(asked).buffer_unordered(at_once).collect::<Vec<()>>().await;
    f64::from(count) / began.elapsed().as_secs_f64()
}

#[derive(Default)]
struct Measured {
    times: Vec<f64>,
    /// Microseconds of the gateway for each request, by turn.
    computed: Vec<f64>,
    /// Those of them that went into writing.
    writing: Vec<f64>,
    /// Requests in a second, by turn.
    closed: Vec<f64>,
}

fn quantile(numbers: &mut [f64], share: f64) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[((numbers.len() - 1) as f64 * share).round() as usize]
}

/// Prints, and asserts nothing about time. Run it by name in a release build, with `--ignored --nocapture`.
#[test]
#[ignore = "it measures"]
fn overhead() {
    let (hosts, gateway, clients) =
        (threads("of-hosts", 1), threads("of-gateway", 2), threads("of-clients", 1));
    let folder = tempfile::tempdir().unwrap();
    let chain = hosts.block_on(async { tokio::spawn(FakeChain::new(4)).await.unwrap() });
    let bare_hosts = hosts.block_on(async {
        let mut urls = Vec::new();
        for _ in 0..4 {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            urls.push(format!("http://{}", listener.local_addr().unwrap()));
            let app = Router::new().route("/v1/lanes/{lane}/requests", post(bare));
            tokio::spawn(async move { axum::serve(prompt(listener), app).await });
        }
        urls
    });
    let key = SecretKey::from_seed([1; 32]);
    let (lane, host, request) = (LaneId(0), Address::of(&key.public()), root().0);
    let voucher = Voucher { lane, host, sequence: 1, spent: Amount(1), limit: Amount(2), request };
    let signature = key.sign(work::VOUCHER, &CHAIN, &voucher);
    let bare = Bare { client: HostClient::new(true), hosts: bare_hosts, voucher, signature };

    let (running, _lanes) = gateway.block_on(async {
        let settings = config(folder.path(), 4, 100_000_000, 100_000_000);
        let lanes = tokio::spawn(async move { open(settings, &chain).await }).await.unwrap();
        let engines: [Arc<dyn Engine>; 3] = [Arc::new(Local), Arc::new(bare), lanes.clone()];
        let mut running = Vec::new();
        for engine in engines {
            let registry = Arc::new(Registry::new());
            registry.add_engine(engine).await.unwrap();
            let settings = Config::new(([127, 0, 0, 1], 0).into(), Access::Open);
            running.push(tokio::spawn(Gateway::start(settings, registry)).await.unwrap().unwrap());
        }
        (running, lanes)
    });
    let urls: Vec<String> =
        running.iter().map(|gateway| format!("{}/chat/completions", gateway.api())).collect();
    let http = reqwest::Client::new();
    let mut measured: [Measured; 3] = Default::default();
    let mut first = 0;
    // The first turn of each warms what there is to warm.
    for turn in 0..=OFFERED.2 {
        for (url, measured) in urls.iter().zip(&mut measured) {
            let before = computed();
            let times = clients.block_on(offered(&http, url, first));
            let all = used(&THREADS, &before, times.len());
            let writing = used(&THREADS[1..], &before, times.len());
            first += times.len() as u32;
            let rate = clients.block_on(closed(&http, url, first));
            first += CLOSED.1;
            if turn > 0 {
                measured.times.extend(times);
                measured.computed.push(all);
                measured.writing.push(writing);
                measured.closed.push(rate);
            }
        }
    }
    let mut lines = String::new();
    for (name, measured) in ["inside", "bare", "lanes"].iter().zip(&mut measured) {
        let (p50, p99) = (quantile(&mut measured.times, 0.5), quantile(&mut measured.times, 0.99));
        let of = |numbers: &mut Vec<f64>| [0.0, 0.5, 1.0].map(|share| quantile(numbers, share));
        let ([low, used, high], [least, closed, most]) =
            (of(&mut measured.computed), of(&mut measured.closed));
        lines += &format!(
            "{name}: p50 {p50:.2} ms, p99 {p99:.2} ms, gateway {used:.0} us a request ({low:.0} to {high:.0}), of \
             it {:.0} writing, {:.1} % of a core at {} a second; at most {closed:.0} a second ({least:.0} to {most:.0})\n",
            quantile(&mut measured.writing, 0.5),
            used * f64::from(OFFERED.0) / 1e4,
            OFFERED.0,
        );
    }
    let _ = std::io::Write::write_all(&mut std::io::stderr(), lines.as_bytes());
}
