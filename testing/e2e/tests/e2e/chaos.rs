//! Random validators killed at random moments, while money moves.

use std::time::Duration;

use eyre::{Result, WrapErr, bail, ensure};
use freeway_api::{Client, ClientError, OutcomeView};
use freeway_e2e::{Actor, Network, Plan, Random, wait};
use freeway_ledger::Transaction;
use freeway_primitives::{Amount, Digest};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::{SOON, turn};

const ROUNDS: usize = 6;
const ACTORS: usize = 12;
/// Between two transfers: enough of them for every block, and time left for the network.
const PAUSE: Duration = Duration::from_millis(10);

/// Somebody who sends transfers through random nodes, dead or alive.
struct Trader {
    clients: Vec<Client>,
    actors: Vec<Actor>,
    /// Each account's transfer of which no node has said yet that it has it.
    open: Vec<Option<Transaction>>,
    random: Random,
    acknowledged: Vec<Digest>,
    height: u64,
}

impl Trader {
    /// Trades until `stop`, and then until nothing is open.
    async fn run(mut self, stop: watch::Receiver<bool>) -> Result<Self> {
        loop {
            let stopping = *stop.borrow();
            if stopping && self.open.iter().all(Option::is_none) {
                return Ok(self);
            }
            for at in 0..self.actors.len() {
                if !stopping || self.open[at].is_some() {
                    self.send(at).await?;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Sends an account's next transfer, or the last one again if its fate is unknown.
    async fn send(&mut self, at: usize) -> Result<()> {
        let to = self.actors[self.random.below(ACTORS as u64) as usize].address();
        let amount = Amount(1_000_000 + u128::from(self.random.below(1_000)));
        let client = &self.clients[self.random.below(self.clients.len() as u64) as usize];
        let transfer = match &self.open[at] {
            Some(transfer) => transfer.clone(),
            None => {
                if let Ok(status) = client.status().await {
                    self.height = self.height.max(status.height);
                }
                self.actors[at].next(self.height, to, amount)
            }
        };
        match client.submit(&transfer).await {
            Ok(_) => {}
            Err(ClientError::Api { detail, .. }) => match detail.code.as_str() {
                // Taken before its sender heard of it: some node has it, and no other one bears its number.
                "duplicate" | "sequence_used" => {}
                // Later, or elsewhere.
                "sequence_ahead" | "quota_exceeded" | "key_full" | "busy" | "expiry_too_far" => {
                    self.open[at] = Some(transfer);
                    return Ok(());
                }
                code => bail!("an honest transfer was refused ({code}): {detail}"),
            },
            // Dead, or dying: nobody knows whether it was taken.
            Err(_) => {
                self.open[at] = Some(transfer);
                return Ok(());
            }
        }
        self.open[at] = None;
        self.acknowledged.push(transfer.hash());
        self.actors[at].acknowledged();
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_lose_nothing() -> Result<()> {
    let _turn = turn().await;
    let seed = std::env::var("FREEWAY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_101);
    run(seed).await.wrap_err_with(|| format!("again with FREEWAY_SEED={seed}"))
}

async fn run(seed: u64) -> Result<()> {
    let mut random = Random::new(seed);
    let mut network = Network::start(Plan { accounts: ACTORS, ..Plan::default() }).await?;
    let trader = Trader {
        clients: (0..4).map(|at| network.client(at)).collect::<Result<_>>()?,
        actors: network.take_actors(),
        open: vec![None; ACTORS],
        random: Random::new(random.next()),
        acknowledged: Vec::new(),
        height: 0,
    };
    let (stop, stopped) = watch::channel(false);
    let trading = tokio::spawn(trader.run(stopped));
    for round in 0..ROUNDS {
        kill_and_restart(&mut network, &mut random).await.wrap_err_with(|| format!("round {round}"))?;
    }
    stop.send_replace(true);
    let trader = tokio::time::timeout(SOON, trading).await.wrap_err("transfers stay open")???;

    ensure!(trader.acknowledged.len() > ROUNDS * ACTORS, "only {} transfers", trader.acknowledged.len());
    let judge = network.client(0)?;
    for hash in &trader.acknowledged {
        let found =
            judge.wait_for_transaction(hash, SOON).await.wrap_err_with(|| format!("transfer {hash}"))?;
        ensure!(found.outcome == Some(OutcomeView::Done), "acknowledged, but {found:?}");
    }
    let height = judge.status().await?.height;
    network.all_at(height, SOON).await?;
    let compared = network.check_agreement().await?;
    ensure!(compared >= height, "compared only {compared} blocks of {height}");
    network.check_nobody_convicted().await?;
    network.check_conservation(&judge).await?;
    for actor in &trader.actors {
        let account = judge.account(&actor.address()).await?;
        ensure!(account.committed_sequence == actor.sequence(), "{actor:?}: {account:?}");
    }
    network.stop().await
}

/// Kills one validator or two at a random moment each, and starts them again after a while.
async fn kill_and_restart(network: &mut Network, random: &mut Random) -> Result<()> {
    let validators = network.validators() as u64;
    let first = random.below(validators);
    // Sometimes two: then the chain stands until one is back.
    let second = (random.below(3) == 0).then(|| (first + random.between(1, validators - 1)) % validators);
    let victims: Vec<usize> = [Some(first), second].into_iter().flatten().map(|at| at as usize).collect();
    // What matters is that these moments have nothing to do with what the network is doing.
    for victim in &victims {
        sleep(Duration::from_millis(random.between(0, 800))).await;
        network.node(*victim).kill9().await?;
    }
    sleep(Duration::from_millis(random.between(100, 1_500))).await;
    for victim in &victims {
        network.node(*victim).start().await?;
    }
    wait::more_blocks(&network.client(victims[0])?, 2, SOON).await?;
    Ok(())
}
