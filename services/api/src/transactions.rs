//! Transactions: on their way in, waiting, and in blocks.

use freeway_ledger::hosts::Profile;
use freeway_ledger::{
    Body, Failure, Message, Outcome, Receipt, Transaction, accounts, beacon, evidence, hosts, sprint,
};
use freeway_primitives::{Address, Amount, ChainId, Digest, Equivocation, PublicKey};
use freeway_proofs::sprint::DeviceCommitment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ErrorDetail;
use crate::events::EventView;
use crate::text::limit_of;

/// The most transactions in one request.
pub const MAX_SUBMIT: usize = 4_096;

/// The body of a submission: exactly one of the two fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// One transaction: its canonical bytes in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// Many transactions, each in hexadecimal; at most 4,096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<Vec<String>>,
}

/// The answer to a submission of one transaction. What it names is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubmitView {
    /// The transaction's hash.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub hash: Digest,
}

/// One of the answers to a submission of many: `hash` if it was accepted, else `error`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubmitResult {
    /// The transaction's hash.
    #[serde(default, with = "crate::text::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub hash: Option<Digest>,
    /// Why it was not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorDetail>,
}

/// A transaction as the node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransactionView {
    /// Its hash.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub hash: Digest,
    /// Whether it is in a block.
    pub status: TransactionStatus,
    /// The block's height.
    #[serde(default)]
    pub height: Option<u64>,
    /// Its place in the block, from 0.
    #[serde(default)]
    pub index: Option<u32>,
    /// How it ended.
    #[serde(default)]
    pub outcome: Option<OutcomeView>,
    /// Why it failed, if it did.
    #[serde(default)]
    pub failure: Option<FailureView>,
    /// What it caused.
    #[serde(default)]
    pub events: Vec<EventView>,
    /// Its length in bytes.
    pub bytes: u64,
    /// What was signed.
    pub body: BodyView,
}

/// Whether a transaction is in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransactionStatus {
    /// It waits for a block.
    Pending,
    /// It is in a block, for good.
    Included,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutcomeView {
    /// It did what it asked.
    Done,
    /// It changed nothing but its sequence and quota.
    Failed,
}

impl OutcomeView {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// The outcome and, if it failed, why.
    pub fn of(outcome: &Outcome) -> (Self, Option<FailureView>) {
        match outcome {
            Outcome::Done => (Self::Done, None),
            Outcome::Failed(failure) => (Self::Failed, Some(failure.into())),
        }
    }
}

/// Why a transaction failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureView {
    /// A stable name for programs.
    #[schema(example = "insufficient_balance")]
    pub code: String,
    /// What happened, for people.
    pub message: String,
}

impl From<&Failure> for FailureView {
    fn from(failure: &Failure) -> Self {
        Self { code: failure.code().into(), message: failure.to_string() }
    }
}

/// How a transaction of a block ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptView {
    /// The transaction's hash.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub hash: Digest,
    /// How it ended.
    pub outcome: OutcomeView,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
    /// What it caused.
    pub events: Vec<EventView>,
}

impl From<&Receipt> for ReceiptView {
    fn from(receipt: &Receipt) -> Self {
        let (outcome, failure) = OutcomeView::of(&receipt.outcome);
        let events = receipt.events.iter().map(EventView::from).collect();
        Self { hash: receipt.transaction, outcome, failure, events }
    }
}

/// What a transaction says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BodyView {
    /// The network.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub chain: ChainId,
    /// The account that acts and pays.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub account: Address,
    /// The key that signed: the account's own or a delegate's.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub signer: PublicKey,
    /// The number of the key's transaction.
    pub sequence: u64,
    /// The last height at which it may stand in a block.
    pub expiry: u64,
    /// What is asked.
    pub message: MessageView,
}

impl From<&Body> for BodyView {
    fn from(body: &Body) -> Self {
        Self {
            chain: body.chain,
            account: body.account(),
            signer: body.signer,
            sequence: body.sequence,
            expiry: body.expiry.0,
            message: (&body.message).into(),
        }
    }
}

/// A host's profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProfileView {
    /// The key of its votes.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub consensus_key: PublicKey,
    /// Where it can be reached.
    pub endpoints: Vec<String>,
    /// Where it stands.
    pub region: String,
    /// Who runs it.
    pub operator: String,
    /// Its machine.
    pub hardware: String,
}

impl From<&Profile> for ProfileView {
    fn from(profile: &Profile) -> Self {
        Self {
            consensus_key: profile.consensus_key,
            endpoints: profile.endpoints.iter().map(ToString::to_string).collect(),
            region: profile.region.to_string(),
            operator: profile.operator.to_string(),
            hardware: profile.hardware.to_string(),
        }
    }
}

