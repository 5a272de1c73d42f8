//! The whole loop: lanes, receipts, checks, money. A developer asks an API; hosts answer and are paid.

use std::collections::BTreeMap;
use std::time::Duration;

use eyre::{Result, ensure, eyre};
use freeway_api::Client;
use freeway_e2e::{Signal, Up, run_freeway, signal, wait};
use freeway_ledger::Preset;
use freeway_primitives::{Address, Amount};
use futures::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{SOON, turn};

/// How long all processes may take to stop in order.
const STOP: Duration = Duration::from_secs(20);
/// How long an answer may take on a busy machine, with all hosts that are asked for it.
const ANSWER: Duration = Duration::from_secs(120);
/// How long a new network may take until its first lane is open: the beacon's key comes first.
const FIRST_LANE: Duration = Duration::from_secs(420);
/// How long it may take until everything is checked, settled and refunded.
const SETTLED: Duration = Duration::from_secs(420);
/// What the developer has in genesis.
const DEVELOPER: Amount = Amount::fwy(1_000_000);
/// Answers of which one must be checked and paid for.
const ATTEMPTS: u64 = 4;
/// Receipts that one command checks.
const BATCH: &str = "20";

/// Somebody with the key of a gateway.
#[derive(Clone)]
struct Asker {
    http: reqwest::Client,
    api: String,
    key: String,
}

/// An answer and who was paid for it.
struct Answer {
    receipt: Option<String>,
    body: Value,
}

impl Asker {
    fn new(up: &Up) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(ANSWER).build()?;
        Ok(Self { http, api: up.ready().api.clone(), key: up.ready().key.clone() })
    }

    async fn ask(&self, question: &str, seed: u64) -> Result<Answer> {
        let body = json!({
            "model": "guide",
            "messages": [{ "role": "user", "content": question }],
            "seed": seed,
            "max_tokens": 24,
        });
        let request = self.http.post(format!("{}/chat/completions", self.api)).bearer_auth(&self.key);
        let answer = request.json(&body).send().await?;
        let (status, receipt) = (answer.status(), answer.headers().get("x-freeway-receipt").cloned());
        let body: Value = answer.json().await?;
        ensure!(status.is_success(), "{status}: {body}");
        ensure!(body["choices"][0]["message"]["content"].is_string(), "{body}");
        let receipt = receipt.map(|receipt| receipt.to_str().map(str::to_owned)).transpose()?;
        ensure!(receipt.as_deref() == body["freeway"]["receipt"].as_str(), "{body}");
        Ok(Answer { receipt, body })
    }

    /// Asks until a host is paid for an answer: before that, the gateway answers by itself.
    async fn first_receipt(&self) -> Result<(String, Value)> {
        let seed = std::sync::atomic::AtomicU64::new(0);
        wait::until(FIRST_LANE, "an answer with a receipt", || async {
            let seed = seed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let answer = self.ask("What is a lane?", seed).await?;
            Ok::<_, eyre::Report>(answer.receipt.map(|receipt| (receipt, answer.body)))
        })
        .await
    }

    async fn receipts(&self, limit: u64) -> Result<Vec<Value>> {
        let url = format!("{}/receipts?limit={limit}", self.api);
        let mut answer: Value = self.http.get(url).bearer_auth(&self.key).send().await?.json().await?;
        match answer["receipts"].take() {
            Value::Array(receipts) => Ok(receipts),
            _ => Err(eyre!("no receipts")),
        }
    }
}

fn amount(value: &Value) -> Result<Amount> {
    Ok(Amount(value.as_str().ok_or_else(|| eyre!("no amount: {value}"))?.parse()?))
}

