//! What happens on the chain, and the stream of it.

use freeway_ledger::{Event, accounts, epochs, evidence, hosts};
use freeway_primitives::{Address, Amount, Digest, PublicKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::transactions::ReceiptView;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type")]
pub enum EventView {
    /// Money changed hands.
    #[serde(rename = "accounts.transferred")]
    Transferred {
        /// Payer.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        from: Address,
        /// Payee.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        to: Address,
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// A key got rights.
    #[serde(rename = "accounts.authorised")]
    Authorised {
        /// The account.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        account: Address,
        /// The key.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        key: PublicKey,
    },
    /// A key lost its rights.
    #[serde(rename = "accounts.revoked")]
    Revoked {
        /// The account.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        account: Address,
        /// The key.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        key: PublicKey,
    },
    /// A new host.
    #[serde(rename = "hosts.registered")]
    Registered {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
    },
    /// A host has a new profile.
    #[serde(rename = "hosts.updated")]
    Updated {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
    },
    /// A host asked to leave.
    #[serde(rename = "hosts.leaving")]
    Leaving {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
    },
    /// A host is out of the validator set.
    #[serde(rename = "hosts.left")]
    Left {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
    },
    /// Collateral came in.
    #[serde(rename = "hosts.deposited")]
    Deposited {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Collateral began to unbond.
    #[serde(rename = "hosts.unbonding")]
    Unbonding {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
        /// The height at which it is free.
        free_at: u64,
    },
    /// Collateral came back to its owner.
    #[serde(rename = "hosts.returned")]
    Returned {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Collateral was taken as a penalty.
    #[serde(rename = "hosts.slashed")]
    Slashed {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// A phase began; with `sprint` also an epoch.
    #[serde(rename = "epochs.phase_started")]
    PhaseStarted {
        /// The epoch.
        epoch: u64,
        /// The phase.
        phase: String,
    },
    /// The validator set of the next epoch is formed.
    #[serde(rename = "epochs.switched")]
    Switched {
        /// The epoch that it signs.
        epoch: u64,
        /// Its members.
        validators: u32,
        /// Its total power.
        power: u64,
    },
    /// The old validator set stays for one more epoch.
    #[serde(rename = "epochs.switch_held")]
    SwitchHeld {
        /// The epoch that it signs again.
        epoch: u64,
        /// Why: `no_power` or `too_much_lost`.
        reason: String,
    },
    /// A validator was convicted of signing two different things.
    #[serde(rename = "evidence.convicted")]
    Convicted {
        /// The validator.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The height of its offence.
        height: u64,
        /// What it lost, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        penalty: Amount,
    },
    /// An event of a newer node that this program does not know.
    #[serde(other, rename = "unknown")]
    Unknown,
}

impl From<&Event> for EventView {
    fn from(event: &Event) -> Self {
        match event {
            Event::Accounts(event) => event.into(),
            Event::Hosts(event) => event.into(),
            Event::Epochs(event) => event.into(),
            Event::Evidence(event) => event.into(),
        }
    }
}

impl From<&accounts::Event> for EventView {
    fn from(event: &accounts::Event) -> Self {
        use accounts::Event;
        match *event {
            Event::Transferred { from, to, amount } => Self::Transferred { from, to, amount },
            Event::Authorised { account, key } => Self::Authorised { account, key },
            Event::Revoked { account, key } => Self::Revoked { account, key },
        }
    }
}

impl From<&hosts::Event> for EventView {
    fn from(event: &hosts::Event) -> Self {
        use hosts::Event;
        match *event {
            Event::Registered { host } => Self::Registered { host },
            Event::Updated { host } => Self::Updated { host },
            Event::Leaving { host } => Self::Leaving { host },
            Event::Left { host } => Self::Left { host },
            Event::Deposited { host, amount } => Self::Deposited { host, amount },
            Event::Unbonding { host, amount, free_at } => {
                Self::Unbonding { host, amount, free_at: free_at.0 }
            }
            Event::Returned { host, amount } => Self::Returned { host, amount },
            Event::Slashed { host, amount } => Self::Slashed { host, amount },
        }
    }
}

impl From<&epochs::Event> for EventView {
    fn from(event: &epochs::Event) -> Self {
        use epochs::Event;
        match *event {
            Event::PhaseStarted { epoch, phase } => {
                Self::PhaseStarted { epoch: epoch.0, phase: phase.name().into() }
            }
            Event::Switched { epoch, validators, power } => {
                Self::Switched { epoch: epoch.0, validators, power }
            }
            Event::SwitchHeld { epoch, reason } => {
                Self::SwitchHeld { epoch: epoch.0, reason: reason.name().into() }
            }
        }
    }
}

impl From<&evidence::Event> for EventView {
    fn from(event: &evidence::Event) -> Self {
        match *event {
            evidence::Event::Convicted { host, height, penalty } => {
                Self::Convicted { host, height: height.0, penalty }
            }
        }
    }
}

/// A committed block in the stream of events; its `id:` is the height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockEvent {
    /// The height.
    pub height: u64,
    /// The block.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub id: Digest,
    /// Its time in milliseconds since 1970, by its proposer.
    pub time_ms: u64,
    /// Its epoch.
    pub epoch: u64,
    /// Its phase.
    pub phase: String,
    /// How its transactions ended, in order.
    pub transactions: Vec<ReceiptView>,
    /// The block's own events: phases, payouts, switches.
    pub events: Vec<EventView>,
}

/// A reader of the stream was too slow and missed blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaggedEvent {
    /// How many.
    pub missed: u64,
    /// The first of them: connect again with `from` at this height to get them.
    pub from: u64,
}