/// What is asked of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type")]
pub enum MessageView {
    /// Pay.
    #[serde(rename = "accounts.transfer")]
    Transfer {
        /// To whom.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        to: Address,
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Give a key rights.
    #[serde(rename = "accounts.authorise")]
    Authorise {
        /// The key.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        key: PublicKey,
        /// What it may do.
        scopes: Vec<String>,
        /// The last height at which it may act; `null` for no end.
        expires: Option<u64>,
        /// How much it may move, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        allowance: Amount,
    },
    /// Take a key's rights away.
    #[serde(rename = "accounts.revoke")]
    Revoke {
        /// The key.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        key: PublicKey,
    },
    /// Become a host.
    #[serde(rename = "hosts.register")]
    Register {
        /// What it says of itself.
        profile: ProfileView,
        /// First collateral, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        collateral: Amount,
    },
    /// Replace a host's profile.
    #[serde(rename = "hosts.update")]
    Update {
        /// The new profile.
        profile: ProfileView,
    },
    /// Stop being a host.
    #[serde(rename = "hosts.leave")]
    Leave,
    /// Put more at stake.
    #[serde(rename = "hosts.deposit")]
    Deposit {
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Begin to take collateral back.
    #[serde(rename = "hosts.withdraw")]
    Withdraw {
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Report that a validator signed two different things.
    #[serde(rename = "evidence.report")]
    Report {
        /// Who is accused.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        accused: Address,
        /// The height of the offence.
        height: u64,
        /// What was signed twice: `votes` or `proposals`.
        offence: String,
    },
    /// A host commits to what it computed in the race.
    #[serde(rename = "sprint.commit")]
    Commit {
        /// All its nonces.
        count: u64,
        /// Its devices.
        devices: Vec<DeviceView>,
    },
    /// A member of committees says what it found.
    #[serde(rename = "sprint.verdicts")]
    Verdicts {
        /// The hosts that it checked.
        #[serde(with = "crate::text::list")]
        #[schema(value_type = Vec<String>)]
        hosts: Vec<Address>,
        /// Leaves that it recomputed, of all of them.
        leaves: u64,
    },
    /// A host shows the drawn traces.
    #[serde(rename = "sprint.reveal")]
    Reveal {
        /// The members to whose verdicts they belong.
        #[serde(with = "crate::text::list")]
        #[schema(value_type = Vec<String>)]
        members: Vec<Address>,
        /// Leaves, of all of them.
        leaves: u64,
    },
    /// A member demands leaves that a host does not show.
    #[serde(rename = "sprint.demand")]
    Demand {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// Which of the member's leaves.
        positions: Vec<u16>,
    },
    /// A host answers a demand.
    #[serde(rename = "sprint.answer")]
    Answer {
        /// Who demanded.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        member: Address,
        /// So many leaves.
        leaves: u64,
    },
    /// A host says that a leaf of another is wrong.
    #[serde(rename = "sprint.accuse")]
    Accuse {
        /// The accused host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The leaf's device.
        device: u32,
        /// The leaf's nonce.
        nonce: u64,
    },
    /// A validator says what it found of leaves on trial.
    #[serde(rename = "sprint.judge")]
    Judge {
        /// Its judgements.
        judgements: Vec<JudgementView>,
    },
    /// A holder of seats posts its part of the beacon's next key.
    #[serde(rename = "beacon.deal")]
    Deal {
        /// The length of the part in bytes.
        bytes: u64,
    },
    /// A holder of seats says which parts it can use.
    #[serde(rename = "beacon.acknowledge")]
    Acknowledge {
        /// The length of the message in bytes.
        bytes: u64,
    },
    /// A holder of seats answers those who could not use its part.
    #[serde(rename = "beacon.close")]
    Close {
        /// The length of the answer in bytes.
        bytes: u64,
    },
    /// A message of a newer node that this program does not know.
    #[serde(other, rename = "unknown")]
    Unknown,
}

/// What a device computed in a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceView {
    /// Its nonces: from 0 on, without gaps.
    pub count: u64,
    /// The root of the tree of their leaves.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub root: Digest,
}

impl From<&DeviceCommitment> for DeviceView {
    fn from(device: &DeviceCommitment) -> Self {
        Self { count: device.count, root: device.root }
    }
}

/// A judgement on a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JudgementView {
    /// The host.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub host: Address,
    /// The leaf's device.
    pub device: u32,
    /// The leaf's nonce.
    pub nonce: u64,
    /// Whether the leaf is wrong.
    pub guilty: bool,
}

/// The name of a message's kind: what its `type` is on the wire.
pub fn kind_of(message: &Message) -> &'static str {
    match message {
        Message::Accounts(accounts::Message::Transfer { .. }) => "accounts.transfer",
        Message::Accounts(accounts::Message::Authorise { .. }) => "accounts.authorise",
        Message::Accounts(accounts::Message::Revoke { .. }) => "accounts.revoke",
        Message::Hosts(hosts::Message::Register { .. }) => "hosts.register",
        Message::Hosts(hosts::Message::Update { .. }) => "hosts.update",
        Message::Hosts(hosts::Message::Leave) => "hosts.leave",
        Message::Hosts(hosts::Message::Deposit { .. }) => "hosts.deposit",
        Message::Hosts(hosts::Message::Withdraw { .. }) => "hosts.withdraw",
        Message::Evidence(evidence::Message::Report(_)) => "evidence.report",
        Message::Sprint(sprint::Message::Commit(_)) => "sprint.commit",
        Message::Sprint(sprint::Message::Verdicts(_)) => "sprint.verdicts",
        Message::Sprint(sprint::Message::Reveal(_)) => "sprint.reveal",
        Message::Sprint(sprint::Message::Demand { .. }) => "sprint.demand",
        Message::Sprint(sprint::Message::Answer { .. }) => "sprint.answer",
        Message::Sprint(sprint::Message::Accuse { .. }) => "sprint.accuse",
        Message::Sprint(sprint::Message::Judge(_)) => "sprint.judge",
        Message::Beacon(beacon::Message::Deal(_)) => "beacon.deal",
        Message::Beacon(beacon::Message::Acknowledge(_)) => "beacon.acknowledge",
        Message::Beacon(beacon::Message::Close(_)) => "beacon.close",
    }
}

