//! Registers models on a new network, so that hosts serve them and the developer's gateway pays for it.

use std::time::Duration;

use freeway_api::{Client, ClientError};
use freeway_ledger::models::Tier;
use freeway_ledger::{Body, Message};
use freeway_models::Package;
use freeway_primitives::{Address, Canonical, Height, SecretKey};
use freeway_proofs::work::Prices;
use tokio::time::{MissedTickBehavior, interval};

use crate::commands::model::{Checks, register};
use crate::hints::Problem;
use crate::output::Output;

/// What a million tokens of a model cost at first, in base units: 1, 0.1 and 4 coins. Play money: what an answer
/// costs should be seen in a balance.
const PRICES: Prices = Prices { input: 1_000_000_000, cached: 100_000_000, output: 4_000_000_000 };
/// How often the network is asked whether it is done.
const LOOK: Duration = Duration::from_secs(1);
/// How many blocks the transaction may wait.
const LIFETIME: u64 = 30;
/// How often it is sent.
const TRIES: u32 = 5;
/// The error of a transaction whose number another one of the same key has taken.
const OVERTAKEN: &str = "sequence_used";

/// A model that hosts of the network serve.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) package: Package,
    /// A server answers for it, so that its answers cannot be computed again.
    pub(super) by_server: bool,
}

impl Served {
    fn tier(&self) -> Tier {
        if self.by_server { Tier::Statistical } else { Tier::Exact }
    }
}

/// Sees to it that models are registered, and ends when they are. What cannot be done is said.
pub(super) async fn models(rpc: &[String], served: &[Served], developer: Option<SecretKey>, output: Output) {
    let Some(key) = developer else {
        output.detail("there is no key `developer` here, so nobody registers models");
        return;
    };
    let clients: Vec<Client> = rpc.iter().filter_map(|url| Client::new(url).ok()).collect();
    for model in served {
        if let Err(problem) = one(&clients, model, &key).await {
            let hint = format!("the hosts are not paid for `{}` as it is", model.package.name());
            output.note(problem.and_hint(hint));
        }
    }
}

async fn one(clients: &[Client], model: &Served, key: &SecretKey) -> Result<(), Problem> {
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = Sent::default();
    loop {
        tick.tick().await;
        for client in clients {
            match step(client, model, key, &mut sent).await {
                Ok(Step::Done) => return Ok(()),
                Ok(Step::Wait) => break,
                Err(Failed::Silent) => {}
                Err(Failed::For(problem)) => return Err(problem),
            }
        }
    }
}

/// What was sent so far.
#[derive(Default)]
struct Sent {
    times: u32,
    /// The height until which the latest may come.
    until: Option<u64>,
}

enum Step {
    Done,
    Wait,
}

enum Failed {
    /// The node does not answer: another one may.
    Silent,
    /// It would fail again.
    For(Problem),
}

/// Looks whether it is done, and sends the transaction if that is not under way.
async fn step(client: &Client, model: &Served, key: &SecretKey, sent: &mut Sent) -> Result<Step, Failed> {
    let (package, tier) = (&model.package, model.tier().name());
    let name = package.name();
    let status = client.status().await.map_err(|_| Failed::Silent)?;
    match client.model(&package.root().0.to_string(), None, 1).await {
        Ok(known) if known.model.tier == tier => return Ok(Step::Done),
        Ok(known) => {
            let message =
                format!("{name} is registered here as {}, and is to be served as {tier}", known.model.tier);
            let problem = Problem::new("other_tier", message);
            return Err(Failed::For(
                problem.hint("begin anew with --fresh, or in another directory with --dir"),
            ));
        }
        Err(error) if error.is_not_found() => {}
        Err(_) => return Err(Failed::Silent),
    }
    if sent.until.is_some_and(|until| status.height <= until) {
        return Ok(Step::Wait);
    }
    if sent.times >= TRIES {
        let problem =
            Problem::new("not_registered", format!("{name} could not be registered with the network"));
        let statistical = if model.by_server { " --statistical" } else { "" };
        return Err(Failed::For(
            problem
                .hint(format!("see why with `freeway model register {name}{statistical} --from developer`")),
        ));
    }
    let checks = if model.by_server { Checks::Likelihood(None) } else { Checks::Again };
    let message: Message = register(package, None, None, PRICES, checks).map_err(Failed::For)?;
    let account = client.account(&Address::of(&key.public())).await.map_err(|_| Failed::Silent)?;
    let expiry = Height(status.height).plus(LIFETIME);
    let body = Body {
        chain: status.chain,
        signer: key.public(),
        on_behalf_of: None,
        sequence: account.sequence,
        expiry,
        message,
    };
    match client.submit_bytes(&body.sign(key).encode()).await {
        Ok(_) => {
            *sent = Sent { times: sent.times + 1, until: Some(expiry.0) };
            Ok(Step::Wait)
        }
        Err(error) if error.code() == OVERTAKEN => Ok(Step::Wait),
        Err(error @ ClientError::Api { status: 400..500, .. }) => Err(Failed::For(error.into())),
        Err(_) => Err(Failed::Silent),
    }
}
