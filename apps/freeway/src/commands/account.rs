//! `freeway account`: what an account holds and may do.

mod proof;

use clap::Args;
use freeway_api::AccountView;
use serde::Serialize;

use super::delegate;
use crate::cli::{Context, Party};
use crate::hints::Problem;
use crate::output::{Page, Show};

use proof::Proven;

const EXAMPLES: &str = "\
Examples:
  freeway account alice
  freeway account fwy1... --json | jq -r .balance      in base units: 12500000000 is 12.5 FWY
  freeway account fwy1... --proof                      check the node's word";

/// Options of `freeway account`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Account {
    /// Whose: an address, or the name of a key here.
    #[arg(value_name = "ADDRESS|NAME")]
    account: Party,

    /// Check balance and sequence against a state root that the validators have signed.
    #[arg(long)]
    proof: bool,
}

/// An account, and what of it is proven.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    account: AccountView,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Proven>,
}

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        let account = &self.account;
        let quota = &account.quota;
        let waiting = match account.sequence.saturating_sub(account.committed_sequence) {
            0 => String::new(),
            waiting => format!(", after {waiting} that wait"),
        };
        let unused = if account.exists { "" } else { " (never used)" };
        page.fields([
            ("account", format!("{}{unused}", account.address)),
            ("balance", account.balance.to_string()),
            ("sequence", format!("{}{waiting}", account.sequence)),
            ("quota", format!("{} transactions per {}, {} used", quota.limit, quota.period, quota.used)),
            ("height", account.height.to_string()),
        ]);
        if let Some(host) = &account.host {
            page.gap();
            super::host::fields(page, host);
        }
        if !account.delegates.is_empty() {
            page.gap();
            delegate::table(page, &account.delegates);
        }
        if let Some(proof) = &self.proof {
            page.gap();
            proof.show(page);
        }
    }
}

impl Account {
    /// Asks, checks if told to, and prints.
    ///
    /// # Errors
    /// If no node answers, or its proof does not hold.
    pub async fn run(self, context: &Context) -> Result<(), Problem> {
        let address = context.address(&self.account)?;
        let node = context.connect().await?;
        let account = node.account(&address).await?;
        let proof = if self.proof { Some(proof::check(&node, &address).await?) } else { None };
        context.output().result(&Shown { account, proof })
    }
}
