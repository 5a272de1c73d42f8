//! An account that sends transfers.

use eyre::Result;
use freeway_api::Client;
use freeway_ledger::{Body, Message, Transaction, accounts};
use freeway_primitives::{Address, Amount, ChainId, Digest, Height, SecretKey};

/// Blocks that a transfer may wait before it expires.
const LIFETIME: u64 = 500;

/// A signed transfer.
pub fn transfer(
    key: &SecretKey,
    chain: ChainId,
    sequence: u64,
    expiry: u64,
    to: Address,
    amount: Amount,
) -> Transaction {
    let body = Body {
        chain,
        signer: key.public(),
        on_behalf_of: None,
        sequence,
        expiry: Height(expiry),
        message: Message::Accounts(accounts::Message::Transfer { to, amount }),
    };
    body.sign(key)
}

/// An account, its key and its next sequence number.
pub struct Actor {
    key: SecretKey,
    chain: ChainId,
    sequence: u64,
}

impl core::fmt::Debug for Actor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Actor").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl Actor {
    /// An account that has sent nothing yet.
    pub fn new(key: SecretKey, chain: ChainId) -> Self {
        Self { key, chain, sequence: 0 }
    }

    /// The account's key.
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// The account's address.
    pub fn address(&self) -> Address {
        Address::of(&self.key.public())
    }

    /// The sequence number of the next transfer.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Signs the next transfer, to be included at `height` + 500 at the latest. Until it is known to be
    /// acknowledged, the next one has the same number: see [`Actor::acknowledged`].
    pub fn next(&self, height: u64, to: Address, amount: Amount) -> Transaction {
        self.sign_transfer(self.sequence, height + LIFETIME, to, amount)
    }

    /// Signs a transfer with a number of the caller's choice.
    pub fn sign_transfer(&self, sequence: u64, expiry: u64, to: Address, amount: Amount) -> Transaction {
        transfer(&self.key, self.chain, sequence, expiry, to, amount)
    }

    /// The last transfer was acknowledged; the next one has the next number.
    pub fn acknowledged(&mut self) {
        self.sequence += 1;
    }

    /// The last so many transfers were not acknowledged after all; their numbers are free again.
    pub fn rewind(&mut self, count: u64) {
        self.sequence = self.sequence.saturating_sub(count);
    }

    /// Sends a transfer through a node: its hash.
    ///
    /// # Errors
    /// If the node does not take it; then nothing has changed here.
    pub async fn pay(&mut self, client: &Client, to: Address, amount: Amount) -> Result<Digest> {
        let height = client.status().await?.height;
        let hash = client.submit(&self.next(height, to, amount)).await?;
        self.acknowledged();
        Ok(hash)
    }
}
