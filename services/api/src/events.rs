//! What happens on the chain, and the stream of it.

use freeway_ledger::{Event, accounts, beacon, epochs, evidence, hosts, sprint, weights};
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
        /// Why: `no_power`, `too_much_lost` or `dealing_failed`.
        reason: String,
    },
    /// The set of the next epoch is planned; its keys can be dealt.
    #[serde(rename = "epochs.planned")]
    Planned {
        /// The epoch that it is to sign.
        epoch: u64,
        /// Its members.
        validators: u32,
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
    /// A race began: its seed is known.
    #[serde(rename = "sprint.race_started")]
    RaceStarted {
        /// The epoch.
        epoch: u64,
        /// The seed.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        seed: Digest,
        /// The last height for commitments.
        deadline: u64,
    },
    /// A host committed to what it computed.
    #[serde(rename = "sprint.committed")]
    Committed {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// All its nonces.
        count: u64,
    },
    /// Committees and their leaves are drawn.
    #[serde(rename = "sprint.race_challenged")]
    RaceChallenged {
        /// The epoch.
        epoch: u64,
        /// Hosts that committed.
        hosts: u32,
        /// The last height for verdicts.
        until: u64,
    },
    /// A member of committees gave verdicts.
    #[serde(rename = "sprint.verdicts_given")]
    VerdictsGiven {
        /// The member.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        member: Address,
        /// On so many hosts.
        hosts: u32,
    },
    /// It is drawn what must be revealed.
    #[serde(rename = "sprint.race_drawn")]
    RaceDrawn {
        /// The epoch.
        epoch: u64,
        /// The last height for revelations.
        until: u64,
    },
    /// A host revealed.
    #[serde(rename = "sprint.revealed")]
    Revealed {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// So many leaves.
        leaves: u32,
    },
    /// A member demands leaves on the chain.
    #[serde(rename = "sprint.demanded")]
    Demanded {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The member.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        member: Address,
        /// So many leaves.
        leaves: u32,
        /// The last height for an answer.
        until: u64,
    },
    /// A host answered a demand.
    #[serde(rename = "sprint.answered")]
    Answered {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The member.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        member: Address,
        /// So many leaves.
        leaves: u32,
    },
    /// A leaf is on trial.
    #[serde(rename = "sprint.trial_opened")]
    TrialOpened {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The leaf's device.
        device: u32,
        /// The leaf's nonce.
        nonce: u64,
    },
    /// A leaf was found wrong.
    #[serde(rename = "sprint.convicted")]
    LeafConvicted {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The leaf's device.
        device: u32,
        /// The leaf's nonce.
        nonce: u64,
        /// What the host lost, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        penalty: Amount,
    },
    /// A leaf was found right.
    #[serde(rename = "sprint.acquitted")]
    LeafAcquitted {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The leaf's device.
        device: u32,
        /// The leaf's nonce.
        nonce: u64,
    },
    /// A member's verdict on a leaf that is right was another.
    #[serde(rename = "sprint.false_verdict")]
    FalseVerdict {
        /// The member.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        member: Address,
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
    },
    /// A host has proven this weight.
    #[serde(rename = "sprint.proven")]
    Proven {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The weight.
        weight: u64,
        /// Members that confirmed it.
        confirmed: u32,
    },
    /// A host's race counts for nothing.
    #[serde(rename = "sprint.voided")]
    Voided {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// Why: `withheld`, `unrevealed` or `convicted`.
        reason: String,
    },
    /// A race has results.
    #[serde(rename = "sprint.race_settled")]
    RaceSettled {
        /// The epoch.
        epoch: u64,
        /// Hosts that committed.
        hosts: u32,
        /// Of these, hosts with weight.
        proven: u32,
    },
    /// A race has no results; all weights stay.
    #[serde(rename = "sprint.race_abandoned")]
    RaceAbandoned {
        /// The epoch.
        epoch: u64,
        /// Why: `no_randomness` or `nothing_proven`.
        reason: String,
    },
    /// A host's weight or reputation is another.
    #[serde(rename = "weights.changed")]
    WeightChanged {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// What it proved in the latest race.
        now: u64,
        /// What it proved in the race before.
        before: u64,
        /// Its reputation.
        reputation: u8,
    },
    /// The validators begin to make the beacon's key of an epoch.
    #[serde(rename = "beacon.dealing_started")]
    DealingStarted {
        /// The epoch.
        epoch: u64,
        /// Holders of seats.
        holders: u32,
    },
    /// The beacon's key of an epoch is made.
    #[serde(rename = "beacon.group_formed")]
    GroupFormed {
        /// The epoch.
        epoch: u64,
        /// Digest of the key.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        key: Digest,
    },
    /// The beacon's key could not be made; the old group and the old validators stay.
    #[serde(rename = "beacon.dealing_failed")]
    DealingFailed {
        /// The epoch.
        epoch: u64,
        /// Why.
        reason: String,
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
            Event::Sprint(event) => event.into(),
            Event::Weights(event) => event.into(),
            Event::Beacon(event) => event.into(),
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
            Event::Planned { epoch, validators } => Self::Planned { epoch: epoch.0, validators },
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

impl From<&sprint::Event> for EventView {
    fn from(event: &sprint::Event) -> Self {
        use sprint::Event;
        match *event {
            Event::RaceStarted { epoch, seed, deadline } => {
                Self::RaceStarted { epoch: epoch.0, seed, deadline: deadline.0 }
            }
            Event::Committed { host, count } => Self::Committed { host, count },
            Event::RaceChallenged { epoch, hosts, until } => {
                Self::RaceChallenged { epoch: epoch.0, hosts, until: until.0 }
            }
            Event::VerdictsGiven { member, hosts } => Self::VerdictsGiven { member, hosts },
            Event::RaceDrawn { epoch, until } => Self::RaceDrawn { epoch: epoch.0, until: until.0 },
            Event::Revealed { host, leaves } => Self::Revealed { host, leaves },
            Event::Demanded { host, member, leaves, until } => {
                Self::Demanded { host, member, leaves, until: until.0 }
            }
            Event::Answered { host, member, leaves } => Self::Answered { host, member, leaves },
            Event::TrialOpened { host, position } => {
                Self::TrialOpened { host, device: position.device, nonce: position.nonce }
            }
            Event::Convicted { host, position, penalty } => {
                Self::LeafConvicted { host, device: position.device, nonce: position.nonce, penalty }
            }
            Event::Acquitted { host, position } => {
                Self::LeafAcquitted { host, device: position.device, nonce: position.nonce }
            }
            Event::FalseVerdict { member, host } => Self::FalseVerdict { member, host },
            Event::Proven { host, weight, confirmed } => Self::Proven { host, weight, confirmed },
            Event::Voided { host, reason } => Self::Voided { host, reason: reason.name().into() },
            Event::RaceSettled { epoch, hosts, proven } => {
                Self::RaceSettled { epoch: epoch.0, hosts, proven }
            }
            Event::RaceAbandoned { epoch, reason } => {
                Self::RaceAbandoned { epoch: epoch.0, reason: reason.name().into() }
            }
        }
    }
}

impl From<&weights::Event> for EventView {
    fn from(event: &weights::Event) -> Self {
        match *event {
            weights::Event::Changed { host, now, before, reputation } => {
                Self::WeightChanged { host, now, before, reputation }
            }
        }
    }
}

impl From<&beacon::Event> for EventView {
    fn from(event: &beacon::Event) -> Self {
        use beacon::Event;
        match event {
            Event::DealingStarted { epoch, holders } => {
                Self::DealingStarted { epoch: epoch.0, holders: *holders }
            }
            Event::GroupFormed { epoch, key } => Self::GroupFormed { epoch: epoch.0, key: *key },
            Event::DealingFailed { epoch, reason } => {
                Self::DealingFailed { epoch: epoch.0, reason: reason.to_string() }
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
