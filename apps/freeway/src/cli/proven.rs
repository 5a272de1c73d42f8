//! Records of the state, checked against what the validators have signed.
//!
//! ```text
//! record ──state proof──► state root ──in the next header──► header ──certificate──► more than two thirds of power
//! ```
//!
//! The validators themselves are the node's word: two nodes that name the same digest agree on them.

use freeway_api::ProofView;
use freeway_ledger::MemoryState;
use freeway_ledger::state::{Key, Table};
use freeway_primitives::{Canonical, Digest};
use freeway_store::Proof;

use super::Node;
use crate::hints::Problem;

/// A record that is what its chain says, or the proven absence of one.
#[derive(Clone, Debug)]
pub struct Proven<V> {
    /// The height of the state.
    pub height: u64,
    /// Its root.
    pub root: Digest,
    /// The digest of the validators that signed the header with the root.
    pub validators: Digest,
    /// The record, if there is one.
    pub value: Option<V>,
}

impl Node {
    /// The latest height whose root validators have signed: the root of a height is in the header of the next.
    ///
    /// # Errors
    /// If there is no block yet.
    pub fn proven_height(&self) -> Result<u64, Problem> {
        proven_height(self.status.height)
    }

    /// A record, with a proof that holds.
    ///
    /// # Errors
    /// If the node does not answer, or its proof does not hold.
    pub async fn proven<K, V>(&self, table: &Table<K, V>, key: &K) -> Result<Proven<V>, Problem>
    where
        K: Key,
        V: borsh::BorshSerialize + borsh::BorshDeserialize,
    {
        // As late as can be: what was asked for may be a block old.
        let height = proven_height(self.status_now().await?.height)?;
        let answer = self.client().proof(&table.key(key), Some(height)).await?;
        self.check_proof(table, key, height, &answer).await
    }

    /// Checks a node's answer about a record at `height`.
    ///
    /// # Errors
    /// If it does not hold.
    pub async fn check_proof<K, V>(
        &self,
        table: &Table<K, V>,
        key: &K,
        height: u64,
        answer: &ProofView,
    ) -> Result<Proven<V>, Problem>
    where
        K: Key,
        V: borsh::BorshSerialize + borsh::BorshDeserialize,
    {
        let view = self.validators(height.saturating_add(1)).await?;
        let set = view.set().ok_or_else(|| distrust(&"its validators form no set"))?;
        if answer.height != height {
            return Err(distrust(&"it is for another height"));
        }
        let root = answer.certified_root(&self.status.chain, &set).map_err(|error| distrust(&error))?;
        let bytes = answer.proof_bytes().map_err(|error| distrust(&error))?;
        let proof = Proof::decode(&bytes).map_err(|error| distrust(&error))?;
        let name = table.key(key);
        let value = proof.verify(&root, &name).map_err(|error| distrust(&error))?;
        let mut state = MemoryState::default();
        state.0.extend(value.map(|value| (name, value)));
        let value = table.get(&state, key).map_err(|fault| distrust(&fault))?;
        Ok(Proven { height, root, validators: set.digest(), value })
    }
}

fn proven_height(height: u64) -> Result<u64, Problem> {
    height.checked_sub(1).ok_or_else(|| {
        Problem::new("not_yet", "there is no block yet, and so nothing that validators have signed")
            .hint("try again after the first block")
    })
}

fn distrust(what: &dyn std::fmt::Display) -> Problem {
    Problem::new("bad_proof", format!("the node's proof does not hold: {what}"))
        .hint("do not trust this node's answer; ask another one with --rpc URL")
}
