//! A gateway that pays hosts: from its configuration to the engine that does it.

use std::time::Duration;

use freeway_api::Client;
use freeway_gateway::Payment;
use freeway_gateway::lanes::{LaneEngine, LanesConfig as Settings};
use freeway_node::config::LanesConfig;
use freeway_primitives::{Address, SecretKey};

use super::engines::Engines;
use super::start::Paying;
use crate::cli::Context;
use crate::hints::Problem;
use crate::keystore::{Keystore, PassphraseSource};

/// The name of the money.
const ASSET: &str = "FWY";
/// How long a node may take to say what network it is of.
const PATIENCE: Duration = Duration::from_secs(3);

/// Starts to keep lanes for `names`, models of `engines`.
///
/// # Errors
/// If the key does not open, or what was kept cannot be read.
pub(super) async fn start(
    config: &LanesConfig,
    names: &[String],
    engines: &Engines,
    context: &Context,
) -> Result<Paying, Problem> {
    let key = unlock(config, context)?;
    let account = config.account().map_err(|error| Problem::told("invalid_config", error))?;
    let account = account.unwrap_or_else(|| Address::of(&key.public()));
    let mut settings = Settings::new(config.rpc.clone(), account, key, config.data.clone());
    settings.models = names.to_vec();
    settings.shares = config.hosts;
    settings.escrow = config.escrow;
    settings.budget = config.budget;
    settings.lifetime = config.lifetime;
    settings.regions = config.regions.clone();
    settings.operators = config.operators.clone();
    settings.allow_private = config.allow_private;
    settings.fallback = config.fallback;
    let lanes = LaneEngine::start(settings, engines.exact()).await.map_err(|error| {
        Problem::told("no_lanes", error).or_hint("correct the section [lanes] of the configuration")
    })?;
    let network = match &config.chain {
        Some(chain) => Some(chain.clone()),
        None => network(&config.rpc).await,
    };
    let payment =
        network.map(|network| Payment { network, pay_to: account.to_string(), asset: ASSET.to_owned() });
    Ok(Paying { lanes, payment })
}

/// The network of the first node that answers.
async fn network(rpc: &[String]) -> Option<String> {
    for url in rpc {
        let Ok(client) = Client::new(url) else { continue };
        if let Ok(Ok(status)) = tokio::time::timeout(PATIENCE, client.status()).await {
            return Some(status.chain.to_string());
        }
    }
    None
}

fn unlock(config: &LanesConfig, context: &Context) -> Result<SecretKey, Problem> {
    let keystore = Keystore::open(&config.key.keystore)?;
    keystore.entry(&config.key.name)?;
    let file = context.global().passphrase_file.clone().or_else(|| config.key.passphrase_file.clone());
    let source = PassphraseSource::of_process(file)?;
    let passphrase = source.existing(&format!("Passphrase of {}", config.key.name))?;
    Ok(keystore.unlock(&config.key.name, &passphrase)?)
}
