//! Checking a node's word about an account.

use freeway_ledger::accounts::ACCOUNTS;
use freeway_primitives::{Address, Amount, Digest};
use serde::Serialize;

use crate::cli::Node;
use crate::hints::Problem;
use crate::output::{Page, Show};

/// What is proven about an account.
#[derive(Debug, Serialize)]
pub(super) struct Proven {
    /// Always true: what does not hold is an error.
    verified: bool,
    /// The height of the state.
    height: u64,
    exists: bool,
    #[serde(with = "freeway_api::text::nfwy")]
    balance: Amount,
    sequence: u64,
    /// The state root.
    #[serde(with = "freeway_api::text")]
    root: Digest,
    /// The digest of the validators that signed the header with the root.
    #[serde(with = "freeway_api::text")]
    validators: Digest,
}

impl Show for Proven {
    fn show(&self, page: &mut Page) {
        page.line(format_args!("proven at height {}:", self.height));
        let exists = if self.exists { "" } else { " (the account does not exist)" };
        page.fields([
            ("  balance", format!("{}{exists}", self.balance)),
            ("  sequence", self.sequence.to_string()),
            ("  state root", self.root.to_string()),
            ("  signed by", format!("more than two thirds of the validators {}", self.validators)),
        ]);
        page.line(
            "  The validators themselves are the node's word: compare their digest with another node's.",
        );
    }
}

/// Asks for a proof about an account at the latest height with a certified root, and checks it.
pub(super) async fn check(node: &Node, address: &Address) -> Result<Proven, Problem> {
    let height = node.proven_height()?;
    let answer = node.account_proof(address, height).await?;
    let proven = node.check_proof(&ACCOUNTS, address, height, &answer).await?;
    let exists = proven.value.is_some();
    let account = proven.value.unwrap_or_default();
    Ok(Proven {
        verified: true,
        height,
        exists,
        balance: account.balance,
        sequence: account.sequence,
        root: proven.root,
        validators: proven.validators,
    })
}