/// Runs a command in the network's directory: its results, one a line.
async fn run(dir: &TempDir, arguments: &[&str]) -> Result<Vec<Value>> {
    let dir = dir.path().to_string_lossy().into_owned();
    let ran = run_freeway(arguments.iter().copied().chain(["--json", "--dir", &dir])).await?;
    ensure!(ran.status.success(), "{arguments:?}: {} {}", ran.stdout, ran.stderr);
    ran.stdout.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// The fees of each share, which must follow from each other: the total of the last is the sum of all.
fn shares(receipts: &[Value]) -> Result<BTreeMap<(u64, String), Amount>> {
    let mut shares: BTreeMap<(u64, String), (Amount, Amount)> = BTreeMap::new();
    for receipt in receipts {
        let lane = receipt["lane"].as_u64().ok_or_else(|| eyre!("no lane: {receipt}"))?;
        let host = receipt["host"].as_str().unwrap_or_default().to_owned();
        let (sum, most) = shares.entry((lane, host)).or_default();
        *sum = sum.checked_add(amount(&receipt["fee"])?).ok_or_else(|| eyre!("too much"))?;
        *most = (*most).max(amount(&receipt["total"])?);
    }
    for (share, (sum, most)) in &shares {
        ensure!(sum == most, "the fees of {share:?} are {sum}, its last total is {most}");
    }
    Ok(shares.into_iter().map(|(share, (sum, _))| (share, sum)).collect())
}

/// What the developer has, in lanes and bonds too.
async fn wealth(client: &Client, developer: &Address) -> Result<Amount> {
    let account = client.account(developer).await?;
    let lanes = client.lanes_of_payer(developer, None, 256).await?.lanes;
    let bond = Preset::Local.params().models.bond;
    let parts = lanes.iter().map(|lane| lane.left).chain([account.balance, bond]);
    parts.into_iter().try_fold(Amount::ZERO, Amount::checked_add).ok_or_else(|| eyre!("too much"))
}

async fn developer(dir: &TempDir) -> Result<Address> {
    let account = run(dir, &["account", "developer"]).await?;
    Ok(account[0]["address"].as_str().ok_or_else(|| eyre!("no address"))?.parse()?)
}

/// What has become of a receipt, once that is decided.
async fn decided(dir: &TempDir, client: &Client, receipt: &str) -> Result<Value> {
    wait::until(SETTLED, "the fate of a receipt", || async {
        wait::more_blocks(client, 1, SOON).await?;
        let found = run(dir, &["receipt", "verify", "--skip-execution", receipt]).await?;
        let is_open = found[0]["commitment"] == "open" || found[0]["included"] == "pending";
        Ok::<_, eyre::Report>((!is_open).then(|| found[0].clone()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_paid_for_checked_and_settled() -> Result<()> {
    let _turn = turn().await;
    let dir = tempfile::tempdir()?;
    let mut up = Up::start(dir.path(), &[]).await?;
    let client = up.client(0)?;
    let asker = Asker::new(&up)?;
    let developer = developer(&dir).await?;
    let (receipt, body) = asker.first_receipt().await?;
    ensure!(body["freeway"]["host"].as_str().is_some_and(|host| host.starts_with("fwy1")), "{body}");
    ensure!(amount(&body["freeway"]["fee"])? > Amount::ZERO, "{body}");

    let found = run(&dir, &["receipt", "verify", &receipt]).await?;
    let found = &found[0];
    ensure!(found["signature"] == true && found["reexecuted"] == true && found["valid"] == true, "{found}");
    ensure!(found["included"] == true || found["included"] == "pending", "{found}");

    // What somebody has changed is found.
    let shown = run(&dir, &["receipt", "show", &receipt]).await?;
    let mut cheaper = shown[0].clone();
    cheaper["fee"] = json!("1");
    let file = dir.path().join("changed.json");
    std::fs::write(&file, cheaper.to_string())?;
    let told = dir.path().to_string_lossy().into_owned();
    let file = file.to_string_lossy().into_owned();
    let refused =
        run_freeway(["receipt", "verify", "--file", &file, "--json", "--dir", &told]).await?.error()?;
    ensure!(refused["code"] == "invalid_receipt", "{refused}");

    // The host commits to it, shows where, and is paid if others have checked it. On a machine so busy that they did
    // not come to it in time nothing is paid for the interval: then another request has to do.
    let (mut receipt, mut paid, mut missed) = (Some(receipt), Amount::ZERO, 0u32);
    for seed in 1_000..1_000 + ATTEMPTS {
        let id = receipt.take().ok_or_else(|| eyre!("an answer without a receipt"))?;
        let fate = decided(&dir, &client, &id).await?;
        if fate["commitment"] == "matured" {
            ensure!(fate["included"] == true, "{fate}");
            paid = amount(&fate["amount"])?;
            break;
        }
        missed += 1;
        receipt = asker.ask("What is a lane?", seed).await?.receipt;
    }
    ensure!(paid > Amount::ZERO, "{ATTEMPTS} answers were signed for, and none was checked in time");

    // No more requests: the lane is closed, settled and refunded, to the base unit.
    let lane = body["freeway"]["lane"].as_u64().ok_or_else(|| eyre!("no lane: {body}"))?;
    run(&dir, &["lane", "close", &lane.to_string(), "--from", "developer"]).await?;
    wait::until(SETTLED, "the end of the lane", || async {
        wait::more_blocks(&client, 1, SOON).await?;
        match client.lane(lane).await {
            Ok(_) => Ok(None),
            Err(error) if error.is_not_found() => Ok(Some(())),
            Err(error) => Err(eyre::Report::from(error)),
        }
    })
    .await?;
    shares(&asker.receipts(1_000).await?)?;
    let left = wealth(&client, &developer).await?;
    let spent = DEVELOPER.checked_sub(left).ok_or_else(|| eyre!("{left} is more than {DEVELOPER}"))?;
    // A loss falls on the lanes that the host chooses (docs/protocol/lanes.md, "Why the second bound"): what nobody came to
    // check here may be paid with what matured in another lane.
    let most = if missed == 0 { paid } else { Amount(paid.0.saturating_mul(u128::from(missed) + 1)) };
    ensure!(spent >= paid && spent <= most, "{spent} was spent, {paid} paid, {missed} not checked");
    up.interrupt(STOP).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_chats_survive_the_death_of_a_host() -> Result<()> {
    let _turn = turn().await;
    let dir = tempfile::tempdir()?;
    let mut up = Up::start(dir.path(), &["--restart"]).await?;
    let client = up.client(0)?;
    let asker = Asker::new(&up)?;
    asker.first_receipt().await?;

    let victim = up.ready().pids[1];
    let mut answers = futures::stream::iter(0..200_u64)
        .map(|seed| {
            let asker = asker.clone();
            async move {
                asker
                    .ask(["What is Freeway?", "Who can host?", "What is a sprint?"][seed as usize % 3], seed)
                    .await
            }
        })
        .buffer_unordered(16);
    let (mut answered, mut paid) = (0, 0);
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        answered += 1;
        paid += u64::from(answer.receipt.is_some());
        if answered == 50 {
            ensure!(signal(victim, Signal::Kill), "the victim was gone already");
        }
    }
    drop(answers);
    ensure!(answered == 200 && paid == 200, "{answered} answers, {paid} of them paid for");

    let receipts = asker.receipts(1_000).await?;
    ensure!(receipts.len() > 200, "{} receipts", receipts.len());
    // The killed host is back and has not forgotten what it signed.
    let back = up.client(1)?;
    wait::until(SOON, "the killed host to be back", || async {
        back.status().await.map(|status| status.synced.then_some(()))
    })
    .await?;
    wait::until(SETTLED, "the commitments to all work", || async {
        wait::more_blocks(&client, 12, SOON).await?;
        let found = run(&dir, &["receipt", "verify", "--skip-execution", "--last", "200"]).await?;
        // A host that was away when it had to commit is paid nothing for that interval.
        let placed = |found: &&Value| found["included"] == true || found["included"] == "lapsed";
        Ok::<_, eyre::Report>(found.iter().all(|found| placed(&found)).then_some(()))
    })
    .await?;
    let found = run(&dir, &["receipt", "verify", "--last", BATCH]).await?;
    for found in &found {
        ensure!(found["valid"] == true && found["reexecuted"] == true, "{found}");
    }

    // The epoch's new money arrives.
    let hosts = client.hosts(None, 16).await?.hosts;
    wait::until(SETTLED, "new money", || async {
        wait::more_blocks(&client, 1, SOON).await?;
        let mut all = client.rewards().await?.minted > Amount::ZERO;
        for host in &hosts {
            let earnings = client.earnings(&host.summary.address).await?;
            all &= earnings.granted > Amount::ZERO || earnings.bonded > Amount::ZERO;
        }
        Ok::<_, eyre::Report>(all.then_some(()))
    })
    .await?;
    up.interrupt(STOP).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_a_coarser_model_is_convicted_and_nobody_else() -> Result<()> {
    /// The epochs in which it must happen.
    const EPOCHS: u64 = 2;
    let _turn = turn().await;
    let dir = tempfile::tempdir()?;
    // A jury of three beside the accused and the accuser.
    let mut up = Up::start(dir.path(), &["--hosts", "6", "--adversary", "serve:coarser"]).await?;
    let client = up.client(0)?;
    let asker = Asker::new(&up)?;
    asker.first_receipt().await?;
    let shown = run(&dir, &["host", "show", "host-6"]).await?;
    let cheat: Address = shown[0]["address"].as_str().ok_or_else(|| eyre!("no host-6"))?.parse()?;

    let began = client.status().await?.height;
    let mut served = false;
    let mut answers =
        futures::stream::iter(0..60_u64).map(|seed| asker.ask("What is Freeway?", seed)).buffer_unordered(8);
    while let Some(answer) = answers.next().await {
        served |= answer?.body["freeway"]["host"] == cheat.to_string();
    }
    ensure!(served, "the cheat was not asked");
    let convicted = wait::until(SETTLED, "the conviction", || async {
        wait::more_blocks(&client, 1, SOON).await?;
        Ok::<_, eyre::Report>(client.earnings(&cheat).await?.fees.convicted)
    })
    .await?;
    let epoch = Preset::Local.params().epochs.epoch_blocks;
    ensure!(convicted <= began + EPOCHS * epoch, "convicted at {convicted}, having cheated from {began} on");
    for host in client.hosts(None, 16).await?.hosts {
        let convicted = client.earnings(&host.summary.address).await?.fees.convicted;
        ensure!(convicted.is_some() == (host.summary.address == cheat), "{host:?}");
        // New money may have gone into it meanwhile; nothing may have come out of it.
        let taken = host.collateral < Amount::fwy(100);
        ensure!(taken == (host.summary.address == cheat), "{host:?}");
    }
    up.interrupt(STOP).await?;
    Ok(())
}
