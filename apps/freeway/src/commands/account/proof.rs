//! Checking a node's word about an account.
//!
//! ```text
//! account ──state proof──► state root ──in the next header──► header ──certificate──► more than two thirds of power
//! ```

use freeway_ledger::{MemoryState, accounts::ACCOUNTS};
use freeway_primitives::{Address, Amount, Canonical, Digest};
use freeway_store::Proof;
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
    // The root of a height is in the header of the next.
    let Some(height) = node.status.height.checked_sub(1) else {
        return Err(Problem::new(
            "not_yet",
            "there is no block yet, and so nothing that validators have signed",
        )
        .hint("try again after the first block"));
    };
    let key = ACCOUNTS.key(address);
    let answer = node.account_proof(address, height).await?;
    let view = node.validators(height.saturating_add(1)).await?;
    let distrust = |what: &dyn std::fmt::Display| {
        Problem::new("bad_proof", format!("the node's proof does not hold: {what}"))
            .hint("do not trust this node's answer; ask another one with --rpc URL")
    };
    let set = view.set().ok_or_else(|| distrust(&"its validators form no set"))?;
    if answer.height != height {
        return Err(distrust(&"it is for another height"));
    }
    let root = answer.certified_root(&node.status.chain, &set).map_err(|error| distrust(&error))?;
    let bytes = answer.proof_bytes().map_err(|error| distrust(&error))?;
    let proof = Proof::decode(&bytes).map_err(|error| distrust(&error))?;
    let value = proof.verify(&root, &key).map_err(|error| distrust(&error))?;
    let mut state = MemoryState::default();
    let exists = value.is_some();
    state.0.extend(value.map(|value| (key, value)));
    let account = ACCOUNTS.get(&state, address).map_err(|fault| distrust(&fault))?.unwrap_or_default();
    Ok(Proven {
        verified: true,
        height,
        exists,
        balance: account.balance,
        sequence: account.sequence,
        root,
        validators: set.digest(),
    })
}
