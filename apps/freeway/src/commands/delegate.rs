//! `freeway delegate`: lets other keys act for an account.

use core::str::FromStr;

use clap::{Args, Subcommand};
use freeway_api::DelegateView;
use freeway_ledger::Message;
use freeway_ledger::accounts::{self, Scope, Scopes};
use freeway_primitives::{Address, Amount, Height, PublicKey};
use serde::Serialize;

use super::submit::Signing;
use crate::cli::{Context, Party};
use crate::hints::Problem;
use crate::keystore::KeyName;
use crate::output::{Column, Page, Show};

const EXAMPLES: &str = "\
Examples:
  freeway delegate add agent --from alice --scope spend --allowance 5 --until 90000
  freeway delegate add 64-HEX-DIGITS --from alice --scope operator,verifier
  freeway delegate list alice
  freeway delegate remove agent --from alice

A delegate never moves more than its allowance, and can authorise nobody.";

/// Options of `freeway delegate`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Delegate {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Give a key rights over an account, or replace those it has.
    Add(Add),
    /// Take all rights away from a key.
    Remove(Remove),
    /// List the delegates of an account.
    List(List),
}

#[derive(Debug, Args)]
struct Add {
    /// The key: 64 hexadecimal digits, or the name of a key here.
    #[arg(value_name = "KEY|NAME")]
    key: WhichKey,

    /// What it may do: operator, verifier, lane, vote, spend.
    #[arg(long, value_name = "SCOPE", required = true, value_delimiter = ',', value_parser = scope)]
    scope: Vec<Scope>,

    /// How much it may move in all.
    #[arg(long, value_name = "AMOUNT", default_value = "0")]
    allowance: Amount,

    /// The last height at which it may act [default: no end].
    #[arg(long, value_name = "HEIGHT")]
    until: Option<u64>,

    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
struct Remove {
    /// The key: 64 hexadecimal digits, or the name of a key here.
    #[arg(value_name = "KEY|NAME")]
    key: WhichKey,

    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
struct List {
    /// Whose: an address, or the name of a key here.
    #[arg(value_name = "ADDRESS|NAME")]
    account: Party,
}

/// A public key, as people write it on the command line.
#[derive(Clone, Debug)]
pub(super) enum WhichKey {
    /// By its digits.
    Key(PublicKey),
    /// By its name here.
    Name(KeyName),
}

impl FromStr for WhichKey {
    type Err = String;

    /// A key has more digits than a name may have characters.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text.parse(), text.parse()) {
            (Ok(key), _) => Ok(Self::Key(key)),
            (_, Ok(name)) => Ok(Self::Name(name)),
            (Err(error), Err(_)) => Err(format!("{error}; or give the name of a key here")),
        }
    }
}

impl WhichKey {
    pub(super) fn resolve(self, context: &Context) -> Result<PublicKey, Problem> {
        match self {
            Self::Key(key) => Ok(key),
            Self::Name(name) => Ok(context.entry(&Party::Name(name))?.public_key),
        }
    }
}

fn scope(name: &str) -> Result<Scope, String> {
    let names = || Scope::ALL.map(Scope::name).join(", ");
    let found = Scope::ALL.into_iter().find(|scope| scope.name() == name);
    found.ok_or_else(|| format!("there is no such scope; choose among {}", names()))
}

/// The delegates of an account.
#[derive(Debug, Serialize)]
struct Delegates {
    #[serde(with = "freeway_api::text")]
    account: Address,
    delegates: Vec<DelegateView>,
}

impl Show for Delegates {
    fn show(&self, page: &mut Page) {
        if self.delegates.is_empty() {
            page.line("no delegates");
        } else {
            table(page, &self.delegates);
        }
    }
}

/// A table of delegates.
pub(super) fn table(page: &mut Page, delegates: &[DelegateView]) {
    let columns = [
        Column::left("DELEGATE KEY"),
        Column::left("SCOPES"),
        Column::right("ALLOWANCE"),
        Column::right("UNTIL HEIGHT"),
    ];
    let row = |delegate: &DelegateView| {
        let until = delegate.expires.map_or_else(|| "no end".to_owned(), |height| height.to_string());
        vec![delegate.key.to_string(), delegate.scopes.join(","), delegate.allowance.to_string(), until]
    };
    page.table(&columns, delegates.iter().map(row));
}

impl Delegate {
    /// Runs the command.
    ///
    /// # Errors
    /// If a transaction cannot be signed or sent, or fails; if no node answers.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        match self.command {
            Command::Add(Add { key, scope, allowance, until, signing }) => {
                let key = key.resolve(context)?;
                let scopes = Scopes::of(&scope);
                let expires = Height(until.unwrap_or(u64::MAX));
                let message = accounts::Message::Authorise { key, scopes, expires, allowance };
                signing.send(context, Message::Accounts(message)).await
            }
            Command::Remove(Remove { key, signing }) => {
                let message = accounts::Message::Revoke { key: key.resolve(context)? };
                signing.send(context, Message::Accounts(message)).await
            }
            Command::List(List { account }) => {
                let address = context.address(&account)?;
                let view = context.connect().await?.account(&address).await?;
                context.output().result(&Delegates { account: address, delegates: view.delegates })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_names_are_told_apart() {
        assert!(matches!("ab".repeat(32).parse(), Ok(WhichKey::Key(_))));
        assert!(matches!("ab".parse(), Ok(WhichKey::Name(_))));
        assert!("ab".repeat(31).parse::<WhichKey>().unwrap_err().contains("64 hexadecimal digits"));
    }

    #[test]
    fn scopes_have_the_ledgers_names() {
        assert_eq!(scope("spend"), Ok(Scope::Spend));
        assert!(scope("Spend").unwrap_err().contains("operator, verifier, lane, vote, spend"));
    }
}
