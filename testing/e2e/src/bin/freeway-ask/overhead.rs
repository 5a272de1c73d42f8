//! The same small requests to an engine and to the gateway before it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use eyre::{Result, ensure, eyre};
use freeway_engines::{Engine, Event, Exact, ExactOptions, Job, Registry};
use freeway_gateway::{Access, Config, Gateway};
use freeway_models::guide;
use freeway_requests::{Seed, TokenRequest};
use futures::StreamExt;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

const QUESTION: &str = "What is Freeway?";
/// What the guide's template makes of the question has about as many tokens.
const PROMPT_TOKENS: u32 = 24;

/// Times in milliseconds of all answers of the engine and of the gateway, sorted.
pub(crate) async fn measure(rate: u32, turns: u32, seconds: u32) -> Result<(Vec<f64>, Vec<f64>)> {
    let package = guide::package();
    let (root, model) = (package.root(), package.name().to_owned());
    let exact = Arc::new(Exact::new(ExactOptions::default()));
    exact.add(&model, package).map_err(|error| eyre!("{error}"))?;
    let registry = Arc::new(Registry::new());
    registry.add_engine(exact.clone()).await.map_err(|error| eyre!("{error}"))?;
    let running = Gateway::start(Config::new(SocketAddr::from(([127, 0, 0, 1], 0)), Access::Open), registry)
        .await
        .map_err(|error| eyre!("{error}"))?;
    let http = reqwest::Client::new();
    let url = format!("{}/chat/completions", running.api());

    let (mut engine, mut gateway) = (Vec::new(), Vec::new());
    let count = rate * seconds;
    // The first turn of each warms caches and is not counted.
    for turn in 0..=turns {
        let direct = offered(rate, count, |number| {
            let (exact, model) = (exact.clone(), model.clone());
            let mut request = TokenRequest::greedy(root, (0..PROMPT_TOKENS).map(|i| 300 + i).collect(), 1);
            request.seed = Seed::of_number(i64::from(number));
            async move {
                let job = Job { request: Arc::new(request), trace: true, claims: false };
                let mut events = exact.generate(&model, job).await?;
                while let Some(event) = events.next().await {
                    if let Event::Failed(error) = event {
                        return Err(error.into());
                    }
                }
                Ok(())
            }
        })
        .await?;
        let through = offered(rate, count, |number| {
            let body = json!({ "model": model, "max_tokens": 1, "temperature": 0, "seed": number,
                "messages": [{ "role": "user", "content": QUESTION }] });
            let request = http.post(&url).json(&body);
            async move {
                let answer = request.send().await?;
                ensure!(answer.status().is_success(), "{}", answer.text().await?);
                answer.bytes().await?;
                Ok(())
            }
        })
        .await?;
        if turn > 0 {
            engine.extend(direct);
            gateway.extend(through);
        }
    }
    running.shutdown(Duration::from_secs(5)).await;
    engine.sort_by(f64::total_cmp);
    gateway.sort_by(f64::total_cmp);
    Ok((engine, gateway))
}

/// Sends `count` requests at `rate` a second, and waits for all answers: how many milliseconds each took from when it was
/// due.
async fn offered<F>(rate: u32, count: u32, mut send: impl FnMut(u32) -> F) -> Result<Vec<f64>>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let start = Instant::now();
    let mut running = JoinSet::new();
    for number in 0..count {
        let due = start + Duration::from_secs(1) * number / rate;
        tokio::time::sleep_until(due).await;
        let answer = send(number);
        running.spawn(async move {
            answer.await?;
            Ok::<_, eyre::Report>(due.elapsed().as_secs_f64() * 1_000.0)
        });
    }
    let mut times = Vec::new();
    while let Some(time) = running.join_next().await {
        times.push(time??);
    }
    Ok(times)
}

/// The value below which a share of sorted numbers lies.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}
