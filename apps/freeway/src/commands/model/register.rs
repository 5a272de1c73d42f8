//! `freeway model register` and `retire`: the models of a network.

use std::path::Path;

use clap::Args;
use freeway_ledger::models::{self, Description, Tier};
use freeway_ledger::{Message, Text};
use freeway_models::{Package, guide};
use freeway_primitives::{Amount, Digest};
use freeway_proofs::work::Prices;

use super::library;
use crate::cli::Context;
use crate::commands::submit::Signing;
use crate::hints::Problem;

/// Options of `freeway model register`.
#[derive(Debug, Args)]
pub(super) struct Register {
    /// The package: `guide`, or the name or root of one that `freeway model list` shows.
    #[arg(value_name = "PACKAGE")]
    package: String,

    /// Its name on the network: a-z, 0-9, `.`, `_`, `-` [default: that of the package, in lower case].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// What a million tokens of prompts cost at first [default: the network's least].
    #[arg(long, value_name = "AMOUNT")]
    input: Option<Amount>,

    /// What a million tokens of prompts cost that the host still knew [default: the network's least].
    #[arg(long, value_name = "AMOUNT")]
    known: Option<Amount>,

    /// What a million generated tokens cost at first [default: the network's least].
    #[arg(long, value_name = "AMOUNT")]
    output: Option<Amount>,

    /// How many multiply-adds of the race take as long as one generated token [default: the model's parameters].
    #[arg(long, value_name = "N")]
    work: Option<u64>,

    #[command(flatten)]
    signing: Signing,
}

/// Options of `freeway model retire`.
#[derive(Debug, Args)]
pub(super) struct Retire {
    /// The model: its name on the network, or its root.
    model: String,

    #[command(flatten)]
    signing: Signing,
}

impl Register {
    pub(super) async fn run(self, folder: &Path, context: &Context) -> Result<(), Problem> {
        let package = find(folder, &self.package)?;
        let floor = context.connect().await?.client().parameters().await?.pricing.floor;
        let prices = Prices {
            input: price(self.input, floor.input)?,
            cached: price(self.known, floor.cached)?,
            output: price(self.output, floor.output)?,
        };
        let message = register(&package, self.name.as_deref(), self.work, prices)?;
        self.signing.send(context, message).await
    }
}

impl Retire {
    pub(super) async fn run(self, context: &Context) -> Result<(), Problem> {
        let root: Digest = match self.model.parse() {
            Ok(root) => root,
            Err(_) => context.connect().await?.client().model(&self.model, None, 1).await?.model.root,
        };
        self.signing.send(context, Message::Models(models::Message::Retire { root })).await
    }
}

/// What adds a package to the models of a network.
///
/// # Errors
/// If its name cannot stand on a chain.
pub(crate) fn register(
    package: &Package,
    name: Option<&str>,
    work: Option<u64>,
    prices: Prices,
) -> Result<Message, Problem> {
    let config = package.config();
    let name = name.map_or_else(|| package.name().to_ascii_lowercase(), str::to_owned);
    let name = Text::new(name).map_err(|error| crate::host_file::invalid_text(&error))?;
    let description = Description {
        name,
        tier: Tier::Exact,
        context: config.context,
        vocabulary: config.vocabulary,
        work: work.unwrap_or_else(|| config.parameters()).clamp(1, models::MAX_WORK),
        prices,
        noise: None,
    };
    let root = package.root().0;
    Ok(Message::Models(models::Message::Register { root, description }))
}

/// A package of this machine.
fn find(folder: &Path, name: &str) -> Result<Package, Problem> {
    let guide = guide::package();
    if name == guide.name() || name == guide.root().to_string() {
        return Ok(guide);
    }
    let unknown = |error: &dyn std::fmt::Display| {
        Problem::told("unknown_model", error)
            .or_hint("`freeway model list` shows the packages of this machine")
    };
    let library = library(folder)?;
    let entry = library.find(name).map_err(|error| unknown(&error))?;
    library.package(&entry).map_err(|error| unknown(&error))
}

fn price(given: Option<Amount>, least: u64) -> Result<u64, Problem> {
    let Some(given) = given else { return Ok(least) };
    u64::try_from(given.0).map_err(|_| {
        Problem::usage(format!("{given} is more than any price can be"))
            .hint("give the price of a million tokens")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_is_described_by_its_package() {
        let guide = guide::package();
        let prices = Prices { input: 1, cached: 1, output: 1 };
        let Message::Models(models::Message::Register { root, description }) =
            register(&guide, None, None, prices).unwrap()
        else {
            panic!("not a registration");
        };
        assert_eq!(root, guide.root().0);
        assert_eq!((description.name.as_str(), description.tier), ("guide", Tier::Exact));
        assert_eq!(description.context, guide.config().context);
        assert!(register(&guide, Some("a\nb"), None, prices).is_err());
        assert_eq!(price(None, 7), Ok(7));
        assert_eq!(price(Some(Amount(9)), 7), Ok(9));
        assert!(price(Some(Amount(u128::MAX)), 7).is_err());
    }
}
