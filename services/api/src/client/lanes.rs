//! Models, lanes, work, rewards and endorsements.

use freeway_primitives::{Address, Digest};

use super::{Client, ClientError, at, page};
use crate::{
    CommitmentView, CommitmentsView, EarningsView, EndorsementView, EndorsementsView, ErrorDetail, LaneView,
    LanesView, ModelDetailView, ModelsView, ProofView, ReceiptEndorsementsView, RewardsView, WorkView,
};

impl Client {
    /// A page of models, by root, after `after`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn models(&self, after: Option<&Digest>, limit: u64) -> Result<ModelsView, ClientError> {
        self.get("v1/models", &page(after, limit)).await
    }

    /// The model with that root or name, and a page of who serves it, by address, after `after`.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::is_not_found`] if there is none.
    pub async fn model(
        &self,
        model: &str,
        after: Option<&Address>,
        limit: u64,
    ) -> Result<ModelDetailView, ClientError> {
        // What is no name must not become another path.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if model.is_empty() || matches!(model, "." | "..") || !model.bytes().all(allowed) {
            let shown: String = model.chars().take(100).collect();
            let message = format!("{shown:?} is neither the root nor the name of a model");
            return Err(ClientError::Api { status: 404, detail: ErrorDetail::new("not_found", message) });
        }
        self.get(&format!("v1/models/{model}"), &page(after, limit)).await
    }

    /// A lane.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::is_not_found`] if there is none, or if it is over.
    pub async fn lane(&self, lane: u64) -> Result<LaneView, ClientError> {
        self.get(&format!("v1/lanes/{lane}"), &[]).await
    }

    /// A page of an account's lanes, by their number, after `after`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn lanes_of_payer(
        &self,
        payer: &Address,
        after: Option<u64>,
        limit: u64,
    ) -> Result<LanesView, ClientError> {
        self.get(&format!("v1/accounts/{payer}/lanes"), &page(after.as_ref(), limit)).await
    }

    /// A page of the lanes in which a host has a share, by their number, after `after`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn lanes_of_host(
        &self,
        host: &Address,
        after: Option<u64>,
        limit: u64,
    ) -> Result<LanesView, ClientError> {
        self.get(&format!("v1/hosts/{host}/lanes"), &page(after.as_ref(), limit)).await
    }

    /// Where work stands: its interval, and the rounds in which it is checked.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn work(&self) -> Result<WorkView, ClientError> {
        self.get("v1/work", &[]).await
    }

    /// A page of what hosts committed to in an interval, by address, after `after`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn commitments(
        &self,
        interval: u64,
        after: Option<&Address>,
        limit: u64,
    ) -> Result<CommitmentsView, ClientError> {
        self.get(&format!("v1/work/{interval}"), &page(after, limit)).await
    }

    /// What a host committed to in an interval, and what was said about it.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::is_not_found`] if it did not commit, or if that is not kept any more.
    pub async fn commitment(&self, interval: u64, host: &Address) -> Result<CommitmentView, ClientError> {
        self.get(&format!("v1/work/{interval}/{host}"), &[]).await
    }

    /// Proof of a commitment's entry in the state, at a certified height: `freeway_ledger::work::COMMITS`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn commitment_proof(
        &self,
        interval: u64,
        host: &Address,
        height: Option<u64>,
    ) -> Result<ProofView, ClientError> {
        self.get(&format!("v1/work/{interval}/{host}/proof"), &at(height)).await
    }

    /// What a host earns; nothing if it never did, or if the account owns no host.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn earnings(&self, host: &Address) -> Result<EarningsView, ClientError> {
        self.get(&format!("v1/hosts/{host}/earnings"), &[]).await
    }

    /// Where the emission of money stands.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn rewards(&self) -> Result<RewardsView, ClientError> {
        self.get("v1/rewards", &[]).await
    }

    /// An endorsement.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::is_not_found`] if there is none, or if its bond is gone.
    pub async fn endorsement(&self, endorsement: u64) -> Result<EndorsementView, ClientError> {
        self.get(&format!("v1/endorsements/{endorsement}"), &[]).await
    }

    /// An account's record, and a page of its endorsements, by their number, after `after`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn endorsements(
        &self,
        endorser: &Address,
        after: Option<u64>,
        limit: u64,
    ) -> Result<EndorsementsView, ClientError> {
        self.get(&format!("v1/accounts/{endorser}/endorsements"), &page(after.as_ref(), limit)).await
    }

    /// A page of the endorsements of a receipt, by their number, after `after`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn endorsements_of_receipt(
        &self,
        receipt: &Digest,
        after: Option<u64>,
        limit: u64,
    ) -> Result<ReceiptEndorsementsView, ClientError> {
        self.get(&format!("v1/receipts/{receipt}/endorsements"), &page(after.as_ref(), limit)).await
    }
}
