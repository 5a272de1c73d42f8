//! `freeway model register` and `retire`: the models of a network.

use std::path::{Path, PathBuf};

use clap::Args;
use freeway_api::NoiseView;
use freeway_ledger::models::{self, Description, Tier};
use freeway_ledger::{Message, Text};
use freeway_models::{Package, guide};
use freeway_primitives::{Amount, Digest};
use freeway_proofs::work::Prices;
use freeway_requests::evidence::Noise;

use super::library;
use crate::cli::Context;
use crate::commands::submit::Signing;
use crate::files::read_bounded;
use crate::hints::Problem;

/// Largest file with a noise.
const MAX_NOISE_BYTES: u64 = 64 << 10;

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

    /// Hosts answer with servers of their own that have the same weights: answers are not computed again, but judged by
    /// how likely they are.
    #[arg(long)]
    statistical: bool,

    /// How much honest servers differ, as `freeway model calibrate --out` writes it [default: the widest that is
    /// assumed].
    #[arg(long, value_name = "FILE", requires = "statistical")]
    noise: Option<PathBuf>,

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
        let checks = if self.statistical {
            Checks::Likelihood(self.noise.as_deref().map(noise).transpose()?)
        } else {
            Checks::Again
        };
        let message = register(&package, self.name.as_deref(), self.work, prices, checks)?;
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

/// How the answers of a model are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checks {
    /// They are computed again, bit for bit.
    Again,
    /// By their likelihood, with this noise of honest machines if it was measured.
    Likelihood(Option<Noise>),
}

/// The noise in a file.
fn noise(path: &Path) -> Result<Noise, Problem> {
    let bytes = read_bounded(path, MAX_NOISE_BYTES)?;
    let wrong = |told: String| {
        Problem::new("invalid_noise", format!("{}: {told}", path.display()))
            .hint("measure it with `freeway model calibrate PACKAGE --engine URL --out FILE`")
    };
    let view: NoiseView =
        serde_json::from_slice(&bytes).map_err(|error| wrong(format!("it is no noise: {error}")))?;
    let noise = Noise::from(&view);
    match beyond(&noise) {
        Some(told) => Err(wrong(told)),
        None => Ok(noise),
    }
}

/// What of a noise no network takes, in words.
pub(super) fn beyond(noise: &Noise) -> Option<String> {
    let Noise { gap, rate, allowance } = *noise;
    let allowed = allowance.into_iter().max().unwrap_or(0);
    [
        ("a gap", gap, models::MAX_GAP),
        ("a rate", rate, models::MAX_RATE),
        ("an allowance", allowed, models::MAX_ALLOWANCE),
    ]
    .into_iter()
    .find(|(_, is, most)| is > most)
    .map(|(what, is, most)| format!("{what} of {is} is more than the {most} that networks take"))
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
    checks: Checks,
) -> Result<Message, Problem> {
    let config = package.config();
    let name = name.map_or_else(|| package.name().to_ascii_lowercase(), str::to_owned);
    let name = Text::new(name).map_err(|error| crate::host_file::invalid_text(&error))?;
    let (tier, noise) = match checks {
        Checks::Again => (Tier::Exact, None),
        Checks::Likelihood(noise) => (Tier::Statistical, noise),
    };
    let description = Description {
        name,
        tier,
        context: config.context,
        vocabulary: config.vocabulary,
        work: work.unwrap_or_else(|| config.parameters()).clamp(1, models::MAX_WORK),
        prices,
        noise,
    };
    let root = package.root().0;
    Ok(Message::Models(models::Message::Register { root, description }))
}

/// A package of this machine.
pub(crate) fn find(folder: &Path, name: &str) -> Result<Package, Problem> {
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
            register(&guide, None, None, prices, Checks::Again).unwrap()
        else {
            panic!("not a registration");
        };
        assert_eq!(root, guide.root().0);
        assert_eq!((description.name.as_str(), description.tier), ("guide", Tier::Exact));
        assert_eq!(description.context, guide.config().context);
        assert_eq!(description.noise, None);
        let noise = Some(Noise { gap: 20_000, ..Noise::default() });
        let Message::Models(models::Message::Register { description, .. }) =
            register(&guide, None, None, prices, Checks::Likelihood(noise)).unwrap()
        else {
            panic!("not a registration");
        };
        assert_eq!((description.tier, description.noise), (Tier::Statistical, noise));
        assert!(register(&guide, Some("a\nb"), None, prices, Checks::Again).is_err());
        assert_eq!(price(None, 7), Ok(7));
        assert_eq!(price(Some(Amount(9)), 7), Ok(9));
        assert!(price(Some(Amount(u128::MAX)), 7).is_err());
    }

    #[test]
    fn noise_is_read_from_a_file_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise.json");
        std::fs::write(&path, r#"{"gap":20000,"rate":1500,"allowance":[1,2,3]}"#).unwrap();
        assert_eq!(noise(&path), Ok(Noise { gap: 20_000, rate: 1_500, allowance: [1, 2, 3] }));
        for (text, named) in [
            ("{}", "no noise"),
            (r#"{"gap":1000001,"rate":0,"allowance":[0,0,0]}"#, "a gap of 1000001"),
            (r#"{"gap":1,"rate":100001,"allowance":[0,0,0]}"#, "a rate"),
            (r#"{"gap":1,"rate":1,"allowance":[0,0,100001]}"#, "an allowance"),
        ] {
            std::fs::write(&path, text).unwrap();
            let problem = noise(&path).unwrap_err();
            assert!(problem.message().contains(named) && problem.code() == "invalid_noise", "{problem}");
        }
    }
}
