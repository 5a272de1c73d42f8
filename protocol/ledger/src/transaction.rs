//! Transactions: what an account, or a delegate for it, asks of the ledger.

use borsh::{BorshDeserialize, BorshSerialize};
use freeway_primitives::{
    Address, Amount, BatchItem, Canonical, ChainId, DecodeError, Digest, Domain, Height, PublicKey,
    SecretKey, Signature, signing_digest,
};

use crate::accounts::Scope;
use crate::module::Class;
use crate::{accounts, beacon, endorsements, evidence, hosts, lanes, models, sprint, verification, work};

const SIGNING: Domain = Domain::new("freeway 1 transaction");
const HASH: Domain = Domain::new("freeway 1 transaction hash");

/// The longest transaction in bytes.
pub const MAX_TRANSACTION_BYTES: usize = 32 << 10;

/// A request to one of the modules.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// To [`accounts`].
    Accounts(accounts::Message),
    /// To [`hosts`].
    Hosts(hosts::Message),
    /// To [`evidence`].
    Evidence(evidence::Message),
    /// To [`sprint`].
    Sprint(sprint::Message),
    /// To [`beacon`].
    Beacon(beacon::Message),
    /// To [`models`].
    Models(models::Message),
    /// To [`lanes`].
    Lanes(lanes::Message),
    /// To [`endorsements`].
    Endorsements(endorsements::Message),
    /// To [`work`].
    Work(work::Message),
    /// To [`verification`].
    Verification(verification::Message),
}

impl Message {
    /// Whether it is a duty of the protocol or somebody's wish.
    pub fn class(&self) -> Class {
        match self {
            Self::Accounts(_) | Self::Hosts(_) | Self::Endorsements(_) | Self::Models(_) | Self::Lanes(_) => {
                Class::Ordinary
            }
            Self::Evidence(_) | Self::Sprint(_) | Self::Beacon(_) | Self::Work(_) | Self::Verification(_) => {
                Class::Duty
            }
        }
    }

    /// The scope that a delegate needs to send it; `None` if only the account's own key may.
    pub fn scope(&self) -> Option<Scope> {
        match self {
            Self::Accounts(message) => message.scope(),
            Self::Hosts(message) => message.scope(),
            Self::Evidence(_) => Some(Scope::Operator),
            Self::Sprint(message) => message.scope(),
            Self::Beacon(message) => message.scope(),
            Self::Endorsements(_) => None,
            Self::Models(message) => message.scope(),
            Self::Lanes(message) => message.scope(),
            Self::Work(message) => message.scope(),
            Self::Verification(message) => message.scope(),
        }
    }

    /// How much money it takes from the account's free balance: counts against a delegate's allowance.
    pub fn spends(&self) -> Amount {
        match self {
            Self::Accounts(message) => message.spends(),
            Self::Hosts(message) => message.spends(),
            Self::Endorsements(message) => message.spends(),
            Self::Models(message) => message.spends(),
            Self::Lanes(message) => message.spends(),
            // Bonds come back, or are the price of an error: what the scope allows, not the allowance.
            Self::Evidence(_) | Self::Sprint(_) | Self::Beacon(_) | Self::Work(_) | Self::Verification(_) => {
                Amount::ZERO
            }
        }
    }

    /// Whether a block takes it only if it does what it asks. Such a message counts against no quota: there are
    /// no more of them than the protocol asks for.
    pub fn is_owed(&self) -> bool {
        match self {
            Self::Sprint(_) | Self::Beacon(_) | Self::Work(_) => true,
            Self::Verification(message) => message.is_owed(),
            _ => false,
        }
    }
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Body {
    /// The network it is meant for.
    pub chain: ChainId,
    /// The key that signs.
    pub signer: PublicKey,
    /// The account it acts for, if that is not the signer's own.
    pub on_behalf_of: Option<Address>,
    /// Position among the transactions of this key (for this account): 0, 1, 2, without gaps.
    pub sequence: u64,
    /// The last height at which it may stand in a block.
    pub expiry: Height,
    /// What is asked.
    pub message: Message,
}

impl Canonical for Body {
    const KIND: &'static str = "transaction body";
    const MAX_BYTES: usize = MAX_TRANSACTION_BYTES - 64;
}

impl Body {
    /// The account that acts and pays.
    pub fn account(&self) -> Address {
        self.on_behalf_of.unwrap_or_else(|| Address::of(&self.signer))
    }

    /// Signs the body. `key` must be the secret half of [`Body::signer`].
    pub fn sign(self, key: &SecretKey) -> Transaction {
        let signature = key.sign(SIGNING, &self.chain, &self);
        Transaction { body: self, signature }
    }
}

/// A signed [`Body`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Transaction {
    /// What is signed.
    pub body: Body,
    /// The signer's signature.
    pub signature: Signature,
}

impl Canonical for Transaction {
    const KIND: &'static str = "transaction";
    const MAX_BYTES: usize = MAX_TRANSACTION_BYTES;
}

/// Why bytes are not a transaction of this network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Not canonical bytes.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Signed for another network.
    #[error("made for network {theirs}, this is {ours}; check which node you are talking to")]
    WrongChain {
        /// The transaction's.
        theirs: ChainId,
        /// The node's.
        ours: ChainId,
    },
    /// The signature is not the signer's.
    #[error("the signature does not verify; sign the transaction again with the right key")]
    BadSignature,
}

impl TransactionError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Decode(DecodeError::TooLarge { .. }) => "too_large",
            Self::Decode(DecodeError::Malformed { .. }) => "malformed",
            Self::WrongChain { .. } => "wrong_chain",
            Self::BadSignature => "bad_signature",
        }
    }
}

impl Transaction {
    /// The hash of canonical transaction bytes: its name in receipts and queries.
    pub fn hash_of(bytes: &[u8]) -> Digest {
        Digest::of(HASH, bytes)
    }

    /// The transaction's hash.
    pub fn hash(&self) -> Digest {
        Self::hash_of(&self.encode())
    }

    /// The transaction that `bytes` spell, if it is meant for `chain`. The signature is not checked here:
    /// callers check many at once with [`Transaction::signature_item`].
    ///
    /// # Errors
    /// [`TransactionError`] if the bytes are not canonical or are for another network.
    pub fn parse(bytes: &[u8], chain: &ChainId) -> Result<Self, TransactionError> {
        let transaction = Self::decode(bytes)?;
        if transaction.body.chain != *chain {
            return Err(TransactionError::WrongChain { theirs: transaction.body.chain, ours: *chain });
        }
        Ok(transaction)
    }

    /// The signature as an item of a batch.
    pub fn signature_item(&self) -> BatchItem {
        BatchItem {
            key: self.body.signer,
            message: signing_digest(SIGNING, &self.body.chain, &self.body.encode()),
            signature: self.signature,
        }
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`TransactionError::BadSignature`] if it is not the signer's.
    pub fn verify(&self) -> Result<(), TransactionError> {
        self.body
            .signer
            .verify(SIGNING, &self.body.chain, &self.body, &self.signature)
            .map_err(|_| TransactionError::BadSignature)
    }
}
