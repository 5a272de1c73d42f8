//! Traces: what a collector is sent, what it is never sent, and that nobody waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use eyre::{Result, ensure, eyre};
use freeway_e2e::{Collected, Collector, Up, run_freeway, wait};
use serde_json::{Value, json};

use crate::{SOON, turn};

/// How long all processes may take to stop in order, with what is left to be sent.
const STOP: Duration = Duration::from_secs(20);
/// How long an answer may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(120);
/// How long a new network may take until its first lane is open: the beacon's key comes first.
const FIRST_LANE: Duration = Duration::from_secs(420);
/// Stands in the prompt, and must stand in no span.
const CANARY: &str = "canary-in-the-prompt-7391";

async fn ask(up: &Up, http: &reqwest::Client, seed: u64) -> Result<Option<(String, String)>> {
    let body = json!({
        "model": "guide",
        "messages": [{ "role": "user", "content": format!("What is a lane? {CANARY}") }],
        "seed": seed,
        "max_tokens": 24,
    });
    let url = format!("{}/chat/completions", up.ready().api);
    let answer = http.post(url).bearer_auth(&up.ready().key).json(&body).timeout(ANSWER).send().await?;
    let status = answer.status();
    let body: Value = answer.json().await?;
    ensure!(status.is_success(), "{status}: {body}");
    let text = body["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
    Ok(body["freeway"]["receipt"].as_str().map(|receipt| (receipt.to_owned(), text)))
}

/// Asks until a host is paid for the answer: what it says.
async fn paid(up: &Up, http: &reqwest::Client, seed: &AtomicU64) -> Result<String> {
    wait::until(FIRST_LANE, "an answer with a receipt", || async {
        let answer = ask(up, http, seed.fetch_add(1, Ordering::Relaxed)).await?;
        Ok::<_, eyre::Report>(answer.map(|(_, text)| text))
    })
    .await
}

/// A paid request as the spans tell it: request at the gateway, inference, host, engine.
fn chain(spans: &[Collected]) -> Option<[&Collected; 4]> {
    let parent = |span: &Collected, name: &str| {
        spans.iter().find(|other| other.name == name && other.id == span.parent && other.trace == span.trace)
    };
    spans.iter().filter(|span| span.name == "engine").find_map(|engine| {
        let host = parent(engine, "serve")?;
        let inference = parent(host, "inference")?;
        let request = parent(inference, "request")?;
        Some([request, inference, host, engine])
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_request_is_followed_from_the_gateway_to_the_engine() -> Result<()> {
    let _turn = turn().await;
    let dir = tempfile::tempdir()?;
    let mut collector = Collector::start().await?;
    let mut up = Up::start(dir.path(), &["--otlp", &collector.url()]).await?;
    let (http, seed) = (reqwest::Client::new(), AtomicU64::new(1));
    let answer = paid(&up, &http, &seed).await?;

    wait::until(SOON, "a request with its host and engine", || async {
        Ok::<_, String>(chain(&collector.spans()).is_some().then_some(()))
    })
    .await?;
    let spans = collector.spans();
    let [request, inference, host, engine] = chain(&spans).ok_or_else(|| eyre!("no chain"))?;
    ensure!(
        request.parent.is_empty() && request.attributes["http.response.status_code"] == "200",
        "{request:?}"
    );
    ensure!(request.attributes["http.route"] == "/v1/chat/completions", "{request:?}");
    ensure!(request.service == "freeway-gateway" && inference.service == "freeway-gateway");
    ensure!(host.service == "freeway-node" && host.instance.starts_with("host-"), "{host:?}");
    ensure!(
        inference.attributes["outcome"] == "paid" && host.attributes["outcome"] == "paid",
        "{inference:?} {host:?}"
    );
    ensure!(inference.attributes["host"].starts_with("fwy1") && engine.attributes["model"] == "guide");
    ensure!(engine.attributes["completion_tokens"].parse::<u32>()? > 0, "{engine:?}");

    // Blocks, each with what was done for it; and the duties of hosts.
    let committed = wait::until(SOON, "a block and a duty", || async {
        let spans = collector.spans();
        let duty = spans.iter().any(|span| span.name.starts_with("duty "));
        let of_block = |name: &str| {
            spans.iter().find_map(|span| {
                let block = spans.iter().find(|block| block.name == "block" && block.id == span.parent)?;
                (span.name == name).then(|| block.clone())
            })
        };
        let parts = ["block propose", "block judge", "block commit"].map(of_block);
        Ok::<_, String>(parts.into_iter().collect::<Option<Vec<_>>>().filter(|_| duty))
    })
    .await?;
    for block in committed {
        ensure!(block.service == "freeway-node" && block.parent.is_empty(), "{block:?}");
        ensure!(block.attributes["height"].parse::<u64>()? > 0, "{block:?}");
    }

    // Nothing of what is said, and no secret.
    let secret = |file: &str| -> Result<String> {
        let text = std::fs::read_to_string(dir.path().join(file))?;
        Ok(text.split_whitespace().last().unwrap_or_default().to_owned())
    };
    for hidden in [CANARY.to_owned(), answer, secret("passphrase")?, secret("api-key")?] {
        ensure!(!hidden.is_empty(), "nothing to look for");
        let found = collector.spans().into_iter().find(|span| span.text.contains(&hidden));
        ensure!(found.is_none(), "{hidden:?} in {found:?}");
    }

    // Without its collector the network goes on, and says so once.
    collector.kill().await;
    let logs = ["gateway/gateway.log", "host-1/node.log"].map(|log| dir.path().join(log));
    let told = |log: &std::path::Path| {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        text.matches("the collector takes no traces").count()
    };
    wait::until(SOON, "a word about the collector", || async {
        Ok::<_, String>((told(&logs[1]) > 0).then_some(()))
    })
    .await?;
    wait::more_blocks(&up.client(0)?, 12, SOON).await?;
    paid(&up, &http, &seed).await?;
    ensure!(logs.iter().all(|log| told(log) <= 1), "it is repeated");
    let ended = up.interrupt(STOP).await?;
    ensure!(ended.success() || ended.code() == Some(130), "{ended}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_none_is_refused() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let text = dir.path().to_string_lossy().into_owned();
    for url in ["https://127.0.0.1:4318", "collector"] {
        let error = run_freeway(["up", "--json", "--dir", &text, "--otlp", url]).await?.error()?;
        ensure!(error["code"] == "invalid_url" && error["hint"].is_string(), "{error}");
    }
    ensure!(std::fs::read_dir(dir.path())?.next().is_none(), "it made something first");
    Ok(())
}
