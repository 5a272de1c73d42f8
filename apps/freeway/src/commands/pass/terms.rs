//! What a pass allows, on the command line and in results.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use freeway_gateway::PassLimits;
use freeway_primitives::Amount;
use serde::Serialize;

use crate::hints::Problem;

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Limits as they are typed.
#[derive(Debug, Args)]
pub(super) struct Terms {
    /// What may be spent in all; without it nothing that costs something may be asked.
    #[arg(long, value_name = "AMOUNT")]
    budget: Option<Amount>,

    /// A model that may be asked; may be given several times [default: all].
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,

    /// How long it may be used, as 90m, 12h or 30d.
    #[arg(long = "for", value_name = "TIME", value_parser = span, conflicts_with = "until")]
    lasting: Option<u64>,

    /// The last moment of its use, as 2030-01-31T23:59:59Z.
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    until: Option<u64>,

    /// Requests a minute [default: as many as the gateway takes].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// What it is for.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Terms {
    /// As limits. `lasting` is for how long they hold if nothing is said, in seconds.
    pub(super) fn limits(self, lasting: Option<u64>) -> Result<PassLimits, Problem> {
        let after = |seconds: u64| now().saturating_add(seconds);
        let expires = self.until.or_else(|| self.lasting.or(lasting).map(after));
        if let Some(past) = self.until.filter(|&until| until < now()) {
            let limits = PassLimits { expires: Some(past), ..PassLimits::default() };
            let problem = format!("{} is over", limits.end().unwrap_or_default());
            return Err(Problem::usage(problem).hint("name a later moment, or write for example --for 30d"));
        }
        let models: BTreeSet<String> = self.models.into_iter().collect();
        Ok(PassLimits {
            name: self.name,
            budget: self.budget,
            models: (!models.is_empty()).then_some(models),
            expires,
            rate: self.rate,
            network: None,
        })
    }
}

/// `90m`, `12h` or `30d`, in seconds.
fn span(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time; write for example 90m, 12h or 30d");
    let (number, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).filter(|&seconds| seconds > 0).ok_or_else(wrong)
}

fn moment(text: &str) -> Result<u64, String> {
    PassLimits::moment(text)
        .ok_or_else(|| format!("{text:?} is no moment; write for example 2030-01-31T23:59:59Z"))
}

/// Limits in a result.
#[derive(Debug, Serialize)]
pub(super) struct Limits {
    name: Option<String>,
    #[serde(with = "freeway_api::text::option")]
    budget: Option<Amount>,
    models: Option<BTreeSet<String>>,
    until: Option<String>,
    rate: Option<u32>,
    network: Option<String>,
}

impl From<&PassLimits> for Limits {
    fn from(limits: &PassLimits) -> Self {
        Self {
            name: limits.name.clone(),
            budget: limits.budget,
            models: limits.models.clone(),
            until: limits.end(),
            rate: limits.rate,
            network: limits.network.clone(),
        }
    }
}

impl Limits {
    /// Names and values for people; what is absent is empty.
    pub(super) fn fields(&self) -> [(&'static str, String); 6] {
        let models = self.models.as_ref().map(|models| match models.is_empty() {
            true => "none".to_owned(),
            false => models.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        });
        [
            ("name", self.name.clone().unwrap_or_default()),
            ("budget", self.budget.map(|budget| budget.to_string()).unwrap_or_default()),
            ("models", models.unwrap_or_default()),
            ("until", self.until.clone().unwrap_or_default()),
            ("rate", self.rate.map(|rate| format!("{rate} requests a minute")).unwrap_or_default()),
            ("network", self.network.clone().unwrap_or_default()),
        ]
    }

    /// In one line.
    pub(super) fn line(&self) -> String {
        let given = self.fields().into_iter().filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, seconds) in [("1s", 1), ("90m", 5_400), ("12h", 43_200), ("30d", 2_592_000)] {
            assert_eq!(span(text), Ok(seconds));
        }
        for text in ["", "d", "0d", "1w", "-1d", "99999999999999999999d", "1é", "18446744073709551615d"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
