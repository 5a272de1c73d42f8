//! The OpenAI interface of a network: the same bits from every host, whatever else it does.

use std::time::Duration;

use eyre::{Result, ensure, eyre};
use freeway_e2e::{Up, run_freeway};
use futures::StreamExt;
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::turn;

/// How long all hosts may take to stop in order.
const STOP: Duration = Duration::from_secs(10);
/// How long an answer may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(120);

/// Somebody who asks one of the gateways.
struct Asker {
    http: reqwest::Client,
    api: String,
    key: String,
}

impl Asker {
    fn new(api: &str, key: &str) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(ANSWER).build()?;
        Ok(Self { http, api: api.to_owned(), key: key.to_owned() })
    }

    async fn send(&self, path: &str, body: Vec<u8>) -> Result<reqwest::Response> {
        let request = self.http.post(format!("{}/{path}", self.api)).bearer_auth(&self.key);
        Ok(request.header("content-type", "application/json").body(body).send().await?)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        let answer = self.send(path, body.to_string().into_bytes()).await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    /// What the guide says, and the trace of how it came to say it.
    async fn ask(&self, question: &str, seed: i64) -> Result<(String, String)> {
        let body = json!({
            "model": "guide",
            "messages": [{ "role": "user", "content": question }],
            "temperature": 1.0,
            "seed": seed,
            "max_tokens": 40,
        });
        let (status, answer) = self.post("chat/completions", &body).await?;
        ensure!(status == 200, "{status}: {answer}");
        let text = answer["choices"][0]["message"]["content"].as_str();
        let trace = answer["freeway"]["trace"].as_str();
        match (text, trace) {
            (Some(text), Some(trace)) => Ok((text.to_owned(), trace.to_owned())),
            _ => Err(eyre!("not an answer: {answer}")),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_gives_the_same_bits_at_any_load() -> Result<()> {
    let _turn = turn().await;
    let dir = tempfile::tempdir()?;
    let mut up = Up::start(dir.path(), &[]).await?;
    let ready = up.ready().clone();
    let askers: Vec<Asker> =
        ready.apis.iter().map(|api| Asker::new(api, &ready.key)).collect::<Result<_>>()?;
    ensure!(
        askers.len() == 4 && !ready.apis.contains(&ready.api),
        "the gateway that pays is none of the hosts'"
    );

    let alone = askers[0].ask("What is Freeway?", 7).await?;
    ensure!(!alone.0.is_empty() && alone.1.len() == 64, "{alone:?}");
    for asker in &askers[1..] {
        ensure!(asker.ask("What is Freeway?", 7).await? == alone, "another host, other bits");
    }
    // Beside eleven other conversations on the same engine.
    let crowd =
        (0..12).map(|seed| askers[1].ask(["What is Freeway?", "Who can host?"][seed % 2], seed as i64));
    let crowd = try_join_all(crowd).await?;
    ensure!(askers[1].ask("What is Freeway?", 7).await? == alone);
    ensure!(crowd[2] == askers[2].ask("What is Freeway?", 2).await?, "load changed bits");

    // A client that leaves in mid stream harms nobody.
    let body = json!({ "model": "guide", "stream": true, "max_tokens": 400,
        "messages": [{ "role": "user", "content": "Tell me about the beacon." }] });
    let mut stream = askers[0].send("chat/completions", body.to_string().into_bytes()).await?.bytes_stream();
    ensure!(stream.next().await.is_some());
    drop(stream);
    ensure!(askers[0].ask("What is Freeway?", 7).await? == alone);

    // The command for people finds the network by itself.
    let dir = dir.path().to_string_lossy().into_owned();
    let chat = [
        "chat",
        "--json",
        "--dir",
        &dir,
        "--seed",
        "7",
        "--max-tokens",
        "40",
        "--temperature",
        "1",
        "What is Freeway?",
    ];
    let answer = run_freeway(chat).await?.json()?;
    ensure!(
        answer["content"] == alone.0.as_str() && answer["freeway"]["trace"] == alone.1.as_str(),
        "{answer}"
    );
    up.interrupt(STOP).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_told_what_is_wrong() -> Result<()> {
    let _turn = turn().await;
    let dir = tempfile::tempdir()?;
    let mut up = Up::start(dir.path(), &["--hosts", "1"]).await?;
    let ready = up.ready().clone();
    let asker = Asker::new(&ready.api, &ready.key)?;
    let message = json!([{ "role": "user", "content": "hello" }]);
    for (body, status, param) in [
        (json!({ "model": "guide", "messages": [] }), 400, "messages"),
        (json!({ "model": "guide", "messages": "hello" }), 400, "messages"),
        (json!({ "model": "nobody", "messages": message }), 404, "model"),
        (json!({ "model": "guide", "messages": message, "n": 1_000_000 }), 400, "n"),
        (json!({ "model": "guide", "messages": message, "max_tokens": -1 }), 400, "max_tokens"),
        (json!({ "model": "guide", "messages": message, "temperature": "hot" }), 400, "temperature"),
        (
            json!({ "model": "guide", "messages": message, "logit_bias": { "99999999": 1 } }),
            400,
            "logit_bias",
        ),
        (
            json!({ "model": "guide", "messages": [{ "role": "user", "content": "word ".repeat(20_000) }] }),
            400,
            "messages",
        ),
    ] {
        let (got, answer) = asker.post("chat/completions", &body).await?;
        let error = &answer["error"];
        ensure!(got == status && error["param"] == param, "{got} {answer}");
        ensure!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{answer}");
    }
    for (body, status) in [
        (b"{".to_vec(), 400),
        (b"\xff\xfe".to_vec(), 400),
        (br#"{"model":"guide","messages":[{"role":"user","content":"\ud800"}]}"#.to_vec(), 400),
        (vec![b'['; 100_000], 400),
        (vec![b' '; 10 << 20], 413),
    ] {
        let answer = asker.send("chat/completions", body).await?;
        ensure!(answer.status().as_u16() == status, "{}", answer.text().await?);
    }
    let stranger = Asker::new(&ready.api, "fw-nobody")?;
    let (status, answer) = stranger.post("chat/completions", &json!({})).await?;
    ensure!(status == 401 && answer["error"]["code"] == "invalid_api_key", "{status} {answer}");
    // After all of that it answers.
    ensure!(!asker.ask("hello", 1).await?.0.is_empty());
    up.interrupt(STOP).await?;
    Ok(())
}
