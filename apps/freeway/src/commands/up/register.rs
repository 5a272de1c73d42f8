//! Registers models on a new network, so that hosts serve them and the developer's gateway pays for it.

use freeway_api::Client;
use freeway_ledger::Message;
use freeway_ledger::models::Tier;
use freeway_models::Package;
use freeway_primitives::SecretKey;
use freeway_proofs::work::Prices;

use crate::commands::launch::{Failed, Want, run_errand};
use crate::commands::model::{Checks, register};
use crate::hints::Problem;
use crate::output::Output;

/// What a million tokens of a model cost at first, in base units: 1, 0.1 and 4 coins. Play money: what an answer
/// costs should be seen in a balance.
const PRICES: Prices = Prices { input: 1_000_000_000, cached: 100_000_000, output: 4_000_000_000 };

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
    let name = model.package.name();
    let gave_up = || {
        let statistical = if model.by_server { " --statistical" } else { "" };
        Problem::new("not_registered", format!("{name} could not be registered with the network"))
            .hint(format!("see why with `freeway model register {name}{statistical} --from developer`"))
    };
    run_errand(clients, Some(key), async |client, _| look(client, model).await, gave_up).await
}

/// Whether the model is registered, and what registers it.
async fn look(client: &Client, model: &Served) -> Result<Want, Failed> {
    let (package, tier) = (&model.package, model.tier().name());
    match client.model(&package.root().0.to_string(), None, 1).await {
        Ok(known) if known.model.tier == tier => return Ok(Want::Nothing),
        Ok(known) => {
            let (name, there) = (package.name(), known.model.tier);
            let message = format!("{name} is registered here as {there}, and is to be served as {tier}");
            let problem = Problem::new("other_tier", message);
            return Err(Failed::For(
                problem.hint("begin anew with --fresh, or in another directory with --dir"),
            ));
        }
        Err(error) if error.is_not_found() => {}
        Err(_) => return Err(Failed::Silent),
    }
    let checks = if model.by_server { Checks::Likelihood(None) } else { Checks::Again };
    let message: Message = register(package, None, None, PRICES, checks).map_err(Failed::For)?;
    Ok(Want::Send(Box::new(message)))
}
