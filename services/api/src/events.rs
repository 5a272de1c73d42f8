//! What happens on the chain, and the stream of it.

mod lanes;
mod race;
mod work;

use freeway_ledger::Event;
use freeway_primitives::{Address, Amount, Digest, PublicKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::models::PricesView;
use crate::rewards::GrantView;
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
    /// A new model.
    #[serde(rename = "models.registered")]
    ModelRegistered {
        /// Its root.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        root: Digest,
        /// Its name.
        name: String,
    },
    /// A model is gone.
    #[serde(rename = "models.retired")]
    ModelRetired {
        /// Its root.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        root: Digest,
    },
    /// A host serves these models now.
    #[serde(rename = "models.serving")]
    Serving {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// Their roots.
        #[serde(with = "crate::text::list")]
        #[schema(value_type = Vec<String>)]
        models: Vec<Digest>,
    },
    /// A new lane.
    #[serde(rename = "lanes.opened")]
    LaneOpened {
        /// The lane.
        lane: u64,
        /// Who pays.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        payer: Address,
        /// The model's root.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        model: Digest,
        /// How much was put in, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        escrow: Amount,
    },
    /// A lane's hosts are drawn; requests can begin.
    #[serde(rename = "lanes.drawn")]
    LaneDrawn {
        /// The lane.
        lane: u64,
        /// The hosts.
        #[serde(with = "crate::text::list")]
        #[schema(value_type = Vec<String>)]
        hosts: Vec<Address>,
    },
    /// Nobody could be drawn for a lane; everything goes back.
    #[serde(rename = "lanes.no_hosts")]
    LaneNoHosts {
        /// The lane.
        lane: u64,
    },
    /// The randomness for a lane came too late or not at all; everything goes back.
    #[serde(rename = "lanes.no_randomness")]
    LaneNoRandomness {
        /// The lane.
        lane: u64,
    },
    /// More was put into a lane.
    #[serde(rename = "lanes.topped_up")]
    LaneToppedUp {
        /// The lane.
        lane: u64,
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// No more requests in a lane.
    #[serde(rename = "lanes.closing")]
    LaneClosing {
        /// The lane.
        lane: u64,
        /// The last height at which it can be settled.
        until: u64,
    },
    /// A host was paid.
    #[serde(rename = "lanes.settled")]
    LaneSettled {
        /// The lane.
        lane: u64,
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// All that left the lane, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        fees: Amount,
        /// Of this, what the host got, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        paid: Amount,
    },
    /// A lane is gone.
    #[serde(rename = "lanes.ended")]
    LaneEnded {
        /// The lane.
        lane: u64,
        /// Who paid.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        payer: Address,
        /// What went back, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        refund: Amount,
    },
    /// A convicted host is paid nothing more from the shares that it has.
    #[serde(rename = "lanes.forfeited")]
    LanesForfeited {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// Of its matured fees, what is lost, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        fees: Amount,
    },
    /// A model costs something else in lanes that are opened from now on.
    #[serde(rename = "pricing.changed")]
    PricesChanged {
        /// Its root.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        root: Digest,
        /// What it costs.
        prices: PricesView,
        /// How busy its hosts were, in thousandths.
        utilisation: u64,
    },
    /// An epoch's emission was made.
    #[serde(rename = "rewards.emitted")]
    Emitted {
        /// The epoch.
        epoch: u64,
        /// All of it, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        emission: Amount,
        /// Of this, what went to the common pool, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        pooled: Amount,
    },
    /// A host got its part of an epoch.
    #[serde(rename = "rewards.granted")]
    Granted {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// What it got.
        grant: GrantView,
    },
    /// Emission came free.
    #[serde(rename = "rewards.released")]
    Released {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// A slashed host lost what was not released.
    #[serde(rename = "rewards.forfeited")]
    RewardsForfeited {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// Somebody answers for an output.
    #[serde(rename = "endorsements.endorsed")]
    Endorsed {
        /// The endorsement.
        endorsement: u64,
        /// Who.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        endorser: Address,
        /// The digest of the receipt.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        receipt: Digest,
        /// What is put up, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        bond: Amount,
        /// Who may award it.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        arbiter: Address,
        /// The last height at which harm counts.
        until: u64,
    },
    /// A part of a bond was awarded.
    #[serde(rename = "endorsements.awarded")]
    Awarded {
        /// The endorsement.
        endorsement: u64,
        /// Who answers.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        endorser: Address,
        /// Who gets it.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        claimant: Address,
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
        /// What is left of the bond, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        left: Amount,
    },
    /// What was left of a bond went back.
    #[serde(rename = "endorsements.withdrawn")]
    BondWithdrawn {
        /// The endorsement.
        endorsement: u64,
        /// Who answered.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        endorser: Address,
        /// How much, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        amount: Amount,
    },
    /// A host committed to what it served.
    #[serde(rename = "work.committed")]
    WorkCommitted {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The interval.
        interval: u64,
        /// All its fees, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        fees: Amount,
    },
    /// Committees of an interval are being drawn.
    #[serde(rename = "work.drawn")]
    WorkDrawn {
        /// The interval.
        interval: u64,
        /// The round.
        round: u64,
        /// The last height for verdicts.
        until: u64,
    },
    /// It is drawn which samples of an interval must be revealed.
    #[serde(rename = "work.closing")]
    WorkClosing {
        /// The interval.
        interval: u64,
        /// The round.
        round: u64,
        /// The last height for revelations.
        until: u64,
    },
    /// A commitment's fees may be settled.
    #[serde(rename = "work.matured")]
    WorkMatured {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The interval.
        interval: u64,
        /// Its fees, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        fees: Amount,
    },
    /// A commitment pays nothing.
    #[serde(rename = "work.voided")]
    WorkVoided {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The interval.
        interval: u64,
        /// Why: `withheld`, `unrevealed`, `omitted`, `unchecked`, `no_randomness` or `forfeited`.
        reason: String,
    },
    /// A member gave verdicts on work.
    #[serde(rename = "verification.verdicts_given")]
    WorkVerdictsGiven {
        /// The member.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        member: Address,
        /// The interval.
        interval: u64,
        /// So many.
        verdicts: u32,
    },
    /// A host revealed the drawn sample of its work.
    #[serde(rename = "verification.revealed")]
    WorkRevealed {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The interval.
        interval: u64,
        /// Members whose tag is another.
        contradicted: u32,
    },
    /// A member demands a sample of work on the chain.
    #[serde(rename = "verification.demanded")]
    WorkDemanded {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The interval.
        interval: u64,
        /// Which of its samples.
        sample: u32,
        /// The last height for an answer.
        until: u64,
    },
    /// A receipt is reported missing.
    #[serde(rename = "verification.reported")]
    ReceiptReported {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The interval.
        interval: u64,
        /// The lane.
        lane: u64,
        /// The number of the request.
        sequence: u64,
        /// The last height for an answer.
        until: u64,
    },
    /// A host answered a demand or a report.
    #[serde(rename = "verification.answered")]
    WorkAnswered {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The interval.
        interval: u64,
    },
    /// A leaf of work is on trial.
    #[serde(rename = "verification.trial_opened")]
    WorkTrialOpened {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The interval.
        interval: u64,
        /// Which of its trees.
        branch: u64,
        /// The leaf's index in it.
        leaf: u64,
        /// Its receipt's digest.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        receipt: Digest,
        /// The last height for judging.
        until: u64,
    },
    /// A trial about work ended without a conviction.
    #[serde(rename = "verification.acquitted")]
    WorkAcquitted {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The interval.
        interval: u64,
        /// Which of its trees.
        branch: u64,
        /// The leaf's index in it.
        leaf: u64,
    },
    /// A host is convicted for work.
    #[serde(rename = "verification.convicted")]
    WorkConvicted {
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The interval of what it did.
        interval: u64,
        /// What it lost of its collateral, in base units.
        #[serde(with = "crate::text::nfwy")]
        #[schema(value_type = String)]
        penalty: Amount,
    },
    /// A member's verdict on work was found false.
    #[serde(rename = "verification.false_verdict")]
    WorkFalseVerdict {
        /// The member.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        member: Address,
        /// The host.
        #[serde(with = "crate::text")]
        #[schema(value_type = String)]
        host: Address,
        /// The interval.
        interval: u64,
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
            Event::Models(event) => event.into(),
            Event::Lanes(event) => event.into(),
            Event::Pricing(event) => event.into(),
            Event::Rewards(event) => event.into(),
            Event::Endorsements(event) => event.into(),
            Event::Work(event) => event.into(),
            Event::Verification(event) => event.into(),
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
