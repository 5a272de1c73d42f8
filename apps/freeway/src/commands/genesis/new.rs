//! `freeway genesis new`.

use core::str::FromStr;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use freeway_api::GenesisFile;
use freeway_ledger::{Genesis, GenesisAccount, GenesisHost, Preset, Text};
use freeway_primitives::{Address, Amount};

use super::invalid;
use super::show::Shown;
use crate::cli::{Context, Party};
use crate::files::write_new;
use crate::hints::Problem;
use crate::host_file::{HostFile, invalid_text};

#[derive(Debug, Args)]
pub(super) struct New {
    /// The network's name, for people.
    #[arg(long, value_name = "NAME")]
    name: String,

    /// The parameters: `local` for one machine or a test, `main` for a public network.
    #[arg(long, value_name = "PRESET", default_value = "local", value_parser = ["local", "main"])]
    preset: String,

    /// A first host, as `freeway node init` describes it; once for each. Its collateral is created with it.
    #[arg(long = "host", value_name = "FILE", required = true, help_heading = "Contents")]
    hosts: Vec<PathBuf>,

    /// A first owner and its free balance, such as alice=1000; once for each.
    #[arg(long = "account", value_name = "ADDRESS|NAME=AMOUNT", help_heading = "Contents")]
    accounts: Vec<Share>,

    /// Write the genesis here. An existing file is kept.
    #[arg(long, value_name = "FILE", help_heading = "Contents")]
    out: PathBuf,
}

/// An owner and an amount.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Share {
    owner: Party,
    amount: Amount,
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (owner, amount) = text
            .split_once('=')
            .ok_or("there is no = in it; write for example fwy1...=1000 or alice=1000")?;
        Ok(Self {
            owner: owner.parse().map_err(|error| format!("{error}"))?,
            amount: amount.parse().map_err(|error| format!("{error}"))?,
        })
    }
}

impl New {
    pub(super) fn run(self, context: &Context) -> Result<(), Problem> {
        let hosts = self.hosts.iter().map(|path| HostFile::read(path)?.into_genesis());
        let hosts: Vec<GenesisHost> = hosts.collect::<Result<_, _>>()?;
        let shares = self.accounts.iter().map(|share| Ok((context.address(&share.owner)?, share.amount)));
        let shares: Vec<(Address, Amount)> = shares.collect::<Result<_, Problem>>()?;
        let preset: Preset = self.preset.parse().map_err(|error| Problem::usage(format!("{error}")))?;
        let genesis = Genesis {
            name: Text::new(self.name).map_err(|error| invalid_text(&error))?,
            time_ms: now_ms(),
            params: preset.params(),
            accounts: balances(&hosts, shares)?,
            hosts,
        };
        let shown = Shown::of(&genesis)?;
        let file = GenesisFile::from(&genesis);
        // What is written must mean what was made, before anybody starts a network with it.
        file.build().map_err(invalid)?;
        write_new(&self.out, file.to_json().as_bytes())?;
        context.output().result(&shown)?;
        context.output().note(format_args!("written to {}", self.out.display()));
        Ok(())
    }
}

/// What everybody has: shares, and for hosts their collateral, which genesis takes from their balance.
fn balances(hosts: &[GenesisHost], shares: Vec<(Address, Amount)>) -> Result<Vec<GenesisAccount>, Problem> {
    let mut balances: BTreeMap<Address, Amount> = BTreeMap::new();
    let collateral = hosts.iter().map(|host| (host.address, host.collateral));
    for (address, amount) in collateral.chain(shares) {
        let balance = balances.entry(address).or_default();
        *balance = balance.checked_add(amount).ok_or_else(|| {
            Problem::new("invalid_genesis", format!("{address} would have more than can exist"))
                .hint("give smaller amounts")
        })?;
    }
    Ok(balances.into_iter().map(|(address, balance)| GenesisAccount { address, balance }).collect())
}

/// A clock before 1970 reads as 0: the time is for people, and to keep networks apart.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_an_owner_and_an_amount() {
        let share: Share = "alice=12.5".parse().unwrap();
        assert_eq!((share.owner.to_string().as_str(), share.amount), ("alice", Amount(12_500_000_000)));
        for text in ["alice", "=1", "alice=", "alice=x", "Alice=1", "a=1=2"] {
            assert!(text.parse::<Share>().unwrap_err().contains("; "), "{text}");
        }
    }

    #[test]
    fn shares_of_one_owner_add_up() {
        let address = Address([1; 32]);
        let sum = balances(&[], vec![(address, Amount(1)), (address, Amount(2))]).unwrap();
        assert_eq!(sum, [GenesisAccount { address, balance: Amount(3) }]);
        assert!(balances(&[], vec![(address, Amount(u128::MAX)), (address, Amount(1))]).is_err());
    }
}
