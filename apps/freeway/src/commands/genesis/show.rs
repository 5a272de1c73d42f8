//! `freeway genesis show`.

use std::path::{Path, PathBuf};

use clap::Args;
use freeway_api::GenesisFile;
use freeway_ledger::Genesis;
use freeway_primitives::{Address, Amount, ValidatorSet};
use serde::Serialize;
use serde_json::Value;

use super::invalid;
use crate::cli::Context;
use crate::files::read_bounded;
use crate::hints::Problem;
use crate::output::time::utc;
use crate::output::{Column, Page, Show};

/// Largest genesis file.
const MAX_BYTES: u64 = freeway_api::genesis::MAX_JSON_BYTES as u64;

#[derive(Debug, Args)]
pub(super) struct ShowGenesis {
    /// The genesis file.
    file: PathBuf,
}

/// What a genesis defines.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    file: GenesisFile,
    /// All money there is.
    #[serde(with = "freeway_api::text::nfwy")]
    supply: Amount,
    /// The first validators, by falling power.
    validators: Vec<FirstValidator>,
    total_power: u64,
}

#[derive(Debug, Serialize)]
struct FirstValidator {
    #[serde(with = "freeway_api::text")]
    address: Address,
    power: u64,
}

impl Shown {
    /// Everything about a genesis, if a network can start from it.
    pub(super) fn of(genesis: &Genesis) -> Result<Self, Problem> {
        let (_, validators): (_, ValidatorSet) =
            freeway_ledger::open(genesis).map_err(|error| invalid(error.into()))?;
        let sum = |sum: Amount, balance: Amount| sum.checked_add(balance);
        let supply = genesis.accounts.iter().try_fold(Amount::ZERO, |total, entry| sum(total, entry.balance));
        let first = |v: &freeway_primitives::Validator| FirstValidator { address: v.address, power: v.power };
        Ok(Self {
            file: genesis.into(),
            // The ledger has added it up without overflow.
            supply: supply.unwrap_or_default(),
            validators: validators.members().iter().map(first).collect(),
            total_power: validators.total_power(),
        })
    }

    fn power(&self, host: &Address) -> u64 {
        self.validators.iter().find(|v| v.address == *host).map_or(0, |v| v.power)
    }
}

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        let file = &self.file;
        page.fields([
            ("network", file.name.clone()),
            ("chain", file.chain.map(|chain| chain.to_string()).unwrap_or_default()),
            ("made", utc(file.time_ms)),
            ("preset", file.preset.clone().unwrap_or_else(|| "none: parameters of its own".to_owned())),
            ("supply", self.supply.to_string()),
            ("power", format!("{} of {} validators", self.total_power, self.validators.len())),
        ]);
        page.gap();
        let columns = [
            Column::left("HOST"),
            Column::right("WEIGHT"),
            Column::right("POWER"),
            Column::right("COLLATERAL"),
            Column::left("OPERATOR"),
            Column::left("REGION"),
        ];
        let row = |host: &freeway_api::genesis::HostEntry| {
            vec![
                host.address.to_string(),
                host.weight.to_string(),
                self.power(&host.address).to_string(),
                host.collateral.to_string(),
                host.operator.clone(),
                host.region.clone(),
            ]
        };
        page.table(&columns, file.hosts.iter().map(row));
        page.gap();
        let row = |entry: &freeway_api::genesis::AccountEntry| {
            vec![entry.address.to_string(), entry.balance.to_string()]
        };
        page.table(&[Column::left("ACCOUNT"), Column::right("BALANCE")], file.accounts.iter().map(row));
        page.gap();
        page.line("PARAMETERS");
        let mut lines = Vec::new();
        flatten("", &file.parameters, &mut lines);
        page.fields(lines.iter().map(|(name, value)| (name.as_str(), value.clone())));
    }
}

/// Each number of nested objects under the names that lead to it.
fn flatten(path: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, lines);
            }
        }
        Value::String(text) => lines.push((path.to_owned(), text.clone())),
        other => lines.push((path.to_owned(), other.to_string())),
    }
}

/// Reads a genesis file and checks that a network can start from it.
fn read(path: &Path) -> Result<Genesis, Problem> {
    let bytes = read_bounded(path, MAX_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|error| Problem::file("read", path, error))?;
    let built = GenesisFile::from_json(&text).and_then(|file| file.build());
    built.map_err(|error| {
        let problem = invalid(error);
        let message = format!("{}: {}", path.display(), problem.message());
        problem.saying(message)
    })
}

impl ShowGenesis {
    pub(super) fn run(self, context: &Context) -> Result<(), Problem> {
        context.output().result(&Shown::of(&read(&self.file)?)?)
    }
}