impl From<&Message> for MessageView {
    fn from(message: &Message) -> Self {
        match message {
            Message::Accounts(accounts::Message::Transfer { to, amount }) => {
                Self::Transfer { to: *to, amount: *amount }
            }
            Message::Accounts(accounts::Message::Authorise { key, scopes, expires, allowance }) => {
                Self::Authorise {
                    key: *key,
                    scopes: scopes.iter().map(|scope| scope.name().into()).collect(),
                    expires: limit_of(*expires),
                    allowance: *allowance,
                }
            }
            Message::Accounts(accounts::Message::Revoke { key }) => Self::Revoke { key: *key },
            Message::Hosts(hosts::Message::Register { profile, collateral }) => {
                Self::Register { profile: profile.into(), collateral: *collateral }
            }
            Message::Hosts(hosts::Message::Update { profile }) => Self::Update { profile: profile.into() },
            Message::Hosts(hosts::Message::Leave) => Self::Leave,
            Message::Hosts(hosts::Message::Deposit { amount }) => Self::Deposit { amount: *amount },
            Message::Hosts(hosts::Message::Withdraw { amount }) => Self::Withdraw { amount: *amount },
            Message::Evidence(evidence::Message::Report(proof)) => Self::Report {
                accused: proof.validator(),
                height: proof.height().0,
                offence: match **proof {
                    Equivocation::Votes(..) => "votes".into(),
                    Equivocation::Proposals(..) => "proposals".into(),
                },
            },
            Message::Sprint(message) => message.into(),
            Message::Beacon(message) => message.into(),
        }
    }
}

impl From<&sprint::Message> for MessageView {
    fn from(message: &sprint::Message) -> Self {
        use sprint::Message;
        match message {
            Message::Commit(commitment) => Self::Commit {
                count: commitment.total(),
                devices: commitment.devices.iter().map(DeviceView::from).collect(),
            },
            Message::Verdicts(verdicts) => Self::Verdicts {
                hosts: verdicts.iter().map(|verdict| verdict.host).collect(),
                leaves: verdicts.iter().map(|verdict| verdict.tags.len() as u64).sum(),
            },
            Message::Reveal(reveals) => Self::Reveal {
                members: reveals.iter().map(|reveal| reveal.member).collect(),
                leaves: reveals.iter().map(|reveal| reveal.revelations.len() as u64).sum(),
            },
            Message::Demand { host, positions } => Self::Demand { host: *host, positions: positions.clone() },
            Message::Answer { member, openings } => {
                Self::Answer { member: *member, leaves: openings.len() as u64 }
            }
            Message::Accuse { host, opening } => {
                Self::Accuse { host: *host, device: opening.position.device, nonce: opening.position.nonce }
            }
            Message::Judge(judgements) => Self::Judge {
                judgements: judgements
                    .iter()
                    .map(|judgement| JudgementView {
                        host: judgement.host,
                        device: judgement.position.device,
                        nonce: judgement.position.nonce,
                        guilty: judgement.guilty,
                    })
                    .collect(),
            },
        }
    }
}

impl From<&beacon::Message> for MessageView {
    fn from(message: &beacon::Message) -> Self {
        use beacon::Message;
        match message {
            Message::Deal(bytes) => Self::Deal { bytes: bytes.len() as u64 },
            Message::Acknowledge(bytes) => Self::Acknowledge { bytes: bytes.len() as u64 },
            Message::Close(bytes) => Self::Close { bytes: bytes.len() as u64 },
        }
    }
}

impl TransactionView {
    /// A transaction that waits.
    pub fn pending(hash: Digest, transaction: &Transaction, bytes: usize) -> Self {
        Self {
            hash,
            status: TransactionStatus::Pending,
            height: None,
            index: None,
            outcome: None,
            failure: None,
            events: Vec::new(),
            bytes: bytes as u64,
            body: (&transaction.body).into(),
        }
    }

    /// A transaction in a block.
    pub fn included(
        receipt: &Receipt,
        height: u64,
        index: u32,
        transaction: &Transaction,
        bytes: usize,
    ) -> Self {
        let ReceiptView { hash, outcome, failure, events } = receipt.into();
        Self {
            status: TransactionStatus::Included,
            height: Some(height),
            index: Some(index),
            outcome: Some(outcome),
            failure,
            events,
            ..Self::pending(hash, transaction, bytes)
        }
    }
}
